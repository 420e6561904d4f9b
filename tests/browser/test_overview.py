"""The overview in a browser: what it shows, in each width and theme, with everything down too."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from hybrid_coordinator.reporting.figures import DashboardData
from tests.browser.conftest import axe_script, give_figures
from tests.browser.week import RANGES, figures, no_figures
from tests.integration.served import Served

OpenPage = Callable[..., Page]
SECTIONS = ("Service", "Savings", "Learning", "Context", "Collections")


def overview(page: Page, served: Served) -> None:
    page.goto(f"{served.url}/dashboard/")
    expect(page.get_by_role("heading", name="Service", exact=True)).to_be_visible()


def overflow(page: Page) -> int:
    """By how many pixels the page is wider than its window."""
    return int(page.evaluate("document.documentElement.scrollWidth - window.innerWidth"))


def test_every_section_has_its_figures_with_units(served: Served, open_page: OpenPage) -> None:
    page = open_page()
    give_figures(page)
    overview(page, served)
    for name in SECTIONS:
        expect(page.get_by_role("region", name=name, exact=True)).to_be_visible()
    expect(page.locator("#learning")).to_contain_text("21.4 %")
    expect(page.locator("#context")).to_contain_text("8.4 ms")
    expect(page.locator("#collections")).to_contain_text("18,230")
    assert page.locator(".plot canvas").count() == 4
    assert page.locator("#live").inner_text() == "Live"


def test_a_target_that_is_not_met_is_shown_as_not_met(served: Served, open_page: OpenPage) -> None:
    page = open_page()
    give_figures(page)
    overview(page, served)
    targets = page.locator(".targets > li")
    unmet = targets.filter(has_text="Queries answered locally")
    expect(unmet).to_contain_text("56.5 %")
    expect(unmet).to_contain_text("target at least 70 %")
    expect(unmet.locator(".badge")).to_have_text("not met")
    assert targets.locator(".badge", has_text="not met").count() == 1


def test_what_nobody_knows_is_no_data_and_never_a_number(
    served: Served, open_page: OpenPage
) -> None:
    page = open_page()
    give_figures(page, lambda span: no_figures(span, time.time()))
    overview(page, served)
    expect(page.get_by_text("No question can be answered at present")).to_be_visible()
    expect(page.get_by_text("telemetry cannot be read: disk full.")).to_be_visible()
    expect(page.locator("#service")).to_contain_text("connection refused")
    values = page.locator(".value, #collections td, .legend b").all_inner_texts()
    assert values
    assert set(values) == {"no data"}
    assert "NaN" not in page.locator("main").inner_text()
    assert overflow(page) == 0


def test_ranges_are_chosen_and_kept(served: Served, open_page: OpenPage) -> None:
    asked: list[str] = []

    def of(span: str) -> dict[str, object]:
        asked.append(span)
        return figures(span, time.time())

    page = open_page()
    give_figures(page, of)
    overview(page, served)
    assert set(asked) == {"24h"}
    page.get_by_role("radio", name="24 hours").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("radio", name="7 days")).to_be_checked()
    page.wait_for_function("document.querySelector('.sections').ariaBusy !== 'true'")
    assert asked[-1] == "7d"
    page.reload()
    expect(page.get_by_role("radio", name="7 days")).to_be_checked()


def test_each_chart_has_its_values_in_a_table(served: Served, open_page: OpenPage) -> None:
    page = open_page()
    give_figures(page)
    overview(page, served)
    for figure in page.locator("figure.chart").all():
        assert "in all" in (figure.get_by_role("img").get_attribute("aria-label") or "")
        figure.locator("summary").click()
        rows = 10 if figure.get_attribute("data-chart") == "scores" else 96
        expect(figure.locator("tbody tr")).to_have_count(rows)


def test_the_legend_reads_the_value_under_the_pointer(served: Served, open_page: OpenPage) -> None:
    page = open_page()
    give_figures(page)
    overview(page, served)
    figure = page.locator("figure[data-chart=queries]")
    total = figure.locator(".legend").inner_text()
    figure.locator(".u-over").hover(position={"x": 300, "y": 80})
    expect(figure.locator(".when")).not_to_be_empty()
    assert figure.locator(".legend").inner_text() != total


def test_without_the_charts_library_the_page_says_so_and_shows_tables(
    served: Served, open_page: OpenPage
) -> None:
    page = open_page()
    give_figures(page)
    page.route("**/vendor/uPlot.js", lambda route: route.fulfill(status=404, body=""))
    overview(page, served)
    expect(page.get_by_text("The charts' library is not installed").first).to_be_visible()
    page.locator("figure[data-chart=queries] summary").click()
    expect(page.locator("figure[data-chart=queries] tbody tr")).to_have_count(96)


@pytest.mark.parametrize("width", [375, 1_440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", ["", "interactions", "patterns"])
def test_every_view_fits_and_passes_the_rules_of_accessibility(
    served: Served, open_page: OpenPage, tmp_path: Path, width: int, scheme: str, view: str
) -> None:
    page = open_page(width, scheme, bypass_csp=True)  # for axe, which is put in from here
    give_figures(page)
    page.goto(f"{served.url}/dashboard/#/{view}")
    expect(page.locator(".card").nth(1)).to_be_visible()
    page.wait_for_load_state("load")
    assert overflow(page) == 0
    page.evaluate(axe_script())
    found = page.evaluate(
        "axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa',"
        " 'best-practice']})"
    )
    problems = [
        (one["id"], [node["target"] for node in one["nodes"]]) for one in found["violations"]
    ]
    assert problems == []
    assert page.evaluate("document.documentElement.dataset.theme") == scheme


def test_the_theme_is_switched_and_kept(served: Served, open_page: OpenPage) -> None:
    page = open_page()
    give_figures(page)
    overview(page, served)
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_role("button", name="Switch to the dark theme").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_everything_is_reached_by_keyboard_with_the_focus_to_be_seen(
    served: Served, open_page: OpenPage
) -> None:
    page = open_page()
    give_figures(page)
    overview(page, served)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    names = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement === document.body"):
            break
        seen = page.evaluate(
            "(() => { const a = document.activeElement; const s = getComputedStyle("
            "a.type === 'radio' ? a.nextElementSibling : a);"
            "return [(a.getAttribute('aria-label') || a.textContent).trim(), s.outlineStyle]})()"
        )
        assert seen[1] == "solid", seen
        names.add(seen[0])
    assert {"Interactions", "24 hours", "Show as a table", "How this is computed"} <= names


def test_the_page_paints_within_a_second_and_is_small(served: Served, open_page: OpenPage) -> None:
    page = open_page()
    give_figures(page)
    overview(page, served)
    paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    size = page.evaluate(
        "performance.getEntries().filter(e => e.name.includes('/dashboard/') && e.decodedBodySize)"
        ".reduce((sum, e) => sum + e.decodedBodySize, 0)"
    )
    assert paint < 1_000
    assert 50_000 < size < 300_000


@pytest.mark.parametrize("span", RANGES)
def test_the_figures_given_here_are_of_the_endpoints_own_shape(span: str) -> None:
    for data in (figures(span, time.time()), no_figures(span, time.time())):
        assert DashboardData.model_validate(data).range_s == RANGES[span][0]


def test_the_coordinators_own_figures_are_shown_live_while_no_question_can_be_answered(
    served: Served, open_page: OpenPage
) -> None:
    page = open_page()
    overview(page, served)
    expect(page.locator("#live")).to_have_text("Live")
    expect(page.get_by_text("No question can be answered at present")).to_be_visible()
    expect(page.locator("#service .parts").first).to_contain_text("backend · lemonade")
    expect(page.locator("#collections")).to_contain_text("interaction-history")
    page.get_by_role("radio", name="30 days").check(force=True)
    expect(page.locator("#savings .value").first).not_to_be_empty()
    expect(page.locator(".sections[aria-busy]")).to_have_count(0)
    assert overflow(page) == 0
