#!/usr/bin/python3
"""CPython's own tests of its executors, from Debian's libpython3.11-testsuite, with our executors in place of theirs:
the thread classes on the io lane, the process classes (spawn) on the cpu lane. None of their code is here.

    tests/python/cpython.py [NAME…]       all of them, or those whose name has one of these words in it
    tests/python/cpython.py --one NAME    one, in this process, with the daemon of $FUTURED_URL

Each test runs in a process of its own. SKIPPED names those that cannot pass, and why.
"""

import concurrent.futures
import os
import subprocess
import sys
import threading
import time
import types
import unittest

import calls_support
import support

import futured

TEST_S = 40 * support.FACTOR
SHARED = "shares an object of the caller's memory with the calls"
COUNTED = "counts or names the pool's own threads or processes"
SKIPPED = {
    "ThreadPoolExecutorTest.test_map_submits_without_iteration": SHARED + " (a list)",
    "ThreadPoolExecutorTest.test_executor_map_current_future_cancel": SHARED + " (a threading.Event)",
    "ThreadPoolExecutorTest.test_idle_thread_reuse": COUNTED,
    "ThreadPoolExecutorTest.test_saturation": COUNTED,
    "ThreadPoolShutdownTest.test_threads_terminate": COUNTED,
    "ThreadPoolShutdownTest.test_thread_names_assigned": COUNTED,
    "ThreadPoolShutdownTest.test_thread_names_default": COUNTED,
    "ProcessPoolSpawnProcessPoolExecutorTest.test_idle_process_reuse_one": COUNTED,
    "ProcessPoolSpawnProcessPoolExecutorTest.test_idle_process_reuse_multiple": "would pass without a process of ours",
    "ThreadPoolExecutorTest.test_hang_global_shutdown_lock": "would pass: the lock that it is about is not ours",
    "ProcessPoolSpawnProcessPoolExecutorTest.test_saturation": COUNTED,
    "ProcessPoolSpawnProcessPoolShutdownTest.test_processes_terminate": COUNTED,
    "ProcessPoolSpawnProcessPoolExecutorTest.test_max_tasks_per_child": COUNTED + "; ours: test_max_tasks_per_child",
    "ProcessPoolSpawnProcessPoolExecutorTest.test_max_tasks_per_child_defaults_to_spawn_context":
        "asks for the start method, which is not ours to choose",
    "ProcessPoolSpawnProcessPoolExecutorTest.test_killed_child":
        "wants the whole pool broken by one dead worker; ours: test_a_dead_worker_fails_one_call",
    "ProcessPoolSpawnProcessPoolExecutorTest.test_ressources_gced_in_workers":
        "needs the caller's multiprocessing.authkey in the worker, which would lie in the database",
    "ProcessPoolSpawnFailingInitializerTest.test_initializer":
        "gives an mp.Queue to the initializer, which only a child by inheritance may have; ours: test_initializer",
}


class _Manager:
    """Stands for the thread that manages a pool of processes."""

    def __init__(self, executor):
        self._scope = executor._scope

    def join(self):
        self._scope.wait()


class _Queue:
    def join_thread(self):
        pass


class _Inside:
    """What the tests expect inside of an executor. Ours has no threads or processes that end with it."""

    _call_queue = _Queue()

    @property
    def _threads(self):
        return set()

    @property
    def _processes(self):
        return {}

    @property
    def _broken(self):
        return self._scope.broken is not None

    @property
    def _executor_manager_thread(self):
        return _Manager(self)


class ThreadPoolExecutor(_Inside, futured.ThreadPoolExecutor):
    pass


class ProcessPoolExecutor(_Inside, futured.ProcessPoolExecutor):
    pass


def load():
    """Their module, with our executors in it."""
    from test import test_concurrent_futures as theirs

    run = theirs.assert_python_ok

    def run_ours(*arguments):
        texts = [each.replace("from concurrent.futures import", "from futured import") for each in arguments]
        return run(*texts, __isolated=False, PYTHONPATH=support.PACKAGE)

    theirs.assert_python_ok = run_ours
    theirs.threading_helper.threading_cleanup = lambda *_: None  # our two threads live as long as their process
    theirs.ThreadPoolMixin.executor_type = ThreadPoolExecutor
    theirs.ProcessPoolSpawnMixin.executor_type = ProcessPoolExecutor
    theirs.Future = futured.Future
    assert concurrent.futures.ThreadPoolExecutor and concurrent.futures.ProcessPoolExecutor  # loaded when first named
    theirs.futures = types.SimpleNamespace(**vars(concurrent.futures))
    theirs.futures.ThreadPoolExecutor, theirs.futures.ProcessPoolExecutor = ThreadPoolExecutor, ProcessPoolExecutor
    return theirs


def names(theirs):
    found = []
    for name, cls in sorted(vars(theirs).items()):
        if isinstance(cls, type) and issubclass(cls, unittest.TestCase) and cls.__module__ == theirs.__name__ \
                and not name.startswith(("ProcessPoolFork", "BaseTestCase")):
            found += ["%s.%s" % (name, each) for each in unittest.TestLoader().getTestCaseNames(cls)]
    return found


def run_one(name):
    suite = unittest.defaultTestLoader.loadTestsFromName(name, load())
    result = unittest.TextTestRunner(verbosity=0).run(suite)
    sys.stdout.flush()
    os._exit(0 if result.wasSuccessful() and result.testsRun == 1 else 1)


def main(words):
    wanted = [each for each in names(load()) if not words or any(word in each for word in words)]
    unknown = set(SKIPPED) - set(names(load()))
    daemon = calls_support.CallsDaemon(threads=5, MAX_WORKERS="5", FUTURED_MAX_BODY="64M")
    bad = sorted("%s is skipped and does not exist" % each for each in unknown)
    lock, todo = threading.Lock(), [each for each in wanted if each not in SKIPPED]
    count = len(todo)

    def work():
        while True:
            with lock:
                if not todo:
                    return
                name = todo.pop(0)
            began = time.monotonic()
            try:
                done = subprocess.run([sys.executable, os.path.abspath(__file__), "--one", name], check=False,
                                      env=daemon.environment(), timeout=TEST_S, text=True, stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT)
                said = done.stdout if done.returncode else None
            except subprocess.TimeoutExpired as late:
                said = "did not end within %d s\n%s" % (TEST_S, (late.stdout or b"").decode("utf-8", "replace"))
            with lock:
                print("%-4s %6.1f s  %s" % ("ok" if said is None else "FAIL", time.monotonic() - began, name), flush=True)
                if said is not None:
                    bad.append("%s\n%s" % (name, said))

    workers = [threading.Thread(target=work) for _ in range(2)]
    for each in workers:
        each.start()
    for each in workers:
        each.join()
    daemon.stop()
    for each in bad:
        print(each)
    for name in wanted:
        if name in SKIPPED:
            print("skipped %s: %s" % (name, SKIPPED[name]))
    print("%d%%: Checks: %d, Failures: %d, Errors: 0" % (100 * (count - len(bad)) // max(1, count), count, len(bad)))
    return 1 if bad else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        run_one(sys.argv[2])
    sys.exit(main(sys.argv[1:]))
