# SPDX-License-Identifier: Apache-2.0
"""What can go wrong, as exceptions. Where the standard library has a type for it, ours is one of those too."""

from __future__ import annotations

from concurrent.futures import CancelledError
from ._typing import Any, Dict, Mapping, Optional

__all__ = ["CancelledError", "FuturedError", "NotAccepted", "NotDone", "Problem", "RemoteError", "TaskFailed",
           "TaskTimeout", "Unreachable", "failed", "failure_of"]


class FuturedError(Exception):
    """The base of all exceptions of this package that say something about the daemon or a task."""


class Unreachable(FuturedError, ConnectionError):
    """The daemon did not answer for as long as the client had patience."""


class NotDone(FuturedError, TimeoutError):
    """The time that the caller had is over and the task is not done; it goes on."""


class Problem(FuturedError):
    """The daemon refused a request. `code` is for programs, `detail` for people, `status` the HTTP status; `info` is
    the whole answer, with `field`, `parameter`, `line` or `limit` where they apply."""

    def __init__(self, status: int, info: Mapping[str, Any]) -> None:
        self.status = status
        self.info: Dict[str, Any] = dict(info)
        self.code: str = str(info.get("code", ""))
        self.detail: str = str(info.get("detail") or info.get("title") or "")
        super().__init__("%d %s: %s" % (status, self.code or "without a code", self.detail))

    @property
    def field(self) -> Optional[str]:
        """The member of the body that is wrong, such as `tasks[3].lane`."""
        value = self.info.get("field")
        return None if value is None else str(value)


class TaskFailed(FuturedError):
    """A task failed. `code` is the daemon's word for how (`exit`, `signal`, `handler_failed`, …), `type` the error's
    own name in the program that ran it, `log` the end of what the attempt wrote; `error` is all of it."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        self.error: Dict[str, Any] = dict(error)
        self.code: str = str(error.get("code", ""))
        self.type: Optional[str] = error.get("type")
        self.log: str = str(error.get("log", ""))
        super().__init__("%s: %s" % (self.code, error.get("message", "")))


class TaskTimeout(TaskFailed, TimeoutError):
    """An attempt did not end within the task's `timeout`."""


class NotAccepted(FuturedError):
    """A call never reached the daemon, or was refused by it: it will not run."""


class RemoteError(TaskFailed):
    """A function raised what cannot be pickled or un-pickled, or is too large: its type is `type`, its text the
    message, and the traceback is the cause."""


def failed(error: Mapping[str, Any]) -> TaskFailed:
    """The exception for the member `error` of a future that failed."""
    return TaskTimeout(error) if error.get("code") == "timeout" else TaskFailed(error)


def failure_of(future: Mapping[str, Any]) -> Optional[BaseException]:
    """The exception for a future that is done, as the API shows it; None when it succeeded."""
    state = future.get("state")
    error = future.get("error") or {}
    if state == "succeeded":
        return None
    if state == "cancelled":
        return CancelledError(str(error.get("message", "cancelled")))
    return failed(error)
