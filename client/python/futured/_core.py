# SPDX-License-Identifier: Apache-2.0
"""What all executors of a process share for one daemon: a thread that sends calls and one that receives their ends.

Calls that are submitted while a batch is on its way make the next batch; no timer is involved. A small call that finds
nothing on its way is sent by the thread that submits it, which does not wait for the answer: waking another thread for
it would take longer than all of the rest.
"""

from __future__ import annotations

import atexit
import base64
import logging
import os
import sys
import threading
import warnings
import weakref
from collections import deque
from ._typing import TYPE_CHECKING, Any, Callable, Deque, Dict, List, Mapping, NamedTuple, Optional, Set, Tuple

from . import _calls, _functions, _keys
from . import _requests as requests
from ._client import Client
from ._errors import NotAccepted, Problem, RemoteError, Unreachable, failed, failure_of
from ._future import Future
from ._http import Answer
from ._receiver import MERGED_MAX, Line, Receiver

if TYPE_CHECKING:
    from ._broken import InitializerFailed, TransportError

BATCH_TASKS = 2000
BATCH_BYTES = 8 << 20
WATCH_MAX = MERGED_MAX     # futures of one `watch` without a batch
DIRECT_BYTES = 16384       # a call up to here, with nothing before it, is sent by the thread that submits it
RAW_BYTES = 1 << 20        # calls from here on go one by one, as they are; smaller ones as base64 in a batch
WORKER_DEATHS = ("worker_died", "worker_protocol", "signal", "exit")
LOG = logging.getLogger("concurrent.futures")


class Item(NamedTuple):
    """A call in the outbox; without a future: the end of its executor's session."""

    scope: "Scope"
    future: Optional[Future]
    call: bytes
    options: Dict[str, Any]
    request: Optional[requests.Call[Dict[str, Any]]]   # in which it was sent, perhaps in vain


class Scope:
    """The calls of one executor that are not done. Threads know this, never the executor, so that dropping the
    executor ends it. The session is the sender's: opened with the first call, closed behind the last. `options`: of
    the session, as POST /v1/sessions takes them."""

    def __init__(self, relay: bool, at_exit: str, handler: str, options: Mapping[str, Any]) -> None:
        self.relay, self.at_exit = relay, at_exit
        self.handler, self.options = handler, options
        self.stream: Any = None    # of the session
        self.is_closing = False
        self.condition = threading.Condition()
        self.pending: Set[Future] = set()
        self.is_shut = False
        self.broken: Optional[InitializerFailed] = None
        self.refused = 0           # calls that no daemon accepted

    def ended(self, future: Future) -> None:
        with self.condition:
            self.pending.discard(future)
            if not self.pending:
                self.condition.notify_all()

    def wait(self) -> None:
        """Until all calls are done."""
        with self.condition:
            while self.pending:
                self.condition.wait()

    def breaks(self, error: InitializerFailed) -> None:
        """The initializer failed: so do all calls, and those that come."""
        with self.condition:
            if self.broken is None:
                self.broken = error
                LOG.critical("Exception in initializer:\n%s", error)
            rest = list(self.pending)
        for future in rest:
            future._end(None, error)


