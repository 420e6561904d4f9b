"""The stand-in as a program, with the server's own flags: `--config-path`, `--disable-telemetry`.

SIGTERM and SIGINT end it with status 0 once running requests are answered.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import uvicorn

from .application import application
from .configuration import Configuration, ConfigurationError, read_configuration
from .engine import Engine

_GRACE_S = 5
_KEEP_ALIVE_S = 5  # as the server: clients must cope with connections that close this soon


class _Server(uvicorn.Server):
    """uvicorn, without its way of ending: it raises the signal again, which is no clean end."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


def main() -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="qdrant", description=__doc__)
    parser.add_argument("--config-path", type=Path, metavar="PATH")
    parser.add_argument(
        "--disable-telemetry", action="store_true", help="accepted: nothing is ever sent"
    )
    parser.add_argument(
        "--version", action="version", version=f"qdrant {version('qdrant-client')} (stand-in)"
    )
    chosen = parser.parse_args()
    try:
        configuration = read_configuration(chosen.config_path, os.environ)
        engine = Engine(configuration.storage_path)
    except (ConfigurationError, OSError, RuntimeError) as error:
        print(f"qdrant (stand-in): {error}", file=sys.stderr)
        return 1
    try:
        return _run(engine, configuration)
    finally:
        engine.close()


def _run(engine: Engine, configuration: Configuration) -> int:
    server = _Server(
        uvicorn.Config(
            application(engine, configuration),
            host=configuration.host,
            port=configuration.http_port,
            lifespan="off",
            access_log=False,
            log_level="info",
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=_GRACE_S,
        )
    )
    server.run()
    return 0 if server.started else 1


if __name__ == "__main__":
    sys.exit(main())
