"""Builds Ollama from its Go module, with a C++ compiler and Go from Debian where absent.

The module lacks the header-only libraries that its C++ parts include (module archives leave out
folders named vendor): Debian's packages of the same libraries stand in for them. Only the CPU
backend is built. Not for running it (`tests.testbed.ollama`).
"""

from __future__ import annotations

import platform
import re
import subprocess
from pathlib import Path

from tests.testbed.apt import ensure_command, unpack
from tests.testbed.cache import PartUnavailable, build_once, find_command, remove_tree, run, say

MODULE = "github.com/ollama/ollama"
VERSION = "v0.17.4"
_GO_NEEDED = (1, 24)
_HEADERS = ["nlohmann-json3-dev", "libstb-dev", "libminiaudio-dev"]


def ollama_binary() -> Path:
    """The `ollama` program; built once (three to six minutes on two cores, niced)."""
    recipe = f"1 {MODULE} {VERSION} {' '.join(_processor_flags())}"
    return build_once("ollama/program", recipe, _build) / "ollama"


def _build(folder: Path) -> None:
    work = folder / "work"
    ensure_command("g++", "g++")
    go = _go(work)
    headers = work / "headers"
    headers.mkdir(parents=True)
    unpack("trixie", _HEADERS, headers, work / "apt-headers")
    include = headers / "usr" / "include"
    (include / "miniaudio").mkdir()
    (include / "miniaudio" / "miniaudio.h").symlink_to("../miniaudio.h")
    say(f"ollama: building {VERSION} with {go}; this takes some minutes, once")
    processor = _processor_flags()
    link = f"-ldflags=-s -w -X {MODULE}/version.Version={VERSION.removeprefix('v')}"
    run(
        ["nice", "-n", "19", go, "install", link, f"{MODULE}@{VERSION}"],
        log="ollama-build",
        env={
            "CGO_ENABLED": "1",
            "CGO_CFLAGS": " ".join(["-O2", *processor]),  # where the arithmetic is
            "CGO_CXXFLAGS": " ".join(["-O1", *processor]),  # most of the compile time
            "CGO_CPPFLAGS": f"-I{include}",
            "GOBIN": str(folder),
            "GOMODCACHE": str(work / "modules"),
            "GOCACHE": str(work / "objects"),
            "GOFLAGS": "-modcacherw",
        },
        cwd=work,
    )
    remove_tree(work)


def _go(work: Path) -> str:
    """A Go that is new enough: this machine's, or Debian trixie's unpacked below `work`."""
    installed = find_command("go", "/usr/local/go/bin")
    if installed is not None and _go_version(installed) >= _GO_NEEDED:
        return installed
    say("ollama: unpacking Debian's Go")
    folder = work / "go"
    folder.mkdir(parents=True)
    unpack("trixie", ["golang-go"], folder, work / "apt-go")
    programs = sorted(folder.glob("usr/lib/go-*/bin/go"))
    if not programs:
        raise PartUnavailable("Debian's golang-go brought no Go program; install Go 1.24 or later.")
    return str(programs[-1])


def _go_version(go: str) -> tuple[int, int]:
    answer = subprocess.run([go, "version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"go(\d+)\.(\d+)", answer)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _processor_flags() -> list[str]:
    """Compiler flags for AVX2 where this processor has it; without, inference crawls."""
    if platform.machine() != "x86_64":
        return []
    known = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    wanted = {"avx2", "fma", "f16c", "bmi1", "bmi2", "movbe", "abm"}
    return ["-march=x86-64-v3"] if wanted <= set(known) else []
