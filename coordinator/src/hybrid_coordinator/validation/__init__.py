"""Which answers are turned down, and why. No policy on what happens then."""

from hybrid_coordinator.validation.judge import AnswerJudge, looks_like_refusal

__all__ = ["AnswerJudge", "looks_like_refusal"]
