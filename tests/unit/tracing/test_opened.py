"""Whether requests are traced: off by default and then free, refused where it cannot be."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hybrid_coordinator.errors import SettingsError
from hybrid_coordinator.telemetry import Metrics
from hybrid_coordinator.tracing import opened, opened_tracing
from hybrid_coordinator.tracing_settings import TracingSettings

ENDPOINT = "http://127.0.0.1:4318"


def test_it_is_off_where_no_collector_is_named() -> None:
    assert opened_tracing(TracingSettings(), Metrics()) is None


def test_what_makes_and_sends_spans_is_not_imported_while_it_is_off() -> None:
    # redis-py loads OpenTelemetry's metrics for itself wherever that is installed.
    unwanted = ("opentelemetry.exporter", "opentelemetry.proto", "hybrid_coordinator.tracing.spans")
    program = (
        "import sys\n"
        "from hybrid_coordinator import app\n"
        "from hybrid_coordinator.telemetry import Metrics\n"
        "from hybrid_coordinator.tracing import opened_tracing\n"
        "from hybrid_coordinator.tracing_settings import TracingSettings\n"
        "assert opened_tracing(TracingSettings(), Metrics()) is None\n"
        f"print([name for name in sys.modules if name.startswith({unwanted})])\n"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    assert said.stdout.strip() == "[]"


def test_without_its_packages_the_start_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(opened, "_PACKAGES", ("opentelemetry.sdk", "no.such.package"))
    with pytest.raises(SettingsError, match=r"hybrid-coordinator\[tracing\]") as raised:
        opened_tracing(TracingSettings(endpoint=ENDPOINT), Metrics())
    assert raised.value.field == "tracing.endpoint"


@pytest.mark.parametrize("path", ["", "/", "/v1/traces", "/v1/traces/"])
def test_the_path_may_be_there_or_not(path: str) -> None:
    assert TracingSettings(endpoint=ENDPOINT + path).endpoint == ENDPOINT


def test_a_line_that_is_no_header_is_refused_by_its_number_and_never_repeated(
    tmp_path: Path,
) -> None:
    file = tmp_path / "headers"
    file.write_text("# of the collector\nx-team: home\n\nBearer secret-token\n")
    settings = TracingSettings(endpoint=ENDPOINT, headers_file=str(file))
    with pytest.raises(SettingsError, match="line 4") as raised:
        opened_tracing(settings, Metrics())
    assert raised.value.field == "tracing.headers_file"
    assert "secret-token" not in str(raised.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    settings = TracingSettings(endpoint=ENDPOINT, headers_file=str(tmp_path / "none"))
    with pytest.raises(SettingsError, match=r"tracing\.headers_file"):
        opened_tracing(settings, Metrics())
