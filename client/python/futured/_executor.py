# SPDX-License-Identifier: Apache-2.0
"""Executor: concurrent.futures.Executor on a daemon."""

from __future__ import annotations

import base64
import concurrent.futures
import itertools
import os
import re
import sys
import time
import weakref
from collections import deque
from ._typing import Any, Callable, Deque, Dict, Iterable, Iterator, List, Mapping, Optional, Tuple, TypeVar

from . import _calls, _core, _functions, _keys
from ._core import Core, Item, Scope
from ._errors import NotAccepted
from ._future import Future

T = TypeVar("T")
ENV_MAX = 1000             # variables
VERSION = re.compile(r"Python (\d+)\.(\d+)")


class Executor(concurrent.futures.Executor):
    """Runs calls on a daemon, each as a task: on disk once `future.id` is there, watched, and done also when this
    process is gone; any process can `attach(future.id)`.

    The first parameters are those of ThreadPoolExecutor and ProcessPoolExecutor. `max_workers`: so many calls run at
    once at most; without it, and beyond what the operator allows (MAX_WORKERS, MAX_THREADS), as many as those.
    `mp_context` and `thread_name_prefix` mean nothing here.

    `lane`: "cpu", a process for each call; "io", threads of one process. `handler`: the name of the handler, by default
    `python.cpu` or `python.io`. `url`, `token`, `ca`: as of Client. `key`: the key file that the worker has too, by
    default $FUTURED_KEY or ~/.config/futured/key. `output`: "relay" writes what a function printed to sys.stdout here
    when it is done; "keep" leaves it in the daemon's log. `at_exit`: "wait" for all calls when the program ends, or
    "detach" as soon as the daemon has them. `on_interrupt`: in a with block, Ctrl-C waits for the calls ("wait"), or
    cancels them ("cancel"). `options`: of each task, such as `{"timeout": 60, "retries": 2, "priority": 5}`.
    `share_authkey`: calls may use the proxies of a `multiprocessing.Manager` of this process; its key then stands in
    the session, in the daemon's database. `env`: environment variables of the worker processes of this executor, set
    before they load the main program, beside and before those that they have. They stand in the daemon's database; what
    Python itself reads as it starts (PYTHONHASHSEED) comes too late. `on_disconnect`: what becomes of the calls when
    this process has been gone for `grace` seconds (1 to 86400, 30 by default), as when it was killed: nothing ("keep"),
    those that wait are cancelled ("cancel_queued"), or all are ("cancel"). The time without a daemon does not count.

    Raises Unreachable when no daemon answers, RuntimeError when it has no such handler, or one of another version of
    Python, FileNotFoundError when there is no key, ValueError when `env` has a name that cannot be one, the pickled
    initializer and its arguments are larger than 1 MiB, or `grace` or `at_exit` do not go with `on_disconnect`.
    """

    def __init__(self, max_workers: Optional[int] = None, mp_context: Any = None,
                 initializer: Optional[Callable[..., Any]] = None, initargs: Tuple[Any, ...] = (), *,
                 lane: str = "cpu", url: Optional[str] = None, token: Optional[str] = None, ca: Optional[str] = None,
                 handler: Optional[str] = None, key: Optional[str] = None, max_tasks_per_child: Optional[int] = None,
                 thread_name_prefix: str = "", output: str = "relay", at_exit: str = "wait",
                 on_interrupt: str = "wait", options: Optional[Dict[str, Any]] = None,
                 share_authkey: bool = False, env: Optional[Mapping[str, str]] = None,
                 on_disconnect: str = "keep", grace: Optional[float] = None) -> None:
        if _calls.loading_main:
            raise _calls.StopLoading
        self._max_workers = _count(max_workers, lane)
        _check(initializer, max_tasks_per_child, lane=lane, output=output, at_exit=at_exit, on_interrupt=on_interrupt,
               on_disconnect=on_disconnect)
        self._where = (url, token, ca, _keys.load(key))
        self._lane, self._handler = lane, handler or "python." + lane
        self._options = dict(options or {})
        self._cancels_on_interrupt = on_interrupt == "cancel"
        self._number = os.urandom(16)
        _check_env(env or {})
        prepared = _calls.preparation(initializer, initargs, max_tasks_per_child, share_authkey, env)
        self._core = _core.core_of(*self._where)
        session = {"max_running": max_workers, "init": _init(self._core.key, self._number, prepared),
                   **_leaving(on_disconnect, grace, at_exit)}
        self._scope = Scope(output == "relay", at_exit, self._handler, session)
        self._core.scopes.add(self._scope)
        self._check_handler()
        weakref.finalize(self, _drop, self._core, self._scope).atexit = False

    def _check_handler(self) -> None:
        """Without this a program that never looks at its results would end well with no daemon there."""
        found = {each["name"]: each for each in self._core.client.handlers()}
        if self._handler not in found:
            raise RuntimeError("the daemon has no handler %r; `python3 -m futured handlers` prints its entry"
                               % self._handler)
        version = VERSION.search(found[self._handler].get("description", ""))
        if version and tuple(map(int, version.groups())) != sys.version_info[:2]:
            raise RuntimeError("the handler %r runs %s, and this is Python %d.%d"
                               % (self._handler, version[0], *sys.version_info[:2]))

    def _now(self) -> Core:
        """The core of this process: another one in a child after fork."""
        if self._core.pid != os.getpid():
            self._core = _core.core_of(*self._where)
            old = self._scope
            scope = Scope(old.relay, old.at_exit, old.handler, old.options)
            scope.is_shut, scope.broken = self._scope.is_shut, self._scope.broken
            self._scope = scope
            self._core.scopes.add(scope)
        return self._core

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> "Future":
        """Hands a call over; does not wait for the daemon. Function and arguments are pickled now; what cannot be
        pickled becomes the future's exception. Raises RuntimeError after shutdown, while the interpreter ends, and
        when a thread is needed and cannot be started, and InitializerFailed."""
        core, scope = self._now(), self._scope
        future = Future(core, scope)
        with scope.condition:
            if scope.broken is not None:
                raise scope.broken
            if scope.is_shut:
                raise RuntimeError("cannot schedule new futures after shutdown")
            if _core.is_ending():
                raise RuntimeError("cannot schedule new futures after interpreter shutdown")
            scope.pending.add(future)
        try:
            call = _functions.dumps((fn, args, kwargs))
        except BaseException as error:
            future._end(None, error)
            return future
        try:
            signed = _calls.encode(core.key, b"call", self._number, call)
            future._call_mac = signed[:_keys.MAC_BYTES]
            core.put(Item(scope, future, signed, self._options, None))
        except BaseException as error:  # no memory, no thread, Ctrl-C: shutdown must not wait for it
            core.withdraw(future)
            future._end(None, error)
            raise
        return future

    def map(self, fn: Callable[..., T], *iterables: Iterable[Any], timeout: Optional[float] = None,
            chunksize: int = 1, buffersize: Optional[int] = None) -> Iterator[T]:
        """As the standard library's; and it goes on behind an exception: the next result is the next call's.
        `chunksize` calls go into one task. `buffersize`: at most so many tasks are ahead of the reader. `close()` of
        the iterator cancels what has not begun; dropping it unread cancels nothing."""
        if chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        if buffersize is not None and not isinstance(buffersize, int):
            raise TypeError("buffersize must be an integer or None")
        if buffersize is not None and buffersize < 1:
            raise ValueError("buffersize must be None or > 0")
        calls = zip(*iterables)
        submit: Callable[[Any], Future]
        if chunksize == 1:
            source: Iterator[Any] = calls

            def submit(args: Any) -> Future:
                return self.submit(fn, *args)
        else:
            source = iter(lambda: list(itertools.islice(calls, chunksize)), [])

            def submit(args: Any) -> Future:
                return self.submit(_calls.run_chunk, fn, args)

        until = None if timeout is None else time.monotonic() + timeout
        futures = deque(map(submit, source if buffersize is None else itertools.islice(source, buffersize)))
        rest = source if buffersize is not None else iter(())
        return MapIterator(weakref.ref(self), submit if buffersize is not None else None, rest, futures, until,
                           chunksize > 1)

    def flush(self) -> None:
        """Waits until the daemon has all calls that were submitted so far. Raises NotAccepted when it has refused
        some since the last call."""
        self._now().flush()
        refused, self._scope.refused = self._scope.refused, 0
        if refused:
            raise NotAccepted("%d calls were not accepted" % refused)

    def cancel_all(self) -> None:
        """Cancels all calls that are not done, also those that run. Blocks until the daemon has done so."""
        self._now().flush()
        for future in list(self._scope.pending):
            future.cancel_running()

    def slots(self) -> int:
        """How many calls the daemon runs at once on the lane of this executor, beside those of others. Asks it."""
        for pool in self._now().client.pools():
            if pool["lane"] == self._lane:
                return int(pool["capacity"])
        return 1

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Takes no more calls. `wait`: until all are done. `cancel_futures`: what has not begun is cancelled."""
        core, scope = self._now(), self._scope
        with scope.condition:
            scope.is_shut = True
        if cancel_futures:
            core.flush()
            for future in sorted(scope.pending, key=lambda each: each._task_id or "", reverse=True):
                future.cancel()
        core.put_end(scope)
        if wait:
            scope.wait()
            _core.warn_refused(scope)

    def __exit__(self, kind: Any, value: Any, traceback: Any) -> None:
        if self._cancels_on_interrupt and kind is not None and issubclass(kind, KeyboardInterrupt):
            self.cancel_all()
        self.shutdown(wait=True)


def _count(max_workers: Optional[int], lane: str) -> int:
    if max_workers is None:
        return min(32, (os.cpu_count() or 1) + 4) if lane == "io" else os.cpu_count() or 1
    if max_workers <= 0:
        raise ValueError("max_workers must be greater than 0")
    return max_workers


def _init(key: bytes, number: bytes, prepared: bytes) -> Dict[str, str]:
    """The init of a session, as POST /v1/sessions takes it."""
    signed = _calls.encode(key, b"init", number, prepared)
    if len(signed) > _calls.INIT_MAX:
        raise ValueError("the initializer with its arguments is %d bytes; allowed: up to %d"
                         % (len(signed), _calls.INIT_MAX))
    return {"base64": base64.b64encode(signed).decode("ascii"), "content_type": _calls.INIT_TYPE}


def _check_env(env: Mapping[str, str]) -> None:
    if len(env) > ENV_MAX:
        raise ValueError("env has %d variables; allowed: up to %d" % (len(env), ENV_MAX))
    for name, value in env.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError("env: %r: names and values are str" % (name,))
        if not name or "=" in name or "\0" in name + value:
            raise ValueError("env: %r: a name is not empty and has no =, and neither it nor the value a NUL" % name)


def _check(initializer: Any, max_tasks: Any, **words: str) -> None:
    allowed = {"lane": ("io", "cpu"), "output": ("relay", "keep"), "at_exit": ("wait", "detach"),
               "on_interrupt": ("wait", "cancel"), "on_disconnect": ("keep", "cancel_queued", "cancel")}
    for name, word in words.items():
        if word not in allowed[name]:
            raise ValueError("%s must be one of %s, not %r" % (name, ", ".join(allowed[name]), word))
    if initializer is not None and not callable(initializer):
        raise TypeError("initializer must be a callable")
    if max_tasks is not None:
        if not isinstance(max_tasks, int):
            raise TypeError("max_tasks_per_child must be an integer")
        if max_tasks <= 0:
            raise ValueError("max_tasks_per_child must be >= 1")
        if words["lane"] == "io":
            raise ValueError("max_tasks_per_child is for the cpu lane")


def _leaving(on_disconnect: str, grace: Optional[float], at_exit: str) -> Dict[str, Any]:
    """Of a session's options: what becomes of it without its client."""
    if on_disconnect == "keep":
        if grace is not None:
            raise ValueError("grace goes with on_disconnect=\"cancel_queued\" or \"cancel\"")
        return {}
    if at_exit == "detach":
        raise ValueError("at_exit=\"detach\" leaves calls behind, which on_disconnect=%r would cancel" % on_disconnect)
    if grace is not None and not 1 <= grace <= 86400:
        raise ValueError("grace must be from 1 to 86400 seconds, not %r" % grace)
    return {"on_disconnect": on_disconnect, "grace": grace}


