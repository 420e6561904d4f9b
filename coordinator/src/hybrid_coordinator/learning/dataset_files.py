"""Training data as files: a whole set at a time, replaced so that nobody sees half of one.

``fine-tuning/dataset.jsonl`` and its neighbours are links through ``.current``
into the folder of one set under ``.sets``. A new set is written beside the
old one, made durable, read back, and then becomes current by the replacement
of that one link; a crash before it leaves the old set, and what it left
behind is removed at the next start or run. A program that reads several files
asks ``current_set`` once, so that all of them are of one run. Beside each
file is an index of the interactions whose text is in each line, by which a
set is rewritten without one of them. Blocking; used by one thread at a time.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO, Final, Literal

import orjson
from pydantic import BaseModel, ConfigDict

from hybrid_coordinator.durable_files import sync_folder
from hybrid_coordinator.errors import StoreUnavailable, Unprocessable
from hybrid_coordinator.learning.dataset_formats import read_dataset
from hybrid_coordinator.learning.records import DatasetFormat

MANIFEST: Final = "manifest.json"

FILES: Final[Mapping[DatasetFormat, tuple[str, str]]] = MappingProxyType(
    {
        DatasetFormat.OPENAI: ("dataset.jsonl", "dataset.validation.jsonl"),
        DatasetFormat.SHAREGPT: ("dataset.sharegpt.jsonl", "dataset.sharegpt.validation.jsonl"),
        DatasetFormat.PREFERENCE: ("preferences.jsonl", "preferences.validation.jsonl"),
    }
)
"""Of each format the training file's name and the validation file's."""

_FORMAT_OF: Final = {name: format for format, names in FILES.items() for name in names}
_SETS: Final = ".sets"
_CURRENT: Final = ".current"
_NEXT: Final = ".current.next"
_INDEX: Final = ".index"
_PRETTY: Final = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS


class FileEntry(BaseModel):
    """One file of a set."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    examples: int
    bytes: int
    sha256: str


class DatasetFilter(BaseModel):
    """What was let in; cosines and shares from 0 to 1. ``caller`` None: everybody's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    caller: str | None
    outcome: Literal["success"] = "success"
    min_score: float
    near_duplicate: float
    same_cluster: float
    validation_share: float


class Manifest(BaseModel):
    """What a set is. ``created`` and ``changed`` are epoch seconds.

    ``considered`` interactions were looked at; ``left_out`` counts those that
    are in no example, by reason, when the set was made. ``forgotten`` counts
    examples removed since.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1] = 1
    created: float
    changed: float
    embedder: str
    filter: DatasetFilter
    considered: int
    left_out: dict[str, int]
    forgotten: int = 0
    counts: dict[str, int]
    """Examples by format, training and validation together."""
    files: dict[str, FileEntry]


@dataclass
class _Written:
    examples: int = 0
    size: int = 0
    hash: Any = field(default_factory=hashlib.sha256)


class SetWriter:
    """A set that is being written in ``folder``; nobody sees it before ``adopt``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._written: dict[str, FileEntry] = {}

    @property
    def files(self) -> dict[str, FileEntry]:
        """What was written, by name."""
        return dict(self._written)

    def write(self, name: str, lines: Iterator[tuple[bytes, str, tuple[str, ...]]]) -> None:
        """Write one file and its index: each line, its digest, its interactions' ids."""
        so_far = _Written()
        with (
            (self.folder / name).open("wb") as file,
            (self.folder / f"{name}{_INDEX}").open("wb") as index,
        ):
            for line, example, ids in lines:
                file.write(line)
                so_far.hash.update(line)
                so_far.examples += 1
                so_far.size += len(line)
                index.write(orjson.dumps([example, *ids]) + b"\n")
            _sync(file)
            _sync(index)
        self._written[name] = FileEntry(
            examples=so_far.examples, bytes=so_far.size, sha256=so_far.hash.hexdigest()
        )

    def finish(self, manifest: Manifest) -> None:
        """Write the manifest, and read everything back; raises ``StoreUnavailable`` if it differs.

        What does not read back is a disk's fault, not a client's.
        """
        with (self.folder / MANIFEST).open("wb") as file:
            file.write(orjson.dumps(manifest.model_dump(mode="json"), option=_PRETTY) + b"\n")
            _sync(file)
        sync_folder(self.folder)
        for name, entry in manifest.files.items():
            examples = _count(self.folder / name)
            with (self.folder / name).open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            if (examples, digest) != (entry.examples, entry.sha256):
                raise StoreUnavailable(
                    f"'{name}' does not read back as it was written: check the disk. "
                    "The data set before it is still in place."
                )


