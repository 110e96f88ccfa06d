# `make demo` and `make test` set up everything they need on a fresh machine.

VENV := .venv
BIN := $(VENV)/bin

# A process a core, which takes a file of tests at a time, in the order that tests/conftest.py gives.
IN_PARALLEL := --numprocesses=auto --maxprocesses=4 --dist=loadfile --no-loadscope-reorder

# The rooms whose tests need neither an engine nor a server, and take two minutes.
QUICK := tests/documents tests/flows tests/assembly tests/dependencies tests/images tests/checks tests/azureml

# Of these, the files that start many programs or read long texts: four fifths of the time. `make test` leaves them out
# where it runs the quick tests on other Pythons; `make test-pythons` does not.
LONG := assembly/test_big_flows azureml/models/test_many_writers checks/test_against_promptflow \
    dependencies/test_linear_readers dependencies/test_real_index dependencies/test_resolvers \
    dependencies/test_source_distributions dependencies/test_uv_resolver flows/test_reader_fuzz images/test_fetch_by_hash \
    images/test_install_packages
QUICKEST := $(QUICK) $(LONG:%=--ignore=tests/%.py)

.PHONY: demo test test-pythons test-releases test-latest test-lowest lint docs bench fuzz clean

demo: $(VENV)/ready
	scripts/demo

# It makes $(VENV)/ready as well, while the real parts come up.
test:
	MAKE="$(MAKE)" scripts/test $(IN_PARALLEL) -- $(QUICKEST)

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

# Every release of promptflow with each kind of flow; it goes on where it stopped.
RELEASES_AT_A_TIME := 2
test-releases: $(VENV)/ready
	$(BIN)/python scripts/test-releases --jobs $(RELEASES_AT_A_TIME)

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
