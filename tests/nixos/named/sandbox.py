"""sandbox: what each service of the stack cannot do, tried from inside its own sandbox.

An active unit proves nothing about its sandbox. The probe runs with the very properties of each
unit; outside, as an ordinary user, the same probe can do most of what it cannot do inside, which
shows that the attempts are real. Limits of memory and processes are tried where the machine has
them: a virtual machine does, a container here does not.
"""

from __future__ import annotations

import re

from tests.nixos.background import Background
from tests.nixos.coordinator import Coordinator
from tests.nixos.limits import limits_hold
from tests.nixos.machine import Machine, Machines
from tests.nixos.probing import Findings, as_nobody, inside, sandbox_of
from tests.nixos.registry import named
from tests.nixos.units import COORDINATOR, main_pid, properties, wanted_units

OURS = re.compile(
    r"(hybrid-coordinator|hybrid-ai-[\w-]+|lemonade-server|ollama|qdrant|redis-hybrid-ai)\.service"
)
FOREIGN = ("192.0.2.1:9099", "[2001:db8::1]:9099")
LOCAL = "127.0.0.1:9099"
FOLDERS = (
    "/",
    "/etc",
    "/usr",
    "/var",
    "/var/lib",
    "/var/log",
    "/run",
    "/nix/store",
    "/home",
    "/root",
)
KERNEL = ("/proc/sys/kernel/hostname", "/proc/sys/vm/swappiness", "/proc/sysrq-trigger")
SECRET = "/home/hybrid-ai-visitor/diary"
SETUID = "/var/lib/hybrid-ai-setuid/id"
PRIVATE = {"/tmp", "/var/tmp"}
"""Folders that every service has for itself."""

REAL_OUTSIDE = (
    "write /home/hybrid-ai-visitor",
    "family netlink",
    f"read {SECRET}",
    "see others' processes",
    "gain root by a set-user-id program",
    "set-user-id bit on a file",
    "personality",
)
"""What an ordinary user can do, so that a sandbox in which it fails is what made it fail."""


@named("sandbox", scenarios=("minimal", "full"), qemu=True, fails=("hybrid-ai-eat.service",))
def sandbox(machines: Machines) -> None:
    """From inside: no writes outside its state, no privileges, no other families, no network."""
    machine = machines["machine"]
    machine.succeed(
        "install -d -m 0777 /home/hybrid-ai-visitor",
        f"echo 'dear diary' > {SECRET}; chmod 644 {SECRET}",
        f"install -d {SETUID.rpartition('/')[0]}",
        f"install -m 4755 $(readlink --canonicalize $(command -v id)) {SETUID}",
    )
    greeter = Background(machine, "greeter", "foreign.py")
    greeter.wait_for_output("greeting at")
    try:
        arguments = _arguments()
        outside = as_nobody(machine, arguments)
        for name in (*REAL_OUTSIDE, *_addresses("tcp"), *_addresses("udp")):
            assert outside.possible(name), f"outside of a sandbox, {name}: {outside.detail(name)}"
        for unit in _units(machine):
            found = inside(machine, unit, arguments)
            _confined(machine, unit, found)
            _tell(machine, unit, found)
        _the_running_service_is_as_confined(machine)
    finally:
        greeter.stop()
        machine.succeed("rm -rf /home/hybrid-ai-visitor /var/lib/hybrid-ai-setuid")
    limits_hold(machine, COORDINATOR)
    Coordinator(machine).wait_until_ready()


def _tell(machine: Machine, unit: str, found: Findings) -> None:
    """The log says what was tried; for the coordinator, also how each attempt ended."""
    refused = [name for name in found.attempts if not found.possible(name)]
    machine.log(f"{unit}: from inside its sandbox {len(refused)} attempts failed, as they must")
    if unit == COORDINATOR:
        for name in refused:
            machine.log(f"  {name}: {found.detail(name)}")


def _units(machine: Machine) -> list[str]:
    """Every service of the stack, and those that its timers run; of equal sandboxes one."""
    units = wanted_units(machine)
    timers = [unit for unit in units if unit.endswith(".timer")]
    jobs = [properties(machine, timer, "Unit")["Unit"] for timer in timers]
    found = sorted({unit for unit in (*units, *jobs) if OURS.fullmatch(unit)})
    assert COORDINATOR in found, found
    return list({sandbox_of(machine, unit): unit for unit in found}.values())


