"""test_sealing: keys that lie on the disk sealed: a node that starts again, and all that it refuses instead of taking another key.

The simulator's key is derived here a second time, from docs/attestation.md alone.

SPDX-License-Identifier: Apache-2.0
"""

import base64
import glob
import hashlib
import json
import os
import shutil
import struct
import tempfile
import unittest

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

from client import verify_answer
from node import Node, command, example, seed_simulator
from test_async import ASYNC, inner, show, until_state

SEALED = ("--seal", "on")


def read(*path):
    with open(os.path.join(*path), "rb") as file:
        return file.read()


def unseal(data, path):
    """The secret of a sealed file of a simulated node."""
    raw = read(path)
    sealed = json.loads(raw)
    measurement, policy = bytes.fromhex(sealed["measurement"]), bytes.fromhex(sealed["guest_policy"])
    info = b"wasm-hypervisor/1 simulated derived key" + struct.pack(">Q", sealed["guest_field_select"]) + measurement + policy
    derived = HKDFExpand(hashes.SHA256(), 32, info).derive(read(data, "tee", "sealing-secret.bin"))
    key = HKDF(hashes.SHA256(), 32, b"wasm-hypervisor/1 seal", b"wasm-hypervisor/1 seal " + sealed["purpose"].encode()).derive(derived)
    ciphertext = base64.b64decode(sealed.pop("ciphertext"))
    associated = json.dumps(sealed, sort_keys=True, separators=(",", ":")).encode()
    return AESGCM(key).decrypt(base64.b64decode(sealed["nonce"]), ciphertext, associated)


def files(data):
    """All that the node keeps, but what is the simulator's own."""
    names = [name for name in glob.glob(os.path.join(data, "**"), recursive=True) if os.path.isfile(name)]
    return {name: read(name) for name in names if "/tee/" not in name and not name.endswith("e2e.log")}


