#!/usr/bin/env python3
"""Work for the CPU, in as many processes as the daemon has, from a script without a guard."""

from futured import ProcessPoolExecutor


def cpu_task(count):
    total = 0
    for number in range(count):
        total += number * number
    return total


with ProcessPoolExecutor() as executor:
    for future in [executor.submit(cpu_task, 10**6) for _ in range(4)]:
        print(future.result())
