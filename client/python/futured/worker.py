# SPDX-License-Identifier: Apache-2.0
"""The worker program of executors: `python3 -m futured.worker [cpu | io N] [--key FILE]`, a line of the handlers file.

The process that the daemon knows is a clean hub. It forks a child for each session (an executor), which prepares itself
by the session's init. So nobody meets the globals, the modules, the directory or the arguments of another client.

cpu: the child takes the channel over and reads its tasks itself. A task of another session goes back to the hub with
what was read behind it, and to that session's child. A child that dies takes the hub with it, by the same signal, so
the daemon says rightly what happened.

io: the hub reads, and gives each message to the child of its session, which runs it in one of N threads and answers on
the channel itself; a lock keeps two children from writing at once. A child that dies fails its own calls alone.

Nothing of a call or an init is un-pickled before its signature was found to be of our key.
"""

from __future__ import annotations

import array
import fcntl
import functools
import io
import mmap
import multiprocessing
import os
import pickle
import resource
import select
import signal
import socket
import struct
import sys
import tempfile
import threading
import time
import traceback
import types
from collections import OrderedDict
from typing import Any, Callable, Dict, List, NamedTuple, NoReturn, Optional, TextIO, Tuple

import futured_worker as sdk

from . import _calls, _functions, _keys

CHILDREN = {"cpu": 4, "io": 16}    # that are kept for their sessions while they have nothing to do
INITS = 64                 # of sessions that are kept, as the protocol asks, for children that are forked later
EXCEPTION_MAX = sdk.FAIL_MAX - 65536   # bytes of a pickled exception, signed; a larger one goes as text
TRACEBACK_MAX = 8000       # characters
FDS_MAX = 64               # that come with what was read
QUICK_S = 0.0002           # a call that takes less is over before another thread has taken the next one
LOOK_S = 0.001             # between two looks at whether the call of a leading thread takes long
GATHER_BYTES = 16384       # of an answer that waits for others
ANSWERS = ("DONE", "FAIL", "SUSPEND")
Message = Tuple[str, int, Any, Any]    # verb, number, keys as a dict has them, payload


class _Failure(Exception):
    """The call ends so: a kind that the executor knows, a sentence, and a traceback or ""."""

    def __init__(self, kind: str, message: str, trace: str = "") -> None:
        super().__init__(message)
        self.kind, self.message, self.trace = kind, message, trace


class Session:
    """What one executor has prepared, in this process. `init`: as it came; None: the session has none."""

    def __init__(self, key: bytes, init: Optional[bytes]) -> None:
        self.executor = b""
        self.state: Dict[str, Any] = {}
        self.main: Optional[types.ModuleType] = None
        self.failure: Optional[_Failure] = None
        self._loaded = init is None    # which no call fits
        self._lock = threading.Lock()
        self._initialized = threading.local()
        self._data = b""
        try:
            if init is not None:
                _, self.executor, self._data = _calls.decode(key, b"init", init)
        except _calls.NotOurs as error:
            self.failure = _Failure("TransportError", str(error))

    def check(self, call: _calls.Signed) -> None:
        """Raises NotOurs when the call is of another executor."""
        if self.failure is None and (not self.executor or call.executor != self.executor):
            raise _calls.NotOurs("the call is not of an executor of this session")

    def ready(self) -> None:
        """Loads the main program, once, and runs the initializer, once in each thread; raises _Failure, from then on
        each time."""
        if self.failure is not None:
            raise self.failure
        if getattr(self._initialized, "done", False):
            return
        what = "the main program: "
        try:
            with self._lock:
                if not self._loaded:
                    self._load()
            what = ""
            if self.state.get("initializer") is not None:
                function, arguments = _functions.loads(self.state["initializer"], self.main)
                function(*arguments)
        except BaseException as error:
            self.failure = self.failure or _Failure(
                "InitializerFailed", "%s%s: %s" % (what, type(error).__name__, error), trace_of(error))
            raise self.failure from None
        self._initialized.done = True

    def _load(self) -> None:
        self._loaded = True
        self.state, self._data = pickle.loads(self._data), b""
        sys.path[:] = self.state["path"] + [p for p in sys.path if p not in self.state["path"]]
        sys.argv[:] = self.state["argv"]
        os.chdir(self.state["cwd"])
        os.environ.update(self.state["env"])
        if self.state["authkey"] is not None:
            multiprocessing.current_process().authkey = self.state["authkey"]
        self.main = _calls.load_main(self.state)
        if self.main is not None:
            sys.modules["__main__"] = self.main


