"""A private PostgreSQL server, or a standby of one: in a folder of its own, on a Unix socket alone, as an unprivileged
user when we are root (PostgreSQL refuses root)."""

import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import time

USER = "futured"
PORT = 5432  # of the socket's name; nothing listens on TCP


def programs():
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda p: int(p.parts[-3]))
    if not found:
        raise SystemExit("PostgreSQL is not installed: tests/deps.sh test")
    return found[-1].parent


def unprivileged():
    """The arguments of Popen that make a child that user's."""
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam("postgres")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


class Server:
    """`folder` is made; what is acknowledged has reached the standby when there is one (sync)."""

    def __init__(self, folder):
        self.folder, self.data, self.bin, self.process = folder, folder / "data", programs(), None
        folder.mkdir()
        self.own(folder)
        self.log = open(folder / "log", "ab")

    def own(self, path):
        who = unprivileged()
        if who:
            os.chown(path, who["user"], who["group"])

    def run(self, program, *args, **more):
        return subprocess.run([str(self.bin / program), *map(str, args)], check=True, stdin=subprocess.DEVNULL,
                              stdout=self.log, stderr=self.log, cwd=self.folder, **unprivileged(), **more)

    def init(self):
        self.run("initdb", "-D", self.data, "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C", "-N",
                 "--no-instructions")

    def copy_of(self, other, slot_free=True):
        """A base backup of a running server, which will follow it."""
        shutil.rmtree(self.data, ignore_errors=True)
        self.run("pg_basebackup", "-D", self.data, "-h", other.folder, "-U", USER, "-R", "-X", "stream", "-c", "fast",
                 "--no-sync")

    def start(self, seconds=60):
        settings = ["listen_addresses=", "max_connections=80", "shared_buffers=64MB", "max_wal_size=1GB",
                    "wal_keep_size=256MB", "hot_standby=on", "max_wal_senders=8", f"unix_socket_directories={self.folder}",
                    "wal_retrieve_retry_interval=200ms"]  # 5 s by default, in which commits wait for the standby
        args = [str(self.bin / "postgres"), "-D", str(self.data)]
        for setting in settings:
            args += ["-c", setting]
        self.process = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                        cwd=self.folder, **unprivileged())
        self.await_state(seconds)

    def state(self):
        """ready, standby, starting, stopping: the last line of its pid file."""
        try:
            return (self.data / "postmaster.pid").read_text().splitlines()[7].strip()
        except (OSError, IndexError):
            return ""

    def await_state(self, seconds=60, states=("ready", "standby")):
        end = time.monotonic() + seconds
        while self.state() not in states:
            if self.process.poll() is not None:
                raise RuntimeError(f"PostgreSQL ended with {self.process.returncode}: {self.tail()}")
            if time.monotonic() > end:
                raise RuntimeError(f"PostgreSQL is {self.state()!r} after {seconds} s: {self.tail()}")
            time.sleep(0.02)

    def stop(self, how=signal.SIGQUIT, seconds=60):
        """SIGQUIT: -m immediate; SIGINT: -m fast."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def promote(self):
        self.run("pg_ctl", "promote", "-D", self.data, "-w", "-t", 60)
        self.await_state(states=("ready",))

    def wait_for_standby(self, on):
        """Commits wait for a standby from now on, or do not; returns when there is one that follows."""
        self.sql(f"ALTER SYSTEM SET synchronous_standby_names = '{'*' if on else ''}'")
        self.sql("SELECT pg_reload_conf()")
        if on:
            self.wait_until_followed()

    def wait_until_followed(self):
        """Until then no commit returns."""
        end = time.monotonic() + 60
        while self.sql("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'") != "1":
            if time.monotonic() > end:
                raise RuntimeError(f"no standby follows: {self.tail()}")
            time.sleep(0.05)

    def psql(self, *args, **more):
        return subprocess.Popen([str(self.bin / "psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h",
                                 str(self.folder), "-U", USER, "-d", "postgres", *args], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, **more)

    def sql(self, text):
        """What it printed; RuntimeError."""
        with self.psql("-c", text, stdin=subprocess.DEVNULL) as p:
            out, err = p.communicate(timeout=120)
        if p.returncode != 0:
            raise RuntimeError(f"psql: {err}")
        return out.rstrip("\n")

    def socket_path(self):
        return str(self.folder / f".s.PGSQL.{PORT}")

    def tail(self):
        return (self.folder / "log").read_text(errors="replace")[-800:]
