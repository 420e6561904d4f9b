"""Clients that go on while somebody does something to the service: what each does is the caller's.

A request whose connection fails, or that does not end in time, is counted by what became of it, and
the client goes on with its next number until a file exists. Not for judging the counts.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.nixos.tools.wire import Cut
else:  # Inside the machine this is a file beside this one, and no package.
    from wire import Cut

AGAIN = 0.1
"""Seconds after a failure until the next try."""

Client = Callable[[int], Awaitable[int]]
"""One request, by its number: the status of the response."""


class Clients:
    """The clients of one run, which share the numbers of what they do."""

    def __init__(self, until: Path, patience: float) -> None:
        self._until = until
        self._patience = patience
        self._next = 0
        self._counts: Counter[str] = Counter()

    async def run(self, clients: Sequence[tuple[str, Client]]) -> dict[str, int]:
        """All clients until they are told to stop; how often each came to what."""
        async with asyncio.TaskGroup() as group:
            for what, client in clients:
                group.create_task(self._repeat(what, client))
        return dict(self._counts)

    async def _repeat(self, what: str, client: Client) -> None:
        while not self._until.exists():
            self._next += 1
            try:
                async with asyncio.timeout(self._patience):
                    status = await client(self._next)
            except (OSError, Cut, TimeoutError) as error:
                self._counts[f"{what}: {type(error).__name__}"] += 1
                await asyncio.sleep(AGAIN)
            else:
                self._counts[f"{what}: {status}"] += 1
                if status >= 300:
                    await asyncio.sleep(AGAIN)
