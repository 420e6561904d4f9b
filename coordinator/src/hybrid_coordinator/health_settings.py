"""The options of the health check; they are part of ``settings.Settings``."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from hybrid_coordinator.option_types import Days, Fraction, Seconds, Section


class HealthSettings(Section):
    """When the health check warns, and how long it may take."""

    timeout: Seconds = Field(10.0, description="Seconds the whole check may take.")
    start_grace: float = Field(
        300.0, ge=0.0, description="Seconds a part may be starting before that is a failure."
    )
    min_free_fraction: Fraction = Field(
        0.1, description="Warn where less of the state directory's disk is free."
    )
    min_free_bytes: int = Field(
        1024 * 1024 * 1024, ge=0, description="Warn where less of that disk is free."
    )
    certificates: tuple[Path, ...] = Field(
        (), description="PEM files whose first certificate must not expire unnoticed."
    )
    expiry_days: Days = Field(
        14.0, description="Warn so many days before a certificate or a client's key expires."
    )
    max_key_age_days: Days | None = Field(
        365.0, description="Warn where a key's file is older; unset: never."
    )
    max_outbox_age: Seconds = Field(
        900.0, description="Warn where a record has waited longer for its store."
    )
