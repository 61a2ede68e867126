# make run     see it work: both processes, in a folder of their own
# make test    build, and pass every test that this machine allows
# make check   what CI checks beside the tests: format, lints, licences, the executor's size
# make bench   what it costs, as ratios
# make install-tools   what `make test` and `make check` need, by apt and cargo (as root)
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.PHONY: run test check bench build install-tools

CARGO ?= cargo

run:
	@scripts/prerequisites run
	$(CARGO) build --release --locked --workspace --bins
	@"$${CARGO_TARGET_DIR:-target}/release/demo"

build:
	$(CARGO) build --release --locked --workspace --bins

test:
	@scripts/prerequisites test
	@scripts/test

check:
	@scripts/prerequisites check
	@scripts/check

bench:
	@scripts/prerequisites run
	$(CARGO) build --release --locked --workspace --bins
	@"$${CARGO_TARGET_DIR:-target}/release/bench"
	@scripts/executor-size

install-tools:
	@scripts/prerequisites test check
