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

__all__ = ["OPERATOR_KEY", "Coordinator", "NotReached", "Reply"]

OPERATOR_KEY = "/var/lib/private/hybrid-ai/operator.key"
"""The key of the jobs, where there are keys: who can read it, root too, sees everything."""


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

    def track(self, **interaction: Any) -> str:
        """Report an interaction that did not go through the gateway; its id."""
        reply = self.request("POST", "/v1/interactions", interaction)
        assert reply.status == 201, f"tracking was answered with {reply.status}: {reply.text}"
        return str(reply.json["interaction_id"])

    def turned_out(self, interaction_id: str, **outcome: Any) -> None:
        """Post the outcome of an interaction, or feedback on it."""
        reply = self.request("POST", f"/v1/interactions/{interaction_id}/outcome", outcome)
        assert reply.status == 200, f"the outcome was answered with {reply.status}: {reply.text}"

    def interaction(self, interaction_id: str) -> dict[str, Any]:
        """An interaction as it is now."""
        reply = self.request("GET", f"/v1/interactions/{interaction_id}")
        assert reply.status == 200, f"{interaction_id}: {reply.status}: {reply.text}"
        found: dict[str, Any] = reply.json["payload"]
        return found

    def wait_until_delivered(self, interaction_id: str, timeout: int = 300) -> None:
        """Wait until the store has all that is known of an interaction."""
        path = f"/v1/interactions/{interaction_id}"
        self._wait_until(path, "body['delivered']", timeout)

    def queue(self) -> dict[str, Any]:
        """The extraction queue, as an operator of this machine sees it."""
        key_file = OPERATOR_KEY if self.key_file else None
        reply = self.request("GET", "/v1/patterns/queue", key_file=key_file)
        assert reply.status == 200, f"the queue: {reply.status}: {reply.text}"
        found: dict[str, Any] = reply.json
        return found

    def parts(self) -> dict[str, dict[str, str]]:
        """Every part that ``/ready`` names, with its state and detail."""
        reply = self.request("GET", "/ready")
        parts: dict[str, dict[str, str]] = reply.json["parts"]
        return parts

    def wait_until_part(self, pattern: str, states: set[str], timeout: int = 120) -> None:
        """Wait until each part whose name fits ``pattern`` is in one of these states."""
        condition = (
            "(found := [part['state'] for name, part in body['parts'].items()"
            f" if re.fullmatch({pattern!r}, name)]) and set(found) <= {states!r}"
        )
        try:
            self._wait_until("/ready", condition, timeout)
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

    def _wait_until(self, path: str, condition: str, timeout: int) -> None:
        """Wait until a Python expression is true of the ``body`` that is answered."""
        ask = ["python3", f"{TOOLS}/ask.py", "GET", self.url + path]
        if self.key_file:
            ask.append(f"--key-file={self.key_file}")
        program = (
            "import json, re, sys; body = json.loads(json.load(sys.stdin)['body']); "
            f"sys.exit(not ({condition}))"
        )
        self.machine.wait_until_succeeds(
            f"{shlex.join(ask)} | python3 -c {shlex.quote(program)}", timeout
        )


def _credentials(machine: Machine) -> dict[str, str]:
    """Credential name to the file it is loaded from."""
    lines = service_section(machine, COORDINATOR)
    pairs = (value.split(":", 1) for key, value in lines if key == "LoadCredential" and value)
    return {pair[0]: pair[1] for pair in pairs}
