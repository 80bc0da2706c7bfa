# Everything is done by these targets; `make help` lists them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DATA_DIR ?= .data
export DATA_DIR
# Tests start many processes, and each would compile everything anew.
unexport PYTHONDONTWRITEBYTECODE

# These name servers that the tests may use; without them SQLite and a folder as broker must do:
# TEST_POSTGRES_URL, TEST_MARIADB_URL, TEST_REDIS_URL, TEST_RABBITMQ_URL.
SERVERS := $(if $(TEST_POSTGRES_URL),test-postgres) $(if $(TEST_MARIADB_URL),test-mariadb)

# Two, because the tests with real processes start several of their own. Tests that share something
# dear, such as an installed project, say so by a group and stay together.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadgroup
# Fewer random examples where the run on SQLite has tried them all, or will.
FEWER := HYPOTHESIS_PROFILE=$(or $(HYPOTHESIS_PROFILE),fast)
QUICK := not door and not fault and not browser and not slow and not bench
# Tests choose their database by TEST_..._URL, never by what the shell has set for something else.
SQLITE := env -u DATABASE_URL -u CELERY_BROKER_URL -u EMAIL_URL

.DEFAULT_GOAL := help
.PHONY: help demo clean test test-fast test-all test-sqlite test-postgres test-mariadb bench bench-quick \
	performance-docs pictures scoring hosts lint check format messages wheel environment

help: ## list the targets
	@grep -hE '^[a-z-]+:.* ## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.* ## /\1\t/' | expand -t 12

demo: $(VENV)/.installed-base ## run worker, beat and web server with sample tasks
	@exec $(BIN)/python -m config.demo.run

clean: ## remove the data of the demo
	@! [ -e "$(DATA_DIR)/demo.lock" ] || ! command -v flock >/dev/null || \
		flock -n "$(DATA_DIR)/demo.lock" true || \
		{ echo "The demo is running: stop it first."; exit 1; }
	@rm -rf "$(DATA_DIR)"/db.sqlite3* "$(DATA_DIR)"/broker "$(DATA_DIR)"/mail \
		"$(DATA_DIR)"/logs "$(DATA_DIR)"/demo.lock
	@rmdir "$(DATA_DIR)" 2>/dev/null || true

test: lint check test-sqlite $(SERVERS) ## lint and every test but the slow ones

test-fast: environment ## tests without processes, browser or servers (under a minute)
	$(SQLITE) $(FEWER) $(PYTEST) --no-migrations \
		-m "$(QUICK) and not matrix and not process and not postgres and not mariadb"

test-all: lint check environment $(SERVERS) hosts ## everything, the large matrices included
	$(SQLITE) $(PYTEST) -m "not bench"

test-sqlite: environment
	$(SQLITE) $(PYTEST) -m "not slow and not bench"

# What has no database is the same on every one, and so is what says so.
WITH_DATABASE := $(addprefix tests/,admin contracts shell)
ON_SERVERS = $(QUICK) and not any_database
test-all: ON_SERVERS = $(QUICK)

test-postgres: environment
	$(FEWER) DATABASE_URL="$(TEST_POSTGRES_URL)" $(PYTEST) -m "$(ON_SERVERS)" $(WITH_DATABASE)

test-mariadb: environment
	$(FEWER) DATABASE_URL="$(TEST_MARIADB_URL)" $(PYTEST) -m "$(ON_SERVERS)" $(WITH_DATABASE)

MEASURE := $(SQLITE) $(BIN)/python -m pytest tests/benchmarks -m bench -n 0 -p no:randomly -s

bench: environment $(VENV)/.installed-bench ## measure against the obvious ways and other packages
	$(MEASURE)

bench-quick: environment $(VENV)/.installed-bench ## the same on little data: it only has to run
	BENCH=quick $(MEASURE)

performance-docs: environment ## make the tables of docs/performance.md of what `make bench` measured
	$(BIN)/python -m tests.benchmarks.report

pictures: environment ## try the admin in a browser, and write pictures of its pages to .screenshots
	SCREENSHOTS=1 $(SQLITE) $(PYTEST) -m browser

scoring: environment ## score windows and probable causes on a simulated year, as tables
	$(SQLITE) $(BIN)/python -m pytest tests/scoring -n 0 -s

hosts: environment ## install the wheel into three projects, with the oldest and newest releases
	$(SQLITE) $(BIN)/nox -f tests/hosts/noxfile.py

lint: environment ## style, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# A key made on the spot: the point is that the settings pass, not what they hold.
check: environment ## migrations are complete, production settings are safe
	DATABASE_URL=sqlite://:memory: $(BIN)/python manage.py makemigrations --check --dry-run \
		--settings=config.settings.test
	DJANGO_SECRET_KEY="$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(50))')" \
		DJANGO_ALLOWED_HOSTS=monitoring.example.com \
		MONITORING_BASE_URL=https://monitoring.example.com DATABASE_URL=sqlite://:memory: \
		$(BIN)/python manage.py check --deploy --fail-level=WARNING \
		--settings=config.settings.production

format: environment ## rewrite the code in the one style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

messages: environment ## collect and compile the translations (needs gettext)
	$(BIN)/python manage.py makemessages --all --no-obsolete --add-location=file \
		--ignore=config --ignore=tests --ignore=build
	$(BIN)/python manage.py compilemessages --ignore=.venv --ignore=tests

wheel: environment ## build the package into dist/
	$(BIN)/python -m build --wheel --no-isolation

# The stamps make a second call cost nothing.
environment: $(VENV)/.installed-dev $(if $(TEST_MARIADB_URL),$(VENV)/.installed-mariadb)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit( \
		"Python 3.11 or newer is needed, this is %d.%d: name another with PYTHON=..." \
		% sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed-base: requirements/base.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements/base.txt
	@touch $@

$(VENV)/.installed-dev: $(filter-out %/mariadb.txt %/bench.txt,$(wildcard requirements/*.txt)) \
		| $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements/dev.txt
	@touch $@ $(VENV)/.installed-base

$(VENV)/.installed-mariadb: requirements/mariadb.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements/mariadb.txt
	@touch $@

$(VENV)/.installed-bench: requirements/bench.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements/bench.txt
	@touch $@
