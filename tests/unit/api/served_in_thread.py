"""A scripted edge on a port of its own, in a thread: for commands that run a loop themselves."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from hybrid_coordinator.api.edge import Edge
from tests.unit.api.scripted import running


@contextmanager
def served(app: Edge) -> Iterator[str]:
    """Its URL."""
    urls: list[str] = []
    ready, done = threading.Event(), threading.Event()

    async def serve() -> None:
        async with running(app) as server:
            urls.append(server.url)
            ready.set()
            await asyncio.to_thread(done.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert ready.wait(20)
        yield urls[0]
    finally:
        done.set()
        thread.join(20)
        assert not thread.is_alive()
