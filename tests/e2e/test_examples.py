"""test_examples: every example program gives its right result, in its own encryption, with a commitment that verifies.

SPDX-License-Identifier: Apache-2.0
"""

import base64
import hashlib
import os
import re
import subprocess
import unittest

from node import BUILD, SOURCE, Node, example

TEXT = "The quick brown fox\njumps over the lazy dog.\n"
POINTS = "1,2.1\n2,3.9\n3,6.2\n4,7.8\n5,10.1\n"
SUDOKU = "53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79"
SOLVED = "534678912672195348198342567859761423426853791713924856961537284287419635345286179"
ISSUES = '[{"id":1,"state":"open","tags":["a",{"b":2}]}, {"id":2,"state":"closed"},{"id":3,"state":"open"},{}]'


def string(text):
    return {"type": "string", "value": text}


def data(content):
    return {"type": "bytes", "value": base64.b64encode(content).decode()}


# (program, function, arguments, result_type, outputs)
CASES = (
    ("text_stats", "stats", [string(TEXT)], "string", [string('{"bytes":45,"lines":2,"words":9,"longest":"quick"}')]),
    ("text_stats", "stats", [string("")], "string", [string('{"bytes":0,"lines":0,"words":0,"longest":""}')]),
    ("text_stats", "stats", [string("Grüße")], "string", [string('{"bytes":7,"lines":0,"words":1,"longest":"Grüße"}')]),
    ("regression", "fit", [string(POINTS)], "string", [string('{"n":5,"slope":1.990000,"intercept":0.050000,"r2":0.997305}')]),
    ("matrix", "determinant", [string("2 -1 0\n1 3 2\n0 5 -4")], "values", [{"type": "f64", "value": -48}]),
    ("matrix", "power", [1000000007, 100], "values", [{"type": "i64", "value": "782204094"}]),
    ("matrix", "power", [{"value": 1000000007}, {"type": "i64", "value": "100"}], "values", [{"type": "i64", "value": "782204094"}]),
    ("sha256", "digest", [data(b"abc")], "bytes", [data(hashlib.sha256(b"abc").digest())]),
    ("sha256", "digest", [data(bytes(range(256)) * 40)], "bytes", [data(hashlib.sha256(bytes(range(256)) * 40).digest())]),
    ("sudoku", "solve", [string(SUDOKU)], "string", [string(SOLVED)]),
    (
        "json_filter",
        "filter",
        [string(ISSUES), string("state"), string('"open"')],
        "string",
        [string('[{"id":1,"state":"open","tags":["a",{"b":2}]},{"id":3,"state":"open"}]')],
    ),
    ("json_filter", "count", [string(ISSUES), string("id"), string("2")], "values", [{"type": "i32", "value": 1}]),
    ("primes", "count", [100000], "values", [{"type": "i32", "value": 9592}]),
    ("primes", "nth", [1000], "values", [{"type": "i32", "value": 7919}]),
    ("collatz", "steps", [27], "values", [{"type": "i32", "value": 111}]),
    ("collatz", "longest", [10000], "values", [{"type": "i64", "value": "6171"}, {"type": "i32", "value": 261}]),
)


class Examples(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.node = Node().__enter__()
        cls.addClassCleanup(cls.node.__exit__)

    def test_each_gives_its_result(self):
        client = self.node.client()
        for program, function, arguments, result_type, outputs in CASES:
            with self.subTest(program=program, function=function, arguments=str(arguments)[:60]):
                answer, result = client.run(example(program), function, arguments, result_type=result_type)
                self.assertEqual(answer.status, 200)
                self.assertEqual(result["status"], "success")
                self.assertEqual(result["outputs"], outputs)
                self.assertGreater(result["execution_summary"]["gas_consumed"], 0)

    def test_each_gives_the_same_for_sealed_arguments(self):
        client = self.node.client()
        for program, function, arguments, result_type, outputs in CASES:
            with self.subTest(program=program, function=function):
                answer, result = client.run(
                    example(program), function, private_arguments=arguments, result_type=result_type
                )
                self.assertEqual(answer.status, 200)
                self.assertEqual(result["outputs"], outputs)

    def test_two_runs_of_the_same_input_repeat_the_hashes_and_the_gas_but_nothing_else(self):
        client = self.node.client()
        runs = [client.run(example("sudoku"), "solve", [string(SUDOKU)], result_type="string") for _ in range(2)]
        (first, one), (second, two) = runs
        for name in ("output_hash", "program_hash", "outputs"):
            self.assertEqual(one[name], two[name])
        self.assertEqual(*(result["execution_summary"]["gas_consumed"] for result in (one, two)))
        for name in ("request_id", "result_commitment", "request_commitment", "encrypted_result"):
            self.assertNotEqual(first.json[name], second.json[name])
        self.assertNotEqual(one["blind"], two["blind"])

    def test_commands_of_the_readme_print_what_it_says(self):
        """Each `console` block of examples/README.md: a line "$ command", then what it prints on stdout; "…" is any number."""
        with open(os.path.join(SOURCE, "examples", "README.md"), encoding="utf-8") as source:
            blocks = [block.split("```")[0] for block in source.read().split("```console\n")[1:]]
        self.assertGreaterEqual(len(blocks), 8)
        environment = {
            **os.environ,
            "PATH": BUILD + os.pathsep + os.environ["PATH"],
            "WASM_HYPERVISOR_API_KEY": self.node.api_key,
            "WASM_HYPERVISOR_URL": f"http://127.0.0.1:{self.node.port}",
        }
        for block in blocks:
            line, expected = block.split("\n", 1)
            self.assertTrue(line.startswith("$ "), line)
            with self.subTest(command=line):
                done = subprocess.run(
                    ["sh", "-c", line[2:].replace("build/release/", BUILD + "/")],
                    capture_output=True, text=True, env=environment, cwd=self.node.data, timeout=120, check=False,
                )
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertRegex(done.stdout, "^" + re.escape(expected).replace("…", "[0-9]+") + "$")


if __name__ == "__main__":
    unittest.main()
