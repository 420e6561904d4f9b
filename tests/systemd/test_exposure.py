"""The exposure gate: every rendered service within its bar, and every unit clean by systemd."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.nix.render import RENDERED
from tests.systemd import exposure
from tests.systemd.analyze import findings

NODES = sorted(units.parent for units in RENDERED.glob("*/*/units"))


def test_every_service_is_within_its_bar(capsys: pytest.CaptureFixture[str]) -> None:
    measured = exposure.measure(RENDERED)
    with capsys.disabled():
        print(f"\n{exposure.table(measured)}")
    judged = {one.service for one in measured if one.bar is not None}
    assert {"hybrid-coordinator.service", "qdrant.service", "lemonade-server.service"} <= judged
    assert [one for one in measured if one.over] == []


def test_a_service_that_is_hardly_confined_is_above_every_bar(tmp_path: Path) -> None:
    units = tmp_path / "scenario" / "machine" / "units"
    units.mkdir(parents=True)
    (units / "hybrid-ai.target").touch()
    (units / "qdrant.service").write_text("[Service]\nExecStart=/bin/true\nUser=nobody\n")
    [measured] = exposure.measure(tmp_path)
    assert measured.over


def test_a_service_without_a_bar_is_refused() -> None:
    with pytest.raises(AssertionError, match=r"nginx\.service has no bar"):
        exposure.bar_of("nginx.service")


@pytest.mark.parametrize("node", NODES, ids=[str(node.relative_to(RENDERED)) for node in NODES])
def test_systemd_finds_nothing_wrong_with_the_units(node: Path) -> None:
    assert findings(node) == ""


def test_a_key_that_systemd_does_not_know_is_found(tmp_path: Path) -> None:
    units = tmp_path / "units"
    units.mkdir()
    (tmp_path / "packages.json").write_text("{}")
    (units / "x.service").write_text("[Service]\nExecStart=/bin/true\nWatchdog=30\n")
    assert "Unknown key 'Watchdog' in section [Service]" in findings(tmp_path)
