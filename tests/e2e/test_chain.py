"""test_chain: a whole chain, from the processor's maker to the log, is followed by verify_chain.py, and broken at each of its links.

Saved answers come from a real node, of a success and of a failure, by a client that seals and opens with HPKE of its own and by
`exec --save`. Each mutation has to be refused with the name of the link that it broke; where the node's own verifier sees the same
evidence, it has to name the same check. The table of real reports, too, is judged by both.

SPDX-License-Identifier: Apache-2.0
"""

import copy
import csv
import datetime
import hashlib
import json
import os
import struct
import subprocess
import sys
import tempfile
import unittest
import urllib.parse

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

import test_hardware
import verify_chain
from client import Unverified, b64, jcs, sha256, tree_root, unb64, verify_answer, verify_key
from node import SHARED, NodeCase, command, wat

MODULE = wat(
    """(module
  (func (export "seven") (result i32) (i32.const 7))
  (func (export "trap") (result i32) unreachable))"""
)
NONCE = bytes(range(16))
VECTORS = os.path.join(SHARED, "attestation-vectors")


def flipped(text, bit):
    """Base64 with that bit of the bytes changed."""
    data = bytearray(unb64(text))
    data[bit // 8 % len(data)] ^= 1 << bit % 8
    return b64(data)


def resigned(signed, key, **members):
    """A signed object with other members, signed by some key."""
    payload = jcs({**json.loads(signed["payload"]), **members})
    return {**signed, "payload": payload, "signature": b64(key.sign(payload.encode()))}


class Saved:
    """What a client kept of an execution: the files of `exec --save`, as values that can be broken."""

    def __init__(self, key, answer, request, result):
        self.key, self.answer, self.request, self.result = key, answer, request, result

    def copy(self):
        return copy.deepcopy(self)

    def evidence(self):
        return self.key["attestation"]

    def record(self):
        return self.answer["commitment"]

    def write(self, folder):
        for name, value in (("key", self.key), ("answer", self.answer), ("request", self.request)):
            with open(os.path.join(folder, name + ".json"), "w", encoding="utf-8") as out:
                json.dump(value, out)
        if self.result is not None:
            with open(os.path.join(folder, "result.json"), "wb") as out:
                out.write(self.result)


class Chain(NodeCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.good, cls.failed, cls.later = cls.execute("seven"), cls.execute("trap"), cls.execute("seven")
        cls.root = sha256(unb64(cls.good.evidence()["certificates"][2])).hex()

    @classmethod
    def execute(cls, function):
        client = cls.node.client()
        prepared = client.prepare(MODULE, function, [], client.new_key(NONCE), gas_limit=100000)
        answer = client.send(prepared)
        client.close()
        verify_answer(prepared, answer, verify_key(prepared.key, NONCE))
        opened = prepared.sender.open_response(unb64(answer.json["encrypted_result"]), prepared.commitment())
        return Saved(prepared.key, answer.json, prepared.body, opened)

    def judge(self, saved, **given):
        """The broken link, or None."""
        with tempfile.TemporaryDirectory() as folder:
            saved.write(folder)
            try:
                verify_chain.verify_directory(folder, **{"roots": [self.root], "module": MODULE, "nonce": b64(NONCE), **given})
            except Unverified as error:
                return error.link
        return None

    def checks_of_ours(self, evidence, *arguments):
        """The checks that fail in `attest verify`, which takes an answer to POST /v1/keys as well."""
        path = os.path.join(self.folder.name, "evidence.json")
        with open(path, "w", encoding="utf-8") as out:
            json.dump(evidence, out)
        done = command("attest", "verify", path, "--allow-simulated", self.root, "--json", *arguments, check=False)
        return [check["name"] for check in json.loads(done.stdout)["checks"] if check["outcome"] == "failed"]

    def test_a_saved_key_is_judged_by_its_nonce(self):
        self.assertEqual(self.checks_of_ours(self.good.key, "--nonce", b64(NONCE)), [])
        self.assertEqual(self.checks_of_ours(self.good.key, "--nonce", b64(NONCE[1:])), ["nonce"])
        self.assertEqual(self.checks_of_ours(self.good.evidence(), "--nonce", b64(NONCE)), ["nonce"])  # of a key that is not there
        evidence = self.client.call("GET", "/v1/attestation?nonce=" + urllib.parse.quote(b64(NONCE), safe="")).json
        self.assertEqual(self.checks_of_ours(evidence, "--nonce", b64(NONCE)), [])
        evidence["nonce_binding"]["signature"] = flipped(evidence["nonce_binding"]["signature"], 9)
        self.assertEqual(self.checks_of_ours(evidence), ["nonce_binding"])
        for bad in ("", "AAA", "A" * 92, "?"):
            self.assertEqual(command("attest", "verify", "-", "--nonce", bad, check=False, input="{}").returncode, 2)

    def test_a_fresh_proof_of_the_node_is_judged_by_both(self):
        answer = self.client.call("POST", "/v1/attestation", {"nonce": b64(NONCE)})
        self.assertEqual(answer.status, 200, answer)
        path = os.path.join(self.folder.name, "fresh.json")
        for evidence, nonce, link in (
            (answer.json, NONCE, None),
            (answer.json, NONCE[::-1], "nonce"),
            ({**answer.json, "batch": {**answer.json["batch"], "nonce": b64(NONCE[::-1])}}, NONCE[::-1], "batch_inclusion"),
            (self.good.evidence(), NONCE, "nonce"),
        ):
            with open(path, "w", encoding="utf-8") as out:
                json.dump(evidence, out)
            done = subprocess.run(
                [sys.executable, "-B", verify_chain.__file__, path, "--root", self.root, "--nonce", b64(nonce)], capture_output=True, text=True, check=False
            )
            said = done.stdout.splitlines()[-1]
            self.assertEqual((done.returncode, said.split(":")[0]), (1, "REFUSED  " + link) if link else (0, "VERIFIED"), said)
            self.assertEqual(self.checks_of_ours(evidence, "--nonce", b64(nonce)), [link] if link else [])

    def test_success_and_failure_verify(self):
        said = []
        with tempfile.TemporaryDirectory() as folder:
            for saved, status in ((self.good, "success"), (self.failed, "error")):
                saved.write(folder)
                execution = verify_chain.verify_directory(folder, lambda *line: said.append(line), [self.root], module=MODULE, nonce=b64(NONCE))
                self.assertEqual((execution.signed["status"], execution.leaf["status"]), (status, status))
        self.assertEqual(execution.signed["error_code"], "EXECUTION_TRAP")
        self.assertEqual([name for name, _ in said], list(verify_chain.Epoch.LINKS + verify_chain.Execution.LINKS) * 2)
        self.assertEqual(self.checks_of_ours(self.good.key), [])

    def test_the_command_judges_what_exec_saved(self):
        module, saved = os.path.join(self.folder.name, "m.wasm"), os.path.join(self.folder.name, "saved")
        with open(module, "wb") as out:
            out.write(MODULE)
        ours = command(
            "exec", module, "--server", f"http://127.0.0.1:{self.node.port}", "--allow-simulated", self.root, "--invoke", "seven", "--save", saved,
            env={**os.environ, "WASM_HYPERVISOR_API_KEY": self.node.api_key}, check=False,
        )
        self.assertEqual(ours.returncode, 0, ours.stderr)

        def run(*arguments):
            done = subprocess.run(
                [sys.executable, "-B", verify_chain.__file__, saved, *arguments], capture_output=True, text=True, check=False
            )
            return done.returncode, done.stdout.splitlines()[-1] if done.stdout else done.stderr

        self.assertEqual(run("--root", self.root, "--module", module), (0, "VERIFIED"))
        self.assertEqual(run("--root", "any"), (0, "VERIFIED"))
        self.assertRegex(run()[1], "^REFUSED  root_pinned: ")
        self.assertRegex(run("--root", "any", "--measurement", "00")[1], "^REFUSED  measurement: ")
        self.assertRegex(run("--root", "any", "--nonce", "AAAA")[1], "^REFUSED  key_binding: ")
        self.assertRegex(run("--root", "any", "--module", verify_chain.__file__)[1], "^REFUSED  result_content: ")
        status, said = run("--root", "any", "--at", "2027-12-31T00:00:00Z")
        self.assertEqual((status, said.split(":")[0]), (1, "REFUSED  statement_time"))
        self.assertEqual(run("--root", "any", "--at", "2027-12-31T00:00:00")[0], 2)
        os.remove(os.path.join(saved, "answer.json"))
        self.assertEqual(run("--root", "any")[0], 2)

    # ---- broken once, at each link ----

    def evidence_mutations(self):
        """(link, what our verifier calls it, change of the evidence)."""

        def report(bit):
            def change(evidence):
                evidence["report"] = flipped(evidence["report"], bit)

            return change

        def certificate(index, bit):
            def change(evidence):
                evidence["certificates"][index] = flipped(evidence["certificates"][index], bit)

            return change

        def statement(**members):
            def change(evidence):
                evidence["statement"] = jcs({**json.loads(evidence["statement"]), **members})

            return change

        def swapped(evidence):
            evidence["certificates"][0], evidence["certificates"][1] = evidence["certificates"][1], evidence["certificates"][0]

        def hardware(evidence):
            evidence["provider"] = "sev-guest"

        def short(evidence):
            evidence["report"] = b64(unb64(evidence["report"])[:-1])

        def two(evidence):
            evidence["certificates"].pop()

        spaced = lambda evidence: evidence.update(statement=evidence["statement"] + " ")
        return [
            ("evidence_format", "provider", lambda evidence: evidence.update(provider="none", report=None)),
            ("evidence_format", "provider", lambda evidence: evidence.update(provider="abacus")),
            ("evidence_format", "evidence_format", lambda evidence: evidence.pop("report")),
            ("evidence_format", "report_size", short),
            ("evidence_format", "certificates_present", two),
            ("root_pinned", "root_pinned", hardware),
            ("root_pinned", "root_pinned", certificate(2, -1)),
            ("chain", "chain", certificate(1, -1)),
            ("chain", "chain", certificate(0, -1)),
            ("issuer_names", "issuer_names", swapped),
            ("report_version", "report_version", report(3)),
            ("product", "product", report(8 * 0x188 + 1)),
            ("leaf_kind", "leaf_kind", report(8 * 0x48 + 2)),
            ("leaf_tcb", "leaf_tcb", report(8 * 0x180)),
            ("leaf_chip", "leaf_chip", report(8 * 0x1A0)),
            ("chip_key_unmasked", "chip_key_unmasked", report(8 * 0x48 + 1)),
            ("signature_encoding", "signature_encoding", report(8 * 0x2D0)),
            ("signature_encoding", "signature_encoding", report(-1)),
            ("report_signature", "report_signature", report(8 * 0x90)),
            ("report_signature", "report_signature", report(8 * 0x50)),
            ("report_signature", "report_signature", report(8 * 0x2A0)),
            ("report_signature", "report_signature", report(8 * 0x2E8)),
            ("report_data", "report_data", statement(signing_key=b64(bytes(32)))),
            ("report_data", "report_data", statement(not_after="2099-01-01T00:00:00.000Z")),
            ("report_data", "report_data", spaced),
        ]

    def test_broken_evidence_is_named_as_our_verifier_names_it(self):
        for link, ours, change in self.evidence_mutations():
            with self.subTest(link=link, ours=ours):
                broken = self.good.copy()
                change(broken.evidence())
                self.assertEqual(self.judge(broken), link)
                self.assertIn(ours, self.checks_of_ours(broken.evidence()))

    def test_a_stale_epoch_and_another_root_are_refused(self):
        statement = json.loads(self.good.evidence()["statement"])
        begin, end = (verify_chain.time_of(statement[name]) for name in ("not_before", "not_after"))
        second = datetime.timedelta(seconds=1)
        self.assertEqual(self.judge(self.good, at=end + second), "statement_time")
        self.assertEqual(self.judge(self.good, at=begin - verify_chain.CLOCK_SKEW - second), "statement_time")
        self.assertIsNone(self.judge(self.good, at=end))
        self.assertEqual(self.judge(self.good, at=end + datetime.timedelta(days=365 * 50)), "certificate_time")
        self.assertEqual(self.judge(self.good, roots=[sha256(b"").hex()]), "root_pinned")
        self.assertEqual(self.judge(self.good, roots=[]), "root_pinned")
        self.assertEqual(self.judge(self.good, measurement="00" * 48), "measurement")

    def execution_mutations(self):
        """(link, change of what was saved)."""
        forger = ed25519.Ed25519PrivateKey.generate()

        def member(holder, **members):
            return lambda saved: holder(saved).update(members)

        def proof(change):
            def apply(saved):
                saved.record()["tlog_proof"] = change(saved.record()["tlog_proof"])

            return apply

        def path_bit(text):
            head, note = text.split("\n\n", 1)
            lines = head.split("\n")
            return "\n".join([*lines[:-1], flipped(lines[-1], 0)]) + "\n\n" + note

        def path_short(text):
            head, note = text.split("\n\n", 1)
            return head.rsplit("\n", 1)[0] + "\n\n" + note

        def other_place(text):
            return text.replace("\nindex ", "\nindex 1", 1)

        def signature_bit(text):
            body, signature = text.rstrip("\n").rsplit(" ", 1)
            return body + " " + flipped(signature, 8 * 20) + "\n"

        def unknown_signer(text):
            body, signature = text.rstrip("\n").rsplit(" ", 1)
            return body + " " + flipped(signature, 0) + "\n"

        def larger_tree(text):
            head, note = text.split("\n\n", 1)
            origin, size, rest = note.split("\n", 2)
            return f"{head}\n\n{origin}\n{int(size) + 1}\n{rest}"

        def leaf(**members):
            def apply(saved):
                text = jcs({**json.loads(saved.record()["leaf"]), **members})
                saved.record().update(leaf=text, leaf_hash=verify_chain.leaf_hash(text.encode()).hex())

            return apply

        def another(*names):
            def apply(saved):
                for name in names:
                    saved.answer[name] = copy.deepcopy(self.later.answer[name])

            return apply

        def receipt(**members):
            def apply(saved):
                saved.answer["receipt"] = resigned(saved.answer["receipt"], forger, **members)

            return apply

        def binding(**members):
            def apply(saved):
                saved.evidence()["key_binding"] = resigned(saved.evidence()["key_binding"], forger, **members)

            return apply

        def signed_bit(holder, name):
            return lambda saved: holder(saved)[name].update(signature=flipped(holder(saved)[name]["signature"], 77))

        def result(**members):
            def apply(saved):
                saved.result = jcs({**json.loads(saved.result), **members}).encode()
                saved.answer["result_commitment"] = sha256(saved.result).hex()

            return apply

        def result_bit(saved):
            saved.result = saved.result[:-1] + b" }"

        def swapped_domains(saved):
            saved.answer["receipt"] = saved.evidence()["key_binding"]

        answer, key, evidence, request = (lambda s: s.answer), (lambda s: s.key), Saved.evidence, lambda s: s.request
        summary = lambda s: s.answer["execution_summary"]
        wrong = "11" * 32
        return [
            ("key_binding", signed_bit(evidence, "key_binding")),
            ("key_binding", binding()),
            ("key_binding", binding(public_key=self.later.key["public_key"])),
            ("key_binding", member(key, public_key=self.later.key["public_key"])),
            ("key_binding", member(key, request_id=self.later.key["request_id"])),
            ("key_binding", member(key, key_derivation_salt=self.later.key["key_derivation_salt"])),
            ("key_binding", member(key, expires_at="2099-01-01T00:00:00.000Z")),
            ("key_binding", member(key, node_id="00" * 16)),
            ("key_binding", lambda s: s.evidence().update(key_binding=self.later.evidence()["key_binding"])),
            ("key_binding", lambda s: s.evidence().update(key_binding=s.answer["receipt"])),
            ("request_commitment", member(answer, request_id=self.later.key["request_id"])),
            ("request_commitment", member(answer, request_commitment=wrong)),
            ("request_commitment", member(request, function_name="trap")),
            ("request_commitment", member(request, gas_limit=100001)),
            ("request_commitment", member(request, encrypted_wasm=self.later.request["encrypted_wasm"])),
            ("request_commitment", member(request, public_key=self.later.request["public_key"])),
            ("request_commitment", lambda s: setattr(s, "request", self.later.request)),
            ("result_commitment", result_bit),
            ("result_commitment", member(answer, result_commitment=wrong)),
            ("result_commitment", lambda s: setattr(s, "result", self.later.result)),
            ("result_content", result(program_hash=wrong)),
            ("result_content", result(outputs=[{"type": "i32", "value": 8}])),
            ("result_content", result(status="error")),
            ("result_content", member(summary, gas_consumed=999)),
            ("log_entry", lambda s: s.record().update(leaf=s.record()["leaf"].replace("success", "timeout"))),
            ("log_entry", leaf(status="timeout")),
            ("log_entry", lambda s: s.record().update(
                leaf=s.record()["leaf"] + " ", leaf_hash=verify_chain.leaf_hash(s.record()["leaf"].encode() + b" ").hex())),
            ("log_entry", leaf(gas_consumed=999)),
            ("log_entry", leaf(request_commitment=wrong)),
            ("log_entry", leaf(result_commitment=wrong)),
            ("log_entry", leaf(type="ADMIT")),
            ("log_entry", leaf(index=1)),
            ("log_entry", leaf(error_code="EXECUTION_TRAP")),
            ("log_entry", another("commitment")),
            ("checkpoint", proof(signature_bit)),
            ("checkpoint", proof(unknown_signer)),
            ("checkpoint", proof(larger_tree)),
            ("checkpoint", proof(lambda text: text.split("\n\n")[0])),
            ("checkpoint", lambda s: s.record().update(log_origin="log.example/other")),
            ("audit_proof", proof(path_bit)),
            ("audit_proof", proof(path_short)),
            ("audit_proof", proof(other_place)),
            ("audit_proof", lambda s: s.record().update(tlog_proof=self.later.record()["tlog_proof"])),
            ("audit_proof", leaf(time="2026-01-01T00:00:00.000Z")),
            ("receipt", signed_bit(answer, "receipt")),
            ("receipt", receipt()),
            ("receipt", receipt(status="timeout")),
            ("receipt", another("receipt")),
            ("receipt", swapped_domains),
            ("receipt", lambda s: s.answer["receipt"].update(epoch="00" * 64)),
            ("receipt", lambda s: s.answer.pop("receipt")),
        ]

    def test_each_broken_link_of_an_execution_is_named(self):
        seen = set()
        for number, (link, change) in enumerate(self.execution_mutations()):
            with self.subTest(link=link, number=number):
                broken = self.good.copy()
                change(broken)
                self.assertEqual(self.judge(broken), link)
                self.assertEqual(self.checks_of_ours(broken.key), ["key_binding"] if link == "key_binding" else [])
                seen.add(link)
        self.assertEqual(seen, set(verify_chain.Execution.LINKS))

    def test_a_receipt_of_failure_is_none_of_success(self):
        for name in ("receipt", "commitment"):
            broken = self.good.copy()
            broken.answer[name] = self.failed.answer[name]
            self.assertEqual(self.judge(broken), {"receipt": "receipt", "commitment": "log_entry"}[name])
        broken = self.failed.copy()
        del broken.answer["error_code"]
        self.assertEqual(self.judge(broken), "result_content")

    def test_what_could_not_be_decrypted_has_a_receipt_too(self):
        prepared = self.client.prepare(MODULE, "seven", [])
        prepared.body["encrypted_wasm"] = flipped(prepared.body["encrypted_wasm"], 5)
        answer = self.client.send(prepared)
        self.assertEqual((answer.status, answer.json["error_code"]), (400, "ENCRYPTION_ERROR"))
        saved = Saved(prepared.key, answer.json, prepared.body, None)
        self.assertIsNone(self.judge(saved, nonce=None))
        self.assertEqual(self.judge(saved), "key_binding")  # no nonce was sent
        saved.answer["execution_summary"]["status"] = "success"
        self.assertEqual(self.judge(saved, nonce=None), "log_entry")


class Played(unittest.TestCase):
    """Evidence signed by authorities made here, so that it can say what no simulator says."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.chip, _ = test_hardware.authorities(cls.folder.name)
        cls.ders = [cls.der(name) for name in ("leaf", "ask", "ark")]
        cls.root = sha256(cls.ders[2]).hex()

    @classmethod
    def der(cls, name):
        with open(os.path.join(cls.folder.name, name + ".der"), "rb") as file:
            return file.read()

    def evidence(self, *patches, ders=None, batch=None):
        """Signed after the patches: (offset, bytes). With a batch, the report is about that."""
        now = datetime.datetime.now(datetime.timezone.utc)
        time = lambda minutes: (now + datetime.timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        statement = jcs({
            "domain": "wasm-hypervisor/1 epoch", "epoch": "00000000-0000-4000-8000-000000000000", "signing_key": b64(bytes(32)), "log_origin": "log.example/played",
            "log_vkey": "log.example/played+00000000+" + b64(bytes(33)), "node_id": "00" * 16, "build_id": "played", "config_digest": "00" * 32,
            "not_before": time(-1), "not_after": time(59), "previous": None, "provider": "simulated",
        })
        about = hashlib.sha512(statement.encode()).digest()
        if batch:
            about = hashlib.sha512(b"wasm-hypervisor/1 batch\0" + about + batch["size"].to_bytes(8, "big") + bytes.fromhex(batch["root"])).digest()
        evidence = {
            "provider": "simulated", "statement": statement, "report": b64(test_hardware.report_of(self.chip, about, patches)),
            "certificates": [b64(der) for der in ders or self.ders],
        }
        return {**evidence, "batch": batch} if batch else evidence

    @staticmethod
    def batch(index, size):
        """A nonce's place among so many."""
        leaves = [verify_chain.leaf_hash(b"wasm-hypervisor/1 batch nonce\0" + bytes([number] * 16)) for number in range(size)]

        def path(at, hashes):
            if len(hashes) == 1:
                return []
            split = 1 << (len(hashes) - 1).bit_length() - 1
            if at < split:
                return path(at, hashes[:split]) + [tree_root(hashes[split:])]
            return path(at - split, hashes[split:]) + [tree_root(hashes[:split])]

        return {
            "nonce": b64(bytes([index] * 16)), "index": index, "size": size, "root": tree_root(leaves).hex(),
            "path": [node.hex() for node in path(index, leaves)],
        }

    def judge(self, evidence):
        """The broken link, and the checks that fail in `attest verify`."""
        path = os.path.join(self.folder.name, "evidence.json")
        with open(path, "w", encoding="utf-8") as out:
            json.dump(evidence, out)
        done = command("attest", "verify", path, "--allow-simulated", self.root, "--json", check=False)
        ours = [check["name"] for check in json.loads(done.stdout)["checks"] if check["outcome"] == "failed"]
        try:
            verify_chain.Epoch(evidence, [self.root])
        except Unverified as error:
            return error.link, ours
        return None, ours

    def test_each_field_that_is_signed_and_refused_is_named_by_both(self):
        self.assertEqual(self.judge(self.evidence()), (None, []))
        policy = 1 << 17
        for link, patch in (
            ("guest_policy_debug", (8, struct.pack("<Q", policy | 1 << 19))),
            ("guest_policy_migration", (8, struct.pack("<Q", policy | 1 << 18))),
            ("report_vmpl", (0x30, b"\xff\xff\xff\xff")),
            ("report_vmpl", (0x30, b"\4")),
            ("committed_firmware", (0x38, bytes([11]))),
            ("committed_firmware", (0x1E8, bytes([1]))),
            ("leaf_tcb", (0x180, bytes([9]))),
            ("leaf_chip", (0x1DF, bytes([0]))),
            ("leaf_kind", (0x48, bytes([1 << 2]))),
            ("chip_key_unmasked", (0x48, bytes([2]))),
            ("product", (0x189, bytes([1]))),
            ("product", (0x188, bytes([0x1A]))),
            ("report_version", (0, bytes([6]))),
            ("report_version", (0, bytes([1]))),
            ("report_data", (0x50, bytes(64))),
        ):
            with self.subTest(link=link, patch=patch):
                said, ours = self.judge(self.evidence(patch))
                self.assertEqual(said, link)
                self.assertIn(link, ours)


    def test_a_leaf_that_names_another_issuer_than_its_signer_is_refused_by_both(self):
        pss = ("-sha384", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:48", "-days", "30")
        for command_line in (
            ("req", "-x509", "-key", "ask.key", "-out", "other.pem", "-subj", "/CN=SEV-Genoa", *pss),
            ("x509", "-req", "-in", "leaf.csr", "-CA", "other.pem", "-CAkey", "ask.key", "-set_serial", "0", "-extfile", "leaf.ext", "-outform", "der",
             "-out", "other.der", *pss),
        ):
            subprocess.run(["openssl", *command_line], cwd=self.folder.name, check=True, capture_output=True)
        evidence = self.evidence(ders=[self.der("other"), *self.ders[1:]])
        self.assertEqual(self.judge(evidence), ("issuer_names", ["issuer_names"]))


    def test_a_fresh_proof_is_of_its_nonce_by_both(self):
        for index, size in ((0, 1), (0, 2), (4, 5), (3, 7), (199, 200)):
            self.assertEqual(self.judge(self.evidence(batch=self.batch(index, size))), (None, []))
        good = self.batch(3, 7)
        wrong = "11" * 32
        for link, members in (
            ("batch_format", {"index": 7}),
            ("batch_format", {"index": -1}),
            ("batch_format", {"nonce": b64(bytes(15))}),
            ("batch_format", {"nonce": b64(bytes(65))}),
            ("batch_format", {"size": 65537}),
            ("batch_format", {"root": "00"}),
            ("batch_format", {"path": None}),
            ("batch_inclusion", {"nonce": b64(bytes([4] * 16))}),
            ("batch_inclusion", {"index": 2}),
            ("batch_inclusion", {"size": 4}),
            ("batch_inclusion", {"path": good["path"][:-1]}),
            ("batch_inclusion", {"path": [*good["path"], wrong]}),
            ("batch_inclusion", {"path": [wrong, *good["path"][1:]]}),
            ("batch_inclusion", {"root": wrong}),
            ("report_data", self.batch(3, 8)),
        ):
            with self.subTest(link=link, members=members):
                broken = self.evidence(batch=good)
                broken["batch"] = {**good, **members}
                said, ours = self.judge(broken)
                self.assertEqual(said, link)
                self.assertIn(link, ours)
        plain = self.evidence()
        self.assertEqual(self.judge({**plain, "batch": good}), ("report_data", ["report_data"]))
        fresh = self.evidence(batch=good)
        del fresh["batch"]
        self.assertEqual(self.judge(fresh), ("report_data", ["report_data"]))


class RealReports(unittest.TestCase):
    """The manifest of real reports: both verifiers come to what it says, each row at its time."""

    LINKS = {
        "accept": None, "refuse:debug": "guest_policy_debug", "refuse:provisional": "committed_firmware", "refuse:signature": "report_signature",
        "refuse:chain": "chain", "refuse:expired": "certificate_time", "refuse:not_yet_valid": "certificate_time",
    }
    STATUS = {"accept": 0, "refuse:debug": 12, "refuse:provisional": 12}  # all else is cryptography: 4

    @classmethod
    def setUpClass(cls):
        if not os.path.isdir(VECTORS):
            raise unittest.SkipTest("skipped: real reports, get them by putting attestation-vectors into ../shared")
        with open(os.path.join(VECTORS, "manifest.tsv"), encoding="utf-8") as file:
            lines = [line for line in file if not line.startswith("#") or line.startswith("# id")]
        cls.rows = list(csv.DictReader(lines, delimiter="\t"))

    @staticmethod
    def certificate(name, index=0):
        with open(os.path.join(VECTORS, name), "rb") as file:
            content = file.read()
        if not content.startswith(b"-----"):
            return content
        pem = content.split(b"-----END CERTIFICATE-----")[index] + b"-----END CERTIFICATE-----\n"
        return x509.load_pem_x509_certificate(pem[pem.index(b"-----") :]).public_bytes(serialization.Encoding.DER)

    def test_the_command_comes_to_what_the_manifest_says(self):
        self.assertEqual(len(self.rows), 20)
        for row in self.rows:
            with self.subTest(row=row["# id"]):
                report, leaf = (os.path.join(VECTORS, row[name]) for name in ("report", "leaf"))
                done = command("attest", "verify", report, "--certs", leaf, "--at", row["at"], "--json", check=False)
                said = json.loads(done.stdout)
                outcomes = {check["name"]: check["outcome"] for check in said["checks"]}
                self.assertEqual(done.returncode, self.STATUS.get(row["default_policy"], 4), said)
                self.assertEqual(said["ok"], row["default_policy"] == "accept")
                failed = [name for name, outcome in outcomes.items() if outcome == "failed"]
                link = self.LINKS[row["default_policy"]]
                self.assertTrue(link in failed if link else not failed, failed)
                passed = lambda good: "passed" if good else "failed"
                self.assertEqual(outcomes["report_signature"], passed(row["sig"] == "ok"))
                self.assertEqual(outcomes["leaf_tcb"], passed(row["tcb"] == "ok"))
                self.assertEqual(outcomes["leaf_chip"], passed(row["hwid"] != "bad"))
                self.assertEqual(outcomes["certificate_time"], passed(row["chain"] in ("ok", "bad")))
                self.assertEqual(outcomes["chain"], passed(row["chain"] != "bad"))

    def test_what_is_no_report_is_a_matter_of_format(self):
        row = self.rows[0]
        path = os.path.join(VECTORS, row["report"])
        done = command("attest", "verify", os.path.join(VECTORS, row["leaf"]), "--certs", path, "--at", row["at"], "--json", check=False)
        self.assertEqual(done.returncode, 2)  # the report is no certificate
        done = command("attest", "verify", "-", "--certs", os.path.join(VECTORS, row["leaf"]), "--at", row["at"], "--json", check=False, input="short")
        self.assertEqual((done.returncode, json.loads(done.stdout)["failed_check"]), (13, "report_size"))

    def test_the_independent_reading_comes_to_the_same(self):
        for row in self.rows:
            with self.subTest(row=row["# id"]):
                authorities = f"coco-trustee/{row['line'].lower()}_ask_ark_asvk.pem"
                with open(os.path.join(VECTORS, row["report"]), "rb") as file:
                    report = file.read()
                ders = [self.certificate(row["leaf"]), self.certificate(authorities, 2 if "vlek" in row["leaf"] else 0), self.certificate(authorities, 1)]
                at = datetime.datetime.fromisoformat(row["at"] + "T00:00:00+00:00")
                evidence = {"provider": "sev-guest", "statement": "{}", "report": b64(report), "certificates": [b64(der) for der in ders]}
                with self.assertRaises(Unverified) as refused:
                    verify_chain.Epoch(evidence, [], at)
                # These reports are about other data than our statement: whoever gets there has found nothing else.
                first = {"milan_v2_virtee_wrong_leaf": "leaf_tcb", "milan_v3_azure_other_leaf": "leaf_chip"}
                expected = first.get(row["# id"], self.LINKS[row["default_policy"]]) or "report_data"
                self.assertEqual(refused.exception.link, expected, refused.exception)


if __name__ == "__main__":
    unittest.main()
