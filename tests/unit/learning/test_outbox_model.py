"""The outbox against a model of it, by whatever sequence of calls, restarts included."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from hybrid_coordinator.errors import Conflict, NotFound, OutboxFull, Unprocessable
from hybrid_coordinator.learning.outbox import Outbox
from hybrid_coordinator.learning.outcomes import OutcomeState
from hybrid_coordinator.learning.records import Outcome, OutcomeSource, PostedOutcome
from hybrid_coordinator.learning_settings import OutboxSettings, SignalsSettings
from hybrid_coordinator.telemetry.metrics import Metrics
from tests.unit.learning.outbox_parts import ALICE, BOB, Clock, tracked

MAX_RECORDS = 16
IDS = st.sampled_from([f"interaction-{n}" for n in range(8)])
POSTS = st.builds(
    PostedOutcome,
    st.sampled_from([None, *Outcome]),
    st.sampled_from([None, -1, 0, 1, 2]),
    st.sampled_from(list(OutcomeSource)),
    st.booleans(),
)


@dataclass
class Model:
    content: dict[str, str] = field(default_factory=dict)
    states: dict[str, OutcomeState] = field(default_factory=dict)
    waiting: list[tuple[str, str]] = field(default_factory=list)
    dead: list[tuple[str, str]] = field(default_factory=list)
    forgotten: set[str] = field(default_factory=set)

    @property
    def full(self) -> bool:
        return len(self.waiting) + len(self.dead) >= MAX_RECORDS

    def interaction(self, id_: str, query: str) -> object:
        if id_ in self.content:
            return False if self.content[id_] == query else Conflict
        if id_ in self.forgotten:
            return NotFound
        if self.full:
            return OutboxFull
        self.content[id_] = query
        self.states[id_] = OutcomeState()
        self.waiting.append((id_, "interaction"))
        return True

    def outcome(self, id_: str, mine: bool, posted: PostedOutcome) -> object:
        try:
            after = self.states.get(id_, OutcomeState()).posted(posted, SignalsSettings())
        except Unprocessable:
            return Unprocessable
        except Conflict:
            return Conflict if mine and id_ in self.states else NotFound
        if id_ not in self.states or not mine:
            return NotFound
        return self._changed(id_, after)

    def signal(self, id_: str, weight: float) -> object:
        if id_ not in self.states:
            return False
        return self._changed(id_, self.states[id_].observed(OutcomeSource.REASK, weight))

    def _changed(self, id_: str, after: OutcomeState) -> object:
        if after == self.states[id_]:
            return False
        if self.full:
            return OutboxFull
        self.states[id_] = after
        self.waiting.append((id_, "outcome"))
        return True


class OutboxMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.clock = Clock()
        self.model = Model()
        self.runner = asyncio.Runner()
        self.box = self.opened()

    def opened(self) -> Outbox:
        limits = OutboxSettings(max_records=MAX_RECORDS)
        box = Outbox(self.folder / "o.sqlite", limits, Metrics(), now=self.clock)
        self.runner.run(box.start())
        return box

    def teardown(self) -> None:
        self.runner.run(self.box.aclose())
        self.runner.close()
        shutil.rmtree(self.folder)

    def run(self, call: Any) -> object:
        try:
            return self.runner.run(call)
        except (Conflict, NotFound, OutboxFull, Unprocessable) as error:
            return type(error)

    @rule(id_=IDS, query=st.sampled_from(["one", "two"]))
    def accept_interaction(self, id_: str, query: str) -> None:
        found = self.run(self.box.accept_interaction(tracked(id_, query=query)))
        assert found == self.model.interaction(id_, query)

    @rule(id_=IDS, caller=st.sampled_from([ALICE, ALICE, BOB]), posted=POSTS)
    def accept_outcome(self, id_: str, caller: Any, posted: PostedOutcome) -> None:
        found = self.run(self.box.accept_outcome(id_, caller, posted))
        expected = self.model.outcome(id_, caller is ALICE, posted)
        assert getattr(found, "changed", found) == expected

    @rule(id_=IDS, weight=st.sampled_from([-0.5, -0.25]))
    def accept_signal(self, id_: str, weight: float) -> None:
        found = self.run(self.box.accept_signal(id_, OutcomeSource.REASK, weight))
        assert found == self.model.signal(id_, weight)

    @rule(count=st.integers(1, 5))
    def deliver(self, count: int) -> None:
        records = self.runner.run(self.box.pending(count))
        self.runner.run(self.box.done([record.seq for record in records]))
        del self.model.waiting[:count]

    @rule(id_=IDS)
    def bury_first_of(self, id_: str) -> None:
        for record in self.runner.run(self.box.pending_of(id_))[:1]:
            self.runner.run(self.box.dead(record.seq, "why"))
            self.model.waiting.remove((id_, record.kind))
            self.model.dead.append((id_, record.kind))

    @rule(id_=IDS)
    def forget(self, id_: str) -> None:
        self.runner.run(self.box.forget(id_))
        model = self.model
        model.content.pop(id_, None)
        model.states.pop(id_, None)
        model.waiting = [each for each in model.waiting if each[0] != id_]
        model.dead = [each for each in model.dead if each[0] != id_]
        model.forgotten.add(id_)

    @rule()
    def prune(self) -> None:
        busy = {id_ for id_, _ in (*self.model.waiting, *self.model.dead)}
        gone = [id_ for id_ in self.model.content if id_ not in busy]
        assert self.runner.run(self.box.prune(2_000_000.0)) == len(gone)
        for id_ in gone:
            del self.model.content[id_], self.model.states[id_]

    @rule(seconds=st.sampled_from([-86_400.0, 1.0, 60.0]))
    def turn_the_clock(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule()
    def restart(self) -> None:
        self.runner.run(self.box.aclose())
        self.box = self.opened()

    @invariant()
    def holds_what_the_model_holds(self) -> None:
        pending = self.runner.run(self.box.pending(100))
        assert [(r.interaction_id, r.kind) for r in pending] == self.model.waiting
        assert self.box.depth == len(self.model.waiting)
        assert self.box.size_bytes == sum(len(r.body) for r in pending)
        totals = self.box.totals
        assert (totals.dead, totals.known) == (len(self.model.dead), len(self.model.states))
        last = {r.interaction_id: r for r in pending if r.kind == "outcome"}
        for id_, record in last.items():
            assert record.state() == self.model.states[id_]


TestOutboxAgainstItsModel = OutboxMachine.TestCase
TestOutboxAgainstItsModel.settings = settings(
    max_examples=25, stateful_step_count=30, deadline=None
)
