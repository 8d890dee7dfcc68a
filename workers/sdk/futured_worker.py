# SPDX-License-Identifier: Apache-2.0
"""futured_worker: write a worker handler of futured in Python (3.8 or later, standard library only).

    import futured_worker as worker

    @worker.initializer
    def load():                      # once, before the first task
        global model
        model = ...

    @worker.handler                  # or @worker.handler("another name")
    def count(task):
        task.progress(0.5, "half")
        return {"words": len(task.text.split())}

    worker.run()

A program with one handler serves it under every name that the handlers file gives it. A handler
returns bytes, str, Result(bytes, content_type), or anything that JSON knows. What it raises
fails the task: the type's name is the error's kind, the traceback its details; Temporary may be tried
again, Permanent never. print() goes to the task's log. What stands in the attribute `error_data` of an
exception (what a handler may return, up to 1 MiB) goes with it, as `error.data` of the future.

A task that takes long stores how far it is, and goes on from there when it is run again, whatever ended
the run before; with Suspend it ends a run itself and leaves its slot to others meanwhile:

    @worker.handler
    def crawl(task):
        at = task.checkpoint or 0            # what an earlier run saved last; None: nothing
        for page in range(at, 100000):
            fetch(page)
            task.save(page + 1)              # on disk when it returns; up to 1 MiB
            if task.should_yield:            # the daemon shuts down, or this worker is replaced
                raise worker.Suspend()       # goes on as soon as it can; Suspend(60): in a minute

It may suspend itself until others have ended, however long that takes: no slot and no process waits.

    @worker.handler
    def order(task):
        if not task.results:                 # the first run
            raise worker.Suspend(until=[task.submit("pay", task.json())])    # Suspend(3600, until=…): 1 h at most
        (paid,) = task.results.values()      # {id: {"state", "done", "result" or "error"}}
        return paid["result"]

A task submits others and waits for them; its slot runs others meanwhile, so a task may wait for tasks
of its own pool, also where there is one slot:

    @worker.handler
    def fib(task):
        n = task.json()
        if n < 2:
            return n
        return sum(task.map("fib", [n - 1, n - 2]))      # or a = task.submit("fib", n - 1); a.result()

A session (POST /v1/sessions) may have an `init`, which each process gets before its first task of it:

    @worker.session
    def prepare(init):                   # init.json(), init.text, init.input; init.id: of the session
        return connect(init.json())      # task.session of its tasks; an exception breaks the session

The worker drops what it returned when the session has ended.

run(concurrency=N): N tasks at once, a thread each (io lane only). run(fork=True): this process loads
everything once and forks the workers from itself, which share its memory. run(ahead=True): for tasks of a
few milliseconds: a busy worker is sent the next ones. print() goes to the right task's log; what a task writes
past Python (a program that it starts) may go to that of the one before.

workers/wire/PROTOCOL.md of futured has the protocol that this speaks.
"""
import array
import collections
import concurrent.futures
import fcntl
import functools
import gc
import http.client
import io
import json
import mmap
import os
import select
import socket
import sys
import threading
import time
import traceback
import urllib.parse

__all__ = ["handler", "initializer", "session", "run", "Init", "Task", "Result", "Temporary", "Permanent", "Cancelled",
           "Suspend", "NotSaved", "Future", "Refused", "Failed"]

VERSION = 1
LINE_MAX = 1024
READ_BYTES = 65536
PROGRESS_MAX = 500
POLL_S = 10                # of one request that waits; then the task looks whether it was cancelled
PAUSE_S = 0.2              # after an answer that came too early: the daemon shuts down
ERROR_MAX = 32768          # bytes of message and traceback
FAIL_MAX = 1 << 20         # bytes of these and an error's data
LOG_MAX = 65536            # bytes of one LOG
RESULT_MAX = 1 << 30       # bytes
TYPE_MAX = 127             # bytes of a content type
SUSPEND_MAX = 31536000     # seconds
SESSIONS_MAX = 64          # that a process is prepared for; the oldest gets its INIT again
AHEAD = 8                  # tasks that a busy worker is sent
TICKETS = 16               # places for their numbers
BYTES = "application/octet-stream"
LARGE = 262144             # results and checkpoints from here on go by descriptor
MEMFD = hasattr(os, "memfd_create") and hasattr(socket, "SCM_RIGHTS")


class Temporary(Exception):
    """Raise it when the same task may work later: it is tried again while it has retries left."""


class Permanent(Exception):
    """Raise it when trying again is useless: the task fails at once."""


class Cancelled(Exception):
    """Raised by Task.check() when the task was cancelled."""


class NotSaved(Exception):
    """Raised by Task.save(): the checkpoint was not stored; the one before still counts."""


