# `make demo` and `make test` set up everything they need on a fresh machine.

VENV := .venv
BIN := $(VENV)/bin

# A process a core, which takes a file of tests at a time, in the order that tests/conftest.py gives.
IN_PARALLEL := --numprocesses=auto --maxprocesses=4 --dist=loadfile --no-loadscope-reorder

# The rooms whose tests need neither an engine nor a server, and take two minutes.
QUICK := tests/flows tests/assembly tests/dependencies tests/images tests/checks tests/azureml

.PHONY: demo test test-pythons test-latest test-lowest lint docs bench fuzz clean

demo: $(VENV)/ready
	scripts/demo

test: $(VENV)/ready lint
	$(BIN)/flowpack check fixtures/flows
	scripts/with-real-parts $(BIN)/pytest $(IN_PARALLEL)
	scripts/fuzz --seconds 120 $(if $(CI),--seed 1)

# For as long as one likes: make fuzz FUZZ_SECONDS=3600
FUZZ_SECONDS := 600
fuzz: $(VENV)/ready
	scripts/fuzz --seconds $(FUZZ_SECONDS)

# The quick part on the oldest and on the newest Python of this machine that flowpack supports.
test-pythons: $(VENV)/ready
	scripts/test-pythons $(IN_PARALLEL) $(QUICK)

# The quick part with what a fresh installation would get today, and with the lower bounds of pyproject.toml.
test-latest test-lowest: test-%:
	rm -rf $(VENV)-$*
	scripts/setup $(VENV)-$* $*
	$(VENV)-$*/bin/pytest $(IN_PARALLEL) $(QUICK)

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The site, in build/site. A page that is missing from the menu and a broken link or anchor are errors.
docs: $(VENV)/ready
	NO_MKDOCS_2_WARNING=true $(BIN)/mkdocs build

bench: $(VENV)/ready
	scripts/with-real-parts $(BIN)/python -m benchmarks

$(VENV)/ready: pyproject.toml requirements-dev.lock scripts/setup
	scripts/setup $(VENV)

clean:
	rm -rf $(VENV) $(VENV)-* .cache build dist
