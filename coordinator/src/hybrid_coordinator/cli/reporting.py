"""The commands about figures: what was saved, and the dashboard's files.

Both ask the running coordinator. Where none runs they exit with 75 (sysexits.h's
"try again later"); the files are written even then, and say that it is down.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Annotated

import typer

from hybrid_coordinator.cli.asking import ask, asked, connected, later_or_never
from hybrid_coordinator.cli.options import (
    AsJson,
    KeyFile,
    ServiceConfig,
    Url,
    failing_plainly,
    print_json,
    say,
)

if TYPE_CHECKING:
    from hybrid_coordinator.reporting.figures import DashboardData, Range

_PANEL = "Figures"

Span = Annotated[str, typer.Option("--range", help="How far back: 1h, 24h, 7d or 30d.")]


def savings(
    span: Span = "30d",
    config: ServiceConfig = None,
    url: Url = None,
    key_file: KeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Show what cache, local models and stored knowledge saved, and the targets beside it."""
    with failing_plainly(later_or_never):
        wanted = _range(span)
        data = ask(config, url, key_file, lambda client: client.figures(wanted))
        if as_json:
            from hybrid_coordinator.reporting.documents import TokenSavings

            print_json(TokenSavings.of(data).model_dump(mode="json"))
            return
        from hybrid_coordinator.cli.savings_tables import show_savings

        show_savings(data)


def dashboard_data(
    span: Span = "30d",
    config: ServiceConfig = None,
    url: Url = None,
    key_file: KeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Write the dashboard's four files into the state directory."""
    with failing_plainly(later_or_never):
        from hybrid_coordinator.jobs.dashboard_data import write_dashboard_data

        wanted = _range(span)
        settings, connection = connected(config, url, key_file)

        def figures(span: Range) -> Awaitable[DashboardData]:
            return asked(connection, lambda client: client.figures(span))

        written = asyncio.run(write_dashboard_data(settings, wanted, figures))
        if as_json:
            files = [str(path) for path in written.paths]
            print_json({"files": files, "trouble": written.trouble or None})
        else:
            say(f"{len(written.paths)} files written in {written.paths[0].parent}")
        if written.trouble:
            from hybrid_coordinator.errors import StoreUnavailable

            raise StoreUnavailable(f"they say that the service is down: {written.trouble}")


def add_to(app: typer.Typer) -> None:
    """Put the commands beside the others."""
    app.command("savings", rich_help_panel=_PANEL)(savings)
    app.command("dashboard-data", rich_help_panel=_PANEL)(dashboard_data)


def _range(text: str) -> Range:
    from hybrid_coordinator.errors import InvalidRequest
    from hybrid_coordinator.reporting.figures import Range

    if text not in set(Range):
        raise InvalidRequest(f"--range is one of {', '.join(Range)}", field="range")
    return Range(text)
