# SPDX-License-Identifier: Apache-2.0
"""futured for Python: durable futures on a futured daemon.

`Client` and `AsyncClient` are the plain API: name a handler, give bytes, str or JSON, get the result.
`ThreadPoolExecutor`, `ProcessPoolExecutor` and `Executor` are those of concurrent.futures, on a daemon: a program
changes its import line. `wait` and `as_completed` are the standard library's.
"""

import importlib
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, FIRST_EXCEPTION, as_completed, wait
from ._typing import TYPE_CHECKING, Any

from ._client import Batch, Client, Task
from ._errors import (CancelledError, FuturedError, NotAccepted, NotDone, Problem, RemoteError, TaskFailed, TaskTimeout,
                      Unreachable)
from ._executor import Executor, ProcessPoolExecutor, ThreadPoolExecutor, attach, attach_all
from ._future import Future
from ._requests import Event, Waited

if TYPE_CHECKING:
    from ._aio import AsyncBatch, AsyncClient, AsyncTask
    from ._broken import InitializerFailed, TransportError, WorkerDied
    from ._progress import progress
    from ._tasks import TaskFunction, current, task

__all__ = ["ALL_COMPLETED", "AsyncBatch", "AsyncClient", "AsyncTask", "Batch", "CancelledError", "Client", "Event",
           "Executor", "FIRST_COMPLETED", "FIRST_EXCEPTION", "Future", "FuturedError", "InitializerFailed",
           "NotAccepted", "NotDone", "Problem", "ProcessPoolExecutor", "RemoteError", "Task", "TaskFailed",
           "TaskFunction", "TaskTimeout", "ThreadPoolExecutor", "TransportError", "Unreachable", "Waited", "WorkerDied",
           "as_completed", "attach", "attach_all", "current", "progress", "task", "wait"]
__version__ = "0.1.0"


# Imported by those alone who use them: a program that starts often feels asyncio, multiprocessing, inspect.
_LATER = {"AsyncBatch": "_aio", "AsyncClient": "_aio", "AsyncTask": "_aio", "InitializerFailed": "_broken",
          "TransportError": "_broken", "WorkerDied": "_broken", "progress": "_progress", "TaskFunction": "_tasks",
          "current": "_tasks", "task": "_tasks"}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError("module 'futured' has no attribute %r" % name)
    found = getattr(importlib.import_module("futured." + _LATER[name]), name)
    globals()[name] = found
    return found
