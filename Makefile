# Every target sets up what it needs: the first command on a fresh machine may be any of them.
# Needs Python 3.11 or newer and a package registry.

PYTHON ?= python3
SEEDS ?= 0
JOBS ?= 2
# Experiments by name; fig9 stands for all classifiers of Fig. 9.
ROWS ?= fig9
# More arguments for pip, for example PIP_ARGS="--extra-index-url https://download.pytorch.org/whl/cpu"
PIP_ARGS ?=

RUN := .venv/bin/python
READY := .venv/.ready

.DEFAULT_GOAL := help
.PHONY: help setup data plan reproduce plan-modern reproduce-modern headline tables figures report site test lint bench clean

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## */\1\t/' | expand -t 18
	@echo "Settings: SEEDS=$(SEEDS) JOBS=$(JOBS) ROWS=$(ROWS) PYTHON=$(PYTHON)"
	@echo 'All else: `make setup`, then, once a shell, `. .venv/bin/activate`; and `lenet98 --help`, `python -m experiments --help`'

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "lenet98 needs Python 3.11 or newer; name one: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c constraints.txt -e '.[dev,fast]'
	@touch $@

setup: $(READY)  ## virtual environment .venv with the tested versions

data: $(READY)  ## find or fetch MNIST, verify it, say where it is
	.venv/bin/lenet98 data

plan: $(READY)  ## what `make reproduce` would run, and how long that takes
	@$(RUN) -m experiments plan $(ROWS) --seeds $(SEEDS) --jobs $(JOBS)

reproduce: $(READY)  ## all classifiers of Fig. 9 anew, SEEDS x ROWS; tables and figures beside the paper's
	@status=0; $(RUN) -m experiments reproduce $(ROWS) --seeds $(SEEDS) --jobs $(JOBS) || status=$$?; \
	[ $$status -gt 1 ] || $(RUN) -m paper_figures --all --source results --output results/figures || status=$$?; \
	exit $$status

reproduce-modern: $(READY)  ## from 1998 to today: ladder, ablation, reverse and popular networks; SEEDS
	@$(RUN) -m experiments reproduce modern --seeds $(SEEDS) --jobs $(JOBS)

plan-modern: $(READY)  ## what `make reproduce-modern` would run, and how long that takes
	@$(RUN) -m experiments plan modern --seeds $(SEEDS) --jobs $(JOBS)

headline: $(READY)  ## only the headline: LeNet-5, one seed
	$(RUN) -m experiments run lenet5 --seeds 0
	@$(RUN) -m experiments table lenet5 --source both

tables: $(READY)  ## tables in README.md and docs/ from reference/
	$(RUN) -m experiments readme

figures: $(READY)  ## figures in docs/figures from reference/
	$(RUN) -m paper_figures --all --source reference --output docs/figures

report: $(READY)  ## every table and figure in one HTML page and one PDF, in report/
	$(RUN) -m paper_figures --source reference --report report

site: $(READY)  ## the documents and docstrings as a web site, in site/
	.venv/bin/sphinx-build -q -W --keep-going -c docs . site

test: $(READY)  ## the tests
	$(RUN) -m pytest -n auto --dist worksteal

lint: $(READY)  ## ruff and mypy
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

bench: $(READY)  ## time of an update, of an evaluation, of other ways to train, and peak memory
	$(RUN) -m benchmarks.online_step

clean:  ## remove what was made here, but not results/
	rm -rf .venv build dist site report docs/api .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
