"""What people look at, of a coordinator that really answered: lists, and one answer's whole way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

from tests.fakes.openai_api import FakeOpenAI
from tests.fakes.server import Answer, running
from tests.integration.served import fake_backend, serving

KEYS = "anna:anna-key-0123456789\nbert:bert-key-0123456789\n"
ANNA = {"authorization": "Bearer anna-key-0123456789"}
BERT = {"authorization": "Bearer bert-key-0123456789"}


async def asked(client: httpx.AsyncClient, question: str) -> str:
    body = {"model": "auto", "messages": [{"role": "user", "content": question}]}
    answer = await client.post("/v1/chat/completions", json=body, headers=ANNA)
    assert answer.status_code == 200, answer.text
    return str(answer.headers["x-hybrid-interaction-id"])


async def found(client: httpx.AsyncClient, path: str, headers: dict[str, str]) -> Any:
    answer = await client.get(path, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_an_answer_is_listed_with_its_whole_way_for_its_owner_alone(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text(KEYS)
    fake = FakeOpenAI(default=Answer(text="Run systemctl --failed and read the journal."))
    async with running(fake) as url:
        options: dict[str, Any] = {
            "backends": {"fake": fake_backend(url)},
            "api_keys_file": str(keys),
        }
        async with serving(tmp_path / "state", **options) as served, served.client() as client:
            first = await asked(client, "How do I list the units that failed?")
            again = await asked(client, "How do I list the units that failed?")
            # What an answer leaves is kept after it: asked for by its id it is awaited.
            await found(client, f"/v1/interactions/{again}/steps", ANNA)

            page = await found(client, "/v1/interactions", ANNA)
            # Both are of one moment: which was noted first is the machine's to say.
            assert {row["id"]: row["route"] for row in page["items"]} == {
                again: "cache",
                first: "local:fake/gpt-fake",
            }
            assert (await found(client, "/v1/interactions", BERT))["items"] == []
            path = f"/v1/interactions/{first}/steps"
            assert (await client.get(path, headers=BERT)).status_code == 404

            thumb = {"user_feedback": 1, "source": "thumbs"}
            noted = await client.post(f"/v1/interactions/{first}/outcome", json=thumb, headers=ANNA)
            assert noted.json()["outcome"] == "success"

            steps = await found(client, path, ANNA)
            assert steps["interaction"]["payload"]["user_feedback"] == 1
            kinds = {event["type"] for event in steps["events"]}
            assert {"cache_lookup", "routing_decision", "inference", "interaction"} <= kinds
            routed = next(e for e in steps["events"] if e["type"] == "routing_decision")
            assert routed["reason"]
            assert all(event["interaction_id"] == first for event in steps["events"])
            told = await found(client, "/v1/interactions?outcome=success", ANNA)
            assert [row["id"] for row in told["items"]] == [first]
            tier = await found(client, "/v1/interactions?route=local", ANNA)
            assert [row["id"] for row in tier["items"]] == [first]
