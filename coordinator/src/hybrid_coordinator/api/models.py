"""``/v1/models``: which names ``model`` accepts.

Each entry is readable to OpenAI's and to Anthropic's client libraries, which
list models at the same path.
"""

from __future__ import annotations

from datetime import UTC, datetime

from hybrid_coordinator.api.exchange import Exchange
from hybrid_coordinator.conversation import Json
from hybrid_coordinator.errors import UnknownModel
from hybrid_coordinator.gateway import Gateway, ModelInfo


class ModelEndpoints:
    """``/v1/models`` and ``/v1/models/{id}``."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def list(self, exchange: Exchange) -> None:
        """All models on one page."""
        data = [_entry(model) for model in self._gateway.models()]
        await exchange.respond_json(
            {
                "object": "list",
                "data": data,
                "has_more": False,
                "first_id": data[0]["id"] if data else None,
                "last_id": data[-1]["id"] if data else None,
            }
        )

    async def one(self, exchange: Exchange) -> None:
        """One model by its id."""
        wanted = exchange.parameter("id")
        for model in self._gateway.models():
            if model.id == wanted:
                await exchange.respond_json(_entry(model))
                return
        raise UnknownModel(
            "There is no model of this name: GET /v1/models lists them.", field="model"
        )


def _entry(model: ModelInfo) -> Json:
    created = datetime.fromtimestamp(model.created, UTC).isoformat().replace("+00:00", "Z")
    return {
        "id": model.id,
        "object": "model",
        "created": model.created,
        "owned_by": model.owned_by,
        "type": "model",
        "display_name": model.id,
        "created_at": created,
        "tier": model.tier,
        "context_tokens": model.context_tokens,
        "max_input_tokens": model.context_tokens,
        "lifecycle": "active",
        "ready": model.ready,
    }
