"""A restart under socket activation: whoever streams, connects or waits notices nothing."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

from tests.fakes.openai_api import FakeOpenAI
from tests.fakes.server import Answer, running
from tests.integration.activated import Activated, Line, hearing, listening
from tests.integration.served import fake_backend

STREAMS = 32
CLIENTS = 100
WORDS = 40


class Clients:
    """Ask again and again: half over a new connection each time, half over kept ones."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self.answered = Counter[str]()
        self.failed: list[str] = []
        self.stopped = asyncio.Event()

    async def run(self, name: str, *, keep: bool) -> None:
        number = 0
        line: Line | None = None
        while not self.stopped.is_set():
            number += 1
            try:
                line = line or await Line.to(self._address)
                line.ask(f"What is {name} number {number}?")
                status, _ = await line.answer()
            except (OSError, asyncio.IncompleteReadError) as error:
                self.failed.append(f"{name} {number}: {error!r}")
                return
            if status != 200:
                self.failed.append(f"{name} {number}: {status}")
            self.answered["kept" if keep else "new"] += 1
            if line.last or not keep:
                line.close()
                line = None
            await asyncio.sleep(0.05)
        if line is not None:
            line.close()

    async def more(self, count: int) -> None:
        """Wait until so many more were answered, or one was not."""
        wanted = self.answered.total() + count
        async with asyncio.timeout(120):
            while self.answered.total() < wanted and not self.failed:
                await asyncio.sleep(0.05)


async def stream(address: tuple[str, int], number: int, begun: asyncio.Event) -> bytes:
    line = await Line.to(address)
    line.ask(f"Tell the story number {number}.", stream=True)
    await line.reader.readuntil(b"data: ")
    begun.set()
    body = b""
    while not body.endswith(b"0\r\n\r\n"):
        data = await line.reader.read(65536)
        if not data:
            raise AssertionError(f"stream {number} was cut after {body[-200:]!r}")
        body += data
    line.close()
    return body


async def test_a_restart_refuses_nobody_and_cuts_nobody(tmp_path: Path) -> None:
    story = " ".join(f"word{number}" for number in range(WORDS))
    fake = FakeOpenAI(default=Answer(text="Yes."))
    with listening() as door, hearing(tmp_path) as heard:
        address = door.getsockname()[:2]
        async with running(fake) as url:
            options: dict[str, Any] = {
                "backends": {"one": fake_backend(url, max_concurrency=200)},
                "cache": {"enable": False},
            }
            first = Activated(tmp_path / "state", [door], heard, **options)
            second: Activated | None = None
            try:
                await asyncio.to_thread(heard.ready)
                fake.enqueue(*[Answer(text=story, chunk_delay=0.3)] * STREAMS)
                begun = [asyncio.Event() for _ in range(STREAMS)]
                streams = [
                    asyncio.create_task(stream(address, number, begun[number]))
                    for number in range(STREAMS)
                ]
                async with asyncio.timeout(60):
                    await asyncio.gather(*(event.wait() for event in begun))
                clients = Clients(address)
                asking = [
                    asyncio.create_task(clients.run(f"c{number}", keep=number % 2 == 0))
                    for number in range(CLIENTS)
                ]
                await clients.more(CLIENTS)
                # Those have connected and not said anything when the end begins.
                silent = [await Line.to(address) for _ in range(8)]
                half = await Line.to(address)
                half.writer.write(b"GET /health HTTP/1.1\r\nhost: loc")
                await clients.more(CLIENTS)

                first.terminate()
                stopping = await asyncio.to_thread(heard.status, "stopping: ")
                assert not any(task.done() for task in streams)
                for line in silent:
                    line.writer.write(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n")
                half.writer.write(b"alhost\r\n\r\n")
                for line in (*silent, half):
                    assert await line.answer() == (200, b'{"status":"ok"}')
                    assert line.last
                    line.close()
                bodies = await asyncio.gather(*streams)
                assert await asyncio.to_thread(first.ended) == 0
                second = Activated(tmp_path / "state", [door], heard, **options)
                await clients.more(2 * CLIENTS)
                clients.stopped.set()
                await asyncio.gather(*asking)
                second.terminate()
                assert await asyncio.to_thread(second.ended) == 0
            finally:
                first.kill()
                if second is not None:
                    second.kill()
    assert clients.failed == []
    assert all(b"word39" in body and b"[DONE]" in body for body in bodies)
    assert min(clients.answered["kept"], clients.answered["new"]) > CLIENTS
    assert "being finished, at most 30 s" in stopping
    assert "Traceback" not in first.log + second.log