class Refused(Exception):
    """The daemon did not do what the task asked for. code: such as "deadlock"; status: of HTTP."""

    def __init__(self, status, problem):
        super().__init__(problem.get("detail") or problem.get("title") or "HTTP status %d" % status)
        self.status, self.code, self.problem = status, problem.get("code", ""), problem


class Failed(Exception):
    """A future has no result: its task failed or was cancelled. error: as the future shows it."""

    def __init__(self, future, problem):
        super().__init__("%s: %s" % (future.id, problem.get("detail") or problem.get("title")))
        self.future, self.error = future, problem.get("error") or {}


class Suspend(BaseException):
    """Raise it to end this run: the task is run again in so many seconds, with its checkpoint, and
    this run is not charged. until: futures, or ids of tasks, promises and batches: it is run again
    when all have ended (or, with seconds, then at the latest), and task.results says how. No
    Exception, so that `except Exception` does not catch it."""

    def __init__(self, seconds=0, until=()):
        if not 0 <= seconds <= SUSPEND_MAX:
            raise ValueError("a task is suspended for 0 to %d seconds" % SUSPEND_MAX)
        until = [until] if isinstance(until, (str, Future)) else list(until)
        super().__init__(seconds)
        self.seconds = seconds
        self.until = [future if isinstance(future, str) else future.id for future in until]


class ProtocolError(Exception):
    """What came from the daemon is not the protocol: the worker ends."""


class Result:
    """Bytes with a content type of their own."""

    def __init__(self, data, content_type=BYTES):
        self.data = data
        self.content_type = content_type


# ---- what a program registers ------------------------------------------------------------------

_handlers = {}
_initializers = []
_preparations = []


def handler(arg):
    """Registers a function of one Task: @handler (its own name) or @handler("name")."""
    if callable(arg):
        _handlers[arg.__name__] = arg
        return arg

    def register(function):
        _handlers[arg] = function
        return function

    return register


def initializer(function):
    """Registers a function without arguments that run() calls before the greeting."""
    _initializers.append(function)
    return function


def session(function):
    """Registers a function of one Init, called before the first task of a session that has an `init`. What it
    returns is task.session of its tasks here; what it raises breaks the session: all its tasks fail."""
    _preparations[:] = [function]
    return function


# ---- the channel -------------------------------------------------------------------------------


class _Channel:
    """Messages over the socket. One thread reads; any thread writes."""

    def __init__(self, fd):
        self.sock = self.out = socket.socket(fileno=fd)
        self.line = b""     # the header that was read last, without its end
        self.buffer = b""   # what was read; its bytes from `at` on were not taken yet
        self.at = 0
        self.fds = []  # that came, for the headers that come
        self.lock = threading.Lock()
        self.page = self.tickets = None  # a file and its memory, for tasks that are sent ahead

    def fileno(self):
        return self.sock.fileno()

    def _receive(self):
        data, ancillary, _, _ = self.sock.recvmsg(READ_BYTES, socket.CMSG_SPACE(16),
                                                  getattr(socket, "MSG_CMSG_CLOEXEC", 0))
        for level, kind, body in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds = array.array("i")
                fds.frombytes(body[: len(body) - len(body) % fds.itemsize])
                self.fds.extend(fds)
        self.buffer = self.buffer[self.at:] + data if self.at < len(self.buffer) else data
        self.at = 0
        return bool(data)

    def has_rest(self):
        """Was something read and not taken?"""
        return self.at < len(self.buffer)

    def take_rest(self):
        """What was read and not taken, for another process to go on with."""
        rest, self.buffer, self.at = self.buffer[self.at:], b"", 0
        return rest

    def put_back(self, rest):
        """Bytes that come before all others."""
        self.buffer, self.at = rest + self.buffer[self.at:], 0

    def _payload(self, size):
        """Exactly size bytes; never a byte of the next message."""
        begin, have = self.at, len(self.buffer) - self.at
        if size <= have:
            self.at += size
            return self.buffer[begin:self.at]
        data = bytearray(size)
        data[:have] = self.take_rest()
        rest = memoryview(data)
        while have < size:
            n = self.sock.recv_into(rest[have:])
            if n == 0:
                raise ProtocolError("the stream ended inside a payload")
            have += n
        return bytes(data)

    def waiting(self, timeout):
        """Is there something to read within so many seconds (None: for ever)?"""
        if self.has_rest():
            return True
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        return bool(poll.poll(None if timeout is None else max(0, int(timeout * 1000))))

    def read(self):
        """(verb, id, keys, payload), or None at the end. By descriptor: the payload is a mmap."""
        while True:
            end = self.buffer.find(b"\n", self.at)
            if end >= 0:
                break
            if len(self.buffer) - self.at >= LINE_MAX:
                raise ProtocolError("a header line over %d bytes" % LINE_MAX)
            if not self._receive():
                if self.buffer:
                    raise ProtocolError("the stream ended inside a header line")
                return None
        self.line = line = self.buffer[self.at:end]
        self.at = end + 1
        verb, number, size, keys = _parse(line)
        if "fd" in keys and verb in ("RUN", "CHECKPOINT", "RESULTS", "INIT"):
            return verb, number, keys, self._map(size)
        return verb, number, keys, self._payload(size)

    def _map(self, size):
        if not self.fds:
            raise ProtocolError("a header says fd=1, and no descriptor came")
        fd = self.fds.pop(0)
        try:
            return mmap.mmap(fd, size, access=mmap.ACCESS_READ) if size else b""
        finally:
            os.close(fd)

    def write(self, header, payload=b""):
        line = header.encode("ascii") + b"\n"
        small = len(payload) <= READ_BYTES
        with self.lock:
            self.out.sendall(line + payload if small else line)
            if not small:
                self.out.sendall(payload)

    def write_hello(self, keys, ahead):
        """HELLO. ahead: it takes tasks while it runs another one."""
        if not (ahead and MEMFD):
            self.write("HELLO %d 0%s" % (VERSION, keys))
            return
        self.page = _file_of(bytes(8 * TICKETS), writable=True)
        self.tickets = mmap.mmap(self.page, 8 * TICKETS)
        self.write_file("HELLO %d 0%s ahead=%d" % (VERSION, keys, AHEAD), self.page)

    def takes(self, number):
        """Whether a task that was sent ahead is still ours: from now on nobody else gets it."""
        at = number % TICKETS * 8
        fcntl.lockf(self.page, fcntl.LOCK_EX)
        try:
            is_ours = self.tickets[at:at + 8] == number.to_bytes(8, sys.byteorder)
            if is_ours:
                self.tickets[at:at + 8] = bytes(8)
        finally:
            fcntl.lockf(self.page, fcntl.LOCK_UN)
        return is_ours

    def write_file(self, header, fd):
        """A message whose payload is in fd, sent with the header's first byte."""
        line = header.encode("ascii") + b"\n"
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))]
        with self.lock:
            sent = self.out.sendmsg([line], rights)
            self.out.sendall(line[sent:])


