#!/usr/bin/env python3
"""Executors against a real daemon: what differs from the standard library, what is durable, and who is refused."""

import asyncio
import base64
import builtins
import concurrent.futures
import fcntl
import gc
import importlib.util
import io
import logging
import multiprocessing
import operator
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import weakref

import calls_support
import support

import futured
from futured import _calls, _keys, _receiver

NUMBER = b"n" * 16         # of an executor
LANES = (futured.ThreadPoolExecutor, futured.ProcessPoolExecutor)


def write_fifo(path):
    with open(path, "w", encoding="ascii") as file:
        file.write("x")


def read_fifo(path):
    """Blocks until somebody writes."""
    with open(path, encoding="ascii") as file:
        return file.read()


def absolute_or_read(value):
    return abs(value) if isinstance(value, int) else read_fifo(value)


def fail(kind):
    raise kind("on purpose")


class Unpicklable(Exception):
    def __init__(self, one, two):
        super().__init__(one)
        self.lock = threading.Lock()


def fail_unpicklable():
    raise Unpicklable("only its text", 2)


def fail_with(printed, data):
    sys.stdout.write(printed)
    raise KeyError(data)


def die(how):
    if how == "exit":
        os._exit(3)
    os.kill(os.getpid(), how)
    threading.Event().wait()  # another thread may get the signal


class ExplodesOnLoad:
    def __reduce__(self):
        return fail, (ValueError,)


class ExitsOnLoad:
    def __reduce__(self):
        return sys.exit, (1,)


