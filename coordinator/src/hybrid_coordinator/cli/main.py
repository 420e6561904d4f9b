"""The commands: each parses its options, calls one function elsewhere and prints.

Nothing is decided here. Heavy imports happen inside the commands, so that
``--help`` and shell completion stay quick. Exit status: 0 done, 1 failed with
a sentence on stderr, 2 wrong usage; ``health`` has those of monitoring plug-ins;
``serve`` 75 where it may work later, 78 where the settings must be changed first.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from hybrid_coordinator import __version__
from hybrid_coordinator.cli import analysis, keys, learning, reporting
from hybrid_coordinator.cli.asking import connected
from hybrid_coordinator.cli.health import PlugIn, check_and_show
from hybrid_coordinator.cli.options import (
    SYSTEM_FILE,
    AsJson,
    Config,
    KeyFile,
    ServiceConfig,
    Url,
    failing_plainly,
    of_this_machine,
    print_json,
    say,
    settings_from,
)
from hybrid_coordinator.errors import CollectionMismatch, HybridError, ResourceBusy, SettingsError

__all__ = ["SYSTEM_FILE", "app", "main"]

app = typer.Typer(
    name="hybrid-coordinator",
    help="A self-hosted AI gateway that learns from its own use.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def service_status(error: HybridError) -> int:
    """``serve``'s exit status, by sysexits.h: whether starting it again can help."""
    if isinstance(error, ResourceBusy):
        return os.EX_TEMPFAIL
    if isinstance(error, SettingsError | CollectionMismatch):
        return os.EX_CONFIG
    return 1


@app.command()
def serve(
    config: Config = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
) -> None:
    """Run the coordinator until SIGTERM or Ctrl-C."""
    with failing_plainly(service_status):
        from hybrid_coordinator.service import serve as run

        run(lambda: settings_from(config, host=host, port=port))


@app.command()
def ask(
    question: Annotated[str, typer.Argument(help="The question, or - to read it from stdin.")],
    model: Annotated[
        str, typer.Option(help="A model's name; auto lets the router decide.")
    ] = "auto",
    config: ServiceConfig = None,
    url: Url = None,
    key_file: KeyFile = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Do not answer from the cache.")] = False,
    as_json: AsJson = False,
) -> None:
    """Ask a running coordinator; the answer streams to the terminal, then its route."""
    with failing_plainly():
        from hybrid_coordinator.cli.client import ask_and_print

        text = sys.stdin.read() if question == "-" else question
        _, connection = connected(config, url, key_file)
        ask_and_print(connection, text, model, fresh=fresh, as_json=as_json)


@app.command()
def init(config: Config = None, as_json: AsJson = False) -> None:
    """Create the five collections where they are missing; changes nothing that exists."""
    with failing_plainly():
        settings = settings_from(of_this_machine(config))
        from hybrid_coordinator.stores import initialise

        report = initialise(settings)
        if as_json:
            print_json(report)
        else:
            for name, state in report.items():
                say(f"{name}: {state}")


@app.command()
def reindex(config: Config = None, as_json: AsJson = False) -> None:
    """Embed the stored knowledge anew after the embedder was changed; stop the service first."""
    with failing_plainly():
        settings = settings_from(of_this_machine(config))
        from rich.console import Console
        from rich.progress import Progress

        from hybrid_coordinator.settings import Collection
        from hybrid_coordinator.stores import embed_anew

        with Progress(console=Console(stderr=True)) as bar:
            tasks = {c: bar.add_task(c.value, total=None, visible=False) for c in Collection}

            def show(collection: Collection, done: int, total: int) -> None:
                bar.update(tasks[collection], completed=done, total=total, visible=True)

            counts = embed_anew(settings, show)
        if as_json:
            print_json(counts)
        elif not counts:
            say("every collection fits the embedder; nothing was done")
        for name, count in counts.items() if not as_json else ():
            say(f"{name}: {count} items embedded anew")


@app.command()
def ingest(
    path: Annotated[Path, typer.Argument(help="A repository, a folder of documents, or a file.")],
    collection: Annotated[
        str, typer.Option(help="codebase-context or best-practices.")
    ] = "codebase-context",
    config: ServiceConfig = None,
    url: Url = None,
    key_file: KeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Bring a folder into the knowledge; what did not change since last time is skipped."""
    with failing_plainly():
        from hybrid_coordinator.cli.ingest import ingest_and_print
        from hybrid_coordinator.errors import InvalidRequest
        from hybrid_coordinator.settings import Collection

        settings, connection = connected(config, url, key_file)
        if collection not in set(Collection):
            raise InvalidRequest(
                f"there is no collection '{collection}': name codebase-context or best-practices",
                field="collection",
            )
        ingest_and_print(
            settings,
            connection,
            path,
            Collection(collection),
            elsewhere=url is not None,
            as_json=as_json,
        )


@app.command(cls=PlugIn)
def health(
    config: ServiceConfig = None,
    url: Url = None,
    timeout: Annotated[
        float | None, typer.Option(min=0.5, help="Seconds it may take; default: health.timeout.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check every part, one line each; exits as monitoring plug-ins do (1 warning, 2 critical)."""
    raise typer.Exit(check_and_show(of_this_machine(config), url, timeout, as_json=as_json))


@app.command("check-config")
def check_config(
    file: Annotated[Path | None, typer.Argument(help="Settings file (JSON).")] = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the file's JSON schema.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say whether a settings file is right; reads no secret and connects to nothing."""
    from hybrid_coordinator.configuration import load_settings, schema_document
    from hybrid_coordinator.errors import SettingsError

    if schema:
        typer.echo(schema_document().decode(), nl=False)
        return
    if file is None:
        typer.echo("name the settings file to check, or --schema", err=True)
        raise typer.Exit(2)
    try:
        load_settings(file, {})
    except SettingsError as error:
        if as_json:
            print_json({"ok": False, "errors": error.message.splitlines()})
        else:
            typer.echo(error.message, err=True)
        raise typer.Exit(1) from None
    if as_json:
        print_json({"ok": True, "errors": []})
    else:
        say(f"{file}: all settings are right")


@app.command()
def version(as_json: AsJson = False) -> None:
    """Print the version."""
    if as_json:
        print_json({"version": __version__})
    else:
        say(f"hybrid-coordinator {__version__}")


learning.add_to(app)
app.add_typer(keys.app, name="keys")
reporting.add_to(app)
analysis.add_to(app)

main: Callable[[], None] = app
