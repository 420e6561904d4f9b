"""The Debian guest's parts: what tests/systemd boots, each built once into the cache.

`root()` is trixie with systemd and every server of a scenario; Lemonade, llama.cpp and the C
library they need are sid's, on top. `python()` is a virtual environment of the guest's own Python
with requirements/run.txt; `coordinator()` is the project's package, built from this clone. At boot
nothing is downloaded. Not for booting: tests/systemd does that, and never writes here.
"""

from __future__ import annotations

import hashlib
import os
import shlex
from pathlib import Path

from tests.testbed import roots
from tests.testbed.apt import install_in_root
from tests.testbed.cache import (
    build_once,
    in_namespace,
    recipe_of,
    remove_tree,
    require_root,
    run,
    say,
)

PYTHON = "/opt/hybrid-ai/python"
"""Where the virtual environment is inside the guest; its scripts name this path."""
COORDINATOR = "/opt/hybrid-ai/coordinator"
"""Where the project's package is inside the guest; the environment's path names it."""

PACKAGES = (
    "curl",
    "iproute2",
    "jq",
    "nginx-light",
    "openssl",
    "procps",
    "prometheus",
    "python3-venv",
    "systemd-container",
    "util-linux",
)
_RECIPE_VERSION = 2  # raise it when a change below alters the result
_REPOSITORY = Path(__file__).parents[2]
_REQUIREMENTS = _REPOSITORY / "requirements" / "run.txt"
_PACKAGE = _REPOSITORY / "coordinator"

# Debian's own units of the servers (the rendered ones take their place), what would touch the
# network or the disk by itself, and the questions of a first boot.
_UNITS_REMOVED = ("lemon*", "llama*", "nginx*", "prometheus*", "redis*", "apt-daily*", "dpkg-*")
_UNITS_MASKED = (
    "e2scrub_all.timer",
    "fstrim.timer",
    "getty.target",
    "systemd-firstboot.service",
    "systemd-networkd-wait-online.service",
    "systemd-networkd.service",
    "systemd-networkd.socket",
    "systemd-resolved.service",
    "systemd-timesyncd.service",
)
_DOCUMENTS = ("doc", "fonts", "info", "locale", "man")


def prepare() -> Path:
    """Build every part that both runners need; returns the root. Raises PartUnavailable."""
    python()
    coordinator()
    return root()


def root() -> Path:
    """The guest's root folder (0.5 GB), built once in under a minute. Never write into it."""

    def build(folder: Path) -> None:
        base = roots.trixie()
        run(["cp", "-a", f"{base}/.", str(folder)], log="guest-copy")
        for suite, packages in (("trixie", PACKAGES), ("sid", roots.SID_PACKAGES)):
            say(f"guest/root: installing {', '.join(packages)} from {suite}")
            install_in_root(suite, list(packages), folder)
            remove_tree(folder / "var/cache/testbed-apt")
        roots.forget_archives(folder)
        _tidy(folder)

    parts = [*roots.TRIXIE_PACKAGES, *PACKAGES, "sid:", *roots.SID_PACKAGES]
    return build_once("guest/root", f"{_RECIPE_VERSION} {' '.join(parts)}", build)


def python() -> Path:
    """The virtual environment with the pinned requirements (0.9 GB), to be seen at `PYTHON`."""
    base = root()
    requirements = _REQUIREMENTS.read_bytes()
    digest = hashlib.sha256(requirements).hexdigest()

    def build(folder: Path) -> None:
        say("guest/python: installing requirements/run.txt")
        pip = [
            *("python3", "-m", "venv", PYTHON, "&&", f"{PYTHON}/bin/pip", "install"),
            *("--quiet", "--disable-pip-version-check", "--no-deps"),
            *("--require-hashes", "--only-binary", ":all:"),
            *("--cache-dir", "/mnt/cache", "--requirement", "/mnt/run.txt"),
        ]
        _in_guest(base, folder, PYTHON, " ".join(pip), log="guest-python")
        site = next(folder.glob("lib/python3.*/site-packages"))
        (site / "hybrid-ai.pth").write_text(f"{COORDINATOR}\n", encoding="utf-8")

    return build_once("guest/python", f"{_RECIPE_VERSION} {_of(base)} {digest}", build)


