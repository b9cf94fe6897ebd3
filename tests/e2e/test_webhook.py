"""test_webhook: a receiver is told when an asynchronous execution has ended; receivers that are slow, endless, broken, elsewhere or
in the node's own network get no more than they should.

SPDX-License-Identifier: Apache-2.0
"""

import datetime
import http.server
import json
import os
import re
import ssl
import tempfile
import threading
import time
import unittest

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from client import Epoch
from node import EXAMPLES, Node, NodeCase, command, example, until, wat

TRAP = wat('(module (func (export "fail") unreachable))')


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.receiver.take(self, body)

    do_GET = do_POST

    def log_message(self, *_):
        pass


class Receiver:
    """An HTTP server that notes what comes and answers with the next of `script`: a status, or a function of the handler."""

    def __init__(self, *script, context=None):
        self.script = list(script)
        self.requests = []
        self.lock = threading.Lock()
        self.released = threading.Event()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.receiver = self
        if context:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def url(self, host="127.0.0.1", scheme="http", path="/hook?token=secret"):
        return f"{scheme}://{host}:{self.port}{path}"

    def take(self, handler, body):
        with self.lock:
            self.requests.append((handler.path, dict(handler.headers.items()), body))
            answer = self.script.pop(0) if self.script else 200
        if callable(answer):
            answer(handler)
            return
        handler.send_response(answer)
        if answer // 100 == 3:
            handler.send_header("Location", "/elsewhere")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    def close(self):
        self.released.set()
        self.server.shutdown()
        self.server.server_close()


def endless(handler):
    """A body that does not end, as long as somebody reads it."""
    handler.send_response(200)
    handler.end_headers()
    handler.close_connection = True
    try:
        while True:
            handler.wfile.write(b"x" * 65536)
    except OSError:
        pass


def held(handler):
    """Nothing, until the receiver is released; then the connection ends."""
    handler.server.receiver.released.wait()
    handler.close_connection = True


class Case(NodeCase):
    def setUp(self):
        super().setUp()
        self.before = self.counts()

    def receiver(self, *script, **options):
        receiver = Receiver(*script, **options)
        self.addCleanup(receiver.close)
        return receiver

    def run_with(self, url, module=None, function="nth", arguments=(5,)):
        prepared = self.client.prepare(module or example("primes"), function, list(arguments))
        answer = self.client.send(prepared, {"Prefer": "respond-async", "Webhook-Url": url})
        return prepared, answer

    def counts(self):
        page = self.client.call("GET", "/metrics").body.decode()
        return {name: int(re.search(rf"^wasm_hypervisor_webhooks_{name} (\d+)$", page, re.M).group(1)) for name in
                ("sent_total", "failed_total", "refused_total", "pending")}

    def until_counted(self, name):
        """Waits until one more is counted there, and none elsewhere."""
        expected = {**self.before, name: self.before[name] + 1}
        until(lambda: self.counts() == expected)

    def finish(self, prepared):
        shown = self.client.call("GET", f"/v1/executions/{prepared.key['request_id']}", headers={"Prefer": "wait=60"})
        self.assertEqual(shown.json["state"], "COMPLETED")


