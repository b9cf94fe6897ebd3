#!/bin/sh
# bench.sh BUILD [ARGUMENT...]: runs every bench of a build; the arguments are for bench_kernels (see its --help).
#
# Leaves what the kernels gave in BUILD/bench: kernels.json, kernels.tsv and, where gnuplot is installed, kernels.svg.
#
# SPDX-License-Identifier: Apache-2.0
set -eu
build=${1:?usage: tools/bench.sh BUILD [ARGUMENT...]}
shift
here=$(dirname "$0")

found=''
for program in "$build"/bench/bench_*; do
    if [ -f "$program" ] && [ -x "$program" ] && [ "${program##*/}" != bench_kernels ]; then
        found=1
        "$program"
    fi
done
if [ -z "$found" ]; then
    echo "bench: there is no bench program in $build/bench" >&2
    exit 1
fi

# Executions end to end: a node, a client beside it, and what both cost.
"$build/wasm-hypervisor" load --spawn --scenario steady

results=$build/bench/kernels
"$build/bench/bench_kernels" --json "$results.json" --columns "$results.tsv" "$@"
echo "results: $results.json"
if command -v gnuplot >/dev/null 2>&1; then
    gnuplot -e "columns='$results.tsv'; chart='$results.svg'" "$here/../bench/chart.gp" 2>"$results.gnuplot.log" ||
        { cat "$results.gnuplot.log" >&2; exit 1; }
    echo "chart:   $results.svg"
else
    echo "chart:   none, gnuplot is not installed (apt-get install gnuplot-nox)"
fi
