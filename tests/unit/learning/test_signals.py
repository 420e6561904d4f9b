"""What the next question of a caller says of the answers before."""

from __future__ import annotations

import pytest

from hybrid_coordinator.cache import Guard
from hybrid_coordinator.knowledge.embedding import FastembedEmbedder
from hybrid_coordinator.learning.records import OutcomeSource
from hybrid_coordinator.learning.signals import MAX_CALLERS, MAX_QUESTIONS, Sign, Signals
from hybrid_coordinator.learning_settings import SignalsSettings, WindowSignalSettings
from hybrid_coordinator.settings import Collection, SemanticCacheSettings

REASK, RETRY = OutcomeSource.REASK, OutcomeSource.RETRY

UNDO = "How do I undo the last commit in git?"
UNDO_AGAIN = "How can I undo the last commit in git?"
BREAD = "How long should bread dough rise before baking?"


class Talk:
    """What callers ask of a ``Signals``, with real embeddings and the cache's own guard."""

    def __init__(self, embedder: FastembedEmbedder, settings: SignalsSettings) -> None:
        guard = Guard(embedder.name, SemanticCacheSettings().max_error)
        floor = embedder.calibration.bar(Collection.INTERACTION_HISTORY)
        self._embedder = embedder
        self.signals = Signals(settings, guard, floor=floor)
        self._count = 0

    async def ask(
        self,
        question: str,
        at: float,
        caller: str = "anna",
        *,
        key: str | None = None,
        began: float | None = None,
        continued: bool = False,
    ) -> list[Sign]:
        """Ask; interactions are named by number from 1 on, requests differ unless ``key`` says."""
        self._count += 1
        vector = await self._embedder.embed_query(question)
        return self.signals.observe(
            caller,
            f"request {self._count}" if key is None else key,
            vector,
            question,
            str(self._count),
            at,
            began=began,
            continued=continued,
        )


@pytest.fixture
def talk(embedder: FastembedEmbedder) -> Talk:
    return Talk(embedder, SignalsSettings())


async def test_nearly_the_same_question_in_other_words_fails_the_answer_before(
    talk: Talk,
) -> None:
    assert await talk.ask(UNDO, 0.0) == []
    assert await talk.ask(BREAD, 10.0) == []
    assert await talk.ask(UNDO_AGAIN, 60.0) == [("1", REASK, -0.5)]


async def test_each_answer_gets_a_sign_of_a_kind_once(talk: Talk) -> None:
    await talk.ask(UNDO, 0.0)
    assert await talk.ask(UNDO_AGAIN, 10.0) == [("1", REASK, -0.5)]
    assert await talk.ask("how could I undo the last commit in git", 20.0) == [("2", REASK, -0.5)]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (UNDO, BREAD),
        ("How do I undo the last 2 commits in git?", "How do I undo the last 3 commits in git?"),
        ("How do I enable dark mode in the editor?", "How do I disable dark mode in the editor?"),
        ("Why does this program compile with gcc?", "Why does this program not compile with gcc?"),
        ("How do I install Python 3.11 on Debian?", "How do I install Python 3.12 on Debian?"),
        ("How do I read a file in Python?", "How do I read a file in Rust?"),
        ("Can I convert a list to a tuple here?", "Can I convert a tuple to a list here?"),
    ],
)
async def test_lesson_17_another_number_name_or_negation_is_another_question(
    talk: Talk, first: str, second: str
) -> None:
    await talk.ask(first, 0.0)
    assert await talk.ask(second, 10.0) == []


async def test_the_same_request_again_is_a_retry_and_no_new_question(talk: Talk) -> None:
    await talk.ask(UNDO, 0.0, key="k")
    assert await talk.ask(UNDO, 30.0, key="k") == [("1", RETRY, -0.25)]
    assert await talk.ask(UNDO, 40.0, key="k") == [("2", RETRY, -0.25)]


async def test_an_answer_can_get_both_signs(talk: Talk) -> None:
    await talk.ask(UNDO, 0.0, key="k")
    await talk.ask(UNDO, 30.0, key="k")
    signs = await talk.ask(UNDO_AGAIN, 50.0)
    assert sorted(signs) == [("1", REASK, -0.5), ("2", REASK, -0.5)]


async def test_without_a_key_nothing_is_a_retry(talk: Talk) -> None:
    await talk.ask(UNDO, 0.0, key="")
    assert await talk.ask(UNDO, 30.0, key="") == []


async def test_requests_that_ran_side_by_side_are_no_repeat(talk: Talk) -> None:
    await talk.ask(UNDO, 10.0, key="k", began=2.0)
    assert await talk.ask(UNDO, 11.0, key="k", began=2.5) == []
    assert await talk.ask(UNDO, 14.0, key="k", began=11.0) == [
        ("1", RETRY, -0.25),
        ("2", RETRY, -0.25),
    ]


