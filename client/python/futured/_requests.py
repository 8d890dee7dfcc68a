# SPDX-License-Identifier: Apache-2.0
"""The verbs of the API as values: what to send, what the answer means, and whether it may be sent again.

Nothing here touches a socket: the blocking client and the asyncio client both send these.
"""

from __future__ import annotations

import base64
import json
import os
import time
from ._typing import Any, Callable, Dict, Generic, Iterable, List, Mapping, NamedTuple, Optional, Tuple, TypeVar, Union

from ._errors import CancelledError, Problem, Unreachable, failed, failure_of
from ._http import JSON, NDJSON, Answer, Query, segment, target

T = TypeVar("T")
Future = Dict[str, Any]        # a future as GET /v1/futures/{id} shows it
LONG_POLL = 50.0               # seconds that the daemon makes of a longer ?wait
FIRST_PAUSE, LAST_PAUSE = 0.05, 2.0    # seconds between tries to reach a daemon
FULL_PAUSE = 5.0           # seconds after which a full queue is tried again, if it says more
OCTETS = "application/octet-stream"
NOTHING: Any = type("Nothing", (), {"__repr__": lambda self: "NOTHING"})()  # no input at all: 0 bytes


class Call(Generic[T]):
    """A request and what its answer means. `again`: the daemon does it once however often it is sent. `patient`: a
    full queue is waited for without end. `wait`: seconds that the daemon may take on purpose."""

    __slots__ = ("method", "target", "headers", "body", "parse", "again", "patient", "wait")

    def __init__(self, method: str, where: str, parse: Callable[[Answer], T], value: Any = NOTHING,
                 body: Optional[bytes] = None, content_type: Optional[str] = None, key: bool = False,
                 again: bool = True, wait: float = 0.0) -> None:
        self.method, self.target, self.parse, self.again, self.wait = method, where, parse, again, wait
        self.patient = key
        self.headers: Dict[str, str] = {}
        if value is not NOTHING:
            body, content_type = json.dumps(value, allow_nan=False).encode("utf-8"), JSON
        self.body = body
        if content_type:
            self.headers["Content-Type"] = content_type
        if key:
            self.headers["Idempotency-Key"] = os.urandom(16).hex()


class Tries:
    """Says after each try of a call how long to pause before the next one, or that this was the last. The time of
    a daemon's restart is bridged: `patience` seconds in all, without end while the queue is full."""

    def __init__(self, call: Call[Any], patience: float) -> None:
        self._call = call
        self._until = time.monotonic() + patience
        self._pause = FIRST_PAUSE
        self.failures = 0          # tries of which nobody knows whether they arrived

    def failed(self, error: OSError) -> float:
        """The connection failed: seconds to pause, or Unreachable."""
        self.failures += 1
        if not self._call.again or time.monotonic() >= self._until:
            raise Unreachable("%s %s: %s" % (self._call.method, self._call.target, error)) from error
        import random  # seldom: it takes as long to import as all of this

        pause = self._pause * random.uniform(0.8, 1.2)
        self._pause = min(self._pause * 2, LAST_PAUSE)
        return 0.0 if self.failures == 1 else pause

    def answered(self, answer: Answer) -> Optional[float]:
        """An answer came: None when it counts, else the seconds to pause (503 with Retry-After)."""
        after = answer.headers.get("retry-after", "")
        if answer.status != 503 or not self._call.again or not after.isdigit():
            return None
        if self._call.patient and answer.json().get("code") == "queue_full":
            return min(float(after), FULL_PAUSE)
        remaining = self._until - time.monotonic()
        return None if remaining <= 0 else min(float(after), remaining)


def problem(answer: Answer) -> Problem:
    return Problem(answer.status, answer.json())


def read_json(answer: Answer) -> Any:
    """The JSON of an answer of 2xx; raises Problem for any other."""
    if not 200 <= answer.status < 300:
        raise problem(answer)
    return json.loads(answer.body)


def read_nothing(answer: Answer) -> None:
    if not 200 <= answer.status < 300:
        raise problem(answer)


def decode(data: bytes, content_type: str) -> Any:
    """A result as Python knows it: JSON as its value, text as str, anything else as bytes."""
    base = content_type.partition(";")[0].strip().lower()
    if base == JSON:
        return json.loads(data)
    return data.decode("utf-8", "replace") if base.startswith("text/") else data


def member(name: str, value: Any) -> Any:
    """An option as JSON has it: a time as RFC 3339 writes it, a duration in seconds."""
    if value is None or isinstance(value, (str, int, float, dict, list)):
        return value
    import datetime

    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, datetime.datetime):
        if value.tzinfo is None:
            raise ValueError("%s: a time needs a zone: datetime.now(timezone.utc)" % name)
        return value.isoformat()
    return value


