"""test_load_tool: `wasm-hypervisor load` against nodes: all scenarios small, and what it says when something is wrong.

Nothing here looks at how long anything takes: every answer has to be right or a clear refusal, nothing may be left behind, and the
node's log has to verify. A proxy that changes what the node says shows that wrong answers do not pass.

SPDX-License-Identifier: Apache-2.0
"""

import http.client
import http.server
import json
import os
import socket
import tempfile
import threading
import unittest

from node import Node, command, keep_simulator, seed_simulator


def load(*arguments, **options):
    """(exit status, report or None, stderr)"""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "report.json")
        environment = {key: value for key, value in os.environ.items() if key != "WASM_HYPERVISOR_API_KEY"}
        before, _, after = " ".join(arguments).partition(" -- ")
        words = ["load", *before.split(), "--json", path, *(["--", *after.split()] if after else [])]
        done = command(*words, check=False, env=environment, **options)
        report = None
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                report = json.load(file)
        return done.returncode, report, done.stderr


def spawned(*arguments):
    """The same with a node of its own that finds the simulator's keys."""
    with tempfile.TemporaryDirectory(prefix="wh-load-") as data:
        os.chmod(data, 0o700)
        seed_simulator(data)
        answer = load("--spawn", "--data-dir", data, *arguments)
        keep_simulator(data)
        return answer


def figure(report, scenario, name):
    return next(row["value"] for row in report["figures"] if (row["scenario"], row["name"]) == (scenario, name))


