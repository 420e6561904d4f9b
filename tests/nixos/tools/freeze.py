"""Freezes one thread of a process, the one that runs its event loop, and nothing else of it.

By ptrace, as a debugger stops a thread: the process lives, its other threads run, its sockets stay
open, and only the loop stands still, as it does in code that blocks it. SIGSTOP would stop every
thread, so it could not tell a watchdog that is fed by the loop from one that is fed by a thread of
its own. Holds the thread until the process is dead; needs root.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from types import FrameType

PTRACE_SEIZE = 0x4206
PTRACE_INTERRUPT = 0x4207
WALL = 0x40000000


def main(arguments: list[str]) -> int:
    """``freeze.py PID SECONDS``: 0 once the process has died, 1 if it outlived the seconds."""
    pid, patience = int(arguments[0]), int(arguments[1])
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    libc.ptrace.restype = ctypes.c_long

    def ptrace(request: int, what: str) -> None:
        if libc.ptrace(request, pid, None, None) == -1:
            number = ctypes.get_errno()
            raise OSError(number, f"{what} the main thread of {pid}: {os.strerror(number)}")

    ptrace(PTRACE_SEIZE, "cannot attach to")
    ptrace(PTRACE_INTERRUPT, "cannot stop")
    os.waitpid(pid, WALL)
    print(f"the main thread of {pid} stands still", flush=True)
    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(patience)
    try:
        while True:
            # A tracer hears of its tracee's death as a parent would.
            _, status = os.waitpid(pid, WALL)
            if os.WIFSIGNALED(status):
                print(f"{pid} is dead, by {signal.Signals(os.WTERMSIG(status)).name}", flush=True)
                return 0
            if os.WIFEXITED(status):
                print(f"{pid} ended with {os.WEXITSTATUS(status)}", flush=True)
                return 0
    except TimeoutError:
        print(f"{pid} is still alive", flush=True)
        return 1


def _too_long(number: int, frame: FrameType | None) -> None:
    raise TimeoutError


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
