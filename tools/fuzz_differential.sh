#!/bin/bash
# fuzz_differential.sh MINUTES [FIRST-SEED]: random programs for so long, at the speed of a release: half of the time this engine
# against itself (however translated, sliced and limited), half against V8 (node), results, memory, traps and gas. What is found is
# shortened and left in build/corpus/crashes/, and fails.
#
# SPDX-License-Identifier: Apache-2.0
set -uo pipefail
cd "$(dirname "$0")/.."

minutes=${1:?usage: tools/fuzz_differential.sh MINUTES [FIRST-SEED]}
first=${2:-$(date +%s)000}
seconds=$((minutes * 30))
findings=build/corpus/crashes
status=0

mkdir -p "$findings"
cmake --preset release >/dev/null &&
    cmake --build build/release -j "${JOBS:-$(nproc)}" --target fuzz_vm_differential_random oracle_vm || exit 1
echo "fuzz: this engine against itself for $seconds s, from seed $first"
build/release/fuzz/fuzz_vm_differential_random "$seconds" "$findings" "$first" || status=1
if command -v node >/dev/null; then
    echo "fuzz: this engine against V8 for $seconds s, from seed $first"
    node fuzz/oracle_vm.mjs build/release/fuzz/oracle_vm "$seconds" "$findings" "$first" || status=1
else
    echo "skipped: V8 as a second opinion, get it by apt-get install nodejs"
fi
exit $status