class Touches:
    """Un-pickled it leaves a file: nothing of an unsigned call may get so far."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def put(queue, value):
    queue.put(value)


class TouchingError(Exception):
    """An exception that leaves a file where it is un-pickled."""

    def __init__(self, path):
        super().__init__(path)
        self.touched = Touches(path)


def fail_touching(path):
    raise TouchingError(path)


def count(state={"n": 0}):  # noqa: B006 - it is to be shared by the calls of one process
    state["n"] += 1
    return state["n"], os.getpid()


_set = None


def initialize(value):
    global _set
    if value == "bad":
        raise ValueError("error in the initializer")
    _set = value


def get_set():
    return _set


class ExecutorTests(calls_support.CallsCase):
    def test_values_exceptions_and_keywords(self):
        for kind in LANES:
            with self.subTest(kind=kind.__name__), kind() as executor:
                self.assertEqual(executor.submit(divmod, 7, 2).result(support.WAIT_S), (3, 1))
                self.assertEqual(executor.submit(int, "11", base=2).result(support.WAIT_S), 3)
                for error in (ValueError, KeyboardInterrupt, SystemExit):
                    found = executor.submit(fail, error).exception(support.WAIT_S)
                    self.assertIs(type(found), error)
                    self.assertEqual(found.args, ("on purpose",))
                    self.assertIn("in fail", str(found.__cause__))
                big = b"x" * (3 << 20)
                self.assertEqual(executor.submit(len, big).result(support.WAIT_S), len(big))
                self.assertEqual(executor.submit(operator.mul, b"y", 5 << 20).result(support.WAIT_S), b"y" * (5 << 20))

    def test_an_exception_that_cannot_travel(self):
        with futured.ProcessPoolExecutor() as executor:
            found = executor.submit(fail_unpicklable).exception(support.WAIT_S)
        self.assertIsInstance(found, futured.RemoteError)
        self.assertEqual(found.type, "Unpicklable")
        self.assertIn("only its text", str(found))
        self.assertIn("fail_unpicklable", str(found.__cause__))

    def test_an_exception_is_not_in_the_log(self):
        """It travels beside it, up to about 1 MiB, and no part of it is taken for what the function printed."""
        for kind in LANES:
            with self.subTest(kind=kind.__name__), kind(output="keep") as executor:
                future = executor.submit(fail_with, "before\n", b"\x1e" * 900000)
                found = future.exception(support.WAIT_S)
                self.assertIs(type(found), KeyError)
                self.assertEqual(found.args, (b"\x1e" * 900000,))
                self.assertIn("fail_with", str(found.__cause__))
                self.assertTrue(future.log().startswith("before\n"))
                self.assertLess(len(future.log()), 10000)
                found = executor.submit(fail_with, "", b"x" * (1 << 20)).exception(support.WAIT_S)
                self.assertIsInstance(found, futured.RemoteError)
                self.assertEqual(found.type, "KeyError")

    def test_a_dead_worker_fails_one_call(self):
        for kind in LANES:
            with self.subTest(kind=kind.__name__), kind() as executor:
                for how in (signal.SIGKILL, signal.SIGSEGV, "exit"):
                    found = executor.submit(die, how).exception(support.WAIT_S)
                    self.assertIsInstance(found, futured.WorkerDied)
                    self.assertIsInstance(found, concurrent.futures.process.BrokenProcessPool)
                    self.assertIn("exited with 3" if how == "exit" else signal.Signals(how).name, str(found))
                    self.assertEqual(executor.submit(abs, -1).result(support.WAIT_S), 1)

    def test_a_crash_costs_other_executors_nothing(self):
        """On the io lane they have one worker: the calls of the same executor go with its process, no others."""
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "x")
            os.mkfifo(path)
            with futured.ThreadPoolExecutor() as one, futured.ThreadPoolExecutor() as two:
                waits = two.submit(read_fifo, path)
                while not waits.running():
                    pass
                self.assertIsInstance(one.submit(die, signal.SIGSEGV).exception(support.WAIT_S), futured.WorkerDied)
                with open(path, "w", encoding="ascii") as file:
                    file.write("alive")
                self.assertEqual(waits.result(support.WAIT_S), "alive")

    def test_a_slow_call_keeps_no_quick_one_waiting(self):
        """On the io lane, where one thread runs quick calls one after the other and answers them together."""
        with tempfile.TemporaryDirectory() as directory, futured.ThreadPoolExecutor() as executor:
            path = os.path.join(directory, "x")
            os.mkfifo(path)
            for _ in range(5):
                self.assertEqual(list(executor.map(abs, range(100))), list(range(100)))
                found = executor.map(absolute_or_read, [-1, path, -2, -3], timeout=support.WAIT_S)
                try:
                    self.assertEqual(next(found), 1)
                    quick = executor.submit(abs, -4)
                    self.assertIn(quick, concurrent.futures.wait([quick], support.WAIT_S).done)
                    self.assertEqual(quick.result(), 4)
                finally:
                    write_fifo(path)
                self.assertEqual(list(found), ["x", 2, 3])

    def test_a_crash_in_the_initializer(self):
        for kind in LANES:
            with self.subTest(kind=kind.__name__), kind(initializer=die, initargs=(signal.SIGSEGV,)) as executor:
                self.assertIsInstance(executor.submit(abs, -1).exception(support.WAIT_S),
                                      concurrent.futures.BrokenExecutor)

    def test_what_cannot_be_loaded(self):
        for kind in LANES:
            with self.subTest(kind=kind.__name__), kind() as executor:
                for bad in (ExplodesOnLoad(), ExitsOnLoad()):
                    self.assertIsInstance(executor.submit(id, bad).exception(support.WAIT_S), futured.TransportError)
                found = executor.submit(id, threading.Lock()).exception(support.WAIT_S)
                self.assertIsInstance(found, TypeError)
                self.assertEqual(executor.submit(abs, -1).result(support.WAIT_S), 1)

    def test_by_value(self):
        base = 10

        def add(x):
            return x + base

        def twice(x):
            return add(x) * 2

        with futured.ProcessPoolExecutor() as executor:
            self.assertEqual(executor.submit(lambda: base).result(support.WAIT_S), 10)
            self.assertEqual(list(executor.map(twice, [1, 2], timeout=support.WAIT_S)), [22, 24])

    def test_programs_without_a_file(self):
        program = ("import futured, math\nN = 3\ndef up(x):\n    return [N, math.factorial(x)] if x < 4 else up(x - 1)\n"
                   "with futured.ProcessPoolExecutor() as e:\n    print(e.submit(up, 6).result())\n")
        for how in (["-c", program], ["-"]):
            done = subprocess.run([sys.executable, *how], input=program.encode(), env=self.daemon.environment(),
                                  stdout=subprocess.PIPE, timeout=support.WAIT_S, check=True)
            self.assertEqual(done.stdout, b"[3, 6]\n")

    def test_sessions_do_not_meet(self):
        """Each executor has processes of its own: no globals of another's."""
        for kind in LANES:
            with self.subTest(kind=kind.__name__), kind() as one, kind() as two:
                seen = [{}, {}]
                for _ in range(10):
                    for n, executor in enumerate((one, two)):
                        number, pid = executor.submit(count).result(support.WAIT_S)
                        self.assertEqual(number, seen[n].get(pid, 0) + 1)
                        seen[n][pid] = number
                self.assertFalse(set(seen[0]) & set(seen[1]))

    def test_processes_end_with_the_executor(self):
        for kind in LANES:
            with kind() as executor:
                pids = {executor.submit(os.getpid).result(support.WAIT_S) for _ in range(4)}
            until = time.monotonic() + support.WAIT_S
            while any(os.path.exists("/proc/%d" % pid) for pid in pids):
                self.assertLess(time.monotonic(), until, "they live on")
                time.sleep(0.01)

    def test_an_edited_module_is_read_anew(self):
        """By a new executor, and it has the client's directory, arguments and path."""
        with tempfile.TemporaryDirectory() as folder:
            program = ("import futured, os, sys\nsys.argv = ['argument']\n"
                       "def look():\n    import edited\n    return edited.VALUE, os.getcwd(), sys.argv\n"
                       "with futured.%s() as e:\n    print(*e.submit(look).result())\n")
            for kind in LANES:
                for value in (1, 22):  # of another length: the compiled file goes by length and time
                    with open(os.path.join(folder, "edited.py"), "w", encoding="ascii") as file:
                        file.write("VALUE = %d\n" % value)
                    done = subprocess.run([sys.executable, "-c", program % kind.__name__], cwd=folder, check=True,
                                          env=self.daemon.environment(), stdout=subprocess.PIPE, text=True,
                                          timeout=support.WAIT_S)
                    self.assertEqual(done.stdout, "%d %s ['argument']\n" % (value, os.path.realpath(folder)))

    def test_environment(self):
        """It is there when the main program is loaded, and in no other executor's processes."""
        program = ("import futured, os\nREAD = os.environ.get('FUT_TEST')\ndef look():\n"
                   "    return READ, os.environ.get('FUT_TEST'), os.popen('echo $FUT_TEST').read().strip()\n"
                   "if __name__ == '__main__':\n    for env in ({'FUT_TEST': 'a=\xe4'}, None):\n"
                   "        with futured.%s(env=env) as e:\n            print(ascii(e.submit(look).result()))\n")
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "program.py")
            for kind in LANES:
                with open(path, "w", encoding="utf-8") as file:
                    file.write(program % kind.__name__)
                done = subprocess.run([sys.executable, path], env=self.daemon.environment(), check=True, text=True,
                                      stdout=subprocess.PIPE, timeout=support.WAIT_S)
                self.assertEqual(done.stdout, "(%s)\n(None, None, '')\n" % ", ".join([ascii("a=\xe4")] * 3))
        for bad in ({"": "x"}, {"A=B": "x"}, {"A\0": "x"}, {"A": "\0"}, {str(n): "" for n in range(1001)}):
            self.assertRaises(ValueError, futured.ThreadPoolExecutor, env=bad)
        for bad in ({1: "x"}, {"A": 1}):
            self.assertRaises(TypeError, futured.ThreadPoolExecutor, env=bad)

    def test_many_sessions_at_once(self):
        """More than a worker keeps processes for, with small and large calls in turn."""
        for kind, many in zip(LANES, (18, 6)):
            executors = [kind() for _ in range(many)]
            futures = [executor.submit(len, b"x" * size) for size in (1, 300000) for executor in executors]
            self.assertEqual([each.result(support.WAIT_S) for each in futures], [1] * many + [300000] * many)
            for executor in executors:
                executor.shutdown()

    def test_the_preparation_goes_once(self):
        """It is not in the calls, which are as long with it as without."""
        with futured.ThreadPoolExecutor(initializer=initialize, initargs=(b"x" * 500000,)) as executor:
            self.assertEqual(len(executor.submit(get_set).result(support.WAIT_S)), 500000)
            self.assertLess(max(map(len, self.sent(executor))), 1000)
        with self.assertRaises(ValueError) as caught:
            futured.ThreadPoolExecutor(initializer=initialize, initargs=(b"x" * (1 << 20),))
        self.assertIn("allowed: up to 1048576", str(caught.exception))

    def sent(self, executor):
        """The calls that an executor sends, as they are."""
        calls, put = [], executor._core.put
        executor._core.put = lambda item: (calls.append(item.call), put(item))
        try:
            executor.submit(get_set).result(support.WAIT_S)
        finally:
            executor._core.put = put
        return calls

    def test_a_manager_needs_its_key_there(self):
        """A proxy of a multiprocessing.Manager works in a call when its process's key was given along, and only then."""
        with multiprocessing.Manager() as manager:
            queue = manager.Queue()
            for kind in LANES:
                with kind(share_authkey=True) as executor:
                    executor.submit(put, queue, "from a call").result(support.WAIT_S)
                self.assertEqual(queue.get(timeout=support.WAIT_S), "from a call")
            with futured.ProcessPoolExecutor() as executor:
                self.assertIsNotNone(executor.submit(put, queue, "never").exception(support.WAIT_S))
            self.assertTrue(queue.empty())

    @unittest.skipUnless(importlib.util.find_spec("tqdm"), "this Python has no tqdm")
    def test_tqdm_counts_a_map(self):
        import tqdm

        for kind in LANES:
            with self.subTest(kind=kind.__name__), kind() as executor:
                file = io.StringIO()
                values = list(tqdm.tqdm(executor.map(abs, range(-20, 0)), total=20, file=file))
                self.assertEqual(values, list(range(20, 0, -1)))
                self.assertIn("20/20", file.getvalue())

    def test_progress_in_a_notebook(self):
        """There is no terminal, and the bar is drawn all the same; elsewhere without a terminal nothing is."""
        with futured.ThreadPoolExecutor() as executor:
            for in_notebook in (True, False):
                file = io.StringIO()
                if in_notebook:
                    builtins.get_ipython = lambda: None
                    self.addCleanup(builtins.__dict__.pop, "get_ipython", None)
                else:
                    del builtins.get_ipython
                futures = [executor.submit(abs, -n) for n in range(10)]
                done = [each.result() for each in futured.progress(futures, file=file)]
                self.assertEqual(sorted(done), list(range(10)))
                self.assertEqual("\r[" in file.getvalue() and "10/10" in file.getvalue(), in_notebook)
                self.assertEqual(bool(file.getvalue()), in_notebook)

    def test_refuses_what_does_not_go_with_its_end(self):
        for options in ({"on_disconnect": "stop"}, {"grace": 30}, {"on_disconnect": "cancel", "grace": 0.5},
                        {"on_disconnect": "cancel", "grace": 86401},
                        {"on_disconnect": "cancel_queued", "at_exit": "detach"}):
            self.assertRaises(ValueError, futured.ThreadPoolExecutor, **options)
        with futured.ThreadPoolExecutor(on_disconnect="cancel_queued") as executor:
            self.assertEqual(executor.submit(abs, -1).result(support.WAIT_S), 1)
            found = executor._core.client.request("GET", "/v1/sessions/" + executor._scope.stream.session)
        self.assertEqual((found["on_disconnect"], found["grace"]), ("cancel_queued", 30))

    def test_max_tasks_per_child(self):
        with futured.ProcessPoolExecutor(max_tasks_per_child=2) as executor:
            numbers = [executor.submit(count).result(support.WAIT_S)[0] for _ in range(12)]
        self.assertLessEqual(max(numbers), 2)

    def test_initializer(self):
        for kind in LANES:
            with kind(initializer=initialize, initargs=("set",)) as executor:
                self.assertEqual({executor.submit(get_set).result(support.WAIT_S) for _ in range(8)}, {"set"})
        for kind in LANES:
            with kind(initializer=initialize, initargs=("bad",)) as executor:
                with self.assertLogs("concurrent.futures", logging.CRITICAL) as logged:
                    found = executor.submit(get_set).exception(support.WAIT_S)
                self.assertIsInstance(found, futured.InitializerFailed)
                self.assertIsInstance(found, concurrent.futures.BrokenExecutor)
                self.assertIn("error in the initializer", logged.output[0])
                with self.assertRaises(futured.InitializerFailed):
                    executor.submit(get_set)

    def test_cancel_leaves_what_runs_alone(self):
        with tempfile.TemporaryDirectory() as directory:
            paths = [os.path.join(directory, name) for name in "ab"]
            for path in paths:
                os.mkfifo(path)
            with futured.ProcessPoolExecutor(options={"priority": 1}) as executor:
                runs = executor.submit(read_fifo, paths[0])
                while not runs.running():
                    pass
                self.assertFalse(runs.cancel())
                waits = executor.submit(read_fifo, paths[1])
                later = futured.ProcessPoolExecutor(options={"delay": 3600})
                never = later.submit(abs, 1)
                self.assertTrue(never.id)
                self.assertTrue(never.cancel())
                self.assertTrue(never.cancelled())
                self.assertRaises(futured.CancelledError, never.result)
                self.assertEqual(futured.wait([never]).not_done, set())
                for path, future in zip(paths, (runs, waits)):
                    with open(path, "w", encoding="ascii") as file:
                        file.write("x")
                    self.assertEqual(future.result(support.WAIT_S), "x")

    def test_cancel_running_stops_it(self):
        directory = tempfile.mkdtemp(prefix="futured-python-")
        self.addCleanup(support.shutil.rmtree, directory)
        os.mkfifo(os.path.join(directory, "never"))
        with futured.ProcessPoolExecutor() as executor:
            runs = executor.submit(read_fifo, os.path.join(directory, "never"))
            while not runs.running():
                pass
            self.assertTrue(runs.cancel_running())
            self.assertTrue(runs.cancelled())
            self.assertEqual(executor.submit(abs, -1).result(support.WAIT_S), 1)

    def test_map(self):
        for kind in LANES:
            with self.subTest(kind=kind.__name__), kind() as executor:
                for size in (1, 3, 100):
                    self.assertEqual(list(executor.map(operator.add, range(20), range(20, 40), chunksize=size)),
                                     [2 * n + 20 for n in range(20)])
                found = executor.map(divmod, [1, 2, 3], [1, 0, 1])
                self.assertEqual(next(found), (1, 0))
                self.assertRaises(ZeroDivisionError, next, found)
                self.assertEqual(next(found), (3, 0))
                self.assertRaises(StopIteration, next, found)
                self.assertRaises(ValueError, executor.map, abs, [1], chunksize=0)

    def test_map_with_a_buffer_reads_no_further(self):
        read = []

        def numbers():
            for n in range(30):
                read.append(n)
                yield n

        with futured.ThreadPoolExecutor() as executor:
            found = executor.map(abs, numbers(), buffersize=4)
            self.assertEqual(len(read), 4)
            self.assertEqual(list(found), list(range(30)))

    def test_a_dropped_map_cancels_nothing_and_close_does(self):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "x")
            with futured.ThreadPoolExecutor() as executor:
                executor.map(open, [path], ["w"])
                gc.collect()
            self.assertTrue(os.path.exists(path))
        executor = futured.ThreadPoolExecutor(options={"delay": 3600})
        found = executor.map(abs, [1, 2])
        pending = list(executor._scope.pending)
        executor.flush()
        found.close()
        self.assertTrue(all(each.cancelled() for each in pending))
        executor.shutdown()

    def test_asyncio_works_on_it(self):
        async def ask():
            with futured.ThreadPoolExecutor() as executor:
                loop = asyncio.get_running_loop()
                one = await loop.run_in_executor(executor, abs, -1)
                return one, await asyncio.wrap_future(executor.submit(abs, -2))

        self.assertEqual(asyncio.run(ask()), (1, 2))

    def test_an_executor_that_nobody_holds_ends(self):
        executor = futured.ThreadPoolExecutor()
        future, seen = executor.submit(abs, -1), weakref.ref(executor)
        del executor
        gc.collect()
        self.assertIsNone(seen())
        self.assertEqual(future.result(support.WAIT_S), 1)

    def test_shutdown(self):
        executor = futured.ThreadPoolExecutor(options={"delay": 3600})
        futures = [executor.submit(abs, n) for n in range(20)]
        executor.shutdown(cancel_futures=True)
        self.assertTrue(all(each.cancelled() for each in futures))
        self.assertRaises(RuntimeError, executor.submit, abs, 1)

    def test_a_child_after_fork_begins_anew(self):
        with futured.ThreadPoolExecutor() as executor:
            executor.submit(abs, 1).result(support.WAIT_S)
            pid = os.fork()
            if pid == 0:
                try:
                    os._exit(0 if executor.submit(abs, -7).result(support.WAIT_S) == 7 else 1)
                except BaseException:
                    os._exit(2)
            self.assertEqual(executor.submit(abs, -8).result(support.WAIT_S), 8)
            self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0)

    def test_output(self):
        program = ("import futured, sys\nwith futured.%s(output=%r) as e:\n    e.submit(print, 'one', 2).result()\n"
                   "    e.submit(lambda: sys.stdout.write('three')).result()\n")
        for kind in ("ThreadPoolExecutor", "ProcessPoolExecutor"):
            for output, printed in (("relay", b"one 2\nthree"), ("keep", b"")):
                done = subprocess.run([sys.executable, "-c", program % (kind, output)], env=self.daemon.environment(),
                                      stdout=subprocess.PIPE, timeout=support.WAIT_S, check=True)
                self.assertEqual(done.stdout, printed)


