"""The options of figures and savings; they are part of ``settings.Settings``."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from hybrid_coordinator.option_types import Section

_Price = Annotated[float, Field(ge=0.0)]


class ReportingSettings(Section):
    """What the dashboard, its files and ``hybrid-coordinator savings`` count with."""

    interval: float = Field(
        5.0, ge=1.0, le=300.0, description="Seconds between two looks at what was recorded."
    )
    retention_days: int = Field(400, ge=31, le=3660, description="Days that are kept by the day.")
    baseline_tokens: int = Field(
        15_000, ge=0, description="Tokens of a prompt that has no stored knowledge to draw on."
    )
    reference_input_price: _Price | None = Field(
        None,
        description="US dollars per million tokens in that a local answer saves; unset: the "
        "prices of the cheapest remote model.",
    )
    reference_output_price: _Price | None = Field(
        None, description="The same per million tokens out; set both or neither."
    )

    @model_validator(mode="after")
    def _both_or_neither(self) -> Self:
        if (self.reference_input_price is None) != (self.reference_output_price is None):
            raise ValueError(
                "reference_input_price and reference_output_price belong together: "
                "set both or neither"
            )
        return self
