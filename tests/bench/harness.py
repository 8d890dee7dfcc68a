"""How is measured: everything that is to be compared takes turns, several times over, so that the
machine's mood hits all alike; what is kept is every sample."""

import os
import statistics
import sys
import time


QUIET = 0.3  # load average per CPU from which on a machine is said not to be alone
SETTLE_S = 180


def is_quiet(load):
    return load <= QUIET * len(os.sched_getaffinity(0))


def settle():
    """Waits, a while, until the compilers that have just built all this are out of the average."""
    last = time.monotonic() + SETTLE_S
    while not is_quiet(os.getloadavg()[0]) and time.monotonic() < last:
        time.sleep(1)


class Bench:
    """One run of the bench. runs: how often each sample is taken; seconds: how long a rate is
    measured; quick: everything small, to see that it works."""

    def __init__(self, runs, seconds, quick):
        self.runs, self.seconds, self.quick = runs, seconds, quick
        self.parts = {}  # name -> Part
        self.failed = []  # parts that did not come to their end, with the reason
        self.began = time.monotonic()
        self.load_before = os.getloadavg()[0]

    def part(self, name, title, text):
        self.parts[name] = Part(self, name, title, text)
        return self.parts[name]

    def size(self, full, quick):
        return quick if self.quick else full

    def say(self, text):
        print(f"[{time.monotonic() - self.began:6.1f} s] {text}", file=sys.stderr, flush=True)


class Part:
    """A table of the report. cases: rows' groups in order; samples: (case, subject) -> Samples."""

    def __init__(self, bench, name, title, text):
        self.bench, self.name, self.title, self.text = bench, name, title, text
        self.samples = {}
        self.charts = []

    def compare(self, case, subjects, runs=None):
        """subjects: name -> function that returns {metric: value}. Each takes its turn, `runs`
        times, the first one a different one each time."""
        names = list(subjects)
        for turn in range(runs or self.bench.runs):
            shift = turn % len(names)
            for name in names[shift:] + names[:shift]:
                self.bench.say(f"{self.name} / {case} / {name} ({turn + 1})")
                self.take(case, name, subjects[name])

    def take(self, case, name, measure):
        """A sample that fails leaves its reason in the report instead of a number."""
        samples = self.samples.setdefault((str(case), name), Samples())
        try:
            samples.add(measure())
        except (RuntimeError, OSError, ValueError) as error:
            samples.errors.append(str(error))
            self.bench.say(f"    failed: {error}")

    def chart(self, metric, axis):
        """In the report: this metric over the cases."""
        self.charts.append((metric, axis))

    def get(self, case, subject, metric):
        """The values in the order of the turns; None where one failed."""
        samples = self.samples.get((str(case), subject))
        return [turn.get(metric) for turn in samples.turns] if samples else []

    def cases(self):
        return list(dict.fromkeys(case for case, _ in self.samples))

    def subjects(self, case):
        return [subject for c, subject in self.samples if c == case]


class Samples:
    def __init__(self):
        self.turns = []  # a dictionary per turn; a failed one is missing
        self.errors = []

    def add(self, metrics):
        self.turns.append(metrics)

    def metrics(self):
        return list(dict.fromkeys(key for turn in self.turns for key in turn))

    def spread(self, metric):
        return spread([turn[metric] for turn in self.turns if turn.get(metric) is not None])


def spread(values):
    """(median, least, most), or None."""
    values = [v for v in values if v is not None]
    return (statistics.median(values), min(values), max(values)) if values else None


def ratios(values, others):
    """Turn by turn, since both of a turn had the same weather: (median, least, most), or None."""
    pairs = [(a, b) for a, b in zip(values, others) if a is not None and b]
    return spread([a / b for a, b in pairs])
