"""The embedding thread: who waits for whom."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import numpy as np
import pytest

from hybrid_coordinator.errors import EmbeddingError
from hybrid_coordinator.knowledge.batching import EmbeddingThread
from hybrid_coordinator.knowledge.store import Vector


class Gate:
    """An embedding function that notes its batches, and waits at the first one until let go."""

    def __init__(self) -> None:
        self.batches: list[tuple[list[str], bool]] = []
        self.entered = threading.Event()
        self.open = threading.Event()

    def __call__(self, texts: Sequence[str], query: bool) -> list[Vector]:
        self.batches.append((list(texts), query))
        if texts[0] == "first":
            self.entered.set()
            self.open.wait(10)
        if "bad" in texts:
            raise RuntimeError("no")
        return [np.full(2, len(text), dtype=np.float32) for text in texts]


@pytest.fixture
def gate() -> Gate:
    return Gate()


async def occupied(thread: EmbeddingThread, gate: Gate) -> asyncio.Future[Vector]:
    """Make the thread busy with a text until ``gate.open`` is set."""
    (first,) = thread.submit(["first"], query=True)
    await asyncio.to_thread(gate.entered.wait, 10)
    return first


async def test_what_queued_up_goes_together_and_queries_go_before_documents(gate: Gate) -> None:
    thread = EmbeddingThread(gate, max_batch=3)
    first = await occupied(thread, gate)
    documents = thread.submit(["d1", "d2"], query=False)
    queries = thread.submit(["q1", "q22", "q333", "q4444"], query=True)
    gate.open.set()
    vectors = await asyncio.gather(first, *documents, *queries)
    assert gate.batches[1:] == [
        (["q1", "q22", "q333"], True),
        (["q4444"], True),
        (["d1", "d2"], False),
    ]
    assert [int(v[0]) for v in vectors] == [5, 2, 2, 2, 3, 4, 5]
    thread.stop()


async def test_long_texts_go_alone_so_that_nothing_is_padded_to_their_length(gate: Gate) -> None:
    thread = EmbeddingThread(gate, max_batch=8)
    first = await occupied(thread, gate)
    answers = thread.submit(["a" * 400, "b", "c" * 500, "d", "e"], query=False)
    gate.open.set()
    await asyncio.gather(first, *answers)
    assert [[len(t) for t in texts] for texts, _ in gate.batches[1:]] == [[400], [1], [500], [1, 1]]
    thread.stop()


async def test_a_failure_reaches_everyone_in_the_batch_and_nobody_else(gate: Gate) -> None:
    thread = EmbeddingThread(gate, max_batch=2)
    first = await occupied(thread, gate)
    answers = thread.submit(["bad", "same batch", "next batch"], query=True)
    gate.open.set()
    await first
    results = await asyncio.gather(*answers, return_exceptions=True)
    assert isinstance(results[0], EmbeddingError)
    assert isinstance(results[1], EmbeddingError)
    assert isinstance(results[2], np.ndarray)
    thread.stop()


async def test_lesson_20_the_queue_is_bounded_and_says_so(gate: Gate) -> None:
    thread = EmbeddingThread(gate, max_batch=2, capacity=3)
    first = await occupied(thread, gate)
    waiting = thread.submit(["a", "b"], query=True)
    with pytest.raises(EmbeddingError, match="3 texts waiting"):
        thread.submit(["c", "d"], query=True)
    gate.open.set()
    await asyncio.gather(first, *waiting)
    (later,) = thread.submit(["c"], query=True)
    assert (await later)[0] == 1
    thread.stop()


async def test_a_text_nobody_waits_for_any_more_is_not_embedded(gate: Gate) -> None:
    thread = EmbeddingThread(gate, max_batch=4)
    first = await occupied(thread, gate)
    gone, kept = thread.submit(["gone", "kept"], query=True)
    gone.cancel()
    gate.open.set()
    await asyncio.gather(first, kept)
    assert gate.batches[1:] == [(["kept"], True)]
    thread.stop()


async def test_stopping_fails_what_waits(gate: Gate) -> None:
    thread = EmbeddingThread(gate, max_batch=1)
    first = await occupied(thread, gate)
    (waiting,) = thread.submit(["waiting"], query=True)
    stopping = asyncio.create_task(asyncio.to_thread(thread.stop))
    with pytest.raises(EmbeddingError, match="closed"):
        await waiting
    gate.open.set()
    await first
    await stopping
    with pytest.raises(EmbeddingError, match="closed"):
        thread.submit(["later"], query=True)
