"""test_requests: every member of every request wrong in every way: its own code, a message that names it, and the node goes on.

SPDX-License-Identifier: Apache-2.0
"""

import datetime
import json
import unittest
import uuid

from client import b64, unb64
from cryptography.hazmat.primitives.asymmetric import ec
from node import Node, example, wat

FROM_ANOTHER_KEY = "00000000-0000-4000-8000-000000000000"
WRONG_TYPES = (None, True, 7, 1.5, [], {})
ABSENT = object()
ADD = wat('(module (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1))))')

# member -> {code: values}; a value in the wrong form is MALFORMED_REQUEST, one out of its range INVALID_ARGUMENTS.
# None of these may use up the key.
OFF_CURVE = b"\x04" + b"\x01" * 64
EXECUTE = {
    "request_id": {
        "MALFORMED_REQUEST": (ABSENT, *WRONG_TYPES, "", "x", "0" * 10000, "00000000-0000-1000-8000-000000000000", "é" * 18),
        "NOT_FOUND": (FROM_ANOTHER_KEY,),
    },
    "encrypted_wasm": {
        "MALFORMED_REQUEST": (ABSENT, *WRONG_TYPES, "A", "AAA", "AA AA", "!!!!", "AAAA\n", "AB==", "_-_-", "\u00e9AAA"),
        "INVALID_ARGUMENTS": ("", "AAAA"),
        "PAYLOAD_TOO_LARGE": (b64(bytes(17 << 20)),),
    },
    "encrypted_arguments": {
        "MALFORMED_REQUEST": (None, True, 7, [], {}, "A", "!!!!", "AB=="),
        "INVALID_ARGUMENTS": ("", "AAAA"),
    },
    "function_name": {
        "MALFORMED_REQUEST": (ABSENT, *WRONG_TYPES),
        "INVALID_ARGUMENTS": ("", "x" * 257),
    },
    "arguments": {
        "MALFORMED_REQUEST": (None, True, 7, "[]", {}),
        "INVALID_ARGUMENTS": ([True], [[]], [{}], [{"value": True}], [2**53], ["1"], [{"type": "i31", "value": 1}], [{"type": "i32"}], [1] * 1001),
    },
    "public_key": {
        "MALFORMED_REQUEST": (ABSENT, *WRONG_TYPES, "A", "!!!!"),
        "INVALID_KEY": (
            "",
            "AAAA",
            b64(bytes(65)),
            b64(b"\x04" + bytes(64)),
            b64(OFF_CURVE),
            b64(OFF_CURVE[1:]),
            b64(b"\x02" + b"\x01" * 32),
            b64(b"\x05" + b"\x01" * 64),
            b64(b"\x04" + b"\xff" * 64),
            b64(bytes(64)),
            "A" * 100000,
        ),
    },
    "request_hash": {
        "MALFORMED_REQUEST": (*WRONG_TYPES, "", "00", "g" * 64, "0" * 66, "0" * 63),
        "COMMITMENT_MISMATCH": ("0" * 64,),
    },
    "timeout_seconds": {
        "MALFORMED_REQUEST": (None, True, "10", 1.5, 10.0, [], {}),
        "INVALID_ARGUMENTS": (0, -1, 301, 2**53, -(2**63), 2**63 - 1),
    },
    "gas_limit": {
        "MALFORMED_REQUEST": (None, True, "10", 1.5, [], {}),
        "INVALID_ARGUMENTS": (0, -1, 2**53, 2**63 - 1),
    },
    "memory_limit_bytes": {
        "MALFORMED_REQUEST": (None, True, "10", 1.5, [], {}),
        "INVALID_ARGUMENTS": (-1, (64 << 20) + 1, 2**40),
    },
    "result_type": {"MALFORMED_REQUEST": (None, True, 7, [], {}), "INVALID_ARGUMENTS": ("", "Values", "json")},
    "mode": {"MALFORMED_REQUEST": (None, True, 7, [], {}), "INVALID_ARGUMENTS": ("", "jit")},
    "request_metadata": {
        "MALFORMED_REQUEST": (None, True, 7, "x", []),
        "INVALID_ARGUMENTS": ({"x": "y" * 5000},),
    },
    "surplus": {"MALFORMED_REQUEST": (None, 1, "x")},
}

