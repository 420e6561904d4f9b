"""The bodies of the endpoints that are this project's own, and how they are validated.

The chat, embedding and model bodies are in ``wire.schemas``. Types are strict:
a number in a string is a mistake of the caller and is named, not repaired.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic.json_schema import SkipJsonSchema

from hybrid_coordinator.conversation import Json
from hybrid_coordinator.errors import InvalidRequest, RequestError, Unprocessable
from hybrid_coordinator.gateway import PartState
from hybrid_coordinator.settings import Collection

UUID_PATTERN = r"^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"
AGENT_TYPE_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"

ItemId = Annotated[str, Field(pattern=UUID_PATTERN, description="A UUID.")]
Query = Annotated[str, Field(min_length=1, max_length=100_000, pattern=r"\S")]
AgentType = Annotated[str, Field(pattern=AGENT_TYPE_PATTERN)]
# JSON has no enums, so the strictness of the rest would refuse every name.
CollectionName = Annotated[Collection, Field(strict=False)]
# JSON has one kind of number: 7.0 is an integer there, and to JSON Schema.
whole = BeforeValidator(lambda v: int(v) if isinstance(v, float) and v.is_integer() else v)
TokenBudget = Annotated[int, Field(ge=0, le=1_000_000), whole]
Limit = Annotated[int, Field(ge=1, le=100), whole]
Number = Annotated[float, Field(allow_inf_nan=False)]
FilterValue = str | bool | int | Number


class Body(BaseModel):
    """A JSON object of which every field is known.

    A number that a field in ``unprocessable`` cannot hold is 422 and not 400.
    """

    unprocessable: ClassVar[frozenset[str]] = frozenset()

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class AugmentRequest(Body):
    """A question that stored knowledge is to be put around."""

    query: Query
    agent_type: AgentType = "generic"
    token_budget: TokenBudget | None = Field(
        None, description="Most tokens of context; default: the setting."
    )


class AugmentResponse(Body):
    """The prompt to send to a model, and the items that are in it."""

    augmented_prompt: str
    context_ids: list[str]
    original_query: str
    context_count: int
    context_tokens: int


class SearchRequest(Body):
    """A search in the stored knowledge."""

    query: Query
    collections: list[CollectionName] = Field(
        [], max_length=len(Collection), description="Where to search; none named: everywhere."
    )
    limit: Limit = Field(10, description="Most hits.")
    filters: dict[Annotated[str, Field(min_length=1)], FilterValue | list[FilterValue]] = Field(
        {},
        max_length=16,
        description="Payload fields and the value, or one of the values, they must have.",
    )


class SearchHitBody(Body):
    """A stored item that fits."""

    id: str
    collection: CollectionName
    score: float
    payload: dict[str, Any]


class SearchResponse(Body):
    """Hits, best first."""

    hits: list[SearchHitBody]


class KnowledgeItemBody(Body):
    """An item to store: its fields, and its id and vector where the caller has them."""

    payload: dict[str, Any] = Field(min_length=1)
    id: ItemId | None = None
    vector: list[Number] | None = Field(
        None, min_length=1, max_length=65_536, description="Default: the payload is embedded."
    )


class KnowledgeRequest(Body):
    """Items for one collection; stored all or none."""

    items: list[KnowledgeItemBody] = Field(min_length=1, max_length=1000)


class KnowledgeResponse(Body):
    """The ids of the stored items, in order."""

    ids: list[str]


class DeletedResponse(Body):
    """How many items there were and are no more."""

    deleted: int


class DeleteRequest(Body):
    """The ``id`` parameters of a deletion."""

    id: list[ItemId] = Field(min_length=1, max_length=1000)


def _exactly_one(schema: Json) -> None:
    for name, described in schema["properties"].items():
        described.pop("default")
        schema.setdefault("oneOf", []).append({"required": [name]})


class InvalidateRequest(Body):
    """Which cached answer was wrong: by the interaction that got it, or by its question."""

    model_config = ConfigDict(json_schema_extra=_exactly_one)

    interaction_id: ItemId | SkipJsonSchema[None] = None
    query: Query | SkipJsonSchema[None] = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        given = [self.interaction_id, self.query]
        if len(self.model_fields_set) != 1 or given.count(None) != 1:
            raise ValueError("give either interaction_id or query")
        return self


class InvalidateResponse(Body):
    """How many cached answers were evicted."""

    evicted: int


class HealthResponse(Body):
    """The process answers."""

    status: str


class PartBody(Body):
    """How one dependency is."""

    state: Annotated[PartState, Field(strict=False)]
    detail: str


class ReadyResponse(Body):
    """Whether a question could be answered now, and every dependency by name."""

    ready: bool
    parts: dict[str, PartBody]


BodyT = TypeVar("BodyT", bound=Body)


def validate(model: type[BodyT], value: Json) -> BodyT:
    """The body as its model.

    Raises ``InvalidRequest``, or ``Unprocessable`` where the model says so; both
    name the first field at fault.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        path = _path(first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        where = f"'{path}'" if path else "the body"
        given = first["input"]
        is_number = isinstance(given, int | float) and not isinstance(given, bool)
        kind: type[RequestError] = (
            Unprocessable if is_number and path in model.unprocessable else InvalidRequest
        )
        raise kind(f"In {where}: {message}.", field=path or None) from None


def _path(location: tuple[int | str, ...]) -> str:
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            path += f".{part}" if path else part
    return path
