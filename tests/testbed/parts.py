"""The names of the testbed's parts, how each is prepared, and which are left out by choice.

HYBRID_AI_TESTBED=skip:<part>[,<part>…] leaves parts out; nothing else does. Not the servers
themselves.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.testbed import go_build, guest, guest_images, model, ollama, prometheus, qdrant, roots
from tests.testbed.apt import ensure_command
from tests.testbed.cache import PartUnavailable

VARIABLE = "HYBRID_AI_TESTBED"


def _lemonade() -> Path:
    model.model_folder()
    return roots.sid()


def _chromium() -> Path:
    """The browser that tests/browser drives; Debian's, installed on this machine."""
    return Path(ensure_command("chromium", "chromium"))


def _systemd() -> Path:
    """What tests/systemd boots, as a container and as a virtual machine."""
    guest.prepare()
    ollama_parts = (go_build.ollama_binary().parent, ollama.model_store())
    guest_images.prepare((guest.python(), model.model_folder(), *ollama_parts))
    return guest.root()


PARTS: Mapping[str, Callable[[], Path]] = {
    "redis8": roots.trixie,
    "redis7": roots.bookworm_redis,
    "qdrant": qdrant.program,
    "lemonade": _lemonade,
    "ollama": ollama.model_store,
    "nix": roots.trixie,
    "chromium": _chromium,
    "prometheus": prometheus.roots_of_all,
    "systemd": _systemd,
}


def skipped() -> frozenset[str]:
    """The parts that HYBRID_AI_TESTBED leaves out.

    Raises PartUnavailable when the variable is not of the form `skip:<part>[,<part>…]`.
    """
    value = os.environ.get(VARIABLE, "")
    if not value:
        return frozenset()
    names = frozenset(value.removeprefix("skip:").split(","))
    if not value.startswith("skip:") or not names <= PARTS.keys():
        raise PartUnavailable(
            f"{VARIABLE}={value} is not understood: write skip:<part>[,<part>…] with parts of "
            f"{', '.join(PARTS)}."
        )
    return names


def prepare(names: list[str]) -> None:
    """Build what the parts need into the cache; raises PartUnavailable.

    Ollama's compiler and the root folders' downloads wait for different things, so they run beside
    each other.
    """
    if "ollama" in names:
        ensure_command("g++", "g++")
    with ThreadPoolExecutor(max_workers=2) as pool:
        compiled = [pool.submit(PARTS[name]) for name in names if name == "ollama"]
        for name in names:
            if name != "ollama":
                PARTS[name]()
        for future in compiled:
            future.result()
