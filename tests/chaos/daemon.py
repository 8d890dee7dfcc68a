"""A daemon that is ended, started again, starved and shown wrong clocks. It runs as a user of its own when that can be
had (root is exempt from the limit of processes); its wall clock is the test's (tests/preload/clock)."""

import contextlib
import json
import os
import pathlib
import resource
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
SDK = HERE.parents[1] / "workers/sdk"
NOBODY = 65534


class Daemon:
    """`lock` is taken by whoever ends or starts it; the rest may be called by any thread."""

    def __init__(self, build, folder, retention_s):
        self.folder, self.process, self.is_over = folder, None, threading.Event()
        self.lock = threading.RLock()
        self.kills = self.stops = 0
        self.ended_by_itself = []
        self.user = NOBODY if os.geteuid() == 0 else None
        for name in ("runs", "bin"):
            (folder / name).mkdir()
        for source in (build / "futured", build / "tests/preload/clock.so", HERE / "work.sh", HERE / "warm.py",
                       SDK / "futured_worker.py"):
            shutil.copy(source, folder / "bin")
        (folder / "bin/work.sh").chmod(0o755)
        (folder / "clock").write_bytes(struct.pack("=q", 0))
        self.write_handlers()
        if self.user is not None:
            for path in [folder, *folder.rglob("*")]:
                os.chown(path, self.user, self.user)
            os.chmod(folder, 0o755)
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{s.getsockname()[1]}"
        self.env = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8", "MAX_WORKERS": "6",
                    "MAX_THREADS": "8", "FUTURED_LISTEN": self.address, "FUTURED_DB": str(folder / "futured.db"),
                    "FUTURED_HANDLERS": str(folder / "handlers.json"), "FUTURED_RETENTION": f"{retention_s}s",
                    "FUTURED_DRAIN": "2s", "FUTURED_KILL_GRACE": "500ms", "FUTURED_HTTP_NETWORKS": "127.0.0.0/8",
                    "FUTURED_RESERVE": "1M", "LD_PRELOAD": str(folder / "bin/clock.so"),
                    "FUT_CLOCK_OFFSET": str(folder / "clock")}

    def write_handlers(self, note=""):
        env = {"CHAOS_RUNS": str(self.folder / "runs"), "CHAOS_NOTE": note}
        work = {"exec": [str(self.folder / "bin/work.sh")], "lane": "cpu", "timeout": 60, "env": env,
                "backoff": {"first": 0.2, "max": 2}}
        warm = {"worker": ["python3", str(self.folder / "bin/warm.py")], "lane": "cpu", "timeout": 60, "max_tasks": 50,
                "backoff": {"first": 0.2, "max": 2}}
        new = self.folder / "handlers.new"
        new.write_text(json.dumps({"work": work, "hasty": {**work, "timeout": 0.7}, "warm": warm,
                                   "steps": {**warm, "max_tasks": 5, "env": env}}))
        new.replace(self.folder / "handlers.json")

    # ---- start and end ------------------------------------------------------------------------

    def start(self):
        """None, or what went wrong."""
        with self.lock:
            with open(self.folder / "log", "ab") as log:
                self.process = subprocess.Popen([self.folder / "bin/futured"], stdout=log, stderr=log, env=self.env,
                                                stdin=subprocess.DEVNULL, cwd=self.folder, user=self.user,
                                                group=self.user, extra_groups=None if self.user is None else [])
            end = time.monotonic() + 60
            while time.monotonic() < end:
                if self.process.poll() is not None:
                    return f"it did not start: exit status {self.process.returncode}: {self.log_tail()}"
                with contextlib.suppress(OSError), socket.create_connection(self.split_address(), 1):
                    return None
                self.pause(0.05)
            return f"it does not listen 60 s after its start: {self.log_tail()}"

    def split_address(self):
        host, port = self.address.rsplit(":", 1)
        return host, int(port)

    def kill(self):
        with self.lock:
            if self.process.poll() is None:
                self.kills += 1
                self.process.kill()
            self.process.wait()

    def stop(self, seconds=20):
        """TERM; None, or what went wrong."""
        with self.lock:
            if self.process.poll() is None:
                self.stops += 1
                self.process.terminate()
            try:
                status = self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                return f"it had not ended {seconds} s after TERM: {self.log_tail()}"
            return f"exit status {status} after TERM: {self.log_tail()}" if status else None

    def watch(self):
        """What went wrong when it ended without having been told; it is started again."""
        with self.lock:
            status = self.process.poll()
            if status is None:
                return None
            text = f"it ended by itself with status {status}: {self.log_tail()}"
            self.kills += 1
            again = self.start()
            return text + (f"; {again}" if again else "")

    # ---- what is done to it -------------------------------------------------------------------

    def hang_up(self):
        self.write_handlers(str(time.monotonic()))
        with self.lock:
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGHUP)

    def step_clock(self, seconds):
        """Sets its wall clock so far from ours."""
        with open(self.folder / "clock", "r+b") as file:
            file.write(struct.pack("=q", int(seconds * 1000)))

    def move_programs(self, away):
        for name in ("work.sh", "warm.py"):
            path, there = self.folder / "bin" / name, self.folder / "bin" / (name + ".away")
            with contextlib.suppress(FileNotFoundError):
                (path if away else there).rename(there if away else path)

    def limit(self, what, soft):
        """Sets the soft limit of the daemon and of its fork server; None: back to the hard one."""
        with contextlib.suppress(OSError, ValueError):
            for pid in [self.process.pid, *self.children()]:
                hard = resource.prlimit(pid, what)[1]
                resource.prlimit(pid, what, (hard if soft is None else soft, hard))

    def children(self):
        path = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in path.read_text().split()] if path.exists() else []

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def threads_of_user(self):
        """Threads of the user that it runs as: what the limit of processes counts."""
        total = 0
        for path in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if path.stat().st_uid == self.user:
                    total += len(os.listdir(path / "task"))
        return total

    def pause(self, seconds):
        self.is_over.wait(seconds)

    def log_tail(self):
        return (self.folder / "log").read_text(errors="replace")[-600:]
