# SPDX-License-Identifier: Apache-2.0
"""One thread that reads all streams of a core with a selector, and tells the ends of futures."""

from __future__ import annotations

import json
import logging
import selectors
import socket
import threading
import time
from collections import deque
from ._typing import Any, Callable, Deque, Dict, List, Optional, Union

from ._future import Future
from ._http import READ_BYTES, Answer, ConnectionLost, Lines, Parser
from ._requests import FIRST_PAUSE, LAST_PAUSE, events, session_events
from ._transport import ANSWER_SECONDS, Transport

STREAMS_MAX = 8            # more than these are merged
MERGED_MAX = 10000         # ids of one merged stream
IDLE_MAX = 4
ASKED_MAX = 8              # asks whether a call runs; then the stream of its session is to tell

LOG = logging.getLogger("concurrent.futures")
OnDone = Callable[[Future, Optional[Dict[str, Any]], Optional[BaseException]], None]
OnAnswer = Callable[[Optional[Answer]], None]      # None: the connection was lost, and the request perhaps with it


class _Stream:
    """The events of named futures, or of a session. Its connection may break; the stream goes on."""

    def __init__(self, futures: Dict[str, Future], session: Optional[str] = None) -> None:
        self.futures = futures     # those that are not done
        self.session = session
        self.lock = threading.Lock()       # of a session's futures and these:
        self.early: Dict[str, Dict[str, Any]] = {}     # ends of calls of whose ids the sender has not heard yet
        self.runs: Dict[str, bool] = {}    # by id, what is known of whether it runs, while the connection tells it
        self.tells_runs = False    # the connection does
        self.connections = 0       # that there were
        self.asked = 0             # how often it was asked whether a call runs
        self.begun = False
        self.asks_runs = False     # the connection is to
        self.closed = False        # no more futures come
        self.last: Optional[int] = None
        self.ended = False         # the event `end` came
        self.pause = FIRST_PAUSE
        self.retry_at = 0.0        # of the monotonic clock, while there is no connection
        self.heard_at = 0.0
        self.sock: Optional[socket.socket] = None
        self.parser = Parser()
        self.lines = Lines()


class Line:
    """A connection on which any thread sends a request, one at a time; the receiver's thread reads the answer. Whoever
    sends holds a lock around `send`, so that it is not used by two."""

    def __init__(self, sock: socket.socket, on_answer: "OnAnswer") -> None:
        sock.setblocking(False)
        self.sock: Optional[socket.socket] = sock
        self.on_answer = on_answer
        self.parser: Optional[Parser] = None       # while a request is on its way
        self.sent_at = 0.0

    def send(self, data: bytes) -> bool:
        """Does not block. False: nothing was sent, and the line is of no use any more, or not yet."""
        sock = self.sock
        if sock is None or self.parser is not None:
            return False
        self.parser, self.sent_at = Parser("POST"), time.monotonic()
        try:
            sent = sock.send(data)
        except OSError:
            sent = 0
        if sent == len(data):
            return True
        if sent == 0:
            self.parser = None
            return False
        sock.shutdown(socket.SHUT_RDWR)    # the receiver sees that, and says that it is lost
        return True


