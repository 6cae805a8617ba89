# The two commands that do it all:
#   make demo   the main job: an agent, the gateway, a real MCP server, the ledger (KEEP=1 leaves it running)
#   make test   every test
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
BIN := target/release/safeconduct
VENV := .venv
PIP := $(VENV)/.installed
NPM := node_modules/.installed
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)

.PHONY: help demo test build fmt lint deny advisories unit system bench agentdojo soak fuzz-smoke tools clean

help: ## what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

build: $(BIN) ## target/release/safeconduct
.PHONY: $(BIN)
$(BIN):
	@command -v cargo >/dev/null || { echo "missing: cargo (Rust 1.95 or later)"; exit 1; }
	cargo build --release --locked -p safeconduct-cli

$(PIP): tests/requirements.txt
	@command -v python3 >/dev/null || { echo "missing: python3 (3.11 or later)"; exit 1; }
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -r tests/requirements.txt
	touch $@

$(NPM): package.json package-lock.json
	@command -v npm >/dev/null || { echo "missing: npm (Node 20 or later)"; exit 1; }
	npm install --no-save --no-audit --no-fund --loglevel=error
	touch $@

tools: $(PIP) $(NPM) chromium cvc5 ## the Python and Node parts that demo and tests use

# Where we may install them. Without them, the tests of the pages and of proofs are skipped and say so.
.PHONY: chromium cvc5
chromium cvc5:
	@command -v $@ >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
		&& { apt-get install -y -qq $@ >/dev/null || { apt-get update -qq && apt-get install -y -qq $@ >/dev/null; }; } ; } \
		|| echo "$@ is missing and could not be installed: what tests with it will be skipped"

demo: build tools ## an agent works on a case through the gateway
	$(BIN) demo $(if $(KEEP),--keep)

test: lint deny unit fuzz-smoke system ## every test
	@echo "make test: all parts passed"

lint: ## formatting and lints
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

deny: ## licences, sources, bans
	@command -v cargo-deny >/dev/null || cargo install --quiet --locked cargo-deny@0.20.2
	# Crates of other platforms too: they are in the lock, and are looked at.
	cargo fetch --quiet --locked
	cargo deny --offline --log-level error check bans licenses sources

advisories: ## known vulnerabilities (needs the network)
	cargo deny check advisories

unit: tools ## unit, property, golden and integration tests
	cargo test --workspace --locked

# The binary of the unit tests' profile: the same code, and no second build of everything.
system: tools ## the whole system: demo, conformance, crash, verifier
	cargo build --locked -p safeconduct-cli
	SAFECONDUCT_BIN=$(CURDIR)/target/debug/safeconduct cargo test --locked -p safeconduct-tests --features system -- --nocapture

fuzz-smoke: ## each fuzz target over its seeds and a bounded number of mutations
	cargo run --quiet --manifest-path fuzz/Cargo.toml --target-dir target --bin smoke

bench: build tools ## speed, side by side; writes bench/RESULTS.md and bench/results.json
	cargo build --release --locked -p safeconduct-tests --bin safeconduct-test-upstream
	cargo run --release --locked -p safeconduct-bench

DOJO := .cache/agentdojo
$(DOJO)/.installed: bench/agentdojo/requirements.txt
	@command -v python3 >/dev/null || { echo "missing: python3 (3.11 or later)"; exit 1; }
	python3 -m venv $(DOJO)
	$(DOJO)/bin/pip install --quiet --disable-pip-version-check -r bench/agentdojo/requirements.txt
	touch $@

agentdojo: build $(DOJO)/.installed ## attacks that others wrote, through the gateway; writes bench/agentdojo/RESULTS.md
	$(DOJO)/bin/python bench/agentdojo/run.py

soak: build tools ## long crash, load and fuzz runs
	SOAK=1 cargo test --release --locked -p safeconduct-tests --features system -- --nocapture
	cargo run --release --manifest-path fuzz/Cargo.toml --target-dir target --bin smoke -- --rounds 2000000

clean: ## everything that was built or installed
	rm -rf target $(VENV) node_modules .cache
