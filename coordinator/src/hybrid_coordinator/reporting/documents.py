"""The four files of the dashboard, each a part of ``DashboardData`` with a version of its own.

Written whole and moved into place, so that a reader sees a file of before or of
after. A field is only ever added within a version. The job that writes them is
in ``jobs.dashboard_data``.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal, Protocol, Self

from pydantic import BaseModel, ConfigDict

from hybrid_coordinator.reporting.figures import (
    CollectionFigures,
    ContextFigures,
    DashboardData,
    LearningFigures,
    SavingsFigures,
    ServiceFigures,
    Source,
)

FOLDER: Final = "dashboard"
"""Below the state directory."""


class HybridCoordinator(BaseModel):
    """``hybrid-coordinator.json``: how the service is. Times are epoch seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    generated_at: float
    service: ServiceFigures
    source: Source

    @classmethod
    def of(cls, data: DashboardData) -> Self:
        """From the whole."""
        return cls(generated_at=data.generated_at, service=data.service, source=data.source)


class RagCollections(BaseModel):
    """``rag-collections.json``: the collections, and how retrieval from them does."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    generated_at: float
    range_s: int
    collections: list[CollectionFigures]
    context: ContextFigures

    @classmethod
    def of(cls, data: DashboardData) -> Self:
        """From the whole."""
        return cls(
            generated_at=data.generated_at,
            range_s=data.range_s,
            collections=data.collections,
            context=data.context,
        )


class LearningMetrics(LearningFigures):
    """``learning-metrics.json``: what was learnt."""

    version: Literal[1] = 1
    generated_at: float
    range_s: int

    @classmethod
    def of(cls, data: DashboardData) -> Self:
        """From the whole."""
        return cls(generated_at=data.generated_at, range_s=data.range_s, **_fields(data.learning))


class TokenSavings(SavingsFigures):
    """``token-savings.json``: what was saved, how that is counted, and the targets."""

    version: Literal[1] = 1
    generated_at: float
    range_s: int

    @classmethod
    def of(cls, data: DashboardData) -> Self:
        """From the whole."""
        return cls(generated_at=data.generated_at, range_s=data.range_s, **_fields(data.savings))


def _fields(model: BaseModel) -> dict[str, object]:
    return {name: getattr(model, name) for name in type(model).model_fields}


class _Document(Protocol):
    @classmethod
    def of(cls, data: DashboardData) -> BaseModel: ...


DOCUMENTS: Final[Mapping[str, type[_Document]]] = {
    "hybrid-coordinator.json": HybridCoordinator,
    "rag-collections.json": RagCollections,
    "learning-metrics.json": LearningMetrics,
    "token-savings.json": TokenSavings,
}
"""The files by name, in the order they are written."""


def write_documents(state_directory: Path, data: DashboardData) -> list[Path]:
    """Write the files below the state directory; their paths.

    Each is on disk before it takes its place. Raises ``OSError``; then some
    files may be new and none is torn.
    """
    folder = state_directory / FOLDER
    folder.mkdir(mode=0o750, exist_ok=True)
    return [_write(folder / name, kind.of(data)) for name, kind in DOCUMENTS.items()]


def _write(path: Path, document: BaseModel) -> Path:
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    aside = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), 0o640)
            file.write(document.model_dump_json(indent=1) + "\n")
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    return path
