"""What systemd says of our units, asked by ``systemctl`` within a time limit.

There may be no systemd here, or a sandbox may be in between: then there is no
answer, and the reason is kept. Nothing is started, stopped or reset. Which of
the units is a worry is decided in ``machine_checks``.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

TARGET: Final = "hybrid-ai.target"
COORDINATOR_UNIT: Final = "hybrid-coordinator.service"
OWN_UNIT: Final = "hybrid-ai-health-check.service"
"""The unit that runs this check: how its last run ended is no news to the next."""

_NIXOS_SYSTEMCTL: Final = "/run/current-system/systemd/bin/systemctl"
_PROPERTIES: Final = "Id,LoadState,ActiveState,SubState,Result,NRestarts,Job,Unit"
_EXITED: Final = "ExecMainExitTimestampMonotonic"
_SINCE: Final = "StateChangeTimestampMonotonic"
_MANY_RESTARTS: Final = 3


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit's state in systemd's own words; ``age`` is seconds since it last changed.

    ``starts``: the unit that a timer starts. ``ended``: seconds since its main
    process ended; None where none has since the machine came up.
    """

    name: str
    active: str
    sub: str
    result: str
    restarts: int
    queued: bool
    age: float
    starts: str = ""
    ended: float | None = None

    @property
    def failed(self) -> bool:
        """Whether it failed and was left so, or fails again and again."""
        return self.active == "failed" or self.sub == "auto-restart"

    @property
    def starting(self) -> bool:
        """Whether it is being started, or waits for its turn, and has not failed repeatedly."""
        if self.failed or self.restarts >= _MANY_RESTARTS:
            return False
        return self.active in ("activating", "reloading") or (
            self.active == "inactive" and self.queued
        )


@dataclass(frozen=True, slots=True)
class Units:
    """Our units by name; ``trouble`` says why they are not known."""

    units: Mapping[str, Unit] = field(default_factory=dict)
    trouble: str = ""


class _NotAnswered(Exception):
    """systemctl could not be run, or not reach systemd."""


async def ask_systemd(limit: float) -> Units:
    """Every unit that belongs to our target; does not raise."""
    try:
        async with asyncio.timeout(limit):
            target = _blocks(await _show(TARGET, "LoadState,Wants,ConsistsOf"))[0]
            if target.get("LoadState") != "loaded":
                return Units(trouble=f"{TARGET} is not installed here")
            names = {*target.get("Wants", "").split(), *target.get("ConsistsOf", "").split()}
            names.add(COORDINATOR_UNIT)
            # Jobs are started by their timers, so the target may not name them.
            timers = (name for name in tuple(names) if name.endswith(".timer"))
            names.update(name.removesuffix(".timer") + ".service" for name in timers)
            blocks = _blocks(await _show(*sorted(names), f"{_PROPERTIES},{_SINCE},{_EXITED}"))
    except _NotAnswered as error:
        return Units(trouble=str(error))
    except TimeoutError:
        return Units(trouble=f"systemctl gave no answer within {limit:.1f} s")
    found = (_unit(block) for block in blocks if block.get("LoadState") == "loaded")
    return Units({unit.name: unit for unit in found})


async def _show(*arguments: str) -> str:
    """``systemctl show`` of units; the last argument is the properties."""
    *units, properties = arguments
    program = shutil.which("systemctl") or shutil.which(_NIXOS_SYSTEMCTL)
    if program is None:
        raise _NotAnswered("no systemd here")
    try:
        process = await asyncio.create_subprocess_exec(
            program,
            "show",
            "--no-pager",
            f"--property={properties}",
            "--",
            *units,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "LC_ALL": "C", "SYSTEMD_COLORS": "0", "SYSTEMD_LOG_LEVEL": "err"},
        )
    except OSError as error:
        raise _NotAnswered(f"systemctl cannot be run here ({error.strerror})") from error
    try:
        output, complaint = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        said = complaint.decode(errors="replace").splitlines()
        if said and "not been booted with systemd" in said[0]:
            raise _NotAnswered("no systemd here")
        reason = said[-1] if said else f"systemctl exited with {process.returncode}"
        raise _NotAnswered(f"systemd cannot be asked from here ({reason})")
    return output.decode(errors="replace")


def _blocks(output: str) -> list[dict[str, str]]:
    """The properties of each unit shown; units are divided by an empty line."""
    pairs = [[line.partition("=") for line in block.splitlines()] for block in output.split("\n\n")]
    return [{key: value for key, _, value in block} for block in pairs]


def _unit(block: Mapping[str, str]) -> Unit:
    now = time.monotonic()
    changed = int(block.get(_SINCE) or 0) / 1e6
    exited = int(block.get(_EXITED) or 0) / 1e6
    return Unit(
        name=block["Id"],
        active=block.get("ActiveState", ""),
        sub=block.get("SubState", ""),
        result=block.get("Result", ""),
        restarts=int(block.get("NRestarts") or 0),
        queued=block.get("Job", "") not in ("", "0"),
        age=now - changed,
        starts=block.get("Unit", ""),
        ended=now - exited if exited else None,
    )