class Core:
    """The two threads and what they share. Use `core_of`."""

    def __init__(self, url: Optional[str], token: Optional[str], ca: Optional[str], key: bytes) -> None:
        self.client = Client(url, token=token, ca=ca)
        self.key = key
        self.pid = os.getpid()
        self.condition = threading.Condition()     # the outbox, and who waits for it to be empty
        self.outbox: Deque[Item] = deque()
        self.sending = 0
        self.line: Optional[Line] = None
        self.direct: Optional[Item] = None         # what is on its way over the line
        self.waiters = 0                           # threads that wait for what is sent to be accepted
        self.sender: Optional[threading.Thread] = None
        self.receiver = Receiver(self.client._transport, self._on_done)
        self.scopes: "weakref.WeakSet[Scope]" = weakref.WeakSet()

    # ---- for executors and futures -------------------------------------------------------------

    def put(self, item: Item) -> None:
        """Takes a call; a thread sends it. Raises RuntimeError when there is none and none can be started."""
        with self.condition:
            if not self.sending and not self.outbox and self._send_directly(item):
                return
            if self.sender is None:
                sender = threading.Thread(target=self._send_all, name="futured sender", daemon=True)
                sender.start()
                self.sender = sender
            self.outbox.append(item)
            if not self.sending:
                self.condition.notify_all()

    def put_end(self, scope: Scope) -> None:
        """No more calls of the executor come: its session is closed behind those that did."""
        with self.condition:
            if scope.is_closing or self.sender is None:
                return
            scope.is_closing = True
            self.put(Item(scope, None, b"", {}, None))

    def flush(self) -> None:
        """Waits until the daemon has what was put so far, or has refused it."""
        with self.condition:
            self._wait_while(lambda: bool(self.outbox or self.sending), None)

    def wait_accepted(self, future: Future) -> None:
        with self.condition:
            self._wait_while(lambda: future._task_id is None and not future.done(), 0.5)

    def _wait_while(self, still: Callable[[], bool], seconds: Optional[float]) -> None:
        self.waiters += 1
        try:
            while still():
                self.condition.wait(seconds)
        finally:
            self.waiters -= 1

    def withdraw(self, future: Future) -> bool:
        """Takes a call back that was not sent yet."""
        with self.condition:
            for n, item in enumerate(self.outbox):
                if item.future is future:
                    del self.outbox[n]
                    self.condition.notify_all()
                    return True
        return False

    def cancel(self, future: Future, running: bool) -> bool:
        """True: the daemon has cancelled it."""
        self.wait_accepted(future)
        if future._task_id is None or future.done():
            return False
        path = "/v1/futures/%s/cancel" % future._task_id
        try:
            self.client.request("POST", path, query=None if running else {"running": False})
        except Problem as problem:
            if problem.code in ("already_running", "already_done", "unknown_future"):
                return False
            raise
        return True

    def get(self, future: Future) -> Dict[str, Any]:
        return self.client.get(future.id)

    def is_running(self, future: Future) -> bool:
        stream = None if future._scope is None else future._scope.stream
        if stream is None:
            return bool(self.get(future).get("state") == "running")
        return self.receiver.is_running(stream, future.id, lambda: self.get(future).get("state") == "running")

    def watch(self, futures: Dict[str, Future]) -> None:
        """From now on their ends are received."""
        self.receiver.watch(futures)

    # ---- sending -------------------------------------------------------------------------------

    def _send_all(self) -> None:
        while True:
            with self.condition:
                if self.direct is None:
                    self.sending = 0
                if not self.outbox:
                    self.condition.notify_all()
                while not self.outbox or self.direct is not None:
                    self.condition.wait()
                items = self._gather()
                self.sending = len(items)
            try:
                self._send(items)
            except BaseException as error:  # of ours, or the interpreter is ending: nobody may wait for ever
                self._refuse(items, error)
            with self.condition:
                self.condition.notify_all()
            del items

    def _gather(self) -> List[Item]:
        """What goes into one request: calls of one executor."""
        first = self.outbox.popleft()
        items, size = [first], len(first.call)
        if first.future is None or first.request is not None or len(first.call) >= RAW_BYTES:
            return items
        while self.outbox and len(items) < BATCH_TASKS and size < BATCH_BYTES:
            item = self.outbox[0]
            if item.scope is not first.scope or item.future is None or len(item.call) >= RAW_BYTES:
                break
            items.append(self.outbox.popleft())
            size += len(item.call) * 4 // 3 + 100
        return items

    def _send(self, items: List[Item]) -> None:
        if items[0].future is None:
            self._close_session(items[0].scope)
            return
        try:
            self._send_calls(items)
        except Problem as problem:
            if problem.code == "session_broken":
                from ._broken import InitializerFailed

                items[0].scope.breaks(InitializerFailed(problem.detail))
                return
            if problem.code not in ("unknown_session", "session_closed"):
                raise
            items[0].scope.stream = None  # not used for longer than the retention, or closed by somebody
            self._send_calls(items)

    def _session(self, scope: Scope) -> str:
        if scope.stream is None:
            found = self.client._transport.call(requests.open_session(scope.handler, scope.options))
            scope.stream = self.receiver.follow(found["id"])
        session: str = scope.stream.session
        return session

    def _close_session(self, scope: Scope) -> None:
        if scope.stream is None:
            return
        try:
            self.client._transport.call(requests.close_session(scope.stream.session))
        except (Problem, Unreachable):
            pass  # it goes by itself
        self.receiver.close(scope.stream)

    def _send_calls(self, items: List[Item]) -> None:
        scope = items[0].scope
        session = self._session(scope)
        if len(items[0].call) >= RAW_BYTES:
            item = items[0]
            call = requests.submit(scope.handler, item.call, _calls.CALL_TYPE, dict(item.options, session=session))
            self._accepted(items, [self.client._transport.call(call)["id"]])
            return
        while items:
            call = items[0].request or self._request(session, items)
            items[0] = items[0]._replace(request=None)     # another try of ours is another request
            try:
                found = self.client._transport.call(call)
            except Problem as problem:
                line = problem.info.get("line")
                if not isinstance(line, int) or not 1 <= line <= len(items):
                    raise
                self._refuse([items.pop(line - 1)], problem)  # the others may be better
                continue
            self._accepted(items, found["ids"])
            self._open_line()
            return

    @staticmethod
    def _request(session: str, items: List[Item]) -> requests.Call[Dict[str, Any]]:
        handler = items[0].scope.handler
        return requests.join_session(session, [
            dict(each.options, handler=handler, input=base64.b64encode(each.call).decode("ascii")) for each in items])

    # ---- sending without the sender --------------------------------------------------------------

    def _open_line(self) -> None:
        """For the next call that comes alone. The sender's connection becomes the line."""
        transport = self.client._transport
        if transport.address.tls is not None or (self.line is not None and self.line.sock is not None):
            return
        try:
            line = Line(transport.take()[0], self._on_answer)
        except OSError:
            return  # the next batch will tell
        self.receiver.listen(line)
        self.line = line

    def _send_directly(self, item: Item) -> bool:
        """With the condition held. False: the sender is to do it."""
        line, stream = self.line, item.scope.stream
        if line is None or stream is None or item.future is None or len(item.call) > DIRECT_BYTES:
            return False
        try:
            request = self._request(stream.session, [item])
            data = self.client._transport.bytes_of(request)
        except (TypeError, ValueError):
            return False  # of the options; the sender refuses the call
        self.direct = item._replace(request=request)
        if not line.send(data):
            self.direct = None
            return False
        self.sending = 1
        return True

    def _on_answer(self, answer: Optional[Answer]) -> None:
        """Runs in the receiver's thread. What went wrong is the sender's: the same request once more, which the daemon
        answers as it did the first time."""
        item = self.direct
        assert item is not None
        ids = None
        if answer is not None and 200 <= answer.status < 300:
            found = answer.json().get("ids")
            ids = found if isinstance(found, list) else None
        if ids:
            self._accepted([item], ids)
        with self.condition:
            self.direct, self.sending = None, 0
            if not ids:
                self.outbox.appendleft(item)
            if self.outbox or self.waiters:    # else the sender would wake up for nothing
                self.condition.notify_all()

    def _accepted(self, items: List[Item], ids: List[str]) -> None:
        futures: Dict[str, Future] = {}
        for item, task_id in zip(items, ids):
            assert item.future is not None
            item.future._task_id = task_id
            futures[task_id] = item.future
        self.receiver.add(items[0].scope.stream, futures)

    def _refuse(self, items: List[Item], error: BaseException) -> None:
        for item in items:
            if item.future is None:
                continue
            refused = NotAccepted("the call was not accepted: %s" % error)
            refused.__cause__ = error
            item.scope.refused += 1
            item.future._end(None, refused)

    # ---- receiving -----------------------------------------------------------------------------

    def _on_done(self, future: Future, info: Optional[Dict[str, Any]], error: Optional[BaseException]) -> None:
        """Runs in the receiver's thread: a future is done as the API shows it, or cannot be known any more."""
        if info is None:
            future._end(None, error)
            return
        try:
            value, failure, printed = end_of(self.key, future._call_mac, future._task_id or "", info)
        except BaseException as wrong:  # of a __setstate__ of the user's, SystemExit among them
            value, failure, printed = None, _transport(wrong), ""
        if printed and future._relay:
            _write(printed)
        if failure is not None and future._scope is not None:
            from ._broken import InitializerFailed

            if isinstance(failure, InitializerFailed):
                future._scope.breaks(failure)
        if info["state"] == "cancelled":
            future._end_cancelled()
        else:
            future._end(value, failure)