def clocks(seconds):
    begin = time.monotonic()
    time.sleep(seconds)
    return begin, time.monotonic()


class DurableTests(calls_support.CallsCase):
    def program(self, text):
        return subprocess.run([sys.executable, "-c", text], env=self.daemon.environment(), text=True, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=support.WAIT_S)

    def test_another_process_collects(self):
        done = self.program("import futured, os\ne = futured.ProcessPoolExecutor()\n"
                            "print(e.submit(lambda: 6 * 7).id, flush=True)\nos._exit(0)\n")
        self.assertEqual(futured.attach(done.stdout.strip()).result(support.WAIT_S), 42)

    def test_max_workers_is_the_most_that_runs_at_once(self):
        with futured.ThreadPoolExecutor(2) as executor:
            times = list(executor.map(clocks, [0.05] * 6))
        starts, ends = zip(*times)
        most = max(sum(begin <= at < end for begin, end in times) for at in starts)
        self.assertLessEqual(most, 2)

    def test_the_session_goes_with_the_executor(self):
        """Nothing of it is left open, neither after shutdown nor when it is dropped."""
        client = futured.Client(self.daemon.url)
        for drop in (False, True):
            executor = futured.ThreadPoolExecutor(3)
            self.assertEqual(executor.submit(abs, -1).result(support.WAIT_S), 1)
            session = executor._scope.stream.session
            self.assertEqual(client.request("GET", "/v1/sessions/" + session)["max_running"], 3)
            if drop:
                core = executor._core
                del executor
                core.flush()
            else:
                executor.shutdown()
                executor._core.flush()
            self.assertTrue(client.request("GET", "/v1/sessions/" + session)["closed"])

    def test_attach_to_many(self):
        """Those that are not there cost the others nothing."""
        with futured.ThreadPoolExecutor() as executor:
            futures = [executor.submit(abs, -n) for n in range(300)]
            names = [each.id for each in futures]
        unknown = "0193a1b2-7c00-7000-8a2b-3c4d5e6f7081"
        asked = [names[0], unknown, *names[1:], "no id", names[0].upper()]
        found = futured.attach_all(asked)
        futured.wait(found, support.WAIT_S)
        self.assertEqual([each.id for each in found], [each.lower() for each in asked])
        for n in (1, 301):
            self.assertIsInstance(found[n].exception(0), futured.TransportError)
        self.assertEqual([each.result(0) for each in (found[0], *found[2:301], found[302])], [*range(300), 0])
        self.assertEqual(futured.attach_all([]), [])

    def test_a_program_ends_when_its_calls_are_done_or_detached(self):
        for at_exit, waits in (("wait", True), ("detach", False)):
            text = ("import futured, time\ne = futured.ThreadPoolExecutor(at_exit=%r)\n"
                    "f = e.submit(time.sleep, 0.5)\nimport atexit\natexit.register(lambda: print(f.id, f.done()))\n")
            done = self.program(text % at_exit)
            name, finished = done.stdout.split()
            self.assertEqual(finished, str(waits), done.stderr)
            self.assertIsNone(futured.attach(name).result(support.WAIT_S))

    def test_kill_9_of_the_daemon(self):
        for kind in LANES:
            with kind(options={"retries": 3}) as executor:
                found = executor.map(abs, range(-400, 0))
                next(found)
                self.daemon.restart(signal.SIGKILL)
                self.assertEqual(list(found), list(range(399, 0, -1)))

    def test_a_stream_that_is_no_stream_is_asked_for_again(self):
        """Once the answer to the request for events is not the API's; the thread that reads all streams must live on."""
        asked, real = [], _receiver.session_events

        def events(session, last, tells_runs):
            call = real(session, last, tells_runs)
            asked.append(call)
            if len(asked) == 1:
                call.target = "/metrics"  # 200, and no JSON
            return call

        _receiver.session_events = events
        self.addCleanup(setattr, _receiver, "session_events", real)
        with futured.ThreadPoolExecutor() as executor, self.assertLogs("concurrent.futures", logging.ERROR):
            self.assertEqual(executor.submit(abs, -3).result(support.WAIT_S), 3)
        self.assertGreater(len(asked), 1)

    def test_no_daemon_no_handler_no_key(self):
        self.assertRaises(RuntimeError, futured.Executor, handler="nobody")
        self.assertRaises(FileNotFoundError, futured.Executor, key="/nowhere/key")
        os.chmod(self.daemon.key, 0o644)
        try:
            self.assertRaises(PermissionError, futured.Executor)
        finally:
            os.chmod(self.daemon.key, 0o600)

    def test_a_call_that_is_refused_is_told_of(self):
        executor = futured.ThreadPoolExecutor(options={"priority": 1000})
        future = executor.submit(abs, 1)
        self.assertIsInstance(future.exception(support.WAIT_S), futured.NotAccepted)
        self.assertIsInstance(future.exception().__cause__, futured.Problem)
        with self.assertWarns(RuntimeWarning):
            executor.shutdown()


    def test_a_call_that_cannot_be_handed_over_is_not_waited_for(self):
        """Neither when no thread can be started, nor when the request cannot be written."""
        done = subprocess.run([sys.executable, "-W", "ignore", "-c", NO_THREADS], env=self.daemon.environment(),
                              timeout=support.WAIT_S, check=True, stdout=subprocess.PIPE, text=True)
        self.assertEqual(done.stdout.splitlines(), ["can't start new thread", "1", "NotAccepted", "NotAccepted", "2"])


