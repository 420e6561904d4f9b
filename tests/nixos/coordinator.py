"""A machine's coordinator as a client and as an administrator see it.

Where it listens, what its settings are and where its keys lie is read from the running units, so
that a test fits every scenario. Requests are made inside the machine, by ``tools/ask.py``. What an
answer must be is the tests' matter.
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from typing import Any

from tests.nixos.machine import TOOLS, Machine
from tests.nixos.units import COORDINATOR, SOCKET, properties, service_section

__all__ = ["Coordinator", "NotReached", "Reply"]


class NotReached(AssertionError):
    """No whole response came."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A response. ``headers`` have lower-case names."""

    status: int
    headers: dict[str, str]
    text: str
    seconds: float

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.text)

    @property
    def answer(self) -> str:
        """The text of a chat completion."""
        return str(self.json["choices"][0]["message"]["content"])

    @property
    def cache(self) -> str:
        """How the cache took part."""
        return self.headers.get("x-hybrid-cache", "")

    @property
    def route(self) -> str:
        """Which backend and model answered."""
        return self.headers.get("x-hybrid-route", "")


class Coordinator:
    """The coordinator of a machine."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        listen = properties(machine, SOCKET, "Listen")["Listen"]
        found = re.search(r"(\S+:\d+) \(Stream\)", listen)
        assert found, f"{SOCKET} listens on no address: {listen!r}"
        self.address = found[1]
        self.url = f"http://{self.address}"
        self.port = int(self.address.rpartition(":")[2])
        started = properties(machine, COORDINATOR, "ExecStart")["ExecStart"]
        config = re.search(r"--config[= ](\S+)", started)
        assert config, f"{COORDINATOR} is started without --config: {started}"
        self.settings_file = config[1]
        self.settings: dict[str, Any] = json.loads(machine.succeed(f"cat {self.settings_file}"))
        self.credentials = _credentials(machine)
        self.key_file = self.credentials.get(self.settings.get("api_keys_file") or "")

    @property
    def backends(self) -> dict[str, dict[str, Any]]:
        """The backends of the settings, by name."""
        backends: dict[str, dict[str, Any]] = self.settings["backends"]
        return backends

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: dict[str, str] | None = None,
        caller: str | None = None,
        key_file: str | None = None,
        keyless: bool = False,
        timeout: int = 180,
    ) -> Reply:
        """Send a request with a key where there are keys.

        ``caller`` names one of several; ``key_file`` is another file to take the key from.

        Raises:
            NotReached: no whole response came.
        """
        command = ["python3", f"{TOOLS}/ask.py", method, self.url + path, f"--timeout={timeout}"]
        if body is not None:
            command.append(f"--body={json.dumps(body)}")
        command += [f"--header={name}: {value}" for name, value in (headers or {}).items()]
        if (file := key_file or self.key_file) and not keyless:
            command.append(f"--key-file={file}")
            command += [f"--caller={caller}"] if caller else []
        status, output = self.machine.execute(shlex.join(command), check_return=True)
        if not output.strip():
            raise NotReached(f"{method} {path}: ask.py ended with {status} and said nothing")
        said = json.loads(output)
        if "error" in said:
            raise NotReached(f"{method} {path}: {said['error']}")
        return Reply(said["status"], said["headers"], said["body"], said["seconds"])

    def chat(
        self, question: str, *, model: str = "auto", fresh: bool = False, **more: Any
    ) -> Reply:
        """Ask one question; ``fresh`` asks for an answer that is not from the cache."""
        headers = {"Cache-Control": "no-cache"} if fresh else {}
        caller = more.pop("caller", None)
        body = {
            "model": model,
            "temperature": 0,
            "max_tokens": 16,
            "messages": [{"role": "user", "content": question}],
            **more,
        }
        return self.request("POST", "/v1/chat/completions", body, headers=headers, caller=caller)

    def answered(self, question: str, **options: Any) -> Reply:
        """Ask one question that must be answered."""
        reply = self.chat(question, **options)
        assert reply.status == 200, f"{question!r} was answered with {reply.status}: {reply.text}"
        assert reply.answer.strip(), f"the answer to {question!r} is empty: {reply.text}"
        return reply

    def store(self, collection: str, *payloads: dict[str, Any]) -> list[str]:
        """Store knowledge; the items' ids."""
        body = {"items": [{"payload": payload} for payload in payloads]}
        reply = self.request("POST", f"/v1/knowledge/{collection}", body)
        assert reply.status == 200, f"storing in {collection}: {reply.status}: {reply.text}"
        ids: list[str] = reply.json["ids"]
        return ids

    def search(self, query: str, **more: Any) -> list[dict[str, Any]]:
        """Search the stored knowledge."""
        reply = self.request("POST", "/v1/search", {"query": query, **more})
        assert reply.status == 200, f"searching {query!r}: {reply.status}: {reply.text}"
        hits: list[dict[str, Any]] = reply.json["hits"]
        return hits

    def parts(self) -> dict[str, dict[str, str]]:
        """Every part that ``/ready`` names, with its state and detail."""
        reply = self.request("GET", "/ready")
        parts: dict[str, dict[str, str]] = reply.json["parts"]
        return parts

    def wait_until_part(self, pattern: str, states: set[str], timeout: int = 120) -> None:
        """Wait until each part whose name fits ``pattern`` is in one of these states."""
        condition = (
            "import json,re,sys; parts=json.loads(json.load(sys.stdin)['body'])['parts']; "
            f"found=[p['state'] for n,p in parts.items() if re.fullmatch({pattern!r},n)]; "
            f"sys.exit(not found or not set(found) <= {states!r})"
        )
        ask = ["python3", f"{TOOLS}/ask.py", "GET", f"{self.url}/ready"]
        if self.key_file:
            ask.append(f"--key-file={self.key_file}")
        command = f"{shlex.join(ask)} | python3 -c {shlex.quote(condition)}"
        try:
            self.machine.wait_until_succeeds(command, timeout)
        except Exception as error:
            raise AssertionError(
                f"{pattern} did not become {sorted(states)}: {json.dumps(self.parts())}"
            ) from error

    def wait_until_ready(self, timeout: int = 180) -> None:
        """Wait until a question could be answered: ``/ready`` says so."""
        command = shlex.join(["python3", f"{TOOLS}/ask.py", "GET", f"{self.url}/ready"])
        key = f" --key-file={self.key_file}" if self.key_file else ""
        self.machine.wait_until_succeeds(
            f"{command}{key} | grep --quiet '\"status\": 200'", timeout
        )

    def health(self) -> tuple[int, str]:
        """``hybrid-coordinator health`` as the administrator runs it: status and output."""
        key = f" --key-file {self.key_file}" if self.key_file else ""
        config = f" --config {self.settings_file}"
        return self.machine.execute(f"hybrid-coordinator health{config}{key} 2>&1")


def _credentials(machine: Machine) -> dict[str, str]:
    """Credential name to the file it is loaded from."""
    lines = service_section(machine, COORDINATOR)
    pairs = (value.split(":", 1) for key, value in lines if key == "LoadCredential" and value)
    return {pair[0]: pair[1] for pair in pairs}
