"""A worker as people write it: tokenise a text, count its terms, weigh them against a dictionary that
is loaded once, on a corpus of real texts."""

import json
import pathlib
import re
import sys
import time

import nlp_work
import servers
from servers import call, futured, run_batches, run_json, wait_for

HERE = pathlib.Path(__file__).parent
WORK = str(HERE / "nlp_work.py")
TERMS = str(HERE.parents[1] / "workers/sdk/examples/terms.py")
DICTIONARY = "/usr/share/common-licenses"


def wait_for_workers(server, n):
    def alive():
        found = re.search(rb'"workers_alive":(\d+)', call(server, "/v1/stats"))
        return found and int(found[1]) >= n

    wait_for(alive, 60, "the workers")


def through_daemon(handler, texts, tokens, each):
    """Handed in by so many a request, all results read; the answers must be the right ones."""

    def measure():
        handlers = {"terms": {**handler, "lane": "cpu", "content_type": "application/json"}}
        with futured(handlers, MAX_WORKERS=2) as server:
            wait_for_workers(server, 1 + 2 * ("worker" in handler))  # one is the built-ins'
            call(server, "/v1/tasks?wait=60", {"handler": "terms", "input": texts[0]})
            before = {pid: nlp_work.ran_s(pid) for pid in server.processes()}
            began = time.perf_counter()
            lines = run_batches(server, "terms", texts, each)
            seconds = time.perf_counter() - began
            cpu_us = sum(nlp_work.ran_s(pid) - s for pid, s in before.items()) / len(texts) * 1e6
        answers = [json.loads(line) for line in lines]
        found = sum(a["result"]["tokens"] for a in answers if a["state"] == "succeeded")
        if found != tokens:
            raise RuntimeError(f"{found} tokens counted, {tokens} are there: {lines[0][:300]}")
        # Programs that have ended are in nobody's account any more.
        return {"rate": len(texts) / seconds, "cpu_us": None if "exec" in handler else cpu_us}

    return measure


def tokens_of(texts):
    sys.path.insert(0, str(pathlib.Path(TERMS).parent))
    import terms

    return sum(len(terms.tokens(text)) for text in texts)


def compare(part, texts, requests, size):
    """requests: by how many the texts are handed in; Python's executor is given all of them at once."""
    each = len(texts)
    texts = texts * requests
    file = servers.SCRATCH / f"corpus-{size}.json"
    file.write_text(json.dumps(texts), encoding="utf-8")
    few = texts[:max(10, each // 10)]
    worker = [sys.executable, TERMS, DICTIONARY]

    def executor():
        report = run_json([sys.executable, WORK, "executor", 2, file])
        return {"rate": report["rate"], "cpu_us": report["cpu_us"]}

    tokens = tokens_of(texts)
    subjects = {
        "futured, worker": through_daemon({"worker": worker}, texts, tokens, each),
        "futured, worker, ahead": through_daemon({"worker": [*worker, "--ahead"]}, texts, tokens, each),
        "ProcessPoolExecutor(2)": executor,
    }
    if requests == 1:
        subjects |= {
            "futured, worker, forked": through_daemon({"worker": [*worker, "--fork"]}, texts, tokens, each),
            "futured, exec": through_daemon({"exec": [sys.executable, WORK, "once"]}, few, tokens_of(few),
                                            each),
        }
    part.compare(f"texts of {size:,} characters{', four requests' * (requests == 4)}", subjects)


def nlp(bench):
    part = bench.part("nlp", "An NLP-like worker in Python",
                      "`workers/sdk/examples/terms.py`: tokenise, count, weigh by tf-idf against a "
                      "dictionary learned at start from /usr/share/common-licenses. The corpus: "
                      "pieces of the copyright files of this machine's packages, 600 of 2,000 "
                      "characters or 300 of 10,000, as one batch, or four times as many as four; all "
                      "results read; MAX_WORKERS=2. exec starts Python and loads the dictionary for "
                      "each text, on a tenth of them.")
    for size, count in ((2000, 600), (10000, 300)):
        texts = run_json([sys.executable, WORK, "corpus", bench.size(count, 60), size])
        for requests in (1, 4):
            compare(part, texts, requests, size)


PARTS = {"nlp": nlp}
