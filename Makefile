# Everything that is done in this repository. Each target installs what it needs first, inside this folder only (Debian's
# packages when you are root); when nothing is missing that costs a hundredth of a second.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup tests-setup page package screenshots demo up down status doctor test check unit ci behaviour bench clean

PYTHON := .venv/bin/python
# The folder of the stack; another one holds another stack: make up STACK_HOME=/tmp/other
STACK_HOME ?= .local
export STACK_HOME

# Tests that start no emulator and no stack.
FAST := $(wildcard tests/unit tests/orchestrators tests/activities)

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install what is missing
	@sh local/setup/setup.sh

# What the tests need besides: Debian's Chromium, and an environment like the app's on Azure.
tests-setup:
	@sh local/setup/setup.sh tests

page: setup ## build the page into web/dist (done by every target that needs it)

package: setup ## build dist/app.zip, exactly what is deployed
	@$(PYTHON) -m deploy.package

screenshots: tests-setup ## make the pictures of README and docs anew, from a real stack
	@$(PYTHON) -m tests.web.screenshots

demo: setup ## set up, start the stack, run a real search on a real database and show it
	@$(PYTHON) -m local.demo

up: setup ## start the stack and leave it running; says where it is
	@$(PYTHON) -m local.stack up

# These two install nothing: where there is no .venv, no stack can be up.
down: ## stop the stack that "make up" started
	@if [ -x $(PYTHON) ]; then $(PYTHON) -m local.stack down; else echo "There was no stack to stop."; fi

status: ## say whether the stack is up and where everything is
	@if [ -x $(PYTHON) ]; then $(PYTHON) -m local.stack status; else echo "The stack is not up."; exit 3; fi

doctor: ## say what is missing on this machine and how to get it
	@python=$$(sh local/setup/find-python.sh) && "$$python" -m local.stack doctor

test: tests-setup ## run all tests; says at the end how many were skipped, and why
	@$(PYTHON) -m local.setup.run_tests

unit: setup ## run the fast tests
	@$(PYTHON) -m pytest -p local.setup.skips $(FAST)

check: setup ## lint, format, types, layers, and the list of what must be true
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	@$(MAKE) --no-print-directory behaviour

behaviour: setup ## say which tests prove which line of docs/behaviour.md
	@$(PYTHON) -m tests.behaviour

ci: check test ## what continuous integration runs

bench: setup ## measure how fast the product is here; ONLY="flip lists" runs these only
	@$(PYTHON) -m bench $(ONLY)

clean: ## stop the stack and remove what it and the tools have written, but not .venv and node_modules
	@if [ -x $(PYTHON) ]; then $(PYTHON) -m local.stack down; fi
	rm -rf dist "$(STACK_HOME)"/state "$(STACK_HOME)"/logs "$(STACK_HOME)"/demo .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -not -path './node_modules/*' -prune -exec rm -rf {} +
