"""Clients that submit, cancel, retry, repeat, follow and read, each a thread with a connection of its own."""

import contextlib
import json
import pathlib
import random
import sys
import threading
import time

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "soak"))

from client import AWAY, Breach, Client, Undecided  # noqa: E402
from ledger import Promise  # noqa: E402

ACCEPTED = (200, 202)
RUNNING_MAX_S = 75  # the longest time-out of a handler, the grace, and some more
MODES = ["ok"] * 10 + ["temporary", "temporary", "fail", "fail", "crash", "timeout", "cancel", "cancel"]


class Actor(threading.Thread):
    def __init__(self, world, name, seed):
        super().__init__(name=name, daemon=True)
        self.world, self.ledger, self.daemon_ = world, world.ledger, world.daemon
        self.client, self.random = Client(world.daemon), random.Random(f"{seed} {name}")

    def run(self):
        while not self.is_over():
            try:
                self.turn()
            except Undecided:
                self.daemon_.pause(0.1)
            except Breach as error:
                self.ledger.breach("answers", str(error))
            except Exception as error:  # a client that dies would make the verdict look better
                self.ledger.breach("answers", f"{self.name}: {error!r}")
                self.daemon_.pause(1)
        self.client.close()

    def is_over(self):
        return self.world.calm.is_set()

    def check(self, answer, allowed, what):
        if answer.status in (503, 507):
            self.daemon_.pause(0.2)
            raise Undecided(what)
        if answer.status not in allowed:
            raise Breach(f"{what}: {answer.status} {answer.body[:300]!r}")
        return answer

    def token(self):
        return f"{self.random.getrandbits(64):016x}"

    def task(self, mode=None):
        """A body, and what it promises."""
        token, mode = self.token(), mode or self.random.choice(MODES)
        ms = 30000 if mode in ("cancel", "timeout") else self.random.choice((0, 0, 20, 100, 400))
        value = {"token": token, "mode": mode, "ms": ms}
        handler = self.random.choice(("work", "warm", "echo", "sha256")) if mode == "ok" else \
            "hasty" if mode == "timeout" else "warm" if mode == "fail" and self.random.random() < .5 else "work"
        body = {"handler": handler, "input": token if handler == "sha256" else value}
        if handler == "echo":
            body["input"] = {"token": token}
        body["retries"] = 30 if mode == "temporary" else 0
        more = {}
        if self.random.random() < 0.3:
            body["callback"], more["callback"] = {"url": self.world.receiver.url(token)}, True
        return body, (token, handler, mode), more

    def promise(self, ident, made, more, **others):
        p = self.ledger.add(Promise(ident, *made, self.daemon_.kills, **more, **others))
        p.may_cancel |= made[2] == "cancel"
        return p


class Submitter(Actor):
    """Single tasks: plain, with a key, with a unique key."""

    def turn(self):
        self.random.choice((self.plain, self.plain, self.keyed, self.unique))()
        self.daemon_.pause(self.random.expovariate(4 * self.world.pace))

    def plain(self):
        body, made, more = self.task()
        wait = self.random.choice(("", "?wait=2"))
        answer = self.check(self.client.once("POST", "/v1/tasks" + wait, body), ACCEPTED, "POST")
        self.promise(answer.json()["id"], made, more)

    def keyed(self):
        """Sent until it is answered; the first answer may have been lost on its way."""
        body, made, more = self.task()
        headers = {"Idempotency-Key": made[0], "Content-Type": "application/json"}
        text = json.dumps(body)
        while not self.is_over():
            with contextlib.suppress(Undecided):
                answer = self.check(self.client.once("POST", "/v1/tasks", text, headers), ACCEPTED, "POST with a key")
                self.promise(answer.json()["id"], made, more, key=made[0], body=text)
                return
            self.daemon_.pause(0.1)

    def unique(self):
        key = f"only-{self.random.randrange(6)}"
        with self.ledger.unique_locks[key]:
            self.submit_unique(key)

    def submit_unique(self, key):
        body, made, more = self.task("ok")
        body.update(handler="work", unique=key, input={"token": made[0], "mode": "ok", "ms": 300})
        body.pop("callback", None)
        before = self.ledger.unique.get(key)
        was_done = before is not None and before.end is not None
        if before is not None and not was_done and self.random.random() < 0.5:
            body, made = before.body, (before.token, before.handler, before.mode)  # the same again
        try:
            answer = self.check(self.client.once("POST", "/v1/tasks", body), ACCEPTED + (409,), "POST with a unique key")
        except Undecided:
            self.ledger.unique_unknown.add(key)
            raise
        if answer.status == 409:
            if answer.json()["code"] != "conflict" or (was_done and key not in self.ledger.unique_unknown):
                self.ledger.breach("unique", f"{key} was free: {answer.body[:200]!r}")
            return
        ident = answer.json()["id"]
        if answer.headers.get("Futured-Coalesced"):
            if was_done and before.id == ident:
                self.ledger.breach("unique", f"{ident} was done, and a submission was coalesced onto it")
            return
        self.ledger.unique_unknown.discard(key)
        if before is not None and before.id != ident and not before.end:
            found = self.client.sure("GET", f"/v1/futures/{before.id}")
            if found.status == 200 and not found.json()["done"]:
                self.ledger.breach("unique", f"{before.id} and {ident} have {key} and are unfinished")
        self.ledger.unique[key] = self.promise(ident, (made[0], "work", "ok"), {}, unique=key, body=body)


