# Custody. `make` alone says what there is; docs are in README.md and CONTRIBUTING.md.
.DEFAULT_GOAL := help
SHELL := /bin/sh
BIN := .venv/bin
READY := .venv/.ready
ROOMS := api artifacts provenance migrations client/src tests benchmarks examples scripts
# Branch coverage of everything; provenance/ must reach 100 (scripts/test).
BRANCHES := 95

export PATH := $(CURDIR)/$(BIN):$(PATH)

help: ## show this list
	@echo "Custody: records what build steps consumed and produced, keeps the bytes, signs the proof."
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "First time here: make demo. Before sending a change: make check, make test."

setup: $(READY) ## make .venv with everything that is locked in requirements/

$(READY): requirements/dev.txt pyproject.toml client/pyproject.toml scripts/setup
	@scripts/setup
	@touch $@

demo: $(READY) ## run a real pipeline through the embedded service and verify it
	@python -m examples.demo

test: $(READY) ## run every test and hold the two coverage gates
	@scripts/test --branches $(BRANCHES)

test-fast: $(READY) ## run the tests that need no processes and no foreign tools
	@pytest -q -m "not slow" -n 2

check: $(READY) ## format, lint, types, imports, house rules and docs; changes nothing
	@$(MAKE) --no-print-directory --keep-going _format _lint _types _imports _house

_format:
	ruff format --check .
_lint:
	ruff check .
_types:
	mypy $(ROOMS)
_imports:
	lint-imports
_house:
	pytest -q -p no:cacheprovider -m "not slow" tests/house

fix: $(READY) ## repair what can be repaired: format, lint, generated docs
	ruff check --fix-only .
	ruff format .
	@$(MAKE) --no-print-directory docs

docs: $(READY) ## write the generated pages again
	python -m scripts.pages

bench: $(READY) ## measure, each beside its peer
	python -m benchmarks

LOCK := uv pip compile -q --generate-hashes --no-emit-index-url --no-header --no-annotate --universal --python-version 3.11

lock: $(READY) ## resolve requirements/ again
	$(LOCK) --group dev pyproject.toml client/pyproject.toml -o requirements/dev.txt
	$(LOCK) -c requirements/dev.txt pyproject.toml -o requirements/server.txt

hooks: ## run the fast checks before every commit
	git config core.hooksPath .githooks

clean: ## remove everything that was made here
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage .coverage.* htmlcov build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help setup demo test test-fast check fix docs bench lock hooks clean _format _lint _types _imports _house
