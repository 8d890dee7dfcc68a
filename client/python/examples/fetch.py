#!/usr/bin/env python3
"""Three slow sources at once; each call says what it does, and the results are read in the order of submission."""

import time

from futured import ThreadPoolExecutor

SECONDS = 1.0


def fetch(source):
    print("asking %s\n" % source, end="")
    time.sleep(2 * SECONDS)
    return "data of %s" % source


if __name__ == "__main__":
    with ThreadPoolExecutor(max_workers=3) as executor:
        futures = [executor.submit(fetch, source) for source in ("one", "two", "three")]
        for future in futures:
            print("%s\n" % future.result(), end="")
