"""Talks to a running coordinator over HTTP for the commands that need one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson
import typer
from rich.console import Console

from hybrid_coordinator.configuration import read_secret
from hybrid_coordinator.errors import HybridError
from hybrid_coordinator.operator_key import read_operator_key
from hybrid_coordinator.settings import LOOPBACK_HOSTS, Settings
from hybrid_coordinator.wire.sse import EventSplitter

_HEADERS = ("x-hybrid-interaction-id", "x-hybrid-cache", "x-hybrid-route", "x-hybrid-reason")


class NotAnswered(HybridError):
    """The coordinator could not be reached, or answered with an error."""


@dataclass(frozen=True, slots=True)
class Connection:
    """Where a coordinator is and what key it wants."""

    url: str
    key: str | None

    @classmethod
    def find(cls, settings: Settings, url: str | None, key_file: Path | None) -> Connection:
        """From the options given, else from the settings the server itself uses.

        Without a key file the operator's key is taken where this user may read it;
        it is shown to nobody but this machine's own coordinator.
        """
        where = (url or settings.local_url).rstrip("/")
        if key_file is not None:
            key = read_secret(str(key_file.absolute()), option="--key-file").splitlines()[0]
            return cls(url=where, key=key.partition(":")[2] or key)
        own = where == settings.local_url or httpx.URL(where).host in LOOPBACK_HOSTS
        return cls(url=where, key=read_operator_key(settings.state_directory) if own else None)

    @contextmanager
    def client(self) -> Iterator[httpx.Client]:
        """An HTTP client for this coordinator; failures become sentences."""
        headers = {"authorization": f"Bearer {self.key}"} if self.key else {}
        timeout = httpx.Timeout(600.0, connect=3.0)
        try:
            with httpx.Client(base_url=self.url, headers=headers, timeout=timeout) as client:
                yield client
        except httpx.ConnectError:
            raise NotAnswered(
                f"no coordinator answers at {self.url}; start one with "
                "'hybrid-coordinator serve', or name another with --url"
            ) from None
        except httpx.HTTPError as error:
            raise NotAnswered(f"the coordinator at {self.url} broke off: {error}") from None


def error_text(response: httpx.Response) -> str:
    """The sentence in an error answer of either dialect."""
    try:
        error = orjson.loads(response.content)["error"]
        return str(error["message"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return f"the coordinator answered with status {response.status_code}"


def ask_and_print(
    connection: Connection, question: str, model: str, *, fresh: bool, as_json: bool
) -> None:
    """Ask, print the answer as it comes, then where it came from."""
    body = {
        "model": model,
        "stream": True,
        "stream_options": {"include_usage": True},
        "messages": [{"role": "user", "content": question}],
    }
    headers = {"cache-control": "no-cache"} if fresh else {}
    started = time.perf_counter()
    text: list[str] = []
    usage: dict[str, Any] = {}
    with (
        connection.client() as client,
        client.stream("POST", "/v1/chat/completions", json=body, headers=headers) as response,
    ):
        if response.status_code != httpx.codes.OK:
            response.read()
            raise NotAnswered(error_text(response))
        for chunk in _chunks(response):
            if "error" in chunk:
                raise NotAnswered(str(chunk["error"].get("message", "the answer broke off")))
            usage = chunk.get("usage") or usage
            for choice in chunk.get("choices", ()):
                piece = (choice.get("delta") or {}).get("content") or ""
                text.append(piece)
                if not as_json:
                    typer.echo(piece, nl=False)
        about = {name.removeprefix("x-hybrid-"): response.headers.get(name) for name in _HEADERS}
    seconds = time.perf_counter() - started
    if as_json:
        answer = {"answer": "".join(text), "usage": usage, "seconds": round(seconds, 3), **about}
        typer.echo(orjson.dumps(answer).decode())
        return
    typer.echo()
    line = f"{about['route']} · cache {about['cache']} · {seconds:.2f} s · {about['reason']}"
    Console(stderr=True, highlight=False).print(line, style="dim", soft_wrap=True, markup=False)


def _chunks(response: httpx.Response) -> Iterator[dict[str, Any]]:
    splitter = EventSplitter()
    for data in response.iter_raw():
        for event in splitter.feed(data):
            if event.data == b"[DONE]":
                return
            yield orjson.loads(event.data)
