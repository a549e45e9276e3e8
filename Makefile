# The whole interface of the project: each target makes .venv and installs what it needs by itself.
# A stamp file in .venv records each finished installation, so a second call starts at once.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?=
WORKERS ?= 2
ARGS ?=
PORT ?=

BIN := .venv/bin
RUNTIME := .venv/installed.runtime
DEVELOPMENT := .venv/installed.dev

.PHONY: help demo test check bench soak lock clean

help: ## What there is to call
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' Makefile

demo: $(RUNTIME) ## Open the guided demonstration; PORT=8080 picks the port, ARGS=--exit runs it unattended
	$(BIN)/nirantar demo $(if $(PORT),--port $(PORT)) $(ARGS)

test: $(DEVELOPMENT) ## Every test; ARGS="tests/unit -k merkle" picks some
	@bash tools/system_packages.sh
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(ARGS)

check: $(DEVELOPMENT) ## Lint, types, layers and the tidy rules; seconds, not minutes
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest tests/unit/test_tidy.py

bench: $(DEVELOPMENT) ## Measure; ARGS="--only NAME --json"
	$(BIN)/nirantar bench $(ARGS)

soak: $(DEVELOPMENT) ## The long runs that `make test` leaves out: hours, one worker, no time limit
	@bash tools/system_packages.sh
	$(BIN)/python -m pytest -m soak --timeout 0 $(ARGS)

lock: ## Pin again what requirements/*.in ask for; ARGS=--upgrade takes newer versions
	bash tools/lock_requirements.sh $(ARGS)

clean: ## Remove what the other targets made
	rm -rf .venv .mypy_cache .ruff_cache .import_linter_cache .hypothesis build dist src/*.egg-info

$(RUNTIME): requirements/build.txt requirements/runtime.txt pyproject.toml tools/make_venv.sh
	@PYTHON='$(PYTHON)' bash tools/make_venv.sh runtime

$(DEVELOPMENT): requirements/dev.txt pyproject.toml tools/make_venv.sh
	@PYTHON='$(PYTHON)' bash tools/make_venv.sh dev
