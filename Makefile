# Each target does its own set-up: Python >= 3.11 with venv, and make, are all it takes.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
BENCHMARKS = $(filter-out benchmarks/__init__.py benchmarks/report.py,$(wildcard benchmarks/*.py))

.DEFAULT_GOAL := help
.PHONY: help install demo test simulate mutants chaos check format docs bench lock clean

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "tenantctl needs Python 3.11 or newer; name one: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

install: $(STAMP) ## Set up .venv with the locked, hash-checked dependencies

demo: $(STAMP) ## Live through a tenant's whole life on a local cloud
	@$(BIN)/python -m tests.demo

test: $(STAMP) ## Run all tests (PYTEST_ARGS='-n 2' runs them in parallel)
	$(BIN)/python -m pytest $(PYTEST_ARGS)

simulate: $(STAMP) ## Live through many tenants' years with faults (YEARS=100 SEED=1 CADENCE=nightly|monthly)
	@$(BIN)/python -m tests.simulation --years $(or $(YEARS),100) $(if $(SEED),--seed $(SEED)) --cadence $(or $(CADENCE),nightly)

mutants: $(STAMP) ## Plant known mistakes in a copy of the code, and see that each is found
	@$(BIN)/python -m tests.simulation.mutants

chaos: $(STAMP) ## Kill and pause workers while clouds fail (MINUTES=10 TENANTS=200 WORKERS=4 SEED=1)
	@$(BIN)/python -m tests.chaos --minutes $(or $(MINUTES),10) --tenants $(or $(TENANTS),200) --workers $(or $(WORKERS),4) \
		$(if $(SEED),--seed $(SEED))

check: $(STAMP) ## Check format, lint, types, the contracts of the house and the Dockerfile
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile

format: $(STAMP) ## Format the code and mend what the linter can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(STAMP) ## Write the parts of docs/ that come from the code
	$(BIN)/python -m tests.house.write_docs

bench: $(STAMP) ## Run every benchmark, each with its ratios
	@missed=0; for file in $(BENCHMARKS); do $(BIN)/python $$file || missed=1; done; exit $$missed

LOCK = uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header

lock: ## Pin every dependency anew, with hashes (needs uv)
	$(LOCK) --extra local --extra s3 --extra service --extra telemetry --extra dev pyproject.toml -o requirements.lock
	$(LOCK) --extra s3 --extra service --extra telemetry -c requirements.lock pyproject.toml -o requirements-run.lock
	$(LOCK) --group image -c requirements.lock -o requirements-build.lock

clean: ## Remove the virtual environment and the caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