def _drop(core: Core, scope: Scope) -> None:
    """An executor that nobody holds takes no more calls; what it has goes on."""
    scope.is_shut = True
    if core.pid == os.getpid():
        core.put_end(scope)


class MapIterator(Iterator[T]):
    """The results of a map, in order. Holds no reference to a result that it has given away, nor to the executor."""

    def __init__(self, executor: "weakref.ref[Executor]", submit: Optional[Callable[[Any], Future]],
                 source: Iterator[Any], futures: Deque[Future], until: Optional[float], is_chunked: bool) -> None:
        self._executor, self._submit, self._source = executor, submit, source
        self._futures, self._until, self._is_chunked = futures, until, is_chunked
        self._chunk: List[Tuple[bool, Any]] = []    # of which the last is the next

    def __iter__(self) -> "MapIterator[T]":
        return self

    def __next__(self) -> T:
        while not self._chunk:
            if not self._futures:
                raise StopIteration
            future = self._futures[0]
            self._refill()
            try:
                value = self._wait(future)
            except concurrent.futures.TimeoutError:
                if not future.done():
                    self.close()
                raise
            finally:
                del future
            if not self._is_chunked:
                return value  # type: ignore[no-any-return]
            self._chunk = value[::-1]
            del value
        ok, result = self._chunk.pop()
        if ok:
            return result  # type: ignore[no-any-return]
        try:
            raise result
        finally:
            del result

    def _refill(self) -> None:
        """Keeps as many tasks ahead as were asked for."""
        executor = self._executor()
        if self._submit is None or executor is None or executor._scope.is_shut:
            return
        for args in itertools.islice(self._source, 1):
            self._futures.append(self._submit(args))

    def _wait(self, future: Future) -> Any:
        try:
            value = future.result(None if self._until is None else max(0.0, self._until - time.monotonic()))
        except BaseException:
            if future.done():
                self._futures.popleft()
            raise
        self._futures.popleft()
        return value

    def close(self) -> None:
        """Cancels what has not begun; there are no more results."""
        futures, self._futures, self._chunk = self._futures, deque(), []
        for future in futures:
            future.cancel()


