# SPDX-License-Identifier: Apache-2.0
"""A bar for many tasks, on a terminal or in a notebook."""

from __future__ import annotations

import builtins
import concurrent.futures
import sys
import time
from typing import Any, Iterator, Optional, TextIO

from ._client import Batch

WIDTH = 30                 # characters of the bar
PAUSE = 0.1                # seconds between two drawings


def progress(tasks: Any, *, file: Optional[TextIO] = None) -> Iterator[Any]:
    """Gives what is done as soon as it is done, and draws a bar meanwhile: for a Batch the futures as the API shows
    them, for futures of executors those. `file`: by default standard error, where nothing is drawn unless it is a
    terminal or a notebook's. Raises what waiting for them raises."""
    done: Iterator[Any]
    if isinstance(tasks, Batch):
        total, done = len(tasks), tasks.as_completed()
    else:
        futures = list(tasks)
        total, done = len(set(futures)), concurrent.futures.as_completed(futures)
    bar = _Bar(total, sys.stderr if file is None else file)
    bar.draw(0)
    number = 0
    try:
        for number, each in enumerate(done, 1):
            bar.draw(number)
            yield each
    finally:
        bar.end(number)


class _Bar:
    def __init__(self, total: int, file: TextIO) -> None:
        self._total, self._file = total, file
        self._began = time.monotonic()
        self._is_shown = file.isatty() or hasattr(builtins, "get_ipython")
        self._drawn = 0.0

    def draw(self, done: int) -> None:
        now = time.monotonic()
        if not self._is_shown or (now - self._drawn < PAUSE and done < self._total):
            return
        self._drawn = now
        self._file.write("\r" + self.line(done, now - self._began))
        self._file.flush()

    def line(self, done: int, seconds: float) -> str:
        share = done / self._total if self._total else 1.0
        filled = int(share * WIDTH)
        rate = done / seconds if seconds > 0 else 0.0
        left = "%.0f s left" % ((self._total - done) / rate) if rate > 0 else "?"
        return "[%s%s] %d/%d  %.3g/s  %-14s" % ("#" * filled, " " * (WIDTH - filled), done, self._total, rate, left)

    def end(self, done: int) -> None:
        if self._is_shown:
            self._drawn = 0.0
            self.draw(done)
            self._file.write("\n")
            self._file.flush()
