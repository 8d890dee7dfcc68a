#!/usr/bin/env python3
"""Client against a real daemon: each verb, each error, and what is lost on the way."""

import datetime
import itertools
import os
import queue
import signal
import socket
import ssl
import subprocess
import threading
import unittest

import support

import futured
from futured._requests import LONG_POLL

HANDLERS = {
    "fail": {"exec": ["sh", "-c", "echo some words >&2; exit 3"]},
    "slow": {"exec": ["sh", "-c", "echo begun >&2; exec sleep 1000"], "timeout": 2000},
    "brief": {"exec": ["sleep", "1000"], "timeout": 0.1},
    "bytes": {"exec": ["cat"], "content_type": "application/octet-stream"},
    "text": {"exec": ["cat"], "content_type": "text/plain"},
}


class ClientTests(support.DaemonCase):
    handlers = HANDLERS

    def setUp(self):
        self.client = futured.Client(self.daemon.url)

    def tearDown(self):
        self.client.close()

    def test_inputs_and_results_keep_their_kind(self):
        for value in (None, 1, 1.5, True, [1, {"a": "ü"}], {"content_type": 1}, "text", "", b"\x00\xff", b""):
            with self.subTest(value=value):
                task = self.client.submit("echo", value)
                self.assertEqual(task.result(support.WAIT_S), value)
        self.assertEqual(self.client.submit("echo", "x", lane="cpu").result(support.WAIT_S), "x")
        self.assertEqual(self.client.submit("bytes", "abc").result(support.WAIT_S), b"abc")
        self.assertEqual(self.client.submit("echo", b"[1]", content_type="application/json").result(support.WAIT_S), [1])
        self.assertEqual(self.client.submit("bytes").result(support.WAIT_S), b"")

    def test_values_of_a_batch_keep_their_kind(self):
        tasks = [{"handler": "echo", "input": {"a": 1}}, {"handler": "bytes", "input": "abc"},
                 {"handler": "text", "input": "abc"}]
        self.assertEqual(list(self.client.batch(tasks).values(support.WAIT_S)), [{"a": 1}, b"abc", "abc"])

    def test_a_failure_is_raised_with_all_that_is_known(self):
        task = self.client.submit("fail", "x")
        with self.assertRaises(futured.TaskFailed) as caught:
            task.result(support.WAIT_S)
        self.assertEqual(caught.exception.code, "exit")
        self.assertEqual(caught.exception.error["exit_code"], 3)
        self.assertEqual(caught.exception.log, "some words\n")
        self.assertIsInstance(task.exception(), futured.TaskFailed)
        self.assertEqual(task.log(), "some words\n")
        self.assertIsNone(self.client.submit("echo", 1).exception(support.WAIT_S))

    def test_a_timeout_is_a_TimeoutError(self):
        with self.assertRaises(futured.TaskTimeout) as caught:
            self.client.submit("brief", "x").result(support.WAIT_S)
        self.assertIsInstance(caught.exception, TimeoutError)

    def test_not_done_in_time_leaves_the_task_alone(self):
        task = self.client.submit("slow", "x")
        for wait in (task.result, task.exception, lambda s: list(self.client.as_completed([task], s))):
            with self.assertRaises(futured.NotDone) as caught:
                wait(0.05)
            self.assertIsInstance(caught.exception, TimeoutError)
        self.assertFalse(task.done())
        next(task.follow_log())
        self.assertFalse(task.cancel(running=False))
        self.assertTrue(task.cancel())
        self.assertTrue(task.cancel())
        with self.assertRaises(futured.CancelledError):
            task.result(support.WAIT_S)
        self.assertFalse(self.client.cancel(self.finished("echo")))

    def finished(self, handler):
        task = self.client.submit(handler, "x")
        task.exception(support.WAIT_S)
        return task

    def test_options_reach_the_daemon(self):
        delay = datetime.timedelta(hours=1)
        task = self.client.submit("echo", 1, delay=delay, retries=3, priority=7, queue="mail", unique=None)
        self.assertEqual([task.info[name] for name in ("state", "delay", "priority", "queue")],
                         ["scheduled", 3600, 7, "mail"])
        at = datetime.datetime(2027, 11, 1, tzinfo=datetime.timezone.utc)
        later = self.client.submit("echo", b"1", run_at=at)
        self.assertEqual((later.info["state"], later.info["run_at"][:10]), ("scheduled", "2027-11-01"))
        with self.assertRaises(ValueError):
            self.client.submit("echo", 1, run_at=datetime.datetime(2027, 11, 1))
        with self.assertRaises(TypeError):
            self.client.submit("echo", b"1", backoff={"first": 1})
        task.cancel()
        later.cancel()

    def test_a_refusal_says_why(self):
        for arguments, status, code, field in [(("nobody", 1), 422, "unknown_handler", "handler"),
                                               (("nobody", b""), 404, "unknown_handler", None)]:
            with self.assertRaises(futured.Problem) as caught:
                self.client.submit(*arguments)
            self.assertEqual((caught.exception.status, caught.exception.code), (status, code))
            if field:
                self.assertEqual(caught.exception.field, field)
        with self.assertRaises(futured.Problem) as caught:
            self.client.submit("echo", 1, timeout=-1)
        self.assertEqual((caught.exception.code, caught.exception.field), ("invalid_value", "timeout"))
        with self.assertRaises(futured.Problem) as caught:
            self.client.batch([{"handler": "echo"}, {"handler": "nobody"}])
        self.assertEqual(caught.exception.info["line"], 2)

    def test_retry_and_delete(self):
        task = self.finished("fail")
        self.assertEqual(task.retry()["state"], "queued")
        self.assertIsInstance(task.exception(support.WAIT_S), futured.TaskFailed)
        task.delete()
        task.delete()
        with self.assertRaises(futured.Problem) as caught:
            task.refresh()
        self.assertEqual(caught.exception.code, "unknown_future")

    def test_the_log_is_followed(self):
        task = self.client.submit("slow", "x")
        parts = task.follow_log()
        self.assertEqual(next(parts), "begun\n")
        task.cancel()
        self.assertEqual(list(parts), [])

    def test_map_keeps_the_order_and_raises(self):
        values = self.client.map("sleep", [{"ms": 50}, {"ms": 1}, {"ms": 20}], timeout=support.WAIT_S)
        self.assertEqual(len(list(values)), 3)
        numbers = list(range(500))
        self.assertEqual(list(self.client.map("echo", numbers)), numbers)
        batch = self.client.batch([{"handler": "echo", "input": 1}, {"handler": "fail"}])
        values = batch.values(support.WAIT_S)
        self.assertEqual(next(values), 1)
        with self.assertRaises(futured.TaskFailed):
            next(values)
        self.assertEqual(batch.refresh()["counts"]["failed"], 1)

    def test_wait(self):
        slow, quick, bad = (self.client.submit(name, "x") for name in ("slow", "echo", "fail"))
        bad.exception(support.WAIT_S)
        done, not_done = self.client.wait([slow, quick], support.WAIT_S, "FIRST_COMPLETED")
        self.assertEqual((done, not_done), ([quick.id], [slow.id]))
        done, not_done = self.client.wait([slow, bad], support.WAIT_S, "FIRST_EXCEPTION")
        self.assertEqual((done, not_done), ([bad.id], [slow.id]))
        self.assertEqual(self.client.wait([slow], 0.05).not_done, [slow.id])
        slow.cancel()
        self.assertEqual(self.client.wait([slow, quick, bad]).done, [slow.id, quick.id, bad.id])
        self.assertEqual(self.client.wait([]), ([], []))

    def test_a_batch_is_cancelled(self):
        batch = self.client.batch({"handler": "slow"} for _ in range(5))
        batch.cancel()
        self.assertEqual({each["state"] for each in batch.as_completed(support.WAIT_S)}, {"cancelled"})
        self.assertEqual([each.id for each in batch], batch.ids)

    def test_events_of_named_tasks_resume_behind_a_number(self):
        tasks = [self.finished("echo") for _ in range(3)]
        events = list(self.client.events(tasks))
        self.assertEqual([each.event for each in events], ["done", "done", "done", "end"])
        rest = list(self.client.events(tasks, last=events[0].id))
        self.assertEqual([each.data.get("id") for each in rest], [tasks[1].id, tasks[2].id, None])

    def test_events_are_chosen(self):
        task = self.finished("fail")
        batch = self.client.batch([{"handler": "fail"}])
        batch.wait(support.WAIT_S)
        for tell in (lambda kinds: self.client.events([task], kinds=kinds), lambda kinds: batch.events(kinds=kinds)):
            self.assertEqual([each.event for each in tell(iter(["log", "done"]))], ["log", "done", "end"])
            self.assertEqual([each.data.get("text") for each in tell("log")], ["some words\n", None])
            self.assertEqual([each.event for each in tell(["started", "waiting"])], ["end"])
            with self.assertRaises(futured.Problem) as caught:
                list(tell(["ended"]))
            self.assertEqual(caught.exception.code, "invalid_parameter")

    def test_results_say_what_was_deleted(self):
        batch = self.client.batch({"handler": "echo", "input": i} for i in range(3))
        batch.wait(support.WAIT_S)
        self.client.delete(batch.ids[1])
        tasks = [batch.ids[0], batch.ids[2]]
        self.assertEqual([each["result"] for each in self.client.results(tasks)], [0, 2])

    def test_lists_walk_their_pages(self):
        batch = self.client.batch({"handler": "echo", "input": i} for i in range(5))
        batch.wait(support.WAIT_S)
        listed = [each["id"] for each in self.client.list(batch=batch.id, state=["succeeded"])]
        self.assertEqual(sorted(listed), sorted(batch.ids))
        self.assertEqual(len(list(self.client.list(batch=batch.id, limit=2))), 2)
        soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=1)
        self.assertEqual(list(self.client.list(after=soon)), [])

    def test_the_daemon_is_looked_at(self):
        self.assertLessEqual(set(HANDLERS), {each["name"] for each in self.client.handlers()})
        self.assertEqual({each["lane"] for each in self.client.pools()}, {"io", "cpu"})
        self.assertIn("futured", {each["program"] for each in self.client.workers()})
        self.assertIn("store", self.client.stats())
        self.client.request("PUT", "/v1/limits/one", {"max_running": 1})
        self.assertEqual(self.client.request("GET", "/v1/limits/one")["max_running"], 1)
        self.assertIsNone(self.client.request("DELETE", "/v1/limits/one"))

    def test_many_threads_share_it(self):
        results, numbers = [], itertools.count()

        def ask():
            for _ in range(20):
                n = next(numbers)
                results.append(self.client.submit("echo", n).result(support.WAIT_S) == n)

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        self.assertEqual(results, [True] * 160)

    def test_a_child_after_fork_has_connections_of_its_own(self):
        self.client.stats()
        pid = os.fork()
        if pid == 0:
            try:
                mine = all(self.client.submit("echo", i).result(support.WAIT_S) == i for i in range(50))
                os._exit(0 if mine else 1)
            except BaseException:
                os._exit(2)
        for i in range(50):
            self.assertEqual(self.client.submit("echo", -i).result(support.WAIT_S), -i)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0)


