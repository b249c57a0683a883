# Every target installs what it needs by itself: on a bare machine `make demo` or `make test` is all there is to type.
# `make PYTHON=python3.12 ...` chooses the interpreter, `make UV= ...` takes venv + pip even where uv is.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
UV ?= $(shell uv --version >/dev/null 2>&1 && command -v uv)
JOBS ?= 2
USABLE := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))
FIRST_PYTHON = for name in python3.13 python3.12 python3.11 python3; do \
	if $$name -c '$(USABLE)' 2>/dev/null; then command -v $$name; break; fi; done
PYTHON ?= $(shell $(FIRST_PYTHON))
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile # a file's fixtures are made once

.DEFAULT_GOAL := help
.PHONY: help install demo test check lint bench docs lock

help:
	@echo 'make install   create $(VENV) with everything the tests need'
	@echo 'make demo      install, then run the whole loop on the toy city; DEMO="--json" passes options on'
	@echo 'make check     lint and the fast tests, under two minutes'
	@echo 'make test      lint and all tests'
	@echo 'make bench     list the benchmarks; NAME=real_pair runs one, ARGS="--seeds 1" passes options on'
	@echo 'make docs      build the documentation into docs/_build/html; a warning is an error'
	@echo 'make lock      resolve constraints.txt afresh (needs uv)'

install: $(STAMP)

# The stamp is older than either file only if that file changed since. A .venv whose Python does not start is made anew.
$(STAMP): pyproject.toml constraints.txt
	@$(BIN)/python -c '$(USABLE)' 2>/dev/null || rm -rf $(VENV)
ifneq ($(UV),)
	@test -d $(VENV) || $(UV) venv --quiet --python '$(or $(PYTHON),>=3.11,<3.14)' $(VENV)
	$(UV) pip install --python $(BIN)/python --constraint constraints.txt --editable '.[dev]'
else
	@test -d $(VENV) || test -n '$(PYTHON)' || { \
		echo 'No Python 3.11, 3.12 or 3.13 found. Install one, or uv, or name it: make PYTHON=...' >&2; exit 2; }
	@test -d $(VENV) || '$(PYTHON)' -m venv $(VENV) || { rm -rf $(VENV); \
		echo 'No virtual environment could be made. On Debian and Ubuntu install python3-venv; or install uv.' >&2; exit 2; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip
	$(BIN)/python -m pip install --constraint constraints.txt --editable '.[dev]'
endif
	@touch $(STAMP)

demo: $(STAMP)
	$(BIN)/frugalseg demo $(DEMO)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint
	$(PYTEST) -m 'not slow'

test: lint
	$(PYTEST)

bench: $(STAMP)
ifeq ($(origin NAME),command line) # some systems have a NAME in the environment
	$(BIN)/python benchmarks/$(NAME).py $(ARGS)
else
	@ls benchmarks/[!_]*.py 2>/dev/null | sed 's|benchmarks/\(.*\)\.py|make bench NAME=\1|' | grep . || echo 'no benchmarks yet'
endif

docs: $(STAMP)
	$(BIN)/sphinx-build --fail-on-warning --keep-going --builder html docs docs/_build/html

lock:
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --fork-strategy fewest --upgrade \
		--no-annotate --custom-compile-command 'make lock' --quiet --output-file constraints.txt
