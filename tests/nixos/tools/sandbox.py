"""Tries, from inside a service's sandbox, what the sandbox must forbid; says what was possible.

Run as the command of a unit with the service's own properties, so that it meets the same user,
mounts, system call filters and IP filters. Each attempt runs in a child of its own, since a filter
may kill. The report is a JSON file: attempt to ``{"possible": …, "detail": …}``, and the facts of
``/proc/self/status``. Which attempt must fail is not decided here: run outside a sandbox as an
ordinary user, most succeed, which is how the test knows that they can. Standard library alone.
"""

from __future__ import annotations

import argparse
import ctypes
import errno
import json
import os
import platform
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

PATIENCE = 3.0
"""Seconds until a connection that nobody answers counts as refused."""
NET_FAMILIES = {"netlink": 16, "packet": 17, "bluetooth": 31, "alg": 38, "vsock": 40, "can": 29}
CLONE_NEWUSER = 0x10000000
PER_LINUX32 = 0x0008
SYS_ADD_KEY = {"x86_64": 248, "aarch64": 217}
DEPTH = 4
"""How deep the folders of the file system are asked whether they can be written to."""

Attempt = Callable[[], str]
"""Does what must not be possible and says what came of it; raises ``OSError`` where it cannot."""

libc = ctypes.CDLL(None, use_errno=True)


def checked(result: int) -> int:
    """A C function's result; raises the ``OSError`` that errno holds where it is -1."""
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def writable_folders() -> Iterator[str]:
    """Every folder of the first levels that this process may write to, /proc left out."""
    for root, folders, _ in os.walk("/", onerror=None):
        depth = root.count("/") if root != "/" else 0
        if root == "/":
            folders[:] = [name for name in folders if name != "proc"]
        if root.startswith("/nix/store/") or depth >= DEPTH:
            folders.clear()
        if os.access(root, os.W_OK | os.X_OK):
            yield root


def write(path: str) -> Attempt:
    """Make a file in a folder, and leave it there for the test to find from outside."""

    def attempt() -> str:
        file = Path(path) / "hybrid-ai-sandbox-probe"
        file.write_text("made by the sandbox probe", encoding="utf-8")
        return f"{file} was written"

    return attempt


def change(path: str) -> Attempt:
    """Open a file of the kernel's for writing; writes nothing."""

    def attempt() -> str:
        os.close(os.open(path, os.O_WRONLY))
        return f"{path} can be written"

    return attempt


def read(path: str) -> Attempt:
    """Read a file."""

    def attempt() -> str:
        return f"{len(Path(path).read_bytes())} bytes were read from {path}"

    return attempt


def family(number: int) -> Attempt:
    """Make a socket of an address family; without a filter, a lack of rights is another errno."""

    def attempt() -> str:
        kind = socket.SOCK_SEQPACKET if number == NET_FAMILIES["alg"] else socket.SOCK_RAW
        try:
            socket.socket(number, kind).close()
        except OSError as error:
            if error.errno == errno.EAFNOSUPPORT:
                raise
            return f"the family is there: {error}"
        return "a socket was made"

    return attempt


def tcp(address: str) -> Attempt:
    """Connect and read the greeting."""

    def attempt() -> str:
        host, _, port = address.rpartition(":")
        with socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE) as made:
            return f"was greeted: {made.recv(64).decode()}"

    return attempt


def udp(address: str) -> Attempt:
    """Send a datagram and read the answer."""

    def attempt() -> str:
        host, _, port = address.rpartition(":")
        host = host.strip("[]")
        kind = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(kind, socket.SOCK_DGRAM) as made:
            made.settimeout(PATIENCE)
            made.sendto(b"hello", (host, int(port)))
            return f"was answered: {made.recv(64).decode()}"

    return attempt


def set_user_id_on_a_file() -> str:
    """Make a file that would run as its owner."""
    with tempfile.NamedTemporaryFile(dir=own_folder()) as file:
        Path(file.name).chmod(0o4755)
        if not Path(file.name).stat().st_mode & stat.S_ISUID:
            raise OSError(errno.EPERM, "the bit was dropped")
    return "a file got the set-user-id bit"


def gain(program: str) -> Attempt:
    """Run a program that is root's and has the set-user-id bit, and see who it runs as."""

    def attempt() -> str:
        done = subprocess.run([program, "-u"], capture_output=True, text=True, check=False)
        if done.stdout.strip() != "0":
            raise OSError(errno.EPERM, f"it ran as {done.stdout.strip()} {done.stderr.strip()}")
        return "a program ran as root"

    return attempt


