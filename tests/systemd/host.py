"""What this machine must be able to do before a guest can run, said in a sentence where it cannot.

Not for the guest itself, and not for a choice to leave it out: that is HYBRID_AI_TESTBED.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

from tests.systemd.channel import GuestError
from tests.testbed.cache import find_command

_HINT = "To do without these tests set HYBRID_AI_TESTBED=skip:systemd."
_COMMANDS = {"setpriv": "util-linux", "unshare": "util-linux", "nsenter": "util-linux"}


def require() -> Path:
    """The folder where cgroup2 is mounted, once everything a guest needs was found.

    Raises GuestError with all that is missing.
    """
    missing = list(_missing())
    cgroup2 = find_cgroup2(Path("/proc/mounts").read_text(encoding="utf-8"))
    if cgroup2 is None:
        missing.append(
            "cgroup2 is mounted nowhere ('mount -t cgroup2 cgroup2 <folder>' mounts it on a kernel "
            "that has it)"
        )
    elif os.geteuid() == 0 and not os.access(cgroup2, os.W_OK):
        missing.append(f"{cgroup2} is mounted read-only, so no control group can be made")
    if missing or cgroup2 is None:
        raise GuestError(
            f"The Debian guest cannot run on this machine: {'; '.join(missing)}. {_HINT}"
        )
    return cgroup2


def _missing() -> Iterable[str]:
    if os.geteuid() != 0:
        yield "it needs root, for mounts and namespaces"
        return
    for command, package in _COMMANDS.items():
        if find_command(command) is None:
            yield f"the command '{command}' is not there (Debian's package {package})"
            return
    if "overlay" not in Path("/proc/filesystems").read_text(encoding="utf-8"):
        yield "the kernel has no overlayfs ('modprobe overlay' loads it where it is a module)"
    probe = ["unshare", "--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup", "--fork", "true"]
    tried = subprocess.run(probe, capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        yield f"new namespaces are refused ({tried.stderr.strip()})"


def find_cgroup2(mounts: str) -> Path | None:
    """The first place that cgroup2 is mounted at, by the text of /proc/mounts."""
    for line in mounts.splitlines():
        _, place, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(place)
    return None
