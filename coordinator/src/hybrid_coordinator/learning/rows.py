"""A stored interaction or pattern as a row of a list. Pure functions over payloads."""

from __future__ import annotations

from typing import Final

from pydantic import ValidationError

from hybrid_coordinator.conversation import Caller, Json
from hybrid_coordinator.knowledge import SHARED
from hybrid_coordinator.knowledge.collections import read_record
from hybrid_coordinator.knowledge.items import (
    BestPractice,
    CodebaseContext,
    ErrorSolution,
    InteractionHistory,
    Item,
    SkillsPattern,
    UsedItem,
)
from hybrid_coordinator.learning.listing import Listed
from hybrid_coordinator.learning.view_records import InteractionRow, PatternRow

_SHOWN: Final = 300
"""Characters of a question in a list, and of a title."""


def interaction_row(payload: Json, listed: Listed) -> InteractionRow:
    """The row of an interaction. ``payload`` is the item's, with what was said of it meanwhile."""
    given = bool(payload.get("feedback_given"))
    scored = bool(payload.get("scored"))
    return InteractionRow(
        id=listed.point.id,
        timestamp=listed.time,
        query=_cut(str(payload.get("query", ""))),
        agent_type=str(payload.get("agent_type", "")),
        model=str(payload.get("model_used", "")),
        backend=str(payload.get("backend", "")),
        route=str(payload.get("route", "")),
        cache=str(payload.get("cache_status", "")),
        outcome=str(payload.get("outcome", "unknown")),
        user_feedback=int(payload.get("user_feedback", 0)) if given else None,
        tokens=int(payload.get("tokens_used", 0)),
        cost_usd=float(payload.get("cost_usd", 0.0)),
        latency_ms=float(payload.get("latency_ms", 0.0)),
        value_score=float(payload.get("value_score", 0.0)) if scored else None,
        delivered=not payload.get("waiting", False),
        similarity=listed.similarity,
    )


def pattern_row(listed: Listed, caller: Caller) -> PatternRow | None:
    """The row of a learned item; None for a payload that is no such item."""
    try:
        record = read_record(listed.collection, listed.point.payload)
    except ValidationError:
        return None
    item, owner = record.item, record.provenance.caller
    if not isinstance(item, UsedItem):
        return None
    return PatternRow(
        id=listed.point.id,
        collection=listed.collection,
        status=item.status,
        title=title_of(item),
        text=item.text_for_prompt(),
        learned=item.learned,
        shared=owner == SHARED,
        may_change=caller.is_operator or caller.id == owner,
        created=record.provenance.created,
        last_used=item.last_accessed or None,
        uses=item.access_count,
        outcomes=item.outcome_count,
        success_rate=item.success_rate,
        source_interactions=item.source_interactions,
        similarity=listed.similarity,
    )


def title_of(item: Item) -> str:
    """What an item is called in a list."""
    title = ""
    if isinstance(item, SkillsPattern):
        title = item.skill_name
    elif isinstance(item, ErrorSolution):
        title = item.error_message
    elif isinstance(item, BestPractice):
        title = item.title
    elif isinstance(item, CodebaseContext):
        title = item.file_path or item.purpose or item.code_snippet
    elif isinstance(item, InteractionHistory):
        title = item.query
    return _cut(title)


def _cut(text: str) -> str:
    even = " ".join(text.split())
    return even if len(even) <= _SHOWN else even[: _SHOWN - 1].rstrip() + "…"
