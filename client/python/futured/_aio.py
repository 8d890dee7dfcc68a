# SPDX-License-Identifier: Apache-2.0
"""AsyncClient: the verbs of Client for asyncio, on asyncio's own streams; no thread is used."""

from __future__ import annotations

import asyncio
import time
import typing
from typing import Any, AsyncIterator, Dict, Iterable, List, Mapping, Optional, Tuple, TypeVar, Union

from . import _requests as requests
from ._client import ALL, FIRST, FIRST_FAILURE, Deadline, _listed
from ._errors import NotDone, failure_of
from ._http import (CONNECT_SECONDS, READ_BYTES, Address, Answer, ConnectionLost, Lines, Parser, Query, default_token,
                    encode)
from ._requests import LONG_POLL, NOTHING, Call, Event, Future, Tries, Waited, id_of, problem
from ._transport import ANSWER_SECONDS, IDLE_MAX

T = TypeVar("T")
Pair = Tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Connections:
    """Connections of one event loop to one daemon."""

    def __init__(self, address: Address, token: Optional[str], patience: float) -> None:
        self.address, self.patience = address, patience
        self.headers: Dict[str, str] = {"Authorization": "Bearer " + token} if token else {}
        self._idle: List[Pair] = []
        self._loop: Optional[asyncio.AbstractEventLoop] = None

    async def take(self) -> Pair:
        if self._loop is not asyncio.get_running_loop():
            self._idle, self._loop = [], asyncio.get_running_loop()  # those of an earlier loop died with it
        if self._idle:
            return self._idle.pop()
        address = self.address
        if address.path is not None:
            opening = asyncio.open_unix_connection(address.path)
        else:
            name = address.host if address.tls else None
            opening = asyncio.open_connection(address.host, address.port, ssl=address.tls, server_hostname=name)
        try:
            return await asyncio.wait_for(opening, CONNECT_SECONDS)
        except asyncio.TimeoutError:
            raise ConnectionLost("no connection within %d s" % CONNECT_SECONDS) from None

    async def send(self, pair: Pair, call: Call[Any]) -> None:
        pair[1].write(encode(call.method, call.target, self.address.name, dict(self.headers, **call.headers), call.body))
        await pair[1].drain()

    def give_back(self, pair: Pair, parser: Parser) -> None:
        """Keeps it for the next call when its answer was read to the end."""
        if parser.done and parser.keep_alive and len(self._idle) < IDLE_MAX:
            self._idle.append(pair)
        else:
            pair[1].close()

    def close(self) -> None:
        idle, self._idle = self._idle, []
        for _, writer in idle:
            writer.close()

    async def call(self, call: Call[T]) -> T:
        tries = Tries(call, self.patience)
        while True:
            try:
                answer = await self._once(call)
            except OSError as error:
                pause: Optional[float] = tries.failed(error)
            else:
                pause = tries.answered(answer)
            if pause is None:
                return call.parse(answer)
            await asyncio.sleep(pause)

    async def _once(self, call: Call[T]) -> Answer:
        pair, parser = await self.take(), Parser(call.method)
        try:
            await self.send(pair, call)
            while not parser.done:
                await read(pair, parser, ANSWER_SECONDS + call.wait)
        except OSError:
            self.close()
            raise
        finally:
            self.give_back(pair, parser)
        return Answer(parser.status, parser.headers, parser.take())

    async def lines(self, call: Call[None], until: Optional[float]) -> AsyncIterator[bytes]:
        """The lines of one stream, until it ends. Raises TimeoutError at `until`, Problem when it is refused."""
        pair, parser, lines = await self.take(), Parser(call.method), Lines()
        try:
            await self.send(pair, call)
            while not parser.done:
                seconds = ANSWER_SECONDS if until is None else min(ANSWER_SECONDS, until - time.monotonic())
                try:
                    await read(pair, parser, max(0.001, seconds))
                except ConnectionLost:
                    if until is not None and time.monotonic() >= until:
                        raise TimeoutError from None
                    raise
                if parser.status == 200:
                    for line in lines.feed(parser.take()):
                        yield line
            if parser.status != 200:
                raise problem(Answer(parser.status, parser.headers, parser.take()))
        finally:
            self.give_back(pair, parser)

    async def follow(self, ids: Optional[List[str]], batch: Optional[str], last: Optional[int],
                     until: Optional[float], kinds: Optional[Iterable[str]] = None) -> AsyncIterator[Event]:
        """As follow() of _transport.py."""
        tries: Optional[Tries] = None
        while True:
            call = requests.events(ids, batch, last, kinds)
            lines = self.lines(call, until)
            try:
                async for line in lines:
                    event = requests.event_of(line)
                    if event is None:
                        continue
                    tries = None
                    last = last if event.id is None else event.id
                    yield event
                    if event.event == "end":
                        return
                pause = 0.05  # it ended without `end`: the daemon is about to stop
            except TimeoutError:
                raise
            except OSError as error:
                tries = tries or Tries(call, self.patience)
                pause = tries.failed(error)
            finally:
                await lines.aclose()  # type: ignore[attr-defined]
            await asyncio.sleep(pause)


