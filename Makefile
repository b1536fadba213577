# make demo · make test · make slow · make check · make lint · make wheel — each sets itself up in .venv.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin

.PHONY: demo test quick loaded slow lint check fuzz wheel help-page clean

$(VENV)/.ready: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.13")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

demo: $(VENV)/.ready
	$(BIN)/director demo

test: $(VENV)/.ready
	$(BIN)/python -m pytest

quick: $(VENV)/.ready
	$(BIN)/python -m pytest -m 'not system'

loaded: $(VENV)/.ready    # what loaded sources may do and what they cannot, in real actors; a minute
	$(BIN)/python -m pytest -m 'not slow' tests/system/test_ordinary.py tests/system/test_isolation.py \
	    tests/system/test_future_python.py

slow: $(VENV)/.ready    # what `make test` leaves out for its length: cuts of 90 s, 200 MB; some 10 minutes
	SLOW=1 $(BIN)/python -m pytest -rA -m long

lint: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check: lint test

fuzz: $(VENV)/.ready    # 10,000 changed files, manifests and expressions, and what takes minutes
	MUTATIONS=10000 SLOW=1 $(BIN)/python -m pytest tests/tls/test_verify.py tests/settings/test_expressions.py \
	    tests/system/test_trust.py tests/tls/test_large.py \
	    -k 'no_change or no_manifest or no_expression or gave_the_source_up or 200_mb'

wheel: $(VENV)/.ready
	$(BIN)/python -m build --wheel --outdir dist .

help-page: $(VENV)/.ready    # after a change of a command's first sentence
	$(BIN)/python -c 'from director.cli.about import write_page; write_page()'

clean:
	rm -rf $(VENV) dist example_project/dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
