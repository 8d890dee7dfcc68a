"""What people use instead, as they use it: task frameworks for Python with their own workers and clients, and a queue
of programs. Each at the setting that was best here: frameworks.py says which."""

import contextlib
import functools
import os
import pathlib
import subprocess
import tempfile
import time

import servers
from servers import futured, load, redis, run_json

DRIVER = str(pathlib.Path(__file__).with_name("frameworks.py"))
ECHO_WORKER = str(pathlib.Path(__file__).with_name("echo_worker.py"))
PYTHON = "/usr/bin/python3"  # the one that Debian's packages of the peers are for


@contextlib.contextmanager
def programs(*commands):
    """Workers of a peer, ended by the with statement."""
    started = [subprocess.Popen([PYTHON, DRIVER, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
               for command in commands]
    try:
        yield started
    finally:
        for each in started:
            each.terminate()
        for each in started:
            try:
                each.wait(20)
            except subprocess.TimeoutExpired:
                each.kill()
                each.wait()


def client(name, address, measure, count):
    return run_json([PYTHON, DRIVER, name, address, measure, count])


def of_futured(measure, count):
    warm = {"warm": {"worker": [PYTHON, ECHO_WORKER], "lane": "cpu"}}

    def sample():
        with futured(warm, MAX_WORKERS=2) as server:
            return client("futured", server.address, measure, count)

    return sample


def of_redis(name, appendfsync, workers, measure, count):
    """Two worker processes of a framework that keeps its tasks in Redis."""

    def sample():
        with redis(appendfsync) as server:
            url = f"redis://{server.address}/0"
            with programs(*([kind, url, *rest] for kind, *rest in workers)):
                return client(name, url, measure, count)

    return sample


CELERY = [("celery-worker", "prefork")]
CELERY_SOLO = [("celery-worker", "solo")] * 2
RQ = [("rq-worker",)] * 2


def frameworks(bench):
    part = bench.part("frameworks", "Task frameworks for Python",
                      "A Python function that returns its 64 B, two worker processes each. together: all handed in by "
                      "one call of the framework's own client, all results collected; alone: one after another, from "
                      "the call to the result. Durable are futured and what stands on Redis with `always`; `everysec` "
                      "may lose a second, dask everything. RQ's workers start no process for a job.")
    for case, measure, count in (("together", "map", bench.size(2000, 200)), ("alone", "lone", bench.size(200, 20))):
        subjects = {"futured, warm worker": of_futured(measure, count)}
        for fsync in ("always", "everysec"):
            subjects |= {
                f"Celery, redis {fsync}": of_redis("celery", fsync, CELERY, measure, count),
                f"RQ, redis {fsync}": of_redis("rq", fsync, RQ, measure, count),
            }
        subjects |= {
            "Celery, two workers without a pool, redis everysec":
                of_redis("celery", "everysec", CELERY_SOLO, measure, count),
            "dask.distributed": functools.partial(client, "dask", "-", measure, count),
        }
        part.compare(f"{count} tasks, {case}", subjects)


# ---- a queue of programs -------------------------------------------------------------------------


@contextlib.contextmanager
def task_spooler(slots):
    """The environment of a spooler of its own."""
    with tempfile.TemporaryDirectory(dir=servers.SCRATCH) as folder:
        env = {**os.environ, "TS_SOCKET": f"{folder}/socket", "TMPDIR": folder, "TS_MAXFINISHED": "100000"}
        subprocess.run(["tsp", "-S", str(slots)], env=env, check=True, stdout=subprocess.DEVNULL)
        try:
            yield env
        finally:
            subprocess.run(["tsp", "-K"], env=env, check=False, stdout=subprocess.DEVNULL)


def spooled(count):
    """Handed in by one command each, as there is no other way; the spooler starts them meanwhile."""
    with task_spooler(2) as env:
        began = time.perf_counter()
        for _ in range(count):
            subprocess.run(["tsp", "-n", "true"], env=env, check=True)
        for job in (count - 2, count - 1):  # numbered from 0; two at a time, so the last two end last
            subprocess.run(["tsp", "-w", str(job)], env=env, check=True)
        return {"rate": count / (time.perf_counter() - began)}


def by_commands(count):
    """The same with the command line of the daemon: a process for each task that is handed in."""
    future = str(servers.BUILD / "future")
    with futured(MAX_WORKERS=2) as server:
        env = {**os.environ, "FUTURED_URL": f"http://{server.address}"}
        began = time.perf_counter()
        ids = [subprocess.run([future, "submit", "true"], env=env, check=True, capture_output=True,
                              text=True).stdout.strip() for _ in range(count)]
        for each in ids[-2:]:
            subprocess.run([future, "wait", each], env=env, check=True, stdout=subprocess.DEVNULL)
        return {"rate": count / (time.perf_counter() - began)}


def spoolers(bench):
    part = bench.part("spoolers", "A queue of programs, by its command",
                      "`true`, two at a time. By commands: each is handed in by a process of its own, `future submit` "
                      "or `tsp`. task-spooler keeps nothing.")

    def by_http():
        with futured(MAX_WORKERS=2) as server:
            return {"rate": load(server, "post-wait", handler="true", connections=16,
                                 seconds=bench.seconds)["rate"]}

    count = bench.size(400, 40)
    part.compare("a program per task", {
        "futured, by commands": functools.partial(by_commands, count),
        "futured, 16 connections": by_http,
        "task-spooler": functools.partial(spooled, count),
    })


PARTS = {"frameworks": frameworks, "spoolers": spoolers}
