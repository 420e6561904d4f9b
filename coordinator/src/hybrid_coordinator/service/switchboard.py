"""Which application serves a request: the one that was current when it came, to its end.

A reload puts another one in place between two requests; nothing is taken from
a request that is under way. Knows ASGI only.
"""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Receive, Scope, Send


class _Served:
    """An application and how many requests it serves."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.open = 0
        self.left = False
        self.done = asyncio.Event()


class Switchboard:
    """One ASGI application that hands each request to the current one whole."""

    def __init__(self, app: ASGIApp) -> None:
        self._current = _Served(app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope. ``lifespan`` is as long as the process and holds nothing back."""
        served = self._current
        if scope["type"] == "lifespan":
            await served.app(scope, receive, send)
            return
        served.open += 1
        try:
            await served.app(scope, receive, send)
        finally:
            served.open -= 1
            if served.left and served.open == 0:
                served.done.set()

    def switch(self, app: ASGIApp) -> asyncio.Event:
        """Serve with ``app`` from now on; the event: the last request before it has ended."""
        before, self._current = self._current, _Served(app)
        before.left = True
        if before.open == 0:
            before.done.set()
        return before.done
