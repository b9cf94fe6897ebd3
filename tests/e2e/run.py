"""run: the end-to-end tests, all (`e2e`) or those that a slow sanitizer build can afford (`e2e_smoke`).

Prints one line for each test and, last, "N passed, N failed, N skipped".

usage: run.py e2e|e2e_smoke [-v] [TEST...]     TEST as unittest names it: test_load.Gas

SPDX-License-Identifier: Apache-2.0
"""

import os
import sys
import unittest

FOLDER = os.path.dirname(os.path.abspath(__file__))
SMOKE = (
    "test_client", "test_examples.Examples", "test_requests", "test_load.Gas", "test_load.Binding", "test_operation", "test_disconnects", "test_door",
)


def main(arguments):
    sys.path.insert(0, FOLDER)
    which = arguments[0] if arguments else "e2e"
    names = [name for name in arguments[1:] if not name.startswith("-")]
    loader = unittest.TestLoader()
    if names:
        suite = loader.loadTestsFromNames(names)
    elif which == "e2e_smoke":
        suite = loader.loadTestsFromNames(SMOKE)
    else:
        suite = loader.discover(FOLDER, "test_*.py")
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(suite)
    # A class that could not be set up is an error without having been run; subtests that fail are failures of one test.
    broken = {test.id().split(" (", 1)[0] if " (" in test.id() else test.id() for test, _ in result.failures + result.errors}
    broken |= {test.id() for test in result.unexpectedSuccesses}
    skipped = len(result.skipped)
    passed = max(result.testsRun - skipped - len(broken), 0)
    print(f"{passed} passed, {len(broken)} failed, {skipped} skipped")
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
