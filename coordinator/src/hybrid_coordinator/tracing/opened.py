"""Whether requests are traced, and by what: the one place that decides to load OpenTelemetry.

Its packages are an optional extra; where tracing is off nothing of them is
imported and a request pays one comparison. Spans are made in ``spans`` and
sent by ``sender``.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from typing import Protocol

from hybrid_coordinator.configuration import NIX_PATH, read_secret
from hybrid_coordinator.conversation import Completion
from hybrid_coordinator.errors import SettingsError
from hybrid_coordinator.settings import BackendSettings
from hybrid_coordinator.telemetry import Metrics
from hybrid_coordinator.trace import Trace
from hybrid_coordinator.tracing_settings import TracingSettings

_PACKAGES = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\x20-\x7e]+)")


class Tracing(Protocol):
    """Makes spans of requests. None of it waits, and none of it raises."""

    def begin(self, trace: Trace) -> None:
        """Give a request that has just begun the ids of its spans."""

    def done(
        self,
        trace: Trace,
        completion: Completion | None,
        backends: Mapping[str, BackendSettings],
    ) -> None:
        """Make the spans of a finished request, and hand them over for sending."""

    def close(self) -> None:
        """Send what waits, for a few seconds at most. Blocks; for the end of the process."""


def opened_tracing(settings: TracingSettings, metrics: Metrics) -> Tracing | None:
    """What traces requests; nothing where no collector is named.

    Raises:
        SettingsError: the packages are missing, or the headers cannot be read.
    """
    if settings.endpoint is None:
        return None
    headers = _headers(settings)
    if not all(_installed(package) for package in _PACKAGES):
        raise SettingsError(
            f"{NIX_PATH}.tracing.endpoint: the packages that send traces are not installed: "
            "install the extra (pip install 'hybrid-coordinator[tracing]'), or remove the setting",
            field="tracing.endpoint",
        )
    from hybrid_coordinator.tracing.spans import exporting

    return exporting(settings, headers, metrics)


def _headers(settings: TracingSettings) -> dict[str, str]:
    """The headers of the file, ``name: value`` a line; an error never repeats a line."""
    if settings.headers_file is None:
        return {}
    option = "tracing.headers_file"
    headers: dict[str, str] = {}
    text = read_secret(settings.headers_file, option=option)
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        found = _HEADER.fullmatch(line.strip())
        if found is None:
            raise SettingsError(
                f"{NIX_PATH}.{option}: line {number} of the file is no header: write "
                "`name: value`, as in `authorization: Bearer …`",
                field=option,
            )
        headers[found[1].lower()] = found[2]
    return headers


def _installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:
        return False
