#!/bin/bash
# fuzz.sh SECONDS [TARGET...]: builds the libFuzzer targets and runs each for so long. New inputs go to
# build/corpus/<target>, the kept corpus fuzz/corpus/<target> is only read. A crash is left in build/corpus/crashes and fails.
#
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:?usage: tools/fuzz.sh SECONDS [TARGET...]}
shift
targets=("$@")
if [ ${#targets[@]} = 0 ]; then
    for source in fuzz/fuzz_*.c; do
        name=${source#fuzz/fuzz_}
        targets+=("${name%.c}")
    done
fi

cmake --preset fuzz >/dev/null
cmake --build build/fuzz -j "${JOBS:-$(nproc)}" --target "${targets[@]/#/fuzz_}"

crashes=build/corpus/crashes/
mkdir -p "$crashes"
for name in "${targets[@]}"; do
    folders=("build/corpus/$name")
    mkdir -p "build/corpus/$name"
    [ -d "fuzz/corpus/$name" ] && folders+=("fuzz/corpus/$name")
    options=()
    [ -f "fuzz/$name.dict" ] && options+=("-dict=fuzz/$name.dict")
    echo "fuzz: $name for $seconds s"
    "build/fuzz/fuzz/fuzz_$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        -verbosity=1 -artifact_prefix="$crashes$name-" "${options[@]}" "${folders[@]}" 2>&1 |
        { grep -Ev '^#[0-9]+[[:space:]]+(NEW|REDUCE|RELOAD|pulse)' || true; }
done
echo "fuzz: nothing found"