def _write(text: str) -> None:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except (OSError, ValueError, AttributeError):
        pass  # closed, or there is none


def _transport(wrong: BaseException) -> TransportError:
    from ._broken import TransportError

    error = TransportError("what came back cannot be un-pickled: %s: %s" % (type(wrong).__name__, wrong))
    error.__cause__ = wrong
    return error


def end_of(key: bytes, call_mac: Optional[bytes], task_id: str,
           info: Dict[str, Any]) -> Tuple[Any, Optional[BaseException], str]:
    """(value, failure, what was printed) of a call that is done, as the API shows it. Raises what un-pickling raises,
    and NotSigned before it."""
    if info["state"] == "succeeded":
        found = requests.value_of(info)
        if not isinstance(found, bytes):
            raise _keys.NotSigned("not a result of the Python package")
        return _functions.loads(_calls.decode_end(key, call_mac, task_id, found)), None, info.get("log", "")
    if info["state"] == "cancelled":
        return None, failure_of(info), info.get("log", "")
    error = info.get("error") or {}
    parts = _calls.parts_of_log(error.get("log", ""))
    return None, _failure(key, call_mac, task_id, error, parts), parts.printed


def _failure(key: bytes, call_mac: Optional[bytes], task_id: str, error: Dict[str, Any],
             parts: _calls.Parts) -> BaseException:
    from ._broken import InitializerFailed, TransportError, WorkerDied

    message, is_broken = str(error.get("message", "")), error.get("code") == "session_broken"
    data = error.get("data") or {}
    found: BaseException
    if data.get("content_type") == _calls.EXCEPTION_TYPE:
        signed = base64.b64decode(data["base64"])
        found = _functions.loads(_calls.decode_end(key, call_mac, task_id, signed))
        if not isinstance(found, BaseException):
            raise TypeError("not an exception")
    elif error.get("type") == "TransportError" or (is_broken and message.startswith("TransportError: ")):
        found = TransportError(message)
    elif error.get("type") == "InitializerFailed" or is_broken:
        found = InitializerFailed("%s\n%s" % (message, parts.traceback))
    elif error.get("type") == "WorkerDied" or error.get("code") in WORKER_DEATHS:
        found = WorkerDied(error)
    elif error.get("code") == "handler_failed":
        found = RemoteError(dict(error, log=parts.printed))
    else:
        found = failed(error)
    if parts.traceback:
        found.__cause__ = _remote_traceback(parts.traceback)
    return found


