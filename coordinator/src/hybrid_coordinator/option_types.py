"""The words that options are declared with: sections, and types with bounds.

No option is here; those are in ``settings`` and, of learning, in ``learning_settings``.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Seconds = Annotated[float, Field(gt=0.0)]
Days = Annotated[float, Field(gt=0.0)]
Url = Annotated[str, Field(pattern=r"^(https?|redis|rediss|unix)://\S+$")]
HttpUrl = Annotated[str, Field(pattern=r"^https?://\S+$")]
Secret = Annotated[
    str,
    Field(
        min_length=1,
        description=(
            "Where a secret is: an absolute path, or the name of a systemd credential. "
            "Never the secret itself."
        ),
    ),
]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]
"""A name that a person gives to something declared: a backend, an experiment, a variant."""


class Section(BaseModel):
    """A group of options; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)
