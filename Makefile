PYTHON ?= python3
VENV   ?= .venv
TORCH  ?= torch
BIN    := $(VENV)/bin
BENCH  ?= .venv-bench
export OMP_NUM_THREADS ?= 1
# Tests start many processes, and each would compile the package anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test test-all test-sample fast fuzz lint laws mutants docs gallery conformance bench clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

$(VENV)/.ok: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -c constraints.txt $(TORCH)
	$(BIN)/pip install -q -c constraints.txt -e '.[dev]'
	touch $@

demo: $(VENV)/.ok ## fit, score, sample and report on real data; ends with demo-out/report.html
	$(BIN)/pushforward demo --out demo-out

test: $(VENV)/.ok ## the tests of every day, within ten minutes on two cores
	$(BIN)/python -m pytest -n 2

test-all: $(VENV)/.ok ## every test
	$(BIN)/python -m pytest -n 2 --tier all

test-sample: $(VENV)/.ok ## some of the tests that `make test` leaves out, others for each commit
	$(BIN)/python -m pytest -n 2 --tier "sample:$(or $(SAMPLE),120):$$(git rev-parse HEAD 2>/dev/null || echo none)"

fast: $(VENV)/.ok ## the quick tests
	$(BIN)/python -m pytest -n 2 -m "not slow"

fuzz: $(VENV)/.ok ## damaged and hostile files: each gets one sentence; FUZZ_ARGS="--count 300" for fewer
	$(BIN)/python -m fuzz $(or $(FUZZ_ARGS),--count 30000)

lint: $(VENV)/.ok ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

laws: $(VENV)/.ok ## every law on every case
	$(BIN)/python -m pushforward.laws check

mutants: $(VENV)/.ok ## plant every fault; all must be caught
	$(BIN)/python -m tests.mutants

docs: $(VENV)/.ok ## the documentation, without a network; warnings are errors
	$(BIN)/sphinx-build -W -q -b html docs docs/_build/html

gallery: $(VENV)/.ok ## the pictures of the gallery, made again; GALLERY="checkerboard sphere" for some of them
	$(BIN)/python docs/make_gallery.py $(GALLERY)

$(BENCH)/.ok: pyproject.toml constraints.txt
	test -x $(BENCH)/bin/python || $(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/pip install -q -c constraints.txt $(TORCH)
	$(BENCH)/bin/pip install -q -c constraints.txt -e '.[bench]'
	touch $@

conformance: $(BENCH)/.ok ## who passes what: this library and its peers, in an environment of their own
	$(BENCH)/bin/python -m benchmarks.conformance --out benchmarks/CONFORMANCE.md

bench: $(BENCH)/.ok ## speed and memory beside the peers, in the same environment; BENCH_ARGS="--case training" for a part
	$(BENCH)/bin/python -m benchmarks.speed $(or $(BENCH_ARGS),--all)

clean: ## remove what the targets above made
	rm -rf demo-out docs/_build