def trace_of(error: BaseException) -> str:
    """The traceback without the frames of this file, at most so long."""
    try:
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_filename in (__file__, sdk.__file__):
            trace = trace.tb_next
        text = "".join(traceback.format_exception(type(error), error, trace))
    except BaseException as another:
        text = "the traceback cannot be had: %s\n" % type(another).__name__
    return text if len(text) <= TRACEBACK_MAX else text[:2000] + "\n[…]\n" + text[-TRACEBACK_MAX + 2000:]


class _Init:
    """An INIT while it is done, as the SDK's printing and answers know a task."""

    def __init__(self, worker: "CallWorker", number: int) -> None:
        self._worker, self._number = worker, number


class CallWorker(sdk._Worker):  # type: ignore[misc]
    """A worker of the SDK for one session, whose tasks are calls. `init`: of the session."""

    def __init__(self, channel: Any, concurrency: int, key: bytes, init: Optional[bytes]) -> None:
        super().__init__(channel, concurrency)
        self.key, self.session = key, Session(key, init)

    def prepare(self, number: int) -> None:
        """Answers the INIT."""
        init = _Init(self, number)
        try:
            with sdk._printed_by(init):
                self.session.ready()
        except _Failure as error:
            self._failure(init, error)()
        else:
            self.channel.write("DONE %d 0" % number)

    def run(self, message: Message) -> None:
        """Runs a call and answers it."""
        task = sdk.Task(self, message[1], message[2], message[3])
        self.running[message[1]] = task
        self._run(task)

    def _done(self, task: Any) -> Callable[[], None]:
        call = _calls.decode(self.key, b"call", call_bytes(task.view, task.content_type))
        task.call_mac = call.mac
        self.session.check(call)
        self.session.ready()
        try:
            function, args, kwargs = _functions.loads(call.data, self.session.main)
        except BaseException as error:
            raise _Failure("TransportError", "the call cannot be un-pickled: %s: %s" % (type(error).__name__, error),
                           trace_of(error)) from None
        with sdk._printed_by(task):
            value = function(*args, **kwargs)
        del function, args, kwargs
        data = _calls.encode_end(self.key, call.mac, task.id, pickle.dumps(value, _functions.PROTOCOL))
        answer: Callable[[], None] = self.send("DONE %d %d" % (task._number, len(data)), _calls.RESULT_TYPE, data)
        return answer

    def _failure(self, task: Any, error: BaseException) -> Callable[[], None]:
        """The first line of the text is the message, the rest the traceback; behind the text is the exception."""
        data = b""
        if isinstance(error, _calls.NotOurs):
            error = _Failure("TransportError", str(error))
        if isinstance(error, _Failure):
            kind, message, trace = error.kind, error.message, error.trace
        else:
            kind, message, trace = sdk._name_of(error), sdk._text_of(error), trace_of(error)
            data = self._pickled(getattr(task, "call_mac", None), task.id, error)
        first = next((line for line in message.splitlines() if line.strip()), kind)[:1000]
        text = (first + "\n" + _calls.MARK + trace.replace(_calls.MARK, " ")).encode("utf-8", "replace")
        more = " text=%d type=%s" % (len(text), _calls.EXCEPTION_TYPE) if data else ""
        head = "FAIL %d %d kind=%s%s" % (task._number, len(text) + len(data), kind, more)
        answer: Callable[[], None] = functools.partial(self.channel.write, head, text + data)
        return answer

    def _pickled(self, mac: Optional[bytes], task_id: str, error: BaseException) -> bytes:
        """The exception as the executor raises it; b"" when it does not survive the way."""
        try:
            data = pickle.dumps(error.with_traceback(None), _functions.PROTOCOL)
            if mac is None or not isinstance(_functions.loads(data), BaseException):
                return b""
        except BaseException:
            return b""
        signed = _calls.encode_end(self.key, mac, task_id, data)
        return signed if len(signed) <= EXCEPTION_MAX else b""


