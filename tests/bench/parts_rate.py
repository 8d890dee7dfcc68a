"""How many tasks a second, and how long one takes: handing in, in bulk, with the result, on each
lane, through each kind of handler."""

import contextlib
import functools
import pathlib
import shutil
import sys
import tempfile
import time

import servers
from servers import background, beanstalkd, futured, gearmand, load, redis, run_batches, run_json, tool, workers

EXECUTORS = str(pathlib.Path(__file__).with_name("executors.py"))
ECHO_WORKER = str(pathlib.Path(__file__).with_name("echo_worker.py"))
SDK_WORKER = str(pathlib.Path(__file__).with_name("sdk_worker.py"))


def rate(report, per_request=1):
    return {"rate": report["rate"] * per_request, "p50_ms": report["p50_ms"],
            "p99_ms": report["p99_ms"], "max_ms": report["max_ms"]}


def executor(kind, what, *rest):
    def measure():
        report = run_json([sys.executable, EXECUTORS, kind, 2, what, *rest])
        return {k: v for k, v in report.items() if k != "seconds"}

    return measure


def pressed(start, mode, per_request=1, **options):
    """A fresh server, pressed in one mode."""

    def measure():
        with start() as server:
            return rate(load(server, mode, **options), per_request)

    return measure


def batch(handler, n, value="x" * 64, handlers=None, **fields):
    """All handed in, as executors are given theirs, then all collected."""

    def measure():
        with futured(handlers, MAX_WORKERS=2) as server:
            run_batches(server, handler, [value] * 100, 100, **fields)
            began = time.perf_counter()
            run_batches(server, handler, [value] * n, 10000, **fields)
            return {"rate": n / (time.perf_counter() - began)}

    return measure


def worked(start, at_work, **options):
    """A fresh peer with workers at its other side, asked for results."""

    def measure():
        with start() as server, workers(server, at_work):
            return rate(load(server, "post-wait", **options))

    return measure


def only_queued():
    """A daemon whose cpu lane is taken, so that what is posted stays queued. Its peers have no
    workers either."""

    @contextlib.contextmanager
    def start():
        with futured(MAX_WORKERS=1) as server:
            load(server, "post", handler="hold", requests=1, connections=1)
            yield server

    return start


def http_threads():
    """The daemon's own default: the bare library gets as many."""
    import subprocess

    table = subprocess.run([servers.BUILD / "futured", "--dump-config"], capture_output=True,
                           text=True, check=True).stdout
    row = next(line for line in table.splitlines() if "FUTURED_HTTP_THREADS" in line)
    word = row.split("|")[2].strip()
    return int(word) if word.isdigit() else 2


