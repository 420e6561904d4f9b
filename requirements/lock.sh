#!/bin/sh
# Pins the closure of every dependency with hashes, for Python 3.11 to 3.13 at once.
# Which index the packages came from is not written down: hashes say what they are.
set -eu
BIN=${BIN:-.venv/bin}
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
cd "$root"

compile() { # compile OUTPUT ARGUMENT…
    output=$1
    shift
    "$BIN/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-header --no-annotate --override requirements/overrides.in \
        "$@" |
        awk '/^[a-z0-9]/ { skip = /sys_platform == .(never|win32)./ } !skip' >"$output.new"
    mv "$output.new" "$output"
    printf '%s: %s packages\n' "$output" "$(grep -c '==' "$output")"
}

compile requirements/run.txt --extra embeddings --extra embedded --extra languages --extra tracing coordinator/pyproject.toml requirements/run.in
compile requirements/test.txt --constraint requirements/run.txt requirements/test.in
compile requirements/assets/npm.txt requirements/assets/npm.in

# What the dashboard's page is served with; of this, too, only what it is and not where it came from.
(cd requirements/assets && npm install --package-lock-only --omit-lockfile-registry-resolved=true \
    --ignore-scripts --no-audit --no-fund --silent)