def _arguments() -> list[str]:
    folders = (*FOLDERS, "/home/hybrid-ai-visitor", "/tmp", "/var/tmp", "/dev/shm")
    return [
        *(f"--write={folder}" for folder in folders),
        *(f"--change={file}" for file in KERNEL),
        f"--read={SECRET}",
        "--read=/etc/shadow",
        *(f"--address={address}" for address in (LOCAL, *FOREIGN)),
        f"--setuid-program={SETUID}",
    ]


def _addresses(kind: str) -> list[str]:
    return [f"{kind} {address}" for address in FOREIGN]


def _confined(machine: Machine, unit: str, found: Findings) -> None:
    names = ("StateDirectory", "RuntimeDirectory", "IPAddressDeny", "PrivateNetwork")
    shown = properties(machine, unit, *names)
    local_only = bool(shown["IPAddressDeny"])
    here = [f"tcp {LOCAL}", f"udp {LOCAL}"] if shown["PrivateNetwork"] == "no" else []
    may = {*(f"write {folder}" for folder in PRIVATE), *here}
    if not local_only:
        may |= {*_addresses("tcp"), *_addresses("udp")}
    done = [
        n for n in found.attempts if n not in may and n != "write /dev/shm" and found.possible(n)
    ]
    listed = "\n".join(f"  {name}: {found.detail(name)}" for name in done)
    assert not done, f"from inside, {unit} could:\n{listed}"
    # Loopback answers, so what did not answer was held back by the filter.
    for name in here:
        assert found.possible(name), f"{unit}: {name}: {found.detail(name)}"
    _writes_stay_inside(machine, unit, found, shown)
    _has_no_privileges(unit, found.status)
    if unit == COORDINATOR:
        assert local_only == _is_local_only(machine), f"{unit} denies '{shown['IPAddressDeny']}'"


def _is_local_only(machine: Machine) -> bool:
    """Whether everything the coordinator speaks to is on this machine."""
    settings = Coordinator(machine).settings
    urls = [backend.get("base_url") or "" for backend in settings["backends"].values()]
    urls += [settings.get(part, {}).get("url") or "" for part in ("qdrant", "redis")]
    hosts = [re.sub(r"^\w+://(.*@)?(\[[^]]+\]|[^:/]*).*$", r"\2", url) for url in urls if url]
    return all(h in ("", "localhost", "[::1]") or h.startswith("127.") for h in hosts)


def _writes_stay_inside(
    machine: Machine, unit: str, found: Findings, shown: dict[str, str]
) -> None:
    """What it may write to is its own, and what it wrote to /tmp is not in anybody else's."""
    own = [*PRIVATE, "/dev/shm", "/dev/mqueue"]
    for name in shown["StateDirectory"].split():
        own += [f"/var/lib/{name}", f"/var/lib/private/{name}"]
    for name in shown["RuntimeDirectory"].split():
        own += [f"/run/{name}", f"/run/private/{name}"]
    strange = [
        folder
        for folder in found.writable
        if not any(folder == mine or folder.startswith(f"{mine}/") for mine in own)
    ]
    assert not strange, f"{unit} may write to {strange}"
    assert any(folder.startswith("/var/lib/") for folder in found.writable), found.writable
    for folder in (*PRIVATE, "/dev/shm"):
        left = f"{folder}/hybrid-ai-sandbox-probe"
        status, _ = machine.execute(f"test -e {left}")
        machine.succeed(f"rm -f {left}")
        assert status != 0, f"what {unit} wrote to {folder} is seen by everybody"


def _has_no_privileges(unit: str, status: dict[str, str]) -> None:
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[name], 16) == 0, f"{unit} has {name} {status[name]}"
    assert status["NoNewPrivs"] == "1", f"{unit}: NoNewPrivs is {status['NoNewPrivs']}"
    assert status["Seccomp"] == "2", f"{unit} has no system call filter"
    assert "0" not in status["Uid"].split(), f"{unit} runs as user {status['Uid']}"
    assert "0" not in status["Gid"].split(), f"{unit} runs in group {status['Gid']}"


def _the_running_service_is_as_confined(machine: Machine) -> None:
    """The process that runs has what its copy had, not only the unit on paper."""
    pid = main_pid(machine)
    lines = machine.succeed(f"cat /proc/{pid}/status").splitlines()
    _has_no_privileges(COORDINATOR, dict(line.split(":\t", 1) for line in lines if ":\t" in line))
    for name in ("mnt", "user", "ipc"):
        ours, its = machine.succeed(f"readlink /proc/1/ns/{name} /proc/{pid}/ns/{name}").split()
        assert ours != its, f"the running service shares the machine's '{name}' namespace"
