"""The embedded engine's module, loaded on demand, and our filters in its terms.

``qdrant-edge-py`` is an extra: the package works without it, so nothing
imports it at the top. Not for qdrant-client, whose filters are in ``qdrant``.
"""

from __future__ import annotations

import importlib
import importlib.util
from functools import cache
from typing import Any

from hybrid_coordinator.errors import SettingsError
from hybrid_coordinator.knowledge.store import Filter, FilterValue


def edge_installed() -> bool:
    """Whether the embedded engine can be used here."""
    return importlib.util.find_spec("qdrant_edge") is not None


@cache
def edge() -> Any:
    """The engine's module; its type stubs name classes it does not have, hence ``Any``.

    Raises ``SettingsError`` where it is not installed.
    """
    try:
        return importlib.import_module("qdrant_edge")
    except ImportError as error:
        raise SettingsError(
            "The embedded store needs the extra 'embedded' (pip install "
            "'hybrid-coordinator[embedded]'); or set qdrant.url to a Qdrant server.",
            field="qdrant.url",
        ) from error


def engine_filter(where: Filter | None) -> Any:
    """Our filter as the engine's; ``None`` for everything."""
    if where is None or where.empty:
        return None
    q = edge()
    must: list[Any] = [_any_of(key, values) for key, values in where.any_of.items()]
    bounds = {*where.at_least, *where.below}
    for key in sorted(bounds):
        limits = q.RangeFloat(gte=where.at_least.get(key), lt=where.below.get(key))
        must.append(q.FieldCondition(key, range=limits))
    if where.ids is not None:
        must.append(q.HasIdCondition(set(where.ids)))
    must_not = [
        q.FieldCondition(key, match=q.MatchAny(list(values)))
        for key, values in where.none_of.items()
    ]
    return q.Filter(must=must or None, must_not=must_not or None)


def _any_of(key: str, values: tuple[FilterValue, ...]) -> Any:
    q = edge()
    if values and all(isinstance(value, str) for value in values):
        return q.FieldCondition(key, match=q.MatchAny(list(values)))
    conditions = [
        q.FieldCondition(key, range=q.RangeFloat(gte=value, lte=value))
        if isinstance(value, float)
        else q.FieldCondition(key, match=q.MatchValue(value))
        for value in values
    ]
    return q.Filter(min_should=q.MinShould(conditions=conditions, min_count=1))