class _Keys:
    """The keys of a header line, as a dict has them; taken apart when one is read, as most tasks ask for few."""

    __slots__ = ("_text", "_type", "_found")

    def __init__(self, text, kind):
        self._text, self._type, self._found = text, kind, None

    def __contains__(self, key):
        return " %s=" % key in self._text or (key == "type" and self._type != "")

    def get(self, key, default=None):
        if key == "type":
            return self._type or default
        if self._found is None:
            self._found = dict(word.split("=", 1) for word in self._text.split(" ") if "=" in word)
        return self._found.get(key, default)


def _parse(line):
    head, _, kind = line.decode("ascii", "surrogateescape").partition(" type=")
    words = head.split(" ", 3)
    try:
        verb, number, size = words[0], int(words[1]), int(words[2])
    except (IndexError, ValueError):
        raise ProtocolError("not a header line: %r" % line[:80])
    if number < 0 or size < 0:
        raise ProtocolError("not a header line: %r" % line[:80])
    return verb, number, size, _Keys(" " + words[3] if len(words) > 3 else "", kind)


# ---- one task ----------------------------------------------------------------------------------

_lock = threading.Lock()


class _Flag:
    """A threading.Event, which takes longer to make than most tasks have any use for: made when somebody waits."""

    __slots__ = ("_is_set", "_event")

    def __init__(self):
        self._is_set, self._event = False, None

    def is_set(self):
        return self._is_set

    def set(self):
        with _lock:
            self._is_set = True
            if self._event is not None:
                self._event.set()

    def clear(self):
        with _lock:
            self._is_set, self._event = False, None

    def wait(self, seconds):
        """Until it is set, for so long (None: for ever). Is it?"""
        with _lock:
            if self._is_set or seconds == 0:
                return self._is_set
            self._event = event = self._event or threading.Event()
        return event.wait(seconds)


class _Input:
    """Bytes with a type."""

    @property
    def input(self):
        """The input as bytes."""
        if not isinstance(self._payload, bytes):
            return self._payload[:]
        return self._payload

    @property
    def view(self):
        """The input as a memoryview: a large one is not copied."""
        return memoryview(self._payload)

    @property
    def text(self):
        return str(self.view, "utf-8")

    def json(self):
        return json.loads(self.input)


class Init(_Input):
    """What a session gives to the processes that run its tasks."""

    def __init__(self, number, keys, payload):
        self._number, self._payload = number, payload
        self.id = keys.get("session", "")             #: of the session
        self.content_type = keys.get("type", BYTES)


