"""A daemon that is looked at from outside: what it and its processes take, second by second. Started
by tests/bench/servers.py; ended and started again on the same port and database when asked to."""

import contextlib
import json
import os
import pathlib
import random
import signal
import sys
import threading
import time

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "bench"))

import servers  # noqa: E402


class Daemon:
    """start, stop and restart from one thread that lives as long as the daemon; the rest from any."""

    def __init__(self, name, folder, handlers, **env):
        self.name, self.folder, self.handlers, self.env = name, folder, handlers, env
        self.server = self.address = None
        self.is_over = threading.Event()
        self.random = random.Random(name)
        self.restarts = 0
        folder.mkdir()

    def pause(self, seconds):
        self.is_over.wait(seconds)

    # ---- its life -----------------------------------------------------------------------------

    def start(self):
        env = {"FUTURED_LISTEN": self.address or "127.0.0.1:0", "FUTURED_KILL_GRACE": "500ms",
               **self.env}
        self.life = servers.futured(handlers=self.handlers, folder=self.folder, **env)
        self.server = self.life.__enter__()
        self.address = self.server.address

    def stop(self):
        """Its exit status; 0 when it does not run."""
        server, self.server = self.server, None
        if not server:
            return 0
        self.life.__exit__(None, None, None)
        return server.process.returncode

    def restart(self):
        status = self.stop()
        self.restarts += 1
        self.start()
        return status

    def reload(self):
        """SIGHUP with a handlers file in which one program has changed: its workers are replaced."""
        changed = {**self.handlers}
        changed["report"] = {**changed["report"], "env": {"ROUND": str(self.random.random())}}
        changed = {**servers.HANDLERS, **changed}
        new = self.folder / "handlers.new"
        new.write_text(json.dumps(changed))
        new.replace(self.folder / "handlers.json")
        self.server.process.send_signal(signal.SIGHUP)

    # ---- what it takes ------------------------------------------------------------------------

    def sample(self):
        """{series: value} of this moment; None while it is away."""
        server = self.server
        with contextlib.suppress(OSError, KeyError, ValueError, IndexError):
            if server and server.process.poll() is None:
                return self._sample(server.pid)
        return None

    def _sample(self, pid):
        status, tree = _status(pid), servers._tree(pid)
        fork = next((p for p in tree if _name(p) == "futured-fork"), None)
        found = {"rss": int(status["VmRSS"].split()[0]) / 1024, "threads": int(status["Threads"]),
                 "descriptors": len(os.listdir(f"/proc/{pid}/fd")), "processes": len(tree) - 1}
        if fork:
            found["fork_rss"] = int(_status(fork)["VmRSS"].split()[0]) / 1024
            found["fork_descriptors"] = len(os.listdir(f"/proc/{fork}/fd"))
        for series, end in (("database", ""), ("wal", "-wal")):
            path = self.folder / f"futured.db{end}"
            found[series] = path.stat().st_size / 2**20 if path.exists() else 0
        return found

    def log_tail(self):
        text = (self.folder / "server.log").read_text(errors="replace")
        return text[-2000:]


def _status(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines()
    return dict(line.split(":", 1) for line in lines)


def _name(pid):
    return pathlib.Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()


class Sampler(threading.Thread):
    """Looks at every daemon each second; rows: daemon name -> [(seconds, {series: value})]."""

    def __init__(self, daemons, every=1.0):
        super().__init__(daemon=True)
        self.daemons, self.every, self.is_over = daemons, every, threading.Event()
        self.rows = {daemon.name: [] for daemon in daemons}
        self.began = time.monotonic()

    def run(self):
        due = self.began
        while not self.is_over.wait(max(0, due - time.monotonic())):
            due += self.every
            for daemon in self.daemons:
                found = daemon.sample()
                if found:
                    self.rows[daemon.name].append((time.monotonic() - self.began, found))

    def stop(self):
        self.is_over.set()
        self.join()
