"""Interactions and patterns in a browser, from a real coordinator's store: found, read, judged."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.week import QUESTIONS, named
from tests.integration.served import Served

OpenPage = Callable[..., Page]


@pytest.fixture
def page(open_page: OpenPage) -> Page:
    return open_page()


def rows(page: Page) -> int:
    return page.locator(".rows > li").count()


def test_interactions_are_listed_newest_first_page_by_page(served: Served, page: Page) -> None:
    page.goto(f"{served.url}/dashboard/#/interactions")
    first = page.locator(".rows > li").first
    expect(first).to_contain_text(QUESTIONS[0])
    assert rows(page) == 25
    page.get_by_role("button", name="Show more").click()
    expect(page.locator(".rows > li")).to_have_count(50)
    page.get_by_role("button", name="Show more").click()
    expect(page.locator(".rows > li")).to_have_count(70)
    expect(page.get_by_role("button", name="Show more")).to_be_hidden()
    links = page.locator("a.row-title").evaluate_all("all => all.map(a => a.href)")
    assert len(set(links)) == 70


def test_a_search_lists_the_nearest_first_and_its_address_can_be_kept(
    served: Served, page: Page
) -> None:
    page.goto(f"{served.url}/dashboard/#/interactions")
    page.get_by_role("searchbox").fill("nginx 502 after a change")
    page.get_by_role("searchbox").press("Enter")
    expect(page.locator(".rows > li").first).to_contain_text("nginx")
    page.get_by_label("Outcome").select_option("failure")
    expect(page.locator(".rows .badge").first).to_have_text("failure")
    assert set(page.locator(".rows .badge").all_inner_texts()) == {"failure"}
    address = page.url
    assert "query=nginx+502" in address
    page.goto("about:blank")
    page.goto(address)
    expect(page.get_by_role("searchbox")).to_have_value("nginx 502 after a change")


def test_a_tier_and_nothing_found(served: Served, page: Page) -> None:
    page.goto(f"{served.url}/dashboard/#/interactions?route=remote")
    expect(page.locator(".rows > li").first).to_contain_text("remote:anthropic/claude-sonnet")
    facts = page.locator(".facts").all_inner_texts()
    assert all("remote:" in fact for fact in facts)
    page.goto(f"{served.url}/dashboard/#/interactions?query={named('nothing', 1)}")
    expect(page.get_by_role("status")).to_have_text("Nothing is here that fits.")


def test_one_interactions_whole_way(served: Served, page: Page) -> None:
    page.goto(f"{served.url}/dashboard/#/interactions")
    page.get_by_role("link", name=QUESTIONS[0]).first.click()
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    way = page.locator(".way")
    for text in (
        "Not in the cache",
        "Sent to local:lemonade/qwen3-4b-instruct",
        "81 %",
        "2 stored items were in the prompt",
        "1,200 tokens",
        "The answer was accepted",
        "success",
    ):
        expect(way).to_contain_text(text)
    way.locator("summary", has_text="List failed units").click()
    expect(page.get_by_text("journalctl -u UNIT -b")).to_be_visible()


def test_a_thumb_is_noted_and_is_there_the_next_time(served: Served, page: Page) -> None:
    page.goto(f"{served.url}/dashboard/#/interactions/{named('interaction', 1)}")
    down = page.get_by_role("button", name="Not helpful")
    down.click()
    expect(page.get_by_role("status").first).to_have_text("Noted: not helpful.")
    expect(down).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Helpful", exact=True).click()
    expect(page.get_by_role("status").first).to_have_text("Noted: helpful.")
    page.reload()
    expect(page.get_by_role("button", name="Helpful", exact=True)).to_have_attribute(
        "aria-pressed", "true"
    )
    expect(page.locator(".way > li").last).to_contain_text("success")
    expect(page.locator(".way > li").last).to_contain_text("thumbs")


def test_what_was_asked_is_shown_as_text_whatever_it_is(served: Served, page: Page) -> None:
    hostile = "<img src=x onerror=\"document.title='owned'\"><script>alert(1)</script>"
    body = {"query": hostile, "response": hostile, "model_used": "<b>m</b>"}
    tracked = httpx.post(f"{served.url}/v1/interactions", json=body, timeout=30)
    id_ = tracked.json()["interaction_id"]
    page.goto(f"{served.url}/dashboard/#/interactions/{id_}")
    expect(page.locator(".said-text").first).to_contain_text("<img src=x onerror")
    assert page.locator("main img, main script").count() == 0
    assert "owned" not in page.title()


def test_an_interaction_that_is_not_there_is_said(served: Served, page: Page) -> None:
    page.goto(f"{served.url}/dashboard/#/interactions/{named('nothing', 2)}")
    expect(page.get_by_role("status").first).to_contain_text("There is no interaction")


def test_patterns_have_their_provenance_and_are_retired_and_restored(
    served: Served, page: Page
) -> None:
    page.goto(f"{served.url}/dashboard/#/patterns")
    expect(page.locator(".rows > li")).to_have_count(5)
    one = page.get_by_role("listitem", name="Pin one package's input")
    one.locator("summary").click()
    expect(one).to_contain_text("Learned from 2 interactions")
    expect(one.get_by_role("link").first).to_have_attribute(
        "href", f"#/interactions/{named('interaction', 2)}"
    )
    one.get_by_role("button", name="Retire").click()
    expect(one.get_by_role("status")).to_contain_text("in no prompt any more")
    page.goto(f"{served.url}/dashboard/#/patterns?status=retired")
    expect(page.locator(".rows > li")).to_have_count(2)
    again = page.get_by_role("listitem", name="Pin one package's input")
    again.get_by_role("button", name="Restore:").click()
    expect(again.locator(".badge")).to_have_text("candidate")
    page.reload()
    expect(page.locator(".rows > li")).to_have_count(1)


@pytest.mark.parametrize("width", [375, 1_440])
def test_one_interaction_fits_whatever_its_words(
    served: Served, open_page: OpenPage, width: int
) -> None:
    page = open_page(width)
    page.goto(f"{served.url}/dashboard/#/interactions/{named('interaction', 2)}")
    expect(page.locator(".way")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") == 0
