"""Task frameworks for Python beside the daemon: the workers and the client of each, with a function that returns what
it is given. The client prints one line of JSON.
    frameworks.py celery-worker URL prefork|solo     a Celery worker: two processes, or one without a pool
    frameworks.py rq-worker URL                      an RQ worker that starts no process for a job
    frameworks.py celery|rq URL map|lone COUNT       COUNT tasks handed in together and collected, or one after another
    frameworks.py dask - map|lone COUNT              the same with a cluster of two processes of its own
    frameworks.py futured ADDRESS map|lone COUNT     the same with the package futured and the handler `warm`
"""

import json
import pathlib
import sys
import time

VALUE = "x" * 64
SDK = pathlib.Path(__file__).parents[2] / "client/python"


def echo(value):
    return value


# ---- Celery --------------------------------------------------------------------------------------


def celery_app(url):
    from celery import Celery

    app = Celery("frameworks", broker=url, backend=url)
    # More messages ahead and no events: what Celery's documents advise for many short tasks.
    app.conf.update(worker_prefetch_multiplier=64, task_send_sent_event=False, worker_send_task_events=False,
                    broker_pool_limit=4, broker_connection_retry_on_startup=True)
    return app, app.task(name="echo")(echo)


def celery_worker(url, pool):
    app, _ = celery_app(url)
    app.worker_main(["worker", "--loglevel=WARNING", f"--pool={pool}", "--concurrency=2", "--without-gossip",
                     "--without-mingle", "--without-heartbeat"])


class CeleryClient:
    def __init__(self, url):
        self.app, self.echo = celery_app(url)

    def map(self, values):
        from celery import group

        return group(self.echo.s(value) for value in values).apply_async().get(timeout=300)

    def lone(self, value):
        return self.echo.delay(value).get(timeout=60)

    def close(self):
        self.app.close()


# ---- RQ ------------------------------------------------------------------------------------------


def rq_worker(url):
    import redis
    import rq

    sys.path.insert(0, str(pathlib.Path(__file__).parent))
    connection = redis.Redis.from_url(url)
    rq.SimpleWorker([rq.Queue(connection=connection)], connection=connection).work(logging_level="WARNING")


class RqClient:
    def __init__(self, url):
        import redis
        import rq

        self.rq, self.connection = rq, redis.Redis.from_url(url)
        self.queue = rq.Queue(connection=self.connection)

    def map(self, values):
        datas = [self.rq.Queue.prepare_data("frameworks.echo", (value,)) for value in values]
        with self.connection.pipeline() as pipe:
            jobs = self.queue.enqueue_many(datas, pipeline=pipe)
            pipe.execute()
        return [self._result(job) for job in jobs]

    def lone(self, value):
        return self._result(self.queue.enqueue("frameworks.echo", value))

    def _result(self, job):
        """This version of RQ asks again and again; its results are streams, so Redis can be waited for."""
        from rq.results import Result

        key = Result.get_key(job.id)
        if not self.connection.xread({key: "0-0"}, count=1, block=60000):
            raise RuntimeError(f"job {job.id} has no result")
        return Result.fetch_latest(job).return_value

    def close(self):
        self.connection.close()


# ---- dask and futured ----------------------------------------------------------------------------


class DaskClient:
    def __init__(self, _):
        from distributed import Client, LocalCluster

        self.cluster = LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None)
        self.client = Client(self.cluster)

    def map(self, values):
        return self.client.gather(self.client.map(echo, values, pure=False))

    def lone(self, value):
        return self.client.submit(echo, value, pure=False).result()

    def close(self):
        self.client.close()
        self.cluster.close()


class FuturedClient:
    def __init__(self, address):
        sys.path.insert(0, str(SDK))
        import futured

        self.client = futured.Client(f"http://{address}")

    def map(self, values):
        return list(self.client.map("warm", values))

    def lone(self, value):
        return self.client.submit("warm", value).result()

    def close(self):
        self.client.close()


# ---- what is measured ----------------------------------------------------------------------------


def together(client, count):
    values = [VALUE] * count
    began = time.perf_counter()
    results = client.map(values)
    took = time.perf_counter() - began
    if results != values:
        raise RuntimeError("wrong results")
    return {"rate": count / took}


def one_by_one(client, count):
    took = []
    for _ in range(count):
        began = time.perf_counter()
        if client.lone(VALUE) != VALUE:
            raise RuntimeError("wrong result")
        took.append((time.perf_counter() - began) * 1e3)
    took.sort()
    return {"p50_ms": took[len(took) // 2], "p99_ms": took[len(took) * 99 // 100]}


CLIENTS = {"celery": CeleryClient, "rq": RqClient, "dask": DaskClient, "futured": FuturedClient}
WORKERS = {"celery-worker": celery_worker, "rq-worker": rq_worker}
MEASURES = {"map": together, "lone": one_by_one}


def main(what, *rest):
    if what in WORKERS:
        WORKERS[what](*rest)
        return
    url, measure, count = rest
    client = CLIENTS[what](url)
    client.map([VALUE] * 20)  # everybody is awake and connected
    report = MEASURES[measure](client, int(count))
    client.close()
    print(json.dumps(report))


if __name__ == "__main__":
    main(*sys.argv[1:])
