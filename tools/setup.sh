#!/bin/sh
# setup.sh: installs what a build and its tests need, on Debian 12 or newer and on Ubuntu 24.04 or newer.
#
# Only what is missing is installed, and the apt-get line is printed before it runs. When nothing is missing this
# is one dpkg-query. `make` calls it before every build; `tools/setup.sh --list` only prints the names; with --bench,
# what `make bench` draws with comes too.
#
# SPDX-License-Identifier: Apache-2.0
set -eu

# Each line: alternatives, the first one that the machine's archive knows is installed; any installed one is enough.
build_packages='
gcc
libc6-dev
cmake
ninja-build
pkg-config|pkgconf
libuv1-dev
libllhttp-dev|node-llhttp
libssl-dev
libjansson-dev
libyaml-dev
libsqlite3-dev
libcurl4-openssl-dev
wabt
clang
lld
xz-utils
python3
python3-cryptography
'
test_packages='
libcriterion-dev
sqlite3
clang-format
golang-go
golang-golang-x-mod-dev
'
# The fast dispatch (musttail with preserve_none) and the fuzzers come from clang 19. Without it gcc builds the same program.
fast_packages='
clang-19
lld-19
libclang-rt-19-dev
'

# The engine that judges ours (tests/gas, make fuzz-differential). A node that came another way is as good.
if ! command -v node >/dev/null 2>&1; then
    test_packages="${test_packages}nodejs
"
fi

# The chart of `make bench`.
if [ "${1:-}" = --bench ]; then
    test_packages="${test_packages}gnuplot-nox
"
    shift
fi

say() { printf '%s\n' "setup: $*"; }

if [ "${1:-}" = --list ]; then
    printf '%s' "$build_packages$test_packages$fast_packages" | sed '/^$/d'
    exit 0
fi
if [ $# -gt 0 ]; then
    say "unknown argument '$1'; usage: tools/setup.sh [--bench] [--list]" >&2
    exit 2
fi

if ! command -v dpkg-query >/dev/null 2>&1; then
    # Not Debian: never guess at another distribution's package names. The build itself says what it misses.
    if command -v cmake >/dev/null 2>&1 && command -v ninja >/dev/null 2>&1; then
        exit 0
    fi
    say "this machine has no dpkg, so nothing can be installed for you. Install the counterparts of these" >&2
    say "Debian packages with your package manager and run make again (a|b: either will do):" >&2
    printf '%s' "$build_packages$test_packages$fast_packages" | sed '/^$/d; s/^/  /' >&2
    exit 1
fi

names=$(printf '%s' "$build_packages$test_packages$fast_packages" | tr '|\n' '  ')
# shellcheck disable=SC2086,SC2016 # a list of words on purpose; ${} is dpkg's
installed=" $(dpkg-query -W -f='${db:Status-Status}:${Package}\n' $names 2>/dev/null | sed -n 's/^installed://p' | tr '\n' ' ')"

is_installed() { # alternatives
    for name in $(printf '%s' "$1" | tr '|' ' '); do
        case "$installed" in *" $name "*) return 0 ;; esac
    done
    return 1
}

is_available() { # name
    candidate=$(LC_ALL=C apt-cache policy "$1" 2>/dev/null | sed -n 's/^ *Candidate: //p')
    [ -n "$candidate" ] && [ "$candidate" != "(none)" ]
}

missing=''
for line in $build_packages $test_packages; do
    is_installed "$line" || missing="$missing $line"
done
missing_fast=''
# WH_FAST=0 keeps to gcc; so does a machine whose archive has no clang 19 (asked for only once a day, below).
unavailable_mark="${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/wasm-hypervisor-no-clang-19"
if [ "${WH_FAST:-1}" = 1 ] && [ -z "$(find "$unavailable_mark" -mtime -1 2>/dev/null)" ]; then
    for line in $fast_packages; do
        is_installed "$line" || missing_fast="$missing_fast $line"
    done
fi
if [ -z "$missing$missing_fast" ]; then
    exit 0
fi

if [ "$(id -u)" = 0 ]; then
    as_root=''
elif command -v sudo >/dev/null 2>&1; then
    as_root='sudo'
else
    say "missing:$missing$missing_fast" >&2
    say "run tools/setup.sh as root (there is no sudo here), or install them, then run make again" >&2
    exit 1
fi

run() {
    say "$*"
    "$@"
}

export DEBIAN_FRONTEND=noninteractive
run $as_root apt-get update -q
chosen=''
for line in $missing; do
    found=''
    for name in $(printf '%s' "$line" | tr '|' ' '); do
        if [ -z "$found" ] && is_available "$name"; then
            found=$name
        fi
    done
    if [ -z "$found" ]; then
        say "this machine's package archive has none of: $line (Debian 12 and newer have it)" >&2
        exit 1
    fi
    chosen="$chosen $found"
done
for name in $missing_fast; do
    if is_available "$name"; then
        chosen="$chosen $name"
    else
        say "no $name here: gcc builds the portable dispatch (the same results, slower)"
        mkdir -p "$(dirname "$unavailable_mark")" && : >"$unavailable_mark"
    fi
done
if [ -n "$chosen" ]; then
    # shellcheck disable=SC2086 # a list of words on purpose
    run $as_root apt-get install -q -y --no-install-recommends $chosen
fi
say "everything is there"