def enqueue(bench):
    loops = http_threads()
    part = bench.part("enqueue", "Handing in one task per request",
                      "64 B of input, each request answered before the next on that connection. No "
                      "worker takes anything meanwhile, except where `echo` runs.")
    for connections in (1, 64, 256):
        options = {"seconds": bench.seconds, "connections": connections}
        subjects = {
            "futured": pressed(only_queued(), "post", handler="hold", **options),
            "futured, and echo runs": pressed(futured, "post", **options),
            f"bare libmicrohttpd, {loops} loop{'s' * (loops > 1)}":
                pressed(functools.partial(servers.bare, loops), "post", **options),
            f"bare libmicrohttpd, {loops + 1} loops":
                pressed(functools.partial(servers.bare, loops + 1), "post", **options),
            "beanstalkd -f0": pressed(functools.partial(beanstalkd, 0), "post", **options),
            "beanstalkd -f50": pressed(functools.partial(beanstalkd, 50), "post", **options),
            "redis always": pressed(redis, "post", **options),
            "gearmand -t1": pressed(gearmand, "post", **options),
        }
        if connections == 1:
            n = bench.size(30000, 2000)
            subjects["ThreadPoolExecutor(2)"] = executor("thread", "submit", n)
            subjects["ProcessPoolExecutor(2)"] = executor("process", "submit", n // 4)
        part.compare(f"{connections} connections", subjects)


def bulk(bench):
    part = bench.part("bulk", "1,000 tasks per request",
                      "2 connections, 64 B of input each. The bare transaction writes the rows that "
                      "the daemon's run has just left, into the same schema with the same settings, "
                      "1,000 tasks per transaction. Peers: one write with 1,000 of their commands "
                      "(Redis: one LPUSH).")
    options = {"seconds": bench.seconds, "connections": 2, "bulk": 1000, "body": 64}
    left = pathlib.Path(tempfile.mkdtemp(prefix="bulk-", dir=servers.SCRATCH))

    def of_daemon():
        for old in left.glob("futured.db*"):
            old.unlink()
        with futured(folder=left, MAX_WORKERS=1) as server:
            return rate(load(server, "bulk", handler="hold", **options), 1000)

    def of_sqlite():
        if not (left / "futured.db").exists():
            of_daemon()  # its turn comes later this time
        for old in left.glob("bare.db*"):
            old.unlink()
        report = run_json([tool("bench_sqlite"), "--from", left / "futured.db", "--to",
                           left / "bare.db", "--tasks", 1000])
        return {key: report[key] for key in ("rate", "p50_ms", "p99_ms", "max_ms")}

    part.compare("2 connections", {
        "futured": of_daemon,
        "bare SQLite": of_sqlite,
        "redis always": pressed(redis, "bulk", 1000, **options),
        "beanstalkd -f50": pressed(functools.partial(beanstalkd, 50), "bulk", 1000, **options),
        "gearmand -t1": pressed(gearmand, "bulk", 1000, **options),
    })
    shutil.rmtree(left)


def post_poll(**options):
    """POST, then long-poll: two requests per task."""

    def measure():
        with futured() as server:
            report = load(server, "post-poll", **options)
            return {**rate(report, 0.5), "p50_ms": None, "p99_ms": None, "max_ms": None}

    return measure


def end_to_end(bench):
    part = bench.part("end_to_end", "A no-op task with its result",
                      "64 B in, 64 B out, durable where it says so: submission and result are both "
                      "on disk before futured answers. Peers: one worker process with 2 or 8 "
                      "connections that returns the payload; clients put a task, then take the "
                      "result. Python: all submitted, then collected, and so is a batch.")
    for connections in (64, 256):
        options = {"seconds": bench.seconds, "connections": connections}
        subjects = {
            "futured, io lane": pressed(futured, "post-wait", **options),
            "futured, cpu lane": pressed(futured, "post-wait", lane="cpu", **options),
            "futured, POST then long-poll": post_poll(**options),
            "bare libmicrohttpd": pressed(servers.bare, "post", **options),
            "gearmand -t1, 8 workers": worked(gearmand, 8, **options),
        }
        if connections == 64:
            n = bench.size(30000, 2000)
            subjects |= {
                "futured, a batch, io lane": batch("echo", n),
                "futured, a batch, cpu lane": batch("echo", n, lane="cpu"),
                "gearmand -t1, 2 workers": worked(gearmand, 2, **options),
                "gearmand -t4, 8 workers": worked(functools.partial(gearmand, 4), 8, **options),
                "beanstalkd -f0, 2 workers": worked(functools.partial(beanstalkd, 0), 2, **options),
                "beanstalkd -f50, 2 workers": worked(functools.partial(beanstalkd, 50), 2,
                                                     **options),
                "redis always, 8 workers": worked(redis, 8, **options),
                "ThreadPoolExecutor(2)": executor("thread", "collect", n),
                "ProcessPoolExecutor(2)": executor("process", "collect", n // 4),
            }
        part.compare(f"{connections} connections", subjects)


def sqlite_commits(bench):
    """What one task alone costs in SQLite, twice: it is written, and its end is."""
    n = bench.size(2000, 200)

    def measure():
        left = pathlib.Path(tempfile.mkdtemp(prefix="one-", dir=servers.SCRATCH))
        with futured(folder=left, MAX_WORKERS=1) as server:
            load(server, "bulk", handler="hold", bulk=n, requests=1, connections=1)
        report = run_json([tool("bench_sqlite"), "--from", left / "futured.db", "--to",
                           left / "bare.db", "--tasks", 1, "--limit", n])
        shutil.rmtree(left)
        return {"rate": report["rate"] / 2, "p50_ms": 2 * report["p50_ms"],
                "p99_ms": None, "max_ms": None}

    return measure


def roundtrip(bench):
    part = bench.part("roundtrip", "The round trip of one task",
                      "One connection, one task at a time, submitted, run, result in hand. \"under "
                      "load\": 64 other connections press the same server with the same meanwhile.")
    options = {"seconds": bench.seconds, "connections": 1}
    n = bench.size(2000, 200)
    part.compare("idle", {
        "futured, io lane": pressed(futured, "post-wait", **options),
        "futured, cpu lane": pressed(futured, "post-wait", lane="cpu", **options),
        "bare: one request at libmicrohttpd": pressed(servers.bare, "post", **options),
        "bare: two commits of SQLite": sqlite_commits(bench),
        "beanstalkd -f0": worked(functools.partial(beanstalkd, 0), 2, **options),
        "beanstalkd -f50": worked(functools.partial(beanstalkd, 50), 2, **options),
        "redis always": worked(redis, 2, **options),
        "gearmand -t1": worked(gearmand, 2, **options),
        "ThreadPoolExecutor(2)": executor("thread", "roundtrip", n),
        "ProcessPoolExecutor(2)": executor("process", "roundtrip", n),
    })

    def under_load(start, with_workers):
        def measure():
            with start() as server, contextlib.ExitStack() as beside:
                if with_workers:
                    beside.enter_context(workers(server, 8))
                beside.enter_context(background(server, "post-wait", connections=64))
                return rate(load(server, "post-wait", **options))

        return measure

    part.compare("under load", {
        "futured, io lane": under_load(futured, False),
        "beanstalkd -f50": under_load(functools.partial(beanstalkd, 50), True),
        "redis always": under_load(redis, True),
        "gearmand -t1": under_load(gearmand, True),
    })


def lanes(bench):
    part = bench.part("lanes", "Through each kind of handler",
                      "16 connections, `Prefer: wait`, 64 B in. `worker` is a warm Python program "
                      "(tests/bench/echo_worker.py), exec starts `true`, or `gzip` with 64 KiB, for each "
                      "task; MAX_WORKERS=2 throughout. A batch is handed in as a whole, as executors "
                      "are given all of theirs; its worker is one of the SDK that takes tasks "
                      "ahead (tests/bench/sdk_worker.py). bare: the same program started, its output "
                      "read, and reaped by a loop, 2 at a time.")
    options = {"seconds": bench.seconds, "connections": 16}
    warm = {"warm": {"worker": [sys.executable, ECHO_WORKER], "lane": "cpu"},
            "sdk": {"worker": [sys.executable, SDK_WORKER, "--ahead"], "lane": "cpu"}}
    n = bench.size(4000, 400)

    def through(handler, handlers=None, **more):
        start = functools.partial(futured, handlers=handlers, MAX_WORKERS=2)
        return pressed(start, "post-wait", handler=handler, **options, **more)

    part.compare("no-op", {
        "futured, built-in, io lane": through("echo"),
        "futured, built-in, cpu lane": through("echo", lane="cpu"),
        "futured, warm worker": through("warm", warm),
        "futured, a batch, warm worker": batch("sdk", 2 * n, handlers=warm),
        "gearmand -t1, 2 workers": worked(gearmand, 2, **options),
        "ProcessPoolExecutor(2)": executor("process", "collect", n),
    })
    part.compare("a program per task", {
        "futured, exec": through("true"),
        "futured, a batch, exec": batch("true", n // 4, None),
        "bare: posix_spawn": lambda: {"rate": run_json(
            [tool("bench_spawn"), "--seconds", bench.seconds])["rate"]},
        "ThreadPoolExecutor(2), subprocess.run": executor("thread", "spawn", n // 4),
        "ProcessPoolExecutor(2), subprocess.run": executor("process", "spawn", n // 4),
    })
    gzip = {"gzip": {"exec": ["gzip"], "lane": "cpu"}}
    part.compare("64 KiB through gzip", {
        "futured, exec": through("gzip", gzip, body=65536),
        "bare: posix_spawn": lambda: {"rate": run_json(
            [tool("bench_spawn"), "--seconds", bench.seconds, "--program", "gzip", "--input",
             65536])["rate"]},
        "ThreadPoolExecutor(2), subprocess.run": executor("thread", "gzip", n // 4),
        "ProcessPoolExecutor(2), subprocess.run": executor("process", "gzip", n // 4),
    })


PARTS = {"enqueue": enqueue, "bulk": bulk, "end_to_end": end_to_end, "roundtrip": roundtrip,
         "lanes": lanes}
