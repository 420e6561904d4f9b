"""The stand-in of Qdrant is run as the server is, from the server's own configuration.

That it answers as the server does is ``test_qdrant_congruence``.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.testbed import qdrant as handle
from tests.testbed.cache import PartUnavailable
from tests.testbed.process import free_port, wait_until
from tests.testbed.qdrant import QdrantServer
from tests.testbed.qdrant_stand_in.configuration import (
    ConfigurationError,
    read_configuration,
)

FOLDER = Path(handle.__file__).with_name("qdrant_stand_in")
VECTORS = {"vectors": {"d": {"size": 2, "distance": "Cosine"}}}
ONE = {"id": 1, "vector": {"d": [3, 4]}, "payload": {"n": 1}}


def test_a_copy_of_the_folder_runs_as_a_service_would_and_keeps_what_it_stored(
    tmp_path: Path,
) -> None:
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "qdrant_stand_in").symlink_to(FOLDER)
    port = free_port()
    config = tmp_path / "config.yaml"
    config.write_text(
        f"service:\n  host: 127.0.0.1\n  http_port: {port}\n  grpc_port: 6334\n"
        f"storage:\n  storage_path: {tmp_path}/storage\n  hnsw_index:\n    on_disk: true\n"
        "telemetry_disabled: true\n"
    )
    environment = {
        **{k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
        "PYTHONPATH": str(tmp_path / "copy"),
        "QDRANT__SERVICE__API_KEY": "key",
    }
    command = [sys.executable, "-m", "qdrant_stand_in", "--config-path", str(config)]
    kept: list[object] = []
    log = tmp_path / "log"
    for _ in range(2):
        with (
            log.open("ab") as errors,
            subprocess.Popen(command, env=environment, cwd=tmp_path, stderr=errors) as process,
            httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"api-key": "key"}) as client,
        ):
            try:
                assert wait_until(lambda: answers(client), 60)
                assert httpx.get(f"http://127.0.0.1:{port}/collections").status_code == 401
                die_before_the_body_is_sent(port)
                client.put("/collections/c", json=VECTORS)
                client.put("/collections/c/points?wait=true", json={"points": [ONE]})
                kept.append(client.get("/collections/c").json()["result"]["points_count"])
                client.put(
                    "/collections/c/index", json={"field_name": "n", "field_schema": "integer"}
                )
                kept.append(client.get("/collections/c").json()["result"]["payload_schema"])
            finally:
                process.send_signal(signal.SIGTERM)
        assert process.returncode == 0
    assert kept == [1, {"n": {"data_type": "integer", "points": 1}}] * 2
    assert "Traceback" not in log.read_text()


def die_before_the_body_is_sent(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(
            b"PUT /collections/c HTTP/1.1\r\nhost: 127.0.0.1\r\napi-key: key\r\n"
            b"content-type: application/json\r\ncontent-length: 99\r\n\r\n{"
        )


def answers(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").is_success
    except httpx.HTTPError:
        return False


def test_variables_override_the_file_and_empty_keys_count_as_none(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text('{"service": {"http_port": 1, "api_key": "file"}, "hnsw": {"m": 3}}')
    environment = {
        "QDRANT__SERVICE__HTTP_PORT": "7",
        "QDRANT__SERVICE__API_KEY": "",
        "QDRANT__SERVICE__READ_ONLY_API_KEY": "reader",
        "QDRANT__STORAGE__STORAGE_PATH": "/kept",
    }
    found = read_configuration(path, environment)
    assert (found.http_port, found.host) == (7, "127.0.0.1")
    assert (found.write_keys, found.read_keys) == (frozenset(), frozenset({"reader"}))
    assert found.storage_path == Path("/kept")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("service: {enable_tls: true}", r"service\.enable_tls"),
        ("service: {http_port: many}", r"service\.http_port.*many"),
        ("service: [1]", "service is not a mapping"),
        ("just words", "not a mapping"),
        ("a: [", "not YAML"),
        (None, "cannot be read"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_refused_by_the_key_at_fault(
    tmp_path: Path, text: str | None, complaint: str
) -> None:
    path = tmp_path / "config.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigurationError, match=complaint):
        read_configuration(path, {})


def test_a_binary_that_is_not_there_is_reported_with_the_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(handle.VARIABLE, "/no/such/qdrant")
    with pytest.raises(PartUnavailable, match=f"{handle.VARIABLE}=/no/such/qdrant"):
        QdrantServer()
