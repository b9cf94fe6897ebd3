"""test_async: executions that outlive their connection: accepted and fetched, dropped and fetched, repeated byte for byte, cancelled
in every state, and what a crash leaves.

SPDX-License-Identifier: Apache-2.0
"""

import json
import os
import re
import signal
import socket
import stat
import subprocess
import tempfile
import threading
import unittest

from client import Answer, verify_answer
from node import BINARY, EXAMPLES, NodeCase, command, example, until, wat

ENDLESS = wat('(module (func (export "spin") (loop (br 0))))')
LARGE = wat('(module (memory (export "memory") 32) (func (export "all") (result i32 i32) (i32.const 0) (i32.const 2097152)))')
ASYNC = {"Prefer": "respond-async"}


def path_of(prepared):
    return f"/v1/executions/{prepared.key['request_id']}"


def show(client, prepared, **headers):
    return client.call("GET", path_of(prepared), headers=headers)


def until_state(client, prepared, *states):
    """The first look at it that finds one of these states."""
    looks = []

    def there():
        looks.append(show(client, prepared))
        return looks[-1].json.get("state") in states

    until(there)
    return looks[-1]


def inner(shown):
    """The stored answer out of its wrapping, as the client of a synchronous request would have got it."""
    raw = shown.body.split(b'"answer":', 1)[1][:-1]
    return Answer(shown.json["answer_status"], {}, raw)


class Case(NodeCase):
    def primes(self, **fields):
        return self.client.prepare(example("primes"), "nth", [5], **fields)

    def large(self):
        return self.client.prepare(LARGE, "all", [], result_type="bytes")

    def endless(self, **fields):
        return self.client.prepare(ENDLESS, "spin", timeout_seconds=300, **fields)

    def cancel(self, prepared, client=None):
        return (client or self.client).call("DELETE", path_of(prepared))


