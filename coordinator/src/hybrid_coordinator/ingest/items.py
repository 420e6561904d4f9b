"""Turns the pieces of a file into items of a collection, with ids that stay the same."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from hybrid_coordinator.conversation import Json
from hybrid_coordinator.ingest.code import cut_code
from hybrid_coordinator.ingest.languages import framework_of, language_of, parser_for
from hybrid_coordinator.ingest.markdown import cut_markdown
from hybrid_coordinator.ingest.pieces import Piece, cut_by_lines
from hybrid_coordinator.settings import Collection

INGESTIBLE = (Collection.CODEBASE_CONTEXT, Collection.BEST_PRACTICES)
"""The collections a folder can be ingested into."""

_NAMESPACE = uuid.UUID("0d0f4f52-2f0e-5c8e-8d1a-5f4f3c2b9a77")
_MOST_PIECES = 4000


@dataclass(frozen=True, slots=True)
class NewItem:
    """An item to store. The id is a UUIDv5 of collection, root, path and content."""

    id: str
    payload: Json


def items_of(collection: Collection, root: str, path: str, text: str) -> list[NewItem]:
    """The items of one file, in order; empty where its language is not one to read."""
    language = language_of(path)
    if language is None:
        return []
    make = _code if collection is Collection.CODEBASE_CONTEXT else _practice
    shown = f"{PurePosixPath(root).name}/{path}"
    framework = framework_of(text)
    items: list[NewItem] = []
    seen = Counter[str]()
    for piece in _cut(path, language, text):
        if len(items) >= _MOST_PIECES:
            break
        seen[piece.text] += 1
        name = f"{collection}\0{root}\0{path}\0{piece.names}\0{piece.text}\0{seen[piece.text]}"
        payload = make(piece, shown, language, framework)
        items.append(NewItem(str(uuid.uuid5(_NAMESPACE, name)), payload))
    return items


def _cut(path: str, language: str, text: str) -> Iterator[Piece]:
    if language == "markdown":
        return cut_markdown(text)
    parser = parser_for(PurePosixPath(path).suffix[1:].lower())
    return cut_by_lines(text) if parser is None else cut_code(text, parser)


def _code(piece: Piece, path: str, language: str, framework: str) -> Json:
    return {
        "file_path": path,
        "code_snippet": piece.text,
        "language": language,
        "framework": framework,
        "purpose": " › ".join(piece.names),
        "start_line": piece.start_line,
        "end_line": piece.end_line,
    }


def _practice(piece: Piece, path: str, language: str, framework: str) -> Json:
    return {
        "title": piece.names[-1] if piece.names else PurePosixPath(path).stem,
        "category": (piece.names[0] if piece.names else framework or language)[:128],
        "description": piece.text,
        "references": [f"{path}:{piece.start_line}-{piece.end_line}"],
    }
