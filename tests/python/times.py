#!/usr/bin/python3
"""The example programs with the standard library and with futured, run in turn: medians, and the ratio of each pair.

    FUT_BUILD=build/release tests/python/times.py [--turns N] [PROGRAM…]

Whole programs are timed, from their start to their end, so the start of Python and of a session count.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

import calls_support
import support

EXAMPLES = os.path.join(support.PACKAGE, "examples")


def seconds(path, environment):
    began = time.monotonic()
    subprocess.run([sys.executable, path], env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("programs", nargs="*", help="names of examples; all by default")
    given = parser.parse_args()
    names = given.programs or sorted(each[:-3] for each in os.listdir(EXAMPLES) if each.endswith(".py"))
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package is compiled
    daemon = calls_support.CallsDaemon(MAX_WORKERS=str(os.cpu_count()))
    print("%-12s %9s %9s   %s" % ("program", "library", "futured", "ratio: median (smallest..largest)"))
    try:
        with tempfile.TemporaryDirectory() as directory:
            for name in names:
                ours = os.path.join(EXAMPLES, name + ".py")
                plain = os.path.join(directory, name + ".py")
                with open(ours, encoding="utf-8") as source, open(plain, "w", encoding="utf-8") as file:
                    file.write(re.sub(r"(?m)^from futured import", "from concurrent.futures import", source.read()))
                seconds(ours, daemon.environment())  # the worker programs have started
                pairs = [(seconds(plain, daemon.environment()), seconds(ours, daemon.environment()))
                         for _ in range(given.turns)]
                ratios = [ours / theirs for theirs, ours in pairs]
                print("%-12s %7.3f s %7.3f s   %.2f (%.2f..%.2f)"
                      % (name, statistics.median(p[0] for p in pairs), statistics.median(p[1] for p in pairs),
                         statistics.median(ratios), min(ratios), max(ratios)), flush=True)
    finally:
        daemon.stop()


if __name__ == "__main__":
    main()
