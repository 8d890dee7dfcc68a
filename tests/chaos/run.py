#!/usr/bin/env python3
"""Everything at once, for MINUTES: tasks, batches, cancels, retries, callbacks, keys and streams, while the daemon is
killed, ended, starved, given another clock and has its programs taken away. Then a calm, and a verdict.

    run.py --build build/debug --minutes 60 [--seed N] [--without ACT,…] [--keep FOLDER]

The last line is "N passed, N failed": a rule of ledger.py each. Knows HTTP and signals.
"""

import argparse
import contextlib
import json
import os
import pathlib
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import composed  # noqa: E402
from clients import Batcher, Breach, Canceller, Client, Reader, Submitter, Undecided  # noqa: E402
from daemon import Daemon  # noqa: E402
from ledger import RULES, Ledger  # noqa: E402
from receiver import Receiver  # noqa: E402

CALM_S = 180  # within which all must have ended once nothing is done to the daemon any more


class World:
    def __init__(self, daemon, ledger, receiver, pace):
        self.daemon, self.ledger, self.receiver, self.pace = daemon, ledger, receiver, pace
        self.calm, self.end = threading.Event(), threading.Event()
        self.followers = []


class Storm(threading.Thread):
    """What is done to the daemon, one thing after the other, each undone before the next."""

    def __init__(self, world, seed, without):
        super().__init__(name="storm")
        self.world, self.daemon_, self.ledger = world, world.daemon, world.ledger
        self.random, self.client = random.Random(f"{seed} storm"), Client(world.daemon)
        self.acts = [self.kill, self.kill, self.stop, self.stop, self.hang_up, self.clock, self.clock, self.programs,
                     self.descriptors, self.pools, self.workers]
        if self.daemon_.user is not None:
            self.acts.append(self.processes)
        self.acts = [act for act in self.acts if act.__name__ not in without]

    def run(self):
        queue = []
        while not self.world.calm.wait(self.random.uniform(1, 4)):
            queue = queue or self.random.sample(self.acts, len(self.acts))
            act = queue.pop()
            self.ledger.counts[act.__name__] += 1
            try:
                act()
            except Undecided:
                pass
            except Exception as error:  # a storm that dies down would make the verdict look better
                self.ledger.breach("answers", f"{act.__name__}: {error!r}")
            self.report(self.daemon_.watch())
        self.undo()

    def report(self, text):
        if text:
            self.ledger.breach("daemon", text)

    def undo(self):
        """Nothing is wrong any more; the wall clock stays where it is."""
        self.daemon_.move_programs(away=False)
        self.daemon_.limit(resource.RLIMIT_NOFILE, None)
        self.daemon_.limit(resource.RLIMIT_NPROC, None)
        with contextlib.suppress(Breach):
            for lane in ("io", "cpu"):
                self.client.sure("PATCH", f"/v1/pools/{lane}", {"capacity": None, "paused": False})

    def kill(self):
        self.daemon_.kill()
        self.daemon_.pause(self.random.choice((0, 0, 2)))
        self.report(self.daemon_.start())

    def stop(self):
        self.report(self.daemon_.stop())
        self.daemon_.pause(self.random.choice((0, 0, 2)))
        self.report(self.daemon_.start())

    def hang_up(self):
        self.daemon_.hang_up()

    def clock(self):
        self.daemon_.step_clock(self.random.choice((0, 30, -30, 3600, -3600, 86400 * 9, -86400)))

    def programs(self):
        self.daemon_.move_programs(away=True)
        self.daemon_.pause(self.random.uniform(2, 6))
        self.daemon_.move_programs(away=False)
        if self.random.random() < 0.5:
            self.daemon_.hang_up()

    def descriptors(self):
        self.starve(resource.RLIMIT_NOFILE, max(8, self.daemon_.descriptors() - self.random.choice((0, 5, 20))))

    def processes(self):
        self.starve(resource.RLIMIT_NPROC, self.daemon_.threads_of_user() + self.random.choice((0, 0, 2)))

    def starve(self, what, soft):
        self.daemon_.limit(what, soft)
        self.daemon_.pause(self.random.uniform(2, 6))
        self.daemon_.limit(what, None)

    def pools(self):
        lane = self.random.choice(("io", "cpu"))
        with contextlib.suppress(Breach):
            self.client.sure("PATCH", f"/v1/pools/{lane}", self.random.choice(({"capacity": 1}, {"paused": True},
                                                                               {"capacity": 40})))
            self.daemon_.pause(self.random.uniform(1, 3))
            self.client.sure("PATCH", f"/v1/pools/{lane}", {"capacity": None, "paused": False})

    def workers(self):
        """kill -9 of one worker process."""
        answer = self.client.sure("GET", "/v1/workers")
        pids = [w["pid"] for w in answer.json()["workers"] if w.get("pid")] if answer.status == 200 else []
        if pids:
            self.ledger.worker_kills += 1
            with contextlib.suppress(OSError):
                os.kill(self.random.choice(pids), signal.SIGKILL)


