# What a person types. `make` alone lists the targets.
SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory

CARGO ?= cargo
# Tools that are built once for all clones of the project (cargo-deny, helm, ...).
TOOLS ?= $(if $(XDG_CACHE_HOME),$(XDG_CACHE_HOME),$(HOME)/.cache)/samlgate-tools
export PATH := $(TOOLS)/bin:$(PATH)

say = @printf '\n\033[1m== %s\033[0m\n' "$(1)"

# Seconds for all fuzz targets together.
FUZZ_SECONDS       ?= 3600
FUZZ_SMOKE_SECONDS ?= 60

.PHONY: help setup setup-build rust build demo test test-fast fmt lint unit pure-rust verify generated schema interop interop-all bench bench-smoke \
	test-chart test-image deny tools fuzz fuzz-smoke fuzz-lock

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

rust:
	@command -v $(CARGO) >/dev/null || { echo "Rust is missing: install it as https://www.rust-lang.org/tools/install says, then try again." >&2; exit 1; }

setup-build: rust
	@scripts/install-packages.sh build

setup: rust ## install the Debian packages that building and testing need
	@scripts/install-packages.sh build test fuzz

build: setup-build ## the release binary, target/release/samlgate
	$(CARGO) build --release --locked

demo: setup-build ## a demo IdP, a small dashboard and samlgate in front, on localhost
	$(CARGO) build --locked --bin samlgate --example demo
	@exec target/debug/examples/demo

test: setup fmt lint unit verify pure-rust generated fuzz-smoke interop test-chart deny ## everything that must pass
	$(call say,all tests passed)

test-fast: fmt lint unit ## what one runs while working

fmt: rust
	$(call say,format)
	$(CARGO) fmt --check

lint: rust
	$(call say,clippy: default features)
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(call say,clippy: pure Rust)
	$(CARGO) clippy --locked --no-default-features --all-targets -- -D warnings

unit: rust
	$(call say,tests: default features)
	$(CARGO) test --locked

pure-rust: rust ## the tests without the second signature engine
	$(call say,tests: without the second opinion)
	$(CARGO) test --locked --no-default-features --lib --test it

verify: rust ## the snippets for applications (examples/verify), in each language that is here
	$(call say,the assertion in other languages)
	@scripts/install-packages.sh build verify
	@tests/verify/run.sh

generated: rust ## is what is generated up to date?
	$(call say,generated files)
	@$(CARGO) run --locked -q -- schema | diff -u config/schema.json - || { echo "config/schema.json is out of date: make schema" >&2; exit 1; }

schema: rust ## write config/schema.json
	$(CARGO) run --locked -q -- schema > config/schema.json.new && mv config/schema.json.new config/schema.json

interop: rust ## one real login: SimpleSAMLphp, Nagios, Chromium
	$(call say,a real login)
	@scripts/install-packages.sh build test
	$(CARGO) build --locked --bin samlgate --example demo
	@tests/interop/run.sh

interop-all: rust ## the same with every IdP there is: samlp and two Keycloaks too, downloaded once (350 MB)
	$(call say,every identity provider)
	@scripts/install-packages.sh build test interop
	$(CARGO) build --locked --bin samlgate --example demo
	@tests/interop/run.sh --all

bench: rust ## side by side with nginx and other service providers; writes to bench/out
	@scripts/install-packages.sh build bench
	@scripts/install-packages.sh rivals || echo "going on without some of the other service providers" >&2
	@bench/run.sh

bench-smoke: rust ## whether the benchmarks work: a second of each, nginx and samlgate alone
	@scripts/install-packages.sh build bench
	@SMOKE=1 bench/run.sh

fuzz: rust ## all fuzz targets in turn, FUZZ_SECONDS (an hour) in all; then what the worst inputs cost
	$(call say,fuzzing for $(FUZZ_SECONDS) s)
	@scripts/install-packages.sh build fuzz
	@fuzz/run.sh $(FUZZ_SECONDS)
	@fuzz/run.sh --replay

fuzz-smoke: rust ## all fuzz targets for FUZZ_SMOKE_SECONDS (a minute) in all
	$(call say,fuzzing for $(FUZZ_SMOKE_SECONDS) s)
	@scripts/install-packages.sh build fuzz
	@FUZZ_SEED=1 fuzz/run.sh $(FUZZ_SMOKE_SECONDS)

fuzz-lock: rust ## fuzz/Cargo.lock with the product's versions
	cp Cargo.lock fuzz/Cargo.lock
	$(CARGO) metadata --manifest-path fuzz/Cargo.toml --format-version 1 >/dev/null

test-chart: ## lint, render and validate the Helm chart
	$(call say,chart)
	@tests/deploy/test-chart.sh

test-image: ## build the image and run it, without a Docker engine
	$(call say,image)
	@tests/deploy/test-image.sh

deny: ## advisories, licences, sources and duplicates of the dependencies
	$(call say,dependencies)
	@scripts/check-dependencies.sh

tools: rust ## build cargo-deny into $(TOOLS), a few minutes
	$(CARGO) install --locked --root "$(TOOLS)" cargo-deny
