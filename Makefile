# Two commands: `make serve` talks, `make test` tests. Each installs what it needs into .venv; the second time takes a
# second. Neither removes what the other has installed.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
UV     := 0.13.9
READY  := $(VENV)/.ready
DEV    := $(VENV)/.ready-dev

.DEFAULT_GOAL := help
.PHONY: help serve test unit soak-tests check lint types format wheel wheel-test pins clean

help:
	@echo "make serve    talk to the assistant in your browser"
	@echo "make test     run all tests"
	@echo "make unit     run the unit tests only"
	@echo "make soak-tests N=10    run all tests but those with real peers, ten times in a row"
	@echo "make check    lint and types"
	@echo "make wheel    build dist/*.whl"

serve: $(READY)
	$(BIN)/vivavoce serve $(ARGS)

# Bytecode is kept, outside the sources: tests start many processes, and each would compile all that it imports.
TESTS := env -u PYTHONDONTWRITEBYTECODE PYTHONPYCACHEPREFIX=$(CURDIR)/build/pycache $(BIN)/python

# Models that tests use beside those of a call: not all of the catalog, which has 1.1 GB more.
TESTED := piper-joe whisper-base smollm2-135m kokoro photographs speech-clips

test: peers
	$(BIN)/vivavoce models pull && $(BIN)/vivavoce models pull $(TESTED)
	$(TESTS) tests/harness/lanes.py --hypothesis-profile=ci $(ARGS)

unit: $(DEV)
	$(TESTS) tests/harness/lanes.py --halves -m "not slow and not integration and not models and not peers" $(ARGS)

# Everything but real peers, N times in a row: until a run is red.
N ?= 10
soak-tests: $(DEV)
	$(BIN)/vivavoce models pull && $(BIN)/vivavoce models pull $(TESTED)
	@for run in $$(seq $(N)); do \
	    echo "--- run $$run of $(N)"; $(TESTS) tests/harness/lanes.py -q -m "not peers" $(ARGS) || exit 1; \
	done

check: lint types

lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(DEV)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Type checkers do not follow the import hook of an editable install, so they get a view in which the folders have their names.
types: $(DEV)
	@mkdir -p build/view && ln -sfn ../.. build/view/vivavoce
	cd build/view && MYPYPATH=../../tests ../../$(BIN)/mypy --config-file ../../pyproject.toml \
	    -p vivavoce.codecs -p vivavoce.model -p vivavoce.realtime -p vivavoce.tests -p harness

wheel: $(READY)
	rm -rf dist build/lib
	$(BIN)/uv build --wheel --python $(BIN)/python --out-dir dist .

# Run this after a change of the dependencies in pyproject.toml. Both files hold names, versions and hashes for every
# platform and Python 3.11 to 3.13. The run pins are held to the versions of the others, so that both fit one .venv.
PIN := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
       --no-emit-find-links --no-annotate --no-header

pins: $(READY)
	$(BIN)/$(PIN) --extra train --extra dev --upgrade pyproject.toml -o pins-dev.txt
	$(BIN)/$(PIN) --extra sip --constraint pins-dev.txt --upgrade pyproject.toml -o pins.txt

clean:
	rm -rf $(VENV) build dist *.egg-info

# --- the environment ----------------------------------------------------------------------------------------------

INSTALL := $(BIN)/uv pip install --quiet --python $(BIN)/python

# Debian and Ubuntu ship Python without venv; it is installed where the user may install packages.
$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	    || { echo "Vivavoce needs Python 3.11 or newer; $(PYTHON) is older. Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) 2>/dev/null || { rm -rf $(VENV); $(call apt,python3-venv) && $(PYTHON) -m venv $(VENV); } \
	    || { echo "Python's venv module is missing. Install it with: sudo apt-get install python3-venv"; exit 1; }
	@echo "Setting up $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV)

# What a call needs.
$(READY): pyproject.toml pins.txt | $(BIN)/uv
	@echo "Installing the packages of a call into $(VENV) (680 MB) ..."
	@$(INSTALL) --require-hashes -r pins.txt
	@$(INSTALL) --no-deps --editable .
	@touch $@

# What tests, lint and training need beyond that.
$(DEV): $(READY) pins-dev.txt
	@echo "Installing the packages of tests and training into $(VENV) (5 GB on Linux x86-64, most of it PyTorch) ..."
	@$(INSTALL) --require-hashes -r pins-dev.txt
	@touch $@

# Real peers of the tests: Chromium for the page, Node.js for its modules and the JavaScript clients, SIPp and Kamailio
# for phone calls, the official clients. Without them those tests are reported as skipped, with the command that would enable them.
.PHONY: peers
peers: $(DEV)
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null \
	    || [ -d "/Applications/Google Chrome.app" ] || { $(call apt,chromium fonts-dejavu-core); } || true
	@command -v npm >/dev/null || { $(call apt,nodejs npm); } || true
	@{ command -v sipp && command -v kamailio; } >/dev/null || { $(call apt,sip-tester kamailio); } || true
	@cd tests && $(CURDIR)/$(BIN)/python -m harness.clients || true

apt = command -v apt-get >/dev/null && { [ "$$(id -u)" = 0 ] && sudo= || sudo="sudo -n"; $$sudo true 2>/dev/null; } \
    && echo "Installing $(1) ..." && $$sudo apt-get update -qq && $$sudo env DEBIAN_FRONTEND=noninteractive \
       apt-get install -y -qq --no-install-recommends $(1) >/dev/null