# ---- the calm ---------------------------------------------------------------------------------------


def until(daemon, seconds, question):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if question():
            return True
        daemon.pause(0.5)
    return False


def await_ends(world):
    ledger = world.ledger
    if until(world.daemon, CALM_S, lambda: not unended(ledger)):
        return
    client = Client(world.daemon)
    for p in unended(ledger)[:2000]:
        answer = client.sure("GET", f"/v1/futures/{p.id}")
        future = answer.json()
        if answer.status == 200 and not future["done"]:
            ledger.breach("running" if future["state"] == "running" else "ended",
                          f"{p.id} ({p.handler} {p.mode}) is {future['state']} {CALM_S} s after all is well, "
                          f"{time.monotonic() - p.acked:.0f} s old, due {future.get('due_at')}: "
                          f"{json.dumps(future.get('waiting_for'))}")


def unended(ledger):
    with ledger.lock:
        return [p for p in ledger.by_id.values() if p.end is None and not (p.is_deleted or p.is_gone)]


def untold(world):
    """Promises whose last end no callback told."""
    with world.ledger.lock:
        asked = [p for p in world.ledger.by_id.values() if p.callback]
    found = []
    for p in asked:
        told = world.receiver.states(p.token)
        if not told or (p.states and not p.is_unsure and p.states[-1] not in told):
            found.append((p, told))
    return found


def untold_batches(world):
    """Batches of whose last end none was told: with how many members ended in which state."""
    found = []
    for ident, token, members in world.ledger.batch_callbacks:
        told = [said["counts"] for said in world.receiver.said(token)]
        ends = [p.end and p.end[0] for p in members]
        counts = {state: ends.count(state) for state in ("succeeded", "failed", "cancelled")}
        is_known = None not in ends and not any(p.is_unsure or p.is_deleted for p in members)
        is_whole = all(sum(c.values()) == len(members) for c in told)
        if not told or not is_whole or (is_known and counts not in told):
            found.append(f"batch {ident} of {len(members)} ended {counts}, its callback was told {told}")
    return found


def check_callbacks(world):
    until(world.daemon, CALM_S, lambda: not untold(world) and not untold_batches(world))
    for text in untold_batches(world):
        world.ledger.breach("callbacks", text)
    client = Client(world.daemon)
    for p, told in untold(world):
        answer = client.sure("GET", f"/v1/futures/{p.id}")
        shown = answer.json().get("callback") if answer.status == 200 else answer.status
        world.ledger.breach("callbacks", f"{p.id} ({p.handler} {p.mode}) ended {p.states}, its callback was told {told}; "
                            f"deleted: {p.is_deleted}; {json.dumps(shown)}")
    world.ledger.counts["callbacks"] = sum(map(len, world.receiver.told.values()))


def check_batches(world):
    client, retention = Client(world.daemon), world.ledger.retention_s
    for ident, members, began in world.ledger.batches:
        answer = client.sure("GET", f"/v1/batches/{ident}")
        if answer.status != 200:
            if time.monotonic() - began < retention:
                world.ledger.breach("kept", f"batch {ident}: {answer.status} within its retention")
            continue
        batch = answer.json()
        results = client.sure("GET", f"/v1/batches/{ident}/results")
        lines = results.body.decode().splitlines() if results.status == 200 else []
        if time.monotonic() - began < retention and (batch["finished"] != len(members) or len(lines) != len(members)):
            world.ledger.breach("batches", f"batch {ident} of {len(members)}: {batch}, {len(lines)} results")


def check_streams(world):
    until(world.daemon, 60, lambda: all(f.is_ended for f in world.followers))
    for f in world.followers:
        if not f.is_ended:
            world.ledger.breach("order", f"the stream of batch {f.batch} has not ended: {len(f.told)} of {len(f.members)} told")


def check_running(world):
    """The store's count of running tasks and that of the slots, both at nothing."""
    client = Client(world.daemon)

    def counts():
        stats = client.sure("GET", "/v1/stats").json()
        return {lane: (stats["tasks"][lane]["running"], stats["pools"][lane]["busy"]) for lane in ("io", "cpu")}

    if not until(world.daemon, 60, lambda: all(n == (0, 0) for n in counts().values())):
        world.ledger.breach("running", f"all has ended; (running in the store, busy slots) of each lane: {counts()}")


TOLD = {"side-by-side": "alone", "too-early": "graphs", "too-many": "limits", "too-old": "checkpoints"}


def is_excused(ledger, line):
    """A parent that ended without a word: cancelled with others, given up with its daemon, or its script was moved away."""
    token = line.partition(" began before ")[2].partition(" ")[0]
    with ledger.lock:
        found = [p for p in ledger.by_id.values() if token and p.token == token]
    return any(p.end and (p.end[0] == "cancelled" or p.end[0] == "failed" and (p.end[1] != "exit" or p.exit_code != 3))
               for p in found)


