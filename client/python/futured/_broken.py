# SPDX-License-Identifier: Apache-2.0
"""The exceptions that are BrokenProcessPool too. That type is in concurrent.futures.process, which imports all of
multiprocessing; so this module is imported once such an error has happened, or somebody names one."""

from __future__ import annotations

from concurrent.futures.process import BrokenProcessPool

from ._errors import FuturedError, TaskFailed


class WorkerDied(TaskFailed, BrokenProcessPool):
    """The process that ran the call died. It fails this future alone: the executor goes on."""


class TransportError(FuturedError, BrokenProcessPool):
    """A call could not be un-pickled by the worker, or its result not here; or one of them was not signed with the
    key of the other side, and was refused before it was un-pickled."""


class InitializerFailed(FuturedError, BrokenProcessPool):
    """The initializer of an executor, or the loading of its main program, failed in a worker: nothing of it runs."""
