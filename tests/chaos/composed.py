"""Clients of what is made of several tasks, or kept beside them: graphs, promises, limits, schedules, checkpoints and
changes of many at once. Each checks what it has asked for; the programs check the rest (work.sh, warm.py)."""

import time

from clients import ACCEPTED, Actor, Undecided

LIMIT, LIMIT_MAX = "pair", 2
END_S = 240  # within which what one of these clients has asked for must end, whatever is done to the daemon
EVERY_S = 2
LEFT_S = 60  # a promise that nobody gets to complete ends by then


class Composer(Actor):
    """What these have in common: they go on asking until it is answered."""

    def until_done(self, path, what, rule):
        """The future, or the operation, once it is done; None when it is gone, or has not ended (told as a breach)."""
        end = time.monotonic() + END_S
        while time.monotonic() < end and not self.world.end.is_set():
            answer = self.client.sure("GET", path)
            if answer.status == 404:
                return None
            if answer.status == 200 and answer.json()["done"]:
                return answer.json()
            self.daemon_.pause(0.2)
        if not self.world.end.is_set():
            self.ledger.breach(rule, f"{what}: not done {END_S} s after it was asked for: {answer.body[:300]!r}")
        return None

    def member(self, mode, **more):
        """A task of work.sh that nobody cancels or retries."""
        token = self.token()
        body = {"handler": "work", "input": {"token": token, "mode": mode, "ms": self.random.choice((0, 50, 200))},
                "retries": 30 if mode == "temporary" else 0, **more}
        return body, (token, "work", mode)


class Grapher(Composer):
    """Batches whose tasks wait for each other. The programs see whether a parent had ended (work.sh: `after`)."""

    def turn(self):
        tasks, mades, edges = [], [], []
        for n in range(self.random.randint(3, 9)):
            body, made = self.member(self.random.choice(("ok", "ok", "ok", "temporary", "fail")), name=f"t{n}")
            parents = self.random.sample(range(n), min(n, self.random.choice((0, 1, 1, 2, 3))))
            edges.append([(i, self.random.choice(("success", "success", "success", "done", "failure"))) for i in parents])
            body["after"] = [{"id": f"t{i}", "on": on} for i, on in edges[n]]
            body["input"]["after"] = " ".join(mades[i][0] for i in parents)
            tasks.append(body)
            mades.append(made)
        answer = self.check(self.client.once("POST", "/v1/batches", {"tasks": tasks}), ACCEPTED, "POST of a graph")
        batch = answer.json()
        members = []
        for ident, made in zip(batch["ids"], mades):
            p = self.promise(ident, made, {}, batch=batch["id"], unique="graph")  # nobody else changes it
            p.may_cancel = True
            members.append(p)
        self.ledger.graphs.append((batch["id"], members, edges))
        self.ledger.counts["graphs"] += 1
        self.daemon_.pause(self.random.expovariate(0.5 * self.world.pace))


def check_graphs(world):
    """Each member has ended as the ends of its parents say."""
    for ident, members, edges in world.ledger.graphs:
        for p, parents in zip(members, edges):
            ends = [(members[i].end, on) for i, on in parents]
            if p.end is None or any(end is None for end, _ in ends):
                continue  # gone before anybody saw it
            met = all(on == "done" or (end[0] == "succeeded") == (on == "success") for end, on in ends)
            is_cancelled = p.end[1] in ("parent_failed", "not_needed")
            if met == is_cancelled:
                world.ledger.breach("graphs", f"{p.id} of graph {ident} ended {p.end[:2]}, its parents "
                                    f"{[(end[:2], on) for end, on in ends]}")


