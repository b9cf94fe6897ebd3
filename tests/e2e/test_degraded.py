"""test_degraded: a node whose firmware stops answering after the first report: it keeps its epoch until that is over, says what is wrong,
signs nothing after it, and is well again when the firmware is.

SPDX-License-Identifier: Apache-2.0
"""

import errno
import json
import unittest

from node import Node, until
from test_hardware import SHIM, ProcessorCase


def metrics(node):
    """The samples of the node's metrics by name and labels."""
    text = node.client().call("GET", "/metrics").body.decode()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))}


def reports(node, purpose="epoch"):
    """Calls of the firmware by outcome, those that happened."""
    start = f'wasm_hypervisor_attestation_reports_total{{purpose="{purpose}",outcome="'
    return {name[len(start):-2]: value for name, value in metrics(node).items() if name.startswith(start) and value > 0}


class Degraded(ProcessorCase):
    def node(self, *arguments):
        self.processor.good()
        return Node("--tee", "sev-guest", "--attestation-calls", "6000", "--attestation-retry-seconds", "1", *arguments,
                    LD_PRELOAD=SHIM, WH_TEE_SOCKET=self.processor.path)

    def events(self, node, name):
        lines = [json.loads(line) for line in node.log_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == name]

    def expect_over(self, node, error):
        client = node.client()
        until(lambda: not client.call("GET", "/health").json["checks"]["attestation_epoch"])
        until(lambda: client.call("GET", "/health").json["attestation"].get("last_error") == error)
        health = client.call("GET", "/health")
        self.assertEqual((health.status, health.json["status"]), (200, "degraded"))
        self.assertEqual([name for name, good in health.json["checks"].items() if not good], ["attestation_epoch"])
        self.assertRegex(health.json["attestation"]["failing_since"], r"^\d{4}-\d\d-\d\dT[0-9:.]{12}Z$")
        ready = client.call("GET", "/readyz?verbose")
        self.assertEqual(ready.status, 503)
        self.assertIn("[-] attestation_epoch", ready.body.decode())
        for method, path in (("POST", "/v1/keys"), ("GET", "/v1/attestation?nonce=AAECAwQFBgc%3D")):
            refused = client.call(method, path)
            self.assertEqual((refused.status, refused.json["error_code"]), (503, "OVERLOADED"))
            self.assertGreaterEqual(int(refused.headers["retry-after"]), 1)
        self.assertEqual(client.call("GET", "/v1/attestation").json["provider"], "sev-guest")
        self.assertEqual(metrics(node)["wasm_hypervisor_epoch_over"], 1)
        client.close()

    def test_it_says_so_and_signs_nothing_until_the_firmware_is_back(self):
        with self.node("--epoch-seconds", "1") as node:
            client = node.client()
            for failure, error in (((errno.EBUSY, 0, 0), "busy"), ((errno.ENOTTY, 0, 0), "lost")):
                self.processor.always = failure
                self.expect_over(node, error)
                self.assertGreaterEqual(metrics(node)["wasm_hypervisor_attestation_failures_in_a_row"], 1)
                self.assertGreaterEqual(reports(node)[error], 1)
                self.processor.always = None
                until(lambda: client.call("GET", "/health").json["status"] == "ok")
                until(lambda: client.call("POST", "/v1/keys").status == 201)
                until(lambda: "last_error" not in client.call("GET", "/health").json["attestation"])
            client.close()
            self.assertEqual(node.stop(), 0)
            self.assertEqual([event["outcome"] for event in self.events(node, "attestation_failing")], ["busy", "lost"])
            self.assertEqual(len(self.events(node, "attestation_recovered")), 2)
            self.assertGreaterEqual(len(self.events(node, "epoch_over")), 2)
            self.assertNotIn("simulat", node.log_text())

    def test_a_call_that_does_not_come_back_holds_up_nobody(self):
        with self.node("--epoch-seconds", "1", "--attestation-max-wait-seconds", "1") as node:
            self.processor.free.clear()
            self.expect_over(node, "blocked")
            self.assertGreater(metrics(node)["wasm_hypervisor_attestation_call_seconds"], 1)
            self.assertEqual(node.stop(), 0)
            self.processor.free.set()
            self.assertEqual(len(self.events(node, "attestation_left")), 1)
            self.assertEqual(node.audit()[0], 0)

    def test_one_call_of_the_firmware_is_made_for_an_epoch(self):
        with self.node("--epoch-seconds", "1") as node:
            epochs = set()
            client = node.client()

            def seen():
                epochs.add(client.call("GET", "/v1/attestation").json["statement"])
                return len(epochs) == 2

            until(seen)
            client.close()
            self.assertEqual(node.stop(), 0)
            self.assertEqual(self.processor.calls, 1 + len(self.events(node, "epoch_renewed")))


if __name__ == "__main__":
    unittest.main()
