#!/usr/bin/env python3
"""Mixed work of all kinds on two daemons for a long time: does anything grow?

    tests/soak/run.py --build build/release --minutes 60     (make soak MINUTES=60)

"steady" runs through; its handlers file is reloaded, its lanes are paused and resized while it works.
"restarted" is drained by SIGTERM and started again on its database all the time. Each client does one
scenario of work.py after the other, at a bounded rate, and holds the daemon to what HTTP said. Each
second the processes are looked at from outside; verdict.py says what flat means. The last line is
"N passed, M failed"; the exit status is 1 when anything failed."""

import argparse
import json
import pathlib
import random
import sys
import threading
import time
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import daemon as daemons
import picture
import verdict
import work
from client import Breach, Client, Undecided
from daemon import servers

TOP = pathlib.Path(__file__).resolve().parents[2]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=float, default=20, help="scenarios a second, of both together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", help="the folder for the report and its chart")
    return parser.parse_args()


class Ledger:
    """What has been done. Any thread."""

    def __init__(self):
        self.lock = threading.Lock()
        self.done, self.undecided, self.breaches = {}, 0, []

    def count(self, daemon, scenario):
        with self.lock:
            key = (daemon.name, scenario.__name__)
            self.done[key] = self.done.get(key, 0) + 1

    def breach(self, daemon, scenario, error):
        with self.lock:
            self.breaches.append(f"{daemon.name}: {scenario.__name__}: {error}")
        print(f"BREACH: {self.breaches[-1]}", flush=True)


class Scene:
    """What the scenarios of one client may use."""

    def __init__(self, daemon, receiver, fetch_address, seed):
        self.daemon, self.receiver, self.fetch_address = daemon, receiver, fetch_address
        self.random = random.Random(seed)

    @property
    def address(self):
        return self.daemon.address

    def pause(self, seconds):
        self.daemon.pause(seconds)


class Player(threading.Thread):
    """One client: scenario after scenario, at its share of the rate, until the end."""

    def __init__(self, scene, ledger, every):
        super().__init__(daemon=True)
        self.scene, self.ledger, self.every = scene, ledger, every

    def run(self):
        client, due = Client(self.scene.daemon), time.monotonic()
        for scenario in self.deck():
            due = max(due + self.every * self.scene.random.uniform(0.5, 1.5), time.monotonic())
            self.play(client, scenario)
            self.scene.pause(max(0, due - time.monotonic()))
            if self.scene.daemon.is_over.is_set():
                break
        client.close()

    def deck(self):
        """For ever all of them, as often as they are to be, in another order each time."""
        cards = [scenario for scenario, times in work.SCENARIOS.items() for _ in range(times)]
        while True:
            self.scene.random.shuffle(cards)
            yield from cards

    def play(self, client, scenario):
        try:
            scenario(client, self.scene)
            self.ledger.count(self.scene.daemon, scenario)
        except Undecided:
            with self.ledger.lock:
                self.ledger.undecided += 1
        except Breach as error:
            self.ledger.breach(self.scene.daemon, scenario, error)
        except Exception:
            self.ledger.breach(self.scene.daemon, scenario, traceback.format_exc())
        if client.connection and scenario is work.events_left:
            client.close()


# ---- what disturbs them ------------------------------------------------------------------------


def pause_lane(client, chance):
    path = f"/v1/pools/{chance.choice(['io', 'cpu'])}"
    client.sure("PATCH", path, {"paused": True, "reason": "soak"})
    client.home.pause(chance.uniform(0.1, 1))
    client.sure("PATCH", path, {"paused": False})


def resize_lane(client, chance):
    path = f"/v1/pools/{chance.choice(['io', 'cpu'])}"
    client.sure("PATCH", path, {"capacity": chance.randrange(1, 12)})
    client.home.pause(chance.uniform(0.1, 2))
    client.sure("PATCH", path, {"capacity": None})


def reload(client, _chance):
    client.home.reload()


def disturb(daemon, ledger, every, seed):
    """Of the daemon that runs through."""
    chance, client = random.Random(seed), Client(daemon)
    ways = [pause_lane, resize_lane, reload]
    while not daemon.is_over.wait(chance.uniform(0.5, 1.5) * every):
        way = ways[0]
        ways = [*ways[1:], way]
        try:
            way(client, chance)
            ledger.count(daemon, way)
        except Breach as error:
            ledger.breach(daemon, way, error)


