"""Our filters in qdrant-client's terms. The embedded engine's are in ``edge_filter``."""

from __future__ import annotations

from qdrant_client import models

from hybrid_coordinator.knowledge.store import Filter, FilterValue


def client_filter(where: Filter | None) -> models.Filter | None:
    """Our filter as the client's; ``None`` for everything."""
    if where is None or where.empty:
        return None
    must: list[models.Condition] = [_any_of(key, values) for key, values in where.any_of.items()]
    must += [
        models.FieldCondition(
            key=key, range=models.Range(gte=where.at_least.get(key), lt=where.below.get(key))
        )
        for key in sorted({*where.at_least, *where.below})
    ]
    if where.ids is not None:
        must.append(models.HasIdCondition(has_id=list(where.ids)))
    must_not: list[models.Condition] = [
        models.FieldCondition(key=key, match=models.MatchAny(any=list(values)))
        for key, values in where.none_of.items()
    ]
    return models.Filter(must=must or None, must_not=must_not or None)


def _any_of(key: str, values: tuple[FilterValue, ...]) -> models.Condition:
    words = [value for value in values if isinstance(value, str)]
    if words and len(words) == len(values):
        return models.FieldCondition(key=key, match=models.MatchAny(any=words))
    conditions: list[models.Condition] = [
        models.FieldCondition(key=key, range=models.Range(gte=value, lte=value))
        if isinstance(value, float)
        else models.FieldCondition(key=key, match=models.MatchValue(value=value))
        for value in values
    ]
    return models.Filter(min_should=models.MinShould(conditions=conditions, min_count=1))
