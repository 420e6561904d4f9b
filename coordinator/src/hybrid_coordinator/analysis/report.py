"""What an analysis says: findings with their evidence, and proposals as NixOS option lines.

A proposal was tried before it is shown: the settings with it are valid.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, computed_field

from hybrid_coordinator.settings import Settings

NIX: Final = "services.hybrid-ai.coordinator.settings"
_BARE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_'-]*")

Value = bool | int | float | dict[str, int]


class State(StrEnum):
    """What a finding says."""

    CHANGE = "change"
    LOOK = "look"
    """Something to do that no option does."""
    FINE = "fine"
    NO_DATA = "no data"


class Evidence(BaseModel):
    """What a finding rests on: ``n`` observations, of which it needs ``needed``.

    ``since`` and ``until`` are the first and last event's epoch seconds; None for no event.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    n: int
    needed: int
    since: float | None = None
    until: float | None = None


class Proposal(BaseModel):
    """One option with the value it should have."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    path: tuple[str, ...]
    value: Value

    @computed_field  # type: ignore[prop-decorator]
    @property
    def line(self) -> str:
        """The change as it is written in a NixOS configuration."""
        return f"{NIX}.{'.'.join(_attribute(name) for name in self.path)} = {_nix(self.value)};"


class Finding(BaseModel):
    """What one rule found about one thing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    topic: str
    state: State
    found: str
    evidence: Evidence
    proposal: Proposal | None = None


class Analysis(BaseModel):
    """Every finding. ``events`` were read; ``unreadable`` lines were passed over."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    generated_at: float
    since: float | None
    until: float | None
    events: int
    unreadable: int
    findings: tuple[Finding, ...]

    def lines(self) -> list[str]:
        """As a person reads it: what to change first, what is not known last."""
        order = list(State)
        rows: list[str] = []
        for finding in sorted(self.findings, key=lambda f: order.index(f.state)):
            rows.append(f"{finding.state:<8} {finding.topic}: {finding.found}")
            if finding.proposal is not None:
                rows.append(f"         {finding.proposal.line}")
        changes = sum(f.state is State.CHANGE for f in self.findings)
        return [*rows, f"{self.events} events read, {changes} changes proposed"]


def propose(settings: Settings, path: tuple[str, ...], value: Value) -> Proposal | None:
    """A change of one option; None where it is one already, or these settings would refuse it."""
    tree = settings.model_dump(mode="json")
    section = tree
    for name in path[:-1]:
        section = section[name]
    if section[path[-1]] == value:
        return None
    section[path[-1]] = value
    try:
        Settings.model_validate(tree)
    except ValidationError:
        return None
    return Proposal(path=path, value=value)


def _attribute(name: str) -> str:
    return name if _BARE.fullmatch(name) else json.dumps(name)


def _nix(value: Any) -> str:
    """A value as Nix writes it; numbers without an exponent."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "{ " + "".join(f"{_attribute(k)} = {_nix(v)}; " for k, v in value.items()) + "}"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return f"{value:.6f}".rstrip("0") if isinstance(value, float) else str(value)
