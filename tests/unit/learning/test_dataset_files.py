"""A set of training files is there whole or not at all, whatever happens while it is written."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_coordinator.conversation import LOOPBACK_CALLER, Caller
from hybrid_coordinator.errors import StoreUnavailable, Unprocessable
from hybrid_coordinator.learning.dataset_files import (
    DatasetFolder,
    Manifest,
    current_set,
)
from hybrid_coordinator.learning.dataset_formats import (
    ChatExample,
    Message,
    PreferencePair,
    ShareGptExample,
    chat_line,
    preference_line,
    read_dataset,
    sharegpt_line,
)
from hybrid_coordinator.learning.records import DatasetFormat, DatasetRequest
from tests.unit.learning.dataset_place import ALL_TRAIN, HISTORY, Place, asked, interaction, stored
from tests.unit.learning.dataset_sets import NAMES, finish, lines, words_in, write_set


def id_of(number: int) -> str:
    return str(uuid.UUID(int=number))


class Broken(Exception):
    """The machine stops here."""


class Stops:
    """Counts calls that change the disk, and stops at one of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left = -1
        for owner, name in (
            (os, "fsync"),
            (Path, "mkdir"),
            (Path, "symlink_to"),
            (Path, "unlink"),
            (Path, "replace"),
            (shutil, "rmtree"),
        ):
            self._around(monkeypatch, owner, name)

    def _around(self, monkeypatch: pytest.MonkeyPatch, owner: object, name: str) -> None:
        real = getattr(owner, name)

        def step(*args: object, **more: object) -> object:
            self.left -= 1
            if self.left == 0:
                raise Broken
            return real(*args, **more)

        monkeypatch.setattr(owner, name, step)


def test_a_crash_at_any_step_leaves_the_old_set_or_the_new_one_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stops = Stops(monkeypatch)
    outcomes = []
    for step in range(1, 1000):
        folder = tmp_path / str(step)
        write_set(folder, "old")
        stops.left = step
        try:
            write_set(folder, "new")
        except Broken:
            outcomes.append(words_in(folder))
        else:
            break
        finally:
            stops.left = -1
        # What the crash left behind goes away, and the next run works.
        DatasetFolder(folder).recover()
        assert len(list((folder / ".sets").iterdir())) == 1
        write_set(folder, "after")
        assert words_in(folder) == {"after"}
    assert all(words in ({"old"}, {"new"}) for words in outcomes)
    assert outcomes[0] == {"old"}
    assert outcomes[-1] == {"new"}
    assert len(outcomes) > 10


def test_a_crash_at_any_step_of_the_first_set_leaves_none_or_a_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stops = Stops(monkeypatch)
    seen = set()
    for step in range(1, 1000):
        folder = tmp_path / str(step)
        stops.left = step
        try:
            write_set(folder, "new")
        except Broken:
            whole = (folder / "manifest.json").exists()
            seen.add(whole)
            assert words_in(folder) == {"new"} if whole else True
            assert all((folder / name).exists() == whole for name in NAMES)
        else:
            break
        finally:
            stops.left = -1
    assert seen == {False, True}


_WRITES_FOR_EVER = """
import sys
from pathlib import Path
from tests.unit.learning.dataset_sets import write_set
print("ready", flush=True)
for number in range(10**9):
    write_set(Path(sys.argv[1]), f"run {number}", 200)
"""


