"""The options of learning and of experiments; they are part of ``settings.Settings``."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from hybrid_coordinator.option_types import Days, Fraction, Name, Seconds, Section


class SignalSettings(Section):
    """One kind of implicit sign of how an answer turned out."""

    enable: bool = True
    weight: Fraction = Field(
        0.5, description="Signs of one direction that add up to 0.5 or more decide the outcome."
    )


class WindowSignalSettings(SignalSettings):
    """A sign that counts for some time after the answer."""

    window: Seconds = Field(300.0, description="Seconds after an answer in which it counts.")


class SignalsSettings(Section):
    """What tells how an answer turned out where nobody says so.

    An outcome that a client posts always wins over these.
    """

    reask: WindowSignalSettings = WindowSignalSettings()
    """The same caller asks nearly the same again: the answer before was a failure."""
    retry: WindowSignalSettings = WindowSignalSettings(weight=0.25, window=60.0)
    """The same caller sends the same request again: the answer before was a failure."""
    thumbs: SignalSettings = SignalSettings(weight=1.0)
    """A thumb on the dashboard."""
    agent: SignalSettings = SignalSettings(weight=1.0)
    """A tool's or a test's result that an agent reports."""
    escalation: SignalSettings = SignalSettings(weight=1.0)
    """Validation turned a local answer down: that answer was a failure."""


class OutboxSettings(Section):
    """What is kept safe on disk until Qdrant has it."""

    max_records: int = Field(100_000, ge=16, description="More are refused with 503.")
    max_bytes: int = Field(512 * 1024 * 1024, ge=1024 * 1024, description="The same, by size.")
    max_backoff: Seconds = Field(60.0, description="Longest pause between two tries to deliver.")


class ExtractionSettings(Section):
    """How patterns are taken from answers that scored high."""

    model: str | None = Field(
        None, description="A local model's name; unset: the first local one that is ready."
    )
    tries: int = Field(3, ge=1, le=10, description="Answers asked for before it is given up on.")
    idle: Seconds = Field(
        10.0, description="Seconds without a request after which the service itself extracts."
    )
    in_service: bool = Field(
        True, description="Whether the service extracts while idle, besides the timer's job."
    )
    max_input_chars: int = Field(12_000, ge=500, description="Of one interaction, shown to it.")
    max_output_tokens: int = Field(512, ge=64)
    timeout: Seconds = Field(120.0, description="Seconds one answer may take.")


class PatternSettings(Section):
    """How learned items come, rise and go."""

    merge_similarity: Fraction = Field(
        0.9, description="From this cosine on a new pattern is an example of a known one."
    )
    trusted_after: int = Field(2, ge=1, description="Independent successes that earn trust.")
    half_life_days: Days = Field(90.0, description="Age at which a use counts half.")
    candidate_days: Days = Field(
        90.0, description="A candidate that nothing confirmed for so long is retired."
    )


class ScrubSettings(Section):
    """What is replaced by placeholders before anything is stored, logged or exported."""

    enable: bool = True
    secrets: bool = True
    emails: bool = True
    phones: bool = True
    cards: bool = True
    ip_addresses: bool = False
    regions: tuple[Annotated[str, Field(pattern=r"^[A-Z]{2}$")], ...] = Field(
        ("US", "GB", "DE"),
        description="Countries whose phone numbers are known without a leading +.",
    )


class LearningSettings(Section):
    """What is worth learning from an answered question."""

    enable: bool = Field(True, description="Whether interactions are kept at all.")
    high_value_threshold: Fraction = 0.7
    pattern_extraction_enabled: bool = True
    share: bool = Field(
        False, description="Whether what one caller's use taught and earned trust helps the others."
    )
    retention_days: Days = Field(365.0, description="Older interactions are forgotten.")
    max_response_chars: int = Field(
        32_000, ge=1_000, le=32_000, description="Longer answers are stored cut, with a mark."
    )
    signals: SignalsSettings = SignalsSettings()
    outbox: OutboxSettings = OutboxSettings()
    extraction: ExtractionSettings = ExtractionSettings()
    patterns: PatternSettings = PatternSettings()
    scrub: ScrubSettings = ScrubSettings()


class Unit(StrEnum):
    """By what an experiment assigns."""

    CALLER = "caller"
    CONVERSATION = "conversation"


class VariantSettings(Section):
    """What a variant does otherwise; what is unset stays as the settings have it."""

    weight: float = Field(1.0, gt=0.0, description="Share of the traffic, relative to the others.")
    local_confidence_threshold: Fraction | None = None
    augmentation: bool | None = Field(None, description="Whether stored knowledge is put in.")
    prompt: str | None = Field(
        None,
        min_length=1,
        max_length=8_192,
        description="Put at the end of the system prompt, before stored knowledge.",
    )
    model: str | None = Field(
        None, min_length=1, description="Who answers where the client asks for 'auto'."
    )


class StopSettings(Section):
    """When an experiment is decided."""

    min_outcomes: int = Field(50, ge=1, description="Known outcomes that every variant needs.")
    probability: float = Field(
        0.95, gt=0.5, lt=1.0, description="Probability of being best that decides."
    )
    max_outcomes: int = Field(
        10_000, ge=1, description="Known outcomes in all after which it ends undecided."
    )


class ExperimentSettings(Section):
    """One comparison of variants. A variant without changes is the present behaviour."""

    enable: bool = True
    unit: Unit = Unit.CONVERSATION
    share: Fraction = Field(1.0, description="Share of the traffic that takes part.")
    variants: dict[Name, VariantSettings]
    stop: StopSettings = StopSettings()
    use_winner: bool = Field(
        False, description="Whether everybody gets the best variant once it is decided."
    )

    @model_validator(mode="after")
    def _comparable(self) -> Self:
        if len(self.variants) < 2:
            raise ValueError("an experiment compares: declare at least two variants")
        return self
