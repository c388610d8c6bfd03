# Everything a person or CI does here. `make help` lists it.

PYTHON ?= python3
VENV := .venv
ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
else
BIN := $(VENV)/bin
endif
PY := $(BIN)/python
STAMP := $(VENV)/.installed
JOBS ?= $(shell n=$$(nproc 2>/dev/null || echo 2); [ $$n -gt 4 ] && echo 4 || echo $$n)
DEMO ?= demo
# Tests make very many small files, which come and go far faster in memory: there, where it has room.
ROOM := $(shell test -w /dev/shm && df -Pk /dev/shm | awk 'NR == 2 && $$4 > 12000000' | grep -q . && \
  awk '/^MemAvailable/ && $$2 > 16000000 {print "/dev/shm"}' /proc/meminfo)
ifneq ($(ROOM),)
export PYTEST_DEBUG_TEMPROOT ?= $(ROOM)
endif

unexport PYTHONDONTWRITEBYTECODE # hundreds of tests start neuropack anew: each would compile all of it

.DEFAULT_GOAL := help
FUZZ_SECONDS ?= 60
.PHONY: help setup demo test slow lint format types schema rules api docs bench model gates defects fuzz tools wheel-smoke clean distclean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile
	@echo "  Another Python: make PYTHON=python3.12 setup (after make distclean)"

$(STAMP): pyproject.toml
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "neuropack needs Python 3.11 or newer; '$(PYTHON)' is $$("$(PYTHON)" --version 2>&1)." >&2; \
	  echo "Name another one: make PYTHON=python3.12 setup" >&2; exit 2; }
	@test -x "$(PY)" || "$(PYTHON)" -m venv "$(VENV)" || { \
	  rm -rf "$(VENV)"; echo "Python could not make a virtual environment. On Debian and Ubuntu: apt install python3-venv" >&2; exit 2; }
	"$(PY)" -m pip install --quiet --editable ".[dev]"
	@echo "$$("$(PY)" --version) in $(VENV), installed from pyproject.toml" > "$(STAMP)"

setup: $(STAMP) ## the environment in .venv, with all that the tests need
	@cat "$(STAMP)"

demo: $(STAMP) ## simulate a small brain, build its release and validate it, in demo/
	"$(BIN)/neuropack" demo "$(DEMO)"

test: $(STAMP) ## all tests but the slow ones
	"$(PY)" -m pytest -m "not slow" -n $(JOBS) --dist worksteal $(PYTEST_ARGS)

slow: $(STAMP) ## the slow tests
	"$(PY)" -m pytest -m slow -n $(JOBS) --dist loadfile $(PYTEST_ARGS) || test $$? -eq 5  # 5: there is none

lint: $(STAMP) ## ruff, rules and layout
	"$(BIN)/ruff" check .
	"$(BIN)/ruff" format --check .

format: $(STAMP) ## mend what ruff can mend
	"$(BIN)/ruff" check --fix .
	"$(BIN)/ruff" format .

types: $(STAMP) ## mypy, strict
	"$(BIN)/mypy"

schema: $(STAMP) ## the JSON Schema and the model, made from schema/
	"$(PY)" schema/generate.py

api: $(STAMP) ## the list of addresses in docs/reference/api.md, made from the OpenAPI
	PYTHONPATH=tests/web "$(PY)" tests/web/api_page.py

rules: $(STAMP) ## the pages about rules in docs/reference, made from validators/
	"$(BIN)/neuropack" explain --pages docs/reference

docs: $(STAMP) ## the manual, in docs/_build/html
	"$(BIN)/sphinx-build" -W --keep-going -q -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

bench: $(STAMP) ## neuropack beside its peers on a 2 GB stack (two hours; BENCH_ARGS="--runs 1" is shorter)
	"$(PY)" tests/benchmarks/run.py $(BENCH_ARGS)

model: $(STAMP) ## the model that ships: simulates its data, trains it, installs it (in model/; half an hour)
	"$(PY)" tests/models/make_model.py model --install $(MODEL_ARGS)

gates: $(STAMP) ## outside validators on a built release, each in its own environment
	"$(PY)" tests/gates/run.py

defects: $(STAMP) ## the defect corpus before other validators, into docs/benchmarks/defects.md
	PYTHONPATH=tests/gates:tests/validators "$(PY)" tests/defects/peers.py $(DEFECTS_ARGS)

fuzz: ## hostile bytes for the parsers of annotations, FUZZ_SECONDS for each of them
	@test -x .gates/fuzz/bin/python || "$(PYTHON)" -m venv .gates/fuzz
	.gates/fuzz/bin/python -m pip install --quiet -r tests/fuzz/requirements.txt
	for one in tests/fuzz/fuzz_*.py; do \
	  PYTHONPATH=src .gates/fuzz/bin/python "$$one" -max_total_time=$(FUZZ_SECONDS) -artifact_prefix=.gates/fuzz/ || exit 1; done

APT := test "$$(id -u)" = 0 && command -v apt-get > /dev/null && apt-get -qq update && apt-get -qq install --yes

tools: ## programs that tests ask for a second opinion, and the browser that they drive, where apt can install them
	@command -v h5dump > /dev/null || { $(APT) hdf5-tools > /dev/null; } \
	  || echo "h5dump is not here, and its tests will skip: install hdf5-tools"
	@test -x /usr/bin/chromium || { $(APT) chromium > /dev/null; } \
	  || echo "chromium is not here, and the tests in a browser will skip: install chromium"

wheel-smoke: $(STAMP) ## sdist, wheel from it, and the smoke tests on the installed wheel
	"$(PY)" tests/gates/wheel.py

clean: ## what was built
	rm -rf build dist docs/_build demo .pytest_cache .mypy_cache .ruff_cache .hypothesis

distclean: clean ## also the environments
	rm -rf $(VENV) .gates
