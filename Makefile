# The two commands are `make run` and `make test`; both set up everything they need.
# `make help` lists the others.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
SETUP  := PYTHON="$(PYTHON)" VENV="$(VENV)" sh requirements/setup.sh
ASSETS := requirements/assets.sh requirements/assets/package-lock.json
KILLS  ?= 1000
SOURCES := coordinator/src/hybrid_coordinator tests coordinator/scripts

.DEFAULT_GOAL := help
.PHONY: help run test lint types imports unit integration browser nix systemd testbed bench soak lock board render schema clean

help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

run: $(VENV)/.run ## start the coordinator on its embedded default (ARGS="--port 9000" adds options)
	@exec $(BIN)/hybrid-coordinator serve $(ARGS)

test: $(VENV)/.test ## everything: linters, types, import rules, unit and integration tests
	@BIN="$(BIN)" sh tests/run.sh

lint: $(VENV)/.test ## ruff: rules and format
	@$(BIN)/ruff check --config coordinator/pyproject.toml $(SOURCES)
	@$(BIN)/ruff format --check --config coordinator/pyproject.toml $(SOURCES)

types: $(VENV)/.test ## mypy --strict
	@cd coordinator && ../$(BIN)/mypy src/hybrid_coordinator ../tests

imports: $(VENV)/.test ## no import cycle, layers kept
	@cd coordinator && ../$(BIN)/lint-imports --no-cache

unit: $(VENV)/.test ## unit tests only
	@$(BIN)/pytest -c coordinator/pyproject.toml --rootdir . -q tests/unit

integration: testbed ## integration tests only
	@$(BIN)/pytest -c coordinator/pyproject.toml --rootdir . -q tests/integration

browser: $(VENV)/.test ## the dashboard's page in Debian's Chromium
	@$(BIN)/python -m tests.testbed setup chromium
	@$(BIN)/pytest -c coordinator/pyproject.toml --rootdir . -q tests/browser

nix: $(VENV)/.test ## the modules: parsed, evaluated (with NIXPKGS_LIB), compared with what is rendered
	@$(BIN)/pytest -c coordinator/pyproject.toml --rootdir . -q tests/nix

systemd: testbed ## the rendered units on a real systemd: exposure, then every named test
	@$(BIN)/pytest -c coordinator/pyproject.toml --rootdir . -q -rA tests/systemd

testbed: $(VENV)/.test ## the real Redis, Lemonade and the like, in the user's cache folder
	@$(BIN)/python -m tests.testbed setup

bench: $(VENV)/.test ## the table of figures in README
	@$(BIN)/python -m tests.benchmarks

soak: $(VENV)/.test ## kill -9 of the service under load, 1,000 times (KILLS=n): nothing acknowledged is lost
	@$(BIN)/python -m tests.soak --kills $(KILLS)

schema: $(VENV)/.run ## settings.schema.json from the settings models
	@$(BIN)/hybrid-coordinator check-config --schema > coordinator/settings.schema.json

render: $(VENV)/.test ## units of the scenarios and docs/options.md (needs NIXPKGS_LIB)
	@$(BIN)/python -m tests.nix.render

board: $(VENV)/.test ## the Grafana board from coordinator/scripts/grafana
	@$(BIN)/python coordinator/scripts/grafana/board.py

lock: $(VENV)/.test ## pin every dependency with its hashes
	@BIN="$(BIN)" sh requirements/lock.sh

clean: ## remove what the other targets made in this folder
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis coordinator/.mypy_cache

$(VENV)/.run: requirements/run.txt requirements/setup.sh $(ASSETS) coordinator/pyproject.toml
	@$(SETUP) run

$(VENV)/.test: requirements/run.txt requirements/test.txt requirements/setup.sh $(ASSETS) coordinator/pyproject.toml
	@$(SETUP) run test