async def test_an_agent_at_work_and_a_conversation_that_goes_on_say_nothing(talk: Talk) -> None:
    await talk.ask(UNDO, 0.0)
    assert await talk.ask(UNDO, 5.0) == [], "the same words in a longer conversation"
    assert await talk.ask(UNDO_AGAIN, 9.0, continued=True) == []
    for at, word in enumerate(("yes, go on", "Yes, go on!", "please continue", "continue please")):
        assert await talk.ask(word, 10.0 + at) == []


@pytest.mark.parametrize(("after", "signs"), [(300.0, 1), (300.1, 0), (86_400.0, 0), (-1.0, 0)])
async def test_only_what_comes_within_the_window_counts_and_a_clock_that_goes_back_is_harmless(
    talk: Talk, after: float, signs: int
) -> None:
    await talk.ask(UNDO, 1000.0)
    assert len(await talk.ask(UNDO_AGAIN, 1000.0 + after)) == signs


async def test_no_caller_says_anything_of_anothers_answers(talk: Talk) -> None:
    await talk.ask(UNDO, 0.0, "anna", key="k")
    assert await talk.ask(UNDO, 1.0, "ben", key="k") == []
    assert await talk.ask(UNDO_AGAIN, 2.0, "ben") == [("2", REASK, -0.5)]


@pytest.mark.parametrize(
    "off", [WindowSignalSettings(enable=False), WindowSignalSettings(weight=0.0)]
)
async def test_each_sign_can_be_switched_off(
    embedder: FastembedEmbedder, off: WindowSignalSettings
) -> None:
    no_reask = Talk(embedder, SignalsSettings(reask=off))
    await no_reask.ask(UNDO, 0.0, key="k")
    assert await no_reask.ask(UNDO_AGAIN, 1.0) == []
    assert await no_reask.ask(UNDO, 2.0, key="k") == [("1", RETRY, -0.25)]
    no_retry = Talk(embedder, SignalsSettings(retry=off))
    await no_retry.ask(UNDO, 0.0, key="k")
    assert await no_retry.ask(UNDO, 1.0, key="k") == []
    assert [sign[1] for sign in await no_retry.ask(UNDO_AGAIN, 2.0)] == [REASK, REASK]


async def test_a_weight_and_a_window_are_the_settings(embedder: FastembedEmbedder) -> None:
    talk = Talk(embedder, SignalsSettings(reask=WindowSignalSettings(weight=0.8, window=20.0)))
    await talk.ask(UNDO, 0.0)
    assert await talk.ask(UNDO_AGAIN, 21.0) == []
    assert await talk.ask(UNDO, 22.0) == [("2", REASK, -0.8)]


async def test_what_has_no_embedding_or_is_too_long_to_compare_says_nothing(
    talk: Talk, embedder: FastembedEmbedder
) -> None:
    vector = await embedder.embed_query(UNDO)
    observe = talk.signals.observe
    assert observe("anna", "a", None, UNDO, "x", 0.0) == []
    assert observe("anna", "b", vector, UNDO_AGAIN, "y", 1.0) == []
    assert observe("anna", "c", vector, UNDO + " please" * 200, "z", 2.0) == []
    assert observe("anna", "d", vector[:7], UNDO, "v", 3.0) == []
    assert observe("anna", "a", None, UNDO, "w", 4.0) == [("x", RETRY, -0.25)]


async def test_an_interaction_told_twice_says_nothing_of_itself(
    talk: Talk, embedder: FastembedEmbedder
) -> None:
    vector = await embedder.embed_query(UNDO)
    for at in (0.0, 1.0):
        assert talk.signals.observe("anna", "k", vector, UNDO, "same", at) == []


async def test_lesson_20_memory_is_bounded_over_callers_and_questions(talk: Talk) -> None:
    await talk.ask(UNDO, 0.0)
    for n in range(MAX_QUESTIONS):
        await talk.ask(BREAD, 1.0, key=f"{n}", continued=True)
    assert await talk.ask(UNDO_AGAIN, 2.0) == [], "it is too many questions ago"
    for n in range(MAX_CALLERS):
        talk.signals.observe(f"caller {n}", "", None, "q", f"i{n}", 3.0)
    assert await talk.ask(UNDO, 4.0) == [], "others came since"
    assert len(talk.signals._callers) == MAX_CALLERS
    assert all(len(asked) <= MAX_QUESTIONS for asked in talk.signals._callers.values())


async def test_what_is_forgotten_gets_no_sign(talk: Talk) -> None:
    await talk.ask(UNDO, 0.0)
    await talk.ask(BREAD, 1.0, key="k")
    talk.signals.forget("1")
    assert await talk.ask(UNDO_AGAIN, 2.0) == []
    assert await talk.ask(BREAD, 3.0, key="k") == [("2", RETRY, -0.25)]