def call_bytes(payload: Any, content_type: str) -> bytes:
    """A call as it was signed."""
    return bytes(payload) if content_type == _calls.CALL_TYPE else _calls.from_text(bytes(payload))


# ---- a process for each session ----------------------------------------------------------------


def _session_of(message: Message) -> str:
    """The id of the session that the message is about. "": none with an init."""
    session: str = message[2].get("session", "")
    return session


class _Hub:
    """In the process that the daemon knows. One thread. What both lanes have: the children by their sessions, those
    that were used last behind, and the inits."""

    def __init__(self, channel: Any, key: bytes, lane: str) -> None:
        self.channel, self.key, self.kept = channel, key, CHILDREN[lane]
        self.inits: "OrderedDict[str, bytes]" = OrderedDict()

    def greet(self, more: str, ahead: bool) -> None:
        self.channel.write_hello(" sessions=1 closes=1" + more + (" memfd=1" if sdk.MEMFD else ""), ahead)

    def remember(self, session: str, init: bytes) -> None:
        self.inits.pop(session, None)
        while len(self.inits) >= INITS:
            self.inits.popitem(last=False)
        self.inits[session] = init


# ---- cpu: the channel goes around --------------------------------------------------------------

_SIZE = struct.Struct("!Q")


class _Handed(NamedTuple):
    """The channel, from hub to child or back."""

    message: Message           # the next one
    behind: bytes              # what was read of those behind it
    leaves: bool               # the child that gives it ends now


def _give(sock: socket.socket, message: Message, channel: Any, leaves: bool = False) -> None:
    whole = (message[0], message[1], message[2], bytes(message[3]))
    data = pickle.dumps((whole, channel.take_rest(), leaves))
    fds, channel.fds[:] = list(channel.fds), []
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    sent = sock.sendmsg([_SIZE.pack(len(data))], rights)
    for fd in fds:
        os.close(fd)
    sock.sendall(_SIZE.pack(len(data))[sent:] + data)


def _get(sock: socket.socket, channel: Any) -> Optional[_Handed]:
    """Takes the channel over. Blocks; None at the end of the stream."""
    head, fds, _, _ = socket.recv_fds(sock, _SIZE.size, FDS_MAX, getattr(socket, "MSG_CMSG_CLOEXEC", 0))
    head += _exactly(sock, _SIZE.size - len(head)) if head else b""
    data = _exactly(sock, _SIZE.unpack(head)[0]) if len(head) == _SIZE.size else b""
    if not data:
        return None
    handed = _Handed(*pickle.loads(data))
    channel.put_back(handed.behind)
    channel.fds.extend(fds)
    return handed