class Task(_Input):
    """What a handler gets. Its methods may be called from any thread."""

    _saving = _refused = _restored = _results = None
    #: what @session has returned for the session of the task; None: it has none, or no init
    session = None

    #: What is made when it is asked for, as most tasks need little of it.
    _MADE = {
        "_cancel": lambda keys: _Flag(),
        "_yield": lambda keys: _Flag(),
        "_answered": lambda keys: _Flag(),
        "id": lambda keys: keys.get("task", ""),                #: the future's id
        "handler": lambda keys: keys.get("handler", ""),        #: the name that the task was sent to
        "attempt": lambda keys: int(keys.get("attempt", "1")),  #: 1 at the first try
        "timeout": lambda keys: int(keys.get("timeout_ms", "0")) / 1000,  #: seconds; 0: none
        "trace": lambda keys: keys.get("trace", ""),            #: traceparent
        "url": lambda keys: keys.get("url", ""),                #: of the daemon; "": it gives none out
        "token": lambda keys: keys.get("token", ""),            #: of this attempt, there
    }

    def __init__(self, worker, number, keys, payload):
        self._worker, self._number, self._payload, self._keys = worker, number, payload, keys
        self.content_type = keys.get("type", BYTES)
        if worker.restored:
            self._restored = worker.restored.pop(number, None)
        if worker.results:
            self._results = worker.results.pop(number, None)
        if "session" in keys:
            self.session = worker.sessions.get(keys.get("session"))

    def __getattr__(self, name):
        make = self._MADE.get(name)
        if make is None:
            raise AttributeError("a task has no %r" % name)
        return self.__dict__.setdefault(name, make(self._keys))  # one, whatever threads ask at once

    def progress(self, fraction=None, message=""):
        """How far it is, 0 to 1, and one line about it."""
        text = " ".join(str(message).split("\n")).encode("utf-8", "replace")[:PROGRESS_MAX]
        text = text.decode("utf-8", "ignore").encode("utf-8")
        share = "" if fraction is None else " fraction=%.6f" % min(1.0, max(0.0, fraction))
        self._worker.channel.write("PROGRESS %d %d%s" % (self._number, len(text), share), text)

    def log(self, text):
        """A line for this task's log. With concurrency, print() does not know whose line it is."""
        line = str(text).encode("utf-8", "replace")
        line = line if line.endswith(b"\n") else line + b"\n"
        for at in range(0, len(line), LOG_MAX):
            piece = line[at:at + LOG_MAX]
            self._worker.channel.write("LOG %d %d" % (self._number, len(piece)), piece)

    @property
    def checkpoint(self):
        """What an earlier run of this task saved last, as it was given to save(); None: nothing."""
        if self._restored is None:
            return None
        kind, data = self._restored
        return _decode(bytes(data), kind)

    @property
    def results(self):
        """What became of the futures that the run before raised Suspend for, by their ids: a dict of
        "state", "done" and "result" or "error", as the future shows them. {}: it did not."""
        return json.loads(bytes(self._results)) if self._results is not None else {}

    def save(self, value):
        """Stores a checkpoint in place of the one before. It is on disk when this returns; raises
        NotSaved, and the one before still counts. bytes, str, Result, or what JSON knows."""
        data, kind = _encode(value)
        data = memoryview(data).cast("B")
        with _lock:
            self._saving = self._saving or threading.Lock()
        with self._saving:
            self._answered.clear()
            self._worker.send("CHECKPOINT %d %d" % (self._number, len(data)), _check_type(kind), data)()
            self._worker.wait_for(self._answered, None)
            if self._refused is not None:
                raise NotSaved(self._refused)

    @property
    def should_yield(self):
        """Does the daemon ask the task to save() and raise Suspend()? Cheap enough for a loop."""
        return self._worker.wait_for(self._yield, 0)

    @property
    def cancelled(self):
        """Has somebody cancelled the task? Cheap enough for a loop."""
        return self.wait(0)

    def wait(self, seconds=None):
        """Sleeps so long (None: for ever); True as soon as the task was cancelled."""
        return self._worker.wait_for(self._cancel, seconds)

    def submit(self, handler, input=None, **options):
        """Submits a task whose parent this one is; a Future. input: bytes, str, or what JSON knows.
        options: members of POST /v1/tasks (timeout, retries, queue …); key="…": an Idempotency-Key
        of this task's, by which another run of it finds what this one has submitted."""
        key = options.pop("key", None)
        headers = {"Idempotency-Key": '"%s"' % key} if key is not None else {}
        if isinstance(input, (bytes, bytearray, memoryview)):
            path = "/v1/tasks/" + urllib.parse.quote(handler, safe="")
            path += "?" + urllib.parse.urlencode(options) if options else ""
            headers["Content-Type"] = BYTES
            return Future(self, self._ask("POST", path, bytes(input), headers)["id"])
        body = dict(options, handler=handler)
        if input is not None:
            body["input"] = input
        return Future(self, self._ask("POST", "/v1/tasks", body, headers)["id"])

    def map(self, handler, inputs, **options):
        """The results of a task for each input, in order: one batch, which is waited for."""
        inputs = list(inputs)
        if not inputs:
            return []
        key = options.pop("key", None)
        headers = {"Idempotency-Key": '"%s"' % key} if key is not None else {}
        body = dict(options, handler=handler, inputs=inputs)
        batch = self._ask("POST", "/v1/batches", body, headers)
        return [Future(self, id).result() for id in batch["ids"]]

    def wait_for(self, futures, return_when="ALL_COMPLETED", timeout=None):
        """(done, not_done) of these futures, when all, the first, or the first that failed
        ("FIRST_COMPLETED", "FIRST_EXCEPTION") is done, or after so many seconds."""
        futures = list(futures)
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            seconds = POLL_S if end is None else max(0, min(POLL_S, end - time.monotonic()))
            began = time.monotonic()
            answer = self._ask("POST", "/v1/wait", {"ids": [f.id for f in futures],
                                                    "return_when": return_when, "timeout": seconds})
            ids = set(answer["done"])
            done = [f for f in futures if f.id in ids]
            enough = not answer["not_done"] or (done and return_when != "ALL_COMPLETED")
            if enough or (end is not None and time.monotonic() >= end):
                return done, [f for f in futures if f.id not in ids]
            self._pause(began, seconds)

    def _pause(self, began, seconds):
        """Between two requests that wait."""
        self.check()
        if time.monotonic() - began < seconds / 2 and self.wait(PAUSE_S):
            self.check()

    def _request(self, method, path, body=None, headers=None):
        """(status, headers, bytes)."""
        if not self.url:
            raise Refused(0, {"detail": "this daemon gives its tasks no address (FUTURED_URL)"})
        headers = dict(headers or {}, Authorization="Bearer " + self.token)
        if isinstance(body, dict):
            headers["Content-Type"] = "application/json"
            body = json.dumps(body, allow_nan=False).encode("utf-8")
        connection = _connect(self.url)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def _ask(self, method, path, body=None, headers=None):
        status, _, data = self._request(method, path, body, headers)
        if status >= 300:
            raise Refused(status, _problem(data))
        return json.loads(data)

    def check(self):
        """Raises Cancelled when the task was cancelled."""
        if self.cancelled:
            raise Cancelled("the task was cancelled")


