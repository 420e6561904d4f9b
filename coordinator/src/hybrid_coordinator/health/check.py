"""The health check: which parts there are by the settings, and what they mean together.

Each part is asked by its own probe, all at once, and most of them directly:
what the coordinator says of them is compared, not believed (lesson 14). This
file only puts together; a new part is one more ``Check`` in ``_checks``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Final

from hybrid_coordinator.health.backend_checks import PREFIX, check_backend
from hybrid_coordinator.health.checks import Check, Shared, run_checks
from hybrid_coordinator.health.coordinator_view import View, look_at_coordinator
from hybrid_coordinator.health.expiry_checks import check_certificates, check_keys
from hybrid_coordinator.health.last_state import LastState
from hybrid_coordinator.health.machine_checks import (
    COORDINATOR,
    check_coordinator,
    check_disk,
    check_embedder,
    check_outbox,
    check_units,
)
from hybrid_coordinator.health.store_checks import (
    check_cache,
    check_knowledge,
    check_qdrant,
    check_redis,
)
from hybrid_coordinator.health.systemd import Units, ask_systemd
from hybrid_coordinator.health.timer_checks import check_timers
from hybrid_coordinator.health_report import Level, Part, Report, whole
from hybrid_coordinator.settings import Settings

_ASKING: Final = 0.7
"""Share of the time that a question to a part may take; what is left is for judging it."""
_JUDGING: Final = 0.9
"""Share of the time after which a check is given up on."""


async def check_health(
    settings: Settings,
    *,
    url: str | None = None,
    timeout: float | None = None,
    last: LastState | None = None,
    look: Callable[[], Coroutine[Any, Any, View]] | None = None,
    clock: Callable[[], float] = time.time,
) -> Report:
    """Check every enabled part; takes at most ``timeout`` seconds (default: the settings').

    ``url``: the coordinator's, where it is not the settings'. ``last``: what the
    check before this one found. ``look``: how the coordinator is seen by itself,
    where this is it; else it is asked over HTTP.
    """
    limit = timeout or settings.health.timeout
    began, checked = time.monotonic(), clock()
    view = Shared(
        look() if look else look_at_coordinator(url or settings.local_url, limit * _ASKING)
    )
    systemd = Shared(ask_systemd(limit * _ASKING))
    checks = _checks(settings, view, systemd, limit * _ASKING, clock)
    found = await run_checks(checks, limit * _JUDGING)
    aged = [
        _aged(part, (last or LastState()).part(part.name), checked, settings.health.start_grace)
        for part in found
    ]
    parts = _together(aged)
    return Report(
        status=whole(parts),
        checked=checked,
        seconds=round(time.monotonic() - began, 3),
        parts=parts,
    )


def _checks(
    settings: Settings,
    view: Shared[View],
    systemd: Shared[Units],
    limit: float,
    clock: Callable[[], float],
) -> list[Check]:
    """Every part there is by these settings, in the order of the report."""
    checks = [
        Check(COORDINATOR, partial(check_coordinator, view, systemd, settings.health)),
        Check("embedder", partial(check_embedder, view)),
    ]
    if settings.qdrant.url is not None:
        checks.append(Check("qdrant", partial(check_qdrant, settings, view, limit)))
    else:
        checks.append(Check("knowledge", partial(check_knowledge, view)))
    if settings.redis.url is not None:
        checks.append(Check("redis", partial(check_redis, settings, view, limit)))
    else:
        checks.append(Check("cache", partial(check_cache, settings, view)))
    checks.extend(
        Check(f"{PREFIX}{name}", partial(check_backend, settings, name, view))
        for name in settings.backends
    )
    checks.append(Check("disk", partial(check_disk, settings.state_directory, settings.health)))
    checks.append(Check("outbox", partial(check_outbox, settings, view)))
    checks.append(Check("keys", partial(check_keys, settings, clock)))
    if settings.health.certificates:
        checks.append(Check("certificates", partial(check_certificates, settings, clock)))
    checks.append(Check("timers", partial(check_timers, systemd)))
    checks.append(Check("units", partial(check_units, systemd)))
    return checks


def _aged(part: Part, before: Part | None, now: float, grace: float) -> Part:
    """The part with the time since when it is so; starting for too long is no excuse."""
    same = before is not None and (before.well, before.starting) == (part.well, part.starting)
    # A clock that was set back must not make it older than it is.
    since = min(before.since, now) if before is not None and same else now
    return part.model_copy(
        update={"since": since, "overdue": part.starting and now - since >= grace}
    )


def _together(parts: Sequence[Part]) -> tuple[Part, ...]:
    """Critical is what leaves nobody to answer a question: the last backend, say."""
    backends = [part for part in parts if part.name.startswith(PREFIX)]
    # While the coordinator starts, nothing is known of a backend inside it.
    left = any(
        part.excused or (part in backends and part.level is Level.OK)
        for part in parts
        if part in backends or part.name == COORDINATOR
    )
    return tuple(
        part.model_copy(update={"level": Level.CRITICAL})
        if (part in backends and not left) or (part.name == COORDINATOR and part.overdue)
        else part
        for part in parts
    )
