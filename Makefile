# `make run` serves the gateway, `make test` checks it; both first set up what is missing.
# Everything lives in .venv, .venv-session, .venv-clients and .venv-spark35. PYTHON=python3.12 chooses the interpreter they are made with.

PYTHON ?= python3
VENV := .venv
SESSIONS := .venv-session
CLIENTS := .venv-clients
SPARK35 := .venv-spark35
RUN := $(VENV)/bin/python
SESSION_PYTHON := $(SESSIONS)/bin/python
CLIENT_PYTHON := $(CLIENTS)/bin/python
SPARK35_PYTHON := $(SPARK35)/bin/python
PIP := -m pip --disable-pip-version-check --quiet
APT := DEBIAN_FRONTEND=noninteractive apt-get -qq
MAY_INSTALL := { command -v apt-get && [ "$$(id -u)" = 0 ]; } >/dev/null
INSTALL = { $(APT) install -y --no-install-recommends $(1) || { $(APT) update && $(APT) install -y --no-install-recommends $(1); }; } >/dev/null

# An environment is ready when its stamp is there. A stamp is missing while pip writes, so that a set-up that was
# interrupted starts anew instead of trusting half a package.
RUNTIME := $(VENV)/runtime.stamp
CHECKS := $(VENV)/checks.stamp
SESSION := $(SESSIONS)/session.stamp
CLIENT := $(CLIENTS)/clients.stamp
OLD_SPARK := $(SPARK35)/spark.stamp

LIVY := livy-0.8.0
# Without their dependencies: those would compile Kerberos, and hold pandas and notebook back.
BARE := sparkmagic==0.23.0 hdijupyterutils==0.23.0 autovizwidget==0.23.0 requests_kerberos==0.15.0

.PHONY: help run test python_api bench setup lint format clients spark35 clean interpreter ensurepip r postgresql
.NOTPARALLEL:

help: ## show this list
	@sed -n 's/^\([a-z0-9_]*\):.*## /\1\t/p' Makefile | expand -t 12

run: setup ## serve on http://127.0.0.1:8998
	@exec $(RUN) -m gateway serve

# Spark's tests mostly wait, so two of their files run beside one another. Those of tests/unit come first: some interrupt
# all that their process has started, which later is the gateway of other tests.
test: setup lint clients spark35 r postgresql ## format check, lint, types, then every test
	@$(RUN) -m gateway.core.java --install --jdk
	@$(RUN) -m pytest -n 2 --dist loadfile --no-loadscope-reorder tests/unit tests/integration tests/acceptance

python_api: setup clients ## check Livy's Python client, from the source checkout LIVY_SOURCE
	@$(RUN) -m pytest tests/acceptance/livy_python_api.py

bench: setup $(CHECKS) ## measure
	@$(RUN) -m pytest tests/benchmarks

setup: $(RUNTIME) $(SESSION) ## install what `make run` needs, once
	@$(RUN) -m gateway.core.java --install
	@$(RUN) -m gateway.core.prepare

lint: $(CHECKS) ## format check, lint, types
	@$(RUN) -m ruff format --check .
	@$(RUN) -m ruff check .
	@$(RUN) -m mypy

format: $(CHECKS) ## put the code in its form
	@$(RUN) -m ruff format .
	@$(RUN) -m ruff check --fix .

clients: $(CLIENT) ## install the real clients that tests/acceptance drives

spark35: $(OLD_SPARK) ## install the Spark 3.5 that tests/integration runs beside the bundled one

# The tests of R and of PostgreSQL need them; where they cannot be had those are skipped and say so.
r:
	@command -v R >/dev/null || ! $(MAY_INSTALL) || $(call INSTALL,r-base-core)

