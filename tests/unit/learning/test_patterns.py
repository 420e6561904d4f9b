"""Where patterns are kept: new, merged, risen, retired, shared, unlearned; over a real store."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import pytest

from hybrid_coordinator.knowledge import NewItem
from hybrid_coordinator.knowledge.embedding import FastembedEmbedder
from hybrid_coordinator.knowledge.items import InteractionHistory
from hybrid_coordinator.learning.evidence import Evidence
from hybrid_coordinator.learning.extraction_answer import Pattern
from hybrid_coordinator.learning.extraction_prompt import Kind
from hybrid_coordinator.learning.lifecycle import DAY
from hybrid_coordinator.learning.pattern_items import MAX_EXAMPLES
from hybrid_coordinator.learning.patterns import Shelved
from hybrid_coordinator.learning.records import LearnedRef
from tests.unit.learning.history import HISTORY, KnowledgeRoom
from tests.unit.learning.patterns_bench import (
    CANDIDATE,
    CODE,
    COMMIT,
    ERRORS,
    LOOP,
    NOW,
    PORT,
    PRACTICES,
    RETIRED,
    SECRETS,
    SKILLS,
    TRUSTED,
    Bench,
)


@pytest.fixture
async def room(embedder: FastembedEmbedder) -> AsyncIterator[KnowledgeRoom]:
    made = await KnowledgeRoom.open(embedder)
    yield made
    await made.knowledge.aclose()


@pytest.fixture
def bench(room: KnowledgeRoom) -> Bench:
    return Bench(room)


def ref_of(shelved: Shelved) -> LearnedRef:
    assert shelved.ref is not None
    return shelved.ref


async def test_each_kind_goes_to_its_collection_as_a_candidate(bench: Bench) -> None:
    for pattern, collection in (
        (COMMIT, SKILLS),
        (PORT, ERRORS),
        (SECRETS, PRACTICES),
        (LOOP, CODE),
    ):
        id_, shelved = await bench.taught(pattern)
        assert shelved.result == "stored"
        ref = ref_of(shelved)
        assert ref.collection is collection
        payload = await bench.payload(ref)
        assert payload["status"] == "candidate"
        assert payload["learned"] is True
        assert payload["source_interactions"] == [id_]
        assert payload["source"] == f"interaction:{id_}"
        assert payload["caller"] == "anna"
        assert payload["created"] == NOW
    assert bench.statuses() == [("candidate", "learned")] * 4
    # What only adds leaves cached answers alone.
    assert bench.room.changed == []


async def test_what_is_stored_is_found(bench: Bench) -> None:
    _, shelved = await bench.taught(COMMIT)
    found = await bench.room.knowledge.search("undo my last git commit", None, "anna")
    assert [hit.id for hit in found.hits if hit.collection is SKILLS] == [ref_of(shelved).id]
    assert "git reset --soft" in found.hits[0].text
    # Lesson 23: it is nobody else's.
    assert not (await bench.room.knowledge.search("undo my last git commit", None, "bert")).hits


async def test_the_same_interaction_teaches_once_whatever_kind_is_said_later(bench: Bench) -> None:
    """Lesson 24: an extraction that was repeated stored its pattern again."""
    id_, first = await bench.taught(COMMIT)
    before = await bench.payload(ref_of(first))
    again = await bench.again(COMMIT, id_)
    assert again == Shelved("known", first.ref)
    other = Pattern(Kind.BEST_PRACTICE, COMMIT.title, COMMIT.question, COMMIT.steps)
    assert (await bench.again(other, id_)).result == "known"
    assert await bench.payload(ref_of(first)) == before
    assert await bench.items() == 1


async def test_a_pattern_that_is_near_enough_is_an_example_of_the_known_one(bench: Bench) -> None:
    first_id, first = await bench.taught(COMMIT)
    before = await bench.payload(ref_of(first))
    second_id, second = await bench.taught(COMMIT, value_score=0.9)
    assert second == Shelved("merged", first.ref)
    after = await bench.payload(ref_of(first))
    assert after["source_interactions"] == [first_id, second_id]
    assert after["example_sources"] == [first_id, second_id]
    assert after["success_examples"][:1] == before["success_examples"]
    assert len(after["success_examples"]) == 2
    assert after["value_score"] == 0.9
    # Append-only: what was stored is never rewritten.
    for name in ("skill_name", "description", "usage_pattern", "created", "source", "caller"):
        assert after[name] == before[name]
    # More is shown, and it is counted as what it is.
    assert after["tokens"] > before["tokens"]
    assert await bench.items() == 1


async def test_a_pattern_that_is_not_near_enough_is_its_own(bench: Bench) -> None:
    await bench.taught(COMMIT)
    other = Pattern(
        Kind.SKILL, "How do I bake bread?", "How do I bake bread?", ("Knead the dough.",)
    )
    assert (await bench.taught(other))[1].result == "stored"
    assert await bench.items() == 2


async def test_nothing_is_merged_across_callers(bench: Bench) -> None:
    _, first = await bench.taught(COMMIT, "anna")
    _, second = await bench.taught(COMMIT, "bert")
    assert second.result == "stored"
    assert ref_of(first).id != ref_of(second).id


async def test_examples_are_bounded(bench: Bench) -> None:
    shelved = [(await bench.taught(COMMIT))[1] for _ in range(MAX_EXAMPLES + 3)]
    payload = await bench.payload(ref_of(shelved[0]))
    assert len(payload["success_examples"]) == MAX_EXAMPLES
    assert len(payload["example_sources"]) == MAX_EXAMPLES
    assert len(payload["source_interactions"]) == MAX_EXAMPLES + 3


async def test_an_interaction_that_was_forgotten_meanwhile_teaches_nothing(bench: Bench) -> None:
    item = InteractionHistory(query=COMMIT.question)
    gone = str(uuid.uuid4())
    assert await bench.shelf.store_or_merge("anna", COMMIT, gone, item) == Shelved("gone")
    assert await bench.items() == 0


# Status.


async def test_a_candidate_is_trusted_once_distinct_interactions_confirm_it(bench: Bench) -> None:
    _, shelved = await bench.taught(COMMIT)
    ref = ref_of(shelved)
    assert await bench.shelf.refresh(ref) is CANDIDATE
    await bench.used(ref, "unknown")
    assert await bench.shelf.refresh(ref) is CANDIDATE
    await bench.used(ref, "success")
    assert await bench.shelf.refresh(ref) is TRUSTED
    assert await bench.shelf.refresh(ref) is TRUSTED
    assert bench.statuses() == [("candidate", "learned"), ("trusted", "confirmed")]
    name = "hybrid_patterns_total"
    labels = {"collection": SKILLS.value, "status": "trusted"}
    assert bench.room.metrics.registry.get_sample_value(name, labels) == 1
    assert bench.room.changed == []


async def test_a_source_that_also_used_the_item_confirms_it_once(bench: Bench) -> None:
    _, shelved = await bench.taught(COMMIT)
    ref = ref_of(shelved)
    merged = Bench(bench.room, patterns={"trusted_after": 3})
    id_, again = await merged.taught(COMMIT, context=[ref.id])
    assert again.result == "merged"
    assert id_ in (await bench.payload(ref))["source_interactions"]
    assert await merged.shelf.refresh(ref) is CANDIDATE


async def test_what_others_say_of_a_callers_item_is_not_heard(bench: Bench) -> None:
    _, shelved = await bench.taught(COMMIT)
    ref = ref_of(shelved)
    for _ in range(9):
        await bench.used(ref, "failure", caller="mallory")
        await bench.used(ref, "success", caller="mallory")
    assert await bench.shelf.refresh(ref) is CANDIDATE


async def test_an_item_that_harms_is_retired_and_no_longer_found(bench: Bench) -> None:
    _, shelved = await bench.taught(COMMIT, age=3 * DAY)
    ref = ref_of(shelved)
    await bench.used(ref, "failure")
    # One failure against one success is chance, though the success is older.
    assert await bench.shelf.refresh(ref) is CANDIDATE
    await bench.used(ref, "failure")
    assert await bench.shelf.refresh(ref) is RETIRED
    assert bench.statuses()[-1] == ("retired", "harmful")
    assert not (await bench.room.knowledge.search(COMMIT.question, None, "anna")).hits
    # Lesson 19: answers that were made with it go too.
    assert bench.room.changed == [SKILLS]
    for _ in range(9):
        await bench.used(ref, "success")
    assert await bench.shelf.refresh(ref) is RETIRED


async def test_a_retired_item_is_not_merged_into(bench: Bench) -> None:
    _, shelved = await bench.taught(COMMIT)
    await bench.room.knowledge.amend(SKILLS, [ref_of(shelved).id], {"status": "retired"})
    assert (await bench.taught(COMMIT))[1].result == "stored"


async def test_a_source_that_turned_out_a_failure_speaks_against_its_pattern(bench: Bench) -> None:
    id_, shelved = await bench.taught(COMMIT)
    await bench.room.knowledge.amend(HISTORY, [id_], {"outcome": "failure"})
    assert await bench.shelf.refresh(ref_of(shelved)) is RETIRED


async def test_old_harm_counts_less_than_new_help(bench: Bench) -> None:
    _, shelved = await bench.taught(COMMIT)
    ref = ref_of(shelved)
    for _ in range(4):
        await bench.used(ref, "failure", timestamp=NOW - 300 * DAY)
    assert await bench.shelf.refresh(ref) is CANDIDATE


async def test_a_candidate_that_nothing_confirms_goes_with_time(bench: Bench) -> None:
    _, shelved = await bench.taught(COMMIT)
    trusted = ref_of((await bench.taught(PORT))[1])
    await bench.room.knowledge.amend(ERRORS, [trusted.id], {"status": "trusted"})
    bench.now = NOW + 89 * DAY
    assert await bench.shelf.sweep() == 0
    bench.now = NOW + 91 * DAY
    assert await bench.shelf.sweep() == 1
    assert await bench.shelf.sweep() == 0
    assert (await bench.payload(ref_of(shelved)))["status"] == "retired"
    assert (await bench.payload(trusted))["status"] == "trusted"
    assert bench.statuses()[-1] == ("retired", "unconfirmed")


async def test_a_use_that_went_well_keeps_a_candidate(room: KnowledgeRoom) -> None:
    bench = Bench(room, patterns={"trusted_after": 5})
    _, shelved = await bench.taught(COMMIT)
    bench.now = NOW + 91 * DAY
    await bench.used(ref_of(shelved), "success")
    assert await bench.shelf.sweep() == 0


async def test_what_somebody_wrote_goes_after_clear_harm_and_code_never(bench: Bench) -> None:
    knowledge = bench.room.knowledge
    practice = NewItem({"title": "Reboot twice"})
    file = NewItem({"file_path": "a.py", "code_snippet": "x = 1"})
    (first,) = await knowledge.add(PRACTICES, [practice], "anna", announce=False)
    (second,) = await knowledge.add(CODE, [file], "anna", announce=False)
    refs = [LearnedRef(PRACTICES, first), LearnedRef(CODE, second)]
    for _ in range(2):
        for ref in refs:
            await bench.used(ref, "failure")
    assert [await bench.shelf.refresh(ref) for ref in refs] == [TRUSTED, TRUSTED]
    for _ in range(2):
        for ref in refs:
            await bench.used(ref, "failure")
    assert [await bench.shelf.refresh(ref) for ref in refs] == [RETIRED, TRUSTED]


async def test_an_item_that_is_gone_has_no_status(bench: Bench) -> None:
    assert await bench.shelf.refresh(LearnedRef(SKILLS, str(uuid.uuid4()))) is None


async def test_counts_come_from_the_interactions_and_not_from_calls(bench: Bench) -> None:
    """A repeat of everything, as after a crash, changes nothing."""
    evidence = Evidence(bench.room.knowledge, bench.shelf.refresh, now=lambda: NOW)
    id_, shelved = await bench.taught(COMMIT)
    ref = ref_of(shelved)
    await bench.used(ref, "success")
    await evidence.refresh([ref.id])
    once = await bench.payload(ref)
    assert (once["status"], once["helpful_count"]) == ("trusted", 2)
    await bench.again(COMMIT, id_)
    await evidence.refresh([ref.id])
    assert await bench.payload(ref) == once


# Sharing.


async def test_trusted_patterns_are_everybodys_where_sharing_is_on(room: KnowledgeRoom) -> None:
    bench = Bench(room, share=True)
    _, shelved = await bench.taught(COMMIT, "anna")
    ref = ref_of(shelved)
    await bench.shelf.refresh(ref)
    # Lesson 23: a candidate crosses no callers.
    assert not (await room.knowledge.search(COMMIT.question, None, "bert")).hits
    await bench.used(ref, "success")
    await bench.shelf.refresh(ref)
    found = await room.knowledge.search(COMMIT.question, None, "bert")
    assert [hit.id for hit in found.hits] == [ref.id]
    # And others' interactions now are examples of it, and count.
    assert (await bench.taught(COMMIT, "bert"))[1] == Shelved("merged", ref)
    for _ in range(6):
        await bench.used(ref, "failure", caller="bert")
    assert await bench.shelf.refresh(ref) is RETIRED


async def test_trusted_patterns_stay_their_callers_where_it_is_off(bench: Bench) -> None:
    _, shelved = await bench.taught(COMMIT)
    await bench.used(ref_of(shelved), "success")
    assert await bench.shelf.refresh(ref_of(shelved)) is TRUSTED
    assert not (await bench.room.knowledge.search(COMMIT.question, None, "bert")).hits


# Forgetting.


async def test_a_pattern_of_one_interaction_goes_with_it(bench: Bench) -> None:
    id_, _ = await bench.taught(COMMIT)
    kept, _ = await bench.taught(PORT)
    assert await bench.shelf.unlearn(id_) == {SKILLS.value: 1}
    assert await bench.shelf.unlearn(id_) == {}
    assert bench.room.changed == [SKILLS]
    assert await bench.items() == 1
    assert (await bench.room.payload(HISTORY, kept))["extraction"] == "done"


async def test_an_example_goes_and_the_pattern_it_was_added_to_stays(bench: Bench) -> None:
    first, shelved = await bench.taught(COMMIT)
    ref = ref_of(shelved)
    before = await bench.payload(ref)
    second, _ = await bench.taught(COMMIT, response="Say xylophone to git.")
    assert "xylophone" in str(await bench.payload(ref))
    assert await bench.shelf.unlearn(second) == {SKILLS.value: 1}
    after = await bench.payload(ref)
    assert after["source_interactions"] == after["example_sources"] == [first]
    assert "xylophone" not in str(after)
    same = ("success_examples", "tokens", "content_hash", "created", "source", "caller", "status")
    assert [after[name] for name in same] == [before[name] for name in same]
    assert bench.room.changed == [SKILLS]


async def test_a_pattern_in_the_words_of_a_forgotten_one_is_learned_anew(bench: Bench) -> None:
    """Its title and steps are the first interaction's own words: they may not stay."""
    first, shelved = await bench.taught(COMMIT)
    second, _ = await bench.taught(COMMIT)
    assert await bench.shelf.unlearn(first) == {SKILLS.value: 1}
    assert await bench.items() == 0
    # The other is looked at again, and teaches the same in its own words.
    assert (await bench.room.payload(HISTORY, second))["extraction"] == "queued"
    again = await bench.again(COMMIT, second)
    assert again.result == "stored"
    assert ref_of(again).id != ref_of(shelved).id


