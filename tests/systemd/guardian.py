"""What a scenario leaves on this machine, and the process that takes it away again.

Control groups and a temporary folder outlive a driver that was killed. So a small shell, in a
session of its own, waits for the end of a pipe that only the driver holds: when the driver closes
it or dies in any way, the shell kills everything in the groups, removes them and the folder. Not
for ending a single machine politely.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

_SCRIPT = """\
trap '' HUP INT TERM
folder=$1
read -r _ || :
for group in $(cat "$folder/groups"); do
    [ -d "$group" ] || continue
    echo 1 >"$group/cgroup.kill"
    until grep -q 'populated 0' "$group/cgroup.events"; do sleep 0.02; done
    find "$group" -depth -type d -exec rmdir {} +
done
rm -rf --one-file-system "$folder"
"""


class Guardian:
    """A temporary folder and the control groups made for it, gone when this process is.

    `folder` is the caller's to write in, except for the name `groups`.
    """

    def __init__(self, cgroup2: Path) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="hybrid-ai-guest-"))
        self._cgroup2 = cgroup2
        (self.folder / "groups").touch()
        self._process = subprocess.Popen(
            ["sh", "-uc", _SCRIPT, "sh", str(self.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )

    def group(self, name: str) -> Path:
        """A new control group for the machine `name`."""
        group = self._cgroup2 / f"{self.folder.name}-{name}"
        with (self.folder / "groups").open("a", encoding="utf-8") as listed:
            listed.write(f"{group}\n")
        group.mkdir()
        return group

    def close(self) -> None:
        """Kill and remove everything; returns when it is gone. Again is allowed.

        Raises RuntimeError where something could not be removed.
        """
        if self._process.stdin is None or self._process.stdin.closed:
            return
        self._process.stdin.close()
        if self._process.wait(timeout=60) != 0:
            raise RuntimeError(f"the guest's leftovers in {self.folder} could not be removed.")
