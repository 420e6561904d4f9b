"""Goes through a folder and brings the store up to date with it, file by file.

Unchanged files are skipped, changed ones replaced, removed ones leave. A run
that was killed goes on where it stopped. One file is done when all its new
pieces are stored and its old ones are gone; a reader may for a moment see both.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hybrid_coordinator.errors import InvalidRequest
from hybrid_coordinator.ingest.files import find_files, read_text
from hybrid_coordinator.ingest.items import INGESTIBLE, NewItem, items_of
from hybrid_coordinator.ingest.manifest import Known, Manifest
from hybrid_coordinator.settings import Collection

BATCH = 32
# Raised whenever files are cut differently, so that unchanged ones are read again.
_CUT_VERSION = "1"


class Sink(Protocol):
    """Where items go: a running coordinator, or the store itself."""

    @property
    def target(self) -> str:
        """Names the store, so that another one is filled from the start."""

    async def add(self, collection: Collection, items: Sequence[NewItem]) -> None:
        """Store items; returns once they are durable."""

    async def delete(self, collection: Collection, ids: Sequence[str]) -> None:
        """Delete items; unknown ids are no error."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run is, for a progress bar."""

    done: int
    total: int
    path: str


@dataclass(slots=True)
class Report:
    """What a run did, in files and pieces."""

    files: int = 0
    unchanged: int = 0
    added: int = 0
    changed: int = 0
    removed: int = 0
    skipped: int = 0
    """Binary, too large, generated, or of no known kind."""
    pieces: int = 0
    """Stored by this run."""


class Ingest:
    """One run over ``root`` into ``collection``."""

    def __init__(self, root: Path, collection: Collection, sink: Sink, manifest_file: Path) -> None:
        if collection not in INGESTIBLE:
            names = ", ".join(INGESTIBLE)
            raise InvalidRequest(
                f"a folder cannot be ingested into '{collection}': choose one of {names}",
                field="collection",
            )
        if not root.exists():
            raise InvalidRequest(f"there is no {root}: name a folder or a file", field="path")
        self._root = root.resolve()
        self._collection = collection
        self._sink = sink
        self._manifest_file = manifest_file

    async def run(self, on_progress: Callable[[Progress], None] = lambda _: None) -> Report:
        """Bring the store up to date; may be cancelled or killed at any moment."""
        manifest = Manifest(self._manifest_file, self._sink.target, self._collection, self._root)
        try:
            return await self._run(manifest, on_progress)
        finally:
            manifest.close()

    async def _run(self, manifest: Manifest, on_progress: Callable[[Progress], None]) -> Report:
        report = Report()
        known = manifest.files()
        files = list(find_files(self._root))
        for number, file in enumerate(files, start=1):
            report.files += 1
            text = read_text(file.location)
            items = [] if text is None else self._items(file.path, text)
            if text is None or not items:
                report.skipped += 1
            else:
                before = known.pop(file.path, None)
                await self._file(manifest, report, file.path, text, items, before)
            on_progress(Progress(number, len(files), file.path))
        # What is left was ingested once and is gone, ignored or unreadable now.
        for path, gone in known.items():
            await self._delete(gone.ids)
            manifest.forget(path)
            report.removed += 1
        return report

    def _items(self, path: str, text: str) -> list[NewItem]:
        return items_of(self._collection, str(self._root), path, text)

    async def _file(
        self,
        manifest: Manifest,
        report: Report,
        path: str,
        text: str,
        items: list[NewItem],
        before: Known | None,
    ) -> None:
        hash_ = hashlib.blake2b(
            f"{_CUT_VERSION}\0{text}".encode("utf-8", "surrogatepass"), digest_size=16
        ).hexdigest()
        if before is not None and before.hash == hash_:
            report.unchanged += 1
            return
        ids = [item.id for item in items]
        old = before.ids if before else ()
        manifest.begin(path, [*dict.fromkeys((*old, *ids))])
        # After a clean run the pieces that did not change are there already.
        there = set(old) if before is not None and before.hash is not None else set()
        new = [item for item in items if item.id not in there]
        for start in range(0, len(new), BATCH):
            await self._sink.add(self._collection, new[start : start + BATCH])
        await self._delete([id_ for id_ in old if id_ not in set(ids)])
        manifest.done(path, hash_, ids)
        report.pieces += len(new)
        if before is None:
            report.added += 1
        else:
            report.changed += 1

    async def _delete(self, ids: Sequence[str]) -> None:
        for start in range(0, len(ids), BATCH):
            await self._sink.delete(self._collection, ids[start : start + BATCH])