class SecurityTests(calls_support.CallsCase):
    def setUp(self):
        self.client = futured.Client(self.daemon.url)
        self.key = _keys.load(self.daemon.key)
        self.directory = tempfile.mkdtemp(prefix="futured-python-")
        self.addCleanup(support.shutil.rmtree, self.directory)

    def call(self, key, name="touched"):
        path = os.path.join(self.directory, name)
        return path, _calls.encode(key, b"call", NUMBER, _calls._functions.dumps((id, (Touches(path),), {})))

    def session(self, handler, init):
        """A session that is opened as the executor does it, with such an init."""
        body = {"handler": handler, "init": {"base64": base64.b64encode(init).decode("ascii")}}
        return self.client.request("POST", "/v1/sessions", body)["id"]

    def run_call(self, handler, session, call):
        return self.client.submit(handler, call, content_type=_calls.CALL_TYPE, session=session).result(support.WAIT_S)

    def init(self, key, number=None):
        return _calls.encode(key, b"init", number or NUMBER, _calls.preparation(None, (), None))

    def test_only_what_is_signed_is_un_pickled(self):
        path, signed = self.call(self.key, "signed")
        for handler in ("python.cpu", "python.io"):
            session = self.session(handler, self.init(self.key))
            self.run_call(handler, session, signed)
            self.assertTrue(os.path.exists(path))  # so the calls below would leave a trace
            os.unlink(path)
            path2, other = self.call(os.urandom(32), "other")
            for n, bad in enumerate((
                    other, signed[32:], b"\0" * 32 + signed[32:], signed[:-1], signed + b".", signed[:40], b"", b"x",
                    signed[:32] + other[32:], signed[:100] + bytes([signed[100] ^ 1]) + signed[101:],
                    self.init(self.key))):
                with self.subTest(n=n, handler=handler), self.assertRaises(futured.TaskFailed) as caught:
                    self.run_call(handler, session, bad)
                self.assertEqual(caught.exception.type, "TransportError")
            with self.assertRaises(futured.TaskFailed):
                self.client.submit(handler, "not base64!", session=session).result(support.WAIT_S)
            self.assertEqual(os.listdir(self.directory), [])

    def test_a_call_needs_the_init_of_its_executor(self):
        """One of another executor, of the same key, could run with other modules and globals; one without a session
        has none."""
        _, signed = self.call(self.key)
        for handler in ("python.cpu", "python.io"):
            other = self.session(handler, self.init(self.key, os.urandom(16)))
            for session in (other, None):
                with self.subTest(handler=handler), self.assertRaises(futured.TaskFailed) as caught:
                    self.run_call(handler, session, signed)
                self.assertEqual(caught.exception.type, "TransportError")
                self.assertIn("not of an executor of this session", str(caught.exception))
            self.assertEqual(os.listdir(self.directory), [])

    def test_only_an_init_that_is_signed_is_un_pickled(self):
        path = os.path.join(self.directory, "init")
        touches = _calls._functions.dumps(Touches(path))
        for handler in ("python.cpu", "python.io"):
            for n, bad in enumerate((_calls.encode(os.urandom(32), b"init", NUMBER, touches), touches, b"",
                                     _calls.encode(self.key, b"call", NUMBER, touches))):
                with self.subTest(n=n, handler=handler), self.assertRaises(futured.TaskFailed) as caught:
                    self.run_call(handler, self.session(handler, bad), self.call(self.key)[1])
                self.assertEqual(caught.exception.code, "session_broken")
                self.assertIn("is not signed with the key", str(caught.exception))
            self.assertEqual(os.listdir(self.directory), [])

    def test_a_result_of_another_call_or_key_is_refused(self):
        mac, path = b"m" * 32, os.path.join(self.directory, "result")
        data = _calls._functions.dumps(Touches(path))
        task, other = "0193a1b2-7c00-7000-8a2b-3c4d5e6f7081", "0193a1b2-7c00-7000-8a2b-3c4d5e6f7082"
        good = _calls.encode_end(self.key, mac, task, data)
        self.assertEqual(_calls.decode_end(self.key, mac, task, good), data)
        self.assertEqual(_calls.decode_end(self.key, None, task, good), data)
        for key, call, name, end in (
                (self.key, b"n" * 32, task, good), (os.urandom(32), mac, task, good), (self.key, mac, task, good[:-1]),
                (self.key, mac, other, good), (self.key, None, other, good), (self.key, mac, "", good),
                (self.key, mac, task, _calls.encode(self.key, b"call", NUMBER, data))):
            with self.assertRaises(_keys.NotSigned):
                _calls.decode_end(key, call, name, end)

    def test_a_result_that_is_not_signed_is_not_un_pickled(self):
        path = os.path.join(self.directory, "result")
        task = self.client.submit("echo", _calls._functions.dumps(Touches(path)))
        task.result(support.WAIT_S)
        self.assertIsInstance(futured.attach(task.id).exception(support.WAIT_S), futured.TransportError)
        self.assertEqual(os.listdir(self.directory), [])

    def test_another_python_is_refused(self):
        """Its calls, and its init."""
        head = _calls.HEAD.pack(_calls.MAGIC, 3, 1, NUMBER) + b"\x80"
        call, init = (_keys.sign(self.key, what, head) + head for what in (b"call", b"init"))
        for session, bad in ((self.session("python.cpu", self.init(self.key)), call),
                             (self.session("python.cpu", init), self.call(self.key)[1])):
            with self.assertRaises(futured.TaskFailed) as caught:
                self.run_call("python.cpu", session, bad)
            self.assertIn("Python 3.1", str(caught.exception))

    def test_keygen_replaces_nothing(self):
        with self.assertRaises(FileExistsError):
            _keys.generate(self.daemon.key)
        self.assertEqual(os.stat(self.daemon.key).st_mode & 0o777, 0o600)


