# Two commands do everything: `make demo` shows the main job, `make test` proves it.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
ARGS ?=
export PYTHONSAFEPATH := 1
# The tests start Python hundreds of times: with it set, each start and each worker would compile all modules anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-long bench deb locks sbom licences release lint setup setup-demo packages packages-long types clean

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "tillwatch needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || .ci/install-packages $$($(PYTHON) -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(VENV)/.demo: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[agent,collector]'
	touch $@

$(VENV)/.test: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[agent,collector,large,test]'
	touch $@ $(VENV)/.demo

$(VENV)/.release: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[release]'
	touch $@

setup-demo: $(VENV)/.demo
setup: $(VENV)/.test types

# mypy cannot follow the import hook of an editable install: it reads the four folders through links.
types:
	@mkdir -p build/types/tillwatch
	@for d in agent collector device_profiles firmware_shims; do ln -sfn ../../../$$d build/types/tillwatch/$$d; done

# Real servers, not mocks: what the tests start on ports of their own.
DEBIAN_PACKAGES := mosquitto snmpd snmp prometheus-snmp-exporter nut-server smartmontools ipmitool chromium systemd e2fsprogs git openssh-client prometheus-alertmanager \
	request-tracker5 rt5-standalone rt5-db-sqlite dbconfig-no-thanks msmtp-mta prometheus-node-exporter collectd-core zabbix-agent2 netdata-core \
	postgresql rabbitmq-server victoria-metrics
packages:
	@.ci/install-packages $(DEBIAN_PACKAGES)

# dbconfig-no-thanks: no database for the machine, the tests make their own.
DEBIAN_PACKAGES_LONG := prometheus binutils debootstrap lintian man-db systemd-container dbconfig-no-thanks redmine-sqlite ruby-webrick bundler
# Debian 12's redmine cannot be configured: the ruby3.1 of its security updates brings a bundler of its own, 2.3.27, that says "Could not find
# rotp-6.2.0.gem for installation" of every gem that Debian packages without a folder of its own.
UNPACKED := redmine
packages-long:
	@.ci/install-packages $(DEBIAN_PACKAGES_LONG)
	@for package in $(UNPACKED); do .ci/unpack-package $$package build/debian/$$package || exit 1; done

demo: setup-demo
	$(BIN)/python -P packaging/demo/demo.py $(ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy build/types/tillwatch/agent build/types/tillwatch/collector build/types/tillwatch/device_profiles build/types/tillwatch/firmware_shims
	$(BIN)/mypy --platform win32 build/types/tillwatch/agent build/types/tillwatch/device_profiles build/types/tillwatch/firmware_shims
	$(BIN)/lint-imports

# Half as many again as there are processors: tests of running agents, brokers and terminals wait for about half of their time.
WORKERS := $(shell expr \( 3 \* $$(getconf _NPROCESSORS_ONLN) + 1 \) / 2)
# In the order of the files: xdist's own begins with those of many tests, and the few that take longest would come last, alone.
test: setup packages lint
	$(BIN)/python -P -m pytest -m 'not long' --numprocesses=$(WORKERS) --dist=loadfile --no-loadscope-reorder $(ARGS) || { \
		[ $$? = 1 ] && echo "What failed beside others is tried once more, alone: one that passes now still wants mending." && \
		$(BIN)/python -P -m pytest -m 'not long' --last-failed --last-failed-no-failures=none --maxfail=1 -v $(ARGS); }

test-long: setup packages packages-long
	$(BIN)/python -P -m pytest --hypothesis-profile=long $(ARGS)

bench: setup packages
	PYTHONSAFEPATH= $(BIN)/python -m tests.benchmarks $(ARGS)

# For the release of this Python: 3.11 is Debian 12, 3.12 Ubuntu 24.04. packaging/docs/packages.md
deb: | $(VENV)/bin/python
	@.ci/install-packages binutils
	$(BIN)/python -P packaging/debian/build.py $(ARGS)

# What the packages hold, with hashes. `make locks ARGS=--upgrade` takes the newest versions; without it only what pyproject.toml asks for changes.
locks: | $(VENV)/bin/python
	test -x build/uv/bin/uv || { $(VENV)/bin/python -m venv build/uv && build/uv/bin/pip install --quiet --disable-pip-version-check uv; }
	build/uv/bin/uv pip compile --quiet --universal --python-version 3.11 --no-build --generate-hashes --custom-compile-command "make locks" \
		--extra agent pyproject.toml --output-file packaging/locks/agent.txt $(ARGS)
	build/uv/bin/uv pip compile --quiet --universal --python-version 3.11 --no-build --generate-hashes --custom-compile-command "make locks" \
		--extra collector --extra notify --extra large pyproject.toml --output-file packaging/locks/collector.txt $(ARGS)

# What the packages are made of, and under which terms: from packaging/locks, into dist. packaging/docs/security.md, "Where it comes from".
sbom: $(VENV)/.release
	$(BIN)/python -P packaging/supply/sbom.py $(ARGS)

licences: $(VENV)/.release
	$(BIN)/python -P packaging/supply/licences.py $(ARGS)

# KEY: the private Ed25519 key of OpenSSH that signs it. `make deb` first, if Debian packages belong to it.
release: sbom licences
	$(BIN)/python -P packaging/supply/release.py --key $(KEY)

clean:
	rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .demo