class Future:
    """A task that was submitted. id: its id, by which others may wait for it, too."""

    def __init__(self, task, id):
        self._task, self.id = task, id

    def __repr__(self):
        return "<Future %s>" % self.id

    def done(self):
        return self._task._ask("GET", "/v1/futures/" + self.id)["done"]

    def cancel(self):
        """True when it is cancelled now; False: it is done already."""
        status, _, data = self._task._request("POST", "/v1/futures/%s/cancel" % self.id)
        if status not in (200, 409):
            raise Refused(status, _problem(data))
        return status == 200

    def result(self, timeout=None):
        """Its result, as a handler would have returned it; raises Failed, or TimeoutError after so
        many seconds."""
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            seconds = POLL_S if end is None else max(0, min(POLL_S, end - time.monotonic()))
            began = time.monotonic()
            path = "/v1/futures/%s/result?wait=%.3f" % (self.id, seconds)
            status, headers, data = self._task._request("GET", path)
            if status == 200:
                return _decode(data, headers.get("Content-Type", ""))
            problem = _problem(data)
            if problem.get("code") in ("task_failed", "task_cancelled"):
                raise Failed(self, problem)
            if problem.get("code") != "not_done":
                raise Refused(status, problem)
            if end is not None and time.monotonic() >= end:
                raise TimeoutError("%s is not done" % self.id)
            self._task._pause(began, seconds)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost")
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


def _connect(url):
    if url.startswith("unix:"):
        return _UnixConnection(url[len("unix:"):])
    parts = urllib.parse.urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    return kind(parts.hostname, parts.port)


def _problem(data):
    try:
        problem = json.loads(data)
    except ValueError:
        problem = None
    return problem if isinstance(problem, dict) else {}


_to_json = json.JSONEncoder(allow_nan=False).encode  # one for all, where json.dumps makes one for each


def _encode(value):
    if isinstance(value, Result):
        return value.data, value.content_type
    if isinstance(value, (bytes, bytearray, memoryview, mmap.mmap)):
        return value, BYTES
    if isinstance(value, str):
        return value.encode("utf-8"), "text/plain; charset=utf-8"
    return _to_json(value).encode("utf-8"), "application/json"


