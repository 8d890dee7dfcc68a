"""The parts of overload.py, a function each: report, folder, seconds of pressure."""

import concurrent.futures
import contextlib
import hashlib
import http.client
import json
import socket
import subprocess
import threading
import time

from client import Client, Undecided
from daemon import Daemon, Sampler, servers

@contextlib.contextmanager
def running(folder, name, handlers=None, **env):
    """A daemon with its sampler, ended with the with statement."""
    daemon = Daemon(name, folder / name, handlers or {}, **env)
    daemon.start()
    sampler = Sampler([daemon], every=0.1)
    sampler.start()
    try:
        yield daemon, sampler
    finally:
        daemon.is_over.set()
        sampler.stop()
        tail, status = daemon.log_tail(), daemon.stop()
        if status != 0:
            raise RuntimeError(f"the daemon ended with {status}: {tail}")


def check_memory(report, part, sampler, daemon, allowed, since=0.0, why=""):
    """The daemon may have grown by so many MiB at most."""
    values = [found["rss"] for t, found in sampler.rows[daemon.name] if t >= since]
    report.check(part, max(values) < values[0] + allowed,
                 f"resident {values[0]:.1f} MiB before, at most {max(values):.1f}, "
                 f"{values[-1]:.1f} afterwards (at most {allowed} more{why})")


def share(values, part):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * part))] if values else float("nan")


def timed(ask):
    began = time.monotonic()
    answer = ask()
    return answer, (time.monotonic() - began) * 1000


class Watcher(threading.Thread):
    """One who only looks, ten times a second, while others press: status, numbers, health."""

    def __init__(self, daemon, task):
        super().__init__(daemon=True)
        self.daemon, self.task, self.ms, self.bad = daemon, task, [], []
        self.is_over = threading.Event()

    def run(self):
        client = Client(self.daemon)
        paths = [f"/v1/futures/{self.task}", "/v1/stats", "/healthz"]
        while not self.is_over.wait(0.1):
            path = paths[len(self.ms) % 3]
            try:
                answer, ms = timed(lambda p=path: client.once("GET", p))
            except Undecided as error:
                self.bad.append(str(error))
                continue
            self.ms.append(ms)
            if answer.status != 200:
                self.bad.append(f"{path}: {answer.status}")
        client.close()

    def tell(self, report, part):
        self.is_over.set()
        self.join()
        report.check(part, self.ms and not self.bad,
                     f"{len(self.ms)} looks at status, stats and health meanwhile: "
                     f"{len(self.bad)} not answered {self.bad[:3]}, "
                     f"p50 {share(self.ms, .5):.1f} ms, p99 {share(self.ms, .99):.1f} ms, longest "
                     f"{max(self.ms, default=0):.1f} ms")


# ---- ten times the drain rate ------------------------------------------------------------------

QUEUE, THREADS, SLEEP_MS = 200, 4, 80  # drains 50 a second
CLIENTS, FACTOR = 20, 10


class Presser(threading.Thread):
    """Submits at its share of the rate, whatever the answers say."""

    def __init__(self, daemon, rate, seconds):
        super().__init__(daemon=True)
        self.daemon, self.every, self.seconds = daemon, 1 / rate, seconds
        self.accepted, self.refused, self.ms, self.bad = [], 0, [], []

    def run(self):
        client, end, due = Client(self.daemon), time.monotonic() + self.seconds, time.monotonic()
        while time.monotonic() < end:
            due = max(due + self.every, time.monotonic() - self.every)
            answer, ms = timed(lambda: client.once(
                "POST", "/v1/tasks", {"handler": "sleep", "input": {"ms": SLEEP_MS}}))
            self.take(answer, ms)
            self.daemon.pause(max(0, due - time.monotonic()))
        client.close()

    def take(self, answer, ms):
        problem = answer.json()
        if answer.status == 202:
            self.accepted.append(problem["id"])
            self.ms.append(ms)
        elif answer.status == 503 and answer.headers.get("Retry-After", "").isdigit() \
                and problem["code"] in ("queue_full", "busy"):
            self.refused += 1
        else:
            self.bad.append(f"{answer.status} {answer.body[:200]!r}")


def round_trip(client):
    """Milliseconds of a fresh no-op with its result; None when it is refused or not done."""
    answer, ms = timed(lambda: client.once("POST", "/v1/tasks?wait=0.5",
                                           {"handler": "echo", "input": 1}))
    return ms if answer.status == 200 and answer.json()["done"] else None


def trip_by_asking(client):
    """The same where nobody may wait any more: asked again and again."""
    began, task = time.monotonic(), client.submit("echo", 1)
    while not client.future(task)["done"]:
        pass
    return (time.monotonic() - began) * 1000


