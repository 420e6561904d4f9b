"""From what was said to what is kept."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_coordinator.knowledge.items import InteractionHistory
from hybrid_coordinator.learning.entries import RawInteraction, kept, raw_of
from hybrid_coordinator.learning.records import NewInteraction
from hybrid_coordinator.learning_settings import ScrubSettings
from hybrid_coordinator.scrubbing import Scrubber
from hybrid_coordinator.telemetry import Metrics

ID = str(uuid.UUID(int=7))
LIMIT = 32_000


class Masking:
    """Replaces one word, and so changes the length."""

    def scrub_all(self, texts: Sequence[str]) -> list[str]:
        return [text.replace("hunter2", "[SECRET_0123456789]") for text in texts]


def raw(**fields: object) -> RawInteraction:
    values: dict[str, object] = {
        "id": ID,
        "caller": "ann",
        "query": "How do I list timers?",
        "response": "systemctl list-timers",
        "timestamp": 5.0,
        **fields,
    }
    return RawInteraction(**values)  # type: ignore[arg-type]


def item(**fields: object) -> InteractionHistory:
    return kept(raw(**fields), Masking(), LIMIT).item


def test_query_response_and_history_are_scrubbed() -> None:
    found = item(
        query="is hunter2 good?",
        response="no, hunter2 is not",
        before=[{"role": "system", "content": "the key is hunter2"}],
    )
    assert "hunter2" not in found.model_dump_json()
    assert found.query == "is [SECRET_0123456789] good?"


def test_a_password_that_the_question_gives_away_is_not_kept_in_the_answer() -> None:
    scrubber = Scrubber(ScrubSettings(), b"k" * 32, Metrics())
    said = raw(query='set password = "Tr0ub4dor&3x"', response="It is Tr0ub4dor&3x now.")
    found = kept(said, scrubber, LIMIT).item
    assert "Tr0ub4dor" not in found.model_dump_json()


def test_a_response_of_5_megabytes_is_kept_cut_with_a_mark() -> None:
    found = item(response="x" * 5_000_000)
    assert found.truncated
    assert len(found.response) <= LIMIT
    assert found.response.endswith("[cut here: the whole had 5,000,000 characters]")


def test_a_secret_across_the_cut_is_not_kept_in_part() -> None:
    found = item(response="x" * (LIMIT - 3) + "hunter2" + "y" * 100)
    assert "hun" not in found.response


def test_what_grows_beyond_the_bound_by_its_placeholders_is_cut() -> None:
    found = kept(raw(response="hunter2 " * 3_999), Masking(), LIMIT).item
    assert found.truncated
    assert len(found.response) <= 32_768


def test_messages_before_the_question_are_kept_as_json() -> None:
    before = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Hello"}]},
        {"role": "assistant", "content": "Hi."},
    ]
    found = item(before=before, turns=2)
    assert found.history_complete
    assert json.loads(found.history) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi."},
    ]


@pytest.mark.parametrize(
    "message",
    [
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:x"}}]},
        {"role": "tool", "content": "42", "tool_call_id": "a"},
        {"role": "assistant", "content": "", "tool_calls": [{"id": "a"}]},
        {"role": "assistant", "content": None},
        {"role": "user", "content": "x" * 30_000},
    ],
    ids=["image", "tool", "tool call", "nothing", "too long"],
)
def test_a_history_that_cannot_be_kept_whole_is_left_out_and_marked(
    message: dict[str, object],
) -> None:
    found = item(before=[message])
    assert found.history == ""
    assert not found.history_complete


def test_tokens_are_the_sum_where_no_total_is_given() -> None:
    assert item(input_tokens=3, output_tokens=4).tokens_used == 7
    assert item(tokens_used=9).tokens_used == 9


def test_a_clients_report_gets_the_time_and_its_owner() -> None:
    new = NewInteraction("q", "r", "m", 12, context_ids=("a",), turns=3, tool_calls=2)
    tracked = kept(raw_of(new, ID, "bob", 77.0), Masking(), LIMIT)
    assert (tracked.id, tracked.caller) == (ID, "bob")
    assert tracked.item.timestamp == 77.0
    assert tracked.item.context_provided == ("a",)
    assert (tracked.item.turns, tracked.item.tool_calls) == (3, 2)


@given(st.text(st.characters(), max_size=300), st.text(st.characters(), max_size=300))
def test_any_text_becomes_an_item(query: str, response: str) -> None:
    found = item(query=query, response=response, before=[{"role": "user", "content": response}])
    assert InteractionHistory.model_validate_json(found.model_dump_json()) == found
