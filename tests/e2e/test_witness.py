"""test_witness: nodes that cosign each other's logs, a log of our own that a node cosigns, witnesses that fail or lie, and old data that
is not taken for new. Cosignatures are checked by the independent client.

SPDX-License-Identifier: Apache-2.0
"""

import hashlib
import http.server
import json
import os
import shutil
import socket
import tempfile
import threading
import unittest

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

import client as protocol
from client import b64, open_checkpoint, open_cosignature, sha256
from node import Node, command, example, until

DASH = "\u2014"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Signer:
    """An Ed25519 key as a log (kind 1) or a witness (kind 4) has it."""

    def __init__(self, name, kind):
        self.name = name
        self.key = ed25519.Ed25519PrivateKey.generate()
        public = bytes([kind]) + self.key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        self.key_id = sha256(name.encode(), b"\n", public)[:4]
        self.vkey = f"{name}+{self.key_id.hex()}+{b64(public)}"

    def line(self, message, head=b""):
        return f"{DASH} {self.name} {b64(self.key_id + head + self.key.sign(message))}\n"

    def cosign(self, note, time=1):
        body = note.rpartition("\n\n")[0] + "\n"
        return self.line(f"cosignature/v1\ntime {time}\n{body}".encode(), time.to_bytes(8, "big"))


class Log:
    """Somebody's log: leaves, and what its owner asks a witness for."""

    def __init__(self, origin):
        self.signer = Signer(origin, 1)
        self.leaves = [protocol.leaf_hash(str(index).encode()) for index in range(40)]

    def checkpoint(self, size):
        body = f"{self.signer.name}\n{size}\n{b64(protocol.tree_root(self.leaves[:size]))}\n"
        return body + "\n" + self.signer.line(body.encode())

    def request(self, old_size, size):
        proof = protocol.consistency_proof(old_size, self.leaves[:size]) if old_size <= size else []
        return f"old {old_size}\n" + "".join(b64(node) + "\n" for node in proof) + "\n" + self.checkpoint(size)


def post(node, body):
    client = node.client(api_key="")
    answer = client.call("POST", "/v1/witness/add-checkpoint", raw=body.encode(), headers={"Content-Type": None})
    client.close()
    return answer


def get(node, path):
    client = node.client(api_key="")
    answer = client.call("GET", path)
    client.close()
    return answer


def metric(node, name):
    client = node.client()
    text = client.call("GET", "/metrics").body.decode()
    client.close()
    return int(next(line for line in text.splitlines() if line.startswith(f"wasm_hypervisor_{name} ")).split()[1])


def vkey_of(node, name):
    with open(os.path.join(node.data, name), encoding="utf-8") as file:
        return file.readline().strip()


def run_something(node):
    client = node.client()
    client.run(example("primes"), "nth", [5])
    client.close()


def witnessed(node):
    """(note, size) of the checkpoint that the node's witnesses have cosigned, ("", 0) if none has."""
    answer = get(node, "/v1/log/witnessed/checkpoint")
    note = answer.body.decode() if answer.status == 200 else ""
    return note, int(note.split("\n")[1]) if note else 0


def size_of(node):
    return int(get(node, "/log/checkpoint").body.decode().split("\n")[1])


def refused(node):
    """Starts a node that must not start: (exit status, what it says)."""
    done = command("serve", "--data-dir", node.data, "--tee", "simulated", "--port", "0", *node.arguments, check=False)
    return done.returncode, done.stderr


