"""Login, logout, and a coordinator that goes away, in a browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import KEY, NOWHERE, OTHER_KEY, axe_script, give_figures
from tests.integration.served import Served

OpenPage = Callable[..., Page]


def log_in(page: Page, served: Served, key: str = KEY) -> None:
    page.goto(f"{served.url}/dashboard/")
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Log in").click()


@pytest.fixture
def page(open_page: OpenPage) -> Page:
    opened = open_page()
    give_figures(opened)
    return opened


def test_a_key_opens_the_dashboard_and_no_script_sees_the_cookie(
    locked: Served, page: Page
) -> None:
    log_in(page, locked)
    expect(page.get_by_text("Logged in as anna")).to_be_visible()
    (cookie,) = page.context.cookies()
    assert cookie["httpOnly"]
    assert cookie["sameSite"] == "Strict"
    assert page.evaluate("document.cookie") == ""
    assert KEY not in page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
    assert KEY not in page.url
    page.reload()
    expect(page.get_by_text("Logged in as anna")).to_be_visible()


def test_a_wrong_key_is_said_and_the_field_is_there_to_try_again(
    locked: Served, page: Page
) -> None:
    log_in(page, locked, "wrong-key-0123456789")
    expect(page.get_by_role("alert").last).to_contain_text("not known here")
    page.get_by_label("API key").fill(KEY)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()


def test_logging_out_ends_it_here_and_in_other_windows(locked: Served, page: Page) -> None:
    log_in(page, locked)
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    other = page.context.new_page()
    other.goto(f"{locked.url}/dashboard/#/patterns")
    expect(other.get_by_role("heading", name="Patterns")).to_be_visible()
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_label("API key")).to_be_visible()
    other.get_by_role("button", name="Search").click()
    expect(other.get_by_label("API key")).to_be_visible()
    assert page.context.cookies() == []


def test_everybody_sees_their_own(locked: Served, open_page: OpenPage) -> None:
    body = {"query": "Whose question is this?", "response": "Mine."}
    key = {"authorization": f"Bearer {KEY}"}
    assert httpx.post(f"{locked.url}/v1/interactions", json=body, headers=key).status_code == 201
    for mine, count in ((KEY, 1), (OTHER_KEY, 0)):
        page = open_page()
        give_figures(page)
        log_in(page, locked, mine)
        page.get_by_role("link", name="Interactions").click()
        expect(page.get_by_role("heading", name="Interactions")).to_be_visible()
        expect(page.locator(".rows[aria-busy]")).to_have_count(0)
        expect(page.locator(".rows > li")).to_have_count(count)


def test_figures_that_are_the_operators_are_said_to_be(locked: Served, page: Page) -> None:
    body = '{"error": {"message": "The figures are the operator\'s."}}'
    for path in ("**/v1/dashboard?*", "**/v1/dashboard/events?*"):
        page.unroute(path)
        page.route(
            path, lambda r: r.fulfill(status=403, body=body, content_type="application/json")
        )
    log_in(page, locked)
    expect(page.get_by_text("are the operator's")).to_be_visible()
    expect(page.locator("main").get_by_role("link", name="interactions")).to_be_visible()


def test_the_login_passes_the_rules_of_accessibility(locked: Served, open_page: OpenPage) -> None:
    for scheme in ("light", "dark"):
        page = open_page(375, scheme, bypass_csp=True)
        page.goto(f"{locked.url}/dashboard/")
        expect(page.get_by_label("API key")).to_be_focused()
        page.evaluate(axe_script())
        found = page.evaluate("axe.run(document)")
        assert [(one["id"], one["nodes"][0]["target"]) for one in found["violations"]] == []


def test_a_coordinator_that_goes_away_is_said_with_since_when(
    tmp_path: Path, open_page: OpenPage
) -> None:
    page = open_page()
    with Served(tmp_path, backends=NOWHERE) as coordinator:
        page.goto(f"{coordinator.url}/dashboard/#/patterns")
        expect(page.get_by_role("status")).to_contain_text("Nothing was learned yet")
        port = int(coordinator.url.rpartition(":")[2])
        coordinator.stop()
        page.get_by_role("button", name="Search").click()
        banner = page.locator("#away")
        expect(banner).to_contain_text("has not answered since")
        expect(page.locator("main")).to_be_visible()
    with Served(tmp_path, backends=NOWHERE, port=port):
        page.get_by_role("button", name="Search").click()
        expect(banner).to_be_empty()


def test_with_every_store_down_the_page_opens_says_so_and_shows_what_waits(
    tmp_path: Path, open_page: OpenPage
) -> None:
    nowhere = {"qdrant": {"url": "http://127.0.0.1:9"}, "redis": {"url": "redis://127.0.0.1:9/0"}}
    page = open_page()
    with Served(tmp_path, backends=NOWHERE, **nowhere) as coordinator:
        body = {"query": "Is anybody there?", "response": "Only the disk."}
        tracked = httpx.post(f"{coordinator.url}/v1/interactions", json=body, timeout=30)
        assert tracked.status_code == 201
        page.goto(f"{coordinator.url}/dashboard/")
        expect(page.get_by_text("No question can be answered at present")).to_be_visible()
        expect(page.locator("#service .parts").first).to_contain_text(
            "collection · skills-patterns"
        )
        expect(page.locator("#collections")).to_contain_text("no data")
        page.get_by_role("link", name="Interactions").click()
        expect(page.get_by_role("status")).to_contain_text("Only what waits")
        row = page.locator(".rows > li")
        expect(row).to_contain_text("Is anybody there?")
        expect(row).to_contain_text("on its way")
        row.get_by_role("link").click()
        expect(page.locator(".said-text").last).to_contain_text("Only the disk.")
        page.get_by_role("link", name="Patterns").click()
        expect(page.get_by_role("heading", name="Patterns")).to_be_visible()
        expect(page.locator(".said.bad")).to_be_visible()