class Sealing(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.data = folder.name
        self.log = os.path.join(self.data, "audit")
        seed_simulator(self.data)

    def node(self, *arguments, key=False):
        return Node(*arguments, data=self.data, key=key)

    def refused(self, *words, arguments=SEALED):
        """The node does not start, says why, and has changed nothing."""
        before = files(self.data)
        with self.assertRaises(AssertionError) as caught, self.node(*arguments):
            pass
        for word in ("exit status",) + words:
            self.assertIn(word, str(caught.exception))
        self.assertEqual(files(self.data), before)

    def start(self, *arguments):
        with self.node(*arguments) as node:
            self.assertEqual(node.client("").call("GET", "/health").status, 200)
            self.assertEqual(node.stop(), 0)

    def test_keys_open_again_after_a_restart_and_are_in_no_file(self):
        with self.node(*SEALED, key=True) as node:
            client = node.client()
            prepared = client.prepare(example("primes"), "nth", [5])
            client.send(prepared, ASYNC)
            shown = until_state(client, prepared, "COMPLETED")
            client.close()
            node.stop()
            node.start()
            client = node.client()
            self.assertEqual(show(client, prepared).json["answer"], shown.json["answer"])
            verify_answer(prepared, inner(show(client, prepared)))
            client.close()
            node.stop()
        seed = unseal(self.data, os.path.join(self.log, "signing-key.sealed"))
        store = unseal(self.data, os.path.join(self.data, "store-key.sealed"))
        key = Ed25519PrivateKey.from_private_bytes(seed).public_key()
        raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        self.assertEqual(base64.b64decode(read(self.log, "log.vkey").split(b"+", 2)[2]), b"\x01" + raw)
        derived = read(self.data, "tee", "sealing-secret.bin")
        kept = files(self.data)
        self.assertGreater(len(kept), 5)
        for name, content in kept.items():
            for secret in (b"PRIVATE KEY", b'"tlog_proof"', *(form(s) for s in (seed, store, derived) for form in (bytes, base64.b64encode, lambda s: s.hex().encode()))):
                self.assertNotIn(secret, content, name)
        self.assertEqual({os.stat(name).st_mode & 0o777 for name in kept if name.endswith(".sealed")}, {0o600})
        self.assertEqual(command("audit", "verify", self.log).returncode, 0)

    def test_another_simulator_is_another_processor(self):
        self.start(*SEALED)
        simulator, away = os.path.join(self.data, "tee"), os.path.join(self.data, "away")
        os.rename(simulator, away)
        seed_simulator(self.data)
        with open(os.path.join(simulator, "sealing-secret.bin"), "wb") as out:
            os.fchmod(out.fileno(), 0o600)
            out.write(hashlib.sha256(b"another").digest())
        self.refused("signing-key.sealed: does not open", "another simulator")
        store_key, aside = os.path.join(self.data, "store-key.sealed"), os.path.join(self.data, "aside")
        os.rename(store_key, aside)  # nor is the answers' key made anew while the log does not open
        self.refused("signing-key.sealed: does not open", "another simulator")
        os.rename(aside, store_key)
        shutil.rmtree(simulator)
        os.rename(away, simulator)
        self.start(*SEALED)

    def test_what_is_sealed_is_not_passed_by(self):
        self.start(*SEALED)
        self.refused("is sealed, but seal is off", arguments=())
        self.refused('the provider "none" derives no keys', arguments=(*SEALED, "--tee", "none"))
        for name in ("audit/signing-key.sealed", "store-key.sealed"):
            path = os.path.join(self.data, name)
            good = read(path)
            for bad, words in ((good[:-1], "not a sealed key"), (good.replace(b'"root_key":"simulated"', b'"root_key":"vcek"'), "under the root key vcek, this VM has simulated"),
                               (good.replace(b'"measurement":"90', b'"measurement":"91'), "sealed for measurement 91"), (good.replace(b"30000", b"b0000"), "sealed for guest policy 0xb0000, this VM has 0x30000"),
                               (good.replace(b"log key", b"???").replace(b"store key", b"log key").replace(b"???", b"store key"), "sealed as a")):
                with self.subTest(name=name, words=words):
                    with open(path, "wb") as out:
                        out.write(bad)
                    self.refused(os.path.basename(name), words)
            with open(path, "wb") as out:
                out.write(good)
        os.remove(os.path.join(self.log, "signing-key.sealed"))
        self.refused("has no signing-key")

    def test_a_log_comes_to_a_sealed_key_and_away_from_it_by_changing_it(self):
        self.start()
        self.refused("lies there in the clear", f"audit rotate {self.log} --key --seal on --tee simulated")
        first = read(self.log, "log.vkey").decode().splitlines()[0]
        said = command("audit", "rotate", self.log, "--key", "--seal", "on", "--tee", "simulated").stdout
        self.assertIn("its key is sealed to root key simulated, measurement 90", said)
        self.assertFalse(os.path.exists(os.path.join(self.log, "signing-key.pem")))
        self.start(*SEALED)
        self.refused(f"audit rotate {self.log} --key --seal off --tee simulated", arguments=())
        self.assertIn("sealed to", command("audit", "rotate", self.log, "--key", "--tee", "simulated").stdout)
        self.assertIn("entry", command("audit", "rotate", self.log, "--tee", "simulated").stdout)
        said = command("audit", "rotate", self.log, "--key", "--seal", "off", "--tee", "simulated").stdout
        self.assertIn("in the clear", said)
        self.refused("store-key.sealed' to go on without them", arguments=())
        os.remove(os.path.join(self.data, "store-key.sealed"))
        self.start()
        self.assertIn("OK", command("audit", "verify", self.log, "--vkey", first).stdout)

    def test_commands_say_what_they_cannot_do(self):
        done = command("audit", "init", self.log, "--seal", "on", "--tee", "none", check=False)
        self.assertEqual((done.returncode, os.path.exists(self.log)), (2, False), done.stderr)
        self.assertIn('"none" derives no keys', done.stderr)
        self.assertIn("sealed to root key simulated", command("audit", "init", self.log, "--seal", "on", "--tee", "simulated").stdout)
        for arguments in (("rotate",), ("rotate", "--key"), ("prune", "--segments", "1")):
            done = command("audit", arguments[0], self.log, *arguments[1:], "--tee", "none", check=False)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn('"none" derives no keys', done.stderr)
        done = command("audit", "rotate", self.log, "--seal", "on", check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("needs --key", done.stderr)
        done = command("audit", "rotate", self.log, "--key", "--seal", "maybe", check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("one of off|on", done.stderr)
        self.start(*SEALED)


if __name__ == "__main__":
    unittest.main()
