"""What a line of training data looks like, in each format, and how a line is read back.

The models are checked when lines are written and when they are read, so a
file that ``read_dataset`` accepts is one that ``DatasetWriter`` could have
written. Sources: OpenAI's fine-tuning guide (supervised and preference
formats) and the ShareGPT convention of ``conversations``. Not here: which
interactions become examples (``dataset_spool``), and where files are
(``dataset_files``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, Self, TypeAlias

import orjson
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from hybrid_coordinator.errors import Unprocessable
from hybrid_coordinator.knowledge.items import InteractionHistory
from hybrid_coordinator.learning.records import DatasetFormat

Role: TypeAlias = Literal["system", "user", "assistant"]

_SHOWN_AS: Final[Mapping[str, Role]] = MappingProxyType(
    {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
)
_SHAREGPT: Final[Mapping[Role, Literal["system", "human", "gpt"]]] = MappingProxyType(
    {"system": "system", "user": "human", "assistant": "gpt"}
)

# Line ends to ``str.splitlines``, though not to JSON: escaped, every reader sees the same lines.
_LINE_ENDS: Final = ((b"\xe2\x80\xa8", b"\\u2028"), (b"\xe2\x80\xa9", b"\\u2029"))
_NEXT_LINE: Final = (b"\xc2\x85", b"\\u0085")


class NotUsable(Exception):
    """An interaction cannot be an example; ``reason`` is a word for the manifest."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Message(_Row):
    """One message of a conversation."""

    role: Role
    content: str


class AssistantMessage(_Row):
    """An answer, as preference data has it."""

    role: Literal["assistant"] = "assistant"
    content: Annotated[str, Field(pattern=r"\S")]


class ChatExample(_Row):
    """A conversation that ends with the answer to learn (OpenAI, supervised)."""

    messages: Annotated[tuple[Message, ...], Field(min_length=2)]

    @model_validator(mode="after")
    def _ends_with_an_answer(self) -> Self:
        if self.messages[-1].role != "assistant" or not self.messages[-1].content.strip():
            raise ValueError("the last message is the assistant's and not empty")
        if not any(message.role == "user" for message in self.messages):
            raise ValueError("somebody asks")
        return self


class ShareGptTurn(_Row):
    """One message of a conversation, in ShareGPT's words."""

    sender: Annotated[Literal["system", "human", "gpt"], Field(alias="from")]
    value: str


class ShareGptExample(_Row):
    """A conversation that ends with the answer to learn (ShareGPT)."""

    conversations: Annotated[tuple[ShareGptTurn, ...], Field(min_length=2)]

    @model_validator(mode="after")
    def _ends_with_an_answer(self) -> Self:
        if self.conversations[-1].sender != "gpt" or not self.conversations[-1].value.strip():
            raise ValueError("the last turn is the model's and not empty")
        return self


class PreferenceInput(_Row):
    """What both answers of a pair are answers to."""

    messages: Annotated[tuple[Message, ...], Field(min_length=1)]


class PreferencePair(_Row):
    """Two answers to one question, of which one is better (OpenAI, direct preference)."""

    input: PreferenceInput
    preferred_output: Annotated[tuple[AssistantMessage, ...], Field(min_length=1, max_length=1)]
    non_preferred_output: Annotated[tuple[AssistantMessage, ...], Field(min_length=1, max_length=1)]

    @model_validator(mode="after")
    def _a_choice(self) -> Self:
        if self.input.messages[-1].role == "assistant":
            raise ValueError("the input ends before the answer")
        if self.preferred_output == self.non_preferred_output:
            raise ValueError("the two answers differ")
        return self


Example: TypeAlias = ChatExample | ShareGptExample | PreferencePair

_EXAMPLE: Final[TypeAdapter[Example]] = TypeAdapter(Example)

MODEL_OF: Final[Mapping[DatasetFormat, type[_Row]]] = MappingProxyType(
    {
        DatasetFormat.OPENAI: ChatExample,
        DatasetFormat.SHAREGPT: ShareGptExample,
        DatasetFormat.PREFERENCE: PreferencePair,
    }
)


def read_dataset(path: Path, format: DatasetFormat | None = None) -> Iterator[Example]:
    """Every example of a file, one at a time; without ``format`` each line says itself.

    Raises ``OSError``, and ``Unprocessable`` with the line's number where a
    line is not an example.
    """
    model: TypeAdapter[Any] = _EXAMPLE if format is None else TypeAdapter(MODEL_OF[format])
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                example: Example = model.validate_json(line)
            except ValidationError as error:
                first = error.errors(include_url=False, include_input=False)[0]
                raise Unprocessable(
                    f"Line {number} of '{path.name}' is not a training example: {first['msg']}. "
                    "Write the data set anew.",
                    field=".".join(str(part) for part in first["loc"]) or None,
                ) from error
            yield example


def messages_asked(item: InteractionHistory) -> tuple[Message, ...]:
    """Everything before an interaction's answer: earlier messages, then the question.

    Raises ``NotUsable``: ``truncated`` and ``history`` for what is not whole,
    ``empty`` without an answer, ``content`` where the conversation is more
    than text (images, calls of tools and their results).
    """
    if item.truncated:
        raise NotUsable("truncated")
    if not item.history_complete:
        raise NotUsable("history")
    if not item.response.strip():
        raise NotUsable("empty")
    if not item.history.strip():
        return (Message(role="user", content=item.query),)
    try:
        earlier = orjson.loads(item.history)
    except orjson.JSONDecodeError as error:
        raise NotUsable("history") from error
    if not isinstance(earlier, list):
        raise NotUsable("history")
    before = [_message(raw) for raw in earlier]
    return (*before, Message(role="user", content=item.query))


def chat_line(messages: Sequence[Message], answer: str) -> bytes:
    """A line of the OpenAI format."""
    whole = (*messages, Message(role="assistant", content=answer))
    return _line(ChatExample(messages=whole))


def sharegpt_line(messages: Sequence[Message], answer: str) -> bytes:
    """A line of the ShareGPT format."""
    whole = (*messages, Message(role="assistant", content=answer))
    turns = tuple(ShareGptTurn(sender=_SHAREGPT[m.role], value=m.content) for m in whole)
    return _line(ShareGptExample(conversations=turns))


def preference_line(messages: Sequence[Message], preferred: str, rejected: str) -> bytes:
    """A line of the preference format."""
    return _line(
        PreferencePair(
            input=PreferenceInput(messages=tuple(messages)),
            preferred_output=(AssistantMessage(content=preferred),),
            non_preferred_output=(AssistantMessage(content=rejected),),
        )
    )


def _line(example: BaseModel) -> bytes:
    line = orjson.dumps(example.model_dump(mode="json", by_alias=True))
    for raw, escaped in (*_LINE_ENDS, _NEXT_LINE):
        line = line.replace(raw, escaped)
    return line + b"\n"


def _message(raw: object) -> Message:
    if not isinstance(raw, dict):
        raise NotUsable("history")
    role = _SHOWN_AS.get(str(raw.get("role")))
    if role is None or raw.get("tool_calls") or raw.get("function_call"):
        raise NotUsable("content")
    return Message(role=role, content=_text(raw.get("content")))


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise NotUsable("content")
    texts = []
    for part in content:
        if not isinstance(part, dict) or part.get("type") != "text":
            raise NotUsable("content")
        texts.append(str(part.get("text", "")))
    return "\n".join(texts)
