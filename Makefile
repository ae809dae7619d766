# Two commands matter: `make demo` tries Quorum, `make test` proves it. Both install what they need into .venv first.
PYTHON ?= python3
BIN := .venv/bin
JOBS ?= 2
# Most of the code, without whole daemons and without what takes long: it is all in `make test`.
LONG := adapters/test_cost adapters/test_hostile adapters/test_recorded calls/test_hedging registry/test_watch \
	routing/test_queue strategies/test_call_counts strategies/fusion/test_council_ballots strategies/majority/test_tally
QUICK := tests/adapters tests/calls tests/core tests/observe tests/registry tests/routing tests/strategies \
	$(patsubst %,--ignore tests/%.py,$(LONG))

.DEFAULT_GOAL := help
.PHONY: help demo test quick lint lock install clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile | expand -t 16

demo: install ## simulated providers, embedded stores and the daemon on :8080, with a curl line to paste
	@exec $(BIN)/quorum demo

test: lint ## everything, against real embedded servers
	$(BIN)/pytest -q -n $(JOBS) --dist loadfile -m "not alone"
	$(BIN)/pytest -q -m alone

quick: install ## the tests of the parts, in under a minute
	$(BIN)/pytest -q -p no:xdist --hypothesis-profile quick $(QUICK)

lint: install ## style, types, and which room may import which
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/mypy deploy bench
	$(BIN)/lint-imports --no-logo
	$(BIN)/python deploy/lock.py check

lock: install ## pins the newest versions that pyproject.toml allows; commit what changed in deploy/locks
	$(BIN)/python deploy/lock.py write

install: .venv/installed ## .venv with everything, at the versions of deploy/locks

.venv/installed: pyproject.toml deploy/lock.py $(wildcard deploy/locks/*.txt)
	@command -v "$(PYTHON)" >/dev/null || { echo "$$NO_PYTHON" >&2; exit 1; }
	@"$(PYTHON)" -c "$$CHECK_PYTHON"
	@echo "install 1/4  .venv, of $$("$(PYTHON)" --version)"
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || "$(PYTHON)" -m venv .venv
	@echo "install 2/4  dependencies, as deploy/locks/dev.txt pins them (a minute or two)"
	@$(BIN)/python deploy/lock.py install dev
	@echo "install 3/4  Quorum itself, editable"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@echo "install 4/4  version 2 of the OpenAI SDK, in .venv/openai-2, for tests"
	@$(BIN)/python deploy/lock.py install openai-2 --upgrade --target .venv/openai-2
	@touch $@

clean: ## removes .venv and caches; data in .quorum stays
	rm -rf .venv .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find adapters bench deploy healthcheck router tests -name __pycache__ -prune -exec rm -rf {} +

define NO_PYTHON
Quorum needs Python 3.11 or newer; there is no $(PYTHON) here. Try: make install PYTHON=python3.12
endef

define CHECK_PYTHON
import sys
here = "$(PYTHON) here is %d.%d.%d" % tuple(sys.version_info[:3])
if sys.version_info < (3, 11):
    sys.exit("Quorum needs Python 3.11 or newer; %s. Try: make install PYTHON=python3.12" % here)
try:
    import ensurepip, venv
except ImportError:
    sys.exit("Quorum needs Python's venv module; %s, without it. Try: apt-get install python3-venv" % here)
endef
export NO_PYTHON CHECK_PYTHON
