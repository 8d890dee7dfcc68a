#!/usr/bin/python3
"""Calls of executors beside the standard library's, in turn: the time of one map of no-ops, or one call alone, as the
ratio of each pair, and the CPU time of the client and of the daemon with its workers.

    FUT_BUILD=build/release tests/bench/python_calls.py [--turns N] [--calls N] [--package DIR] [CASE…]

CASE: cpu/1, cpu/10, cpu/100, io/1, io/10, io/100 (lane and chunksize), cpu/1/2 (and max_workers; without it the
library's own for cpu, 20 for io), lone (submit().result(), one after the other).
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve()
sys.path[:0] = [str(HERE.parents[1] / "python"), str(HERE.parent)]
CASES = ("cpu/1", "cpu/100", "io/1", "io/100", "lone")


def nothing(value):
    return value


def client(library, case, calls):
    """Runs in a process of its own; prints one line of JSON."""
    import concurrent.futures as standard

    import futured

    pools = standard if library == "standard" else futured
    lane, chunk, workers = (case.split("/") + ["", ""])[:3]
    pool = (pools.ThreadPoolExecutor(int(workers or 20)) if lane == "io"
            else pools.ProcessPoolExecutor(int(workers) if workers else None))
    with pool as executor:
        for _ in executor.map(nothing, range(50)):  # all have started
            pass
        began, cpu = time.perf_counter(), time.process_time()
        if lane == "lone":
            took = []
            for n in range(calls):
                at = time.perf_counter()
                executor.submit(nothing, n).result()
                took.append(time.perf_counter() - at)
            value = statistics.median(took) * 1e3
        else:
            if sum(executor.map(nothing, range(calls), chunksize=int(chunk))) != calls * (calls - 1) // 2:
                raise SystemExit("wrong results")
            value = time.perf_counter() - began
        print(json.dumps({"value": value, "cpu_us": (time.process_time() - cpu) / calls * 1e6}), flush=True)
        input()


def run(environment, library, case, calls, usage):
    command = [sys.executable, str(HERE), "--client", library, "--calls", str(calls), case]
    process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    before = usage()
    found = json.loads(process.stdout.readline())
    found["daemon_us"] = (usage() - before) / calls * 1e6
    process.communicate("\n")
    if process.returncode:
        raise SystemExit("the client ended with %d" % process.returncode)
    return found


def middle(values):
    return statistics.median(values)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--calls", type=int, default=10000)
    parser.add_argument("--package", help="the folder of the package, by default this checkout's")
    parser.add_argument("--client", help=argparse.SUPPRESS)
    parser.add_argument("cases", nargs="*", default=CASES)
    given = parser.parse_args()
    if given.client:
        return client(given.client, given.cases[0], given.calls)
    import support

    if given.package:
        support.PACKAGE = os.path.abspath(given.package)
    import calls_support
    import servers

    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    daemon = calls_support.CallsDaemon(MAX_WORKERS="2")
    print("%-8s %21s %21s %22s   %s" % ("case", "library", "futured", "CPU us: client, daemon",
                                        "ratio: median (smallest..largest)"))
    try:
        for case in given.cases:
            calls = min(given.calls, 1000) if case == "lone" else given.calls
            pairs = []
            for _ in range(given.turns):
                usage = lambda: servers.Server("", daemon.process, None, "", "").usage()["cpu_s"]  # noqa: E731
                pairs.append([run(daemon.environment(), library, case, calls, usage)
                              for library in ("standard", "futured")])
            ratios = [ours["value"] / theirs["value"] for theirs, ours in pairs]
            columns = [middle(pair[n][name] for pair in pairs) for n in (0, 1) for name in ("value", "cpu_us")]
            print("%-8s %9.3f %s %5.1f us %9.3f %s %5.1f us %7.1f   %.2f (%.2f..%.2f)"
                  % (case, columns[0], "ms" if case == "lone" else "s ", columns[1], columns[2],
                     "ms" if case == "lone" else "s ", columns[3], middle(p[1]["daemon_us"] for p in pairs),
                     middle(ratios), min(ratios), max(ratios)), flush=True)
    finally:
        daemon.stop()


if __name__ == "__main__":
    main()
