"""What an item of each collection is made of: its fields, and the texts made of them.

One model a collection, with every field typed and bounded. Each says what is
embedded, what a model gets to read, and how well the item has done. Not here:
whose an item is and how it is stored (``collections``).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(max_length=1024)]
Word = Annotated[str, Field(max_length=128)]
Text = Annotated[str, Field(max_length=32_768)]
Texts = Annotated[tuple[Text, ...], Field(max_length=64)]
Names = Annotated[tuple[Name, ...], Field(max_length=256)]
Count = Annotated[int, Field(ge=0, le=2**53)]
Time = Annotated[float, Field(ge=0.0, le=1e12, allow_inf_nan=False)]
"""Epoch seconds; 0 for never."""
Probability = Annotated[float, Field(ge=0.0, le=1.0)]


class IndexKind(StrEnum):
    """How a payload field is indexed, by the store's own names."""

    KEYWORD = "keyword"
    INTEGER = "integer"
    FLOAT = "float"
    BOOL = "bool"


class Item(BaseModel, ABC):
    """What an item of any collection can say about itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    indexed: ClassVar[Mapping[str, IndexKind]] = {}
    """The content fields that may be filtered, each with a payload index."""

    def identity(self) -> str:
        """What makes two items the same thing; equal identities get one id."""
        return self.text_for_prompt()

    @abstractmethod
    def text_for_embedding(self) -> str:
        """What a question is compared with; the embedder may cut it."""

    @abstractmethod
    def text_for_prompt(self) -> str:
        """What a model gets to read, and what word search looks through."""

    def proven(self) -> float:
        """How well the item has done, 0 to 1; 0.5 where nothing is known."""
        return 0.5


class PatternStatus(StrEnum):
    """How far a pattern is trusted."""

    CANDIDATE = "candidate"
    TRUSTED = "trusted"
    RETIRED = "retired"


class UsedItem(Item):
    """What every item has that gets into prompts: where it came from, and how it has done.

    ``access_count``: interactions that had it in their prompt. ``success_rate``:
    the posterior mean of its share of successes, Beta(1, 1) before the first
    of ``outcome_count`` known outcomes. ``source_interactions``: those a
    learned item was taken from; ``example_sources`` names for each of its
    examples the one it is of. ``seed``: accesses, successes and failures that
    its author gave, which counted ones are added to. ``restored``: when a person
    last took it back into use; harm from before that speaks no more.
    """

    access_count: Count = 0
    last_accessed: Time = 0.0
    success_rate: Probability | None = None
    outcome_count: Count = 0
    status: PatternStatus = PatternStatus.TRUSTED
    learned: bool = False
    source_interactions: Names = ()
    example_sources: Names = ()
    seed: Annotated[tuple[Count, ...], Field(max_length=3)] = ()
    restored: Time = 0.0

    used: ClassVar[Mapping[str, IndexKind]] = MappingProxyType(
        {
            "status": IndexKind.KEYWORD,
            "learned": IndexKind.BOOL,
            "source_interactions": IndexKind.KEYWORD,
        }
    )

    def evidence(self) -> tuple[float, float]:
        """How often it helped and how often it harmed, a partial success counting half each.

        From the outcomes of the interactions that used it (``success_rate``
        and ``outcome_count``). A rate that an author gave without a count
        stands for two outcomes.
        """
        if self.success_rate is None:
            return 0.0, 0.0
        if not self.outcome_count:
            return 2 * self.success_rate, 2 * (1 - self.success_rate)
        helped = self.success_rate * (self.outcome_count + 2) - 1  # the mean of Beta(1, 1), undone
        helped = min(max(helped, 0.0), float(self.outcome_count))
        return helped, self.outcome_count - helped

    def proven(self) -> float:
        """The posterior mean of Beta(1, 1) after the evidence (Laplace's rule of succession)."""
        helped, harmed = self.evidence()
        return (helped + 1) / (helped + harmed + 2)


class CodebaseContext(UsedItem):
    """A piece of a repository."""

    file_path: Name
    code_snippet: Annotated[str, Field(min_length=1, max_length=32_768)]
    language: Word = ""
    framework: Word = ""
    purpose: Text = ""
    start_line: Count = 0
    end_line: Count = 0

    indexed = MappingProxyType(
        {
            **UsedItem.used,
            "file_path": IndexKind.KEYWORD,
            "language": IndexKind.KEYWORD,
            "framework": IndexKind.KEYWORD,
        }
    )

    def identity(self) -> str:
        return f"{self.file_path}\n{self.start_line}\n{self.code_snippet}"

    def text_for_embedding(self) -> str:
        return _lines(self.purpose, self.file_path, self.code_snippet)

    def text_for_prompt(self) -> str:
        place = self.file_path
        if self.start_line:
            place += f":{self.start_line}-{max(self.end_line, self.start_line)}"
        return _lines(place, self.purpose, self.code_snippet)


class SkillsPattern(UsedItem):
    """Something that was learned from interactions, or taught."""

    skill_name: Annotated[str, Field(min_length=1, max_length=1024)]
    description: Text = ""
    usage_pattern: Text = ""
    success_examples: Texts = ()
    failure_examples: Texts = ()
    prerequisites: Texts = ()
    related_skills: Names = ()
    value_score: Probability = 0.0
    last_updated: Time = 0.0
    helpful_count: Count = 0
    harmful_count: Count = 0

    indexed = MappingProxyType(
        {
            **UsedItem.used,
            "skill_name": IndexKind.KEYWORD,
            "value_score": IndexKind.FLOAT,
        }
    )

    def identity(self) -> str:
        return f"{self.skill_name}\n{self.description}\n{self.usage_pattern}"

    def text_for_embedding(self) -> str:
        return _lines(self.skill_name, self.description, self.usage_pattern)

    def text_for_prompt(self) -> str:
        return _lines(
            self.skill_name,
            self.description,
            _labelled("Use", self.usage_pattern),
            _labelled("Needs", "; ".join(self.prerequisites)),
            _labelled("Worked", *self.success_examples[:2]),
            _labelled("Failed", *self.failure_examples[:2]),
        )

    def evidence(self) -> tuple[float, float]:
        return _at_least(super().evidence(), self.helpful_count, self.harmful_count)


class ErrorSolution(UsedItem):
    """An error and what makes it go away."""

    error_message: Annotated[str, Field(min_length=1, max_length=32_768)]
    error_type: Word = ""
    context: Text = ""
    solution: Annotated[str, Field(min_length=1, max_length=32_768)]
    solution_verified: bool = False
    success_count: Count = 0
    failure_count: Count = 0
    first_seen: Time = 0.0
    last_used: Time = 0.0
    confidence_score: Probability | None = None

    indexed = MappingProxyType(
        {
            **UsedItem.used,
            "error_type": IndexKind.KEYWORD,
            "solution_verified": IndexKind.BOOL,
        }
    )

    def identity(self) -> str:
        return f"{self.error_type}\n{self.error_message}\n{self.solution}"

    def text_for_embedding(self) -> str:
        return _lines(self.error_type, self.error_message, self.context, self.solution)

    def text_for_prompt(self) -> str:
        return _lines(
            _labelled("Error", " ".join(filter(None, (self.error_type, self.error_message)))),
            _labelled("Context", self.context),
            _labelled(
                "Solution (verified)" if self.solution_verified else "Solution", self.solution
            ),
        )

    def evidence(self) -> tuple[float, float]:
        counted = _at_least(super().evidence(), self.success_count, self.failure_count)
        if self.confidence_score is None or any(counted):
            return counted
        return 2 * self.confidence_score, 2 * (1 - self.confidence_score)


class InteractionHistory(Item):
    """One question that was answered, and how that turned out.

    ``context_first``: of ``context_provided``, which is in the order of
    relevance, the first: it answers for a failure.
    ``history``: the messages before the question, a JSON array; not whole where
    ``history_complete`` is false. ``truncated``: query or response was cut.
    ``parent``: of an answer that validation turned down, the interaction that
    was answered otherwise, with the class of the ``rejection``.
    ``feedback_given``: ``user_feedback`` is somebody's, not the default.
    ``signals``: implicit signs by source, weight with sign. ``value_parts``:
    the components of ``value_score``; ``scored`` is when (0: never).
    ``extraction``: where the search for patterns in it stands.
    """

    query: Annotated[str, Field(min_length=1, max_length=32_768)]
    agent_type: Word = "generic"
    model_used: Word = ""
    context_provided: Names = ()
    context_first: Word = ""
    response: Text = ""
    outcome: Literal["success", "partial", "failure", "unknown"] = "unknown"
    user_feedback: Annotated[int, Field(ge=-1, le=1)] = 0
    tokens_used: Count = 0
    latency_ms: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] = 0.0
    timestamp: Time = 0.0
    value_score: Probability = 0.0
    route: Word = ""
    cache_status: Word = ""
    experiment: Word = ""
    backend: Word = ""
    turns: Count = 1
    tool_calls: Count = 0
    input_tokens: Count = 0
    output_tokens: Count = 0
    cost_usd: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] = 0.0
    history: Text = ""
    history_complete: bool = True
    truncated: bool = False
    parent: Word = ""
    rejection: Word = ""
    outcome_source: Word = ""
    feedback_given: bool = False
    signals: Annotated[dict[Word, float], Field(max_length=16)] = {}
    value_parts: Annotated[dict[Word, Probability], Field(max_length=16)] = {}
    scored: Time = 0.0
    extraction: Literal["", "queued", "done", "nothing", "dead"] = ""

    indexed = MappingProxyType(
        {
            "agent_type": IndexKind.KEYWORD,
            "model_used": IndexKind.KEYWORD,
            "outcome": IndexKind.KEYWORD,
            "route": IndexKind.KEYWORD,
            "cache_status": IndexKind.KEYWORD,
            "experiment": IndexKind.KEYWORD,
            "context_provided": IndexKind.KEYWORD,
            "context_first": IndexKind.KEYWORD,
            "parent": IndexKind.KEYWORD,
            "extraction": IndexKind.KEYWORD,
            "user_feedback": IndexKind.INTEGER,
            "timestamp": IndexKind.FLOAT,
            "value_score": IndexKind.FLOAT,
        }
    )

    def identity(self) -> str:
        return f"{self.timestamp}\n{self.query}\n{self.response}"

    def text_for_embedding(self) -> str:
        return self.query

    def text_for_prompt(self) -> str:
        return _lines(_labelled("Question", self.query), _labelled("Answer", self.response))

    def proven(self) -> float:
        return {"success": 0.75, "partial": 0.5, "failure": 0.0, "unknown": 0.5}[self.outcome]


