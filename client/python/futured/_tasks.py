# SPDX-License-Identifier: Apache-2.0
"""Functions of a module as handlers: `@futured.task` names them, `python3 -m futured serve MODULE` runs them.

No pickle: arguments and results are JSON (or text, or bytes), so any language calls them by name.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import os
import sys
import threading
from typing import Any, Callable, Dict, Generic, List, NoReturn, Optional, TypeVar, overload

from ._client import Client, Task

F = TypeVar("F", bound=Callable[..., Any])
ENTRY = ("lane", "timeout", "retries", "retry_on", "backoff", "limits", "max_tasks", "max_age", "max_rss", "env", "cwd")

_running = threading.local()


class TaskFunction(Generic[F]):
    """A function that is also a handler. Called, it runs here; `submit` runs it on the daemon."""

    def __init__(self, function: F, name: Optional[str], options: Dict[str, Any]) -> None:
        functools.update_wrapper(self, function)
        unknown = set(options) - set(ENTRY)
        if unknown:
            raise TypeError("a task has no option %s; there are %s" % (", ".join(sorted(unknown)), ", ".join(ENTRY)))
        self.function, self.name, self.options = function, name or function.__name__, options
        self._signature = inspect.signature(function)
        for parameter in self._signature.parameters.values():
            if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.VAR_POSITIONAL):
                raise TypeError("%s: the arguments of a task go by name, so %s cannot be one"
                                % (self.name, parameter))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    def arguments(self, *args: Any, **kwargs: Any) -> Dict[str, Any]:
        """The input of a task: each argument by its name. Raises TypeError as a call would."""
        bound = self._signature.bind(*args, **kwargs)
        found = dict(bound.arguments)
        for name, parameter in self._signature.parameters.items():
            if parameter.kind is parameter.VAR_KEYWORD:
                found.update(found.pop(name, {}))
        return found

    def submit(self, *args: Any, **kwargs: Any) -> Task:
        """Submits a call with these arguments, which JSON must know; on disk when this returns. Blocks for that. Uses
        the client of $FUTURED_URL; `on` chooses another one, and options."""
        return self.on(None).submit(*args, **kwargs)

    def on(self, client: Optional[Client], **options: Any) -> "_Bound":
        """`fn.on(client, priority=5, delay=60).submit(x)`: by this client, with these options of the task."""
        return _Bound(self, client, options)

    def run(self, value: Any) -> Any:
        """Runs it with an input as it came: an object has its arguments by name, an array has them in order, anything
        else is the only one."""
        if isinstance(value, dict):
            return self.function(**value)
        return self.function(*value) if isinstance(value, list) else self.function(value)


class _Bound:
    def __init__(self, function: TaskFunction[Any], client: Optional[Client], options: Dict[str, Any]) -> None:
        self._function, self._client, self._options = function, client, options

    def submit(self, *args: Any, **kwargs: Any) -> Task:
        client = self._client or _default_client()
        return client.submit(self._function.name, self._function.arguments(*args, **kwargs), **self._options)


@functools.lru_cache(maxsize=None)
def _client_of(url: Optional[str]) -> Client:
    return Client(url)


def _default_client() -> Client:
    return _client_of(os.environ.get("FUTURED_URL"))


@overload
def task(function: F) -> TaskFunction[F]: ...


@overload
def task(*, name: Optional[str] = None, **options: Any) -> Callable[[F], TaskFunction[F]]: ...


def task(function: Any = None, *, name: Optional[str] = None, **options: Any) -> Any:
    """Makes a function of a module a handler: `@task`, or `@task(lane="io", retries=3)`. `name`: of the handler, by
    default the function's. Options are members of a handler's entry: lane, timeout, retries, retry_on, backoff, limits,
    max_tasks, max_age, max_rss, env, cwd."""
    if function is not None:
        return TaskFunction(function, name, options)
    return lambda real: TaskFunction(real, name, options)


def current() -> Any:
    """In a function that runs as a task: its task as the SDK has it, with progress(), log(), save(), checkpoint,
    cancelled. None: it was called here."""
    return getattr(_running, "task", None)


def tasks_of(module: str) -> Dict[str, TaskFunction[Any]]:
    """Imports a module, from the current directory too; its tasks by the names of their handlers."""
    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    found: Dict[str, TaskFunction[Any]] = {}
    for each in vars(importlib.import_module(module)).values():
        if isinstance(each, TaskFunction):
            if found.setdefault(each.name, each) is not each:
                raise ValueError("two tasks of %s are called %s" % (module, each.name))
    if not found:
        raise ValueError("%s has no function with @futured.task" % module)
    return found


def environment(*modules: str) -> Dict[str, str]:
    """The environment in which a worker finds imported modules: {} when all of them are installed."""
    folders: List[str] = []
    for name in modules:
        module = sys.modules[name]
        folder = os.path.dirname(os.path.abspath(module.__file__ or ""))
        for _ in range(name.count(".") + hasattr(module, "__path__")):
            folder = os.path.dirname(folder)
        if folder not in folders and not any(each in folder for each in ("site-packages", "dist-packages")):
            folders.append(folder)
    return {"PYTHONPATH": os.pathsep.join(folders)} if folders else {}


def entries(module: str, python: str, threads: int) -> Dict[str, Any]:
    """The entries of the handlers file for the tasks of a module."""
    made: Dict[str, Any] = {}
    found = tasks_of(module)
    needed = environment("futured", module)
    for name, each in found.items():
        lane = each.options.get("lane", "cpu")
        command: List[str] = [python, "-m", "futured", "serve", module]
        if lane == "io":
            command += ["--threads", str(threads)]
        about = (inspect.getdoc(each.function) or "").partition("\n")[0][:400]
        made[name] = {"worker": command, "lane": lane, "description": about, **each.options}
        if needed or "env" in each.options:
            made[name]["env"] = {**needed, **each.options.get("env", {})}
    return made


def serve(module: str, threads: int) -> NoReturn:
    """The worker program: runs the tasks of a module until the daemon ends it."""
    import futured_worker as sdk

    if "FUTURED_WORKER_FD" not in os.environ:
        sys.exit("the daemon starts this by the entries of its handlers file, which `python3 -m futured handlers %s` "
                 "prints" % module)
    for name, each in tasks_of(module).items():
        sdk.handler(name)(functools.partial(_run, each))
    sdk.run(concurrency=threads, fork=threads == 1)
    raise AssertionError("run() does not return")


def _run(function: TaskFunction[Any], task: Any) -> Any:
    base = task.content_type.partition(";")[0].strip().lower()
    value = task.json() if base == "application/json" else task.text if base.startswith("text/") else task.input
    _running.task = task
    try:
        return function.run(value)
    finally:
        _running.task = None
