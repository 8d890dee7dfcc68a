#!/usr/bin/env python3
"""kill -9 of the daemon, of its workers and of the client in the middle of a map of 10,000: every future ends right, and
a second process collects what the first one submitted."""

import collections
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import calls_support
import support

import futured

CALLS = 10000
LANES = (futured.ProcessPoolExecutor, futured.ThreadPoolExecutor)
PROGRAM = """
import os, sys
sys.path.insert(0, %(tests)r)
from test_kills import work
import futured

if __name__ == "__main__":
    executor = futured.%(kind)s()
    futures = [executor.submit(work, n, %(ran)r) for n in range(%(calls)d)]
    executor.flush()
    with open(%(ids)r, "w") as file:
        file.writelines(future.id + "\\n" for future in futures)
    for n, future in enumerate(futures):
        future.result()
        print(n, flush=True)
"""
LEAVES = """
import time
import futured

if __name__ == "__main__":
    executor = futured.ThreadPoolExecutor(on_disconnect="cancel", grace=1)
    futures = [executor.submit(time.sleep, seconds) for seconds in (0, 600, 600)]
    executor.flush()
    futures[0].result()
    print(*(future.id for future in futures), flush=True)
    futures[1].result()
"""


def work(number, ran):
    """Leaves a line in the file `ran` each time that it runs."""
    fd = os.open(ran, os.O_WRONLY | os.O_APPEND)
    os.write(fd, b"%d\n" % number)
    os.close(fd)
    return -number


def wait_for_file(path):
    while not os.path.exists(path):
        time.sleep(0.01)
    return path


