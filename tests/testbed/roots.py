"""Root folders: file trees of Debian suites that hold the programs the tests start.

`trixie()` is a bootable minimal system (Redis 8, systemd, Nix; also the root that systemd-nspawn
boots); `sid()` holds Lemonade and llama.cpp; `bookworm_redis()` holds only the files of Redis 7,
the version without vector sets. They are shared by every run: read them, never write into them
(use an overlay to boot one). Not for configuration of any server.
"""

from __future__ import annotations

from pathlib import Path

from tests.testbed.apt import (
    KEYRING,
    debian_mirror,
    ensure_command,
    install_in_root,
    proxy_environment,
    unpack,
)
from tests.testbed.cache import PartUnavailable, build_once, in_namespace, remove_tree, run, say

TRIXIE_PACKAGES = (
    "dbus",
    "kmod",
    "nix-bin",
    "python3",
    "redis-server",
    "systemd",
    "systemd-sysv",
)
SID_PACKAGES = ("lemonade-server", "llama.cpp")
_RECIPE_VERSION = 1  # raise it when a change below alters the result


def trixie() -> Path:
    """The root folder of Debian trixie; built once in about half a minute."""
    return _root("trixie", TRIXIE_PACKAGES)


def sid() -> Path:
    """The root folder of Debian sid with `lemond` and `llama-server`; built once."""
    return _root("sid", SID_PACKAGES)


def bookworm_redis() -> Path:
    """A folder with the files of bookworm's Redis 7.0 and its libraries; built once."""

    def build(folder: Path) -> None:
        work = folder / "apt-work"
        unpack("bookworm", ["redis-server"], folder, work)
        remove_tree(work)

    return build_once("roots/bookworm-redis", f"{_RECIPE_VERSION} bookworm redis-server", build)


def loader_argv(root: Path, program: str) -> list[str]:
    """The command that runs `program` (relative to `root`) with the root's own libraries.

    It goes through the root's dynamic loader, so it needs neither chroot nor privileges and the
    process started is the program itself.
    """
    # Absolute links inside the root would lead to this machine's loader: take the real file.
    loaders = [*root.glob("usr/lib/*/ld-linux-*.so.*"), *root.glob("lib/*/ld-linux-*.so.*")]
    if not loaders or not (root / program).exists():
        raise PartUnavailable(
            f"{root} has no {program} or no dynamic loader: delete the folder and run "
            "'python -m tests.testbed setup' again."
        )
    triplet = loaders[0].parent.name
    libraries = [str(root / "usr/lib" / triplet), str(root / "lib" / triplet)]
    return [str(loaders[0]), "--library-path", ":".join(libraries), str(root / program)]


def _root(suite: str, packages: tuple[str, ...]) -> Path:
    def build(root: Path) -> None:
        debootstrap = ensure_command("debootstrap", "debootstrap")
        say(f"roots/{suite}: debootstrap")
        options = ["--variant=minbase", f"--keyring={KEYRING}"]
        run(
            in_namespace([debootstrap, *options, suite, str(root), debian_mirror()]),
            log=f"{suite}-debootstrap",
            env={"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8", **proxy_environment()},
        )
        say(f"roots/{suite}: installing {', '.join(packages)}")
        # Not by debootstrap's --include: it does not honour pre-dependencies (lemonade-server's
        # on systemd-sysusers) nor nix-bin's order of configuration.
        install_in_root(suite, list(packages), root)
        forget_archives(root)

    recipe = f"{_RECIPE_VERSION} {suite} minbase {' '.join(packages)}"
    return build_once(f"roots/{suite}", recipe, build)


def forget_archives(root: Path) -> None:
    """Drop downloaded packages and lists: nothing is installed into a finished root."""
    for folder in ("var/cache/apt/archives", "var/lib/apt/lists", "var/cache/testbed-apt"):
        remove_tree(root / folder)
    (root / "var/cache/apt/archives/partial").mkdir(parents=True)
    (root / "var/lib/apt/lists/partial").mkdir(parents=True)
