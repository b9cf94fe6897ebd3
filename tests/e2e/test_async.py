"""test_async: executions that outlive their connection: accepted and fetched, dropped and fetched, repeated byte for byte, cancelled
in every state, and what a crash leaves.

SPDX-License-Identifier: Apache-2.0
"""

import json
import socket
import threading
import unittest

from client import Answer, verify_answer
from node import Node, example, until, wat

ENDLESS = wat('(module (func (export "spin") (loop (br 0))))')
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


class Case(unittest.TestCase):
    arguments = ()

    @classmethod
    def setUpClass(cls):
        cls.node = Node(*cls.arguments).__enter__()
        cls.addClassCleanup(cls.node.__exit__)

    def setUp(self):
        self.client = self.node.client()
        self.addCleanup(self.client.close)

    def primes(self, **fields):
        return self.client.prepare(example("primes"), "nth", [5], **fields)

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
    def send(self, prepared, key, **headers):
        return self.client.send(prepared, {"Idempotency-Key": key, **headers})

    def test_a_repeat_is_answered_byte_for_byte_also_after_a_restart(self):
        good, bad = self.primes(), self.client.prepare(b"no module", "nth", [5])
        firsts = []
        for number, prepared in enumerate((good, bad)):
            first = self.send(prepared, f'"key {number}"')
            verify_answer(prepared, first)
            self.assertNotIn("idempotent-replayed", first.headers)
            firsts.append(first)
        self.assertEqual([first.status for first in firsts], [200, 422])
        for restart in (False, True):
            if restart:
                self.assertEqual(self.node.stop(), 0)
                self.node.start()
                self.client = self.node.client()
                self.addCleanup(self.client.close)
            for number, (prepared, first) in enumerate(zip((good, bad), firsts)):
                again = self.send(prepared, f'"key {number}"')
                self.assertEqual((again.status, again.body), (first.status, first.body))
                self.assertEqual(again.headers["content-type"], first.headers["content-type"])
                self.assertEqual(again.headers["idempotent-replayed"], "true")

    def test_another_request_is_refused_and_a_repeat_in_flight_told_to_wait(self):
        running, other = self.endless(), self.primes()
        outcome = []
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
        refused = self.send(other, "flight")
        self.assertEqual((refused.status, refused.json["error_code"]), (422, "IDEMPOTENCY_MISMATCH"))
        self.assertEqual(self.cancel(running).status, 202)
        thread.join()
        self.assertEqual(outcome[0].json["error_code"], "CANCELLED")
        refused = self.send(other, "flight")
        self.assertEqual((refused.status, refused.json["error_code"]), (422, "IDEMPOTENCY_MISMATCH"))
        self.assertEqual(self.send(other, "flight-2").status, 200, "its own key was not touched")

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


if __name__ == "__main__":
    unittest.main()
