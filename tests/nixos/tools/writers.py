"""Clients that store knowledge and ask, while somebody kills the service under them; then a check.

``write``: ``--writers`` clients store one item after the other, each with a category of its own,
and write down those that were acknowledged, before they go on; ``--askers`` others search and ask
questions, until ``--until`` exists. ``check``: each acknowledged item is searched by its category
and compared with what was sent. Both end with a report as JSON. Standard library alone.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from tests.nixos.tools.ask import key_of
    from tests.nixos.tools.clients import Client, Clients
    from tests.nixos.tools.wire import Target, exchange
else:  # Inside the machine these are files beside this one, and no package.
    from ask import key_of
    from clients import Client, Clients
    from wire import Target, exchange

COLLECTION = "best-practices"


def item(run: str, number: int) -> dict[str, str]:
    """What is stored as number so and so: a reader can tell it from every other."""
    return {
        "title": f"Practice {number} of {run}",
        "category": f"{run}-{number}",
        "description": f"In case {number} of {run}, do step {number * 7} before {number * 11}.",
    }


class Writers:
    """What the clients of one run do."""

    def __init__(self, target: Target, given: argparse.Namespace, acknowledged: TextIO) -> None:
        self._target = target
        self._given = given
        self._acknowledged = acknowledged

    async def run(self) -> dict[str, int]:
        """All clients until they are told to stop."""
        wanted: list[tuple[str, Client]] = [("store", self._store)] * self._given.writers
        asking = itertools.cycle((self._search, self._question))
        wanted += [("ask", ask) for ask in itertools.islice(asking, self._given.askers)]
        return await Clients(self._given.until, self._given.patience).run(wanted)

    async def _store(self, number: int) -> int:
        body = {"items": [{"payload": item(self._given.run, number)}]}
        request = self._target.request("POST", f"/v1/knowledge/{COLLECTION}", body)
        status, content = await exchange(self._target, request)
        if status == 200:
            id_ = json.loads(content)["ids"][0]
            self._acknowledged.write(f"{number} {id_}\n")
            self._acknowledged.flush()
        return status

    async def _search(self, number: int) -> int:
        body = {"query": f"What do I do in case {number}?", "limit": 3}
        status, _ = await exchange(self._target, self._target.request("POST", "/v1/search", body))
        return status

    async def _question(self, number: int) -> int:
        content = f"How is case {number} done?"
        body = {
            "model": "auto",
            "max_tokens": 4,
            "messages": [{"role": "user", "content": content}],
        }
        request = self._target.request("POST", "/v1/chat/completions", body)
        status, _ = await exchange(self._target, request)
        return status


async def check(target: Target, run: str, file: Path) -> dict[str, Any]:
    """How many of the acknowledged items are there, and which are not or are not as they were."""
    wrong = []
    lines = file.read_text(encoding="utf-8").split("\n")[:-1]
    for line in lines:
        number, id_ = line.split()
        wanted = item(run, int(number))
        body = {
            "query": wanted["description"],
            "collections": [COLLECTION],
            "filters": {"category": wanted["category"]},
            "limit": 5,
        }
        status, content = await exchange(target, target.request("POST", "/v1/search", body))
        hits = json.loads(content).get("hits", []) if status == 200 else []
        found = [hit for hit in hits if hit["id"] == id_]
        if len(found) != 1 or any(found[0]["payload"].get(k) != v for k, v in wanted.items()):
            wrong.append({"item": wanted, "id": id_, "status": status, "found": hits})
    return {"acknowledged": len(lines), "missing": len(wrong), "examples": wrong[:3]}


def main(arguments: list[str]) -> int:
    """Write or check; 0 whatever was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["write", "check"])
    parser.add_argument("--address", required=True, help="host:port")
    parser.add_argument("--key-file", type=Path)
    parser.add_argument("--caller")
    parser.add_argument("--run", default="kill", help="a word that is in every item")
    parser.add_argument("--acknowledged", type=Path, required=True, help="file of number and id")
    parser.add_argument("--writers", type=int, default=8)
    parser.add_argument("--askers", type=int, default=4)
    parser.add_argument("--patience", type=float, default=60.0)
    parser.add_argument("--until", type=Path, help="a file that ends the run once it exists")
    given = parser.parse_args(arguments)
    key = key_of(given.key_file, given.caller) if given.key_file else None
    target = Target(given.address, key)
    if given.what == "check":
        report = asyncio.run(check(target, given.run, given.acknowledged))
    else:
        with given.acknowledged.open("w", encoding="utf-8") as acknowledged:
            report = asyncio.run(Writers(target, given, acknowledged).run())
    print(json.dumps(report))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
