"""What clients do in the soak: each function is one scenario from its first request to its end, and
raises Breach when the daemon did not keep its word. All kinds of handlers, ends and waits."""

import hashlib
import http.server
import json
import socket
import threading
import uuid

from client import AWAY, Breach, Undecided, expect, refusal

LARGE = 270_000  # bytes: beyond what goes through a worker's stream


def handlers(python, sdk, examples, bench):
    """The handlers file: programs of all kinds."""
    worker = [python, f"{sdk}/examples/tour.py"]
    return {
        "count": {"exec": ["wc", "-c"], "lane": "cpu"},
        "refuses": {"exec": ["sh", "-c", "echo no >&2; exit 3"], "lane": "io"},
        "once_more": {"exec": ["sh", "-c", "[ $FUTURED_ATTEMPT -gt 1 ] || exit 75"], "lane": "io",
                      "backoff": {"first": 0.05, "max": 0.1, "jitter": 0}},
        "naps": {"exec": ["sleep", "60"], "lane": "io"},
        "report": {"worker": worker, "lane": "cpu", "max_tasks": 200},
        "refuse": {"worker": [*worker, "fork"], "lane": "cpu"},
        "wait": {"worker": [*worker, "concurrency=8"], "lane": "io"},
        "carry": {"worker": [python, f"{bench}/echo_worker.py", "memfd"], "lane": "cpu"},
        "table": {"plugin": f"{examples}/table.so", "lane": "cpu", "env": {"TABLE_MIB": "1"}},
    }


class Receiver:
    """Takes done-callbacks, and tells who waits for one that it has come."""

    def __init__(self):
        came, changed = set(), threading.Condition()
        self.came, self.changed = came, changed

        class Taker(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with changed:
                    came.add(body["data"]["id"])
                    changed.notify_all()
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Taker)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/done"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def wait(self, task, seconds=120):
        with self.changed:
            there = self.changed.wait_for(lambda: task in self.came, seconds)
            self.came.discard(task)
        expect(there, f"no callback for {task} in {seconds} s")


# ---- one task --------------------------------------------------------------------------------


def echo(c, s):
    value = {"n": s.random.randrange(10**9), "text": "x" * s.random.randrange(4000)}
    answer = c.once("POST", "/v1/tasks?wait=20", {"handler": "echo", "input": value})
    if answer.status not in (200, 202):
        raise refusal(answer, "POST of echo")
    expect(c.result(answer.json()["id"]) == value, "echo brought something else")


def sha256(c, s):
    text = "y" * s.random.randrange(4000)
    found = c.result(c.submit("sha256", text))
    expect(found["sha256"] == hashlib.sha256(text.encode()).hexdigest(), "a wrong digest")


def program(c, s):
    n = s.random.randrange(4000)
    answer = c.once("POST", "/v1/tasks/count", b"z" * n, {"Content-Type": "text/plain"})
    if answer.status != 202:
        raise refusal(answer, "POST of count")
    task = answer.json()["id"]
    c.result(task)
    raw = c.sure("GET", f"/v1/futures/{task}/result")
    expect(raw.body.split() == [str(n).encode()], f"wc says {raw.body[:80]!r}, not {n}")


def failure_and_second_life(c, s):
    task = c.submit("refuses")
    expect(c.end(task)["state"] == "failed", "exit 3 is no failure")
    if s.random.random() < 0.5:
        again = c.once("POST", f"/v1/futures/{task}/retry")
        expect(again.status in (202, 409, 503), f"retry: {again.status} {again.body[:200]!r}")
        expect(c.end(task)["state"] == "failed", "exit 3 is no failure the second time")


def temporary(c, s):
    c.result(c.submit("once_more", retries=3))


def fetch(c, s):
    c.result(c.submit("http", {"url": f"http://{s.fetch_address}/delay/{s.random.randrange(60)}"}))


def python_worker(c, s):
    task = c.submit("report", "some words")
    c.result(task)
    log = c.sure("GET", f"/v1/futures/{task}/log")
    expect(b"a line for the log" in log.body, f"the log is {log.body[:80]!r}")


def python_fork(c, s):
    error = c.end(c.submit("refuse"))["error"]
    expect("never" in error["message"], f"another error: {error}")


def plugin(c, s):
    expect(c.result(c.submit("table"))["mib"] == 1, "another table")


def large(c, s):
    data = bytes([s.random.randrange(97, 123)]) * LARGE
    answer = c.once("POST", "/v1/tasks/carry?wait=20", data, {"Content-Type": "text/plain"})
    if answer.status not in (200, 202):
        raise refusal(answer, "POST of carry")
    task = answer.json()["id"]
    c.result(task)
    raw = c.sure("GET", f"/v1/futures/{task}/result")
    expect(raw.body == data, "a large input came back otherwise")


def callback(c, s):
    task = c.submit("echo", 1, callback={"url": s.receiver.url})
    s.receiver.wait(task)


def again_by_key(c, s):
    key = {"Idempotency-Key": f'"{uuid.uuid4()}"'}
    body = {"handler": "echo", "input": "once"}
    first, second = (c.sure("POST", "/v1/tasks", body, key) for _ in range(2))
    if 503 not in (first.status, second.status):
        expect(first.json()["id"] == second.json()["id"], "one key, two tasks")
        c.result(first.json()["id"])


