"""Which named tests run in which scenario, in this order, and which of them in QEMU too.

The list and the tests are kept apart on purpose: a test that is enabled here but not defined is an
error when a scenario starts, and one that is defined but enabled nowhere is an error of the unit
tests. The first of a scenario is the one that looks at the machine as it booted; the later ones
stop and break things and leave them well.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["ENABLED", "QEMU"]

ENABLED: Mapping[str, tuple[str, ...]] = {
    "minimal": (
        "boots",
        "first-boot",
        "answers",
        "notify",
        "sandbox",
        "bad-settings",
        "kill",
        "watchdog",
        "extraction-runs",
        "outbox-survives-kill",
        "dashboard-data-written",
    ),
    "full": (
        "boots",
        "answers",
        "notify",
        "credentials",
        "sandbox",
        "scrape",
        "grafana-provisioned",
        "timers",
        "reload",
        "restart-without-drop",
        "degraded",
        "extraction-runs",
        "queue-waits-for-model",
        "outbox-survives-kill",
        "dashboard-data-written",
        "kill",
        "watchdog",
    ),
    "remote-stores": ("boots", "remote-stores"),
    "two-coordinators": ("boots", "two-coordinators"),
    "upgrade": ("boots", "upgrade"),
}
"""Scenario to the names of its tests."""

QEMU = frozenset(
    {
        "boots",
        "notify",
        "watchdog",
        "sandbox",
        "extraction-runs",
        "outbox-survives-kill",
        "kill",
    }
)
"""The tests that a virtual machine runs: what a container cannot show, or shows differently."""
