"""test_observation: what a node tells of itself: metrics as Prometheus reads them, health, and a log that a machine can read.

SPDX-License-Identifier: Apache-2.0
"""

import json
import os
import re
import shutil
import subprocess
import unittest
import urllib.parse

from client import Client
from node import SOURCE, Node, example, until, wat

TRAP = wat('(module (func (export "stop") unreachable))')
NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
SAMPLE = re.compile(rf"^({NAME})(?:\{{(.*)\}})? (-?(?:[0-9.]+(?:e[-+]?[0-9]+)?|Inf)|NaN)$")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"(?:,(?=[a-z])|$)')


class Malformed(Exception):
    pass


def demand(condition, *what):
    if not condition:
        raise Malformed(*what)


def read_labels(text):
    labels, at = [], 0
    while at < len(text):
        match = LABEL.match(text, at)
        demand(match, "labels", text)
        labels.append((match.group(1), match.group(2)))
        at = match.end()
    demand(len(dict(labels)) == len(labels), "a label twice", text)
    return tuple(labels)


def read_exposition(text):
    """The text format 0.0.4, strictly: {family: (type, help, {(sample name, labels): value})}."""
    families, current = {}, None
    demand(text.endswith("\n"), "the last line has no end")
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            _, _, name, description = line.split(" ", 3)
            demand(name not in families and re.fullmatch(NAME, name), "HELP twice or of no name", line)
            current = name
            families[name] = (None, description, {})
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            demand(name == current and families[name][0] is None and not families[name][2], "TYPE out of place", line)
            demand(kind in ("counter", "gauge", "histogram"), "no such type", line)
            families[name] = (kind, *families[name][1:])
        else:
            match = SAMPLE.match(line)
            demand(match and current, "no sample", line)
            kind, _, samples = families[current]
            endings = ("_bucket", "_sum", "_count") if kind == "histogram" else ("",)
            demand(match.group(1) in [current + ending for ending in endings], "a sample of another family", line)
            key = (match.group(1), read_labels(match.group(2) or ""))
            demand(key not in samples, "a series twice", line)
            samples[key] = float(match.group(3))
    for name, (kind, _, samples) in families.items():
        demand(kind and samples, "nothing of", name)
        demand(kind != "counter" or (name.endswith("_total") and min(samples.values()) >= 0), "no counter", name)
        if kind == "histogram":
            check_histogram(name, samples)
    return families


def check_histogram(name, samples):
    series = {}
    for (sample, labels), value in samples.items():
        rest = tuple(label for label in labels if label[0] != "le")
        one = series.setdefault(rest, {"buckets": []})
        if sample.endswith("_bucket"):
            one["buckets"].append((float(dict(labels)["le"]), value))
        else:
            one[sample[len(name):]] = value
    for one in series.values():
        bounds, counts = zip(*one["buckets"])
        demand(list(bounds) == sorted(set(bounds)) and bounds[-1] == float("inf"), "bounds", name)
        demand(list(counts) == sorted(counts), "a bucket below the one before", name)
        demand(one["_count"] == counts[-1], "the count is not that of all buckets", name)
        finite = bounds[:-1]
        least = sum((counts[i] - (counts[i - 1] if i else 0)) * (bounds[i - 1] if i else 0) for i in range(len(bounds)))
        demand(one["_sum"] >= least - 1e-6, "the sum is less than the buckets hold", name)
        if counts[-1] == counts[-2]:
            most = sum((counts[i] - (counts[i - 1] if i else 0)) * finite[i] for i in range(len(finite)))
            demand(one["_sum"] <= most + 1e-6, "the sum is more than the buckets hold", name)