class Receiver:
    """Futures that are watched end by a call of `on_done`, in the receiver's thread. `watch` may be called by any
    thread and does not block."""

    def __init__(self, transport: Transport, on_done: OnDone) -> None:
        self._transport, self._on_done = transport, on_done
        self._lock = threading.Lock()
        self._incoming: Deque[Union[_Stream, Line]] = deque()
        self._thread: Optional[threading.Thread] = None
        self._wake_read: Optional[socket.socket] = None
        self._wake_write: Optional[socket.socket] = None
        self._streams: List[_Stream] = []
        self._lines: List[Line] = []
        self._idle: List[socket.socket] = []
        self._selector = selectors.DefaultSelector()

    def watch(self, futures: Dict[str, Future]) -> None:
        self._begin(_Stream(futures))

    def follow(self, session: str) -> _Stream:
        """The stream of a session, to which `add` gives futures. It lasts until the session is closed and done."""
        stream = _Stream({}, session)
        self._begin(stream)
        return stream

    def listen(self, line: Line) -> None:
        """From now on the answers of the line are read."""
        self._begin(line)

    def add(self, stream: _Stream, futures: Dict[str, Future]) -> None:
        """Their ends are told, also those that have come already."""
        with stream.lock:
            early = [(future, stream.early.pop(name)) for name, future in futures.items() if name in stream.early]
            stream.futures.update(futures)
            for future, data in early:
                del stream.futures[data["id"]]
        for future, data in early:
            self._on_done(future, data, None)

    def is_running(self, stream: _Stream, name: str, ask: Callable[[], bool]) -> bool:
        """Does the call run? Asked again and again, its stream tells."""
        with stream.lock:
            known = stream.runs.get(name) if stream.tells_runs else None
            connection = stream.connections if stream.tells_runs else 0
            stream.asked += known is None
            is_to_tell = stream.asked == ASKED_MAX and known is None
        if known is not None:
            return known
        if is_to_tell:
            self._begin(stream)
        answer = ask()
        with stream.lock:  # what was told meanwhile is newer
            if connection and connection == stream.connections and stream.tells_runs and name in stream.futures:
                stream.runs.setdefault(name, answer)
        return answer

    def close(self, stream: _Stream) -> None:
        """The session is closed: nobody waits for what comes when all of its futures are done."""
        stream.closed = True

    def _begin(self, what: Union[_Stream, Line]) -> None:
        with self._lock:
            if self._wake_read is None:
                self._wake_read, self._wake_write = socket.socketpair()
                self._wake_read.setblocking(False)
                self._wake_write.setblocking(False)
                self._selector.register(self._wake_read, selectors.EVENT_READ)
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="futured receiver", daemon=True)
                thread.start()
                self._thread = thread
            self._incoming.append(what)
        assert self._wake_write is not None
        try:
            self._wake_write.send(b"x")
        except BlockingIOError:
            pass  # it will wake up anyway

    # ---- the thread ----------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select(self._timeout()):
                if key.data is None:
                    self._drain_wake()
                    continue
                if isinstance(key.data, Line):
                    self._read_answer(key.data)
                    continue
                try:
                    self._read(key.data)
                except Exception:  # what came is not the API's: other streams go on, and this one is asked for again
                    LOG.exception("futured: a stream is broken")
                    self._break(key.data)
            self._take_incoming()
            self._connect_due()

    def _timeout(self) -> Optional[float]:
        now = time.monotonic()
        times = [each.retry_at if each.sock is None else each.heard_at + ANSWER_SECONDS for each in self._streams]
        times += [each.sent_at + ANSWER_SECONDS for each in self._lines if each.parser is not None]
        return max(0.0, min(times) - now) if times else None

    def _drain_wake(self) -> None:
        assert self._wake_read is not None
        try:
            while self._wake_read.recv(4096):
                pass
        except BlockingIOError:
            pass

    def _take_incoming(self) -> None:
        while True:
            with self._lock:
                if not self._incoming:
                    return
                stream = self._incoming.popleft()
            if isinstance(stream, Line):
                self._lines.append(stream)
                assert stream.sock is not None
                self._selector.register(stream.sock, selectors.EVENT_READ, stream)
                continue
            if stream.begun:
                if stream in self._streams:
                    self._close(stream)
                    stream.retry_at = 0.0
                continue
            stream.begun = True
            self._streams.append(stream)
            if sum(each.session is None for each in self._streams) > STREAMS_MAX:
                self._merge()

    def _merge(self) -> None:
        """One stream by ids in place of many, the smallest first. What was told is not told again: those futures are
        no longer among the ids. Sessions keep theirs."""
        merged: Dict[str, Future] = {}
        named = [each for each in self._streams if each.session is None]
        for stream in sorted(named, key=lambda each: len(each.futures)):
            if len(merged) + len(stream.futures) > MERGED_MAX:
                break
            merged.update(stream.futures)
            self._close(stream)
            self._streams.remove(stream)
        if merged:
            self._streams.append(_Stream(merged))

    def _connect_due(self) -> None:
        now = time.monotonic()
        for stream in list(self._streams):
            if stream.sock is None and stream.retry_at <= now:
                self._connect(stream)
            elif stream.sock is not None and stream.heard_at + ANSWER_SECONDS <= now:
                self._break(stream)

        for line in list(self._lines):
            if line.parser is not None and line.sent_at + ANSWER_SECONDS <= now:
                self._lose(line)

    def _read_answer(self, line: Line) -> None:
        """What came over a line: an answer, or its end."""
        parser = line.parser
        assert line.sock is not None
        try:
            data = line.sock.recv(READ_BYTES)
            if parser is None:
                raise ConnectionLost("nothing was asked")
            parser.feed(data)
        except BlockingIOError:
            return
        except OSError:
            self._lose(line)
            return
        if not parser.done:
            return
        if not parser.keep_alive:
            self._drop(line)
        line.parser = None
        line.on_answer(Answer(parser.status, parser.headers, parser.take()))

    def _drop(self, line: Line) -> None:
        sock, line.sock = line.sock, None
        assert sock is not None
        self._selector.unregister(sock)
        self._lines.remove(line)
        sock.close()

    def _lose(self, line: Line) -> None:
        self._drop(line)
        if line.parser is not None:
            line.parser = None
            line.on_answer(None)

    def _connect(self, stream: _Stream) -> None:
        if not stream.futures and (stream.session is None or stream.closed):
            self._streams.remove(stream)
            return
        stream.asks_runs = stream.session is not None and stream.asked >= ASKED_MAX
        if stream.session is not None:
            call = session_events(stream.session, stream.last, stream.asks_runs)
        else:
            call = events(list(stream.futures), None, None)
        data = self._transport.bytes_of(call)
        while True:
            is_idle = bool(self._idle)
            try:
                sock = self._idle.pop() if is_idle else self._transport.address.connect()
                sock.setblocking(True)
                sock.settimeout(ANSWER_SECONDS)
                sock.sendall(data)
                break
            except OSError:
                if not is_idle:
                    self._break(stream)
                    return
        sock.setblocking(False)
        stream.connections += 1
        stream.sock, stream.parser, stream.lines = sock, Parser(call.method), Lines()
        stream.heard_at = time.monotonic()
        self._selector.register(sock, selectors.EVENT_READ, stream)

    def _close(self, stream: _Stream) -> None:
        with stream.lock:
            stream.tells_runs = False
            stream.runs.clear()
        if stream.sock is None:
            return
        self._selector.unregister(stream.sock)
        if stream.parser.done and stream.parser.keep_alive and len(self._idle) < IDLE_MAX:
            self._idle.append(stream.sock)
        else:
            stream.sock.close()
        stream.sock = None

    def _break(self, stream: _Stream) -> None:
        """The connection is lost: again in a while."""
        self._close(stream)
        stream.retry_at = time.monotonic() + stream.pause
        stream.pause = min(stream.pause * 2, LAST_PAUSE)

    def _read(self, stream: _Stream) -> None:
        if stream.sock is None:
            return
        try:
            while True:
                stream.parser.feed(stream.sock.recv(READ_BYTES))
                if not self._has_more(stream.sock):
                    break
        except BlockingIOError:
            pass
        except OSError as error:
            if type(error).__name__ != "SSLWantReadError":
                self._break(stream)
                return
        stream.heard_at = time.monotonic()
        if stream.parser.status != 200:
            if stream.parser.done:
                self._refused(stream)
            return
        if stream.asks_runs and not stream.tells_runs:
            with stream.lock:
                stream.tells_runs = True
        for line in stream.lines.feed(stream.parser.take()):
            self._line(stream, line)
        if stream.ended or (stream.session is None and not stream.futures):
            if stream.parser.done or not stream.ended:
                self._close(stream)
                self._streams.remove(stream)
        elif stream.parser.done:
            self._break(stream)  # without `end`: the daemon stops

    @staticmethod
    def _has_more(sock: Any) -> bool:
        """Has TLS bytes that were read from the socket already, of which a selector does not know?"""
        return hasattr(sock, "pending") and sock.pending() > 0

    def _line(self, stream: _Stream, line: bytes) -> None:
        try:
            event = json.loads(line)
        except ValueError:
            raise ConnectionLost("not an event: %r" % line[:80]) from None
        kind = event.get("event")
        if event.get("id") is not None:
            stream.last = int(event["id"])
        if kind == "done":
            stream.pause = FIRST_PAUSE
            with stream.lock:
                stream.runs.pop(event["data"]["id"], None)
                future = stream.futures.pop(event["data"]["id"], None)
                if future is None and stream.session is not None and not stream.closed:
                    stream.early[event["data"]["id"]] = event["data"]
            if future is not None:
                self._on_done(future, event["data"], None)
        elif kind in ("started", "waiting"):
            self._runs(stream, event["data"], kind == "started")
        elif kind == "missed":
            with stream.lock:
                stream.runs.clear()
                stream.connections += 1    # what was asked for before is not good either
        elif kind == "gone":
            future = stream.futures.pop(event["data"]["id"], None)
            if future is not None:
                self._on_done(future, None, _transport_error("the task was deleted before its end was read"))
        elif kind == "end":
            stream.ended = True

    @staticmethod
    def _runs(stream: _Stream, data: Dict[str, Any], runs: bool) -> None:
        """Another node's comes without `attempt`, and perhaps behind the end."""
        with stream.lock:
            if data["id"] in stream.futures or "attempt" in data:
                stream.runs[data["id"]] = runs

    def _refused(self, stream: _Stream) -> None:
        """503: again in a while. Named futures of which one is gone: its half is asked for again in halves, and so
        on. Anything else is final."""
        body = stream.parser.take()
        if stream.parser.status == 503:
            self._break(stream)
            return
        self._close(stream)
        self._streams.remove(stream)
        futures = stream.futures
        if stream.parser.status in (404, 410) and (len(futures) > 1 or stream.session is not None):
            names, half = list(futures), len(futures) // 2
            for part in (names[:half], names[half:]):
                if part:
                    self._streams.append(_Stream({name: futures[name] for name in part}))
            return
        text = "the daemon does not tell the end of the call: %s" % body[:300].decode("utf-8", "replace")
        for future in list(futures.values()):
            self._on_done(future, None, _transport_error(text))


def _transport_error(text: str) -> BaseException:
    from ._broken import TransportError

    return TransportError(text)