class Witness(unittest.TestCase):
    """The node as a witness of a log that is written here."""

    @classmethod
    def setUpClass(cls):
        cls.log, cls.later, cls.forked = Log("log.example/one"), Log("log.example/two"), Log("log.example/three")
        keys = "\n ".join(log.signer.vkey for log in (cls.log, cls.later, cls.forked))
        cls.node = Node("--witness", "true", "--witness-logs", keys).__enter__()
        cls.addClassCleanup(cls.node.__exit__)
        cls.vkey = vkey_of(cls.node, "witness/witness.vkey")

    def test_it_cosigns_what_continues_and_tells_the_rest_apart(self):
        answer = post(self.node, self.log.request(0, 7))
        self.assertEqual(answer.status, 200, answer.body)
        self.assertGreater(open_cosignature(self.log.checkpoint(7) + answer.body.decode(), self.vkey), 1_600_000_000)
        self.assertEqual(post(self.node, self.log.request(7, 20)).status, 200)
        answer = post(self.node, self.log.request(7, 30))
        self.assertEqual((answer.status, answer.headers["content-type"], answer.body), (409, "text/x.tlog.size", b"20\n"))
        stranger = Log("log.example/unknown")
        forger = Log("log.example/one")
        bad_proof = self.log.request(20, 30).replace("\n\n", f"\n{b64(bytes(32))}\n\n", 1)
        for body, status in (
            (self.log.request(21, 20), 400),
            ("old 20\n", 400),
            ("", 400),
            (stranger.request(0, 3), 404),
            (forger.request(20, 30), 403),
            (bad_proof, 422),
        ):
            answer = post(self.node, body)
            self.assertEqual((answer.status, answer.json["status"]), (status, status), body)
        self.assertEqual(post(self.node, "x" * 40000).status, 413)
        self.assertEqual(get(self.node, "/v1/witness/add-checkpoint").status, 404)

    def test_it_shows_what_it_cosigned_last_and_remembers_it_across_a_crash(self):
        self.assertEqual(post(self.node, self.later.request(0, 5)).status, 200)
        path = f"/v1/witness/{hashlib.sha256(b'log.example/two').hexdigest()}/checkpoint"
        self.node.kill()
        self.node.start()
        self.assertEqual(vkey_of(self.node, "witness/witness.vkey"), self.vkey)
        note = get(self.node, path).body.decode()
        self.assertEqual(open_checkpoint(note, self.later.signer.vkey)[:2], ("log.example/two", 5))
        open_cosignature(note, self.vkey)
        self.assertEqual(post(self.node, self.later.request(0, 6)).body, b"5\n")
        self.assertEqual(post(self.node, self.later.request(5, 6)).status, 200)
        for other in (path.replace("witness/", "witness/0"), path + "/", path[:-1], path.upper().replace("/V1/WITNESS", "/v1/witness")):
            self.assertEqual(get(self.node, other).status, 404, other)

    def test_it_does_not_cosign_a_second_history(self):
        self.assertEqual(post(self.node, self.forked.request(0, 9)).status, 200)
        self.forked.leaves[8] = bytes(32)
        for size in (9, 12):
            self.assertEqual(post(self.node, self.forked.request(9, size)).status, 422)
        self.assertIn("not_cosigned", self.node.log_text())

    def test_of_many_requests_at_once_one_wins(self):
        with Node("--witness", "true", "--witness-logs", self.log.signer.vkey, key=False) as node:
            answers = []
            threads = [threading.Thread(target=lambda size=size: answers.append((size, post(node, self.log.request(0, size))))) for size in range(1, 13)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            won = [size for size, answer in answers if answer.status == 200]
            self.assertEqual(len(won), 1)
            lost = [answer for size, answer in answers if size not in won]
            self.assertTrue(all((answer.status, answer.body) == (409, b"%d\n" % won[0]) for answer in lost))

    def test_a_node_is_no_witness_unless_it_is_told_to_be(self):
        with Node(key=False) as node:
            self.assertEqual(post(node, self.log.request(0, 7)).status, 404)
            self.assertEqual(get(node, f"/witness/{'0' * 64}/checkpoint").status, 404)
            self.assertEqual(get(node, "/v1/log/witnessed/checkpoint").status, 404)
            self.assertFalse(os.path.exists(os.path.join(node.data, "witness")))


class Mutual(unittest.TestCase):
    """Two nodes that witness each other."""

    @classmethod
    def setUpClass(cls):
        cls.ports = [free_port(), free_port()]
        cls.nodes = [Node("--witness", "true", "--port", str(port)) for port in cls.ports]
        for node in cls.nodes:
            cls.addClassCleanup(node.__exit__)
            node.__enter__()  # makes the keys
            node.stop()
        for this, other, port in ((0, 1, cls.ports[1]), (1, 0, cls.ports[0])):
            cls.nodes[this].arguments += (
                "--witness-logs", vkey_of(cls.nodes[other], "audit/log.vkey"), "--witness-interval", "1",
                "--witnesses", f"http://127.0.0.1:{port}/v1/witness/ " + vkey_of(cls.nodes[other], "witness/witness.vkey"),
            )
        for node in cls.nodes:
            node.start()

    def copy(self):
        target = tempfile.mkdtemp(prefix="wh-e2e-")
        self.addCleanup(shutil.rmtree, target, ignore_errors=True)
        shutil.copytree(self.nodes[0].data, target, dirs_exist_ok=True)
        return target

    def restore(self, source):
        shutil.rmtree(self.nodes[0].data)
        shutil.copytree(source, self.nodes[0].data)

    def wait_until_witnessed(self, node):
        size = size_of(node)
        until(lambda: witnessed(node)[1] >= size)

    def test_the_first_started_cosigned_soon_and_both_are_well(self):
        for this, other in ((0, 1), (1, 0)):
            node = self.nodes[this]
            run_something(node)
            self.wait_until_witnessed(node)
            note, size = witnessed(node)
            origin, signed_size, _ = open_checkpoint(note, vkey_of(node, "audit/log.vkey"))
            self.assertEqual((origin, signed_size), (get(node, "/health").json["log"]["origin"], size))
            open_cosignature(note, vkey_of(self.nodes[other], "witness/witness.vkey"))
            self.assertTrue(get(node, "/health").json["checks"]["witnesses"])
            self.assertEqual((metric(node, "witnesses"), metric(node, "witnesses_needed"), metric(node, "witnesses_reached")), (1, 1, 1))
            self.assertEqual(metric(node, "witness_contradictions_total"), 0)
            # The prefix of the cosigned checkpoint is a log of its own, with the same tiles.
            tile = get(node, f"/v1/log/witnessed/tile/0/000.p/{min(size, 255)}")
            self.assertEqual(tile.body, get(node, f"/v1/log/tile/0/000.p/{min(size, 255)}").body)
            leaves = [tile.body[at : at + 32] for at in range(0, len(tile.body), 32)]
            self.assertEqual(protocol.tree_root(leaves[:size]), open_checkpoint(note, vkey_of(node, "audit/log.vkey"))[2])
            # What is served is kept beside the log, and an auditor's command takes it.
            kept = os.path.join(node.data, "audit", "checkpoint.witnessed")
            with open(kept, encoding="utf-8") as file:
                open_cosignature(file.read(), vkey_of(self.nodes[other], "witness/witness.vkey"))
            self.assertEqual(node.audit("--since", kept)[1]["verdict"], "OK")
            policy = os.path.join(node.data, "policy.yaml")
            for vkey, verdict in ((vkey_of(self.nodes[other], "witness/witness.vkey"), "OK"), (Signer("other.example", 4).vkey, "UNVERIFIABLE")):
                with open(policy, "w", encoding="utf-8") as file:
                    file.write(f"keys: [{vkey_of(node, 'audit/log.vkey')}]\nwitnesses:\n  threshold: 1\n  keys: [{vkey}]\n")
                for place in (os.path.join(node.data, "audit"), f"http://127.0.0.1:{node.port}", f"http://127.0.0.1:{node.port}/log/witnessed"):
                    done = command("audit", "verify", place, "--json", "--policy", policy, check=False)
                    self.assertEqual(json.loads(done.stdout)["verdict"], verdict, (place, done.stdout, done.stderr))

    def test_rolled_back_and_forked_data_is_refused(self):
        node = self.nodes[0]
        self.wait_until_witnessed(node)
        node.stop()
        old = self.copy()
        node.start()
        for _ in range(3):
            run_something(node)
        self.wait_until_witnessed(node)
        known = witnessed(node)[1]
        node.stop()
        new = self.copy()
        self.addCleanup(node.start)
        self.addCleanup(self.restore, new)
        # An older copy is shorter than what the witness has seen.
        self.restore(old)
        for _ in range(2):
            status, said = refused(node)
            self.assertEqual(status, 4)
            self.assertIn("has been rolled back", said)
            self.assertIn(f"has seen {known} entries", said)
        # The same beside a newer list of its own: it is noticed without the witness.
        shutil.copy(os.path.join(new, "audit", "checkpoint.witnessed"), os.path.join(node.data, "audit"))
        self.assertIn("rolled back or forked", refused(node)[1])
        # The older copy goes on alone, beyond what was seen: that is a fork.
        self.restore(old)
        with Node(data=node.data) as alone:
            while size_of(alone) <= known:
                run_something(alone)
            alone.stop()
        status, said = refused(node)
        self.assertEqual(status, 4)
        self.assertIn("has been forked", said)
        # Without the witness nothing is noticed: that is what it is for.
        shorter = Node(data=node.data, key=False)
        shorter.start()
        self.assertEqual(shorter.stop(), 0)


class Liar(http.server.BaseHTTPRequestHandler):
    """A witness that answers with (status, body) from server.answer(note, old size)."""

    def do_POST(self):  # pylint: disable=invalid-name
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        head, note = body.split("\n\n", 1)
        answer = self.server.answer(note, int(head.split("\n")[0].split(" ")[1]))
        self.send_response(answer[0])
        self.send_header("Content-Length", str(len(answer[1].encode())))
        self.end_headers()
        self.wfile.write(answer[1].encode())

    def log_message(self, *_):  # pylint: disable=arguments-differ
        pass


class LyingWitness:
    def __init__(self, answer):
        self.signer = Signer("liar.example", 4)
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Liar)
        self.server.daemon_threads = True
        self.server.answer = answer or self.good
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def good(self, note, _):
        return 200, self.signer.cosign(note)

    def setting(self):
        return f"http://127.0.0.1:{self.server.server_port} {self.signer.vkey}"

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Clients(unittest.TestCase):
    """The node as a client of witnesses that fail or lie."""

    def witness(self, answer=None):
        witness = LyingWitness(answer)
        self.addCleanup(witness.close)
        return witness

    def test_bad_witnesses_neither_stop_nor_mislead_a_running_node(self):
        good, second = self.witness(), self.witness()
        node = Node("--witnesses", f"{good.setting()} {second.setting()}", "--witness-threshold", "1", "--witness-interval", "1")
        with node:
            until(lambda: witnessed(node)[1] == size_of(node))
            for answer in (
                lambda note, old: (200, Signer("liar.example", 4).cosign(note)),
                lambda note, old: (409, "99999999\n"),
                lambda note, old: (422, ""),
            ):
                before = metric(node, "witness_failures_total")
                second.server.answer = answer
                run_something(node)
                until(lambda: metric(node, "witness_failures_total") > before)  # pylint: disable=cell-var-from-loop
                size = size_of(node)
                until(lambda: witnessed(node)[1] >= size)  # pylint: disable=cell-var-from-loop
                note = witnessed(node)[0]
                open_cosignature(note, good.signer.vkey)
                with self.assertRaises(protocol.Unverified):
                    open_cosignature(note, second.signer.vkey)
            self.assertGreaterEqual(metric(node, "witness_contradictions_total"), 2)
            second.server.answer = second.good
            until(lambda: metric(node, "witnesses_reached") == 2)
            self.assertTrue(get(node, "/health").json["checks"]["witnesses"])
            until(lambda: '"witness_back"' in node.log_text())
            self.assertIn('"witness_contradicts"', node.log_text())
            self.assertEqual(node.stop(), 0)

    def test_what_lies_at_the_start_keeps_the_node_from_starting_and_says_how_to_go_on(self):
        witness = self.witness(lambda note, old: (409, "99999999\n"))
        with Node(key=False) as node:
            node.stop()
            node.arguments += ("--witnesses", witness.setting())
            status, said = refused(node)
            self.assertEqual(status, 4)
            self.assertIn("take it out of audit.witnesses", said)

    def test_a_node_without_its_witnesses_warns_or_refuses_as_it_is_told(self):
        gone = f"http://127.0.0.1:{free_port()} {Signer('gone.example', 4).vkey}"
        failing = self.witness(lambda note, old: (503, ""))
        good = self.witness()
        everything = f"{gone}\n{failing.setting()}\n{good.setting()}"
        with Node("--witnesses", everything) as node:
            run_something(node)
            self.assertEqual((metric(node, "witnesses"), metric(node, "witnesses_needed"), metric(node, "witnesses_reached")), (3, 2, 1))
            health = get(node, "/health").json
            self.assertEqual((health["status"], health["checks"]["witnesses"]), ("degraded", False))
            self.assertEqual(get(node, "/readyz").status, 200)
            self.assertEqual(witnessed(node)[1], 0)
            self.assertEqual(node.stop(), 0)
            node.arguments += ("--witness-start", "refuse")
            status, said = refused(node)
            self.assertEqual(status, 2)
            self.assertIn("1 of 3 witnesses", said)
            node.arguments += ("--witness-threshold", "1")
            node.start()
            self.assertEqual(witnessed(node)[1], 4)  # as shown at the start; this run's epoch comes after it

    def test_settings_that_cannot_be_meant_are_named(self):
        vkey = Signer("w.example", 4).vkey
        for witnesses, more, said in (
            ("http://127.0.0.1:1", (), "the last URL has no key"),
            (f"{vkey} http://127.0.0.1:1", (), "witness 1"),
            (f"http://127.0.0.1:1 {Signer('w.example', 1).vkey}", (), "witness 1"),
            (f"ftp://127.0.0.1 {vkey}", (), "witness 1"),
            (f"http://127.0.0.1:1 {vkey} http://127.0.0.1:2 {vkey}", (), "twice"),
            (f"http://127.0.0.1:1 {vkey}", ("--witness-threshold", "2"), "there are 1 witnesses"),
            ("", ("--witness", "true", "--witness-logs", "x"), "log 1 to witness"),
        ):
            with tempfile.TemporaryDirectory() as data:
                done = command("serve", "--data-dir", data, "--tee", "none", "--port", "0", "--witnesses", witnesses, *more, check=False)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertIn(said, done.stderr)


if __name__ == "__main__":
    unittest.main()
