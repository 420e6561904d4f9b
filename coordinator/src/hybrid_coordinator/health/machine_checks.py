"""Checks of the machine and of the coordinator on it: process, disk, units.

Stores are in ``store_checks``, backends in ``backend_checks``.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable
from pathlib import Path

from hybrid_coordinator.health.coordinator_view import View
from hybrid_coordinator.health.systemd import COORDINATOR_UNIT, OWN_UNIT, Units
from hybrid_coordinator.health_report import Level, Part
from hybrid_coordinator.health_settings import HealthSettings
from hybrid_coordinator.settings import Settings

COORDINATOR = "coordinator"
OUTBOX = "outbox"
_GIB = 1024**3


async def check_coordinator(
    view: Awaitable[View], systemd: Awaitable[Units], settings: HealthSettings
) -> Part:
    """Whether the coordinator lives and could answer a question."""
    seen = await view
    if not seen.alive:
        found = f"no coordinator at {seen.url}: {seen.trouble}"
        if _is_starting(await systemd, settings.start_grace):
            return Part(name=COORDINATOR, level=Level.WARNING, found=found, starting=True)
        remedy = f"see 'journalctl -u {COORDINATOR_UNIT}', or start 'hybrid-coordinator serve'"
        return Part(name=COORDINATOR, level=Level.CRITICAL, found=found, remedy=remedy)
    if seen.ready is None:
        remedy = "a store or a backend keeps it waiting, or it is overloaded: see its log"
        found = f"lives at {seen.url}, but {seen.trouble}"
        return Part(name=COORDINATOR, level=Level.WARNING, found=found, remedy=remedy)
    if not seen.ready:
        found = "lives, but no backend can answer a question"
        backends = seen.under("backend.").values()
        if any(backend.loading for backend in backends):
            return Part(name=COORDINATOR, level=Level.WARNING, found=found, starting=True)
        remedy = "see the lines of the backends"
        return Part(name=COORDINATOR, level=Level.CRITICAL, found=found, remedy=remedy)
    return Part(name=COORDINATOR, level=Level.OK, found=f"answers at {seen.url}")


def _is_starting(systemd: Units, grace: float) -> bool:
    unit = systemd.units.get(COORDINATOR_UNIT)
    if unit is not None:
        return unit.starting and unit.age < grace
    # Without systemd's word: shortly after the machine came up.
    return time.clock_gettime(time.CLOCK_BOOTTIME) < grace


async def check_embedder(view: Awaitable[View]) -> Part:
    """Whether the coordinator has its embedder: only its process can tell."""
    seen = await view
    part = seen.part("embedder")
    if part is None:
        return not_known("embedder", seen)
    if part.ready:
        return Part(name="embedder", level=Level.OK, found=part.detail)
    return Part(name="embedder", level=Level.WARNING, found=part.detail)


async def check_outbox(settings: Settings, view: Awaitable[View]) -> Part:
    """What waits to be stored: by the word of the coordinator, who has the file to itself."""
    if not settings.learning.enable:
        return Part(name=OUTBOX, level=Level.OFF, found="learning.enable is false")
    seen = await view
    part = seen.part(OUTBOX)
    if part is None:
        return not_known(OUTBOX, seen)
    if part.ready:
        return Part(name=OUTBOX, level=Level.OK, found=part.detail)
    remedy = "see the store's line and the coordinator's log; nothing is lost while it waits"
    return Part(name=OUTBOX, level=Level.WARNING, found=part.detail, remedy=remedy)


def not_known(name: str, view: View) -> Part:
    """A part that only the coordinator can tell of, while it tells nothing."""
    why = "says nothing of it" if view.ready is not None else "does not answer"
    found = f"not known, since the coordinator {why}"
    return Part(name=name, level=Level.WARNING, found=found)


async def check_disk(folder: Path, settings: HealthSettings) -> Part:
    """Room and inodes where the state directory is."""
    try:
        disk = await asyncio.to_thread(os.statvfs, folder)
    except FileNotFoundError:
        found = f"state_directory {folder} does not exist"
        remedy = "the coordinator makes it when it starts"
        return Part(name="disk", level=Level.WARNING, found=found, remedy=remedy)
    except OSError as error:
        found = f"state_directory {folder} cannot be looked at: {error.strerror}"
        remedy = "run the check as the service's user or as root"
        return Part(name="disk", level=Level.WARNING, found=found, remedy=remedy)
    free = disk.f_bavail * disk.f_frsize
    share = disk.f_bavail / disk.f_blocks if disk.f_blocks else 1.0
    inodes = disk.f_favail / disk.f_files if disk.f_files else 1.0
    found = f"{free / _GIB:.1f} GiB free of {folder}'s disk ({share:.0%})"
    if disk.f_flag & os.ST_RDONLY:
        remedy = "mount it for writing; after an I/O error check the disk first"
        found = f"{folder} is on a read-only file system"
        return Part(name="disk", level=Level.WARNING, found=found, remedy=remedy, cause="read-only")
    if free < settings.min_free_bytes or share < settings.min_free_fraction:
        remedy = "make room, or lower health.min_free_fraction and health.min_free_bytes"
        return Part(name="disk", level=Level.WARNING, found=found, remedy=remedy, cause="room")
    if inodes < settings.min_free_fraction:
        found += f", but {inodes:.0%} of its inodes"
        remedy = "remove small files: without inodes nothing can be created"
        return Part(name="disk", level=Level.WARNING, found=found, remedy=remedy, cause="inodes")
    return Part(name="disk", level=Level.OK, found=found)


async def check_units(systemd: Awaitable[Units]) -> Part:
    """Whether a unit of ours has failed."""
    answer = await systemd
    if answer.trouble:
        return Part(name="units", level=Level.OFF, found=answer.trouble)
    ours = [unit for unit in answer.units.values() if unit.name != OWN_UNIT]
    failed = sorted(unit.name for unit in ours if unit.failed)
    if not failed:
        return Part(name="units", level=Level.OK, found=f"none of {len(ours)} units has failed")
    described = ", ".join(f"{name} ({answer.units[name].result})" for name in failed)
    remedy = f"see 'journalctl -u {failed[0]}', then 'systemctl restart {' '.join(failed)}'"
    return Part(
        name="units",
        level=Level.WARNING,
        found=f"failed: {described}",
        remedy=remedy,
        cause=" ".join(failed),
    )