class Whole(unittest.TestCase):
    def test_every_scenario_small(self):
        status, report, complaints = spawned("--quick", "--scenario", "all")
        self.assertEqual(status, 0, complaints)
        self.assertEqual((report["lost"], report["wrong"], report["early"], report["complaint"]), (0, 0, 0, ""))
        self.assertEqual(report["executions"], report["right"] + report["refused"] + report["broken_off"])
        self.assertEqual(report["checked"], report["executions"])
        self.assertIn("every admitted execution has its result", complaints)
        self.assertGreater(figure(report, "steady", "throughput"), 0)
        self.assertGreater(figure(report, "hogs", "endless loops stopped"), 0)
        self.assertEqual(figure(report, "hogs", "stopped before their deadline"), 0)
        self.assertEqual(figure(report, "fair", "identical jobs: right answers"), 10)
        for scenario in ("memory", "burst", "disconnects"):
            self.assertEqual(figure(report, scenario, "small programs afterwards: right answers"), 50)
        self.assertEqual(figure(report, "disconnects", "executions left running or waiting"), 0)
        self.assertEqual(figure(report, "disconnects", "descriptors left open"), 0)
        self.assertGreater(figure(report, "disconnects", "connections broken"), 100)

    def test_a_closed_loop_and_a_sample_of_checks(self):
        status, report, complaints = spawned("--quick", "--duration 0.5 --warmup 0.2 --concurrency 4 --check-every 10")
        self.assertEqual(status, 0, complaints)
        self.assertEqual(report["right"], report["executions"])
        self.assertLessEqual(report["checked"], report["executions"] // 10 + 1)
        self.assertGreater(report["checked"], 0)

    def test_the_data_directory_is_removed_unless_it_was_given(self):
        with tempfile.TemporaryDirectory() as folder:
            command("load", "--spawn", "--quick", "--duration", "0.2", "--", "--tee", "none", env={**os.environ, "TMPDIR": folder})
            self.assertEqual(os.listdir(folder), [])

    def test_a_missed_goal_fails_only_if_asked_to(self):
        arguments = "--quick --duration 0.2 --rate 20"  # 20/s are never 1500/s
        self.assertEqual(spawned(arguments)[0], 0)
        status, report, _ = spawned(arguments, "--strict")
        self.assertEqual((status, report["goals_met"]), (1, False))


class Trouble(unittest.TestCase):
    def test_a_node_that_is_not_there(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            status, report, complaints = load("--node", f"http://127.0.0.1:{taken.getsockname()[1]}")
        self.assertEqual((status, report), (3, None))
        self.assertIn("the node does not serve", complaints)

    def test_a_node_that_cannot_start(self):
        status, _, complaints = spawned("-- --host 192.0.2.1 --allow-plaintext true")
        self.assertEqual(status, 3)
        self.assertIn("the node did not start", complaints)

    def test_settings_that_the_node_refuses(self):
        status, _, complaints = spawned("-- --workers many")
        self.assertEqual(status, 3)
        self.assertIn("workers", complaints)

    def test_a_report_that_cannot_be_written(self):
        with tempfile.TemporaryDirectory() as folder:
            done = command("load", "--spawn", "--quick", "--duration", "0.2", "--json", os.path.join(folder, "no", "x"), "--", "--tee", "none", check=False)
        self.assertEqual(done.returncode, 3, done.stderr)


class Running(unittest.TestCase):
    """Against a node that was there before."""

    @classmethod
    def setUpClass(cls):
        cls.node = Node().__enter__()
        cls.addClassCleanup(cls.node.__exit__)

    def url(self):
        return f"http://127.0.0.1:{self.node.port}"

    def test_it_is_measured_and_left_running(self):
        arguments = "--quick --duration 0.3 --rate 30"
        for pid in ((), ("--pid", str(self.node.process.pid))):
            status, report, complaints = load("--node", self.url(), "--api-key", self.node.api_key, arguments, *pid)
            self.assertEqual((status, report["wrong"], report["lost"]), (0, 0, 0), complaints)
            self.assertGreater(figure(report, "steady", "node's processor time per execution"), 0)
        self.assertEqual(self.node.client().call("GET", "/livez").status, 200)

    def test_a_wrong_key_and_none(self):
        wrong = "wh_0123456789abcdef_" + "A" * 43
        for key in (("--api-key", wrong), ()):
            status, _, complaints = load("--node", self.url(), *key)
            self.assertEqual(status, 3)
            self.assertIn("UNAUTHENTICATED", complaints)

    def lie(self, change):
        """A run through a proxy that hands every JSON answer to `change` first."""
        with Proxy(self.node.port, change) as proxy:
            return load("--node", f"http://127.0.0.1:{proxy.port}", "--api-key", self.node.api_key, "--quick --duration 0.2 --rate 20")

    def test_the_truth_passes_the_proxy(self):
        status, report, complaints = self.lie(lambda answer: answer)
        self.assertEqual((status, report["wrong"]), (0, 0), complaints)

    def test_no_lie_passes(self):
        def other_digit(text):
            return ("1" if text[0] == "0" else "0") + text[1:]

        def other_letter(text):
            return text[:40] + ("A" if text[40] == "B" else "B") + text[41:]

        for path, change in (
            ("attestation.key_binding.signature", other_letter),
            ("attestation.key_binding.payload", lambda text: text.replace("Z", "X", 1)),
            ("key_derivation_salt", other_letter),
            ("encrypted_result", other_letter),
            ("request_commitment", other_digit),
            ("result_commitment", other_digit),
            ("execution_summary.gas_consumed", lambda gas: gas + 1),
            ("commitment.leaf_index", lambda index: index + 1),
            ("commitment.leaf_hash", other_digit),
            ("commitment.leaf", lambda text: text.replace("RESULT", "RESULTS")),
            ("commitment.tlog_proof", lambda text: text[:-20] + ("A" if text[-20] != "A" else "B") + text[-19:]),
            ("commitment.tlog_proof", lambda text: text.replace("index ", "index 1", 1)),
            ("receipt.signature", other_letter),
            ("receipt.payload", lambda text: text.replace("success", "SUCCESS", 1)),
        ):
            with self.subTest(path=path):
                *folders, last = path.split(".")

                def lie(answer, folders=folders, last=last, change=change):
                    at = answer
                    for folder in folders:
                        at = at.get(folder, {})
                    if last in at:
                        at[last] = change(at[last])
                    return answer

                status, report, complaints = self.lie(lie)
                self.assertEqual(status, 4, complaints)
                self.assertEqual((report["right"], report["lost"]), (0, 0))
                self.assertGreater(report["wrong"], 0)


class Proxy:
    """Between load and a node: forwards requests, and answers after `change` has had them."""

    def __init__(self, target, change):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def forward(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                node = http.client.HTTPConnection("127.0.0.1", target, timeout=60)
                node.request(self.command, self.path, body or None, {name: value for name, value in self.headers.items() if name != "Host"})
                answer = node.getresponse()
                text = answer.read()
                node.close()
                if "json" in answer.headers.get("Content-Type", ""):
                    text = json.dumps(change(json.loads(text))).encode()
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.headers.get("Content-Type", "text/plain"))
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = forward

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]

    def __enter__(self):
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


if __name__ == "__main__":
    unittest.main()
