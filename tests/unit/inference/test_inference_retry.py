"""How often the same backend is asked, and after which waits."""

from __future__ import annotations

import pytest

from hybrid_coordinator.errors import (
    BackendOverloaded,
    BackendProtocolError,
    BackendRejected,
    BackendTimeout,
    BackendUnavailable,
)
from hybrid_coordinator.inference.retry import retrying, worth_retrying


async def waits_of(errors: list[Exception], tries: int) -> list[float]:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    async def work() -> str:
        if errors:
            raise errors.pop(0)
        return "answer"

    await retrying(tries, sleep=sleep, uniform=lambda low, high: high)(work)
    return waits


async def test_the_bound_of_the_random_wait_doubles_up_to_two_seconds() -> None:
    errors: list[Exception] = [BackendUnavailable("down", backend="b") for _ in range(7)]
    assert await waits_of(errors, 8) == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0])


async def test_the_wait_is_never_shorter_than_the_backend_wishes() -> None:
    errors: list[Exception] = [BackendOverloaded("busy", backend="b", retry_after=3.0)]
    assert await waits_of(errors, 2) == pytest.approx([3.1])


async def test_after_the_last_try_its_own_error_is_raised() -> None:
    errors: list[Exception] = [BackendUnavailable(str(n), backend="b") for n in range(3)]
    with pytest.raises(BackendUnavailable, match="2"):
        await waits_of(errors, 3)


@pytest.mark.parametrize(
    ("error", "worth"),
    [
        (BackendUnavailable("", backend="b"), True),
        (BackendTimeout("", backend="b"), True),
        (BackendOverloaded("", backend="b", retry_after=5.0), True),
        (BackendOverloaded("", backend="b", retry_after=60.0), False),
        (BackendRejected("", backend="b", upstream_status=400), False),
        (BackendProtocolError("", backend="b"), False),
        (RuntimeError(), False),
    ],
)
def test_only_what_may_pass_soon_is_worth_another_try(error: Exception, worth: bool) -> None:
    assert worth_retrying(error) is worth
