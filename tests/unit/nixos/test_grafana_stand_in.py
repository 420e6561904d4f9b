"""What stands for Grafana in the guest serves what is provisioned and refuses what is wrong."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import pytest

from tests.testbed.process import free_port, wait_until

PROGRAM = Path(__file__).parents[2] / "systemd" / "grafana_stand_in.py"
SOURCE = {"name": "p", "uid": "p", "type": "prometheus", "access": "proxy"}


def provisioned(folder: Path, *, sources: Any = (SOURCE,), boards: Any = None) -> list[str]:
    """The command for a folder with these sources and boards."""
    port = free_port()
    for name in ("datasources", "dashboards", "boards"):
        (folder / name).mkdir()
    for number, board in enumerate(boards or [{"uid": "b", "title": "B"}]):
        (folder / "boards" / f"{number}.json").write_text(json.dumps(board))
    providers = [{"name": "us", "options": {"path": str(folder / "boards")}}]
    for name, content in {
        "datasources": {"apiVersion": 1, "datasources": list(sources)},
        "dashboards": {"apiVersion": 1, "providers": providers},
    }.items():
        (folder / name / "it.yaml").write_text(json.dumps(content))
    config = folder / "config.ini"
    config.write_text(
        f"[paths]\nprovisioning={folder}\n[server]\nhttp_addr=127.0.0.1\nhttp_port={port}\n"
        "[security]\nadmin_password=secret\n"
    )
    program = [sys.executable, str(PROGRAM), "server", "-homepath", str(folder)]
    return [*program, "-config", str(config)]


@contextmanager
def serving(command: list[str]) -> Iterator[str]:
    """The stand-in, until the block ends; its URL."""
    config = Path(command[-1]).read_text()
    url = f"http://127.0.0.1:{config.split('http_port=')[1].split()[0]}"
    process = subprocess.Popen(command)
    try:
        assert wait_until(lambda: _status(f"{url}/api/health") == 200, 20)
        yield url
    finally:
        process.terminate()
        process.wait()


def _status(url: str, password: str | None = None) -> int:
    login = base64.b64encode(f"admin:{password}".encode()).decode()
    headers = {"Authorization": f"Basic {login}"} if password else {}
    try:
        with urlopen(Request(url, headers=headers), timeout=5) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code
    except URLError:
        return 0


def test_what_is_provisioned_is_served_to_who_logs_in(tmp_path: Path) -> None:
    with serving(provisioned(tmp_path)) as url:
        for path in ("/api/datasources/uid/p", "/api/dashboards/uid/b"):
            assert _status(url + path) == 401
            assert _status(url + path, "wrong") == 401
            assert _status(url + path, "secret") == 200
        assert _status(f"{url}/api/dashboards/uid/none", "secret") == 404


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"sources": [SOURCE, SOURCE]}, "two datasources"),
        ({"sources": [{"name": "p", "access": "proxy"}]}, "datasource without type"),
        ({"boards": [{"uid": "b"}]}, "title cannot be empty"),
        ({"boards": [{"uid": "b", "title": "B"}, {"uid": "b", "title": "C"}]}, "used twice"),
    ],
)
def test_what_grafana_refuses_ends_it_with_the_reason(
    wrong: dict[str, Any], said: str, tmp_path: Path
) -> None:
    ended = subprocess.run(
        provisioned(tmp_path, **wrong), capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 1
    assert said in ended.stderr
