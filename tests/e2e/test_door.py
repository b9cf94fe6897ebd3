"""test_door: who is let in how often, on the real binary: the limits of rates, what an answer tells of them, and proxies.

SPDX-License-Identifier: Apache-2.0
"""

import re
import resource
import unittest

from node import Node


class Rates(unittest.TestCase):
    def test_an_address_behind_a_trusted_proxy_has_its_share_and_no_more(self):
        with Node("--trusted-proxies", "127.0.0.1", "--requests-per-second-per-address", "1", "--rate-window-seconds", "60") as node:
            client = node.client("")

            def ask(forwarded):
                return client.call("GET", "/nothing", headers={"X-Forwarded-For": forwarded})

            first = ask("203.0.113.1, 192.0.2.1")
            self.assertEqual(first.status, 404)
            self.assertEqual(first.headers["ratelimit-policy"], '"address";q=60;w=60')
            self.assertEqual(first.headers["ratelimit"], '"address";r=59;t=1')
            refused = first
            for _ in range(1000):  # 60 and what the time that this takes brings
                refused = ask("192.0.2.1")
                if refused.status != 404:
                    break
            self.assertEqual((refused.status, refused.json["error_code"]), (429, "RATE_LIMITED"))
            self.assertGreaterEqual(int(refused.headers["retry-after"]), 1)
            self.assertEqual(ask("192.0.2.2").status, 404, "another address")
            self.assertEqual(client.call("GET", "/nothing").status, 404, "the proxy's own")

    def test_a_key_has_its_share_wherever_it_comes_from(self):
        with Node("--requests-per-second-per-api-key", "1", "--rate-window-seconds", "60") as node:
            client, other = node.client(), node.client()
            statuses = [(client, other)[index % 2].call("POST", "/v1/keys").status for index in range(200)]
            self.assertEqual(statuses[:40], [201] * 40)
            self.assertIn(429, statuses)
            self.assertEqual(node.client("").call("GET", "/v1/health").status, 200)

    def test_a_proxy_that_is_none_is_named_at_the_start(self):
        with self.assertRaisesRegex(AssertionError, "server.trusted_proxies has 'proxy.example'"):
            with Node("--trusted-proxies", "proxy.example"):
                pass


class Descriptors(unittest.TestCase):
    def files_of_node(self, soft):
        """A node whose shell gives it few files; what it has made of that."""
        old = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, old)
        with Node() as node:
            node.stop()
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, old[1]))
            node.start()
            text = node.client().call("GET", "/metrics").body.decode()
            return int(float(re.search(r"^process_max_fds (\S+)$", text, re.M).group(1)))

    def test_there_are_enough_for_all_connections(self):
        self.assertGreaterEqual(self.files_of_node(200), 1024)


if __name__ == "__main__":
    unittest.main()
