# Lumbung: everything runs from here. Python 3.11+ is all that is needed.
.DEFAULT_GOAL := help
.PHONY: help run test test-services lint types bench lock venv dev-venv
HOST ?= 127.0.0.1
PORT ?= 8080
SAMPLES_PORT ?= 8090
PYTEST_ARGS ?=
BIN := .venv/bin

help: ## Show what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile

run: venv ## Start sample members, harvest them, index and serve on http://127.0.0.1:8080 (PORT=...)
	@exec $(BIN)/lumbung up --sample-members --host $(HOST) --port $(PORT) --samples-port $(SAMPLES_PORT)

test: dev-venv ## Run the whole test suite (PYTEST_ARGS="-k words")
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

test-services: ## Install and start real servers (PostgreSQL, S3, Elasticsearch, proxy, browser) and run the whole suite, none skipped
	@.ci/services
	@$(MAKE) dev-venv
	@cd tests && ../$(BIN)/python -m services.elasticsearch
	@CI=true $(MAKE) test

lint: dev-venv ## Check style and formatting with ruff
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: dev-venv ## Check types with mypy, strictly
	@$(BIN)/mypy

bench: dev-venv ## Measure speed and memory as ratios; results go to bench/results.md
	@$(BIN)/python -m bench

lock: dev-venv ## Pin the newest allowed versions of all packages again
	@$(BIN)/pip install --quiet uv
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--upgrade --extra run pyproject.toml -o requirements.lock
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--upgrade --extra run --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock

venv:
	@.ci/venv.sh requirements.lock

dev-venv:
	@.ci/venv.sh requirements-dev.lock
