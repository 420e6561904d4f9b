"""The testbed by hand: `python -m tests.testbed setup|redis|qdrant|lemonade|ollama`.

`setup` builds every part into the cache (`make test` calls it; a second run costs nothing). The
others run one server in the foreground and print its address. Not used by the tests.
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys

from tests.testbed import parts
from tests.testbed.cache import PartUnavailable, say
from tests.testbed.lemonade import lemonade_server
from tests.testbed.ollama import ollama_server
from tests.testbed.process import LocalServer
from tests.testbed.qdrant import qdrant_server
from tests.testbed.redis import redis_server


def main() -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.testbed", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    setup = commands.add_parser("setup", help="build every part, or the parts named")
    setup.add_argument("part", nargs="*", choices=[[], *parts.PARTS])
    redis = commands.add_parser("redis", help="run Redis in the foreground")
    redis.add_argument("--version", choices=["8", "7"], default="8")
    commands.add_parser("qdrant", help="run Qdrant, or its stand-in, in the foreground")
    commands.add_parser("lemonade", help="run Lemonade in the foreground")
    commands.add_parser("ollama", help="run Ollama in the foreground")
    chosen = parser.parse_args()
    try:
        if chosen.command == "setup":
            left_out = parts.skipped()
            parts.prepare(chosen.part or [name for name in parts.PARTS if name not in left_out])
            say("everything is in place")
            return 0
        if chosen.command == "redis":
            return _serve(redis_server(chosen.version))
        if chosen.command == "qdrant":
            return _serve(qdrant_server())
        return _serve(lemonade_server() if chosen.command == "lemonade" else ollama_server())
    except PartUnavailable as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _serve(server: LocalServer) -> int:
    with server:
        print(server.url, flush=True)
        say(f"{server.name} runs; its log is {server.log}; Ctrl-C ends it")
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()
    return 0


if __name__ == "__main__":
    sys.exit(main())
