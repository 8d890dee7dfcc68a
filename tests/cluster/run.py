#!/usr/bin/env python3
"""Three nodes on a private PostgreSQL under load, and all that may happen to them, for MINUTES; then a calm, and a
verdict.

    run.py --build build/debug --minutes 10 [--seed N] [--only ACT,…] [--without ACT,…] [--keep FOLDER]

The last line is "N passed, N failed": a rule of verdict.py each.
"""

import argparse
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from faults import LEASE_S, Killer, Stalls, Storm, Windows  # noqa: E402
from load import AWAY, Batcher, Client, Ledger, Submitter, Undecided, Waiter  # noqa: E402
from nodes import Node, programs_of, uptime  # noqa: E402
from proxy import Proxy  # noqa: E402
from server import Server  # noqa: E402
from verdict import Verdict, conclude  # noqa: E402

NODES = 3
OPENS_S = 60  # a stream
CALM_S = 240  # within which all must have ended once nothing is done to anybody any more
ACTS = ["stand_still", "clocks", "hold_up_both_ways", "hold_up_what_it_sends", "hold_up_what_it_hears",
        "hold_up_its_listener", "cut", "server_immediate", "server_fast", "terminate_backends", "failover", "disk_full",
        "old_snapshot"]
DISK = "768m"


class World:
    def __init__(self, args, folder):
        self.args, self.folder, self.is_verbose = args, folder, args.verbose
        self.ledger, self.windows = Ledger(), Windows()
        self.stalls = Stalls(self.windows)
        self.calm, self.end, self.server_is_back = threading.Event(), threading.Event(), threading.Event()
        self.server_is_back.set()
        self.pace, self.patience = args.rate / 4, 240
        self.longest = 3 * LEASE_S if args.minutes > 2 else LEASE_S * 1.3
        self.stopped, self.mounts, self.servers = [], [], 0
        self.nodes = []
        (folder / "locks").mkdir()
        shutil.copy(pathlib.Path(__file__).resolve().parent / "work.sh", folder)
        os.chmod(folder, 0o755)
        self.primary = self.new_server()
        self.standby = None
        self.primary.init()
        self.primary.start()
        if args.has_standby:
            self.make_standby()

    def pause(self, seconds):
        time.sleep(seconds)

    # ---- servers ------------------------------------------------------------------------------

    def new_server(self):
        self.servers += 1
        folder = self.folder / f"server-{self.servers}"
        server = Server(folder)
        if self.args.has_disk:
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=0777", "tmpfs", str(folder)], check=True)
            self.mounts.append(folder)
            server.log = open(self.folder / f"server-{self.servers}.log", "ab")
        return server

    def make_standby(self):
        """A new one that follows the primary, whose commits wait for it from then on."""
        old, self.standby = self.standby, self.new_server()
        self.standby.copy_of(self.primary)
        self.standby.start()
        self.primary.wait_for_standby(True)
        if old:
            self.remove(old)

    def remove(self, server):
        server.stop()
        server.log.close()
        if server.folder in self.mounts:
            subprocess.run(["umount", "-l", str(server.folder)], check=False)
            self.mounts.remove(server.folder)
        shutil.rmtree(server.folder, ignore_errors=True)

    def fail_over(self):
        old = self.primary
        old.stop(signal.SIGQUIT)
        self.standby.promote()
        self.standby.sql("ALTER SYSTEM SET synchronous_standby_names = ''")
        self.standby.sql("SELECT pg_reload_conf()")
        self.primary, self.standby = self.standby, old

    def server_returned(self, began):
        """Nodes that waited for it longer than their lease lets them begin anew."""
        self.primary.sql("SELECT 1")
        self.windows.add(began, uptime() + 2, None)
        self.server_is_back.set()

    def socket_of(self, which):
        """For proxies: the first of each node leads to the primary, the second to the standby."""
        server = self.primary if which == 0 else self.standby
        return server.socket_path() if server else "/nowhere"

    # ---- nodes --------------------------------------------------------------------------------

    def start_nodes(self):
        for i in range(NODES):
            proxies = [Proxy(lambda which=which: self.socket_of(which)) for which in range(1 + self.args.has_standby)]
            self.nodes.append(Node(f"node-{i}", self.args.build, self.folder, proxies))
        threads = [threading.Thread(target=node.start) for node in self.nodes]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        for node in self.nodes:
            if not node.is_ready:
                raise SystemExit(f"{node.name} did not start: {node.log_tail()}")

    def supervise(self, node):
        """Its own thread: starts it again whenever it has ended."""
        while not self.end.is_set():
            was = node.is_ready
            node.watch()
            if node.is_ready and not was:
                self.windows.add(uptime() - 1, uptime() + 0.5, node.name)
            time.sleep(0.05)

    def look_for_programs(self):
        """No program of a life that is over for 2 s."""
        def is_over(life):
            return any(name == life and ended is not None and uptime() - ended > 2
                       for node in self.nodes for name, _, ended in node.lives)

        told = set()
        while not self.end.wait(1):
            for pid, life in programs_of(is_over):
                if pid not in told:
                    told.add(pid)
                    self.ledger.breach("dead nodes", f"process {pid} of {life}, which is no more, still runs")

    # ---- parts of the run ---------------------------------------------------------------------

    def refuse_wrong_clocks(self):
        """Two hours ahead or behind: it does not start."""
        for hours in (2, -2):
            node = Node(f"clock{hours}", self.args.build, self.folder, self.nodes[0].proxies)
            node.step_clock(hours * 3600)
            node.start(20)
            status = node.process.poll()
            if status is None:
                node.kill()
            if status != 78 or "clocks" not in node.log_tail():
                self.ledger.breach("clocks", f"{hours} h: exit status {status}: {node.log_tail()}")

    def storm(self, seconds):
        """All at once."""
        threads = [Submitter(self, f"submitter-{i}", self.args.seed) for i in range(4)]
        threads += [Batcher(self, f"batcher-{i}", self.args.seed) for i in range(2)]
        waiters = [Waiter(self, f"waiter-{i}", self.args.seed) for i in range(8)]
        helpers = [threading.Thread(target=self.supervise, args=(node,), daemon=True) for node in self.nodes]
        helpers.append(threading.Thread(target=self.look_for_programs, daemon=True))
        acts = [Killer(self, self.args.seed)] if self.args.has_kills else []
        acts += [Storm(self, self.args.seed, self.args.acts)] if self.args.acts else []
        self.stalls.start()
        for t in threads + waiters + helpers + acts:
            t.start()
        time.sleep(seconds)
        self.calm.set()
        for t in threads + acts:
            t.join(self.patience + 60)
            if t.is_alive():
                self.ledger.breach("harness", f"{t.name} has not ended")
        for node in self.nodes:
            for proxy in node.proxies:
                proxy.go_on()
            node.is_protected = False

    def await_ends(self):
        end = time.monotonic() + CALM_S
        while time.monotonic() < end and len(self.ledger.seen) < len(self.ledger.acked):
            time.sleep(0.1)

    def await_nodes(self):
        """The last fault may have left one that still starts."""
        end = time.monotonic() + 60
        while time.monotonic() < end and not all(node.answers() for node in self.nodes):
            time.sleep(0.1)

    def hear_events(self, n=30):
        """Each node's /v1/events tells of the ends of all, wherever they were submitted."""
        opened, heard = threading.Barrier(NODES + 1), {}

        def follow(node, told):
            client = Client(node)
            try:
                response = client.open("GET", "/v1/events?types=ended&handler=work", None, {"Accept": "application/x-ndjson"})
                response.readline()
                opened.wait(OPENS_S)
            except (*AWAY, threading.BrokenBarrierError):
                opened.abort()
                return
            try:
                while len(told) < n:
                    line = response.readline()
                    if b'"ended"' in line:
                        told.append(line)
            except AWAY:
                pass
            client.close()

        threads = []
        for node in self.nodes:
            heard[node.name] = []
            threads.append(threading.Thread(target=follow, args=(node, heard[node.name]), daemon=True))
        for t in threads:
            t.start()
        try:
            opened.wait(OPENS_S)
        except threading.BrokenBarrierError:
            self.ledger.breach("events", f"not all nodes had opened their streams within {OPENS_S} s")
            return
        for i in range(n):
            client = Client(self.nodes[i % NODES])
            self.ledger.ack(client.submit("work", {"ms": 0}), "plain")
            client.close()
        for t in threads:
            t.join(60)
        for name, told in heard.items():
            if len(told) < n:
                self.ledger.breach("events", f"{name} told of {len(told)} of {n} ends")

    def close(self):
        self.calm.set()
        self.end.set()
        for node in self.nodes:
            node.is_over.set()
            node.go_on()
            if node.process and node.process.poll() is None:
                node.stop()
            for proxy in node.proxies:
                proxy.close()
        for server in (self.primary, self.standby):
            if server:
                server.stop()
        for folder in list(self.mounts):
            subprocess.run(["umount", "-l", str(folder)], check=False)


