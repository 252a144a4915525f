# make demo        train and compare a VAE, a two-way and a three-way VAE-GAN on embedded images; ends with report.html
# make test        the tests that CI runs
# make test-long   the tests that take longer
# make lint        style, docstrings and types
# make docs        the site of docs/ in site/; any warning is an error
# make clean       remove the virtual environment and everything that was built; runs/ is kept
#
# Each does its own set-up from a bare clone, in the virtual environment VENV, and installs again only when setup.py has
# changed. PYTHON makes the virtual environment.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test test-long lint docs clean
.NOTPARALLEL:

demo: $(VENV)/.installed
	$(BIN)/vaegan compare configs/quickstart.yaml --output runs/quickstart --jobs 2

test: $(VENV)/.installed-test
	$(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder -m "not long"

test-long: $(VENV)/.installed-test
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile -m long

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

docs: $(VENV)/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

clean:
	rm -rf $(VENV) build dist site *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(VENV)/.installed: WHAT := .[all]
$(VENV)/.installed-test: WHAT := .[test]
$(VENV)/.installed-dev: WHAT := .[dev]
$(VENV)/.installed-docs: WHAT := .[docs]

$(VENV)/.installed $(VENV)/.installed-test $(VENV)/.installed-dev $(VENV)/.installed-docs: setup.py | $(BIN)/pip
	$(BIN)/python -m pip install --editable '$(WHAT)'
	@touch $@

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "vaegan needs Python 3.10 or newer; name one, as in: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || \
		{ echo "$(PYTHON) cannot make virtual environments; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --upgrade pip
