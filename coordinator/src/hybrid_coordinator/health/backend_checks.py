"""Checks of the backends: each asked directly by its kind's probe, and seen by the coordinator.

The probes are the fleet's own, told to look only: no prompt is sent, no model
is brought into memory, nothing costs money. One backend that is away is a
warning; ``health`` makes it critical where no other is left.
"""

from __future__ import annotations

from collections.abc import Awaitable

from hybrid_coordinator.health.coordinator_view import PartView, View
from hybrid_coordinator.health.keys import KeyNotHere, key_for
from hybrid_coordinator.health.machine_checks import not_known
from hybrid_coordinator.health_report import Level, Part
from hybrid_coordinator.inference import Readiness, build_backend
from hybrid_coordinator.settings import BackendKind, BackendSettings, Settings

PREFIX = "backend."


async def check_backend(settings: Settings, name: str, view: Awaitable[View]) -> Part:
    """Whether one backend could answer a question now."""
    backend = settings.backends[name]
    if backend.kind is BackendKind.EMBEDDED:
        # It lives in the coordinator: asking it here would start a second one.
        return _embedded(name, await view)
    try:
        found = await _look(settings, name, backend)
    except KeyNotHere as error:
        return _by_word(name, await view, error)
    told = (await view).part(f"{PREFIX}{name}")
    return _judged(f"{PREFIX}{name}", found, told)


async def _look(settings: Settings, name: str, backend: BackendSettings) -> Readiness:
    key = key_for(backend.api_key_file, f"backends.{name}.api_key_file")
    asked = build_backend(name, backend, key, settings.state_directory, loads=False)
    try:
        return await asked.probe()
    finally:
        await asked.aclose()


def _judged(part: str, found: Readiness, told: PartView | None) -> Part:
    if not found.ready and not found.asleep:
        return Part(name=part, level=Level.WARNING, found=found.detail)
    if told is not None and told.loading:
        return Part(name=part, level=Level.WARNING, found=told.detail, starting=True)
    if told is not None and not told.ready:
        what = f"answers when asked directly, but the coordinator says: {told.detail}"
        remedy = "it tries again by itself; else see its log"
        return Part(name=part, level=Level.WARNING, found=what, remedy=remedy, cause="coordinator")
    if found.asleep and told is None:
        # Whether it is good enough as it is, only the coordinator could say.
        return Part(name=part, level=Level.OK, found=f"up; {found.detail}")
    if found.asleep:
        return Part(name=part, level=Level.OK, found="up; it loads its model when it is asked")
    return Part(name=part, level=Level.OK, found=found.detail)


def _by_word(name: str, view: View, error: KeyNotHere) -> Part:
    told = _embedded(name, view)
    if told.level is Level.OK:
        return told.model_copy(update={"found": f"{told.found}, says the coordinator"})
    if view.part(told.name) is None:
        return told.model_copy(update={"found": error.message})
    return told


def _embedded(name: str, view: View) -> Part:
    told = view.part(f"{PREFIX}{name}")
    if told is None:
        return not_known(f"{PREFIX}{name}", view)
    if told.ready:
        return Part(name=f"{PREFIX}{name}", level=Level.OK, found=told.detail)
    return Part(
        name=f"{PREFIX}{name}", level=Level.WARNING, found=told.detail, starting=told.loading
    )
