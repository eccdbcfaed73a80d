# Two commands do all the set-up: `make demo` and `make test`. They need Python 3.11 or newer and make, nothing else.
PYTHON ?= python3
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
NOTEBOOKS := notebooks
JS := nbgraph/widgets/js
# Jupyter asks for this in a container, where people are root; further options of it: make lab LAB="--no-browser"
AS_ROOT := $(if $(filter 0,$(shell id -u)),--allow-root)
LAB ?=
# Tests run in as many processes as there are cores, a file in one of them. Their helpers start Python often, which is
# quicker with compiled files. A process that died is not replaced: its test would only die again.
WORKERS ?= auto
PARALLEL := -n $(WORKERS) --dist loadfile --no-loadscope-reorder --max-worker-restart 0
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-units test-browser test-notebooks test-gpu bench bench-compare bench-ui docs pictures looks lab check style types house coverage clean

$(STAMP): pyproject.toml constraints.txt
	@$(BIN)/python -c 'import pip; $(NEW_ENOUGH)' 2> /dev/null || $(PYTHON) -c '$(NEW_ENOUGH)' || { \
	  echo "nbgraph needs Python 3.11 or newer, which '$(PYTHON)' is not; name one: make demo PYTHON=python3.12" >&2; exit 1; }
	@$(BIN)/python -c 'import pip; $(NEW_ENOUGH)' 2> /dev/null || $(PYTHON) -m venv --clear $(VENV)
	@echo "Installing into $(VENV): some minutes, without further words; most of it is torch"
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet -c constraints.txt -e . --group dev
	touch $@

demo: $(STAMP)
	$(BIN)/python -m nbgraph.cli.demo --out out

check: style types
	@if [ -d $(JS)/node_modules/@biomejs/biome ]; then npm run --silent --prefix $(JS) check; \
	else echo "front end not checked: npm ci was not run in $(JS)"; fi

style: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/pyright

# The checker of types uses one core alone, so it runs beside the tests. These check the front end, too. Nothing runs
# beside the tests in a browser: they are the ones that a busy machine could make fail.
test: style
	@$(MAKE) --no-print-directory -j2 types test-units
	$(MAKE) --no-print-directory test-browser
	$(MAKE) --no-print-directory test-notebooks

test-units: $(STAMP)
	$(BIN)/python -m pytest tests --ignore=tests/benchmarks -rs -m "not browser" $(PARALLEL)

test-browser: $(STAMP)
	$(BIN)/python -m pytest tests/widgets -rs -m browser $(PARALLEL)

test-notebooks: $(STAMP)
	$(BIN)/python -m pytest --nbval-lax --nbval-current-env --nbval-cell-timeout=300 $(PARALLEL) $(NOTEBOOKS)

ROUNDS ?= 5
bench: $(STAMP)
	NBGRAPH_BENCH_ROUNDS=$(ROUNDS) $(BIN)/python -m pytest tests/benchmarks --benchmark-enable --benchmark-only -s

# make bench-compare BASE=HEAD~1 ROUNDS=5 MEASURES=runs,sweeps: the working tree against a commit, in turn
MEASURES ?= runs,folder_runs,sweeps,first_studio
bench-compare: $(STAMP)
	@[ -n "$(BASE)" ] || { echo "name the commit to compare with: make bench-compare BASE=HEAD~1" >&2; exit 1; }
	$(BIN)/python tests/benchmarks/compare.py $(BASE) --rounds $(ROUNDS) --measures $(MEASURES)

test-gpu: $(STAMP)
	$(BIN)/python -m pytest tests/gpu -m gpu -s -rs

docs: $(STAMP)
	$(BIN)/python docs/site/build.py --execute

pictures: $(STAMP) looks
	cd tests && PYTHONPATH=. ../$(BIN)/python ../docs/draw.py

# make looks LOOKS="form stats dark 600": every widget in both themes and two widths, or some of them, in out/looks
LOOKS ?=
looks: $(STAMP)
	cd tests && PYTHONPATH=. ../$(BIN)/python ../docs/looks.py $(LOOKS)

coverage: $(STAMP)
	$(BIN)/python -m pytest tests --ignore=tests/benchmarks -m "not browser" $(PARALLEL) \
	  --cov=nbgraph --cov-report=term:skip-covered

house: $(STAMP)
	$(BIN)/python tests/house.py

bench-ui: $(STAMP)
	PYTHONPATH=$(CURDIR)/tests:$(CURDIR)/tests/benchmarks $(BIN)/python -m ui.canvas_cost
	PYTHONPATH=$(CURDIR)/tests:$(CURDIR)/tests/benchmarks $(BIN)/python -m ui.paint_cost

lab: export PATH := $(CURDIR)/$(BIN):$(PATH)
lab: $(STAMP)
	$(BIN)/python -m jupyterlab $(AS_ROOT) --LabApp.default_url=/lab/tree/$(NOTEBOOKS)/01_first_picture.ipynb $(LAB)

clean:
	rm -rf out build dist .pytest_cache .ruff_cache .benchmarks
