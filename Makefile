# The developer's whole interface; `.ci/run` calls the same verbs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
ROOT = $(if $(filter 0,$(shell id -u)),,sudo --non-interactive)

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

bench: setup ## finished alerts a second, at least 0.6 of a bare workflow on the same server
	$(BIN)/tocsin bench pipeline --at-least 0.6

checkers: ## openssl, which makes the certificates of tests; without it they skip
	@command -v openssl \
		|| { $(ROOT) apt-get update && $(ROOT) apt-get install --yes openssl; } \
		|| echo "openssl is not here, and tests of TLS skip: as root, run 'apt-get install openssl'"

lock: setup ## compile requirements.lock again from pyproject.toml
	$(BIN)/uv pip compile --universal --generate-hashes --no-annotate --no-header --quiet \
		--extra embedded --extra dev --output-file requirements.lock pyproject.toml

clean: ## remove what setup and the demo made
	rm -rf $(VENV) .tocsin
