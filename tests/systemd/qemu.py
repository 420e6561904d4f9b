"""A guest as a virtual machine: QEMU in software emulation, ready in a quarter of a minute.

Its limits on memory and processes are real, and so is its boot. KVM is never used, also where its
device opens. The disks are the testbed's images, read-only; what the guest writes goes into a
temporary file. Commands go through an agent on a virtio port; a command without an answer is a
failure. Not for the fast loop: see `nspawn`.
"""

from __future__ import annotations

import base64
import itertools
import json
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future, InvalidStateError
from concurrent.futures import TimeoutError as FutureTimeout
from pathlib import Path
from typing import Any

from tests.systemd import agent
from tests.systemd.channel import CommandTimedOut, Finished, GuestError
from tests.systemd.guardian import Guardian
from tests.systemd.nspawn import starter
from tests.testbed import guest_images

_BOOT_S = 180.0
_GRACE_S = 30.0  # what an answer may take on its way, beside the command's own time
_MEMORY = "4G"
# Wide vectors are emulated an element at a time: without them the embedder takes half as long.
_CPU = "max,-avx,-avx2,-fma,-f16c"
_AGENT = "/usr/local/lib/hybrid-ai-test-agent.py"
_AGENT_UNIT = f"""\
[Unit]
Description=Agent of the tests' driver
DefaultDependencies=no
After=systemd-remount-fs.service systemd-tmpfiles-setup.service
Before=basic.target

[Service]
Type=exec
ExecStart=/usr/bin/python3 {_AGENT}
Environment=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
Environment=HOME=/root LANG=C.UTF-8
OOMScoreAdjust=-900
Restart=on-failure
"""
# What is slow in emulation is not broken: Debian's own units get the time that they need.
_MANAGER = "[Manager]\nDefaultTimeoutStartSec=600\nDefaultTimeoutStopSec=120\n"
# The first process: put the node's files over the root, mount the shared parts, be systemd.
_INIT = """\
{mounts}
exec /usr/lib/systemd/systemd
"""


