#!/usr/bin/env python3
"""The example programs print with futured what they print with the standard library."""

import glob
import os
import re
import subprocess
import sys
import tempfile
import textwrap
import unittest

import calls_support
import support

EXAMPLES = sorted(glob.glob(os.path.join(support.PACKAGE, "examples", "*.py")))


class ExampleTests(calls_support.CallsCase):
    def run_program(self, path):
        done = subprocess.run([sys.executable, path], env=self.daemon.environment(), text=True, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=support.WAIT_S)
        self.assertEqual((done.returncode, done.stderr), (0, ""), path)
        return done.stdout

    def test_same_output(self):
        self.assertGreaterEqual(len(EXAMPLES), 6)
        with tempfile.TemporaryDirectory() as directory:
            for path in EXAMPLES:
                with open(path, encoding="utf-8") as file:
                    text, changed = re.subn(r"(?m)^from futured import", "from concurrent.futures import", file.read())
                text = re.sub(r"SECONDS = 1.0", "SECONDS = 0.01", text)
                plain = os.path.join(directory, os.path.basename(path))
                with open(plain, "w", encoding="utf-8") as file:
                    file.write(text)
                with self.subTest(path=path):
                    self.assertEqual(changed, 1)
                    mine, theirs = self.run_program(path), self.run_program(plain)
                    self.assertEqual(sorted(mine.splitlines()), sorted(theirs.splitlines()))
                    self.assertTrue(mine)

    def test_same_output_without_a_guard(self):
        """As the articles print their programs: what stands under `if __name__ == "__main__"` stands at the left."""
        guarded = 0
        for path in EXAMPLES:
            with open(path, encoding="utf-8") as file:
                text = re.sub(r"SECONDS = 1.0", "SECONDS = 0.01", file.read())
            above, guard, below = text.partition('\nif __name__ == "__main__":\n')
            if not guard:
                continue
            guarded += 1
            with self.subTest(path=path), tempfile.TemporaryDirectory() as directory:
                printed = []
                for name, each in (("guarded.py", text), ("bare.py", above + textwrap.dedent(below))):
                    with open(os.path.join(directory, name), "w", encoding="utf-8") as file:
                        file.write(each)
                    printed.append(sorted(self.run_program(file.name).splitlines()))
                self.assertEqual(printed[0], printed[1])
                self.assertTrue(printed[0])
        self.assertGreaterEqual(guarded, 3)

    def test_a_program_of_a_module(self):
        with tempfile.TemporaryDirectory() as directory:
            package = os.path.join(directory, "package")
            os.mkdir(package)
            for name, text in {"__init__": "", "__main__": "from package.run import *\n", "run":
                               "from futured import ProcessPoolExecutor\n\ndef f(x):\n    return x + 1\n\n"
                               "if __name__ == '__main__':\n    with ProcessPoolExecutor() as e:\n"
                               "        print(e.submit(f, 1).result())\n"}.items():
                with open(os.path.join(package, name + ".py"), "w", encoding="ascii") as file:
                    file.write(text)
            done = subprocess.run([sys.executable, "-m", "package.run"], env=self.daemon.environment(), cwd=directory,
                                  stdout=subprocess.PIPE, timeout=support.WAIT_S, check=True)
            self.assertEqual(done.stdout, b"2\n")


if __name__ == "__main__":
    unittest.TestCase.maxDiff = None
    support.main()