def _remote_traceback(text: str) -> BaseException:
    from concurrent.futures import process

    make: Any = process._RemoteTraceback
    found: BaseException = make('\n"""\n%s"""' % text)
    return found


# ---- one for each daemon and process ---------------------------------------------------------------

_cores: Dict[Tuple[str, Optional[str], bytes], Core] = {}
_lock = threading.Lock()
_ending = False


def core_of(url: Optional[str], token: Optional[str], ca: Optional[str], key: bytes) -> Core:
    """The core of this process for this daemon, token and key."""
    from ._http import Address, default_token

    name = (url or Address.default(), token or default_token(), key)
    with _lock:
        if name not in _cores:
            _cores[name] = Core(url, token, ca, key)
        return _cores[name]


def is_ending() -> bool:
    """Has the interpreter begun to end?"""
    return _ending


def warn_refused(scope: Scope) -> None:
    """Says that calls were lost which nobody has asked for: a program that never looks at its results shall not end
    as if all were well."""
    refused, scope.refused = scope.refused, 0
    if refused:
        warnings.warn("%d calls were never accepted by the daemon and will not run" % refused, RuntimeWarning,
                      stacklevel=3)


def _at_exit() -> None:
    """As the standard library: a program ends when its calls are done, or, detached, when the daemon has them."""
    global _ending
    _ending = True
    for core in list(_cores.values()):
        if core.pid != os.getpid():
            continue
        core.flush()
        for scope in list(core.scopes):
            if scope.at_exit == "wait":
                scope.wait()
            warn_refused(scope)
            core.put_end(scope)
        core.flush()


def _after_fork() -> None:
    """A child has neither the threads nor the connections: it begins anew, and what the parent submitted is the
    parent's."""
    global _lock
    _lock = threading.Lock()
    _cores.clear()


_register: Optional[Callable[[Callable[[], None]], Any]] = getattr(threading, "_register_atexit", None)
if _register is not None:
    _register(_at_exit)
else:
    atexit.register(_at_exit)
os.register_at_fork(after_in_child=_after_fork)
