"""Two backends of different kinds in one fleet, each behind a fake API that can be made to fail."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

from hybrid_coordinator.conversation import Tier
from hybrid_coordinator.inference import Fleet
from hybrid_coordinator.settings import BackendKind
from hybrid_coordinator.telemetry.metrics import Metrics
from tests.fakes import FakeAnthropic, FakeOpenAI, running
from tests.unit.inference.fleet_parts import LIMIT, fleet_of, settings


class Two:
    """Two backends, ``local`` (OpenAI's dialect) and ``remote`` (Anthropic's), and their fakes."""

    def __init__(self, **changed: Any) -> None:
        self.local = FakeOpenAI()
        self.remote = FakeAnthropic()
        self.metrics = Metrics()
        self.waits: list[float] = []
        self._changed = changed
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Two:
        enter = self._stack.enter_async_context
        await enter(asyncio.timeout(LIMIT))
        local, remote = await enter(running(self.local)), await enter(running(self.remote))
        declared = {
            "local": settings(local, **self._changed),
            "remote": settings(remote, BackendKind.ANTHROPIC, tier=Tier.REMOTE, **self._changed),
        }

        async def sleep(seconds: float) -> None:
            self.waits.append(seconds)

        self.fleet: Fleet = await enter(
            fleet_of(declared, metrics=self.metrics, sleep=sleep, uniform=lambda low, high: high)
        )
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()