def check_status(daemon, ledger, status):
    if status != 0:
        ledger.breach(daemon, check_status, f"exit status {status}: {daemon.log_tail()}")


def restarts(daemon, ledger, every, finished):
    """The whole life of the other daemon: started and ended by this one thread."""
    try:
        daemon.start()
        ready = finished["started"]
        ready.set()
        while not daemon.is_over.wait(every):
            check_status(daemon, ledger, daemon.restart())
            ledger.count(daemon, restarts)
        finished["work"].wait()
        check_status(daemon, ledger, daemon.stop())  # a server is told to end when the thread that started it does
    except Exception:
        ledger.breach(daemon, restarts, traceback.format_exc())
    finally:
        finished["started"].set()


# ---- the run -----------------------------------------------------------------------------------


class Times:
    """All lengths follow from the whole: a short run has a short retention."""

    def __init__(self, minutes):
        self.whole = minutes * 60
        self.warm_up = self.whole / 4
        self.retention = max(5, min(120, self.warm_up / 2))
        self.disturb_every = max(2, min(10, self.whole / 30))
        self.restart_every = max(4, min(30, self.whole / 10))


def new_daemon(name, folder, build, retention, drain):
    table = work.handlers(sys.executable, TOP / "workers/sdk", build / "workers/sdk/examples",
                          TOP / "tests/bench")
    return daemons.Daemon(name, folder / name, table, MAX_WORKERS=2, MAX_THREADS=12,
                        FUTURED_RETENTION=f"{retention:.0f}s", FUTURED_DRAIN=drain)


def players(daemon, ledger, rate, count, receiver, fetch_address, seed):
    made = [Player(Scene(daemon, receiver, fetch_address, f"{seed} {daemon.name} {i}"), ledger,
                   count / rate) for i in range(count)]
    for each in made:
        each.start()
    return made


def rest(daemon, ledger):
    """All is ended: nothing may be unfinished, and nobody connected but who asks."""
    client, end = Client(daemon), time.monotonic() + 60
    while time.monotonic() < end:
        stats = client.stats()
        left = {f"{lane} {state}": n for lane, by in stats["tasks"].items() if isinstance(by, dict)
                for state, n in by.items() if n and state in ("queued", "running", "scheduled")}
        if not left and stats["http"]["waiters"] == 0 and stats["http"]["connections"] <= 1:
            return
        time.sleep(0.2)
    ledger.breach(daemon, rest, f"a minute after the last scenario: {left} {stats['http']}")


def forget(daemon, ledger, retention):
    """The retention passes, and nothing is kept any more."""
    client, end = Client(daemon), time.monotonic() + retention + 60
    while left := client.sure("GET", "/v1/futures?limit=1000").json()["futures"]:
        if time.monotonic() > end:
            ledger.breach(daemon, forget, f"a minute after the retention: {len(left)} futures")
            return
        time.sleep(0.5)


def soak(options, times, ledger):
    """The samples of both daemons."""
    build = pathlib.Path(options.build).resolve()
    servers.BUILD = build
    with servers.scratch() as folder, servers.fetch_server() as fetches:
        receiver = work.Receiver()
        steady = new_daemon("steady", folder, build, times.retention, "5s")
        other = new_daemon("restarted", folder, build, times.retention, "2s")
        steady.start()
        finished = {"started": threading.Event(), "work": threading.Event()}
        keeper = threading.Thread(target=restarts, daemon=True,
                                  args=(other, ledger, times.restart_every, finished))
        keeper.start()
        finished["started"].wait()
        sampler = daemons.Sampler([steady, other])
        sampler.start()
        disturber = threading.Thread(target=disturb, daemon=True, args=(
            steady, ledger, times.disturb_every, options.seed))
        disturber.start()
        busy = [(daemon, players(daemon, ledger, options.rate * share, count, receiver,
                                fetches.address, options.seed))
                for daemon, share, count in ((steady, 0.7, 12), (other, 0.3, 6))]
        progress(times, ledger, (steady, other))
        sampler.stop()
        for daemon, _ in busy:
            daemon.is_over.set()
        disturber.join(60)
        for daemon, threads in busy:
            for each in threads:
                each.join(180)
            rest(daemon, ledger)
        for daemon, _ in busy:
            forget(daemon, ledger, times.retention)
        finished["work"].set()
        keeper.join(180)
        check_status(steady, ledger, steady.stop())
    return sampler.rows


