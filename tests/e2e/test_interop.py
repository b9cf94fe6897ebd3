"""test_interop: verifiers that share nothing with us read a running node's log: Go's golang.org/x/mod/sumdb (note and tlog), over
HTTP tiles, and npm's @sigstore/verify. Then a mirror between them and the node changes what it passes on, and they notice.

WH_INTEROP_ENTRIES is how long the log is at first, 700 if it is not set.

SPDX-License-Identifier: Apache-2.0
"""

import http.server
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import unittest
import urllib.error
import urllib.request

from client import verify_key
from node import BUILD, SOURCE, Node, example, until

ENTRIES = int(os.environ.get("WH_INTEROP_ENTRIES") or 700)
EVERY = 1 << max(0, (ENTRIES // 700).bit_length() - 1)  # of a longer log not all entries are proved each time
PROGRAMS = os.path.join(SOURCE, "tests", "interop")
FOLDER = os.path.join(BUILD, "interop")  # what is built and installed
MAKE_LOG = os.path.join(BUILD, "tests", "audit", "make_log")
GO_LIBRARIES = "/usr/share/gocode"  # where Debian puts them


def made_request(number):
    """The id of a request that make_log made; see there."""
    return f"00000000-0000-4000-8000-{number:012x}"


def run(*arguments, **options):
    return subprocess.run(arguments, capture_output=True, text=True, timeout=600, check=False, **options)


class Mirror:
    """Passes a node's log on, and changes the answers whose path `pattern` matches; `url` is where."""

    def __init__(self, target, pattern, change):
        mirror = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):  # pylint: disable=invalid-name
                try:
                    with urllib.request.urlopen(target + self.path) as answer:
                        status, body = answer.status, answer.read()
                except urllib.error.HTTPError as error:
                    status, body = error.code, error.read()
                if status == 200 and re.search(pattern, self.path):
                    body = change(body)
                    mirror.changed += 1
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):  # pylint: disable=arguments-differ
                pass

        self.changed = 0
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def flip(position, bit=1):
    """Flips a bit of a body; a negative position counts from its end."""

    def change(body):
        changed = bytearray(body)
        changed[position] ^= bit
        return bytes(changed)

    return change


class Log(unittest.TestCase):
    """A node whose log was long before it started, and grows while it is read."""

    @classmethod
    def setUpClass(cls):
        os.makedirs(FOLDER, exist_ok=True)
        cls.install()
        data = tempfile.mkdtemp(prefix="wh-e2e-")
        cls.addClassCleanup(shutil.rmtree, data, True)
        os.chmod(data, 0o700)
        made = run(MAKE_LOG, os.path.join(data, "audit"), str(ENTRIES), "log.example/interop")
        if made.returncode != 0:
            raise AssertionError(made.stderr)
        cls.node = Node(data=data).__enter__()
        cls.addClassCleanup(cls.node.__exit__)
        cls.client = cls.node.client()
        cls.url = f"http://127.0.0.1:{cls.node.port}"
        cls.vkey = verify_key(cls.client.new_key()).vkey

    def grow(self, executions):
        for _ in range(executions):
            self.client.run(example("primes"), "nth", [5])


