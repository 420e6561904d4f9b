"""``hybrid-coordinator health``: as a person, a program or the journal wants to read it.

At a terminal, in a pipe and with ``--json`` everything is shown. In the journal
only what changed since the last check is, each line with its priority, then
one line of summary. Exit statuses are those of monitoring plug-ins, wrong
usage and wrong settings included (3, not click's 2, which means critical).
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand

if TYPE_CHECKING:
    from hybrid_coordinator.health import LastState, Part, Report
    from hybrid_coordinator.settings import Settings

_USAGE = 2
_UNKNOWN = 3
_THREADS = "health"
_THREAD_SECONDS = 0.2


class PlugIn(TyperCommand):
    """A command whose wrong usage exits with 3, as monitoring plug-ins do."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """Read the command line."""
        try:
            return super().make_context(*args, **kwargs)
        except Exception as error:
            if getattr(error, "exit_code", None) == _USAGE:
                error.exit_code = _UNKNOWN  # type: ignore[attr-defined]
            raise


def check_and_show(
    config: Path | None, url: str | None, timeout: float | None, *, as_json: bool
) -> int:
    """Check, show what was found, keep it; the exit status."""
    began = time.monotonic()
    from hybrid_coordinator.configuration import load_settings
    from hybrid_coordinator.errors import SettingsError

    try:
        settings = load_settings(config)
        if url is None and settings.port == 0:
            raise SettingsError("port is 0, so nobody knows the coordinator's: name it with --url")
        # What rooms log about a store that is away is said by the part's line.
        logging.getLogger().addHandler(logging.NullHandler())
        return _run(settings, url, timeout, began, as_json=as_json)
    except SettingsError as error:
        return _unknown(error.message, as_json=as_json)
    except Exception as error:  # noqa: BLE001 - Python would exit with 1, which means a warning
        traceback.print_exc()
        return _unknown(f"the check itself failed: {error!r}", as_json=as_json)


def _unknown(trouble: str, *, as_json: bool) -> int:
    from hybrid_coordinator.health import unknown_report

    report = unknown_report(trouble, checked=time.time())
    if as_json:
        typer.echo(_json(report))
    else:
        typer.echo(f"<3>{report.summary}" if _is_journal() else report.summary, err=True)
    return report.exit_status


def _run(
    settings: Settings, url: str | None, timeout: float | None, began: float, *, as_json: bool
) -> int:
    from hybrid_coordinator.health import LastState, check_health

    last = LastState.read(settings.state_directory)
    limit = timeout or settings.health.timeout
    # Loading all this took its share of the time already.
    left = max(limit / 2, limit - (time.monotonic() - began))
    threads = ThreadPoolExecutor(thread_name_prefix=_THREADS)
    runner = asyncio.Runner()
    runner.get_loop().set_default_executor(threads)
    report = runner.run(check_health(settings, url=url, timeout=left, last=last))
    if as_json:
        typer.echo(_json(report))
    elif _is_journal():
        _to_journal(settings, report, last)
    else:
        typer.echo("\n".join(report.lines()))
    # A unit that failed calls somebody, and a model that still loads is no reason to.
    status = 0 if report.settling and _is_journal() else report.exit_status
    threads.shutdown(wait=False)
    if not _ended():
        # A thread waits for a name server or a disk, and would keep this process for minutes.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    runner.close()
    return status


def _to_journal(settings: Settings, report: Report, last: LastState) -> None:
    from hybrid_coordinator.health import Level
    from hybrid_coordinator.health.last_state import record

    for part in last.changes(report.parts):
        typer.echo(f"<{_priority(part)}>{part.name} is {part.level}: {part.text}", err=True)
    for trouble in (last.trouble, record(settings.state_directory, report).trouble):
        if trouble:
            typer.echo(f"<4>{trouble}", err=True)
    priority = {Level.OK: 6, Level.WARNING: 4}.get(report.status, 3)
    typer.echo(f"<{priority}>{report.summary}", err=True)


def _priority(part: Part) -> int:
    """The syslog priority of a change: error, warning, or notice where all is well again."""
    from hybrid_coordinator.health import Level

    return {Level.CRITICAL: 3, Level.WARNING: 4}.get(part.level, 5)


def _json(report: Report) -> str:
    return report.model_dump_json(indent=2)


def _is_journal() -> bool:
    """Whether stderr is the journal; what stands in for it has no descriptor."""
    from hybrid_coordinator.telemetry.journal import in_journal

    try:
        descriptor = sys.stderr.fileno()
    except (OSError, ValueError):
        return False
    return in_journal(os.environ, descriptor)


def _ended() -> bool:
    """Whether no thread of the check is left, a moment after it was told to end."""
    deadline = time.monotonic() + _THREAD_SECONDS
    for thread in threading.enumerate():
        if thread.name.startswith(_THREADS):
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                return False
    return True
