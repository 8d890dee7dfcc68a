# SPDX-License-Identifier: Apache-2.0
"""Sends calls over blocking connections, which are kept for the next call."""

from __future__ import annotations

import os
import socket
import threading
import time
import weakref
from ._typing import Dict, Iterable, Iterator, List, Optional, TypeVar

from ._http import READ_BYTES, Address, Answer, ConnectionLost, Lines, Parser, encode
from ._requests import Call, Event, Tries, event_of, events, problem

T = TypeVar("T")
ANSWER_SECONDS = 60.0      # without a byte, beyond what the daemon was asked to wait, and the connection counts as lost
IDLE_MAX = 32              # connections that are kept


class Transport:
    """Connections to one daemon. Any thread may use it; a child after fork gets connections of its own."""

    def __init__(self, address: Address, token: Optional[str], patience: float) -> None:
        self.address = address
        self.patience = patience
        self.headers: Dict[str, str] = {"Authorization": "Bearer " + token} if token else {}
        self._lock = threading.Lock()
        self._idle: List[socket.socket] = []
        self._pid = os.getpid()
        _transports.add(self)

    def call(self, call: Call[T]) -> T:
        """Sends it until it is answered, and gives what the answer means. Blocks. Raises Problem, Unreachable, and
        what the call's own meaning raises."""
        tries = Tries(call, self.patience)
        while True:
            try:
                answer = self._once(call)
            except OSError as error:
                pause: Optional[float] = tries.failed(error)
            else:
                pause = tries.answered(answer)
            if pause is None:
                return call.parse(answer)
            time.sleep(pause)

    def open(self, call: Call[None]) -> "Stream":
        """Begins a stream. Blocks until its head is there."""
        tries = Tries(call, self.patience)
        while True:
            try:
                stream = Stream(self, self.take()[0], call)
            except OSError as error:
                time.sleep(tries.failed(error))
                continue
            if stream.answer is None:
                return stream
            pause = tries.answered(stream.answer)
            if pause is None:
                raise problem(stream.answer)
            time.sleep(pause)

    def close(self) -> None:
        """Closes what is idle. The transport may be used again."""
        with self._lock:
            idle, self._idle = self._idle, []
        for sock in idle:
            sock.close()

    def bytes_of(self, call: Call[T]) -> bytes:
        headers = dict(self.headers, **call.headers)
        return encode(call.method, call.target, self.address.name, headers, call.body)

    def give_back(self, sock: socket.socket) -> None:
        """A connection whose answer was read to its end."""
        with self._lock:
            if self._pid == os.getpid() and len(self._idle) < IDLE_MAX:
                self._idle.append(sock)
                return
        sock.close()

    def take(self) -> "tuple[socket.socket, bool]":
        """A connection, and whether it is a new one. Blocks, and raises OSError, when there is none that is idle."""
        with self._lock:
            if self._idle:
                return self._idle.pop(), False
        return self.address.connect(), True

    def _once(self, call: Call[T]) -> Answer:
        sock, fresh = self.take()
        try:
            if sock.gettimeout() != ANSWER_SECONDS + call.wait:
                sock.settimeout(ANSWER_SECONDS + call.wait)
            parser = self._exchange(sock, call)
        except BaseException as error:
            sock.close()
            if isinstance(error, OSError) and not fresh:
                self.close()  # the daemon that the idle ones lead to may be gone
            raise
        if parser.keep_alive:
            self.give_back(sock)
        else:
            sock.close()
        return Answer(parser.status, parser.headers, parser.take())

    def _exchange(self, sock: socket.socket, call: Call[T]) -> Parser:
        try:
            sock.sendall(self.bytes_of(call))
        except (BrokenPipeError, ConnectionResetError):
            pass  # a refusal may stand in the way back all the same
        parser = Parser(call.method)
        while not parser.done:
            parser.feed(sock.recv(READ_BYTES))
        return parser

    def _after_fork(self) -> None:
        self._lock = threading.Lock()
        self._idle, self._pid = [], os.getpid()


_transports: "weakref.WeakSet[Transport]" = weakref.WeakSet()


def _after_fork() -> None:
    for transport in list(_transports):
        transport._after_fork()


os.register_at_fork(after_in_child=_after_fork)  # once: such hooks are never taken away


class Stream:
    """An answer that is read line by line while it comes. `answer` is set when it is no stream but a refusal."""

    def __init__(self, transport: Transport, sock: socket.socket, call: Call[None]) -> None:
        self._transport, self._sock = transport, sock
        self._parser = Parser(call.method)
        self._lines = Lines()
        self.answer: Optional[Answer] = None
        try:
            sock.settimeout(ANSWER_SECONDS)
            sock.sendall(transport.bytes_of(call))
            while not self._parser.status:
                self._read()
            if self._parser.status != 200:
                while not self._parser.done:
                    self._read()
                self.answer = Answer(self._parser.status, self._parser.headers, self._parser.take())
                self.close()
        except BaseException:
            sock.close()
            raise

    def _read(self) -> None:
        self._parser.feed(self._sock.recv(READ_BYTES))

    def lines(self, until: Optional[float] = None) -> Iterator[bytes]:
        """Its lines; stops at its end. `until`: raises TimeoutError at that time of the monotonic clock."""
        while True:
            for line in self._lines.feed(self._parser.take()):
                yield line
            if self._parser.done:
                return
            seconds = ANSWER_SECONDS
            if until is not None:
                seconds = min(seconds, max(0.001, until - time.monotonic()))
            self._sock.settimeout(seconds)
            try:
                self._read()
            except socket.timeout:
                if until is not None and time.monotonic() >= until:
                    raise TimeoutError from None
                raise ConnectionLost("nothing came for %d s" % ANSWER_SECONDS) from None

    def close(self) -> None:
        """Ends it, wherever it is."""
        if self._parser.done and self._parser.keep_alive:
            self._transport.give_back(self._sock)
        else:
            self._sock.close()


def follow(transport: Transport, ids: Optional[List[str]], batch: Optional[str], last: Optional[int],
           until: Optional[float], kinds: Optional[Iterable[str]] = None) -> Iterator[Event]:
    """The events of a batch, or of named futures, behind the event `last`, with the closing `end`. A stream that
    breaks, or that a daemon ends because it stops, goes on where it was. Raises TimeoutError at `until`."""
    broken: Optional[Tries] = None
    while True:
        call = events(ids, batch, last, kinds)
        stream = transport.open(call)
        try:
            for line in stream.lines(until):
                event = event_of(line)
                if event is None:
                    continue
                broken = None
                if event.id is not None:
                    last = event.id
                yield event
                if event.event == "end":
                    return
        except TimeoutError:
            raise
        except OSError as error:
            broken = broken or Tries(call, transport.patience)
            time.sleep(broken.failed(error))
        else:
            time.sleep(0.05)  # it ended without `end`: the daemon is about to stop
        finally:
            stream.close()
