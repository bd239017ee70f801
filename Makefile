# Every command that people and CI use. `make help` lists them.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup demo test check format lock bench model clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

setup: $(STAMP) ## Make the virtual environment from the pinned lock

$(STAMP): requirements/dev.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/dev.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $(STAMP)

demo: $(STAMP) ## Replay real purchases through a broker and a worker, live in the terminal (ARGS="--events 2000")
	$(BIN)/intentstream demo $(ARGS)

test: $(STAMP) ## Run every test; a missing Kafka is a failure in CI and a skip elsewhere
	$(BIN)/python -m pytest $(ARGS)

check: $(STAMP) ## Lint, types, import rules, lock up to date
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python requirements/lock.py --check

format: $(STAMP) ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: $(STAMP) ## Resolve the dependencies again and write requirements/*.lock
	$(BIN)/python requirements/lock.py

bench: $(STAMP) ## Measure on a real Kafka and write benchmarks/results.md
	$(BIN)/python -m benchmarks $(ARGS)

model: $(VENV)-distill/.installed ## Rebuild the model in an environment of its own (torch); ARGS="measure t.txt": that step
ifdef ARGS
	$(VENV)-distill/bin/python -m inference.distillation $(ARGS)
else
	$(VENV)-distill/bin/python -m inference.distillation export
	$(VENV)-distill/bin/python -m streams.demo.files build/model
	$(VENV)-distill/bin/python -m streams examples --share 0.2 --output build/model/examples.npz \
		--catalog build/model/items.jsonl --events build/model/events.jsonl
	$(VENV)-distill/bin/python -m inference.distillation ranker build/model/examples.npz
endif

$(VENV)-distill/.installed: requirements/distill.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)-distill
	$(VENV)-distill/bin/python -m pip install --quiet --require-hashes -r requirements/distill.lock
	$(VENV)-distill/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

clean: ## Remove the virtual environments and caches
	rm -rf $(VENV) $(VENV)-distill .mypy_cache .pytest_cache .ruff_cache .hypothesis build ./*.egg-info
