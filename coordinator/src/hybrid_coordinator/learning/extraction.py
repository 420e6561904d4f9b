"""Asks a local model what an interaction teaches, and does with the answer what it deserves.

One entry of the queue at a time: from the stored interaction to a stored
pattern, or to a counted reason why there is none. Only local models are asked,
nothing leaves the machine. What is asked is in ``extraction_prompt``, how the
answer is judged in ``extraction_answer``, where patterns go in ``patterns``,
and when all this happens in ``worker``.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Literal, Protocol, TypeAlias

from pydantic import ValidationError

from hybrid_coordinator.conversation import Json, ModelCall, Tier
from hybrid_coordinator.errors import HybridError, NoBackend
from hybrid_coordinator.inference import BackendStatus, Candidate, Fleet
from hybrid_coordinator.knowledge import Knowledge
from hybrid_coordinator.knowledge.collections import read_record
from hybrid_coordinator.knowledge.items import InteractionHistory
from hybrid_coordinator.learning.extraction_answer import (
    Pattern,
    Unusable,
    injection_in,
    read_answer,
)
from hybrid_coordinator.learning.extraction_prompt import (
    Excerpt,
    excerpt_of,
    prompt_of,
    schema_of,
)
from hybrid_coordinator.learning.patterns import PatternShelf
from hybrid_coordinator.learning.queue import ExtractionQueue
from hybrid_coordinator.learning.records import Outcome, QueuedExtraction
from hybrid_coordinator.learning_settings import LearningSettings
from hybrid_coordinator.settings import BackendKind, Collection
from hybrid_coordinator.telemetry.events import Event, PatternExtraction
from hybrid_coordinator.telemetry.metrics import Metrics

Result: TypeAlias = Literal["stored", "merged", "nothing", "rejected", "dead"]
"""What became of an entry; ``rejected``: it waits to be asked about again."""

_HISTORY: Final = Collection.INTERACTION_HISTORY
_WORTH: Final = (Outcome.SUCCESS, Outcome.PARTIAL)

_HOTTER: Final = 0.4
"""Added to the temperature with each try: the same question has the same answer at 0."""
_HOTTEST: Final = 1.0
_FRAME_TOKENS: Final = 400
_CHARS_PER_TOKEN: Final = 2
"""For what of a model's context is left for an interaction; code has the most tokens a letter."""
_LEAST_CHARS: Final = 500
_NO_STOP: Final = "</answer>"
"""Nothing that an answer has. A stop word of our own replaces those that a server has for
conversations, and those may be in JSON: a blank line."""

log = logging.getLogger(__name__)


class NoLocalModel(NoBackend):
    """No local model is ready; the queue waits."""


class TextScrubber(Protocol):
    """What replaces secrets and personal data."""

    def scrub(self, text: str) -> str:
        """The text with placeholders."""


class Telemetry(Protocol):
    """Where events go."""

    def record(self, event: Event) -> None:
        """Take one event; never blocks and never raises."""


