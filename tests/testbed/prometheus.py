"""A real Prometheus and its promtool: 2 (Debian trixie) or 3 (Debian sid, as in nixpkgs).

A server reads the configuration it is given, keeps its data in its own temporary folder and is
asked by HTTP. Not for what is scraped, and not for any rule: those are the project's.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

from tests.testbed import roots
from tests.testbed.apt import unpack
from tests.testbed.cache import build_once, remove_tree
from tests.testbed.process import LocalServer

_RECIPE_VERSION = 1  # raise it when a change below alters the result

Version = Literal["2", "3"]
VERSIONS: tuple[Version, ...] = ("2", "3")
_SUITES = {"2": "trixie", "3": "sid"}


def root(version: Version = "3") -> Path:
    """A folder with the programs of Debian's Prometheus and their libraries; built once."""
    suite = _SUITES[version]

    def build(folder: Path) -> None:
        work = folder / "apt-work"
        unpack(suite, ["prometheus"], folder, work)
        remove_tree(work)
        remove_tree(folder / "usr" / "share")

    return build_once(f"roots/prometheus{version}", f"{_RECIPE_VERSION} {suite} prometheus", build)


def roots_of_all() -> Path:
    """Build every version; the newest one's folder."""
    return [root(version) for version in VERSIONS][-1]


def promtool(version: Version, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Debian's promtool; it may fail."""
    return subprocess.run(
        [*roots.loader_argv(root(version), "usr/bin/promtool"), *arguments],
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
        self,
        version: Version,
        scrapes: Sequence[Mapping[str, Any]],
        rule_files: Sequence[Path] = (),
    ) -> None:
        self._configuration = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(file) for file in rule_files],
            "scrape_configs": list(scrapes),
        }
        self._root = root(version)
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
    version: Version, scrapes: Sequence[Mapping[str, Any]], rule_files: Sequence[Path] = ()
) -> PrometheusServer:
    """A started Prometheus of that major version; use it in a `with`."""
    return PrometheusServer(version, scrapes, rule_files).start()
