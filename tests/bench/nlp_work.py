"""The work of workers/sdk/examples/terms.py without the daemon around: for `exec`, for Python's own
executor, and to know what the right answer is. The dictionary is learned from DICTIONARY.

    nlp_work.py once                         one text from stdin, its answer as JSON to stdout
    nlp_work.py executor WORKERS FILE        FILE: a JSON list of texts. Prints one line of JSON
    nlp_work.py corpus TEXTS BYTES           prints such a list, from the copyright files of this machine
"""

import concurrent.futures
import json
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "workers/sdk/examples"))
import terms

DICTIONARY = "/usr/share/common-licenses"


def load():
    terms.documents, terms.dictionary = terms.load([DICTIONARY])


def once():
    load()
    return terms.weigh(sys.stdin.buffer.read().decode("utf-8"))


def corpus(texts, size):
    """Texts that people wrote, about `size` characters each, no two alike as far as they go."""
    pieces = {}
    for path in sorted(pathlib.Path("/usr/share/doc").glob("*/copyright")):
        if path.is_symlink() or len(pieces) >= texts:
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        pieces.update(dict.fromkeys(text[at:at + size] for at in range(0, len(text), size)
                                    if len(text) - at >= size))
    if len(pieces) < texts:
        raise SystemExit(f"only {len(pieces)} texts of {size} characters in /usr/share/doc")
    return list(pieces)[:texts]


def ran_s(pid):
    """CPU seconds of a process's living threads, to the nanosecond: the 10 ms of /proc/PID/stat are 40 texts."""
    return sum(int(task.read_text().split()[0]) for task in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


def cpu_seconds(pool):
    """Of this process and the pool's, so far."""
    return time.process_time() + sum(map(ran_s, pool._processes))


def executor(workers, file):
    texts = json.loads(pathlib.Path(file).read_text(encoding="utf-8"))
    with concurrent.futures.ProcessPoolExecutor(workers, initializer=load) as pool:
        for _ in pool.map(terms.weigh, texts[:2 * workers]):  # they have started
            pass
        began, before = time.perf_counter(), cpu_seconds(pool)
        tokens = sum(answer["tokens"] for answer in pool.map(terms.weigh, texts))
        seconds, cpu_s = time.perf_counter() - began, cpu_seconds(pool) - before
    return {"rate": len(texts) / seconds, "tokens": tokens, "cpu_us": cpu_s / len(texts) * 1e6}


def main(what, *rest):
    return {"once": once, "corpus": corpus, "executor": executor}[what](
        *(int(word) if word.isdigit() else word for word in rest))


if __name__ == "__main__":
    json.dump(main(*sys.argv[1:]), sys.stdout)
