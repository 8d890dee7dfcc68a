#!/usr/bin/env python3
"""A script without `if __name__ == "__main__"`, which prints inside its calls and never looks at their results."""

import time

from futured import ThreadPoolExecutor


def io_task(seconds):
    time.sleep(seconds / 10)
    print("waited", seconds)


with ThreadPoolExecutor(max_workers=4) as executor:
    executor.map(io_task, [1, 2, 3, 4])
print("all waited")