class Batcher(Actor):
    """Batches, some of which fail fast, some cancelled; a stream follows some of them."""

    def turn(self):
        tasks, mades = [], []
        for _ in range(self.random.randint(3, 20)):
            body, made, more = self.task(self.random.choice(("ok", "ok", "ok", "temporary", "fail")))
            tasks.append(body)
            mades.append((made, more))
        fail_fast, cancels = self.random.random() < 0.3, self.random.random() < 0.2
        body, told_to = {"tasks": tasks, "fail_fast": fail_fast}, ""
        if self.random.random() < 0.5:
            told_to = "batch-" + self.token()
            body["callback"] = {"url": self.world.receiver.url(told_to)}
        answer = self.check(self.client.once("POST", "/v1/batches", body), ACCEPTED, "POST of a batch")
        batch = answer.json()
        members = [self.promise(ident, made, more, batch=batch["id"]) for ident, (made, more) in zip(batch["ids"], mades)]
        for p in members:
            p.may_cancel |= fail_fast or cancels
        self.ledger.counts["batches"] += 1
        self.ledger.batches.append((batch["id"], members, time.monotonic()))
        if told_to:
            self.ledger.batch_callbacks.append((batch["id"], told_to, members))
        if self.random.random() < 0.6:
            Follower(self.world, f"follower of {batch['id']}", batch["id"], members).start()
        if cancels:
            self.daemon_.pause(self.random.random())
            answer = self.client.sure("POST", f"/v1/batches/{batch['id']}/cancel")
            self.check(answer, (200, 202), "cancel of a batch")
        self.daemon_.pause(self.random.expovariate(0.5 * self.world.pace))


class Follower(Actor):
    """Follows the stream of a batch to its end, coming back with Last-Event-ID after each cut."""

    def __init__(self, world, name, batch, members):
        super().__init__(world, name, 0)
        self.batch, self.members = batch, {p.id: p for p in members}
        self.last, self.told, self.is_ended = None, {}, False
        self.began = time.monotonic()
        world.followers.append(self)

    def is_over(self):
        return self.is_ended or self.world.end.is_set()

    def turn(self):
        headers = {"Last-Event-ID": self.last} if self.last else {}
        try:
            response = self.client.open("GET", f"/v1/batches/{self.batch}/events", None, headers)
            if response.status != 200:
                body = response.read()
                self.is_ended = response.status in (404, 410)
                if self.is_ended and time.monotonic() - self.began < self.ledger.retention_s:
                    self.ledger.breach("order", f"batch {self.batch}: {response.status} {body[:200]!r} within its retention")
                elif not self.is_ended and response.status != 503:
                    raise Breach(f"events of {self.batch}: {response.status} {body[:200]!r}")
                self.daemon_.pause(0.2)
                return
            self.read(response)
        except AWAY as error:
            self.client.close()
            raise Undecided(str(error)) from error
        self.client.close()
        self.daemon_.pause(0.1)

    def read(self, response):
        event = {}
        cut_after = self.random.choice((2, 5, 1000))
        while cut_after:
            line = response.readline()
            if not line or self.is_over():
                return
            name, _, value = line.decode().rstrip("\r\n").partition(": ")
            if name:
                event[name] = value
            elif event:
                self.take(event)
                cut_after -= 1
                event = {}

    def take(self, event):
        kind = event.get("event")
        if kind == "done":
            place = int(event["id"].rpartition("-")[2])
            if self.last is not None and place <= int(self.last.rpartition("-")[2]):
                self.ledger.breach("order", f"batch {self.batch}: event {event['id']} came behind {self.last}")
            self.last = event["id"]
            future = json.loads(event["data"])
            told = self.told.setdefault(future["id"], [])
            told.append(future["attempt"])
            p = self.members[future["id"]]
            if len(told) > 1 + p.retries_sent:
                self.ledger.breach("order", f"batch {self.batch}: {future['id']} was told {len(told)} times, "
                                   f"and {p.retries_sent} retries were sent")
        elif kind == "gone":
            self.told.setdefault(json.loads(event["data"])["id"], []).append("gone")
        elif kind == "end":
            self.is_ended = True
            missing = [ident for ident in self.members if ident not in self.told]
            if missing:
                self.ledger.breach("order", f"batch {self.batch} ended without telling of {missing[:3]}")
            self.ledger.counts["streams"] += 1


