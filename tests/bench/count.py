#!/usr/bin/env python3
"""Counts instructions instead of time: the same on a busy machine as on an idle one.

    tests/bench/count.py            each hot path against its bar in bars.json; fails when one is over it
    tests/bench/count.py --profile  and which libraries and functions they are in, what is allocated, which system
                                    calls are made
    tests/bench/count.py --write    makes what was counted the new bars
    tests/bench/count.py --walk     instead: the program's own files and functions that one POST /v1/tasks?wait runs
                                    through (make path-count: built without optimisation, so that none is inlined)

The daemon runs under callgrind, one connection asks for the same thing over and over, and what all its
threads spent between two dumps is divided by the number of requests; children (workers, programs) are not
in it. Small drivers (count_*.c) count single functions. The least of a few rounds counts: disturbances
(a timer, an early wake-up) only ever add."""

import argparse
import collections
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import servers

BARS = pathlib.Path(__file__).with_name("bars.json")
ROUNDS = 4

# The C library picks its string functions by the CPU, and callgrind counts `rep stosb` as an instruction
# per byte: let it be the plain ones everywhere.
PLAIN = {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-ERMS,-FSRM,-AVX_Fast_Unaligned_Load:"
                           "glibc.cpu.x86_rep_stosb_threshold=1073741824:"
                           "glibc.cpu.x86_rep_movsb_threshold=1073741824"}

# path -> (load mode, options, what a report must show). Each request is one operation, except that
# post_poll's operation is a pair.
DAEMON_PATHS = {
    "post": ("post", {"handler": "hold", "requests": 200}, 1),
    "post_wait_io": ("post-wait", {"requests": 200}, 1),
    "post_wait_cpu": ("post-wait", {"lane": "cpu", "requests": 200}, 1),
    "long_poll_pair": ("post-poll", {"handler": "sleep", "input": '{"ms":40}', "requests": 120}, 2),
    "bulk_task": ("bulk", {"handler": "hold", "bulk": 500, "requests": 4}, 1 / 500),
    "batch_result": ("read", {"path": "results", "requests": 4}, 1 / 500),
    "batch_event": ("read", {"path": "events", "requests": 4}, 1 / 500),
}
DRIVERS = {"json_decode": "count_json", "wire_frames": "count_wire"}
TEXTS = {
    "post": "POST of one task, queued, committed, 202",
    "post_wait_io": "`Prefer: wait`, echo on the io lane: submit, claim, run, finish, answer",
    "post_wait_cpu": "the same on the cpu lane, without what the worker process spends",
    "long_poll_pair": "POST, then a long-poll that sleeps and is woken by the result",
    "bulk_task": "one of 500 tasks in POST /v1/batches",
    "batch_result": "one of 500 results in GET /v1/batches/{id}/results",
    "batch_event": "one of 500 ends in GET /v1/batches/{id}/events, some time after them",
    "json_decode": "decoding the body of one POST",
    "wire_frames": "RUN and its answer, written and read",
}

SYSTEM_CALLS = {"epoll_wait", "epoll_ctl", "recv", "recvfrom", "recvmsg", "send", "sendto", "sendmsg",
                "writev", "write", "read", "pwrite", "pwrite64", "pread64", "fdatasync", "fsync",
                "fcntl64", "fcntl", "ftruncate64", "accept4", "eventfd_write", "eventfd_read",
                "timerfd_settime", "poll"}
ALLOCATIONS = {"malloc", "calloc", "realloc"}


