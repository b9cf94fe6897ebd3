"""test_attestation: a node's evidence as its users check it: with the commands, with a policy, and by hand with openssl.

SPDX-License-Identifier: Apache-2.0
"""

import base64
import datetime
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import unittest

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from node import BINARY, SHARED, SOURCE, NodeCase, command, wat

SEVEN = wat('(module (func (export "seven") (result i32) (i32.const 7)))')


with open(os.path.join(SOURCE, "docs", "attestation.md"), encoding="utf-8") as page_file:
    PAGE = page_file.read()


def revocation_list():
    """Of nobody: whoever reads it as a file is content."""
    now = datetime.datetime.utcnow()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "ARK-Nobody")])
    builder = x509.CertificateRevocationListBuilder().issuer_name(name).last_update(now).next_update(now + datetime.timedelta(days=1))
    return builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()).public_bytes(serialization.Encoding.DER)


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
        script = PAGE.split("## By hand")[1].split("```sh\n")[1].split("```")[0]
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

    def test_the_commands_of_the_documentation_follow_amds_own_chain(self):
        vectors = os.path.join(SHARED, "attestation-vectors")
        if not os.path.isdir(vectors):
            self.skipTest("skipped: real reports, get them by putting attestation-vectors into ../shared")
        for line in ("milan", "genoa", "turin"):
            with open(os.path.join(vectors, "ms-tav", f"{line}_attestation_report.bin"), "rb") as file:
                report = file.read()
            pems = b""
            for name in (f"ms-tav/{line}_vcek.pem", f"coco-trustee/{line}_ask_ark_asvk.pem"):
                with open(os.path.join(vectors, name), "rb") as file:
                    pems += file.read()
            ders = [base64.b64encode(x509.load_pem_x509_certificate(pem + b"-----END CERTIFICATE-----\n").public_bytes(serialization.Encoding.DER)).decode()
                    for pem in pems.split(b"-----END CERTIFICATE-----\n")[:3]]
            done = self.by_hand({"statement": "{}", "report": base64.b64encode(report).decode(), "certificates": ders})
            # All but the last step, as these reports are about something else than a statement.
            self.assertIn("0.pem: OK\nVerified OK\n", done.stdout, done.stderr)
            self.assertIn("report_data digest differ", done.stdout)

    def test_the_policy_of_the_documentation_is_one(self):
        policy = self.policy(PAGE.split("```yaml\n")[1].split("```")[0])
        with open(os.path.join(self.folder.name, "genoa.crl"), "wb") as out:
            out.write(revocation_list())
        status, said = self.verify("--allow-simulated", "any", "--policy", policy)
        failed = [check["name"] for check in said["checks"] if check["outcome"] == "failed"]
        self.assertEqual(status, 4)
        self.assertEqual(failed, ["revocation", "measurement", "guest_policy", "platform", "mitigations", "guest_svn", "firmware_version"])

    def test_the_measurement_is_computed_by_the_command_of_the_documentation(self):
        words = shlex.split(re.search(r"`(attest measure OVMF.fd [^`]*)`", PAGE).group(1))
        with open(os.path.join(SOURCE, "tests", "attest", "vectors", "ovmf_amdsev_tail.bin"), "rb") as file:
            files = {"OVMF.fd": bytes(1 << 20) + file.read(), "vmlinuz": b"kernel", "initrd.img": b"initrd"}
        for name, content in files.items():
            with open(os.path.join(self.folder.name, name), "wb") as out:
                out.write(content)
        self.assertRegex(command(*words, cwd=self.folder.name).stdout, "^[0-9a-f]{96}\n$")

    def test_the_program_of_the_documentation_verifies_what_exec_keeps(self):
        script = PAGE.split("## A whole answer")[1].split("```sh\n")[1].split("```")[0]
        script = script.replace("program.wasm --invoke main", "program.wasm --invoke seven --allow-simulated any").replace("\npython3 tests", f"\n{sys.executable} -B {SOURCE}/tests")
        with open(os.path.join(self.folder.name, "program.wasm"), "wb") as out:
            out.write(SEVEN)
        environment = {
            **os.environ, "WASM_HYPERVISOR_API_KEY": self.node.api_key, "WASM_HYPERVISOR_URL": self.url,
            "PATH": os.path.dirname(os.path.abspath(BINARY)) + ":" + os.environ["PATH"],
        }
        for ending, expected in ((" --root any", (0, "VERIFIED")), ("", (1, "REFUSED  root_pinned"))):
            done = subprocess.run(
                ["sh", "-e"], input=script.rstrip() + ending, cwd=self.folder.name, env=environment, capture_output=True, text=True, check=False
            )
            self.assertEqual((done.returncode, done.stdout.splitlines()[-1].split(":")[0]), expected, done.stderr)


if __name__ == "__main__":
    unittest.main()
