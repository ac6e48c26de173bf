# Two commands do everything: `make demo` runs the main job, `make test` passes what CI passes.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: test check clean

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

check: $(VENV)/.installed
	$(BIN)/ruff check shipit tests
	$(BIN)/mypy

test: check
	$(BIN)/pytest

clean:
	rm -rf $(VENV) .shipit
