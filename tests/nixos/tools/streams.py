"""Clients that stream and clients that connect, while somebody restarts the service under them.

``--streams`` clients each read one long answer from a slow model and compare it with what it must
be; ``--clients`` others connect, ask for the models, read the answer and connect again, until
``--until`` exists and each has been answered once more after that. ``--under-way`` is made when
every stream has begun and every client was answered once. The last line of standard output is the
report as JSON: what was refused, cut or wrong, with examples. Standard library alone.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.nixos.tools.ask import key_of
    from tests.nixos.tools.wire import Cut, Target, exchange
else:  # Inside the machine these are files beside this one, and no package.
    from ask import key_of
    from wire import Cut, Target, exchange

PAUSE = 0.1
"""Seconds between a client's requests: enough to be hundreds a second together."""


@dataclass
class Report:
    """What happened, counted; an example of each failure."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)

    def failed(self, what: str, why: str) -> None:
        """Count a failure and keep the first of its kind."""
        self.counts[what] += 1
        self.examples.setdefault(what, why[:400])


class Load:
    """The clients of one run."""

    def __init__(self, target: Target, given: argparse.Namespace) -> None:
        self.target = target
        self.given = given
        self.report = Report()
        self._waiting = given.streams + given.clients

    def _begun(self) -> None:
        self._waiting -= 1
        if self._waiting == 0:
            self.given.under_way.touch()

    async def run(self) -> dict[str, Any]:
        """All clients to their end."""
        async with asyncio.TaskGroup() as group:
            for number in range(self.given.streams):
                group.create_task(self._stream(number))
            for _ in range(self.given.clients):
                group.create_task(self._client())
        return {"counts": self.report.counts, "examples": self.report.examples}

    async def _exchange(
        self, kind: str, request: bytes, on_data: Any = lambda data: None
    ) -> tuple[int, bytes] | None:
        """A request's answer, or None with the failure counted under ``kind``."""
        try:
            async with asyncio.timeout(self.given.patience):
                return await exchange(self.target, request, on_data)
        except ConnectionRefusedError as error:
            self.report.failed(f"{kind} refused", str(error))
        except Cut as error:
            self.report.failed(f"{kind} cut", str(error))
        except TimeoutError:
            self.report.failed(f"{kind} not answered", f"within {self.given.patience} seconds")
        except OSError as error:
            self.report.failed(f"{kind} failed", f"{type(error).__name__}: {error}")
        return None

    async def _stream(self, number: int) -> None:
        pace = f"[pieces={self.given.pieces} pause={self.given.pause}]"
        question = f"Tell me story number {number} {pace}"
        body = {
            "model": self.given.model,
            "stream": True,
            "messages": [{"role": "user", "content": question}],
        }
        begun = False

        def on_data(data: bytes) -> None:
            nonlocal begun
            if not begun and b"piece-0" in data:
                begun = True
                self._begun()

        request = self.target.request("POST", "/v1/chat/completions", body)
        answered = await self._exchange("stream", request, on_data)
        if not begun:
            self._begun()
        if answered is None:
            return
        status, content = answered
        wanted = "".join(f"piece-{n} " for n in range(self.given.pieces))
        text, ended = spoken(content)
        if status != 200 or text != wanted or not ended:
            self.report.failed("stream wrong", f"{status}: …{content[-300:].decode()}")
        else:
            self.report.counts["stream whole"] += 1

    async def _client(self) -> None:
        request = self.target.request("GET", "/v1/models")
        last = False
        for number in range(1_000_000):
            answered = await self._exchange("client", request)
            if number == 0:
                self._begun()
            if answered is not None and answered[0] == 200:
                self.report.counts["client answered"] += 1
                self.report.counts["client answered after"] += last
            elif answered is not None:
                status, content = answered
                self.report.failed("client turned down", f"{status}: {content[:300].decode()}")
            if last:
                return
            await asyncio.sleep(PAUSE)
            last = self.given.until.exists()


def spoken(content: bytes) -> tuple[str, bool]:
    """The text of a stream of chat completion chunks, and whether it ended as one must."""
    text, reason, done = "", None, False
    for line in content.decode().split("\n"):
        if not line.startswith("data:"):
            continue
        data = line.removeprefix("data:").strip()
        if data == "[DONE]":
            done = True
            continue
        for choice in json.loads(data).get("choices", ()):
            text += choice["delta"].get("content") or ""
            reason = choice.get("finish_reason") or reason
    return text, done and reason == "stop"


def main(arguments: list[str]) -> int:
    """Run the clients that the command line describes; 0 whatever happened to them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--address", required=True, help="host:port")
    parser.add_argument("--key-file", type=Path)
    parser.add_argument("--caller")
    parser.add_argument("--model", required=True)
    parser.add_argument("--streams", type=int, default=32)
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--pieces", type=int, default=40)
    parser.add_argument("--pause", type=float, default=0.25)
    parser.add_argument("--patience", type=float, default=120.0)
    parser.add_argument("--under-way", type=Path, required=True)
    parser.add_argument("--until", type=Path, required=True)
    given = parser.parse_args(arguments)
    key = key_of(given.key_file, given.caller) if given.key_file else None
    print(json.dumps(asyncio.run(Load(Target(given.address, key), given).run())))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
