"""The testbed's cache folder: build a part once, survive interruption, show progress.

A part is built under a temporary name beside its target and renamed at the end, so what stands
under its own name is complete. A lock file keeps two runs from building the same part at once.
Not for running servers (`tests.testbed.process`) and not for any data of a test.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

_started = time.monotonic()
_RECIPE_FILE = ".testbed-recipe"
_LOG_TAIL_LINES = 15


class PartUnavailable(Exception):
    """A real part of the testbed cannot be had; the message says why and what to do."""


def cache_dir() -> Path:
    """The folder that holds every built part: `${XDG_CACHE_HOME:-~/.cache}/hybrid-ai`."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "hybrid-ai"


def say(message: str) -> None:
    """Print one progress line with the seconds since the testbed was first used."""
    elapsed = time.monotonic() - _started
    print(f"testbed [{elapsed:6.1f} s] {message}", file=sys.stderr, flush=True)


def build_once(name: str, recipe: str, build: Callable[[Path], None]) -> Path:
    """Return the cached folder `name`, building it first where it is absent or out of date.

    `name` is a path below the cache folder. `recipe` is a text that changes whenever the result
    would: it is stored in the folder, and a folder with another recipe is replaced. `build` is
    given an empty folder to fill. Raises PartUnavailable when the build fails.
    """
    target = cache_dir() / name
    if recipe_of(target) == recipe:
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with lock(name):
        if recipe_of(target) == recipe:  # another run built it while this one waited
            return target
        for leftover in target.parent.glob(f".{target.name}.*.tmp"):
            remove_tree(leftover)
        temporary = target.with_name(f".{target.name}.building.tmp")
        temporary.mkdir()
        say(f"{name}: building")
        began = time.monotonic()
        try:
            build(temporary)
            (temporary / _RECIPE_FILE).write_text(recipe, encoding="utf-8")
            if target.exists():
                outdated = target.with_name(f".{target.name}.old.tmp")
                target.rename(outdated)
                temporary.rename(target)
                remove_tree(outdated)
            else:
                temporary.rename(target)
        finally:
            remove_tree(temporary)
        say(f"{name}: built in {time.monotonic() - began:.1f} s")
    return target


def run(
    argv: Sequence[str],
    *,
    log: str,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> None:
    """Run a build command, its output in `logs/<log>.log` of the cache folder.

    The command dies with this process. Raises PartUnavailable with the last lines of the output
    when it cannot be started or its exit status is not 0.
    """
    log_file = cache_dir() / "logs" / f"{log}.log"
    log_file.parent.mkdir(parents=True, exist_ok=True)
    with log_file.open("wb") as sink:
        try:
            status = subprocess.run(
                ["setpriv", "--pdeathsig", "KILL", *argv],
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                cwd=cwd,
                check=False,
            ).returncode
        except OSError as error:
            raise PartUnavailable(
                f"'{argv[0]}' could not be started ({error}); install util-linux and {argv[0]}."
            ) from error
    if status != 0:
        tail = "\n".join(last_lines(log_file))
        raise PartUnavailable(
            f"'{' '.join(argv[:4])} …' failed with status {status}. The whole output is in "
            f"{log_file}; it ends with:\n{tail}"
        )


def in_namespace(argv: Sequence[str]) -> list[str]:
    """`argv` inside its own mount and pid namespace: mounts and children end with the command."""
    require_root()
    return ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--", *argv]


def require_root() -> None:
    """Raise PartUnavailable unless this process is root (root folders need chroot and mount)."""
    if os.geteuid() != 0:
        raise PartUnavailable(
            "Building and entering a root folder needs root: run the testbed as root, or leave "
            "the part out with HYBRID_AI_TESTBED=skip:<part>."
        )


def remove_tree(folder: Path) -> None:
    """Delete `folder` if it is there, never crossing into another file system."""
    if folder.exists():
        subprocess.run(["rm", "-rf", "--one-file-system", str(folder)], check=True)


def last_lines(log_file: Path, count: int = _LOG_TAIL_LINES) -> list[str]:
    """The last `count` lines of a log file; empty where it does not exist."""
    if not log_file.exists():
        return []
    return log_file.read_text(encoding="utf-8", errors="replace").splitlines()[-count:]


def find_command(name: str, *folders: str) -> str | None:
    """The path of a command on PATH, in Debian's sbin folders or in `folders`."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin", *folders])
    return shutil.which(name, path=path)


@contextmanager
def lock(name: str) -> Iterator[None]:
    """Hold the lock `name` against other runs and other threads; wait, and say so, for it."""
    lock_file = cache_dir() / "locks" / f"{name.replace('/', '-')}.lock"
    lock_file.parent.mkdir(parents=True, exist_ok=True)
    with lock_file.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"{name}: waiting for another run that is at it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def recipe_of(target: Path) -> str | None:
    """The recipe that a cached folder was built by; None where there is no such folder."""
    try:
        return (target / _RECIPE_FILE).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