class BestPractice(UsedItem):
    """A rule that holds beyond one repository."""

    title: Annotated[str, Field(min_length=1, max_length=1024)]
    category: Word = ""
    description: Text = ""
    examples: Texts = ()
    anti_patterns: Texts = ()
    references: Names = ()
    endorsement_count: Count = 0
    last_validated: Time = 0.0

    indexed = MappingProxyType({**UsedItem.used, "category": IndexKind.KEYWORD})

    def identity(self) -> str:
        return f"{self.category}\n{self.title}\n{self.description}"

    def text_for_embedding(self) -> str:
        return _lines(self.title, self.category, self.description, *self.examples[:1])

    def text_for_prompt(self) -> str:
        return _lines(
            self.title,
            self.description,
            _labelled("Example", *self.examples[:3]),
            _labelled("Avoid", *self.anti_patterns[:3]),
            _labelled("See", ", ".join(self.references[:5])),
        )

    def evidence(self) -> tuple[float, float]:
        return _at_least(super().evidence(), self.endorsement_count, 0)


def _at_least(evidence: tuple[float, float], helped: int, harmed: int) -> tuple[float, float]:
    """An item's own counts know what the outcomes of its uses do not: what it was taken from."""
    return max(evidence[0], helped), max(evidence[1], harmed)


def _lines(*parts: str) -> str:
    return "\n".join(part for part in parts if part)


def _labelled(label: str, *texts: str) -> str:
    return "\n".join(f"{label}: {text}" for text in texts if text)
