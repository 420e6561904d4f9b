"""The five collections: what an item of each is made of, and what of it is indexed and embedded.

An item has *content*, which its author gives, and *provenance*, which the
coordinator sets: whose it is, where it came from, when, and the hash of its
text. Stored, both are one flat payload. Unknown fields are refused when an
item is written and ignored when it is read, so that an older coordinator can
read what a newer one wrote. Not here: vectors, stores, or how items are found.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hybrid_coordinator.conversation import Json
from hybrid_coordinator.errors import InvalidRequest, Unprocessable
from hybrid_coordinator.knowledge.items import (
    BestPractice,
    CodebaseContext,
    Count,
    ErrorSolution,
    IndexKind,
    InteractionHistory,
    Item,
    Name,
    PatternStatus,
    SkillsPattern,
    Time,
    Word,
)
from hybrid_coordinator.settings import Collection

__all__ = [
    "DENSE",
    "ITEM_OF",
    "PROVENANCE_INDEXED",
    "SHARED",
    "SPARSE",
    "BestPractice",
    "CodebaseContext",
    "ErrorSolution",
    "IndexKind",
    "InteractionHistory",
    "Item",
    "PatternStatus",
    "Provenance",
    "Record",
    "SkillsPattern",
    "content_hash",
    "indexes",
    "item_id",
    "parse_item",
    "read_record",
]

DENSE: Final = "dense"
"""Name of the embedder's vector; cosine distance."""
SPARSE: Final = "bm25"
"""Name of the sparse vector of term weights; the store multiplies by inverse document frequency."""

SHARED: Final = ""
"""The ``caller`` of items that everybody may see."""

_NAMESPACE: Final = uuid.UUID("6d1f4c1e-7f0a-5b53-9a43-0d2f0f6a4a11")

ITEM_OF: Final[Mapping[Collection, type[Item]]] = MappingProxyType(
    {
        Collection.CODEBASE_CONTEXT: CodebaseContext,
        Collection.SKILLS_PATTERNS: SkillsPattern,
        Collection.ERROR_SOLUTIONS: ErrorSolution,
        Collection.INTERACTION_HISTORY: InteractionHistory,
        Collection.BEST_PRACTICES: BestPractice,
    }
)


class Provenance(BaseModel):
    """What the coordinator knows about an item, beside its content.

    ``caller`` is the owner's id (``SHARED`` for everybody's), ``source`` a
    path, URL or name of what it came from, ``source_hash`` the hash of the
    whole source (an unchanged file need not be read again), ``content_hash``
    the hash of the item's text, ``created`` epoch seconds, ``tokens`` the
    length of the text by the embedder's tokenizer.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    caller: Annotated[str, Field(max_length=256)] = SHARED
    source: Name = ""
    source_hash: Word = ""
    content_hash: Word = ""
    created: Time = 0.0
    tokens: Count = 0


PROVENANCE_INDEXED: Final[Mapping[str, IndexKind]] = MappingProxyType(
    {
        "caller": IndexKind.KEYWORD,
        "source": IndexKind.KEYWORD,
        "content_hash": IndexKind.KEYWORD,
        "created": IndexKind.FLOAT,
    }
)


_FIELDS: Final = {collection: frozenset(item.model_fields) for collection, item in ITEM_OF.items()}
_PROVENANCE_FIELDS: Final = frozenset(Provenance.model_fields)


@dataclass(frozen=True, slots=True)
class Record:
    """An item as it is stored: content and provenance."""

    item: Item
    provenance: Provenance

    def payload(self) -> Json:
        """The flat JSON object a store keeps."""
        return {
            **self.item.model_dump(mode="json"),
            **self.provenance.model_dump(mode="json"),
        }


def indexes(collection: Collection) -> Mapping[str, IndexKind]:
    """Every filtered field of a collection and the kind of its payload index."""
    return {**ITEM_OF[collection].indexed, **PROVENANCE_INDEXED}


def parse_item(collection: Collection, payload: Json, *, field: str = "payload") -> Item:
    """Check an author's payload.

    ``field`` is the payload's own path in the request. Raises
    ``InvalidRequest`` for a missing, unknown or mistyped field and
    ``Unprocessable`` for one beyond its bounds, each naming the first.
    """
    try:
        return ITEM_OF[collection].model_validate(payload)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        path = ".".join([field, *(str(part) for part in first["loc"])])
        kind = str(first["type"])
        if kind == "extra_forbidden":
            known = ", ".join(ITEM_OF[collection].model_fields)
            raise InvalidRequest(
                f"'{collection}' has no such field; it has {known}.", field=path
            ) from error
        message = f"Not a valid item of '{collection}': {first['msg']}."
        if kind.startswith(("too_", "string_too_", "greater_than", "less_than", "finite_number")):
            raise Unprocessable(message, field=path) from error
        raise InvalidRequest(message, field=path) from error


def read_record(collection: Collection, payload: Json) -> Record:
    """A stored payload as a ``Record``; fields this version does not know are left out.

    Raises ``pydantic.ValidationError`` where what is left is no item.
    """
    fields = _FIELDS[collection]
    content = {key: value for key, value in payload.items() if key in fields}
    origin = {key: value for key, value in payload.items() if key in _PROVENANCE_FIELDS}
    return Record(ITEM_OF[collection].model_validate(content), Provenance.model_validate(origin))


def content_hash(text: str) -> str:
    """BLAKE2b-128 of the text with its white space evened out, in hex (32 characters)."""
    even = " ".join(text.split())
    return hashlib.blake2b(even.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def item_id(collection: Collection, item: Item, caller: str) -> str:
    """The id of an item: UUIDv5 (RFC 9562) of collection, owner and identity.

    Storing the same thing again overwrites it instead of adding to it.
    """
    digest = hashlib.blake2b(item.identity().encode("utf-8", "surrogatepass"), digest_size=16)
    return str(uuid.uuid5(_NAMESPACE, f"{collection}\0{caller}\0{digest.hexdigest()}"))
