"""What was promised, from the journal of the runs, from what clients saw, and from the database."""


from faults import LEASE_S


WAIT_S = 3  # nobody waits longer for what has happened, once the fault is over

RULES = {
    "acknowledged": "what was acknowledged is there, and has ended",
    "one result": "a future has one result, and keeps it",
    "journal": "its attempt is that of a run in the journal, which has ended",
    "attempts": "no attempt has run twice, unless a node that ended gave it back",
    "once": "what is to run once was started once",
    "alone": "no two runs of a task side by side, also where a node stands still or is cut off",
    "dead nodes": "nothing runs, in the database or as a process, under a node that is no more",
    "taken up": f"what ran on a node that is no more runs again within the lease and {WAIT_S} s",
    "waiters": f"nobody waits longer than {WAIT_S} s beyond a fault",
    "right end": "no task fails but for three deaths, or one that is to run once",
    "keys": "two nodes, one idempotency key: one is new",
    "unique": "two nodes, one unique key: one is new",
    "streams": "the events of a batch, resumed at any node: none missing, none twice",
    "events": "/v1/events tells at each node of all ends",
    "answers": "clients get the answers of the contract",
    "clocks": "a node whose clock is two hours off does not start",
    "nodes": "a node ends only when it is told to or fenced",
    "harness": "all faults could be done",
}


LATENCY_RULES = ("taken up", "waiters", "streams")  # what a starved machine may break


def read_journal(path):
    """{id: [run]}; run: attempt, life, began, ended (None), beside."""
    runs = {}
    if not path.exists():
        return runs
    for line in path.read_text().splitlines():
        words = line.split()
        if words[0] == "begin" and len(words) >= 5:
            runs.setdefault(words[1], []).append({"attempt": int(words[2]), "life": words[3], "began": float(words[4]),
                                                  "ended": None, "beside": len(words) > 5})
        elif words[0] == "end":
            for run in runs.get(words[1], []):
                if run["attempt"] == int(words[2]) and run["life"] == words[3]:
                    run["ended"] = float(words[4])
    return runs


def read_releases(nodes):
    """{(id, attempt)}: what a node that ended, as it does without its fork server, has given back uncharged."""
    found = set()
    for node in nodes:
        for line in (node.folder / "log").read_text(errors="replace").splitlines():
            if " task_releases " in line:
                words = dict(word.split("=", 1) for word in line.split() if "=" in word)
                found.add((words["task"], int(words["attempt"])))
    return found


def read_rows(server):
    """{id: (state, attempt, result)} of what has ended, as it is in the database."""
    text = server.sql("SELECT t.key || ' ' || t.lo || ' ' || r.state || ' ' || r.attempt || ' ' ||"
                      " coalesce(convert_from(r.body, 'UTF8'), '') FROM results r JOIN tasks t ON t.key = r.key")
    rows = {}
    for line in text.splitlines():
        hi, lo, state, attempt, result = line.split(" ", 4)
        digits = f"{int(hi) & (1 << 64) - 1:016x}{int(lo) & (1 << 64) - 1:016x}"
        ident = "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
        rows[ident] = (int(state), int(attempt), result)
    return rows