def can_mount(folder):
    """Root may; who may not leaves out the full disk."""
    there = folder / "mount"
    there.mkdir()
    found = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(there)], capture_output=True, check=False)
    if found.returncode == 0:
        subprocess.run(["umount", str(there)], check=True)
    there.rmdir()
    return found.returncode == 0


def read_args():
    p = argparse.ArgumentParser()
    p.add_argument("--build", type=pathlib.Path, required=True)
    p.add_argument("--minutes", type=float, default=10)
    p.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30))
    p.add_argument("--rate", type=float, default=10, help="submissions a second")
    p.add_argument("--only", help="these faults alone; kill counts as one")
    p.add_argument("--without", default="")
    p.add_argument("--keep", type=pathlib.Path, help="keep logs, journal and database here")
    p.add_argument("--verbose", action="store_true")
    args = p.parse_args()
    args.build = args.build.resolve()
    without, only = args.without.split(","), args.only.split(",") if args.only else ["kill", *ACTS]
    args.acts = [a for a in ACTS if a in only and a not in without]
    args.has_kills = "kill" in only and "kill" not in without
    args.has_standby = "failover" in args.acts
    return args


def main():
    args = read_args()
    folder = args.keep or pathlib.Path(tempfile.mkdtemp(prefix="futured-cluster-"))
    folder.mkdir(exist_ok=True)
    args.has_disk = "disk_full" in args.acts and can_mount(folder)
    if "disk_full" in args.acts and not args.has_disk:
        print("left out: disk_full needs root, for a small file system of its own (mount -t tmpfs)")
        args.acts.remove("disk_full")
    print(f"seed {args.seed}, {args.minutes} min, faults: {', '.join(['kill'] * args.has_kills + args.acts)}", flush=True)
    world = World(args, folder)
    try:
        world.start_nodes()
        world.storm(args.minutes * 60)
        world.await_ends()
        world.await_nodes()
        world.hear_events()
        world.await_ends()
        world.refuse_wrong_clocks()
        for node in world.nodes:
            world.ledger.count("nodes that began again in place", node.rejoins())
        verdict = Verdict(world)
        verdict.check()
        verdict.report()
    finally:
        world.close()
        if not args.keep:
            shutil.rmtree(folder, ignore_errors=True)
    return 1 if conclude(world.ledger, world.stalls) else 0


if __name__ == "__main__":
    sys.exit(main())
