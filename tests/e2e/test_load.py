"""test_load: many clients at once: each its own right answer, none anybody else's; endless programs end at their own deadline; gas
is exact.

SPDX-License-Identifier: Apache-2.0
"""

import concurrent.futures
import threading
import time
import unittest

from client import Unverified, unb64, verify_answer, verify_key
from node import Node, example, sanitized, wat

ENDLESS = wat('(module (func (export "spin") (loop (br 0))))')


def constant(number):
    """A program of its own for each client: its hash and its result tell it from all others."""
    return wat(f'(module (func (export "f") (param i32) (result i64) (i64.add (i64.extend_i32_u (local.get 0)) (i64.const {number}))))')


class Load(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.node = Node().__enter__()
        cls.addClassCleanup(cls.node.__exit__)

    def run_clients(self, count, modules):
        """`count` clients, each on a connection of its own, meet before they send, then send at once."""
        meeting = threading.Barrier(count)

        def one(index):
            client = self.node.client(timeout=300)
            try:
                prepared = client.prepare(modules[index % len(modules)], "f", [index])
                meeting.wait(300)
                return prepared, client.send(prepared)
            finally:
                client.close()

        with concurrent.futures.ThreadPoolExecutor(count) as pool:
            return list(pool.map(one, range(count)))

    def check_apart(self, runs, numbers):
        """Each right, each key different, and no answer opens, or fits, for anybody else."""
        for index, (prepared, answer) in enumerate(runs):
            self.assertEqual(answer.status, 200, answer)
            result = verify_answer(prepared, answer)
            self.assertEqual(result["outputs"], [{"type": "i64", "value": str(numbers[index % len(numbers)] + index)}])
        for what in (
            lambda run: run[0].key["public_key"],
            lambda run: run[0].key["request_id"],
            lambda run: run[0].key["key_derivation_salt"],
            lambda run: run[1].json["result_commitment"],
            lambda run: run[1].json["encrypted_result"],
            lambda run: run[1].json["commitment"]["leaf_index"],
        ):
            self.assertEqual(len({what(run) for run in runs}), len(runs))
        for index, (prepared, _) in enumerate(runs):
            other = runs[(index + 1) % len(runs)][1].json
            with self.assertRaises(Exception):
                prepared.sender.open_response(unb64(other["encrypted_result"]), bytes.fromhex(other["request_commitment"]))
            self.assertNotIn(prepared.key["request_id"].encode(), runs[(index + 1) % len(runs)][1].body)

    def test_ten_clients_with_ten_programs(self):
        numbers = [10**12 + 7 * index for index in range(10)]
        self.check_apart(self.run_clients(10, [constant(number) for number in numbers]), numbers)

    def test_a_hundred_clients_at_once(self):
        numbers = [5 * 10**9 + index for index in range(20)]
        self.check_apart(self.run_clients(100, [constant(number) for number in numbers]), numbers)

    def test_an_endless_loop_ends_at_its_deadline_and_a_short_program_overtakes_it(self):
        order = []

        def endless():
            client = self.node.client()
            answer, result = client.run(ENDLESS, "spin", timeout_seconds=1)
            order.append("endless")
            client.close()
            return answer, result

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            runs = [pool.submit(endless) for _ in range(4)]
            client = self.node.client()
            while int(client.call("GET", "/health").json["capacity"]["running"]) < 4 and not order:
                pass
            answer, result = client.run(example("primes"), "nth", [10])
            order.append("short")
            client.close()
        self.assertEqual((answer.status, result["outputs"]), (200, [{"type": "i32", "value": 29}]))
        self.assertEqual(order[0], "short", "four endless loops must not keep a short program waiting")
        for run in runs:
            answer, result = run.result()
            self.assertEqual((answer.status, answer.json["error_code"]), (422, "EXECUTION_TIMEOUT"))
            self.assertEqual(result["error"]["code"], "EXECUTION_TIMEOUT")
            self.assertGreaterEqual(result["execution_summary"]["execution_time_ms"] + result["execution_summary"]["queue_time_ms"], 900)

    def test_a_hundred_endless_loops_all_end_and_the_node_is_as_before(self):
        def endless(_):
            client = self.node.client(timeout=300)
            try:
                prepared = client.prepare(ENDLESS, "spin", timeout_seconds=2)
                begin = time.monotonic()
                return client.send(prepared), time.monotonic() - begin
            finally:
                client.close()

        with concurrent.futures.ThreadPoolExecutor(100) as pool:
            for answer, seconds in pool.map(endless, range(100)):
                self.assertEqual(answer.json["error_code"], "EXECUTION_TIMEOUT", answer)
                self.assertGreaterEqual(seconds, 2)
        answer, result = self.node.client().run(example("collatz"), "steps", [27])
        self.assertEqual((answer.status, result["outputs"]), (200, [{"type": "i32", "value": 111}]))


class Gas(unittest.TestCase):
    # (body of a function without parameters and with an i32 result, gas as counted by hand: one for each instruction
    # executed; block, loop, else, end and nop are free)
    COUNTED = (
        ("(i32.const 7)", 1),
        ("(i32.add (i32.const 1) (i32.const 2))", 3),
        ("(nop) (block (nop)) (i32.const 7)", 1),
        ("(return (i32.const 7)) (i32.const 8)", 2),
        ("(if (result i32) (i32.const 1) (then (i32.const 2)) (else (i32.const 3)))", 3),
        ("(if (result i32) (i32.const 0) (then (i32.const 2)) (else (nop) (drop (i32.const 9)) (i32.const 3)))", 5),
        ("(block (br 0) (drop (i32.const 1))) (i32.const 7)", 2),
        ("(call $three)", 4),
        ("(drop (call $three)) (call $three)", 9),
        # 5 an iteration (get, const, sub, tee, br_if), 2 before, 1 after
        ("(local $n i32) (local.set $n (i32.const 1000)) (loop (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1))))) (local.get $n)", 5003),
    )

    @classmethod
    def setUpClass(cls):
        cls.node = Node().__enter__()
        cls.addClassCleanup(cls.node.__exit__)

    def module(self, body):
        return wat(f'(module (func $three (result i32) (i32.add (i32.const 1) (i32.const 2))) (func (export "f") (result i32) {body}))')

    def test_is_what_a_count_by_hand_says_and_the_limit_is_exact(self):
        client = self.node.client()
        for body, gas in self.COUNTED:
            module = self.module(body)
            with self.subTest(body=body):
                answer, result = client.run(module, "f")
                self.assertEqual((answer.status, result["execution_summary"]["gas_consumed"]), (200, gas))
                answer, result = client.run(module, "f", gas_limit=gas)
                self.assertEqual((answer.status, result["execution_summary"]["gas_consumed"]), (200, gas))
                if gas > 1:
                    answer, result = client.run(module, "f", gas_limit=gas - 1)
                    self.assertEqual((answer.status, answer.json["error_code"]), (422, "GAS_EXHAUSTED"))
                    self.assertEqual(result["execution_summary"]["gas_consumed"], gas - 1)

    def test_every_limit_below_the_need_is_spent_to_the_last_unit(self):
        client = self.node.client()
        module = example("collatz")
        _, result = client.run(module, "steps", [27])
        need = result["execution_summary"]["gas_consumed"]
        for limit in sorted({1, 2, 3, 5, 7, need // 3, need // 2, need - 2, need - 1}):
            with self.subTest(limit=limit):
                answer, result = client.run(module, "steps", [27], gas_limit=limit)
                self.assertEqual((answer.status, result["error"]["code"]), (422, "GAS_EXHAUSTED"))
                self.assertEqual(result["execution_summary"]["gas_consumed"], limit)

    def test_is_the_same_at_a_trap_in_every_run(self):
        client = self.node.client()
        module = self.module("(drop (i32.const 1)) (i32.div_s (i32.const 1) (i32.const 0))")
        gas = set()
        for _ in range(3):
            answer, result = client.run(module, "f")
            self.assertEqual((answer.status, result["error"]["code"]), (422, "EXECUTION_TRAP"))
            gas.add(result["execution_summary"]["gas_consumed"])
        self.assertEqual(gas, {5}, "the instruction that traps has been executed")

    def test_is_the_same_beside_a_load_that_cuts_it_into_slices(self):
        client = self.node.client()
        expected = client.run(example("primes"), "count", [20000])[1]["execution_summary"]["gas_consumed"]

        def one(_):
            other = self.node.client(timeout=300)
            try:
                return other.run(example("primes"), "count", [20000])[1]["execution_summary"]["gas_consumed"]
            finally:
                other.close()

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            self.assertEqual(set(pool.map(one, range(8 if sanitized() else 24))), {expected})


class Binding(unittest.TestCase):
    def test_a_key_is_signed_for_this_request_and_nonce_by_the_attested_epoch(self):
        with Node() as node:
            client = node.client()
            self.addCleanup(client.close)
            nonce = b"sixteen bytes ok"
            key = client.new_key(nonce)
            self.assertEqual(verify_key(key, nonce).provider, "simulated")
            with self.assertRaises(Unverified):
                verify_key(key, b"another nonce...")
            with self.assertRaises(Unverified):
                verify_key({**key, "public_key": client.new_key()["public_key"]}, nonce)
            other = client.new_key(nonce)
            with self.assertRaises(Unverified):
                verify_key({**key, "attestation": other["attestation"]}, nonce)


if __name__ == "__main__":
    unittest.main()
