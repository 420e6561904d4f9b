"""credentials: keys come by LoadCredential, work, and are nowhere else to be read.

Every key is looked for, as text, in the units, in every process's environment and command line, in
the journal and in the Nix store. The keys themselves stay in the machine: only their names and
places are in the test's log.
"""

from __future__ import annotations

from tests.nixos.background import FOLDER
from tests.nixos.coordinator import OPERATOR_KEY, Coordinator
from tests.nixos.machine import TOOLS, Machine, Machines
from tests.nixos.registry import named
from tests.nixos.units import COORDINATOR, properties, wanted_units

WRONG_KEY = "a-key-that-nobody-was-given-0123456789"


@named("credentials", scenarios=("full",))
def credentials(machines: Machines) -> None:
    """The keys work, a wrong one is refused, and no key is readable where it does not belong."""
    machine = machines["machine"]
    coordinator = Coordinator(machine)
    settings = coordinator.settings
    assert settings.get("api_keys_file") in coordinator.credentials, coordinator.credentials
    assert coordinator.backends["remote"].get("api_key_file") in coordinator.credentials
    _every_caller_is_known(machine, coordinator)
    _others_are_refused(machine, coordinator)
    _the_remote_api_gets_its_key(coordinator)
    _credentials_are_the_services_alone(machine, coordinator)
    _only_the_operator_works_on_everybodys(machine, coordinator)
    _no_key_is_readable(machine, coordinator)


def _every_caller_is_known(machine: Machine, coordinator: Coordinator) -> None:
    for name in machine.succeed(f"cut -d: -f1 {coordinator.key_file}").split():
        reply = coordinator.request("GET", "/v1/models", caller=name)
        assert reply.status == 200, f"the key of '{name}' is refused: {reply.text}"


def _others_are_refused(machine: Machine, coordinator: Coordinator) -> None:
    machine.succeed(f"mkdir -p {FOLDER}; echo {WRONG_KEY} > {FOLDER}/wrong-key")
    body = {"model": "auto", "messages": [{"role": "user", "content": "Who am I?"}]}
    for options in ({"key_file": f"{FOLDER}/wrong-key"}, {"keyless": True}):
        for method, path, content in (
            ("GET", "/v1/models", None),
            ("POST", "/v1/chat/completions", body),
            ("POST", "/v1/search", {"query": "anything"}),
            ("GET", "/metrics", None),
        ):
            reply = coordinator.request(method, path, content, **options)
            assert reply.status == 401, f"{method} {path} with {options}: {reply.status}"
            assert WRONG_KEY not in reply.text, "the refusal repeats the key"


def _the_remote_api_gets_its_key(coordinator: Coordinator) -> None:
    """The paid API refuses every other key, so its answer shows that ours arrived."""
    model = coordinator.backends["remote"]["models"][0]["name"]
    reply = coordinator.answered("Does the key arrive?", model=model, fresh=True)
    assert reply.route == f"remote:remote/{model}", reply.route


def _credentials_are_the_services_alone(machine: Machine, coordinator: Coordinator) -> None:
    """The copies are for the service's user; the files they come from are root's."""
    folder = f"/run/credentials/{COORDINATOR}"
    names = set(machine.succeed(f"ls {folder}").split())
    assert names == set(coordinator.credentials), f"{folder} has {names}"
    for file in coordinator.credentials.values():
        mode, owner = machine.succeed(f"stat --dereference --format='%a %U' {file}").split()
        assert (int(mode, 8) & 0o077, owner) == (0, "root"), f"{file} is {mode} {owner}"
        nobody = "setpriv --reuid=65534 --regid=65534 --clear-groups"
        machine.fail(f"{nobody} cat {file}")
    machine.fail(f"setpriv --reuid=65534 --regid=65534 --clear-groups ls {folder}")


def _only_the_operator_works_on_everybodys(machine: Machine, coordinator: Coordinator) -> None:
    """The operator's key, which the service made for its jobs, is its user's alone."""
    mode, owner = machine.succeed(f"stat --format='%a %u' {OPERATOR_KEY}").split()
    user = machine.succeed(f"stat --format=%u {OPERATOR_KEY.rpartition('/')[0]}").strip()
    assert (mode, owner) == ("600", user), f"{OPERATOR_KEY} is {mode} {owner}"
    for options in ({"caller": "alice"}, {"keyless": True}):
        reply = coordinator.request("POST", "/v1/patterns/extract", {}, **options)
        assert reply.status in (401, 403), f"with {options} it was answered with {reply.status}"
    reply = coordinator.request("POST", "/v1/patterns/extract", {}, key_file=OPERATOR_KEY)
    assert reply.status == 200, f"the operator is refused: {reply.status}: {reply.text}"


def _no_key_is_readable(machine: Machine, coordinator: Coordinator) -> None:
    units = [unit for unit in wanted_units(machine) if unit.endswith(".service")]
    jobs = [
        properties(machine, unit, "Unit")["Unit"]
        for unit in wanted_units(machine)
        if unit.endswith(".timer")
    ]
    text = f"{FOLDER}/unit-texts"
    shown = " ".join(sorted({*units, *jobs}))
    machine.succeed(f"(systemctl cat {shown}; systemctl show {shown}) > {text}")
    files = sorted({*coordinator.credentials.values(), OPERATOR_KEY})
    found = machine.succeed(
        f"python3 {TOOLS}/leaks.py --text {text} --store /nix/store --service {COORDINATOR} "
        + " ".join(files)
    )
    assert found.strip() == "", f"a key can be read: {found}"
    # The same search finds a key where one is: it would find them elsewhere, too.
    control = f"{FOLDER}/leak"
    machine.succeed(f"cat {files[0]} > {control}")
    found = machine.succeed(f"python3 {TOOLS}/leaks.py --text {control} {files[0]}")
    machine.succeed(f"rm {control} {text}")
    assert control in found, "the search does not find a key in a file that has it"