class TheReader(unittest.TestCase):
    """The judge is judged first."""

    GOOD = (
        "# HELP a_total What a is.\n# TYPE a_total counter\na_total 1\n"
        "# HELP h_seconds H.\n# TYPE h_seconds histogram\n"
        'h_seconds_bucket{r="/",le="0.1"} 1\nh_seconds_bucket{r="/",le="+Inf"} 2\nh_seconds_sum{r="/"} 0.7\nh_seconds_count{r="/"} 2\n'
    )

    def test_it_takes_what_is_good_and_nothing_else(self):
        families = read_exposition(self.GOOD)
        self.assertEqual(families["a_total"], ("counter", "What a is.", {("a_total", ()): 1.0}))
        for old, new in (
            ("# TYPE a_total counter\n", ""),
            ("# HELP a_total What a is.\n", ""),
            ("counter", "count"),
            ("a_total 1\n", "a_total 1\na_total 2\n"),
            ("a_total 1\n", "b_total 1\n"),
            ("a_total 1\n", "a_total -1\n"),
            ("a_total 1\n", "a_total one\n"),
            ("a_total 1\n", ""),
            ("a_total", "a"),
            ('"+Inf"} 2', '"+Inf"} 0'),
            ("count{r=\"/\"} 2", "count{r=\"/\"} 3"),
            ('le="+Inf"', 'le="0.05"'),
            ("sum{r=\"/\"} 0.7", "sum{r=\"/\"} 0.05"),
            ('r="/",le="0.1"', 'r="/,le="0.1"'),
            ('count{r="/"} 2\n', 'count{r="/"} 2'),
        ):
            with self.subTest(old=old, new=new), self.assertRaises(Malformed):
                self.assertIn(old, self.GOOD)
                read_exposition(self.GOOD.replace(old, new))


class Events(unittest.TestCase):
    # log_event and log_write, what the log writes of itself, and whoever hands them level and word on.
    WORD = re.compile(r'\((?:[&\w]+,\s*)?[^"();{}]*\bLOG_[A-Z]+,\s*"([a-z_]+)"')

    def test_the_documentation_has_every_word_and_no_other(self):
        words = set()
        for folder, _, names in os.walk(os.path.join(SOURCE, "src")):
            for name in names:
                if name.endswith(".c"):
                    with open(os.path.join(folder, name), encoding="utf-8") as source:
                        words.update(self.WORD.findall(source.read()))
        with open(os.path.join(SOURCE, "docs", "operations.md"), encoding="utf-8") as page:
            table = page.read().split("\n| Event | Level | Fields |\n|---|---|---|\n")[1].split("\n\n")[0]
        documented = [word for row in table.split("\n") for word in re.findall(r"`([a-z_]+)`", row.split(" | ")[0])]
        self.assertEqual(sorted(documented), sorted(words))