class PatternExtractor:
    """From an entry of the queue to a pattern.

    ``recount`` is told the ids of items that gained a source, to bring their
    records and status up to date (``Evidence.refresh``). ``now`` gives epoch seconds.
    """

    def __init__(
        self,
        fleet: Fleet,
        knowledge: Knowledge,
        shelf: PatternShelf,
        queue: ExtractionQueue,
        settings: LearningSettings,
        scrubber: TextScrubber,
        metrics: Metrics,
        telemetry: Telemetry,
        *,
        recount: Callable[[Sequence[str]], Awaitable[object]] | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._fleet = fleet
        self._knowledge = knowledge
        self._shelf = shelf
        self._queue = queue
        self._settings = settings
        self._scrubber = scrubber
        self._metrics = metrics
        self._telemetry = telemetry
        self._recount = recount
        self._now = now

    def candidates(self, statuses: Sequence[BackendStatus]) -> list[Candidate]:
        """The local models that are ready: the one of the settings, or all, the best first."""
        wanted = self._settings.extraction.model
        ready = [s for s in statuses if s.tier is Tier.LOCAL and s.ready and not s.breaker_open]
        ready.sort(key=lambda status: -status.settings.priority)
        return [
            Candidate(status.name, model)
            for status in ready
            for model in (status.models[:1] if wanted is None else status.models)
            if wanted in (None, model.name, f"{status.name}/{model.name}")
        ]

    async def extract(self, entry: QueuedExtraction) -> Result:
        """Work on a claimed entry, and settle it in the queue.

        Raises:
            NoLocalModel: nobody to ask; the entry is still claimed, ``release`` it.
            StoreUnavailable, EmbeddingError: the same.
        """
        began = time.perf_counter()
        item = await self._interaction(entry.interaction_id)
        if item is None or item.extraction in ("done", "nothing"):
            await self._queue.done(entry)
            return "nothing"
        if item.outcome not in _WORTH:
            # Said after it was put in. Should that be taken back, it is put in again.
            return await self._settle(entry, "nothing", began, state="")
        excerpt = excerpt_of(item, self._settings.extraction.max_input_chars)
        if why := _unfit(item, excerpt):
            return await self._settle(entry, "nothing", began, state="nothing", note=why)
        try:
            pattern = await self._ask(entry, item)
        except Unusable as error:
            return await self._failed(entry, str(error), began)
        if pattern is None:
            return await self._settle(entry, "nothing", began, state="nothing")
        # The model took its time: what was forgotten meanwhile must leave no pattern behind.
        item = await self._interaction(entry.interaction_id)
        if item is None:
            await self._queue.done(entry)
            return "nothing"
        if item.outcome not in _WORTH:
            return await self._settle(entry, "nothing", began, state="")
        return await self._shelve(entry, pattern, item, began)

    async def _interaction(self, interaction_id: str) -> InteractionHistory | None:
        """The stored interaction, scrubbed by today's settings; None where it is gone."""
        store = await self._knowledge.opened()
        points = await store.get(_HISTORY, [interaction_id])
        if not points:
            return None
        try:
            item = read_record(_HISTORY, points[0].payload).item
        except ValidationError:
            log.warning(
                "an interaction cannot be read and teaches nothing",
                extra={"interaction_id": interaction_id},
            )
            return None
        assert isinstance(item, InteractionHistory)  # noqa: S101 - what that collection holds
        query, response = await asyncio.to_thread(
            lambda: (self._scrubber.scrub(item.query), self._scrubber.scrub(item.response))
        )
        return item.model_copy(update={"query": query, "response": response})

    async def _ask(self, entry: QueuedExtraction, item: InteractionHistory) -> Pattern | None:
        """The pattern that a local model names.

        Raises:
            Unusable: it answered with something else, not in time, or not at all.
            NoLocalModel
        """
        candidates = self.candidates(self._fleet.statuses())
        if not candidates:
            raise self._nobody()
        excerpt = excerpt_of(item, self._room(candidates))
        limit = self._settings.extraction.timeout
        try:
            async with asyncio.timeout(limit):
                answered = await self._fleet.complete(
                    candidates, lambda candidate: self._call(candidate, entry, excerpt), None
                )
        except TimeoutError:
            raise Unusable(f"No answer within {limit:g} s (extraction.timeout).") from None
        except NoBackend as error:
            left = {candidate.backend for candidate in self.candidates(self._fleet.statuses())}
            busy = any(s.in_flight for s in self._fleet.statuses() if s.name in left)
            if not left or busy:
                raise self._nobody() from error
            raise Unusable("The local model gave no answer.") from error
        except HybridError as error:
            # Its message may quote what was sent.
            raise Unusable(f"The local model refused the request ({error.code}).") from error
        return read_answer(answered.completion.text, excerpt)

    def _room(self, candidates: Sequence[Candidate]) -> int:
        """Characters of an interaction that every one of them can read."""
        extraction = self._settings.extraction
        context = min(candidate.model.context_tokens for candidate in candidates)
        tokens = context - extraction.max_output_tokens - _FRAME_TOKENS
        return min(extraction.max_input_chars, max(tokens * _CHARS_PER_TOKEN, _LEAST_CHARS))

    def _call(self, candidate: Candidate, entry: QueuedExtraction, excerpt: Excerpt) -> ModelCall:
        name = candidate.model.name
        body: Json = {
            "model": name,
            "messages": [{"role": "user", "content": prompt_of(excerpt, _nonce(excerpt))}],
            "max_tokens": self._settings.extraction.max_output_tokens,
            "temperature": min(entry.tries * _HOTTER, _HOTTEST),
            "seed": entry.tries + 1,
            "stop": [_NO_STOP],
        }
        # The bundled model is not offered to clients for this: it follows a schema, and no sense.
        embedded = {x.name for x in self._fleet.statuses() if x.kind is BackendKind.EMBEDDED}
        if candidate.model.structured_output or candidate.backend in embedded:
            schema = {"name": "pattern", "strict": True, "schema": schema_of(excerpt)}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return ModelCall(body, name, stream=False, interaction_id=entry.interaction_id)

    async def _shelve(
        self, entry: QueuedExtraction, pattern: Pattern, item: InteractionHistory, began: float
    ) -> Result:
        shelved = await self._shelf.store_or_merge(
            entry.caller, pattern, entry.interaction_id, item
        )
        if shelved.ref is None:
            await self._queue.done(entry)
            return "nothing"
        if self._recount is None:
            await self._shelf.refresh(shelved.ref)
        else:
            await self._recount([shelved.ref.id])
        # Taught before, and the coordinator was ended before it said so: it is stored.
        result: Result = "merged" if shelved.result == "merged" else "stored"
        return await self._settle(
            entry, result, began, collections={shelved.ref.collection.value: 1}
        )

    async def _settle(
        self,
        entry: QueuedExtraction,
        result: Result,
        began: float,
        *,
        state: str = "done",
        collections: dict[str, int] | None = None,
        note: str = "",
    ) -> Result:
        """Say on the interaction, then to the queue, then to everybody that it is done with.

        In this order: what ends in between is done again, with the same end.
        """
        await self._knowledge.amend(_HISTORY, [entry.interaction_id], {"extraction": state})
        await self._queue.done(entry)
        if note:
            log.info(
                "an interaction is not used for patterns: %s",
                note,
                extra={"interaction_id": entry.interaction_id},
            )
        self._tell(entry, result, began, collections or {})
        return result

    async def _failed(self, entry: QueuedExtraction, why: str, began: float) -> Result:
        tries = self._settings.extraction.tries
        dead = await self._queue.failed(entry, why, tries)
        if dead:
            await self._knowledge.amend(_HISTORY, [entry.interaction_id], {"extraction": "dead"})
            log.warning(
                "a pattern's extraction is given up after %d tries: %s",
                tries,
                why,
                extra={"interaction_id": entry.interaction_id},
            )
        result: Result = "dead" if dead else "rejected"
        self._tell(entry, result, began, {})
        return result

    def _tell(
        self, entry: QueuedExtraction, result: Result, began: float, collections: dict[str, int]
    ) -> None:
        self._metrics.learning.extractions.labels(result=result).inc()
        self._telemetry.record(
            PatternExtraction(
                timestamp=self._now(),
                interaction_id=entry.interaction_id,
                patterns_found=sum(collections.values()),
                result=result,
                collections=collections,
                latency_ms=(time.perf_counter() - began) * 1000,
            )
        )

    def _nobody(self) -> NoLocalModel:
        wanted = self._settings.extraction.model
        who = "No local model" if wanted is None else f"No local backend with the model '{wanted}'"
        return NoLocalModel(f"{who} is ready: the queue waits for one, see /ready.")


def _unfit(item: InteractionHistory, excerpt: Excerpt) -> str:
    """Why it teaches nothing, whatever a model says of it; empty where nothing is wrong."""
    if not excerpt.question or not excerpt.answer:
        return "it has no text"
    # All of it and not only what is shown: orders to a reader may be given in parts.
    return injection_in(f"{item.query}\n{item.response}") or ""


def _nonce(excerpt: Excerpt) -> str:
    """The fence's nonce: BLAKE2b of what it surrounds, so nothing in there can contain it.

    The same interaction gives the same prompt, and so the same answer at temperature 0.
    """
    text = excerpt.text.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(text, digest_size=8).hexdigest()