def value_of(future: Mapping[str, Any]) -> Any:
    """The result in a future that is done, as the API shows it; raises what the task failed with."""
    failure = failure_of(future)
    if failure is not None:
        raise failure
    found = future["result"]
    if isinstance(found, dict) and len(found) == 3 and "href" in found and "content_type" in found:
        if "base64" in found:
            return base64.b64decode(found["base64"])
        return found.get("text", found)
    return found


# ---- submissions -------------------------------------------------------------------------------


def submit(handler: str, value: Any, content_type: Optional[str], options: Mapping[str, Any]) -> Call[Future]:
    """POST /v1/tasks, or POST /v1/tasks/{handler} for bytes."""
    members = {name: member(name, v) for name, v in options.items() if v is not None}
    if not isinstance(value, (bytes, bytearray, memoryview)):
        if content_type is not None:
            raise TypeError("content_type is for an input of bytes")
        task = dict(members, handler=handler)
        if value is not NOTHING:
            task["input"] = value
        return Call("POST", "/v1/tasks", read_json, value=task, key=True)
    for name, v in members.items():
        if not isinstance(v, (str, int, float)):
            raise TypeError("%s cannot stand beside an input of bytes: give the input as str or JSON" % name)
    return Call("POST", target("/v1/tasks/" + segment(handler), members), read_json, body=bytes(value),
                content_type=content_type or OCTETS, key=True)


def batch(tasks: Iterable[Mapping[str, Any]], fail_fast: bool, callback: Optional[str]) -> Call[Dict[str, Any]]:
    """POST /v1/batches, as NDJSON: a line a task."""
    lines: List[str] = []
    for task in tasks:
        members = {name: member(name, v) for name, v in task.items() if v is not NOTHING}
        lines.append(json.dumps(members, allow_nan=False))
    query: Query = {"fail_fast": True if fail_fast else None, "callback": callback}
    return Call("POST", target("/v1/batches", query), read_json, body="\n".join(lines).encode("utf-8"),
                content_type=NDJSON, key=True)


def open_session(handler: str, options: Mapping[str, Any]) -> Call[Dict[str, Any]]:
    """POST /v1/sessions. One that is opened twice is used once, and the other one goes by itself."""
    return Call("POST", "/v1/sessions", read_json, value=dict(options, handler=handler))


def join_session(session: str, tasks: Iterable[Mapping[str, Any]]) -> Call[Dict[str, Any]]:
    """POST /v1/sessions/{id}/tasks, as NDJSON."""
    body = "\n".join(json.dumps(task, allow_nan=False) for task in tasks).encode("utf-8")
    return Call("POST", "/v1/sessions/%s/tasks" % segment(session), read_json, body=body, content_type=NDJSON, key=True)


def close_session(session: str) -> Call[Dict[str, Any]]:
    return Call("DELETE", "/v1/sessions/" + segment(session), read_json)


def plain(method: str, path: str, query: Optional[Query], value: Any) -> Call[Any]:
    """Any other request. A POST is sent again after a lost connection only where it has an Idempotency-Key."""
    keyed = method == "POST" and path in ("/v1/tasks", "/v1/batches", "/v1/promises")
    return Call(method, target(path, query), lambda answer: read_json(answer) if answer.body else read_nothing(answer),
                value=value, key=keyed, again=keyed or method != "POST")


# ---- one future --------------------------------------------------------------------------------


def get(future: str, wait: float = 0.0) -> Call[Future]:
    return Call("GET", target("/v1/futures/" + segment(future), {"wait": wait or None}), read_json, wait=wait)


def result(future: str, wait: float) -> Call[Tuple[bool, Any]]:
    """(True, the result), (False, None) when it is not done yet; raises what the task failed with."""

    def parse(answer: Answer) -> Tuple[bool, Any]:
        if answer.status == 200:
            return True, decode(answer.body, answer.headers.get("content-type", OCTETS))
        info = answer.json()
        if info.get("code") == "not_done":
            return False, None
        if info.get("code") == "task_failed":
            error = info.get("error")
            raise failed(error if isinstance(error, dict) else info)
        if info.get("code") == "task_cancelled":
            raise CancelledError(str(info.get("detail", "")))
        raise problem(answer)

    return Call("GET", target("/v1/futures/%s/result" % segment(future), {"wait": wait or None}), parse, wait=wait)


def cancel(future: str, running: bool) -> Call[bool]:
    """True when it is cancelled, also before; False when it had ended otherwise, or runs and may."""

    def parse(answer: Answer) -> bool:
        if answer.status == 409 and answer.json().get("code") in ("already_done", "already_running"):
            return False
        read_nothing(answer)
        return True

    query: Query = {"running": None if running else False}
    return Call("POST", target("/v1/futures/%s/cancel" % segment(future), query), parse)


def retry(future: str, fresh: bool) -> Call[Future]:
    return Call("POST", target("/v1/futures/%s/retry" % segment(future), {"fresh": True if fresh else None}), read_json,
                again=False)


def delete(future: str) -> Call[None]:
    """404 is no error: then it is gone, perhaps by a try before this one."""

    def parse(answer: Answer) -> None:
        if not (answer.status == 404 and answer.json().get("code") == "unknown_future"):
            read_nothing(answer)

    return Call("DELETE", "/v1/futures/" + segment(future), parse)


