"""A pattern as an item of a collection, and such an item with one more example or source, or less.

Pure functions. Text that is stored is never rewritten: a merge appends, and
forgetting takes away what was appended. Where and when that is done is in
``patterns``.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from hybrid_coordinator.conversation import Json
from hybrid_coordinator.knowledge.items import (
    BestPractice,
    CodebaseContext,
    ErrorSolution,
    InteractionHistory,
    PatternStatus,
    SkillsPattern,
    UsedItem,
)
from hybrid_coordinator.learning.extraction_answer import Pattern
from hybrid_coordinator.learning.extraction_prompt import Kind, shortened, visible
from hybrid_coordinator.settings import Collection

COLLECTION_OF: Final[Mapping[Kind, Collection]] = MappingProxyType(
    {
        Kind.SKILL: Collection.SKILLS_PATTERNS,
        Kind.ERROR_SOLUTION: Collection.ERROR_SOLUTIONS,
        Kind.BEST_PRACTICE: Collection.BEST_PRACTICES,
        Kind.CODE: Collection.CODEBASE_CONTEXT,
    }
)

MAX_EXAMPLES: Final = 8
"""Examples an item keeps; only the first two or three are ever shown."""
MAX_SOURCES: Final = 256
"""The bound of ``knowledge.items.Names``; more sources are not noted."""

_EXAMPLE: Final = 1_500
_ABOUT: Final = 500
"""Characters of an example, and of a question as a description."""
_NAMESPACE: Final = uuid.UUID("b1a1c6f0-5d0e-5c0f-8a55-2c7a5cf7b3a7")


def pattern_id(collection: Collection, caller: str, interaction_id: str, kind: Kind) -> str:
    """UUIDv5 of what a pattern was made of: made again, it is the same one."""
    return str(uuid.uuid5(_NAMESPACE, f"{collection}\0{caller}\0{interaction_id}\0{kind}"))


def source_of(interaction_id: str) -> str:
    """The provenance of what an interaction taught."""
    return f"interaction:{interaction_id}"


def item_of(
    pattern: Pattern, interaction_id: str, interaction: InteractionHistory, now: float
) -> UsedItem:
    """The pattern as a new item: a candidate, with its interaction as source and example."""
    about = shortened(pattern.question, _ABOUT)
    steps = "\n".join(pattern.steps)
    common: Json = {
        "status": PatternStatus.CANDIDATE,
        "learned": True,
        "source_interactions": (interaction_id,),
    }
    example: Json = {"example_sources": (interaction_id,)}
    if pattern.kind is Kind.ERROR_SOLUTION:
        return ErrorSolution(
            error_message=pattern.error_text,
            error_type=pattern.error_type,
            context=about,
            solution=steps,
            first_seen=interaction.timestamp,
            **common,
        )
    if pattern.kind is Kind.BEST_PRACTICE:
        return BestPractice(
            title=pattern.title,
            description=steps,
            examples=(example_of(interaction),),
            last_validated=interaction.timestamp,
            **common,
            **example,
        )
    if pattern.kind is Kind.CODE:
        return CodebaseContext(
            file_path="",
            code_snippet=pattern.code,
            language=pattern.language,
            purpose=about,
            **common,
        )
    return SkillsPattern(
        skill_name=pattern.title,
        description=about,
        usage_pattern=steps,
        success_examples=(example_of(interaction),),
        value_score=interaction.value_score,
        last_updated=now,
        **common,
        **example,
    )


def example_of(interaction: InteractionHistory) -> str:
    """The interaction's own question and answer, cut."""
    question = shortened(visible(interaction.query), _ABOUT)
    answer = visible(interaction.response).strip()
    text = f"{question}\n{answer}"
    return text if len(text) <= _EXAMPLE else text[: _EXAMPLE - 1].rstrip() + "…"


def with_source(
    item: UsedItem, interaction_id: str, interaction: InteractionHistory, now: float
) -> Json:
    """The fields that change where one more interaction teaches what an item says."""
    if len(item.source_interactions) >= MAX_SOURCES:
        return {}
    changes: Json = {"source_interactions": [*item.source_interactions, interaction_id]}
    if isinstance(item, SkillsPattern):
        changes |= {
            "last_updated": max(item.last_updated, now),
            "value_score": max(item.value_score, interaction.value_score),
        }
    name = _examples_field(item)
    if name is None:
        return changes
    examples: tuple[str, ...] = getattr(item, name)
    if len(examples) < MAX_EXAMPLES:
        changes[name] = [*examples, example_of(interaction)]
        changes["example_sources"] = [*_sources_of_examples(item, examples), interaction_id]
    return changes


def without_source(item: UsedItem, interaction_id: str) -> UsedItem:
    """The item without that source, and without the example that is of it."""
    changes: Json = {
        "source_interactions": tuple(s for s in item.source_interactions if s != interaction_id)
    }
    name = _examples_field(item)
    if name is not None:
        examples: tuple[str, ...] = getattr(item, name)
        pairs = zip(examples, _sources_of_examples(item, examples), strict=True)
        kept = [(example, source) for example, source in pairs if source != interaction_id]
        changes[name] = tuple(example for example, _ in kept)
        changes["example_sources"] = tuple(source for _, source in kept)
    return item.model_copy(update=changes)


def _examples_field(item: UsedItem) -> str | None:
    if isinstance(item, SkillsPattern):
        return "success_examples"
    return "examples" if isinstance(item, BestPractice) else None


def _sources_of_examples(item: UsedItem, examples: tuple[str, ...]) -> list[str]:
    """One a piece; empty for those that an author gave."""
    missing = len(examples) - len(item.example_sources)
    return [*[""] * missing, *item.example_sources][-len(examples) :] if examples else []
