"""test_audit: what an auditor types: verify, checkpoint, prove, export and show, of a directory, of a running node, and of servers that lie.

SPDX-License-Identifier: Apache-2.0
"""

import csv
import http.server
import io
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import unittest
import urllib.parse

from client import leaf_hash, open_tlog_proof, tree_root
from node import BINARY, BUILD, EXAMPLES, Node, command, example

MAKE_LOG = os.path.join(BUILD, "tests", "audit", "make_log")
ENTRIES = 700
ORIGIN = "log.example/audit"
EXITS = {
    "OK": 0, "TAMPERED": 4, "TRUNCATED": 5, "ROLLED_BACK": 6, "FORKED": 7, "UNVERIFIABLE": 8, "NOT_FOUND": 9, "PENDING": 10, "PRUNED": 11,
}  # fmt: skip


def made_request(number):
    """The id of a request that make_log made; see there."""
    return f"00000000-0000-4000-8000-{number:012x}"


def make_log(directory, entries):
    subprocess.run([MAKE_LOG, directory, str(entries), ORIGIN], check=True, capture_output=True, timeout=120)


def read(*path):
    with open(os.path.join(*path), "rb") as file:
        return file.read()


def leaves_of(directory):
    data, leaves = read(directory, "entries", "000000000000.log"), []
    while data:
        end = 2 + int.from_bytes(data[:2], "big")
        leaves.append(data[2:end])
        data = data[end:]
    return leaves


def audit(*arguments, **options):
    return command("audit", *arguments, check=False, **options)


class Server:
    """Serves the log in a directory as tiles; `change` maps a path to what is answered instead: (status, body) of the true body."""

    def __init__(self, directory, change=None):
        self.directory = directory
        self.change = change or (lambda path, status, body: (status, body))
        self.asked = []
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):  # pylint: disable=invalid-name
                server.asked.append(self.path)
                status, body = server.change(self.path, *server.answer(self.path))
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):  # pylint: disable=arguments-differ
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.http.handle_error = lambda *_: None  # a client that has seen enough hangs up
        self.url = f"http://127.0.0.1:{self.http.server_port}/logs/1"

    def answer(self, path):
        path = path.removeprefix("/logs/1/")
        if path == "checkpoint":
            return 200, read(self.directory, "checkpoint")
        name, _, width = path.partition(".p/")
        parts = name.split("/")
        leaves = leaves_of(self.directory)
        if parts[:2] != ["tile", "entries"]:
            return 404, b""
        first = 256 * int("".join(part.lstrip("x") for part in parts[2:]))
        leaves = leaves[first : first + int(width or 256)]
        return (200, b"".join(len(leaf).to_bytes(2, "big") + leaf for leaf in leaves)) if len(leaves) == int(width or 256) else (404, b"")

    def __enter__(self):
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.http.shutdown()
        self.http.server_close()


