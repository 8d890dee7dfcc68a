#!/usr/bin/env python3
"""The package as others get it: installed by pip, checked by mypy, in the older and newer Pythons that are there."""

import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

import support


def run(command, **options):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **options)
    return done.returncode, done.stdout


class PackageTests(unittest.TestCase):
    def copy(self):
        directory = tempfile.mkdtemp(prefix="futured-python-")
        self.addCleanup(shutil.rmtree, directory)
        shutil.copytree(support.PACKAGE, os.path.join(directory, "python"))
        return directory

    def test_pip_installs_it(self):
        directory = self.copy()
        target = os.path.join(directory, "target")
        status, text = run(["/usr/bin/python3", "-m", "pip", "install", "--no-deps", "--no-build-isolation", "--no-index",
                            "--quiet", "--target", target, os.path.join(directory, "python")])
        self.assertEqual(status, 0, text)
        program = "import futured, futured_worker; print(futured.__file__, futured.Client)"
        status, text = run(["/usr/bin/python3", "-c", program], env={"PYTHONPATH": target}, cwd=directory)
        self.assertEqual(status, 0, text)
        self.assertTrue(text.startswith(target), text)
        self.assertTrue(os.path.exists(os.path.join(target, "futured", "py.typed")))

    def test_pip_installs_it_in_a_venv(self):
        """Without a network; the operator's commands and the worker are those of the venv."""
        directory = self.copy()
        venv = os.path.join(directory, "venv")
        status, text = run(["/usr/bin/python3", "-m", "venv", "--without-pip", "--system-site-packages", venv])
        self.assertEqual(status, 0, text)
        python = os.path.join(venv, "bin", "python3")
        status, text = run([python, "-m", "pip", "install", "--no-deps", "--no-build-isolation", "--no-index", "--quiet",
                            os.path.join(directory, "python")])
        self.assertEqual(status, 0, text)
        status, text = run([python, "-m", "futured", "handlers", "--key", "/key"], cwd=directory, env={})
        self.assertEqual(status, 0, text)
        entry = json.loads(text)["python.cpu"]
        self.assertNotIn("env", entry)  # what is installed is found without a path
        self.assertEqual(entry["worker"][0], python)
        status, text = run([*entry["worker"][:3], "--key", "/key"], cwd=directory, env={})
        self.assertIn("this is a worker program", text)

    def test_a_start_imports_little(self):
        """Programs start often: what only some of them use is imported once it is used."""
        program = "import sys; before = set(sys.modules); import futured; print(*sorted(set(sys.modules) - before))"
        status, text = run(["/usr/bin/python3", "-I", "-S", "-c", "import sys; sys.path.append(%r); %s"
                            % (support.PACKAGE, program)])
        self.assertEqual(status, 0, text)
        self.assertIn("futured._core", text.split())
        for name in ("typing", "multiprocessing", "asyncio", "ssl", "hashlib", "inspect", "datetime", "urllib.parse"):
            self.assertNotIn(name, text.split())

    def test_mypy_strict(self):
        status, text = run(["/usr/bin/mypy", "--strict", "--cache-dir", os.path.join(self.copy(), "cache")],
                           cwd=support.PACKAGE)
        self.assertEqual(status, 0, text)

    def test_every_python_runs_calls(self):
        """Debian has one Python; where there are more, each from 3.9 on runs executors, with a worker of its own."""
        tests = ["ExecutorTests.test_by_value", "ExecutorTests.test_map"]
        ran = []
        for python in [sys.executable, *sorted(glob.glob(os.path.expanduser("~/.pyenv/versions/3.*/bin/python3")))]:
            status, text = run([python, "-c", "import sys; print('%d.%d' % sys.version_info[:2], sys.version_info >= (3, 9))"])
            version, fits = text.split()
            if fits != "True" or version in ran:
                continue
            ran.append(version)
            status, text = run([python, os.path.join(support.ROOT, "tests", "python", "test_executor.py"), *tests],
                               env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
            with self.subTest(python=python):
                self.assertEqual(status, 0, text)
                self.assertIn("Checks: %d, Failures: 0" % len(tests), text)
        print("NOTE: ran on Python %s" % ", ".join(ran))


if __name__ == "__main__":
    support.main()
