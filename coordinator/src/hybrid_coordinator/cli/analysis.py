"""``hybrid-coordinator analysis``: settings against use, as the running coordinator sees it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import typer

from hybrid_coordinator.cli.learning import later_or_never
from hybrid_coordinator.cli.options import (
    AsJson,
    KeyFile,
    ServiceConfig,
    Url,
    failing_plainly,
    of_this_machine,
    print_json,
    say,
    settings_from,
)

if TYPE_CHECKING:
    from hybrid_coordinator.analysis.report import Analysis
    from hybrid_coordinator.cli.client import Connection


def analysis(
    config: ServiceConfig = None,
    url: Url = None,
    key_file: KeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Compare the settings with how they are used, and propose changes as option lines."""
    with failing_plainly(later_or_never):
        from hybrid_coordinator.cli.client import Connection

        connection = Connection.find(settings_from(of_this_machine(config)), url, key_file)
        found = asyncio.run(_ask(connection))
        if as_json:
            print_json(found.model_dump(mode="json"))
            return
        for line in found.lines():
            say(line)


def add_to(app: typer.Typer) -> None:
    """Put the command beside the others."""
    app.command("analysis", rich_help_panel="Figures")(analysis)


async def _ask(connection: Connection) -> Analysis:
    from hybrid_coordinator.client import HybridClient

    async with HybridClient(connection.url, connection.key) as client:
        return await client.system_analysis()