class KillTests(unittest.TestCase):
    def setUp(self):
        self.daemon = calls_support.CallsDaemon()
        self.addCleanup(self.daemon.stop)
        self.where = {"url": self.daemon.url, "key": self.daemon.key}
        self.client = futured.Client(self.daemon.url)
        self.directory = tempfile.mkdtemp(prefix="futured-python-")
        self.addCleanup(support.shutil.rmtree, self.directory)
        self.ran = os.path.join(self.directory, "ran")
        open(self.ran, "w", encoding="ascii").close()

    def runs(self):
        """How often each call ran."""
        with open(self.ran, encoding="ascii") as file:
            return collections.Counter(map(int, file))

    def test_a_call_alone_finds_its_connection_or_session_gone(self):
        """It went out over the connection of the call before it, without a look at that."""
        with futured.ProcessPoolExecutor(**self.where) as executor:
            self.assertEqual(executor.submit(work, 1, self.ran).result(support.WAIT_S), -1)
            for number in range(2, 5):
                self.assertEqual(executor.submit(work, number, self.ran).result(support.WAIT_S), -number)
            self.daemon.end(signal.SIGKILL)
            self.daemon.start()
            self.assertEqual(executor.submit(work, 5, self.ran).result(support.WAIT_S), -5)
            self.assertEqual(executor.submit(work, 6, self.ran).result(support.WAIT_S), -6)
            self.client.request("DELETE", "/v1/sessions/" + executor._scope.stream.session)
            self.assertEqual(executor.submit(work, 7, self.ran).result(support.WAIT_S), -7)
            late = executor.submit(work, 8, self.ran)
            self.daemon.end(signal.SIGKILL)
            self.daemon.start()
            self.assertEqual(late.result(support.WAIT_S), -8)
        ran = self.runs()
        self.assertEqual([ran[number] for number in range(1, 8)], [1] * 7)

    def test_what_runs_is_told(self):
        """To who asks often, without a question to the daemon; and it is right behind its death, too."""
        first, second = (os.path.join(self.directory, name) for name in ("first", "second"))
        with futured.ThreadPoolExecutor(1, **self.where) as executor:
            runs, waits = executor.submit(wait_for_file, first), executor.submit(wait_for_file, second)
            asked, get = [], executor._core.get
            executor._core.get = lambda future: asked.append(future) or get(future)
            self.until(lambda: runs.running() and executor._scope.stream.tells_runs)
            self.assertTrue(runs.running())
            self.assertFalse(waits.running())
            del asked[:]
            for _ in range(100):
                self.assertTrue(runs.running())
                self.assertFalse(waits.running())
            open(first, "w", encoding="ascii").close()
            self.assertEqual(runs.result(support.WAIT_S), first)
            self.until(waits.running)
            self.assertEqual(asked, [])
            connections = executor._scope.stream.connections
            self.daemon.restart(signal.SIGKILL)
            self.until(lambda: executor._scope.stream.connections > connections and waits.running())
            open(second, "w", encoding="ascii").close()
            self.assertEqual(waits.result(support.WAIT_S), second)
            self.assertFalse(runs.running() or waits.running())

    def until(self, condition):
        until = time.monotonic() + support.WAIT_S
        while not condition():
            self.assertLess(time.monotonic(), until)

    def submit(self, executor):
        return [executor.submit(work, n, self.ran) for n in range(CALLS)]

    def ends(self, futures):
        """Waits for all; the numbers of those that failed, each as a dead worker's. The rest must have its result."""
        failed = []
        for n, future in enumerate(futures):
            error = future.exception(4 * support.WAIT_S)
            if error is None:
                self.assertEqual(future.result(), -n)
            else:
                self.assertIsInstance(error, futured.WorkerDied)
                failed.append(n)
        return failed

    def test_the_daemon(self):
        """What ran when it died runs again, and what was done is not lost: all have their results."""
        for kind in LANES:
            with self.subTest(kind=kind.__name__), kind(**self.where) as executor:
                os.truncate(self.ran, 0)
                results = executor.map(work, range(CALLS), [self.ran] * CALLS, timeout=8 * support.WAIT_S)
                for n in range(CALLS):
                    self.assertEqual(next(results), -n)
                    if n % (CALLS // 4) == CALLS // 8:
                        self.daemon.restart(signal.SIGKILL)
                self.assertRaises(StopIteration, next, results)
                self.assertEqual(set(self.runs()), set(range(CALLS)))

    def test_the_daemon_and_calls_that_run_once(self):
        """What ran when it died is lost, and says so; nothing ran twice."""
        for kind in LANES:
            with self.subTest(kind=kind.__name__), kind(options={"once": True}, **self.where) as executor:
                os.truncate(self.ran, 0)
                futures = self.submit(executor)
                for n in range(CALLS // 8, CALLS, CALLS // 4):
                    futures[n].exception(4 * support.WAIT_S)
                    self.daemon.restart(signal.SIGKILL)
                lost = []
                for n, future in enumerate(futures):
                    error = future.exception(4 * support.WAIT_S)
                    if error is None:
                        self.assertEqual(future.result(), -n)
                    else:
                        self.assertEqual(error.code, "daemon_died")
                        lost.append(n)
                runs = self.runs()
                self.assertEqual([n for n, times in runs.items() if times > 1], [])
                self.assertEqual(set(runs) | set(lost), set(range(CALLS)))

    def test_workers(self):
        """A call ends with its dead worker; all others have their results, and none of those ran twice."""
        for kind, at_once in zip(LANES, (1, 20)):
            with self.subTest(kind=kind.__name__), kind(**self.where) as executor:
                os.truncate(self.ran, 0)
                futures = self.submit(executor)
                killed = 0
                for n in range(CALLS // 8, CALLS, CALLS // 4):
                    futures[n].exception(4 * support.WAIT_S)
                    for worker in self.client.workers():
                        if worker["program"] == executor._handler and "pid" in worker:
                            with contextlib.suppress(ProcessLookupError):  # it has ended since
                                os.kill(worker["pid"], signal.SIGKILL)
                                killed += 1
                failed = self.ends(futures)
                self.assertLessEqual(len(failed), killed * at_once)
                runs = self.runs()
                self.assertEqual(set(runs) | set(failed), set(range(CALLS)))
                self.assertEqual([n for n, times in runs.items() if times > 1], [])

    def test_the_client(self):
        """Another process has the futures by their ids, those that were done and those that were not."""
        for kind in LANES:
            with self.subTest(kind=kind.__name__):
                os.truncate(self.ran, 0)
                ids = os.path.join(self.directory, kind.__name__)
                program = os.path.join(self.directory, "program.py")
                with open(program, "w", encoding="ascii") as file:
                    file.write(PROGRAM % {"kind": kind.__name__, "calls": CALLS, "ran": self.ran, "ids": ids,
                                          "tests": os.path.dirname(os.path.abspath(__file__))})
                first = subprocess.Popen([sys.executable, program], env=self.daemon.environment(),
                                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
                with first:
                    while first.stdout.readline() != b"%d\n" % (CALLS // 10):
                        self.assertIsNone(first.poll())
                    first.kill()
                with open(ids, encoding="ascii") as file:
                    names = file.read().split()
                self.assertEqual(len(names), CALLS)
                futures = futured.attach_all(names, **self.where)
                self.assertEqual(self.ends(futures), [])
                self.assertEqual(self.runs(), {n: 1 for n in range(CALLS)})

    def test_the_client_of_calls_that_end_with_it(self):
        """What was done stays; what ran and what waited is cancelled."""
        program = os.path.join(self.directory, "leaves.py")
        with open(program, "w", encoding="ascii") as file:
            file.write(LEAVES)
        with subprocess.Popen([sys.executable, program], env=self.daemon.environment(),
                              stdout=subprocess.PIPE) as first:
            names = first.stdout.readline().decode("ascii").split()
            first.kill()
        done, *others = futured.attach_all(names, **self.where)
        self.assertIsNone(done.result(support.WAIT_S))
        self.assertEqual(len(others), 2)
        for future in others:
            self.assertRaises(futured.CancelledError, future.result, support.WAIT_S)


if __name__ == "__main__":
    support.main()
