# Two commands matter: `make serve` and `make test`. Both work on a machine with only Python 3.11 and make.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
DEMO_MODELS := tales-lstm tales-gpt
SERVABLES := $(DEMO_MODELS:%=models/%/1)

.DEFAULT_GOAL := help

.PHONY: help install serve test lint

help:            ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 20

install: $(INSTALLED)  ## the environment, with pinned versions

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

lint: $(INSTALLED)  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: $(INSTALLED)  ## every test but the slow ones
	$(BIN)/pytest