def _exactly(sock: socket.socket, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        data = sock.recv(size - len(parts))
        if not data:
            return b""
        parts += data
    return bytes(parts)


class _Child:
    """In the child: serves one session, and gives everything else back."""

    def __init__(self, hub: socket.socket, channel: Any, session: str, key: bytes, init: Optional[bytes]) -> None:
        self.hub, self.id = hub, session
        self.worker = CallWorker(channel, 1, key, init)
        self.served = 0

    def serve(self, message: Message) -> NoReturn:
        channel = self.worker.channel
        if message[0] == "INIT":
            self.worker.prepare(message[1])
            message = channel.read() or _end(0)
        while True:
            if message[0] == "RUN" and _session_of(message) == self.id and not self._is_spent():
                if "ahead" not in message[2] or channel.takes(message[1]):
                    self.served += 1
                    self.worker.run(message)
                message = channel.read() or _end(0)
                continue
            _give(self.hub, message, channel, self._is_spent())
            if self._is_spent():
                _end(0)
            message = (_get(self.hub, channel) or _end(0)).message

    def _is_spent(self) -> bool:
        most = self.worker.session.state.get("max_tasks")
        return most is not None and self.served >= most


class Hub(_Hub):
    """On the cpu lane: forks children and hands the channel around."""

    def __init__(self, channel: Any, key: bytes) -> None:
        super().__init__(channel, key, "cpu")
        self.children: "OrderedDict[str, Tuple[int, socket.socket]]" = OrderedDict()

    def serve(self) -> NoReturn:
        self.greet("", True)
        message: Message = self.channel.read() or _end(0)
        while True:
            if message[0] == "CLOSE":
                self._close(_session_of(message))
                message = self.channel.read() or _end(0)
                continue
            if message[0] not in ("RUN", "INIT"):
                raise sdk.ProtocolError("unexpected %s" % message[0])
            message = self._hand(_session_of(message), message)

    def _close(self, session: str) -> None:
        self.inits.pop(session, None)
        if session in self.children:
            self._forget(session)

    def _hand(self, session: str, message: Message) -> Message:
        """Gives the channel to the child of the session until it comes back with a message of another one."""
        if message[0] == "INIT":
            self.remember(session, bytes(message[3]))
            if session in self.children:
                self._forget(session)
        if session in self.children:
            self.children.move_to_end(session)
            _give(self.children[session][1], message, self.channel)
        else:
            self._fork(session, message)
        pid, sock = self.children[session]
        back = _get(sock, self.channel)
        if back is None:
            _die_as(pid)
        if back.leaves:
            self._forget(session)
        return back.message

    def _forget(self, session: str) -> None:
        pid, sock = self.children.pop(session)
        sock.close()
        os.waitpid(pid, 0)

    def _fork(self, session: str, message: Message) -> None:
        while len(self.children) >= self.kept:
            self._forget(next(iter(self.children)))
        ours, theirs = socket.socketpair()
        sdk._flush()
        pid = os.fork()
        if pid == 0:
            try:
                ours.close()
                for _, sock in self.children.values():
                    sock.close()
                _Child(theirs, self.channel, session, self.key, self.inits.get(session)).serve(message)
            except BaseException:
                traceback.print_exc()
            finally:
                _end(1)
        theirs.close()
        self.channel.take_rest()  # the child has it
        while self.channel.fds:
            os.close(self.channel.fds.pop())
        self.children[session] = (pid, ours)


def _die_as(pid: int) -> NoReturn:
    """The child is gone without a word: so is this process, in the same way."""
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # one core is enough
        os.kill(os.getpid(), number)
    _end(os.WEXITSTATUS(status))


# ---- io: the hub reads, and children write -----------------------------------------------------


class _Turn:
    """Who may write to the channel: one thread of one process. One that dies meanwhile breaks the channel if it had
    written a part; the lock goes with it."""

    def __init__(self, fd: int) -> None:
        self._fd, self._threads = fd, threading.Lock()

    def __enter__(self) -> None:
        self._threads.acquire()
        fcntl.lockf(self._fd, fcntl.LOCK_EX)

    def __exit__(self, *_: Any) -> None:
        fcntl.lockf(self._fd, fcntl.LOCK_UN)
        self._threads.release()


class _Answers(sdk._Channel):  # type: ignore[misc]
    """The channel of a child: it reads what the hub gives, and writes to the daemon. Answers that were gathered go with
    the next message that is written, at the latest before it blocks in reading."""

    def __init__(self, hub: socket.socket, daemon: Any, numbers: "_Numbers") -> None:
        super().__init__(hub.detach())
        self.out, self.lock, self.numbers = daemon.out, daemon.lock, numbers
        self._gathered: List[Tuple[str, bytes]] = []

    def gather(self, header: str, payload: bytes) -> None:
        """An answer, to be written soon."""
        self._gathered.append((header, payload))

    def flush(self) -> None:
        """Writes what was gathered, if anything was."""
        if self._gathered:
            self._write([])

    def write(self, header: str, payload: bytes = b"") -> None:
        self._write([(header, payload)])

    def write_file(self, header: str, fd: int) -> None:
        super().write_file(header, fd)
        self._clear(header)

    def _write(self, messages: List[Tuple[str, bytes]]) -> None:
        with self.lock:
            gathered, self._gathered = self._gathered, []
            messages = gathered + messages
            self.out.sendall(b"".join([part for header, payload in messages
                                       for part in (header.encode("ascii"), b"\n", payload)]))
        for header, _ in messages:
            self._clear(header)

    def _clear(self, header: str) -> None:
        """The task is answered."""
        verb, number = header.split(" ", 2)[:2]
        if verb in ANSWERS:
            self.numbers.clear(int(number))

    def _receive(self) -> bool:
        self.flush()
        return bool(super()._receive())

    def _payload(self, size: int) -> bytes:
        if size > len(self.buffer) - self.at:
            self.flush()
        return bytes(super()._payload(size))


class _Requests(sdk._Channel):  # type: ignore[misc]
    """The channel of the hub: a large payload stays in its file, for the child to map."""

    def __init__(self, fd: int) -> None:
        super().__init__(fd)
        self.lock = _Turn(os.memfd_create("futured-turn", os.MFD_CLOEXEC) if sdk.MEMFD else _unnamed_file())

    def _map(self, size: int) -> int:
        if not self.fds:
            raise sdk.ProtocolError("a header says fd=1, and no descriptor came")
        return int(self.fds.pop(0))


def _unnamed_file() -> int:
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


class _Numbers:
    """The numbers of the tasks that a child has and has not answered, in memory of both. A place is taken by the hub
    and cleared by the child; of those that are answered and not cleared there are three times as many as threads at
    most."""

    def __init__(self, threads: int) -> None:
        self._places = memoryview(mmap.mmap(-1, 32 * threads)).cast("Q")

    def add(self, number: int) -> None:
        self._places[self._places.tolist().index(0)] = number

    def clear(self, number: int) -> None:
        self._places[self._places.tolist().index(number)] = 0

    def all(self) -> List[int]:
        return [number for number in self._places.tolist() if number]


class _Threads(CallWorker):
    """In the child: a session, whose calls run in threads. One thread leads: it reads. Before a call it gives the lead
    to another one. Where calls take less than QUICK_S on the average, that would cost more than the calls: the leader
    runs them itself, one after the other, and their answers are written together once nothing more has come. The main
    thread watches it then, and gives the lead to another thread when a call takes longer after all, so no call waits
    for another one, nor an answer, for longer than two looks."""

    def __init__(self, channel: _Answers, threads: int, key: bytes, init: Optional[bytes]) -> None:
        super().__init__(channel, threads, key, init)
        self._lead = threading.Lock()
        self._average = QUICK_S * 8        # of what a call takes, in seconds
        self._state = threading.Lock()     # what follows
        self._leader = 0                   # the thread that leads while it runs a call
        self._quick = 0                    # calls that were run so
        self._is_watched = False
        self._threads = self._followers = 0
        self._watch = threading.Semaphore(0)

    def serve(self) -> NoReturn:
        self._start()
        while True:
            self._watch.acquire()
            while self._look():
                pass

    def _look(self) -> bool:
        """False: the leader reads."""
        before = self._quick
        time.sleep(LOOK_S)
        with self._state:
            self._is_watched = self._leader != 0
            if not self._leader or self._quick != before:
                return self._is_watched
            self._leader, self._average = 0, QUICK_S * 8
            self._is_watched = False
        self._give_lead()  # who leads next writes the answers before it blocks
        return False

    def _start(self) -> None:
        self._threads += 1
        threading.Thread(target=self._work, name="call_%d" % self._threads, daemon=True).start()

    def _work(self) -> None:
        try:
            while True:
                with self._state:
                    self._followers += 1
                self._lead.acquire()
                with self._state:
                    self._followers -= 1
                self._serve_leading()
        except OSError:
            _end(0)  # the daemon is gone
        except BaseException:
            traceback.print_exc()
            _end(1)

    def _serve_leading(self) -> None:
        """Until another thread leads."""
        while True:
            message = self.channel.read() or _end(0)
            if message[0] == "RUN" and self._average < QUICK_S:
                if not self._runs_leading(message):
                    return
            elif message[0] in ("RUN", "INIT"):
                self._give_lead()
                if message[0] == "RUN":
                    self.run(message)
                else:
                    self.prepare(message[1])
                return
            else:
                self._other(*message)

    def _give_lead(self) -> None:
        """One thread more than calls at once: what is said about calls that run is read meanwhile."""
        with self._state:
            if not self._followers and self._threads <= self.concurrency:
                self._start()
        self._lead.release()

    def _runs_leading(self, message: Message) -> bool:
        """False: another thread leads by now."""
        with self._state:
            self._leader = threading.get_ident()
            self._quick += 1
            is_watched, self._is_watched = self._is_watched, True
        if not is_watched:
            self._watch.release()
        self.run(message)
        with self._state:
            still = self._leader == threading.get_ident()
            if still:
                self._leader = 0
        return still

    def _done(self, task: Any) -> Callable[[], None]:
        """Times the call, without its answer, in whose writing other threads run."""
        began = time.perf_counter()
        try:
            return super()._done(task)
        finally:
            took = min(time.perf_counter() - began, QUICK_S * 100)
            self._average += (took - self._average) / 4

    def send(self, head: str, kind: str, data: Any) -> Callable[[], None]:
        if len(data) > GATHER_BYTES:
            answer: Callable[[], None] = super().send(head, kind, data)
            return answer
        return functools.partial(self._answer, head + " type=" + kind, data)

    def _answer(self, header: str, data: bytes) -> None:
        with self._state:
            if self._leader == threading.get_ident():
                self.channel.gather(header, data)
                return
        self.channel.write(header, data)


class _Other(NamedTuple):
    """A child as the hub knows it."""

    pid: int
    sock: socket.socket        # on which nothing comes but the end
    numbers: _Numbers
    waiting: List[bytes]       # what is sent to it with the next `send`

    def give(self, line: bytes, payload: Any) -> None:
        """A message. An int: the payload is in this file, which is closed here."""
        if not isinstance(payload, int):
            self.waiting.append(line + payload)
            return
        try:
            self.send()
            sent = self.sock.sendmsg([line], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [payload]))])
            self.sock.sendall(line[sent:])
        finally:
            os.close(payload)

    def send(self) -> None:
        data = b"".join(self.waiting)
        self.waiting.clear()
        self.sock.sendall(data)


