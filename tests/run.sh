#!/bin/sh
# Everything `make test` checks, in order of how soon it can fail. The real parts (Redis,
# Lemonade, the systemd guest, …) are fetched in the background while the quick checks run.
set -eu
BIN=${BIN:-.venv/bin}
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
cd "$root"
PATH="$root/$BIN:$PATH"
export PATH HF_HUB_OFFLINE=1
sources="coordinator/src/hybrid_coordinator coordinator/scripts tests"
log=$(mktemp)
background=

say() { printf '\n[test] %s\n' "$*"; }

finish() {
    status=$?
    if [ -n "$background" ] && kill "$background" 2>/dev/null; then
        wait "$background" 2>/dev/null || true
    fi
    rm -f "$log"
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM

say "real parts: being fetched in the background"
python -m tests.testbed setup >"$log" 2>&1 &
background=$!

say "ruff"
# shellcheck disable=SC2086 # a list of folders
ruff check --quiet --config coordinator/pyproject.toml $sources
# shellcheck disable=SC2086
ruff format --quiet --check --config coordinator/pyproject.toml $sources

say "files of at most 400 lines"
git ls-files '*.py' '*.nix' '*.sh' | while read -r file; do
    [ -f "$file" ] || continue
    lines=$(wc -l <"$file")
    if [ "$lines" -gt 400 ]; then
        echo "$file has $lines lines; split it" >&2
        exit 1
    fi
done

say "import rules (no cycle, layers kept)"
(cd coordinator && lint-imports --no-cache)

say "mypy --strict"
(cd coordinator && mypy src/hybrid_coordinator ../tests)

say "unit tests"
pytest -c coordinator/pyproject.toml --rootdir . -q -n 2 tests/unit

say "real parts: waiting until they are there"
if ! wait "$background"; then
    background=
    cat "$log"
    echo "the real parts could not be set up; see above" >&2
    exit 1
fi
background=
tail -n 5 "$log"

say "Nix: every file parses, what is rendered is of these modules"
pytest -c coordinator/pyproject.toml --rootdir . -q tests/nix

say "integration tests, against the real parts, beside the containers' named tests; shown after them"
pytest -c coordinator/pyproject.toml --rootdir . -q tests/integration tests/browser >"$log" 2>&1 &
background=$!

say "systemd: exposure, then every named test on a real systemd, in containers"
pytest -c coordinator/pyproject.toml --rootdir . -v -s tests/systemd \
    --ignore tests/systemd/test_named_qemu.py

say "integration tests: what they said"
if ! wait "$background"; then
    background=
    cat "$log"
    exit 1
fi
background=
cat "$log"

say "systemd in a virtual machine, last and alone: an emulated processor needs all there is"
pytest -c coordinator/pyproject.toml --rootdir . -v -s tests/systemd/test_named_qemu.py
