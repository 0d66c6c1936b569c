# hubbub: what to do with a checkout. `make` lists it. Everything goes into .venv and node_modules; nothing global.

PYTHON ?= python3
UV     ?= uv
ARGS   ?=
# How `make test` spreads over processes; ARGS='-n 0' runs in one, for a debugger.
SPREAD := -n 3 --dist worksteal

VENV := .venv
BIN  := $(VENV)/bin
NODE := $(shell command -v node >/dev/null 2>&1 && command -v npm >/dev/null 2>&1 && echo yes)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help install run run-cluster test soak lint check bench lock clean

help: ## Show this list
	@echo "hubbub: make <target>   (ARGS='...' is passed on to run, run-cluster, test and bench)"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(VENV)/hubbub.stamp ## Make .venv and install hubbub with its pinned dependencies

run: $(VENV)/hubbub.stamp ## Serve on http://127.0.0.1:3001 in the development profile
	@exec $(BIN)/hubbub serve --dev $(ARGS)

run-cluster: $(VENV)/dev.stamp $(VENV)/hubbub.stamp ## Serve by three nodes with PostgreSQL, Valkey and a balancer, on http://127.0.0.1:3001
	@exec $(BIN)/python -m tools.cluster $(ARGS)

test: $(VENV)/dev.stamp $(VENV)/hubbub.stamp $(if $(NODE),tests/js/node_modules/.package-lock.json) ## Set up and run all tests
	@$(BIN)/python -m pytest $(SPREAD) $(ARGS)

soak: $(VENV)/dev.stamp $(VENV)/hubbub.stamp $(if $(NODE),tests/js/node_modules/.package-lock.json) ## Faults at random for MINUTES=n from SEED=s, over NODES=yes: nothing may be lost
	@$(BIN)/python -m tests.lossless $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED)) $(if $(NODES),--nodes) $(ARGS)

lint: $(VENV)/dev.stamp ## Check style, types, import rules and sizes
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/python tools/check_sizes.py

check: ## Exactly what CI runs: lint and test
	@.ci/run

bench: $(VENV)/bench.stamp $(VENV)/hubbub.stamp $(if $(NODE),node-peers) ## Measure hubbub and its peers side by side
	@$(BIN)/python -m benchmarks $(ARGS)

lock: ## Pin the dependencies anew, at their newest (needs uv, and npm; for maintainers)
	@command -v $(UV) >/dev/null || { echo "make lock needs uv: install it, or name it with UV=/path/to/uv"; exit 2; }
	$(UV) $(COMPILE) --group build -o requirements/run.txt
	$(UV) $(COMPILE) --group build --group test --group lint -c requirements/run.txt -o requirements/dev.txt
	$(UV) $(subst pyproject.toml,,$(COMPILE)) --group bench -c requirements/dev.txt -o requirements/bench.txt
	cd tests/js && npm update --package-lock-only
	cd benchmarks/node && npm update --package-lock-only

clean: ## Remove what the tools made (data/ stays)
	rm -rf $(VENV) build dist tests/js/node_modules benchmarks/node/node_modules
	rm -rf .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find src tests benchmarks tools -name __pycache__ -type d -prune -exec rm -rf {} +

# ------------------------------------------------------------------------------------------------------------------

# One lock for every platform and every Python from 3.11 on; no address of any registry in it.
COMPILE := pip compile pyproject.toml --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"

define TOO_OLD
import sys
if sys.version_info < (3, 11):
    sys.exit("hubbub needs Python 3.11 or newer, and $(PYTHON) is %d.%d; name another one: make PYTHON=python3.12 ..." % sys.version_info[:2])
endef
export TOO_OLD

$(BIN)/pip:
	@command -v $(PYTHON) >/dev/null || { echo "hubbub needs Python 3.11 or newer, and there is no $(PYTHON) here"; exit 2; }
	@$(PYTHON) -c "$$TOO_OLD" || exit 2
	@echo "Making $(VENV)"
	@$(PYTHON) -m venv $(VENV)

# A stamp is as old as the last time that its lock file was installed.
$(VENV)/run.stamp: requirements/run.txt | $(BIN)/pip
	@echo "Installing the pinned dependencies into $(VENV): a minute, perhaps"
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements/run.txt
	@touch $@

$(VENV)/hubbub.stamp: pyproject.toml $(VENV)/run.stamp
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/dev.stamp: requirements/dev.txt $(VENV)/run.stamp | $(VENV)/hubbub.stamp
	@echo "Installing the pinned tools for tests and lint into $(VENV): a minute, perhaps"
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements/dev.txt
	@touch $@

$(VENV)/bench.stamp: requirements/bench.txt $(VENV)/dev.stamp
	@echo "Installing what makes the plots into $(VENV)"
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements/bench.txt
	@touch $@

tests/js/node_modules/.package-lock.json: tests/js/package.json tests/js/package-lock.json
	@echo "Installing the JavaScript client for the tests"
	@cd tests/js && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

# A peer that cannot be installed is left out of the table by name: no reason to measure nothing.
.PHONY: node-peers
node-peers:
	@cd benchmarks/node && { npm ls >/dev/null 2>&1 || npm ci --no-audit --no-fund || true; }
