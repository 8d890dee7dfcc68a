# SPDX-License-Identifier: Apache-2.0
"""Future: a concurrent.futures.Future of a call that runs on a daemon."""

from __future__ import annotations

import concurrent.futures
import concurrent.futures._base as base
from ._typing import TYPE_CHECKING, Any, Optional

if TYPE_CHECKING:
    from ._core import Core, Scope


class Future(concurrent.futures.Future):  # type: ignore[type-arg]
    """A real concurrent.futures.Future: wait, as_completed, asyncio.wrap_future work on it. Beside that it has an
    `id` by which any process can `attach` to it, and what the daemon knows of it."""

    def __init__(self, core: Optional["Core"] = None, scope: Optional["Scope"] = None) -> None:
        super().__init__()
        self._core, self._scope = core, scope
        self._task_id: Optional[str] = None
        self._call_mac: Optional[bytes] = None
        self._relay = scope is not None and scope.relay

    @property
    def id(self) -> str:
        """The daemon's id of it; waits until the daemon has accepted it, which makes it durable. Raises what it
        failed with when that never happened."""
        if self._task_id is None and self._core is not None:
            self._core.wait_accepted(self)
        if self._task_id is None:
            error = self.exception() if self.done() and not self.cancelled() else None
            raise error if error is not None else RuntimeError("the call was not sent to a daemon")
        return self._task_id

    def cancel(self) -> bool:
        """Cancels it unless it runs or is done, as the standard library does. Asks the daemon: blocks so long."""
        if self._core is None:
            return bool(super().cancel())
        if self.done():
            return self.cancelled()
        if self._core.withdraw(self) or self._core.cancel(self, running=False):
            self._end_cancelled()
        return self.cancelled()

    def cancel_running(self) -> bool:
        """Cancels it also while it runs; its worker is stopped. False: it is done."""
        if self._core is not None and not self.done():
            if self._core.withdraw(self) or self._core.cancel(self, running=True):
                self._end_cancelled()
        return self.cancelled()

    def running(self) -> bool:
        """Does it run? While it is pending, the daemon is asked: blocks so long. Of an executor that is asked often
        the daemon tells by itself, and this does not block."""
        if self._core is None or self.done() or self._task_id is None:
            return bool(super().running())
        return self._core.is_running(self)

    def log(self) -> str:
        """What the function has written so far."""
        return "" if self._core is None else self._core.client.log(self.id)

    def progress(self) -> Optional[float]:
        """How far it is, 0 to 1, as the function last reported it; None: it did not."""
        if self._core is None:
            return None
        report = self._core.get(self).get("progress") or {}
        value = report.get("fraction")
        return None if value is None else float(value)

    # ---- for the receiver ----------------------------------------------------------------------

    def _end_cancelled(self) -> None:
        """Cancelled, by whoever; waiters hear of it at once. Nothing when it is done."""
        mine: Any = self  # what the standard library's type stubs do not show
        with mine._condition:
            if mine._state not in (base.PENDING, base.RUNNING):
                return
            mine._state = base.CANCELLED_AND_NOTIFIED
            for waiter in mine._waiters:
                waiter.add_cancelled(self)
            mine._condition.notify_all()
        mine._invoke_callbacks()
        if self._scope is not None:
            self._scope.ended(self)

    def _end(self, value: Any, error: Optional[BaseException]) -> None:
        """Done with a value or an error; nothing when it is done already."""
        try:
            if error is not None:
                self.set_exception(error)
            else:
                self.set_result(value)
        except concurrent.futures.InvalidStateError:
            return
        if self._scope is not None:
            self._scope.ended(self)
