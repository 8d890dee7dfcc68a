#!/usr/bin/env python3
"""@futured.task and `python3 -m futured serve`: functions of a module as handlers; bars."""

import importlib.util
import io
import json
import os
import subprocess
import sys
import tempfile
import unittest

import support

import futured

MODULE = '''
import futured

@futured.task(retries=2, timeout=50)
def add(one, two=10, **more):
    """Adds.

    And more."""
    print("adding", one)
    futured.current().progress(0.5, "half")
    return one + two + sum(more.values())

@futured.task(name="shout", lane="io")
def upper(text):
    return text.upper()

@futured.task
def fail(kind):
    raise {"key": KeyError, "value": ValueError}[kind]("on purpose")

@futured.task
def raw(data):
    return data[::-1]
'''


class TaskTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(prefix="futured-python-")
        with open(os.path.join(cls.directory, "mytasks.py"), "w", encoding="ascii") as file:
            file.write(MODULE)
        environment = {**os.environ, "PYTHONPATH": support.PACKAGE}
        printed = subprocess.run([sys.executable, "-m", "futured", "handlers", "mytasks"], env=environment, check=True,
                                 cwd=cls.directory, stdout=subprocess.PIPE).stdout
        cls.entries = json.loads(printed)
        cls.daemon = support.Daemon(cls.entries)
        os.environ["FUTURED_URL"] = cls.daemon.url
        sys.path.insert(0, cls.directory)
        import mytasks

        cls.module = mytasks
        cls.client = futured.Client(cls.daemon.url)

    @classmethod
    def tearDownClass(cls):
        cls.daemon.stop()
        support.shutil.rmtree(cls.directory)

    def test_entries(self):
        add = self.entries["add"]
        self.assertEqual((add["lane"], add["retries"], add["timeout"], add["description"]), ("cpu", 2, 50, "Adds."))
        self.assertEqual(self.entries["shout"]["worker"][1:], ["-m", "futured", "serve", "mytasks", "--threads", "20"])
        self.assertEqual(add["env"], {"PYTHONPATH": support.PACKAGE + os.pathsep + self.directory})
        shown = {each["name"]: each for each in self.client.handlers()}
        self.assertEqual((shown["add"]["retries"], shown["shout"]["lane"]), (2, "io"))

    def test_serve_is_for_the_daemon(self):
        found = subprocess.run([sys.executable, "-m", "futured", "serve", "mytasks"], cwd=self.directory,
                               env={**os.environ, "PYTHONPATH": support.PACKAGE}, capture_output=True, encoding="utf-8", timeout=support.WAIT_S)
        self.assertEqual(found.returncode, 1)
        self.assertIn("python3 -m futured handlers mytasks", found.stderr)

    def test_submit(self):
        add = self.module.add
        task = add.submit(1, 2, three=3)
        self.assertEqual(task.result(support.WAIT_S), 6)
        self.assertIn("adding 1", task.log())
        self.assertEqual(add.submit(one=1).result(support.WAIT_S), 11)
        self.assertEqual(add.on(self.client, priority=7).submit(1).info["priority"], 7)
        self.assertEqual(self.module.upper.submit("abc").result(support.WAIT_S), "ABC")
        self.assertRaises(TypeError, add.submit)
        self.assertRaises(TypeError, add.submit, 1, 2, 3)

    def test_here_it_is_a_function(self):
        self.assertEqual(self.module.upper("abc"), "ABC")
        self.assertEqual(self.module.upper.__name__, "upper")
        self.assertIsNone(futured.current())

    def test_any_language_calls_it(self):
        for value, result in (({"one": 1}, 11), ([1, 2], 3), (5, 15)):
            self.assertEqual(self.client.submit("add", value).result(support.WAIT_S), result)
        self.assertEqual(self.client.submit("raw", b"abc").result(support.WAIT_S), b"cba")
        self.assertEqual(self.client.submit("shout", "text").result(support.WAIT_S), "TEXT")

    def test_what_it_raises_is_the_failure(self):
        found = self.module.fail.submit("key").exception(support.WAIT_S)
        self.assertEqual((found.code, found.type), ("handler_failed", "KeyError"))
        self.assertEqual(self.client.submit("fail", {"wrong": 1}).exception(support.WAIT_S).type, "TypeError")

    def test_what_cannot_be_one(self):
        self.assertRaises(TypeError, futured.task, lambda *args: args)
        self.assertRaises(TypeError, futured.task(speed=1), len)
        done = subprocess.run([sys.executable, "-m", "futured", "handlers", "json"], check=False, text=True,
                              env={**os.environ, "PYTHONPATH": support.PACKAGE}, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("no function with @futured.task", done.stderr)

    @unittest.skipUnless(importlib.util.find_spec("tqdm"), "this Python has no tqdm")
    def test_tqdm_counts_a_map(self):
        import tqdm

        file = io.StringIO()
        values = self.client.map("echo", range(20))
        self.assertEqual(list(tqdm.tqdm(values, total=20, file=file)), list(range(20)))
        self.assertIn("20/20", file.getvalue())

    def test_progress(self):
        class Terminal(io.StringIO):
            def isatty(self):
                return True

        batch = self.client.batch({"handler": "echo", "input": n} for n in range(20))
        for file, is_drawn in ((Terminal(), True), (io.StringIO(), False)):
            found = [each["result"] for each in futured.progress(batch, file=file)]
            self.assertEqual(sorted(found), list(range(20)))
            self.assertEqual("20/20" in file.getvalue() and file.getvalue().endswith("\n"), is_drawn)


if __name__ == "__main__":
    support.main()
