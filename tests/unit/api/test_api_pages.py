"""The dashboard's files: open, self-contained, small, with headers that let nothing else in."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

from hybrid_coordinator.api.pages import ROOT, Page, pages
from tests.unit.api.scripted import KEYS, client, edge

OWN = [page for page in pages() if "/vendor/" not in page.path]
SCRIPTS = [page for page in OWN if page.path.endswith(".js")]


async def test_the_page_is_open_and_says_nothing_of_anybody() -> None:
    async with client(edge(keys=KEYS)) as browser:
        page = await browser.get(ROOT)
        assert page.status_code == 200
        assert page.headers["content-type"].startswith("text/html")
        assert (await browser.get("/dashboard")).headers["location"] == ROOT


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.path)
async def test_every_file_has_the_strict_headers(page: Page) -> None:
    async with client(edge(keys=KEYS)) as browser:
        answer = await browser.get(page.path)
        assert answer.status_code == 200
        assert answer.content == page.data
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        again = await browser.get(page.path, headers={"if-none-match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/dashboard/../etc/passwd",
        "/dashboard/%2e%2e/settings.py",
        "/dashboard/vendor/",
        "/dashboard/index.html",
        "/dashboard/nothing.js",
        "/dashboard//",
        "/Dashboard/",
        "/dashboard/app.js/",
    ],
)
async def test_no_other_path_is_open_or_leads_to_a_file(path: str) -> None:
    async with client(edge(keys=KEYS)) as browser:
        assert (await browser.get(path)).status_code == 401
    async with client(edge()) as browser:
        assert (await browser.get(path)).status_code == 404


def test_nothing_is_inline_and_nothing_comes_from_elsewhere() -> None:
    (index,) = [page.data.decode() for page in OWN if page.path == ROOT]
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", index)
    assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", index))
    for page in OWN:
        text = page.data.decode().replace("http://www.w3.org/", "")
        assert not re.search(r"(https?:)?//[a-z0-9-]+\.[a-z]", text), page.path


def test_no_script_makes_html_or_code_of_text() -> None:
    assert SCRIPTS
    for page in SCRIPTS:
        found = re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function",
            page.data.decode(),
        )
        assert found is None, page.path


def test_each_file_opens_with_what_it_is_for_and_is_short() -> None:
    for page in OWN:
        lines = page.data.decode().splitlines()
        assert len(lines) <= 400, page.path
        if page.path.endswith((".js", ".css")):
            assert lines[0].startswith("/*"), page.path


def test_all_of_it_is_under_300_kb() -> None:
    assert sum(len(page.data) for page in pages()) < 300_000


def test_what_the_page_names_is_there() -> None:
    known = {page.path for page in pages()}
    for page in OWN:
        names = re.findall(
            r'(?:from|src=|href=)\s*"(?:\./)?([a-z_/-]+\.(?:js|css|svg))"', page.data.decode()
        )
        for name in names:
            assert name.startswith("vendor/") or ROOT + name in known, (page.path, name)


def test_the_files_are_in_the_package() -> None:
    assert (files("hybrid_coordinator") / "dashboard" / "index.html").is_file()
