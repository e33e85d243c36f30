# Everything runs in .venv, which the first target makes; only Python (3.10 or newer) and make are needed.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help demo test lint types wheel clean

help:
	@echo "make demo    train a DCGAN on scikit-learn's digits in a few minutes, then score it"
	@echo "make test    lint, type-check the installed wheel, run every test"
	@echo "make lint    ruff on the whole tree"
	@echo "make types   mypy on the package as installed from its wheel"
	@echo "make clean   remove .venv and build products"

# The environment is complete when the stamp is newer than what it was made from.
.venv/installed: setup.py pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

demo: .venv/installed
	$(BIN)/python -m lit_gen fit --config configs/gan/dcgan_digits.yaml
	$(BIN)/python benchmarks/digits.py

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# mypy does not follow mapped package folders in a checkout, so it reads the wheel, unpacked.
types: .venv/installed
	rm -rf build/types
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir build/types .
	$(BIN)/python -m pip install --quiet --no-deps --target build/types/site build/types/*.whl
	cd build/types/site && MYPYPATH=. ../../../$(BIN)/mypy --config-file ../../../pyproject.toml -p lit_gen

# One process per core with one thread each: threads of several processes that wait for each other cost tenfold.
test: lint types
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist loadfile

clean:
	rm -rf .venv build dist *.egg-info
