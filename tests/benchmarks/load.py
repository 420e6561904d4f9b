"""Puts load on a URL with wrk, and measures single streams with a client of our own."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import httpx

_SCRIPT = """
local counter = 0
local thread_id = 0
local threads = 0
function setup(thread)
  threads = threads + 1
  thread:set("thread_id", threads)
end
function request()
  counter = counter + 1
  local mark = SALT .. "-" .. thread_id .. "-" .. counter
  return wrk.format("POST", nil, HEADERS, (string.gsub(BODY, "@@", mark)))
end
"""
_CONTENT = re.compile(rb'"content":\s*"[^"]')
_UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}


@dataclass(frozen=True, slots=True)
class Load:
    """One run: requests a second, latency percentiles in ms, and what failed."""

    rate: float
    p50: float
    p99: float
    failures: int


def wrk(
    url: str,
    body: dict[str, object],
    *,
    connections: int,
    seconds: int = 5,
    headers: dict[str, str] | None = None,
) -> Load:
    """Load ``url`` with POSTs of ``body``; ``@@`` in it is another text in each request."""
    program = shutil.which("wrk")
    if program is None:
        raise SystemExit("wrk is not installed; on Debian: apt-get install wrk")
    fields = {"content-type": "application/json", **(headers or {})}
    script = (
        f"local SALT = {json.dumps(str(time.time_ns() % 10**5))}\n"
        f"local BODY = {_lua(json.dumps(body))}\n"
        "local HEADERS = {"
        + ",".join(f"[{json.dumps(k)}]={json.dumps(v)}" for k, v in fields.items())
        + "}\n"
        + _SCRIPT
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "post.lua"
        path.write_text(script)
        done = subprocess.run(
            [
                *(program, "-t1", f"-c{connections}", f"-d{seconds}s", "--latency"),
                *("--timeout", "20s", "-s", str(path), url),
            ],
            capture_output=True,
            text=True,
            check=True,
        )
    return _parse(done.stdout)


def _lua(text: str) -> str:
    return "[==[" + text + "]==]"


def _parse(output: str) -> Load:
    def percentile(number: int) -> float:
        found = re.search(rf"^\s+{number}%\s+([\d.]+)(us|ms|s|m)\s*$", output, re.M)
        if found is None:
            raise SystemExit(f"wrk printed no latency:\n{output}")
        return float(found[1]) * _UNITS[found[2]]

    rate = re.search(r"Requests/sec:\s+([\d.]+)", output)
    failed = re.search(r"Non-2xx or 3xx responses:\s+(\d+)", output)
    broken = re.search(
        r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", output
    )
    failures = int(failed[1]) if failed else 0
    failures += sum(map(int, broken.groups())) if broken else 0
    return Load(float(rate[1]) if rate else 0.0, percentile(50), percentile(99), failures)


def first_token_ms(
    url: str, body: dict[str, object], *, runs: int = 100, headers: dict[str, str] | None = None
) -> float:
    """Median ms until the first content of a stream, one request after the other."""
    times: list[float] = []
    failed: list[str] = []
    with httpx.Client(timeout=20, headers=headers) as client:
        for run in range(runs):
            text = json.dumps({**body, "stream": True}).replace(
                "@@", f"{time.time_ns() % 10**5}-{run}"
            )
            started = time.perf_counter()
            with client.stream(
                "POST", url, content=text, headers={"content-type": "application/json"}
            ) as response:
                if response.status_code != httpx.codes.OK:
                    failed.append(response.read().decode(errors="replace")[:200])
                    continue
                seen, first = b"", 0.0
                for data in response.iter_raw():
                    seen += data
                    if not first and _CONTENT.search(seen):
                        first = (time.perf_counter() - started) * 1000
                times.append(first)
    if failed:
        print(f"  {len(failed)} of {runs} streams failed: {failed[0]}", flush=True)
    return statistics.median(times) if times else float("nan")


def latencies_ms(url: str, bodies: list[dict[str, object]]) -> tuple[list[float], list[str]]:
    """One request after the other on one connection: ms each, and the cache header of each.

    The standard library's client, since a richer one takes longer than what is measured.
    """
    target = httpx.URL(url)
    connection = http.client.HTTPConnection(target.host, target.port or 80, timeout=20)
    connection.connect()
    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    times, caches = [], []
    try:
        for text in [json.dumps(body).encode() for body in bodies]:
            started = time.perf_counter()
            connection.request("POST", target.path, text, {"content-type": "application/json"})
            response = connection.getresponse()
            response.read()
            times.append((time.perf_counter() - started) * 1000)
            caches.append(response.headers.get("x-hybrid-cache", "-"))
    finally:
        connection.close()
    return times, caches


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