def coordinator() -> Path:
    """The project's package as pip installs it, to be seen at `COORDINATOR`; some megabytes."""
    base, environment = root(), python()
    digest = hashlib.sha256()
    for file in sorted(_PACKAGE.rglob("*")):
        if file.is_file() and file.suffix in {".py", ".toml", ".json", ".typed", ".txt", ".md"}:
            digest.update(f"{file.relative_to(_PACKAGE)}\0".encode())
            digest.update(file.read_bytes())

    def build(folder: Path) -> None:
        pip = [
            *("cp", "-r", "/mnt/coordinator", "/tmp/coordinator", "&&"),
            *(f"{PYTHON}/bin/pip", "install", "--quiet", "--disable-pip-version-check"),
            *("--no-index", "--no-deps", "--no-build-isolation", "--no-cache-dir"),
            *("--target", COORDINATOR, "/tmp/coordinator"),
        ]
        _in_guest(
            base, folder, COORDINATOR, " ".join(pip), log="guest-coordinator", lower=environment
        )

    recipe = f"{_RECIPE_VERSION} {_of(environment)} {digest.hexdigest()}"
    return build_once("guest/coordinator", recipe, build)


def _of(part: Path) -> str:
    """A short name of a part's own recipe, so that what is made with it follows it."""
    return hashlib.sha256((recipe_of(part) or "").encode()).hexdigest()[:16]


def _tidy(folder: Path) -> None:
    for pattern in _UNITS_REMOVED:
        for place in ("usr/lib/systemd/system", "etc/systemd/system"):
            for unit in (folder / place).rglob(pattern):
                remove_tree(unit) if unit.is_dir() and not unit.is_symlink() else unit.unlink()
    for name in _UNITS_MASKED:
        mask = folder / "etc/systemd/system" / name
        mask.unlink(missing_ok=True)
        mask.symlink_to("/dev/null")
    for script in (folder / "etc/init.d").iterdir():  # systemd would make units of them
        script.unlink()
    for documents in _DOCUMENTS:
        remove_tree(folder / "usr/share" / documents)
    # An empty file: systemd draws an id at every boot, and it is not a first boot.
    (folder / "etc/machine-id").write_text("", encoding="ascii")
    (folder / "etc/hostname").unlink(missing_ok=True)
    (folder / ".testbed-recipe").unlink(missing_ok=True)


def _in_guest(
    base: Path, folder: Path, seen_at: str, command: str, *, log: str, lower: Path | None = None
) -> None:
    """Run a shell command in a throw-away view of the guest's root, `folder` bound at `seen_at`.

    This machine's own settings of pip and TLS are seen inside, so packages come from wherever this
    machine gets them.
    """
    require_root()
    cache = Path(os.environ.get("PIP_CACHE_DIR") or Path.home() / ".cache" / "pip")
    cache.mkdir(parents=True, exist_ok=True)
    binds: list[tuple[Path, str]] = [(folder, seen_at), (cache, "/mnt/cache")]
    binds += [(_REQUIREMENTS, "/mnt/run.txt"), (_PACKAGE, "/mnt/coordinator")]
    if lower is not None:
        binds.append((lower, PYTHON))
    own = [
        "/etc/hosts",
        "/etc/pip.conf",
        "/etc/resolv.conf",
        "/etc/ssl",
        "/usr/share/ca-certificates",
    ]
    own += [os.environ.get(name, "") for name in ("PIP_CONFIG_FILE", "PIP_FIND_LINKS")]
    own += [str(Path.home() / place) for place in (".config/pip", ".pip")]
    binds += [
        (Path(place), place) for place in own if place.startswith("/") and Path(place).exists()
    ]
    lines = [
        "set -eu; mount --make-rprivate /; mount -t tmpfs tmpfs /mnt",
        "mkdir /mnt/upper /mnt/work /mnt/root; cd /mnt/root",
        f"options=lowerdir={base},upperdir=/mnt/upper,workdir=/mnt/work",
        'mount -t overlay overlay -o "$options" /mnt/root',
        "mount -t proc proc /mnt/root/proc; mount --rbind /dev /mnt/root/dev",
    ]
    for source, target in binds:
        inside = shlex.quote(f"/mnt/root{target}")
        make = "mkdir -p" if source.is_dir() else "install -D /dev/null"
        lines.append(f"{make} {inside}; mount --bind {shlex.quote(str(source))} {inside}")
    lines.append(f"exec chroot /mnt/root sh -ec {shlex.quote(command)}")
    run(in_namespace(["sh", "-c", "\n".join(lines)]), log=log, env={"PYTHONDONTWRITEBYTECODE": "1"})
