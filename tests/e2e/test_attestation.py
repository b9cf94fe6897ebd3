"""test_attestation: a node's evidence as its users check it: with the commands, with a policy, and by hand with openssl.

SPDX-License-Identifier: Apache-2.0
"""

import base64
import json
import os
import subprocess
import tempfile
import unittest

from node import SOURCE, NodeCase, command, wat

SEVEN = wat('(module (func (export "seven") (result i32) (i32.const 7)))')


class Evidence(NodeCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.url = f"http://127.0.0.1:{cls.node.port}"
        cls.file = os.path.join(cls.folder.name, "evidence.json")
        command("attest", "report", "--node", cls.url, "--out", cls.file)

    def verify(self, *arguments):
        done = command("attest", "verify", self.file, "--json", *arguments, check=False)
        return done.returncode, json.loads(done.stdout)

    def policy(self, text):
        path = os.path.join(self.folder.name, "policy.yaml")
        with open(path, "w", encoding="utf-8") as out:
            out.write(text)
        return path

    def test_a_simulated_node_is_refused_unless_its_root_is_named(self):
        status, said = self.verify()
        self.assertEqual((status, said["failed_check"]), (4, "root_pinned"))
        status, said = self.verify("--allow-simulated", "any")
        self.assertEqual((status, said["ok"], said["simulated"]), (0, True, True))
        root = said["root_sha256"]
        self.assertEqual(self.verify("--allow-simulated", root)[0], 0)
        status, said = self.verify("--allow-simulated", root[:-1] + ("0" if root[-1] != "0" else "1"))
        self.assertEqual((status, said["failed_check"]), (4, "root_pinned"))

    def test_the_same_policy_decides_in_verify_and_in_exec(self):
        measurement = self.verify("--allow-simulated", "any")[1]["measurement"]
        module = os.path.join(self.folder.name, "seven.wasm")
        with open(module, "wb") as out:
            out.write(SEVEN)
        execute = ("exec", module, "--server", self.url, "--allow-simulated", "any")
        for pinned, expected in ((measurement, (0, 0)), ("00" * 48, (12, 4))):
            path = self.policy(f"measurements: {pinned}\nproducts: Genoa\nmax_age_seconds: 3600\n")
            status, said = self.verify("--allow-simulated", "any", "--policy", path)
            self.assertEqual((status, said["failed_check"]), (expected[0], "measurement" if expected[0] else None))
            done = command(*execute, "--attestation-policy", path, check=False, env={**os.environ, "WASM_HYPERVISOR_API_KEY": self.node.api_key})
            self.assertEqual(done.returncode, expected[1], done.stderr)
            self.assertEqual("measurement: " + measurement in done.stderr, expected[1] != 0, done.stderr)

    def test_a_nonce_is_signed_and_bad_ones_are_refused(self):
        nonce = base64.b64encode(bytes(range(240, 256)) + b"\xfb\xff").decode()
        evidence = json.loads(command("attest", "report", "--node", self.url, "--nonce", nonce).stdout)
        self.assertEqual(json.loads(evidence["nonce_binding"]["payload"])["nonce"], nonce)
        self.assertEqual(command("attest", "report", "--node", self.url, "--nonce", "AAAA", check=False).returncode, 3)
        self.assertEqual(command("attest", "report", "--node", self.url, "--nonce", "A" * 4000, check=False).returncode, 2)

    def test_show_tells_the_report_of_the_evidence(self):
        text = command("attest", "show", self.file).stdout
        self.assertIn("cpu                  family 19, model 11, stepping 01: Genoa", text)
        self.assertIn(" no debug ", text)

    def by_hand(self, evidence):
        with open(os.path.join(SOURCE, "docs", "attestation.md"), encoding="utf-8") as page:
            script = page.read().split("## By hand")[1].split("```sh\n")[1].split("```")[0]
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "evidence.json"), "w", encoding="utf-8") as out:
                json.dump(evidence, out)
            return subprocess.run(["sh"], input=script, cwd=folder, capture_output=True, text=True, check=False)

    def test_the_commands_of_the_documentation_verify_it_and_find_what_is_wrong(self):
        with open(self.file, encoding="utf-8") as file:
            evidence = json.load(file)
        done = self.by_hand(evidence)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("0.pem: OK\nVerified OK\n", done.stdout)
        self.assertIn(self.verify("--allow-simulated", "any")[1]["measurement"], done.stdout)
        report = bytearray(base64.b64decode(evidence["report"]))
        report[0x90] ^= 1
        self.assertIn("Verification failure", self.by_hand({**evidence, "report": base64.b64encode(report).decode()}).stdout)
        done = self.by_hand({**evidence, "statement": evidence["statement"] + " "})
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("report_data digest differ", done.stdout)


if __name__ == "__main__":
    unittest.main()
