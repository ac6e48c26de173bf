# Two commands do everything: `make demo` runs the main job, `make test` passes what CI passes.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test check format sql clean

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(VENV)/.installed
	$(BIN)/inv deploy
	$(BIN)/inv verify-versions
	@echo
	@echo 'Next: $(BIN)/inv plan                     what a deploy would do, and why'
	@echo '      $(BIN)/inv deploy --only "email-*"  some queues; commit a change first'
	@echo '      $(BIN)/inv sandbox.stop             end the AWS on this machine'

check: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Invoke keeps Python from writing bytecode, and the tests start some hundred commands: compiled once here.
test: check
	$(BIN)/python -m compileall -q shipit
	$(BIN)/pytest -n 4 --dist worksteal

format: $(VENV)/.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# By a second grammar than the tests', and one that knows Hive's DDL; needs Node and npm.
sql: $(VENV)/.installed
	cd tools/sql && npm ci --ignore-scripts && npm run bundle
	$(BIN)/python -m tools.sql.statements | node tools/sql/check.js

clean:
	rm -rf $(VENV) .shipit tools/sql/node_modules tools/sql/bundle
