"""How checks are run: all at once, each within a time limit, none able to spoil the others.

A check is a name and a coroutine function that returns that part. What is
asked is in the other files of the room; adding a check is adding one ``Check``
to the list in ``health``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from hybrid_coordinator.errors import HybridError
from hybrid_coordinator.health_report import Level, Part

_T = TypeVar("_T")


class Shared(Generic[_T]):
    """Something several checks wait for; asked once, and not ended by one that gives up."""

    def __init__(self, work: Coroutine[Any, Any, _T]) -> None:
        self._task = asyncio.create_task(work)

    def __await__(self) -> Generator[Any, None, _T]:
        return asyncio.shield(self._task).__await__()


@dataclass(frozen=True, slots=True)
class Check:
    """One part and how it is found out about."""

    part: str
    run: Callable[[], Awaitable[Part]]


async def run_checks(checks: Sequence[Check], limit: float) -> list[Part]:
    """The parts in the order given; what has no answer after ``limit`` seconds is named as such."""
    return await asyncio.gather(*(_bounded(check, limit) for check in checks))


async def _bounded(check: Check, limit: float) -> Part:
    try:
        async with asyncio.timeout(limit):
            return await check.run()
    except TimeoutError:
        found = f"no answer within {limit:.1f} s"
        remedy = "look into its log, or give the check more time with --timeout"
        return Part(name=check.part, level=Level.WARNING, found=found, remedy=remedy)
    except HybridError as error:
        return Part(name=check.part, level=Level.WARNING, found=error.message)
    except Exception as error:  # noqa: BLE001 - a fault of ours must not hide the other parts
        found = f"the check itself failed: {type(error).__name__}: {error}"
        remedy = "this is a fault of hybrid-coordinator: please report it"
        return Part(name=check.part, level=Level.WARNING, found=found, remedy=remedy)