class Promiser(Composer):
    """Futures without code: completed by two at once, cancelled, or left to their timeout; a task waits for each."""

    def turn(self):
        fate = self.random.choice(("completed", "completed", "completed", "rejected", "timeout", "cancelled"))
        answer = self.client.once("POST", "/v1/promises", {"timeout": 1 if fate == "timeout" else LEFT_S})
        ident = self.check(answer, ACCEPTED, "POST of a promise").json()["id"]
        body, made = self.member("ok", after=[{"id": ident, "on": "done"}])
        child = self.check(self.client.once("POST", "/v1/tasks", body), ACCEPTED + (409, 422), "POST behind a promise")
        if child.status in ACCEPTED:
            self.promise(child.json()["id"], made, {}, unique="promise").may_cancel = True
        self.ledger.counts["promises"] += 1
        values, won = {}, []
        if fate in ("completed", "rejected"):
            for n in (1, 2):
                value = {"result": f"{n}"} if fate == "completed" else {"error": {"code": f"no{n}", "message": "no"}}
                status = self.client.sure("POST", f"/v1/futures/{ident}/complete", value).status
                values[n] = value
                won += [n] if status == 200 else []
        elif fate == "cancelled":
            self.client.sure("POST", f"/v1/futures/{ident}/cancel")
        seen = self.until_done(f"/v1/futures/{ident}", f"promise {ident} ({fate})", "promises")
        if seen:
            self.judge(ident, fate, values, won, seen)
        self.daemon_.pause(self.random.expovariate(1 * self.world.pace))

    def judge(self, ident, fate, values, won, seen):
        state, code = seen["state"], (seen.get("error") or {}).get("code")
        if code == "timeout" and not won:
            return  # nobody got through in time
        wanted = {"completed": "succeeded", "cancelled": "cancelled"}.get(fate, "failed")
        right = state == wanted and (fate != "timeout" or code == "timeout")
        if fate == "completed":
            right = right and won == [int(seen["result"])]  # the first, and it alone
        elif fate == "rejected":
            right = right and [f"no{n}" for n in won] == [code]
        if not right:
            self.ledger.breach("promises", f"{ident} was to be {fate} by {values}, 200 was answered to {won}; it is {state} "
                               f"{code} {seen.get('result')!r}")


class Limited(Composer):
    """Tasks of one limit. The programs see how many of them run at once (work.sh: `limit`)."""

    def turn(self):
        for _ in range(self.random.randint(1, 6)):
            body, made = self.member(self.random.choice(("ok", "ok", "temporary", "fail")), limits=[LIMIT])
            body["input"]["limit"] = str(LIMIT_MAX)
            answer = self.client.once("POST", "/v1/tasks", body)
            if answer.status == 422:
                self.ledger.breach("limits", f"the limit that was put is not known: {answer.body[:200]!r}")
                return
            self.promise(self.check(answer, ACCEPTED, "POST with a limit").json()["id"], made, {}, unique="limited")
            self.ledger.counts["limited"] += 1
        self.daemon_.pause(self.random.expovariate(1 * self.world.pace))


class Scheduler(Composer):
    """One schedule after the other, each watched for a while: the times that its runs tell."""

    def turn(self):
        name = f"tick-{self.token()}"
        overlap = self.random.choice(("allow", "skip", "queue_one", "cancel_running"))
        value = {"token": name, "mode": "ok", "ms": self.random.choice((0, 0, 3000))}
        body = {"every": EVERY_S, "overlap": overlap, "catch_up": self.random.choice(("last", "none", {"all": 3})),
                "task": {"handler": "work", "input": value, "retries": 0}}
        answer = self.client.sure("PUT", f"/v1/schedules/{name}", body)
        self.check(answer, (200, 201), "PUT of a schedule")
        self.ledger.counts["schedules"] += 1
        told = {}
        end = time.monotonic() + self.random.uniform(5, 20)
        try:
            while time.monotonic() < end and not self.is_over():
                self.look(name, told, overlap)
                self.daemon_.pause(0.4)
        finally:
            while self.client.sure("DELETE", f"/v1/schedules/{name}").status not in (204, 404):
                self.daemon_.pause(0.2)
        futures = [future for future in told.values() if future]
        self.ledger.counts["fired"] += len(futures)
        for future in futures:
            seen = self.until_done(f"/v1/futures/{future}", f"{future} of schedule {name}", "schedules")
            if seen and seen["state"] != "succeeded" and not self.may_end_so(seen, overlap):
                self.ledger.breach("schedules", f"{future} of schedule {name} ({overlap}): {seen['state']} {seen.get('error')}")

    def may_end_so(self, seen, overlap):
        code = (seen.get("error") or {}).get("code")
        exit_code = (seen.get("error") or {}).get("exit_code")
        return (overlap == "cancel_running" and code == "cancelled") or (code == "daemon_died" and self.daemon_.kills >= 3) or \
            (code == "exit" and exit_code in (2, 126, 127) and self.ledger.counts["programs"])

    def look(self, name, told, overlap):
        answer = self.client.sure("GET", f"/v1/schedules/{name}")
        if answer.status != 200:
            raise Undecided(f"{name}: {answer.status}")
        runs = answer.json()["runs"]
        ats = [run["at"] for run in runs if run["outcome"] == "fired"]
        if len(set(ats)) < len(ats):
            self.ledger.breach("schedules", f"{name} fired a time twice: {sorted(ats)}")
        for run in runs:
            if run["outcome"] == "fired" and told.setdefault(run["at"], run["future"]) != run["future"]:
                self.ledger.breach("schedules", f"{name} fired {run['at']} as {told[run['at']]} and as {run['future']}")
        if overlap == "queue_one":
            return  # the time that waits is fired behind those that are skipped meanwhile
        latest_first = [(stamp(run["at"]), stamp(run.get("to") or run["at"])) for run in runs if run["outcome"] != "waiting"]
        for (begin, _), (_, before) in zip(latest_first, latest_first[1:]):
            if begin <= before:
                self.ledger.breach("schedules", f"{name}: times out of order: {runs}")


