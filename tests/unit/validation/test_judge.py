"""Validation turns down what it must, and nothing else."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_coordinator.conversation import (
    LOOPBACK_CALLER,
    ChatRequest,
    Completion,
    Delta,
    Dialect,
    FinishReason,
    Json,
    Rejection,
    Tier,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from hybrid_coordinator.settings import ValidationSettings
from hybrid_coordinator.validation import AnswerJudge, looks_like_refusal
from hybrid_coordinator.validation.repetition import repeated_unit

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
TOOL = {"type": "function", "function": {"name": "add", "parameters": SCHEMA}}


def judge(question: str = "Why is the sky blue?", **body: object) -> AnswerJudge:
    content: Json = {"messages": [{"role": "user", "content": question}], **body}
    request = ChatRequest(Dialect.OPENAI, content, LOOPBACK_CALLER, "i1")
    return AnswerJudge(request, ValidationSettings())


def completion(
    text: str = "",
    finish: FinishReason = FinishReason.STOP,
    calls: tuple[ToolCall, ...] = (),
    output_tokens: int = 5,
    refusal: str | None = None,
) -> Completion:
    return Completion(
        "c1", "m", 0, text, finish, Usage(3, output_tokens), tool_calls=calls, refusal=refusal
    )


def rejection(
    j: AnswerJudge, c: Completion, tier: Tier = Tier.LOCAL, final: bool = False
) -> object:
    verdict = j.whole(c, tier=tier, final=final)
    return verdict and verdict.rejection


def test_a_plain_answer_passes() -> None:
    assert rejection(judge(), completion("Because of Rayleigh scattering.")) is None


@pytest.mark.parametrize("text", ["", "  \n\t "])
def test_an_empty_answer_is_rejected(text: str) -> None:
    assert rejection(judge(), completion(text)) is Rejection.EMPTY


def test_a_truncated_answer_is_rejected_only_where_the_client_set_no_such_limit() -> None:
    cut = completion("Because", FinishReason.LENGTH, output_tokens=20)
    assert rejection(judge(), cut) is Rejection.TRUNCATED
    assert rejection(judge(max_tokens=20), cut) is None
    assert rejection(judge(max_completion_tokens=4000), cut) is Rejection.TRUNCATED


def test_an_answer_that_loops_is_rejected() -> None:
    looping = "The sky is blue. " + "I think that it is so. " * 60
    assert rejection(judge(), completion(looping)) is Rejection.LOOP
    numbered = "".join(f"{i}. yes, that is right\n" for i in range(100))
    assert rejection(judge(), completion(numbered)) is Rejection.LOOP


def test_repetition_that_was_asked_for_passes() -> None:
    looping = "hello world " * 100
    assert rejection(judge("Repeat hello world a hundred times"), completion(looping)) is None


def test_rules_tables_and_zeros_are_no_loops() -> None:
    for text in ("-" * 900, "| --- " * 200, "0, " * 600, "=" * 80 + "\nTitle\n" + "=" * 500):
        assert repeated_unit(text) is None, text[:20]


@given(st.text(min_size=4, max_size=60).filter(lambda t: sum(map(str.isalpha, t)) >= 2))
def test_any_wordy_unit_repeated_long_enough_is_found(unit: str) -> None:
    repeats = max(10, 1000 // len(unit))
    assert repeated_unit("start " + unit * repeats) is not None


@given(st.text(max_size=479))
def test_nothing_short_is_a_loop(text: str) -> None:
    assert repeated_unit(text) is None


@pytest.mark.parametrize(
    "token", ["<|im_end|>", "<end_of_turn>", "[INST]", "<|eot_id|>", "<｜end▁of▁sentence｜>"]
)
def test_leaked_control_tokens_are_rejected(token: str) -> None:
    assert rejection(judge(), completion(f"It is blue.{token}")) is Rejection.CONTROL_TOKENS


def test_control_tokens_that_the_question_is_about_pass() -> None:
    j = judge("What does <|im_start|> mean in ChatML?")
    assert rejection(j, completion("<|im_start|> opens a turn.")) is None
    assert rejection(judge(), completion("Write `<|im_start|>` first.")) is None


def test_json_that_was_asked_for_must_be_json() -> None:
    j = judge(response_format={"type": "json_object"})
    assert rejection(j, completion('{"a": 1}')) is None
    assert rejection(j, completion("[1]")) is Rejection.MALFORMED_JSON
    assert rejection(j, completion("```json\n{}\n```")) is Rejection.MALFORMED_JSON


def test_json_that_was_asked_for_must_fit_its_schema() -> None:
    j = judge(response_format={"type": "json_schema", "json_schema": {"schema": SCHEMA}})
    assert rejection(j, completion('{"n": 1}')) is None
    assert rejection(j, completion('{"n": "one"}')) is Rejection.MALFORMED_JSON
    assert rejection(j, completion("{}")) is Rejection.MALFORMED_JSON


def test_a_schema_that_is_none_is_left_to_the_backend() -> None:
    bad = {"type": "json_schema", "json_schema": {"schema": {"type": 7}}}
    assert rejection(judge(response_format=bad), completion("{}")) is None


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("add", '{"n": 1}', None),
        ("add", '{"n": ', Rejection.MALFORMED_TOOL_CALL),
        ("add", "[1]", Rejection.MALFORMED_TOOL_CALL),
        ("add", "{}", Rejection.MALFORMED_TOOL_CALL),
        ("subtract", '{"n": 1}', Rejection.MALFORMED_TOOL_CALL),
    ],
)
def test_tool_calls_must_be_ones_the_request_offers(
    name: str, arguments: str, expected: Rejection | None
) -> None:
    calls = (ToolCall("t1", name, arguments),)
    answer = completion("", FinishReason.TOOL_CALLS, calls)
    assert rejection(judge(tools=[TOOL]), answer) is expected


REFUSALS = [
    "I'm sorry, but I can't help with that.",
    "I cannot assist with this request.",
    "As an AI language model, I am not able to browse the internet.",
    "Unfortunately, I can't provide that information.",
    "My apologies, but I am unable to answer.",
]
ANSWERS = [
    "Sorry is spelled s-o-r-r-y.",
    "I cannot stress enough how useful Nix is.",
    "Unfortunately named, the Lemon shark is yellow.",
    "As an example, take NixOS.",
    "You can't divide by zero.",
    "I think NixOS is a Linux distribution.",
]


@pytest.mark.parametrize("text", REFUSALS)
def test_a_local_refusal_goes_on_to_another_backend_where_there_is_one(text: str) -> None:
    assert looks_like_refusal(text)
    assert rejection(judge(), completion(text)) is Rejection.REFUSAL
    assert rejection(judge(), completion(text), final=True) is None
    assert rejection(judge(), completion(text), tier=Tier.REMOTE) is None


@pytest.mark.parametrize("text", ANSWERS)
def test_what_only_sounds_like_a_refusal_passes(text: str) -> None:
    assert not looks_like_refusal(text)


def feed(j: AnswerJudge, pieces: list[str], final: bool = False) -> tuple[int | None, object]:
    """How many pieces were held back, and the verdict."""
    stream = j.streamed(tier=Tier.LOCAL, final=final)
    shown: int | None = None
    for number, piece in enumerate(pieces):
        if verdict := stream.feed(Delta(text=piece)):
            return shown, verdict.rejection
        if shown is None and stream.ready():
            shown = number
    stream.feed(Delta(finish_reason=FinishReason.STOP, usage=Usage(1, 2)))
    verdict = stream.finish()
    return shown, verdict and verdict.rejection


def test_a_stream_is_shown_from_its_first_word() -> None:
    assert feed(judge(), ["Because", " of", " scattering"]) == (0, None)


@pytest.mark.parametrize("text", REFUSALS)
def test_a_streamed_refusal_is_never_shown(text: str) -> None:
    assert feed(judge(), list(text)) == (None, Rejection.REFUSAL)


def test_a_stream_that_opens_like_a_refusal_is_shown_once_it_is_none() -> None:
    shown, verdict = feed(judge(), ["I", " think", " so"])
    assert verdict is None
    text = "I think that the sky is blue since light is scattered. " * 4 + "That is all."
    shown, verdict = feed(judge(), text.split(" "))
    assert shown is not None
    assert verdict is None


def test_a_streamed_answer_in_json_is_held_back_until_it_is_whole() -> None:
    j = judge(response_format={"type": "json_object"})
    assert feed(j, ['{"a"', ": 1}"]) == (None, None)
    assert feed(j, ['{"a"', ": "]) == (None, Rejection.MALFORMED_JSON)


def test_a_control_token_cut_across_chunks_is_found() -> None:
    _, verdict = feed(judge(), ["It is blue.", "<|im", "_end|>"])
    assert verdict is Rejection.CONTROL_TOKENS
    shown, verdict = feed(judge(), ["<|im", "_start|>assistant"])
    assert (shown, verdict) == (None, Rejection.CONTROL_TOKENS)


def test_a_streamed_loop_is_stopped_before_it_ends() -> None:
    _, verdict = feed(judge(), ["and so it goes on, "] * 500)
    assert verdict is Rejection.LOOP


def test_streamed_tool_calls_are_joined_and_judged() -> None:
    for arguments, expected in (('{"n": 1}', None), ('{"n": ', Rejection.MALFORMED_TOOL_CALL)):
        stream = judge(tools=[TOOL]).streamed(tier=Tier.LOCAL, final=False)
        stream.feed(Delta(tool_calls=(ToolCallDelta(0, "t1", "add"),)))
        for letter in arguments:
            stream.feed(Delta(tool_calls=(ToolCallDelta(0, arguments=letter),)))
            assert not stream.ready()
        stream.feed(Delta(finish_reason=FinishReason.TOOL_CALLS))
        verdict = stream.finish()
        assert (verdict and verdict.rejection) is expected


def test_reasoning_is_shown_at_once() -> None:
    stream = judge().streamed(tier=Tier.LOCAL, final=False)
    stream.feed(Delta(reasoning="let me see"))
    assert stream.ready()


def test_switched_off_it_rejects_nothing() -> None:
    j = judge(response_format={"type": "json_object"})
    j.settings = ValidationSettings(enable=False)
    assert rejection(j, completion("")) is None
    assert feed(j, ["<|im_end|>"]) == (0, None)


@given(st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=5), st.text())
def test_no_answer_makes_the_judge_fail(value: object, text: str) -> None:
    j = judge(tools=[TOOL], response_format={"type": "json_object"})
    calls = (ToolCall("t", "add", json.dumps(value)),)
    j.whole(completion(text, calls=calls), tier=Tier.LOCAL, final=False)
