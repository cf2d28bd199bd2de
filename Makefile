# The developer's whole interface; `.ci/run` calls the same verbs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: setup check test demo bench checkers lock clean

setup: $(STAMP) ## create .venv from the hash-pinned lock

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

check: setup ## lint, types, architecture
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check ## everything, against the real servers
	$(BIN)/pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile

demo: setup ## the whole stack, 33 alerts, delivered
	$(BIN)/tocsin demo

bench: setup ## finished alerts a second beside a bare workflow on the same server
	$(BIN)/tocsin bench pipeline

checkers: ## optional Debian programs that some tests use
	@echo "no optional program is needed yet"

lock: ## compile requirements.lock again from pyproject.toml
	$(BIN)/uv pip compile --universal --generate-hashes --no-annotate --no-header --quiet \
		--extra embedded --extra dev --output-file requirements.lock pyproject.toml

clean: ## remove what setup and the demo made
	rm -rf $(VENV) .tocsin
