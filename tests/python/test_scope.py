#!/usr/bin/env python3
"""Handlers whose input is a program: only a token with the scope `code`, or a unix socket, may submit to them."""

import os
import tempfile
import unittest

import support

import futured

HANDLERS = {"run": {"exec": ["sh"], "scope": "code", "retries": 0}, "cat": {"exec": ["cat"]}}
TOKENS = {"submit": "s" * 32, "admin": "a" * 32, "code": "c" * 32, "only": "o" * 32}
LINES = {"submit": "submit,read", "admin": "admin", "code": "submit,read,code", "only": "code"}


class ScopeTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(prefix="futured-python-")
        tokens = os.path.join(cls.directory, "tokens")
        with open(tokens, "w", encoding="ascii") as file:
            file.writelines("%s %s\n" % (TOKENS[name], LINES[name]) for name in TOKENS)
        cls.daemon = support.Daemon(HANDLERS, FUTURED_TOKENS=tokens)

    @classmethod
    def tearDownClass(cls):
        cls.daemon.stop()
        support.shutil.rmtree(cls.directory)

    def client(self, who):
        return futured.Client(self.daemon.url, token=TOKENS[who])

    def test_every_way_to_submit_needs_it(self):
        task = {"handler": "run", "input": "echo hi"}
        for who in ("submit", "admin"):
            client = self.client(who)
            for name, submit in {
                "json": lambda: client.submit("run", "echo hi"),
                "bytes": lambda: client.submit("run", b"echo hi"),
                "lines": lambda: client.batch([{"handler": "cat"}, task]),
                "tasks": lambda: client.request("POST", "/v1/batches", {"tasks": [task]}),
                "map": lambda: client.request("POST", "/v1/batches", {"handler": "run", "inputs": ["echo hi"]}),
                "schedule": lambda: client.request("PUT", "/v1/schedules/x", {"every": 1, "task": task}),
            }.items():
                with self.subTest(who=who, way=name), self.assertRaises(futured.Problem) as caught:
                    submit()
                self.assertEqual((caught.exception.status, caught.exception.code), (403, "forbidden"))
                self.assertIn('"code"', caught.exception.detail)
        self.assertEqual(list(self.client("admin").list(handler="run", limit=1000)), [])

    def test_who_has_it_may(self):
        client = self.client("code")
        self.assertEqual(client.submit("run", b"echo hi").result(support.WAIT_S), "hi\n")
        self.assertEqual(list(client.map("run", ["echo 1", "echo 2"])), ["1\n", "2\n"])
        client.request("PUT", "/v1/schedules/mine", {"every": 86400, "task": {"handler": "run", "input": "echo 3"}})
        with self.assertRaises(futured.Problem) as caught:  # its name is known, its code is another's
            self.client("submit").request("POST", "/v1/schedules/mine/run")
        self.assertEqual(caught.exception.status, 403)
        started = client.request("POST", "/v1/schedules/mine/run")
        self.assertEqual(client.result(started, support.WAIT_S), "3\n")
        client.request("DELETE", "/v1/schedules/mine")

    def test_alone_it_allows_nothing(self):
        with self.assertRaises(futured.Problem) as caught:
            self.client("only").submit("run", b"echo hi")
        self.assertEqual(caught.exception.status, 403)

    def test_the_list_shows_it(self):
        shown = {each["name"]: each.get("scope") for each in self.client("submit").handlers()}
        self.assertEqual((shown["run"], shown["cat"]), ("code", None))

    def test_the_refusal_names_the_scope(self):
        import http.client

        connection = http.client.HTTPConnection(*self.daemon.url.partition("//")[2].split(":"))
        connection.request("POST", "/v1/tasks/run", b"", {"Authorization": "Bearer " + TOKENS["submit"]})
        answer = connection.getresponse()
        self.assertEqual((answer.status, answer.headers["WWW-Authenticate"].rpartition(", ")[2]), (403, 'scope="code"'))
        connection.close()


class WithoutTokensTests(unittest.TestCase):
    def test_tcp_is_refused_at_start(self):
        with self.assertRaises(AssertionError) as caught:
            support.Daemon(HANDLERS)
        self.assertIn("FUTURED_TOKENS", str(caught.exception))
        self.assertIn("every user of this machine", str(caught.exception))

    def test_a_unix_socket_may(self):
        path = os.path.join(tempfile.gettempdir(), "futured-scope-%d.sock" % os.getpid())
        daemon = support.Daemon(HANDLERS, FUTURED_LISTEN="unix:" + path)
        try:
            self.assertEqual(futured.Client("unix:" + path).submit("run", "echo hi").result(support.WAIT_S), "hi\n")
        finally:
            daemon.stop()

    def test_a_reload_lets_nobody_in(self):
        """The daemon goes on with the new handlers, and refuses each submission to this one."""
        daemon = support.Daemon({"cat": HANDLERS["cat"]})
        try:
            with open(daemon.settings["FUTURED_HANDLERS"], "w", encoding="ascii") as file:
                support.json.dump(HANDLERS, file)
            daemon.process.send_signal(support.signal.SIGHUP)
            client = futured.Client(daemon.url)
            while "run" not in {each["name"] for each in client.handlers()}:
                pass
            with self.assertRaises(futured.Problem) as caught:
                client.submit("run", "echo hi")
            self.assertEqual(caught.exception.status, 403)
        finally:
            daemon.stop()

    def test_another_scope_is_no_scope(self):
        with self.assertRaises(AssertionError) as caught:
            support.Daemon({"run": {"exec": ["sh"], "scope": "admin"}})
        self.assertIn('"scope"', str(caught.exception))


if __name__ == "__main__":
    support.main()