def check_runs(world):
    """What the programs wrote down of their runs."""
    ids = {}
    runs = world.daemon.folder / "runs"
    for path in runs.iterdir():
        if path.name in TOLD:
            for line in path.read_text().splitlines():
                if not is_excused(world.ledger, line):
                    world.ledger.breach(TOLD[path.name], line)
        elif not path.suffix:
            for line in path.read_text().splitlines():
                ids.setdefault(line.split()[0], set()).add(path.name)
    with world.ledger.lock:
        keyed = [p for p in world.ledger.by_id.values() if p.key]
    for p in keyed:
        if len(ids.get(p.token, ())) > (2 if p.rerun else 1):
            world.ledger.breach("keys", f"one key, and tasks ran under {sorted(ids[p.token])}")
    world.ledger.counts["runs"] = sum(len(found) for found in ids.values())


def check_expired(world):
    client = Client(world.daemon)

    def kept():
        return client.sure("GET", "/v1/futures?limit=10").json()["futures"]

    if not until(world.daemon, world.ledger.retention_s + 60, lambda: not kept()):
        left = [(f["id"], f["handler"], f["state"], f.get("finished_at")) for f in kept()]
        world.ledger.breach("expired", f"60 s after the last retention is over there are {left}")


def check_log(world, seconds):
    text = (world.daemon.folder / "log").read_text(errors="replace")
    lines = [line for line in text.splitlines() if " warn " in line or " error " in line]
    world.ledger.counts["warnings"] = len(lines)
    if len(lines) > 50 * seconds:
        world.ledger.breach("quiet", f"{len(lines)} warnings in {seconds:.0f} s, such as {lines[len(lines) // 2]}")


def check_end(world):
    text = world.daemon.stop()
    if text:
        world.ledger.breach("daemon", text)
    done = subprocess.run([world.daemon.folder / "bin/futured", "check"], env=world.daemon.env, capture_output=True, text=True,
                          check=False)
    if done.returncode != 0:
        world.ledger.breach("daemon", f"futured check: {done.returncode}: {(done.stdout + done.stderr)[-500:]}")


# ---- the run ----------------------------------------------------------------------------------------


def verdict(ledger):
    """Prints it."""
    print("counts: " + ", ".join(f"{name} {n}" for name, n in sorted(ledger.counts.items())))
    failed = 0
    for rule, text in RULES.items():
        found = ledger.breaches[rule]
        failed += bool(found)
        print(f"{'FAIL ' if found else 'ok   '} {rule}: {text}" + (f": {len(found)} times" if found else ""))
        for line in found[:8]:
            print("      " + line.replace("\n", "\n        "))
    print(f"{len(RULES) - failed} passed, {failed} failed", flush=True)


def run(options, folder):
    retention_s = 20 if options.minutes <= 5 else 60
    daemon = Daemon(options.build.resolve(), folder, retention_s)
    ledger = Ledger(daemon, retention_s)
    world = World(daemon, ledger, Receiver(options.seed), options.pace)
    began = time.monotonic()
    text = daemon.start()
    if text:
        raise SystemExit(f"chaos: {text}")
    readers = [Reader(world, f"reader {n}", options.seed) for n in range(6)]
    actors = [kind(world, f"{kind.__name__} {n}", options.seed) for kind in (Submitter, Batcher, Canceller) for n in (1, 2)]
    actors += [kind(world, f"{kind.__name__} 1", options.seed) for kind in composed.KINDS]
    composed.prepare(world, Client(daemon))
    storm = Storm(world, options.seed, options.without.split(","))
    for thread in (*readers, *actors, storm):
        thread.start()
    try:
        daemon.pause(options.minutes * 60)
        world.calm.set()
        for thread in (storm, *actors):
            thread.join(120)
        await_ends(world)
        check_streams(world)
        check_batches(world)
        composed.check_graphs(world)
        check_callbacks(world)
        check_running(world)
        check_runs(world)
        world.end.set()
        check_expired(world)
        check_log(world, time.monotonic() - began)
        check_end(world)
    finally:
        world.calm.set()
        world.end.set()
        daemon.is_over.set()
        daemon.kill()
    verdict(ledger)
    return {rule: found for rule, found in ledger.breaches.items() if found}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/debug"))
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--pace", type=float, default=1, help="how much more than the usual is submitted")
    parser.add_argument("--without", default="", help="acts of the storm to leave out, such as clock,descriptors")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--keep", type=pathlib.Path, help="where to leave the daemon's folder when something failed")
    options = parser.parse_args()
    print(f"chaos: {options.minutes:g} minutes, seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="futured-chaos-") as scratch:
        pathlib.Path(scratch).chmod(0o755)
        folder = pathlib.Path(scratch) / "daemon"
        folder.mkdir()
        failed = run(options, folder)
        if failed and options.keep:
            shutil.copytree(folder, options.keep, dirs_exist_ok=True)
            (options.keep / "verdict.json").write_text(json.dumps(failed, indent=1))
    return 1 if failed else 0


sys.exit(main())
