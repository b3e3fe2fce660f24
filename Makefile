# make train   sets up .venv, then meta-trains on MNIST      (make train ARGS="--preset=paper")
# make test    sets up .venv, then lints and runs all tests  (make test ARGS="-m 'not slow'")
# make faults  breaks it on purpose, up to half an hour      (docs/reliability.md)
# make zoo     scores an optimizer on six Keras models     (make zoo ARGS="--optimizer=NAME")
# make tables writes the tables of README.md and docs/ from results/
# make docs   builds build/site, the pages as a site; a warning is an error
# make dist   builds the wheel and the sdist, and checks them (docs/release.md)
# make check   lints and checks types  (.pre-commit-config.yaml calls the same)
# make install sets up .venv only

PYTHON ?= python3
VENV := .venv
INSTALLED := $(VENV)/.installed

.PHONY: install train test faults lint check zoo zoo-full zoo-report tables docs dist
install: $(INSTALLED)

$(INSTALLED): setup.py pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --upgrade pip
	$(VENV)/bin/python -m pip install --quiet --editable ".[dev]"
	touch $@

train: install
	$(VENV)/bin/python bin/train.py --problem=mnist $(ARGS)

ZOO_TASKS := digits_sigmoid,cars_tanh,mnist_vae,mnist_convnet,characters_gru,topics_factorization
zoo: install
	$(VENV)/bin/python bin/zoo.py --optimizer=mnist_lstm --task=$(ZOO_TASKS) --horizon=100,1000 $(ARGS)

zoo-full: install  # resumable; hours
	$(VENV)/bin/python bin/zoo.py --full --results=results $(ARGS)

zoo-report: install
	$(VENV)/bin/python bin/zoo.py --report --results=results --docs=docs $(ARGS)

tables: install
	$(VENV)/bin/python -m benchmarks.tables --root=.

docs: install
	$(VENV)/bin/mkdocs build --strict

dist: install
	rm -rf dist
	$(VENV)/bin/python -m build --outdir dist
	$(VENV)/bin/python -m twine check --strict dist/*

lint: install
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

check: lint
	$(VENV)/bin/mypy

test: check
	$(VENV)/bin/python -m pytest -n 2 --dist worksteal $(ARGS)

faults: install
	-$(VENV)/bin/python -m pip install --quiet --only-binary=:all: atheris
	FAULTS=thorough $(VENV)/bin/python -m pytest tests/faults -n 2 --dist worksteal --durations=25 $(ARGS)
