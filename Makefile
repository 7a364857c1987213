# Each target installs what it needs. Only Python 3.11 or newer and make must be there before.

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo $$python; break; fi; done)

LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
	--custom-compile-command "make lock"

.PHONY: run demo-aws test test-fast interop compose-test faults mutations check format lock bench clean

run: $(VENV)/installed  ## Serve the site on http://127.0.0.1:8000 (HOST, PORT)
	@$(BIN)/python manage.py migrate --verbosity 0
	@$(BIN)/python manage.py collectstatic --noinput --verbosity 0
	@$(BIN)/python manage.py ensure_admin
	@exec $(BIN)/python manage.py serve

demo-aws: $(VENV)/installed-dev  ## Try Amazon Transcribe without AWS: on a stand-in, backed by the built-in engine
	@exec $(BIN)/python -m tests.standin.demo

test: $(VENV)/installed-dev  ## Run the whole suite, browser tests included, and tests that use a database on PostgreSQL too
	@sh tests/need_chromium.sh
	@sh tests/need_ffmpeg.sh
	@sh tests/need_webkit.sh
	@sh tests/need_redis.sh $(VENV)
	$(BIN)/pytest -n logical --dist worksteal
	TEST_DATABASE=postgres $(BIN)/pytest -n logical --dist worksteal
	@if sh tests/need_firefox.sh; then TEST_BROWSER=firefox $(BIN)/pytest -n logical --dist worksteal tests/browser; fi

test-fast: $(VENV)/installed-dev  ## Run the tests to run before each commit: no browser, no server, two to three minutes
	$(BIN)/pytest -n logical --dist worksteal -m "not slow"

interop: $(VENV)/installed-dev  ## Run other vendors' clients and servers: AWS's SDK for JavaScript, the plain Python SDK, raw HTTP/2
	@if node --eval 'process.exit(Number(parseInt(process.versions.node) < 20))' 2>/dev/null && npm --version >/dev/null 2>&1; \
	then sh tests/need_javascript_sdk.sh $(VENV) && $(BIN)/pytest tests/interop; \
	else echo "Skipped: make interop needs Node.js 20 or newer with npm."; fi

# COMPOSE is the command for Compose; COMPOSE_EXEC is a prefix for commands that must reach published ports.
COMPOSE ?= docker compose
compose-test: $(VENV)/installed-dev  ## Deploy with Docker Compose, use it, break it, upgrade it, restore it; needs a Docker engine
	COMPOSE="$(COMPOSE)" $(COMPOSE_EXEC) $(BIN)/python -m tests.compose

faults: $(VENV)/installed-dev  ## Run fifty rounds of killed and frozen processes; the suite has three short ones
	@sh tests/need_redis.sh $(VENV)
	$(BIN)/python -m tests.faults

# MUTATIONS has the command's arguments: words that choose mutations, or --check, which only checks that their code exists.
mutations: $(VENV)/installed-dev  ## Check that each test of docs/faults.md fails when the code that it covers is removed
	@sh tests/need_redis.sh $(VENV)
	$(BIN)/python -m tests.mutations $(MUTATIONS)

check: $(VENV)/installed-dev  ## Check lint, format, types and import rules
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: $(VENV)/installed-dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

lock: $(VENV)/installed-dev  ## Pin all packages, with hashes, after a change to requirements*.in
	$(LOCK) requirements.in --output-file requirements.txt
	$(LOCK) requirements-dev.in --output-file requirements-dev.txt

bench: $(VENV)/installed-dev  ## Run the benchmarks; prints their figures as tables
	@sh tests/need_ffmpeg.sh
	$(BIN)/python -m benchmarks

clean:  ## Remove what was installed; recordings and transcripts in var/ stay
	rm -rf $(VENV)

$(VENV)/installed: requirements.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed, and none was found. Set PYTHON to its path."; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "Python's venv module is missing (on Debian: apt install python3-venv)."; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.txt
	@touch $@

$(VENV)/installed-dev: requirements-dev.txt $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements-dev.txt
	@touch $@