class Metrics(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.node = Node().__enter__()
        cls.addClassCleanup(cls.node.__exit__)
        cls.client = cls.node.client()
        cls.addClassCleanup(cls.client.close)

    def page(self):
        answer = self.client.call("GET", "/metrics")
        self.assertEqual((answer.status, answer.headers["content-type"]), (200, "text/plain; version=0.0.4; charset=utf-8"))
        return answer.body.decode("ascii")

    def families(self):
        return read_exposition(self.page())

    def test_the_page_is_well_formed_and_the_documentation_is_the_same(self):
        families = self.families()
        with open(os.path.join(SOURCE, "docs", "operations.md"), encoding="utf-8") as page:
            rows = re.findall(r"^\| `((?:wasm_hypervisor|process)_\w+)` \| (\w+) \| (.+) \|$", page.read(), re.M)
        self.assertEqual([(name, kind, text) for name, (kind, text, _) in families.items()], rows)

    def test_promtool_has_nothing_to_say(self):
        promtool = shutil.which("promtool")
        if promtool is None:
            self.skipTest("skipped: promtool, get it by apt-get install prometheus")
        done = subprocess.run([promtool, "check", "metrics"], input=self.page(), capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))

    def test_what_happened_is_counted_and_nothing_else(self):
        watched = ("executions_total", "refusals_total", "responses_total", "request_keys_issued_total", "execution_run_seconds",
                   "response_seconds", "connections_accepted_total", "bad_requests_total", "authentication_failures_total")
        before = self.families()
        for _ in range(3):
            self.client.run(example("primes"), "nth", [5])
        self.client.run(TRAP, "stop")
        bad = Client("127.0.0.1", self.node.port, "wh_" + "0" * 16 + "_" + "A" * 43)
        self.assertEqual(bad.call("POST", "/v1/keys", {}).status, 401)
        bad.close()
        self.assertEqual(self.client.call("GET", "/nothing").status, 404)
        after = self.families()
        moved = {}
        for word in watched:
            name = "wasm_hypervisor_" + word
            for key, value in after[name][2].items():
                if value != before[name][2][key] and not key[0].endswith(("_bucket", "_sum")):
                    moved[key[0][len("wasm_hypervisor_"):], *(value for _, value in key[1])] = value - before[name][2][key]
        # /metrics itself was answered once between the two pages; the second page is not yet.
        self.assertEqual(moved, {
            ("executions_total", "SUCCESS"): 3,
            ("executions_total", "EXECUTION_TRAP"): 1,
            ("refusals_total", "UNAUTHENTICATED"): 1,
            ("refusals_total", "NOT_FOUND"): 1,
            ("responses_total", "POST", "/keys", "2xx"): 4,
            ("responses_total", "POST", "/keys", "4xx"): 1,
            ("responses_total", "POST", "/execute", "2xx"): 3,
            ("responses_total", "POST", "/execute", "4xx"): 1,
            ("responses_total", "", "", "4xx"): 1,
            ("responses_total", "GET", "/metrics", "2xx"): 1,
            ("response_seconds_count", "POST", "/keys"): 4,
            ("response_seconds_count", "POST", "/execute"): 4,
            ("response_seconds_count", "GET", "/metrics"): 1,
            ("request_keys_issued_total",): 4,
            ("execution_run_seconds_count",): 4,
            ("authentication_failures_total",): 1,
            ("connections_accepted_total",): 1,
        })

    def test_the_process_is_seen_as_the_kernel_sees_it(self):
        families = self.families()

        def value(name):
            (only,) = families[name][2].values()
            return only

        proc = f"/proc/{self.node.process.pid}"
        with open(f"{proc}/statm", encoding="ascii") as statm:
            resident = int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE")
        self.assertTrue(resident / 2 < value("process_resident_memory_bytes") < resident * 2)
        self.assertEqual(value("process_open_fds"), len(os.listdir(f"{proc}/fd")))
        with open(f"{proc}/stat", encoding="ascii") as stat, open("/proc/stat", encoding="ascii") as system:
            boot = int(re.search(r"^btime (\d+)$", system.read(), re.M).group(1))
            started = boot + int(stat.read().rsplit(")", 1)[1].split()[19]) / os.sysconf("SC_CLK_TCK")
        self.assertAlmostEqual(value("process_start_time_seconds"), started, delta=1)
        self.assertGreater(value("process_cpu_seconds_total"), 0)
        ((_, labels),) = families["wasm_hypervisor_build_info"][2]
        self.assertEqual(dict(labels)["version"], self.client.call("GET", "/health").json["version"])

    def test_health_tells_checks_and_capacity(self):
        health = self.client.call("GET", "/health").json
        self.assertEqual((health["status"], set(health["checks"].values())), ("ok", {True}))
        capacity = health["capacity"]
        self.assertEqual((capacity["running"], capacity["queued"]), (0, 0))
        self.assertGreaterEqual(capacity["connections"], 1)
        for name in ("running", "queued", "memory_bytes", "request_keys", "connections"):
            self.assertLessEqual(capacity[name], capacity[name + "_max"], name)
        verbose = self.client.call("GET", "/readyz?verbose").body.decode().splitlines()
        self.assertEqual(verbose[-1], "ready")
        self.assertEqual({line[4:] for line in verbose[:-1]}, set(health["checks"]) - {"index", "witnesses"})
        self.assertEqual({line[:4] for line in verbose[:-1]}, {"[+] "})


TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Log(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.node = Node("--log-level", "debug").__enter__()
        cls.addClassCleanup(cls.node.__exit__)
        cls.client = cls.node.client()
        cls.addClassCleanup(cls.client.close)

    def lines(self, **fields):
        """The lines with these fields, as soon as there are any."""
        found = []

        def look():
            text = self.node.log_text()
            whole = text[:text.rfind("\n") + 1]
            found[:] = [line for line in map(json.loads, whole.splitlines()) if fields.items() <= line.items()]
            return found

        until(look)
        return found

    def test_an_execution_is_one_line_with_numbers_and_the_clients_trace(self):
        prepared = self.client.prepare(example("primes"), "nth", [5], request_metadata={"job": 'a"\n{"event":"forged"}\u009b'})
        answer = self.client.send(prepared, {"traceparent": f"00-{TRACE}-{SPAN}-01"})
        self.assertEqual(answer.status, 200, answer)
        (line,) = self.lines(event="execution", request_id=prepared.key["request_id"])
        summary = answer.json["execution_summary"]
        self.assertEqual((line["level"], line["outcome"], line["api_key"]), ("info", "SUCCESS", self.node.api_key[3:19]))
        self.assertEqual((line["gas"], line["memory_bytes"]), (summary["gas_consumed"], summary["memory_used_bytes"]))
        self.assertEqual(line["leaf_index"], int(answer.json["commitment"]["leaf_index"]))
        self.assertAlmostEqual(line["run_us"], summary["execution_time_ms"] * 1000, delta=2)
        self.assertEqual((line["trace_id"], line["parent_span_id"]), (TRACE, SPAN))
        self.assertEqual(answer.headers["traceresponse"], f"00-{TRACE}-{line['span_id']}-01")
        self.assertEqual(json.loads(line["metadata"]), {"job": 'a"\n{"event":"forged"}\u009b'})
        self.assertRegex(line["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        (request,) = self.lines(event="request", span_id=line["span_id"])
        self.assertEqual((request["method"], request["path"], request["status"]), ("POST", "/v1/execute", 200))
        self.assertEqual((request["peer"], request["answer_bytes"]), ("127.0.0.1", len(answer.body)))

    def test_every_answer_has_a_trace_and_only_a_valid_one_is_continued(self):
        for given, is_continued in (
            (f"00-{TRACE}-{SPAN}-00", True),
            (None, False),
            ("", False),
            (f"01-{TRACE}-{SPAN}-00", False),
            (f"00-{TRACE}-{SPAN}-00-extra", False),
            (f"00-{TRACE.upper()}-{SPAN}-00", False),
            (f"00-{'0' * 32}-{SPAN}-00", False),
            (f"00-{TRACE}-{'0' * 16}-00", False),
        ):
            for path, status in (("/livez", 200), ("/nothing", 404), ("/v1/executions/x", 400)):
                answer = self.client.call("GET", path, headers={} if given is None else {"traceparent": given})
                self.assertIn(answer.status, (status, 404))
                version, trace, span, flags = answer.headers["traceresponse"].split("-")
                self.assertEqual((version, len(trace), len(span), len(flags)), ("00", 32, 16, 2))
                self.assertEqual(trace == TRACE, is_continued, given)
                self.assertNotEqual(span, SPAN)
                (line,) = self.lines(event="request", span_id=span)
                self.assertEqual((line["trace_id"], line.get("parent_span_id")), (trace, SPAN if is_continued else None))

    def test_a_path_cannot_forge_a_line(self):
        evil = 'x"}\n{"event":"forged"}\r\x1b[2J\u2028\x7f'
        answer = self.client.call("GET", "/" + urllib.parse.quote(evil, safe=""))
        self.assertIn(answer.status, (400, 404))
        self.client.call("GET", "/livez", headers={"traceparent": f"00-{'1' * 32}-{'1' * 16}-00"})
        self.lines(trace_id="1" * 32)
        text = self.node.log_text()
        self.assertIsNone(re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", text))
        for line in text.splitlines():
            if line.startswith("{"):
                self.assertNotEqual(json.loads(line)["event"], "forged")

    def test_no_secret_is_in_it(self):
        self.client.run(example("primes"), "nth", [5])
        self.client.call("POST", "/v1/keys", {}, {"X-API-Key": self.node.api_key[:-1] + "!"})
        self.client.call("GET", "/livez", headers={"traceparent": f"00-{'2' * 32}-{'2' * 16}-00"})
        self.lines(trace_id="2" * 32)
        self.assertNotIn(self.node.api_key[20:-1], self.node.log_text())


class SlowSink(unittest.TestCase):
    def test_a_log_that_nobody_reads_holds_nobody_up(self):
        with Node("--log-level", "debug") as node:
            node.stop()
            fifo = os.path.join(node.data, "fifo")
            os.mkfifo(fifo)
            reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
            try:
                node.arguments = ("--log-level", "debug", "--log-file", fifo)
                node.start()
                client = node.client()
                dropped = 0
                while dropped == 0:
                    for _ in range(200):
                        self.assertEqual(client.call("GET", "/" + "x" * 2000).status, 404)
                    page = client.call("GET", "/metrics").body.decode()
                    dropped = float(re.search(r"^wasm_hypervisor_messages_dropped_total (\S+)$", page, re.M).group(1))
                answer, _ = client.run(example("primes"), "nth", [5])
                self.assertEqual(answer.status, 200)
                client.close()
                self.assertEqual(node.stop(), 0)
            finally:
                os.close(reader)


if __name__ == "__main__":
    unittest.main()