class LogPart(NamedTuple):
    text: str
    next: int                  # the `begin` of the next request
    done: bool                 # nothing will follow


def log(future: str, begin: int, wait: float) -> Call[LogPart]:
    def parse(answer: Answer) -> LogPart:
        if answer.status != 200:
            raise problem(answer)
        state = answer.headers.get("futured-state", "")
        done = state in ("succeeded", "failed", "cancelled") and not answer.body
        return LogPart(answer.body.decode("utf-8", "replace"), int(answer.headers.get("futured-log-next", "0")), done)

    where = target("/v1/futures/%s/log" % segment(future), {"from": begin, "wait": wait or None})
    return Call("GET", where, parse, wait=wait)


# ---- many --------------------------------------------------------------------------------------


class Waited(NamedTuple):
    done: List[str]            # ids, in the order that was asked
    not_done: List[str]


def wait_many(ids: Optional[List[str]], batch_id: Optional[str], return_when: str, seconds: float) -> Call[Waited]:
    value: Dict[str, Any] = {"return_when": return_when, "timeout": seconds}
    value["ids" if batch_id is None else "batch"] = ids if batch_id is None else batch_id

    def parse(answer: Answer) -> Waited:
        found = read_json(answer)
        return Waited(found["done"], found["not_done"])

    return Call("POST", "/v1/wait", parse, value=value, wait=seconds)


def filters(given: Mapping[str, Any]) -> Dict[str, Any]:
    """The filters of a list as members of a query."""
    return {name: ",".join(value) if isinstance(value, (tuple, list, frozenset, set)) else member(name, value)
            for name, value in given.items()}


def page(query: Query) -> Call[Dict[str, Any]]:
    return Call("GET", target("/v1/futures", query), read_json)


def show(path: str, name: str) -> Call[Any]:
    """GET of a list that stands in the member `name`; the whole object when that is empty."""
    return Call("GET", path, lambda answer: read_json(answer)[name] if name else read_json(answer))


class Event(NamedTuple):
    """What a stream tells: `done` with a future, `progress`, `gone` with an id, `end`; on wish `started`, `waiting`,
    `log`, and `missed` where some of these were left out."""

    event: str
    id: Optional[int]          # its place in the order of completion, for Last-Event-ID
    data: Dict[str, Any]


def session_events(session: str, last: Optional[int], tells_runs: bool) -> Call[None]:
    """The stream of a session, as NDJSON, behind the event `last`: of each future what its end needs, and on wish
    when it begins to run, or waits again."""
    kinds = "started,waiting,done" if tells_runs else "done"
    query: Query = {"fields": "state,result,log,error", "events": kinds}
    call: Call[None] = Call("GET", target("/v1/sessions/%s/events" % segment(session), query), read_nothing)
    call.headers["Accept"] = NDJSON
    if last is not None:
        call.headers["Last-Event-ID"] = str(last)
    return call


def events(ids: Optional[List[str]], batch_id: Optional[str], last: Optional[int],
           kinds: Optional[Iterable[str]] = None) -> Call[None]:
    """The stream of a batch, or of named futures, as NDJSON, behind the event `last`."""
    query: Query = {} if kinds is None else {"events": ",".join(kinds)}
    if batch_id is not None:
        call: Call[None] = Call("GET", target("/v1/batches/%s/events" % segment(batch_id), query), read_nothing)
    else:
        call = Call("POST", target("/v1/as_completed", query), read_nothing, value={"ids": ids})
    call.headers["Accept"] = NDJSON
    if last is not None:
        call.headers["Last-Event-ID"] = str(last)
    return call


def event_of(line: bytes) -> Optional[Event]:
    """One line of such a stream; None for what only keeps the connection alive."""
    value = json.loads(line)
    if value.get("event") == "keep-alive":
        return None
    number = value.get("id")
    return Event(str(value.get("event", "")), None if number is None else int(number), value.get("data") or {})


def in_order(ids: List[str]) -> Callable[[Event], List[Future]]:
    """Feed it the events of a stream: it gives the futures back in the order of `ids`, as soon as that can be. One
    that was deleted before its turn came is {"id", "state": "gone"}."""
    early: Dict[str, Future] = {}
    position = 0

    def feed(event: Event) -> List[Future]:
        nonlocal position
        if event.event in ("done", "gone"):
            early[event.data["id"]] = event.data if event.event == "done" else dict(event.data, state="gone")
        ready: List[Future] = []
        while position < len(ids) and ids[position] in early:
            ready.append(early.pop(ids[position]))
            position += 1
        return ready

    return feed


Ids = Union[str, Iterable[Any]]


def id_of(thing: Any) -> str:
    """The id of a handle, of a future as the API shows it, or the id itself."""
    if isinstance(thing, str):
        return thing
    return str(thing["id"] if isinstance(thing, dict) else thing.id)
