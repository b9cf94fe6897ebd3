#!/usr/bin/env python3
"""check_handlers: looks at the machine code of the interpreter for what no test of results can see.

A branch must be a jump: a conditional move of pc makes the next dispatch wait for the comparison. A select must be none. And what is
hot must not touch the stack: the state of a run is in registers, and a handler that spills some has lost what tail calls are for.

usage: check_handlers.py OBJDUMP LIBWH_VM.A    prints what it finds and "N passed, N failed, N skipped"; exits with 1 if any failed

SPDX-License-Identifier: Apache-2.0
"""

import re
import subprocess
import sys

FUNCTION = re.compile(r"^[0-9a-f]+ <handle_(\w+)>:")
CONDITIONAL_MOVE = re.compile(r"\tcmov")
CONDITIONAL_JUMP = re.compile(r"\tj(?!mp)[a-z]+ ")
STACK = re.compile(r"\tpush |\(%rsp\)|\(%rbp\)")
CALLS_C = re.compile(r"\tcall ")


def handlers(listing):
    """(name, lines) of each handler, in the listing's order."""
    name, lines = None, []
    for line in listing:
        start = FUNCTION.match(line)
        if start or not line.strip():
            if name:
                yield name, lines
            name, lines = (start.group(1), []) if start else (None, [])
        elif name:
            lines.append(line)
    if name:
        yield name, lines


def faults(name, lines):
    if "BRANCH_" in name and any(CONDITIONAL_MOVE.search(line) for line in lines):
        yield "has a conditional move"
    if name.startswith("SELECT_") and any(CONDITIONAL_JUMP.search(line) for line in lines):
        yield "has a conditional jump"
    # A lane whose number is not known to the compiler is taken through memory.
    cold = any(CALLS_C.search(line) for line in lines) or "CALL_INDIRECT" in name or "_LANE_" in name
    if not cold and any(STACK.search(line) for line in lines):
        yield "uses the stack"


def main():
    objdump, library = sys.argv[1:]
    listing = subprocess.run([objdump, "-d", "--no-show-raw-insn", library], check=True, capture_output=True, text=True).stdout
    passed, failed = 0, 0
    for name, lines in handlers(listing.splitlines()):
        found = list(faults(name, lines))
        for fault in found:
            print(f"{name}: {fault}")
        passed, failed = passed + (not found), failed + bool(found)
    print(f"{passed} passed, {failed} failed, 0 skipped")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
