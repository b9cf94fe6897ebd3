"""test_disk_failures: the disk of a node is full, becomes read-only, or its syncs fail; then there is a sound one again.

tests/audit/power/fail.c makes the system calls fail. Whatever happens, nobody is told of an execution that is not in the log for good,
the node says what is wrong and ends, and once the disk is sound it starts and has everything that it promised.

SPDX-License-Identifier: Apache-2.0
"""

import http.client
import os
import shutil
import tempfile
import unittest

from node import BUILD, Node, command, example

FAIL = os.path.join(BUILD, "tests", "audit", "power", "libpower_fail.so")
FAILED = 70  # EX_SOFTWARE: not by a signal, and not as if all were well
SAYS = {"ENOSPC": "No space left on device", "EROFS": "Read-only file system", "EIO": "Input/output error"}


class Disk:
    """A data directory whose disk fails on demand."""

    def __init__(self, test):
        self.data = tempfile.mkdtemp(prefix="wh-e2e-")
        self.when = self.data + ".fails"
        test.addCleanup(shutil.rmtree, self.data, ignore_errors=True)
        test.addCleanup(self.mend)
        self.environment = {"LD_PRELOAD": FAIL, "WH_FAIL_DIRECTORY": self.data, "WH_FAIL_WHEN": self.when}

    def breaks(self, how):
        with open(self.when + ".new", "w", encoding="ascii") as file:
            file.write(how)
        os.rename(self.when + ".new", self.when)

    def mend(self):
        if os.path.exists(self.when):
            os.unlink(self.when)


class DiskFailures(unittest.TestCase):
    def run_into(self, how):
        disk = Disk(self)
        with Node(data=disk.data, **disk.environment) as node:
            client = node.client()
            kept = [client.run(example("primes"), "nth", [5])[0].json for _ in range(3)]
            prepared = client.prepare(example("primes"), "nth", [5])
            disk.breaks(how)
            try:
                answer = client.send(prepared)
                self.assertIn(answer.status, (500, 503), answer)
                self.assertNotIn(b"commitment", answer.body)
            except (http.client.HTTPException, ConnectionError):
                pass  # it may have ended already
            client.close()
            self.assertEqual(node.process.wait(60), FAILED)
            self.assertIn("audit_dead", node.log_text())
            self.assertIn(SAYS[how], node.log_text())
            # With the same disk it does not come up, and says why.
            with self.assertRaises(AssertionError) as refusal:
                node.start()
            node.log.close()
            self.assertIn(SAYS[how], str(refusal.exception).strip().splitlines()[-1])
            disk.mend()
            node.start()
            self.check(node, kept, prepared)

    def check(self, node, kept, prepared):
        """Everything that was promised is there, and what was not promised is not told as done."""
        client = node.client()
        self.addCleanup(client.close)
        for answer in kept:
            found = client.call("GET", f"/v1/verify/{answer['request_id']}")
            self.assertEqual((found.status, found.json["leaf"]), (200, answer["commitment"]["leaf"]))
        shown = client.call("GET", f"/v1/verify/{prepared.key['request_id']}")
        self.assertEqual(shown.status, 404, "there is no result of it")
        client.run(example("primes"), "nth", [5])
        status, report = node.audit("--vkey", found.json["log_vkey"])
        self.assertEqual((status, report["verdict"]), (0, "OK"), report)

    def test_full(self):
        self.run_into("ENOSPC")

    def test_read_only(self):
        self.run_into("EROFS")

    def test_syncs_that_fail(self):
        self.run_into("EIO")
