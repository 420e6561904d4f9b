"""The figures of the scripted gateway: none but the range, told as often as a test wants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from hybrid_coordinator.analysis.report import Analysis, Evidence, Finding, Proposal, State
from hybrid_coordinator.conversation import Caller
from hybrid_coordinator.errors import Forbidden
from hybrid_coordinator.health_report import Level, Part, Report
from hybrid_coordinator.reporting.assembly import nothing_runs
from hybrid_coordinator.reporting.figures import (
    ContextFigures,
    DashboardData,
    LearningFigures,
    Source,
)
from hybrid_coordinator.reporting.savings import Pricing, no_savings


@dataclass(kw_only=True)
class ScriptedDashboard:
    """Tells figures ``tellings`` times, then, with ``held``, waits for ``released``."""

    tellings: int = 1
    held: bool = False
    released: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once a stream was closed."""

    async def system_health(self, caller: Caller) -> Report:
        if not caller.is_operator:
            raise Forbidden("The figures are the operator's.")
        part = Part(name="redis", level=Level.WARNING, found="away", remedy="start it")
        return Report(status=Level.WARNING, checked=1.0, seconds=0.5, parts=(part,))

    async def system_analysis(self, caller: Caller) -> Analysis:
        if not caller.is_operator:
            raise Forbidden("The figures are the operator's.")
        evidence = Evidence(n=60, needed=50, since=1.0, until=2.0)
        proposal = Proposal(path=("cache", "max_entries"), value=200)
        finding = Finding(
            topic="cache.max_entries",
            state=State.CHANGE,
            found="full",
            evidence=evidence,
            proposal=proposal,
        )
        return Analysis(
            generated_at=3.0, since=1.0, until=2.0, events=60, unreadable=0, findings=(finding,)
        )

    async def figures(self, range_s: int, caller: Caller) -> DashboardData:
        if not caller.is_operator:
            raise Forbidden("The figures are the operator's.")
        return DashboardData(
            generated_at=1.0,
            range_s=range_s,
            bucket_s=60,
            source=Source(),
            service=nothing_runs("scripted").service,
            collections=[],
            learning=LearningFigures(),
            context=ContextFigures(),
            savings=no_savings(Pricing(15_000)),
            series=[],
        )

    async def figures_stream(self, range_s: int, caller: Caller) -> AsyncIterator[DashboardData]:
        try:
            for _ in range(self.tellings):
                yield await self.figures(range_s, caller)
            if self.held:
                await self.released.wait()
        finally:
            self.ended.set()
