"""A guest as a container: systemd-nspawn with a real systemd, ready in about two seconds.

Limits on memory and on processes are without effect in it; everything else is real. The root's own
systemd-nspawn is used, so this machine needs none. It lives in a control group and a mount
namespace of its own; its writable layer is a tmpfs. Not for a virtual machine: see `qemu`.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shlex
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

from tests.systemd.channel import CommandTimedOut, Finished, GuestError
from tests.systemd.guardian import Guardian
from tests.testbed import guest, roots

_BOOT_S = 60.0
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# The kernel ends a child with the *thread* that started it, so one thread starts all of them.
starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="guest-starter")

# $1 layer, $2 root, $3 place to mount on, $4 control group, then pairs source and target to bind,
# then "--" and the command. This machine's cgroup version 1 hierarchies are hidden behind a plain
# cgroup2, else nspawn would give the guest a hybrid one.
_SCRIPT = """\
layer=$1 root=$2 place=$3 group=$4; shift 4
echo $$ >"$group/cgroup.procs"
mount -t tmpfs -o mode=0755,size=75% tmpfs "$place"
mkdir "$place/upper" "$place/work" "$place/root"
mount -t overlay overlay \
    -o "lowerdir=$layer:$root,upperdir=$place/upper,workdir=$place/work" "$place/root"
umount -R /sys/fs/cgroup 2>/dev/null || :
mount -t cgroup2 cgroup2 /sys/fs/cgroup
while [ "$1" != -- ]; do
    mount --bind "$1" "$place/root$2"
    mount -o remount,bind,ro "$place/root$2"
    shift 2
done
shift
exec "$@"
"""


class Container:
    """One running container. `network` is another's, to share its loopback interface."""

    def __init__(
        self,
        name: str,
        layer: Path,
        shared: Mapping[str, Path],
        guardian: Guardian,
        network: Container | None = None,
    ) -> None:
        self.name = name
        self._group = guardian.group(name)
        self._log = guardian.folder / f"{name}.console"
        place = guardian.folder / f"{name}.mount"
        place.mkdir()
        root = guest.root()
        binds = [part for inside, source in shared.items() for part in (str(source), inside)]
        command = ["unshare", "--mount", "--propagation", "private", "--", "sh", "-euc", _SCRIPT]
        command += ["sh", str(layer), str(root), str(place), str(self._group), *binds, "--"]
        command += self._nspawn(root, place / "root", network)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
            # An abstract address, which no mount hides.
            address = f"hybrid-ai-guest-{secrets.token_hex(8)}"
            notified.bind(f"\0{address}")
            with self._log.open("ab") as console:
                self._process = starter.submit(
                    subprocess.Popen,
                    ["setpriv", "--pdeathsig", "KILL", "--", *command],
                    stdin=subprocess.DEVNULL,
                    stdout=console,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    env={
                        **os.environ,
                        "NOTIFY_SOCKET": f"@{address}",
                        "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",
                    },
                ).result()
            self.leader = self._wait_for_leader(notified)
        self._wait_for_systemd()
        self._follow_journal()

    def run(self, script: str, timeout: float | None, data: bytes = b"") -> Finished:
        """See `Channel.run`."""
        if self._process.poll() is not None:
            raise self._gone()
        # Files and not pipes: what the command leaves running does not keep it from ending.
        with (
            tempfile.TemporaryFile() as stdin,
            tempfile.TemporaryFile() as stdout,
            tempfile.TemporaryFile() as stderr,
        ):
            stdin.write(data)
            stdin.seek(0)
            process = subprocess.Popen(
                self._inside("bash", "-c", script),
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
            try:
                status = process.wait(timeout)
            except BaseException as error:  # also Ctrl-C: the command ends with its caller
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                if not isinstance(error, subprocess.TimeoutExpired):
                    raise
                text = _read(stdout) + _read(stderr)
                raise CommandTimedOut(
                    f"{self.name}: a command did not end within {timeout:.0f} s: {script}",
                    text.decode(errors="replace"),
                ) from None
            return Finished(status, _read(stdout), _read(stderr))

    def console(self) -> str:
        """See `Channel.console`."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def shell(self) -> int:
        """See `Channel.shell`."""
        return subprocess.call(self._inside("env", "TERM=xterm", "bash", "-i"))

    def _inside(self, *command: str) -> list[str]:
        """The command in the guest: its namespaces, its root, an environment of its own."""
        enter = [
            *("nsenter", f"--target={self.leader}", "--mount", "--uts", "--ipc", "--net", "--pid"),
            *("--cgroup", "--root", "--wd", "--", "env", "-i", f"PATH={_PATH}", "HOME=/root"),
            *("LANG=C.UTF-8", *command),
        ]
        # In the control group of the guest's first process, as a program started by it would be.
        scope = self._group / "payload" / "init.scope" / "cgroup.procs"
        return ["sh", "-c", f"echo $$ >{shlex.quote(str(scope))}; {shlex.join(['exec', *enter])}"]

    def _follow_journal(self) -> None:
        """Let the journal run into the console's file: journald itself writes to terminals only."""
        with self._log.open("ab") as console:
            follow = self._inside(
                "journalctl", "--follow", "--lines=all", "--output=short-precise", "--no-hostname"
            )
            starter.submit(
                subprocess.Popen,
                ["setpriv", "--pdeathsig", "KILL", "--", *follow],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            ).result()

    def _nspawn(self, root: Path, place: Path, network: Container | None) -> list[str]:
        if network is None:
            net = "--private-network"
        else:
            net = f"--network-namespace-path=/proc/{network.leader}/ns/net"
        program = roots.loader_argv(root, "usr/bin/systemd-nspawn")
        # Its private library is beside the public ones.
        program[2] += "".join(f":{part}/systemd" for part in program[2].split(":"))
        return [
            *program,
            *(f"--directory={place}", f"--machine={self.name}", "--boot", net),
            *("--register=no", "--keep-unit", "--console=pipe", "--link-journal=no"),
            *("--resolv-conf=off", "--timezone=off", "--kill-signal=SIGRTMIN+3"),
            # For IPAddressDeny=, which systemd does with BPF.
            *("--capability=all", "--system-call-filter=bpf"),
        ]

    def _wait_for_leader(self, notified: socket.socket) -> int:
        deadline = time.monotonic() + _BOOT_S
        notified.settimeout(0.1)
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                message = notified.recv(4096).decode()
            except TimeoutError:
                continue
            for line in message.splitlines():
                if line.startswith("X_NSPAWN_LEADER_PID="):
                    return int(line.removeprefix("X_NSPAWN_LEADER_PID="))
        raise self._gone()

    def _wait_for_systemd(self) -> None:
        deadline = time.monotonic() + _BOOT_S
        while time.monotonic() < deadline and self._process.poll() is None:
            scope = self._group / "payload" / "init.scope"
            if scope.is_dir() and self.run("systemctl show --property=Version", 10).status == 0:
                return
            time.sleep(0.02)
        raise self._gone()

    def _gone(self) -> GuestError:
        tail = "\n".join(self.console().splitlines()[-30:])
        state = "does not answer" if self._process.poll() is None else "ended"
        return GuestError(f"the container '{self.name}' {state}. Its console ends with:\n{tail}")


def _read(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()
