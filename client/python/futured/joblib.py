# SPDX-License-Identifier: Apache-2.0
"""joblib on a daemon: `import futured.joblib`, then `with joblib.parallel_config("futured"):` (before joblib 1.3:
`joblib.parallel_backend("futured")`), and each `Parallel` inside runs its calls as tasks.

joblib gathers calls into batches, prints its progress and raises the first exception as it does anywhere. The worker's
Python needs joblib too. Further arguments are those of Executor: `parallel_config("futured", lane="io", url=...)`.
"""

from __future__ import annotations

from typing import Any, Callable, Optional

from joblib import register_parallel_backend  # type: ignore[import]
from joblib.parallel import AutoBatchingMixin, ParallelBackendBase  # type: ignore[import]

from ._executor import Executor
from ._future import Future


class _Job:
    """What joblib before 1.3 waits for."""

    def __init__(self, future: Future) -> None:
        self._future = future

    def get(self, timeout: Optional[float] = None) -> Any:
        return self._future.result(timeout)


class FuturedBackend(AutoBatchingMixin, ParallelBackendBase):  # type: ignore[misc]
    """The backend "futured". Its executor lives as long as it, so the calls of one `with` block share their worker
    processes."""

    supports_timeout = True
    supports_retrieve_callback = True
    supports_return_generator = True
    uses_threads = False
    supports_sharedmem = False

    def __init__(self, nesting_level: Optional[int] = None, inner_max_num_threads: Optional[int] = None,
                 **options: Any) -> None:
        super().__init__(nesting_level=nesting_level, inner_max_num_threads=inner_max_num_threads)
        self._options = options
        self._executor: Optional[Executor] = None
        self._n_jobs = 0           # of the executor

    def effective_n_jobs(self, n_jobs: Optional[int]) -> int:
        """How many calls may run at once: -1 (and None) for all slots of the lane, -2 for all but one."""
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        if n_jobs is not None and n_jobs > 0:
            return n_jobs
        executor = self._executor or Executor(**self._options)
        return max(1, executor.slots() + 1 + (-1 if n_jobs is None else n_jobs))

    def configure(self, n_jobs: int = 1, parallel: Any = None, **_: Any) -> int:
        """Called before each Parallel; what it says of shared memory means nothing here."""
        self.parallel = parallel
        effective = self.effective_n_jobs(n_jobs)
        if self._executor is None or self._n_jobs != effective:
            self._executor = Executor(effective, **self._options)
            self._n_jobs = effective
        return effective

    def submit(self, func: Callable[[], Any], callback: Optional[Callable[[Future], Any]] = None) -> _Job:
        """A batch of calls as one task. `callback` runs in a thread of ours."""
        assert self._executor is not None
        future = self._executor.submit(func)
        if callback is not None:
            future.add_done_callback(callback)  # type: ignore[arg-type]
        return _Job(future)

    apply_async = submit       # its name before joblib 1.5

    def retrieve_result_callback(self, out: Future) -> Any:
        """The results of a batch that is done, from joblib 1.3 on."""
        return out.result()

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """A call has failed, or Ctrl-C: cancels the others, also those that run."""
        executor, self._executor = self._executor, None
        if executor is None:
            return
        executor.cancel_all()
        executor.shutdown(wait=False)
        if ensure_ready:
            self.configure(self._n_jobs, self.parallel)


register_parallel_backend("futured", FuturedBackend)
