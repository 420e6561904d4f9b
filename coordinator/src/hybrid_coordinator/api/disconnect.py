"""Stopping work for a client that has gone.

``until_disconnect`` runs a block and cancels it when the server reports that
the connection was closed, whole answers and streams alike. It sees a closed or
half-closed connection (both look the same from here), not a silent one.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from starlette.types import Receive

from hybrid_coordinator.api.body import ClientGone


class until_disconnect:  # noqa: N801  (reads as a statement: async with until_disconnect(receive))
    """Cancel the body of the ``async with`` when the client goes, and raise ``ClientGone``.

    Must be left before the last byte is sent: servers report a finished answer
    as a disconnect too. A cancellation from outside passes through unchanged.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._gone = False
        self._cancelling = 0
        self._watch: asyncio.Task[None] | None = None
        self._task: asyncio.Task[object] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.current_task()
        self._cancelling = self._task.cancelling() if self._task is not None else 0
        self._watch = asyncio.get_running_loop().create_task(self._until_gone())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._watch is not None:
            self._watch.cancel()
        if self._gone and self._task is not None:
            from_outside = self._task.uncancel() > self._cancelling
            if kind is not None and issubclass(kind, asyncio.CancelledError) and not from_outside:
                raise ClientGone from None

    async def _until_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._gone = True
        if self._task is not None:
            self._task.cancel()