def test_kill_9_in_the_middle_of_writing_never_leaves_half_a_set(tmp_path: Path) -> None:
    chance = random.Random(4)
    for _ in range(8):
        process = subprocess.Popen(
            [sys.executable, "-c", _WRITES_FOR_EVER, str(tmp_path)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        while not (tmp_path / "manifest.json").exists():
            assert process.poll() is None
        time.sleep(chance.uniform(0.0, 0.05))  # the moment is the test
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        assert len(words_in(tmp_path)) == 1


def test_a_set_that_does_not_read_back_is_not_adopted(tmp_path: Path) -> None:
    write_set(tmp_path, "old")
    for spoilt in (b"", b"{}\n", b'{"messages": []}\n' * 3):
        place = DatasetFolder(tmp_path)
        place.recover()
        made = place.begin()
        made.write("dataset.jsonl", lines("new", 3))
        (made.folder / "dataset.jsonl").write_bytes(spoilt)
        with pytest.raises(StoreUnavailable, match="check the disk"):
            finish(made)
    assert words_in(tmp_path) == {"old"}


# Without an interaction.


async def test_without_an_interaction_no_file_of_any_set_has_its_text(tmp_path: Path) -> None:
    marker = "Xyzzy-marker"
    parent = id_of(1)
    knowledge = await stored(
        [
            interaction(1, f"{marker} q", f"{marker} a"),
            interaction(2, f"{marker} q", f"{marker} worse", parent=parent, outcome="failure"),
            interaction(3),
        ]
    )
    place = Place(knowledge, tmp_path)
    await place.writer.write(DatasetRequest(), LOOPBACK_CALLER)
    await place.writer.write(DatasetRequest(), Caller(id="anna", name="anna"))
    (tmp_path / ".sets" / "999999" / "spool").mkdir(parents=True)
    (tmp_path / ".sets" / "999999" / "spool" / "left").write_text(marker)
    assert await place.writer.without(parent) == 2 * 3
    everything = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(marker.encode() in path.read_bytes() for path in everything)
    assert not any(parent.encode() in path.read_bytes() for path in everything)
    for folder in (tmp_path, tmp_path / "anna"):
        manifest = Manifest.model_validate_json((folder / "manifest.json").read_bytes())
        assert manifest.forgotten == 3
        assert manifest.counts == {"openai": 1, "sharegpt": 1, "preference": 0}
    assert place.gauge("openai") == 1


async def test_without_an_interaction_that_is_in_no_set_nothing_is_written(tmp_path: Path) -> None:
    place = Place(await stored([interaction(1)]), tmp_path)
    assert await place.writer.without(id_of(1)) == 0
    await place.writer.write(ALL_TRAIN, LOOPBACK_CALLER)
    before = current_set(tmp_path)
    assert await place.writer.without(id_of(2), id_of(3)) == 0
    assert current_set(tmp_path) == before


async def test_of_two_equal_interactions_the_one_that_is_left_can_come_back(tmp_path: Path) -> None:
    knowledge = await stored([interaction(1, "q", "a", value_score=0.9), interaction(2, "q", "a")])
    place = Place(knowledge, tmp_path)
    await place.writer.write(ALL_TRAIN, LOOPBACK_CALLER)
    assert await place.writer.without(id_of(2)) == 0, "its text was not in the set"
    assert await place.writer.without(id_of(1)) == 2
    assert place.rows() == []
    await place.writer.write(ALL_TRAIN, LOOPBACK_CALLER)
    assert asked(place.rows()) == ["q"]


async def test_a_disk_that_fails_is_said_and_the_old_set_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    knowledge = await stored([interaction(1)])
    place = Place(knowledge, tmp_path)
    await place.writer.write(ALL_TRAIN, LOOPBACK_CALLER)
    await knowledge.store.upsert(HISTORY, [interaction(2)])

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(StoreUnavailable, match="No space left"):
            await place.writer.write(ALL_TRAIN, LOOPBACK_CALLER)
    assert asked(place.rows()) == ["question 1"]
    assert len(list((tmp_path / ".sets").iterdir())) == 1
    await place.writer.write(ALL_TRAIN, LOOPBACK_CALLER)
    assert len(place.rows()) == 2


async def test_many_removals_at_once_leave_one_whole_set(tmp_path: Path) -> None:
    place = Place(await stored([interaction(n) for n in range(1, 11)]), tmp_path)
    await place.writer.write(ALL_TRAIN, LOOPBACK_CALLER)
    await asyncio.gather(*(place.writer.without(id_of(n)) for n in range(1, 6)))
    assert sorted(asked(place.rows())) == sorted(f"question {n}" for n in range(6, 11))


# Lines.

texts = st.text(min_size=1).filter(lambda text: bool(text.strip()))
messages = st.lists(
    st.builds(Message, role=st.sampled_from(["system", "user", "assistant"]), content=st.text()),
    max_size=4,
).map(lambda before: (*before, Message(role="user", content="so?")))


@given(messages, texts)
def test_every_conversation_comes_back_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, before: tuple[Message, ...], answer: str
) -> None:
    path = tmp_path_factory.mktemp("lines") / "dataset.jsonl"
    path.write_bytes(chat_line(before, answer) + sharegpt_line(before, answer))
    first, second = read_dataset(path)
    assert isinstance(first, ChatExample)
    assert first.messages == (*before, Message(role="assistant", content=answer))
    assert isinstance(second, ShareGptExample)
    assert [turn.value for turn in second.conversations] == [m.content for m in first.messages]
    assert len(path.read_text("utf-8").splitlines()) == 2


@given(messages, texts, texts)
def test_every_pair_comes_back_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, before: tuple[Message, ...], good: str, bad: str
) -> None:
    if good == bad:
        with pytest.raises(ValueError, match="differ"):
            preference_line(before, good, bad)
        return
    path = tmp_path_factory.mktemp("lines") / "preferences.jsonl"
    path.write_bytes(preference_line(before, good, bad))
    (pair,) = read_dataset(path, DatasetFormat.PREFERENCE)
    assert isinstance(pair, PreferencePair)
    assert (pair.preferred_output[0].content, pair.non_preferred_output[0].content) == (good, bad)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{",
        "[]",
        '{"messages": [{"role": "user", "content": "a"}]}',
        '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": " "}]}',
        '{"messages": [{"role": "tool", "content": "a"}, {"role": "assistant", "content": "b"}]}',
        '{"conversations": [{"from": "human", "value": "a"}, {"from": "human", "value": "b"}]}',
        '{"input": {"messages": []}, "preferred_output": [], "non_preferred_output": []}',
    ],
)
def test_a_line_that_is_no_example_is_named_by_its_number(line: str, tmp_path: Path) -> None:
    path = tmp_path / "dataset.jsonl"
    path.write_bytes(chat_line([Message(role="user", content="a")], "b") + line.encode() + b"\n")
    examples = read_dataset(path)
    next(examples)
    with pytest.raises(Unprocessable, match=r"Line 2 of 'dataset\.jsonl'"):
        next(examples)
