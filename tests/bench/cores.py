#!/usr/bin/env python3
"""What more CPUs than this machine has would give: a model from counts.

    tests/bench/cores.py [--build build/release] [--connections 64] [--seconds 1] [--turns 3] [--pin] [--disk-us US]
    tests/bench/cores.py --given HTTP,WRITER,SCHEDULER,REST,TASKS_PER_COMMIT,DISK    the model alone

For a POST and for a no-op with its result, with one HTTP thread and with two, in turns: the CPU time of each kind
of thread per task, how often it sleeps, tasks per commit, and what a commit waits for the disk. From these, the
rate that so many CPUs could give, with the client elsewhere: no stage is faster than its own thread, and none of
what one thread does alone (the writer, the scheduler) is shared by more. --pin: the daemon on one CPU, the client
on another. --disk-us: what an fsync takes, where the machine is so busy that waiting for a CPU is most of what is
measured."""

import argparse
import collections
import os
import pathlib
import re
import statistics
import sys
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import servers

PATHS = {"POST, queued": ("post", "hold"), "no-op with result, io lane": ("post-wait", "echo")}
CORES = (1, 2, 4, 8, 16)
HTTP_THREADS = (1, 2)
STAGES = ("http", "store-writer", "scheduler", "task", "log", "other")


def stage_of(comm):
    for stage in STAGES:
        if comm.startswith(stage) or (stage == "task" and comm.startswith("io-")):
            return stage
    return "other"


def look(pid):
    """CPU time in us, and sleeps, by stage."""
    cpu, sleeps = collections.Counter(), collections.Counter()
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        try:
            stage = stage_of((task / "comm").read_text().strip())
            cpu[stage] += int((task / "schedstat").read_text().split()[0]) / 1e3
            sleeps[stage] += int(re.search(r"^voluntary_ctxt_switches:\s*(\d+)",
                                           (task / "status").read_text(), re.M).group(1))
        except OSError:
            pass  # it has ended
    return cpu, sleeps


def metrics(address):
    text = urllib.request.urlopen(f"http://{address}/metrics").read().decode()
    return {name: float(re.search(rf"^futured_{name} (\S+)", text, re.M).group(1))
            for name in ("store_commit_seconds_count", "store_fsync_seconds_sum",
                         "store_fsync_seconds_count")}


def sample(path, threads, options):
    mode, handler = PATHS[path]
    command = ["taskset", "-c", "0", servers.BUILD / "futured"] if options.pin else None
    with servers.futured(command=command, FUTURED_HTTP_THREADS=threads) as server:
        if handler == "hold":
            servers.load(server, "post", handler=handler, requests=1, connections=1)
        servers.load(server, mode, handler=handler, connections=options.connections, seconds=0.3)
        cpu, sleeps = look(server.pid)
        before = metrics(server.address)
        report = servers.load(server, mode, handler=handler, connections=options.connections,
                              seconds=options.seconds)
        after = metrics(server.address)
        cpu_after, sleeps_after = look(server.pid)
    n = report["answered"]
    change = {key: after[key] - before[key] for key in after}
    return {"rate": report["rate"],
            "cpu": {s: (cpu_after[s] - cpu[s]) / n for s in STAGES},
            "sleeps": {s: (sleeps_after[s] - sleeps[s]) / n for s in STAGES},
            "group": n / max(change["store_commit_seconds_count"], 1),
            "fsync_us": change["store_fsync_seconds_sum"] * 1e6 /
            max(change["store_fsync_seconds_count"], 1)}


def median_of(samples):
    first = samples[0]
    return {key: {s: statistics.median(x[key][s] for x in samples) for s in value}
            if isinstance(value, dict) else statistics.median(x[key] for x in samples)
            for key, value in first.items()}


def predict(found, cores, http_threads):
    """Tasks per second, and what bounds them. The writer waits for the disk as well as it computes; what its sync
    takes of the CPU is counted twice, which errs on the low side."""
    cpu = found["cpu"]
    bounds = {f"{cores} CPUs": sum(cpu.values()) / cores,
              "http": cpu["http"] / min(http_threads, cores),
              "writer and disk": cpu["store-writer"] + found["fsync_us"] / found["group"],
              "scheduler": cpu["scheduler"]}
    what, us = max(bounds.items(), key=lambda item: item[1])
    return 1e6 / us, what


def report(path, found, options):
    print(f"\n### {path}, {options.connections} connections\n")
    print("| HTTP threads | " + " | ".join(STAGES) + " | tasks per commit | fsync, us | measured, /s |")
    print("|---:" * (len(STAGES) + 4) + "|")
    for threads, f in found.items():
        stages = " | ".join(f"{f['cpu'][s]:.1f} ({f['sleeps'][s]:.2f})" for s in STAGES)
        print(f"| {threads} | {stages} | {f['group']:.1f} | {f['fsync_us']:.0f} | {f['rate']:.0f} |")
    print("\nus of CPU per task (sleeps per task). The model, by the counts with one HTTP thread:\n")
    model({**found[1], "fsync_us": options.disk_us or found[1]["fsync_us"]})


def model(found):
    print("| CPUs | 1 HTTP thread | 2 | 4 |")
    print("|---:|---|---|---|")
    for cores in CORES:
        cells = [predict(found, cores, h) for h in (1, 2, 4)]
        print(f"| {cores} | " + " | ".join(f"{rate:,.0f} ({why})" for rate, why in cells) + " |")


def model_given(text):
    http, writer, scheduler, rest, group, disk = (float(word) for word in text.split(","))
    model({"cpu": {"http": http, "store-writer": writer, "scheduler": scheduler, "rest": rest},
           "group": group, "fsync_us": disk})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"))
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=1)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--pin", action="store_true")
    parser.add_argument("--disk-us", type=float)
    parser.add_argument("--given")
    options = parser.parse_args()
    if options.given:
        model_given(options.given)
        return
    servers.BUILD = options.build.resolve()
    if options.pin:
        os.sched_setaffinity(0, {1})  # and the client with us; the daemon is given the other one
    with servers.scratch():
        for path in PATHS:
            samples = collections.defaultdict(list)
            for turn in range(options.turns):
                for threads in HTTP_THREADS if turn % 2 == 0 else HTTP_THREADS[::-1]:
                    samples[threads].append(sample(path, threads, options))
            report(path, {t: median_of(samples[t]) for t in HTTP_THREADS}, options)
    print("\nload averages: " + pathlib.Path("/proc/loadavg").read_text().strip())


if __name__ == "__main__":
    main()
