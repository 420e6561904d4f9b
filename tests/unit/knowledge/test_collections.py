"""Items, their payloads and their ids."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_coordinator.errors import InvalidRequest, Unprocessable
from hybrid_coordinator.knowledge.collections import (
    ITEM_OF,
    PROVENANCE_INDEXED,
    Provenance,
    Record,
    content_hash,
    indexes,
    item_id,
    parse_item,
    read_record,
)
from hybrid_coordinator.knowledge.items import UsedItem
from hybrid_coordinator.settings import Collection

ARCHITECTURE = {
    Collection.CODEBASE_CONTEXT: "file_path code_snippet language framework purpose last_accessed "
    "access_count success_rate",
    Collection.SKILLS_PATTERNS: "skill_name description usage_pattern success_examples "
    "failure_examples prerequisites related_skills value_score last_updated helpful_count "
    "harmful_count source_interactions status",
    Collection.ERROR_SOLUTIONS: "error_message error_type context solution solution_verified "
    "success_count failure_count first_seen last_used confidence_score",
    Collection.INTERACTION_HISTORY: "query agent_type model_used context_provided response outcome "
    "user_feedback tokens_used latency_ms timestamp value_score route cache_status experiment",
    Collection.BEST_PRACTICES: "category title description examples anti_patterns references "
    "endorsement_count last_validated",
}

SMALLEST = {
    Collection.CODEBASE_CONTEXT: {"file_path": "a.py", "code_snippet": "x = 1"},
    Collection.SKILLS_PATTERNS: {"skill_name": "reading traces"},
    Collection.ERROR_SOLUTIONS: {"error_message": "E0502", "solution": "clone it"},
    Collection.INTERACTION_HISTORY: {"query": "why?"},
    Collection.BEST_PRACTICES: {"title": "test first"},
}


@pytest.mark.parametrize("collection", list(Collection))
def test_every_field_of_the_architecture_page_is_there(collection: Collection) -> None:
    assert set(ARCHITECTURE[collection].split()) <= set(ITEM_OF[collection].model_fields)


@pytest.mark.parametrize("collection", list(Collection))
def test_content_and_provenance_share_no_field_name(collection: Collection) -> None:
    assert not set(ITEM_OF[collection].model_fields) & set(Provenance.model_fields)


@pytest.mark.parametrize("collection", list(Collection))
def test_every_indexed_field_exists(collection: Collection) -> None:
    known = {*ITEM_OF[collection].model_fields, *Provenance.model_fields}
    assert set(indexes(collection)) <= known
    assert set(PROVENANCE_INDEXED) <= set(indexes(collection))


@pytest.mark.parametrize("collection", list(Collection))
def test_a_record_survives_its_payload(collection: Collection) -> None:
    item = parse_item(collection, SMALLEST[collection])
    record = Record(item, Provenance(caller="anna", source="s", created=12.5, tokens=3))
    assert read_record(collection, record.payload()) == record


@pytest.mark.parametrize("collection", list(Collection))
def test_an_item_has_something_to_embed_and_to_show(collection: Collection) -> None:
    item = parse_item(collection, SMALLEST[collection])
    assert item.text_for_embedding().strip()
    assert item.text_for_prompt().strip()


def test_lesson_26_a_field_of_a_later_version_is_ignored_when_read() -> None:
    payload = {**SMALLEST[Collection.BEST_PRACTICES], "invented_later": 1, "caller": "anna"}
    record = read_record(Collection.BEST_PRACTICES, payload)
    assert record.provenance.caller == "anna"
    assert "invented_later" not in record.payload()


@pytest.mark.parametrize(
    ("payload", "error", "field"),
    [
        ({}, InvalidRequest, "payload.title"),
        ({"title": 7}, InvalidRequest, "payload.title"),
        ({"title": "x", "caller": "somebody else"}, InvalidRequest, "payload.caller"),
        ({"title": "x", "nonsense": 1}, InvalidRequest, "payload.nonsense"),
        ({"title": ""}, Unprocessable, "payload.title"),
        ({"title": "x" * 1025}, Unprocessable, "payload.title"),
        ({"title": "x", "examples": ["y"] * 65}, Unprocessable, "payload.examples"),
        ({"title": "x", "examples": ["y", "z" * 40_000]}, Unprocessable, "payload.examples.1"),
        ({"title": "x", "endorsement_count": -1}, Unprocessable, "payload.endorsement_count"),
        ({"title": "x", "last_validated": float("nan")}, Unprocessable, "payload.last_validated"),
    ],
)
def test_a_wrong_payload_names_the_field(
    payload: dict[str, object], error: type[Exception], field: str
) -> None:
    with pytest.raises(error) as raised:
        parse_item(Collection.BEST_PRACTICES, payload)
    assert getattr(raised.value, "field", None) == field


def test_an_id_is_the_same_for_the_same_thing_and_differs_by_owner_and_collection() -> None:
    item = parse_item(Collection.BEST_PRACTICES, SMALLEST[Collection.BEST_PRACTICES])
    again = parse_item(Collection.BEST_PRACTICES, SMALLEST[Collection.BEST_PRACTICES])
    first = item_id(Collection.BEST_PRACTICES, item, "anna")
    assert first == item_id(Collection.BEST_PRACTICES, again, "anna")
    assert uuid.UUID(first).version == 5
    assert first != item_id(Collection.BEST_PRACTICES, item, "ben")
    assert first != item_id(Collection.SKILLS_PATTERNS, item, "anna")


def test_counters_do_not_change_what_an_item_is() -> None:
    one = parse_item(Collection.ERROR_SOLUTIONS, SMALLEST[Collection.ERROR_SOLUTIONS])
    two = one.model_copy(update={"success_count": 9, "last_used": 5.0})
    assert item_id(Collection.ERROR_SOLUTIONS, one, "") == item_id(
        Collection.ERROR_SOLUTIONS, two, ""
    )


@given(st.lists(st.text(st.characters(exclude_categories=("Z", "C")), min_size=1), min_size=1))
def test_a_content_hash_does_not_depend_on_white_space(words: list[str]) -> None:
    assert content_hash(" ".join(words)) == content_hash("\n \t".join(words) + "\n")


@pytest.mark.parametrize(
    ("collection", "better", "worse"),
    [
        (Collection.SKILLS_PATTERNS, {"helpful_count": 5}, {"harmful_count": 5}),
        (Collection.ERROR_SOLUTIONS, {"success_count": 3}, {"failure_count": 3}),
        (Collection.ERROR_SOLUTIONS, {"confidence_score": 0.9}, {"confidence_score": 0.1}),
        (Collection.CODEBASE_CONTEXT, {"success_rate": 0.9}, {}),
        (Collection.BEST_PRACTICES, {"endorsement_count": 4}, {}),
        (Collection.INTERACTION_HISTORY, {"outcome": "success"}, {"outcome": "failure"}),
    ],
)
def test_an_items_record_counts_for_and_against_it(
    collection: Collection, better: dict[str, object], worse: dict[str, object]
) -> None:
    good = parse_item(collection, {**SMALLEST[collection], **better})
    bad = parse_item(collection, {**SMALLEST[collection], **worse})
    assert 0 <= bad.proven() < good.proven() <= 1


@pytest.mark.parametrize(
    ("collection", "payload", "evidence"),
    [
        # Beta(1, 1) after 3 successes and 1 failure: (3 + 1)/(4 + 2)
        (Collection.CODEBASE_CONTEXT, {"success_rate": 4 / 6, "outcome_count": 4}, (3, 1)),
        (Collection.CODEBASE_CONTEXT, {"success_rate": 0.75}, (1.5, 0.5)),
        (Collection.CODEBASE_CONTEXT, {"success_rate": 1.0, "outcome_count": 5}, (5, 0)),
        (
            Collection.SKILLS_PATTERNS,  # two of three helpful ones are what it was taken from
            {"helpful_count": 3, "success_rate": 2 / 3, "outcome_count": 1},
            (3, 0),
        ),
        (
            Collection.ERROR_SOLUTIONS,
            {"success_count": 1, "failure_count": 2, "confidence_score": 0.9},
            (1, 2),
        ),
        (
            Collection.BEST_PRACTICES,  # failures are known from its uses only
            {"endorsement_count": 2, "success_rate": 3 / 6, "outcome_count": 4},
            (2, 2),
        ),
    ],
)
def test_an_items_evidence_is_what_its_uses_and_its_sources_say(
    collection: Collection, payload: dict[str, object], evidence: tuple[float, float]
) -> None:
    item = parse_item(collection, {**SMALLEST[collection], **payload})
    assert isinstance(item, UsedItem)
    assert item.evidence() == pytest.approx(evidence)
    assert item.proven() == pytest.approx((evidence[0] + 1) / (sum(evidence) + 2))