def _count(path: Path) -> int | None:
    """How many examples a file holds; ``None`` where one of its lines is none."""
    try:
        return sum(1 for _ in read_dataset(path, _FORMAT_OF[path.name]))
    except Unprocessable:
        return None


class DatasetFolder:
    """The place of one set, at ``folder``: its links, its current set, and what a crash left."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sets = folder / _SETS

    @property
    def folder(self) -> Path:
        """Where people find the files."""
        return self._folder

    def recover(self) -> None:
        """Remove every set but the current one, and links to files that it has not."""
        (self._folder / _NEXT).unlink(missing_ok=True)
        current = current_set(self._folder)
        if self._sets.is_dir():
            for path in self._sets.iterdir():
                if current is None or path.name != current.name:
                    shutil.rmtree(path)
        for name in (*_FORMAT_OF, MANIFEST):
            link = self._folder / name
            if link.is_symlink() and not link.exists():
                link.unlink()

    def begin(self) -> SetWriter:
        """A folder for the next set. Only after ``recover``."""
        current = current_set(self._folder)
        number = 1 if current is None else int(current.name) + 1
        made = self._sets / f"{number:06d}"
        made.mkdir(parents=True)
        return SetWriter(made)

    def adopt(self, made: SetWriter) -> None:
        """Make a finished set the current one, durably, and remove the one before it."""
        sync_folder(self._sets)
        for name in (*made.files, MANIFEST):
            link = self._folder / name
            target = f"{_CURRENT}/{name}"
            if not link.is_symlink() or link.readlink() != Path(target):
                link.unlink(missing_ok=True)
                link.symlink_to(target)
        following = self._folder / _NEXT
        following.symlink_to(f"{_SETS}/{made.folder.name}")
        following.replace(self._folder / _CURRENT)
        sync_folder(self._folder)
        self.recover()

    def manifest(self) -> Manifest | None:
        """The current set's manifest; ``None`` where there is no set."""
        current = current_set(self._folder)
        if current is None:
            return None
        return Manifest.model_validate_json((current / MANIFEST).read_bytes())

    def examples(self, names: Collection[str]) -> Iterator[str]:
        """The digests of the current set's examples in these files, where they are there."""
        current = current_set(self._folder)
        for name in names:
            index = None if current is None else current / f"{name}{_INDEX}"
            if index is not None and index.exists():
                with index.open("rb") as lines:
                    for line in lines:
                        yield orjson.loads(line)[0]

    def without(self, ids: Collection[str], now: float) -> int:
        """Rewrite the current set without the lines that are of these interactions; how many.

        Also removes what a crash left behind, which may have their text too.
        """
        self.recover()
        manifest = self.manifest()
        current = current_set(self._folder)
        if manifest is None or current is None:
            return 0
        if not any(_mentions(current / f"{name}{_INDEX}", ids) for name in manifest.files):
            return 0
        made = self.begin()
        for name in manifest.files:
            made.write(name, _lines_without(current / name, ids))
        removed = sum(e.examples for e in manifest.files.values()) - sum(
            e.examples for e in made.files.values()
        )
        counts = {
            str(format): sum(made.files[name].examples for name in names)
            for format, names in FILES.items()
            if names[0] in made.files
        }
        update = {
            "changed": now,
            "files": made.files,
            "counts": counts,
            "forgotten": manifest.forgotten + removed,
        }
        made.finish(manifest.model_copy(update=update))
        self.adopt(made)
        return removed


def current_set(folder: Path) -> Path | None:
    """The folder of the set that is current now, all of whose files are of one run.

    ``None`` where there is none. It is removed when the next set takes its
    place; open files stay readable, else ask again.
    """
    name = _linked(folder)
    while name is not None and not (folder / name).is_dir():
        # Replaced and removed since the link was read; or lost, where it still says the same.
        before, name = name, _linked(folder)
        if name == before:
            return None
    return None if name is None else folder / name


def _linked(folder: Path) -> Path | None:
    try:
        return (folder / _CURRENT).readlink()
    except FileNotFoundError:
        return None


def _index(path: Path) -> Iterator[tuple[str, list[str]]]:
    with path.open("rb") as lines:
        for line in lines:
            example, *ids = orjson.loads(line)
            yield example, ids


def _mentions(index: Path, ids: Collection[str]) -> bool:
    gone = frozenset(ids)
    return any(not gone.isdisjoint(line_ids) for _, line_ids in _index(index))


def _lines_without(
    path: Path, ids: Collection[str]
) -> Iterator[tuple[bytes, str, tuple[str, ...]]]:
    gone = frozenset(ids)
    with path.open("rb") as lines:
        index = _index(path.with_name(f"{path.name}{_INDEX}"))
        for line, (example, line_ids) in zip(lines, index, strict=True):
            if gone.isdisjoint(line_ids):
                yield line, example, tuple(line_ids)


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
