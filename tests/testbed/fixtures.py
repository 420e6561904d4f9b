"""pytest plugin: the real servers as session fixtures.

Enable it with `pytest_plugins = ["tests.testbed.fixtures"]`. A part that cannot be had fails the
tests that need it with a sentence; it is skipped only where HYBRID_AI_TESTBED says so, e.g.
`HYBRID_AI_TESTBED=skip:ollama,lemonade`. A test that stops, pauses or fills a server starts its
own with `redis_server()`, `qdrant_server()`, `lemonade_server()` or `ollama_server()`, so the
shared one stays well, after `require("<part>")` of `tests.testbed.requirement`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest

from tests.testbed import parts
from tests.testbed.cache import PartUnavailable
from tests.testbed.fake_ollama import FakeOllama
from tests.testbed.lemonade import LemonadeServer, lemonade_server
from tests.testbed.ollama import OllamaServer
from tests.testbed.ollama import ollama_server as start_ollama
from tests.testbed.process import LocalServer
from tests.testbed.qdrant import QdrantServer, qdrant_server
from tests.testbed.redis import RedisServer, redis_server
from tests.testbed.requirement import require

ServerT = TypeVar("ServerT", bound=LocalServer)


@pytest.fixture(scope="session")
def redis8() -> Iterator[RedisServer]:
    """Redis 8 with vector sets; flush it, do not stop it."""
    yield from _shared("redis8", lambda: redis_server("8"))


@pytest.fixture(scope="session")
def redis7() -> Iterator[RedisServer]:
    """Redis 7, without vector sets; flush it, do not stop it."""
    yield from _shared("redis7", lambda: redis_server("7"))


@pytest.fixture(scope="session")
def qdrant() -> Iterator[QdrantServer]:
    """Qdrant or its stand-in; clear it, do not stop it."""
    yield from _shared("qdrant", qdrant_server)


@pytest.fixture(scope="session")
def lemonade() -> Iterator[LemonadeServer]:
    """Lemonade with its model loaded; do not stop it."""
    yield from _shared("lemonade", lambda: lemonade_server(load=True))


@pytest.fixture(scope="session")
def ollama_server() -> Iterator[OllamaServer]:
    """Ollama with its model loaded; do not stop it."""
    yield from _shared("ollama", lambda: start_ollama(load=True))


@pytest.fixture
def fake_ollama() -> Iterator[FakeOllama]:
    """A fake Ollama of the test's own: stop it and break it at will."""
    with FakeOllama() as fake:
        yield fake


def _shared(part: str, start: Callable[[], ServerT]) -> Iterator[ServerT]:
    require(part)
    try:
        server = start()
    except PartUnavailable as error:
        pytest.fail(
            f"The testbed's {part} cannot be had: {error}\nTo run without it set "
            f"{parts.VARIABLE}=skip:{part}.",
            pytrace=False,
        )
    with server:
        yield server
