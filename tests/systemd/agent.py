"""The program in a virtual machine that runs the driver's commands: JSON lines over a virtio port.

A request is `{"id", "script", "data", "timeout"}`, a reply `{"id", "status", "output", "errors"}`
with bytes in base64; `status` is null where the command did not end in time and was killed. Only
the standard library, since it runs by the guest's own Python. Not for containers.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, Any

PORT = "hybrid-ai.agent"
_PORTS = Path("/sys/class/virtio-ports")


def main() -> int:
    """Answer requests until the port is closed; returns the exit status."""
    port = _open()
    writing = threading.Lock()

    def answer(request: dict[str, Any]) -> None:
        line = json.dumps(_run(request)).encode() + b"\n"
        with writing:
            _write(port, line)

    _write(port, b'{"id": 0, "status": 0}\n')
    with os.fdopen(os.dup(port), "rb") as lines:
        for line in lines:
            threading.Thread(target=answer, args=(json.loads(line),), daemon=True).start()
    return 0


def _open() -> int:
    # Without udev there is no /dev/virtio-ports.
    while True:
        for entry in _PORTS.glob("*/name"):
            if entry.read_text(encoding="ascii").strip() == PORT:
                return os.open(Path("/dev") / entry.parent.name, os.O_RDWR)
        time.sleep(0.05)


def _write(port: int, data: bytes) -> None:
    while data:
        data = data[os.write(port, data) :]


def _run(request: dict[str, Any]) -> dict[str, Any]:
    # Files and not pipes: what the command leaves running does not keep it from ending.
    with (
        tempfile.TemporaryFile() as stdin,
        tempfile.TemporaryFile() as stdout,
        tempfile.TemporaryFile() as stderr,
    ):
        stdin.write(base64.b64decode(request["data"]))
        stdin.seek(0)
        process = subprocess.Popen(
            ["bash", "-c", request["script"]],
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            cwd="/",
            start_new_session=True,
        )
        status: int | None
        try:
            status = process.wait(request["timeout"])
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            status = None
        if status is not None and status < 0:
            status = 128 - status  # ended by a signal: as a shell says it
        written = {"output": _read(stdout), "errors": _read(stderr)}
        return {"id": request["id"], "status": status, **written}


def _read(file: IO[bytes]) -> str:
    file.seek(0)
    return base64.b64encode(file.read()).decode("ascii")


if __name__ == "__main__":
    sys.exit(main())
