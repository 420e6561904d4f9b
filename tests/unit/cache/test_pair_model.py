"""Weights: the file, the trees, the bars, the features they look at, and the data's split."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_coordinator.cache.pair_data import load
from hybrid_coordinator.cache.pair_features import FEATURES, CueTable, features, key_of
from hybrid_coordinator.cache.pair_model import (
    NEVER,
    Bar,
    PairModel,
    PairWeights,
    Trees,
    from_json,
    shipped_weights,
    to_json,
)
from hybrid_coordinator.cache.pair_text import read

# Two trees: "similarity ≤ 0.5" with a leaf on either side, and a lone leaf.
TREES = Trees(
    feature=np.array([0, 0, 0, 0]),
    threshold=np.array([0.5, 0.0, 0.0, 0.0]),
    left=np.array([1, 1, 2, 3]),
    right=np.array([2, 1, 2, 3]),
    value=np.array([0.0, -1.0, 2.0, 0.25]),
    roots=np.array([0, 3]),
    base=0.5,
    depth=1,
)
NO_CUES = CueTable({}, 9.0, {})


def valued(one: str, other: str, table: CueTable = NO_CUES) -> dict[str, float]:
    a, b = read(one), read(other)
    return dict(zip(FEATURES, features(a, b, 0.9, table, broken=False), strict=True))


def test_trees_give_the_logistic_of_their_leaves_sum() -> None:
    assert TREES.probability([0.4]) == pytest.approx(1 / (1 + math.exp(-(0.5 - 1.0 + 0.25))))
    assert TREES.probability([0.5]) == TREES.probability([0.4])
    assert TREES.probability([0.6]) == pytest.approx(1 / (1 + math.exp(-(0.5 + 2.0 + 0.25))))


def test_the_bar_is_the_lowest_whose_bound_is_within_the_error() -> None:
    model = PairModel(TREES, (Bar(0.001, 0.99), Bar(0.01, 0.9), Bar(0.05, 0.5)))
    assert model.bar(0.0) == NEVER
    assert model.bar(0.0099) == 0.99
    assert model.bar(0.01) == 0.9
    assert model.bar(1.0) == 0.5


def test_weights_survive_the_file() -> None:
    table = CueTable({key_of("nix"): 3.0}, 9.0, {key_of("-nix"): -1.27, key_of("+nix"): 0.5})
    model = PairModel(TREES, (Bar(0.01, 0.9),))
    read_back = from_json(to_json(PairWeights("some-model", table, model, model)))
    assert read_back.embedder == "some-model"
    assert read_back.cues.rarity_of("nix") == pytest.approx(3.0, abs=0.02)
    assert read_back.cues.rarity_of("unheard-of") == 9.0
    assert read_back.cues.weight_of(["-nix", "+nix", "?"]) == pytest.approx(-0.77, abs=0.02)
    assert read_back.with_similarity.bars == model.bars
    assert read_back.with_similarity.trees.probability([0.4]) == pytest.approx(
        TREES.probability([0.4])
    )


def test_the_shipped_bars_fall_as_more_errors_are_accepted() -> None:
    weights = shipped_weights()
    for model in (weights.with_similarity, weights.without_similarity):
        errors = [bar.max_error for bar in model.bars]
        probabilities = [bar.probability for bar in model.bars]
        assert errors == sorted(set(errors))
        assert probabilities == sorted(probabilities, reverse=True)
        assert errors[0] < 0.001
        assert probabilities[-1] == 0.0


def test_the_shipped_trees_without_similarity_do_not_look_at_it() -> None:
    trees = shipped_weights().without_similarity.trees
    inner = trees.left != np.arange(len(trees.left))
    assert FEATURES.index("similarity") not in set(trees.feature[inner])
    assert FEATURES.index("similarity") in set(shipped_weights().with_similarity.trees.feature)


def test_the_weights_file_is_small() -> None:
    path = Path(__file__).resolve().parents[3] / "coordinator" / "src" / "hybrid_coordinator"
    assert (path / "cache" / "pair_weights.json").stat().st_size <= 300_000


def test_a_question_and_itself_differ_in_nothing() -> None:
    found = valued("How do I mount a disk?", "How do I mount a disk?")
    for name in ("words_shared", "content_shared", "grams_shared", "order_words", "start_shared"):
        assert found[name] == 1.0
    for name in ("rarity_unmatched_more", "content_unmatched_more", "names_unmatched"):
        assert found[name] == 0.0


def test_features_worked_out_by_hand() -> None:
    table = CueTable(
        {key_of("mount"): 2.0, key_of("disk"): 1.0},
        5.0,
        {key_of("-disk"): -0.5, key_of("-usb"): -2.0, key_of("+mount"): 0.25},
    )
    found = valued("How do I mount a disk?", "How do I mount a usb?", table)
    assert found["similarity"] == 0.9
    assert found["words_shared"] == pytest.approx(5 / 7)
    assert found["content_shared"] == pytest.approx(1 / 3)
    assert found["rarity_shared"] == pytest.approx(2 * 2.0 / (2 * 2.0 + 1.0 + 5.0))
    assert found["rarity_unmatched_more"] == 5.0
    assert found["rarity_unmatched_less"] == 1.0
    assert found["order_words"] == pytest.approx(5 / 6)
    assert found["start_shared"] == pytest.approx(1 / 2)
    assert found["cues_unmatched"] == -2.5
    assert found["cues_shared"] == 0.25
    assert found["modals_differing"] == 0.0


@settings(max_examples=100, deadline=None, derandomize=True)
@given(one=st.text(max_size=60), other=st.text(max_size=60))
def test_features_are_finite_and_the_same_either_way_round(one: str, other: str) -> None:
    assert valued(one, other) == pytest.approx(valued(other, one))
    assert all(math.isfinite(value) for value in valued(one, other).values())


def test_no_question_is_on_both_sides_of_a_split(tmp_path: Path) -> None:
    rows = [{"a": f"q{n}", "b": f"q{n + (n % 5 != 4)}", "same": True} for n in range(500)]
    path = tmp_path / "pairs.jsonl.gz"
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    pairs = load(path)
    assert len(pairs) == 500
    held_out = {q for p in pairs if p.held_out for q in (p.a, p.b)}
    trained_on = {q for p in pairs if not p.held_out for q in (p.a, p.b)}
    assert held_out
    assert trained_on
    assert held_out.isdisjoint(trained_on)
    folds = {q: {p.fold(5) for p in pairs if q in (p.a, p.b)} for q in held_out | trained_on}
    assert all(len(found) == 1 for found in folds.values())
    assert len({p.place for p in pairs}) == 100
