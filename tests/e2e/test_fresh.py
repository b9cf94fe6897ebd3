"""test_fresh: fresh proofs: hundreds of clients at once, each with a nonce, under a few reports; verified from docs/protocol.md alone.

SPDX-License-Identifier: Apache-2.0
"""

import collections
import hashlib
import json
import os
import threading
import unittest

from client import b64
from node import Node, command
from test_degraded import reports
from verify_chain import Epoch, Unverified, inclusion_root, leaf_hash, require, unb64

CALLERS = 300


class FreshEpoch(Epoch):
    """Evidence whose report was made for a nonce: only what the report is about differs."""

    def __init__(self, evidence, nonce):
        self.nonce = nonce
        super().__init__(evidence)

    def report_data(self):
        batch = self.evidence["batch"]
        require(unb64(batch["nonce"]) == self.nonce, "made for another nonce")
        leaf = leaf_hash(b"wasm-hypervisor/1 batch nonce\0" + self.nonce)
        root = inclusion_root(batch["index"], batch["size"], leaf, [bytes.fromhex(hash) for hash in batch["path"]])
        require(root.hex() == batch["root"], "the path does not lead to the root")
        about = b"wasm-hypervisor/1 batch\0" + self.digest + batch["size"].to_bytes(8, "big") + root
        require(self.report[0x50:0x90] == hashlib.sha512(about).digest(), "the report was made for another batch")


def ask(client, nonce):
    return client.call("POST", "/v1/attestation", {"nonce": b64(nonce)})


class Fresh(unittest.TestCase):
    def test_hundreds_of_clients_share_a_few_calls_of_the_firmware(self):
        with Node("--attestation-calls", "60") as node:
            nonces = [os.urandom(16 + number % 49) for number in range(CALLERS)]
            answers = [None] * CALLERS
            together = threading.Barrier(CALLERS)

            def call(number):
                client = node.client()
                together.wait()
                answers[number] = ask(client, nonces[number])
                client.close()

            threads = [threading.Thread(target=call, args=(number,)) for number in range(CALLERS)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(collections.Counter(answer.status for answer in answers), {200: CALLERS})
            statement = node.client().call("GET", "/v1/attestation").json["statement"]
            batches = collections.defaultdict(list)
            for answer, nonce in zip(answers, nonces):
                batches[answer.json["batch"]["root"]].append(answer)
                self.assertEqual(answer.json["statement"], statement)
                self.assertEqual(FreshEpoch(answer.json, nonce).provider, "simulated")
            for batch in batches.values():  # the first nonce of each is the node's own
                self.assertEqual(sorted(answer.json["batch"]["index"] for answer in batch), list(range(1, len(batch) + 1)))
                self.assertEqual({answer.json["batch"]["size"] for answer in batch}, {len(batch) + 1})
                self.assertEqual(len({answer.json["report"] for answer in batch}), 1)
            self.assertEqual((reports(node), reports(node, "batch")), ({"success": 1}, {"success": len(batches)}))
            self.assertLess(len(batches), CALLERS / 10)
            for change in ({"index": 0}, {"size": 1 << 16}, {"nonce": b64(bytes(16))}, {"root": "00" * 32}):
                with self.assertRaises(Unverified):
                    FreshEpoch({**answers[0].json, "batch": {**answers[0].json["batch"], **change}}, nonces[0])

    def test_the_command_asks_with_a_nonce_of_its_own_and_verifies(self):
        with Node("--attestation-calls", "6000", key=False) as node:
            url, kept = f"http://127.0.0.1:{node.port}", os.path.join(node.data, "fresh.json")
            done = command("attest", "fresh", "--node", url, "--allow-simulated", "any", "--out", kept)
            self.assertIn("OK: simulated", done.stdout)
            self.assertRegex(done.stdout, r"passed +nonce +the report was made for it, among 2\n")
            self.assertRegex(done.stdout, r"passed +batch_inclusion ")
            done = command("attest", "fresh", "--node", url, "--json", check=False)
            said = json.loads(done.stdout)
            self.assertEqual((done.returncode, said["ok"], said["failed_check"]), (4, False, "root_pinned"))
            with open(kept, encoding="utf-8") as file:
                nonce = json.load(file)["batch"]["nonce"]
            command("attest", "verify", kept, "--allow-simulated", "any", "--nonce", nonce)
            done = command("attest", "verify", kept, "--allow-simulated", "any", "--nonce", b64(bytes(32)), check=False)
            self.assertEqual((done.returncode, "REFUSED (policy): nonce" in done.stdout), (12, True))
        with Node("--tee", "none", key=False) as node:
            done = command("attest", "fresh", "--node", f"http://127.0.0.1:{node.port}", check=False)
            self.assertEqual((done.returncode, "HTTP status 404" in done.stderr), (3, True))

    def test_a_nonce_has_16_to_64_bytes_and_a_node_without_hardware_has_no_proof(self):
        with Node("--tee", "none") as node:
            client = node.client("")
            for nonce in (b"", bytes(15), bytes(65)):
                self.assertEqual(ask(client, nonce).status, 400)
            self.assertEqual((ask(client, bytes(16)).status, ask(client, bytes(16)).json["error_code"]), (404, "NOT_FOUND"))
            self.assertEqual(client.call("POST", "/v1/attestation", {}).json["error_code"], "MALFORMED_REQUEST")
            client.close()


if __name__ == "__main__":
    unittest.main()
