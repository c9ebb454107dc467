# make run | test | lint | bench | mutants | faults | soak | clean. Needs Python 3.11, 3.12 or 3.13 and make; everything else is set up in .venv.
# THUMBWHEEL_PYTHON names a Python, THUMBWHEEL_TORCH_INDEX where torch's CPU build comes from.

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
FAST := not slow and not browser and not kafka and not faults
TEST_ARGS ?=

# The first Python that starts and is supported.
FIND_PYTHON = for name in "$$THUMBWHEEL_PYTHON" python3.11 python3.12 python3.13 python3 python; do \
	[ -n "$$name" ] && "$$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null \
	&& { python="$$name"; break; }; done; \
	[ -n "$$python" ] || { echo "error: Python 3.11, 3.12 or 3.13 was not found.  hint: install one, or name it: THUMBWHEEL_PYTHON=/path/to/python3.11 make $@" >&2; exit 1; }

.PHONY: run setup setup-test test test-all-marked faults soak mutants lint check-js bench lock table reference clean

run: setup
	@exec $(BIN)/thumbwheel up

setup:
	@$(FIND_PYTHON); exec "$$python" deploy/setup/bootstrap.py run

setup-test:
	@$(FIND_PYTHON); exec "$$python" deploy/setup/bootstrap.py test

test: setup-test
	@$(BIN)/python -m pytest -q -m "$(FAST)" $(TEST_ARGS)
	@echo "Left out: slow (real model), browser, kafka and faults tests. Run them with: make test-all-marked"

test-all-marked: setup-test
	@$(BIN)/python -m pytest -q -m "not ($(FAST))" $(TEST_ARGS)

# The fault scenarios in full: every program killed at least 50 times. Takes hours; FAULTS_SEED=N repeats a run.
faults: setup-test
	@FAULTS_THIRD=all FAULTS_ROUNDS=$${FAULTS_ROUNDS:-50} $(BIN)/python -m pytest -q -s -m faults tests/faults $(TEST_ARGS)

# An hour of mixed load with random faults. SOAK_ARGS="--minutes 5 --kafka" for another one.
soak: setup-test
	@$(BIN)/python -m tests.faults.soak $(SOAK_ARGS)

# Changes the code a little, many times, and lists the changes that no test notices: an hour. MUTANTS_ARGS="--share 1" takes
# every change that mutmut can think of, which takes hours; "--share 0" those by hand alone. Installs mutmut the first time.
mutants: setup-test
	@$(BIN)/python -c 'import mutmut' 2>/dev/null || $(BIN)/python -m pip install --quiet --disable-pip-version-check mutmut==3.8.1
	@$(BIN)/python -m tests.mutants $(MUTANTS_ARGS)

lint: setup-test
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet . || { echo "Run $(BIN)/ruff format ." >&2; exit 1; }
	@$(BIN)/mypy
	@cd sdk/python && ../../$(BIN)/mypy thumbwheel --config-file pyproject.toml

check-js:
	@command -v npm >/dev/null || { echo "Node.js is absent: the built JavaScript is not checked."; exit 0; }; \
	for folder in sdk/js examples/frameworks; do \
		[ $$folder/node_modules/.package-lock.json -nt $$folder/package-lock.json ] \
		|| (cd $$folder && npm ci --silent --no-audit --no-fund) || exit 1; \
	done; cd sdk/js && npm run --silent typecheck && npm run --silent check-dist && npm test --silent

# Short ones first, `gate` takes 20 minutes; `rivals` installs what it compares with the first time; the last two use the demo model and take minutes.
bench: setup-test
	@for program in log_append log_writers collector rivals processor hot_interaction end_to_end processors kafka_clients quota duplicates annotators gate candidates raters trainer_overhead; do \
		[ -f bench/$$program.py ] || continue; \
		printf '\n== bench.%s\n' $$program; $(BIN)/python -m bench.$$program || failed="$$failed $$program"; \
	done; \
	if command -v npm >/dev/null; then printf '\n== sizes of the browser SDK\n'; npm --prefix sdk/js run --silent size; fi; \
	[ -z "$$failed" ] || { echo "Failed or below target:$$failed" >&2; exit 1; }
	@echo "Left out: bench.guards, which calibrates the guards and takes half an hour: $(BIN)/python -m bench.guards"
	@echo "and bench.processor_growth, which fills the tables with ten million events: $(BIN)/python -m bench.processor_growth --events 10_000_000"

lock:
	@$(BIN)/python deploy/setup/lock.py

# Trains every cell of objective x tuning x family on tiny models, and writes docs/reference/tuning-table.md from it.
table: setup-test
	@$(BIN)/python -m tests.trainer.tuning_table

# The pages and the schema that are made from code.
reference: setup-test
	@$(BIN)/python -m contract.schema
	@$(BIN)/python deploy/reference_pages.py

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build *.egg-info sdk/python/*.egg-info sdk/js/node_modules \
		examples/frameworks/node_modules examples/frameworks/dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
