"""One request's way through its candidates: who is asked next, and what is said when all failed.

Pure policy: fall back when a backend fails, escalate once when an answer was
rejected, never go on when the client's request is at fault. Sends nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from hybrid_coordinator.conversation import Verdict
from hybrid_coordinator.errors import (
    AnswerRejected,
    Attempt,
    BackendError,
    BackendRejected,
    ContextTooLong,
    HybridError,
    NoBackend,
)
from hybrid_coordinator.inference.member import Member
from hybrid_coordinator.inference.upstream_errors import BackendContextTooLong, BackendLacks
from hybrid_coordinator.settings import ModelSettings


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model of a backend that may be asked."""

    backend: str
    model: ModelSettings


@dataclass(frozen=True, slots=True)
class RejectedAnswer:
    """An answer that validation turned down, and whose it was.

    ``text``: what of it had come by then. It is for learning, and in no error or log.
    """

    candidate: Candidate
    verdict: Verdict
    text: str = field(default="", repr=False)


class NoAcceptableAnswer(AnswerRejected):
    """Validation rejected the answer and no further backend could be asked.

    ``rejections`` and ``attempts`` say whose answers, and what else was tried.
    """

    def __init__(
        self, message: str, rejections: Sequence[RejectedAnswer], attempts: Sequence[Attempt]
    ) -> None:
        super().__init__(message)
        self.rejections = tuple(rejections)
        self.attempts = tuple(attempts)


class Course:
    """The state of one request. ``attempts`` and ``rejections`` grow as it goes."""

    def __init__(self, candidates: Sequence[Candidate], member_of: Callable[[str], Member]) -> None:
        self._left = list(candidates)
        self._member_of = member_of
        self._waits: list[float] = []
        self._too_long: BackendError | None = None
        self.attempts: list[Attempt] = []
        self.rejections: list[RejectedAnswer] = []

    def __iter__(self) -> Iterator[tuple[Candidate, Member]]:
        """The candidates to ask, in order; passes over, with a note, who cannot answer now."""
        while self._left:
            candidate = self._left.pop(0)
            if self._rejected(candidate):
                continue
            member = self._member_of(candidate.backend)
            if why := member.why_not():
                self.attempts.append(Attempt(candidate.backend, why))
                self._waits.append(member.back_in)
                continue
            yield candidate, member

    def has_other(self, candidate: Candidate) -> bool:
        """Whether another backend than this candidate's could be asked after it."""
        return any(
            other.backend != candidate.backend
            and not self._rejected(other)
            and self._member_of(other.backend).why_not() is None
            for other in self._left
        )

    def is_final(self, candidate: Candidate) -> bool:
        """Whether a rejection of this candidate's answer could not be escalated."""
        return bool(self.rejections) or not self.has_other(candidate)

    def failed(self, candidate: Candidate, error: BackendError) -> None:
        """A candidate gave no answer. Raises the error where it is the client's to mend."""
        self.attempts.append(Attempt(candidate.backend, error.message))
        if error.retry_after is not None:
            self._waits.append(error.retry_after)
        if isinstance(error, BackendContextTooLong):
            self._too_long = error
        elif isinstance(error, BackendRejected) and not isinstance(error, BackendLacks):
            raise error

    def rejected(self, candidate: Candidate, verdict: Verdict, text: str = "") -> None:
        """An answer was turned down. Raises where another was turned down before.

        Raises:
            NoAcceptableAnswer
        """
        self.attempts.append(
            Attempt(candidate.backend, f"its answer was rejected ({verdict.rejection})")
        )
        self.rejections.append(RejectedAnswer(candidate, verdict, text))
        if len(self.rejections) > 1:
            raise self.unacceptable()

    def unacceptable(self) -> NoAcceptableAnswer:
        last = self.rejections[-1]
        return NoAcceptableAnswer(
            f"the answer of backend '{last.candidate.backend}' was rejected as "
            f"{last.verdict.rejection} ({last.verdict.detail}), and no other backend could be "
            "asked: ask again, or choose another model",
            self.rejections,
            self.attempts,
        )

    def exhausted(self) -> HybridError:
        """What to raise when nobody is left."""
        if self.rejections:
            return self.unacceptable()
        if self._too_long is not None:
            return ContextTooLong(
                f"the conversation is too long for every backend asked: {self._too_long.message}",
                field="messages",
            )
        if not self.attempts:
            return NoBackend("no backend offers a model for this request: declare one in backends")
        tried = "; ".join(f"{attempt.backend}: {attempt.why}" for attempt in self.attempts)
        return NoBackend(
            f"no backend could answer ({tried}): try again later, or see /ready",
            attempts=self.attempts,
            retry_after=max(1.0, min(self._waits, default=1.0)),
        )

    def _rejected(self, candidate: Candidate) -> bool:
        """An escalation goes to another backend, not to another model of the same."""
        return any(candidate.backend == r.candidate.backend for r in self.rejections)
