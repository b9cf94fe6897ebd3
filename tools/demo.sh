#!/bin/bash
# demo.sh BUILD: the whole way of one program, in half a minute: a node starts on a free port, a program and its private numbers are
# sent to it encrypted, the result comes back, and everything that can be verified is. Nothing is left behind, whatever happens.
#
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail

build=${1:?usage: tools/demo.sh BUILD}
binary=$build/wasm-hypervisor
program=$build/examples/regression.wasm
data=$(mktemp -d "${TMPDIR:-/tmp}/wasm-hypervisor-demo.XXXXXX")
node=''

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
    bold=$'\e[1m' plain=$'\e[0m'
else
    bold='' plain=''
fi
heading() { printf '\n%s%s%s\n' "$bold" "$1" "$plain"; }

stop_node() {
    if [ -n "$node" ]; then
        kill "$node" 2>/dev/null || true
        wait "$node" 2>/dev/null || true
        node=''
    fi
}
clean_up() {
    status=$?
    trap - EXIT INT TERM
    if [ "$status" -ne 0 ] && [ -s "$data/node.log" ]; then
        printf '\nThe demo failed. The end of the log of the node:\n' >&2
        tail -n 20 "$data/node.log" >&2
    fi
    stop_node
    rm -rf "$data"
    exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

heading '1. A node starts on this machine (its confidential hardware is simulated)'
mkfifo "$data/words"
"$binary" serve --data-dir "$data/node" --tee simulated --port 0 --log-file "$data/node.log" \
    >"$data/words" 2>"$data/errors" &
node=$!
exec 3<"$data/words"
url='' key=''
while [ -z "$url" ] && read -r line <&3; do
    case $line in
    *"listening on "*) url=${line##*listening on } ;;
    *wh_*) key=$(printf '%s\n' "$line" | grep -o 'wh_[0-9A-Za-z_-]*') ;;
    esac
done
if [ -z "$url" ] || [ -z "$key" ]; then
    cat "$data/errors" >&2
    echo 'The node did not start.' >&2
    exit 1
fi
cat <&3 >/dev/null & # whatever else it says
reader=$!
exec 3<&-
echo "   $url"

heading '2. A program and private numbers go to it, encrypted; the result comes back, encrypted'
numbers='1.0,2.1
2.0,3.9
3.0,6.2
4.0,7.8
5.0,10.1'
# The simulator's own root, from its folder: each certificate behind its length (4 bytes, big endian), the root last.
root=$(/usr/bin/python3 -c 'import hashlib, sys
chain = open(sys.argv[1], "rb").read()
while chain:
    root, chain = chain[4:4 + int.from_bytes(chain[:4], "big")], chain[4 + int.from_bytes(chain[:4], "big"):]
print(hashlib.sha256(root).hexdigest())' "$data/node/tee/certificates.bin")
printf '%s\n' "$numbers" | sed 's/^/   /'
WASM_HYPERVISOR_API_KEY=$key "$binary" exec "$program" --invoke fit --arg-string "$numbers" --encrypt-arguments \
    --result-type string --server "$url" --allow-simulated "$root" >"$data/answer"
sed -n '1s/^/   /p' "$data/answer"

stop_node
wait "$reader" 2>/dev/null || true

heading '3. The node is gone; an auditor reads the log that it left'
"$binary" audit verify "$data/node/audit" | sed 's/^/   /'

# What `exec` said, and only if it said so.
heading 'What has been verified'
grep -x 'attestation: simulated, verified' "$data/answer"
grep -qE '^audit proof: verified( |$)' "$data/answer"
echo 'audit proof: verified'
