"""The commands about API keys: they change the keys file, and say how it takes effect.

What a line is, and how the file is replaced, is in ``api_keys``. No command
shows a key but the one that has just made it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hybrid_coordinator.cli.options import (
    AsJson,
    ServiceConfig,
    failing_plainly,
    of_this_machine,
    print_json,
    say,
    settings_from,
)
from hybrid_coordinator.errors import SettingsError

if TYPE_CHECKING:
    from hybrid_coordinator.api_keys import ApiKey

app = typer.Typer(no_args_is_help=True, help="Make, list and revoke API keys.")

File = Annotated[
    Path | None,
    typer.Option(
        "--file", help="The keys file; default: api_keys_file of the settings.", dir_okay=False
    ),
]
Name = Annotated[str, typer.Argument(help="Who has the key.")]

_EFFECT = (
    "It takes effect when the coordinator reads its keys: with SIGHUP, or, under systemd, with "
    "'systemctl restart hybrid-coordinator', which drops no request."
)


@app.command()
def create(
    name: Name,
    expires: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Last day (UTC) on which it is accepted."),
    ] = None,
    file: File = None,
    config: ServiceConfig = None,
    as_json: AsJson = False,
) -> None:
    """Make a key, keep its hash, and show it once, on stdout."""
    with failing_plainly():
        from hybrid_coordinator.api_keys import create_key

        today = datetime.now(UTC).date()
        last_day = None if expires is None else expires.date()
        made = create_key(_file(file, config), name, last_day=last_day, today=today)
        if as_json:
            print_json({"key": made.key, **_row(made.entry, today=today.isoformat())})
            return
        say(made.key)
        typer.echo(f"This is the key of '{name}'; it is not shown again. {_EFFECT}", err=True)


@app.command("list")
def list_(file: File = None, config: ServiceConfig = None, as_json: AsJson = False) -> None:
    """Show whose keys there are."""
    with failing_plainly():
        from hybrid_coordinator.api_keys import list_keys

        today = datetime.now(UTC).date().isoformat()
        rows = [_row(entry, today=today) for entry in list_keys(_file(file, config))]
        if as_json:
            print_json(rows)
            return
        from rich import box
        from rich.console import Console
        from rich.table import Table

        table = Table("name", "caller", "kept as", "last day", "state", box=box.SIMPLE)
        for row in rows:
            table.add_row(
                row["name"], row["caller"], row["kept_as"], row["last_day"] or "-", row["state"]
            )
        Console().print(table)


@app.command()
def revoke(
    name: Name, file: File = None, config: ServiceConfig = None, as_json: AsJson = False
) -> None:
    """Take somebody's key out of the file."""
    with failing_plainly():
        from hybrid_coordinator.api_keys import revoke_key

        entry = revoke_key(_file(file, config), name)
        if as_json:
            print_json(_row(entry, today=datetime.now(UTC).date().isoformat()))
            return
        say(f"The key of '{name}' is revoked. {_EFFECT}")


def _row(entry: ApiKey, *, today: str) -> dict[str, str]:
    last_day = "" if entry.last_day is None else entry.last_day.isoformat()
    return {
        "name": entry.name,
        "caller": entry.caller_id,
        "kept_as": "hash" if entry.hashed else "plain text",
        "last_day": last_day,
        "state": "expired" if last_day and last_day < today else "accepted",
    }


def _file(file: Path | None, config: Path | None) -> Path:
    if file is not None:
        return file
    reference = settings_from(of_this_machine(config)).api_keys_file
    if reference is None:
        raise SettingsError(
            "no keys file is configured: set api_keys_file, or name one with --file",
            field="api_keys_file",
        )
    if not reference.startswith("/"):
        raise SettingsError(
            "the keys file is handed over by systemd: name it with --file, as it is in "
            "services.hybrid-ai.coordinator.apiKeysFile",
            field="api_keys_file",
        )
    return Path(reference)
