"""test_memory: whatever is sent, the process stays small, each answer is right or says which memory was short, later runs are
unharmed, and what a burst took goes back to the system.

SPDX-License-Identifier: Apache-2.0
"""

import base64
import concurrent.futures
import threading
import unittest

from client import verify_answer
from node import Node, sanitized, until, wat

MIB = 1024 * 1024

# Grows page by page, a hundred of them at a time would want far more than there is, touches each page, and says how far it came.
GROWER = wat(
    """(module (memory (export "memory") 1)
  (func (export "f") (param $pages i32) (result i32)
    (loop $more
      (drop (memory.grow (i32.const 1)))
      (i32.store (i32.mul (i32.sub (memory.size) (i32.const 1)) (i32.const 65536)) (memory.size))
      (br_if $more (i32.lt_u (memory.size) (local.get $pages))))
    (i32.load (i32.mul (i32.sub (memory.size) (i32.const 1)) (i32.const 65536)))))"""
)
ECHO = wat(
    """(module (memory (export "memory") 64)
  (func (export "f") (param $size i32) (result i32 i32)
    (memory.fill (i32.const 8) (i32.const 97) (local.get $size))
    (i32.const 8) (local.get $size)))"""
)
ADD = wat('(module (func (export "f") (param i32) (result i32) (i32.add (local.get 0) (i32.const 1))))')


def leb(number):
    out = bytearray()
    while True:
        byte = number & 0x7F
        number >>= 7
        out.append(byte | (0x80 if number else 0))
        if not number:
            return bytes(out)


def section(number, content):
    return bytes([number]) + leb(len(content)) + content


def vector(items):
    return leb(len(items)) + b"".join(items)


def large_module(body, count):
    """`count` functions of that body, the first exported as f."""
    sized = leb(len(body)) + body
    return b"\0asm\1\0\0\0" + b"".join(
        (
            section(1, vector([b"\x60\0\1\x7f"])),
            section(3, leb(count) + b"\0" * count),
            section(7, vector([b"\1f\0\0"])),
            section(10, leb(count) + sized * count),
        )
    )


def memory_of(node, name):
    with open(f"/proc/{node.process.pid}/status", encoding="ascii") as status:
        for line in status:
            if line.startswith(name + ":"):
                return int(line.split()[1]) / 1024
    raise AssertionError(name)


class Memory(unittest.TestCase):
    BUDGET_MIB = 64  # of which programs have 40, requests 16, answers 8
    PEAK_MIB = 64 + 150  # wide: what is not charged is far less
    AFTER_MIB = 60

    def setUp(self):
        self.node = Node("--memory-budget-mb", str(self.BUDGET_MIB), "--module-cache-mb", "16").__enter__()
        self.addCleanup(self.node.__exit__)

    def burst(self, count, module, argument, **fields):
        """All at once; the answers by code."""
        meeting = threading.Barrier(count)

        def one(index):
            client = self.node.client(timeout=300)
            try:
                prepared = client.prepare(module, "f", argument, timeout_seconds=20, **fields)
                meeting.wait(300)
                return prepared, client.send(prepared)
            finally:
                client.close()

        with concurrent.futures.ThreadPoolExecutor(count) as pool:
            runs = list(pool.map(one, range(count)))
        codes = {}
        for prepared, answer in runs:
            code = "right" if answer.status == 200 else answer.json["error_code"]
            codes[code] = codes.get(code, 0) + 1
            if code == "OVERLOADED":
                self.assertIn("retry-after", answer.headers)
        return runs, codes

    def check_unharmed(self):
        client = self.node.client()
        prepared = client.prepare(ADD, "f", [41])
        self.assertEqual(verify_answer(prepared, client.send(prepared))["outputs"], [{"type": "i32", "value": 42}])
        client.close()
        if not sanitized():
            self.assertLess(memory_of(self.node, "VmHWM"), self.PEAK_MIB)
            until(lambda: memory_of(self.node, "VmRSS") < self.AFTER_MIB)

    def test_programs_that_grow_together(self):
        pages = 20 * 16  # of 40 MiB: two at a time
        runs, codes = self.burst(30, GROWER, [pages])
        self.assertLessEqual(set(codes), {"right", "OVERLOADED"}, codes)
        self.assertGreaterEqual(codes.get("right", 0), 10, codes)
        for prepared, answer in runs:
            result = verify_answer(prepared, answer)
            if answer.status == 200:
                self.assertEqual(result["outputs"], [{"type": "i32", "value": pages}])
        _, codes = self.burst(1, GROWER, [33 * 16])
        self.assertEqual(codes, {"MEMORY_EXCEEDED": 1}, "more than one program may have, whoever else is there")
        self.check_unharmed()

    def test_large_results(self):
        size = 400 * 1024
        runs, codes = self.burst(20, ECHO, [size], result_type="bytes")
        self.assertEqual(codes, {"right": 20})
        for prepared, answer in runs[:3]:
            output = verify_answer(prepared, answer)["outputs"][0]["value"]
            self.assertEqual(base64.b64decode(output), b"a" * size)
        self.check_unharmed()

    def test_large_modules(self):
        """Each instruction of a byte becomes code of eight: the worst there is, or near it."""
        body = b"\0" + b"\x41\0\x1a" * 1000 + b"\x41\7\x0b"
        module = large_module(body, 300)
        runs, codes = self.burst(20, module, [])
        self.assertLessEqual(set(codes), {"right", "OVERLOADED"}, codes)
        self.assertGreater(codes.get("right", 0), 0, codes)
        self.check_unharmed()

    def test_bodies_full_of_small_things(self):
        client = self.node.client()
        for filler in (b"[", b"{},", b"1,", b'"",', b'{"a":1},'):
            text = b'{"arguments":[' + filler * (MIB // len(filler)) + b"0]}"
            answer = client.call("POST", "/v1/execute", raw=text, headers={"Content-Type": "application/json"})
            self.assertEqual(answer.json["error_code"], "MALFORMED_REQUEST")
        answer = client.call(
            "POST", "/v1/execute", raw=b" " * (2 * MIB), headers={"Content-Type": "application/json"}
        )
        self.assertEqual(answer.json["error_code"], "PAYLOAD_TOO_LARGE")
        client.close()
        self.check_unharmed()


if __name__ == "__main__":
    unittest.main()
