# Each of `make quickstart` and `make test` does all set-up on a machine with Python 3.11 or newer.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Where torch comes from, if not from the default index: https://download.pytorch.org/whl/cpu has it without CUDA.
TORCH_INDEX ?=

.PHONY: quickstart test unit long check lint types docs report-example memo-example clean

quickstart: $(READY)
	$(BIN)/clairkit quickstart

test: $(READY)
	$(BIN)/python -m pytest -q -n logical --maxprocesses 4 --dist worksteal -m "not long"

unit: $(READY)
	$(BIN)/python -m pytest -q -n logical --maxprocesses 4 --dist worksteal -m "not slow and not long"

long: $(READY)
	$(BIN)/python -m pytest -q -m long -o faulthandler_timeout=3600

check: lint types test

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# The package as it is installed: kernels/ops, cli and bench stand under other names there.
types: $(READY)
	rm -rf build/typed && mkdir -p build/typed
	cp -r clairkit build/typed/clairkit
	cp -r kernels/ops build/typed/clairkit/kernels
	cp -r cli build/typed/clairkit/cli
	cp -r bench build/typed/clairkit/bench
	cd build/typed && $(abspath $(BIN))/mypy --config-file $(CURDIR)/pyproject.toml -p clairkit

$(READY): pyproject.toml constraints.txt $(wildcard kernels/csrc/*)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "clairkit needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version). Try: make PYTHON=python3.12"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(if $(TORCH_INDEX),$(BIN)/python -m pip install --quiet --constraint constraints.txt --index-url $(TORCH_INDEX) torch)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@$(BIN)/python -c 'import clairkit.kernels._native' 2>/dev/null \
	  && echo "Native kernels: built." \
	  || echo "Native kernels: not built (no C compiler?); the torch kernels do the work, only slower."
	touch $(READY)

docs: $(READY)
	$(BIN)/python -m clairkit.cli.document > docs/commands.md
	$(BIN)/python tests/support/draw_house.py

# A real page, from the quickstart's own run; paths of this machine are taken out of it.
report-example: $(READY)
	rm -rf build/example
	$(BIN)/clairkit quickstart -o build/example --quiet
	sed -i.bak "s|$(CURDIR)/||g" build/example/pairs.jsonl build/example/scored.jsonl
	$(BIN)/clairkit report build/example/pairs.jsonl build/example/scored.jsonl \
	  build/example/trained -o docs/example_report.html --force

# Real memos, from the quickstart's own run.
memo-example: $(READY)
	rm -rf build/memo
	$(BIN)/clairkit quickstart -o build/memo --quiet
	$(BIN)/clairkit pilot memo build/memo -o docs/example_memo.html --force
	$(BIN)/clairkit pilot memo build/memo -o docs/example_memo.ja.html --language ja --force

clean:
	rm -rf $(VENV) build dist *.egg-info
