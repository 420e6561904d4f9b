"""The commands of README and the documents, run as they stand against a test's own coordinator.

A block that is fenced as `sh` is for any machine and is run here, all blocks of a page as one
script; one fenced as `console` is for a NixOS host, where the named tests do the same.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from tests.integration.served import Served

ROOT = Path(__file__).parents[2]
STATE = "~/.local/state/hybrid-ai"
ADDRESS = "localhost:8092"

_BLOCK = re.compile(r"^```sh\n(.*?)^```", re.DOTALL | re.MULTILINE)


def shell_blocks(text: str) -> list[str]:
    """What is in the blocks fenced as `sh`, in order."""
    return _BLOCK.findall(text)


def run_blocks(served: Served, blocks: list[str], folder: Path) -> str:
    """Run them as one script in a folder; what it printed, each comment as a line `@@ comment`.

    The address and the state directory are replaced by the test's.
    """
    script = "\n".join(blocks).replace(ADDRESS, served.url.removeprefix("http://"))
    script = script.replace(STATE, str(served.state)).replace(". .venv/bin/activate\n", "")
    marked = re.sub(
        r"^# (.*)$", lambda m: f"printf '\\n@@ %s\\n' {json.dumps(m[1])}", script, flags=re.M
    )
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HYBRID_AI_CONFIG": str(served.config),
        "HYBRID_AI_PORT": served.url.rsplit(":", 1)[1],
        "COLUMNS": "200",
    }
    done = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", marked],
        capture_output=True,
        text=True,
        timeout=300,
        env=environment,
        cwd=folder,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\nthe script was\n{script}"
    return done.stdout
