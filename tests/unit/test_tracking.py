"""From the story of one request to what learning keeps of it."""

from __future__ import annotations

import uuid
from typing import Any

import numpy as np

from hybrid_coordinator.conversation import (
    Caller,
    ChatRequest,
    Completion,
    Dialect,
    FinishReason,
    Rejection,
    ToolCall,
    Usage,
    Verdict,
)
from hybrid_coordinator.inference import Candidate, RejectedAnswer
from hybrid_coordinator.knowledge import Context
from hybrid_coordinator.learning.intake import Observed
from hybrid_coordinator.settings import Settings
from hybrid_coordinator.trace import Trace
from hybrid_coordinator.tracking import observed

ID = "01a209cf-53f8-7d01-822c-d8754842ed79"
MODEL = {"name": "small", "input_price": 1.0}
SETTINGS = Settings.model_validate(
    {
        "backends": {
            "home": {"kind": "openai", "base_url": "http://127.0.0.1:1", "models": [MODEL]},
            "paid": {
                "kind": "openai",
                "base_url": "http://127.0.0.1:2",
                "tier": "remote",
                "models": [{"name": "large"}],
            },
        }
    }
)
VECTOR = np.full(4, 0.5, dtype=np.float32)


def asked(*messages: dict[str, Any], **body: Any) -> Trace:
    said = messages or ({"role": "user", "content": "How do I list timers?"},)
    request = ChatRequest(
        Dialect.OPENAI,
        {"model": "auto", "messages": list(said), **body},
        Caller("ann-id", "ann"),
        ID,
        agent_type="editor",
        variant="size/small",
    )
    trace = Trace(request)
    trace.backend, trace.tier = "paid", SETTINGS.backends["paid"].tier
    trace.model = SETTINGS.backends["paid"].models[0]
    trace.usage = Usage(10, 20)
    trace.context = Context("text", ("item-1",), 5)
    return trace


def answered(text: str = "systemctl list-timers", *calls: ToolCall) -> Completion:
    return Completion("c", "large", 0, text, FinishReason.STOP, Usage(10, 20), tool_calls=calls)


def told(trace: Trace, completion: Completion | None = None) -> Observed | None:
    return observed(trace, completion or answered(), None, VECTOR, SETTINGS, 50.0)


def test_an_answered_question_is_told_whole() -> None:
    story = told(asked())
    assert story is not None
    whole = story.whole
    assert (whole.id, whole.caller, whole.query) == (ID, "ann-id", "How do I list timers?")
    assert (whole.response, whole.model_used, whole.backend) == (
        "systemctl list-timers",
        "large",
        "paid",
    )
    assert whole.route == "remote:paid/large"
    assert (whole.context_ids, whole.experiment) == (("item-1",), "size/small")
    assert (whole.input_tokens, whole.output_tokens, whole.timestamp) == (10, 20, 50.0)
    assert (whole.agent_type, whole.turns, whole.before) == ("editor", 1, [])
    assert story.vector is VECTOR


def test_the_messages_before_the_question_are_told_and_those_after_it_are_not() -> None:
    story = told(
        asked(
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": "Hi"},
            {"role": "user", "content": "List timers"},
            {"role": "assistant", "content": "", "tool_calls": [{"id": "a"}, {"id": "b"}]},
            {"role": "tool", "content": "x", "tool_call_id": "a"},
        ),
        answered("Two.", ToolCall("c", "f", "{}")),
    )
    assert story is not None
    assert [message["content"] for message in story.whole.before] == ["Be brief.", "Hello", "Hi"]
    assert (story.whole.turns, story.whole.tool_calls) == (2, 3)


def test_in_a_conversation_nothing_counts_as_the_same_question_again() -> None:
    turns = (
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi"},
        {"role": "user", "content": "and then?"},
    )
    story = told(asked(*turns))
    assert story is not None
    assert story.vector is None


def test_steps_without_words_teach_nothing() -> None:
    assert told(asked(), answered("", ToolCall("c", "f", "{}"))) is None
    assert told(asked({"role": "user", "content": "  "})) is None


def test_a_local_answer_that_was_turned_down_is_an_interaction_of_its_own() -> None:
    trace = asked()
    home = Candidate("home", SETTINGS.backends["home"].models[0])
    paid = Candidate("paid", SETTINGS.backends["paid"].models[0])
    verdict = Verdict(Rejection.LOOP, "it repeats itself")
    trace.rejections = (
        RejectedAnswer(paid, verdict, "a paid one"),
        RejectedAnswer(home, verdict, "again again again"),
        RejectedAnswer(home, verdict, ""),
    )
    story = told(trace)
    assert story is not None
    (rejected,) = story.rejected
    assert (rejected.response, rejected.model_used) == ("again again again", "small")
    assert (rejected.parent, rejected.rejection) == (ID, "loop")
    assert rejected.id == str(uuid.uuid5(uuid.UUID(ID), "rejected:1"))
    assert "again" not in repr(trace.rejections[1])
