# SPDX-License-Identifier: Apache-2.0
"""Client: the API of a daemon as methods. Inputs and results are bytes, str or JSON; nothing is pickled."""

from __future__ import annotations

import time
from ._typing import Any, Dict, Iterable, Iterator, List, Mapping, Optional, Tuple, Union

from . import _requests as requests
from ._errors import NotDone, failure_of
from ._http import Address, Query, default_token
from ._requests import LONG_POLL, NOTHING, Event, Future, Waited, id_of
from ._transport import Transport, follow

ALL, FIRST, FIRST_FAILURE = "ALL_COMPLETED", "FIRST_COMPLETED", "FIRST_EXCEPTION"


class Deadline:
    """The time that a caller has: `timeout` seconds, None: without end."""

    def __init__(self, timeout: Optional[float]) -> None:
        self.until = None if timeout is None else time.monotonic() + timeout

    def poll(self) -> float:
        """Seconds of the next long-poll."""
        return LONG_POLL if self.until is None else min(LONG_POLL, max(0.0, self.until - time.monotonic()))

    def passed(self) -> bool:
        return self.until is not None and time.monotonic() >= self.until


class Client:
    """A connection to a daemon, for any number of threads.

    `url`: `http://HOST:PORT`, `https://HOST:PORT` or `unix:/PATH`; default $FUTURED_URL, else
    http://127.0.0.1:8420. `token`: default $FUTURED_TOKEN or the file $FUTURED_TOKEN_FILE. `ca`: a file of
    certificates to trust instead of the system's. `patience`: seconds for which a request is sent again while the
    daemon is away or refuses for the moment (503 with Retry-After); then Unreachable or Problem is raised. Each
    submission has an Idempotency-Key, so however often it is sent it makes one task. A full queue is waited for
    without end.

    All methods block and may raise Problem (the daemon refused, and says why) and Unreachable. `timeout` is always in
    seconds, None is for ever; NotDone (a TimeoutError) is raised when it is over, and the task goes on.
    Where a method takes a task, it takes a Task, its id, or a future as the API shows it.
    """

    def __init__(self, url: Optional[str] = None, *, token: Optional[str] = None, ca: Optional[str] = None,
                 patience: float = 30.0) -> None:
        address = Address(url or Address.default(), ca)
        self._transport = Transport(address, token or default_token(), patience)

    @property
    def url(self) -> str:
        return self._transport.address.url

    def close(self) -> None:
        """Closes idle connections. The client may be used again."""
        self._transport.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    # ---- submit --------------------------------------------------------------------------------

    def submit(self, handler: str, input: Any = NOTHING, *, content_type: Optional[str] = None,
               **options: Any) -> "Task":
        """Submits a task; on disk when this returns. `input`: bytes (of `content_type`), str, or what JSON knows.
        Options are the members of POST /v1/tasks: timeout, delay, run_at, retries, priority, queue, unique, after,
        callback …; durations in seconds or as timedelta, times as datetime with a zone."""
        info = self._transport.call(requests.submit(handler, input, content_type, options))
        return Task(self, info)

    def batch(self, tasks: Iterable[Mapping[str, Any]], *, fail_fast: bool = False,
              callback: Optional[str] = None) -> "Batch":
        """Submits up to 10,000 tasks in one commit, all or none: mappings with `handler`, `input` and the options of
        submit, inputs as str or JSON. `fail_fast`: the first failure cancels the rest."""
        info = self._transport.call(requests.batch(tasks, fail_fast, callback))
        return Batch(self, info)

    def map(self, handler: str, inputs: Iterable[Any], *, timeout: Optional[float] = None,
            **options: Any) -> Iterator[Any]:
        """The results of one handler for many inputs (10,000 at most), in their order. All are submitted when this
        returns; the iterator raises what a task failed with, as that of Executor.map does."""
        batch = self.batch(dict(options, handler=handler, input=each) for each in inputs)
        return batch.values(timeout)

    # ---- one task ------------------------------------------------------------------------------

    def get(self, task: Any, *, wait: float = 0.0) -> Future:
        """The future as the API shows it; `wait`: seconds (50 at most) to wait for its end before."""
        return self._transport.call(requests.get(id_of(task), wait))

    def result(self, task: Any, timeout: Optional[float] = None) -> Any:
        """Waits for the result: JSON as its value, text as str, anything else as bytes. Raises TaskFailed,
        CancelledError, NotDone."""
        deadline = Deadline(timeout)
        while True:
            done, value = self._transport.call(requests.result(id_of(task), deadline.poll()))
            if done:
                return value
            if deadline.passed():
                raise NotDone("task %s is not done" % id_of(task))

    def exception(self, task: Any, timeout: Optional[float] = None) -> Optional[BaseException]:
        """Waits for the end: what the task failed with, CancelledError, or None. Raises NotDone."""
        deadline = Deadline(timeout)
        while True:
            future = self.get(task, wait=deadline.poll())
            if future["done"]:
                return failure_of(future)
            if deadline.passed():
                raise NotDone("task %s is not done" % id_of(task))

    def cancel(self, task: Any, *, running: bool = True) -> bool:
        """Cancels it, also while it runs unless `running` is False. False: it had ended otherwise, or runs."""
        return self._transport.call(requests.cancel(id_of(task), running))

    def retry(self, task: Any, *, fresh: bool = False) -> Future:
        """Queues a failed or cancelled task again; `fresh`: without its checkpoint."""
        return self._transport.call(requests.retry(id_of(task), fresh))

    def delete(self, task: Any) -> None:
        """Forgets a task that is done. One that is not there is no error."""
        self._transport.call(requests.delete(id_of(task)))

    def log(self, task: Any) -> str:
        """What the task has written so far; its last 64 KiB."""
        return self._transport.call(requests.log(id_of(task), 0, 0.0)).text

    def follow_log(self, task: Any) -> Iterator[str]:
        """What the task writes, as it comes, until its end."""
        begin = 0
        while True:
            part = self._transport.call(requests.log(id_of(task), begin, LONG_POLL))
            if part.text:
                yield part.text
            if part.done:
                return
            begin = part.next

    # ---- many ----------------------------------------------------------------------------------

    def wait(self, tasks: Any, timeout: Optional[float] = None, return_when: str = ALL) -> Waited:
        """Waits for the tasks of a Batch, or for named ones: (done, not_done), ids in their order. `return_when` as
        in concurrent.futures. When the time is over that is no error."""
        deadline, (ids, batch) = Deadline(timeout), _many(tasks)
        if ids == []:
            return Waited([], [])
        while True:
            found = self._transport.call(requests.wait_many(ids, batch, return_when, deadline.poll()))
            if not found.not_done or deadline.passed():
                return found
            if return_when == FIRST and found.done:
                return found
            if return_when == FIRST_FAILURE and self._failed(found.done):
                return found

    def _failed(self, ids: List[str]) -> bool:
        return any(self.get(each)["state"] == "failed" for each in ids)

    def events(self, tasks: Any, *, last: Optional[int] = None, timeout: Optional[float] = None,
               kinds: Optional[Iterable[str]] = None) -> Iterator[Event]:
        """What happens to the tasks of a Batch, or to named ones, until all are done: `done` with the future,
        `progress`, `gone`, and `end` as the last. It goes on by itself after a lost connection or a restart of the
        daemon, without gap or repeat. `last`: only what came behind the event of that number. `kinds`: these beside
        `end`, in place of done and progress: some of started, waiting, log, done, progress. What is not `done` is of
        what happens while the stream is open."""
        ids, batch = _many(tasks)
        try:
            if ids != []:
                yield from follow(self._transport, ids, batch, last, Deadline(timeout).until, _listed(kinds))
        except TimeoutError:
            raise NotDone("not all of the tasks are done") from None

    def as_completed(self, tasks: Any, timeout: Optional[float] = None) -> Iterator[Future]:
        """The futures, each as the API shows it, in the order in which they are done."""
        for event in self.events(tasks, timeout=timeout):
            if event.event == "done":
                yield event.data

    def results(self, tasks: Any, timeout: Optional[float] = None) -> Iterator[Future]:
        """The futures, each as the API shows it, in the order of submission, as soon as each is done. One that was
        deleted before has the state `gone`."""
        ids = tasks.ids if isinstance(tasks, Batch) else _many(tasks)[0]
        if ids is None:
            raise TypeError("results needs a Batch or its tasks, since only those have an order")
        feed = requests.in_order(ids)
        for event in self.events(tasks, timeout=timeout):
            yield from feed(event)

    def cancel_batch(self, batch: Any) -> None:
        """Cancels what is unfinished of a batch; durable when this returns, carried out soon after."""
        self._transport.call(requests.plain("POST", "/v1/batches/%s/cancel" % id_of(batch), None, NOTHING))

    def list(self, *, limit: Optional[int] = None, **filters: Any) -> Iterator[Future]:
        """Futures without results and logs, newest first, `limit` at most. Filters: state (a name, or several), lane,
        handler, code, batch, after, before, older_than. `after` and `before` are datetimes with a zone."""
        query = requests.filters(filters)
        while limit is None or limit > 0:
            query["limit"] = 1000 if limit is None else min(limit, 1000)
            found = self._transport.call(requests.page(query))
            yield from found["futures"]
            limit = None if limit is None else limit - len(found["futures"])
            query["cursor"] = found["next_cursor"]
            if query["cursor"] is None:
                return

    # ---- the daemon ----------------------------------------------------------------------------

    def handlers(self) -> List[Dict[str, Any]]:
        """What can be run."""
        return self._show("/v1/handlers", "handlers")

    def pools(self) -> List[Dict[str, Any]]:
        """The slots of each lane."""
        return self._show("/v1/pools", "pools")

    def workers(self) -> List[Dict[str, Any]]:
        """The worker processes."""
        return self._show("/v1/workers", "workers")

    def stats(self) -> Dict[str, Any]:
        """Counters of tasks, store, pools and HTTP."""
        found: Dict[str, Any] = self._transport.call(requests.show("/v1/stats", ""))
        return found

    def request(self, method: str, path: str, value: Any = NOTHING, *, query: Optional[Query] = None) -> Any:
        """Any other request of the API, such as `request("PUT", "/v1/limits/github", {"max_running": 2})`: `value`
        is sent as JSON, and the JSON of the answer comes back."""
        return self._transport.call(requests.plain(method, path, query, value))

    def _show(self, path: str, name: str) -> List[Dict[str, Any]]:
        found: List[Dict[str, Any]] = self._transport.call(requests.show(path, name))
        return found