class Proxy:
    """Stands between a client and the daemon and cuts connections at a chosen place of the answer."""

    def __init__(self, url):
        self.host, _, port = url.partition("//")[2].rpartition(":")
        self.port = int(port)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = "http://127.0.0.1:%d" % self.listener.getsockname()[1]
        self.cuts, self.requests, self.answers = [], [], queue.Queue()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, client):
        """One request a connection; then `cut` bytes of the answer, or all of it."""
        with client, socket.create_connection((self.host, self.port)) as daemon:
            request = b""
            while b"\r\n\r\n" not in request:
                data = client.recv(65536)
                if not data:
                    return
                request += data
            self.requests.append(request)
            cut = self.cuts.pop(0) if self.cuts else None
            daemon.sendall(request.replace(b"\r\nHost:", b"\r\nConnection: close\r\nHost:", 1))
            sent = 0
            while cut is None or sent < cut:
                data = daemon.recv(65536 if cut is None else min(65536, cut - sent))
                if not data:
                    return
                client.sendall(data)
                if not sent:
                    self.answers.put(data[:12])
                sent += len(data)


class LossTests(support.DaemonCase):
    handlers = HANDLERS

    def setUp(self):
        self.proxy = Proxy(self.daemon.url)
        self.addCleanup(self.proxy.listener.close)
        self.client = futured.Client(self.proxy.url)

    def futures(self, **filters):
        return list(futured.Client(self.daemon.url).list(**filters))

    def test_a_lost_answer_makes_no_second_task(self):
        for n, submit in enumerate((lambda: self.client.submit("echo", 1, queue="lost0"),
                                    lambda: self.client.submit("echo", b"1", queue="lost1"),
                                    lambda: self.client.batch([{"handler": "echo", "queue": "lost2"}]))):
            with self.subTest(n=n):
                self.proxy.cuts[:] = [0, 10, 200]
                self.proxy.requests.clear()
                submit()
                self.assertEqual(len(self.proxy.requests), 4)
                keys = {line for each in self.proxy.requests for line in each.split(b"\r\n") if line.startswith(b"Idempo")}
                self.assertEqual(len(keys), 1)
                named = [each for each in self.futures() if each.get("queue") == "lost%d" % n]
                self.assertEqual(len(named), 1)

    def test_a_cut_stream_goes_on_without_gap_or_repeat(self):
        batch = self.client.batch({"handler": "echo", "input": i} for i in range(40))
        futured.Client(self.daemon.url).wait(batch.ids, support.WAIT_S)
        self.proxy.requests.clear()
        self.proxy.cuts[:] = [0, 700, 1500, 3000, 50]
        self.assertEqual(list(batch.values(support.WAIT_S)), list(range(40)))
        self.assertGreater(len(self.proxy.requests), 4)
        self.assertIn(b"Last-Event-ID", self.proxy.requests[-1])

    def test_what_is_not_safe_to_repeat_is_not_repeated(self):
        task = self.client.submit("fail")
        task.exception(support.WAIT_S)
        self.proxy.requests.clear()
        self.proxy.cuts[:] = [0]
        with self.assertRaises(futured.Unreachable):
            task.retry()
        self.assertEqual(len(self.proxy.requests), 1)


