"""One thread that embeds what callers hand it, a small batch at a time.

A query never waits for company: whatever is queued when the thread is free
goes together, up to ``max_batch`` texts and a bound on padding (a batch costs
what its longest text costs, times its length). Queries go before documents,
and documents go in small batches, so that a query waits for one of them at
most. Not for deciding what is embedded or remembered.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from hybrid_coordinator.errors import EmbeddingError
from hybrid_coordinator.knowledge.store import Vector

_PADDED_CHARACTERS: Final = 512
"""Texts × longest text of one batch. More gains nothing on a processor: with the bundled model a
batch of 4 short questions takes the time of 4 single ones, and every question waits for all."""


@dataclass(slots=True)
class _Waiting:
    text: str
    query: bool
    answer: asyncio.Future[Vector]
    loop: asyncio.AbstractEventLoop


class EmbeddingThread:
    """Runs ``embed(texts, query) -> vectors`` in its thread; at most ``capacity`` texts wait."""

    def __init__(
        self,
        embed: Callable[[Sequence[str], bool], Sequence[Vector]],
        *,
        max_batch: int,
        capacity: int = 4096,
    ) -> None:
        self._embed = embed
        self._max_batch = max_batch
        self._capacity = capacity
        self._queries: deque[_Waiting] = deque()
        self._documents: deque[_Waiting] = deque()
        self._changed = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._work, name="embedder", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def submit(self, texts: Sequence[str], *, query: bool) -> list[asyncio.Future[Vector]]:
        """Queue texts; call from an event loop. Raises ``EmbeddingError`` where it is full."""
        loop = asyncio.get_running_loop()
        waiting = [_Waiting(text, query, loop.create_future(), loop) for text in texts]
        with self._changed:
            if self._stopped:
                raise EmbeddingError("The embedder is closed.")
            if len(self._queries) + len(self._documents) + len(waiting) > self._capacity:
                raise EmbeddingError(
                    f"The embedder has {self._capacity} texts waiting: send fewer at a time.",
                    retry_after=1.0,
                )
            (self._queries if query else self._documents).extend(waiting)
            self._changed.notify()
        return [one.answer for one in waiting]

    def stop(self) -> None:
        """Fail what waits and end the thread; blocks for the batch that runs."""
        with self._changed:
            self._stopped = True
            abandoned = [*self._queries, *self._documents]
            self._queries.clear()
            self._documents.clear()
            self._changed.notify()
        _answer_each(abandoned, None, EmbeddingError("The embedder was closed."))
        self._thread.join()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not (self._queries or self._documents or self._stopped):
                    self._changed.wait()
                if self._stopped:
                    return
                batch = self._take(self._queries or self._documents)
            if not batch:
                continue
            try:
                vectors = self._embed([one.text for one in batch], batch[0].query)
            except Exception as error:  # noqa: BLE001 - handed to every caller, whatever it is
                failure = error if isinstance(error, EmbeddingError) else _failure(error)
                _answer_each(batch, None, failure)
            else:
                _answer_each(batch, vectors, None)

    def _take(self, queue: deque[_Waiting]) -> list[_Waiting]:
        batch: list[_Waiting] = []
        longest = 0
        while queue and len(batch) < self._max_batch:
            head = queue[0]
            if head.answer.cancelled():
                queue.popleft()
                continue
            longest = max(longest, len(head.text))
            if batch and longest * (len(batch) + 1) > _PADDED_CHARACTERS:
                break
            batch.append(queue.popleft())
        return batch


def _failure(error: Exception) -> EmbeddingError:
    failure = EmbeddingError(f"The embedder failed: {type(error).__name__}: {error}")
    failure.__cause__ = error
    return failure


def _answer_each(
    batch: Sequence[_Waiting], vectors: Sequence[Vector] | None, failure: EmbeddingError | None
) -> None:
    loops: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Vector], Vector | None]]] = {}
    for index, one in enumerate(batch):
        vector = None if vectors is None else vectors[index]
        loops.setdefault(one.loop, []).append((one.answer, vector))
    for loop, answers in loops.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(_settle, answers, failure)


def _settle(
    answers: Sequence[tuple[asyncio.Future[Vector], Vector | None]],
    failure: EmbeddingError | None,
) -> None:
    for answer, vector in answers:
        if answer.done():
            continue
        if vector is None:
            answer.set_exception(failure or EmbeddingError("The embedder gave no vector."))
        else:
            answer.set_result(vector)