def _many(tasks: Any) -> Tuple[Optional[List[str]], Optional[str]]:
    """(ids, None), or (None, the id of a batch)."""
    if isinstance(tasks, Batch):
        return None, tasks.id
    return [id_of(each) for each in tasks], None


def _listed(kinds: Optional[Iterable[str]]) -> Optional[List[str]]:
    """Names of events, each time the stream is opened anew."""
    return None if kinds is None else kinds.split(",") if isinstance(kinds, str) else list(kinds)


class Task:
    """A submitted task: its id, and the methods of Client that are about one. `info` is what was last known."""

    def __init__(self, client: Client, info: Union[str, Future]) -> None:
        self._client = client
        self.info: Future = {"id": info} if isinstance(info, str) else info
        self.id: str = self.info["id"]

    def __repr__(self) -> str:
        return "<Task %s %s>" % (self.id, self.info.get("state", "?"))

    def refresh(self, *, wait: float = 0.0) -> Future:
        """Asks the daemon; `wait`: seconds (50 at most) to wait for the end before."""
        self.info = self._client.get(self.id, wait=wait)
        return self.info

    def done(self) -> bool:
        return bool(self.refresh()["done"])

    def result(self, timeout: Optional[float] = None) -> Any:
        """As Client.result."""
        return self._client.result(self.id, timeout)

    def exception(self, timeout: Optional[float] = None) -> Optional[BaseException]:
        """As Client.exception."""
        return self._client.exception(self.id, timeout)

    def cancel(self, *, running: bool = True) -> bool:
        """Cancels it, also while it runs unless `running` is False. False: it had ended otherwise, or runs."""
        return self._client.cancel(self.id, running=running)

    def retry(self, *, fresh: bool = False) -> Future:
        """Queues it again after it failed or was cancelled."""
        self.info = self._client.retry(self.id, fresh=fresh)
        return self.info

    def delete(self) -> None:
        """Forgets it; it must be done."""
        self._client.delete(self.id)

    def log(self) -> str:
        """What it has written so far."""
        return self._client.log(self.id)

    def follow_log(self) -> Iterator[str]:
        """What it writes, as it comes."""
        return self._client.follow_log(self.id)


