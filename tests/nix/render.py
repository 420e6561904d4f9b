"""`python -m tests.nix.render`: the units of every scenario, and docs/options.md, from the modules.

Writes `tests/systemd/rendered/<scenario>/<node>/` and `docs/options.md`; with `--check` it only
compares. Needs Nix and nixpkgs' library (NIXPKGS_LIB). Booting what it writes is `tests/systemd`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.nix.digest import digest
from tests.nix.evaluation import (
    COORDINATOR,
    REPOSITORY,
    build,
    coordinator,
    evaluate,
    require_library,
)
from tests.testbed.cache import PartUnavailable
from tests.testbed.nix import NixError

RENDERED = REPOSITORY / "tests" / "systemd" / "rendered"
OPTIONS_DOCUMENT = REPOSITORY / "docs" / "options.md"
DIGEST_FILE = "DIGEST"
_SCRIPT = "#!"

Files = Mapping[Path, str]


class RenderError(Exception):
    """The modules cannot be rendered as they are; the message says what to change."""


def scenarios() -> Any:
    """Every scenario evaluated: {scenario: {node: data}}; see `evaluate.nix` for the data."""
    require_library()
    return evaluate('(import "${here}/scenarios.nix" { }).data')


def options_document() -> str:
    """The text of docs/options.md."""
    require_library()
    return str(evaluate('import "${here}/options-document.nix" { }'))


def check_settings() -> None:
    """Build the settings of every scenario, checked by the coordinator that is installed here.

    Raises NixError where it refuses them.
    """
    require_library()
    build(f'(import "${{here}}/scenarios.nix" {{ {COORDINATOR} }}).checked', **coordinator())


def files_of(evaluated: Any) -> Files:
    """What is rendered of evaluated scenarios: path below the rendered folder → text."""
    files: dict[Path, str] = {}
    for scenario, nodes in evaluated.items():
        for node, data in nodes.items():
            if data["failed"]:
                messages = "\n".join(data["failed"])
                raise RenderError(f"Scenario {scenario}, node {node}:\n{messages}")
            folder = Path(scenario) / node
            for name, text in data["units"].items():
                files[folder / "units" / name] = text
            for path, inside in data["store"]["files"].items():
                for name, text in inside.items():
                    files[folder / "store" / (path + name)] = text
            for name in ("links", "packages", "host"):
                files[folder / f"{name}.json"] = _json(data[name])
            files[folder / "store-links.json"] = _json(
                {
                    f"/nix/store/{path}{name}": target
                    for path, inside in data["store"]["links"].items()
                    for name, target in inside.items()
                }
            )
    return files


def render(folder: Path = RENDERED) -> Any:
    """Make `folder` hold what the scenarios come to, and nothing else; returns the evaluation.

    A file that is right is left alone, so a guest that is being booted does not miss it.
    """
    evaluated = scenarios()
    files = files_of(evaluated)
    for path, text in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.is_file() or _text(target) != text:
            target.write_text(text, encoding="utf-8")
        target.chmod(0o755 if text.startswith(_SCRIPT) else 0o644)
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
        elif path.is_file() and path.relative_to(folder) not in files:
            path.unlink()
    (folder / DIGEST_FILE).write_text(digest() + "\n", encoding="utf-8")
    return evaluated


def differences() -> list[str]:
    """What is rendered otherwise than the modules say, as sentences; empty when all agree."""
    found = _compare(RENDERED, files_of(scenarios()))
    if not OPTIONS_DOCUMENT.is_file() or _text(OPTIONS_DOCUMENT) != options_document():
        found.append(f"{OPTIONS_DOCUMENT.relative_to(REPOSITORY)} is out of date")
    digest_file = RENDERED / DIGEST_FILE
    if not digest_file.is_file() or _text(digest_file).strip() != digest():
        found.append(f"{digest_file.relative_to(REPOSITORY)} is out of date")
    return found


def _compare(folder: Path, files: Files) -> list[str]:
    present = {
        path.relative_to(folder): path
        for path in folder.rglob("*")
        if path.is_file() and path.name != DIGEST_FILE
    }
    found = [f"{path} is missing" for path in sorted(files.keys() - present.keys())]
    found += [f"{path} is no longer rendered" for path in sorted(present.keys() - files.keys())]
    for path in sorted(files.keys() & present.keys()):
        if _text(present[path]) != files[path]:
            found.append(f"{path} is out of date")
        elif files[path].startswith(_SCRIPT) != bool(present[path].stat().st_mode & 0o111):
            found.append(f"{path} is executable where it should not be, or the other way round")
    return found


def _json(value: object) -> str:
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def main() -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.nix.render", description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare only; 1 where they differ")
    chosen = parser.parse_args()
    try:
        if chosen.check:
            found = differences()
            for sentence in found:
                print(sentence, file=sys.stderr)
            if found:
                print("Run make render and commit what it writes.", file=sys.stderr)
            return 1 if found else 0
        evaluated = render()
        OPTIONS_DOCUMENT.write_text(options_document(), encoding="utf-8")
        check_settings()
    except (LookupError, PartUnavailable, NixError, RenderError) as error:
        print(error, file=sys.stderr)
        return 1
    for scenario, nodes in evaluated.items():
        for node, data in nodes.items():
            print(f"{scenario}/{node}: {len(data['units'])} units")
    return 0


if __name__ == "__main__":
    sys.exit(main())