class Asynchronous(Case):
    def test_accepted_then_fetched_and_verified_like_any_other(self):
        prepared = self.primes()
        answer = self.client.send(prepared, ASYNC)
        self.assertEqual(answer.status, 202, answer)
        self.assertEqual(answer.headers["location"], path_of(prepared))
        self.assertEqual(answer.headers["preference-applied"], "respond-async")
        self.assertGreaterEqual(int(answer.headers["retry-after"]), 1)
        self.assertEqual(answer.json["request_id"], prepared.key["request_id"])
        shown = show(self.client, prepared, Prefer="wait=60")
        self.assertEqual(shown.json["state"], "COMPLETED")
        self.assertEqual(verify_answer(prepared, inner(shown))["status"], "success")
        self.assertLessEqual(shown.json["created_at"], shown.json["started_at"])
        self.assertLessEqual(shown.json["started_at"], shown.json["ended_at"])

    def test_a_preference_among_others_in_several_lines(self):
        for prefer in ("handling=lenient; a=b, Respond-Async;x=\"a,\\\"b\"", "return=minimal,,respond-async"):
            prepared = self.primes()
            self.assertEqual(self.client.send(prepared, {"Prefer": prefer}).status, 202, prefer)

    def test_wait_answers_a_short_one_at_once_and_a_long_one_with_202(self):
        prepared = self.primes()
        answer = self.client.send(prepared, {"Prefer": "respond-async, wait=60"})
        self.assertEqual(answer.status, 200, answer)
        verify_answer(prepared, answer)
        prepared = self.large()
        answer = self.client.send(prepared, {"Prefer": "respond-async, wait=60"})
        self.assertEqual(answer.status, 200)
        self.assertEqual(len(verify_answer(prepared, answer)["outputs"][0]["value"]), (2097152 + 2) // 3 * 4)
        prepared = self.endless()
        answer = self.client.send(prepared, {"Prefer": "respond-async, wait=1"})
        self.assertEqual((answer.status, answer.json["state"]), (202, "EXECUTING"))
        self.assertEqual(self.cancel(prepared).status, 202)

    def test_a_dropped_connection_loses_nothing(self):
        for headers in ({"Prefer": "respond-async, wait=60"}, {"Idempotency-Key": '"dropped"'}):
            prepared = self.client.prepare(example("primes"), "nth", [2000])
            body = json.dumps(prepared.body).encode()
            lines = {"Host": "node", "X-API-Key": self.node.api_key, "Content-Type": "application/json", "Content-Length": str(len(body))}
            head = "".join(f"{name}: {value}\r\n" for name, value in {**lines, **headers}.items())
            with socket.create_connection(("127.0.0.1", self.node.port)) as connection:
                connection.sendall(f"POST /v1/execute HTTP/1.1\r\n{head}\r\n".encode() + body)
                until_state(self.client, prepared, "DECRYPTING", "EXECUTING", "COMPLETED")
            shown = show(self.client, prepared, Prefer="wait=60")
            self.assertEqual(shown.json["state"], "COMPLETED")
            self.assertEqual(verify_answer(prepared, inner(shown))["status"], "success")

    def test_another_api_key_sees_waits_for_and_cancels_nothing(self):
        prepared = self.endless()
        self.client.send(prepared, ASYNC)
        other = self.node.client(self.node.new_key("execute,metrics"))
        self.addCleanup(other.close)
        self.assertEqual(show(other, prepared, Prefer="wait=60").status, 404)
        self.assertEqual(self.cancel(prepared, other).status, 404)
        self.assertEqual(self.cancel(prepared).status, 202)


class Cancelling(Case):
    arguments = ("--max-executions", "1", "--express-executions", "0", "--workers", "1")

    def test_in_every_state(self):
        running, waiting, unused = self.endless(), self.endless(), self.endless()
        for prepared in (running, waiting):
            self.assertEqual(self.client.send(prepared, ASYNC).status, 202)
        until_state(self.client, running, "EXECUTING")
        self.assertGreaterEqual(show(self.client, waiting).json["queue_position"], 1)
        self.assertNotIn("queue_position", show(self.client, running).json)
        for prepared in (waiting, running):
            self.assertEqual(self.cancel(prepared).status, 202)
            shown = show(self.client, prepared, Prefer="wait=60")
            self.assertEqual((shown.json["state"], shown.json["answer_status"]), ("CANCELLED", 422))
            self.assertEqual(inner(shown).json["error_code"], "CANCELLED")
            for _ in range(2):
                self.assertEqual((self.cancel(prepared).status, self.cancel(prepared).json["state"]), (200, "CANCELLED"))
            self.assertEqual(show(self.client, prepared).json["answer"], shown.json["answer"], "cancelling again changes nothing")
        for _ in range(2):
            self.assertEqual((self.cancel(unused).status, self.cancel(unused).json["state"]), (200, "CANCELLED"))
        self.assertEqual(self.client.send(unused).json["error_code"], "KEY_EXPIRED")
        self.assertEqual(self.client.run(example("primes"), "nth", [5])[0].status, 200, "the slot is free again")


class Idempotency(Case):
    def counted(self):
        page = self.client.call("GET", "/metrics").body.decode()
        return tuple(int(re.search(rf"^wasm_hypervisor_executions_{name}_total (\d+)$", page, re.M).group(1)) for name in ("accepted", "replayed"))

    def send(self, prepared, key, **headers):
        return self.client.send(prepared, {"Idempotency-Key": key, **headers})

    def test_a_repeat_is_answered_byte_for_byte_also_after_a_restart(self):
        requests = (self.primes(), self.client.prepare(b"no module", "nth", [5]), self.large())
        firsts = []
        for number, prepared in enumerate(requests):
            first = self.send(prepared, f'"key {number}"')
            verify_answer(prepared, first)
            self.assertNotIn("idempotent-replayed", first.headers)
            firsts.append(first)
        self.assertEqual([first.status for first in firsts], [200, 422, 200])
        for restart in (False, True):
            if restart:
                self.assertEqual(self.node.stop(), 0)
                self.node.start()
                self.client = self.node.client()
                self.addCleanup(self.client.close)
            for number, (prepared, first) in enumerate(zip(requests, firsts)):
                again = self.send(prepared, f'"key {number}"')
                self.assertEqual((again.status, again.body), (first.status, first.body))
                self.assertEqual(again.headers["content-type"], first.headers["content-type"])
                self.assertEqual(again.headers["idempotent-replayed"], "true")
                self.assertEqual(inner(show(self.client, prepared)).body, first.body)

    def test_another_request_is_refused_and_a_repeat_in_flight_told_to_wait(self):
        running, other = self.endless(), self.primes()
        outcome = []
        accepted, replayed = self.counted()
        second = self.node.client()
        self.addCleanup(second.close)
        thread = threading.Thread(target=lambda: outcome.append(second.send(running, {"Idempotency-Key": "flight"})))
        thread.start()
        until_state(self.client, running, "EXECUTING")
        again = self.send(running, "flight")
        self.assertEqual((again.status, again.json["error_code"]), (409, "IDEMPOTENCY_IN_FLIGHT"))
        self.assertGreaterEqual(int(again.headers["retry-after"]), 1)
        again = self.send(running, "flight", **ASYNC)
        self.assertEqual((again.status, again.headers["location"]), (202, path_of(running)))
        self.assertEqual(self.counted(), (accepted + 1, replayed + 1))
        refused = self.send(other, "flight")
        self.assertEqual((refused.status, refused.json["error_code"]), (422, "IDEMPOTENCY_MISMATCH"))
        self.assertEqual(self.cancel(running).status, 202)
        thread.join()
        self.assertEqual(outcome[0].json["error_code"], "CANCELLED")
        refused = self.send(other, "flight")
        self.assertEqual((refused.status, refused.json["error_code"]), (422, "IDEMPOTENCY_MISMATCH"))
        self.assertEqual(self.send(other, "flight-2").status, 200, "its own key was not touched")
        self.assertEqual(self.counted(), (accepted + 1, replayed + 1))
        self.assertEqual(self.send(other, "flight-2").status, 200)
        self.assertEqual(self.counted(), (accepted + 1, replayed + 2))

    def test_a_key_in_a_wrong_form_is_refused_and_a_refused_request_not_remembered(self):
        prepared = self.primes()
        for key in ("", '""', '"a', "a b", '"a"; b=c', "x" * 256, '"\u00e9"'.encode().decode("latin-1")):
            answer = self.send(prepared, key)
            self.assertEqual((answer.status, answer.json["error_code"]), (400, "MALFORMED_REQUEST"), key)
        prepared.body["gas_limit"] = 0
        self.assertEqual(self.send(prepared, "x" * 255).json["error_code"], "INVALID_ARGUMENTS")
        del prepared.body["gas_limit"]
        self.assertEqual(self.send(prepared, "x" * 255).status, 200)

    def test_a_crash_while_it_ran_is_told_and_nothing_runs_twice(self):
        prepared = self.endless()
        self.assertEqual(self.send(prepared, "crash", **ASYNC).status, 202)
        until_state(self.client, prepared, "EXECUTING")
        self.node.kill()
        self.node.start()
        self.client = self.node.client()
        self.addCleanup(self.client.close)
        shown = show(self.client, prepared)
        self.assertEqual(shown.json["state"], "ERROR")
        self.assertNotIn("answer", shown.json)
        for headers in ({}, ASYNC):
            again = self.send(prepared, "crash", **headers)
            self.assertEqual((again.status, again.json["error_code"]), (409, "KEY_ALREADY_USED"))
        self.assertEqual((self.cancel(prepared).status, self.cancel(prepared).json["state"]), (200, "ERROR"))
        self.assertEqual(self.node.audit()[1]["verdict"], "OK")


class CuttingProxy:
    """Hands connections on to the node, but cuts the first that carries an execute, when the node has the whole request."""

    def __init__(self, port):
        self.port, self.cuts = port, 1
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self.port))
            threading.Thread(target=self.forward, args=(near, far), daemon=True).start()
            threading.Thread(target=self.back, args=(far, near), daemon=True).start()

    def forward(self, near, far):
        seen = b""
        try:
            while data := near.recv(65536):
                far.sendall(data)
                seen += data
                if self.cuts and b"POST /v1/execute" in seen and seen.rstrip().endswith(b"}"):
                    self.cuts -= 1
                    break
        except OSError:
            pass
        for end in (near, far):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def back(self, far, near):
        try:
            while data := far.recv(65536):
                near.sendall(data)
        except OSError:
            pass

    def close(self):
        self.listener.close()


