"""Who is let in: Host, Origin, duplicated headers, and paths that look like open ones."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from hybrid_coordinator.api.edge import OPEN_PATHS, Edge
from hybrid_coordinator.settings import ServerSettings, Settings
from tests.unit.api.scripted import ALICE, KEYS, RawCall, ScriptedGateway, client, edge

QUESTION = {"messages": [{"role": "user", "content": "hi"}]}


async def call(
    app: Edge,
    path: bytes = b"/health",
    headers: Sequence[tuple[bytes, bytes]] = ((b"host", b"localhost"),),
    method: str = "GET",
) -> RawCall:
    """Call the application with exactly these headers, and no others."""
    raw = RawCall(path.decode("latin-1"), b"", method=method, headers=headers)
    await raw.run(app)
    return raw


@pytest.mark.parametrize(
    "host",
    [
        b"localhost",
        b"LocalHost:8092",
        b"127.0.0.1:8092",
        b"127.0.0.1",
        b"[::1]:8092",
        b"[::1]",
        b"box.lan",
        b"box.lan:443",
        b"gateway.example",
        b"gateway.example:8092",
    ],
)
async def test_loopback_names_the_own_host_and_allowed_hosts_come_in(host: bytes) -> None:
    settings = Settings(
        host="box.lan",
        api_keys_file="keys",
        server=ServerSettings(allowed_hosts=("gateway.example:1",)),
    )
    answer = await call(edge(settings=settings), headers=[(b"host", host)])
    assert answer.status == 200


@pytest.mark.parametrize(
    "host",
    [
        b"evil.example",
        b"localhost.evil.example",
        b"evil.example:8092",
        b"127.0.0.1.evil.example",
        b"127.0.0.2",
        b"xlocalhost",
        b"[::2]",
    ],
)
async def test_a_foreign_host_is_refused_lesson_22(host: bytes) -> None:
    answer = await call(edge(), headers=[(b"host", host)])
    assert answer.status == 403
    assert b"allowed_hosts" in answer.body
    assert host not in answer.body


@pytest.mark.parametrize(
    "host",
    [
        b"",
        b"localhost:",
        b"localhost:x",
        b"localhost:123456",
        b"localhost@evil.example",
        b"localhost/evil",
        b"localhost, evil.example",
        b"localhost evil.example",
        b"local\x00host",
        b"localhost.",
        b"\xff",
        b"[::1",
        b"[localhost]",
        b"::1",
        b"user:pass@localhost:8092",
    ],
)
async def test_a_host_that_is_no_host_is_malformed_lesson_22(host: bytes) -> None:
    answer = await call(edge(), headers=[(b"host", host)])
    assert answer.status == 400


async def test_a_missing_and_a_repeated_host_are_refused_lesson_22() -> None:
    assert (await call(edge(), headers=[])).status == 400
    for second in (b"localhost", b"evil.example"):
        headers = [(b"host", b"localhost"), (b"host", second)]
        assert (await call(edge(), headers=headers)).status == 400


@pytest.mark.parametrize(
    "name", [b"authorization", b"x-api-key", b"content-type", b"content-length", b"origin"]
)
async def test_a_repeated_header_that_decides_something_is_refused(name: bytes) -> None:
    value = b"Bearer " + ALICE.encode() if name == b"authorization" else ALICE.encode()
    headers = [(b"host", b"localhost"), (name, value), (name, value)]
    answer = await call(edge(keys=KEYS), b"/v1/models", headers)
    assert answer.status == 400
    assert name in answer.body


async def test_any_host_comes_in_where_the_setting_says_so() -> None:
    settings = Settings(server=ServerSettings(allowed_hosts=("*",)))
    answer = await call(edge(settings=settings), headers=[(b"host", b"any.example")])
    assert answer.status == 200


DISGUISES = [
    b"//v1/models",
    b"/v1//models",
    b"/v1/models/",
    b"/v1/%6dodels",
    b"/%76%31/models",
    b"/health/../v1/models",
    b"/health/%2e%2e/v1/models",
    b"/health%2f..%2fv1/models",
    b"/health/",
    b"/healthz",
    b"/health/v1/models",
    b"/health;/v1/models",
    b"/health%00",
    b"/%68ealth",
    b"/HEALTH",
    b"//health",
    b"/./health",
    b"/ready/",
    b"/ready/../metrics",
    b"/metrics",
    b"/openapi.json",
    b"/",
    b"/v1",
    b"/favicon.ico",
]


@pytest.mark.parametrize("path", DISGUISES)
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "OPTIONS", "DELETE", "BREW"])
async def test_no_spelling_of_a_path_gets_around_the_key_lesson_22(
    path: bytes, method: str
) -> None:
    gateway = ScriptedGateway()
    answer = await call(edge(gateway, keys=KEYS), path, method=method)
    assert answer.status == 401
    assert answer.headers[b"www-authenticate"].startswith(b"Bearer")
    assert gateway.calls == []


async def test_every_endpoint_but_health_and_ready_needs_a_key() -> None:
    app = edge(keys=KEYS)
    opened = set()
    for endpoint in app.endpoints:
        path = endpoint.path.replace("{id:path}", "x").replace("{collection}", "skills-patterns")
        answer = await call(app, path.encode(), method=endpoint.method)
        if answer.status != 401:
            opened.add(path.encode())
    assert opened == OPEN_PATHS


async def test_a_wrong_key_is_told_in_the_dialect_of_the_path() -> None:
    async with client(edge(keys=KEYS), **{"x-api-key": "wrong-wrong-wrong-wrong"}) as http:
        openai = await http.post("/v1/chat/completions", json=QUESTION)
        anthropic = await http.post("/v1/messages", json=QUESTION)
    assert openai.status_code == anthropic.status_code == 401
    assert openai.json()["error"]["code"] == "invalid_api_key"
    assert anthropic.json()["type"] == "error"
    assert anthropic.json()["error"]["type"] == "authentication_error"


async def test_a_refused_request_never_reaches_the_gateway() -> None:
    gateway = ScriptedGateway()
    async with client(edge(gateway, keys=KEYS)) as http:
        for path in ("/v1/chat/completions", "/v1/messages"):
            assert (await http.post(path, json=QUESTION)).status_code == 401
    assert gateway.requests == []


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1:9999", "file://", "127.0.0.1:8092"]
)
@pytest.mark.parametrize(
    "content_type", ["application/json", "text/plain", "application/x-www-form-urlencoded"]
)
async def test_a_web_page_of_another_origin_cannot_post(origin: str, content_type: str) -> None:
    gateway = ScriptedGateway()
    async with client(edge(gateway)) as http:
        answer = await http.post(
            "/v1/chat/completions",
            json=QUESTION,
            headers={"origin": origin, "content-type": content_type},
        )
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers
    assert gateway.requests == []


async def test_a_preflight_of_another_origin_gets_no_permission() -> None:
    async with client(edge()) as http:
        answer = await http.options(
            "/v1/chat/completions",
            headers={
                "origin": "https://evil.example",
                "access-control-request-method": "POST",
            },
        )
    assert answer.status_code == 403
    assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_an_allowed_origin_gets_permission_and_readable_headers_with_a_key_only() -> None:
    settings = Settings(server=ServerSettings(allowed_origins=("https://app.example",)))
    origin = {"origin": "https://app.example"}
    async with client(edge(keys=KEYS, settings=settings)) as http:
        preflight = await http.options(
            "/v1/chat/completions", headers={**origin, "access-control-request-method": "POST"}
        )
        refused = await http.get("/v1/models", headers=origin)
        allowed = await http.get("/v1/models", headers={**origin, "x-api-key": ALICE})
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == "https://app.example"
    assert "authorization" in preflight.headers["access-control-allow-headers"]
    assert refused.status_code == 401
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == "https://app.example"
    assert "x-hybrid-cache" in allowed.headers["access-control-expose-headers"]
    assert allowed.headers["vary"] == "origin"


async def test_a_page_of_the_server_itself_may_call_and_needs_no_permission() -> None:
    async with client(edge()) as http:
        answer = await http.get("/v1/models", headers={"origin": "http://127.0.0.1:8092"})
    assert answer.status_code == 200
    assert "access-control-allow-origin" not in answer.headers


async def test_a_websocket_is_closed() -> None:
    sent: list[dict[str, object]] = []

    async def receive() -> dict[str, object]:
        return {"type": "websocket.connect"}

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    await edge()({"type": "websocket", "path": "/health"}, receive, send)  # type: ignore[arg-type]
    assert [message["type"] for message in sent] == ["websocket.close"]
