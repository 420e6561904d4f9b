"""A real coordinator with a week of data, and a real browser before it.

The overview's figures are given to the page in the middle (``figures_of``),
so that a picture does not depend on the hour; everything else is the
coordinator's own answer.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, sync_playwright

from hybrid_coordinator.configuration import validate_settings
from tests.browser.week import as_event, figures, replay
from tests.integration.served import Served, fake_backend
from tests.testbed.parts import PARTS
from tests.testbed.requirement import require

KEY = "anna-key-0123456789-0123456789"
OTHER_KEY = "bert-key-0123456789-0123456789"
NOWHERE = {"lemonade": fake_backend("http://127.0.0.1:9")}
"""A backend that is not there: nothing is asked here."""

Figures = Callable[[str], dict[str, Any]]


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Debian's Chromium; Playwright's own is never fetched.

    Not longer than this folder's tests: Playwright's loop runs meanwhile, and no other could.
    """
    require("chromium")
    program = PARTS["chromium"]()
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=str(program), args=["--no-sandbox", "--disable-gpu"]
        )
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A coordinator without keys that has a week behind it; do not stop it."""
    state = tmp_path_factory.mktemp("dashboard")
    settings = validate_settings({"state_directory": str(state), "backends": NOWHERE})
    asyncio.run(replay(settings, "loopback", time.time()))
    with Served(state, backends=NOWHERE) as coordinator:
        yield coordinator


@pytest.fixture(scope="session")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A coordinator with keys, and nothing in it."""
    state = tmp_path_factory.mktemp("locked")
    keys = state / "keys"
    keys.write_text(f"anna:{KEY}\nbert:{OTHER_KEY}\n")
    with Served(state, backends=NOWHERE, api_keys_file=str(keys)) as coordinator:
        yield coordinator


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens a page in a browser of its own; every error of its scripts fails the test."""
    contexts = []
    errors: list[str] = []

    def opened(width: int = 1_440, scheme: str = "light", **options: Any) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": 900 if width > 600 else 812},
            color_scheme=scheme,  # type: ignore[arg-type]
            locale="en-GB",
            timezone_id="Europe/Berlin",
            reduced_motion="reduce",
            **options,
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda line: errors.append(line.text) if _is_breach(line.text) else None)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert errors == []


def _is_breach(text: str) -> bool:
    """What the content security policy or trusted types refused."""
    return "Content Security Policy" in text or "requires 'Trusted" in text


def give_figures(page: Page, of: Figures | None = None) -> None:
    """Let the page have these figures for each range, over the stream and at once."""
    now = time.time()
    made = of or (lambda span: figures(span, now))

    def answer(route: Route) -> None:
        span = route.request.url.partition("range=")[2]
        data = made(span)
        if "/events" in route.request.url:
            route.fulfill(content_type="text/event-stream", body=as_event(data))
        else:
            route.fulfill(content_type="application/json", body=json.dumps(data))

    page.route("**/v1/dashboard?*", answer)
    page.route("**/v1/dashboard/events?*", answer)


def axe_script() -> str:
    """axe-core, which set-up fetched for the tests."""
    script = Path(sys.prefix) / "assets" / "axe.js"
    if script.exists():
        return script.read_text(encoding="utf-8")
    raise AssertionError("axe-core is not there: run 'sh requirements/assets.sh run test'.")