class CommandLine(Case):
    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.state = os.path.join(folder.name, "state")

    def exec(self, *arguments, port=None):
        environment = {**os.environ, "WASM_HYPERVISOR_API_KEY": self.node.api_key, "NO_COLOR": "1"}
        environment["WASM_HYPERVISOR_URL"] = f"http://127.0.0.1:{port or self.node.port}"
        return command("exec", *arguments, check=False, env=environment)

    def begin(self, *arguments, port=None):
        module = os.path.join(EXAMPLES, "primes.wasm")
        return self.exec(module, "--invoke", "nth", "5", "--allow-simulated", "any", *arguments, port=port)

    def test_async_returns_at_once_and_resume_opens_and_verifies(self):
        done = self.begin("--async", "--state", self.state)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.client.call("GET", f"/v1/executions/{done.stdout.strip()}").status, 200)
        self.assertEqual(stat.S_IMODE(os.stat(self.state).st_mode), 0o600)
        expected = self.begin()
        for _ in range(2):  # fetching takes nothing away
            resumed = self.exec("--resume", self.state)
            self.assertEqual((resumed.returncode, resumed.stdout.splitlines()[0]), (0, expected.stdout.splitlines()[0]), resumed.stderr)
            self.assertIn("audit proof: verified", resumed.stdout)

    def test_a_state_file_is_not_overwritten_and_a_wrong_one_opens_nothing(self):
        self.assertEqual(self.begin("--async", "--state", self.state).returncode, 0)
        with open(self.state, encoding="utf-8") as file:
            kept = file.read()
        self.assertNotEqual(self.begin("--async", "--state", self.state).returncode, 0)
        with open(self.state, encoding="utf-8") as file:
            self.assertEqual(file.read(), kept)
        state = json.loads(kept)
        for member, value, status in (
            ("exporter_secret", "A" * 43 + "=", 4),
            ("request_commitment", "A" * 43 + "=", 4),
            ("program_hash", "A" * 43 + "=", 4),
            ("nonce", "A" * 43 + "=", 4),
            ("nonce", "AAAA", 2),
            ("version", 2, 2),
            ("server", "http://127.0.0.1:1", 3),
        ):
            with open(self.state, "w", encoding="utf-8") as file:
                json.dump({**state, member: value}, file)
            arguments = () if member == "server" else ("--server", f"http://127.0.0.1:{self.node.port}")
            environment = {name: value for name, value in os.environ.items() if name != "WASM_HYPERVISOR_URL"}
            environment["WASM_HYPERVISOR_API_KEY"] = self.node.api_key
            done = command("exec", "--resume", self.state, *arguments, check=False, env=environment)
            self.assertEqual(done.returncode, status, (member, done.stdout, done.stderr))

    def test_flags_that_contradict_each_other_are_refused(self):
        for arguments in (("--async",), ("--resume", self.state, "--async")):
            self.assertEqual(self.exec("x.wasm", *arguments).returncode, 2)
        self.assertEqual(self.exec("--resume", self.state).returncode, 2)

    def begin_endless(self):
        """An exec whose program runs, and the path of its execution."""
        module = os.path.join(os.path.dirname(self.state), "endless.wasm")
        with open(module, "wb") as file:
            file.write(ENDLESS)
        environment = {**os.environ, "WASM_HYPERVISOR_API_KEY": self.node.api_key, "NO_COLOR": "1"}
        server = f"http://127.0.0.1:{self.node.port}"
        arguments = ["exec", module, "--invoke", "spin", "--timeout", "300", "--allow-simulated", "any", "--server", server]
        # pylint: disable=consider-using-with,subprocess-popen-preexec-fn
        process = subprocess.Popen(
            [BINARY, *arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background job ignores it
        )
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        path = None
        while path is None:
            found = re.search("request ([0-9a-f-]{36})", process.stderr.readline())
            path = found and f"/v1/executions/{found.group(1)}"
        until(lambda: self.client.call("GET", path).json["state"] == "EXECUTING")
        return process, path

    def test_ctrl_c_cancels_what_runs(self):
        process, path = self.begin_endless()
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(60), -signal.SIGINT)
        self.assertIn("the node has cancelled it", process.stderr.read())
        shown = self.client.call("GET", path, headers={"Prefer": "wait=60"})
        self.assertEqual(shown.json["state"], "CANCELLED")

    def test_a_second_ctrl_c_waits_for_nothing(self):
        process, path = self.begin_endless()
        self.node.process.send_signal(signal.SIGSTOP)
        try:
            process.send_signal(signal.SIGINT)
            while "asking the node to cancel" not in process.stderr.readline():
                pass
            process.send_signal(signal.SIGINT)
            self.assertEqual(process.wait(60), -signal.SIGINT)
            self.assertEqual(process.stderr.read(), "")
        finally:
            self.node.process.send_signal(signal.SIGCONT)
        self.client.call("DELETE", path)

    def test_a_lost_connection_is_survived(self):
        proxy = CuttingProxy(self.node.port)
        self.addCleanup(proxy.close)
        done = self.begin(port=proxy.address)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(proxy.cuts, 0)  # libcurl may have repeated the request by itself, and got the stored answer
        self.assertIn("audit proof: verified", done.stdout)


if __name__ == "__main__":
    unittest.main()
