# The front door. `make help` says what each target does; everything is built by CMake under build/<preset>.
#
# SPDX-License-Identifier: Apache-2.0

MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := all
SHELL := /bin/sh

JOBS ?= $(shell nproc 2>/dev/null || echo 2)
PYTHON ?= /usr/bin/python3
TIME ?= 60
TARGET ?=
BENCH ?=
MINUTES ?= 2
SEED ?=

SOURCES = $(shell find src tests fuzz bench examples -name '*.[ch]' -not -path '*/corpus/*')
CONFIGURE = cmake --preset $(1) -DCMAKE_EXPORT_COMPILE_COMMANDS=ON >build/$(1).configure.log 2>&1 || { cat build/$(1).configure.log; exit 1; }

.PHONY: all setup demo test check bench fuzz fuzz-differential format format-check tidy clean help

all: setup ## Installs what is missing, builds the release: build/release/wasm-hypervisor (the default)
	@mkdir -p build
	@$(call CONFIGURE,release)
	@cmake --build build/release -j $(JOBS)

setup: ## Installs the Debian packages that are missing; prints them first; does nothing when all are there
	@tools/setup.sh

demo: all ## Starts a node, sends it an encrypted program, prints the result, the attestation and the audit proof
	@tools/demo.sh build/release

test: setup ## Builds the release and runs every test on it: unit tests, the WebAssembly suites, examples, end to end
	@tools/check.sh test

check: setup ## Exactly what CI runs: the tests under gcc, clang, ASan+UBSan and TSan, format, house rules, a short fuzz
	@tools/check.sh all

bench: all ## Runs the benches; ours beside every engine found here. BENCH="--quick" and more: docs/benchmarks.md
	@tools/setup.sh --bench || true
	@tools/bench.sh build/release $(BENCH)

fuzz: setup ## Fuzzes every entry for TIME seconds each (60), or TARGET=vm_decode only
	@tools/fuzz.sh "$(TIME)" $(TARGET)

fuzz-differential: setup ## Random programs for MINUTES (2): the engine against itself and against V8
	@tools/fuzz_differential.sh "$(MINUTES)" $(SEED)

format: ## Formats every source file with clang-format
	@clang-format -i $(SOURCES)

format-check: ## Fails if `make format` would change something
	@clang-format --dry-run -Werror $(SOURCES) && echo "format: $(words $(SOURCES)) files as they should be"

tidy: ## Checks the house rules: layers, private headers, banned calls, sizes
	@$(PYTHON) tools/tidy.py --self-test
	@$(PYTHON) tools/tidy.py

clean: ## Removes build/
	rm -rf build

help: ## This list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "  %-18s %s\n", $$1, $$2}'