def recovery(report, part, daemon, before_ms, ended):
    """From the end of the pressure on. A no-op stands behind what was accepted before it."""
    client, accepted_s = Client(daemon), None
    limit = QUEUE / (THREADS * 1000 / SLEEP_MS) + 15
    while (now := time.monotonic() - ended) < limit:
        answer = client.once("POST", "/v1/tasks", {"handler": "echo", "input": 1})
        if answer.status == 202:
            accepted_s = accepted_s or now
            found = [round_trip(client) for _ in range(5)]
            if None not in found and share(found, .5) <= 2 * before_ms + 5:
                break
        daemon.pause(0.05)
    report.check(part, accepted_s is not None,
                 f"first POST accepted {accepted_s or now:.2f} s after the pressure")
    report.check(part, now < limit, f"a no-op's round trip is as before ({before_ms:.1f} ms) "
                 f"{now:.1f} s after the pressure (at most {limit:.0f})")


def drain(report, folder, seconds):
    """Ten times what the workers can do, into a queue that soon is full."""
    part = "drain"
    rate = THREADS * 1000 / SLEEP_MS
    with running(folder, part, MAX_THREADS=THREADS, MAX_WORKERS=1,
                 FUTURED_MAX_QUEUED=QUEUE) as (daemon, sampler):
        client = Client(daemon)
        first = client.submit("echo", 1)
        before = share([round_trip(client) or 500 for _ in range(21)], .5)
        watcher = Watcher(daemon, first)
        watcher.start()
        pressers = [Presser(daemon, rate * FACTOR / CLIENTS, seconds) for _ in range(CLIENTS)]
        began = time.monotonic()
        for each in pressers:
            each.start()
        for each in pressers:
            each.join()
        ended = time.monotonic()
        accepted = [task for each in pressers for task in each.accepted]
        refused, bad = sum(p.refused for p in pressers), [b for p in pressers for b in p.bad]
        ms = [m for each in pressers for m in each.ms]
        offered = (len(accepted) + refused + len(bad)) / (ended - began)
        report.check(part, offered > rate * FACTOR * 0.5, f"{offered:.0f} submissions a second for "
                     f"{ended - began:.0f} s, where {rate:.0f} a second can be done")
        report.check(part, refused and not bad, f"{len(accepted)} accepted, {refused} refused by 503 "
                     f"with Retry-After, {len(bad)} otherwise {bad[:2]}")
        report.check(part, share(ms, .99) < 1000, f"accepted POSTs: p50 {share(ms, .5):.1f} ms, p99 "
                     f"{share(ms, .99):.1f} ms, longest {max(ms):.1f} ms (p99 at most 1000)")
        watcher.tell(report, part)
        recovery(report, part, daemon, before, ended)
        wrong = [t for t in accepted if client.end(t)["state"] != "succeeded"]
        report.check(part, not wrong, f"{len(accepted)} acknowledged, {len(wrong)} not succeeded")
        check_memory(report, part, sampler, daemon, 32)


# ---- the writer --------------------------------------------------------------------------------


def press(daemon, seconds, connections, **options):
    """The load tool's report; refusals are part of it."""
    daemon.server.protocol = "http"
    words = servers._load_command(daemon.server, "post", {
        "handler": "echo", "lane": "cpu", "seconds": seconds, "connections": connections,
        **options})
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        raise RuntimeError(f"load: {done.returncode} {done.stderr[-500:]}")
    return json.loads(done.stdout)


def lane(client, name, state):
    return client.stats()["tasks"][name][state]


def writer(report, folder, seconds):
    """As many submissions as 512 connections can press, into a lane that takes none: first the
    writer is what is too slow, then the queue is full."""
    part, queue = "writer", 100_000
    with running(folder, part, MAX_WORKERS=2, FUTURED_MAX_QUEUED=queue,
                 FUTURED_PAUSED="cpu") as (daemon, sampler):
        client = Client(daemon)
        task = client.submit("echo", 1)
        watcher = Watcher(daemon, task)
        watcher.start()
        accepted = 0
        for connections in (256, 512):
            found = press(daemon, seconds / 2, connections)
            accepted += found["status"].get("202", 0)
            others = {s: n for s, n in found["status"].items() if s not in ("202", "503")}
            report.check(part, not others and not found["unanswered"] and not found["disconnected"],
                         f"{connections} connections: {found['rate']:.0f} answers a second, "
                         f"{found['status']}, {found['unanswered']} unanswered, "
                         f"{found['disconnected']} cut off")
            report.check(part, found["p99_ms"] < 2000,
                         f"{connections} connections: p50 {found['p50_ms']:.1f} ms, p99 "
                         f"{found['p99_ms']:.1f} ms, longest {found['max_ms']:.1f} ms "
                         "(p99 at most 2000)")
        watcher.tell(report, part)
        queued = lane(client, "cpu", "queued")
        report.check(part, queued == accepted, f"{accepted} acknowledged, {queued} in the queue")
        ended = time.monotonic()
        client.sure("PATCH", "/v1/pools/cpu", {"paused": False})
        while lane(client, "cpu", "queued") + lane(client, "cpu", "running"):
            daemon.pause(0.05)
        done = client.stats()["tasks"]["succeeded"]
        report.check(part, done == accepted + 1, f"{done - 1} of {accepted} ended well "
                     f"{time.monotonic() - ended:.1f} s after the lane was let go")
        check_memory(report, part, sampler, daemon, 96)


