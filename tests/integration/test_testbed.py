"""The testbed itself: every real part is started and spoken to with the clients users have.

Guards the ground the other integration tests stand on; asserts protocol and flow, never a model's
wisdom. The Ollama checks run against the real server and the fake alike, so the fake cannot drift.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import ollama
import openai
import pytest
from openai.types.chat import ChatCompletionUserMessageParam
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from tests.testbed import cache, parts
from tests.testbed.cache import PartUnavailable, build_once
from tests.testbed.fake_ollama import FakeOllama, Fault
from tests.testbed.lemonade import LemonadeServer, lemonade_server
from tests.testbed.ollama import OllamaServer
from tests.testbed.process import wait_until
from tests.testbed.redis import RedisServer, redis_server
from tests.testbed.requirement import require

pytest_plugins = ["tests.testbed.fixtures"]

QUESTION: list[ChatCompletionUserMessageParam] = [
    {"role": "user", "content": "The capital of France is"}
]


@pytest.fixture(params=["real", "fake"])
def any_ollama(request: pytest.FixtureRequest) -> Iterator[OllamaServer | FakeOllama]:
    """The real Ollama and the fake, one after the other."""
    if request.param == "real":
        yield request.getfixturevalue("ollama_server")
    else:
        yield request.getfixturevalue("fake_ollama")


# --- Redis ---------------------------------------------------------------------------------------


def test_redis_8_stores_vectors_and_finds_the_nearest(redis8: RedisServer) -> None:
    with Redis.from_url(redis8.url, decode_responses=True) as client:
        client.flushall()
        for name, vector in {"north": (0, 1), "east": (1, 0)}.items():
            client.execute_command("VADD", "compass", "VALUES", 2, *vector, name)
        found = client.execute_command("VSIM", "compass", "VALUES", 2, 0.1, 0.9, "COUNT", 1)
        assert found == ["north"]
        assert client.info("server")["redis_version"].startswith("8.")


def test_redis_7_does_not_know_vector_sets(redis7: RedisServer) -> None:
    with Redis.from_url(redis7.url) as client:
        with pytest.raises(ResponseError, match="unknown command 'VADD'"):
            client.execute_command("VADD", "compass", "VALUES", 2, 0, 1, "north")
        assert client.info("server")["redis_version"].startswith("7.")


def test_a_killed_redis_refuses_connections_and_returns_on_the_same_port() -> None:
    require("redis8")
    with redis_server() as server, Redis.from_url(server.url) as client:
        url, first = server.url, server.pid
        client.set("key", "value")
        os.kill(server.pid, signal.SIGKILL)
        server.kill()
        assert not server.running
        with pytest.raises(RedisConnectionError):
            client.ping()
        server.restart()
        assert (server.url, client.get("key")) == (url, None)
        assert server.pid != first


def test_a_paused_redis_accepts_and_stays_silent_until_resumed() -> None:
    require("redis8")
    with redis_server() as server:
        server.pause()
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(b"PING\r\n")
            connection.settimeout(0.1)
            with pytest.raises(TimeoutError):
                connection.recv(1)
            server.resume()
            connection.settimeout(10)
            assert connection.recv(16) == b"+PONG\r\n"


def test_a_closed_server_leaves_neither_process_nor_folder() -> None:
    require("redis8")
    with redis_server(options=("--maxmemory", "50mb")) as server:
        pid, folder = server.pid, server.folder
        with Redis.from_url(server.url) as client:
            assert client.config_get("maxmemory") == {"maxmemory": "52428800"}
    assert not Path(f"/proc/{pid}").exists()
    assert not folder.exists()


def test_a_server_that_cannot_start_says_why_and_leaves_nothing() -> None:
    require("redis8")
    server = RedisServer(options=("--no-such-option", "1"))
    with pytest.raises(PartUnavailable, match=r"exited(.|\n)*no-such-option"):
        server.start()
    assert not server.running
    assert not server.folder.exists()


# --- Lemonade ------------------------------------------------------------------------------------


def test_lemonade_lists_its_model_and_answers_a_chat(lemonade: LemonadeServer) -> None:
    with openai.OpenAI(base_url=lemonade.openai_url, api_key="none") as client:
        assert lemonade.model in [entry.id for entry in client.models.list()]
        answer = client.chat.completions.create(
            model=lemonade.model, messages=QUESTION, max_tokens=8, temperature=0
        )
    assert answer.choices[0].message.content
    assert answer.usage is not None
    assert answer.usage.prompt_tokens > 5  # the question reached the model, not only a template
    assert 0 < answer.usage.completion_tokens <= 8


def test_lemonade_streams_a_chat_to_its_end(lemonade: LemonadeServer) -> None:
    with openai.OpenAI(base_url=lemonade.openai_url, api_key="none") as client:
        chunks = list(
            client.chat.completions.create(
                model=lemonade.model, messages=QUESTION, max_tokens=8, temperature=0, stream=True
            )
        )
    texts = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices]
    assert "".join(text for text in texts if text)
    reasons = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices]
    assert [reason for reason in reasons if reason] in (["stop"], ["length"])


def test_a_fresh_lemonade_has_no_model_loaded_and_its_children_end_with_it() -> None:
    require("lemonade")
    with lemonade_server() as server:
        assert not server.loaded()  # lesson 9: started is not ready
        server.load()
        assert server.loaded()
        health = httpx.get(f"{server.openai_url}/health", trust_env=False).json()
        backend = httpx.URL(health["all_models_loaded"][0]["backend_url"])
        assert _listening(backend.port)
        server.pause()
        with pytest.raises(httpx.ReadTimeout):
            httpx.get(f"{server.openai_url}/health", trust_env=False, timeout=0.2)
        server.resume()
        os.kill(server.pid, signal.SIGKILL)
        server.kill()
        assert not _listening(server.port)
        assert not _listening(backend.port)


# --- Ollama, real and fake -----------------------------------------------------------------------


def test_ollama_lists_shows_and_reports_its_model(any_ollama: OllamaServer | FakeOllama) -> None:
    client = ollama.Client(host=any_ollama.url)
    assert any_ollama.model in {
        name.removesuffix(suffix)
        for name in (str(entry.model) for entry in client.list().models)
        for suffix in ("", ":latest")
    }
    shown = client.show(any_ollama.model)
    assert shown.details is not None
    assert shown.details.family == "gemma3"
    assert "completion" in (shown.capabilities or [])
    client.chat(any_ollama.model, messages=QUESTION, options={"num_predict": 1})
    assert [entry.size_vram for entry in client.ps().models] == [0]
    version = httpx.get(f"{any_ollama.url}/api/version", trust_env=False).json()
    assert version == {"version": "0.17.4"}


def test_ollama_chats_in_its_own_dialect(any_ollama: OllamaServer | FakeOllama) -> None:
    client = ollama.Client(host=any_ollama.url)
    options = {"num_predict": 8, "temperature": 0}
    whole = client.chat(any_ollama.model, messages=QUESTION, options=options)
    assert whole.message.content
    assert whole.done
    assert (whole.eval_count or 0) > 0
    parts_of_it = list(
        client.chat(any_ollama.model, messages=QUESTION, options=options, stream=True)
    )
    assert [part.done for part in parts_of_it] == [False] * (len(parts_of_it) - 1) + [True]
    assert "".join(part.message.content or "" for part in parts_of_it) == whole.message.content


def test_ollama_chats_in_openais_dialect(any_ollama: OllamaServer | FakeOllama) -> None:
    with openai.OpenAI(base_url=any_ollama.openai_url, api_key="none") as client:
        assert len(list(client.models.list())) == 1
        whole = client.chat.completions.create(
            model=any_ollama.model, messages=QUESTION, max_tokens=8, temperature=0
        )
        chunks = list(
            client.chat.completions.create(
                model=any_ollama.model,
                messages=QUESTION,
                max_tokens=8,
                temperature=0,
                stream=True,
                stream_options={"include_usage": True},
            )
        )
    assert whole.choices[0].message.content
    assert whole.system_fingerprint == "fp_ollama"
    texts = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(texts) == whole.choices[0].message.content
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage


def test_ollama_answers_an_unknown_model_with_404(any_ollama: OllamaServer | FakeOllama) -> None:
    with pytest.raises(ollama.ResponseError, match="model 'absent' not found") as native:
        ollama.Client(host=any_ollama.url).chat("absent", messages=QUESTION)
    assert native.value.status_code == 404
    with (
        openai.OpenAI(base_url=any_ollama.openai_url, api_key="none") as client,
        pytest.raises(openai.NotFoundError, match="model 'absent' not found"),
    ):
        client.chat.completions.create(model="absent", messages=QUESTION)


def test_ollama_loads_and_unloads_when_asked(any_ollama: OllamaServer | FakeOllama) -> None:
    client = ollama.Client(host=any_ollama.url)
    client.generate(any_ollama.model, keep_alive=-1)
    assert len(client.ps().models) == 1
    client.generate(any_ollama.model, keep_alive=0)
    assert wait_until(lambda: client.ps().models == [], 30)
    client.generate(any_ollama.model, keep_alive=-1)


# --- The fake's faults ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.SERVER_ERROR, openai.InternalServerError),
        (Fault.OVERLOADED, openai.InternalServerError),
        (Fault.HANG, openai.APITimeoutError),
        (Fault.CUT, openai.APIConnectionError),
        (Fault.MALFORMED, ValueError),
    ],
)
def test_a_fault_of_the_fake_reaches_the_client_and_ends_with_it(
    fake_ollama: FakeOllama, fault: Fault, error: type[Exception]
) -> None:
    with openai.OpenAI(
        base_url=fake_ollama.openai_url, api_key="none", max_retries=0, timeout=0.5
    ) as client:
        fake_ollama.fault = fault
        with pytest.raises(error):
            client.chat.completions.create(model=fake_ollama.model, messages=QUESTION)
        fake_ollama.fault = Fault.NONE
        answer = client.chat.completions.create(model=fake_ollama.model, messages=QUESTION)
    assert answer.choices[0].message.content == "You said: The capital of France is"
    assert [entry.path for entry in fake_ollama.requests] == ["/v1/chat/completions"] * 2


def test_a_cut_stream_of_the_fake_ends_without_its_end(fake_ollama: FakeOllama) -> None:
    fake_ollama.fault = Fault.CUT
    body = {"model": fake_ollama.model, "messages": QUESTION, "stream": True}
    with httpx.stream(
        "POST", f"{fake_ollama.openai_url}/chat/completions", json=body, trust_env=False
    ) as response:
        lines = response.iter_lines()
        assert '"content": "You"' in next(lines)
        assert next(lines) == ""
        with pytest.raises(httpx.RemoteProtocolError):
            next(lines)


def test_an_empty_answer_of_the_fake_has_no_text(fake_ollama: FakeOllama) -> None:
    fake_ollama.fault = Fault.EMPTY
    answer = ollama.Client(host=fake_ollama.url).chat(fake_ollama.model, messages=QUESTION)
    assert answer.message.content == ""


def test_a_killed_fake_drops_its_connections_and_returns_on_the_same_port(
    fake_ollama: FakeOllama,
) -> None:
    with httpx.Client(base_url=fake_ollama.url, trust_env=False) as client:
        assert client.get("/").text == "Ollama is running"
        fake_ollama.kill()
        with pytest.raises(httpx.TransportError):
            client.get("/")
        fake_ollama.restart()
        assert client.get("/").text == "Ollama is running"


# --- The cache folder ----------------------------------------------------------------------------


@pytest.fixture
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "hybrid-ai"


def test_a_part_is_built_once_and_again_when_its_recipe_changes(cache_folder: Path) -> None:
    built: list[str] = []

    def build(folder: Path) -> None:
        built.append(folder.name)
        (folder / "count").write_text(str(len(built)))

    for recipe, expected in (("1", "1"), ("1", "1"), ("2", "2"), ("2", "2")):
        part = build_once("parts/example", recipe, build)
        assert part == cache_folder / "parts" / "example"
        assert (part / "count").read_text() == expected


def test_an_interrupted_build_leaves_nothing_that_looks_finished(cache_folder: Path) -> None:
    def interrupted(folder: Path) -> None:
        (folder / "half").touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_once("parts/example", "1", interrupted)
    assert list((cache_folder / "parts").iterdir()) == []

    leftover = cache_folder / "parts" / ".example.building.tmp"  # of a run that was killed
    leftover.mkdir()
    (leftover / "half").touch()
    part = build_once("parts/example", "1", lambda folder: (folder / "whole").touch())
    assert sorted(entry.name for entry in part.iterdir()) == [".testbed-recipe", "whole"]
    assert list((cache_folder / "parts").iterdir()) == [part]


def test_a_build_command_that_fails_shows_the_end_of_its_output(cache_folder: Path) -> None:
    with pytest.raises(PartUnavailable, match=r"status 3(.|\n)*no such luck"):
        cache.run(["sh", "-c", "echo no such luck; exit 3"], log="example")
    assert (cache_folder / "logs" / "example.log").read_text() == "no such luck\n"


def test_only_the_parts_named_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(parts.VARIABLE, raising=False)
    assert parts.skipped() == frozenset()
    monkeypatch.setenv(parts.VARIABLE, "skip:ollama,redis7")
    assert parts.skipped() == {"ollama", "redis7"}
    for wrong in ("skip:postgres", "ollama", "skip:"):
        monkeypatch.setenv(parts.VARIABLE, wrong)
        with pytest.raises(PartUnavailable, match="is not understood"):
            parts.skipped()


def _listening(port: int | None) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port or 0)) == 0
