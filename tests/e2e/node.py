"""node: starts and stops real nodes for the tests, each in a directory of its own, on a free port of the loopback.

SPDX-License-Identifier: Apache-2.0
"""

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest

from client import Client

SOURCE = os.environ.get("WH_SOURCE_DIR") or os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD = os.environ.get("WH_BUILD_DIR") or os.path.join(SOURCE, "build", "release")
SHARED = os.path.join(SOURCE, "..", "shared")
BINARY = os.environ.get("WH_BINARY") or os.path.join(BUILD, "wasm-hypervisor")
EXAMPLES = os.path.join(BUILD, "examples")
START_SECONDS = 120  # the first simulated node makes RSA keys, and a sanitizer build is slow


def sanitized():
    """Is the binary under test an instrumented one? Then times and loads are made smaller."""
    if not hasattr(sanitized, "answer"):
        with open(BINARY, "rb") as binary:
            content = binary.read()
        sanitized.answer = b"__asan_" in content or b"__tsan_" in content
    return sanitized.answer


def example(name):
    with open(os.path.join(EXAMPLES, name + ".wasm"), "rb") as module:
        return module.read()


def wat(text):
    """A module from its text, by wabt."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = os.path.join(folder, "m.wat"), os.path.join(folder, "m.wasm")
        with open(source, "w", encoding="utf-8") as out:
            out.write(text)
        subprocess.run(["wat2wasm", source, "-o", target], check=True)
        with open(target, "rb") as module:
            return module.read()


def command(*arguments, check=True, **options):
    """Runs a subcommand of the binary to its end."""
    done = subprocess.run([BINARY, *arguments], capture_output=True, text=True, timeout=300, check=False, **options)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(arguments)} exited with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done


class Node:
    """A `serve` process. Use as a context manager; `data` survives restarts until the end of the context."""

    def __init__(self, *arguments, data=None, key=True, **environment):
        self.arguments = arguments
        self.environment = environment
        self.own_data = data is None
        self.data = data or tempfile.mkdtemp(prefix="wh-e2e-")
        self.process = None
        self.port = None
        self.api_key = None
        self.want_key = key

    def __enter__(self):
        try:
            if self.want_key:
                self.api_key = self.new_key("execute,metrics")
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.kill()
        if self.own_data:
            shutil.rmtree(self.data, ignore_errors=True)

    def start(self):
        """Starts the process and waits for its ready line; the port is in it."""
        if not os.path.isdir(self.data):
            os.mkdir(self.data)
        seed_simulator(self.data)
        environment = {**os.environ, "HOME": self.data, **self.environment}
        self.log = open(os.path.join(self.data, "e2e.log"), "ab")
        # pylint: disable=consider-using-with
        self.process = subprocess.Popen(
            [BINARY, "serve", "--data-dir", self.data, "--tee", "simulated", "--port", "0", *self.arguments],
            stdout=subprocess.PIPE,
            stderr=self.log,
            env=environment,
            text=True,
        )
        killer = threading.Timer(START_SECONDS, self.process.kill)
        killer.start()
        try:
            self.port = None
            while self.port is None:
                line = self.process.stdout.readline()
                if not line:
                    raise AssertionError(f"the node did not start: exit status {self.process.wait()}:\n{self.log_text()[-3000:]}")
                match = READY.search(line)
                self.port = int(match.group(1)) if match else None
        finally:
            killer.cancel()
        threading.Thread(target=self.process.stdout.read, daemon=True).start()
        keep_simulator(self.data)

    def client(self, api_key=None, **options):
        return Client("127.0.0.1", self.port, self.api_key if api_key is None else api_key, **options)

    def new_key(self, scopes, *arguments):
        """A fresh API key's secret, made as an operator makes it; a running node has taken it when this returns."""
        secret = SECRET.search(command("key", "new", "--data-dir", self.data, "--scopes", scopes, *arguments).stdout).group(0)
        if self.process:
            client = self.client(secret)
            until(lambda: client.call("GET", "/metrics").status != 401)
            client.close()
        return secret

    def stop(self, timeout=60):
        """SIGTERM and wait; the exit status."""
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(timeout)
        self.log.close()
        return status

    def kill(self):
        """SIGKILL, as a power cut would."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.process:
            self.log.close()

    def log_text(self):
        with open(os.path.join(self.data, "e2e.log"), encoding="utf-8", errors="replace") as log:
            return log.read()

    def audit(self, *arguments):
        """`audit verify` of the node's log, also beside the running node: (exit status, report)."""
        done = command("audit", "verify", os.path.join(self.data, "audit"), "--json", *arguments, check=False)
        return done.returncode, json.loads(done.stdout)


class NodeCase(unittest.TestCase):
    """Tests against one node of the class, each with a client of its own."""

    arguments = ()  # of serve

    @classmethod
    def setUpClass(cls):
        cls.node = Node(*cls.arguments).__enter__()
        cls.addClassCleanup(cls.node.__exit__)

    def setUp(self):
        self.client = self.node.client()
        self.addCleanup(self.client.close)


READY = re.compile(r"https?://[^\s\"/]+:(\d+)")
SECRET = re.compile(r"\bwh_[0-9a-f]{16}_[A-Za-z0-9_-]{43}")


def until(condition, seconds=60):
    """Asks until it holds. The bound only ends a test that would hang; nothing is asserted about time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("it did not come to hold")


# The simulator's RSA keys take seconds to make: the first node of a build makes them, all later ones get a copy.
SIMULATOR_FOLDER = "tee"
SIMULATOR_KEPT = os.path.join(BUILD, "e2e-simulator")


def seed_simulator(data):
    target = os.path.join(data, SIMULATOR_FOLDER)
    if os.path.isdir(SIMULATOR_KEPT) and not os.path.isdir(target):
        shutil.copytree(SIMULATOR_KEPT, target)
        os.chmod(target, 0o700)


def keep_simulator(data):
    source = os.path.join(data, SIMULATOR_FOLDER)
    if os.path.isdir(source) and not os.path.isdir(SIMULATOR_KEPT):
        partial = f"{SIMULATOR_KEPT}.{os.getpid()}"
        shutil.copytree(source, partial)
        try:
            os.rename(partial, SIMULATOR_KEPT)
        except OSError:  # another test run was first
            shutil.rmtree(partial, ignore_errors=True)