# ---- those who wait ----------------------------------------------------------------------------


class Raw:
    """A connection without any cleverness: what was said and what came."""

    def __init__(self, daemon, receive_bytes=0):
        host, _, port = daemon.address.rpartition(":")
        self.socket = socket.socket()
        if receive_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.settimeout(60)
        self.socket.connect((host, int(port)))

    def say(self, data):
        self.socket.sendall(data)

    def ask(self, path):
        self.say(f"GET {path} HTTP/1.1\r\nHost: [::1]\r\n\r\n".encode())

    def answer(self):
        """(status, headers, body); (0, {}, b"") when the daemon has closed instead."""
        response = http.client.HTTPResponse(self.socket)
        try:
            response.begin()
            return response.status, response.headers, response.read()
        except (http.client.HTTPException, ConnectionError):
            return 0, {}, b""
        finally:
            self.socket.close()


def each(things, do, threads=20):
    """do(thing) for all of them, on some threads; the results in order."""
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        return list(pool.map(do, things))


def waiters(report, folder, seconds):
    """Long-polls on nearly all the connections that there may be, again and again."""
    part, most_connections = "waiters", 400
    slots = most_connections * 9 // 10
    with running(folder, part, FUTURED_MAX_CONNECTIONS=most_connections,
                 FUTURED_MAX_WAIT="10m") as (daemon, sampler):
        client, end, rounds, over = Client(daemon), time.monotonic() + seconds, 0, 0
        first = client.submit("echo", 1)
        watcher = Watcher(daemon, first)
        watcher.start()
        wrong, trips = [], []
        while time.monotonic() < end or not rounds:
            rounds += 1
            task = client.submit("sleep", {"ms": 600_000})
            polls = [Raw(daemon) for _ in range(most_connections - 20)]
            for poll in polls:
                poll.ask(f"/v1/futures/{task}?wait=600")
            while client.stats()["http"]["waiters"] < slots:
                daemon.pause(0.01)
            trips.append(trip_by_asking(client))
            client.sure("POST", f"/v1/futures/{task}/cancel")
            for status, headers, body in each(polls, lambda poll: poll.answer()):
                state = json.loads(body)["state"] if status == 200 else status
                over += headers.get("Retry-After") == "1"
                if state != "cancelled" and not (state == "running" and "Retry-After" in headers):
                    wrong.append(state)
        report.check(part, over == rounds * (most_connections - 20 - slots) and not wrong,
                     f"{rounds} rounds of {most_connections - 20} long-polls where {slots} may wait: "
                     f"{over} were answered at once with Retry-After, {len(wrong)} wrongly")
        report.check(part, max(trips) < 1000, f"a no-op's round trip beside them: p50 "
                     f"{share(trips, .5):.1f} ms, longest {max(trips):.1f} ms (at most 1000)")
        watcher.tell(report, part)
        check_memory(report, part, sampler, daemon, 32)


# ---- bytes -------------------------------------------------------------------------------------

BIG, SENDERS = 4 << 20, 200  # the default of FUTURED_MAX_BODY
BUFFERED = 64  # MiB that may be in memory: FUTURED_MAX_BUFFERED


def is_busy(status, headers, body):
    return status == 503 and headers.get("Retry-After", "").isdigit() \
        and json.loads(body)["code"] == "busy"


class Sorted:
    """The answers to many at once: right ones, those that there was no memory for, and wrong ones.
    look(status, body) gives what is kept of a right one, and nothing when it is not right."""

    def __init__(self, look):
        self.look, self.right, self.busy, self.wrong = look, [], 0, []

    def take(self, askers):
        for status, headers, body in each(askers, lambda asker: asker.answer()):
            kept = self.look(status, body)
            if kept:
                self.right.append(kept)
            elif is_busy(status, headers, body):
                self.busy += 1
            else:
                self.wrong.append((status, len(body), body[:100]))

    def tell(self, report, part, what):
        report.check(part, self.right and self.busy and not self.wrong,
                     f"{len(self.right)} {what}, {self.busy} refused by 503 with Retry-After, "
                     f"{len(self.wrong)} otherwise {self.wrong[:2]}")


