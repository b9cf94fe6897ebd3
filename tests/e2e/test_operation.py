"""test_operation: what an operator and an auditor rely on: keys, health, metrics, the log after a crash, a clean end.

SPDX-License-Identifier: Apache-2.0
"""

import json
import os
import signal
import socket
import subprocess
import tempfile
import threading
import unittest

import client as protocol
from client import Client, unb64, verify_answer, verify_key
from node import BINARY, READY, SECRET, Node, command, example, seed_simulator, until, wat

ENDLESS = wat('(module (func (export "spin") (loop (br 0))))')


class Keys(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.node = Node().__enter__()
        cls.addClassCleanup(cls.node.__exit__)

    def test_without_a_good_key_nothing_is_answered(self):
        good = self.node.api_key
        wrong = (None, "", "x", "wh_", good[:-1], good + "A", good[:-1] + ("A" if good[-1] != "A" else "B"), good.upper(), "wh_" + "0" * 16 + good[19:])
        for key in wrong:
            for method, path in (("POST", "/v1/keys"), ("POST", "/v1/execute"), ("GET", "/metrics")):
                with self.subTest(key=key, path=path):
                    client = Client("127.0.0.1", self.node.port)
                    answer = client.call(method, path, {} if method == "POST" else None, {"X-API-Key": key})
                    self.assertEqual((answer.status, answer.json["error_code"]), (401, "UNAUTHENTICATED"))
                    self.assertIn("www-authenticate", answer.headers)
                    client.close()

    def test_bearer_is_as_good_and_two_different_keys_are_not(self):
        client = Client("127.0.0.1", self.node.port)
        self.addCleanup(client.close)
        bearer = {"Authorization": "Bearer " + self.node.api_key}
        self.assertEqual(client.call("POST", "/v1/keys", {}, bearer).status, 201)
        both = {**bearer, "X-API-Key": self.node.new_key("execute")}
        self.assertEqual(client.call("POST", "/v1/keys", {}, both).status, 401)

    def test_a_key_does_only_what_its_scopes_say(self):
        executes = self.node.client(self.node.new_key("execute"))
        measures = self.node.client(self.node.new_key("metrics"))
        self.addCleanup(executes.close)
        self.addCleanup(measures.close)
        self.assertEqual(executes.call("POST", "/v1/keys", {}).status, 201)
        self.assertEqual(measures.call("GET", "/metrics").status, 200)
        for client, method, path in ((executes, "GET", "/metrics"), (measures, "POST", "/v1/keys"), (measures, "POST", "/v1/execute")):
            answer = client.call(method, path, {} if method == "POST" else None)
            self.assertEqual((answer.status, answer.json["error_code"]), (403, "FORBIDDEN"), path)

    def test_a_key_made_or_revoked_beside_the_running_node_counts_soon(self):
        secret = self.node.new_key("execute", "--name", "soon gone")
        client = self.node.client(secret)
        self.addCleanup(client.close)
        self.assertEqual(client.call("POST", "/v1/keys", {}).status, 201)
        command("key", "revoke", "--data-dir", self.node.data, secret[3:19])
        until(lambda: client.call("POST", "/v1/keys", {}).status == 401)
        self.assertIn("revoked", command("key", "list", "--data-dir", self.node.data).stdout)

    def test_key_commands_beside_the_node_take_nothing_away_from_it(self):
        with Node() as node:
            kept = []
            for _ in range(2):
                client = node.client()
                prepared = client.prepare(example("primes"), "nth", [5])
                kept.append((prepared, client.send(prepared)))
                client.close()
                node.new_key("execute")
            self.assertEqual(node.stop(), 0)
            node.start()
            client = node.client()
            self.addCleanup(client.close)
            for prepared, answer in kept:
                found = client.call("GET", f"/v1/executions/{prepared.key['request_id']}")
                self.assertEqual((found.status, found.json["answer"]), (200, answer.json))

    def test_the_secret_is_nowhere_on_the_disk(self):
        for folder, _, names in os.walk(self.node.data):
            for name in names:
                with open(os.path.join(folder, name), "rb") as file:
                    self.assertNotIn(self.node.api_key[20:].encode(), file.read(), name)


class Endpoints(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.node = Node().__enter__()
        cls.addClassCleanup(cls.node.__exit__)
        cls.client = cls.node.client()
        cls.prepared = cls.client.prepare(example("primes"), "nth", [5])
        cls.answer = cls.client.send(cls.prepared)
        verify_answer(cls.prepared, cls.answer)
        cls.request_id = cls.prepared.key["request_id"]

    def test_health_needs_no_key_and_tells_no_secret(self):
        client = Client("127.0.0.1", self.node.port)
        self.addCleanup(client.close)
        for path in ("/health", "/livez", "/readyz", "/readyz?verbose"):
            answer = client.call("GET", path)
            self.assertEqual(answer.status, 200, path)
            self.assertNotIn(self.node.data.encode(), answer.body)
            self.assertNotIn(b"wh_", answer.body)
        self.assertIn("status", client.call("GET", "/health").json)

    def test_metrics_count_what_has_happened(self):
        text = self.client.call("GET", "/metrics").body.decode()
        for line in text.splitlines():
            self.assertRegex(line, r'^(# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? [-+0-9.eEinfNa]+)$')
        before = metric_sum(text, "executions")
        self.client.run(example("primes"), "nth", [5])
        after = metric_sum(self.client.call("GET", "/metrics").body.decode(), "executions")
        self.assertGreater(after, before)

    def test_the_answer_is_kept_for_its_owner(self):
        kept = self.client.call("GET", f"/v1/executions/{self.request_id}")
        self.assertEqual(kept.status, 200)
        self.assertEqual(kept.json["state"], "COMPLETED")
        self.assertEqual(kept.json["answer_status"], 200)
        self.assertIn(b'"answer":' + self.answer.body + b"}", kept.body, "byte for byte")

    def test_a_key_that_waits_is_shown_as_such(self):
        key = self.client.new_key()
        shown = self.client.call("GET", f"/v1/executions/{key['request_id']}").json
        self.assertEqual((shown["state"], shown["expires_at"]), ("KEY_GENERATED", key["expires_at"]))

    def test_delete_cancels_what_runs_and_its_end_is_committed(self):
        prepared = self.client.prepare(ENDLESS, "spin", timeout_seconds=300)
        outcome = []
        other = self.node.client()
        running = threading.Thread(target=lambda: outcome.append(other.send(prepared)))
        running.start()
        until(lambda: state_of(self.client, prepared) == "EXECUTING")
        path = f"/v1/executions/{prepared.key['request_id']}"
        record = f"/v1/verify/{prepared.key['request_id']}"
        self.assertEqual(self.client.call("GET", f"{record}?commitment_type=request").json["record"]["type"], "ADMIT")
        for query in ("", "?commitment_type=result", "?commitment_type=combined"):  # there is none yet
            self.assertEqual(self.client.call("GET", record + query).status, 404, query)
        self.assertEqual(self.client.call("DELETE", path).status, 202)
        running.join()
        other.close()
        self.assertEqual((outcome[0].status, outcome[0].json["error_code"]), (422, "CANCELLED"))
        self.assertEqual(verify_answer(prepared, outcome[0])["status"], "cancelled")
        self.assertEqual(self.client.call("DELETE", path).status, 200)
        self.assertEqual(state_of(self.client, prepared), "CANCELLED")

    def test_a_client_that_goes_away_cancels_its_program_and_finds_the_answer_later(self):
        prepared = self.client.prepare(ENDLESS, "spin", timeout_seconds=300)
        body = json.dumps(prepared.body).encode()
        with socket.create_connection(("127.0.0.1", self.node.port)) as peer:
            peer.sendall(
                f"POST /v1/execute HTTP/1.1\r\nHost: x\r\nX-API-Key: {self.node.api_key}\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n".encode() + body
            )
            until(lambda: state_of(self.client, prepared) == "EXECUTING")
        until(lambda: state_of(self.client, prepared) == "CANCELLED")
        kept = self.client.call("GET", f"/v1/executions/{prepared.key['request_id']}").json
        self.assertEqual((kept["answer_status"], kept["answer"]["error_code"]), (422, "CANCELLED"))

    def test_verify_compares_each_hash_and_proves_it(self):
        client = Client("127.0.0.1", self.node.port)
        self.addCleanup(client.close)
        epoch = verify_key(self.prepared.key)
        for kind, member in (("request", "request_commitment"), ("result", "result_commitment")):
            good = self.answer.json[member]
            for path in ("/verify", "/v1/verify"):
                answer = client.call("GET", f"{path}/{self.request_id}?commitment_type={kind}&hash_value={good}")
                self.assertEqual(answer.status, 200, answer)
                self.assertTrue(answer.json["matches"], answer)
            bad = ("1" if good[0] == "0" else "0") + good[1:]
            answer = client.call("GET", f"/v1/verify/{self.request_id}?commitment_type={kind}&hash_value={bad}")
            self.assertFalse(answer.json["matches"], answer)
        both = protocol.sha256(
            b"wasm-hypervisor/1 combined commitment\0",
            bytes.fromhex(self.answer.json["request_commitment"]),
            bytes.fromhex(self.answer.json["result_commitment"]),
        ).hex()
        self.assertTrue(client.call("GET", f"/v1/verify/{self.request_id}?commitment_type=combined&hash_value={both}").json["matches"])
        self.assertIsNone(client.call("GET", f"/v1/verify/{self.request_id}").json["matches"])
        for query in ("commitment_type=other&hash_value=" + "0" * 64, "commitment_type=result&hash_value=xyz", "commitment_type=result&commitment_type=result"):
            self.assertEqual(client.call("GET", f"/v1/verify/{self.request_id}?{query}").status, 400, query)
        proof = client.call("GET", f"/v1/verify/{self.request_id}?commitment_type=result", headers={"Accept": "text/plain"})
        leaf = bytes.fromhex(self.answer.json["commitment"]["leaf_hash"])
        index, _, _ = protocol.open_tlog_proof(proof.body.decode(), epoch.vkey, leaf)
        self.assertEqual(index, int(self.answer.json["commitment"]["leaf_index"]))

    def test_the_entries_on_the_disk_give_the_root_that_the_node_signs(self):
        client = Client("127.0.0.1", self.node.port)
        self.addCleanup(client.close)
        epoch = verify_key(self.prepared.key)
        _, size, root = protocol.open_checkpoint(client.call("GET", "/v1/log/checkpoint").body.decode(), epoch.vkey)
        with open(entries_file(self.node.data), "rb") as file:
            leaves = list(read_entries(file.read()))[:size]
        self.assertEqual(len(leaves), size)
        hashes = [protocol.leaf_hash(leaf) for leaf in leaves]
        self.assertEqual(protocol.tree_root(hashes), root)
        kinds = []
        for index, leaf in enumerate(leaves):  # canonical, in order, and each names the one before it: the chain beside the tree
            value = json.loads(leaf)
            self.assertEqual(protocol.jcs(value).encode(), leaf)
            self.assertEqual(int(value["index"]), index)
            self.assertEqual(value["prev"], hashes[index - 1].hex() if index else "0" * 64)
            kinds.append(value["type"])
        self.assertEqual(kinds[:2], ["INIT", "EPOCH"])
        self.assertEqual(json.loads(leaves[int(self.answer.json["commitment"]["leaf_index"])])["type"], "RESULT")

    def test_the_log_is_read_in_tiles(self):
        client = Client("127.0.0.1", self.node.port)
        self.addCleanup(client.close)
        epoch = verify_key(self.prepared.key)
        _, size, root = protocol.open_checkpoint(client.call("GET", "/v1/log/checkpoint").body.decode(), epoch.vkey)
        self.assertLess(size, 256)
        tile = client.call("GET", f"/v1/log/tile/0/000.p/{size}")
        hashes = [tile.body[at : at + 32] for at in range(0, len(tile.body), 32)]
        self.assertEqual((len(hashes), protocol.tree_root(hashes)), (size, root))
        bundle = client.call("GET", f"/log/tile/entries/000.p/{size}")
        self.assertEqual([protocol.leaf_hash(leaf) for leaf in read_entries(bundle.body)], hashes)
        for answer in (tile, bundle):
            self.assertEqual(answer.headers["content-type"], "application/octet-stream")
            self.assertEqual(answer.headers["cache-control"], "public, max-age=31536000, immutable")
        head = client.call("HEAD", f"/v1/log/tile/0/000.p/{size}")
        self.assertEqual((head.status, head.body, head.headers["content-length"]), (200, b"", str(32 * size)))
        for path, status in (("0/000", 404), ("0/001.p/1", 404), ("0/000.p/256", 400), ("0/x000/000", 400), ("64/000", 400)):
            self.assertEqual(client.call("GET", f"/v1/log/tile/{path}").status, status, path)

    def test_attestation_answers_with_evidence(self):
        client = Client("127.0.0.1", self.node.port)
        self.addCleanup(client.close)
        answer = client.call("GET", "/v1/attestation")
        self.assertEqual(answer.status, 200)
        epoch = protocol.Epoch(answer.json)
        self.assertEqual((epoch.provider, epoch.digest), ("simulated", verify_key(self.prepared.key).digest))

    def test_requests_that_are_no_http_are_refused_and_the_node_goes_on(self):
        for raw in (
            b"GET / HTTP/2.0\r\nHost: x\r\n\r\n",
            b"GET /health HTTP/1.1\r\n\r\n",
            b"GET /health HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
            b"POST /v1/keys HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"POST /v1/keys HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
            b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            b"\x00" * 1000 + b"\r\n\r\n",
        ):
            with self.subTest(raw=raw[:40]), socket.create_connection(("127.0.0.1", self.node.port), timeout=30) as peer:
                peer.sendall(raw)
                peer.shutdown(socket.SHUT_WR)
                answer = b""
                while chunk := peer.recv(65536):
                    answer += chunk
                self.assertRegex(answer.split(b"\r\n")[0], rb"^(HTTP/1\.1 (4|5)\d\d .*|)$")
        self.assertEqual(self.client.call("GET", "/livez").status, 200)


class Crash(unittest.TestCase):
    def test_kill_9_under_load_loses_no_answer_and_the_log_tells_what_was_cut_off(self):
        with Node() as node:
            answered, stopping = [], threading.Event()

            def load():
                client = node.client()
                while not stopping.is_set():
                    try:
                        prepared = client.prepare(example("primes"), "nth", [20])
                        answered.append((prepared, client.send(prepared)))
                    except (OSError, protocol.Unverified, protocol.http.client.HTTPException):
                        return

            def endless(prepared):
                try:
                    node.client().send(prepared)
                except (OSError, protocol.http.client.HTTPException):
                    return

            watcher = node.client()
            cut_off = [watcher.prepare(ENDLESS, "spin", timeout_seconds=300) for _ in range(2)]
            threads = [threading.Thread(target=endless, args=(prepared,)) for prepared in cut_off]
            threads += [threading.Thread(target=load) for _ in range(6)]
            for thread in threads:
                thread.start()
            until(lambda: len(answered) >= 60 and all(state_of(watcher, prepared) == "EXECUTING" for prepared in cut_off))
            node.kill()
            stopping.set()
            for thread in threads:
                thread.join()
            node.start()

            status, report = node.audit()
            self.assertEqual((status, report["verdict"], report["unanswered"]), (0, "OK", 0), report)
            self.assertIn(report["recovered"], range(2, 2 + 6 + 1), "the two endless ones, and at most one of each other client")
            client = node.client()
            for prepared, answer in answered:
                self.assertEqual(answer.status, 200, answer)
                epoch = verify_key(prepared.key)
                verify_answer(prepared, answer, epoch)
                found = client.call(
                    "GET",
                    f"/v1/verify/{prepared.key['request_id']}?commitment_type=result&hash_value={answer.json['result_commitment']}",
                )
                self.assertEqual((found.status, found.json["matches"]), (200, True), found)
                proof = client.call(
                    "GET", f"/v1/verify/{prepared.key['request_id']}?commitment_type=result", headers={"Accept": "text/plain"}
                )
                leaf = bytes.fromhex(answer.json["commitment"]["leaf_hash"])
                index, _, size = protocol.open_tlog_proof(proof.body.decode(), epoch.vkey, leaf)
                self.assertEqual(index, int(answer.json["commitment"]["leaf_index"]))
                self.assertGreater(size, index)
            answer, result = client.run(example("primes"), "nth", [20])
            self.assertEqual((answer.status, result["outputs"]), (200, [{"type": "i32", "value": 71}]))
            node.stop()
            self.assertEqual(node.audit()[1]["verdict"], "OK")

    def test_a_flipped_byte_of_the_log_is_found(self):
        with Node() as node:
            node.client().run(example("primes"), "nth", [20])
            node.stop()
            self.assertEqual(node.audit()[1]["verdict"], "OK")
            path = entries_file(node.data)
            with open(path, "r+b") as log:
                log.seek(os.path.getsize(path) // 2)
                byte = log.read(1)
                log.seek(-1, os.SEEK_CUR)
                log.write(bytes([byte[0] ^ 1]))
            status, report = node.audit()
            self.assertEqual((status, report["verdict"]), (4, "TAMPERED"), report)


class Ending(unittest.TestCase):
    def test_sigterm_finishes_what_runs_and_takes_nothing_new(self):
        with Node() as node:
            client = node.client()
            prepared = client.prepare(ENDLESS, "spin", timeout_seconds=2)
            outcome = []
            running = threading.Thread(target=lambda: outcome.append(client.send(prepared)))
            running.start()
            watcher = node.client()
            until(lambda: state_of(watcher, prepared) == "EXECUTING")
            node.process.send_signal(signal.SIGTERM)
            running.join()
            self.assertEqual(outcome[0].json["error_code"], "EXECUTION_TIMEOUT", outcome)
            verify_answer(prepared, outcome[0])
            self.assertEqual(node.process.wait(60), 0)
            self.assertEqual(node.audit()[1]["verdict"], "OK")

    def test_a_second_node_on_the_same_data_is_refused(self):
        with Node() as node:
            second = subprocess.run(
                [BINARY, "serve", "--data-dir", node.data, "--tee", "simulated", "--port", "0"],
                capture_output=True, text=True, timeout=60, check=False,
            )
            self.assertNotEqual(second.returncode, 0)
            self.assertTrue(second.stderr.strip())
            self.assertEqual(node.client().call("GET", "/livez").status, 200)

    def test_a_bare_serve_finds_its_place_below_home_and_shows_its_first_key_once(self):
        with tempfile.TemporaryDirectory() as home:
            environment = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "WASM_HYPERVISOR"))}
            environment["HOME"] = home
            data = os.path.join(home, ".local", "share", "wasm-hypervisor")
            os.makedirs(data)
            seed_simulator(data)
            # `--port 0` only so that the tests do not depend on port 3000 being free; everything else is as it comes.
            with subprocess.Popen(
                [BINARY, "serve", "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True
            ) as process:
                killer = threading.Timer(60, process.kill)
                killer.start()
                errors = []
                reader = threading.Thread(target=lambda: errors.append(process.stderr.read()))
                reader.start()
                printed = ""
                port = None
                while port is None:
                    line = process.stdout.readline()
                    self.assertTrue(line, f"it ended: {printed}")
                    printed += line
                    match = READY.search(line)
                    port = int(match.group(1)) if match else None
                client = Client("127.0.0.1", port, SECRET.search(printed).group(0))
                answer = client.send(client.prepare(example("primes"), "nth", [20]))
                self.assertEqual(answer.status, 200, answer)
                client.close()
                process.send_signal(signal.SIGTERM)
                self.assertEqual(process.wait(60), 0)
                reader.join()
                killer.cancel()
            self.assertEqual(os.stat(data).st_mode & 0o077, 0, "nobody else may read the data directory")


def state_of(client, prepared):
    return client.call("GET", f"/v1/executions/{prepared.key['request_id']}").json.get("state")


def metric_sum(text, word):
    total = 0.0
    for line in text.splitlines():
        if not line.startswith("#") and word in line.split("{")[0] and "_total" in line:
            total += float(line.rsplit(" ", 1)[1])
    return total


def entries_file(data):
    return os.path.join(data, "audit", "entries", "000000000000.log")


def read_entries(content):
    """Each entry behind its length, two bytes, as in a C2SP entry bundle."""
    while content:
        size = 2 + int.from_bytes(content[:2], "big")
        yield content[2:size]
        content = content[size:]


if __name__ == "__main__":
    unittest.main()
