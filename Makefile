# Everything happens in an environment of its own, .venv.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python

.PHONY: help run test oldest lint docs gpu clean

help: ## this text
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

run: $(VENV)/run ## cluster the digits, ask 50 questions, report in runs/digits
	$(RUN) launch.py --config=configs/digits.py --workdir=runs/digits

test: $(VENV)/test ## all tests
	$(RUN) -m pytest -n 2 --dist=worksteal -q

oldest: $(VENV)-oldest/test ## the tests of arrays alone, on the oldest JAX that is supported
	$(VENV)-oldest/bin/python -m pytest -n 2 -q tests/ops tests/scores tests/losses tests/selectors

lint: $(VENV)/test ## ruff, mypy and the spelling
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	$(VENV)/bin/codespell

docs: $(VENV)/docs ## the documentation, in site/; a warning is an error, no network is used
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build
	@echo "site/index.html; with the search: $(RUN) -m http.server -d site"

gpu: $(VENV)/run ## what a GPU is asked for, into runs/gpu (see benchmarks/gpu.py)
	$(RUN) -m benchmarks.gpu

clean: ## remove the environment and what the runs left
	rm -rf $(VENV) $(VENV)-oldest runs site .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/run: $(VENV)/bin/python requirements.txt
	$(RUN) -m pip install -q --disable-pip-version-check -r requirements.txt
	touch $@

$(VENV)/test: $(VENV)/run pyproject.toml
	$(RUN) -m pip install -q --disable-pip-version-check -e '.[train,data,page,docs,dev]'
	touch $@

$(VENV)/docs: $(VENV)/bin/python pyproject.toml
	$(RUN) -m pip install -q --disable-pip-version-check -e '.[docs]'
	touch $@

$(VENV)-oldest/test: tests/oldest.txt
	$(PYTHON) -m venv $(VENV)-oldest
	$(VENV)-oldest/bin/python -m pip install -q --disable-pip-version-check -r tests/oldest.txt
	touch $@
