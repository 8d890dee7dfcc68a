"""What is done to the nodes, to the network between them and the server, and to the server. Each fault is undone before
the next of its thread; the windows say when it was, for the verdict on waiters."""

import random
import signal
import subprocess
import threading
import time

from nodes import uptime

LEASE_S = 10
STALL_S = 0.4  # an idle thread that wakes up later than this has met a stall of the machine
STANDING_S = 4  # so long a node that stands still may keep the others: 3 s, and the server's own time


class Windows:
    """Spans of time in which nobody is promised an answer in 3 s; any thread."""

    def __init__(self):
        self.lock, self.all, self.stalls = threading.Lock(), [], []

    def add(self, began, ended, name):
        """name: of the node that it concerns; None: all."""
        with self.lock:
            self.all.append((began, ended, name))

    def add_stall(self, began, ended):
        """The machine gave an idle thread no time."""
        with self.lock:
            self.stalls.append((began, ended))

    def clear_after(self, begin, names, with_stalls=True):
        """When everything that lies between has been over since: the end of a chain of windows from begin."""
        at = begin
        with self.lock:
            spans = [w[:2] for w in self.all if w[2] is None or w[2] in names]
            spans += self.stalls if with_stalls else []
        for began, ended in sorted(spans):
            if began <= at + 1 and ended > at:
                at = ended
        return at


class Stalls(threading.Thread):
    """When the machine itself stood still: how much later than asked an idle thread wakes up. It is a thread of the
    harness, so it also measures what the harness's other threads take from it."""

    def __init__(self, windows):
        super().__init__(name="stalls", daemon=True)
        self.windows, self.is_over, self.delays = windows, threading.Event(), []

    def run(self):
        while not self.is_over.is_set():
            began = uptime()
            time.sleep(0.05)
            late = uptime() - began - 0.05
            self.delays.append(max(late, 0))
            if late > STALL_S:
                self.windows.add_stall(began, uptime() + late)

    def summary(self):
        delays = sorted(self.delays) or [0]
        late = [d for d in delays if d > STALL_S]
        return (f"an idle thread woke up late by p50 {delays[len(delays) // 2]:.3f}, p99 "
                f"{delays[int(len(delays) * .99)]:.2f}, max {delays[-1]:.2f} s; {len(late)} times by more than "
                f"{STALL_S} s, {sum(late):.1f} s together")

    def is_starved(self):
        return any(d > STALL_S for d in self.delays)


class Killer(threading.Thread):
    """kill -9 of one node each second, and its start again."""

    def __init__(self, world, seed):
        super().__init__(name="killer", daemon=True)
        self.world, self.random = world, random.Random(f"{seed} killer")

    def run(self):
        while not self.world.calm.wait(1):
            ready = [n for n in self.world.nodes if n.is_ready and not n.is_protected and not n.is_stopped]
            if len(ready) < 2:  # one is left to take what comes
                self.world.ledger.count("kills left out: no node to spare")
                continue
            node = self.random.choice(ready)
            if node.lock.acquire(blocking=False):
                try:
                    if node.process.poll() is None:
                        node.kill()
                        self.world.ledger.count("kill -9")
                finally:
                    node.lock.release()
                # Its supervisor starts it again: run.py.


