"""The rolling store counts exactly once, keeps a bounded past, and survives bad input."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_coordinator.errors import StoreUnavailable
from hybrid_coordinator.reporting import store as store_module
from hybrid_coordinator.reporting.counting import MAX_MODELS
from hybrid_coordinator.reporting.figures import DAY, HOUR
from hybrid_coordinator.reporting.store import FILE_NAME, MINUTE, ReportingStore
from hybrid_coordinator.telemetry.events import Event, OutcomeRecorded, ValueScoreComputed
from tests.unit.reporting.ledger import CODE, answered, events, write_events

NOW = 1_800_000_000.0
EVER = 4_000_000_000


def opened(state: Path, kept_days: int = 400) -> ReportingStore:
    return ReportingStore(state, kept_days=kept_days)


def caught_up(store: ReportingStore, now: float = NOW) -> ReportingStore:
    while store.catch_up(now):
        pass
    return store


def totals(store: ReportingStore, width: int = DAY) -> dict[str, float]:
    return {name: value for name, value in store.sums(width, 0, EVER).items() if value}


def outcome(id_: str, value: str, timestamp: float = NOW - 5) -> Event:
    return OutcomeRecorded.model_validate(
        {"timestamp": timestamp, "interaction_id": id_, "outcome": value}
    )


def write(state: Path, *written: Event) -> None:
    write_events(state, iter(written))


def test_counting_on_counts_nothing_twice(tmp_path: Path) -> None:
    write_events(tmp_path, events(NOW - 300))
    once = totals(caught_up(opened(tmp_path)))
    assert totals(caught_up(opened(tmp_path))) == once
    assert once["queries:local"] == 60


@pytest.mark.parametrize("limit", [1, 7, 100])
def test_small_steps_come_to_the_same_as_a_large_one(tmp_path: Path, limit: int) -> None:
    for name in ("one", "other"):
        write_events(tmp_path / name, events(NOW - 300))
    whole, steps = opened(tmp_path / "one"), opened(tmp_path / "other")
    caught_up(whole)
    while steps.catch_up(NOW, limit):
        pass
    assert totals(steps) == pytest.approx(totals(whole))


def test_every_width_has_the_same_totals(tmp_path: Path) -> None:
    write_events(tmp_path, events(NOW - 7200, step=30))
    store = caught_up(opened(tmp_path))
    assert totals(store, MINUTE) == pytest.approx(totals(store, DAY))
    assert totals(store, HOUR) == pytest.approx(totals(store, DAY))


def test_a_crash_before_the_commit_leaves_nothing_half_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_events(tmp_path, events(NOW - 300))
    store = opened(tmp_path)
    store.catch_up(NOW, 50)
    before = totals(store)

    def fails(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(ReportingStore, "_add", fails)
        with pytest.raises(StoreUnavailable, match="disk is full"):
            store.catch_up(NOW)
    assert totals(store) == before
    assert totals(caught_up(store))["queries:local"] == 60


COUNT_FOREVER = """
import sys
from pathlib import Path
from hybrid_coordinator.reporting.store import ReportingStore
store = ReportingStore(Path(sys.argv[1]), kept_days=400)
more = True
while more:
    more = store.catch_up(1_800_000_000.0, 3)
    print("counted", flush=True)
