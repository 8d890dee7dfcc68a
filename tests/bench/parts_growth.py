"""How cost grows: with connections, with workers, with the size of what is carried. Each of them is
a chart in the report; a cliff wants an explanation in README.md."""

import functools
import sys

import servers
from parts_rate import ECHO_WORKER, EXECUTORS, only_queued, pressed, worked
from servers import beanstalkd, futured, gearmand, redis, run_json


def connections(bench):
    part = bench.part("connections", "Growth: connections",
                      "64 B, tasks/s. \"with result\": `Prefer: wait` on the io lane; gearmand: "
                      "foreground, 8 workers.")
    for many in (1, 4, 16, 64, 256, 1000):
        options = {"seconds": bench.seconds * 0.5, "connections": many}
        part.compare(many, {
            "futured, POST": pressed(only_queued(), "post", handler="hold", **options),
            "futured, with result": pressed(futured, "post-wait", **options),
            "bare libmicrohttpd": pressed(servers.bare, "post", **options),
            "redis always, LPUSH": pressed(redis, "post", **options),
            "gearmand -t1, with result": worked(gearmand, 8, **options),
        })
    part.chart("rate", "connections")
    part.chart("p99_ms", "connections")


def pool(bench):
    part = bench.part("pool", "Growth: workers",
                      "64 connections, `Prefer: wait`, cpu lane, tasks/s. \"20 ms\": each task "
                      "sleeps so long in its worker, so that the ideal is 50 tasks/s per worker.")
    options = {"seconds": bench.seconds * 0.5, "connections": 64}
    n = bench.size(4000, 400)

    def python(workers):
        return lambda: {"rate": run_json([sys.executable, EXECUTORS, "process", workers, "collect",
                                          n])["rate"]}

    for workers in (1, 2, 4, 8, 16, 32):
        start = functools.partial(futured, MAX_WORKERS=workers)
        part.compare(workers, {
            "futured, no-op": pressed(start, "post-wait", lane="cpu", **options),
            "futured, 20 ms": pressed(start, "post-wait", lane="cpu", handler="sleep",
                                      input='{"ms":20}', **options),
            "gearmand -t1, no-op": worked(gearmand, workers, **options),
            "ProcessPoolExecutor, no-op": python(workers),
        })
    part.chart("rate", "workers")


SIZES = {"64 B": 64, "1 KiB": 1 << 10, "16 KiB": 16 << 10, "256 KiB": 256 << 10, "1 MiB": 1 << 20,
         "4 MiB": 4 << 20, "16 MiB": 16 << 20}


def payload(bench):
    part = bench.part("payload", "Growth: payload",
                      "The payload goes in as the body of `POST /v1/tasks/echo` and comes back in "
                      "the result, 4 connections, MB/s one way. Peers: 4 workers. bare: in only.")
    options = {"seconds": bench.seconds * 0.5, "connections": 4}
    start = functools.partial(futured, FUTURED_MAX_BODY="64M", FUTURED_MAX_RESULT="64M")

    def carried(measure, size):
        def with_bytes():
            report = measure()
            return {"rate": report["rate"], "mb_s": report["rate"] * size / 1e6,
                    "p99_ms": report["p99_ms"]}

        return with_bytes

    echo = [sys.executable, ECHO_WORKER]
    workers = functools.partial(start, handlers={
        "stream": {"worker": echo, "lane": "cpu"},
        "memfd": {"worker": [*echo, "memfd"], "lane": "cpu"}})
    for name, size in SIZES.items():
        subjects = {
            "futured, worker, by socket": pressed(workers, "post-wait", handler="stream", raw=1,
                                                  body=size, **options),
            "futured, worker, by descriptor": pressed(workers, "post-wait", handler="memfd", raw=1,
                                                      body=size, **options),
            "futured, with result": pressed(start, "post-wait", raw=1, body=size, **options),
            "redis always, with result": worked(redis, 4, body=size, **options),
            "beanstalkd -f50, with result": worked(functools.partial(beanstalkd, 50), 4, body=size,
                                                   **options),
            "bare libmicrohttpd": pressed(servers.bare, "post", body=size, **options),
        }
        part.compare(name, {subject: carried(m, size) for subject, m in subjects.items()})
    part.chart("mb_s", "payload")


PARTS = {"connections": connections, "pool": pool, "payload": payload}
