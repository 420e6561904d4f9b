"""The query parameters and bodies of the lists of interactions and patterns. Data only."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from hybrid_coordinator.api.schemas import Body
from hybrid_coordinator.knowledge.items import PatternStatus
from hybrid_coordinator.learning.records import Outcome
from hybrid_coordinator.learning.view_records import InteractionQuery, PatternQuery
from hybrid_coordinator.settings import Collection

# A query string has text only.
_digits = BeforeValidator(
    lambda v: int(v) if isinstance(v, str) and v.isascii() and v.isdigit() and len(v) < 9 else v
)
Limit = Annotated[int, Field(ge=1, le=100), _digits]
Cursor = Annotated[str, Field(max_length=128)]
Words = Annotated[str, Field(max_length=2_000)]
OutcomeName = Literal["success", "partial", "failure", "unknown"]
StatusName = Literal["candidate", "trusted", "retired"]
PatternCollection = Literal[
    "codebase-context", "skills-patterns", "error-solutions", "best-practices"
]


class InteractionsRequest(Body):
    """The query parameters of the list of interactions."""

    query: Words = Field(
        "", description="List what is nearest to this text, or the interaction of this id."
    )
    limit: Limit = Field(50, description="Most interactions of a page.")
    before: Cursor | None = Field(
        None, description="The `next` of the page before; or epoch seconds."
    )
    outcome: OutcomeName | None = Field(None, description="Only those that turned out so.")
    route: Annotated[str, Field(min_length=1, max_length=128)] | None = Field(
        None,
        description="Only those of this route (`cache`, `local:lemonade/qwen3`) or tier (`local`).",
    )

    def to_record(self) -> InteractionQuery:
        """The same as the gateway takes it."""
        outcome = None if self.outcome is None else Outcome(self.outcome)
        return InteractionQuery(self.query.strip(), self.limit, self.before, outcome, self.route)


class PatternsRequest(Body):
    """The query parameters of the list of patterns."""

    query: Words = Field("", description="List what is nearest to this text.")
    limit: Limit = Field(50, description="Most patterns of a page.")
    before: Cursor | None = Field(
        None, description="The `next` of the page before; or epoch seconds."
    )
    status: StatusName | None = Field(None, description="Only those of this status.")
    collection: PatternCollection | None = Field(None, description="Only those of this collection.")

    def to_record(self) -> PatternQuery:
        """The same as the gateway takes it."""
        return PatternQuery(
            self.query.strip(),
            self.limit,
            self.before,
            None if self.status is None else PatternStatus(self.status),
            None if self.collection is None else Collection(self.collection),
        )


class PatternStatusRequest(Body):
    """What a pattern is to be from now on."""

    status: StatusName = Field(
        description="`retired`: in no prompt any more. `trusted` or `candidate`: restored."
    )