"""


def test_kill_9_while_counting_counts_every_event_once(tmp_path: Path) -> None:
    write_events(tmp_path, events(NOW - 300))
    for steps in (1, 5, 9, 14):
        command = [sys.executable, "-c", COUNT_FOREVER, str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(steps):
                process.stdout.readline()
            process.kill()
    store = caught_up(opened(tmp_path))
    assert store.state().events == 200
    assert totals(store)["queries:local"] == 60


def test_two_that_count_at_the_same_time_share_the_work(tmp_path: Path) -> None:
    write_events(tmp_path, events(NOW - 300))

    def count(_: int) -> None:
        store = opened(tmp_path)
        while store.catch_up(NOW, 5):
            pass

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(count, range(4)))
    store = opened(tmp_path)
    assert store.state().events == 200
    assert totals(store)["queries:local"] == 60


def test_corrupt_lines_are_skipped_and_counted(tmp_path: Path) -> None:
    write(tmp_path, answered("a", timestamp=NOW))
    with (tmp_path / "telemetry" / "events.jsonl").open("ab") as file:
        file.write(b'{"type":"interaction","torn\n\xff\xfe\n[]\n{"type":"of a later version"}\n')
        file.write(b'{"type":"value_score_computed","timestamp":Infinity,"score":0.5}\n')
        file.write(b'{"type":"value_score_computed","timestamp":-5,"score":0.5}\n')
        many = b"9" * 400
        file.write(b'{"type":"fine_tuning_update","timestamp":1,"new_examples":1,')
        file.write(b'"dataset_size":' + many + b"}\n")
    write(tmp_path, answered("b", timestamp=NOW))
    store = caught_up(opened(tmp_path))
    state = store.state()
    assert (state.events, state.skipped) == (2, 7)
    assert totals(store)["queries:local"] == 2


def test_an_interaction_that_is_told_twice_counts_once(tmp_path: Path) -> None:
    write(tmp_path, answered("a", timestamp=NOW), answered("a", timestamp=NOW + 0.5))
    store = opened(tmp_path)
    store.catch_up(NOW + 1, 1)
    assert totals(caught_up(store, NOW + 1))["queries:local"] == 1


def test_only_the_last_outcome_and_score_of_an_answer_count(tmp_path: Path) -> None:
    def score(value: float, timestamp: float) -> Event:
        return ValueScoreComputed(
            timestamp=timestamp, interaction_id="a", score=value, high_value=value >= 0.7
        )

    write(
        tmp_path,
        answered("a", context=CODE, timestamp=NOW - 9000),
        outcome("a", "failure", NOW - 8000),
        score(0.2, NOW - 8000),
        outcome("a", "failure", NOW - 7000),
        outcome("a", "success", NOW - 5),
        score(1.0, NOW - 5),
    )
    store = opened(tmp_path)
    while store.catch_up(NOW, 1):
        pass
    found = totals(store)
    assert {name: found[name] for name in found if name.startswith(("outcomes", "scores"))} == {
        "outcomes:success": 1,
        "scores:9": 1,
    }
    assert found["used_told:codebase-context"] == found["used_success:context"] == 1
    assert found["high_value"] == 1
    assert min(store.sums(MINUTE, 0, EVER).values()) == 0, "nothing is below zero"


def test_an_outcome_that_comes_before_its_answer_counts_for_the_context_all_the_same(
    tmp_path: Path,
) -> None:
    write(tmp_path, outcome("a", "success"), answered("a", context=CODE, timestamp=NOW - 4))
    found = totals(caught_up(opened(tmp_path)))
    assert found["outcomes:success"] == found["used_success:codebase-context"] == 1


def test_an_outcome_that_is_taken_back_is_no_success_of_the_context(tmp_path: Path) -> None:
    write(
        tmp_path,
        answered("a", context=CODE, timestamp=NOW - 9),
        outcome("a", "success"),
        outcome("a", "unknown"),
    )
    found = totals(caught_up(opened(tmp_path)))
    assert found["outcomes:unknown"] == 1
    assert not any(name.startswith("used_") for name in found)


JUMPS = st.lists(st.floats(min_value=-400 * DAY, max_value=400 * DAY), min_size=1, max_size=12)


@settings(max_examples=40, deadline=None)
@given(JUMPS)
def test_clock_jumps_make_no_negative_count_and_lose_no_event(
    tmp_path_factory: pytest.TempPathFactory, jumps: list[float]
) -> None:
    state = tmp_path_factory.mktemp("state")
    store = opened(state)
    for number, jump in enumerate(jumps):
        now = NOW + jump
        write(
            state,
            answered(f"a{number}", context=CODE, timestamp=now),
            outcome(f"a{number}", "failure", now),
            outcome(f"a{number // 2}", "success", now),
        )
        caught_up(store, now)
        for width in (MINUTE, HOUR, DAY):
            assert all(value >= 0 for value in store.sums(width, 0, EVER).values())
    assert store.state().events == 3 * len(jumps)
    assert totals(store)["queries:local"] == len(jumps)


def test_an_event_of_the_future_counts_as_of_now(tmp_path: Path) -> None:
    write(tmp_path, answered("a", timestamp=NOW + 500 * DAY))
    store = caught_up(opened(tmp_path))
    assert store.sums(MINUTE, int(NOW) - 60, int(NOW) + 60)["queries:local"] == 1


def test_old_buckets_go_by_number_and_never_by_the_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "_PRUNE_EVERY", 1)
    monkeypatch.setattr(store_module, "_KEPT_ANSWERS", 10)
    store = opened(tmp_path, kept_days=31)
    for day in range(60):
        write(tmp_path, answered(f"a{day}", timestamp=NOW + day * DAY))
        caught_up(store, NOW + day * DAY)
    with sqlite3.connect(tmp_path / FILE_NAME) as db:
        days = db.execute("SELECT count(DISTINCT t) FROM bucket WHERE width = ?", (DAY,)).fetchone()
        answers = db.execute("SELECT count(*) FROM answer").fetchone()
    assert days == (31,)
    assert answers == (10,)
    # A clock that says 2099 for a moment takes nothing with it.
    write(tmp_path, answered("later", timestamp=EVER - 10 * DAY))
    caught_up(store, EVER - 10 * DAY)
    assert store.sums(DAY, 0, EVER)["queries:local"] == 31


def test_what_is_older_than_what_is_kept_is_not_written_by_the_minute(tmp_path: Path) -> None:
    write(tmp_path, answered("a", timestamp=NOW - 3 * DAY), answered("b", timestamp=NOW))
    store = caught_up(opened(tmp_path))
    assert store.sums(MINUTE, 0, EVER)["queries:local"] == 1
    assert store.sums(HOUR, 0, EVER)["queries:local"] == 2


def test_names_of_models_are_bounded(tmp_path: Path) -> None:
    write_events(
        tmp_path,
        (
            answered(f"a{n}", route="remote", model=f"m{n}", context=CODE, timestamp=NOW)
            for n in range(MAX_MODELS + 50)
        ),
    )
    found = totals(caught_up(opened(tmp_path)))
    names = [name for name in found if name.startswith("context_queries:")]
    assert len(names) == MAX_MODELS + 1
    assert found["context_queries:other"] == 50


def test_a_damaged_file_is_set_aside_and_counted_anew(tmp_path: Path) -> None:
    write_events(tmp_path, events(NOW - 300))
    caught_up(opened(tmp_path))
    (tmp_path / FILE_NAME).write_bytes(b"this is no database" * 400)
    assert totals(caught_up(opened(tmp_path)))["queries:local"] == 60
    assert (tmp_path / f"{FILE_NAME}.damaged").exists()


def test_a_file_of_a_newer_version_is_left_alone_and_named(tmp_path: Path) -> None:
    caught_up(opened(tmp_path))
    with sqlite3.connect(tmp_path / FILE_NAME) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreUnavailable, match="newer version"):
        opened(tmp_path).catch_up(NOW)
    assert not (tmp_path / f"{FILE_NAME}.damaged").exists()


def test_a_state_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match=FILE_NAME):
        opened(tmp_path / "gone").state()


def test_no_interaction_id_is_kept(tmp_path: Path) -> None:
    id_ = "4b7e2f9c-1111-4222-8333-abcdefabcdef"
    write(tmp_path, answered(id_, timestamp=NOW), outcome(id_, "success"))
    caught_up(opened(tmp_path))
    kept = b"".join(path.read_bytes() for path in tmp_path.glob(f"{FILE_NAME}*"))
    assert kept
    assert id_.encode() not in kept
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == 0o600


def test_levels_are_kept_once_an_hour_and_found_near_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "_KEPT_LEVELS", 24)
    store = opened(tmp_path)
    for hour in range(48):
        store.note_levels(NOW + hour * HOUR, {"points:x": hour})
        store.note_levels(NOW + hour * HOUR + 60, {"points:x": 1000})
    now = NOW + 47 * HOUR
    assert store.levels(now, tolerance=HOUR) == {"points:x": 47}
    assert store.levels(now - 20 * HOUR, tolerance=3 * HOUR) == {"points:x": 27}
    assert store.levels(NOW + 5 * HOUR, tolerance=3 * HOUR) == {}, "longer ago than is kept"
