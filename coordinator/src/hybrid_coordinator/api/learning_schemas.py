"""The bodies of the learning endpoints, which are the arguments of the MCP tools as well.

What is answered is described where it is made: the data classes of
``learning.records`` and ``learning.experiments`` are their own schema. Not
here: what any of it does.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Literal, Self
from uuid import UUID

from pydantic import AliasChoices, BeforeValidator, ConfigDict, Field, model_validator

from hybrid_coordinator.api.schemas import AgentType, Body, ItemId, Number, whole
from hybrid_coordinator.conversation import Json
from hybrid_coordinator.learning.experiments import ExperimentReport
from hybrid_coordinator.learning.records import (
    DatasetFormat,
    DatasetRequest,
    NewInteraction,
    Outcome,
    OutcomeSource,
    PostedOutcome,
)

_NEW: Final = NewInteraction(query="", response="")
_WANTED: Final = DatasetRequest()

InteractionId = Annotated[
    ItemId, Field(description="What `x-hybrid-interaction-id` or tracking gave.")
]
Count = Annotated[int, Field(ge=0, le=2**53), whole]
Milliseconds = Annotated[Number, Field(ge=0.0)]
# Of the enums only what may be posted; by value, as the messages then name it.
PostableOutcome = Literal["success", "partial", "failure"]
PostableSource = Literal["client", "agent", "thumbs"]
# A query string has text only.
_digits = BeforeValidator(
    lambda v: int(v) if isinstance(v, str) and v.isascii() and v.isdigit() and len(v) < 9 else v
)


def _other_name(schema: Json) -> None:
    fields = schema["properties"]
    fields["context_ids"] = {
        **fields["context_provided"],
        "title": "Context Ids",
        "description": "Another name of context_provided; give one of the two.",
    }
    schema["not"] = {"required": ["context_provided", "context_ids"]}


class TrackRequest(Body):
    """An interaction that was answered elsewhere."""

    model_config = ConfigDict(json_schema_extra=_other_name)

    query: Annotated[str, Field(min_length=1, pattern=r"\S")] = Field(
        description="The question; a very long one is stored cut."
    )
    response: str = Field(description="The answer; a very long one is stored cut, with a mark.")
    model_used: str = Field(_NEW.model_used, max_length=128)
    tokens_used: Count = Field(_NEW.tokens_used, description="Of question and answer together.")
    agent_type: AgentType = _NEW.agent_type
    context_provided: list[ItemId] = Field(
        list(_NEW.context_ids),
        max_length=256,
        validation_alias=AliasChoices("context_provided", "context_ids"),
        description="Ids of the stored items that were in the prompt.",
    )
    latency_ms: Milliseconds = Field(_NEW.latency_ms, description="Until the whole answer.")
    turns: Annotated[int, Field(ge=1, le=2**53), whole] = Field(
        _NEW.turns, description="How many messages the user wrote."
    )
    tool_calls: Count = Field(_NEW.tool_calls, description="How many tools the model called.")
    interaction_id: ItemId | None = Field(
        None, description="A fresh UUID of your own; then the same report may be sent again."
    )

    def to_record(self) -> NewInteraction:
        """The interaction as the gateway takes it."""
        return NewInteraction(
            query=self.query,
            response=self.response,
            model_used=self.model_used,
            tokens_used=self.tokens_used,
            agent_type=self.agent_type,
            context_ids=tuple(str(UUID(id_)) for id_ in self.context_provided),
            latency_ms=self.latency_ms,
            turns=self.turns,
            tool_calls=self.tool_calls,
            id=None if self.interaction_id is None else str(UUID(self.interaction_id)),
        )


class TrackedResponse(Body):
    """The interaction is kept; its outcome may be posted under this id."""

    interaction_id: str


def _something_said(schema: Json) -> None:
    fields = schema["properties"]
    schema["anyOf"] = [
        {"required": [name], "properties": {name: fields[name]["anyOf"][0]}}
        for name in ("outcome", "user_feedback")
    ]


class OutcomeRequest(Body):
    """How an answer turned out. At least one of outcome and user_feedback is said."""

    model_config = ConfigDict(json_schema_extra=_something_said)
    unprocessable: ClassVar[frozenset[str]] = frozenset({"user_feedback"})

    outcome: PostableOutcome | None = None
    user_feedback: Annotated[int, Field(ge=-1, le=1), whole] | None = Field(
        None, description="What the user thinks of it: 1 good, 0 neutral, -1 bad."
    )
    source: PostableSource = Field(
        "client",
        description="Who says so: the client, which has the last word; an agent whose tool or "
        "test had a result; a thumb that was shown.",
    )
    replace: bool = Field(
        False, description="Whether this is meant where something else was said before."
    )

    @model_validator(mode="after")
    def _some(self) -> Self:
        if self.outcome is None and self.user_feedback is None:
            raise ValueError("give outcome, user_feedback or both")
        return self

    def to_record(self) -> PostedOutcome:
        """What is said, as the gateway takes it."""
        return PostedOutcome(
            outcome=None if self.outcome is None else Outcome(self.outcome),
            user_feedback=self.user_feedback,
            source=OutcomeSource(self.source),
            replace=self.replace,
        )


class InteractionRequest(Body):
    """Which interaction."""

    interaction_id: InteractionId


class UpdateOutcomeRequest(OutcomeRequest, InteractionRequest):
    """How an answer turned out, and which. At least one of outcome and user_feedback is said."""


class TrainingDataRequest(Body):
    """Which training data to write."""

    formats: list[Annotated[DatasetFormat, Field(strict=False)]] = Field(
        list(_WANTED.formats), min_length=1, max_length=16
    )
    min_score: Annotated[Number, Field(ge=0.0, le=1.0)] | None = Field(
        None, description="Lowest value score; default: the setting high_value_threshold."
    )
    validation_share: Annotated[Number, Field(ge=0.0, le=0.9)] = Field(
        _WANTED.validation_share, description="Share of the questions kept for validation."
    )

    def to_record(self) -> DatasetRequest:
        """The request as the gateway takes it; each format once."""
        return DatasetRequest(
            tuple(dict.fromkeys(self.formats)), self.min_score, self.validation_share
        )


class ExtractRequest(Body):
    """How much of the extraction queue to work through."""

    limit: Annotated[int, Field(ge=1, le=100_000), whole] | None = Field(
        None, description="Most entries; default: all."
    )


class QueueRequest(Body):
    """The query parameters of the queue."""

    limit: Annotated[int, Field(ge=1, le=1000), _digits] = Field(
        50, description="Most entries to list of each kind."
    )


class ReplayRequest(Body):
    """Which dead letters to try again."""

    ids: list[ItemId] = Field([], max_length=1000, description="None named: all.")


class ReplayedResponse(Body):
    """How many entries are in the queue again."""

    replayed: int


class ExperimentsResponse(Body):
    """Every declared experiment."""

    experiments: list[ExperimentReport]


class NothingRequest(Body):
    """No arguments."""
