"""Debian packages of any suite, through this machine's own apt configuration.

The mirror, its proxy and its options are read from apt, so packages come from wherever this
machine already gets them. Two ways to use a package: `unpack` puts the files of packages and
their dependencies into a folder without running any maintainer script; `install_in_root` installs
into a root folder properly. Not for installing anything on this machine except build tools.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.testbed.cache import (
    PartUnavailable,
    find_command,
    in_namespace,
    lock,
    require_root,
    run,
    say,
)

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


def debian_mirror() -> str:
    """The URI of the Debian archive this machine uses, as apt knows it.

    Raises PartUnavailable where apt has no Debian archive configured or cannot reach it.
    """
    mirror = _mirror_in_lists()
    if mirror is None:
        update_lists()
        mirror = _mirror_in_lists()
    if mirror is None:
        raise PartUnavailable(
            "apt on this machine knows no Debian archive (origin and label 'Debian'): add one to "
            "/etc/apt/sources.list.d and run apt-get update. The testbed needs Debian."
        )
    return mirror


def proxy_environment() -> dict[str, str]:
    """apt's proxies as the environment variables that wget (used by debootstrap) reads."""
    found: dict[str, str] = {}
    for scheme in ("http", "https"):
        proxy = _output(["apt-config", "shell", "P", f"Acquire::{scheme}::Proxy"])
        value = proxy.removeprefix("P='").removesuffix("'")
        if value and value != "DIRECT" and f"{scheme}_proxy" not in os.environ:
            found[f"{scheme}_proxy"] = value
    return found


def update_lists() -> None:
    """`apt-get update` on this machine."""
    require_root()
    say("apt: updating the package lists")
    run(["apt-get", "-q", "update"], log="apt-update")


def ensure_command(command: str, package: str) -> str:
    """The path of `command`, installing Debian's `package` on this machine if it is absent."""
    path = find_command(command)
    if path is None:
        _install(package)
        path = find_command(command)
    if path is None:
        raise PartUnavailable(f"Debian's package '{package}' did not bring '{command}'.")
    return path


def unpack(suite: str, packages: list[str], into: Path, work: Path) -> None:
    """Unpack `packages` of `suite` and all they depend on below `into`.

    `work` is a folder for apt's own files; the caller removes it.
    """
    log = f"unpack-{packages[0]}"
    status = work / "status"
    work.mkdir(parents=True, exist_ok=True)
    status.touch()
    options = _own_apt(suite, work, status)
    run(["apt-get", *options, "-q", "update"], log=f"{log}-update")
    run(["apt-get", *options, "-q", "-y", "--download-only", "install", *packages], log=log)
    for archive in sorted((work / "cache" / "archives").glob("*.deb")):
        run(["dpkg-deb", "--extract", str(archive), str(into)], log=f"{log}-files")


def download(suite: str, package: str, work: Path) -> Path:
    """The archive of one package of `suite`, without what it depends on, in the new folder `work`.

    `work` also holds apt's own files; the caller removes it.
    """
    log = f"download-{package}"
    work.mkdir(parents=True)
    status = work / "status"
    status.touch()
    options = _own_apt(suite, work, status)
    run(["apt-get", *options, "-q", "update"], log=f"{log}-update")
    run(["apt-get", *options, "-q", "download", package], log=log, cwd=work)
    return next(work.glob("*.deb"))


def install_in_root(suite: str, packages: list[str], root: Path) -> None:
    """Install `packages` of `suite` with their scripts into the root folder `root`."""
    work = root / "var" / "cache" / "testbed-apt"
    work.mkdir(parents=True)
    options = _own_apt(suite, work, root / "var" / "lib" / "dpkg" / "status")
    run(["apt-get", *options, "-q", "update"], log=f"{suite}-update")
    script = 'mount -t proc proc "$ROOT/proc" && mount --bind /dev "$ROOT/dev" && exec apt-get "$@"'
    chroot = ["-o", f"DPkg::Chroot-Directory={root}"]
    install = ["-q", "-y", "install"]
    policy = root / "usr" / "sbin" / "policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n", encoding="utf-8")  # start no service
    policy.chmod(0o755)
    run(
        in_namespace(["sh", "-c", script, "apt-get", *options, *chroot, *install, *packages]),
        log=f"{suite}-install",
        env={"ROOT": str(root), "DEBIAN_FRONTEND": "noninteractive"},
    )
    policy.unlink()


def _install(package: str) -> None:
    with lock("apt"):
        update_lists()
        say(f"apt: installing {package}")
        options = ["-o", "DPkg::Lock::Timeout=300", "-q", "-y", "--no-install-recommends"]
        run(
            ["apt-get", *options, "install", package],
            log=f"apt-{package}",
            env={"DEBIAN_FRONTEND": "noninteractive"},
        )


def _own_apt(suite: str, work: Path, status: Path) -> list[str]:
    """apt options that leave this machine's lists and installed packages alone."""
    if not KEYRING.exists():
        _install("debian-archive-keyring")
    for folder in ("state/lists/partial", "cache/archives/partial"):
        (work / folder).mkdir(parents=True, exist_ok=True)
    sources = work / "sources.list"
    sources.write_text(f"deb [signed-by={KEYRING}] {debian_mirror()} {suite} main\n", "utf-8")
    settings = {
        "Dir::State": work / "state",
        "Dir::State::status": status,
        "Dir::Cache": work / "cache",
        "Dir::Etc::sourcelist": sources,
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Etc::preferences": "/dev/null",
        "Dir::Etc::preferencesparts": "/dev/null",
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "root",  # the cache folder may not be readable by _apt
        "APT::Keep-Downloaded-Packages": "true",
        "Acquire::Languages": "none",
        "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled": "false",
        "DPkg::Options::": "--force-unsafe-io",
    }
    return [part for key, value in settings.items() for part in ("-o", f"{key}={value}")]


def _mirror_in_lists() -> str | None:
    fields = "$(ORIGIN)|$(LABEL)|$(REPO_URI)"
    lines = _output(["apt-get", "indextargets", "--format", fields, "Created-By: Packages"])
    for line in lines.splitlines():
        origin, label, uri = line.split("|", 2)
        if origin == "Debian" and label == "Debian":
            return uri.rstrip("/")
    return None


def _output(argv: list[str]) -> str:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    except OSError as error:
        raise PartUnavailable(
            f"'{argv[0]}' is not on this machine ({error}): the testbed needs Debian's apt."
        ) from error
    return done.stdout.strip()
