"""Clients that track interactions and post outcomes while the service is killed; then a check.

``write``: each client tracks one interaction after the other and posts how it turned out, and
writes down each of the two once it was acknowledged, until ``--until`` exists. ``check``: every
interaction that was acknowledged is read by its id and compared with what was sent, its outcome too
where that was acknowledged. Both end with a report as JSON. Standard library alone.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from tests.nixos.tools.ask import key_of
    from tests.nixos.tools.clients import Clients
    from tests.nixos.tools.wire import Target, exchange
else:  # Inside the machine these are files beside this one, and no package.
    from ask import key_of
    from clients import Clients
    from wire import Target, exchange

OUTCOMES = ("success", "failure", "partial")


def interaction(run: str, number: int) -> dict[str, Any]:
    """What is tracked as number so and so: a reader can tell it from every other."""
    return {
        "query": f"What is done in case {number} of {run}?",
        "response": f"In case {number}, do step {number * 7} before {number * 11}.",
        "model_used": f"model-of-{run}",
        "tokens_used": 100 + number,
    }


def outcome(number: int) -> dict[str, Any]:
    """How number so and so turned out."""
    return {"outcome": OUTCOMES[number % 3], "user_feedback": number % 3 - 1}


class Trackers:
    """What the clients of one run do."""

    def __init__(self, target: Target, run: str, acknowledged: TextIO) -> None:
        self._target = target
        self._run = run
        self._acknowledged = acknowledged

    async def track(self, number: int) -> int:
        """Track one interaction, then post its outcome; the status of what came last."""
        body = interaction(self._run, number)
        request = self._target.request("POST", "/v1/interactions", body)
        status, content = await exchange(self._target, request)
        if status != 201:
            return status
        id_ = json.loads(content)["interaction_id"]
        self._note("interaction", number, id_)
        path = f"/v1/interactions/{id_}/outcome"
        request = self._target.request("POST", path, outcome(number))
        status, _ = await exchange(self._target, request)
        if status == 200:
            self._note("outcome", number, id_)
        return status

    def _note(self, what: str, number: int, id_: str) -> None:
        self._acknowledged.write(f"{what} {number} {id_}\n")
        self._acknowledged.flush()


async def check(target: Target, run: str, file: Path) -> dict[str, Any]:
    """How much was acknowledged, and what of it is not there or not as it was sent."""
    wanted: dict[str, dict[str, Any]] = {}
    for line in file.read_text(encoding="utf-8").split("\n")[:-1]:
        what, number, id_ = line.split()
        sent = interaction(run, int(number)) if what == "interaction" else outcome(int(number))
        wanted.setdefault(id_, {}).update(sent)
    wrong = []
    for id_, sent in wanted.items():
        request = target.request("GET", f"/v1/interactions/{id_}")
        status, content = await exchange(target, request)
        found = json.loads(content)["payload"] if status == 200 else {}
        if any(found.get(name) != value for name, value in sent.items()):
            wrong.append({"id": id_, "sent": sent, "status": status, "found": found})
    outcomes = sum("outcome" in sent for sent in wanted.values())
    return {
        "interactions": len(wanted),
        "outcomes": outcomes,
        "wrong": len(wrong),
        "examples": wrong[:3],
    }


async def write(target: Target, given: argparse.Namespace, acknowledged: TextIO) -> dict[str, int]:
    """Track until told to stop; how often what came of it."""
    trackers = Trackers(target, given.run, acknowledged)
    clients = Clients(given.until, given.patience)
    return await clients.run([("track", trackers.track)] * given.clients)


def main(arguments: list[str]) -> int:
    """Write or check; 0 whatever was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["write", "check"])
    parser.add_argument("--address", required=True, help="host:port")
    parser.add_argument("--key-file", type=Path)
    parser.add_argument("--run", default="kill", help="a word that is in every interaction")
    parser.add_argument("--acknowledged", type=Path, required=True, help="file of what was")
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--patience", type=float, default=60.0)
    parser.add_argument("--until", type=Path, help="a file that ends the run once it exists")
    given = parser.parse_args(arguments)
    target = Target(given.address, key_of(given.key_file) if given.key_file else None)
    if given.what == "check":
        report = asyncio.run(check(target, given.run, given.acknowledged))
    else:
        with given.acknowledged.open("w", encoding="utf-8") as acknowledged:
            report = asyncio.run(write(target, given, acknowledged))
    print(json.dumps(report))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
