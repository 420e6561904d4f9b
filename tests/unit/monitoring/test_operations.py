"""The documents tell of every metric and every alert, and of none that does not exist."""

from __future__ import annotations

import re

import pytest
import yaml

from hybrid_coordinator.telemetry import Metrics
from tests.unit.monitoring.documented import DOCS, declared_metrics, documented_metrics

RULES = DOCS.parent / "modules" / "monitoring" / "alerts.yml"
OPERATIONS = (DOCS / "operations.md").read_text("utf-8")


def alerts() -> dict[str, str]:
    """Every alert with its severity."""
    groups = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    return {
        rule["alert"]: rule["labels"]["severity"] for group in groups for rule in group["rules"]
    }


@pytest.mark.parametrize("document", ["metrics.md", "operations.md"])
def test_a_document_has_a_row_for_every_metric_and_for_no_other(document: str) -> None:
    assert documented_metrics(document) == declared_metrics()


def test_what_is_declared_is_what_is_exported() -> None:
    exported = {
        family.name + ("_total" if family.type == "counter" else "")
        for family in Metrics().registry.collect()
    }
    assert exported <= declared_metrics()
    assert len(exported) > 40


def test_every_alert_has_its_heading_and_every_heading_its_alert() -> None:
    section = OPERATIONS.split("## Alerts")[1].split("\n## ")[0]
    assert re.findall(r"^### (\w+)$", section, re.MULTILINE) == list(alerts())


def test_an_entry_tells_how_bad_it_is_what_it_means_and_what_to_do() -> None:
    for name, severity in alerts().items():
        entry = OPERATIONS.split(f"### {name}\n")[1].split("\n### ")[0]
        assert entry.startswith(f"*{severity}.* "), name
        assert len(entry) > 120, name
        assert re.search(r"`[^`]+`", entry), f"{name}: nothing to look at or to set"


def test_every_link_within_the_document_leads_to_a_heading() -> None:
    headings = {heading.lower() for heading in re.findall(r"^#+ (.+)$", OPERATIONS, re.MULTILINE)}
    for target in re.findall(r"\]\(#([^)]+)\)", OPERATIONS):
        assert target in headings
    for document, target in re.findall(r"\]\((\w+\.md)(?:#([^)]+))?\)", OPERATIONS):
        assert (DOCS / document).is_file(), (document, target)
