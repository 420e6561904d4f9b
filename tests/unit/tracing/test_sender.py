"""The queue of spans: bounded, counted, never in anybody's way."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import pytest

from hybrid_coordinator.telemetry import Metrics
from hybrid_coordinator.tracing.sender import MAX_BATCH, Sender

PATIENCE = 20.0


class Collector:
    """Takes items, when it is let; says what it was given."""

    def __init__(self, answers: Callable[[], bool] = lambda: True) -> None:
        self.batches: list[list[int]] = []
        self.entered = threading.Event()
        self.may_go = threading.Event()
        self.may_go.set()
        self.interrupted = threading.Event()
        self._answers = answers

    def deliver(self, items: Sequence[int]) -> bool:
        self.batches.append(list(items))
        self.entered.set()
        assert self.may_go.wait(PATIENCE)
        return self._answers()

    def interrupt(self) -> None:
        self.interrupted.set()
        self.may_go.set()


def sender(collector: Collector, metrics: Metrics, capacity: int = 64) -> Sender[int]:
    made = Sender(
        collector.deliver, collector.interrupt, capacity=capacity, metrics=metrics, linger=0.0
    )
    made.start()
    return made


def dropped(metrics: Metrics, cause: str) -> float:
    value = metrics.registry.get_sample_value("hybrid_spans_dropped_total", {"cause": cause})
    assert value is not None, "the counter is not there from the start"
    return value


def sent(metrics: Metrics) -> float:
    return metrics.registry.get_sample_value("hybrid_spans_sent_total") or 0.0


def test_everything_is_sent_in_order_before_it_is_closed() -> None:
    collector, metrics = Collector(), Metrics()
    it = sender(collector, metrics, capacity=10_000)
    for number in range(2_000):
        it.put(number)
    it.close(PATIENCE)
    assert [item for batch in collector.batches for item in batch] == list(range(2_000))
    assert all(len(batch) <= MAX_BATCH for batch in collector.batches)
    assert sent(metrics) == 2_000


def test_what_does_not_fit_is_dropped_and_counted_while_a_collector_hangs(
    caplog: pytest.LogCaptureFixture,
) -> None:
    collector, metrics = Collector(), Metrics()
    collector.may_go.clear()
    it = sender(collector, metrics, capacity=3)
    it.put(0)
    assert collector.entered.wait(PATIENCE)
    for number in range(1, 8):
        it.put(number)  # returns, though nobody takes them
    assert dropped(metrics, "queue_full") == 4
    assert [record.message for record in caplog.records if "dropped" in record.message] == [
        "spans are dropped: 3 wait already to be sent"
    ]
    collector.may_go.set()
    it.close(PATIENCE)
    assert collector.batches == [[0], [1, 2, 3]]


def test_what_a_collector_refuses_is_counted_and_the_next_is_sent_all_the_same(
    caplog: pytest.LogCaptureFixture,
) -> None:
    answers = iter((False, True))
    collector, metrics = Collector(lambda: next(answers)), Metrics()
    collector.may_go.clear()
    it = sender(collector, metrics)
    it.put(1)
    assert collector.entered.wait(PATIENCE)
    it.put(2)
    collector.may_go.set()
    it.close(PATIENCE)
    assert dropped(metrics, "export_failed") == 1
    assert sent(metrics) == 1
    assert len([r for r in caplog.records if "did not take" in r.message]) == 1


def test_a_fault_in_sending_ends_nothing() -> None:
    def broken() -> bool:
        if len(collector.batches) == 1:
            raise OSError("no route")
        return True

    metrics = Metrics()
    collector = Collector(broken)
    collector.may_go.clear()
    it = sender(collector, metrics)
    it.put(1)
    assert collector.entered.wait(PATIENCE)
    it.put(2)
    collector.may_go.set()
    it.close(PATIENCE)
    assert (dropped(metrics, "export_failed"), sent(metrics)) == (1, 1)


def test_the_end_waits_only_so_long_and_counts_what_is_left() -> None:
    collector, metrics = Collector(), Metrics()
    collector.may_go.clear()
    it = sender(collector, metrics, capacity=MAX_BATCH * 4)
    it.put(0)
    assert collector.entered.wait(PATIENCE)
    for number in range(5):
        it.put(number)
    it.close(0.01)
    assert collector.interrupted.is_set()
    assert sent(metrics) + dropped(metrics, "closed") == 6
    it.put(7)
    assert sent(metrics) + dropped(metrics, "closed") == 7
