#!/usr/bin/env python3
"""The package as others get it: installed by pip, checked by mypy, in the older and newer Pythons that are there."""

import glob
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

    def test_mypy_strict(self):
        status, text = run(["/usr/bin/mypy", "--strict", "--cache-dir", os.path.join(self.copy(), "cache")],
                           cwd=support.PACKAGE)
        self.assertEqual(status, 0, text)

    def test_other_pythons_import_it(self):
        """Debian has one Python; where there are more, each from 3.9 on."""
        pythons = sorted(glob.glob(os.path.expanduser("~/.pyenv/versions/3.*/bin/python3")))
        for python in [sys.executable, *pythons]:
            program = "import sys; sys.exit(3) if sys.version_info < (3, 9) else None; import futured"
            status, text = run([python, "-c", program], env={"PYTHONPATH": support.PACKAGE, "PYTHONDONTWRITEBYTECODE": "1"})
            with self.subTest(python=python):
                self.assertIn(status, (0, 3), text)


if __name__ == "__main__":
    support.main()
