#!/bin/bash
# check.sh: runs the checks step by step, says how far it is, and counts honestly.
#
#   tools/check.sh test   the release build and its tests
#   tools/check.sh all    what CI runs: that, and the same under sanitizers, with gcc, format, house rules, a short fuzz
#
# Every step runs even if one before it failed; any failure makes the exit status 1. The last line counts test cases
# (of the Criterion programs, the WebAssembly suites and the Python tests alike, see tally.py) and the other steps as one each.
#
# SPDX-License-Identifier: Apache-2.0
set -u
cd "$(dirname "$0")/.." || exit 1

mode=${1:-all}
jobs=${JOBS:-$(nproc 2>/dev/null || echo 2)}
python=${PYTHON:-/usr/bin/python3}
logs=build/check
results=$logs/results.tsv
rm -rf "$logs"
mkdir -p "$logs"
: >"$results"
SECONDS=0

case "$mode" in
test) steps_total=2 ;;
all) steps_total=13 ;;
*) echo "usage: tools/check.sh test|all" >&2; exit 2 ;;
esac
step_number=0

# step NAME COMMAND...: one passed or failed. The log is shown when it fails.
step() {
    local name=$1 log="$logs/$1.log" begin=$SECONDS
    shift
    step_number=$((step_number + 1))
    printf '[%2d/%d] %-22s ' "$step_number" "$steps_total" "$name"
    if "$@" >"$log" 2>&1; then
        printf 'ok      (%d s)\n' $((SECONDS - begin))
        printf '%s\t1\t0\t0\n' "$name" >>"$results"
    else
        printf 'FAILED  (%d s), the end of %s:\n' $((SECONDS - begin)) "$log"
        tail -n 40 "$log" | sed 's/^/    /'
        printf '%s\t0\t1\t0\n' "$name" >>"$results"
    fi
}

# tests NAME PRESET CTEST-ARGUMENTS...: as many as the tests inside say.
tests() {
    local name=$1 preset=$2 log="$logs/$1.log" junit="$PWD/$logs/$1.xml" begin=$SECONDS status=0
    shift 2
    step_number=$((step_number + 1))
    printf '[%2d/%d] %-22s ' "$step_number" "$steps_total" "$name"
    ctest --test-dir "build/$preset" -j "$jobs" --output-on-failure --no-tests=error \
        --test-output-size-passed 100000000 --test-output-size-failed 100000000 --output-junit "$junit" "$@" >"$log" 2>&1 || status=1
    "$python" tools/tally.py "$name" "$junit" "$status" "$results" $((SECONDS - begin)) || tail -n 60 "$log" | sed 's/^/    /'
}

configure_and_build() { # preset [targets...]
    local preset=$1
    shift
    cmake --preset "$preset" && cmake --build "build/$preset" -j "$jobs" ${1:+--target} "$@"
}

fuzz_smoke() { # target
    tools/fuzz.sh 20 "$1"
}

step build-release configure_and_build release
tests release release -LE 'smoke|stress'
if [ "$mode" = all ]; then
    step format make format-check
    step house-rules make tidy
    step build-dev configure_and_build dev
    tests dev dev -LE 'e2e|stress'
    step build-gcc configure_and_build gcc
    tests gcc gcc -LE 'e2e|stress'
    step build-tsan configure_and_build tsan stress
    tests tsan tsan -L stress
    step fuzz-vm_decode fuzz_smoke vm_decode
    step fuzz-net_http fuzz_smoke net_http
    step fuzz-service_request fuzz_smoke service_request
fi

awk -F'\t' '{ passed += $2; failed += $3; skipped += $4 }
    END { printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped; exit failed > 0 }' "$results"
