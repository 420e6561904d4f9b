"""The options of tracing; they are part of ``settings.Settings``."""

from __future__ import annotations

from pydantic import Field, field_validator

from hybrid_coordinator.option_types import Fraction, HttpUrl, Seconds, Secret, Section


class TracingSettings(Section):
    """Where traces of requests are sent. No question and no answer is ever in one."""

    endpoint: HttpUrl | None = Field(
        None,
        description="A collector that takes OTLP over HTTP, without /v1/traces; unset: no traces.",
    )
    headers_file: Secret | None = Field(
        None, description="File with headers for it, `name: value` a line: where its key is."
    )
    sample_ratio: Fraction = Field(
        1.0, description="Share of requests traced where no `traceparent` of the client decides."
    )
    queue_size: int = Field(
        4096, ge=64, le=1_000_000, description="Spans that wait to be sent; more are dropped."
    )
    timeout: Seconds = Field(10.0, description="Seconds one delivery may take, tries included.")

    @field_validator("endpoint")
    @classmethod
    def _without_path(cls, url: str | None) -> str | None:
        """People paste the URL with and without the path; both mean the same collector."""
        return None if url is None else url.rstrip("/").removesuffix("/v1/traces").rstrip("/")