class VirtualMachine:
    """One running virtual machine."""

    def __init__(
        self, name: str, layer: Path, shared: Mapping[str, Path], guardian: Guardian
    ) -> None:
        self.name = name
        self._log = guardian.folder / f"{name}.console"
        self._group = guardian.group(name)
        self._pending: dict[int, Future[dict[str, Any]]] = {0: Future()}
        self._numbers = itertools.count(1)
        self._writing = threading.Lock()
        _add_agent(layer, shared)
        own = guardian.folder / f"{name}.ext4"
        guest_images.write_disk(layer, own)
        disks = [guest_images.root_disk(), own]
        disks += [guest_images.disk(part) for part in shared.values()]
        ours, theirs = socket.socketpair()
        with theirs, self._log.open("ab") as console:
            join = f'echo $$ >"{self._group}/cgroup.procs"; exec "$@"'
            self._process = starter.submit(
                subprocess.Popen,
                [
                    *("setpriv", "--pdeathsig", "KILL", "--", "sh", "-euc", join, "sh"),
                    *self._qemu(disks, theirs.fileno(), guardian.folder),
                ],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=[theirs.fileno()],
            ).result()
        self._socket = ours
        threading.Thread(target=self._receive, name=f"{name}-replies", daemon=True).start()
        began = time.monotonic()
        self._reply(0, _BOOT_S)
        self.boot_s = time.monotonic() - began

    def run(self, script: str, timeout: float | None, data: bytes = b"") -> Finished:
        """See `Channel.run`."""
        number = next(self._numbers)
        self._pending[number] = Future()
        coded = base64.b64encode(data).decode("ascii")
        request = {"id": number, "script": script, "data": coded, "timeout": timeout}
        try:
            with self._writing:
                self._socket.sendall(json.dumps(request).encode() + b"\n")
        except OSError:
            raise self._gone() from None
        reply = self._reply(number, None if timeout is None else timeout + _GRACE_S)
        output, errors = (base64.b64decode(reply[key]) for key in ("output", "errors"))
        if reply["status"] is None:
            raise CommandTimedOut(
                f"{self.name}: a command did not end within {timeout:.0f} s: {script}",
                (output + errors).decode(errors="replace"),
            )
        return Finished(reply["status"], output, errors)

    def console(self) -> str:
        """See `Channel.console`."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def shell(self) -> int:
        """See `Channel.shell`. Line by line: there is no terminal in the machine."""
        print("Each line is a command of its own; end with Ctrl-D.", file=sys.stderr)
        for line in sys.stdin:
            done = self.run(line, None)
            sys.stdout.write(done.output.decode(errors="replace"))
            sys.stdout.write(done.errors.decode(errors="replace"))
            print(f"[{done.status}] ", end="", flush=True)
        return 0

    def _qemu(self, disks: list[Path], port: int, folder: Path) -> list[str]:
        # Disks are found by their namespace's number: the kernel names them in any order, and
        # starts as soon as the root's is there.
        start = (
            "mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs dev /dev; n=0; "
            f"until [ $(cat /sys/block/nvme*/nsid | wc -l) = {len(disks)} ]; "
            "do n=$((n+1)); [ $n -lt 300 ]; sleep 0.1; done; "
            "disk() { grep -lx $1 /sys/block/nvme*/nsid | cut -d/ -f4; }; "
            "mount -o ro /dev/$(disk 2) /mnt; cp -a /mnt/. /; umount /mnt; . /.init"
        )
        kernel = (
            f"root={guest_images.ROOT_PARTITION} rootwait rootfstype=ext4 rw console=hvc0 quiet "
            f'panic=-1 init=/bin/sh -- -ec "{start}"'
        )
        arguments = [
            *(guest_images.qemu(), "-accel", "tcg,thread=multi", "-cpu", _CPU, "-M", "q35"),
            *("-smp", "2", "-m", _MEMORY, "-nodefaults", "-no-user-config", "-no-reboot"),
            *("-nographic", "-nic", "none", "-kernel", str(guest_images.kernel())),
            *("-append", kernel, "-device", "virtio-serial-pci", "-device", "nvme,id=n,serial=n"),
            *("-chardev", "stdio,id=console,signal=off", "-device", "virtconsole,chardev=console"),
            *("-chardev", f"socket,id=agent,fd={port}"),
            *("-device", f"virtserialport,chardev=agent,name={agent.PORT}"),
        ]
        for number, disk in enumerate(disks, start=1):
            drive = f"file={disk},format=raw,if=none,id=d{number},snapshot=on"
            namespace = f"nvme-ns,drive=d{number},nsid={number}"
            arguments += ["-drive", drive, "-device", namespace]
        return ["env", f"TMPDIR={folder}", *arguments]

    def _receive(self) -> None:
        with self._socket.makefile("rb") as lines:
            for line in lines:
                reply = json.loads(line)
                waiting = self._pending.pop(reply["id"], None)
                if waiting is not None:
                    waiting.set_result(reply)
        for waiting in list(self._pending.values()):
            try:
                waiting.set_exception(self._gone())
            except InvalidStateError:
                continue  # answered just before the end

    def _reply(self, number: int, timeout: float | None) -> dict[str, Any]:
        waiting = self._pending.get(number)
        if waiting is None:
            raise self._gone()
        try:
            return waiting.result(timeout)
        except FutureTimeout:
            raise self._gone() from None

    def _gone(self) -> GuestError:
        tail = "\n".join(self.console().splitlines()[-30:])
        state = "does not answer" if self._process.poll() is None else "ended"
        return GuestError(
            f"the virtual machine '{self.name}' {state}. Its console ends with:\n{tail}"
        )


def _add_agent(layer: Path, shared: Mapping[str, Path]) -> None:
    """What only a virtual machine needs, put into the node's files."""
    target = layer / _AGENT.lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(agent.__file__, target)
    system = layer / "etc/systemd/system"
    (system / "hybrid-ai-test-agent.service").write_text(_AGENT_UNIT, encoding="utf-8")
    wants = system / "sysinit.target.wants"
    wants.mkdir(exist_ok=True)
    (wants / "hybrid-ai-test-agent.service").symlink_to("../hybrid-ai-test-agent.service")
    manager = layer / "etc/systemd/system.conf.d/tests.conf"
    manager.parent.mkdir(exist_ok=True)
    manager.write_text(_MANAGER, encoding="utf-8")
    mounts = [
        f"mount -o ro /dev/$(disk {number}) {inside}"
        for number, inside in enumerate(shared, start=3)
    ]
    (layer / ".init").write_text(_INIT.format(mounts="\n".join(mounts)), encoding="utf-8")
    target.chmod(0o755)
