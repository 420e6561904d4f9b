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


class CodebaseContext(Item):
    """A piece of a repository."""

    file_path: Name
    code_snippet: Annotated[str, Field(min_length=1, max_length=32_768)]
    language: Word = ""
    framework: Word = ""
    purpose: Text = ""
    start_line: Count = 0
    end_line: Count = 0
    last_accessed: Time = 0.0
    access_count: Count = 0
    success_rate: Probability | None = None

    indexed = MappingProxyType(
        {
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

    def proven(self) -> float:
        return 0.5 if self.success_rate is None else self.success_rate


class PatternStatus(StrEnum):
    """How far a pattern is trusted."""

    CANDIDATE = "candidate"
    TRUSTED = "trusted"
    RETIRED = "retired"


class SkillsPattern(Item):
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
    source_interactions: Names = ()
    status: PatternStatus = PatternStatus.CANDIDATE

    indexed = MappingProxyType(
        {
            "skill_name": IndexKind.KEYWORD,
            "status": IndexKind.KEYWORD,
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

    def proven(self) -> float:
        return _smoothed(self.helpful_count, self.harmful_count)


class ErrorSolution(Item):
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
        {"error_type": IndexKind.KEYWORD, "solution_verified": IndexKind.BOOL}
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

    def proven(self) -> float:
        counted = _smoothed(self.success_count, self.failure_count)
        return counted if self.confidence_score is None else (counted + self.confidence_score) / 2


class InteractionHistory(Item):
    """One question that was answered, and how that turned out."""

    query: Annotated[str, Field(min_length=1, max_length=32_768)]
    agent_type: Word = "generic"
    model_used: Word = ""
    context_provided: Names = ()
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

    indexed = MappingProxyType(
        {
            "agent_type": IndexKind.KEYWORD,
            "model_used": IndexKind.KEYWORD,
            "outcome": IndexKind.KEYWORD,
            "route": IndexKind.KEYWORD,
            "cache_status": IndexKind.KEYWORD,
            "experiment": IndexKind.KEYWORD,
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


class BestPractice(Item):
    """A rule that holds beyond one repository."""

    title: Annotated[str, Field(min_length=1, max_length=1024)]
    category: Word = ""
    description: Text = ""
    examples: Texts = ()
    anti_patterns: Texts = ()
    references: Names = ()
    endorsement_count: Count = 0
    last_validated: Time = 0.0

    indexed = MappingProxyType({"category": IndexKind.KEYWORD})

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

    def proven(self) -> float:
        return _smoothed(self.endorsement_count, 0)


def _smoothed(good: int, bad: int) -> float:
    """Laplace's rule of succession: the expected share of successes after these."""
    return (good + 1) / (good + bad + 2)


def _lines(*parts: str) -> str:
    return "\n".join(part for part in parts if part)


def _labelled(label: str, *texts: str) -> str:
    return "\n".join(f"{label}: {text}" for text in texts if text)