def _decode(data, kind):
    base = kind.partition(";")[0].strip().lower()
    if base == "application/json":
        return json.loads(data)
    return str(data, "utf-8") if base == "text/plain" else data


def _check_type(kind):
    """A content type must fit into a header line."""
    if not isinstance(kind, str):
        raise TypeError("a content type is a str, not %s" % type(kind).__name__)
    if not 0 < len(kind) <= TYPE_MAX or not (kind.isascii() and kind.isprintable()):
        raise ValueError("a content type has 1 to %d printable ASCII characters" % TYPE_MAX)
    return kind


def _text_of(error):
    """What the error says; its own methods may fail."""
    try:
        return str(error).encode("utf-8", "replace").decode("utf-8")
    except BaseException as another:
        return "its text cannot be had: str() raised %s" % type(another).__name__


def _traceback_of(error):
    try:
        return "".join(traceback.format_exception(type(error), error, error.__traceback__))
    except BaseException as another:
        return "the traceback cannot be had: %s\n" % type(another).__name__


def _data_of(error):
    """Its error_data, and the key of its type; (b"", ""): it has none that can be sent."""
    try:
        value = getattr(error, "error_data", None)
        data, kind = (b"", "") if value is None else _encode(value)
        if not kind or len(data) > FAIL_MAX - ERROR_MAX:
            return b"", ""
        return bytes(data), " type=" + _check_type(kind)
    except BaseException:  # the failure matters more
        return b"", ""


def _name_of(error):
    """The type's name in the characters that the protocol allows, or Exception."""
    name = type.__dict__["__name__"].__get__(type(error))  # whatever its metaclass says
    name = "".join(c if c.isascii() and c.isalnum() or c in "_.-" else "_" for c in name)[:64]
    return name if name.strip("_") else "Exception"