class ThreadsHub(_Hub):
    """On the io lane: gives each message to the child of its session. `threads`: of each child; the daemon gives no
    more tasks than that in all."""

    def __init__(self, channel: Any, key: bytes, threads: int) -> None:
        super().__init__(channel, key, "io")
        self.threads = threads
        self.children: "OrderedDict[str, _Other]" = OrderedDict()
        self.given: List[str] = []         # sessions whose children have something waiting
        self.poll = select.poll()
        self.poll.register(channel, select.POLLIN)

    def serve(self) -> NoReturn:
        self.greet(" concurrency=%d cancel=soft" % self.threads, False)
        while True:
            if not self.channel.has_rest():
                self._send()
                ready = {fd for fd, _ in self.poll.poll()}
                for session in [name for name, child in self.children.items() if child.sock.fileno() in ready]:
                    self._end_of(session)
                if self.channel.fileno() not in ready:
                    continue
            self._route(self.channel.read() or _end(0))

    def _route(self, message: Message) -> None:
        verb, number, _, payload = message
        session = _session_of(message)
        if verb == "INIT":
            self.remember(session, _bytes_of(payload))
            if session in self.children:
                self._forget(session)
        if verb == "CLOSE":
            self.inits.pop(session, None)
            if session in self.children:
                self._close(session)
            return
        if verb in ("RUN", "INIT"):
            self._child(session).numbers.add(number)
        else:
            session = next((name for name, each in self.children.items() if number in each.numbers.all()), "")
        child = self.children.get(session)
        if child is not None:  # else the task has just been answered
            if not child.waiting:
                self.given.append(session)
            try:
                child.give(self.channel.line + b"\n", payload)
            except OSError:
                self._end_of(session)

    def _send(self) -> None:
        """What was read together is given together."""
        given, self.given = self.given, []
        for session in given:
            child = self.children.get(session)
            try:
                if child is not None and child.waiting:
                    child.send()
            except OSError:
                self._end_of(session)

    def _child(self, session: str) -> _Other:
        if session in self.children:
            self.children.move_to_end(session)
        else:
            self._fork(session)
        return self.children[session]

    def _fork(self, session: str) -> None:
        idle = [name for name, child in self.children.items() if not child.numbers.all()]
        for name in idle[:max(0, len(self.children) - self.kept + 1)]:
            self._forget(name)
        ours, theirs = socket.socketpair()
        numbers = _Numbers(self.threads)
        sdk._flush()
        pid = os.fork()
        if pid == 0:
            try:
                ours.close()
                for child in self.children.values():
                    child.sock.close()
                channel = _Answers(theirs, self.channel, numbers)
                _Threads(channel, self.threads, self.key, self.inits.get(session)).serve()
            except BaseException:
                traceback.print_exc()
            finally:
                _end(1)
        theirs.close()
        self.poll.register(ours, select.POLLIN)
        self.children[session] = _Other(pid, ours, numbers, [])

    def _take(self, session: str) -> Tuple[_Other, int]:
        """Closes the child's socket, by which it ends; gives it and how it ended."""
        child = self.children.pop(session)
        self.poll.unregister(child.sock)
        child.sock.close()
        return child, os.waitpid(child.pid, 0)[1]

    def _forget(self, session: str) -> None:
        self._take(session)

    def _close(self, session: str) -> None:
        """No call of it is wanted any more; one that was cancelled may still run."""
        self._fail(self._take(session)[0], "was ended with it")

    def _end_of(self, session: str) -> None:
        """The child is gone: so are its calls."""
        child, status = self._take(session)
        how = "exited with %d" % os.WEXITSTATUS(status)
        if os.WIFSIGNALED(status):
            how = "was killed by %s" % signal.Signals(os.WTERMSIG(status)).name
        self._fail(child, how)

    def _fail(self, child: _Other, how: str) -> None:
        text = ("the process of the session %s" % how).encode("ascii")
        for number in child.numbers.all():
            self.channel.write("FAIL %d %d kind=WorkerDied" % (number, len(text)), text)


