"""The OpenAPI document says what there is, no more and no less."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from hybrid_coordinator.api.edge import OPEN_PATHS
from hybrid_coordinator.api.learning_operations import LEARNING_OPERATIONS
from hybrid_coordinator.api.mcp_tools import TOOLS
from hybrid_coordinator.api.openapi import OPERATIONS, document
from hybrid_coordinator.cli.main import app
from hybrid_coordinator.client import HybridClient
from tests.unit.api.scripted import KEYS, client, edge


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(document(needs_key=True))
    return found


def test_every_endpoint_is_in_the_document_and_the_other_way_round(
    described: dict[str, Any],
) -> None:
    there = {(e.method, e.path.replace(":path}", "}")) for e in edge().endpoints}
    said = {
        (method.upper(), path) for path, methods in described["paths"].items() for method in methods
    }
    assert said == there
    assert len(OPERATIONS) == len(said)


def test_every_reference_leads_somewhere(described: dict[str, Any]) -> None:
    found = []

    def walk(value: object) -> None:
        if isinstance(value, dict):
            target = value.get("$ref")
            if isinstance(target, str):
                found.append(target)
            for child in value.values():
                walk(child)
        elif isinstance(value, list):
            for child in value:
                walk(child)

    walk(described)
    assert found
    for target in set(found):
        place: Any = described
        for step in target.removeprefix("#/").split("/"):
            place = place[step]


def test_schemas_are_valid_json_schemas(described: dict[str, Any]) -> None:
    for schema in described["components"]["schemas"].values():
        jsonschema_rs.meta.validate(schema)


def test_only_health_and_ready_are_without_a_key(described: dict[str, Any]) -> None:
    without = {
        path.encode()
        for path, methods in described["paths"].items()
        for operation in methods.values()
        if not operation["security"]
    }
    assert without == OPEN_PATHS
    unsecured = json.loads(document(needs_key=False))
    assert not any(
        operation["security"]
        for methods in unsecured["paths"].values()
        for operation in methods.values()
    )


def test_errors_are_described_in_the_dialect_of_the_path(described: dict[str, Any]) -> None:
    for path, methods in described["paths"].items():
        for operation in methods.values():
            refused = operation["responses"]["400"]["content"]["application/json"]["schema"]
            name = "AnthropicError" if path.startswith("/v1/messages") else "OpenAIError"
            assert refused == {"$ref": f"#/components/schemas/{name}"}


async def test_the_document_is_served() -> None:
    async with client(edge(keys=KEYS)) as http:
        assert (await http.get("/openapi.json")).status_code == 401
    async with client(edge()) as http:
        answer = await http.get("/openapi.json")
    assert answer.content == document(needs_key=False)
    assert answer.json()["openapi"] == "3.1.0"


def test_every_learning_endpoint_tool_and_command_is_in_the_reference() -> None:
    text = (Path(__file__).parents[3] / "docs" / "api-learning.md").read_text()
    for operation in LEARNING_OPERATIONS:
        place = f"{operation.method} {operation.path}"
        assert f"`{operation.path if operation.path == '/mcp' else place}`" in text
    for tool in TOOLS:
        assert f"| `{tool.name}` |" in text
    for name, member in vars(HybridClient).items():
        if inspect.iscoroutinefunction(member) and not name.startswith("_"):
            assert f"| `{name}` |" in text
    for command in app.registered_commands:
        if command.rich_help_panel == "Learning" and command.name != "mcp":
            assert f"`{command.name}`" in text