def see_others() -> str:
    """Find a process of another user in /proc."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and entry.stat().st_uid != os.getuid():
            return f"process {entry.name} of user {entry.stat().st_uid} is visible"
    raise OSError(errno.ENOENT, "only own processes are visible")


def see_devices() -> str:
    """Find a device that is not one of the harmless ones."""
    harmless = {"null", "zero", "full", "random", "urandom", "tty", "ptmx", "console"}
    for entry in Path("/dev").iterdir():
        if entry.name in harmless or entry.is_symlink():
            continue
        mode = entry.stat().st_mode
        if stat.S_ISBLK(mode) or stat.S_ISCHR(mode):
            return f"{entry} is there"
    raise OSError(errno.ENOENT, "only harmless devices")


def trace() -> str:
    """Be traced, as a debugger wants it."""
    checked(libc.ptrace(0, 0, None, None))
    return "ptrace works"


def mount() -> str:
    """Mount a file system."""
    checked(libc.mount(b"none", own_folder().encode(), b"tmpfs", 0, None))
    return "something was mounted"


def user_namespace() -> str:
    """Become root in a namespace of one's own: the start of many an escape."""
    checked(libc.unshare(CLONE_NEWUSER))
    return "a user namespace was made"


def personality() -> str:
    """Switch to another execution domain."""
    checked(libc.personality(PER_LINUX32))
    return "the execution domain was changed"


def add_key() -> str:
    """Put a key into the kernel's keyring (-2: the process's own)."""
    number = SYS_ADD_KEY[platform.machine()]
    checked(libc.syscall(number, b"user", b"hybrid-ai-probe", b"x", 1, -2))
    return "the kernel's keyring was used"


def real_time() -> str:
    """Take the processor from everybody else."""
    os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    return "real-time scheduling"


def kernel_log() -> str:
    """Read the kernel's log by system call (3: read everything)."""
    return f"{checked(libc.klogctl(3, ctypes.create_string_buffer(4096), 4096))} bytes of it"


def host_name() -> str:
    """Rename the machine."""
    checked(libc.sethostname(b"probed", 6))
    return "the machine was renamed"


def own_folder() -> str:
    """Where this process may write: its state, or outside a sandbox a folder of its own."""
    return os.environ.get("STATE_DIRECTORY", "").split(":")[0] or tempfile.gettempdir()


def attempts(given: argparse.Namespace) -> dict[str, Attempt]:
    """Every attempt by name."""
    found: dict[str, Attempt] = {f"write {path}": write(path) for path in given.write}
    found |= {f"read {path}": read(path) for path in given.read}
    found |= {f"change {path}": change(path) for path in given.change}
    found |= {f"family {name}": family(number) for name, number in NET_FAMILIES.items()}
    found |= {f"tcp {address}": tcp(address) for address in given.address}
    found |= {f"udp {address}": udp(address) for address in given.address}
    if given.setuid_program:
        found["gain root by a set-user-id program"] = gain(given.setuid_program)
    return found | {
        "set-user-id bit on a file": set_user_id_on_a_file,
        "see others' processes": see_others,
        "see devices": see_devices,
        "ptrace": trace,
        "mount": mount,
        "user namespace": user_namespace,
        "personality": personality,
        "kernel keyring": add_key,
        "real-time scheduling": real_time,
        "kernel log": kernel_log,
        "host name": host_name,
    }


def outcome(attempt: Attempt) -> dict[str, Any]:
    """What came of an attempt, made in a child."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            found = {"possible": True, "detail": attempt()}
        except OSError as error:
            name = errno.errorcode.get(error.errno or 0, "")
            found = {"possible": False, "detail": f"{name} {error}".strip()}
        except BaseException as error:  # noqa: BLE001  (reported: the probe itself is at fault)
            found = {"possible": None, "detail": f"{type(error).__name__}: {error}"}
        os.write(writing, json.dumps(found).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    if said:
        result: dict[str, Any] = json.loads(said)
        return result
    if os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        return {"possible": False, "detail": f"killed by {name}"}
    return {"possible": None, "detail": f"the child ended with {status} and said nothing"}


def main(arguments: list[str]) -> int:
    """Make every attempt and write the report; 0 whatever was possible."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--report", type=Path, help="default: in the state directory")
    parser.add_argument("--write", action="append", default=[], help="folder to write into")
    parser.add_argument("--read", action="append", default=[], help="file to read")
    parser.add_argument("--change", action="append", default=[], help="file to open for writing")
    parser.add_argument("--address", action="append", default=[], help="host:port to connect to")
    parser.add_argument("--setuid-program", help="a copy of id that is root's and set-user-id")
    given = parser.parse_args(arguments)
    status = Path("/proc/self/status").read_text(encoding="ascii")
    report = {
        "status": dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line),
        "groups": os.getgroups(),
        "writable": sorted(writable_folders()),
        "attempts": {name: outcome(attempt) for name, attempt in attempts(given).items()},
    }
    file = given.report or Path(own_folder()) / "sandbox-probe.json"
    file.write_text(json.dumps(report, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
