"""What the daemon is to reach, as ratios and sizes of one run. met: by the median; where the
turns disagree, it says so."""

from harness import ratios, spread
from parts_postgres import BEAT_S, LEASE_S, PEER, PLAIN

C64 = "64 connections"
SUBPROCESS = ["ThreadPoolExecutor(2), subprocess.run", "ProcessPoolExecutor(2), subprocess.run"]


class Target:
    """at_least or at_most: the bar. against: the subject of the same case that it is held against,
    or several: then the best of them. absolute: the metric itself is what counts."""

    def __init__(self, text, part, case, subject, metric="rate", against=None, at_least=None,
                 at_most=None, unit="x"):
        self.text, self.part, self.case, self.subject = text, part, case, subject
        self.metric, self.unit = metric, unit
        self.against = [against] if isinstance(against, str) else against
        self.at_least, self.at_most = at_least, at_most

    def bar(self):
        sign, value = ("≥", self.at_least) if self.at_most is None else ("≤", self.at_most)
        return f"{sign} {value:g}{self.unit}"

    def measured(self, bench):
        """((median, least, most), against what) or None when the part was not run."""
        part = bench.parts.get(self.part)
        if part is None or not part.cases():
            return None
        case = part.cases()[self.case] if isinstance(self.case, int) else self.case
        values = part.get(case, self.subject, self.metric)
        if self.against is None:
            found = spread(values)
            return found and (found, "")
        best = max(self.against, default=None,
                   key=lambda s: (spread(part.get(case, s, self.metric)) or (0,))[0])
        found = ratios(values, part.get(case, best, self.metric))
        return found and (found, best)

    def is_met(self, value):
        return value >= self.at_least if self.at_most is None else value <= self.at_most

    def verdict(self, median, least, most):
        word = "met" if self.is_met(median) else "NOT met"
        sure = self.is_met(least) == self.is_met(most)
        return word if sure else word + ", not in every turn"


def postgres_targets(bench):
    hardship = bench.parts.get("postgres_hardship")
    backlogs = hardship.subjects("backlog") if hardship else ["", ""]

    def target(text, case, subject, **rest):
        return Target(text, "postgres_hardship", case, subject, **rest)

    def against_sqlite(text, case, **rest):
        return Target(f"on PostgreSQL, {text}, against SQLite", "postgres", case, "futured, PostgreSQL",
                      against="futured, SQLite", **rest)

    return [
        against_sqlite("round trip of one", "1 connection", metric="p50_ms", at_most=2),
        against_sqlite("tasks/s, 10 connections", "10 connections", at_least=0.45),
        against_sqlite("tasks/s, 256 connections", "256 connections", at_least=0.38),
        Target("… two nodes, 10 connections, against one", "postgres", "10 connections", "futured, two nodes",
               against="futured, PostgreSQL", at_least=1.3),
        Target("… with result, 64 connections, against the best queue in the same server", "postgres", C64,
               "futured, PostgreSQL", against=[*PLAIN, *PEER], at_least=5),
        target("… a large backlog, against a small one", "backlog", backlogs[-1], against=backlogs[0], at_least=0.7),
        target("… an old snapshot for 15 s, against none", "an old snapshot", "futured", metric="share",
               at_least=0.6, unit=""),
        target("… wake-up on another node, p50", "wake-up", "futured, from node to node", metric="p50_ms",
               at_most=1, unit=" ms"),
        target("… p99", "wake-up", "futured, from node to node", metric="p99_ms", at_most=10, unit=" ms"),
        target("… a dead node's task runs again", "death", "futured", metric="seconds", at_most=LEASE_S + 2 * BEAT_S,
               unit=" s"),
    ]


