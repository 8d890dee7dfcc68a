# SPDX-License-Identifier: Apache-2.0
"""The worker program of executors: `python3 -m futured.worker [cpu | io N] [--key FILE]`, a line of the handlers file.

cpu: the process that the daemon knows is a clean hub. It forks a child for each session (an executor), which takes the
channel over and reads its tasks itself. A task of another session goes back to the hub with what was read behind it,
and to that session's child. So nobody meets the globals, the modules or the directory of another client. A child that
dies takes the hub with it, by the same signal, so the daemon says rightly what happened.

io: N threads of one process for all sessions. Only the main programs of the sessions are kept apart; modules, directory
and arguments are those of the process.

Nothing of a call is un-pickled before its signature was found to be of our key.
"""

from __future__ import annotations

import base64
import functools
import io
import multiprocessing
import os
import pickle
import resource
import signal
import socket
import struct
import sys
import threading
import traceback
import types
from collections import OrderedDict
from typing import Any, Callable, Dict, List, NamedTuple, NoReturn, Optional, TextIO, Tuple

import futured_worker as sdk

from . import _calls, _functions, _keys

CHILDREN = 4               # that are kept for their sessions
EXCEPTION_MAX = 24000      # bytes of a pickled exception; a larger one goes as text
TRACEBACK_MAX = 8000       # characters
Message = Tuple[str, int, Dict[str, str], Any]


class _Failure(Exception):
    """The call ends so: a kind that the executor knows, a sentence, and a traceback or ""."""

    def __init__(self, kind: str, message: str, trace: str = "") -> None:
        super().__init__(message)
        self.kind, self.message, self.trace = kind, message, trace


class Session:
    """What one executor has prepared, in this process."""

    def __init__(self, prepared: bytes, is_alone: bool) -> None:
        self.state: Dict[str, Any] = pickle.loads(prepared)
        self.main: Optional[types.ModuleType] = None
        self.initialized = threading.local()
        self.failure: Optional[_Failure] = None
        try:
            self._prepare(is_alone)
        except BaseException as error:
            self.failure = _Failure("InitializerFailed", "the main program: %s: %s" % (type(error).__name__, error),
                                    trace_of(error))

    def _prepare(self, is_alone: bool) -> None:
        for path in self.state["path"]:
            if path not in sys.path:
                sys.path.append(path)
        if is_alone:
            sys.path[:] = self.state["path"] + [p for p in sys.path if p not in self.state["path"]]
            sys.argv[:] = self.state["argv"]
            os.chdir(self.state["cwd"])
            if self.state["authkey"] is not None:
                multiprocessing.current_process().authkey = self.state["authkey"]
        self.main = _calls.load_main(self.state)
        if is_alone and self.main is not None:
            sys.modules["__main__"] = self.main

    def ready(self) -> None:
        """Runs the initializer, once in each thread; raises _Failure, from then on each time."""
        if self.failure is not None:
            raise self.failure
        if getattr(self.initialized, "done", False) or self.state["initializer"] is None:
            return
        try:
            function, arguments = _functions.loads(self.state["initializer"], self.main)
            function(*arguments)
        except BaseException as error:
            self.failure = _Failure("InitializerFailed", "%s: %s" % (type(error).__name__, error), trace_of(error))
            raise self.failure from None
        self.initialized.done = True


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


class CallWorker(sdk._Worker):  # type: ignore[misc]
    """A worker of the SDK whose tasks are calls."""

    def __init__(self, fd: int, concurrency: int, key: bytes) -> None:
        super().__init__(fd, concurrency)
        self.key = key
        self.sessions: Dict[bytes, Session] = {}
        self.lock = threading.Lock()

    def _done(self, task: Any) -> Callable[[], None]:
        call = _calls.decode_call(self.key, call_bytes(task.view, task.content_type))
        task.call_mac = call.mac
        session = self._session(call)
        session.ready()
        try:
            function, args, kwargs = _functions.loads(call.call, session.main)
        except BaseException as error:
            raise _Failure("TransportError", "the call cannot be un-pickled: %s: %s" % (type(error).__name__, error),
                           trace_of(error)) from None
        with sdk._printed_by(task):
            value = function(*args, **kwargs)
        del function, args, kwargs
        data = _calls.encode_end(self.key, call.mac, task.id, pickle.dumps(value, _functions.PROTOCOL))
        answer: Callable[[], None] = self.send("DONE %d %d" % (task._number, len(data)), _calls.RESULT_TYPE, data)
        return answer

    def _session(self, call: _calls.Call) -> Session:
        with self.lock:
            if call.session not in self.sessions:
                self.sessions[call.session] = Session(call.preparation, self.concurrency == 1)
            return self.sessions[call.session]

    def _failure(self, task: Any, error: BaseException) -> Callable[[], None]:
        mac: Optional[bytes] = getattr(task, "call_mac", None)
        payload = b""
        if isinstance(error, _calls.NotOurs):
            error = _Failure("TransportError", str(error))
        if isinstance(error, _Failure):
            kind, message, trace = error.kind, error.message, error.trace
        else:
            kind, message, trace = sdk._name_of(error), sdk._text_of(error), trace_of(error)
            payload = self._pickled(mac, task.id, error)
        first = next((line for line in message.splitlines() if line.strip()), kind)[:1000]
        details = "%s%s%s%s" % (_calls.MARK, trace.replace(_calls.MARK, " "), _calls.MARK, payload.decode("ascii"))
        text = (first.replace(_calls.MARK, " ") + "\n" + details + "\n").encode("utf-8", "replace")
        head = "FAIL %d %d kind=%s" % (task._number, len(text), kind)
        answer: Callable[[], None] = functools.partial(self.channel.write, head, text)
        return answer

    def _pickled(self, mac: Optional[bytes], task_id: str, error: BaseException) -> bytes:
        """The exception as the executor raises it; b"" when it does not survive the way."""
        try:
            data = pickle.dumps(error.with_traceback(None), _functions.PROTOCOL)
            if len(data) > EXCEPTION_MAX or not isinstance(_functions.loads(data), BaseException) or mac is None:
                return b""
        except BaseException:
            return b""
        return base64.b64encode(_calls.encode_end(self.key, mac, task_id, data))