NO_THREADS = """
import threading
import futured

start = threading.Thread.start

def refuses(thread):
    raise RuntimeError("can't start new thread")

with futured.ThreadPoolExecutor() as executor:
    threading.Thread.start = refuses
    try:
        executor.submit(abs, -1)
    except RuntimeError as error:
        print(error)
    threading.Thread.start = start
    print(executor.submit(abs, -1).result())
    wrong = futured.ThreadPoolExecutor(options={"name": {1, 2}})
    for _ in range(2):
        print(type(wrong.submit(abs, -1).exception()).__name__)
    print(executor.submit(abs, -2).result())
"""

REPLAYS = """
import os, sys
import futured_worker as sdk

@sdk.session
def prepare(init):
    pass

@sdk.handler("replays")
def replays(task):
    with open(sys.argv[1], "rb") as file:
        end = file.read()
    if os.path.exists(sys.argv[1] + ".fail"):
        error = RuntimeError("as recorded")
        error.error_data = sdk.Result(end, "application/vnd.futured.exception")
        raise error
    return sdk.Result(end, "application/vnd.futured.result")

sdk.run()
"""


class ReplayTests(unittest.TestCase):
    """A worker without the key that answers with what it has seen: signed ends of other calls."""

    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(prefix="futured-python-")
        program, cls.recorded = os.path.join(cls.directory, "replays.py"), os.path.join(cls.directory, "end")
        with open(program, "w", encoding="ascii") as file:
            file.write(REPLAYS)
        cls.daemon = calls_support.CallsDaemon(more={"replays": {
            "worker": [sys.executable, program, cls.recorded], "retries": 0, "env": {"PYTHONPATH": support.PACKAGE}}})
        cls.where = {"url": cls.daemon.url, "key": cls.daemon.key}
        cls.client = futured.Client(cls.daemon.url)

    @classmethod
    def tearDownClass(cls):
        cls.daemon.stop()
        support.shutil.rmtree(cls.directory)

    def setUp(self):
        self.path = os.path.join(self.directory, "touched")

    def record(self, data, fails):
        with open(self.recorded, "wb") as file:
            file.write(data)
        if fails:
            open(self.recorded + ".fail", "w", encoding="ascii").close()
            self.addCleanup(os.unlink, self.recorded + ".fail")

    def refused(self, found, how):
        self.assertIsInstance(found, futured.TransportError, how)
        self.assertIsInstance(found.__cause__, _keys.NotSigned, how)
        self.assertFalse(os.path.exists(self.path), how)

    def test_the_result_of_another_call(self):
        """By a future that knows its call, and by one that another process attaches."""
        with futured.ProcessPoolExecutor(**self.where) as executor:
            other = executor.submit(Touches, self.path)
            other.result(support.WAIT_S).close()
            os.unlink(self.path)  # so whoever un-pickles this end is seen
            signed = self.client.result(other.id)
        with futured.Executor(handler="replays", **self.where) as executor:
            for how, end in {"as it was": signed, "cut": signed[:-1], "longer": signed + b".", "unsigned": signed[32:],
                             "changed": signed[:90] + bytes([signed[90] ^ 1]) + signed[91:], "empty": b""}.items():
                self.record(end, False)
                future = executor.submit(abs, -1)
                self.refused(future.exception(support.WAIT_S), how)
                self.refused(futured.attach(future.id, **self.where).exception(support.WAIT_S), how)

    def test_the_failure_of_another_call(self):
        with futured.ProcessPoolExecutor(**self.where) as executor:
            other = executor.submit(fail_touching, self.path)
            other.exception(support.WAIT_S)
            os.unlink(self.path)
            signed = base64.b64decode(self.client.get(other.id)["error"]["data"]["base64"])
        self.assertIn(self.path.encode(), signed)
        self.record(signed, True)
        with futured.Executor(handler="replays", **self.where) as executor:
            future = executor.submit(abs, -1)
            self.refused(future.exception(support.WAIT_S), "failure")
            self.refused(futured.attach(future.id, **self.where).exception(support.WAIT_S), "failure, attached")

    def test_the_call_of_another_key(self):
        key = os.path.join(self.directory, "another-key")
        _keys.generate(key)
        for kind in LANES:
            with kind(url=self.daemon.url, key=key) as executor:
                found = executor.submit(id, Touches(self.path)).exception(support.WAIT_S)
            self.assertIsInstance(found, futured.TransportError)
            self.assertIn("not signed with the key", str(found))
            self.assertFalse(os.path.exists(self.path))


