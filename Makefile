# Every target makes the virtual environment it needs in .venv; nothing has to be set up by hand.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt

# Stamps: written only after the step they stand for has succeeded, so that an interrupted install starts again.
CREATED := $(VENV)/.created
RUNTIME := $(VENV)/.runtime
DEV := $(VENV)/.dev
DOCS := $(VENV)/.docs
SPEC := pyproject.toml constraints.txt

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: demo test check bench docs clean help

demo: $(RUNTIME) ## Train the demonstration study and write its report page (finished work is reused)
	@$(BIN)/interp demo

test: $(DEV) ## Run the tests, a process for each core
	@$(BIN)/python -m pytest -n auto --dist loadfile $(ARGS)

check: $(DEV) ## Lint, formatting, types, import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright
	$(BIN)/lint-imports

bench: $(DEV) ## Measure speed side by side with other libraries
	@$(BIN)/python -m benchmarks $(ARGS)

docs: $(DOCS) ## Build the documentation site in build/docs; a warning is an error
	@$(BIN)/python -m sphinx -q -W --keep-going -d build/doctrees -b html docs build/docs
	@echo "build/docs/index.html"

clean: ## Remove the virtual environment and caches (runs/ stays)
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

help: ## Show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 10
	@echo "Variables: PYTHON=$(PYTHON) (makes the virtual environment), ARGS= (passed on by test and bench)"

$(CREATED):
	@$(PYTHON) -c 'import sys; sys.exit("%s is Python %d.%d, but 3.11 or newer is needed: make PYTHON=/path/to/python3.11" \
		% ((sys.executable,) + sys.version_info[:2]) if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(RUNTIME): $(SPEC) | $(CREATED)
	@echo "Installing into $(VENV); the first time takes a few minutes ..."
	@$(PIP_INSTALL) -e .
	@touch $@

$(DEV): $(SPEC) | $(CREATED)
	@echo "Installing with development tools into $(VENV); the first time takes a few minutes ..."
	@$(PIP_INSTALL) -e ".[dev]"
	@touch $(RUNTIME) $@

$(DOCS): $(SPEC) | $(CREATED)
	@echo "Installing with what the documentation needs into $(VENV); the first time takes a few minutes ..."
	@$(PIP_INSTALL) -e ".[docs]"
	@touch $(RUNTIME) $@