def _bytes_of(payload: Any) -> bytes:
    if isinstance(payload, int):
        return os.pread(payload, os.fstat(payload).st_size, 0)
    return bytes(payload)


def _end(status: int) -> NoReturn:
    """Ends the process at once: threads that a call has left must not hold it up."""
    sdk._flush()
    os._exit(status)


# ---- start -------------------------------------------------------------------------------------


def _options(arguments: List[str]) -> Tuple[str, int, Optional[str]]:
    words, key = list(arguments), None
    if "--key" in words:
        at = words.index("--key")
        key = words[at + 1]
        del words[at:at + 2]
    if not words or words == ["cpu"]:
        return "cpu", 1, key
    if words[0] == "io" and len(words) == 2 and words[1].isdigit() and 1 <= int(words[1]) <= 1000:
        return "io", int(words[1]), key
    sys.exit("usage: python3 -m futured.worker [cpu | io THREADS] [--key FILE]")


def main(arguments: List[str]) -> NoReturn:
    """Serves until the daemon ends the stream."""
    lane, threads, path = _options(arguments)
    if "FUTURED_WORKER_FD" not in os.environ:
        sys.exit("this is a worker program: `python3 -m futured handlers` prints the entry of the handlers file")
    key = _keys.load(path)
    fd = int(os.environ["FUTURED_WORKER_FD"])
    os.set_inheritable(fd, False)
    os.environ.pop("FUTURED_WORKER_FD")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True, errors="backslashreplace")
    try:
        if lane == "cpu":
            fd = sdk._serve_template(fd, 1)
        sys.stdout, sys.stderr = sdk._Printed(sys.stdout), sdk._Printed(sys.stderr)
        if lane == "cpu":
            Hub(sdk._Channel(fd), key).serve()
        ThreadsHub(_Requests(fd), key, threads).serve()
    except sdk.ProtocolError as error:
        sdk._give_up(error)
    except OSError:
        traceback.print_exc()
        _end(1)
    _end(0)


if __name__ == "__main__":
    # `-m` runs this file as __main__; what it pickles must be of the module.
    from futured import worker

    worker.main(sys.argv[1:])
