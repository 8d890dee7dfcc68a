"""The daemon on PostgreSQL: beside itself on SQLite, alone and as two nodes, and beside queues that
keep their jobs in the same server: in plain SQL, pg-boss, graphile-worker."""

import concurrent.futures
import contextlib
import functools
import glob
import http.client
import json
import os
import pathlib
import pwd
import shutil
import subprocess
import tempfile
import threading
import time

import servers
from parts_rate import rate
from servers import futured, load, run_json, tool

PEERS = str(pathlib.Path(__file__).with_name("postgres_peers.cjs"))
MODULES = pathlib.Path(__file__).parents[2] / "build/bench-tools"
LEASE_S = 10
BEAT_S = 1


class Database:
    """A PostgreSQL server of its own that waits for its disk, with Debian's settings but more
    connections and memory."""

    def __init__(self):
        self.bin = max(glob.glob("/usr/lib/postgresql/*/bin"), default="")
        if not self.bin:
            raise RuntimeError("PostgreSQL is not installed: tests/deps.sh bench")
        self.dir = tempfile.mkdtemp(prefix="pg-", dir=servers.SCRATCH)
        self.as_user = []
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            for folder in (servers.SCRATCH, self.dir):
                os.chmod(folder, 0o755)
            os.chown(self.dir, user.pw_uid, user.pw_gid)
            self.as_user = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        self.url = f"postgresql:///postgres?host={self.dir}&user=futured"
        self._run("initdb", "-D", f"{self.dir}/data", "-U", "futured", "-A", "trust", "-E", "UTF8", "--locale=C",
                  "--no-instructions")
        self.start()

    def _run(self, program, *rest):
        done = subprocess.run([*self.as_user, f"{self.bin}/{program}", *rest], capture_output=True, text=True,
                              check=False, cwd="/")
        if done.returncode != 0:
            raise RuntimeError(f"{program}: {(done.stderr or done.stdout)[-500:]}")
        return done.stdout

    def start(self):
        options = (f"-k {self.dir} -c listen_addresses= -c max_connections=200 -c shared_buffers=256MB"
                   " -c max_wal_size=4GB")
        self._run("pg_ctl", "-D", f"{self.dir}/data", "-l", f"{self.dir}/log", "-w", "-o", options, "start")

    def stop(self, mode="fast"):
        self._run("pg_ctl", "-D", f"{self.dir}/data", "-m", mode, "-w", "stop")

    def sql(self, text):
        return self._run("psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", self.url, "-c", text).strip()

    def clear(self):
        self.sql("DROP SCHEMA IF EXISTS public, pgboss, graphile_worker CASCADE; CREATE SCHEMA public")

    def wal_bytes(self):
        return int(self.sql("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::int8"))


@contextlib.contextmanager
def database():
    server = Database()
    try:
        yield server
    finally:
        server.stop("immediate")
        shutil.rmtree(server.dir, ignore_errors=True)


@contextlib.contextmanager
def nodes(db, many, clear=True, **env):
    """So many daemons on the database, which is empty."""
    if clear:
        db.clear()
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(futured(**{"FUTURED_DB": db.url, "FUTURED_NODE": f"n{i}", **env}))
               for i in range(many)]


def ask(server, method, path, body=None, headers=None):
    """Status and parsed body."""
    connection = http.client.HTTPConnection(*server.address.split(":"), timeout=120)
    try:
        text = None if body is None else json.dumps(body)
        connection.request(method, path, text, {"Content-Type": "application/json", **(headers or {})})
        answer = connection.getresponse()
        found = answer.read()
    finally:
        connection.close()
    if answer.status >= 300:
        raise RuntimeError(f"{method} {path}: {answer.status} {found[:200]!r}")
    return json.loads(found) if found else None


# ---- with the result -----------------------------------------------------------------------------


def on_sqlite(**options):
    def measure():
        with futured() as server:
            return rate(load(server, "post-wait", **options))

    return measure