BODIES = (  # not even an object: (raw body, code)
    (b"", "MALFORMED_REQUEST"),
    (b" ", "MALFORMED_REQUEST"),
    (b"{", "MALFORMED_REQUEST"),
    (b"[]", "MALFORMED_REQUEST"),
    (b"null", "MALFORMED_REQUEST"),
    (b'"x"', "MALFORMED_REQUEST"),
    (b"{} {}", "MALFORMED_REQUEST"),
    (b'{"a":1,"a":1}', "MALFORMED_REQUEST"),
    (b'{"a":"\xff"}', "MALFORMED_REQUEST"),
    (b'{"a":"\\u0000"}', "MALFORMED_REQUEST"),
    (b'{"a":NaN}', "MALFORMED_REQUEST"),
    (b'{"a":' + b"[" * 100 + b"]" * 100 + b"}", "MALFORMED_REQUEST"),
    (b"\xef\xbb\xbf{}", "MALFORMED_REQUEST"),
    (b"[" * 1000000, "MALFORMED_REQUEST"),
)


class Requests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.node = Node().__enter__()
        cls.addClassCleanup(cls.node.__exit__)

    def setUp(self):
        self.client = self.node.client()
        self.addCleanup(self.client.close)

    def tearDown(self):
        """Whatever came before, the node works and its log holds."""
        answer, result = self.client.run(ADD, "add", [1, 2])
        self.assertEqual((answer.status, result["outputs"]), (200, [{"type": "i32", "value": 3}]))

    @classmethod
    def tearDownClass(cls):
        cls.node.stop()
        status, report = cls.node.audit()
        assert (status, report["verdict"], report["unanswered"]) == (0, "OK", 0), report

    def assert_problem(self, answer, code, names=None, status=None):
        """An error answer of the documented form: application/problem+json with the right code, naming the member."""
        self.assertEqual(answer.headers.get("content-type"), "application/problem+json", answer)
        body = answer.json
        self.assertEqual(body["error_code"], code, answer)
        self.assertEqual(body["status"], answer.status)
        self.assertEqual(answer.status, status or STATUS[code])
        self.assertTrue(body["title"] and body["message"] and body["timestamp"])
        if names:
            self.assertIn(names, body["message"])

    def test_a_member_wrong_in_any_way_is_named_and_does_not_use_up_the_key(self):
        key = self.client.new_key()
        for member, codes in EXECUTE.items():
            for code, values in codes.items():
                for value in values:
                    with self.subTest(member=member, value=repr(value)[:60] if value is not ABSENT else "absent"):
                        prepared = self.client.prepare(ADD, "add", None if member == "encrypted_arguments" else [1, 2], key=key)
                        if value is ABSENT:
                            del prepared.body[member]
                        else:
                            prepared.body[member] = value
                        self.assert_problem(self.client.send(prepared), code, None if code == "NOT_FOUND" else member)
        answer = self.client.send(self.client.prepare(ADD, "add", [1, 2], key=key))
        self.assertEqual(answer.status, 200, "the key is still good")

    def test_a_body_that_is_no_object_is_refused(self):
        for path in ("/v1/execute", "/execute", "/v1/keys"):
            for raw, code in BODIES:
                if path == "/v1/keys" and not raw:
                    continue  # there everything is optional
                if path == "/v1/keys" and len(raw) > 4096:
                    code = "PAYLOAD_TOO_LARGE"
                with self.subTest(path=path, body=raw[:30]):
                    self.assert_problem(self.client.call("POST", path, raw=raw), code)

    def test_a_nonce_wrong_in_any_way_is_named(self):
        for value, code in (
            (None, "MALFORMED_REQUEST"),
            (7, "MALFORMED_REQUEST"),
            ([], "MALFORMED_REQUEST"),
            ("!!!!", "MALFORMED_REQUEST"),
            ("", "INVALID_ARGUMENTS"),
            (b64(bytes(7)), "INVALID_ARGUMENTS"),
            (b64(bytes(65)), "INVALID_ARGUMENTS"),
        ):
            with self.subTest(value=value):
                answer = self.client.call("POST", "/v1/keys", {"nonce": value})
                self.assert_problem(answer, code, "nonce")
        self.assert_problem(self.client.call("POST", "/v1/keys", {"surplus": 1}), "MALFORMED_REQUEST", "surplus")
        for size in (8, 64):
            self.assertEqual(len(self.client.new_key(bytes(size))["key_derivation_salt"]), 44)

    def test_other_content_types_methods_and_paths_have_their_own_answers(self):
        self.assert_problem(
            self.client.call("POST", "/v1/execute", raw=b"{}", headers={"Content-Type": "text/plain"}), "UNSUPPORTED_MEDIA_TYPE"
        )
        for method, path in (("GET", "/v1/execute"), ("DELETE", "/v1/keys"), ("POST", "/health")):
            answer = self.client.call(method, path)
            self.assert_problem(answer, "METHOD_NOT_ALLOWED")
            self.assertIn("allow", answer.headers)
        for path in ("/", "/v2/execute", "/v1/execute/", "/v1/executions/x/y", "/..%2f..%2fetc/passwd"):
            if path != "/":
                self.assertEqual(self.client.call("GET", path).status, 404, path)

    def test_a_request_for_another_node_is_misdirected(self):
        prepared = self.client.prepare(ADD, "add", [1, 2])
        other = self.client.call("POST", "/v1/execute", prepared.body, {"X-Node-Id": "0" * 32})
        self.assert_problem(other, "MISDIRECTED_REQUEST")
        own = {"X-Node-Id": prepared.key["node_id"]}
        self.assertEqual(self.client.call("POST", "/v1/execute", prepared.body, own).status, 200)

    def test_a_second_use_of_a_key_is_refused(self):
        prepared = self.client.prepare(ADD, "add", [1, 2])
        self.assertEqual(self.client.send(prepared).status, 200)
        self.assert_problem(self.client.send(prepared), "KEY_ALREADY_USED")
        again = self.client.prepare(ADD, "add", [3, 4], key=prepared.key)
        self.assert_problem(self.client.send(again), "KEY_ALREADY_USED")

    def test_a_key_of_another_api_key_does_not_exist(self):
        other = self.node.client(self.node.new_key("execute"))
        self.addCleanup(other.close)
        prepared = self.client.prepare(ADD, "add", [1, 2])
        self.assert_problem(other.send(prepared), "NOT_FOUND")
        self.assertEqual(self.client.send(prepared).status, 200)
        self.assertEqual(other.call("GET", f"/v1/executions/{prepared.key['request_id']}").status, 404)

    def test_nothing_outside_the_ciphertext_can_be_changed(self):
        for member, value in (
            ("function_name", "sub"),
            ("arguments", [2, 1]),
            ("timeout_seconds", 11),
            ("gas_limit", 1000001),
            ("memory_limit_bytes", 65536),
            ("result_type", "bytes"),
            ("mode", ABSENT),
        ):
            with self.subTest(member=member):
                prepared = self.client.prepare(
                    ADD, "add", [1, 2], timeout_seconds=10, gas_limit=1000000, memory_limit_bytes=131072, result_type="values", mode="interpreter"
                )
                prepared.body.pop(member)
                if value is not ABSENT:
                    prepared.body[member] = value
                self.assert_problem(self.client.send(prepared), "ENCRYPTION_ERROR")

    def test_a_ciphertext_cut_flipped_or_swapped_says_encryption_error_and_no_more(self):
        messages = set()

        def flip(data, index):
            return data[:index] + bytes([data[index] ^ 1]) + data[index + 1 :]

        for change in (
            lambda data: data[:-1],
            lambda data: data[1:],
            lambda data: data + b"\0",
            lambda data: data[:16],
            lambda data: flip(data, 0),
            lambda data: flip(data, len(data) // 2),
            lambda data: flip(data, len(data) - 1),
            lambda data: bytes(len(data)),
        ):
            prepared = self.client.prepare(ADD, "add", [1, 2])
            prepared.body["encrypted_wasm"] = b64(change(unb64(prepared.body["encrypted_wasm"])))
            answer = self.client.send(prepared)
            self.assert_problem(answer, "ENCRYPTION_ERROR")
            messages.add(answer.json["message"])
        prepared = self.client.prepare(ADD, "add", private_arguments=[1, 2])
        prepared.body["encrypted_arguments"] = b64(flip(unb64(prepared.body["encrypted_arguments"]), 3))
        self.assert_problem(self.client.send(prepared), "ENCRYPTION_ERROR")
        prepared = self.client.prepare(ADD, "add", private_arguments=[1, 2])
        body = prepared.body
        body["encrypted_wasm"], body["encrypted_arguments"] = body["encrypted_arguments"], body["encrypted_wasm"]
        self.assert_problem(self.client.send(prepared), "ENCRYPTION_ERROR")
        point = ec.generate_private_key(ec.SECP256R1()).public_key().public_numbers()
        prepared = self.client.prepare(ADD, "add", [1, 2])
        prepared.body["public_key"] = b64(b"\x04" + point.x.to_bytes(32, "big") + point.y.to_bytes(32, "big"))
        self.assert_problem(self.client.send(prepared), "ENCRYPTION_ERROR")
        self.assertEqual(len(messages), 1, "how the ciphertext was broken must not show")

    def test_the_point_without_its_first_byte_is_accepted(self):
        prepared = self.client.prepare(ADD, "add", [1, 2])
        prepared.body["public_key"] = b64(prepared.sender.enc[1:])
        self.assertEqual(self.client.send(prepared).status, 200)

    def test_the_clients_own_commitment_is_compared(self):
        prepared = self.client.prepare(ADD, "add", [1, 2])
        prepared.body["request_hash"] = prepared.commitment().hex()
        self.assertEqual(self.client.send(prepared).status, 200)

    def test_a_wrong_program_or_call_is_told_apart(self):
        module = wat('(module (memory (export "memory") 1) (global (export "g") i32 (i32.const 1)) (func (export "f") (param i32)))')
        importing = wat('(module (import "env" "now" (func (result i64))) (func (export "f") (param i32)))')
        cases = (
            (b"not a module", "f", [1], "INVALID_WASM"),
            (b"", "f", [1], "INVALID_WASM"),
            (module[:-1], "f", [1], "INVALID_WASM"),
            (module[:8], "f", [1], "FUNCTION_NOT_FOUND"),
            (module[:4] + b"\x02" + module[5:], "f", [1], "INVALID_WASM"),
            (importing, "f", [1], "POLICY_VIOLATION"),
            (module, "nothing", [1], "FUNCTION_NOT_FOUND"),
            (module, "memory", [1], "FUNCTION_NOT_FOUND"),
            (module, "g", [], "FUNCTION_NOT_FOUND"),
            (module, "f", [], "INVALID_ARGUMENTS"),
            (module, "f", [1, 2], "INVALID_ARGUMENTS"),
            (module, "f", [None], "INVALID_ARGUMENTS"),
            (module, "f", [1.5], "INVALID_ARGUMENTS"),
            (module, "f", [2**32], "INVALID_ARGUMENTS"),
            (module, "f", [-(2**31) - 1], "INVALID_ARGUMENTS"),
            (module, "f", [{"type": "i64", "value": "1"}], "INVALID_ARGUMENTS"),
            (module, "f", [{"type": "string", "value": "x"}], "INVALID_ARGUMENTS"),
        )
        for program, function, arguments, code in cases:
            with self.subTest(function=function, arguments=arguments, code=code, program=program[:8]):
                answer = self.client.send(self.client.prepare(program, function, arguments))
                self.assert_problem(answer, code)

    def test_sealed_arguments_that_are_no_array_are_refused(self):
        for arguments in (None, {}, 7, "x", [None], [True], [{"type": "i31", "value": 1}]):
            with self.subTest(arguments=arguments):
                prepared = self.client.prepare(ADD, "add")
                prepared.body["encrypted_arguments"] = b64(
                    prepared.sender.seal(prepared.header_hash(), json.dumps(arguments).encode())
                )
                answer = self.client.send(prepared)
                self.assertIn(answer.json["error_code"], ("INVALID_ARGUMENTS", "MALFORMED_REQUEST"), answer)
                self.assert_problem(answer, answer.json["error_code"])

    def test_every_flipped_byte_of_a_module_is_refused_or_runs_bounded(self):
        module = bytearray(example("collatz"))
        codes = set()
        for index in range(0, len(module), 3):
            changed = bytes(module[:index]) + bytes([module[index] ^ 0x41]) + bytes(module[index + 1 :])
            answer = self.client.send(self.client.prepare(changed, "steps", [27], gas_limit=100000, timeout_seconds=5))
            self.assertIn(answer.status, (200, 400, 422), f"byte {index}: {answer}")
            codes.add(answer.json.get("error_code", "success"))
        self.assertLessEqual({"INVALID_WASM", "success"}, codes)

    def test_a_program_that_fails_is_committed_and_its_details_are_sealed(self):
        cases = (
            ("(unreachable)", "EXECUTION_TRAP"),
            ("(drop (i32.div_u (i32.const 1) (i32.const 0)))", "EXECUTION_TRAP"),
            ("(drop (i32.load (i32.const 65536)))", "EXECUTION_TRAP"),
            ("(call 0)", "STACK_EXHAUSTED"),
            ("(loop (br 0))", "GAS_EXHAUSTED"),
            ("(drop (memory.grow (i32.const 1024)))", "MEMORY_EXCEEDED"),
        )
        for body, code in cases:
            with self.subTest(body=body):
                module = wat(f'(module (memory 1) (func (export "f") {body}))')
                answer, result = self.client.run(module, "f", gas_limit=10000000)
                self.assert_problem(answer, code, status=422)
                self.assertEqual(result["error"]["code"], code)
                self.assertNotEqual(result["status"], "success")

    def test_an_unknown_execution_is_not_found(self):
        for path in ("/v1/executions/", "/v1/verify/"):
            self.assertEqual(self.client.call("GET", path + str(uuid.uuid4())).status, 404)
            self.assertIn(self.client.call("GET", path + "nonsense").status, (400, 404))


class BoundedKeys(unittest.TestCase):
    def assert_refused(self, answer, status, code):
        self.assertEqual((answer.status, answer.json["error_code"]), (status, code))
        self.assertGreaterEqual(int(answer.headers["retry-after"]), 1)

    def test_an_api_key_has_its_share_of_keys_and_the_node_its_bound(self):
        with Node("--max-request-keys-per-api-key", "2", "--max-request-keys", "3") as node:
            first, second = node.client(), node.client(node.new_key("execute"))
            used = first.prepare(ADD, "add", [1, 2])
            first.new_key()
            self.assert_refused(first.call("POST", "/v1/keys"), 429, "RATE_LIMITED")
            second.new_key()
            self.assert_refused(second.call("POST", "/v1/keys"), 503, "OVERLOADED")
            self.assertEqual(first.send(used).status, 200)
            second.new_key()
            first.close()
            second.close()


class ShortLivedKeys(unittest.TestCase):
    def test_a_key_past_its_time_is_told_from_an_unknown_one(self):
        with Node("--request-key-seconds", "1") as node:
            client = node.client()
            prepared = client.prepare(ADD, "add", [1, 2])
            # Waits by the key's own word for its time, as a client would, not by the machine's speed.
            expires = datetime.datetime.fromisoformat(prepared.key["expires_at"].replace("Z", "+00:00"))
            while datetime.datetime.now(datetime.timezone.utc) <= expires:
                self.assertEqual(client.call("GET", "/livez").status, 200)
            answer = client.send(prepared)
            self.assertEqual((answer.status, answer.json["error_code"]), (410, "KEY_EXPIRED"))
            client.close()


STATUS = {
    "MALFORMED_REQUEST": 400,
    "INVALID_ARGUMENTS": 400,
    "INVALID_KEY": 400,
    "COMMITMENT_MISMATCH": 400,
    "ENCRYPTION_ERROR": 400,
    "UNAUTHENTICATED": 401,
    "FORBIDDEN": 403,
    "NOT_FOUND": 404,
    "METHOD_NOT_ALLOWED": 405,
    "KEY_ALREADY_USED": 409,
    "IDEMPOTENCY_IN_FLIGHT": 409,
    "IDEMPOTENCY_MISMATCH": 422,
    "KEY_EXPIRED": 410,
    "PAYLOAD_TOO_LARGE": 413,
    "MISDIRECTED_REQUEST": 421,
    "UNSUPPORTED_MEDIA_TYPE": 415,
    "INVALID_WASM": 422,
    "POLICY_VIOLATION": 422,
    "FUNCTION_NOT_FOUND": 422,
}

if __name__ == "__main__":
    unittest.main()