async def test_what_somebody_wrote_stays_and_loses_the_example_only(bench: Bench) -> None:
    mine = {
        "skill_name": COMMIT.title,
        "description": COMMIT.question,
        "usage_pattern": "\n".join(COMMIT.steps),
        "success_examples": ["mine"],
    }
    (id_,) = await bench.room.knowledge.add(SKILLS, [NewItem(mine)], "anna", announce=False)
    taught, shelved = await bench.taught(COMMIT)
    assert shelved == Shelved("merged", LearnedRef(SKILLS, id_))
    assert (await bench.payload(ref_of(shelved)))["example_sources"] == ["", taught]
    await bench.shelf.unlearn(taught)
    after = await bench.payload(ref_of(shelved))
    assert after["success_examples"] == ["mine"]
    assert after["source_interactions"] == []


async def test_an_item_that_cannot_be_read_goes_with_its_source(bench: Bench) -> None:
    id_, shelved = await bench.taught(COMMIT)
    store = await bench.room.knowledge.opened()
    await store.set_payload(SKILLS, [ref_of(shelved).id], {"helpful_count": "many"})
    assert await bench.shelf.refresh(ref_of(shelved)) is None
    assert await bench.shelf.unlearn(id_) == {SKILLS.value: 1}
    assert await bench.items() == 0