class DaemonLifeTests(unittest.TestCase):
    def test_kill_9_is_bridged(self):
        daemon = support.Daemon(HANDLERS)
        try:
            client = futured.Client(daemon.url)
            batch = client.batch({"handler": "sleep", "input": {"ms": 5}} for _ in range(300))
            values = batch.values(support.WAIT_S)
            next(values)
            daemon.restart(signal.SIGKILL)
            self.assertEqual(len(list(values)), 299)
            daemon.restart(signal.SIGTERM)
            self.assertEqual(client.submit("echo", 1).result(support.WAIT_S), 1)
        finally:
            daemon.stop()

    def test_a_full_queue_is_waited_for(self):
        daemon = support.Daemon(HANDLERS, FUTURED_MAX_QUEUED="1", MAX_THREADS="1")
        try:
            client = futured.Client(daemon.url)
            client.request("PATCH", "/v1/pools/io", {"paused": True})
            client.submit("echo", 0, lane="io")
            proxy, waiting = Proxy(daemon.url), []
            self.addCleanup(proxy.listener.close)
            thread = threading.Thread(target=lambda: waiting.append(
                futured.Client(proxy.url, patience=0).submit("echo", 1).result(support.WAIT_S)))
            thread.start()
            self.assertEqual(proxy.answers.get(timeout=support.WAIT_S), b"HTTP/1.1 503")
            client.request("PATCH", "/v1/pools/io", {"paused": False})
            thread.join(support.WAIT_S)
            self.assertEqual(waiting, [1])
        finally:
            daemon.stop()

    def test_nobody_there(self):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        with self.assertRaises(futured.Unreachable) as caught:
            futured.Client("http://127.0.0.1:%d" % port, patience=0.2).stats()
        self.assertIsInstance(caught.exception, ConnectionError)

    def test_unix_socket(self):
        path = "/tmp/futured-python-%d.sock" % os.getpid()
        daemon = support.Daemon(FUTURED_LISTEN="unix:" + path)
        try:
            client = futured.Client("unix:" + path)
            self.assertEqual(list(client.map("echo", [1, 2])), [1, 2])
        finally:
            daemon.stop()

    def test_token_and_tls(self):
        with support.tempfile.TemporaryDirectory() as directory:
            cert, key, tokens = (os.path.join(directory, name) for name in ("cert.pem", "key.pem", "tokens"))
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-days", "2", "-subj",
                            "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert],
                           check=True, capture_output=True)
            with open(tokens, "w", encoding="ascii") as file:
                file.write("s" * 32 + " submit,read\n")
            daemon = support.Daemon(FUTURED_TOKENS=tokens, FUTURED_TLS_CERT=cert, FUTURED_TLS_KEY=key)
            try:
                url = daemon.url.replace("http:", "https:")
                client = futured.Client(url, ca=cert, token="s" * 32)
                self.assertEqual(list(client.map("echo", ["a", "b"])), ["a", "b"])
                with self.assertRaises(futured.Problem) as caught:
                    client.delete("0" * 8)
                self.assertEqual(caught.exception.code, "forbidden")
                with self.assertRaises(futured.Problem) as caught:
                    futured.Client(url, ca=cert).stats()
                self.assertEqual(caught.exception.code, "unauthorized")
                with self.assertRaises(futured.Unreachable) as unknown:
                    futured.Client(url, token="s" * 32, patience=0).stats()
                self.assertIsInstance(unknown.exception.__cause__, ssl.SSLError)
            finally:
                daemon.stop()


if __name__ == "__main__":
    assert LONG_POLL <= 50
    support.main()