def call_bytes(payload: Any, content_type: str) -> bytes:
    """A call as it was signed."""
    return bytes(payload) if content_type == _calls.CALL_TYPE else _calls.from_text(bytes(payload))


# ---- a process for each session ----------------------------------------------------------------

_SIZE = struct.Struct("!Q")


class _Handed(NamedTuple):
    """The channel, from hub to child or back."""

    message: Message           # the next one
    behind: bytes              # what was read of those behind it
    leaves: bool               # the child that gives it ends now


def _give(sock: socket.socket, message: Message, channel: Any, leaves: bool = False) -> None:
    whole = (message[0], message[1], message[2], bytes(message[3]))
    data = pickle.dumps((whole, channel.take_rest(), leaves))
    sock.sendall(_SIZE.pack(len(data)) + data)


def _get(sock: socket.socket, channel: Any) -> Optional[_Handed]:
    """Takes the channel over. Blocks; None at the end of the stream."""
    head = _exactly(sock, _SIZE.size)
    data = _exactly(sock, _SIZE.unpack(head)[0]) if head else b""
    if not data:
        return None
    handed = _Handed(*pickle.loads(data))
    channel.put_back(handed.behind)
    return handed


def _exactly(sock: socket.socket, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        data = sock.recv(size - len(parts))
        if not data:
            return b""
        parts += data
    return bytes(parts)


def _session_of(message: Message) -> bytes:
    kind = message[2].get("type", "")
    try:
        return _calls.session_of(call_bytes(message[3], kind))
    except _calls.NotOurs:
        return b""


class _Child:
    """In the child: serves one session, and gives everything else back."""

    def __init__(self, hub: socket.socket, channel: Any, session: bytes, key: bytes) -> None:
        self.hub, self.session = hub, session
        self.worker = CallWorker(os.dup(channel.fileno()), 1, key)
        self.worker.channel = channel
        self.served = 0

    def serve(self, message: Message) -> NoReturn:
        channel = self.worker.channel
        while True:
            if message[0] == "RUN" and _session_of(message) == self.session and not self._is_spent():
                if "ahead" not in message[2] or channel.takes(message[1]):
                    self._run(message)
                message = channel.read() or _end(0)
                continue
            _give(self.hub, message, channel, self._is_spent())
            if self._is_spent():
                _end(0)
            message = (_get(self.hub, channel) or _end(0)).message

    def _is_spent(self) -> bool:
        state = self.worker.sessions.get(self.session)
        most = state.state["max_tasks"] if state is not None else None
        return most is not None and self.served >= most

    def _run(self, message: Message) -> None:
        task = sdk.Task(self.worker, message[1], message[2], message[3])
        self.worker.running[message[1]] = task
        self.served += 1
        self.worker._run(task)


class Hub:
    """In the process that the daemon knows: forks children and hands the channel around. One thread."""

    def __init__(self, channel: Any, key: bytes) -> None:
        self.channel, self.key = channel, key
        self.children: "OrderedDict[bytes, Tuple[int, socket.socket]]" = OrderedDict()

    def serve(self) -> NoReturn:
        self.channel.write_hello(" memfd=1" if sdk.MEMFD else "", True)
        message: Message = self.channel.read() or _end(0)
        while True:
            message = self._hand(_session_of(message), message)

    def _hand(self, session: bytes, message: Message) -> Message:
        """Gives the channel to the child of the session until it comes back with a message of another one."""
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

    def _forget(self, session: bytes) -> None:
        pid, sock = self.children.pop(session)
        sock.close()
        os.waitpid(pid, 0)

    def _fork(self, session: bytes, message: Message) -> None:
        while len(self.children) >= CHILDREN:
            self._forget(next(iter(self.children)))
        ours, theirs = socket.socketpair()
        sdk._flush()
        pid = os.fork()
        if pid == 0:
            try:
                ours.close()
                for _, sock in self.children.values():
                    sock.close()
                _Child(theirs, self.channel, session, self.key).serve(message)
            except BaseException:
                traceback.print_exc()
            finally:
                _end(1)
        theirs.close()
        self.channel.take_rest()  # the child has it
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
        CallWorker(fd, threads, key).serve()
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