class Verdict:
    def __init__(self, world):
        self.world, self.ledger = world, world.ledger
        self.runs = read_journal(world.folder / "journal")
        self.rows, self.releases = read_rows(world.primary), read_releases(world.nodes)
        self.ends = {life[0]: life[2] for node in world.nodes for life in node.lives}
        self.late, self.taken_up = [], []

    def breach(self, rule, text):
        self.ledger.breach(rule, text)

    def check(self):
        for ident, promise in self.ledger.acked.items():
            self.check_end(ident, promise)
        for ident, runs in self.runs.items():
            self.check_runs(ident, runs)
        if self.world.primary.sql("SELECT count(*) FROM live") != "0":
            self.breach("dead nodes", "rows of unfinished tasks are left: " + self.world.primary.sql(
                "SELECT string_agg(key || ' ' || state || ' ' || coalesce(node, 0), ', ') FROM live LIMIT 20"))
        for node in self.world.nodes:
            for text in node.trouble:
                self.breach("nodes", text)

    def check_end(self, ident, promise):
        seen, row = self.ledger.seen.get(ident), self.rows.get(ident)
        if not seen or not row:
            self.breach("acknowledged", f"{ident} ({promise['kind']}): seen {seen and seen[0]}, in the database {row}")
            return
        (state, attempt, result, code), asked, at, name = seen
        if row[1] != attempt or (state == "succeeded" and row[2] != result):
            self.breach("one result", f"{ident} was seen as {seen[0]} and is {row}")
        if state == "succeeded":
            self.check_success(ident, attempt, result, asked, at, name)
        elif state == "failed":
            deaths = sum(r["ended"] is None for r in self.runs.get(ident, []))
            is_allowed = code == "daemon_died" and (promise["kind"] == "once" or deaths >= 3 or attempt >= 3)
            if not is_allowed:
                self.breach("right end", f"{ident} ({promise['kind']}) failed with {code} after {self.runs.get(ident)}")
            else:
                self.ledger.count("failed: daemon_died")
        elif promise["kind"] != "member":
            self.breach("right end", f"{ident} ({promise['kind']}) is {state}")

    def check_success(self, ident, attempt, result, asked, at, name):
        life = (result or " ").split()[-1]
        run = [r for r in self.runs.get(ident, []) if r["attempt"] == attempt and r["life"] == life]
        if result != f"{attempt} {life}" or len(run) != 1 or run[0]["ended"] is None:
            self.breach("journal", f"{ident}: attempt {attempt}, result {result!r}, runs {self.runs.get(ident)}")
            return
        due = max(run[0]["ended"], asked)
        clear = self.world.windows.clear_after(due, (name, life.split(".")[0]))
        late = at - clear
        self.late.append(max(late, 0))
        names = (name, life.split(".")[0])
        if late <= WAIT_S < at - self.world.windows.clear_after(due, names, with_stalls=False):
            self.ledger.count("waiters late by a stall of the machine alone")
        if late > WAIT_S:
            self.breach("waiters", f"{ident} ended at {run[0]['ended']:.1f}, asked of {name} at {asked:.1f}, answered at "
                        f"{at:.1f}: {late:.1f} s beyond all faults; it ran at {life}")

    def check_runs(self, ident, runs):
        promise = self.ledger.acked.get(ident)
        for run in runs:
            again = sum(r["attempt"] == run["attempt"] for r in runs) > 1
            if again and (ident, run["attempt"]) not in self.releases:
                self.breach("attempts", f"{ident}: {runs}")
        if promise and promise["kind"] == "once" and len(runs) > 1:
            self.breach("once", f"{ident}: {runs}")
        runs.sort(key=lambda r: r["began"])
        for before, run in zip(runs, runs[1:]):
            if run["beside"]:
                self.breach("alone", f"{ident}: {runs}")
            self.check_taken_up(ident, before, run)

    def check_taken_up(self, ident, before, run):
        """From the death of its node, or from when it stood still."""
        gone = [began for life, began, ended in self.world.stopped if life == before["life"] and ended > before["began"]]
        gone += [self.ends[before["life"]]] if self.ends.get(before["life"]) else []
        if before["ended"] is not None or not gone:
            return
        gone = max(min(gone), before["began"])
        took = run["began"] - max(self.world.windows.clear_after(gone + LEASE_S, ()), gone + LEASE_S)
        self.taken_up.append(run["began"] - gone)
        bare = max(self.world.windows.clear_after(gone + LEASE_S, (), with_stalls=False), gone + LEASE_S)
        if took <= WAIT_S < run["began"] - bare:
            self.ledger.count("begun again late by a stall of the machine alone")
        if took > WAIT_S:
            self.breach("taken up", f"{ident}: its node {before['life']} was gone at {gone:.1f}; it began again at "
                        f"{run['began']:.1f}")

    # ---- the report ---------------------------------------------------------------------------

    def report(self):
        def spread(values):
            values = sorted(values)
            if not values:
                return "none"
            return ", ".join(f"{what} {values[min(len(values) - 1, int(len(values) * p))]:.2f}"
                             for what, p in (("p50", .5), ("p99", .99), ("max", 1))) + f" s of {len(values)}"

        states = {}
        for seen in self.ledger.seen.values():
            states[seen[0][0]] = states.get(seen[0][0], 0) + 1
        attempts = [seen[0][1] for seen in self.ledger.seen.values()]
        print(f"acknowledged {len(self.ledger.acked)}: {states}; runs {sum(map(len, self.runs.values()))}, "
              f"highest attempt {max(attempts, default=0)}")
        print(f"waiters beyond the end or the fault: {spread(self.late)}")
        print(f"begun again after a node's end: {spread(self.taken_up)}")
        print(f"the machine: {self.world.stalls.summary()}")
        print("done: " + ", ".join(f"{what} {n}" for what, n in sorted(self.ledger.counts.items())))


def conclude(ledger, stalls):
    """A line for each rule; how many are broken. That the machine was starved is said beside a broken rule on
    latencies, which stays broken."""
    broken = 0
    for rule, text in RULES.items():
        n = len(ledger.breaches.get(rule, ()))
        broken += n > 0
        print(f"{'FAIL' if n else 'ok  '} {rule}: {text}" + (f" ({n})" if n else ""))
        if n and rule in LATENCY_RULES and stalls.is_starved():
            print(f"     the machine was starved: {stalls.summary()}")
    print(f"{len(RULES) - broken} passed, {broken} failed", flush=True)
    return broken