def alone(path):
    """Fails when it runs beside another one."""
    with open(path, "ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


class LimitTests(calls_support.CallsCase):
    """max_workers beside another executor, whose short calls fill the slots so that more are claimed ahead."""

    settings = {"MAX_WORKERS": "2"}

    def prepare_both(self, one, other):
        """Both processes have run a call of `one`."""
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "fifo")
            os.mkfifo(path)
            held = other.submit(read_fifo, path)
            with open(path, "w", encoding="ascii"):
                one.submit(abs, -1).result(support.WAIT_S)
            held.result(support.WAIT_S)
            one.submit(abs, -1).result(support.WAIT_S)

    def test_is_kept_beside_another_executor(self):
        with tempfile.NamedTemporaryFile() as file, futured.ProcessPoolExecutor(max_workers=1) as one, \
                futured.ProcessPoolExecutor() as other:
            self.prepare_both(one, other)
            for _ in range(8):
                others = [other.submit(abs, -n) for n in range(500)]
                ones = [one.submit(alone, file.name) for _ in range(500)]
                found = [each.exception(support.WAIT_S) for each in ones]
                self.assertEqual([error for error in found if error][:3], [])
                self.assertEqual([each.result(support.WAIT_S) for each in others], list(range(500)))


class PreparationTests(calls_support.CallsCase):
    """One process for the sessions of two executors."""

    settings = {"MAX_WORKERS": "1"}

    def test_calls_of_another_executor_come_behind_it(self):
        directory = tempfile.mkdtemp(prefix="futured-python-")
        self.addCleanup(support.shutil.rmtree, directory)
        path = os.path.join(directory, "fifo")
        os.mkfifo(path)
        first = futured.ProcessPoolExecutor()
        second = futured.ProcessPoolExecutor(initializer=read_fifo, initargs=(path,))
        for executor in (first, second):
            self.addCleanup(executor.shutdown, wait=False)
        self.assertEqual(sum(first.map(abs, range(400))), 79800)  # so short that calls are claimed ahead
        other = second.submit(abs, -1)
        with open(path, "w", encoding="ascii"):  # while the process prepares the session
            call = first.submit(abs, -2)
            while not call.running():
                pass
        self.assertEqual(concurrent.futures.wait([other, call], support.WAIT_S).not_done, set())
        self.assertEqual([other.result(), call.result()], [1, 2])


