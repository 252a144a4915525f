# Every target does its own set-up, from a bare clone, in a virtual environment in the checkout. It installs again only
# when setup.py has changed.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test test-long lint clean

demo: $(VENV)/.installed  ## train and compare three variants on embedded images, about five minutes
	$(BIN)/vaegan compare configs/quickstart.yaml --output runs/quickstart

test: $(VENV)/.installed-test
	$(BIN)/python -m pytest -m "not long"

test-long: $(VENV)/.installed-test
	$(BIN)/python -m pytest -m long

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(VENV)/.installed: WHAT := .
$(VENV)/.installed-test: WHAT := .[test]
$(VENV)/.installed-dev: WHAT := .[dev]

$(VENV)/.installed $(VENV)/.installed-test $(VENV)/.installed-dev: setup.py | $(BIN)/pip
	$(BIN)/python -m pip install --editable '$(WHAT)'
	@touch $@

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "vaegan needs Python 3.10 or newer; name one, as in: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || \
		{ echo "$(PYTHON) cannot make virtual environments; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --upgrade pip
