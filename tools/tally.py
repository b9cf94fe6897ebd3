"""tally: counts the test cases of one ctest run, honestly.

A ctest entry is a whole program. What it ran is in its own last words: a Criterion synthesis, unittest's closing lines, or a line
"N passed, N failed, N skipped". An entry that says none of these counts as one. An entry that ctest calls failed never counts as
all passed, and one that ctest skipped or did not run never as passed. A Criterion test that lacks its vectors returns after a line
"skipped: <what>"; it counts as skipped.

usage: tally.py NAME JUNIT CTEST-STATUS RESULTS SECONDS    (tools/check.sh calls it; --self-test)

SPDX-License-Identifier: Apache-2.0
"""

import re
import sys
import xml.etree.ElementTree as ElementTree

CRITERION = re.compile(r"Synthesis: Tested: \D*?(\d+)\D*? \| Passing: \D*?(\d+)\D*? \| Failing: \D*?(\d+)\D*? \| Crashing: \D*?(\d+)")
CLOSING = re.compile(r"^(\d+) passed, (\d+) failed, (\d+) skipped$", re.MULTILINE)
UNITTEST = re.compile(r"^Ran (\d+) tests? in [\d.]+s\n\n(?:OK|FAILED)(?: \(([^)]*)\))?$", re.MULTILINE)
CRITERION_SKIP = re.compile(r"^\[SKIP\] ", re.MULTILINE)
SKIPPED_LINE = re.compile(r"^(?:\[[ -]*\] )?skipped: ", re.MULTILINE)
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def count_output(output):
    """(passed, failed, skipped) that the program itself reports, or None."""
    output = COLOUR.sub("", output)
    closing = CLOSING.findall(output)
    if closing:
        return tuple(int(number) for number in closing[-1])
    synthesis = CRITERION.findall(output)
    if synthesis:
        tested, passing, failing, crashing = (int(number) for number in synthesis[-1])
        # cr_skip_test is not among the tested; a test that only prints its line and returns is among the passing.
        marked = len(CRITERION_SKIP.findall(output))
        returned = min(max(len(SKIPPED_LINE.findall(output)) - marked, 0), passing)
        return passing - returned, max(failing + crashing, tested - passing), marked + returned
    unittest = UNITTEST.findall(output)
    if unittest:
        ran, details = int(unittest[-1][0]), dict(re.findall(r"([a-z ]+)=(\d+)", unittest[-1][1]))
        details = {key.strip(): int(value) for key, value in details.items()}
        failed = details.get("failures", 0) + details.get("errors", 0) + details.get("unexpected successes", 0)
        skipped = details.get("skipped", 0)
        return ran - failed - skipped, failed, skipped
    return None


def count_case(status, output):
    """(passed, failed, skipped) of one ctest entry."""
    if status in ("notrun", "disabled"):
        return 0, 0, 1
    counted = count_output(output)
    if counted is None:
        return (1, 0, 0) if status == "run" else (0, 1, 0)
    passed, failed, skipped = counted
    if status != "run" and failed == 0:
        failed = 1
    return passed, failed, skipped


def tally(name, junit, ctest_failed, results, seconds):
    total, broken = [0, 0, 0], []
    try:
        cases = ElementTree.parse(junit).getroot().findall("testcase")
    except (OSError, ElementTree.ParseError) as error:
        print(f"FAILED  ({seconds} s): ctest left no report: {error}")
        cases, total = [], [0, 1, 0]
    for case in cases:
        status = case.get("status")
        if case.find("skipped") is not None and status == "run":
            status = "notrun"
        counts = count_case(status, case.findtext("system-out") or "")
        total = [sum(pair) for pair in zip(total, counts)]
        if counts[1] > 0:
            broken.append(case.get("name"))
    if ctest_failed and total[1] == 0:
        total[1] = 1
        broken.append("ctest")
    if cases:
        word = "FAILED " if total[1] else "ok     "
        print(f"{word} ({seconds} s) {total[0]} passed, {total[1]} failed, {total[2]} skipped" + (f": {' '.join(broken)}" if broken else ""))
    with open(results, "a", encoding="utf-8") as out:
        out.write(f"{name}\t{total[0]}\t{total[1]}\t{total[2]}\n")
    return 1 if total[1] else 0


def self_test():
    criterion = "\x1b[0;34m====\x1b[0m] Synthesis: Tested: \x1b[0;34m5\x1b[0m | Passing: \x1b[0;32m4\x1b[0m | Failing: \x1b[0;31m1\x1b[0m | Crashing: \x1b[0;31m0\x1b[0m"
    assert count_output(criterion) == (4, 1, 0)
    assert count_output("skipped: vectors, get them there\n" + criterion) == (3, 1, 1)
    assert count_output("[SKIP] suite::name: no vectors\n" + criterion) == (4, 1, 1)
    assert count_output("1 passed, 2 failed, 3 skipped\n4 passed, 0 failed, 6 skipped\n") == (4, 0, 6)
    assert count_output("Ran 7 tests in 0.1s\n\nOK (skipped=2)\n") == (5, 0, 2)
    assert count_output("Ran 7 tests in 0.1s\n\nFAILED (failures=1, errors=2, skipped=1)\n") == (3, 3, 1)
    assert count_output("Ran 1 test in 0.1s\n\nOK\n") == (1, 0, 0)
    assert count_case("run", "hello") == (1, 0, 0) and count_case("fail", "hello") == (0, 1, 0)
    assert count_case("fail", "9 passed, 0 failed, 0 skipped\n") == (9, 1, 0)
    assert count_case("notrun", "") == (0, 0, 1)
    print("tally: self-test passed")


if __name__ == "__main__":
    if sys.argv[1:] == ["--self-test"]:
        self_test()
        sys.exit(0)
    sys.exit(tally(sys.argv[1], sys.argv[2], sys.argv[3] != "0", sys.argv[4], sys.argv[5]))