class Folder(unittest.TestCase):
    """A log of 700 entries, and its key."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="wh-e2e-")
        cls.addClassCleanup(shutil.rmtree, cls.folder, True)
        os.chmod(cls.folder, 0o700)
        cls.log = os.path.join(cls.folder, "audit")
        make_log(cls.log, ENTRIES)
        cls.vkey = read(cls.log, "log.vkey").decode().strip()
        cls.leaves = leaves_of(cls.log)

    def path(self, name):
        return os.path.join(self.folder, name)

    def copy(self, name):
        shutil.copytree(self.log, self.path(name))
        self.addCleanup(shutil.rmtree, self.path(name))
        return self.path(name)

    def write(self, name, content):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(content)
        return self.path(name)

    def assert_verdict(self, verdict, *arguments, bad=None):
        done = audit("verify", *arguments, "--json")
        self.assertEqual((json.loads(done.stdout or "{}").get("verdict"), done.returncode), (verdict, EXITS[verdict]), done.stdout + done.stderr)
        report = json.loads(done.stdout)
        self.assertEqual(report["bad_index"], bad, report)
        return report


class Servers(Folder):
    """Verifying over HTTP: an honest server, weak ones, and liars."""

    def lie(self, change, verdict, *arguments, bad=None, directory=None):
        with Server(directory or self.log, change) as server:
            return self.assert_verdict(verdict, server.url, "--vkey", self.vkey, *arguments, bad=bad)

    def test_an_honest_server_is_ok(self):
        report = self.lie(None, "OK")
        self.assertEqual(report["size"], ENTRIES)
        self.assertEqual(report["root"], tree_root([leaf_hash(leaf) for leaf in self.leaves]).hex())
        with Server(self.log) as server:  # without a key: the log's own word
            text = audit("verify", server.url).stdout
            self.assertIn("with the key that the log itself names", text)
            self.assertEqual(audit("checkpoint", server.url).stdout.encode(), read(self.log, "checkpoint"))

    def test_a_swapped_entry_is_named(self):
        def change(path, status, body):
            return status, body.replace(made_request(7).encode(), made_request(8).encode(), 1) if path.endswith("entries/000") else body

        self.lie(change, "TAMPERED", bad=next(i for i, leaf in enumerate(self.leaves) if made_request(7).encode() in leaf))

    def test_entries_that_are_not_there_are_truncated(self):
        self.lie(lambda path, status, body: (404, b"") if "entries/001" in path else (status, body), "TRUNCATED", bad=256)
        self.lie(lambda path, status, body: (status, body[:-1]) if "entries/000" in path else (status, body), "TRUNCATED", bad=255)
        self.lie(lambda path, status, body: (404, b"") if path.endswith("checkpoint") else (status, body), "TRUNCATED")

    def test_what_follows_a_bundle_is_not_ignored(self):
        self.lie(lambda path, status, body: (status, body + b"\0") if "entries/001" in path else (status, body), "TAMPERED", bad=511)
        self.lie(lambda path, status, body: (status, body + bytes(300000)) if "entries/001" in path else (status, body), "TAMPERED", bad=256)

    def test_an_older_checkpoint_is_rolled_back(self):
        kept = os.path.join(self.copy("longer"), "checkpoint")
        make_log(self.path("longer"), ENTRIES + 10)
        self.lie(None, "ROLLED_BACK", "--since", kept)
        self.lie(None, "OK", "--since", os.path.join(self.log, "checkpoint"), directory=self.path("longer"))

    def test_another_history_is_forked(self):
        make_log(self.copy("one"), ENTRIES + 10)
        make_log(self.copy("two"), ENTRIES + 20)
        self.lie(None, "FORKED", "--since", os.path.join(self.path("one"), "checkpoint"), directory=self.path("two"))

    def test_another_key_is_unverifiable_whatever_else_is_wrong(self):
        make_log(self.path("other"), 3)
        self.addCleanup(shutil.rmtree, self.path("other"))
        with Server(self.log, lambda path, status, body: (status, body[:99] if "tile" in path else body)) as server:
            self.assert_verdict("UNVERIFIABLE", server.url, "--vkey", read(self.path("other"), "log.vkey").decode())
        with Server(self.path("other")) as server:
            self.assert_verdict("UNVERIFIABLE", server.url, "--vkey", self.vkey)
            self.assert_verdict("OK", server.url, "--vkey", self.vkey, "--vkey", read(self.path("other"), "log.vkey").decode())

    def test_a_server_that_recovers_is_asked_again_and_one_that_does_not_is_status_3(self):
        seen = set()

        def busy_once(path, status, body):
            first = path not in seen
            seen.add(path)
            return (503, b"") if first else (status, body)

        self.lie(busy_once, "OK")
        with Server(self.log, lambda path, status, body: (403, b"") if "tile" in path else (status, body)) as server:
            done = audit("verify", server.url, "--vkey", self.vkey)
            self.assertEqual((done.returncode, done.stdout), (3, ""))
            self.assertIn("403", done.stderr)
        done = audit("verify", server.url, "--vkey", self.vkey)
        self.assertEqual(done.returncode, 3, done.stderr)

    def test_a_partial_bundle_that_is_gone_is_taken_from_the_full_one(self):
        longer = self.copy("grown")
        make_log(longer, 768)
        old = read(self.log, "checkpoint")

        def change(path, status, body):
            if path.endswith("checkpoint"):
                return 200, old
            return (404, b"") if ".p/" in path else (status, body)

        self.lie(change, "OK", directory=longer)


class Directory(Folder):
    """The other commands, on a directory."""

    def test_every_verdict_has_its_exit_status(self):
        make_log(self.copy("one"), ENTRIES + 2)
        make_log(self.copy("two"), ENTRIES + 4)
        kept = os.path.join(self.path("one"), "checkpoint")
        self.assert_verdict("OK", self.path("one"), "--since", os.path.join(self.log, "checkpoint"))
        self.assert_verdict("ROLLED_BACK", self.log, "--since", kept)
        self.assert_verdict("FORKED", self.path("two"), "--since", kept)
        self.assert_verdict("UNVERIFIABLE", self.log, "--vkey", "no key")
        entries = os.path.join(self.path("two"), "entries", "000000000000.log")
        content = bytearray(read(entries))
        os.truncate(entries, len(content) // 2)
        done = audit("verify", self.path("two"))
        self.assertEqual(done.returncode, EXITS["TRUNCATED"], done.stdout)
        content[100] ^= 1
        with open(entries, "wb") as file:
            file.write(content)
        self.assert_verdict("TAMPERED", self.path("two"), bad=0)
        self.assertEqual(audit("verify", self.path("nowhere")).returncode, 2)

    def test_an_unsigned_end_is_what_a_newer_checkpoint_says(self):
        # The file `checkpoint` may be older than the entries: what is behind it counts if the auditor's own checkpoint signs it.
        longer = self.copy("ahead")
        make_log(longer, ENTRIES + 10)
        kept = self.path("kept.checkpoint")
        shutil.copy(os.path.join(longer, "checkpoint"), kept)
        shutil.copy(os.path.join(self.log, "checkpoint"), longer)
        report = self.assert_verdict("OK", longer, "--since", kept)
        self.assertEqual((report["size"], report["pending"]), (ENTRIES, 10))

    def test_proofs_are_what_another_verifier_accepts(self):
        for index in (0, 255, 256, 511, 512, 698, 699):
            done = audit("prove", str(index), self.log)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(open_tlog_proof(done.stdout, self.vkey, leaf_hash(self.leaves[index]))[0], index)
        done = audit("prove", made_request(9), self.log, "--out", self.path("proof"), "--vkey", self.vkey)
        self.assertEqual((done.returncode, done.stdout), (0, ""), done.stderr)
        index = open_tlog_proof(read(self.path("proof")).decode(), self.vkey, leaf_hash(self.result(9)))[0]
        self.assertEqual(self.leaves[index], self.result(9))
        self.assertEqual(audit("prove", "700", self.log).returncode, EXITS["NOT_FOUND"])
        self.assertEqual(audit("prove", "00000000-0000-4000-8000-ffffffffffff", self.log).returncode, EXITS["NOT_FOUND"])

    def result(self, number):
        return next(leaf for leaf in self.leaves if made_request(number).encode() in leaf and b'"RESULT"' in leaf)

    def test_show_tells_a_request(self):
        done = audit("show", made_request(3), self.log)
        self.assertEqual(done.returncode, 0, done.stderr)
        for word in ("admitted:", "ended:", "after admission", "success", "schedule 1", ORIGIN, "700 entries"):
            self.assertIn(word, done.stdout)
        told = json.loads(audit("show", made_request(3), self.log, "--vkey", self.vkey, "--json").stdout)
        self.assertEqual((told["verdict"], told["result"]), ("OK", json.loads(self.result(3))))
        self.assertEqual(audit("show", "00000000-0000-4000-8000-ffffffffffff", self.log).returncode, EXITS["NOT_FOUND"])

    def test_export_is_what_was_hashed(self):
        lines = audit("export", self.log).stdout.splitlines()
        self.assertEqual([line.encode() for line in lines], self.leaves)
        lines = audit("export", self.log, "--from", "255", "--to", "256").stdout.splitlines()
        self.assertEqual([line.encode() for line in lines], self.leaves[255:257])
        rows = list(csv.DictReader(io.StringIO(audit("export", self.log, "--format", "csv", "--type", "RESULT").stdout)))
        results = [json.loads(leaf) for leaf in self.leaves if b'"RESULT"' in leaf]
        self.assertEqual([row["request_id"] for row in rows], [result["request_id"] for result in results])
        for name in ("index", "admit", "gas_consumed", "result_commitment", "status", "prev", "time"):
            self.assertEqual([row[name] for row in rows], [str(result[name]) for result in results])
        self.assertEqual(audit("export", self.log, "--from", "700").returncode, EXITS["NOT_FOUND"])
        with open("/dev/full", "wb") as full:
            done = subprocess.run([BINARY, "audit", "export", self.log], stdout=full, stderr=subprocess.PIPE, check=False)
        self.assertEqual(done.returncode, 70, done.stderr)

    def test_a_policy_is_met_or_not(self):
        witness = "witness.example+a5f2d9e1+BAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        good = f"origin: {ORIGIN}\nkeys:\n  - {self.vkey}\nmax_age_seconds: 86400\n"
        self.assert_verdict("OK", self.log, "--policy", self.write("policy.yaml", good))
        for bad, said in (
            (good.replace(ORIGIN + "\n", "log.example/other\n", 1), "another log"),
            (f"keys: [{self.vkey}x]\n", "not a verifier key"),
        ):
            self.assertIn(said, self.assert_verdict("UNVERIFIABLE", self.log, "--policy", self.write("policy.yaml", bad))["detail"])
        for bad, said in (
            ("", "empty"), ("- a\n", ":1: names and values"), ("origin: a\norigin: b\n", ":2: it is given twice"), ("colour: red\n", "says nothing of that name"),
            ("max_age_seconds: -1\n", "a number from 1"), ("keys: {}\n", "a list"), ("origin: []\n", "a text"), ("a: [\n", "not YAML"),
            (f"witnesses:\n  threshold: 1\n  keys:\n    - {witness}\n", ":4: "), ("witnesses: {threshold: 1, keys: []}\n", "threshold"),
        ):  # fmt: skip
            done = audit("verify", self.log, "--policy", self.write("policy.yaml", bad))
            self.assertEqual(done.returncode, 2, done.stdout)
            self.assertIn(said, done.stderr)


class Pruned(unittest.TestCase):
    """A node whose first segment was pruned."""

    def setUp(self):
        self.data = tempfile.mkdtemp(prefix="wh-e2e-")
        self.addCleanup(shutil.rmtree, self.data, True)
        os.chmod(self.data, 0o700)
        self.log = os.path.join(self.data, "audit")
        make_log(self.log, ENTRIES)
        self.assertEqual(audit("rotate", self.log).returncode, 0)
        make_log(self.log, ENTRIES + 400)
        self.vkey = read(self.log, "log.vkey").decode().strip()
        self.kept = os.path.join(self.data, "kept.checkpoint")
        with open(self.kept, "wb") as file:
            file.write(read(self.log, "checkpoint"))

    def verdict(self, target):
        done = audit("verify", target, "--vkey", self.vkey, "--since", self.kept, "--json")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return json.loads(done.stdout)

    def test_proves_what_stays_and_says_what_went(self):
        with Node(data=self.data) as node:  # its index knows all of them
            client = node.client()
            self.assertEqual(client.call("GET", f"/v1/verify/{made_request(7)}").status, 200)
            client.close()
            done = audit("prune", self.log, "--segments", "1")
            self.assertEqual(done.returncode, 2, "a node is running")
        for arguments in ((), ("--segments", "1", "--before", "2026-01"), ("--before", "2026-13"), ("--before", "2026"), ("--segments", "0"), ("--segments", "2")):
            self.assertEqual(audit("prune", self.log, *arguments).returncode, 2, arguments)
        done = audit("prune", self.log, "--before", "1971-01")
        self.assertEqual((done.returncode, done.stdout[:10]), (0, "0 segments"), done.stderr)
        done = audit("prune", self.log, "--segments", "1", "--reason", "the law")
        self.assertEqual((done.returncode, done.stdout[:10]), (0, "1 segments"), done.stderr)
        self.assertEqual(self.verdict(self.log)["pruned"], ENTRIES + 1)
        self.assertIn('"reason":"the law"', audit("export", self.log, "--type", "PRUNE").stdout)
        with Node(data=self.data) as node:
            client = node.client()
            paths = {"entries/000": 410, "entries/002": 410, "entries/002.p/9": 410, "entries/003": 200, "entries/900": 404, "0/000": 200, "0/002": 200, "1/000.p/4": 200}
            for path, status in paths.items():
                self.assertEqual(client.call("GET", f"/v1/log/tile/{path}").status, status, path)
            for number, status in ((7, 410), (750, 200)):
                self.assertEqual(client.call("GET", f"/v1/verify/{made_request(number)}").status, status, number)
            client.run(example("primes"), "nth", [5])
            client.close()
            url = f"http://127.0.0.1:{node.port}"
            self.assertEqual(self.verdict(url)["pruned"], 768, "a bundle is there or it is not")
            self.assertEqual(audit("prove", made_request(7), url, "--vkey", self.vkey).returncode, EXITS["PRUNED"])
            self.assertEqual(audit("prove", made_request(750), url, "--vkey", self.vkey).returncode, 0)


class Live(unittest.TestCase):
    """A running node, while it works."""

    @classmethod
    def setUpClass(cls):
        data = tempfile.mkdtemp(prefix="wh-e2e-")
        cls.addClassCleanup(shutil.rmtree, data, True)
        os.chmod(data, 0o700)
        make_log(os.path.join(data, "audit"), ENTRIES)
        cls.vkey = read(data, "audit", "log.vkey").decode().strip()
        cls.node = Node(data=data).__enter__()
        cls.addClassCleanup(cls.node.__exit__)
        cls.url = f"http://127.0.0.1:{cls.node.port}"

    def test_verifies_under_load_and_sees_it_grow(self):
        over = threading.Event()
        failures = []

        def load():
            client = self.node.client()
            try:
                while not over.is_set():
                    client.run(example("primes"), "nth", [5])
            except BaseException as failure:  # pylint: disable=broad-exception-caught
                failures.append(failure)
            client.close()

        threads = [threading.Thread(target=load) for _ in range(3)]
        for thread in threads:
            thread.start()
        kept = os.path.join(self.node.data, "kept.checkpoint")
        sizes = []
        try:
            for _ in range(5):
                since = ("--since", kept) if sizes else ()
                self.node.process.send_signal(signal.SIGUSR1)  # ends the segment
                for target in (self.url, os.path.join(self.node.data, "audit")):
                    done = audit("verify", target, "--vkey", self.vkey, "--json", *since)
                    self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
                sizes.append(json.loads(done.stdout)["size"])
                with open(kept, "w", encoding="utf-8") as file:
                    file.write(audit("checkpoint", self.url).stdout)
        finally:
            over.set()
            for thread in threads:
                thread.join()
        self.assertEqual(failures, [])
        self.assertGreater(sizes[-1], sizes[0])
        for target in (self.url, os.path.join(self.node.data, "audit")):
            done = audit("verify", target, "--vkey", self.vkey, "--json", "--since", kept)
            self.assertGreater(json.loads(done.stdout)["segments_closed"], 0, done.stdout)

    def test_show_and_prove_ask_the_node(self):
        environment = {**os.environ, "WASM_HYPERVISOR_URL": self.url}
        told = json.loads(audit("show", made_request(5), "--json", "--vkey", self.vkey, env=environment).stdout)
        self.assertEqual((told["verdict"], told["result"]["request_id"]), ("OK", made_request(5)))
        self.assertEqual(json.loads(audit("show", made_request(5), os.path.join(self.node.data, "audit"), "--json").stdout)["result"], told["result"])
        leaf = audit("export", self.url, "--from", "600", "--to", "600").stdout.rstrip("\n").encode()
        done = audit("prove", "600", self.url, "--vkey", self.vkey)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(open_tlog_proof(done.stdout, self.vkey, leaf_hash(leaf))[0], 600)
        done = audit("prove", made_request(5), self.url + "/v1/log", "--request")
        self.assertEqual(done.returncode, 0, done.stderr)
        leaf = audit("export", self.url, "--from", str(told["admit"]["index"]), "--to", str(told["admit"]["index"])).stdout.rstrip("\n").encode()
        self.assertEqual(open_tlog_proof(done.stdout, self.vkey, leaf_hash(leaf))[0], told["admit"]["index"])
        self.assertEqual(leaf_hash(leaf), leaf_hash(json.dumps(told["admit"], separators=(",", ":"), sort_keys=True).encode()))
        absent = "00000000-0000-4000-8000-ffffffffffff"
        self.assertEqual(audit("show", absent, self.url).returncode, EXITS["NOT_FOUND"])
        self.assertEqual(audit("prove", absent, self.url).returncode, EXITS["NOT_FOUND"])
        self.assertEqual(audit("prove", "1000000", self.url).returncode, EXITS["NOT_FOUND"])
        other = audit("show", made_request(5), self.url, "--vkey", "x.example+8c1dcdc4+AddamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea")
        self.assertEqual(other.returncode, EXITS["UNVERIFIABLE"], other.stdout)

    def test_a_mirror_alone_finds_no_ids(self):
        parts = urllib.parse.urlsplit(self.url)
        done = audit("show", made_request(5), f"{parts.scheme}://{parts.netloc}/mirror")
        self.assertEqual(done.returncode, 2)
        self.assertIn("only nodes find requests by their ids", done.stderr)


class Stopped(unittest.TestCase):
    """A node that an operator stops."""

    def test_refused_keys_are_counted_and_not_named(self):
        with Node() as node:
            client = node.client()
            other = "wh_" + "0" * 16 + "_" + "A" * 43
            for _ in range(3):
                self.assertEqual(client.call("GET", "/metrics", headers={"X-API-Key": other}).status, 401)
            self.assertEqual(client.call("GET", "/metrics", headers={"Authorization": "Basic eDp5"}).status, 401)
            self.assertEqual(client.call("GET", "/metrics").status, 200)
            client.close()
            self.assertEqual(node.stop(), 0)
            done = audit("export", os.path.join(node.data, "audit"), "--type", "AUTH_FAILURES")
            self.assertEqual(node.audit()[0], EXITS["OK"])
        entries = [json.loads(line) for line in done.stdout.splitlines()]
        total = {name: sum(entry[name] for entry in entries) for name in entries[0] if isinstance(entries[0][name], int) and name not in ("v", "index")}
        self.assertEqual(total, {"count": 4, "unknown_key": 3, "malformed": 1, "expired_key": 0, "revoked_key": 0, "missing_scope": 0})
        for secret in ("127.0.0.1", other[3:19]):
            self.assertNotIn(secret, "".join(line.split('"prev"')[0] + line.split('"revoked_key"')[1] for line in done.stdout.splitlines()))

    def test_a_log_gets_a_new_key(self):
        with Node() as node:
            log = os.path.join(node.data, "audit")

            def execute():
                client = node.client()
                node_id = client.new_key()["node_id"]
                client.run(example("primes"), "nth", [5])
                client.close()
                return node_id

            old = read(log, "log.vkey").decode().strip()
            node_id = execute()
            busy = audit("rotate", log, "--key")
            self.assertEqual(busy.returncode, 2, busy.stdout)
            self.assertIn("stop the node first", busy.stderr)
            self.assertEqual(node.stop(), 0)
            done = audit("rotate", "--key", log)
            self.assertEqual(done.returncode, 0, done.stderr)
            new = done.stdout.splitlines()[1]
            self.assertEqual(read(log, "log.vkey").decode().splitlines(), [new, old])
            node.start()
            self.assertEqual(execute(), node_id)
            for vkey, status in ((new, 0), (old, 4)):  # a single proof is signed by the key of its time
                done = command(
                    *("exec", os.path.join(EXAMPLES, "primes.wasm"), "--invoke", "nth", "5", "--allow-simulated", "any", "--log-vkey", vkey),
                    check=False,
                    env={**os.environ, "WASM_HYPERVISOR_URL": f"http://127.0.0.1:{node.port}", "WASM_HYPERVISOR_API_KEY": node.api_key},
                )
                self.assertEqual(done.returncode, status, done.stderr)
            self.assertEqual(node.stop(), 0)
            other = "x.example+8c1dcdc4+AddamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea"
            for vkey, verdict in ((old, "OK"), (new, "OK"), (other, "UNVERIFIABLE")):
                status, report = node.audit("--vkey", vkey)
                self.assertEqual((status, report["verdict"]), (EXITS[verdict], verdict), report)
            self.assertEqual(len(audit("export", log, "--type", "KEY_ROTATE").stdout.splitlines()), 1)


if __name__ == "__main__":
    unittest.main()
