"""What is being forgotten, written down before it begins and struck out when it is done.

A removal touches many places, and a kill between two of them must not leave
the rest for good. A note has ids only, no text. One file a removal, in a
folder of the state directory. Blocking; any thread may use it.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter

from hybrid_coordinator.durable_files import sync_folder
from hybrid_coordinator.settings import Collection

_PURGE: Final = "purge"
_NOTE: Final = ".json"
_UNFINISHED: Final = ".part"
_COLLECTIONS: Final[TypeAdapter[frozenset[Collection]]] = TypeAdapter(frozenset[Collection])


class Entry(BaseModel):
    """One interaction that is to go, whose it is, and the rejected answers that go with it."""

    model_config = ConfigDict(frozen=True)

    id: str
    caller: str
    children: tuple[str, ...] = ()

    @property
    def ids(self) -> tuple[str, ...]:
        """All interactions that go."""
        return (self.id, *self.children)


class Note(BaseModel):
    """One removal. ``context``: ids of the items that the interactions had in their prompts.

    Known, as are the children, once ``gathered``: before the interactions
    themselves are gone.
    """

    model_config = ConfigDict(frozen=True)

    version: Literal[1] = 1
    cause: Literal["asked", "age"]
    entries: tuple[Entry, ...]
    gathered: bool = False
    context: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The note's own name."""
        return self.entries[0].id

    @property
    def ids(self) -> tuple[str, ...]:
        """All interactions that go, each once."""
        return tuple(dict.fromkeys(id_ for entry in self.entries for id_ in entry.ids))


class Notes:
    """The notes in ``folder``, which is made when there is one. Raises ``OSError``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._changing = threading.Lock()

    def put(self, note: Note) -> None:
        """Write a note down, or anew, durably."""
        self._write(f"{note.name}{_NOTE}", note.model_dump_json().encode())

    def strike(self, note: Note) -> None:
        """Remove a note, durably."""
        (self._folder / f"{note.name}{_NOTE}").unlink(missing_ok=True)
        self._sync()

    def all(self) -> list[Note]:
        """Every note, in the order of their names."""
        return [Note.model_validate_json(path.read_bytes()) for path in self._paths()]

    def find(self, interaction_id: str) -> tuple[Note, Entry] | None:
        """The note and the entry that an interaction is to go by."""
        for note in self.all():
            for entry in note.entries:
                if entry.id == interaction_id:
                    return note, entry
        return None

    def purges(self) -> frozenset[Collection]:
        """The collections whose files may still have what was deleted."""
        path = self._folder / _PURGE
        return _COLLECTIONS.validate_json(path.read_bytes()) if path.exists() else frozenset()

    def want_purge(self, collections: Iterable[Collection]) -> None:
        """Note that these collections' files may have what was deleted."""
        with self._changing:
            before = self.purges()
            wanted = before.union(collections)
            if wanted != before:
                self._write(_PURGE, _COLLECTIONS.dump_json(wanted))

    def purged(self, collection: Collection) -> None:
        """Note that a collection's files have nothing that was deleted."""
        with self._changing:
            left = self.purges() - {collection}
            if left:
                self._write(_PURGE, _COLLECTIONS.dump_json(left))
            else:
                (self._folder / _PURGE).unlink(missing_ok=True)
                self._sync()

    def _paths(self) -> Iterator[Path]:
        if self._folder.is_dir():
            yield from sorted(self._folder.glob(f"*{_NOTE}"))

    def _write(self, name: str, content: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        handle, made = tempfile.mkstemp(dir=self._folder, suffix=_UNFINISHED)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(made).replace(self._folder / name)
        self._sync()

    def _sync(self) -> None:
        if self._folder.is_dir():
            sync_folder(self._folder)