class Go(Log):
    @classmethod
    def install(cls):
        if shutil.which("go") is None or not os.path.isdir(os.path.join(GO_LIBRARIES, "src/golang.org/x/mod/sumdb/tlog")):
            raise unittest.SkipTest("skipped: Go's reader of tiles, get it by apt-get install golang-go golang-golang-x-mod-dev")
        cls.program = os.path.join(FOLDER, "read_log")
        environment = {
            **os.environ, "GO111MODULE": "off", "GOPATH": GO_LIBRARIES, "GOFLAGS": "", "GOPROXY": "off", "CGO_ENABLED": "0",
            "GOCACHE": os.path.join(FOLDER, "go-cache"),
        }
        built = run("go", "build", "-o", cls.program, os.path.join(PROGRAMS, "read_log.go"), env=environment)
        if built.returncode != 0:
            raise AssertionError(built.stderr)

    def read(self, *arguments, url=None, vkey=None):
        return run(self.program, (url or self.url) + "/v1/log", vkey or self.vkey, *arguments)

    def assert_refused(self, read, why):
        self.assertEqual(read.returncode, 1, read.stdout)
        self.assertRegex(read.stderr, why)

    def test_reads_all_entries_and_sees_the_log_grow(self):
        old = os.path.join(self.node.data, "old.checkpoint")
        read = self.read("-keep", old)
        print(read.stdout, end="")
        self.assertEqual(read.returncode, 0, read.stderr)
        count = int(re.search(r"checkpoint: (\d+) entries", read.stdout).group(1))
        self.assertGreaterEqual(count, ENTRIES)
        self.assertIn(f"entries: {count} read, {count} proved", read.stdout)
        self.grow(15)
        self.node.process.send_signal(signal.SIGUSR1)  # a new segment, begun with one more entry
        self.grow(15)
        until(lambda: int(self.client.call("GET", "/v1/log/checkpoint").body.split(b"\n")[1]) >= count + 61)
        read = self.read("-old", old, "-every", "7")
        print(read.stdout, end="")
        self.assertEqual(read.returncode, 0, read.stderr)
        self.assertRegex(read.stdout, rf"consistent: {count + 61} entries continue the {count} of the older checkpoint")

    def test_notices_whatever_a_mirror_changes(self):
        full, last = r"/tile/0/001$", r"/tile/0/[x0-9/]+\.p/"
        for pattern, change, why in (
            (r"/checkpoint$", flip(25), "checkpoint"),
            (r"/checkpoint$", lambda text: text.replace(b"\n\n", b"0\n\n", 1), "checkpoint"),
            (full, flip(0), "tile|root|proving|entry"),
            (full, flip(-1, 128), "tile|root|proving|entry"),
            (last, flip(-1), "tile|root|proving|entry"),
            (r"/tile/1/", flip(40), "tile|root|proving|entry"),
            (full, lambda tile: tile[32:64] + tile[:32] + tile[64:], "tile|root|proving|entry"),
            (r"/tile/entries/001$", flip(100), "entry"),
            (r"/tile/entries/000$", flip(1), "entr"),
            (r"/tile/entries/000$", lambda bundle: bundle[:-1], "entry bundle"),
        ):
            with self.subTest(pattern=pattern, why=why), Mirror(self.url, pattern, change) as mirror:
                self.assert_refused(self.read("-every", str(EVERY), url=mirror.url), why)
                self.assertGreater(mirror.changed, 0)

    def test_knows_the_key_and_the_log(self):
        name, key_id, key = self.vkey.split("+", 2)
        self.assert_refused(self.read(vkey=f"{name}x+{key_id}+{key}"), "verifier key|checkpoint")
        other = run(MAKE_LOG, os.path.join(self.node.data, "other"), "100", name)
        self.assert_refused(self.read(vkey=other.stdout.split(", ")[1].strip()), "no verifiable signatures")
        # Signed by nobody, and an older checkpoint that is of another log.
        forged = os.path.join(self.node.data, "forged.checkpoint")
        with open(os.path.join(self.node.data, "other", "checkpoint"), "rb") as theirs, open(forged, "wb") as out:
            out.write(theirs.read())
        self.assert_refused(self.read("-old", forged), "no verifiable signatures")


