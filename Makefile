# `make demo` and `make test` set up everything they need on a fresh machine.

VENV := .venv
BIN := $(VENV)/bin

# A process a core, which takes a file of tests at a time, in the order that tests/conftest.py gives.
IN_PARALLEL := --numprocesses=auto --maxprocesses=4 --dist=loadfile --no-loadscope-reorder

.PHONY: demo test lint bench fuzz clean

demo: $(VENV)/ready
	scripts/demo

test: $(VENV)/ready lint
	$(BIN)/flowpack check fixtures/flows
	scripts/with-real-parts $(BIN)/pytest $(IN_PARALLEL)
	scripts/fuzz --seconds 120

# For as long as one likes: make fuzz FUZZ_SECONDS=3600
FUZZ_SECONDS := 600
fuzz: $(VENV)/ready
	scripts/fuzz --seconds $(FUZZ_SECONDS)

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/ready
	scripts/with-real-parts $(BIN)/python -m benchmarks

$(VENV)/ready: pyproject.toml scripts/setup
	scripts/setup $(VENV)

clean:
	rm -rf $(VENV) .cache build dist
