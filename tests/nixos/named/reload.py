"""reload: SIGHUP brings new settings and new keys into force, and no request notices.

The settings file is replaced as a new generation of the system replaces it; then wrong settings are
given, which must be refused with the option's name while those before stay in force. The new keys
are in a file of their own: systemd copies credentials when a service starts, not when it reloads.
"""

from __future__ import annotations

import json
from typing import Any

from tests.nixos.background import FOLDER
from tests.nixos.coordinator import Coordinator
from tests.nixos.journal import Journal
from tests.nixos.machine import Machine, Machines
from tests.nixos.named.restart import Crowd, all_served
from tests.nixos.registry import named
from tests.nixos.units import COORDINATOR, main_pid, monotonic, properties

NEW_KEY = "a-key-that-came-with-a-reload-0123456789"
KEYS = f"{FOLDER}/reloaded-keys"
KEPT = f"{FOLDER}/settings.kept"
WRONG = {"local_confidence_threshold": 7}
WRONG_OPTION = "services.hybrid-ai.coordinator.settings.routing.local_confidence_threshold"


@named("reload", scenarios=("full",))
def reload(machines: Machines) -> None:
    """New settings and keys hold after a reload, wrong ones are refused, nothing is dropped."""
    machine = machines["machine"]
    coordinator = Coordinator(machine)
    coordinator.wait_until_part(r"backend\.remote", {"ready"})
    pid = main_pid(machine)
    started = monotonic(machine, COORDINATOR, "ExecMainStartTimestampMonotonic")
    stays, goes = _two_callers(machine, coordinator)
    machine.succeed(
        f"mkdir -p {FOLDER}; chmod 755 {FOLDER}",
        # The first caller keeps its key, the second loses it, a third is new.
        f"(grep '^{stays}:' {coordinator.key_file}; echo newcomer:{NEW_KEY})"
        f" | install -m 0444 /dev/stdin {KEYS}",
        f"cp --no-dereference --remove-destination {coordinator.settings_file} {KEPT}",
    )
    try:
        _takes_new_settings(machine, coordinator, stays, goes)
        _refuses_wrong_settings(machine, coordinator)
    finally:
        machine.succeed(
            f"cp --no-dereference --remove-destination {KEPT} {coordinator.settings_file}",
            f"systemctl reload {COORDINATOR}",
        )
    assert main_pid(machine) == pid, "a reload made another process of it"
    assert monotonic(machine, COORDINATOR, "ExecMainStartTimestampMonotonic") == started
    assert _status(coordinator, goes) == 200, "the settings before did not come back"
    assert _status(coordinator, "newcomer", KEYS) == 401, "a key that is gone is still accepted"
    assert "backend.second" not in coordinator.parts()
    machine.succeed(f"rm {KEYS} {KEPT}")


def _takes_new_settings(machine: Machine, coordinator: Coordinator, stays: str, goes: str) -> None:
    """While 32 clients stream and 100 connect, other keys, backends and cache come into force."""
    remote = coordinator.backends["remote"]
    settings = {
        **coordinator.settings,
        "api_keys_file": KEYS,
        "backends": {**coordinator.backends, "second": remote},
        "cache": {**coordinator.settings.get("cache", {}), "enable": False},
    }
    assert _status(coordinator, "newcomer", KEYS) == 401, "the new key is known beforehand"
    crowd = Crowd(machine, coordinator, "reload", caller=stays)
    _put(machine, coordinator, settings)
    machine.succeed(f"systemctl reload {COORDINATOR}", timeout=60)
    said = properties(machine, COORDINATOR, "ReloadResult", "ActiveState")
    assert said == {"ReloadResult": "success", "ActiveState": "active"}, said
    # systemctl returns when the service says that it is done: from now on everything is new.
    assert _status(coordinator, "newcomer", KEYS) == 200, "the new key is not accepted"
    assert _status(coordinator, stays) == 200, "a key that stays is not accepted any more"
    assert _status(coordinator, goes) == 401, "a key that went is still accepted"
    parts = coordinator.parts()
    assert "backend.second" in parts, f"the new backend is not there: {parts}"
    assert parts["cache"]["state"] == "off", f"the cache was switched off: {parts['cache']}"
    report = crowd.report()
    machine.log(f"reloaded under load: {json.dumps(report['counts'])}")
    all_served(report)


def _refuses_wrong_settings(machine: Machine, coordinator: Coordinator) -> None:
    """The option is named in the journal, and what was in force stays so."""
    journal = Journal(machine)
    _put(machine, coordinator, {**coordinator.settings, "routing": WRONG})
    machine.execute(f"systemctl reload {COORDINATOR}", check_return=True, timeout=60)
    said = journal.text(COORDINATOR)
    assert WRONG_OPTION in said, f"the journal does not name {WRONG_OPTION}: {said}"
    assert _status(coordinator, "newcomer", KEYS) == 200, "wrong settings changed the keys"
    assert "backend.second" in coordinator.parts(), "wrong settings changed the backends"


def _two_callers(machine: Machine, coordinator: Coordinator) -> tuple[str, str]:
    """The names of the first two callers in the key file."""
    names = machine.succeed(f"cut -d: -f1 {coordinator.key_file}").split()
    assert len(names) >= 2, f"the scenario has to have two callers, it has {names}"
    return names[0], names[1]


def _status(coordinator: Coordinator, caller: str, key_file: str | None = None) -> int:
    reply = coordinator.request("GET", "/v1/models", caller=caller, key_file=key_file)
    return reply.status


def _put(machine: Machine, coordinator: Coordinator, settings: dict[str, Any]) -> None:
    """Replace the settings file in one step, as a switch of the system does."""
    text = json.dumps(settings)
    machine.succeed(
        f"install -m 0444 /dev/stdin {FOLDER}/settings.new <<'JSON'\n{text}\nJSON",
        f"cp --remove-destination {FOLDER}/settings.new {coordinator.settings_file}",
    )
