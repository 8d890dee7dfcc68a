#!/usr/bin/env python3
"""Measures the daemon beside the bare limits of what it is made of and beside its peers, in turn.

    tests/bench/run.py                     everything, about half an hour; the report, its JSON
                                           and charts go to tests/bench/results/
    tests/bench/run.py enqueue roundtrip   some parts; printed, kept only with --out
    tests/bench/run.py --quick             everything small, a few minutes: does it work?
    tests/bench/run.py knobs alternation   two long looks that are not among "everything"

What it needs beyond the build: tests/deps.sh bench."""

import argparse
import os
import pathlib
import resource
import signal
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import harness
import parts_cost
import parts_frameworks
import parts_growth
import parts_nlp
import parts_postgres
import parts_rate
import report
import servers

PARTS = {**parts_rate.PARTS, **parts_cost.PARTS, **parts_growth.PARTS,
         **parts_nlp.PARTS, **parts_frameworks.PARTS, **parts_postgres.PARTS}
# Run only when named: a script each, which prints a table of its own and takes its time.
SCRIPTS = ("knobs", "alternation")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=" ".join((*PARTS, *SCRIPTS)))
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--runs", type=int, help="turns of each measurement (5; quick: 1)")
    parser.add_argument("--seconds", type=float, help="of each rate (1; quick: 0.3)")
    parser.add_argument("--quick", action="store_true", help="everything small")
    parser.add_argument("--out", help="the folder for report, JSON and charts (all parts: "
                        "tests/bench/results; some or quick: none)")
    options = parser.parse_args()
    unknown = set(options.parts) - {*PARTS, *SCRIPTS}
    if unknown:
        parser.error(f"no such part: {' '.join(sorted(unknown))}")
    return options


def run_scripts(options):
    """Exit status."""
    env = {**os.environ, "FUT_BENCH_QUICK": "1" if options.quick else ""}
    status = 0
    for name in SCRIPTS:
        if name in options.parts:
            done = subprocess.run([f"tests/bench/{name}.sh", options.build], env=env, check=False)
            status = status or done.returncode
            print(flush=True)
    return status


def measure(bench, parts):
    """A part that fails as a whole leaves the others alone; an interrupt ends it with what there
    is."""
    with servers.scratch():
        for part in parts:
            try:
                PARTS[part](bench)
            except (RuntimeError, OSError, ValueError) as error:
                bench.failed.append(f"{part}: {error}")
            except KeyboardInterrupt:
                bench.failed.append(f"{part}: interrupted")
                break


def main():
    options = arguments()
    os.chdir(pathlib.Path(__file__).parents[2])
    servers.BUILD = pathlib.Path(options.build)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # 10,000 connections
    status = run_scripts(options)
    parts = [part for part in options.parts if part in PARTS]
    if options.parts and not parts:
        return status
    if not options.quick:
        harness.settle()
    bench = harness.Bench(options.runs or (1 if options.quick else 5),
                          options.seconds or (0.3 if options.quick else 1.0), options.quick)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    measure(bench, parts or PARTS)
    out = options.out
    if not out and not options.parts and not options.quick:
        out = "tests/bench/results"
    print(report.write(bench, out) if out else "\n".join(report.markdown(bench)))
    failed = list(bench.failed)
    for part in bench.parts.values():
        failed += [f"{part.name} / {case} / {subject}: {samples.errors[0]}"
                   for (case, subject), samples in part.samples.items() if samples.errors]
    for line in failed:
        print("failed:", line, file=sys.stderr)
    return 1 if failed else status


if __name__ == "__main__":
    sys.exit(main())
