#!/usr/bin/env python3
"""How often each word stands in many texts: counted in processes, added up here."""

import collections
import re

from futured import ProcessPoolExecutor

TEXTS = ["the quick brown fox jumps over the lazy dog number %d " % n * 200 for n in range(40)]


def count(text):
    return collections.Counter(re.findall(r"[a-z]+", text))


if __name__ == "__main__":
    words = collections.Counter()
    with ProcessPoolExecutor() as executor:
        for found in executor.map(count, TEXTS, chunksize=5):
            words.update(found)
    for word, number in words.most_common(3):
        print(word, number)
