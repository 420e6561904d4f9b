"""How a command asks the running coordinator: which one, by which key, and what its absence means.

What is asked, and how the answer is shown, is the commands' own.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from hybrid_coordinator.cli.options import of_this_machine, settings_from
from hybrid_coordinator.errors import HybridError

if TYPE_CHECKING:
    from hybrid_coordinator.cli.client import Connection
    from hybrid_coordinator.client import HybridClient
    from hybrid_coordinator.settings import Settings

_T = TypeVar("_T")
_UNAVAILABLE = 503


def later_or_never(error: HybridError) -> int:
    """The exit status of a command that was not done: whether it may work later."""
    return os.EX_TEMPFAIL if error.status == _UNAVAILABLE else 1


def connected(
    config: Path | None, url: str | None, key_file: Path | None
) -> tuple[Settings, Connection]:
    """The settings of a command about a coordinator, and how that one is reached."""
    from hybrid_coordinator.cli.client import Connection

    settings = settings_from(of_this_machine(config))
    return settings, Connection.find(settings, url, key_file)


async def asked(connection: Connection, question: Callable[[HybridClient], Awaitable[_T]]) -> _T:
    """What the coordinator answers."""
    from hybrid_coordinator.client import HybridClient

    async with HybridClient(connection.url, connection.key) as client:
        return await question(client)


def ask(
    config: Path | None,
    url: str | None,
    key_file: Path | None,
    question: Callable[[HybridClient], Awaitable[_T]],
) -> _T:
    """The same for a command that asks one thing."""
    _, connection = connected(config, url, key_file)
    return asyncio.run(asked(connection, question))
