"""One run: clients at work, the service killed so many times, then the verdict."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks.stub_upstream import Stub
from tests.soak.clients import Client
from tests.soak.ledger import Ledger
from tests.soak.lives import Lives, settings_for
from tests.soak.verdict import ask_for_all, look_into_stores

CLIENTS = 6
SHORTEST_LIFE, LONGEST_LIFE = 0.02, 0.8
"""Seconds from the first answer to the kill."""
KILLED_WHILE_STARTING = 0.1
"""Share of the kills that come before the service answers."""
LONGEST_START = 1.5
"""Seconds from the beginning of a start to such a kill."""


async def run(
    state: Path, kills: int, seed: int, progress: Callable[[int, Ledger], None] | None = None
) -> Ledger:
    """Kill the service ``kills`` times under load and compare; the ledger says what was found."""
    chance = random.Random(seed)
    ledger = Ledger()
    began = time.monotonic()
    loop = asyncio.get_running_loop()
    backend = await loop.create_server(Stub, "127.0.0.1", 0)
    port = backend.sockets[0].getsockname()[1]
    lives = Lives(state, **settings_for(f"http://127.0.0.1:{port}/0"))
    try:
        await _work(lives, ledger, chance, kills, progress)
        ledger.counted["seconds until the last kill"] = round(time.monotonic() - began)
        await ask_for_all(lives.url, ledger)
        await lives.stop()
    finally:
        await lives.aclose()
        backend.close()
    await look_into_stores(lives.settings(), ledger)
    ledger.counted["seconds in all"] = round(time.monotonic() - began)
    return ledger


async def _work(
    lives: Lives,
    ledger: Ledger,
    chance: random.Random,
    kills: int,
    progress: Callable[[int, Ledger], None] | None,
) -> None:
    """Kill the service under the clients' hands; it lives and they have ended at the end."""
    clients = [Client(lives, ledger, random.Random(chance.random())) for _ in range(CLIENTS)]
    async with asyncio.TaskGroup() as group:
        for client in clients:
            group.create_task(client.run())
        for number in range(kills):
            await _live_and_die(lives, chance)
            ledger.counted["kills"] += 1
            if progress is not None:
                progress(number + 1, ledger)
        await lives.start()
        for client in clients:
            client.stopping.set()


async def _live_and_die(lives: Lives, chance: random.Random) -> None:
    if lives.life and chance.random() < KILLED_WHILE_STARTING:
        await lives.begin()
        await asyncio.sleep(chance.uniform(0.1, LONGEST_START))
    else:
        await lives.start()
        lives.prepare()
        await asyncio.sleep(chance.uniform(SHORTEST_LIFE, LONGEST_LIFE))
    await lives.kill()