class Delivered(Case):
    arguments = ("--webhooks", "true", "--webhooks-private", "true", "--webhooks-retry-seconds", "0")

    def test_a_receiver_can_verify_what_it_is_told(self):
        receiver = self.receiver(204)
        prepared, answer = self.run_with(receiver.url())
        self.assertEqual(answer.status, 202, answer)
        self.until_counted("sent_total")
        path, headers, body = receiver.requests[0]
        message = json.loads(body)
        self.assertEqual(path, "/hook?token=secret")
        self.assertEqual(headers["Content-Type"], "application/json")
        self.assertEqual(headers["webhook-id"], prepared.key["request_id"])
        self.assertLess(abs(int(headers["webhook-timestamp"]) - time.time()), 3600)
        self.assertEqual((message["type"], sorted(message)), ("execution.ended", ["data", "timestamp", "type"]))
        data = message["data"]
        self.assertEqual(sorted(data), ["location", "receipt", "request_id", "state"])
        self.assertEqual(data["state"], "COMPLETED")
        receipt = Epoch(self.client.call("GET", "/v1/attestation").json).open(data["receipt"], "wasm-hypervisor/1 receipt")
        self.assertEqual((receipt["request_id"], receipt["status"]), (prepared.key["request_id"], "success"))
        shown = self.client.call("GET", data["location"])
        self.assertEqual(shown.json["answer"]["receipt"]["payload"], data["receipt"]["payload"])
        self.assertNotIn("token=secret", self.node.log_text())

    def test_a_failed_program_is_told_as_well(self):
        receiver = self.receiver()
        _, answer = self.run_with(receiver.url(), TRAP, "fail", ())
        self.assertEqual(answer.status, 202, answer)
        self.until_counted("sent_total")
        data = json.loads(receiver.requests[0][2])["data"]
        self.assertEqual((data["state"], json.loads(data["receipt"]["payload"])["error_code"]), ("EXEC_ERROR", "EXECUTION_TRAP"))

    def test_500_then_200_is_one_message_in_two_tries(self):
        receiver = self.receiver(500, 200)
        self.run_with(receiver.url())
        self.until_counted("sent_total")
        first, second = receiver.requests
        self.assertEqual((first[0], first[1]["webhook-id"], first[2]), (second[0], second[1]["webhook-id"], second[2]))

    def test_what_stays_broken_is_given_up_after_three_tries(self):
        receiver = self.receiver(500, 429, 503, 200)
        self.run_with(receiver.url())
        self.until_counted("failed_total")
        self.assertEqual(len(receiver.requests), 3)

    def test_redirects_are_not_followed_and_refusals_not_repeated(self):
        for status in (302, 308, 400, 410):
            with self.subTest(status):
                self.before = self.counts()
                receiver = self.receiver(status)
                self.run_with(receiver.url())
                self.until_counted("failed_total")
                self.assertEqual([path for path, _, _ in receiver.requests], ["/hook?token=secret"])

    def test_an_endless_answer_is_cut_off(self):
        self.run_with(self.receiver(endless).url())
        self.until_counted("failed_total")

    def test_a_slow_receiver_delays_nobody(self):
        slow, quick = self.receiver(held, held, 200), self.receiver()
        prepared, _ = self.run_with(slow.url())
        until(lambda: slow.requests)
        self.finish(prepared)
        self.run_with(quick.url())
        until(lambda: quick.requests)
        slow.released.set()  # its connections end: that is tried again
        until(lambda: self.counts() == {**self.before, "sent_total": self.before["sent_total"] + 2})
        self.assertEqual(len(slow.requests), 3)

    def test_the_certificate_must_be_good(self):
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
        now = datetime.datetime.now(datetime.timezone.utc)
        certificate = (
            x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
            .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False).sign(key, hashes.SHA256())
        )
        with tempfile.NamedTemporaryFile() as file:
            file.write(certificate.public_bytes(serialization.Encoding.PEM))
            file.write(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
            file.flush()
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(file.name)
        receiver = self.receiver(context=context)
        self.run_with(receiver.url("localhost", "https"))
        self.until_counted("failed_total")
        self.assertEqual(receiver.requests, [])

    def test_it_goes_with_respond_async_only_and_needs_a_good_url(self):
        for headers in (
            {"Webhook-Url": "http://127.0.0.1/"},
            {"Webhook-Url": "ftp://127.0.0.1/", "Prefer": "respond-async"},
            {"Webhook-Url": "http://user:word@127.0.0.1/", "Prefer": "respond-async"},
            {"Webhook-Url": "http://127.0.0.1/" + "a" * 2048, "Prefer": "respond-async"},
        ):
            prepared = self.client.prepare(example("primes"), "nth", [5])
            answer = self.client.send(prepared, headers)
            self.assertEqual((answer.status, answer.json["error_code"]), (400, "MALFORMED_REQUEST"), answer)
            self.assertIn("Webhook-Url", answer.json["message"])

    def test_the_command_line_asks_for_it(self):
        receiver = self.receiver()
        environment = {**os.environ, "WASM_HYPERVISOR_API_KEY": self.node.api_key, "WASM_HYPERVISOR_URL": f"http://127.0.0.1:{self.node.port}"}
        with tempfile.TemporaryDirectory() as folder:
            module, state = os.path.join(EXAMPLES, "primes.wasm"), os.path.join(folder, "state")
            arguments = ("exec", module, "--invoke", "nth", "5", "--allow-simulated", "any", "--webhook", receiver.url())
            self.assertEqual(command(*arguments, check=False, env=environment).returncode, 2)
            done = command(*arguments, "--async", "--state", state, env=environment)
        until(lambda: receiver.requests)
        self.assertEqual(receiver.requests[0][1]["webhook-id"], done.stdout.strip())


class Bounded(Case):
    arguments = ("--webhooks", "true", "--webhooks-private", "true", "--webhooks-retry-seconds", "0", "--webhooks-max-pending", "4")

    def test_a_receiver_that_answers_nothing_costs_its_tenant_webhooks_and_nobody_executions(self):
        count, running, waiting = 30, 16, 2  # a quarter of 64 and half of 4: one API key's
        receiver = self.receiver(*[held] * 3 * count)
        begun = [self.run_with(receiver.url()) for _ in range(count)]
        for prepared, answer in begun:
            self.assertEqual(answer.status, 202, answer)
            self.finish(prepared)
        until(lambda: self.counts()["refused_total"] + self.counts()["pending"] == count)
        self.assertLessEqual(self.counts()["pending"], running + waiting)
        self.assertGreater(self.counts()["pending"], 0)
        receiver.released.set()
        until(lambda: self.counts()["pending"] == 0)
        counts = self.counts()
        self.assertEqual((counts["sent_total"], counts["failed_total"] + counts["refused_total"]), (0, count))


class PublicOnly(Case):
    arguments = ("--webhooks", "true", "--webhooks-retry-seconds", "0")

    def test_names_that_lead_home_are_not_called(self):
        for host in ("localhost", "LOCALHOST"):
            self.before = self.counts()
            receiver = self.receiver()
            prepared, answer = self.run_with(receiver.url(host))
            self.assertEqual(answer.status, 202, answer)
            self.finish(prepared)
            self.until_counted("refused_total")
            self.assertEqual(receiver.requests, [])

    def test_addresses_that_are_not_public_are_refused_at_once(self):
        for host in ("127.0.0.1", "2130706433", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254", "10.0.0.1", "0.0.0.0"):
            _, answer = self.run_with(f"http://{host}:1/")
            self.assertEqual((answer.status, answer.json["error_code"]), (400, "MALFORMED_REQUEST"), host)
            self.assertIn("public internet", answer.json["message"])


class Off(unittest.TestCase):
    def test_a_node_without_webhooks_says_so(self):
        with Node() as node:
            client = node.client()
            self.addCleanup(client.close)
            prepared = client.prepare(example("primes"), "nth", [5])
            answer = client.send(prepared, {"Prefer": "respond-async", "Webhook-Url": "https://example.org/"})
            self.assertEqual((answer.status, answer.json["error_code"]), (400, "MALFORMED_REQUEST"))
            self.assertIn("sends no webhooks", answer.json["message"])
            self.assertEqual(client.send(prepared).status, 200)

    def test_a_node_that_stops_gives_up_what_it_has_not_delivered(self):
        receiver = Receiver(held)
        self.addCleanup(receiver.close)
        with Node("--webhooks", "true", "--webhooks-private", "true") as node:
            client = node.client()
            prepared = client.prepare(example("primes"), "nth", [5])
            client.send(prepared, {"Prefer": "respond-async", "Webhook-Url": receiver.url()})
            until(lambda: receiver.requests)
            client.close()
            self.assertEqual(node.stop(), 0)
            self.assertRegex(node.log_text(), f'"event":"webhook_failed".*{prepared.key["request_id"]}|{prepared.key["request_id"]}.*webhook_failed')
