"""Which program of the Debian guest stands for which Nix package: the one table of it.

A unit names `/nix/store/<hash>-<package>/bin/<program>`; in the guest that path is a link to what
is listed here. A package that is not listed is an error, so that no unit fails later with a path
that nobody can explain. Not for making the links: see `layer`.
"""

from __future__ import annotations

from collections.abc import Mapping

from tests.testbed import guest

MODELS = "/opt/hybrid-ai/models"
"""The folder with the testbed's GGUF inside the guest."""
OLLAMA = "/opt/hybrid-ai/ollama"
"""The folder with the testbed's `ollama` inside the guest."""
OLLAMA_MODELS = "/opt/hybrid-ai/ollama-models"
"""A folder as OLLAMA_MODELS takes it, with the same model."""
EMBEDDER = "/opt/hybrid-ai/embedder"
"""The bundled embedder's files, side by side."""
GRAFANA = "/opt/hybrid-ai/grafana"
"""The stand-in for Grafana, as `bin/grafana`."""
QDRANT = "/opt/hybrid-ai/qdrant"
"""The real Qdrant, or the stand-in of the testbed, as `bin/qdrant`."""


class UnknownPackage(Exception):
    """A rendered unit needs a package that the Debian guest has nothing for."""


def _programs(*names: str) -> dict[str, str]:
    return {f"bin/{name}": f"/usr/bin/{name}" for name in names}


# Tools that Debian keeps side by side: the whole folder stands for each of them.
_TOOLS = {"bin": "/usr/bin", "sbin": "/usr/sbin"}
_OLLAMA = {"bin/ollama": f"{OLLAMA}/ollama"}
_LLAMA = _programs("llama-server", "llama-cli", "llama")

_TABLE: Mapping[str, Mapping[str, str]] = {
    **dict.fromkeys(
        (
            "bash",
            "coreutils",
            "curl",
            "findutils",
            "gawk",
            "gnugrep",
            "gnused",
            "iproute2",
            "jq",
            "openssl",
            "procps",
            "python3",
            "util-linux",
        ),
        _TOOLS,
    ),
    **dict.fromkeys(
        ("ollama", "ollama-cpu", "ollama-cuda", "ollama-rocm", "ollama-vulkan"), _OLLAMA
    ),
    **dict.fromkeys(("llama-cpp", "llama-cpp-rocm", "llama-cpp-vulkan"), _LLAMA),
    "cacert": {},
    "grafana": {"bin/grafana": f"{GRAFANA}/bin/grafana"},
    "hybrid-ai-embedding-model": {"": EMBEDDER},
    "hybrid-ai-test-model": {"": MODELS},
    "hybrid-coordinator": {"bin/hybrid-coordinator": f"{guest.COORDINATOR}/bin/hybrid-coordinator"},
    "lemonade-server": _programs("lemond", "lemonade"),
    "nginx": {"bin/nginx": "/usr/sbin/nginx", "conf": "/etc/nginx"},
    "nix": _programs("nix", "nix-build", "nix-instantiate", "nix-store"),
    "prometheus": _programs("prometheus", "promtool"),
    "qdrant": {"bin/qdrant": f"{QDRANT}/bin/qdrant"},
    "qdrant-web-ui": {},
    "redis": _programs("redis-server", "redis-cli"),
    "systemd": {**_TOOLS, "lib/systemd": "/usr/lib/systemd"},
}


def links(package: str) -> Mapping[str, str]:
    """The package's links: path inside it → path in the guest; the path "" is the package itself.

    Raises UnknownPackage.
    """
    try:
        return _TABLE[package]
    except KeyError:
        raise UnknownPackage(
            f"the rendered units use the package '{package}', and the Debian guest has nothing for "
            "it: add it to the table in tests/systemd/programs.py, and its Debian package to "
            "tests/testbed/guest.py."
        ) from None
