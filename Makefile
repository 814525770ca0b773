# Two commands matter: `make serve` and `make test`. Both work on a machine with only Python 3.11 and make.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# A line for each package that pip takes; the rest of what it writes to stdout is not shown.
PIP_PROGRESS := sed -un -e 's/^Collecting \([^ ]*\).*/  \1/p' -e '/^Installing collected/s/:.*/ .../p'
SERVABLES := models/tales-gpt/1/saved_model.pb models/tales-lstm/1/saved_model.pb
# The GPT once more, with explicit state: for tests and comparisons.
ALL_SERVABLES := $(SERVABLES) models/tales-gpt-explicit/1/saved_model.pb

.DEFAULT_GOAL := help
.PHONY: help install models serve check test test-quick test-slow test-reference lint format bench demo-models \
	clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

# `make serve SERVE_FLAGS=--dashboard`: with Ray's dashboard.
SERVE_FLAGS ?=

serve: $(SERVABLES) ## set everything up, then serve the demo models on port 8000
	$(BIN)/python -m deployments $(SERVE_FLAGS) serve_config.yaml

# Tests that share what takes long to make go to one worker: tests/workers.py.
WORKERS ?= 2

test: $(ALL_SERVABLES) ## every test but the slow ones, in WORKERS=2 processes
	$(BIN)/pytest -m 'not slow' -n $(WORKERS)

test-quick: $(INSTALLED) ## unit tests of contract/ and deployments/, which start no process: under a minute
	$(BIN)/pytest -m 'not slow and not processes' tests/contract tests/deployments

test-slow: $(ALL_SERVABLES) ## the tests that take minutes
	$(BIN)/pytest -m slow || test $$? -eq 5  # 5: no test is marked so today

test-reference: $(INSTALLED) ## golden files anew from torch and transformers, in an environment of their own
	$(MAKE) -C tests/reference PYTHON=$(PYTHON)

check: lint test ## everything that a change must pass

lint: $(INSTALLED) ## style, types, import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: $(INSTALLED) ## style, mended
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(ALL_SERVABLES) ## throughput and latency, against the naive loop and the raw step
	$(BIN)/python -m bench

models: $(ALL_SERVABLES) ## the demo servables, from the committed weights

demo-models: $(INSTALLED) ## train the demo models anew (an hour)
	$(BIN)/python -m export.demo

install: $(INSTALLED) ## the environment, with pinned versions

clean: ## forget the servables and caches, keep the environment
	rm -rf models .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(INSTALLED): pyproject.toml constraints.txt
	@echo "Installing the environment into $(VENV) (some minutes) ..."
	@rm -f $@
	@$(PYTHON) -m venv $(VENV)
	@{ $(BIN)/pip install --disable-pip-version-check --constraint constraints.txt --editable '.[dev]' \
	    && touch $@; } | $(PIP_PROGRESS)
	@test -e $@

# A servable that an older exporter wrote may break today's contract.
EXPORTER := $(shell find contract export -name "*.py" -not -path "export/demo/*")

models/tales-gpt/1/saved_model.pb: demo/tales-gpt/model.safetensors $(EXPORTER) | $(INSTALLED)
	rm -rf models/tales-gpt
	$(BIN)/python -m export hf demo/tales-gpt --out models --name tales-gpt --version 1 --state resident

models/tales-gpt-explicit/1/saved_model.pb: demo/tales-gpt/model.safetensors $(EXPORTER) | $(INSTALLED)
	rm -rf models/tales-gpt-explicit
	$(BIN)/python -m export hf demo/tales-gpt --out models --name tales-gpt-explicit --version 1 --state explicit

models/tales-lstm/1/saved_model.pb: demo/tales-lstm/model.safetensors $(EXPORTER) | $(INSTALLED)
	rm -rf models/tales-lstm
	$(BIN)/python -m export lstm demo/tales-lstm --out models --name tales-lstm --version 1
