"""test_disconnects: connections that break at every stage of a request, hundreds of them, or as many as WH_DISCONNECTS says. Afterwards
the node is as it was: nothing runs or waits, no descriptor, key or memory is held, and every admitted program has its end in the log.

docs/testing.md has the command.

SPDX-License-Identifier: Apache-2.0
"""

import concurrent.futures
import json
import os
import random
import re
import socket
import struct
import unittest

from node import Node, example, sanitized, until, wat

COUNT = int(os.environ.get("WH_DISCONNECTS", "210" if sanitized() else "630"))
ENDLESS = wat('(module (func (export "spin") (loop (br 0))))')
THREADS = 4
# Has to be as before when all clients are gone. The log, the totals and the memory of the process are not of that kind.
GAUGES = (
    "wasm_hypervisor_executions_running",
    "wasm_hypervisor_executions_queued",
    "wasm_hypervisor_memory_bytes",
    "wasm_hypervisor_request_keys",
    "process_open_fds",
    "process_threads",
)


def message(node, path, body=b"", method="POST"):
    head = f"{method} {path} HTTP/1.1\r\nHost: node\r\nX-API-Key: {node.api_key}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Breaker:
    """A client that keeps one good connection for its keys, and breaks others. Which way is drawn from `seed`."""

    def __init__(self, node, seed):
        self.node = node
        self.client = node.client()
        self.random = random.Random(seed)
        self.answers = []

    def close(self):
        self.client.close()

    def execution(self, module, function, *arguments, **fields):
        return message(self.node, "/v1/execute", json.dumps(self.client.prepare(module, function, list(arguments), **fields).body).encode())

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.node.port), 60)

    def end(self, connection):
        """A reset, or an orderly end."""
        if self.random.random() < 0.5:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()

    def cut(self, whole, least, most):
        """Sends a part of a message, in one piece or two."""
        part = whole[: self.random.randint(least, most)]
        connection = self.connect()
        at = self.random.randint(0, len(part))
        connection.sendall(part[:at])
        connection.sendall(part[at:])
        self.end(connection)

    # ---- the stages ----

    def before_the_headers(self):
        self.end(self.connect())

    def in_the_headers(self):
        whole = message(self.node, "/v1/execute", b"{}")
        self.cut(whole, 1, whole.index(b"\r\n\r\n") + 3)

    def in_the_body(self):
        whole = message(self.node, "/v1/execute", b'{"request_id":"' + b"0" * self.random.choice((10, 1000, 100000)) + b'"}')
        self.cut(whole, whole.index(b"\r\n\r\n") + 4, len(whole) - 1)

    def when_all_is_sent(self):
        """Anywhere between the socket and the queue."""
        connection = self.connect()
        connection.sendall(self.execution(ENDLESS, "spin", timeout_seconds=60))
        self.end(connection)

    def while_it_runs(self):
        connection = self.connect()
        whole = self.execution(ENDLESS, "spin", timeout_seconds=60)
        connection.sendall(whole)
        # Whoever is behind it on the same connection waits for it: what comes for a later one tells that it has been read.
        connection.sendall(message(self.node, "/v1/health", method="GET"))
        self.client.call("GET", "/v1/health")
        self.end(connection)

    def during_the_answer(self):
        connection = self.connect()
        if self.random.random() < 0.5:
            connection.sendall(self.execution(example("primes"), "nth", 5))
        else:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            connection.sendall(message(self.node, "/openapi.json", method="GET") * 20)
        assert connection.recv(1) == b"H"
        self.end(connection)

    def with_half_a_close(self):
        """Its client may be gone, as far as can be seen, so an execution is cancelled; but whatever the answer is, it comes."""
        connection = self.connect()
        is_endless = self.random.random() < 0.5
        connection.sendall(self.execution(ENDLESS, "spin", timeout_seconds=60) if is_endless else message(self.node, "/v1/health", method="GET"))
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
        connection.close()
        self.answers.append((is_endless, answer.split(b" ", 2)[1], answer))

    STAGES = (before_the_headers, in_the_headers, in_the_body, when_all_is_sent, while_it_runs, during_the_answer, with_half_a_close)


class Disconnects(unittest.TestCase):
    def gauges(self, client):
        text = client.call("GET", "/metrics").body.decode()
        return {name: float(re.search(rf"^{name} (\S+)$", text, re.M).group(1)) for name in GAUGES}

    def test_a_connection_that_breaks_at_any_stage_leaves_nothing_behind(self):
        with Node() as node:
            client = node.client()
            client.run(example("primes"), "nth", [5])  # whatever is made once is there
            before = {}

            def settled():
                if not before:
                    before.update(self.gauges(client))
                return self.gauges(client) == before and before["wasm_hypervisor_executions_running"] == 0 or before.clear()

            until(settled)
            with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
                answers = [answer for part in pool.map(lambda seed: self.break_many(node, seed), range(THREADS)) for answer in part]
            seen = {}

            def as_before():
                seen.update(self.gauges(client))
                return seen == before

            try:
                until(as_before)
            except AssertionError:
                self.assertEqual(seen, before)
            for is_endless, status, answer in answers:
                self.assertEqual(status, b"422" if is_endless else b"200", answer)
                self.assertIn(b"CANCELLED" if is_endless else b'"status":"ok"', answer)
            # The node works, and can be ended; a sanitizer would complain of what it has lost.
            self.assertEqual(client.run(example("primes"), "nth", [10])[0].status, 200)
            client.close()
            self.assertEqual(node.stop(), 0, node.log_text()[-3000:])
            status, report = node.audit()
            self.assertEqual((status, report["verdict"], report["unanswered"], report["recovered"]), (0, "OK", 0, 0), report)

    def break_many(self, node, seed):
        breaker = Breaker(node, seed)
        for index in range(COUNT // THREADS):
            Breaker.STAGES[index % len(Breaker.STAGES)](breaker)
        breaker.close()
        return breaker.answers


if __name__ == "__main__":
    unittest.main()