def targets(bench):
    enqueue = bench.parts.get("enqueue")
    loops = [s for s in enqueue.subjects(C64) if s.startswith("bare")][:1] if enqueue else []
    return [
        Target("durable POST, 64 connections, against the bare library with as many loops",
               "enqueue", C64, "futured", against=loops or None, at_least=0.6),
        Target("… against beanstalkd -f0", "enqueue", C64, "futured",
               against="beanstalkd -f0", at_least=8),
        Target("… against beanstalkd -f50", "enqueue", C64, "futured",
               against="beanstalkd -f50", at_least=0.6),
        Target("… against Redis LPUSH, appendfsync always", "enqueue", C64, "futured",
               against="redis always", at_least=0.85),
        Target("no-op with result, 64 connections, io lane, against gearmand's best setting",
               "end_to_end", C64, "futured, io lane",
               against=["gearmand -t1, 2 workers", "gearmand -t1, 8 workers",
                        "gearmand -t4, 8 workers"], at_least=1.2),
        Target("… cpu lane, against ProcessPoolExecutor(2)", "end_to_end", C64,
               "futured, cpu lane", against="ProcessPoolExecutor(2)", at_least=4),
        Target("… io lane, against ThreadPoolExecutor(2)", "end_to_end", C64, "futured, io lane",
               against="ThreadPoolExecutor(2)", at_least=0.8),
        Target("… a batch, cpu lane, against ProcessPoolExecutor(2)", "end_to_end", C64,
               "futured, a batch, cpu lane", against="ProcessPoolExecutor(2)", at_least=4),
        Target("… a batch, io lane, against ThreadPoolExecutor(2)", "end_to_end", C64,
               "futured, a batch, io lane", against="ThreadPoolExecutor(2)", at_least=0.8),
        Target("round trip on an idle daemon, p50, against beanstalkd -f0", "roundtrip", "idle",
               "futured, io lane", metric="p50_ms", against="beanstalkd -f0", at_most=0.8),
        Target("… against two bare commits", "roundtrip", "idle", "futured, io lane", metric="p50_ms",
               against="bare: two commits of SQLite", at_most=1.15),
        Target("a program per task, against a posix_spawn loop", "lanes", "a program per task",
               "futured, exec", against="bare: posix_spawn", at_least=0.9),
        Target("… against subprocess.run in the better executor", "lanes", "a program per task",
               "futured, exec", against=SUBPROCESS, at_least=1),
        Target("64 KiB through gzip, against a posix_spawn loop", "lanes", "64 KiB through gzip",
               "futured, exec", against="bare: posix_spawn", at_least=0.9),
        Target("… against subprocess.run in the better executor", "lanes", "64 KiB through gzip",
               "futured, exec", against=SUBPROCESS, at_least=1),
        Target("no-op in a warm Python worker, against ProcessPoolExecutor(2)", "lanes", "no-op",
               "futured, warm worker", against="ProcessPoolExecutor(2)", at_least=2),
        Target("… a batch", "lanes", "no-op", "futured, a batch, warm worker",
               against="ProcessPoolExecutor(2)", at_least=2),
        *(Target(f"NLP-like Python worker, {texts}, {what}, against ProcessPoolExecutor(2)", "nlp", texts,
                 "futured, worker", metric=metric, against="ProcessPoolExecutor(2)", **bar)
          for size in ("2,000", "10,000")
          for texts in (f"texts of {size} characters", f"texts of {size} characters, four requests")
          for what, metric, bar in (("rate", "rate", {"at_least": 0.9}),
                                    ("CPU time", "cpu_us", {"at_most": 1.1}))),
        Target("bulk of 1,000, tasks/s, against a bare SQLite transaction of the same rows", "bulk",
               "2 connections", "futured", against="bare SQLite", at_least=0.5),
        Target("enqueue rate with 1 M queued, against an empty queue", "depth", 1, "futured",
               against="futured, empty queue", at_least=0.85),
        Target("enqueue rate with 5 M queued, against an empty queue", "depth", -1, "futured",
               against="futured, empty queue", at_least=0.85),
        Target("resident memory with 1 M tasks queued", "depth", 1, "futured, just filled",
               metric="rss_mib", at_most=64, unit=" MiB"),
        Target("resident memory per idle long-poll", "waiters", "held", "futured",
               metric="kib_each", at_most=6, unit=" KiB"),
        Target("disk per finished task, 64 B in and out", "finished", "kept", "futured, finished",
               metric="bytes_each", at_most=400, unit=" B"),
        Target("p99 of an io task, cpu lane computing on all CPUs, against an idle one",
               "isolation", "io latency", "futured, cpu lane computing on all", metric="p99_ms",
               against="futured, cpu lane idle", at_most=2),
        Target("… cpu lane full of tasks that wait", "isolation", "io latency",
               "futured, cpu lane waiting", metric="p99_ms", against="futured, cpu lane idle",
               at_most=2),
        Target("50 fetches of 1 s on 20 threads: over the ideal", "ideal", "fetches", "futured",
               metric="over_ideal", at_most=0.05, unit=""),
        Target("4 CPU-bound tasks on all workers: over the ideal", "ideal", "4 CPU-bound tasks",
               "futured", metric="over_ideal", at_most=0.05, unit=""),
        *postgres_targets(bench),
    ]