class Profile:
    """What a callgrind file says: instructions, by library; calls by function."""

    def __init__(self, path):
        self.total = 0
        self.by_object, self.by_function = collections.Counter(), collections.Counter()
        self.calls = collections.Counter()
        self.by_place = collections.Counter()  # (file, function) -> instructions
        self.calls_of_place = collections.Counter()
        self._names = {"ob": {}, "fn": {}, "fl": {}}
        self._read(path)

    def _name(self, kind, text):
        number, _, name = text.partition(" ")
        if name:
            self._names[kind][number] = name
        return self._names[kind].get(number, number)

    def _read(self, path):
        library, function, callee, file, inclusive = "?", "?", "?", "?", False
        now, callee_file = "?", None  # the file of the next lines; that of the next callee where it is another one
        for line in open(path, encoding="utf-8", errors="replace"):
            if line.startswith("ob="):
                library = self._name("ob", line[3:].strip())
            elif line.startswith("cob="):
                self._name("ob", line[4:].strip())
            elif line.startswith("fl="):
                file = now = self._name("fl", line[3:].strip())
            elif line.startswith(("fi=", "fe=")):
                now = self._name("fl", line[3:].strip())
            elif line.startswith(("cfi=", "cfl=")):
                callee_file = self._name("fl", line[4:].strip())
            elif line.startswith("fn="):
                function = self._name("fn", line[3:].strip())
            elif line.startswith("cfn="):
                callee = self._name("fn", line[4:].strip())
            elif line.startswith("calls="):
                times = int(line[6:].split()[0])
                self.calls[callee.split("'")[0]] += times
                self.calls_of_place[callee_file or now, callee.split("'")[0]] += times
                callee_file = None
                inclusive = True
            elif line[:1] in "0123456789+-*" and line.strip():
                if not inclusive:
                    cost = int(line.split()[1])
                    self.by_object[library] += cost
                    self.by_function[function.split("'")[0]] += cost
                    self.by_place[file, function.split("'")[0]] += cost
                inclusive = False
        self.total = sum(self.by_object.values())

    def share(self, operations):
        """Per operation: {library: instructions}, allocations, {system call: times}."""
        libraries = collections.Counter()
        for path, cost in self.by_object.items():
            name = re.sub(r"\.so.*", "", pathlib.Path(path).name)
            libraries[name] += cost / operations
        system = {name: self.calls[name] / operations for name in sorted(SYSTEM_CALLS)
                  if self.calls[name]}
        allocated = sum(self.calls[name] for name in ALLOCATIONS) / operations
        return libraries, allocated, system


def control(server, what):
    done = subprocess.run(["callgrind_control", what, str(server.pid)], capture_output=True,
                          text=True, timeout=60, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"callgrind_control {what}: {done.stdout}{done.stderr}")


def newest(folder, known):
    return next(f for f in sorted(folder.glob("callgrind.*.*")) if f not in known)


def press(server, mode, path=None, requests=0, **options):
    if mode != "read":
        return servers.load(server, mode, connections=1, requests=requests, **options)
    lines = [line for _ in range(requests) for line in servers.call(server, path).splitlines()]
    return {"undone": 500 * requests - sum(b'"succeeded"' in line for line in lines)}


def prepare(server, path):
    """What the load options of a path are, when what they need is there."""
    options = dict(DAEMON_PATHS[path][1])
    if options.get("handler") == "hold":
        servers.load(server, "post", handler="hold", requests=1, connections=1)
    if "path" in options:
        line = servers.run_batches(server, "echo", ["x" * 64] * 500, 500)[0]
        options["path"] = f"/v1/batches/{json.loads(line)['batch']}/{options['path']}"
    return options


def measure_path(server, path):
    """The cheapest round's (instructions per operation, Profile, operations)."""
    mode, _, requests_each = DAEMON_PATHS[path]
    options = prepare(server, path)
    operations = options["requests"] / requests_each
    rounds = []
    for turn in range(ROUNDS + 1):
        known = set(server.folder.glob("callgrind.*.*"))
        control(server, "-z")
        report = press(server, mode, **options)
        control(server, "-d")
        if report["undone"]:
            raise RuntimeError(f"{path}: {report['undone']} answers without a result")
        if turn: # the first one warms caches up
            profile = Profile(newest(server.folder, known))
            rounds.append((profile.total / operations, profile, operations))
    return min(rounds, key=lambda r: r[0])


def measure_daemon(paths):
    """All of them in one daemon per path, so that none inherits another's database."""
    for path in paths:
        command = ["valgrind", "-q", "--tool=callgrind", "--callgrind-out-file=DIR/callgrind.%p",
                   servers.BUILD / "futured"]
        with servers.futured(command=command, MAX_WORKERS=1, **PLAIN) as server:
            yield path, measure_path(server, path)


def driver_total(name, rounds):
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "out"
        subprocess.run(["valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={out}",
                        servers.BUILD / "tests/bench" / name, "--rounds", str(rounds)], check=True,
                       env={**os.environ, **PLAIN})
        return Profile(out)


def measure_driver(name):
    """Exact: what the second thousand rounds cost."""
    few, many = driver_total(name, 1000), driver_total(name, 2000)
    many.by_object.subtract(few.by_object)
    many.by_function.subtract(few.by_function)
    many.calls.subtract(few.calls)
    return (many.total - few.total) / 1000, many, 1000


# ---- the verdict ---------------------------------------------------------------------------------