async def read(pair: Pair, parser: Parser, seconds: float) -> None:
    try:
        parser.feed(await asyncio.wait_for(pair[0].read(READ_BYTES), seconds))
    except asyncio.TimeoutError:
        raise ConnectionLost("nothing came for %d s" % seconds) from None


class AsyncClient:
    """A connection to a daemon for the coroutines of one event loop. Parameters, meanings and errors are those of
    Client; what blocks there is awaited here, and what is iterated there is `async for` here."""

    def __init__(self, url: Optional[str] = None, *, token: Optional[str] = None, ca: Optional[str] = None,
                 patience: float = 30.0) -> None:
        self._connections = _Connections(Address(url or Address.default(), ca), token or default_token(), patience)

    @property
    def url(self) -> str:
        return self._connections.address.url

    async def close(self) -> None:
        """Closes idle connections. The client may be used again."""
        self._connections.close()

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(self, *_: Any) -> None:
        await self.close()

    # ---- submit --------------------------------------------------------------------------------

    async def submit(self, handler: str, input: Any = NOTHING, *, content_type: Optional[str] = None,
                     **options: Any) -> "AsyncTask":
        """As Client.submit."""
        info = await self._connections.call(requests.submit(handler, input, content_type, options))
        return AsyncTask(self, info)

    async def batch(self, tasks: Iterable[Mapping[str, Any]], *, fail_fast: bool = False,
                    callback: Optional[str] = None) -> "AsyncBatch":
        """As Client.batch."""
        info = await self._connections.call(requests.batch(tasks, fail_fast, callback))
        return AsyncBatch(self, info)

    async def map(self, handler: str, inputs: Iterable[Any], *, timeout: Optional[float] = None,
                  **options: Any) -> AsyncIterator[Any]:
        """The results in the order of the inputs, as Client.map; submitted when the first is asked for."""
        batch = await self.batch(dict(options, handler=handler, input=each) for each in inputs)
        async for value in batch.values(timeout):
            yield value

    # ---- one task ------------------------------------------------------------------------------

    async def get(self, task: Any, *, wait: float = 0.0) -> Future:
        """As Client.get."""
        return await self._connections.call(requests.get(id_of(task), wait))

    async def result(self, task: Any, timeout: Optional[float] = None) -> Any:
        """As Client.result."""
        deadline = Deadline(timeout)
        while True:
            done, value = await self._connections.call(requests.result(id_of(task), deadline.poll()))
            if done:
                return value
            if deadline.passed():
                raise NotDone("task %s is not done" % id_of(task))

    async def exception(self, task: Any, timeout: Optional[float] = None) -> Optional[BaseException]:
        """As Client.exception."""
        deadline = Deadline(timeout)
        while True:
            future = await self.get(task, wait=deadline.poll())
            if future["done"]:
                return failure_of(future)
            if deadline.passed():
                raise NotDone("task %s is not done" % id_of(task))

    async def cancel(self, task: Any, *, running: bool = True) -> bool:
        """As Client.cancel."""
        return await self._connections.call(requests.cancel(id_of(task), running))

    async def retry(self, task: Any, *, fresh: bool = False) -> Future:
        """As Client.retry."""
        return await self._connections.call(requests.retry(id_of(task), fresh))

    async def delete(self, task: Any) -> None:
        """As Client.delete."""
        await self._connections.call(requests.delete(id_of(task)))

    async def log(self, task: Any) -> str:
        """As Client.log."""
        return (await self._connections.call(requests.log(id_of(task), 0, 0.0))).text

    async def follow_log(self, task: Any) -> AsyncIterator[str]:
        """As Client.follow_log."""
        begin = 0
        while True:
            part = await self._connections.call(requests.log(id_of(task), begin, LONG_POLL))
            if part.text:
                yield part.text
            if part.done:
                return
            begin = part.next

    # ---- many ----------------------------------------------------------------------------------

    async def wait(self, tasks: Any, timeout: Optional[float] = None, return_when: str = ALL) -> Waited:
        """As Client.wait."""
        deadline, (ids, batch) = Deadline(timeout), _many(tasks)
        if ids == []:
            return Waited([], [])
        while True:
            found = await self._connections.call(requests.wait_many(ids, batch, return_when, deadline.poll()))
            if not found.not_done or deadline.passed() or (return_when == FIRST and found.done):
                return found
            if return_when == FIRST_FAILURE:
                for each in found.done:
                    if (await self.get(each))["state"] == "failed":
                        return found

    async def events(self, tasks: Any, *, last: Optional[int] = None, timeout: Optional[float] = None,
                     kinds: Optional[Iterable[str]] = None) -> AsyncIterator[Event]:
        """As Client.events."""
        ids, batch = _many(tasks)
        try:
            if ids != []:
                async for event in self._connections.follow(ids, batch, last, Deadline(timeout).until, _listed(kinds)):
                    yield event
        except TimeoutError:
            raise NotDone("not all of the tasks are done") from None

    async def as_completed(self, tasks: Any, timeout: Optional[float] = None) -> AsyncIterator[Future]:
        """As Client.as_completed."""
        async for event in self.events(tasks, timeout=timeout):
            if event.event == "done":
                yield event.data

    async def results(self, tasks: Any, timeout: Optional[float] = None) -> AsyncIterator[Future]:
        """As Client.results."""
        ids = tasks.ids if isinstance(tasks, AsyncBatch) else _many(tasks)[0]
        if ids is None:
            raise TypeError("results needs an AsyncBatch or its tasks, since only those have an order")
        feed = requests.in_order(ids)
        async for event in self.events(tasks, timeout=timeout):
            for future in feed(event):
                yield future

    async def cancel_batch(self, batch: Any) -> None:
        """As Client.cancel_batch."""
        await self.request("POST", "/v1/batches/%s/cancel" % id_of(batch))

    async def list(self, *, limit: Optional[int] = None, **filters: Any) -> AsyncIterator[Future]:
        """As Client.list."""
        query = requests.filters(filters)
        while limit is None or limit > 0:
            query["limit"] = 1000 if limit is None else min(limit, 1000)
            found = await self._connections.call(requests.page(query))
            for future in found["futures"]:
                yield future
            limit = None if limit is None else limit - len(found["futures"])
            query["cursor"] = found["next_cursor"]
            if query["cursor"] is None:
                return

    # ---- the daemon ----------------------------------------------------------------------------

    async def handlers(self) -> typing.List[Dict[str, Any]]:
        """What can be run."""
        return await self._show("/v1/handlers", "handlers")

    async def pools(self) -> typing.List[Dict[str, Any]]:
        """The slots of each lane."""
        return await self._show("/v1/pools", "pools")

    async def workers(self) -> typing.List[Dict[str, Any]]:
        """The worker processes."""
        return await self._show("/v1/workers", "workers")

    async def stats(self) -> Dict[str, Any]:
        """Counters of tasks, store, pools and HTTP."""
        found: Dict[str, Any] = await self._connections.call(requests.show("/v1/stats", ""))
        return found

    async def request(self, method: str, path: str, value: Any = NOTHING, *, query: Optional[Query] = None) -> Any:
        """As Client.request."""
        return await self._connections.call(requests.plain(method, path, query, value))

    async def _show(self, path: str, name: str) -> typing.List[Dict[str, Any]]:
        found: typing.List[Dict[str, Any]] = await self._connections.call(requests.show(path, name))
        return found


