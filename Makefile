# `make help` lists what there is. PYTHON picks the interpreter, ADDRESS where `make serve` listens,
# PROFILE how the wheel is built: release, or quick (opt-level 1 and assertions, in half the time).

PYTHON  ?= python3
ADDRESS ?= 127.0.0.1:8000
PROFILE ?= release

VENV  := .venv
BIN   := $(CURDIR)/$(VENV)/bin
DONE  := $(VENV)/done
UWSGI := .venv-uwsgi
RECIPES := .venv-recipes

# The wheel is built anew when one of these has changed.
SOURCES := Cargo.toml Cargo.lock pyproject.toml README.md LICENSE \
           $(shell find src python -type f ! -path '*/__pycache__/*' ! -name '*.so')

# pyo3 compiles for this interpreter, whichever target asks.
export PYO3_PYTHON := $(BIN)/python
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1

.NOTPARALLEL:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

## serve       build, install into .venv, and serve the example site
.PHONY: serve
serve: $(DONE)/wheel $(DONE)/example
	@cd examples/mysite && $(BIN)/python manage.py migrate --no-input --verbosity 0
	@echo "Open http://$(ADDRESS)/ (Ctrl-C stops it)"
	@cd examples/mysite && exec $(BIN)/rwsgi --ini rwsgi.ini --http $(ADDRESS)

## build       build the wheel and install it into .venv
.PHONY: build
build: $(DONE)/wheel

## test        everything that must pass: lints, cargo, pytest, types, the other Pythons
.PHONY: test
test: lint test-rust loom test-python test-types test-example test-other-pythons
	@echo "All tests passed."

.PHONY: test-rust
test-rust:
	cargo test --no-default-features

.PHONY: test-python
test-python: $(DONE)/wheel $(DONE)/test $(UWSGI)/done $(RECIPES)/wheel programs
	UWSGI=$(CURDIR)/$(UWSGI)/bin/uwsgi RECIPES=$(CURDIR)/$(RECIPES) scripts/pytest.sh $(BIN)/python tests

.PHONY: test-types
test-types: $(DONE)/wheel $(DONE)/example $(DONE)/lint
	DJANGO_SETTINGS_MODULE=django.conf.global_settings $(BIN)/python -m mypy.stubtest rwsgi --mypy-config-file pyproject.toml

.PHONY: test-example
test-example: $(DONE)/wheel $(DONE)/example
	cd examples/mysite && $(BIN)/python manage.py test

.PHONY: test-other-pythons
test-other-pythons: $(DONE)/wheel $(UWSGI)/done programs
	UWSGI=$(CURDIR)/$(UWSGI)/bin/uwsgi scripts/test_other_pythons.sh 3.10 3.13 3.14

## lint        rustfmt, clippy, ruff and mypy, changing nothing
.PHONY: lint
lint: $(DONE)/lint
	cargo fmt --check
	cargo clippy --all-targets --no-default-features -- -D warnings
	cargo clippy --all-targets -- -D warnings
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

## format      rustfmt and ruff, in place
.PHONY: format
format: $(DONE)/lint
	cargo fmt
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

## loom        models of what threads and processes agree on, in every order
.PHONY: loom
loom:
	CARGO_TARGET_DIR=target/loom cargo test --quiet --locked --manifest-path tests/loom/Cargo.toml

# Certificates and bombs of aliases take it hours; it starts no programs and has no sockets.
NOT_UNDER_MIRI := x509:: aliases_of_aliases_end config::source::

## miri        the code that reads what clients send and what is configured, under an interpreter; wants a nightly Rust with miri
.PHONY: miri
miri:
	MIRIFLAGS=-Zmiri-disable-isolation CARGO_TARGET_DIR=target/miri \
	    cargo +nightly miri test --no-default-features --lib -- base:: proto:: config:: $(NOT_UNDER_MIRI:%=--skip %)

## fuzz        each parser of what clients send, for SECONDS (60)
.PHONY: fuzz
fuzz:
	scripts/fuzz.sh $(or $(SECONDS),60)

## bench       the benchmarks; their table goes to benchmarks/results
.PHONY: bench
bench: $(DONE)/wheel $(DONE)/example nginx
	$(BIN)/python benchmarks/run.py

## clean       remove what was built
.PHONY: clean
clean:
	rm -rf .venv .venv-* target

## help        this list
.PHONY: help
help:
	@sed -n 's/^## //p' Makefile

.PHONY: nginx programs
nginx:
	@scripts/need_programs.sh nginx
programs:
	@scripts/need_programs.sh nginx haproxy curl openssl wrk ab
	@scripts/need_programs.sh chromium || echo "No Chromium: tests/test_page.py is skipped."

# Each file below says that something is installed; its own prerequisites say when to do it again.

$(DONE)/venv:
	@scripts/make_venv.sh $(PYTHON) $(VENV)
	@mkdir -p $(DONE) && touch $@

$(DONE)/build $(DONE)/example $(DONE)/test $(DONE)/lint: $(DONE)/%: pyproject.toml $(DONE)/venv
	$(BIN)/pip install --quiet --group $*
	@touch $@

$(DONE)/wheel: $(SOURCES) $(DONE)/build
	scripts/install_wheel.sh $(VENV) target $(PROFILE)
	@touch $@

$(UWSGI)/done: pyproject.toml
	@scripts/make_venv.sh $(PYTHON) $(UWSGI)
	$(UWSGI)/bin/pip install --quiet --group uwsgi
	@touch $@

$(RECIPES)/done: pyproject.toml
	@scripts/make_venv.sh $(PYTHON) $(RECIPES)
	$(RECIPES)/bin/pip install --quiet --group recipes
	@touch $@

$(RECIPES)/wheel: $(RECIPES)/done $(DONE)/wheel
	$(RECIPES)/bin/pip install --quiet --no-deps --force-reinstall $(VENV)/wheel/*.whl
	@touch $@
