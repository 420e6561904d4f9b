"""The page about the HTTP interface names every endpoint that there is, and none that is not."""

from __future__ import annotations

import json
import re
from pathlib import Path

from hybrid_coordinator.api.openapi import document

PAGE = Path(__file__).parents[3] / "docs" / "api.md"
_ENDPOINT = re.compile(r"`(GET|POST|PUT|PATCH|DELETE) (/[^`\s]*)`")


def test_the_page_has_the_endpoints_of_the_openapi_document() -> None:
    section = PAGE.read_text().split("\n## Endpoints\n")[1].split("\n## ")[0]
    paths = json.loads(document(needs_key=True))["paths"]
    there = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    assert set(_ENDPOINT.findall(section)) == there
