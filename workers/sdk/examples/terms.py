"""Counts the terms of a text and says which of them matter, against a dictionary that is loaded once.

    terms.py [--fork] [--concurrency=N] FILE…     the files (or folders) to learn the dictionary from

The dictionary: how many of the files have each term. A text's terms are weighed by how often they are in
it and how rare they are there (tf-idf).

    {"terms": {"worker": ["python3", "terms.py", "/usr/share/common-licenses"], "lane": "cpu"}}
"""
import collections
import math
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import futured_worker as worker  # noqa: E402

WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")
BEST = 10
documents = 0
dictionary = {}


def tokens(text):
    return WORD.findall(text.lower())


def texts(paths):
    for path in paths:
        if os.path.isdir(path):
            yield from texts(sorted(entry.path for entry in os.scandir(path)))
        elif os.path.isfile(path):
            with open(path, encoding="utf-8", errors="replace") as file:
                yield file.read()


def load(paths):
    """Returns how many texts there were, and in how many of them each term is."""
    found, count = collections.Counter(), 0
    for text in texts(paths):
        found.update(set(tokens(text)))
        count += 1
    return count, dict(found)


def weigh(text):
    words = tokens(text)
    counts = collections.Counter(words)
    weights = {word: n * math.log((1 + documents) / (1 + dictionary.get(word, 0)))
               for word, n in counts.items()}
    best = sorted(weights, key=lambda word: (-weights[word], word))[:BEST]
    return {
        "tokens": len(words),
        "terms": len(counts),
        "unknown": sum(1 for word in counts if word not in dictionary),
        "best": [{"term": word, "count": counts[word], "weight": round(weights[word], 3)}
                 for word in best],
    }


@worker.initializer
def load_dictionary():
    global documents, dictionary
    documents, dictionary = load(arg for arg in sys.argv[1:] if not arg.startswith("--"))
    if not documents:
        sys.exit("terms.py: no text to learn the dictionary from")


@worker.handler
def terms(task):
    return weigh(task.text)


if __name__ == "__main__":
    options = dict(arg.partition("=")[::2] for arg in sys.argv[1:] if arg.startswith("--"))
    worker.run(concurrency=int(options.get("--concurrency", 1)), fork="--fork" in options,
               ahead="--ahead" in options)