# ---- cancels and waits -----------------------------------------------------------------------


def cancel(c, s):
    """Queued, running, in a worker that hears of it, in a program that must be killed."""
    handler = s.random.choice(["sleep", "naps", "wait"])
    task = c.submit(handler, {"ms": 60000} if handler == "sleep" else None)
    if s.random.random() < 0.7:
        c.future(task, wait=0.3)
    c.sure("POST", f"/v1/futures/{task}/cancel")
    expect(c.end(task)["state"] == "cancelled", "a cancel that did not hold")


def poll(c, s):
    c.result(c.submit("sleep", {"ms": s.random.randrange(400)}))


def hang_up(c, s):
    """A long-poll that nobody waits for any more."""
    task = c.submit("sleep", {"ms": 1500})
    host, _, port = s.address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), 10) as gone:
            gone.sendall(f"GET /v1/futures/{task}?wait=30 HTTP/1.1\r\nHost: [::1]\r\n\r\n".encode())
            s.pause(0.3)
    except OSError:
        pass  # the daemon is away
    c.result(task)


def wait_any(c, s):
    ids = [c.submit("sleep", {"ms": s.random.randrange(500)}) for _ in range(4)]
    body = {"ids": ids, "return_when": s.random.choice(["FIRST_COMPLETED", "ALL_COMPLETED"]),
            "timeout": 5}
    answer = c.sure("POST", "/v1/wait", body)
    expect(answer.status == 200, f"wait: {answer.status} {answer.body[:200]!r}")
    for each in ids:
        c.result(each)


# ---- many ------------------------------------------------------------------------------------


def _batch(c, s, handler="echo"):
    n = s.random.randrange(2, 40)
    answer = c.once("POST", "/v1/batches", {"handler": handler, "inputs": list(range(n))})
    if answer.status != 202:
        raise refusal(answer, "POST of a batch")
    return answer.json()["id"], n


def batch_results(c, s):
    batch, n = _batch(c, s)
    for _ in range(20):
        answer = c.sure("GET", f"/v1/batches/{batch}/results?wait=20")
        lines = [json.loads(line) for line in answer.body.splitlines()]
        if len(lines) == n and all(line["done"] for line in lines):
            break
    got = [line.get("result") for line in lines]
    expect(got == list(range(n)), f"a batch of {n} brought {got}")


def events(c, s):
    """To its end, over restarts of the daemon too: each future once."""
    batch, n = _batch(c, s, "sha256")
    seen, last, ended = [], None, False
    while not ended:
        headers = {"Accept": "application/x-ndjson"}
        if last is not None:
            headers["Last-Event-ID"] = str(last)
        try:
            response = c.open("GET", f"/v1/batches/{batch}/events", None, headers)
            expect(response.status in (200, 503), f"events: {response.status}")
            for line in response:
                event = json.loads(line)
                ended = event["event"] == "end"
                if event["event"] == "done":
                    seen.append(event["data"]["id"])
                    last = event["id"]
        except (*AWAY, ValueError):
            s.pause(0.1)
        finally:
            c.close()
    expect(len(seen) == n == len(set(seen)), f"{n} futures, told {len(seen)} times")


def events_left(c, s):
    """A stream whose reader goes away in the middle."""
    batch, _ = _batch(c, s)
    try:
        c.open("GET", f"/v1/batches/{batch}/events").readline()
    except AWAY:
        pass
    c.close()


def batch_cancel(c, s):
    n = s.random.randrange(2, 20)
    answer = c.once("POST", "/v1/batches", {"handler": "sleep", "inputs": [{"ms": 60000}] * n})
    if answer.status != 202:
        raise refusal(answer, "POST of a batch")
    found = answer.json()
    c.sure("POST", f"/v1/batches/{found['id']}/cancel")
    for each in found["ids"]:
        expect(c.end(each)["state"] == "cancelled", "a batch that was cancelled in part")


def look(c, s):
    for path in ("/v1/futures?limit=50", "/v1/stats", "/v1/handlers", "/v1/workers", "/v1/pools",
                 "/healthz", "/v1/openapi.json"):
        expect(c.sure("GET", path).status == 200, f"GET {path}")


def nonsense(c, s):
    for method, path, body, status in (
            ("POST", "/v1/tasks", b"{", 400), ("POST", "/v1/tasks", b'{"handler":"nobody"}', 422),
            ("GET", f"/v1/futures/{uuid.uuid4()}", None, 404), ("GET", "/v1/futures?x=1", None, 400)):
        found = c.sure(method, path, body).status
        expect(found in (status, 503), f"{method} {path}: {found}, not {status}")


# How often, among all.
SCENARIOS = {echo: 6, sha256: 5, program: 3, failure_and_second_life: 2, temporary: 2, fetch: 4,
           python_worker: 4, python_fork: 2, plugin: 3, large: 1, callback: 2, again_by_key: 2,
           cancel: 4, poll: 4, hang_up: 2, wait_any: 1, batch_results: 1, events: 1, events_left: 1,
           batch_cancel: 1, look: 2, nonsense: 2}
__all__ = ["SCENARIOS", "Breach", "Receiver", "Undecided", "handlers"]
