"""Takes memory or processes until somebody says stop, to see that a limit is one.

``eat.py memory BYTES`` touches that much and says when it has it; ``eat.py tasks NUMBER`` starts
that many threads. Under a limit below that the kernel ends it, or refuses the next thread: then it
ends with 3 and says how far it came. Standard library alone.
"""

from __future__ import annotations

import sys
import threading

PIECE = 16 * 1024 * 1024
PAGE = 4096


def memory(wanted: int) -> int:
    """Take memory that is really used: a byte in every page."""
    pieces = []
    for taken in range(0, wanted, PIECE):
        piece = bytearray(PIECE)
        piece[::PAGE] = b"\x01" * (PIECE // PAGE)
        pieces.append(piece)
        print(f"{taken + PIECE} bytes taken", flush=True)
    return 0


def tasks(wanted: int) -> int:
    """Start threads that wait."""
    go = threading.Event()
    threading.stack_size(64 * 1024)
    started = []
    try:
        for _ in range(wanted):
            thread = threading.Thread(target=go.wait)
            thread.start()
            started.append(thread)
    except RuntimeError as error:
        print(f"{len(started)} threads, then: {error}", flush=True)
        return 3
    finally:
        go.set()
        for thread in started:
            thread.join()
    print(f"{len(started)} threads", flush=True)
    return 0


def main(arguments: list[str]) -> int:
    """``eat.py memory|tasks NUMBER``."""
    what, number = arguments
    return {"memory": memory, "tasks": tasks}[what](int(number))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
