"""Wrong host files: each is refused, as `nixos-rebuild` would, with a message that says what to do.

A file in `wrong/` says in its own first lines what the refusal must contain (`# Says:`) and what it
must not (`# Never says:`).
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.nix.evaluation import HERE, build, coordinator, evaluate
from tests.nix.requirement import need_library
from tests.testbed.nix import NixError

WRONG = sorted((HERE / "wrong").glob("*.nix"))

need_library()


@pytest.mark.parametrize("host", WRONG, ids=[host.stem for host in WRONG])
def test_a_wrong_host_is_refused_with_the_remedy(host: Path) -> None:
    source = host.read_text(encoding="utf-8")
    says = re.findall(r"^# Says: (.+)$", source, re.MULTILINE)
    [refusal] = _refusals(host)
    assert says
    for words in says:
        assert words in refusal
    for words in re.findall(r"^# Never says: (.+)$", source, re.MULTILINE):
        assert words not in refusal


def test_a_host_that_is_right_is_not_refused(tmp_path: Path) -> None:
    host = tmp_path / "host.nix"
    host.write_text("{ services.hybrid-ai.enable = true; }")
    assert _refusals(host) == []


def test_there_are_ten_wrong_hosts_at_least() -> None:
    assert len(WRONG) >= 10


def _refusals(host: Path) -> list[str]:
    """What stops this host from being built: failed assertions, or else an error; one line each."""
    expression = 'import "${here}/host.nix" { path = /. + path; '
    try:
        failed = evaluate(f"({expression} }}).data.failed", path=str(host))
        if not failed:
            build(
                f"({expression} inherit folder digest; }}).settings",
                path=str(host),
                **coordinator(),
            )
    except NixError as error:
        return [_line(str(error))]
    return [_line(message) for message in failed]


def _line(text: str) -> str:
    return " ".join(text.split())
