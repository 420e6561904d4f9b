"""The driver itself, on a container with a few units of its own: its verbs, its errors, its end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.systemd import host
from tests.systemd.channel import GuestError
from tests.systemd.driver import CommandFailed, GuestMachine, UnitFailed, WaitedTooLong
from tests.systemd.layer import TOOLS_INSIDE
from tests.systemd.programs import UnknownPackage, links
from tests.systemd.rendered_node import UnknownScenario, nodes
from tests.systemd.scenario import booted
from tests.testbed.process import wait_until
from tests.testbed.requirement import require

_UNITS = {
    "slow.service": "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=sleep 1\n",
    "broken.service": "[Service]\nType=oneshot\nExecStart=sh -c 'echo it is broken; exit 3'\n",
    "idle.service": "[Service]\nExecStart=sleep infinity\n",
    "echo.socket": "[Socket]\nListenStream=127.0.0.1:7000\nAccept=yes\n",
    "echo@.service": "[Service]\nExecStart=cat\nStandardInput=socket\n",
    "tools.service": "[Service]\nType=oneshot\nUser=keeper\nExecStart=/nix/store/x-tools/bin/id\n",
}
_HOST = {
    "etc": {"greeting": {"mode": "0640", "source": "/nix/store/y-greeting"}},
    "groups": {"keepers": []},
    "hostName": "machine",
    "sysctl": {},
    "systemPackages": ["redis"],
    "tmpfiles": ["d /var/lib/made 0750 keeper keepers"],
    "users": {"keeper": {"extraGroups": [], "group": "keepers", "home": "/var/empty"}},
}


def _render(folder: Path, scenario: str, *names: str) -> None:
    for name in names:
        node = folder / scenario / name
        (node / "units").mkdir(parents=True)
        (node / "store").mkdir()
        for unit, text in _UNITS.items():
            (node / "units" / unit).write_text(text, encoding="utf-8")
        (node / "store" / "y-greeting").write_text("hello", encoding="utf-8")
        packages = {"/nix/store/x-tools": "coreutils"}
        wants = {"multi-user.target.wants/slow.service": "../slow.service"}
        tables = {"packages": packages, "links": wants, "host": {**_HOST, "hostName": name}}
        for table, content in tables.items():
            (node / f"{table}.json").write_text(json.dumps(content), encoding="utf-8")


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuestMachine]:
    require("systemd")
    folder = tmp_path_factory.mktemp("rendered")
    _render(folder, "driver", "machine")
    with booted("driver", folder=folder) as machines:
        yield machines["machine"]


def test_a_command_that_fails_raises_with_its_output_and_its_status(machine: GuestMachine) -> None:
    with pytest.raises(CommandFailed, match=r"(?s)status 7.*heard.*complaint"):
        machine.succeed("echo heard; echo a complaint >&2; exit 7")
    with pytest.raises(CommandFailed, match="succeeded unexpectedly"):
        machine.fail("true")
    assert machine.execute("echo heard; exit 7") == (7, "heard\n")
    assert machine.fail("echo as wanted; false") == "as wanted\n"


def test_a_failing_part_of_a_pipe_or_an_unset_variable_fails_the_command(
    machine: GuestMachine,
) -> None:
    assert machine.execute("false | true")[0] != 0
    assert machine.execute("echo $nobody_set_this")[0] != 0


def test_a_command_that_takes_too_long_is_killed_and_says_what_it_wrote(
    machine: GuestMachine,
) -> None:
    assert machine.execute("echo begun; sleep 4242", timeout=1) == (124, "begun\n")
    assert wait_until(lambda: machine.execute("pgrep -f 'sleep 4242'")[0] != 0, 5)


def test_what_a_command_leaves_running_does_not_keep_it_from_ending(machine: GuestMachine) -> None:
    began = time.monotonic()
    machine.succeed("sleep 60 & echo started")
    assert time.monotonic() - began < 30


def test_waiting_for_a_unit_ends_when_it_is_active(machine: GuestMachine) -> None:
    machine.wait_for_unit("slow.service", timeout=60)
    assert machine.get_unit_property("slow.service", "ActiveState") == "active"


def test_waiting_for_a_unit_that_failed_raises_at_once_with_its_journal(
    machine: GuestMachine,
) -> None:
    status, _ = machine.start_job("broken.service")
    assert status != 0
    began = time.monotonic()
    with pytest.raises(UnitFailed, match=r"(?s)broken\.service failed.*it is broken"):
        machine.wait_for_unit("broken.service", timeout=60)
    assert time.monotonic() - began < 20
    machine.succeed("systemctl reset-failed broken.service")


def test_waiting_for_a_unit_that_nothing_starts_raises_at_once(machine: GuestMachine) -> None:
    machine.wait_for_unit("multi-user.target", timeout=60)
    with pytest.raises(UnitFailed, match="no job is queued"):
        machine.wait_for_unit("idle.service", timeout=60)


def test_waiting_in_vain_says_what_was_seen_last(machine: GuestMachine) -> None:
    with pytest.raises(WaitedTooLong, match=r"(?s)waited 1 s.*status 1.*not yet"):
        machine.wait_until_succeeds("echo not yet; exit 1", timeout=1)
    assert machine.wait_until_fails("echo gone; exit 1", timeout=10) == "gone\n"


def test_a_port_is_open_while_its_socket_unit_listens(machine: GuestMachine) -> None:
    machine.wait_for_closed_port(7000, timeout=10)
    machine.start_job("echo.socket")
    machine.wait_for_open_port(7000, timeout=10)
    machine.stop_job("echo.socket")
    machine.wait_for_closed_port(7000, timeout=10)


def test_a_property_that_a_unit_does_not_have_raises(machine: GuestMachine) -> None:
    with pytest.raises(CommandFailed, match="no property Colour"):
        machine.get_unit_property("slow.service", "Colour")


def test_files_are_copied_in_and_out(machine: GuestMachine, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_bytes(bytes(range(256)))
    machine.copy_from_host(str(tmp_path / "folder"), "/srv/deep/copied")
    machine.wait_for_file("/srv/deep/copied/file", timeout=5)
    assert machine.succeed("stat -c %U:%G /srv/deep/copied/file") == "root:root\n"
    machine.copy_from_machine("/srv/deep/copied", str(tmp_path))
    assert (tmp_path / "copied" / "file").read_bytes() == bytes(range(256))


def test_a_rendered_unit_finds_its_store_paths_its_user_and_its_files(
    machine: GuestMachine,
) -> None:
    assert machine.start_job("tools.service")[0] == 0
    machine.wait_until_succeeds("journalctl --unit=tools.service | grep -F '(keeper)'", timeout=10)
    assert machine.succeed("cat /etc/greeting; stat -c %a /etc/greeting") == "hello640\n"
    assert machine.succeed("stat -c %U:%G:%a /var/lib/made") == "keeper:keepers:750\n"
    machine.succeed(f"redis-cli --version; test -d {TOOLS_INSIDE}")


def test_after_a_failure_the_journal_and_the_failed_units_are_shown(machine: GuestMachine) -> None:
    machine.start_job("broken.service")
    shown = machine.state()
    assert "broken.service" in shown
    assert "it is broken" in shown
    machine.succeed("systemctl reset-failed broken.service")


def test_the_nodes_of_a_scenario_share_loopback_and_know_each_others_names(tmp_path: Path) -> None:
    require("systemd")
    _render(tmp_path, "pair", "left", "right")
    with booted("pair", folder=tmp_path) as machines:
        machines["left"].start_job("echo.socket")
        machines["right"].wait_for_open_port(7000, addr="left", timeout=10)
        assert machines["right"].succeed("cat /etc/hostname") == "right\n"


_KILLED = """\
import signal, sys
from pathlib import Path
from tests.systemd.scenario import booted
with booted("killed", folder=Path(sys.argv[1])) as machines:
    print(machines["machine"].succeed("echo up").strip(), flush=True)
    signal.pause()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_nothing_is_left_behind_when_the_driver_is_ended(
    number: signal.Signals, tmp_path: Path
) -> None:
    require("systemd")
    _render(tmp_path, "killed", "machine")
    cgroup2 = host.require()
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    driver = subprocess.Popen(
        [sys.executable, "-c", _KILLED, str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert driver.stdout is not None
    assert driver.stdout.readline() == b"up\n"
    (folder,) = temporary.iterdir()
    groups = [Path(line) for line in (folder / "groups").read_text().split()]
    assert groups
    assert all(group.is_dir() and group.parent == cgroup2 for group in groups)
    driver.send_signal(number)
    driver.wait(30)
    assert wait_until(lambda: not folder.exists(), 30)
    assert not any(group.exists() for group in groups)


def test_a_machine_that_cannot_run_a_guest_is_told_what_is_missing_and_how_to_do_without(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(GuestError, match=r"needs root.*HYBRID_AI_TESTBED=skip:systemd"):
        host.require()


def test_cgroup2_is_found_where_it_is_mounted_beside_version_1() -> None:
    version_1 = "cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\n"
    version_2 = "cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n"
    assert host.find_cgroup2(version_1) is None
    assert host.find_cgroup2(version_1 + version_2) == Path("/sys/fs/cgroup/unified")


def test_a_scenario_that_is_not_rendered_is_named_with_those_that_are(tmp_path: Path) -> None:
    _render(tmp_path, "known", "machine")
    with pytest.raises(UnknownScenario, match=r"'unheard'.*known"):
        nodes("unheard", tmp_path)


def test_a_package_that_the_guest_lacks_is_named_with_the_place_to_add_it() -> None:
    with pytest.raises(UnknownPackage, match=r"'cowsay'.*programs\.py"):
        links("cowsay")
