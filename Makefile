# make setup   .venv with the package, its training extra and the tools; quick and silent when up to date
# make demo    set up, then fit, backtest, draw and stream real forecasts into demo/
# make test    set up, then run the tests, those of docs/ and examples/ among them
# make bench   set up, then measure speed beside everyone else, into benchmarks/speed
# make check   set up, then lint, format, types, layers and docs
# make wheel   a manylinux wheel into dist/, audited, and tested where there is no compiler and no torch
# make docs    the documentation into docs/_build/html

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PIP := $(BIN)/python -m pip --disable-pip-version-check
SOURCES := $(shell find src native -type f ! -name '*.so' ! -name '*.pyc') $(wildcard CMakeLists.txt) \
	pyproject.toml constraints.txt README.md LICENSE

NATIVE := $(shell find native -name '*.[ch]' -o -name '*.[ch]pp')

.PHONY: setup demo test slow bench check wheel docs clean

setup: $(INSTALLED)

# The package is installed as a user has it, not as a link to src/: the tests then also see what was not packed.
# Nothing but the package itself is downloaded or built where all else is there already.
# PEEPHOLE_REQUIRE_CORE: a core that cannot be built is an error here, and not done without.
$(INSTALLED): $(SOURCES) | $(VENV)/.tools
	PEEPHOLE_REQUIRE_CORE=1 $(PIP) install --quiet --no-build-isolation -c constraints.txt ".[train,dev]"
	@touch $@

$(VENV)/.tools: constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "setup: $(PYTHON) must be Python 3.11 or newer (got $$($(PYTHON) --version 2>&1)); name another one: make setup PYTHON=python3.12"; exit 1; }
	@command -v "$${CXX:-c++}" >/dev/null || { \
		echo "setup: a C++17 compiler is needed and $${CXX:-c++} was not found; install g++ or clang (on Debian: apt-get install g++)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "setup: $(PYTHON) has no module venv; install it (on Debian: apt-get install python3-venv)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet -c constraints.txt scikit-build-core nanobind cmake ninja
	@touch $@

demo: setup
	$(BIN)/peephole demo --out demo

test: setup
	OMP_NUM_THREADS=1 $(BIN)/pytest

slow: setup
	OMP_NUM_THREADS=1 $(BIN)/pytest -m slow || [ $$? -eq 5 ] # 5: there are none

bench: setup
	$(BIN)/peephole bench --out benchmarks/speed

check: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/clang-format --dry-run -Werror $(NATIVE)
	$(BIN)/basedpyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports
	$(MAKE) docs

wheel:
	PYTHON=$(PYTHON) .ci/wheel

docs: setup
	$(BIN)/sphinx-build -W --keep-going -q docs docs/_build/html

clean:
	rm -rf $(VENV) build dist demo docs/_build docs/generated .pytest_cache .ruff_cache .hypothesis .import_linter_cache
