"""Clients, each a thread: they ask any node, and what was acknowledged they write down."""

import http.client
import json
import pathlib
import random
import sys
import threading
import time

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "soak"))

import client  # noqa: E402
from client import AWAY, Breach, Undecided  # noqa: E402
from nodes import uptime  # noqa: E402


PATIENCE_S = 13  # for an answer of a node that may stand still; more than any ?wait


class Client(client.Client):
    def open(self, method, path, body=None, headers=None):
        if not self.connection:
            self.connection = http.client.HTTPConnection(self.home.address, timeout=PATIENCE_S)
        return super().open(method, path, body, headers)


class Ledger:
    """What was promised and seen; any thread."""

    def __init__(self):
        self.lock = threading.Lock()
        self.acked = {}      # id: {"kind": …, "at": …}
        self.waiting = []    # ids whose end nobody has seen
        self.seen = {}       # id: (state, attempt, result, asked, seen, node)
        self.breaches, self.counts = {}, {}

    def breach(self, rule, text):
        with self.lock:
            found = self.breaches.setdefault(rule, [])
            found.append(text)
            if len(found) <= 20:
                print(f"BREACH: {rule}: {text}", flush=True)

    def count(self, what, n=1):
        with self.lock:
            self.counts[what] = self.counts.get(what, 0) + n

    def ack(self, ident, kind):
        with self.lock:
            if ident not in self.acked:
                self.acked[ident] = {"kind": kind, "at": uptime()}
                self.waiting.append(ident)

    def next_waiting(self, rng):
        with self.lock:
            if not self.waiting:
                return None
            i = rng.randrange(min(len(self.waiting), 40))
            self.waiting[i], self.waiting[-1] = self.waiting[-1], self.waiting[i]
            return self.waiting.pop()

    def again(self, ident):
        with self.lock:
            self.waiting.append(ident)

    def see(self, ident, future, asked, name):
        found = (future["state"], future["attempt"], (future.get("result") or {}).get("text"), (future.get("error") or {}).get("code"))
        with self.lock:
            before = self.seen.get(ident)
            if before is None:
                self.seen[ident] = (found, asked, uptime(), name)
        if before and before[0] != found:
            self.breach("one result", f"{ident} was {before[0]}, is {found} at {name}")


class Actor(threading.Thread):
    def __init__(self, world, name, seed):
        super().__init__(name=name, daemon=True)
        self.world, self.ledger, self.random = world, world.ledger, random.Random(f"{seed} {name}")
        self.clients = [Client(node) for node in world.nodes]
        self.tokens = 0

    def any(self):
        return self.random.choice(self.clients)

    def run(self):
        while not self.is_over():
            try:
                self.turn()
            except Undecided:
                self.world.pause(0.05)
            except Breach as error:
                self.ledger.breach("answers", f"{self.name}: {error}")
            except Exception as error:  # a client that dies would make the verdict look better
                self.ledger.breach("answers", f"{self.name}: {error!r}")
                self.world.pause(1)
        for client in self.clients:
            client.close()

    def is_over(self):
        return self.world.calm.is_set()

    def check(self, answer, allowed, what):
        if answer.status in (503, 507):
            raise Undecided(what)
        if answer.status not in allowed:
            raise Breach(f"{what}: {answer.status} {answer.body[:300]!r}")
        return answer

    def token(self):
        self.tokens += 1
        return f"{self.name}-{self.tokens}"

    def task(self):
        return {"handler": "work", "input": {"ms": self.random.choice((0, 0, 0, 20, 50, 100, 1000))}}


class Submitter(Actor):
    """Single tasks: plain, never run twice, two nodes with one key, two with one unique key."""

    def turn(self):
        self.random.choice((self.plain, self.once, self.keyed) * 4 + (self.unique,))()
        self.world.pause(self.random.expovariate(self.world.pace))

    def plain(self):
        answer = self.check(self.any().once("POST", "/v1/tasks", self.task()), (200, 202), "submit")
        self.ledger.ack(answer.json()["id"], "plain")

    def once(self):
        answer = self.check(self.any().once("POST", "/v1/tasks", {**self.task(), "once": True}), (200, 202), "submit")
        self.ledger.ack(answer.json()["id"], "once")

    def at_two(self, body, headers, is_old):
        """The same at two nodes side by side; the ids, and how many answers call it new."""
        answers = []

        def ask(client):
            try:
                answers.append(self.check(client.once("POST", "/v1/tasks", body, headers), (200, 202), "submit"))
            except Undecided:
                pass

        pair = self.random.sample(self.clients, 2)
        second = threading.Thread(target=ask, args=(pair[1],))
        second.start()
        ask(pair[0])
        second.join()
        return {a.json()["id"] for a in answers}, sum(not is_old(a) for a in answers), len(answers)

    def judge(self, rule, found, key):
        ids, n_new, n = found
        for ident in ids:
            self.ledger.ack(ident, "plain")
        if n:
            self.ledger.count(rule)
        if len(ids) > 1 or n_new > 1 or (n == 2 and n_new != 1):
            self.ledger.breach(rule, f"{key}: {sorted(ids)}, {n_new} of {n} answers call it new")

    def keyed(self):
        key = self.token()
        body = json.dumps(self.task())
        self.judge("keys", self.at_two(body, {"Idempotency-Key": key, "Content-Type": "application/json"},
                                       lambda a: a.headers.get("Idempotency-Replayed") == "true"), key)

    def unique(self):
        """It runs long enough to be unfinished when the second comes."""
        key = self.token()
        body = {"handler": "work", "input": {"ms": 4000}, "unique": key}
        began = time.monotonic()
        found = self.at_two(body, {}, lambda a: a.headers.get("Futured-Coalesced") == "true")
        if time.monotonic() - began < 3.5:
            self.judge("unique", found, key)
        else:
            for ident in found[0]:
                self.ledger.ack(ident, "plain")


