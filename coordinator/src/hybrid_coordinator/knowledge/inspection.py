"""How a Qdrant server and the five collections on it are, for health checks.

Plain HTTP, because ``qdrant-client`` takes two seconds to import and a check
runs every few minutes. It only looks: nothing is created or changed. What a
collection must be is decided in ``store`` and ``collections``, not here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from hybrid_coordinator.errors import StoreUnavailable
from hybrid_coordinator.knowledge.collections import DENSE, SPARSE
from hybrid_coordinator.knowledge.embedder_files import Identity
from hybrid_coordinator.knowledge.store import (
    EMBEDDER_KEY,
    CollectionReport,
    mismatch,
    vectors_in_words,
)
from hybrid_coordinator.settings import Collection

_COSINE: Final = "Cosine"
_BROKEN: Final = "red"
"""Qdrant's status of a collection that it could not optimise or store."""


@dataclass(frozen=True, slots=True)
class ServerReport:
    """A server that answers: whether all of it is there yet, and every collection.

    ``missing`` are collections that nobody has created, ``collections`` all the others.
    """

    recovering: bool
    missing: tuple[Collection, ...] = ()
    collections: Mapping[Collection, CollectionReport] = field(default_factory=dict)


async def inspect_server(
    url: str, api_key: str | None, embedder: Identity, *, timeout: float
) -> ServerReport:
    """Ask the server at ``url`` for its readiness and for every collection.

    Raises:
        StoreUnavailable: it does not answer, refuses the key, or is no Qdrant.
    """
    headers = {"api-key": api_key} if api_key else {}
    try:
        client = httpx.AsyncClient(base_url=url, headers=headers, timeout=timeout)
    except httpx.InvalidURL as error:
        raise StoreUnavailable(
            f"qdrant.url is no address ({error}): write http://host:port"
        ) from error
    async with client:
        ready = await _get(client, "/readyz")
        if ready.status_code not in (httpx.codes.OK, httpx.codes.SERVICE_UNAVAILABLE):
            raise StoreUnavailable(
                f"{url} answers /readyz with status {ready.status_code}: is it a Qdrant server? "
                "Check qdrant.url"
            )
        if not ready.is_success:
            return ServerReport(recovering=True)
        documents = await asyncio.gather(*(_collection(client, c) for c in Collection))
    found = dict(zip(Collection, documents, strict=True))
    return ServerReport(
        recovering=False,
        missing=tuple(c for c, document in found.items() if document is None),
        collections={
            c: _report(c, document, embedder)
            for c, document in found.items()
            if document is not None
        },
    )


async def _collection(client: httpx.AsyncClient, collection: Collection) -> dict[str, Any] | None:
    """Qdrant's description of a collection; None where there is none of that name."""
    answer = await _get(client, f"/collections/{collection.value}")
    if answer.status_code == httpx.codes.NOT_FOUND:
        return None
    if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        raise StoreUnavailable(
            f"Qdrant refuses the key (status {answer.status_code}): check qdrant.api_key_file"
        )
    try:
        document = answer.raise_for_status().json()["result"]
    except (httpx.HTTPStatusError, ValueError, KeyError, TypeError) as error:
        raise StoreUnavailable(
            f"Qdrant answers for '{collection}' with something else than its description "
            f"(status {answer.status_code}): look into its log"
        ) from error
    return _object(document)


async def _get(client: httpx.AsyncClient, path: str) -> httpx.Response:
    try:
        return await client.get(path)
    except httpx.HTTPError as error:
        why = str(error) or type(error).__name__
        raise StoreUnavailable(
            f"no answer from {client.base_url}{path.lstrip('/')} ({why}): is Qdrant running, "
            "and qdrant.url right?"
        ) from error


def _report(
    collection: Collection, document: Mapping[str, Any], embedder: Identity
) -> CollectionReport:
    config = _object(document.get("config"))
    params = _object(config.get("params"))
    dense = _object(_object(params.get("vectors")).get(DENSE))
    size = dense.get("size") if isinstance(dense.get("size"), int) else None
    owner = _object(config.get("metadata")).get(EMBEDDER_KEY)
    known = owner if isinstance(owner, str) and embedder.name is not None else None
    have = vectors_in_words(
        size,
        str(dense.get("distance")),
        sparse=SPARSE in _object(params.get("sparse_vectors")),
        embedder=known,
    )
    want = vectors_in_words(
        size if embedder.size is None else embedder.size,
        _COSINE,
        sparse=True,
        embedder=None if known is None else embedder.name,
    )
    problem = None
    if size is None:
        problem = (
            f"The collection '{collection}' has {have}, so it is not this coordinator's: set "
            "qdrant.url to another server, or remove the collection"
        )
    elif have != want:
        problem = mismatch(collection, have, want).message
    elif document.get("status") == _BROKEN:
        why = _object(document.get("optimizer_status")).get("error", "see its log")
        problem = f"Qdrant reports an error in '{collection}': {why}"
    points = document.get("points_count")
    return CollectionReport(points if isinstance(points, int) else None, size, problem)


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
