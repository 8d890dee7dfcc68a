#!/usr/bin/python3
"""joblib on executors, with Debian's package."""

import contextlib
import io
import operator
import os
import subprocess
import sys
import tempfile

import calls_support
import support

import joblib
from joblib import Parallel, delayed

import futured
import futured.joblib  # noqa: F401 - it registers the backend

use = getattr(joblib, "parallel_config", joblib.parallel_backend)  # its name since joblib 1.3


def fail(number):
    raise ValueError("number %d" % number)


def block(path):
    """Runs until somebody writes, or for ever."""
    with open(path, encoding="ascii") as file:
        return file.read()


def nested(number):
    return sum(Parallel(n_jobs=2)(delayed(operator.add)(number, n) for n in range(3)))


class JoblibTests(calls_support.CallsCase):
    settings = {"MAX_WORKERS": "3"}

    def test_results_in_order(self):
        for lane in ("cpu", "io"):
            with self.subTest(lane=lane), use("futured", lane=lane):
                found = Parallel(n_jobs=2)(delayed(operator.mul)(n, 2) for n in range(200))
                self.assertEqual(found, [2 * n for n in range(200)])
                self.assertEqual(Parallel(n_jobs=2)(delayed(lambda n: n + 1)(n) for n in range(5)), [1, 2, 3, 4, 5])
                self.assertEqual(Parallel(n_jobs=2, batch_size=7)(delayed(divmod)(n, 3) for n in range(20)),
                                 [divmod(n, 3) for n in range(20)])

    def test_the_calls_run_on_the_daemon(self):
        client = futured.Client()
        before = sum(1 for _ in client.list(handler="python.cpu", state="succeeded"))
        with use("futured"):
            pids = Parallel(n_jobs=2, batch_size=1)(delayed(os.getpid)() for _ in range(10))
        self.assertNotIn(os.getpid(), pids)
        self.assertEqual(sum(1 for _ in client.list(handler="python.cpu", state="succeeded")), before + 10)

    def test_how_many(self):
        """-1: all slots of the lane, as the daemon has them."""
        with use("futured"):
            self.assertEqual(joblib.effective_n_jobs(-1), 3)
            self.assertEqual(joblib.effective_n_jobs(-2), 2)
            self.assertEqual(joblib.effective_n_jobs(7), 7)
            self.assertRaises(ValueError, joblib.effective_n_jobs, 0)
        with use("futured", lane="io"):
            self.assertEqual(joblib.effective_n_jobs(-1), 20)

    def test_verbose_progress_is_joblibs(self):
        said = io.StringIO()
        with use("futured"), contextlib.redirect_stderr(said):
            Parallel(n_jobs=2, verbose=10, batch_size=1)(delayed(abs)(-n) for n in range(12))
        lines = said.getvalue().splitlines()
        self.assertEqual(lines[0], "[Parallel(n_jobs=2)]: Using backend FuturedBackend with 2 concurrent workers.")
        self.assertRegex(lines[-1], r"^\[Parallel\(n_jobs=2\)\]: Done  12 out of  12 \| elapsed: .* finished$")
        self.assertGreater(len(lines), 3)
        for line in lines[1:-1]:
            self.assertRegex(line, r"\]: Done +\d+ (tasks +|out of +12 )\| elapsed: ")

    def test_a_failure_cancels_the_rest(self):
        """It is raised as itself; a call that would run for ever is stopped, and the next Parallel works."""
        directory = tempfile.mkdtemp(prefix="futured-python-")
        self.addCleanup(support.shutil.rmtree, directory)
        never = os.path.join(directory, "never")
        os.mkfifo(never)
        with use("futured"):
            with self.assertRaisesRegex(ValueError, "number 3"):
                Parallel(n_jobs=2, batch_size=1)([delayed(fail)(3), delayed(block)(never), delayed(block)(never)])
            self.assertEqual(list(futured.Client().list(handler="python.cpu", state=("queued", "running"))), [])
            self.assertEqual(Parallel(n_jobs=2)(delayed(abs)(-n) for n in range(3)), [0, 1, 2])

    def test_one_inside_another(self):
        with use("futured"):
            self.assertEqual(Parallel(n_jobs=2)(delayed(nested)(n) for n in range(4)), [3, 6, 9, 12])

    def test_a_program_without_a_guard(self):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "program.py")
            with open(path, "w", encoding="ascii") as file:
                file.write("import futured.joblib\nfrom joblib import Parallel, delayed, parallel_backend\n\n"
                           "def square(x):\n    return x * x\n\nwith parallel_backend('futured', n_jobs=2):\n"
                           "    print(Parallel()(delayed(square)(x) for x in range(4)))\n")
            done = subprocess.run([sys.executable, path], env=self.daemon.environment(), stdout=subprocess.PIPE,
                                  timeout=support.WAIT_S, check=True)
        self.assertEqual(done.stdout, b"[0, 1, 4, 9]\n")


if __name__ == "__main__":
    support.main()