def on_nodes(db, many, connections, **options):
    """The connections are shared out; the rate is the sum of the nodes'."""

    def measure():
        with nodes(db, many) as started, concurrent.futures.ThreadPoolExecutor(many) as threads:
            wal = db.wal_bytes()
            reports = list(threads.map(
                lambda server: load(server, "post-wait", connections=max(1, connections // many), **options), started))
            wal = db.wal_bytes() - wal
        found = {"rate": sum(r["rate"] for r in reports),
                 **{key: max(r[key] for r in reports) for key in ("p50_ms", "p99_ms", "max_ms")}}
        return {**found, "wal": wal / max(1, found["rate"] * options["seconds"])}

    return measure


def in_plain_sql(db, connections, seconds, workers, fetch):
    def measure():
        db.clear()
        return run_json([tool("bench_jobs"), "--url", db.url, "--clients", connections, "--workers", workers,
                         "--fetch", fetch, "--seconds", seconds])

    return measure


def by_peer(db, name, connections, seconds, setting):
    def measure():
        if not MODULES.exists():
            raise RuntimeError("its packages are not there: tests/deps.sh bench")
        db.clear()
        return run_json(["node", PEERS, MODULES, name, db.url, connections, seconds, setting])

    return measure


# Jobs at once / jobs of a fetch or of the queue in memory.
PLAIN = {"plain SQL, 8 workers": (8, 8), "plain SQL, 32 workers": (32, 2)}
PEER = {"pg-boss": ("pg-boss", "4/64"), "graphile-worker": ("graphile-worker", "32/0"),
        "graphile-worker, queue in memory": ("graphile-worker", "64/500")}


def with_result(bench, db, part):
    for connections in (1, 10, 64, 256):
        options = {"seconds": bench.seconds, "connections": connections}
        subjects = {"futured, SQLite": on_sqlite(**options),
                    "futured, PostgreSQL": on_nodes(db, 1, **options)}
        if connections > 1:
            subjects["futured, two nodes"] = on_nodes(db, 2, **options)
        if connections in (1, 64):
            subjects |= {name: in_plain_sql(db, connections, bench.seconds, *setting)
                         for name, setting in PLAIN.items()}
            subjects |= {name: by_peer(db, peer, connections, bench.seconds, setting)
                         for name, (peer, setting) in PEER.items()}
        part.compare(f"{connections} connection{'s' * (connections > 1)}", subjects)


# ---- under hardship ------------------------------------------------------------------------------


def finished(server):
    return ask(server, "GET", "/v1/stats")["tasks"]["succeeded"]


def drained(server, tasks, seconds):
    """Tasks a second that end by themselves, until none of them is left or the time is over."""
    before, began, ended = finished(server), time.perf_counter(), 0
    while ended < tasks and time.perf_counter() - began < seconds:
        time.sleep(0.02)
        ended = finished(server) - before
    return ended / (time.perf_counter() - began)


def fill(server, tasks):
    """So many `echo` wait while their handler is paused."""
    ask(server, "PATCH", "/v1/handlers/echo", {"paused": True})
    load(server, "bulk", connections=2, bulk=1000, requests=tasks // 1000)


def backlog(db, tasks, seconds):
    def measure():
        with nodes(db, 1, FUTURED_MAX_QUEUED=10 * tasks) as (server,):
            fill(server, tasks)
            ask(server, "PATCH", "/v1/handlers/echo", {"paused": False})
            return {"rate": drained(server, tasks, seconds)}

    return measure


@contextlib.contextmanager
def old_snapshot(db):
    """Another session keeps all rows that are there from being vacuumed."""
    holder = subprocess.Popen([*db.as_user, f"{db.bin}/psql", "-Xq", "-d", db.url], stdin=subprocess.PIPE, cwd="/",
                              stdout=subprocess.DEVNULL, text=True)
    try:
        holder.stdin.write("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class;\n")
        holder.stdin.flush()
        yield
    finally:
        holder.kill()
        holder.wait()


def xmin_kept(db, seconds, hold):
    """The rate after so many seconds beside the rate after as many without."""

    def measure():
        with nodes(db, 1) as (server,):
            load(server, "post-wait", connections=64, seconds=hold)
            first = load(server, "post-wait", connections=64, seconds=seconds)["rate"]
            with old_snapshot(db):
                load(server, "post-wait", connections=64, seconds=hold)
                last = load(server, "post-wait", connections=64, seconds=seconds)["rate"]
            return {"share": last / first}

    return measure


def wake_up(db, times):
    """From the answer to whoever completes a promise on one node to that of whoever waits for it on
    the other."""

    def one(a, b):
        future = ask(a, "POST", "/v1/promises", {})["id"]
        answered = []

        def wait():
            ask(b, "GET", f"/v1/futures/{future}?wait=30")
            answered.append(time.perf_counter())

        waiter = threading.Thread(target=wait)
        waiter.start()
        time.sleep(0.05)
        ask(a, "POST", f"/v1/futures/{future}/complete", {"result": 1})
        done = time.perf_counter()
        waiter.join()
        if not answered:
            raise RuntimeError("a waiter has no answer")
        return max(0.0, answered[0] - done) * 1e3

    def measure():
        with nodes(db, 2) as (a, b):
            took = sorted(one(a, b) for _ in range(times))
        return {"p50_ms": took[len(took) // 2], "p99_ms": took[len(took) * 99 // 100], "max_ms": took[-1]}

    return measure


def restarted(db, mode):
    """The longest request while the server is started anew; a request that fails spoils the sample."""

    def measure():
        with nodes(db, 1) as (server,), concurrent.futures.ThreadPoolExecutor(1) as threads:
            report = threads.submit(load, server, "post-wait", connections=16, seconds=6)
            time.sleep(2)
            db.stop(mode)
            db.start()
            return rate(report.result())

    return measure


def runs_again(db):
    """Seconds from the death of a node until its task runs on another one."""

    def measure():
        with nodes(db, 1) as (a,):
            future = ask(a, "POST", "/v1/tasks/hold", {})["id"]
            servers.wait_for(lambda: ask(a, "GET", f"/v1/futures/{future}")["state"] == "running", 30, "a start")
            with nodes(db, 1, clear=False, FUTURED_NODE="other") as (b,):
                a.process.kill()
                began = time.perf_counter()
                servers.wait_for(lambda: ask(b, "GET", f"/v1/futures/{future}")["attempt"] > 1, 60, "another attempt")
                return {"seconds": time.perf_counter() - began}

    return measure


def postgres_hardship(bench):
    part = bench.part("postgres_hardship", "On PostgreSQL, under hardship",
                      "Backlog: the rate at which waiting tasks end, with few and with many. An old snapshot: the rate "
                      "at 64 connections after 15 s, as a share of that after 15 s without. Wake-up: a promise is completed on "
                      "one node, and a client that waits for it on the other hears of it. Restart: the longest "
                      "request of 16 connections while the server is started anew. Death: from the kill of a node until "
                      "its task runs on another one.")
    small, large = bench.size((50_000, 1_000_000), (2_000, 20_000))
    with database() as db:
        part.compare("backlog", {f"futured, {n:,} queued": backlog(db, n, bench.seconds) for n in (small, large)},
                     runs=1)
        part.compare("an old snapshot", {"futured": xmin_kept(db, bench.seconds, bench.size(15, 2))}, runs=1)
        part.compare("wake-up", {"futured, from node to node": wake_up(db, bench.size(300, 30))})
        part.compare("restart", {f"futured, {mode}": restarted(db, mode) for mode in ("fast", "immediate")}, runs=1)
        part.compare("death", {"futured": runs_again(db)}, runs=1)


def postgres(bench):
    part = bench.part("postgres", "On PostgreSQL",
                      "Tasks of 64 B with their result, and one server that is on the same machine and waits for its "
                      "disk. The queues beside the daemon hear of a job's end in memory, for nothing; the daemon's "
                      "clients by HTTP. Plain SQL: FOR UPDATE SKIP LOCKED, one statement per job to add and to end it.")
    with database() as db:
        with_result(bench, db, part)


PARTS = {"postgres": postgres, "postgres_hardship": postgres_hardship}
