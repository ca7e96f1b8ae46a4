# The two commands of the README are `make run` and `make ui`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: run ui install test faults lint bench bench-electrochemistry docs clean

run: install            ## install and refresh on embedded defaults
	$(BIN)/battery-platform refresh --size demo

ui: install             ## serve the Dagster UI with its daemon
	$(BIN)/battery-platform ui

install: $(STAMP)       ## virtual environment with exact versions

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or 3.12 is needed, this is " + sys.version.split()[0] + "; try make PYTHON=python3.11") if not (3, 11) <= sys.version_info[:2] < (3, 13) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	$(BIN)/python -c "from battery_platform.defs.dbt_project import prepare_manifest; prepare_manifest()"
	touch $@

$(VENV)/.dev: $(STAMP)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev,postgres,bench,dask,tune]"
	touch $@

lint: $(VENV)/.dev      ## style, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint              ## everything CI runs
	$(BIN)/python -m pytest

faults: $(VENV)/.dev    ## every fault and hostile input of tests/faults, and the table of them
	$(BIN)/python -m pytest tests/faults -m "faults or not faults"

bench: $(VENV)/.dev     ## ratios against a named peer, each in one run
	$(BIN)/python -m benchmarks

bench-electrochemistry: $(VENV)/.dev     ## the ratios of the battery models alone
	$(BIN)/python -m benchmarks electrochemistry

docs: $(VENV)/.dev      ## the generated data dictionary
	$(BIN)/python -m docs.generate

clean:                  ## remove the environment and what was built; data stay
	rm -rf $(VENV) build dist *.egg-info dbt/target dbt/logs .mypy_cache .ruff_cache .pytest_cache
