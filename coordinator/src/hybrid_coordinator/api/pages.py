"""The dashboard's files: a page, its styles and scripts, served from memory with strict headers.

They hold no data and are open; what they show they ask the other endpoints
for. Every file has a path of its own in a table, so no path of a request ever
becomes a path on the disk. What is in the files is ``hybrid_coordinator.dashboard``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

from hybrid_coordinator.api.exchange import Exchange

ROOT: Final = "/dashboard/"

_TYPES: Final = {
    ".html": b"text/html; charset=utf-8",
    ".css": b"text/css; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".svg": b"image/svg+xml",
    ".txt": b"text/plain; charset=utf-8",
}
HEADERS: Final = (
    (
        b"content-security-policy",
        # Nothing inline, nothing from elsewhere, no HTML made of text, in no other site's frame.
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        b"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
        b"require-trusted-types-for 'script'; trusted-types 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
    # Asked for each time, answered with 304 while they are the same: an update is seen at once.
    (b"cache-control", b"no-cache"),
)


@dataclass(frozen=True, slots=True)
class Page:
    """One file: where it is, what it is, and how a browser knows that it has it."""

    path: str
    data: bytes
    content_type: bytes
    etag: bytes


@cache
def pages() -> tuple[Page, ...]:
    """Every file of the dashboard, read once for the process; some 200 kB.

    The charts' library is not part of this project's source: set-up puts it
    there. Where it is missing the page says so, and shows tables.
    """
    found: list[Page] = []
    _collect(files("hybrid_coordinator") / "dashboard", ROOT, found)
    return tuple(found)


def _collect(folder: Traversable, path: str, found: list[Page]) -> None:
    for entry in sorted(folder.iterdir(), key=lambda one: one.name):
        if entry.is_dir():
            _collect(entry, f"{path}{entry.name}/", found)
            continue
        kind = _TYPES.get("." + entry.name.rpartition(".")[2])
        if kind is None:
            continue
        data = entry.read_bytes()
        etag = b'"%s"' % hashlib.blake2b(data, digest_size=12).hexdigest().encode()
        name = "" if entry.name == "index.html" else entry.name
        found.append(Page(path + name, data, kind, etag))


def serving(page: Page) -> Callable[[Exchange], Awaitable[None]]:
    """What answers with a file."""

    async def serve(exchange: Exchange) -> None:
        exchange.answer_headers += [*HEADERS, (b"etag", page.etag)]
        if exchange.headers.get(b"if-none-match") == page.etag:
            await exchange.respond_empty(304)
            return
        await exchange.respond_without_model(page.data, content_type=page.content_type)

    return serve


async def to_the_page(exchange: Exchange) -> None:
    """Send a browser that left the slash away to the page."""
    exchange.answer_headers.append((b"location", ROOT.encode()))
    await exchange.respond_empty(308)
