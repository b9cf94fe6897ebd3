#!/bin/sh
# bench.sh BUILD: runs every bench of a build. A line is name, value, unit, with tabs between.
#
# SPDX-License-Identifier: Apache-2.0
set -eu
build=${1:?usage: tools/bench.sh BUILD}

found=''
for program in "$build"/bench/bench_*; do
    if [ -f "$program" ] && [ -x "$program" ]; then
        found=1
        "$program"
    fi
done
if [ -z "$found" ]; then
    echo "bench: there is no bench program in $build/bench" >&2
    exit 1
fi
