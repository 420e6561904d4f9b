"""The job that writes the dashboard's files: asks the running coordinator, or says that none runs.

Without a coordinator the files are written all the same: the service is down,
and what was recorded until then is counted from the rolling store. They belong
to the user who owns the state directory, and nobody else writes them (lesson 8).
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hybrid_coordinator.errors import HybridError, StoreUnavailable
from hybrid_coordinator.reporting.assembly import dashboard_data, nothing_runs
from hybrid_coordinator.reporting.documents import FOLDER, write_documents
from hybrid_coordinator.reporting.figures import DashboardData, Range
from hybrid_coordinator.reporting.savings import Pricing
from hybrid_coordinator.reporting.store import ReportingStore
from hybrid_coordinator.settings import Settings

_UNAVAILABLE = 503


@dataclass(frozen=True, slots=True)
class Written:
    """The files. ``trouble``: why the coordinator was not asked; empty where it was."""

    paths: Sequence[Path]
    trouble: str = ""


async def write_dashboard_data(
    settings: Settings,
    span: Range,
    ask: Callable[[Range], Awaitable[DashboardData]],
    now: Callable[[], float] = time.time,
) -> Written:
    """Write the files from what ``ask`` gives, or where it is unavailable from what is recorded.

    Raises:
        HybridError: another answer of the coordinator's, or the files cannot be
            written here; the files of before are as they were.
    """
    _need_owner(settings.state_directory)
    trouble = ""
    try:
        data = await ask(span)
    except HybridError as error:
        if error.status != _UNAVAILABLE:
            raise
        trouble = error.message
        data = await asyncio.to_thread(_from_the_store, settings, span, trouble, now())
    try:
        paths = await asyncio.to_thread(write_documents, settings.state_directory, data)
    except OSError as error:
        raise HybridError(
            f"the dashboard's files cannot be written ({error.strerror or error}): check the disk "
            f"of {settings.state_directory / FOLDER}"
        ) from error
    return Written(paths, trouble)


def _from_the_store(settings: Settings, span: Range, trouble: str, now: float) -> DashboardData:
    store = ReportingStore(settings.state_directory, kept_days=settings.reporting.retention_days)
    uncounted = ""
    try:
        # Nobody else counts now, and two that did would count nothing twice.
        while store.catch_up(now):
            pass
    except StoreUnavailable as error:
        uncounted = error.message
    pricing = Pricing.of(settings)
    return dashboard_data(store, span, nothing_runs(trouble), pricing, now, trouble=uncounted)


def _need_owner(state_directory: Path) -> None:
    try:
        owner = state_directory.stat().st_uid
    except OSError as error:
        raise HybridError(
            f"the state directory {state_directory} cannot be used: {error.strerror}; start the "
            "service once, or set state_directory"
        ) from None
    if owner != os.geteuid():
        raise HybridError(
            f"the files belong to the service's user, who owns {state_directory}: start the unit "
            "hybrid-ai-dashboard-data.service instead"
        )