def progress(times, ledger, both):
    """Waits for the end, and says now and then how it is."""
    began = time.monotonic()
    every = max(10, times.whole / 20)
    told = began
    while (now := time.monotonic()) - began < times.whole:
        time.sleep(min(1, max(0, times.whole - (now - began))))
        if now - told >= every:
            told = now
            sample = both[0].sample() or {}
            print(f"[{now - began:6.0f} s] {sum(ledger.done.values())} scenarios, "
                  f"{ledger.undecided} undecided, {len(ledger.breaches)} breaches; "
                  + ", ".join(f"{k} {v:.4g}" for k, v in sample.items()), flush=True)


# ---- the report --------------------------------------------------------------------------------


def figures(rows, times):
    """[(daemon, series, is flat, medians, limit)]"""
    found = []
    for name, samples in rows.items():
        for series in verdict.SERIES:
            points = [(t, v[series]) for t, v in samples if series in v]
            found.append((name, series,
                          *verdict.judge(points, series, times.warm_up, times.whole)))
    return found


def row(name, series, flat, medians, limit):
    words, unit, _ = verdict.SERIES[series]
    values = " → ".join("none" if m is None else f"{m:.4g}" for m in medians)
    allowed = "none" if limit is None else f"{limit:.4g}"
    return f"{'ok   ' if flat else 'FAIL '} {name}: {words}: {values} {unit} (at most {allowed})"


def write_report(out, options, times, ledger, rows, found):
    folder = pathlib.Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    title = f"{times.whole / 60:g} minutes of mixed work, {sum(ledger.done.values())} scenarios"
    (folder / "soak.svg").write_text(
        picture.draw(title, verdict.SERIES, rows, times.warm_up, times.whole))
    text = [f"# {title}", "", f"`make soak MINUTES={options.minutes:g}`: {options.rate:g} scenarios a "
            f"second at most, retention {times.retention:.0f} s, a restart every "
            f"{times.restart_every:.0f} s ({ledger.done.get(('restarted', 'restarts'), 0)} in all), "
            f"warm-up {times.warm_up / 60:.3g} minutes. {ledger.undecided} scenarios were cut off by a "
            f"restart before anything was promised, {len(ledger.breaches)} promises broken.", "",
            "![the series](soak.svg)", "",
            "Medians of the three thirds after the warm-up; the last may be at most what stands "
            "behind it.", "", "| daemon | | first | middle | last | at most | |",
            "|---|---|---:|---:|---:|---:|---|"]
    for name, series, flat, medians, limit in found:
        words, unit, _ = verdict.SERIES[series]
        values = " | ".join("" if m is None else f"{m:.4g}" for m in (*medians, limit))
        text.append(f"| {name} | {words}{', ' + unit if unit else ''} | {values} | "
                    f"{'flat' if flat else 'NOT flat'} |")
    text += ["", "| scenario | steady | restarted |", "|---|---:|---:|"]
    for scenario in sorted({scenario for _, scenario in ledger.done}):
        text.append(f"| {scenario} | {ledger.done.get(('steady', scenario), 0)} | "
                    f"{ledger.done.get(('restarted', scenario), 0)} |")
    (folder / "README.md").write_text("\n".join(text) + "\n")
    (folder / "samples.json").write_text(json.dumps(rows))


def main():
    options = arguments()
    times, ledger = Times(options.minutes), Ledger()
    rows = soak(options, times, ledger)
    found = figures(rows, times)
    for each in found:
        print(row(*each))
    scenarios = sum(ledger.done.values())
    print(f"{scenarios} scenarios, {ledger.undecided} undecided, {len(ledger.breaches)} breaches")
    if options.out:
        write_report(options.out, options, times, ledger, rows, found)
    failed = sum(not flat for _, _, flat, *_ in found) + len(ledger.breaches)
    failed += not scenarios
    for breach in ledger.breaches:
        print(f"FAIL  {breach}")
    print(f"{len(found) + 1 - min(failed, len(found) + 1)} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
