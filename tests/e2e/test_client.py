"""test_client: the test client against published vectors, before it is trusted to judge a node.

SPDX-License-Identifier: Apache-2.0
"""

import json
import os
import struct
import unittest

from cryptography.hazmat.primitives.asymmetric import ec

import client
from node import SHARED, SOURCE


class Hpke(unittest.TestCase):
    def test_agrees_with_the_vectors_of_rfc_9180(self):
        path = os.path.join(SHARED, "vectors", "hpke-dhkem-p256-hkdf-sha256.json")
        if not os.path.exists(path):
            self.skipTest("the RFC 9180 vectors are not beside the checkout (test-vectors.json of cfrg/draft-irtf-cfrg-hpke)")
        with open(path, encoding="utf-8") as source:
            vectors = [v for v in json.load(source) if v["mode"] == 0 and v["aead_id"] == client.AEAD]
        self.assertEqual(len(vectors), 1)
        for vector in vectors:
            ephemeral = ec.derive_private_key(int(vector["skEm"], 16), ec.SECP256R1())
            sender = client.HpkeSender(bytes.fromhex(vector["pkRm"]), bytes.fromhex(vector["info"]), ephemeral)
            self.assertEqual(sender.enc.hex(), vector["enc"])
            self.assertEqual(sender.key.hex(), vector["key"])
            self.assertEqual(sender.exporter.hex(), vector["exporter_secret"])
            for message in vector["encryptions"][:3]:
                sealed = sender.seal(bytes.fromhex(message["aad"]), bytes.fromhex(message["pt"]))
                self.assertEqual(sealed.hex(), message["ct"])
            for export in vector["exports"]:
                self.assertEqual(sender.export(bytes.fromhex(export["exporter_context"]), export["L"]).hex(), export["exported_value"])


class Execution(unittest.TestCase):
    def test_agrees_with_the_example_executions_of_the_protocol(self):
        with open(os.path.join(SOURCE, "docs", "vectors", "execution.json"), encoding="utf-8") as source:
            vectors = json.load(source)
        self.assertGreaterEqual(len(vectors), 2)
        for vector in vectors:
            key = {
                "request_id": vector["request_id"],
                "key_derivation_salt": client.b64(bytes.fromhex(vector["key_derivation_salt"])),
                "public_key": client.b64(bytes.fromhex(vector["recipient_public_key"])),
            }
            body = json.loads(vector["body"])
            body.pop("request_id")
            private = json.loads(vector["arguments"]) if "arguments" in vector else None
            ephemeral = ec.derive_private_key(int(vector["ephemeral_private_key"], 16), ec.SECP256R1())
            prepared = client.Client("", 0).prepare(
                bytes.fromhex(vector["module"]), body.pop("function_name"), key=key, private_arguments=private, ephemeral=ephemeral, **body
            )
            self.assertEqual(prepared.sender.enc.hex(), vector["enc"])
            self.assertEqual(prepared.header_hash().hex(), vector["header_hash"])
            self.assertEqual(client.unb64(prepared.body["encrypted_wasm"]).hex(), vector["encrypted_wasm"])
            if private is not None:
                sealed = prepared.sender.__class__(bytes.fromhex(vector["recipient_public_key"]), bytes.fromhex(vector["info"]), ephemeral)
                sealed.sequence = 1
                aad = bytes.fromhex(vector["header_hash"])
                self.assertEqual(sealed.seal(aad, vector["arguments"].encode()).hex(), vector["encrypted_arguments"])
                prepared.body["encrypted_arguments"] = client.b64(bytes.fromhex(vector["encrypted_arguments"]))
            commitment = prepared.commitment()
            self.assertEqual(commitment.hex(), vector["request_commitment"])
            result = prepared.sender.open_response(bytes.fromhex(vector["encrypted_result"]), commitment)
            self.assertEqual(result.decode(), vector["result"])
            self.assertEqual(client.sha256(result).hex(), vector["result_commitment"])


class CanonicalJson(unittest.TestCase):
    def test_writes_numbers_as_rfc_8785_appendix_b(self):
        for bits, text in (
            ("0000000000000000", "0"),
            ("8000000000000000", "0"),
            ("0000000000000001", "5e-324"),
            ("7fefffffffffffff", "1.7976931348623157e+308"),
            ("4340000000000000", "9007199254740992"),
            ("4430000000000000", "295147905179352830000"),
            ("44b52d02c7e14af5", "9.999999999999997e+22"),
            ("44b52d02c7e14af6", "1e+23"),
            ("444b1ae4d6e2ef4f", "999999999999999900000"),
            ("444b1ae4d6e2ef50", "1e+21"),
            ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
            ("3eb0c6f7a0b5ed8d", "0.000001"),
            ("41b3de4355555553", "333333333.3333332"),
            ("becbf647612f3696", "-0.0000033333333333333333"),
        ):
            self.assertEqual(client.jcs_number(struct.unpack(">d", bytes.fromhex(bits))[0]), text)

    def test_sorts_members_by_utf_16_and_escapes_as_little_as_possible(self):
        value = {"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\u0080": 6, "\u00f6": "\u001f\"\\\n/"}
        self.assertEqual(
            client.jcs(value),
            '{"\\r":2,"1":4,"\u0080":6,"\u00f6":"\\u001f\\"\\\\\\n/","\u20ac":1,"\U0001f600":5,"\ufb33":3}',
        )


class Merkle(unittest.TestCase):
    def test_proofs_lead_to_the_root_of_the_whole_tree(self):
        leaves = [client.leaf_hash(bytes([index])) for index in range(20)]

        def path(index, hashes):  # RFC 9162 section 2.1.3.1
            if len(hashes) == 1:
                return []
            split = 1 << (len(hashes) - 1).bit_length() - 1
            if index < split:
                return path(index, hashes[:split]) + [client.tree_root(hashes[split:])]
            return path(index - split, hashes[split:]) + [client.tree_root(hashes[:split])]

        for size in range(1, 21):
            root = client.tree_root(leaves[:size])
            for index in range(size):
                proof = path(index, leaves[:size])
                self.assertEqual(client.inclusion_root(index, size, leaves[index], proof), root)
                if proof:
                    with self.assertRaises(client.Unverified):
                        client.inclusion_root(index, size, leaves[index], proof[:-1])
                with self.assertRaises(client.Unverified):
                    client.inclusion_root(index, size, leaves[index], proof + [root])

    def test_a_cosignature_covers_the_time_and_the_whole_text(self):
        # The checkpoint of docs/audit-log.md, cosigned with the key of RFC 8032 section 7.1, TEST 2.
        vkey = "witness.example/w1+04d2d833+BD1AF8PoQ4lakrcKp00bfrycmCzPLsSWjMDNVfEq9GYM"
        line = "BNLYMwAAAABkGFDL24uIeJYJoANxjwUXw5yueSrmJXFAPGWjm0imqhYXgNkRPeGm8rxb+Cb/ib+8La3g+XiRhl39HlmvPJex6QtvAg=="
        note = f"log.example/node-1\n5\nB5vfowJHjS+ZcNzMfb1deQLdvuGRKSMaeJL9MlHCdpw=\n\n\u2014 witness.example/w1 {line}\n"
        self.assertEqual(client.open_cosignature(note, vkey), 1679315147)
        for bad in (note.replace("\n5\n", "\n6\n"), note.replace("AAAABkGFDL", "AAAABkGFDM"), note.replace("QtvAg==", "QtvBg==")):
            with self.assertRaises(client.Unverified):
                client.open_cosignature(bad, vkey)


if __name__ == "__main__":
    unittest.main()
