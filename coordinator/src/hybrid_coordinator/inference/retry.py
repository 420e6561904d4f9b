"""When the same backend is asked again, and after how long: tenacity with full jitter.

Only where nothing of an answer was shown; the fleet sees to that. Full jitter
is that of M. Brooker, "Exponential Backoff And Jitter" (AWS Architecture
Blog, 2015): a random wait between 0 and an exponentially growing bound.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt

from hybrid_coordinator.errors import BackendError

FIRST_WAIT: Final = 0.1
LONGEST_WAIT: Final = 2.0
LONGEST_WISH: Final = 5.0
"""A backend that wants to be left alone for longer (``retry_after``) is not asked again."""

Sleep = Callable[[float], Awaitable[None]]


def worth_retrying(error: BaseException) -> bool:
    """Whether the same backend may answer if it is asked again soon."""
    if not isinstance(error, BackendError) or not error.retryable:
        return False
    return error.retry_after is None or error.retry_after <= LONGEST_WISH


def retrying(
    tries: int,
    *,
    sleep: Sleep = asyncio.sleep,
    uniform: Callable[[float, float], float] = random.uniform,
    may_retry: Callable[[BaseException], bool] = worth_retrying,
) -> AsyncRetrying:
    """A tenacity controller for one request: ``tries`` in all, the first included."""

    def wait(state: RetryCallState) -> float:
        bound = min(LONGEST_WAIT, FIRST_WAIT * 2 ** (state.attempt_number - 1))
        error = state.outcome.exception() if state.outcome else None
        wish = error.retry_after if isinstance(error, BackendError) else None
        return uniform(0.0, bound) + (wish or 0.0)

    return AsyncRetrying(
        stop=stop_after_attempt(tries),
        retry=retry_if_exception(may_retry),
        wait=wait,
        sleep=sleep,
        reraise=True,
    )
