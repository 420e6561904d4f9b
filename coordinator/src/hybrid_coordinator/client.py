"""The client library: a running coordinator's own verbs as async Python methods.

For programs, for ``hybrid-coordinator``'s commands and for its MCP server on
stdio. Chat is not here: OpenAI's and Anthropic's libraries speak that. Answers
are the data classes that the coordinator itself works with.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cache
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from urllib.parse import quote

import anyio
import httpx
import orjson
from pydantic import TypeAdapter, ValidationError
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt
from tenacity.wait import wait_base, wait_random_exponential

from hybrid_coordinator.analysis.report import Analysis
from hybrid_coordinator.client_errors import error_in
from hybrid_coordinator.errors import HybridError
from hybrid_coordinator.gateway import Augmented, Readiness, SearchHit
from hybrid_coordinator.health_report import Report
from hybrid_coordinator.learning.experiments import ExperimentReport
from hybrid_coordinator.learning.records import (
    DatasetFormat,
    DatasetReport,
    ExtractionReport,
    Forgotten,
    InteractionView,
    Outcome,
    OutcomeReceipt,
    OutcomeSource,
    QueueView,
)
from hybrid_coordinator.reporting.figures import DashboardData, Range
from hybrid_coordinator.settings import Collection

_T = TypeVar("_T")

LONG: Final = 3600.0
"""Seconds that writing the training data, or working through the queue, may take."""

_UNAVAILABLE: Final = (429, 502, 503, 504)


class CoordinatorUnavailable(HybridError):
    """The coordinator cannot be reached, or broke off. ``sent``: it may have done it."""

    status = 503
    code = "coordinator_unavailable"

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class HybridClient:
    """One coordinator. Use it in an ``async with``; it may be shared between tasks.

    ``base_url`` is without ``/v1``. ``timeout`` is seconds until an answer
    begins. ``retries`` further tries are made where a repeat cannot do anything
    twice: always where no connection came about, and else for the verbs that
    say so; pauses grow to ``max_wait`` seconds, or to what the coordinator asks
    for where that is not longer.

    Every method raises the error of ``hybrid_coordinator.errors`` that the
    coordinator answered with (``NotFound``, ``Conflict``, ``OutboxFull`` …), or
    ``CoordinatorUnavailable``.
    """

    def __init__(
        self,
        base_url: str = "http://127.0.0.1:8092",
        api_key: str | None = None,
        *,
        timeout: float = 60.0,
        retries: int = 2,
        max_wait: float = 5.0,
        transport: httpx.AsyncBaseTransport | None = None,
        new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self._url = base_url.rstrip("/")
        self._timeout = timeout
        self._tries = 1 + retries
        self._wait = _Pauses(max_wait)
        self._max_wait = max_wait
        self._new_id = new_id
        self._sleep = sleep
        self._http = httpx.AsyncClient(
            base_url=self._url,
            headers={"authorization": f"Bearer {api_key}"} if api_key else {},
            timeout=httpx.Timeout(timeout, connect=3.0),
            transport=transport,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._http.aclose()

    async def augment_query(
        self, query: str, agent_type: str = "generic", *, token_budget: int | None = None
    ) -> Augmented:
        """Put stored knowledge around a question without asking a model."""
        body = {"query": query, "agent_type": agent_type, "token_budget": token_budget}
        return _read(Augmented, await self._post("/v1/augment", body, repeats=True))

    async def search_context(
        self,
        query: str,
        collections: Sequence[Collection | str] = (),
        *,
        limit: int = 10,
        filters: Mapping[str, object] | None = None,
    ) -> list[SearchHit]:
        """Search the stored knowledge (all of it, where no collection is named), best first."""
        body = {
            "query": query,
            "collections": list(collections),
            "limit": limit,
            "filters": dict(filters or {}),
        }
        answer = await self._post("/v1/search", body, repeats=True)
        hits = _read(dict[str, list[SearchHit]], answer)
        return hits["hits"]

    async def track_interaction(
        self,
        query: str,
        response: str,
        model_used: str = "",
        tokens_used: int = 0,
        *,
        agent_type: str = "generic",
        context_provided: Sequence[str] = (),
        latency_ms: float = 0.0,
        turns: int = 1,
        tool_calls: int = 0,
        interaction_id: str | None = None,
    ) -> str:
        """Keep an interaction that was answered elsewhere; its id, once it is durable.

        It is sent under a fresh UUID, so that a repeat has no second effect.
        """
        body = {
            "query": query,
            "response": response,
            "model_used": model_used,
            "tokens_used": tokens_used,
            "agent_type": agent_type,
            "context_provided": list(context_provided),
            "latency_ms": latency_ms,
            "turns": turns,
            "tool_calls": tool_calls,
            "interaction_id": interaction_id or self._new_id(),
        }
        answer = await self._post("/v1/interactions", body, repeats=True)
        return _read(dict[str, str], answer)["interaction_id"]

    async def update_outcome(
        self,
        interaction_id: str,
        outcome: Outcome | str | None = None,
        user_feedback: int | None = None,
        *,
        source: OutcomeSource | str = OutcomeSource.CLIENT,
        replace: bool = False,
    ) -> OutcomeReceipt:
        """Say how an answer turned out; durable when it returns. The same again changes nothing."""
        body = {
            "outcome": outcome,
            "user_feedback": user_feedback,
            "source": source,
            "replace": replace,
        }
        path = f"{_path(interaction_id)}/outcome"
        return _read(OutcomeReceipt, await self._post(path, body, repeats=True))

    async def interaction(self, interaction_id: str) -> InteractionView:
        """An interaction as it is now."""
        return _read(InteractionView, await self._send("GET", _path(interaction_id)))

    async def forget(self, interaction_id: str) -> Forgotten:
        """Remove an interaction and everything derived from it, everywhere."""
        # A second try would be told that there is no such interaction.
        answer = await self._send("DELETE", _path(interaction_id), repeats=False)
        return _read(Forgotten, answer)

    async def generate_training_data(
        self,
        formats: Sequence[DatasetFormat | str] = tuple(DatasetFormat),
        *,
        min_score: float | None = None,
        validation_share: float = 0.1,
    ) -> DatasetReport:
        """Write the training data on the coordinator's machine."""
        body = {
            "formats": list(formats),
            "min_score": min_score,
            "validation_share": validation_share,
        }
        return _read(DatasetReport, await self._post("/v1/training-data", body, timeout=LONG))

    async def extract_patterns(self, limit: int | None = None) -> ExtractionReport:
        """Work through the extraction queue now; for operators."""
        answer = await self._post("/v1/patterns/extract", {"limit": limit}, timeout=LONG)
        return _read(ExtractionReport, answer)

    async def extraction_queue(self, limit: int = 50) -> QueueView:
        """The extraction queue and its dead letters."""
        return _read(QueueView, await self._send("GET", f"/v1/patterns/queue?limit={limit:d}"))

    async def replay_extractions(self, ids: Sequence[str] = ()) -> int:
        """Put dead letters (all, where none is named) back into the queue; how many."""
        answer = await self._post("/v1/patterns/queue/replay", {"ids": list(ids)})
        return _read(dict[str, int], answer)["replayed"]

    async def experiments(self) -> list[ExperimentReport]:
        """Every declared experiment and how its variants do."""
        answer = await self._send("GET", "/v1/experiments")
        return _read(dict[str, list[ExperimentReport]], answer)["experiments"]

    async def figures(self, span: Range) -> DashboardData:
        """What the dashboard shows of the last ``span``; for operators."""
        return _read(DashboardData, await self._send("GET", f"/v1/dashboard?range={span.value}"))

    async def system_health(self) -> Report:
        """Every part by its own probe, what is wrong and what to do; for operators."""
        return _read(Report, await self._send("GET", "/v1/system/health"))

    async def system_analysis(self) -> Analysis:
        """The settings compared with their use; for operators."""
        return _read(Analysis, await self._send("GET", "/v1/system/analysis"))

    async def health(self) -> Readiness:
        """Whether a question could be answered now, and every dependency by name."""
        answer = await self._send("GET", "/ready", expected=(200, 503))
        if b'"ready"' not in answer.content:
            raise error_in(answer)
        return _read(Readiness, answer)

    async def _post(
        self,
        path: str,
        body: Mapping[str, object],
        *,
        repeats: bool = False,
        timeout: float | None = None,
    ) -> httpx.Response:
        return await self._send(
            "POST", path, content=orjson.dumps(body), repeats=repeats, timeout=timeout
        )

    async def _send(
        self,
        method: str,
        path: str,
        *,
        content: bytes | None = None,
        repeats: bool = True,
        timeout: float | None = None,
        expected: tuple[int, ...] = (200, 201),
    ) -> httpx.Response:
        """Send a request; again where that is safe. ``repeats``: twice is the same as once."""

        def again(error: BaseException) -> bool:
            if isinstance(error, CoordinatorUnavailable):
                return repeats or not error.sent
            if not isinstance(error, HybridError) or (error.retry_after or 0) > self._max_wait:
                return False
            return repeats and error.status in _UNAVAILABLE

        async for attempt in AsyncRetrying(
            stop=stop_after_attempt(self._tries),
            retry=retry_if_exception(again),
            wait=self._wait,
            sleep=self._sleep,
            reraise=True,
        ):
            with attempt:
                response = await self._once(method, path, content, timeout or self._timeout)
                if response.status_code not in expected:
                    raise error_in(response)
                return response
        raise AssertionError("tenacity raises the last error")

    async def _once(
        self, method: str, path: str, content: bytes | None, timeout: float
    ) -> httpx.Response:
        headers = {"content-type": "application/json"} if content is not None else {}
        limits = httpx.Timeout(timeout, connect=min(3.0, timeout))
        try:
            return await self._http.request(
                method, path, content=content, headers=headers, timeout=limits
            )
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout):
            raise CoordinatorUnavailable(
                f"no coordinator answers at {self._url}; start one with "
                "'hybrid-coordinator serve', or name another",
                sent=False,
            ) from None
        except httpx.HTTPError as error:
            raise CoordinatorUnavailable(
                f"the coordinator at {self._url} broke off ({type(error).__name__}); ask again",
                sent=True,
            ) from None


class _Pauses(wait_base):
    """Growing pauses with jitter, and never shorter than the coordinator asks for."""

    def __init__(self, longest: float) -> None:
        self._growing = wait_random_exponential(multiplier=0.25, max=longest)

    def __call__(self, retry_state: RetryCallState) -> float:
        pause = self._growing(retry_state)
        error = retry_state.outcome.exception() if retry_state.outcome is not None else None
        return max(pause, getattr(error, "retry_after", None) or 0.0)


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _read(kind: type[_T], response: httpx.Response) -> _T:
    try:
        wanted: Any = kind
        value: _T = _adapter(wanted).validate_json(response.content)
    except ValidationError:
        raise CoordinatorUnavailable(
            "what answered is no coordinator of this version: compare 'hybrid-coordinator version' "
            "on both sides",
            sent=True,
        ) from None
    return value


def _path(interaction_id: str) -> str:
    # An id is somebody's text: no part of it may become part of the path's structure.
    return f"/v1/interactions/{quote(interaction_id, safe='').replace('.', '%2E')}"