class Batcher(Actor):
    """Batches whose ends are followed at one node after the other; some are cancelled at all nodes at once."""

    def turn(self):
        n = self.random.randrange(5, 25)
        items = [{"ms": self.random.choice((0, 0, 20, 200))} for _ in range(n)]
        answer = self.check(self.any().once("POST", "/v1/batches", {"tasks": [{"handler": "work", "input": i} for i in items]}),
                            (200, 201, 202), "batch")
        batch = answer.json()
        for ident in batch["ids"]:
            self.ledger.ack(ident, "member")
        if self.random.random() < 0.4:
            self.cancel_everywhere(batch)
        self.follow(batch)
        self.world.pause(self.random.expovariate(self.world.pace / 3))

    def cancel_everywhere(self, batch):
        """The batch at each node, and its members one by one, forwards and backwards."""
        paths = [f"/v1/batches/{batch['id']}/cancel"] + [f"/v1/futures/{i}/cancel" for i in batch["ids"]]

        def cancel(client, order):
            for path in order:
                try:
                    answer = client.once("POST", path)
                    self.check(answer, (200, 202, 409), path)
                except Undecided:
                    pass
                except Breach as error:
                    self.ledger.breach("answers", str(error))

        orders = [paths, paths[::-1], paths[1:] + paths[:1]]
        threads = [threading.Thread(target=cancel, args=pair) for pair in zip(self.clients, orders)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.ledger.count("batches cancelled everywhere")

    def follow(self, batch):
        """Reads a few events, goes to another node, and so on to the end."""
        told, last, resumed = {}, None, 0
        end = time.monotonic() + self.world.patience
        while time.monotonic() < end:
            client = self.any()
            client.close()
            try:
                is_ended, last = self.read_some(client, batch, told, last)
            except AWAY:
                is_ended = False
            client.close()
            if is_ended:
                missing = [i for i in batch["ids"] if i not in told]
                twice = [i for i, n in told.items() if n > 1]
                if missing or twice:
                    self.ledger.breach("streams", f"batch {batch['id']}, {resumed} resumes: missing {missing}, twice {twice}")
                self.ledger.count("streams")
                self.ledger.count("streams resumed", resumed)
                return
            resumed += 1
            self.world.pause(0.05)
        missing = [i for i in batch["ids"] if i not in told]
        unseen = [i for i in missing if i not in self.ledger.seen]
        self.ledger.breach("streams", f"batch {batch['id']}: its stream has not ended in {self.world.patience} s, "
                           f"{resumed} resumes, last id {last}; not told of {missing}, "
                           f"of which no waiter saw the end of {unseen}")

    def read_some(self, client, batch, told, last):
        """Some events; (has it ended, the last id)."""
        headers = {"Accept": "application/x-ndjson", **({"Last-Event-ID": last} if last else {})}
        response = client.open("GET", f"/v1/batches/{batch['id']}/events", None, headers)
        if response.status == 503:
            response.read()
            return False, last
        if response.status != 200:
            raise Breach(f"events of {batch['id']}: {response.status} {response.read()[:200]!r}")
        for _ in range(self.random.randrange(1, 8)):
            line = response.readline()
            if not line.endswith(b"\n"):
                return False, last
            event = json.loads(line)
            if event["event"] == "end":
                return True, last
            if event["event"] in ("done", "gone"):
                ident = event["data"]["id"]
                told[ident] = told.get(ident, 0) + 1
            if event.get("id") is not None:
                last = str(event["id"])
        return False, last


class Waiter(Actor):
    """Waits for ends at any node; goes on until everything has ended."""

    def is_over(self):
        return self.world.end.is_set()

    def turn(self):
        ident = self.ledger.next_waiting(self.random)
        if ident is None:
            self.world.pause(0.1)
            return
        i = self.random.randrange(len(self.clients))
        asked, is_done, name = uptime(), False, self.world.nodes[i].name
        try:
            answer = self.clients[i].once("GET", f"/v1/futures/{ident}?wait=10")
            if answer.status == 404:
                is_done = True
                self.ledger.breach("acknowledged", f"{ident} is not known at {name}")
            elif self.check(answer, (200,), "GET").status == 200 and answer.json()["done"]:
                is_done = True
                self.ledger.see(ident, answer.json(), asked, name)
        finally:
            if not is_done:
                self.ledger.again(ident)