def judge(counted, bars):
    """Prints the table; how many are over their bar, or have none."""
    bad = 0
    print("| path | instructions | bar | |")
    print("|---|---:|---:|---|")
    for path, (each, _, _) in counted.items():
        bar, tolerance = bars.get(path, (0, 0))
        verdict = "ok"
        if each > bar * (1 + tolerance):
            verdict = f"OVER by {each / bar - 1:.1%}, allowed {tolerance:.0%}" if bar else "NO BAR"
            bad += 1
        elif each < bar * (1 - tolerance):
            verdict = f"ok, {1 - each / bar:.1%} below: lower the bar (--write)"
        print(f"| {TEXTS[path]} (`{path}`) | {each:,.0f} | {bar:,.0f} | {verdict} |")
    return bad


def show_profiles(counted):
    for path, (each, profile, operations) in counted.items():
        libraries, allocated, system = profile.share(operations)
        print(f"\n**{TEXTS[path]}**: {each:,.0f} instructions, {allocated:.1f} allocations")
        print("in: " + ", ".join(f"{name} {cost / each:.0%}" for name, cost in
                                 libraries.most_common(6)))
        print("itself: " + ", ".join(f"{name} {cost / operations / each:.1%}" for name, cost in
                                     profile.by_function.most_common(10)))
        if system:
            print("calls: " + ", ".join(f"{name} {times:.2f}" for name, times in system.items()))


LOOP_TURN = 5  # instructions, the least that a turn of a loop costs
FOLDERS = ("core", "storage", "api", "workers", "daemon")


def own_file(path):
    """Below FOLDERS, or None: the folder before that is where the compiler ran."""
    own = re.search(rf"(?:^|/)((?:{'|'.join(FOLDERS)})/[a-z0-9_/]+\.[ch])$", path)
    return own[1] if own and pathlib.Path(own[1]).exists() else None


def of_each_request(profile, requests):
    """Tells the request's own way from what other threads do meanwhile (timers, housekeeping, the log): a function of
    the way is entered for each request, or is a thread's loop, never entered again, that turns for each request."""
    def is_of_each(place):
        calls = profile.calls_of_place[place]
        return calls >= requests or (calls == 0 and profile.by_place[place] >= LOOP_TURN * requests)
    return is_of_each


def walk():
    """Prints the files of the program, and how many functions of each, that the path of one task runs through."""
    with servers.scratch():
        _, (_, profile, requests) = next(measure_daemon(["post_wait_io"]))
    is_of_each = of_each_request(profile, requests)
    functions, meanwhile = collections.Counter(), collections.defaultdict(list)
    for place in profile.by_place:
        file = own_file(place[0])
        if file and is_of_each(place):
            functions[file] += 1
        elif file:
            meanwhile[file].append(place[1])
    for file, n in sorted(functions.items()):
        print(f"{n:4d} {file}")
    print("meanwhile, not for each request:")
    for file, names in sorted(meanwhile.items()):
        print(f"     {file}: {' '.join(sorted(names))}")
    print(f"{len(functions)} files, {sum(functions.values())} functions; meanwhile, of other threads, "
          f"{len(set(meanwhile) - set(functions))} more files, {sum(map(len, meanwhile.values()))} functions")
    return 0


def write_bars(counted, bars):
    bars.update({path: (round(each), 0.01 if path in DRIVERS else 0.06)
                 for path, (each, _, _) in counted.items()})
    BARS.write_text(json.dumps(bars, indent=1) + "\n", encoding="utf-8")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="*", metavar="PATH", help=" ".join(TEXTS))
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--walk", action="store_true")
    return parser.parse_args()


def main():
    options = arguments()
    os.chdir(pathlib.Path(__file__).parents[2])
    servers.BUILD = pathlib.Path(options.build)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    if options.walk:
        return walk()
    wanted = options.paths or list(TEXTS)
    counted = {}
    with servers.scratch():
        for path, found in measure_daemon([p for p in wanted if p in DAEMON_PATHS]):
            counted[path] = found
    for path in wanted:
        if path in DRIVERS:
            counted[path] = measure_driver(DRIVERS[path])
    bars = json.loads(BARS.read_text(encoding="utf-8")) if BARS.exists() else {}
    if options.write:
        write_bars(counted, bars)
    bad = judge(counted, bars)
    if options.profile:
        show_profiles(counted)
    print(f"\n{len(counted) - bad} passed, {bad} failed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