def _many(tasks: Any) -> Tuple[Optional[List[str]], Optional[str]]:
    """(ids, None), or (None, the id of a batch)."""
    if isinstance(tasks, AsyncBatch):
        return None, tasks.id
    return [id_of(each) for each in tasks], None


class AsyncTask:
    """A submitted task: its id, and the methods of AsyncClient that are about one. `info` is what was last known."""

    def __init__(self, client: AsyncClient, info: Union[str, Future]) -> None:
        self._client = client
        self.info: Future = {"id": info} if isinstance(info, str) else info
        self.id: str = self.info["id"]

    def __repr__(self) -> str:
        return "<AsyncTask %s %s>" % (self.id, self.info.get("state", "?"))

    async def refresh(self, *, wait: float = 0.0) -> Future:
        """Asks the daemon; `wait`: seconds (50 at most) to wait for the end before."""
        self.info = await self._client.get(self.id, wait=wait)
        return self.info

    async def done(self) -> bool:
        return bool((await self.refresh())["done"])

    async def result(self, timeout: Optional[float] = None) -> Any:
        """As Client.result."""
        return await self._client.result(self.id, timeout)

    async def exception(self, timeout: Optional[float] = None) -> Optional[BaseException]:
        """As Client.exception."""
        return await self._client.exception(self.id, timeout)

    async def cancel(self, *, running: bool = True) -> bool:
        """Cancels it, also while it runs unless `running` is False. False: it had ended otherwise, or runs."""
        return await self._client.cancel(self.id, running=running)

    async def retry(self, *, fresh: bool = False) -> Future:
        """Queues it again after it failed or was cancelled."""
        self.info = await self._client.retry(self.id, fresh=fresh)
        return self.info

    async def delete(self) -> None:
        """Forgets it; it must be done."""
        await self._client.delete(self.id)

    async def log(self) -> str:
        """What it has written so far."""
        return await self._client.log(self.id)

    def follow_log(self) -> AsyncIterator[str]:
        """What it writes, as it comes."""
        return self._client.follow_log(self.id)


