"""Vectors of one partition in memory."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_coordinator.cache.vectors import VectorTable

SIZE = 70
"""Not a multiple of 64, so that the last word of signs is not full."""


def random_vectors(count: int, seed: int = 1) -> npt.NDArray[np.float32]:
    made = np.random.default_rng(seed).standard_normal((count, SIZE))
    lengths = np.linalg.norm(made, axis=1, keepdims=True)
    unit: npt.NDArray[np.float32] = (made / lengths).astype(np.float32)
    return unit


@settings(max_examples=40)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 20)), max_size=80))
def test_after_any_puts_and_removals_the_nearest_are_those_of_a_plain_search(
    steps: list[tuple[bool, int]],
) -> None:
    vectors = random_vectors(21 * 81)
    table, expected = VectorTable(SIZE), {}
    for step, (adds, name) in enumerate(steps):
        if adds:
            expected[f"{name}"] = vectors[step * 21 + name]
            table.put(f"{name}", expected[f"{name}"])
        else:
            expected.pop(f"{name}", None)
            table.remove(f"{name}")
    assert len(table) == len(expected)
    asked = vectors[-1]
    wanted = sorted(((float(v @ asked), n) for n, v in expected.items()), reverse=True)[:5]
    found = table.nearest(asked, 5)
    assert [name for _, name in found] == [name for _, name in wanted]
    assert [c for c, _ in found] == pytest.approx([c for c, _ in wanted], abs=1e-5)


def test_near_questions_are_found_among_many_and_after_removals() -> None:
    vectors = random_vectors(9_000)
    table = VectorTable(SIZE)
    for row, vector in enumerate(vectors):
        table.put(f"{row}", vector)
    for row in range(0, 9_000, 3):
        table.remove(f"{row}")
    noise = random_vectors(9_000, seed=2)
    for row in range(1, 9_000, 450):
        if row % 3 == 0:
            continue
        asked = vectors[row] + 0.5 * noise[row]  # a cosine of about 0.9
        similarity, name = table.nearest(asked, 8)[0]
        assert name == f"{row}"
        assert similarity == pytest.approx(
            float(vectors[row] @ asked / np.linalg.norm(asked)), abs=1e-5
        )


def test_what_is_emptied_can_be_filled_again() -> None:
    vectors = random_vectors(8_200)
    table = VectorTable(SIZE)
    for _ in range(2):
        for row, vector in enumerate(vectors):
            table.put(f"{row}", vector)
        assert table.nearest(vectors[8_199], 1)[0][1] == "8199"
        for row in range(8_200):
            table.remove(f"{row}")
        assert len(table) == 0
        assert table.nearest(vectors[0], 3) == []


def test_fewer_than_wanted_are_all_that_there_are() -> None:
    table = VectorTable(SIZE)
    table.put("one", random_vectors(1)[0])
    assert len(table.nearest(random_vectors(2)[1], 8)) == 1
