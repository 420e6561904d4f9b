#!/bin/sh
# Fetches what the dashboard's page is served with from the npm registry: assets.sh run [test].
# The lock file says by hash what it must be. Idempotent; once it is there no registry is asked.
# Where there is no npm, PyPI's Node.js brings one for the moment.
set -eu

PYTHON=${PYTHON:-python3}
VENV=${VENV:-.venv}
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
cd "$root"
case $VENV in /*) ;; *) VENV=$root/$VENV ;; esac
lock=requirements/assets/package-lock.json
served=coordinator/src/hybrid_coordinator/dashboard/vendor
tested=$VENV/assets

say() { printf '[setup] %s\n' "$*"; }

there() { # there FOLDER FILE…: whether the files are of this lock file
    folder=$1
    shift
    cmp -s "$lock" "$folder/.lock" || return 1
    for file in "$@"; do
        [ -s "$folder/$file" ] || return 1
    done
}

wanted=
if ! there "$served" uPlot.js uPlot.css LICENSE.txt; then
    wanted=run
fi
case " $* " in *" test "*) there "$tested" axe.js || wanted="$wanted test" ;; esac
if [ -z "$wanted" ]; then
    say "the dashboard's charts are there"
    exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp requirements/assets/package.json "$lock" "$work/"
npm=npm
if ! command -v npm >/dev/null; then
    say "there is no npm here: fetching one from PyPI, for this set-up only (60 MB)"
    "$PYTHON" -m venv "$work/node"
    "$work/node/bin/pip" install --disable-pip-version-check --quiet \
        --no-deps --require-hashes --only-binary :all: -r requirements/assets/npm.txt
    PATH="$work/node/bin:$PATH"
    npm=$work/node/bin/npm
fi
omit=--omit=dev
case $wanted in *test*) omit= ;; esac
say "fetching the dashboard's charts (npm, 1 package of 50 kB)"
# shellcheck disable=SC2086 # nothing, or one option
(cd "$work" && "$npm" ci $omit --prefer-offline --ignore-scripts --no-audit --no-fund --silent) || {
    say "npm could not fetch them: see 'npm config get registry', then try again" >&2
    exit 1
}

place() { # place FOLDER: let what is in $work/new be that folder, whole
    cp "$lock" "$work/new/.lock"
    mkdir -p "$(dirname "$1")"
    rm -rf "$1"
    mv "$work/new" "$1"
}

case $wanted in
*run*)
    mkdir "$work/new"
    cp "$work/node_modules/uplot/dist/uPlot.iife.min.js" "$work/new/uPlot.js"
    cp "$work/node_modules/uplot/dist/uPlot.min.css" "$work/new/uPlot.css"
    cp "$work/node_modules/uplot/LICENSE" "$work/new/LICENSE.txt"
    place "$served"
    ;;
esac
case $wanted in
*test*)
    mkdir "$work/new"
    cp "$work/node_modules/axe-core/axe.min.js" "$work/new/axe.js"
    place "$tested"
    ;;
esac
say "the dashboard's charts are there"
