"""What an author hands in as an item, made into points: checked, embedded, indexed by words, dated.

Also what a caller's filters must look like. Not here: whose items may be
replaced, and the store itself (``base``).
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from hybrid_coordinator.conversation import Json
from hybrid_coordinator.errors import InvalidRequest, Unprocessable
from hybrid_coordinator.knowledge.collections import (
    ITEM_OF,
    PROVENANCE_INDEXED,
    Item,
    Provenance,
    Record,
    content_hash,
    indexes,
    item_id,
    parse_item,
)
from hybrid_coordinator.knowledge.embedding import Embedder
from hybrid_coordinator.knowledge.sparse import SparseEncoder
from hybrid_coordinator.knowledge.store import FilterValue, Point, Vector
from hybrid_coordinator.settings import Collection

_BATCH: Final = 64
"""Items embedded and encoded at a time."""

_SOURCE: Final = 1024
_SOURCE_HASH: Final = 128
"""Characters; ``Provenance``'s own bounds."""


@dataclass(frozen=True, slots=True)
class NewItem:
    """An item to store: its content fields, its source's name, and id or vector if its own.

    ``created``: epoch seconds at which it came to be, where that is not now.
    """

    payload: Json
    source: str = ""
    source_hash: str = ""
    id: str | None = None
    vector: Sequence[float] | None = None
    created: float | None = None


@dataclass(frozen=True, slots=True)
class Checked:
    """An item that may be stored, and the id it gets. ``vector`` where its author gave one."""

    id: str
    given: NewItem
    content: Item
    vector: Vector | None


def check(
    collection: Collection, items: Sequence[NewItem], caller: str, embedder: Embedder
) -> list[Checked]:
    """Check all of an author's items.

    Raises ``InvalidRequest`` or ``Unprocessable`` with the first field at fault.
    """
    parsed = [
        parse_item(collection, item.payload, field=f"items.{index}.payload")
        for index, item in enumerate(items)
    ]
    checked = []
    for index, (item, content) in enumerate(zip(items, parsed, strict=True)):
        if len(item.source) > _SOURCE or len(item.source_hash) > _SOURCE_HASH:
            raise Unprocessable(
                f"A source's name has {_SOURCE} characters at most, its hash {_SOURCE_HASH}.",
                field=f"items.{index}.source",
            )
        id_ = (
            item_id(collection, content, caller)
            if item.id is None
            else parse_id(item.id, f"items.{index}.id")
        )
        checked.append(Checked(id_, item, content, _given_vector(item, index, embedder)))
    return checked


class PointMaker:
    """Turns checked items into points. ``now`` of its calls in epoch seconds."""

    def __init__(self, embedder: Embedder, sparse: SparseEncoder) -> None:
        self._embedder = embedder
        self._sparse = sparse

    async def points(self, items: Sequence[Checked], caller: str, now: float) -> list[Point]:
        """The items' points, in order; raises ``EmbeddingError``."""
        points: list[Point] = []
        for start in range(0, len(items), _BATCH):
            points += await self._batch(items[start : start + _BATCH], caller, now)
        return points

    async def _batch(self, items: Sequence[Checked], caller: str, now: float) -> list[Point]:
        shown = [item.content.text_for_prompt() for item in items]
        embedded = iter(
            await self._embedder.embed_documents(
                [item.content.text_for_embedding() for item in items if item.vector is None]
            )
        )
        vectors = [next(embedded) if item.vector is None else item.vector for item in items]
        words, lengths = await asyncio.to_thread(
            lambda: (
                self._sparse.documents(shown),
                [self._embedder.count_tokens(text) for text in shown],
            )
        )
        points = []
        for index, item in enumerate(items):
            given = item.given
            provenance = Provenance(
                caller=caller,
                source=given.source,
                source_hash=given.source_hash,
                content_hash=content_hash(shown[index]),
                created=now if given.created is None else given.created,
                tokens=lengths[index],
            )
            payload = Record(item.content, provenance).payload()
            points.append(Point(item.id, vectors[index], words[index], payload))
        return points


def parse_id(text: str, field: str) -> str:
    """An id in its one spelling; raises ``InvalidRequest``."""
    try:
        return str(uuid.UUID(text))
    except ValueError as error:
        raise InvalidRequest("An id is a UUID.", field=field) from error


def parse_filters(
    filters: Mapping[str, FilterValue | Sequence[FilterValue]], collections: Sequence[Collection]
) -> tuple[dict[str, tuple[FilterValue, ...]], list[Collection]]:
    """The filters in the store's terms, and the collections that have all of the fields.

    Raises ``InvalidRequest`` for a field that none of them has, or that is nobody's to ask for.
    """
    parsed = {
        name: (value,) if isinstance(value, str | int | float) else tuple(value)
        for name, value in filters.items()
    }
    hidden = "caller"
    for name in parsed:
        if name == hidden or not any(name in indexes(collection) for collection in collections):
            known = sorted(
                {*PROVENANCE_INDEXED, *(f for c in collections for f in ITEM_OF[c].indexed)}
                - {hidden}
            )
            raise InvalidRequest(
                f"'{name}' cannot be filtered here; these can: {', '.join(known)}.",
                field=f"filters.{name}",
            )
    return parsed, [c for c in collections if all(name in indexes(c) for name in parsed)]


def _given_vector(item: NewItem, index: int, embedder: Embedder) -> Vector | None:
    if item.vector is None:
        return None
    field = f"items.{index}.vector"
    vector: Vector = np.asarray(item.vector, dtype=np.float32)
    if vector.shape != (embedder.size,):
        raise Unprocessable(
            f"The vector has {vector.size} dimensions, but the embedder "
            f"'{embedder.name}' makes {embedder.size}: leave the vector out, or "
            "send one of that size.",
            field=field,
        )
    length = float(np.linalg.norm(vector))
    if not np.isfinite(length) or length < 1e-6:
        raise Unprocessable("A vector must be finite and not zero.", field=field)
    return vector / np.float32(length)