def stamp(text):
    """Seconds."""
    whole, _, fraction = text.rstrip("Z").partition(".")
    return time.mktime(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) + float("0." + (fraction or "0"))


class Checkpointer(Composer):
    """Tasks that go on from what they have stored; some suspend themselves. warm.py sees what came back."""

    def turn(self):
        token = self.token()
        value = {"token": token, "mode": "steps", "ms": 60, "steps": self.random.randint(3, 30),
                 "suspends": self.random.choice((0, 0, 1))}
        answer = self.client.once("POST", "/v1/tasks", {"handler": "steps", "input": value, "retries": 50})
        ident = self.check(answer, ACCEPTED, "POST of steps").json()["id"]
        p = self.promise(ident, (token, "steps", "ok"), {}, unique="steps")
        self.ledger.counts["checkpointed"] += 1
        self.until_done(f"/v1/futures/{p.id}", f"{p.id} (steps)", "ended")
        self.daemon_.pause(self.random.expovariate(2 * self.world.pace))


class Bulker(Composer):
    """Cancels, retries and deletes all members of a batch of its own, each by one operation."""

    def turn(self):
        tasks = [{"handler": "work", "input": {"token": self.token(), "mode": "cancel", "ms": 30000}, "retries": 0}
                 for _ in range(self.random.randint(5, 60))]
        answer = self.check(self.client.once("POST", "/v1/batches", {"tasks": tasks}), ACCEPTED, "POST of a batch")
        batch, began = answer.json()["id"], time.monotonic()
        for kind, wanted in (("cancel", "cancelled"), ("retry", None), ("cancel", "cancelled"), ("delete", "")):
            self.operate(kind, batch)
            if wanted is None:
                continue
            answer = self.client.sure("GET", f"/v1/futures?batch={batch}&limit=100")
            found = [f["state"] for f in self.check(answer, (200,), "list of a batch").json()["futures"]]
            is_right = not found if wanted == "" else all(state == wanted for state in found)
            if not is_right or (wanted and len(found) < len(tasks) and time.monotonic() - began < self.ledger.retention_s):
                self.ledger.breach("bulk", f"batch {batch} of {len(tasks)} after {kind}: {found}")
        self.ledger.counts["bulks"] += 1
        self.daemon_.pause(self.random.expovariate(0.3 * self.world.pace))

    def operate(self, kind, batch):
        """Asked for again when no answer came: it changes nothing twice."""
        while True:
            try:
                answer = self.check(self.client.once("POST", f"/v1/futures/{kind}", {"batch": batch}), ACCEPTED, f"bulk {kind}")
                break
            except Undecided:
                if self.world.end.is_set():
                    raise
                self.daemon_.pause(0.2)
        ident = answer.json()["id"]
        if self.until_done(f"/v1/operations/{ident}", f"operation {ident} ({kind})", "bulk") is None and \
                not self.world.end.is_set():
            raise Undecided(ident)


KINDS = (Grapher, Promiser, Limited, Scheduler, Checkpointer, Bulker)


def prepare(world, client):
    """The limit, before anybody names it."""
    answer = client.sure("PUT", f"/v1/limits/{LIMIT}", {"max_running": LIMIT_MAX})
    if answer.status not in (200, 201):
        world.ledger.breach("limits", f"PUT of a limit: {answer.status} {answer.body[:200]!r}")
