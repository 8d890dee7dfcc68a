"""The nodes: daemons on one database, each behind a proxy of its own, with a clock of its own."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time



def uptime():
    """The clock of the journal (/proc/uptime), in seconds."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Node:
    """`lock` is taken by whoever ends, starts or stops it; `lives` are its incarnations: (name, began, ended)."""

    def __init__(self, name, build, folder, proxies, slots=3):
        self.name, self.folder, self.proxies, self.process = name, folder / name, proxies, None
        self.shared, self.lock, self.is_over = folder, threading.RLock(), threading.Event()
        self.lives, self.is_protected, self.is_stopped, self.is_ready = [], False, False, False
        self.trouble = []  # what it must not have done
        self.kills = self.fences = 0
        self.is_killed = False
        self.folder.mkdir()
        shutil.copy(build / "tests/preload/clock.so", self.folder)
        self.binary = build / "futured"
        (self.folder / "clock").write_bytes(struct.pack("=q", 0))
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{s.getsockname()[1]}"
        hosts, ports = ",".join("127.0.0.1" for _ in proxies), ",".join(str(p.port) for p in proxies)
        self.env = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "LANG": "C.UTF-8", "MAX_WORKERS": str(slots),
                    "MAX_THREADS": "4", "FUTURED_LISTEN": self.address, "FUTURED_NODE": name,
                    "FUTURED_DB": f"postgresql://futured@/postgres?host={hosts}&port={ports}",
                    "FUTURED_HANDLERS": str(self.folder / "handlers.json"), "FUTURED_RETENTION": "1d",
                    "FUTURED_DRAIN": "200ms", "FUTURED_KILL_GRACE": "300ms", "FUTURED_LOG": "debug",
                    "LD_PRELOAD": str(self.folder / "clock.so"), "FUT_CLOCK_OFFSET": str(self.folder / "clock")}

    # ---- start and end ------------------------------------------------------------------------

    def launch(self):
        life, self.is_killed = f"{self.name}.{len(self.lives) + 1}", False
        env = {"CLUSTER_DIR": str(self.shared), "CLUSTER_NODE": life}
        (self.folder / "handlers.json").write_text(json.dumps(
            {"work": {"exec": [str(self.shared / "work.sh")], "lane": "cpu", "timeout": 60, "env": env}}))
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen([self.binary], stdout=log, stderr=log, env=self.env, cwd=self.folder,
                                            stdin=subprocess.DEVNULL)
        self.lives.append([life, uptime(), None])

    def start(self, seconds=40):
        """Returns when it takes requests, or has ended, or the time is over (the database may be away)."""
        with self.lock:
            if self.is_over.is_set():
                return
            self.launch()
            end = time.monotonic() + seconds
            while time.monotonic() < end and self.process.poll() is None:
                if self.answers():
                    self.is_ready = True
                    return
                time.sleep(0.03)

    def answers(self):
        host, port = self.address.rsplit(":", 1)
        try:
            with socket.create_connection((host, int(port)), 1) as s:
                s.settimeout(1)
                s.sendall(b"GET /readyz HTTP/1.0\r\nHost: " + self.address.encode() + b"\r\n\r\n")
                return s.recv(64).split(b" ")[1:2] == [b"200"]
        except OSError:
            return False

    def ended(self):
        self.is_ready = False
        if self.lives and self.lives[-1][2] is None:
            self.lives[-1][2] = uptime()

    def kill(self):
        with self.lock:
            self.process.kill()
            self.process.wait()
            self.kills += 1
            self.is_killed = True
            self.ended()

    def stop(self):
        with self.lock:
            if self.process and self.process.poll() is None:
                self.process.terminate()
                try:
                    status = self.process.wait(30)
                    if status:
                        self.trouble.append(f"{self.name}: exit status {status} after TERM: {self.log_tail()}")
                except subprocess.TimeoutExpired:
                    self.trouble.append(f"{self.name}: it had not ended 30 s after TERM: {self.log_tail()}")
                    self.process.kill()
                    self.process.wait()
            self.ended()

    def stand_still(self):
        with self.lock:
            if self.process.poll() is not None:
                return False
            self.process.send_signal(signal.SIGSTOP)
            self.is_stopped = True
            return True

    def go_on(self):
        with self.lock:
            self.is_stopped = False
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGCONT)

    def watch(self):
        """What supervises it: when it has ended by itself it is started again."""
        with self.lock:
            if not self.process or self.is_over.is_set():
                return
            status = self.process.poll()
            if status is None:
                self.is_ready = self.is_ready or (not self.is_stopped and self.answers())
                return
            self.ended()
            self.fences += status == 1
            if not self.is_killed and status not in (1, 75):  # fenced or without its fork server; its name is taken
                self.trouble.append(f"{self.name}: it ended with status {status}: {self.log_tail()}")
            time.sleep(0.1)
            self.start()

    # ---- what is done to it -------------------------------------------------------------------

    def step_clock(self, seconds):
        with open(self.folder / "clock", "r+b") as file:
            file.write(struct.pack("=q", int(seconds * 1000)))

    def pause(self, seconds):
        time.sleep(seconds)

    def rejoins(self):
        return (self.folder / "log").read_text(errors="replace").count(" begins_again ")

    def log_tail(self):
        return (self.folder / "log").read_text(errors="replace")[-700:]


def programs_of(life_is_over):
    """Processes of runs whose node's life is over: [(pid, life)]. life_is_over(life)."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            for variable in (path / "environ").read_bytes().split(b"\0"):
                if variable.startswith(b"CLUSTER_NODE="):
                    life = variable[13:].decode()
                    if life_is_over(life):
                        found.append((int(path.name), life))
    return found
