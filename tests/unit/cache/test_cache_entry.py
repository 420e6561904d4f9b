"""The bytes of an entry: they come back whole, and whatever else is there is unreadable."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_coordinator.cache.entry import (
    CacheEntry,
    UnreadableEntry,
    decode,
    encode,
    without_raw,
)
from hybrid_coordinator.conversation import (
    Completion,
    Dialect,
    FinishReason,
    Tier,
    ToolCall,
    Usage,
)
from hybrid_coordinator.settings import Collection
from tests.unit.cache.cache_parts import key

TEXT = st.text()
COUNT = st.integers(0, 2**40)
COMPLETIONS = st.builds(
    Completion,
    id=TEXT,
    model=TEXT,
    created=COUNT,
    text=TEXT,
    finish_reason=st.sampled_from(FinishReason),
    usage=st.builds(Usage, COUNT, COUNT, COUNT, st.booleans()),
    tool_calls=st.lists(st.builds(ToolCall, TEXT, TEXT, TEXT), max_size=3).map(tuple),
    reasoning=TEXT,
    extra=st.dictionaries(TEXT, TEXT | st.lists(COUNT), max_size=3),
)
ENTRIES = st.builds(
    CacheEntry,
    key=st.just(key()),
    question=TEXT,
    completion=COMPLETIONS,
    model=TEXT,
    backend=TEXT,
    tier=st.sampled_from(Tier),
    cost_usd=st.floats(0, 1e6),
    created_at=st.floats(0, 4e9),
    interaction_id=TEXT,
    embedder=TEXT,
    versions=st.dictionaries(st.sampled_from(Collection), COUNT),
)


@settings(max_examples=60)
@given(ENTRIES)
def test_an_entry_comes_back_as_it_was(entry: CacheEntry) -> None:
    assert decode(encode(entry)) == entry


@settings(max_examples=60)
@given(ENTRIES, st.data())
def test_a_cut_entry_is_unreadable(entry: CacheEntry, data: st.DataObject) -> None:
    whole = encode(entry)
    with pytest.raises(UnreadableEntry):
        decode(whole[: data.draw(st.integers(0, len(whole) - 1))])


@settings(max_examples=60)
@given(ENTRIES, st.data())
def test_an_entry_without_one_of_its_fields_is_unreadable(
    entry: CacheEntry, data: st.DataObject
) -> None:
    stored = orjson.loads(encode(entry))
    where = data.draw(st.sampled_from([stored, stored["answer"]]))
    where.pop(data.draw(st.sampled_from(sorted(where))))
    with pytest.raises(UnreadableEntry):
        decode(orjson.dumps(stored))


@settings(max_examples=60)
@given(st.binary())
def test_any_other_bytes_are_unreadable(data: bytes) -> None:
    with pytest.raises(UnreadableEntry):
        decode(data)


@settings(max_examples=60)
@given(ENTRIES)
def test_another_format_is_unreadable(entry: CacheEntry) -> None:
    stored = orjson.loads(encode(entry))
    stored["format"] += 1
    with pytest.raises(UnreadableEntry, match="format"):
        decode(orjson.dumps(stored))


def test_the_backends_own_bytes_are_not_kept() -> None:
    usage = Usage()
    made = Completion("i", "m", 1, "t", FinishReason.STOP, usage, raw=b"x")
    kept = without_raw(made)
    assert kept == Completion("i", "m", 1, "t", FinishReason.STOP, usage)
    with_dialect = Completion(
        "i", "m", 1, "t", FinishReason.STOP, usage, raw=b"x", raw_dialect=Dialect.OPENAI
    )
    assert without_raw(with_dialect) == kept
