"""The servers that are measured, each on a fresh directory and a port of its own on loopback, ended
by the with statement; and the load tool that presses them. A server that does not start raises."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request

BUILD = pathlib.Path("build/release")
SCRATCH = None  # set by scratch()


@contextlib.contextmanager
def scratch():
    """The directory of this run's databases and logs: on a disk, or fsync means nothing."""
    global SCRATCH
    SCRATCH = pathlib.Path(tempfile.mkdtemp(prefix="futured-bench-"))
    try:
        yield SCRATCH
    finally:
        shutil.rmtree(SCRATCH, ignore_errors=True)


def tool(name):
    return str(BUILD / "tests/tools" / name)


def wait_for(question, seconds, what):
    """Asks every few milliseconds; for what offers nothing to wait on."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        answer = question()
        if answer:
            return answer
        time.sleep(0.005)
    raise RuntimeError(f"{what}: not within {seconds} s")


class Server:
    """A running server. protocol: as the load tool calls it; promise: what an answer of it is
    worth."""

    def __init__(self, name, process, folder, protocol, promise):
        self.name, self.process, self.folder = name, process, folder
        self.protocol, self.promise, self.address = protocol, promise, None

    @property
    def pid(self):
        return self.process.pid

    def rss_kib(self):
        return _status_kib(self.pid, "VmRSS")

    def tree_pss_kib(self):
        """What the server and all its children hold, shared pages counted once."""
        return sum(_pss_kib(pid) for pid in _tree(self.pid))

    def processes(self):
        """The process ids of the server and all its children."""
        return _tree(self.pid)

    def usage(self):
        """What the server and its children have taken so far: CPU seconds, context switches (each a
        thread that waited), bytes written, system calls that read or write."""
        total = dict.fromkeys(("cpu_s", "switches", "written", "calls"), 0)
        for pid in _tree(self.pid):
            with contextlib.suppress(OSError):
                for key, value in _usage(pid).items():
                    total[key] += value
        return total

    def disk_bytes(self):
        return sum(f.stat().st_blocks * 512 for f in self.folder.rglob("*") if f.is_file())

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _status_kib(pid, key):
    for line in open(f"/proc/{pid}/status", encoding="ascii", errors="replace"):
        if line.startswith(key + ":"):
            return int(line.split()[1])
    return 0


def _tree(pid):
    children = {}
    for status in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = status.read_text(errors="replace").rpartition(")")[2].split()
            children.setdefault(int(fields[1]), []).append(int(status.parent.name))
    found = [pid]
    for each in found:
        found += children.get(each, [])
    return found


def _usage(pid):
    ticks = pathlib.Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    io = dict(line.split(": ") for line in pathlib.Path(f"/proc/{pid}/io").read_text().splitlines())
    switches = 0
    for status in pathlib.Path(f"/proc/{pid}/task").glob("*/status"):
        for line in status.read_text(errors="replace").splitlines():
            if line.startswith("voluntary_ctxt_switches"):
                switches += int(line.split()[1])
    return {"cpu_s": (int(ticks[11]) + int(ticks[12])) / os.sysconf("SC_CLK_TCK"),
            "switches": switches, "written": int(io["write_bytes"]),
            "calls": int(io["syscr"]) + int(io["syscw"])}


def _pss_kib(pid):
    with contextlib.suppress(OSError):
        for line in open(f"/proc/{pid}/smaps_rollup", encoding="ascii"):
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0


def _die_with_parent():
    """A bench that is killed leaves no server behind."""
    import ctypes

    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


@contextlib.contextmanager
def _started(name, command, protocol, promise, env=None, folder=None):
    keeps = folder is not None
    folder = folder or pathlib.Path(tempfile.mkdtemp(prefix=name + "-", dir=SCRATCH))
    with open(folder / "server.log", "wb") as log:
        process = subprocess.Popen(
            [str(word).replace("DIR", str(folder)) for word in command], stdout=log, stderr=log,
            stdin=subprocess.DEVNULL, env={**os.environ, **(env or {})},
            preexec_fn=_die_with_parent)
    server = Server(name, process, folder, protocol, promise)
    try:
        yield server
    finally:
        server.stop()
        if not keeps:
            shutil.rmtree(folder, ignore_errors=True)


def _says_address(server):
    """Servers of this project print address=host:port."""

    def look():
        text = (server.folder / "server.log").read_text(errors="replace")
        if server.process.poll() is not None:
            raise RuntimeError(f"{server.name} did not start: {text[-2000:]}")
        at = text.find("address=")
        return text[at + 8:].split()[0] if at >= 0 and "\n" in text[at:] else None

    server.address = wait_for(look, 60, server.name)


def _answers(server, port):
    """Foreign servers were told a port: wait until they accept."""

    def look():
        if server.process.poll() is not None:
            text = (server.folder / "server.log").read_text(errors="replace")
            raise RuntimeError(f"{server.name} did not start: {text[-2000:]}")
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", port)) == 0

    wait_for(look, 30, server.name)
    server.address = f"127.0.0.1:{port}"


def _free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


# ---- the daemon, and the bare library ------------------------------------------------------------

# Handlers of the measurements: `hold` keeps the cpu lane busy for good, so that nothing else runs.
HANDLERS = {
    "hold": {"exec": ["sleep", "3600"], "lane": "cpu", "timeout": 7200},
    "pause": {"exec": ["sleep", "2"], "lane": "cpu"},
    "true": {"exec": ["true"], "lane": "cpu"},
}


@contextlib.contextmanager
def futured(handlers=None, folder=None, command=None, **env):
    """env: knobs. A folder that is given is kept, with its database. command: how it is started, if
    not plainly."""
    home = folder or pathlib.Path(tempfile.mkdtemp(prefix="futured-", dir=SCRATCH))
    (home / "handlers.json").write_text(json.dumps({**HANDLERS, **(handlers or {})}))
    knobs = {"FUTURED_LISTEN": "127.0.0.1:0", "FUTURED_DB": str(home / "futured.db"),
             "FUTURED_HANDLERS": str(home / "handlers.json"), "FUTURED_DRAIN": "0ms",
             "FUTURED_KILL_GRACE": "100ms", "FUTURED_HTTP_NETWORKS": "127.0.0.0/8"}
    knobs.update({key: str(value) for key, value in env.items()})
    try:
        with _started("futured", command or [BUILD / "futured"], "http", "on disk before the 202",
                      env=knobs, folder=home) as server:
            _says_address(server)
            yield server
    finally:
        if folder is None:
            shutil.rmtree(home, ignore_errors=True)


@contextlib.contextmanager
def bare(threads=1):
    with _started("bare", [tool("bench_bare"), "--threads", threads], "http",
                  "nothing kept") as server:
        _says_address(server)
        yield server


@contextlib.contextmanager
def fetch_server():
    """What io tasks fetch from: answers late."""
    with _started("fetch_server", [tool("fetch_server")], "http", "") as server:
        _says_address(server)
        yield server


# ---- peers ---------------------------------------------------------------------------------------


@contextlib.contextmanager
def beanstalkd(fsync_ms=0):
    port = _free_port()
    promise = "fsync before each answer" if fsync_ms == 0 else f"{fsync_ms} ms at risk"
    command = ["beanstalkd", "-l", "127.0.0.1", "-p", port, "-b", "DIR", "-f", fsync_ms,
               "-z", 64 << 20]
    with _started(f"beanstalkd -f{fsync_ms}", command, "beanstalk", promise) as server:
        _answers(server, port)
        yield server


@contextlib.contextmanager
def gearmand(threads=1):
    port = _free_port()
    binary = shutil.which("gearmand") or "/usr/sbin/gearmand"
    command = [binary, "-L", "127.0.0.1", "-p", port, "-t", threads, "-q", "builtin",
               "-l", "none", "-b", "1024", "--hashtable-buckets", "100003"]
    with _started(f"gearmand -t{threads}", command, "gearman", "memory only") as server:
        _answers(server, port)
        yield server


@contextlib.contextmanager
def redis(appendfsync="always"):
    port = _free_port()
    command = ["redis-server", "--port", port, "--bind", "127.0.0.1", "--dir", "DIR",
               "--appendonly", "yes", "--appendfsync", appendfsync, "--save", "",
               "--maxclients", "20000", "--daemonize", "no"]
    promise = "fsync before each answer" if appendfsync == "always" else "1 s at risk"
    with _started(f"redis {appendfsync}", command, "redis", promise) as server:
        _answers(server, port)
        yield server


# ---- load ----------------------------------------------------------------------------------------


class LoadError(RuntimeError):
    pass


def _load_command(server, mode, options):
    words = [tool("load"), "--address", server.address, "--protocol", server.protocol,
             "--mode", mode]
    for key, value in options.items():
        if value is not None:
            words += ["--" + key.replace("_", "-"), str(value)]
    return words


def load(server, mode, **options):
    """Runs the load tool until it is done; its report. A request without an answer, or one that was
    refused, spoils the sample."""
    options.setdefault("handler", "echo")
    done = subprocess.run(_load_command(server, mode, options), capture_output=True, text=True,
                          check=False)
    if done.returncode != 0:
        raise LoadError(f"load {mode} at {server.name}: status {done.returncode}: "
                        f"{(done.stderr or done.stdout)[-500:]}")
    report = json.loads(done.stdout)
    refused = {s: n for s, n in report["status"].items() if not s.startswith("2")}
    if refused:
        raise LoadError(f"load {mode} at {server.name}: refused: {refused}")
    return report


def call(server, path, body=None):
    """One request: a POST of body as JSON, if there is one. The bytes of the answer."""
    request = urllib.request.Request(f"http://{server.address}{path}",
                                     data=None if body is None else json.dumps(body).encode(),
                                     headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=600) as answer:
        return answer.read()


def run_batches(server, handler, inputs, each, **fields):
    """All handed in, by requests of so many each, then all results read: the lines, which must be all
    there."""
    made = [json.loads(call(server, "/v1/batches",
                            {"handler": handler, "inputs": inputs[at:at + each], **fields}))["id"]
            for at in range(0, len(inputs), each)]
    lines = [line for batch in made
             for line in call(server, f"/v1/batches/{batch}/results?wait=300").splitlines()]
    if len(lines) != len(inputs) or not all(b'"state":"succeeded"' in line for line in lines):
        raise LoadError(f"batch of {len(inputs)} {handler}: {len(lines)} results, "
                        f"{next((x for x in lines if b'succeeded' not in x), b'')[:300]}")
    return lines


@contextlib.contextmanager
def background(server, mode, **options):
    """The load tool beside something else, until the with statement ends."""
    options.setdefault("handler", "echo")
    options.setdefault("seconds", 86400)
    process = subprocess.Popen(_load_command(server, mode, options), stdout=subprocess.DEVNULL,
                               preexec_fn=_die_with_parent)
    try:
        yield process
        if process.poll() is not None:
            raise LoadError(f"load {mode} at {server.name} ended early")
    finally:
        process.terminate()
        process.wait()


def workers(server, connections):
    """The other side of a peer's queue, for post-wait: one process, so many connections, each with
    one task at a time."""
    return background(server, "work", connections=connections)


def run_json(command):
    done = subprocess.run([str(w) for w in command], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]}: status {done.returncode}: {done.stderr[-500:]}")
    return json.loads(done.stdout)
