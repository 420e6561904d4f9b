"""A real Prometheus and its promtool, both Debian's (trixie).

A server reads the configuration it is given, keeps its data in its own temporary folder and is
asked by HTTP. Not for what is scraped, and not for any rule: those are the project's.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

from tests.testbed import roots
from tests.testbed.apt import unpack
from tests.testbed.cache import build_once, remove_tree
from tests.testbed.process import LocalServer

_RECIPE_VERSION = 1  # raise it when a change below alters the result


def root() -> Path:
    """A folder with the files of Debian's Prometheus and its libraries; built once."""

    def build(folder: Path) -> None:
        work = folder / "apt-work"
        unpack("trixie", ["prometheus"], folder, work)
        remove_tree(work)

    return build_once("roots/prometheus", f"{_RECIPE_VERSION} trixie prometheus", build)


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Debian's promtool; it may fail."""
    return subprocess.run(
        [*roots.loader_argv(root(), "usr/bin/promtool"), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


class PrometheusServer(LocalServer):
    """A prometheus process that scrapes what `scrapes` says and evaluates `rule_files`.

    `scrapes` are entries of `scrape_configs`; a second is the interval of everything.
    """

    name = "prometheus"
    ready_within_s = 30.0

    def __init__(
        self, scrapes: Sequence[Mapping[str, Any]], rule_files: Sequence[Path] = ()
    ) -> None:
        self._configuration = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(file) for file in rule_files],
            "scrape_configs": list(scrapes),
        }
        self._root = root()
        super().__init__()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def api(self, path: str, **parameters: str) -> Any:
        """The `data` of an answer of `/api/v1/<path>`; raises urllib's HTTPError for a refusal."""
        query = f"?{urlencode(parameters)}" if parameters else ""
        with urlopen(f"{self.url}/api/v1/{path}{query}", timeout=30) as answer:
            return json.load(answer)["data"]

    def query(self, expression: str) -> list[Any]:
        """The result of an instant query."""
        result: list[Any] = self.api("query", query=expression)["result"]
        return result

    def _prepare(self) -> None:
        # JSON is YAML.
        (self.folder / "prometheus.yml").write_text(json.dumps(self._configuration), "utf-8")

    def _argv(self) -> list[str]:
        return [
            *roots.loader_argv(self._root, "usr/bin/prometheus"),
            f"--config.file={self.folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--log.level=warn",
        ]

    def _is_ready(self) -> bool:
        try:
            with urlopen(f"{self.url}/-/ready", timeout=1) as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False


def prometheus_server(
    scrapes: Sequence[Mapping[str, Any]], rule_files: Sequence[Path] = ()
) -> PrometheusServer:
    """A started Prometheus; use it in a `with`."""
    return PrometheusServer(scrapes, rule_files).start()
