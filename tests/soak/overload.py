#!/usr/bin/env python3
"""More than the daemon can do, in every way that a client can ask for it: what happens to memory, to
what was accepted, to those who only look, and how soon all is as before?

    tests/soak/overload.py --build build/release --seconds 60     (make overload SECONDS=60)

Each part has a fresh daemon; parts_overload.py says what each does. A line for each figure, with what
it may be; the last line is "N passed, M failed"; the exit status is 1 when anything failed."""

import argparse
import pathlib
import sys
import threading
import time
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import parts_overload
from daemon import servers


class Report:
    """The figures, printed as they come."""

    def __init__(self):
        self.passed = self.failed = 0
        self.lock = threading.Lock()

    def say(self, part, text):
        print(f"      {part}: {text}", flush=True)

    def check(self, part, fine, text):
        with self.lock:
            self.passed += bool(fine)
            self.failed += not fine
            print(f"{'ok   ' if fine else 'FAIL '} {part}: {text}", flush=True)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=" ".join(parts_overload.PARTS))
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--seconds", type=float, default=60, help="of pressure, in each part")
    options = parser.parse_args()
    unknown = set(options.parts) - set(parts_overload.PARTS)
    if unknown:
        parser.error(f"no such part: {' '.join(sorted(unknown))}")
    return options


def main():
    options, report = arguments(), Report()
    servers.BUILD = pathlib.Path(options.build).resolve()
    with servers.scratch() as folder:
        for name in options.parts or parts_overload.PARTS:
            began = time.monotonic()
            try:
                parts_overload.PARTS[name](report, folder, options.seconds)
            except Exception:
                report.check(name, False, traceback.format_exc())
            report.say(name, f"{time.monotonic() - began:.1f} s")
    print(f"{report.passed} passed, {report.failed} failed")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
