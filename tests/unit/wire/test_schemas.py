"""The OpenAPI components describe what is really written."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import orjson
import pytest
from hypothesis import given

from hybrid_coordinator.conversation import Completion, Delta
from hybrid_coordinator.errors import UnknownModel
from hybrid_coordinator.wire import EventSplitter, anthropic, openai, schemas
from tests.unit.wire.strategies import QUICK, completions, streams

COMPONENTS = schemas.openapi_components()
DOCUMENT: dict[str, Any] = {"components": {"schemas": COMPONENTS}}


VALIDATORS = {
    name: jsonschema_rs.validator_for({"$ref": f"#/components/schemas/{name}", **DOCUMENT})
    for name in COMPONENTS
}


def fits(name: str, body: bytes) -> bool:
    return VALIDATORS[name].is_valid(orjson.loads(body))


@QUICK
@given(completions())
def test_whole_answers_are_as_documented(completion: Completion) -> None:
    assert fits("ChatCompletion", openai.encode_completion(completion))
    assert fits("AnthropicMessage", anthropic.encode_message(completion))


@QUICK
@given(streams())
def test_chunks_are_as_documented(deltas: list[Delta]) -> None:
    encoder = openai.ChunkEncoder("c", "m", 5, include_usage=True)
    stream = b"".join(encoder.encode(d) for d in deltas) + encoder.finish()
    for event in EventSplitter().feed(stream)[:-1]:
        assert fits("ChatCompletionChunk", event.data)


def test_errors_are_as_documented() -> None:
    error = UnknownModel("No such model.", field="model")
    assert fits("OpenAIError", openai.error_body(error))
    assert fits("AnthropicError", anthropic.error_body(error, request_id="r"))
    assert not fits("OpenAIError", anthropic.error_body(error))


@pytest.mark.parametrize(
    "name",
    ["ChatCompletionRequest", "EmbeddingsRequest", "MessagesRequest", "CountTokensRequest",
     "ChatCompletion", "ChatCompletionChunk", "EmbeddingList", "ModelList", "OpenAIError",
     "AnthropicMessage", "TokenCount", "AnthropicError"],
)  # fmt: skip
def test_every_body_has_a_component_by_its_name(name: str) -> None:
    assert COMPONENTS[name]["type"] == "object"
    assert not VALIDATORS[name].is_valid({})


def test_the_document_refers_to_nothing_it_lacks() -> None:
    text = orjson.dumps(COMPONENTS).decode()
    names = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert names
    assert names <= COMPONENTS.keys()
