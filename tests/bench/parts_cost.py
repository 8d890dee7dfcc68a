"""What it costs: depth of the queue, idle waiters, memory and disk per task, stalls, and whether
the lanes stay out of each other's way."""

import contextlib
import functools
import json
import os
import pathlib
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

import servers
from parts_rate import EXECUTORS, only_queued, rate
from servers import (background, bare, beanstalkd, fetch_server, futured, gearmand, load, redis,
                     run_json, tool, wait_for)

MIB = 1 << 20


def fill(server, tasks):
    """tasks: a multiple of 1,000."""
    load(server, "bulk", handler="hold", connections=4, bulk=1000, requests=tasks // 1000)


def costs(server):
    return {"rss_mib": server.rss_kib() / 1024, "tree_mib": server.tree_pss_kib() / 1024,
            "disk_mib": server.disk_bytes() / MIB}


def depth(bench):
    part = bench.part("depth", "A deep queue",
                      "Tasks of 64 B handed in on 64 connections while so many are queued already, "
                      "each turn beside an empty queue. rss: the server's process; all: with its "
                      "children, shared pages counted once.")
    options = {"seconds": bench.seconds, "connections": 64, "handler": "hold"}

    def sample(server):
        return {**rate(load(server, "post", **options)), **costs(server)}

    def empty():
        with only_queued()() as server:
            return sample(server)

    with only_queued()() as deep:
        queued = 0
        for goal in bench.size((100000, 1000000, 5000000), (5000, 20000, 60000)):
            fill(deep, goal - queued)
            part.take(f"{goal:,} queued", "futured, just filled", lambda: costs(deep))
            part.compare(f"{goal:,} queued", {"futured": lambda: sample(deep),
                                              "futured, empty queue": empty})
            queued = goal

    part.chart("rate", "queued")
    million = bench.size(1000000, 20000)
    for start in (functools.partial(beanstalkd, 50), redis, gearmand):
        with start() as peer:
            fill(peer, million)
            part.take(f"{million:,} queued", f"{peer.name}, just filled", lambda: costs(peer))
            part.compare(f"{million:,} queued", {peer.name: lambda: sample(peer)})


def work(bench):
    part = bench.part("work", "What a task takes of the machine",
                      "Per no-op task with its result: CPU time of the server and its children (the "
                      "peers' workers are not in it, futured's are), times that one of its threads "
                      "went to sleep, calls of read and write (sockets by recv and send are not among "
                      "them), bytes given to the disk.")

    def taken(start, at_work, **options):
        def measure():
            with start() as server, contextlib.ExitStack() as beside:
                if at_work:
                    beside.enter_context(servers.workers(server, at_work))
                load(server, "post-wait", connections=4, requests=200)
                before = server.usage()
                report = load(server, "post-wait", seconds=bench.seconds, **options)
                after, n = server.usage(), report["answered"]
            each = {key: (after[key] - before[key]) / n for key in after}
            return {"cpu_us": each["cpu_s"] * 1e6, "switches": each["switches"],
                    "calls": each["calls"], "written": each["written"]}

        return measure

    for connections in (1, 64):
        options = {"connections": connections}
        part.compare(f"{connections} connections", {
            "futured, io lane": taken(futured, 0, **options),
            "futured, cpu lane": taken(futured, 0, lane="cpu", **options),
            "beanstalkd -f0": taken(functools.partial(beanstalkd, 0), 2, **options),
            "beanstalkd -f50": taken(functools.partial(beanstalkd, 50), 2, **options),
            "redis always": taken(redis, 8, **options),
            "gearmand -t1": taken(gearmand, 8, **options),
        }, runs=min(bench.runs, 3))


def settled_rss(server):
    """Once it has not changed for a second."""
    seen = []

    def look():
        seen.append(server.rss_kib())
        time.sleep(0.2)
        return len(seen) > 5 and len(set(seen[-5:])) == 1

    wait_for(look, 60, f"rss of {server.name}")
    return seen[-1]


def waiters(bench):
    many = bench.size(10000, 500)
    part = bench.part("waiters", f"{many:,} idle waiters",
                      "Each a connection that waits for a result that does not come. rss of the "
                      "server's process per waiter; the kernel's sockets are not in it. noticed: "
                      "half of them hang up; released: the other half get their answer.")

    def of_futured():
        with futured(FUTURED_MAX_CONNECTIONS=many * 2, FUTURED_MAX_WAIT="600s") as server:
            load(server, "post-wait", connections=4, requests=1000)
            id_ = submit(server, "sleep", '{"seconds":3600}')
            before = server.rss_kib()
            return held(server, id_, many, before)

    def of_peer(start, mode, **options):
        def measure():
            with start() as server:
                load(server, "post", connections=4, requests=1000, handler="other")
                before = server.rss_kib()
                with background(server, mode, connections=many, handler="idle", **options):
                    wait_for(lambda: sockets(server.pid) >= many, 60, "connections")
                    return {"kib_each": (settled_rss(server) - before) / many}

        return measure

    part.compare("held", {
        "futured": of_futured,
        "beanstalkd -f50": of_peer(functools.partial(beanstalkd, 50), "work"),
        "redis always": of_peer(redis, "work"),
        "gearmand -t1": of_peer(gearmand, "post-wait"),
        "bare libmicrohttpd, idle keep-alive": idle_bare(many),
    }, runs=min(bench.runs, 3))


def sockets(pid):
    return len(list(pathlib.Path(f"/proc/{pid}/fd").iterdir()))


def idle_bare(many):
    """Connections that had one answer and stay: the library without anybody waiting."""

    def measure():
        with bare() as server, contextlib.ExitStack() as all_open:
            load(server, "post", connections=4, requests=1000)
            before = server.rss_kib()
            host, port = server.address.split(":")
            for _ in range(many):
                s = all_open.enter_context(socket.create_connection((host, int(port))))
                s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                s.recv(1000)
            return {"kib_each": (server.rss_kib() - before) / many}

    return measure


def ask(server, path, value=None):
    return json.loads(servers.call(server, path, value))


def submit(server, handler, input_):
    return ask(server, "/v1/tasks", {"handler": handler, "input": json.loads(input_)})["id"]


def held(server, id_, many, before_kib):
    """By the tool `hold`, which is told on its standard input what to do."""
    command = [tool("hold"), "--address", server.address, "--id", id_, "--connections", str(many),
               "--wait", "600"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as holder:

        def tell(word):
            holder.stdin.write(word + "\n")
            holder.stdin.flush()
            return json.loads(holder.stdout.readline())

        opened = json.loads(holder.stdout.readline())
        each = (server.rss_kib() - before_kib) / opened["held"]
        noticed = tell(f"drop {many // 2}")
        released = tell("cancel")
        holder.stdin.close()
    lost = released["unanswered"] + released["lost"]
    if lost:
        raise RuntimeError(f"{lost} waiters stayed without their answer")
    return {"kib_each": each, "noticed_ms": noticed["seconds"] * 1e3,
            "released_ms": released["seconds"] * 1e3}


def finished(bench):
    tasks = bench.size(200000, 10000)
    part = bench.part("finished", "Disk per finished task",
                      f"{tasks:,} tasks, 64 B in and 64 B out, all done and kept, server ended "
                      "cleanly. Peers keep no results: theirs is a task that waits, in their log.")

    def of_futured():
        home = pathlib.Path(tempfile.mkdtemp(prefix="done-", dir=servers.SCRATCH))
        with futured(folder=home) as server:
            load(server, "post-wait", connections=64, requests=tasks)
        with contextlib.closing(sqlite3.connect(home / "futured.db")) as db:
            rows = db.execute("SELECT count(*) FROM results").fetchone()[0]
        size = (home / "futured.db").stat().st_size
        shutil.rmtree(home)
        return {"bytes_each": size / rows}

    def of_peer(start):
        def measure():
            with start() as server:
                load(server, "bulk", connections=4, bulk=1000, requests=tasks // 1000)
                return {"bytes_each": server.disk_bytes() / tasks}

        return measure

    part.compare("kept", {"futured, finished": of_futured,
                          "redis always, queued": of_peer(redis),
                          "beanstalkd -f50, queued": of_peer(functools.partial(beanstalkd, 50))},
                 runs=min(bench.runs, 3))


def copy_to_disk(source, target):
    """Synced: else the daemon's first checkpoint would have to wait for all of it."""
    shutil.copy(source, target)
    with open(target, "rb") as f:
        os.fsync(f.fileno())


def stalls(bench):
    part = bench.part("stalls", "Stalls",
                      "32 connections with `Prefer: wait` (checkpoints happen all the time). gap: "
                      "the longest time in which nobody had an answer. Retention: old futures are "
                      "deleted meanwhile; backup: `futured backup` runs beside it, again and again. "
                      "Redis: BGREWRITEAOF meanwhile.")
    seconds = bench.size(3, 0.5)
    old = bench.size(150000, 5000)
    options = {"seconds": seconds, "connections": 32}

    def stalled(report):
        return {"rate": report["rate"], "p99_ms": report["p99_ms"],
                "p99_9_ms": report["p99_9_ms"], "max_ms": report["max_ms"],
                "gap_ms": report["longest_gap_ms"]}

    home = pathlib.Path(tempfile.mkdtemp(prefix="old-", dir=servers.SCRATCH))
    with futured(folder=home) as server:
        load(server, "post-wait", connections=64, requests=old)

    def on_copy(action, **env):
        def measure():
            copy = pathlib.Path(tempfile.mkdtemp(prefix="stall-", dir=servers.SCRATCH))
            copy_to_disk(home / "futured.db", copy / "futured.db")
            try:
                with futured(folder=copy, **env) as server, action(copy):
                    return stalled(load(server, "post-wait", **options))
            finally:
                shutil.rmtree(copy)

        return measure

    @contextlib.contextmanager
    def backup(copy):
        """One after the other, as an operator would take them, until the load is over."""
        over, failures = threading.Event(), []
        env = {**os.environ, "FUTURED_DB": str(copy / "futured.db")}

        def work():
            while not over.is_set():
                (copy / "backup.db").unlink(missing_ok=True)
                done = subprocess.run([servers.BUILD / "futured", "backup", copy / "backup.db"],
                                      env=env, capture_output=True, text=True, check=False)
                if done.returncode != 0:
                    failures.append(done.stderr)
                    return

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
        if failures:
            raise RuntimeError(f"futured backup: {failures[0]}")

    def of_redis():
        with redis() as server, servers.workers(server, 8):
            fill(server, bench.size(150000, 5000))
            host, port = server.address.split(":")
            with socket.create_connection((host, int(port))) as s:
                s.sendall(b"BGREWRITEAOF\r\n")
                s.recv(200)
                return stalled(load(server, "post-wait", **options))

    def of_beanstalkd():
        with beanstalkd(50) as server, servers.workers(server, 2):
            return stalled(load(server, "post-wait", **options))

    quiet = contextlib.nullcontext
    part.compare("under load", {
        "futured": on_copy(quiet),
        "futured, retention deletes": on_copy(quiet, FUTURED_RETENTION="1s"),
        "futured, backup": on_copy(backup),
        "redis always, rewrite": of_redis,
        "beanstalkd -f50": of_beanstalkd,
    })
    shutil.rmtree(home)


def isolation(bench):
    part = bench.part("isolation", "io tasks beside a busy cpu lane",
                      "`echo` on the io lane, `Prefer: wait`, 4 connections. waiting: the cpu lane is "
                      "full of programs that sleep; computing: its workers compute, on as many CPUs "
                      "as there are, which then belong to them and to this client too. Peers, and the "
                      "bare library, which runs and keeps nothing: a pure computation in as many "
                      "processes beside them.")
    cpus = len(os.sched_getaffinity(0))
    options = {"seconds": max(bench.seconds * 2, 0.5), "connections": 4}

    def beside(workers, handler, input_):
        def measure():
            with futured(MAX_WORKERS=workers) as server:
                if handler:
                    load(server, "post", handler=handler, input=input_, connections=4,
                         requests=1000)
                return rate(load(server, "post-wait", **options))

        return measure

    @contextlib.contextmanager
    def computing():
        spin = [sys.executable, "-c", "while True: pass"]
        running = [subprocess.Popen(spin) for _ in range(cpus)]
        try:
            yield
        finally:
            for process in running:
                process.terminate()
                process.wait()

    def peer(start, context):
        def measure():
            with start() as server, servers.workers(server, 2), context():
                return rate(load(server, "post-wait", **options))

        return measure

    def bare(context):
        def measure():
            with servers.bare() as server, context():
                return rate(load(server, "post", **options))

        return measure

    primes = '{"below":100000000}'
    idle = contextlib.nullcontext
    part.compare("io latency", {
        "futured, cpu lane idle": beside(cpus, None, None),
        "futured, cpu lane waiting": beside(cpus, "pause", "null"),
        "futured, cpu lane computing on 1 CPU": beside(1, "primes", primes),
        "futured, cpu lane computing on all": beside(cpus, "primes", primes),
        "bare libmicrohttpd, CPUs idle": bare(idle),
        "bare libmicrohttpd, CPUs busy": bare(computing),
        "gearmand -t1, CPUs idle": peer(gearmand, idle),
        "gearmand -t1, CPUs busy": peer(gearmand, computing),
        "beanstalkd -f50, CPUs idle": peer(functools.partial(beanstalkd, 50), idle),
        "beanstalkd -f50, CPUs busy": peer(functools.partial(beanstalkd, 50), computing),
    })


def ideal(bench):
    cpus = len(os.sched_getaffinity(0))
    calls, delay = bench.size((50, 1.0), (40, 0.1))
    part = bench.part("ideal", "Against the ideal",
                      f"{calls} fetches of {delay:g} s on 20 threads (ideal: {-(-calls // 20)} "
                      f"rounds); 4 CPU-bound tasks on {cpus} workers (ideal: one of them alone, "
                      f"times 4 / {cpus}, each server its own).")
    best = -(-calls // 20) * delay

    def fetches(run):
        def measure():
            with fetch_server() as fetch:
                url = f"http://{fetch.address}/delay/{int(delay * 1000)}"
                seconds = run(url)
                return {"seconds": seconds, "over_ideal": seconds / best - 1}

        return measure

    def by_futured(url):
        with futured() as server:
            return play(server, "http", f'{{"url":"{url}"}}', calls)

    def by_threads(url):
        return run_json([sys.executable, EXECUTORS, "thread", 20, "fetch", url, calls])["seconds"]

    part.compare("fetches", {"futured": fetches(by_futured),
                             "ThreadPoolExecutor(20)": fetches(by_threads)},
                 runs=min(bench.runs, 3))

    def cpu_futured():
        below = bench.size(1000000000, 3000000)
        with futured(MAX_WORKERS=cpus) as server:
            input_ = f'{{"below":{below}}}'
            play(server, "primes", input_, cpus)
            alone = play(server, "primes", input_, 1)
            four = play(server, "primes", input_, 4)
        return {"seconds": four, "over_ideal": four / (alone * 4 / cpus) - 1}

    def cpu_processes():
        def run(workers, count):
            return run_json([sys.executable, EXECUTORS, "process", workers, "primes",
                             bench.size(30000000, 3000000), count])["seconds"]

        alone, four = run(cpus, 1), run(cpus, 4)
        return {"seconds": four, "over_ideal": four / (alone * 4 / cpus) - 1}

    part.compare("4 CPU-bound tasks", {"futured": cpu_futured,
                                       f"ProcessPoolExecutor({cpus})": cpu_processes})


def play(server, handler, input_, count):
    """Seconds from the submission of a batch to its last result."""
    began = time.perf_counter()
    batch = ask(server, "/v1/batches", {"handler": handler, "inputs": [json.loads(input_)] * count})["id"]
    while ask(server, "/v1/wait", {"batch": batch, "timeout": 50})["not_done"]:
        pass
    seconds = time.perf_counter() - began
    counts = ask(server, f"/v1/batches/{batch}")["counts"]
    if counts.get("succeeded") != count:
        raise RuntimeError(f"{handler}: {counts}")
    return seconds


PARTS = {"work": work, "depth": depth, "waiters": waiters, "finished": finished, "stalls": stalls,
         "isolation": isolation, "ideal": ideal}
