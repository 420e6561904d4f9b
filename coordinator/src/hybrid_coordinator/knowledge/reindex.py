"""Embedding everything anew, after the embedder was changed.

Each collection that was made for another embedder is written to a file,
emptied, and filled from that file with the present embedder's vectors; ids
and payloads stay. The file is complete before anything is thrown away and is
removed when the last item is back, so an interrupted run is simply run again.
Not for a store in use: stop the coordinator first.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from hybrid_coordinator.conversation import Json
from hybrid_coordinator.errors import CollectionMismatch
from hybrid_coordinator.knowledge.collections import read_record
from hybrid_coordinator.knowledge.embedding import Embedder
from hybrid_coordinator.knowledge.sparse import SparseEncoder
from hybrid_coordinator.knowledge.store import KnowledgeStore, Point
from hybrid_coordinator.settings import Collection

_BATCH: Final = 64

_log = logging.getLogger(__name__)


async def reindex(
    store: KnowledgeStore,
    embedder: Embedder,
    sparse: SparseEncoder,
    folder: Path,
    progress: Callable[[Collection, int, int], None] = lambda *_: None,
) -> dict[Collection, int]:
    """Bring every collection that does not fit the embedder to it.

    ``folder`` is where the files are kept meanwhile; ``progress`` is told the
    collection, how many items are done and how many there are. Returns the
    number of items of each collection that was done. Raises
    ``StoreUnavailable``, ``EmbeddingError``; then everything is still in the
    store or in its file.
    """
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    try:
        await store.init()
    except CollectionMismatch:
        pass  # what this is for; the report below says which
    else:
        _log.info("Every collection fits the embedder '%s'.", embedder.name)
    done: dict[Collection, int] = {}
    for collection, report in (await store.schema_report()).items():
        kept = folder / f"reindex-{collection}.jsonl"
        if report.problem is not None:
            await _write_out(store, collection, kept)
            await store.recreate(collection)
        elif not kept.exists():
            continue
        done[collection] = await _bring_back(store, embedder, sparse, collection, kept, progress)
        kept.unlink()
    await store.init()
    return done


async def _write_out(store: KnowledgeStore, collection: Collection, kept: Path) -> None:
    """Every point's id and payload, one JSON object a line; the file appears when complete.

    What an interrupted run left in it stays, before what is stored now: of two
    lines with one id the later counts.
    """
    partial = kept.with_suffix(".partial")
    await asyncio.to_thread(_begin, kept, partial)
    with partial.open("a", encoding="utf-8") as file:
        after: str | None = None
        while True:
            page = await store.scroll(collection, after=after)
            lines = [json.dumps({"id": p.id, "payload": p.payload}) + "\n" for p in page.points]
            await asyncio.to_thread(file.writelines, lines)
            after = page.next
            if after is None:
                break
        file.flush()
        await asyncio.to_thread(os.fsync, file.fileno())
    partial.replace(kept)


def _begin(kept: Path, partial: Path) -> None:
    if kept.exists():
        shutil.copyfile(kept, partial)
    else:
        partial.unlink(missing_ok=True)


async def _bring_back(
    store: KnowledgeStore,
    embedder: Embedder,
    sparse: SparseEncoder,
    collection: Collection,
    kept: Path,
    progress: Callable[[Collection, int, int], None],
) -> int:
    with kept.open(encoding="utf-8") as file:
        total = sum(1 for _ in file)
    stored = seen = 0
    with kept.open(encoding="utf-8") as file:
        rows = (json.loads(line) for line in file)
        while batch := list(islice(rows, _BATCH)):
            points = await _points(embedder, sparse, collection, batch)
            await store.upsert(collection, points)
            stored += len(points)
            seen += len(batch)
            progress(collection, seen, total)
    if stored < total:
        _log.warning(
            "%d of %d items of '%s' could not be read and were left out.",
            total - stored,
            total,
            collection,
        )
    return stored


async def _points(
    embedder: Embedder, sparse: SparseEncoder, collection: Collection, rows: Sequence[Json]
) -> list[Point]:
    readable = list(_readable(collection, rows))
    vectors = await embedder.embed_documents([meaning for _, _, meaning, _ in readable])
    words = await asyncio.to_thread(sparse.documents, [shown for _, _, _, shown in readable])
    return [
        Point(id_, vector, terms, {**payload, "tokens": embedder.count_tokens(shown)})
        for (id_, payload, _, shown), vector, terms in zip(readable, vectors, words, strict=True)
    ]


def _readable(collection: Collection, rows: Sequence[Json]) -> Iterator[tuple[str, Json, str, str]]:
    """Id, payload, text to embed and text to show of every row that is an item."""
    for row in rows:
        try:
            item = read_record(collection, row["payload"]).item
        except ValidationError:
            continue
        yield row["id"], row["payload"], item.text_for_embedding(), item.text_for_prompt()