class Batch:
    """Tasks that were submitted together, in their order: `ids`."""

    def __init__(self, client: Client, info: Mapping[str, Any]) -> None:
        self._client = client
        self.id: str = info["id"]
        self.ids: List[str] = list(info["ids"])

    def __repr__(self) -> str:
        return "<Batch %s of %d>" % (self.id, len(self.ids))

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[Task]:
        return (Task(self._client, each) for each in self.ids)

    def refresh(self) -> Dict[str, Any]:
        """How far it is: total, finished, counts, rate, eta …"""
        found: Dict[str, Any] = self._client.request("GET", "/v1/batches/" + self.id)
        return found

    def wait(self, timeout: Optional[float] = None, return_when: str = ALL) -> Waited:
        """As Client.wait."""
        return self._client.wait(self, timeout, return_when)

    def as_completed(self, timeout: Optional[float] = None) -> Iterator[Future]:
        """The futures in the order in which they are done."""
        return self._client.as_completed(self, timeout)

    def results(self, timeout: Optional[float] = None) -> Iterator[Future]:
        """The futures in the order of submission."""
        return self._client.results(self, timeout)

    def values(self, timeout: Optional[float] = None) -> Iterator[Any]:
        """The results themselves in the order of submission; raises what a task failed with."""
        for future in self.results(timeout):
            yield requests.value_of(future)

    def events(self, *, last: Optional[int] = None, timeout: Optional[float] = None,
               kinds: Optional[Iterable[str]] = None) -> Iterator[Event]:
        """As Client.events."""
        return self._client.events(self, last=last, timeout=timeout, kinds=kinds)

    def cancel(self) -> None:
        """Cancels what is unfinished."""
        self._client.cancel_batch(self)
