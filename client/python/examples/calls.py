#!/usr/bin/env python3
"""Fifty calls that take their time, twenty at once, each result as soon as it is there."""

import time

from futured import ThreadPoolExecutor, as_completed

SECONDS = 1.0


def call(number):
    time.sleep(SECONDS)
    return number * number


if __name__ == "__main__":
    with ThreadPoolExecutor(max_workers=20) as executor:
        futures = {executor.submit(call, number): number for number in range(50)}
        total = 0
        for future in as_completed(futures):
            total += future.result()
    print("sum of squares:", total)
