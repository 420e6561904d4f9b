"""One backend in the fleet: its readiness, its breaker, its slots, its counters.

Knows nothing of other backends, of fall-back or of retries.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from prometheus_client import Counter

from hybrid_coordinator.conversation import Tier
from hybrid_coordinator.errors import (
    BackendError,
    BackendOverloaded,
    BackendRejected,
    BackendTimeout,
    BackendUnavailable,
    RequestError,
)
from hybrid_coordinator.inference.backend import Backend, Readiness
from hybrid_coordinator.inference.breaker import Breaker, BreakerState
from hybrid_coordinator.inference.upstream_errors import BackendUnreachable
from hybrid_coordinator.settings import BackendKind, BackendSettings, ModelSettings
from hybrid_coordinator.telemetry.metrics import Metrics
from hybrid_coordinator.trace_context import AttemptNote

_FIRST_REPROBE: Final = 0.25
_UNPROBED: Final = "not probed yet"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BackendStatus:
    """A backend as the router and the operator see it.

    ``models`` are those it can be asked for, the best choice first: before
    the first probe, and while it is not ready, those of the settings.
    """

    name: str
    settings: BackendSettings
    models: tuple[ModelSettings, ...]
    ready: bool
    probed: bool
    detail: str
    breaker_open: bool
    in_flight: int

    @property
    def tier(self) -> Tier:
        return self.settings.tier

    @property
    def kind(self) -> BackendKind:
        return self.settings.kind

    @property
    def usable(self) -> bool:
        """Whether a request would be sent to it now."""
        return (self.ready or not self.probed) and not self.breaker_open


class Member:
    """A backend and what the fleet keeps about it. ``changed`` is called when its status did."""

    def __init__(
        self,
        backend: Backend,
        metrics: Metrics,
        *,
        clock: Callable[[], float] = time.monotonic,
        changed: Callable[[], None],
    ) -> None:
        self.backend = backend
        self.name = backend.name
        self.settings = backend.settings
        self.metrics = metrics
        self.clock = clock
        self.in_flight = 0
        self.readiness = Readiness(False, backend.settings.models, _UNPROBED)
        self.probed = False
        self.breaker = Breaker(
            self.settings.breaker_failures, self.settings.breaker_reset, clock=clock
        )
        self.slots = asyncio.Semaphore(self.settings.max_concurrency)
        self._changed = changed
        self._reprobe = asyncio.Event()
        self._failed_probes = 0
        self._breaker_open = False
        # Looking a metric's child up costs as much as counting with it.
        self.seconds = metrics.backend_seconds.labels(self.name)
        self.first_token_seconds = metrics.backend_first_token_seconds.labels(self.name)
        self._outcomes: dict[str, Counter] = {}
        metrics.backend_ready.labels(self.name).set(0)
        metrics.breaker_open.labels(self.name).set(0)

    # Status.

    def status(self) -> BackendStatus:
        return BackendStatus(
            name=self.name,
            settings=self.settings,
            models=self.readiness.models or self.settings.models,
            ready=self.readiness.ready,
            probed=self.probed,
            detail=self.readiness.detail,
            breaker_open=self.breaker.state is BreakerState.OPEN,
            in_flight=self.in_flight,
        )

    def why_not(self) -> str | None:
        """Why no request is sent to it now, if so. A backend never probed may be tried."""
        if self.probed and not self.readiness.ready:
            return f"not ready: {self.readiness.detail}"
        if self.breaker.state is BreakerState.OPEN:
            return f"its breaker is open for another {self.breaker.remaining:.0f} s"
        return None

    @property
    def back_in(self) -> float:
        """Seconds after which asking again may be worth it."""
        return max(self.breaker.remaining, self._probe_delay())

    # Probing.

    async def probe_forever(self) -> None:
        """Probe at once and then every ``probe_interval``; sooner while it is not ready."""
        while True:
            self._reprobe.clear()
            await self.probe()
            # However many requests fail, probes keep their distance.
            await asyncio.sleep(min(_FIRST_REPROBE, self._probe_delay()))
            try:
                async with asyncio.timeout(self._probe_delay() - _FIRST_REPROBE):
                    await self._reprobe.wait()
            except TimeoutError:
                continue

    async def probe(self) -> None:
        try:
            found = await self.backend.probe()
        except Exception as error:  # noqa: BLE001 - a fault of ours must not end the probing
            self.metrics.failures.labels("inference", "probe").inc()
            _log.exception("probing backend %s failed", self.name)
            found = Readiness(False, (), f"its probe failed: {error}")
        self._failed_probes = 0 if found.ready else self._failed_probes + 1
        self._set(found)

    def doubt(self, error: BackendError) -> None:
        """A request failed: probe again now, and believe a refused connection at once."""
        if isinstance(error, BackendUnreachable) and self.readiness.ready:
            self._failed_probes = 1
            self._set(Readiness(False, (), error.message))
        self._reprobe.set()

    def _probe_delay(self) -> float:
        longest = self.settings.probe_interval
        if self._failed_probes == 0:
            return longest
        return min(longest, _FIRST_REPROBE * 2.0 ** min(self._failed_probes - 1, 16))

    def _set(self, found: Readiness) -> None:
        before, self.readiness = self.readiness, found
        first, self.probed = not self.probed, True
        if found.ready and not before.ready:
            self.breaker.trial_due()
        if first or before.ready != found.ready:
            level = logging.INFO if found.ready else logging.WARNING
            state = "ready" if found.ready else "not ready"
            _log.log(level, "backend %s is %s: %s", self.name, state, found.detail)
        self.metrics.backend_ready.labels(self.name).set(int(found.ready))
        if first or before != found:
            self._changed()

    # Requests.

    def visit(self, note: AttemptNote | None = None) -> Visit:
        """A place for one request; ``async with`` it around everything the request does.

        ``note`` is told how it ended.
        """
        return Visit(self, note)

    def count(self, outcome: str) -> None:
        counter = self._outcomes.get(outcome)
        if counter is None:
            counter = self.metrics.backend_attempts.labels(self.name, outcome)
            self._outcomes[outcome] = counter
        counter.inc()

    def note_breaker(self) -> None:
        """Tell metrics and log where the breaker opened or closed."""
        is_open = self.breaker.state is not BreakerState.CLOSED
        if is_open == self._breaker_open:
            return
        self._breaker_open = is_open
        self.metrics.breaker_open.labels(self.name).set(int(is_open))
        if is_open:
            _log.warning(
                "backend %s failed %d times in a row: its breaker is open for %g s",
                self.name,
                self.settings.breaker_failures,
                self.settings.breaker_reset,
            )
        else:
            _log.info("backend %s answers again: its breaker is closed", self.name)
        self._changed()


class Visit:
    """One try of one request: takes a slot, asks the breaker, and books how it ended.

    The slot is given back however the block ends. An end by cancellation says
    nothing about the backend.

    Raises (on entering):
        BackendOverloaded: no slot came free within ``queue_timeout``.
        BackendUnavailable: the breaker does not let it through.
    """

    __slots__ = ("_member", "_note", "_on_trial", "outcome")

    def __init__(self, member: Member, note: AttemptNote | None = None) -> None:
        self._member = member
        self._note = note
        self._on_trial = False
        self.outcome: str | None = None
        """Set where the backend did its part and the answer was of no use all the same."""

    def begun(self) -> None:
        """The backend has begun to answer: a breaker's trial has succeeded."""
        self._on_trial = False
        self._member.breaker.begun()
        self._member.note_breaker()

    async def __aenter__(self) -> Self:
        member = self._member
        if member.slots.locked():
            try:
                async with asyncio.timeout(member.settings.queue_timeout):
                    await member.slots.acquire()
            except TimeoutError:
                self._count("queue_full")
                full = BackendOverloaded(
                    f"backend '{member.name}' is busy with {member.in_flight} requests and none "
                    f"ended within {member.settings.queue_timeout:g} s (queue_timeout)",
                    backend=member.name,
                    retry_after=1.0,
                )
                full.retryable = False
                raise full from None
        else:
            await member.slots.acquire()
        if not member.breaker.admit():
            member.slots.release()
            if self._note is not None:
                self._note.end("breaker_open")
            shut = BackendUnavailable(
                f"backend '{member.name}' failed several times in a row and is left alone",
                backend=member.name,
                retry_after=member.breaker.remaining,
            )
            shut.retryable = False
            raise shut
        self._on_trial = member.breaker.state is not BreakerState.CLOSED
        member.in_flight += 1
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        member = self._member
        member.in_flight -= 1
        member.slots.release()
        if error is None or self.outcome is not None or isinstance(error, BackendRejected):
            member.breaker.succeeded()
        elif isinstance(error, BackendError):
            member.breaker.failed()
            member.doubt(error)
        elif self._on_trial:
            member.breaker.abandoned()
        member.note_breaker()
        self._count(self.outcome or outcome_of(error))

    def _count(self, outcome: str) -> None:
        self._member.count(outcome)
        if self._note is not None:
            self._note.end(outcome)


def outcome_of(error: BaseException | None) -> str:
    """The metric's label for how a try ended; a bounded set."""
    if error is None:
        return "ok"
    if isinstance(error, BackendOverloaded):
        return "overloaded"
    if isinstance(error, BackendTimeout):
        return "timeout"
    if isinstance(error, (BackendRejected, RequestError)):
        return "rejected"
    if isinstance(error, BackendUnavailable):
        return "unavailable"
    if isinstance(error, BackendError):
        return "protocol_error"
    if isinstance(error, (asyncio.CancelledError, GeneratorExit)):
        return "cancelled"
    return "error"
