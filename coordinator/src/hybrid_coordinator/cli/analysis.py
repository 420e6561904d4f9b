"""``hybrid-coordinator analysis``: settings against use, as the running coordinator sees it."""

from __future__ import annotations

import typer

from hybrid_coordinator.cli.asking import ask, later_or_never
from hybrid_coordinator.cli.options import (
    AsJson,
    KeyFile,
    ServiceConfig,
    Url,
    failing_plainly,
    print_json,
    say,
)


def analysis(
    config: ServiceConfig = None,
    url: Url = None,
    key_file: KeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Compare the settings with how they are used, and propose changes as option lines."""
    with failing_plainly(later_or_never):
        found = ask(config, url, key_file, lambda client: client.system_analysis())
        if as_json:
            print_json(found.model_dump(mode="json"))
            return
        for line in found.lines():
            say(line)


def add_to(app: typer.Typer) -> None:
    """Put the command beside the others."""
    app.command("analysis", rich_help_panel="Figures")(analysis)
