# SPDX-License-Identifier: Apache-2.0
"""futured for Python: durable futures on a futured daemon.

`Client` and `AsyncClient` are the plain API: name a handler, give bytes, str or JSON, get the result.
"""

from ._aio import AsyncBatch, AsyncClient, AsyncTask
from ._client import Batch, Client, Task
from ._errors import CancelledError, FuturedError, NotDone, Problem, TaskFailed, TaskTimeout, Unreachable
from ._requests import Event, Waited

__all__ = ["AsyncBatch", "AsyncClient", "AsyncTask", "Batch", "CancelledError", "Client", "Event", "FuturedError",
           "NotDone", "Problem", "Task", "TaskFailed", "TaskTimeout", "Unreachable", "Waited"]
__version__ = "0.1.0"