class Npm(Log):
    @classmethod
    def install(cls):
        get_it = "get it by apt-get install npm, and a network where it reaches its registry"
        if shutil.which("npm") is None or shutil.which("node") is None:
            raise unittest.SkipTest(f"skipped: npm's @sigstore/verify, {get_it}")
        with open(os.path.join(PROGRAMS, "package-lock.json"), "rb") as lock:
            wanted = lock.read()
        for name in ("package.json", "package-lock.json"):
            shutil.copy(os.path.join(PROGRAMS, name), FOLDER)
        mark = os.path.join(FOLDER, "node_modules", "installed-lock.json")
        if os.path.exists(mark):
            with open(mark, "rb") as installed:
                if installed.read() == wanted:
                    return
        # The lock file has the hash of each package; `ci` takes nothing else.
        done = run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", cwd=FOLDER)
        if done.returncode != 0 and re.search(r"E(NOTFOUND|AI_AGAIN|CONNREFUSED|TIMEDOUT|NETUNREACH|CONNRESET)|network", done.stderr):
            raise unittest.SkipTest(f"skipped: npm's @sigstore/verify, {get_it}")
        if done.returncode != 0:
            raise AssertionError(done.stderr)
        with open(mark, "wb") as installed:
            installed.write(wanted)

    def verdicts(self, records, vkey=None):
        done = run("node", os.path.join(PROGRAMS, "verify_proof.mjs"), vkey or self.vkey, cwd=FOLDER, input=json.dumps(records))
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def records(self):
        """Requests and results from one end of the log to the other, and one that has just been answered."""
        last = (ENTRIES - 3) // 2 + 1
        numbers = sorted({1, 2, last // 3, last // 2, last - 1, last})
        found = []
        for number in numbers:
            for kind in ("request", "result"):
                answer = self.client.call("GET", f"/v1/verify/{made_request(number)}?commitment_type={kind}")
                self.assertEqual(answer.status, 200, answer)
                found.append({name: answer.json[name] for name in ("leaf", "tlog_proof")})
        answer, _ = self.client.run(example("primes"), "nth", [5])
        commitment = answer.json["commitment"]
        return found + [{"leaf": commitment["leaf"], "tlog_proof": commitment["tlog_proof"]}]

    def test_verifies_proofs_and_checkpoints(self):
        records = self.records()
        verdicts = self.verdicts(records)
        print(verdicts)
        for verdict in verdicts:
            self.assertGreaterEqual(verdict.get("size", 0), ENTRIES, verdict)

    def test_notices_what_was_changed(self):
        good = self.records()[3]
        head, checkpoint = good["tlog_proof"].split("\n\n", 1)
        lines = head.split("\n")
        index = int(lines[1].split(" ")[1])
        body, signature = checkpoint.split("\n\n", 1)
        origin, size, root = body.split("\n")

        def proof(changed, note=checkpoint):
            return {"leaf": good["leaf"], "tlog_proof": "\n".join(changed) + "\n\n" + note}

        bad = [
            {"leaf": good["leaf"].replace("RESULT", "RESULS"), "tlog_proof": good["tlog_proof"]},
            proof([lines[0], f"index {index + 1}", *lines[2:]]),
            proof([lines[0], f"index {index ^ 1}", *lines[2:]]),
            proof(lines[:-1]),
            proof([*lines, root]),
            proof([*lines[:2], lines[3], lines[2], *lines[4:]]),
            proof(lines, f"{origin}\n{int(size) + 1}\n{root}\n\n{signature}"),
            proof(lines, f"{origin}x\n{size}\n{root}\n\n{signature}"),
            proof(lines, f"{origin}\n{size}\n{lines[2]}\n\n{signature}"),
            proof(lines, f"{body}\n\n{signature[:-10]}{'A' if signature[-10] != 'A' else 'B'}{signature[-9:]}"),
        ]
        for record, verdict in zip(bad, self.verdicts(bad)):
            self.assertIn("error", verdict, record)
        name, key_id, key = self.vkey.split("+", 2)
        other = key[:8] + ("A" if key[8] != "A" else "B") + key[9:]
        self.assertIn("error", self.verdicts([good], f"{name}+{key_id}+{other}")[0])
        self.assertIn("error", self.verdicts([good], f"{name}+00000000+{key}")[0])
        self.assertIn("size", self.verdicts([good])[0])


del Log  # only what is made of it is a test


if __name__ == "__main__":
    unittest.main()
