# Two commands matter: `make demo` tries Quorum, `make test` proves it. Both install what they need into .venv.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint install clean

demo: install
	@exec $(BIN)/quorum demo

test: install lint
	$(BIN)/pytest

lint: install
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

install: .venv/installed

# The second pip line lays version 2 of the OpenAI SDK beside version 3, since many frameworks still resolve to it.
.venv/installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[embedded,dev]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade --target .venv/openai-2 'openai>=2,<3'
	touch $@

clean:
	rm -rf .venv .quorum