def _file_of(data, writable=False):
    """A memfd with these bytes, sealed: it keeps its length and, if not writable, what is in it."""
    fd = os.memfd_create("futured-result", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with open(fd, "wb", buffering=0, closefd=False) as file:
        rest = memoryview(data)
        while rest:
            rest = rest[file.write(rest):]
    names = (("F_SEAL_SEAL", 1), ("F_SEAL_SHRINK", 2), ("F_SEAL_GROW", 4), ("F_SEAL_WRITE", 8))
    seals = [getattr(fcntl, name, value) for name, value in (names[:3] if writable else names)]
    fcntl.fcntl(fd, getattr(fcntl, "F_ADD_SEALS", 1033), sum(seals))
    return fd


# ---- the worker --------------------------------------------------------------------------------


class _Worker:
    soft_cancel = False  # not killed when a task does not hear of its cancel

    def __init__(self, channel, concurrency, ahead=False):
        self.channel = channel
        self.concurrency = concurrency
        self.ahead = ahead and concurrency == 1
        self.waiting = collections.deque()  # tasks that came while another one runs
        self.running = {}   # number: Task
        self.restored = {}  # number: (type, payload), of a task that comes next
        self.results = {}   # number: payload, likewise
        self.sessions = {}  # id: what was made of its init, the oldest first

    def greet(self, more=""):
        size = " concurrency=%d" % self.concurrency if self.concurrency > 1 else ""
        cancel = "soft" if self.soft_cancel else "1"
        memfd = " memfd=1" if MEMFD else ""
        is_template = bool(more)
        more += " sessions=1 closes=1" if _preparations else ""
        keys = "%s cancel=%s checkpoint=1 yield=1 results=1 submits=1%s%s" % (size, cancel, memfd, more)
        self.channel.write_hello(keys, self.ahead and not is_template)

    def serve(self):
        """Until the stream ends."""
        self.greet()
        if self.concurrency == 1:
            return self._loop(self._run)
        # At the end of the stream the threads are not waited for: nobody wants their results.
        pool = concurrent.futures.ThreadPoolExecutor(self.concurrency)
        return self._loop(lambda task: pool.submit(self._run, task))

    def _loop(self, start):
        while True:
            task = self.waiting.popleft() if self.waiting else self._read()
            if task is None:
                return
            if "ahead" not in task._keys or self.channel.takes(task._number):
                self.running[task._number] = task
                start(task)
            del task

    def _read(self):
        """The next task, or None at the end of the stream."""
        while True:
            message = self.channel.read()
            if message is None:
                return None
            if message[0] == "RUN":
                return Task(self, *message[1:])
            self._other(*message)

    def _other(self, verb, number, keys, payload):
        task = self.running.get(number)  # None: it has just ended
        if verb == "CHECKPOINT":
            self.restored = {number: (keys.get("type", BYTES), payload)}
        elif verb == "RESULTS":
            self.results = {number: payload}
        elif verb == "INIT" and _preparations:
            init = Init(number, keys, payload)
            if self.concurrency == 1:
                self._prepare(init)
            else:
                threading.Thread(target=self._prepare, args=(init,), daemon=True).start()
        elif verb == "CLOSE" and _preparations:
            self.sessions.pop(keys.get("session"), None)
        elif verb not in ("CANCEL", "YIELD", "SAVED", "REFUSED"):
            raise ProtocolError("unexpected %s" % verb)
        elif task and verb == "CANCEL":
            task._cancel.set()
        elif task and verb == "YIELD":
            task._yield.set()
        elif task:
            task._refused = str(payload, "utf-8", "replace") if verb == "REFUSED" else None
            task._answered.set()

    def _prepare(self, init):
        try:
            made = _preparations[0](init)
            self.sessions.pop(init.id, None)
            while len(self.sessions) >= SESSIONS_MAX:
                del self.sessions[next(iter(self.sessions))]
            self.sessions[init.id] = made
            answer = functools.partial(self.channel.write, "DONE %d 0" % init._number)
        except BaseException as error:
            answer = self._failure(init, error)
        _flush()
        try:
            answer()
        except OSError:
            _exit(0)  # the daemon is gone

    def wait_for(self, event, seconds):
        """Waits so long (None: for ever) for what the daemon says of a task."""
        if self.concurrency > 1 or event.is_set():
            return event.wait(seconds)
        # The only thread that reads is the one that runs the handler (or one that helps it).
        while not event.is_set() and self.channel.waiting(seconds):
            self._between()
        return event.is_set()

    def _between(self):
        """Reads what comes while the only task runs."""
        try:
            message = self.channel.read()
            if message is None:
                _exit(0)
            if message[0] == "RUN" and self.ahead:
                self.waiting.append(Task(self, *message[1:]))
            else:
                self._other(*message)
        except ProtocolError as error:
            _give_up(error)

    def _run(self, task):
        try:
            answer = self._done(task)
        except Suspend as until:
            ids = "\n".join(until.until).encode("utf-8")
            head = "SUSPEND %d %d for_ms=%d" % (task._number, len(ids), round(until.seconds * 1000))
            answer = lambda: self.channel.write(head, ids)  # noqa: E731
        except BaseException as error:  # SystemExit too: a handler may not end the worker so
            answer = self._failure(task, error)
        self.running.pop(task._number, None)
        _flush()
        try:
            answer()
        except OSError:
            _exit(0)  # the daemon is gone
        except BaseException:  # nothing was written yet: a header that cannot be encoded
            traceback.print_exc()
            text = b"the worker could not write its answer"
            self.channel.write("FAIL %d %d kind=WorkerError" % (task._number, len(text)), text)

    def _done(self, task):
        if len(_handlers) == 1:
            (function,) = _handlers.values()
        else:
            function = _handlers.get(task.handler)
        if function is None:
            raise Permanent("this worker has no handler %r" % task.handler)
        if type(sys.stdout) is _Printed:
            with _printed_by(task):
                value = function(task)
        else:
            value = function(task)
        data, kind = _encode(value)
        if type(data) is not bytes:
            data = memoryview(data).cast("B")
        if len(data) > RESULT_MAX:
            raise ValueError("the result is %d bytes; allowed: up to %d" % (len(data), RESULT_MAX))
        return self.send("DONE %d %d" % (task._number, len(data)), _check_type(kind), data)

    def send(self, head, kind, data):
        """What sends these bytes, once it is called; what can fail fails before."""
        kind = " type=" + kind
        if not MEMFD or len(data) < LARGE:
            return lambda: self.channel.write(head + kind, data)
        try:
            fd = _file_of(data)
        except OSError:  # no descriptor or no memory for that
            return lambda: self.channel.write(head + kind, data)

        def send():
            self.channel.write_file(head + " fd=1" + kind, fd)
            os.close(fd)

        return send

    def _failure(self, task, error):
        retry = {Temporary: " retry=1", Permanent: " retry=0"}
        word = next((w for t, w in retry.items() if isinstance(error, t)), "")
        kind = _name_of(error)
        lines = [line for line in _text_of(error).splitlines() if line.strip()]
        first = lines[0] if lines else kind
        text = (first[:ERROR_MAX // 8] + "\n" + _traceback_of(error)).encode("utf-8", "replace")
        text = text[:ERROR_MAX].decode("utf-8", "ignore").encode("utf-8")
        data, more = _data_of(error)
        more = " text=%d%s" % (len(text), more) if more else ""
        head = "FAIL %d %d%s kind=%s%s" % (task._number, len(text) + len(data), word, kind, more)
        return lambda: self.channel.write(head, text + data)


# ---- what is printed ---------------------------------------------------------------------------

_printing = threading.local()


class _Printed(io.TextIOBase):
    """Standard output or error of a process with several tasks: what a thread writes is its task's log."""

    def __init__(self, below):
        self._below = below

    encoding = property(lambda self: "utf-8")
    buffer = property(lambda self: self._below.buffer)

    def fileno(self):
        return self._below.fileno()

    def writable(self):
        return True

    def write(self, text):
        lines = getattr(_printing, "lines", None)
        if lines is None:
            return self._below.write(text)
        lines.append(text)
        if "\n" in text:
            self.flush()
        return len(text)

    def flush(self):
        lines = getattr(_printing, "lines", None)
        if not lines:
            self._below.flush()
            return
        data = "".join(lines).encode("utf-8", "replace")
        lines.clear()
        task = _printing.task
        for at in range(0, len(data), LOG_MAX):
            piece = data[at:at + LOG_MAX]
            task._worker.channel.write("LOG %d %d" % (task._number, len(piece)), piece)


class _printed_by:
    """While a task runs in this thread, what it prints is its own."""

    def __init__(self, task):
        self._task = task

    def __enter__(self):
        if type(sys.stdout) is _Printed:
            _printing.task, _printing.lines = self._task, []

    def __exit__(self, *_):
        if hasattr(_printing, "lines"):
            if _printing.lines:
                _Printed.flush(sys.stdout)
            del _printing.task, _printing.lines


# ---- a process that forks its workers ----------------------------------------------------------


def _serve_template(fd, concurrency):
    """Answers FORK until the stream ends. Returns in a forked worker: the descriptor to serve."""
    template = _Worker(_Channel(fd), concurrency)
    template.greet(" fork=1")
    while True:
        message = template.channel.read()
        if message is None:
            _exit(0)
        verb, number, _, _ = message
        if verb != "FORK" or len(template.channel.fds) < 3:
            raise ProtocolError("unexpected %s" % verb)
        fds, template.channel.fds[:3] = template.channel.fds[:3], []
        pid, channel = _fork_twice(template, fds)
        for each in fds:
            if each != channel:
                os.close(each)
        if channel >= 0:
            return channel
        if pid > 0:
            template.channel.write("FORKED %d 0 pid=%d" % (number, pid))
        else:
            text = b"fork failed"
            template.channel.write("FAIL %d %d" % (number, len(text)), text)


def _fork_twice(template, fds):
    """(pid, -1) in the template, once the grandchild belongs to the daemon's fork server; pid 0
    when that failed. (0, channel) in the grandchild."""
    _flush()
    r, w = os.pipe()
    try:
        child = os.fork()
    except OSError:
        child = -1
    if child == 0:
        _middle(w)
        os.close(r)
        os.close(w)
        return 0, _become_worker(template, fds)
    os.close(w)
    with open(r, "rb") as said:
        pid = int(said.read() or b"0")
    if child > 0:
        os.waitpid(child, 0)
    return pid, -1


def _middle(w):
    """Forks once more, says the pid, and is gone: returns in the grandchild only."""
    try:
        pid = os.fork()
    except OSError:
        os._exit(1)
    if pid > 0:
        os.write(w, b"%d" % pid)
        os._exit(0)


def _become_worker(template, fds):
    os.setsid()
    os.dup2(fds[1], 1)
    os.dup2(fds[2], 2)
    fd = template.channel.fileno()
    template.channel.sock.close()  # also from fd, which is free now
    os.dup2(fds[0], fd, inheritable=False)
    return fd


# ---- life --------------------------------------------------------------------------------------


def _flush():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:  # closed, None, or something else that a handler has put there
            pass


def _exit(status):
    _flush()
    os._exit(status)  # threads of tasks that nobody waits for must not hold it up


def _give_up(error):
    print("futured_worker: %s" % error, file=sys.stderr)
    _exit(1)


def run(concurrency=1, fork=False, ahead=False, soft_cancel=False):
    """Serves until the daemon ends the stream; does not return."""
    if "FUTURED_WORKER_FD" not in os.environ:
        sys.exit("this is a worker program: name it in the handlers file of futured "
                 "({\"x\": {\"worker\": [\"python3\", \"%s\"]}})" % sys.argv[0])
    fd = int(os.environ["FUTURED_WORKER_FD"])
    os.set_inheritable(fd, False)
    sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")
    try:
        for function in _initializers:
            function()
        gc.collect()
        gc.freeze()  # what was loaded stays: looking at it costs time, and the marks would unshare it
        if fork:
            fd = _serve_template(fd, concurrency)
        if ahead and concurrency == 1:
            sys.stdout, sys.stderr = _Printed(sys.stdout), _Printed(sys.stderr)
        worker = _Worker(_Channel(fd), concurrency, ahead)
        worker.soft_cancel = soft_cancel
        worker.serve()
    except ProtocolError as error:
        _give_up(error)
    except OSError:
        traceback.print_exc()
        _exit(1)
    _exit(0)
