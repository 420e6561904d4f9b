"""The endpoints over stored knowledge and the cache: augment, search, store, delete, invalidate.

They turn bodies into the gateway's types and back; what is found, stored or
evicted is decided behind the gateway.
"""

from __future__ import annotations

from hybrid_coordinator.api import schemas
from hybrid_coordinator.api.exchange import Exchange
from hybrid_coordinator.errors import NotFound
from hybrid_coordinator.gateway import Gateway, KnowledgeItem
from hybrid_coordinator.settings import Collection


class KnowledgeEndpoints:
    """``/v1/augment``, ``/v1/search``, ``/v1/knowledge/{collection}``, ``/v1/cache/invalidate``."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def augment(self, exchange: Exchange) -> None:
        """Answer with the question and the stored knowledge that belongs to it."""
        wanted = schemas.validate(schemas.AugmentRequest, await exchange.json())
        found = await self._gateway.augment(
            wanted.query, wanted.agent_type, exchange.caller, wanted.token_budget
        )
        await exchange.respond_json(
            {
                "augmented_prompt": found.augmented_prompt,
                "context_ids": list(found.context_ids),
                "original_query": found.original_query,
                "context_count": found.context_count,
                "context_tokens": found.context_tokens,
            }
        )

    async def search(self, exchange: Exchange) -> None:
        """Answer with the stored items that fit a query, best first."""
        wanted = schemas.validate(schemas.SearchRequest, await exchange.json())
        hits = await self._gateway.search(
            wanted.query, wanted.collections, wanted.limit, exchange.caller, wanted.filters
        )
        await exchange.respond_json(
            {
                "hits": [
                    {
                        "id": hit.id,
                        "collection": hit.collection,
                        "score": float(hit.score),
                        "payload": hit.payload,
                    }
                    for hit in hits
                ]
            }
        )

    async def add(self, exchange: Exchange) -> None:
        """Store items."""
        collection = _collection(exchange)
        wanted = schemas.validate(schemas.KnowledgeRequest, await exchange.json())
        items = [
            KnowledgeItem(payload=item.payload, id=item.id, vector=item.vector)
            for item in wanted.items
        ]
        ids = await self._gateway.add_knowledge(collection, items, exchange.caller)
        await exchange.respond_json({"ids": list(ids)})

    async def delete(self, exchange: Exchange) -> None:
        """Delete the items that ``?id=…&id=…`` names."""
        collection = _collection(exchange)
        query = exchange.query("id")
        wanted = schemas.validate(schemas.DeleteRequest, {"id": query.get("id", [])})
        deleted = await self._gateway.delete_knowledge(collection, wanted.id, exchange.caller)
        await exchange.respond_json({"deleted": deleted})

    async def invalidate(self, exchange: Exchange) -> None:
        """Evict cached answers that were wrong."""
        wanted = schemas.validate(schemas.InvalidateRequest, await exchange.json())
        evicted = await self._gateway.invalidate(
            wanted.interaction_id, wanted.query, exchange.caller
        )
        await exchange.respond_json({"evicted": evicted})


def _collection(exchange: Exchange) -> Collection:
    name = exchange.parameter("collection")
    try:
        return Collection(name)
    except ValueError:
        names = ", ".join(Collection)
        raise NotFound(
            f"There is no such collection: there are {names}.", field="collection"
        ) from None
