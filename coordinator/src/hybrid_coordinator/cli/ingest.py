"""``hybrid-coordinator ingest``: where the pieces go, and the progress bar."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict
from pathlib import Path

import httpx
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from hybrid_coordinator.cli.client import Connection, NotAnswered, error_text
from hybrid_coordinator.ingest import Ingest, Report
from hybrid_coordinator.ingest import Progress as Step
from hybrid_coordinator.ingest.items import NewItem
from hybrid_coordinator.settings import Collection, Settings


class HttpSink:
    """A running coordinator."""

    def __init__(self, client: httpx.AsyncClient, target: str) -> None:
        self._client = client
        self.target = target

    async def add(self, collection: Collection, items: Sequence[NewItem]) -> None:
        """Store items through ``POST /v1/knowledge/{collection}``."""
        body = {"items": [{"id": item.id, "payload": item.payload} for item in items]}
        await self._send("POST", f"/v1/knowledge/{collection.value}", json=body)

    async def delete(self, collection: Collection, ids: Sequence[str]) -> None:
        """Delete items through ``DELETE /v1/knowledge/{collection}``."""
        params = httpx.QueryParams([("id", id_) for id_ in ids])
        await self._send("DELETE", f"/v1/knowledge/{collection.value}", params=params)

    async def _send(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        params: httpx.QueryParams | None = None,
    ) -> None:
        try:
            response = await self._client.request(method, path, json=json, params=params)
        except httpx.HTTPError as error:
            raise NotAnswered(
                f"the coordinator broke off ({type(error).__name__}); what was stored stays, "
                "run the same command again to go on"
            ) from None
        if response.is_error:
            raise NotAnswered(error_text(response))


def ingest_and_print(
    settings: Settings,
    connection: Connection,
    path: Path,
    collection: Collection,
    *,
    elsewhere: bool,
    as_json: bool,
) -> None:
    """Ingest through the running coordinator, or into the store where none runs."""
    report = asyncio.run(_ingest(settings, connection, path, collection, elsewhere))
    if as_json:
        Console().print_json(data=asdict(report))
        return
    Console(highlight=False).print(
        f"{report.files} files: {report.added} new, {report.changed} changed, "
        f"{report.unchanged} unchanged, {report.removed} removed, {report.skipped} passed over; "
        f"{report.pieces} pieces stored in {collection.value}"
    )


async def _ingest(
    settings: Settings,
    connection: Connection,
    path: Path,
    collection: Collection,
    elsewhere: bool,
) -> Report:
    own = settings.qdrant.url or f"embedded:{settings.state_directory}"
    manifest = settings.state_directory / "ingest.sqlite"
    async with AsyncExitStack() as stack:
        headers = {"authorization": f"Bearer {connection.key}"} if connection.key else {}
        client = await stack.enter_async_context(
            httpx.AsyncClient(base_url=connection.url, headers=headers, timeout=120)
        )
        if elsewhere or await _answers(client):
            sink = HttpSink(client, connection.url if elsewhere else own)
            job = Ingest(path, collection, sink, manifest)
        else:
            # Only here, since it loads the embedder.
            from hybrid_coordinator.stores import direct_sink

            job = Ingest(
                path,
                collection,
                await stack.enter_async_context(direct_sink(settings, own)),
                manifest,
            )
        columns = (
            TextColumn("{task.description}", table_column=None),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task(collection.value, total=None)

            def show(step: Step) -> None:
                bar.update(task, completed=step.done, total=step.total)

            return await job.run(show)


async def _answers(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/health", timeout=3)).is_success
    except httpx.HTTPError:
        return False
