"""Training data from interactions that went well: ``DatasetWriter`` is the door.

It says who gets whose data and where, lets one run go at a time, and makes a
finished set the current one. How examples are chosen is in ``dataset_run``
and ``dataset_spool``, what they look like in ``dataset_formats``; what an
interaction is worth is decided in ``scoring``.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Protocol

from hybrid_coordinator.conversation import Caller
from hybrid_coordinator.errors import Conflict, StoreUnavailable, Unprocessable
from hybrid_coordinator.knowledge.store import KnowledgeStore
from hybrid_coordinator.learning.dataset_files import (
    FILES,
    MANIFEST,
    DatasetFilter,
    DatasetFolder,
    Manifest,
    SetWriter,
)
from hybrid_coordinator.learning.dataset_run import (
    EXACT_UP_TO,
    NEAR_DUPLICATE,
    SAME_CLUSTER,
    Counts,
    DatasetRun,
    ScrubsValues,
    Wanted,
    in_thread,
)
from hybrid_coordinator.learning.records import DatasetFormat, DatasetReport, DatasetRequest
from hybrid_coordinator.learning_settings import LearningSettings
from hybrid_coordinator.telemetry.events import Event, FineTuningUpdate
from hybrid_coordinator.telemetry.metrics import Metrics

_PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")

_log = logging.getLogger(__name__)


class _Named(Protocol):
    @property
    def name(self) -> str: ...


class History(Protocol):
    """What is needed of ``Knowledge``."""

    @property
    def embedder(self) -> _Named:
        """Whose the stored vectors are."""

    async def opened(self) -> KnowledgeStore:
        """The store, open; raises ``StoreUnavailable``."""


class Records(Protocol):
    """What is needed of ``TelemetryWriter``."""

    def record(self, event: Event) -> None:
        """Note an event; never raises."""


class DatasetWriter:
    """Writes training data to ``folder``, one run at a time.

    An operator's set, and every one where knowledge is shared, is everybody's
    and lies in ``folder`` itself; another caller's has only its own
    interactions and lies in a folder named by the caller's id. ``now`` gives
    epoch seconds.
    """

    def __init__(
        self,
        knowledge: History,
        folder: Path,
        settings: LearningSettings,
        scrubber: ScrubsValues,
        metrics: Metrics,
        telemetry: Records,
        *,
        now: Callable[[], float] = time.time,
        exact_up_to: int = EXACT_UP_TO,
    ) -> None:
        self._knowledge = knowledge
        self._folder = folder
        self._settings = settings
        self._scrubber = scrubber
        self._metrics = metrics
        self._telemetry = telemetry
        self._now = now
        self._exact_up_to = exact_up_to
        self._turn = asyncio.Lock()
        self._running = False

    async def start(self) -> None:
        """Remove what a crash left behind, and report how large the present set is."""
        async with self._turn:
            await in_thread(self._recover)

    async def write(self, wanted: DatasetRequest, caller: Caller) -> DatasetReport:
        """Write the set anew from what is stored now.

        Raises ``Conflict`` while another run is under way, ``Unprocessable``
        for an impossible wish, ``StoreUnavailable`` where knowledge is away
        or the disk fails; then the set before is still in place.
        """
        checked = self._checked(wanted, caller)
        if self._running:
            raise Conflict("Training data is being written already: wait until that run has ended.")
        self._running = True
        try:
            async with self._turn:
                place = DatasetFolder(self._place_of(checked.caller))
                try:
                    return await self._write(checked, place)
                except OSError as error:
                    raise StoreUnavailable(
                        f"Training data could not be written ({error.strerror or error}): check "
                        f"the disk of '{self._folder}'. The set before it is still in place."
                    ) from error
                finally:
                    await in_thread(place.recover)
        finally:
            self._running = False

    async def without(self, *ids: str) -> int:
        """Rewrite every set without the examples that have these interactions' text; how many.

        Waits for a run that is under way. Raises ``StoreUnavailable``.
        """
        async with self._turn:
            try:
                return await in_thread(lambda: self._without(ids))
            except OSError as error:
                raise StoreUnavailable(
                    f"Training data could not be rewritten ({error.strerror or error}): check the "
                    f"disk of '{self._folder}'."
                ) from error

    def _checked(self, wanted: DatasetRequest, caller: Caller) -> Wanted:
        bar = wanted.min_score
        bar = self._settings.high_value_threshold if bar is None else bar
        for name, value in (("min_score", bar), ("validation_share", wanted.validation_share)):
            if not 0.0 <= value <= 1.0:
                raise Unprocessable("Give a number from 0 to 1.", field=name)
        if not wanted.formats:
            known = ", ".join(DatasetFormat)
            raise Unprocessable(f"Name at least one format: {known}.", field="formats")
        everybody = caller.is_operator or self._settings.share
        return Wanted(
            formats=tuple(dict.fromkeys(wanted.formats)),
            min_score=bar,
            validation_share=wanted.validation_share,
            caller=None if everybody else caller.id,
        )

    async def _write(self, wanted: Wanted, place: DatasetFolder) -> DatasetReport:
        store = await self._knowledge.opened()
        await in_thread(place.recover)
        made = await in_thread(place.begin)
        run = DatasetRun(wanted, store, self._scrubber, made, exact_up_to=self._exact_up_to)
        await run.write(before=place)
        manifest = self._manifest(wanted, run.counts, made)
        await in_thread(lambda: made.finish(manifest))
        await in_thread(lambda: place.adopt(made))
        return self._report(wanted, run.counts, place, manifest)

    def _manifest(self, wanted: Wanted, counts: Counts, made: SetWriter) -> Manifest:
        files = made.files
        now = self._now()
        return Manifest(
            created=now,
            changed=now,
            embedder=self._knowledge.embedder.name,
            filter=DatasetFilter(
                caller=wanted.caller,
                min_score=wanted.min_score,
                near_duplicate=NEAR_DUPLICATE,
                same_cluster=SAME_CLUSTER,
                validation_share=wanted.validation_share,
            ),
            considered=counts.considered,
            left_out=dict(sorted(counts.left_out.items())),
            counts={
                str(format): sum(files[name].examples for name in FILES[format])
                for format in wanted.formats
            },
            files=files,
        )

    def _report(
        self, wanted: Wanted, counts: Counts, place: DatasetFolder, manifest: Manifest
    ) -> DatasetReport:
        if wanted.caller is None:
            self._show(manifest)
        self._telemetry.record(
            FineTuningUpdate(
                timestamp=manifest.created,
                dataset_size=counts.size,
                new_examples=counts.fresh,
                formats=manifest.counts,
            )
        )
        _log.info("Training data written.", extra={"examples": counts.size, "new": counts.fresh})
        return DatasetReport(
            path=str(place.folder / FILES[wanted.formats[0]][0]),
            manifest_path=str(place.folder / MANIFEST),
            dataset_size=counts.size,
            new_examples=counts.fresh,
            files={
                name: {"examples": entry.examples, "sha256": entry.sha256}
                for name, entry in manifest.files.items()
            },
            left_out=manifest.left_out,
        )

    def _show(self, manifest: Manifest | None) -> None:
        for format in DatasetFormat:
            count = 0 if manifest is None else manifest.counts.get(str(format), 0)
            self._metrics.learning.dataset_examples.labels(format=str(format)).set(count)

    def _recover(self) -> None:
        for place in self._places():
            place.recover()
        self._show(DatasetFolder(self._folder).manifest())

    def _without(self, ids: Sequence[str]) -> int:
        removed = sum(place.without(ids, self._now()) for place in self._places())
        if removed:
            self._show(DatasetFolder(self._folder).manifest())
        return removed

    def _places(self) -> list[DatasetFolder]:
        if not self._folder.is_dir():
            return []
        of_callers = sorted(
            path
            for path in self._folder.iterdir()
            if path.is_dir() and not path.name.startswith(".")
        )
        return [DatasetFolder(path) for path in (self._folder, *of_callers)]

    def _place_of(self, caller: str | None) -> Path:
        if caller is None:
            return self._folder
        if _PLAIN_NAME.fullmatch(caller):
            return self._folder / caller
        return self._folder / hashlib.blake2b(caller.encode(), digest_size=16).hexdigest()
