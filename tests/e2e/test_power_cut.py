"""test_power_cut: whatever a power cut leaves of the log of a loaded server, it opens, verifies and holds what was promised.

A library (tests/audit/power/record.c) writes down what the server does to its log and what it says to its clients, through two lives that
end by SIGKILL, in good order, or by a sync that fails. power_replay then plays the recording on a disk that loses whatever it may lose, before every
operation, and judges each state. By hand, for more of them:

    WH_POWER_REQUESTS=100 WH_POWER_RANDOM=200 WH_POWER_SEED=7 /usr/bin/python3 -B tests/e2e/run.py e2e test_power_cut

SPDX-License-Identifier: Apache-2.0
"""

import http.client
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import unittest

from node import BUILD, Node, example

RECORD = os.path.join(BUILD, "tests", "audit", "power", "libpower_record.so")
FAIL = os.path.join(BUILD, "tests", "audit", "power", "libpower_fail.so")
REPLAY = os.path.join(BUILD, "tests", "audit", "power", "power_replay")
CLIENTS = 4
REQUESTS = int(os.environ.get("WH_POWER_REQUESTS", "6"))  # of each client in each life
RANDOM = os.environ.get("WH_POWER_RANDOM", "4")  # random states at each operation
SEED = os.environ.get("WH_POWER_SEED", "20261121")
KEPT = re.compile(r"power: (\d+) records, (\d+) entries, (\d+) promises: all kept in (\d+) states\n")


def fast_directory():
    """In memory: a recording is written and states are built much faster than on a disk."""
    return tempfile.mkdtemp(prefix="wh-power-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)


def replay(recording, *arguments):
    done = subprocess.run([REPLAY, recording, "--random", RANDOM, "--seed", SEED, *arguments], capture_output=True, text=True, timeout=900, check=False)
    return done.returncode, done.stdout + done.stderr


class Life:
    """A recorded server, what its clients were told, and where its data is."""

    def __init__(self, end, folder):
        self.recording = os.path.join(folder, end + ".recording")
        self.data = os.path.join(folder, end)
        self.answers = []
        self.failures = []
        self.judgement = None
        self.changed = threading.Condition()
        audit = os.path.join(self.data, "audit")
        fails = self.data + ".fails"
        environment = {"LD_PRELOAD": f"{RECORD} {FAIL}", "WH_RECORD_DIRECTORY": audit, "WH_RECORD_FILE": self.recording}
        environment.update({"WH_FAIL_DIRECTORY": os.path.join(audit, "entries"), "WH_FAIL_WHEN": fails})
        os.mkdir(self.data)
        with Node(data=self.data, **environment) as node:
            for last in (False, True):
                self.load(node)
                if end == "kill" or end == "broken" and last:
                    node.kill()
                elif end == "broken":
                    self.break_sync(node, fails)
                else:
                    assert node.stop() == 0
                if not last:
                    node.start()

    def break_sync(self, node, fails):
        """The next sync fails; what it was to sync may never arrive, though everybody who reads the file sees it."""
        client = node.client()
        prepared = client.prepare(example("primes"), "nth", [5])
        with open(fails, "w", encoding="ascii") as file:
            file.write("EIO")
        try:
            assert client.send(prepared).status == 500
        except (http.client.HTTPException, ConnectionError):
            pass  # it may have ended already
        client.close()
        assert node.process.wait(60) == 70
        os.unlink(fails)

    def load(self, node):
        done = len(self.answers)
        threads = [threading.Thread(target=self.drive, args=(node.client(),)) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        with self.changed:
            self.changed.wait_for(lambda: len(self.answers) >= done + CLIENTS * REQUESTS // 2 or self.failures)
        node.process.send_signal(signal.SIGUSR1)  # a new segment, in the middle of it all
        for thread in threads:
            thread.join()
        if self.failures:
            raise self.failures[0]

    def drive(self, client):
        try:
            for _ in range(REQUESTS):
                answer, _ = client.run(example("primes"), "nth", [5])
                with self.changed:
                    self.answers.append(answer.json)
                    self.changed.notify()
        except Exception as failure:  # pylint: disable=broad-except
            with self.changed:
                self.failures.append(failure)
                self.changed.notify()
        finally:
            client.close()


class PowerCut(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = fast_directory()
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.lives = {}

    def life(self, end):
        if end not in self.lives:
            self.lives[end] = Life(end, self.folder)
        return self.lives[end]

    def judged(self, end):
        """What the replay of a whole recording says; judged once."""
        life = self.life(end)
        if life.judgement is None:
            status, text = replay(life.recording)
            self.assertEqual(status, 0, text)
            life.judgement = [int(figure) for figure in KEPT.fullmatch(text).groups()]
        return life.judgement

    def check(self, end):
        _, entries, promises, states = self.judged(end)
        executions = 2 * CLIENTS * REQUESTS
        self.assertEqual(len(self.life(end).answers), executions)
        self.assertGreater(entries, 2 * executions, "ADMIT and RESULT of each")
        self.assertGreater(promises, executions, "an entry each, and checkpoints")
        self.assertGreater(states, executions)
        segments = os.listdir(os.path.join(self.life(end).data, "audit", "entries"))
        self.assertGreater(len(segments), 1)

    def test_a_server_that_was_killed_keeps_its_promises(self):
        self.check("kill")

    def test_a_server_that_ended_in_good_order_keeps_its_promises(self):
        self.check("stop")

    def test_a_server_whose_sync_failed_keeps_its_promises(self):
        self.check("broken")

    def test_a_server_that_does_not_sync_is_found(self):
        for what in ("data", "names"):
            with self.subTest(what=what):
                status, text = replay(self.life("kill").recording, "--forget", what)
                self.assertEqual(status, 1, text)
                shutil.rmtree(text.rsplit("see ", 1)[1].strip())

    def test_a_node_starts_from_what_is_left_and_rebuilds_its_index(self):
        life = self.life("kill")
        states = self.judged("kill")[3]
        for state in (states // 2, states):
            with self.subTest(state=state):
                data = os.path.join(self.folder, f"state-{state}")
                shutil.copytree(life.data, data, ignore=shutil.ignore_patterns("audit", "node.sqlite*", "*.log"))
                status, text = replay(life.recording, "--write", str(state), os.path.join(data, "audit"))
                self.assertEqual(status, 0, text)
                size = int(re.search(r"(\d+) entries were promised", text).group(1))
                with Node(data=data) as node:
                    client = node.client()
                    self.addCleanup(client.close)
                    promised = [answer for answer in life.answers if answer["commitment"]["leaf_index"] < size]
                    self.assertTrue(promised)
                    for answer in promised:
                        found = client.call("GET", f"/v1/verify/{answer['request_id']}")
                        self.assertEqual((found.status, found.json["leaf"]), (200, answer["commitment"]["leaf"]))
                    client.run(example("primes"), "nth", [5])
                    status, report = node.audit("--vkey", found.json["log_vkey"])
                    self.assertEqual((status, report["verdict"]), (0, "OK"), report)
