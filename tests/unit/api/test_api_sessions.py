"""The dashboard's sessions: a cookie instead of a key, and what hostile pages cannot do with it."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from http.cookies import SimpleCookie

import httpx
import pytest

from hybrid_coordinator.api import sessions as module
from hybrid_coordinator.api.auth import KeyRing
from hybrid_coordinator.api.edge import Edge
from hybrid_coordinator.api.faults import TooManyLogins
from hybrid_coordinator.api.sessions import COOKIE, SECURE_COOKIE, Sessions, cookie_of
from hybrid_coordinator.conversation import Caller
from hybrid_coordinator.settings import ServerSettings, Settings
from tests.unit.api.scripted import ALICE, BOB, KEYS, OPERATOR, client, edge
from tests.unit.api.scripted_views import LISTED_ID, PATTERN_ID

LOGIN = "/dashboard/session"
LIST = "/v1/interactions"
STATUS = f"/v1/patterns/skills-patterns/{PATTERN_ID}/status"


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def kept(clock: Clock) -> Sessions:
    return Sessions(clock=clock)


@pytest.fixture
def app(kept: Sessions) -> Edge:
    return edge(keys=KEYS, operator=OPERATOR, sessions=kept)


@pytest.fixture
def browser(app: Edge) -> httpx.AsyncClient:
    return client(app)


async def log_in(browser: httpx.AsyncClient, key: str = ALICE, **headers: str) -> httpx.Response:
    return await browser.post(LOGIN, json={"key": key}, headers=headers)


async def test_a_key_gives_a_session_whose_cookie_no_script_and_no_other_site_gets(
    browser: httpx.AsyncClient,
) -> None:
    answer = await log_in(browser)
    assert answer.status_code == 200
    assert (answer.json()["login"], answer.json()["name"]) == ("done", "alice")
    cookie = SimpleCookie(answer.headers["set-cookie"])[COOKIE]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Strict"
    assert cookie["path"] == "/"
    assert not cookie["secure"]
    assert ALICE not in answer.text + answer.headers["set-cookie"]
    assert (await browser.get(LIST)).status_code == 200
    assert (await browser.get(LOGIN)).json()["csrf"] == answer.json()["csrf"]


@pytest.mark.parametrize(
    "headers", [{"origin": "https://127.0.0.1:8092"}, {"x-forwarded-proto": "https"}]
)
async def test_over_https_the_cookie_is_secure_and_of_this_host_alone(
    browser: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    given = (await log_in(browser, **headers)).headers["set-cookie"]
    assert given.startswith(f"{SECURE_COOKIE}=")
    assert "; Secure" in given
    assert "Domain" not in given


async def test_without_keys_nobody_logs_in_but_hosts_and_origins_are_still_judged() -> None:
    async with client(edge()) as open_browser:
        assert (await open_browser.get(LOGIN)).json()["login"] == "none"
        assert (await open_browser.get(LIST)).status_code == 200
        for header, value in (("host", "evil.example"), ("origin", "https://evil.example")):
            assert (await open_browser.get(LIST, headers={header: value})).status_code == 403


async def test_the_session_id_is_kept_as_its_hash_only(
    browser: httpx.AsyncClient, kept: Sessions
) -> None:
    await log_in(browser)
    id_ = browser.cookies[COOKIE]
    assert id_ not in repr(vars(kept))
    assert list(kept._sessions) == [hashlib.sha256(id_.encode()).digest()]
    assert len(id_) >= 43  # 256 bits


@pytest.mark.parametrize("given", ["", "forged", "a" * 43, "../../etc", "é" * 20])
async def test_a_forged_cookie_is_no_session(app: Edge, given: str) -> None:
    raw = f"{COOKIE}={given}".encode()
    async with client(app) as stranger:
        answer = await stranger.get(LIST, headers=[(b"cookie", raw)])
        assert answer.status_code == 401
        assert "set-cookie" not in answer.headers


async def test_a_hash_of_a_session_is_no_session(browser: httpx.AsyncClient, app: Edge) -> None:
    await log_in(browser)
    digest = hashlib.sha256(browser.cookies[COOKIE].encode()).hexdigest()
    async with client(app, cookie=f"{COOKIE}={digest}") as thief:
        assert (await thief.get(LIST)).status_code == 401


async def test_an_id_that_came_with_the_login_is_never_the_sessions(app: Edge) -> None:
    """Session fixation: whoever planted a cookie before the login has nothing after it."""
    async with client(app) as attacker:
        await log_in(attacker, BOB)
        planted = attacker.cookies[COOKIE]
        async with client(app) as victim:
            victim.cookies.set(COOKIE, planted, domain="127.0.0.1", path="/")
            answer = await log_in(victim)
            fresh = SimpleCookie(answer.headers["set-cookie"])[COOKIE].value
            assert fresh != planted
        assert (await attacker.get(LIST)).status_code == 401
        async with client(app, cookie=f"{COOKIE}={fresh}") as later:
            assert (await later.get(LOGIN)).json()["name"] == "alice"


async def test_a_cookie_that_is_there_twice_is_none(browser: httpx.AsyncClient, app: Edge) -> None:
    await log_in(browser)
    id_ = browser.cookies[COOKIE]
    async with client(app, cookie=f"{COOKIE}=other; {COOKIE}={id_}") as tossed:
        assert (await tossed.get(LIST)).status_code == 401


async def test_a_session_of_https_is_not_taken_from_a_cookie_that_others_could_set(
    browser: httpx.AsyncClient, app: Edge
) -> None:
    given = (await log_in(browser, origin="https://127.0.0.1:8092")).headers["set-cookie"]
    id_ = SimpleCookie(given)[SECURE_COOKIE].value
    async with client(app, cookie=f"{COOKIE}={id_}") as tossed:
        assert (await tossed.get(LIST)).status_code == 401
    async with client(app, cookie=f"{SECURE_COOKIE}={id_}") as own:
        assert (await own.get(LIST)).status_code == 200


@pytest.mark.parametrize("csrf", [None, "", "wrong", "é"])
async def test_a_post_without_the_pages_second_secret_is_refused(
    browser: httpx.AsyncClient, csrf: str | None
) -> None:
    await log_in(browser)
    headers = [] if csrf is None else [(b"x-hybrid-csrf", csrf.encode())]
    answer = await browser.post(STATUS, json={"status": "retired"}, headers=headers)
    assert answer.status_code == 403
    assert "x-hybrid-csrf" in answer.json()["error"]["message"]


async def test_with_it_the_page_may_change_what_is_its_users(browser: httpx.AsyncClient) -> None:
    csrf = (await log_in(browser)).json()["csrf"]
    sent = {"x-hybrid-csrf": csrf, "sec-fetch-site": "same-origin"}
    assert (await browser.post(STATUS, json={"status": "retired"}, headers=sent)).status_code == 200
    outcome = {"user_feedback": 1, "source": "thumbs"}
    posted = await browser.post(f"{LIST}/{LISTED_ID}/outcome", json=outcome, headers=sent)
    assert posted.status_code == 404  # the scripted gateway's: it got there


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:3000"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
async def test_another_sites_page_does_nothing_with_the_cookie(
    browser: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    csrf = (await log_in(browser)).json()["csrf"]
    with_csrf = {**headers, "x-hybrid-csrf": csrf}
    posted = await browser.post(STATUS, json={"status": "retired"}, headers=with_csrf)
    assert posted.status_code == 403
    assert (await browser.get(LIST, headers=headers)).status_code == 403
    assert (await browser.get(LOGIN, headers=headers)).status_code == 403
    assert (await browser.request("DELETE", LOGIN, headers=headers)).status_code == 403
    assert (await browser.get(LIST)).status_code == 200


async def test_an_origin_that_may_call_with_keys_may_not_use_the_session() -> None:
    listed = Settings(server=ServerSettings(allowed_origins=["http://127.0.0.1:3000"]))
    async with client(edge(keys=KEYS, settings=listed)) as browser:
        await log_in(browser)
        other = {"origin": "http://127.0.0.1:3000"}
        assert (await browser.get(LIST, headers=other)).status_code == 403
        assert (await log_in(browser, **other)).status_code == 403
        with_key = {**other, "x-api-key": ALICE}
        assert (await browser.get(LIST, headers=with_key)).status_code == 200


async def test_a_form_of_another_site_cannot_log_anybody_in(browser: httpx.AsyncClient) -> None:
    for origin, status in (("https://evil.example", 403), ("http://127.0.0.1:8092", 415)):
        sent = {"origin": origin}  # every browser puts it on a POST
        answer = await browser.post(LOGIN, data={"key": ALICE}, headers=sent)
        assert answer.status_code == status
        assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("path", [f"{LOGIN}?key={ALICE}", f"{LIST}?key={ALICE}"])
async def test_a_key_in_a_url_is_never_accepted(browser: httpx.AsyncClient, path: str) -> None:
    for method in ("GET", "POST"):
        answer = await browser.request(method, path, json={} if method == "POST" else None)
        assert answer.status_code in (400, 401)
        assert "set-cookie" not in answer.headers
        assert ALICE not in answer.text
    page = await browser.get(f"/dashboard/?key={ALICE}")
    assert ALICE not in page.text
    assert "set-cookie" not in page.headers


async def test_the_session_reaches_what_the_page_shows_and_nothing_else(
    browser: httpx.AsyncClient,
) -> None:
    csrf = (await log_in(browser)).json()["csrf"]
    sent = {"x-hybrid-csrf": csrf}
    for method, path in (
        ("POST", "/v1/chat/completions"),
        ("POST", "/v1/knowledge/best-practices"),
        ("DELETE", f"{LIST}/{LISTED_ID}"),
        ("GET", "/metrics"),
        ("POST", "/mcp"),
        ("GET", "/v1/models"),
    ):
        assert (await browser.request(method, path, headers=sent)).status_code == 401, path


async def test_a_key_beside_the_cookie_decides(browser: httpx.AsyncClient) -> None:
    await log_in(browser)
    answer = await browser.get(LIST, headers={"x-api-key": "wrong-key-0123456789"})
    assert answer.status_code == 401


async def test_logout_ends_the_session_and_takes_the_cookie(browser: httpx.AsyncClient) -> None:
    csrf = (await log_in(browser)).json()["csrf"]
    id_ = browser.cookies[COOKIE]
    assert (await browser.request("DELETE", LOGIN)).status_code == 403
    answer = await browser.request("DELETE", LOGIN, headers={"x-hybrid-csrf": csrf})
    assert answer.json()["login"] == "needed"
    assert "Max-Age=0" in answer.headers["set-cookie"]
    browser.cookies.set(COOKIE, id_, domain="127.0.0.1", path="/")
    assert (await browser.get(LIST)).status_code == 401


async def test_a_session_ends_by_idleness_and_by_age(
    browser: httpx.AsyncClient, clock: Clock, kept: Sessions
) -> None:
    await log_in(browser)
    clock.now += module.IDLE - 1
    assert (await browser.get(LIST)).status_code == 200
    clock.now += module.IDLE
    assert (await browser.get(LIST)).status_code == 401
    await log_in(browser)
    for _ in range(int(module.MAX_AGE / 3_600)):
        assert (await browser.get(LIST)).status_code == 200
        clock.now += 3_600
    assert (await browser.get(LIST)).status_code == 401
    assert len(kept) == 0


async def test_a_session_ends_with_its_key(kept: Sessions) -> None:
    ring = KeyRing(KEYS)
    alice = ring.identify({b"x-api-key": ALICE.encode()})
    id_, _ = kept.begin(alice, secure=False)
    cookie = {b"cookie": f"{COOKIE}={id_}".encode()}
    assert kept.find(cookie, ring) is not None
    ring.reload("alice:another-key-0123456789")
    assert kept.find(cookie, ring) is None
    assert len(kept) == 0


async def test_a_session_ends_when_its_key_expires(kept: Sessions) -> None:
    now = 1_700_000_000.0
    ring = KeyRing(KEYS, now=lambda: now)
    alice = ring.identify({b"x-api-key": ALICE.encode()})
    id_, _ = kept.begin(alice, secure=False)
    cookie = {b"cookie": f"{COOKIE}={id_}".encode()}
    ring._entries = tuple(replace(entry, ends=now) for entry in ring._entries or ())
    assert kept.find(cookie, ring) is None


async def test_sessions_outlive_a_reload_of_the_settings(kept: Sessions) -> None:
    async with client(edge(keys=KEYS, sessions=kept)) as before:
        await log_in(before)
        cookie = f"{COOKIE}={before.cookies[COOKIE]}"
    async with client(edge(keys=KEYS, sessions=kept), cookie=cookie) as after:
        assert (await after.get(LIST)).status_code == 200


def test_sessions_are_bounded_in_all_and_for_each_caller(kept: Sessions) -> None:
    one = Caller("one", "one")
    ids = [kept.begin(one, secure=False)[0] for _ in range(module.MOST_OF_ONE + 3)]
    assert len(kept) == module.MOST_OF_ONE
    ring = KeyRing(KEYS)
    assert kept.find({b"cookie": f"{COOKIE}={ids[0]}".encode()}, ring) is None
    for number in range(module.MOST + 10):
        kept.begin(Caller(str(number), "x"), secure=False)
    assert len(kept) == module.MOST


async def test_wrong_keys_are_limited_and_then_the_right_one_is_not_looked_at(
    browser: httpx.AsyncClient, clock: Clock
) -> None:
    for _ in range(5):
        answer = await log_in(browser, "wrong-key-0123456789")
        assert answer.status_code == 401
        assert "wrong-key" not in answer.text
    refused = await log_in(browser)
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 20
    assert "set-cookie" not in refused.headers
    clock.now += 20
    assert (await log_in(browser)).status_code == 200


def test_attempts_are_limited_in_all_whatever_the_addresses_and_kept_in_bounds(
    kept: Sessions,
) -> None:
    for number in range(60):
        kept.attempts.check(f"2001:db8::{number:x}")
        kept.attempts.failed(f"2001:db8::{number:x}")
    with pytest.raises(TooManyLogins):
        kept.attempts.check("2001:db8::ffff")
    for number in range(3_000):
        kept.attempts.failed(str(number))
    assert len(kept.attempts._of) <= 1_024


@pytest.mark.parametrize("key", ["", " ", 7, None, "x" * 513])
async def test_what_is_no_key_is_refused_without_showing_it(
    browser: httpx.AsyncClient, key: object
) -> None:
    answer = await browser.post(LOGIN, json={"key": key})
    assert answer.status_code in (400, 401, 422)
    assert "x" * 100 not in answer.text


async def test_the_operator_logs_in_with_the_operators_key(browser: httpx.AsyncClient) -> None:
    assert (await log_in(browser, OPERATOR)).json()["operator"] is True
    assert (await log_in(browser, BOB)).json()["operator"] is False


def test_cookies_that_are_very_long_are_not_read() -> None:
    assert cookie_of({b"cookie": f"{COOKIE}=a; x={'y' * 5_000}".encode()}) is None
    assert cookie_of({b"cookie": f"a=b; {COOKIE}=c".encode()}) == ("c", False)
    assert cookie_of({}) is None