class ThreadPoolExecutor(Executor):
    """Executor on the io lane, with the parameters of the standard library's ThreadPoolExecutor. The "threads" are
    those of a worker process: they share no memory with the caller."""

    def __init__(self, max_workers: Optional[int] = None, thread_name_prefix: str = "",
                 initializer: Optional[Callable[..., Any]] = None, initargs: Tuple[Any, ...] = (), **more: Any) -> None:
        more.setdefault("lane", "io")
        super().__init__(max_workers, None, initializer, initargs, thread_name_prefix=thread_name_prefix, **more)


class ProcessPoolExecutor(Executor):
    """Executor on the cpu lane, with the parameters of the standard library's ProcessPoolExecutor."""

    def __init__(self, max_workers: Optional[int] = None, mp_context: Any = None,
                 initializer: Optional[Callable[..., Any]] = None, initargs: Tuple[Any, ...] = (), **more: Any) -> None:
        more.setdefault("lane", "cpu")
        super().__init__(max_workers, mp_context, initializer, initargs, **more)


def attach(task: str, *, url: Optional[str] = None, token: Optional[str] = None, ca: Optional[str] = None,
           key: Optional[str] = None) -> Future:
    """The future of a call that some process has submitted, by its id. Raises Problem when the daemon does not know
    it; blocks for one request."""
    core = _core.core_of(url, token, ca, _keys.load(key))
    info = core.client.get(task)
    future = Future(core, None)
    future._task_id = task.lower()  # what comes must be the end of this task
    if info["done"]:
        core._on_done(future, info, None)
    else:
        core.watch({info["id"]: future})
    return future


def attach_all(tasks: Iterable[str], *, url: Optional[str] = None, token: Optional[str] = None,
               ca: Optional[str] = None, key: Optional[str] = None) -> List[Future]:
    """The futures of many calls, by their ids, in their order; does not wait for the daemon. One that it does not know
    ends with TransportError."""
    core = _core.core_of(url, token, ca, _keys.load(key))
    names = [task.lower() for task in tasks]
    found = {name: Future(core, None) for name in names}
    for name, future in found.items():
        future._task_id = name
    unique = iter(found.items())
    for part in iter(lambda: dict(itertools.islice(unique, _core.WATCH_MAX)), {}):
        core.watch(part)
    return [found[name] for name in names]