class Storm(threading.Thread):
    """One fault after the other, at random."""

    def __init__(self, world, seed, acts):
        super().__init__(name="storm", daemon=True)
        self.world, self.random = world, random.Random(f"{seed} storm")
        self.acts = [getattr(self, name) for name in acts]

    def run(self):
        queue = []
        while not self.world.calm.wait(self.random.uniform(0.5, 2)):
            queue = queue or self.random.sample(self.acts, len(self.acts))
            act = queue.pop()
            began = uptime()
            try:
                act()
            except Exception as error:  # a storm that dies down would make the verdict look better
                self.world.ledger.breach("harness", f"{act.__name__}: {error!r}")
            self.world.ledger.count(act.__name__)
            if self.world.is_verbose:
                print(f"  {act.__name__} {began:.1f} to {uptime():.1f}", flush=True)
        self.world.server_is_back.wait(60)

    # ---- nodes --------------------------------------------------------------------------------

    def pick(self):
        node = self.random.choice(self.world.nodes)
        node.is_protected = True
        return node

    def stand_still(self):
        """SIGSTOP for half a lease to three."""
        node, seconds = self.pick(), self.random.uniform(LEASE_S / 2, min(3 * LEASE_S, self.world.longest))
        began = uptime()
        if node.stand_still():
            life = node.lives[-1][0]
            self.world.windows.add(began, began + min(seconds, STANDING_S), None)
            self.world.stopped.append((life, began, began + seconds))
            self.world.pause(seconds)
            node.go_on()
            self.world.windows.add(began, uptime() + 2, node.name)
        node.is_protected = False

    def clocks(self):
        for node in self.world.nodes:
            node.step_clock(self.random.uniform(-30, 30))

    # ---- the network --------------------------------------------------------------------------

    def hold_up(self, ways, only_listener=False):
        node, seconds = self.pick(), self.random.uniform(1, min(2 * LEASE_S, self.world.longest))
        began = uptime()
        life = node.lives[-1][0] if node.lives else ""
        for proxy in node.proxies:
            proxy.pause(ways, only_listener)
        if not only_listener:
            self.world.windows.add(began, began + min(seconds, STANDING_S), None)
            self.world.stopped.append((life, began, began + seconds))
        self.world.pause(seconds)
        for proxy in node.proxies:
            proxy.go_on()
        if not only_listener:
            self.world.windows.add(began, uptime() + 2, node.name)
        node.is_protected = False

    def hold_up_both_ways(self):
        self.hold_up(("in", "out"))

    def hold_up_what_it_sends(self):
        self.hold_up(("in",))

    def hold_up_what_it_hears(self):
        self.hold_up(("out",))

    def hold_up_its_listener(self):
        self.hold_up(("in", "out"), only_listener=True)

    def cut(self):
        node = self.random.choice(self.world.nodes)
        for proxy in node.proxies:
            proxy.cut()

    # ---- the server ---------------------------------------------------------------------------

    def server_away(self, how):
        began = uptime()
        self.world.server_is_back.clear()
        self.world.primary.stop(how)
        self.world.pause(self.random.choice((0, 0, 1, 3)))
        self.world.primary.start()
        if self.world.standby:
            self.world.primary.wait_until_followed()
        self.world.server_returned(began)

    def server_immediate(self):
        self.server_away(signal.SIGQUIT)

    def server_fast(self):
        self.server_away(signal.SIGINT)

    def terminate_backends(self):
        for _ in range(self.random.randrange(1, 6)):
            self.world.primary.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                                   " WHERE application_name = 'futured' ORDER BY random() LIMIT 2")
            self.world.pause(0.3)

    def failover(self):
        """The primary dies, its standby is promoted; then there is a new standby."""
        began = uptime()
        self.world.server_is_back.clear()
        self.world.fail_over()
        self.world.server_returned(began)
        self.world.make_standby()

    def disk_full(self):
        """The server's disk has nothing left. What it does then is its own affair; it is started again if it ends."""
        began = uptime()
        self.world.server_is_back.clear()
        ballast = self.world.primary.folder / "ballast"
        with open(ballast, "wb") as file:
            subprocess.run(["dd", "if=/dev/zero", f"of={ballast}", "bs=64K"], stderr=subprocess.DEVNULL, check=False)
            file.flush()
        self.world.pause(self.random.uniform(1, 4))
        ballast.unlink()
        if self.world.primary.process.poll() is not None:
            self.world.ledger.count("disk_full ended the server")
            self.world.primary.start()
        self.world.server_returned(began)

    def old_snapshot(self):
        """xmin held: what is deleted meanwhile stays in the tables."""
        p = self.world.primary.psql(stdin=subprocess.PIPE)
        p.stdin.write("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM live;\n")
        p.stdin.flush()
        self.world.pause(self.random.uniform(5, 2 * self.world.longest))
        p.stdin.close()
        p.wait(30)
        p.stdout.close()
        p.stderr.close()
