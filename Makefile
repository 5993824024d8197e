# Two commands do everything: `make demo` shows the main job, `make test` proves it.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
ARGS ?=
export PYTHONSAFEPATH := 1

.PHONY: demo test test-long bench lint setup setup-demo packages packages-long types clean

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "tillwatch needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || .ci/install-packages $$($(PYTHON) -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(VENV)/.demo: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[agent,collector]'
	touch $@

$(VENV)/.test: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[agent,collector,test]'
	touch $@ $(VENV)/.demo

setup-demo: $(VENV)/.demo
setup: $(VENV)/.test types

# mypy cannot follow the import hook of an editable install: it reads the four folders through links.
types:
	@mkdir -p build/types/tillwatch
	@for d in agent collector device_profiles firmware_shims; do ln -sfn ../../../$$d build/types/tillwatch/$$d; done

# Real servers, not mocks: what the tests start on ports of their own.
DEBIAN_PACKAGES := mosquitto snmpd snmp prometheus-snmp-exporter nut-server smartmontools ipmitool chromium systemd e2fsprogs git prometheus-alertmanager \
	request-tracker5 rt5-standalone rt5-db-sqlite dbconfig-no-thanks msmtp-mta
packages:
	@.ci/install-packages $(DEBIAN_PACKAGES)

# dbconfig-no-thanks: no database for the machine, the tests make their own.
DEBIAN_PACKAGES_LONG := dbconfig-no-thanks redmine redmine-sqlite ruby-webrick bundler
packages-long:
	@.ci/install-packages $(DEBIAN_PACKAGES_LONG)

demo: setup-demo
	$(BIN)/python -P packaging/demo/demo.py $(ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy build/types/tillwatch/agent build/types/tillwatch/collector build/types/tillwatch/device_profiles build/types/tillwatch/firmware_shims
	$(BIN)/mypy --platform win32 build/types/tillwatch/agent build/types/tillwatch/device_profiles build/types/tillwatch/firmware_shims
	$(BIN)/lint-imports

# In the order of the files: xdist's own begins with those of many tests, and the few that take longest would come last, alone.
test: setup packages lint
	$(BIN)/python -P -m pytest -m 'not long' --numprocesses=auto --dist=loadfile --no-loadscope-reorder $(ARGS)

test-long: setup packages packages-long
	$(BIN)/python -P -m pytest $(ARGS)

bench: setup packages
	PYTHONSAFEPATH= $(BIN)/python -m tests.benchmarks $(ARGS)

clean:
	rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .demo