class Canceller(Actor):
    """Cancels, retries, deletes, and repeats keys, of what is there."""

    def turn(self):
        with self.ledger.lock:
            waiting = [p for p in self.ledger.waiting if p.may_cancel and not p.unique and p.mode == "cancel"]
            done = [p for p in self.ledger.done if p.end and time.monotonic() - p.ended < self.ledger.retention_s / 3]
            retriable = [p for p in done if p.end[0] in ("failed", "cancelled") and not p.unique and p.lives < 4]
        act, among = self.random.choice(((self.cancel, waiting), (self.cancel, waiting), (self.retry, retriable),
                                         (self.repeat, done), (self.delete, done), (self.reread, done)))
        if among:
            p = self.random.choice(among)
            with p.changing:
                act(p)
        self.daemon_.pause(self.random.expovariate(6 * self.world.pace))

    def cancel(self, p):
        if p.cancelled or p.end:
            return
        lives = p.lives
        answer = self.client.sure("POST", f"/v1/futures/{p.id}/cancel")
        if answer.status == 404:
            self.ledger.is_gone(p)
        elif self.check(answer, (200, 409), "cancel").status == 200 and p.lives == lives:
            p.cancelled = True
            self.ledger.counts["cancels"] += 1

    def retry(self, p):
        if p.is_deleted or not p.end:
            return
        p.retries_sent += 1
        try:
            answer = self.client.once("POST", f"/v1/futures/{p.id}/retry")
        except Undecided:
            p.is_unsure = True
            p.lives += 1
            self.look_again(p)
            return
        if answer.status == 404:
            self.ledger.is_gone(p)
        elif self.check(answer, (200, 202, 409), "retry").status in ACCEPTED:
            self.ledger.counts["retries"] += 1
            self.ledger.revive(p)

    def look_again(self, p):
        """Nobody knows whether it was retried: what it comes to is taken as it comes."""
        with self.ledger.lock:
            p.end = p.ended = None
            p.cancelled = False
            self.ledger.waiting.append(p)

    def repeat(self, p):
        if not p.key or p.is_deleted:
            return
        answer = self.client.sure("POST", "/v1/tasks", p.body, {"Idempotency-Key": p.key, "Content-Type": "application/json"})
        self.check(answer, ACCEPTED, "repeat of a key")
        may_be_gone = time.monotonic() - p.alive > self.ledger.retention_s
        if may_be_gone and answer.json()["id"] != p.id:
            p.is_deleted, p.rerun = True, answer.json()["id"]  # the key went with its future: this was a new request
        elif answer.json()["id"] != p.id or answer.headers.get("Idempotency-Replayed") != "true":
            self.ledger.breach("keys", f"the key of {p.id} brought {answer.json()['id']}, replayed: "
                               f"{answer.headers.get('Idempotency-Replayed')}, {time.monotonic() - p.acked:.1f} s old")
        self.ledger.counts["keys repeated"] += 1

    def delete(self, p):
        if p.key or p.batch or p.unique or p.is_deleted or not p.end:
            return
        p.is_deleted = True
        answer = self.client.sure("DELETE", f"/v1/futures/{p.id}")
        if self.check(answer, (204, 404, 409), "delete").status == 409 and not p.is_unsure:
            self.ledger.breach("one end", f"{p.id} was {p.end}, and cannot be deleted: {answer.body[:200]!r}")
        self.ledger.counts["deleted"] += 1

    def reread(self, p):
        lives = p.lives
        answer = self.client.sure("GET", f"/v1/futures/{p.id}")
        if answer.status == 404:
            self.ledger.is_gone(p)
        elif p.lives == lives and p.end and not p.is_deleted and not p.is_unsure and answer.status == 200:
            future = answer.json()
            if not future["done"]:
                self.ledger.breach("one end", f"{p.id} was {p.end}, is {future['state']}")
            else:
                self.ledger.see(p, future)
        self.ledger.counts["reread"] += 1


class Reader(Actor):
    """Waits for ends; goes on until everything has ended."""

    def is_over(self):
        return self.world.end.is_set()

    def turn(self):
        p = self.ledger.next_waiting()
        if p is None:
            self.daemon_.pause(0.1)
            return
        if p.is_deleted:
            return
        is_done = False
        lives, asked = p.lives, time.monotonic()
        try:
            answer = self.client.once("GET", f"/v1/futures/{p.id}" + self.random.choice(("", "?wait=1")))
            if answer.status == 404:
                self.ledger.is_gone(p)
                is_done = True
            elif self.check(answer, (200,), "GET").status == 200:
                if p.lives == lives:
                    is_done = self.ledger.see(p, answer.json(), asked)
                self.time(p, answer.json())
        finally:
            if not is_done and p.lives == lives:
                self.ledger.again(p)
        if not is_done:
            self.daemon_.pause(0.02)

    def time(self, p, future):
        """A task that runs beyond every time-out has no attempt that could end it."""
        run = (future["state"], future["attempt"], self.daemon_.kills, self.daemon_.stops)
        if run != p.run:
            p.run, p.run_since = run, time.monotonic()
        elif future["state"] == "running" and time.monotonic() - p.run_since > RUNNING_MAX_S and not p.is_stuck:
            p.is_stuck = True
            self.ledger.breach("running", f"{p.id} ({p.handler} {p.mode}) is running for {RUNNING_MAX_S} s; its time-out is 60 s")
