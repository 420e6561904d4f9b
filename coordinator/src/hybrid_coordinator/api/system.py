"""``/v1/system/…``: the health report and the analysis, both for operators only.

What they say is made behind the gateway; that a part is not well is no error
of the request, so the status is 200 and the report has its own.
"""

from __future__ import annotations

from hybrid_coordinator.api.exchange import Exchange
from hybrid_coordinator.gateway import Gateway


class SystemEndpoints:
    """``GET /v1/system/health`` and ``GET /v1/system/analysis``."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def health(self, exchange: Exchange) -> None:
        """Answer with what ``hybrid-coordinator health --json`` prints."""
        report = await self._gateway.system_health(exchange.caller)
        await exchange.respond_without_model(report.model_dump_json().encode())

    async def analysis(self, exchange: Exchange) -> None:
        """Answer with what ``hybrid-coordinator analysis --json`` prints."""
        analysis = await self._gateway.system_analysis(exchange.caller)
        await exchange.respond_without_model(analysis.model_dump_json().encode())