class SoftCancelTests(calls_support.CallsCase):
    """A call of the io lane that goes on although it was cancelled, and the grace has passed."""

    GRACE_S = 0.05
    settings = {"threads": 2, "FUTURED_KILL_GRACE": "50ms"}

    def setUp(self):
        directory = tempfile.mkdtemp(prefix="futured-python-")
        self.addCleanup(support.shutil.rmtree, directory)
        self.paths = [os.path.join(directory, name) for name in "ab"]
        for path in self.paths:
            os.mkfifo(path)

    def cancelled(self, executor):
        future = executor.submit(read_fifo, self.paths[0])
        while not future.running():
            pass
        self.assertTrue(future.cancel_running())

    def test_costs_no_other_call_its_process(self):
        with futured.ThreadPoolExecutor() as executor:
            pid = executor.submit(os.getpid).result(support.WAIT_S)
            self.cancelled(executor)
            until = time.monotonic() + 10 * self.GRACE_S
            while time.monotonic() < until:
                self.assertEqual(executor.submit(os.getpid).result(support.WAIT_S), pid)

    def test_gives_its_place_back_when_the_session_ends(self):
        with futured.ThreadPoolExecutor() as executor:
            self.cancelled(executor)
        with futured.ThreadPoolExecutor() as executor:
            writes, reads = executor.submit(write_fifo, self.paths[1]), executor.submit(read_fifo, self.paths[1])
            self.assertEqual(reads.result(support.WAIT_S), "x")
            self.assertIsNone(writes.result(support.WAIT_S))


