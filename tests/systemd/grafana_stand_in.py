#!/usr/bin/env python3
"""Stands for Grafana where no Grafana can be had: reads what is provisioned as Grafana does at its
start, refuses what Grafana refuses, and answers the few questions of its HTTP API that tests ask.

`grafana server -homepath DIR -config FILE` serves on the address of the configuration's `[server]`.
Needs nothing but Python, since it runs inside the guest. It draws nothing, and is no judge of a
board's panels: those are compared with Grafana's own model in the unit tests.
"""

from __future__ import annotations

import argparse
import base64
import configparser
import json
import sys
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

Json = dict[str, Any]


class ProvisioningError(Exception):
    """Grafana would not start with this, and says why."""


def datasources(folder: Path) -> dict[str, Json]:
    """The sources of `<provisioning>/datasources`, by uid."""
    found: dict[str, Json] = {}
    for content in _files(folder / "datasources"):
        for source in content.get("datasources") or []:
            for field in ("name", "type", "access"):
                if not source.get(field):
                    raise ProvisioningError(f"datasource without {field}: {source}")
            uid = source.get("uid") or source["name"]
            if uid in found:
                raise ProvisioningError(f"two datasources have the uid {uid}")
            found[uid] = source
    return found


def dashboards(folder: Path) -> dict[str, Json]:
    """The boards that the providers of `<provisioning>/dashboards` name, by uid."""
    found: dict[str, Json] = {}
    for content in _files(folder / "dashboards"):
        for provider in content.get("providers") or []:
            place = Path(provider["options"]["path"])
            if not place.is_dir():
                raise ProvisioningError(f"provider {provider['name']}: {place} is no folder")
            for file in sorted(place.rglob("*.json")):
                board = json.loads(file.read_text("utf-8"))
                if not board.get("title"):
                    raise ProvisioningError(f"{file}: Dashboard title cannot be empty")
                if board["uid"] in found:
                    raise ProvisioningError(f"{file}: the uid {board['uid']} is used twice")
                found[board["uid"]] = {"provider": provider["name"], "dashboard": board}
    return found


def _files(folder: Path) -> Iterator[Json]:
    """What is in the files of a folder. Only YAML that is JSON too, which is what tests render."""
    for file in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")]):
        content = json.loads(file.read_text("utf-8"))
        if content is None:
            continue
        if content.get("apiVersion") != 1:
            raise ProvisioningError(f"{file}: apiVersion must be 1")
        yield content


class Handler(BaseHTTPRequestHandler):
    """`/api/health`, `/api/datasources/uid/UID` and `/api/dashboards/uid/UID`."""

    def __init__(self, password: str, answers: dict[str, Json], *rest: Any) -> None:
        self._login = base64.b64encode(f"admin:{password}".encode()).decode()
        self._answers = answers
        super().__init__(*rest)

    def do_GET(self) -> None:
        if self.path == "/api/health":
            self._answer(200, {"database": "ok", "version": "stand-in"})
        elif self.headers.get("Authorization") != f"Basic {self._login}":
            self._answer(401, {"message": "Unauthorized"})
        elif self.path in self._answers:
            self._answer(200, self._answers[self.path])
        else:
            self._answer(404, {"message": "Not found"})

    def log_message(self, format: str, *arguments: Any) -> None:
        """Requests are not logged."""

    def _answer(self, status: int, content: Json) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def main(arguments: list[str]) -> int:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=["server"])
    parser.add_argument("-homepath", type=Path, required=True)
    parser.add_argument("-config", type=Path, required=True)
    given = parser.parse_args(arguments)
    settings = configparser.ConfigParser(interpolation=None)
    settings.read(given.config, encoding="utf-8")
    folder = Path(settings["paths"]["provisioning"])
    try:
        answers = {
            **{f"/api/datasources/uid/{uid}": it for uid, it in datasources(folder).items()},
            **{
                f"/api/dashboards/uid/{uid}": {
                    "dashboard": it["dashboard"],
                    "meta": {"provisioned": True, "provisionedExternalId": it["provider"]},
                }
                for uid, it in dashboards(folder).items()
            },
        }
    except (ProvisioningError, OSError, ValueError, KeyError) as error:
        print(f"provisioning failed: {error!r}", file=sys.stderr)
        return 1
    address = (settings["server"]["http_addr"], int(settings["server"]["http_port"]))
    password = settings.get("security", "admin_password", fallback="admin")
    with ThreadingHTTPServer(address, partial(Handler, password, answers)) as server:
        server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
