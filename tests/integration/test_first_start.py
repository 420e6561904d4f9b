"""What the README promises of the embedded default, on a state directory that is empty."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.integration.served import Served

HEADERS = ("x-hybrid-interaction-id", "x-hybrid-cache", "x-hybrid-route", "x-hybrid-reason")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("state")) as running:
        yield running


def test_the_first_start_says_in_five_lines_what_runs_and_what_to_try(served: Served) -> None:
    assert len(served.banner) == 5
    text = "\n".join(served.banner)
    assert "embedded (local, ready)" in text
    assert str(served.state) in text
    assert "hybrid-coordinator ask" in text


def test_a_question_is_answered_then_cached_then_recognised(served: Served) -> None:
    first = served.chat("What is NixOS?")
    assert first.status_code == 200, first.text
    assert all(first.headers.get(name) for name in HEADERS)
    assert first.headers["x-hybrid-cache"] == "miss"
    assert first.headers["x-hybrid-route"].startswith("local:embedded/")
    assert first.headers["x-hybrid-reason"].startswith("no_remote")
    answer = first.json()["choices"][0]["message"]["content"]
    assert answer

    again = served.chat("What is NixOS?")
    assert again.headers["x-hybrid-cache"] == "exact"
    assert again.json()["choices"][0]["message"]["content"] == answer
    assert again.headers["x-hybrid-interaction-id"] != first.headers["x-hybrid-interaction-id"]

    paraphrase = served.chat("What exactly is NixOS?")
    assert paraphrase.headers["x-hybrid-cache"] == "semantic", paraphrase.headers
    assert paraphrase.json()["choices"][0]["message"]["content"] == answer

    negated = served.chat("What is not NixOS?")
    assert negated.headers["x-hybrid-cache"] == "miss"


def test_a_wrong_answer_can_be_evicted_by_whoever_was_given_it(served: Served) -> None:
    question = "What is the capital of France?"
    served.chat(question)
    hit = served.chat(question)
    assert hit.headers["x-hybrid-cache"] == "exact"
    evicted = httpx.post(
        f"{served.url}/v1/cache/invalidate",
        json={"interaction_id": hit.headers["x-hybrid-interaction-id"]},
    )
    assert evicted.json() == {"evicted": 1}
    assert served.chat(question).headers["x-hybrid-cache"] == "miss"


def test_ingested_sources_reach_the_prompt_with_their_ids(served: Served, tmp_path: Path) -> None:
    sources = ROOT / "coordinator" / "src" / "hybrid_coordinator" / "ingest"
    done = served.cli("ingest", str(sources), "--json", "--url", served.url)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["added"] > 3
    again = json.loads(served.cli("ingest", str(sources), "--json", "--url", served.url).stdout)
    assert (again["unchanged"], again["pieces"]) == (report["added"], 0)

    question = "How does the ingest cut Python code into pieces along its syntax?"
    augmented = httpx.post(
        f"{served.url}/v1/augment", json={"query": question, "agent_type": "coder"}
    ).json()
    assert augmented["original_query"] == question
    assert "cut_code" in augmented["augmented_prompt"]
    assert augmented["context_count"] == len(augmented["context_ids"]) > 0
    for id_ in augmented["context_ids"]:
        assert id_ in augmented["augmented_prompt"]
    assert served.chat(question, max_tokens=8).status_code == 200


def test_knowledge_that_changed_makes_answers_stale_lesson_19(served: Served) -> None:
    question = "What is the capital of Italy?"
    served.chat(question)
    assert served.chat(question).headers["x-hybrid-cache"] == "exact"
    practice = {"title": "Capitals", "description": "Capitals move now and then."}
    stored = httpx.post(
        f"{served.url}/v1/knowledge/best-practices", json={"items": [{"payload": practice}]}
    )
    assert stored.status_code == 200, stored.text
    assert served.chat(question).headers["x-hybrid-cache"] == "miss"


def test_ask_prints_the_answer_and_where_it_came_from(served: Served) -> None:
    done = served.cli("ask", "--url", served.url, "What is NixOS?")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert "cache" in done.stderr
    as_json = json.loads(served.cli("ask", "--url", served.url, "--json", "What is NixOS?").stdout)
    assert as_json["cache"] in ("exact", "miss")
    assert as_json["answer"].strip() == done.stdout.strip()


def test_telemetry_tells_the_same_story(served: Served) -> None:
    served.chat("What is a flake?")
    metrics = httpx.get(f"{served.url}/metrics").text
    assert 'hybrid_gateway_overhead_seconds_count{cache="miss"}' in metrics
    lines = (served.state / "telemetry" / "events.jsonl").read_text().splitlines()
    types = {json.loads(line)["type"] for line in lines}
    assert {"interaction", "cache_lookup", "routing_decision", "inference"} <= types
    assert not any("flake" in line for line in lines), "no question's text is written"


def test_readiness_names_every_part(served: Served) -> None:
    ready = httpx.get(f"{served.url}/ready").json()
    assert ready["ready"] is True
    assert {"backend.embedded", "cache", "embedder", "collection.codebase-context"} <= set(
        ready["parts"]
    )


def test_a_second_coordinator_on_the_same_state_says_why_it_cannot(
    served: Served, tmp_path: Path
) -> None:
    done = served.cli("serve", "--port", "0")
    assert done.returncode == os.EX_TEMPFAIL
    assert str(served.state) in done.stderr
    assert "Traceback" not in done.stderr


def test_init_and_reindex_change_nothing_that_is_right(tmp_path: Path) -> None:
    stopped = Served(tmp_path / "state")
    for _ in range(2):
        done = stopped.cli("init", "--json")
        assert done.returncode == 0, done.stderr
        assert set(json.loads(done.stdout).values()) == {"0 points"}
    done = stopped.cli("reindex")
    assert done.returncode == 0, done.stderr
    assert "nothing was done" in done.stdout


def test_it_stops_at_once_and_cleanly(tmp_path: Path) -> None:
    with Served(tmp_path / "state") as running:
        assert running.chat("What is NixOS?").status_code == 200
        assert running.stop() == 0
        assert "Traceback" not in running.log
    with Served(tmp_path / "state") as again:
        assert again.chat("What is Nix?").status_code == 200
