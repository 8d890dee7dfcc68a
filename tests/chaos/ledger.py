"""What the daemon has promised, and what came of it. Each rule becomes one line of the verdict."""

import base64
import collections
import hashlib
import threading
import time

RULES = {
    "ended": "each acknowledged future ends",
    "kept": "no future is gone before its retention is over",
    "one end": "an end stays as it was told, unless the future was retried",
    "right end": "each end is one that its task can come to: no shortage is charged to a task",
    "cancel": "what was cancelled stays cancelled, and what was retried ends again",
    "keys": "a repeated Idempotency-Key brings the same future, and one task runs for it",
    "unique": "at most one unfinished task has a unique key",
    "callbacks": "each end is told to its callback",
    "order": "a stream tells each end of its batch once, in order of completion, over any restart",
    "batches": "a batch ends with all its members, and has all their results",
    "alone": "two attempts of one task never run side by side",
    "limits": "no more tasks of a limit run at once than it lets",
    "graphs": "a task begins when those that it waits for have ended as it asks, or it is cancelled",
    "promises": "a promise is completed once, by the first",
    "schedules": "each time of a schedule is fired once, in order, and its task ends",
    "checkpoints": "a run is given what an earlier run has stored last",
    "bulk": "an operation changes all that its filter means, over any restart",
    "running": "nothing is running without an attempt",
    "daemon": "the daemon starts, ends when told and in time, and at no other moment",
    "answers": "each answer is one of the contract",
    "expired": "what is done is forgotten after its retention",
    "quiet": "the log stays readable: fewer than 50 warnings a second",
}


class Promise:
    """An acknowledged future. mode: what its task does; see work.sh."""

    def __init__(self, ident, token, handler, mode, kills, **more):
        self.id, self.token, self.handler, self.mode = ident, token, handler, mode
        self.acked, self.kills, self.lives = time.monotonic(), kills, 1
        self.changing = threading.Lock()  # whoever cancels, retries, deletes or rereads it
        self.retries_sent = 0
        self.callback = more.get("callback", False)
        self.key, self.body = more.get("key"), more.get("body")
        self.unique, self.batch = more.get("unique"), more.get("batch")
        self.may_cancel = False   # somebody asked for it, or its batch fails fast
        self.cancelled = False    # a cancel was answered 200 in this life
        self.alive = self.acked   # when it was known to be unfinished: no retention had begun
        self.is_unsure = False    # an answer got lost: the number of its lives is not known
        self.end = None           # (state, code, attempt, result)
        self.exit_code = None     # of that end
        self.ended = None         # when that was seen
        self.states = []          # of all its ends
        self.is_deleted = self.is_gone = False
        self.rerun = None         # the task of its key after its retention
        self.run, self.run_since, self.is_stuck = None, 0, False  # the attempt that was last seen running


def result_text(future):
    """The result as a text, however it is written down."""
    result = future.get("result")
    if isinstance(result, dict):
        if "base64" in result:
            return base64.b64decode(result["base64"]).decode()
        for name in ("text", "token", "sha256"):
            if name in result:
                return result[name]
    return result


EXPECTED = {  # mode -> (state, codes)
    "ok": ("succeeded", ()), "temporary": ("succeeded", ()), "fail": ("failed", ("exit", "handler_failed")),
    "crash": ("failed", ("signal",)), "timeout": ("failed", ("timeout",)), "cancel": ("cancelled", ()),
}


class Ledger:
    def __init__(self, daemon, retention_s):
        self.daemon, self.retention_s = daemon, retention_s
        self.lock = threading.Lock()
        self.breaches = collections.defaultdict(list)
        self.counts = collections.Counter()
        self.by_id, self.waiting, self.done = {}, collections.deque(), collections.deque(maxlen=4000)
        self.batches, self.unique, self.worker_kills = [], {}, 0
        self.unique_locks = collections.defaultdict(threading.Lock)
        self.unique_unknown = set()  # keys under which a submission got no answer: it may hold the key
        self.graphs = []  # (batch, members, for each the parents' places and what is asked of them)
        self.batch_callbacks = []  # (batch, token, members)

    def breach(self, rule, text):
        with self.lock:
            self.breaches[rule].append(f"{time.strftime('%H:%M:%S', time.gmtime())} {text}")

    def add(self, promise):
        with self.lock:
            known = self.by_id.setdefault(promise.id, promise)
            if known is promise:
                self.waiting.append(promise)
                self.counts["futures"] += 1
        return known

    def next_waiting(self):
        with self.lock:
            return self.waiting.popleft() if self.waiting else None

    def again(self, promise):
        with self.lock:
            self.waiting.append(promise)

    # ---- what is seen of a future -------------------------------------------------------------

    def see(self, promise, future, asked=0):
        """future: as it was just read, asked for at that time. True when it is done."""
        if not future["done"]:
            promise.alive = asked
            return False
        error = future.get("error") or {}
        end = (future["state"], error.get("code"), future["attempt"], result_text(future))
        with self.lock:
            before, promise.end = promise.end, end
            promise.exit_code = error.get("exit_code")
            if before is None:
                promise.ended = time.monotonic()
                promise.states.append(end[0])
                self.done.append(promise)
                self.counts[end[0]] += 1
        if before is None:
            self.judge(promise, end, error)
        elif before != end:
            self.breach("one end", f"{promise.id} ({promise.handler} {promise.mode}) was {before}, is {end}")
        return True

    def judge(self, p, end, error):
        state, code, _, text = end
        wanted, codes = EXPECTED[p.mode]
        what = f"{p.id} ({p.handler} {p.mode}): {state} {code} {error.get('message', '')!r}"
        if p.cancelled and state != "cancelled":
            self.breach("cancel", f"{what}, although its cancel was answered 200")
        elif state == "cancelled":
            if not p.may_cancel:
                self.breach("right end", f"{what}, and nobody asked for it")
        elif state == "failed" and state != wanted or state == "failed" and code not in codes:
            lost = code == "daemon_died" and self.daemon.kills - p.kills >= 3
            # A script that is moved away between its start and its interpreter's look at it.
            moved = code == "exit" and error.get("exit_code") in (2, 126, 127) and self.counts["programs"]
            killed = code in ("worker_died", "signal") and self.worker_kills and p.handler in ("warm", "sha256")
            if not (lost or moved or killed):
                self.breach("right end", what)
        elif state == "succeeded":
            right = hashlib.sha256(p.token.encode()).hexdigest() if p.handler == "sha256" else p.token
            if wanted != "succeeded" and not (p.mode == "cancel" and not p.cancelled):
                self.breach("right end", what)
            elif text != right:
                self.breach("right end", f"{what}: the result is {text!r}, not {right!r}")

    def is_gone(self, promise):
        """404: is that in order?"""
        promise.is_gone = True
        age = time.monotonic() - promise.acked
        if promise.is_deleted or age > self.retention_s:
            self.counts["expired unseen"] += promise.end is None
            return
        self.breach("kept", f"{promise.id} ({promise.handler} {promise.mode}) is 404 {age:.1f} s after it was acknowledged"
                    f", the retention is {self.retention_s} s; its end: {promise.end}")

    def revive(self, promise):
        """A retry was answered 202."""
        with self.lock:
            promise.lives += 1
            promise.end = promise.ended = None
            promise.cancelled = False
            promise.kills = self.daemon.kills
            promise.alive = time.monotonic()
            self.waiting.append(promise)
