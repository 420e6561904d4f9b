"""The commands about learning: each asks the running coordinator and prints what it says.

They know no store: where no coordinator runs they exit with 75 (sysexits.h's
"try again later"), which a timer's unit takes for no failure. How the tables
look is in ``tables``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated

import typer

from hybrid_coordinator.cli.asking import ask, connected, later_or_never
from hybrid_coordinator.cli.options import (
    AsJson,
    KeyFile,
    ServiceConfig,
    Url,
    failing_plainly,
    print_json,
    say,
)

_PANEL = "Learning"

Interaction = Annotated[str, typer.Argument(metavar="ID", help="The interaction's id.")]


def extract_patterns(
    limit: Annotated[int | None, typer.Option(min=1, help="Most entries; default: all.")] = None,
    config: ServiceConfig = None,
    url: Url = None,
    key_file: KeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Work through the extraction queue now; what waits for a model is no failure."""
    with failing_plainly(later_or_never):
        report = ask(config, url, key_file, lambda client: client.extract_patterns(limit))
        if as_json:
            print_json(asdict(report))
            return
        say(
            f"{report.processed} interactions read: {report.stored} patterns stored, "
            f"{report.merged} merged, nothing in {report.nothing}, {report.failed} to be tried "
            f"again, {report.dead} given up"
        )
        if report.retired or report.expired:
            say(f"{report.retired} patterns retired, {report.expired} old interactions forgotten")
        if report.waiting:
            say(f"{report.waiting} wait: {report.reason or 'the limit was reached'}")
        elif report.reason:
            say(report.reason)


def dataset(
    formats: Annotated[
        list[str] | None,
        typer.Option("--format", help="openai, sharegpt or preference; default: all of them."),
    ] = None,
    min_score: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="Lowest value score.")
    ] = None,
    validation_share: Annotated[
        float | None, typer.Option(min=0.0, max=0.9, help="Share of the questions set apart.")
    ] = None,
    config: ServiceConfig = None,
    url: Url = None,
    key_file: KeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Write the training data; prints where it is and what is in it."""
    with failing_plainly(later_or_never):
        from hybrid_coordinator.cli.tables import show_dataset
        from hybrid_coordinator.learning.records import DatasetRequest

        wanted = DatasetRequest()
        report = ask(
            config,
            url,
            key_file,
            lambda client: client.generate_training_data(
                formats or wanted.formats,
                min_score=min_score,
                validation_share=wanted.validation_share
                if validation_share is None
                else validation_share,
            ),
        )
        if as_json:
            print_json(asdict(report))
        else:
            show_dataset(report)


def queue(
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="With --replay: only these.")
    ] = None,
    replay: Annotated[
        bool, typer.Option("--replay", help="Put dead letters back into the queue.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Most entries of each kind.")] = 50,
    config: ServiceConfig = None,
    url: Url = None,
    key_file: KeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Show what waits for extraction and what was given up on, or try the latter again."""
    if ids and not replay:
        typer.echo("ids are for --replay", err=True)
        raise typer.Exit(2)
    with failing_plainly(later_or_never):
        if replay:
            again = ask(config, url, key_file, lambda client: client.replay_extractions(ids or ()))
            if as_json:
                print_json({"replayed": again})
            else:
                say(f"{again} dead letters are in the queue again")
            return
        from hybrid_coordinator.cli.tables import show_queue

        view = ask(config, url, key_file, lambda client: client.extraction_queue(limit))
        if as_json:
            print_json(asdict(view))
        else:
            show_queue(view)


def experiments(
    config: ServiceConfig = None,
    url: Url = None,
    key_file: KeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Show every declared experiment and how its variants do."""
    with failing_plainly(later_or_never):
        from hybrid_coordinator.cli.tables import show_experiments

        reports = ask(config, url, key_file, lambda client: client.experiments())
        if as_json:
            print_json([asdict(report) for report in reports])
        else:
            show_experiments(reports)


def forget(
    interaction_id: Interaction,
    config: ServiceConfig = None,
    url: Url = None,
    key_file: KeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Remove an interaction and everything derived from it; it cannot be undone."""
    with failing_plainly(later_or_never):
        forgotten = ask(config, url, key_file, lambda client: client.forget(interaction_id))
        if as_json:
            print_json(asdict(forgotten))
            return
        places = ", ".join(f"{count} in {place}" for place, count in forgotten.removed.items())
        say(f"{forgotten.interaction_id} is forgotten: {places or 'nothing was left of it'}")


def outcome(
    interaction_id: Interaction,
    value: Annotated[
        str | None, typer.Argument(metavar="[VALUE]", help="success, partial or failure.")
    ] = None,
    feedback: Annotated[
        int | None, typer.Option(help="What the user thinks of it: 1, 0 or -1.")
    ] = None,
    source: Annotated[str, typer.Option(help="Who says so: client, agent or thumbs.")] = "client",
    replace: Annotated[
        bool, typer.Option("--replace", help="Also where something else was said before.")
    ] = False,
    config: ServiceConfig = None,
    url: Url = None,
    key_file: KeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Say how an answer turned out."""
    with failing_plainly(later_or_never):
        receipt = ask(
            config,
            url,
            key_file,
            lambda client: client.update_outcome(
                interaction_id, value, feedback, source=source, replace=replace
            ),
        )
        if as_json:
            print_json(asdict(receipt))
            return
        told = "is noted" if receipt.changed else "was said before; nothing changed"
        say(f"{receipt.interaction_id}: {receipt.outcome.value} {told}")


def mcp(config: ServiceConfig = None, url: Url = None, key_file: KeyFile = None) -> None:
    """Serve the MCP tools on stdin and stdout, for programs that start their MCP servers."""
    with failing_plainly():
        from hybrid_coordinator.cli.mcp import serve_stdio

        settings, connection = connected(config, url, key_file)
        serve_stdio(connection, settings.log_level)


def add_to(app: typer.Typer) -> None:
    """Put the commands beside the others."""
    commands: dict[str, Callable[..., None]] = {
        "extract-patterns": extract_patterns,
        "dataset": dataset,
        "queue": queue,
        "experiments": experiments,
        "outcome": outcome,
        "forget": forget,
        "mcp": mcp,
    }
    for name, command in commands.items():
        app.command(name, rich_help_panel=_PANEL)(command)
