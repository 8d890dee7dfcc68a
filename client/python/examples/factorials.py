#!/usr/bin/env python3
"""Large factorials in processes; the results come in the order of the arguments."""

import math

from futured import ProcessPoolExecutor


def digits(number):
    return len(str(math.factorial(number)))


if __name__ == "__main__":
    numbers = range(900, 920)
    with ProcessPoolExecutor(max_workers=4) as executor:
        for number, count in zip(numbers, executor.map(digits, numbers)):
            print("%d! has %d digits" % (number, count))
