"""``/v1/embeddings``: OpenAI's, answered by the configured embedder."""

from __future__ import annotations

import asyncio
import base64
from typing import Final

import numpy as np
import orjson

from hybrid_coordinator.api.disconnect import until_disconnect
from hybrid_coordinator.api.exchange import Exchange
from hybrid_coordinator.errors import InvalidRequest
from hybrid_coordinator.gateway import Embeddings, Gateway
from hybrid_coordinator.wire import openai

_THREAD_NUMBERS: Final = 8192
"""Answers of more numbers than this are encoded in a thread: they take a millisecond or more."""


class EmbeddingEndpoints:
    """``/v1/embeddings``."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def create(self, exchange: Exchange) -> None:
        """Embed texts; floats or, as client libraries ask for, base64 of little-endian float32."""
        body = await exchange.json(openai.validate_embeddings_request)
        given = body["input"]
        texts: list[str] = [given] if isinstance(given, str) else given
        async with until_disconnect(exchange.receive):
            found = await self._gateway.embed(texts, body.get("model"), exchange.caller)
        size = found.vectors.shape[1]
        wanted = body.get("dimensions")
        if wanted is not None and wanted != size:
            raise InvalidRequest(
                f"This embedder makes vectors of {size} dimensions: ask for {size}, or leave "
                "dimensions out.",
                field="dimensions",
            )
        as_base64 = body.get("encoding_format") == "base64"
        if found.vectors.size > _THREAD_NUMBERS:
            data = await asyncio.to_thread(_encode, found, as_base64)
        else:
            data = _encode(found, as_base64)
        await exchange.respond_without_model(data)


def _encode(found: Embeddings, as_base64: bool) -> bytes:
    vectors = np.ascontiguousarray(found.vectors, dtype="<f4")
    return orjson.dumps(
        {
            "object": "list",
            "data": [
                {
                    "object": "embedding",
                    "index": index,
                    "embedding": base64.b64encode(row.tobytes()).decode("ascii")
                    if as_base64
                    else row,
                }
                for index, row in enumerate(vectors)
            ],
            "model": found.model,
            "usage": {"prompt_tokens": found.tokens, "total_tokens": found.tokens},
        },
        option=orjson.OPT_SERIALIZE_NUMPY,
    )
