"""The endpoints about the coordinator itself: health, readiness, metrics, its own description."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from hybrid_coordinator.api.exchange import Exchange
from hybrid_coordinator.gateway import Gateway

_METRICS_TYPE: Final = CONTENT_TYPE_LATEST.encode("ascii")


class ServiceEndpoints:
    """``/health``, ``/ready``, ``/metrics``, ``/openapi.json``; ``describe`` makes the last."""

    def __init__(self, gateway: Gateway, describe: Callable[[], bytes]) -> None:
        self._gateway = gateway
        self._describe = describe
        self._description: bytes | None = None

    async def health(self, exchange: Exchange) -> None:
        """Answer at once: the process lives. Says nothing of its dependencies."""
        await exchange.respond_json({"status": "ok"})

    async def ready(self, exchange: Exchange) -> None:
        """Every dependency by name; 503 while no question could be answered."""
        readiness = await self._gateway.readiness()
        await exchange.respond_json(
            {
                "ready": readiness.ready,
                "parts": {
                    name: {"state": part.state, "detail": part.detail}
                    for name, part in readiness.parts.items()
                },
            },
            status=200 if readiness.ready else 503,
        )

    async def metrics(self, exchange: Exchange) -> None:
        """The metrics in Prometheus' text format."""
        text = await asyncio.to_thread(generate_latest, self._gateway.metrics.registry)
        await exchange.respond_without_model(text, content_type=_METRICS_TYPE)

    async def openapi(self, exchange: Exchange) -> None:
        """The OpenAPI document."""
        if self._description is None:
            self._description = await asyncio.to_thread(self._describe)
        await exchange.respond_without_model(self._description)