class RemoteTests(unittest.TestCase):
    """Over TLS, by a token with the scope `code` and by one without."""

    def test_tls_and_scope(self):
        directory = tempfile.mkdtemp(prefix="futured-python-")
        self.addCleanup(support.shutil.rmtree, directory)
        cert, key, tokens = (os.path.join(directory, name) for name in ("cert.pem", "key.pem", "tokens"))
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-days", "2", "-subj",
                        "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert],
                       check=True, capture_output=True)
        with open(tokens, "w", encoding="ascii") as file:
            file.write("c" * 32 + " submit,read,code\n" + "s" * 32 + " submit,read\n")
        daemon = calls_support.CallsDaemon(FUTURED_LISTEN="127.0.0.1:0", FUTURED_TOKENS=tokens, FUTURED_TLS_CERT=cert,
                                           FUTURED_TLS_KEY=key)
        self.addCleanup(daemon.stop)
        where = {"url": daemon.url.replace("http:", "https:"), "ca": cert, "key": daemon.key}
        with futured.ThreadPoolExecutor(token="c" * 32, **where) as executor:
            self.assertEqual(list(executor.map(abs, range(-300, 0))), list(range(300, 0, -1)))
            self.assertEqual(len(executor.submit(operator.mul, b"y", 2 << 20).result(support.WAIT_S)), 2 << 20)
        with self.assertWarns(RuntimeWarning), futured.ThreadPoolExecutor(token="s" * 32, **where) as executor:
            found = executor.submit(abs, -1).exception(support.WAIT_S)
        self.assertIsInstance(found, futured.NotAccepted)
        self.assertEqual(found.__cause__.code, "forbidden")


if __name__ == "__main__":
    support.main()