class AsyncBatch:
    """Tasks that were submitted together, in their order: `ids`."""

    def __init__(self, client: AsyncClient, info: Mapping[str, Any]) -> None:
        self._client = client
        self.id: str = info["id"]
        self.ids: List[str] = list(info["ids"])

    def __repr__(self) -> str:
        return "<AsyncBatch %s of %d>" % (self.id, len(self.ids))

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> typing.Iterator[AsyncTask]:
        return (AsyncTask(self._client, each) for each in self.ids)

    async def refresh(self) -> Dict[str, Any]:
        """How far it is: total, finished, counts, rate, eta …"""
        found: Dict[str, Any] = await self._client.request("GET", "/v1/batches/" + self.id)
        return found

    async def wait(self, timeout: Optional[float] = None, return_when: str = ALL) -> Waited:
        """As Client.wait."""
        return await self._client.wait(self, timeout, return_when)

    def as_completed(self, timeout: Optional[float] = None) -> AsyncIterator[Future]:
        """The futures in the order in which they are done."""
        return self._client.as_completed(self, timeout)

    def results(self, timeout: Optional[float] = None) -> AsyncIterator[Future]:
        """The futures in the order of submission."""
        return self._client.results(self, timeout)

    async def values(self, timeout: Optional[float] = None) -> AsyncIterator[Any]:
        """The results themselves in the order of submission; raises what a task failed with."""
        async for future in self.results(timeout):
            yield requests.value_of(future)

    def events(self, *, last: Optional[int] = None, timeout: Optional[float] = None,
               kinds: Optional[Iterable[str]] = None) -> AsyncIterator[Event]:
        """As Client.events."""
        return self._client.events(self, last=last, timeout=timeout, kinds=kinds)

    async def cancel(self) -> None:
        """Cancels what is unfinished."""
        await self._client.cancel_batch(self)
