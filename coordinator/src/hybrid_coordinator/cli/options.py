"""What the commands share: their common options, how they print, and how they fail."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hybrid_coordinator.errors import HybridError

if TYPE_CHECKING:
    from hybrid_coordinator.settings import Settings

SYSTEM_FILE = Path("/etc/hybrid-ai/settings.json")
"""Where the NixOS module puts the settings of the machine's service."""

Config = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", envvar="HYBRID_AI_CONFIG", help="Settings file (JSON).", dir_okay=False
    ),
]
ServiceConfig = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        envvar="HYBRID_AI_CONFIG",
        help=f"Settings file (JSON); default: {SYSTEM_FILE} where there is one.",
        dir_okay=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Url = Annotated[str | None, typer.Option("--url", help="A coordinator's URL.")]
KeyFile = Annotated[
    Path | None, typer.Option("--key-file", help="File with the API key.", dir_okay=False)
]


def say(text: str = "") -> None:
    """One line to stdout."""
    typer.echo(text)


def print_json(value: Any) -> None:
    """One JSON document to stdout."""
    typer.echo(json.dumps(value, ensure_ascii=False))


@contextmanager
def failing_plainly(status: Callable[[HybridError], int] = lambda _: 1) -> Iterator[None]:
    """Turn this package's errors into a sentence on stderr and an exit status."""
    try:
        yield
    except HybridError as error:
        typer.echo(error.message, err=True)
        raise typer.Exit(status(error)) from None


def settings_from(config: Path | None, **overrides: object) -> Settings:
    """The settings that a command works with; options given to it win."""
    from hybrid_coordinator.configuration import load_settings

    settings = load_settings(config)
    changed = {key: value for key, value in overrides.items() if value is not None}
    if not changed:
        return settings
    # Validated again: an override may make a combination impossible.
    from hybrid_coordinator.configuration import validate_settings

    return validate_settings({**settings.model_dump(mode="json"), **changed})


def of_this_machine(config: Path | None) -> Path | None:
    """The settings file of a command about a coordinator: the one named, else the service's."""
    return SYSTEM_FILE if config is None and SYSTEM_FILE.is_file() else config