# Its programs alone: the tests make servers of their own, so Debian need not make and start one.
CLUSTER_CONF := /etc/postgresql-common/createcluster.conf
postgresql:
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || ! $(MAY_INSTALL) || \
	    { mkdir -p $(dir $(CLUSTER_CONF)) && { [ -e $(CLUSTER_CONF) ] || echo 'create_main_cluster = false' >$(CLUSTER_CONF); } && \
	      $(call INSTALL,postgresql); }

clean: ## remove all that was set up
	rm -rf $(VENV) $(SESSIONS) $(CLIENTS) $(SPARK35) .mypy_cache .pytest_cache .ruff_cache

# One clear sentence when the interpreter will not do.
interpreter:
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) was not found: install Python 3.10 or newer, or name one with make PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.10 or newer is needed and $(PYTHON) is %d.%d: name another one with make PYTHON=..." % sys.version_info[:2] if sys.version_info < (3, 10) else 0)'
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || $(MAKE) --no-print-directory ensurepip PACKAGE=$$($(PYTHON) -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')

# Debian keeps the part of Python that makes environments in a package of its own.
ensurepip:
	@$(MAY_INSTALL) || { echo "$(PYTHON) cannot make environments: as root run \`apt-get install $(PACKAGE)\`." >&2; exit 1; }
	@$(call INSTALL,$(PACKAGE))

$(RUNTIME): requirements.txt $(RUN)
	@$(MAKE) --no-print-directory interpreter
	@echo "Setting up $(VENV) (once)"
	@rm -f $(SESSION)
	@$(PYTHON) -m venv --clear $(VENV)
	@$(RUN) $(PIP) install --use-pep517 -r $<
	@touch $@

# The Python of sessions and batches: the gateway's version of it, whose kernel it uses, but none of its other packages.
$(SESSION): sessions/requirements.txt $(SESSION_PYTHON) | $(RUNTIME)
	@echo "Setting up $(SESSIONS) (once)"
	@$(RUN) -m venv --clear $(SESSIONS)
	@$(SESSION_PYTHON) $(PIP) install -r $<
	@touch $@

$(CHECKS): tests/requirements.txt $(RUNTIME)
	@echo "Adding the checks' packages to $(VENV) (once)"
	@rm -f $(RUNTIME)
	@$(RUN) $(PIP) install --use-pep517 -r $<
	@touch $(RUNTIME) $@

$(CLIENT): tests/acceptance/clients-requirements.txt $(CLIENT_PYTHON)
	@$(MAKE) --no-print-directory interpreter
	@echo "Setting up $(CLIENTS) (once)"
	@$(PYTHON) -m venv --clear $(CLIENTS)
	@$(CLIENT_PYTHON) $(PIP) install -r $<
	@$(CLIENT_PYTHON) $(PIP) install --no-deps $(BARE)
	@for kernel in pysparkkernel sparkkernel sparkrkernel; do \
	    $(CLIENT_PYTHON) -W ignore -m jupyter_client.kernelspecapp install --sys-prefix --log-level=ERROR $(CLIENTS)/lib/python3.*/site-packages/sparkmagic/kernels/$$kernel || exit; done
	@$(CLIENT_PYTHON) $(PIP) download --no-deps --no-binary livy --dest $(CLIENTS) $(LIVY:livy-%=livy==%)
	@tar -xzf $(CLIENTS)/$(LIVY).tar.gz -C $(CLIENTS)
	@touch $@

# Spark alone: drivers on it use the Python of sessions.
$(OLD_SPARK): $(SPARK35_PYTHON)
	@$(MAKE) --no-print-directory interpreter
	@echo "Setting up $(SPARK35) (once)"
	@$(PYTHON) -m venv --clear $(SPARK35)
	@$(SPARK35_PYTHON) $(PIP) install --use-pep517 --no-deps pyspark==3.5.9
	@touch $@

# No recipe: when missing (never made, or the system's Python behind it went away), what needs them is made anew.
$(RUN) $(SESSION_PYTHON) $(CLIENT_PYTHON) $(SPARK35_PYTHON):