def bodies(report, folder, seconds):
    """Large bodies of which the last byte does not come for a while: nothing can be decided yet."""
    part, right = "bodies", hashlib.sha256(b"b" * BIG).hexdigest()
    with running(folder, part, MAX_WORKERS=2,
                 FUTURED_MAX_BUFFERED=f"{BUFFERED}M") as (daemon, sampler):
        client, end = Client(daemon), time.monotonic() + seconds
        answers = Sorted(lambda status, body: status == 202 and json.loads(body)["id"])
        watcher = Watcher(daemon, client.submit("echo", 1))
        watcher.start()
        head = (f"POST /v1/tasks/sha256 HTTP/1.1\r\nHost: [::1]\r\nContent-Type: text/plain\r\n"
                f"Content-Length: {BIG}\r\n\r\n").encode()
        while time.monotonic() < end or not answers.right:
            senders = [Raw(daemon) for _ in range(SENDERS)]
            each(senders, lambda s: s.say(head + b"b" * (BIG - 1)))
            each(senders, lambda s: s.say(b"b"))
            answers.take(senders)
        answers.tell(report, part, "bodies of 4 MiB accepted")
        watcher.tell(report, part)
        lost = [t for t in answers.right if client.result(t)["sha256"] != right]
        report.check(part, not lost, f"{len(answers.right)} acknowledged, {len(lost)} ended wrongly")
        check_memory(report, part, sampler, daemon, 3 * BUFFERED + 64,
                     why=f"; {SENDERS * BIG >> 20} MiB were sent at a time")


def results(report, folder, seconds):
    """Large results for clients that ask and do not read."""
    part = "results"
    with running(folder, part, FUTURED_MAX_BUFFERED=f"{BUFFERED}M") as (daemon, sampler):
        client, end = Client(daemon), time.monotonic() + seconds
        answers = Sorted(lambda status, body: status == 200 and len(body) == BIG - 1)
        task = client.once("POST", "/v1/tasks/echo", b"r" * (BIG - 1),
                           {"Content-Type": "text/plain"}).json()["id"]
        client.end(task)
        watcher = Watcher(daemon, client.submit("echo", 1))
        watcher.start()
        while time.monotonic() < end or not answers.right:
            readers = [Raw(daemon, receive_bytes=4096) for _ in range(SENDERS)]
            for reader in readers:
                reader.ask(f"/v1/futures/{task}/result")
            daemon.pause(1)
            answers.take(readers)
        answers.tell(report, part, "results of 4 MiB read")
        watcher.tell(report, part)
        check_memory(report, part, sampler, daemon, 2 * BUFFERED + 64,
                     why=f"; {SENDERS * BIG >> 20} MiB were asked for at a time")


def streams(report, folder, seconds):
    """The results of a batch, large ones, for clients that ask for all of them and do not read."""
    part, count, readers_at_once = "streams", 10, 20
    with running(folder, part, FUTURED_MAX_BUFFERED=f"{BUFFERED}M") as (daemon, sampler):
        client, end, whole, wrong = Client(daemon), time.monotonic() + seconds, 0, []
        line = json.dumps({"handler": "echo", "input": "s" * (BIG - 1024)}) + "\n"
        batch = client.once("POST", "/v1/batches", line * count,
                            {"Content-Type": "application/x-ndjson"}).json()
        for task in batch["ids"]:
            client.end(task)
        watcher, at = Watcher(daemon, client.submit("echo", 1)), time.monotonic() - sampler.began
        watcher.start()
        while time.monotonic() < end or not whole:
            readers = [Raw(daemon, receive_bytes=4096) for _ in range(readers_at_once)]
            for reader in readers:
                reader.ask(f"/v1/batches/{batch['id']}/results")
            daemon.pause(2)
            for status, _, body in each(readers, lambda r: r.answer()):
                if status == 200 and body.count(b"\n") == count:
                    whole += 1
                else:
                    wrong.append((status, len(body)))
        report.check(part, whole and not wrong, f"{whole} streams of {count} results of 4 MiB read to "
                     f"their end, {len(wrong)} not {wrong[:2]}")
        watcher.tell(report, part)
        check_memory(report, part, sampler, daemon, readers_at_once * 16, at,
                     why=f" for {readers_at_once} at a time")


PARTS = {"drain": drain, "writer": writer, "waiters": waiters, "bodies": bodies,
         "results": results, "streams": streams}
