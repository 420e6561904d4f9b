"""answers: a completion through Lemonade, in both dialects, whole and streamed, and from the cache.

What the small model says is not judged; that it says something, by which way, is.
"""

from __future__ import annotations

import json

from tests.nixos.coordinator import Coordinator, Reply
from tests.nixos.machine import Machines
from tests.nixos.registry import named

QUESTION = "Which colour has a clear sky at noon?"


@named("answers", scenarios=("minimal", "full"))
def answers(machines: Machines) -> None:
    """Lemonade's model answers, and the same question again is answered by the cache."""
    coordinator = Coordinator(machines["machine"])
    coordinator.wait_until_part(r"backend\.lemonade", {"ready"})
    model = coordinator.backends["lemonade"]["models"][0]["name"]

    # An answer that was cut off by its limit is not kept; the small model goes on for ever.
    first = coordinator.answered(QUESTION, model=model, fresh=True, stop=["\n"])
    _is_lemonades(first, model)
    assert first.json["usage"]["completion_tokens"] > 0, first.text
    assert first.headers.get("x-hybrid-interaction-id"), first.headers
    assert first.headers.get("x-hybrid-reason"), first.headers

    again = coordinator.answered(QUESTION, model=model, stop=["\n"])
    assert again.cache == "exact", f"the cache took part as '{again.cache}': {first.text}"
    assert again.answer == first.answer, "the cache's answer is another one"

    _streams(coordinator, model)
    _speaks_anthropics_dialect(coordinator, model)


def _is_lemonades(reply: Reply, model: str) -> None:
    assert reply.status == 200, reply.text
    assert reply.route == f"local:lemonade/{model}", f"answered by '{reply.route}'"


def _streams(coordinator: Coordinator, model: str) -> None:
    reply = coordinator.chat("Name a fruit.", model=model, fresh=True, stream=True)
    _is_lemonades(reply, model)
    assert reply.headers["content-type"].startswith("text/event-stream"), reply.headers
    lines = [line for line in reply.text.split("\n") if line.startswith("data:")]
    assert lines[-1] == "data: [DONE]", f"the stream ends with {lines[-1]!r}"
    chunks = [json.loads(line.removeprefix("data:")) for line in lines[:-1]]
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    text = "".join(choice["delta"].get("content") or "" for choice in choices)
    assert text.strip(), f"the stream said nothing: {reply.text}"
    assert [c["finish_reason"] for c in choices if c["finish_reason"]], reply.text


def _speaks_anthropics_dialect(coordinator: Coordinator, model: str) -> None:
    body = {
        "model": model,
        "max_tokens": 16,
        "messages": [{"role": "user", "content": "Name a tree."}],
    }
    reply = coordinator.request("POST", "/v1/messages", body)
    _is_lemonades(reply, model)
    assert reply.json["type"] == "message", reply.text
    assert reply.json["content"][0]["text"].strip(), reply.text
    assert reply.json["usage"]["output_tokens"] > 0, reply.text
