#!/usr/bin/env python3
"""10,000 schedules due at one moment: how long until each has fired, and what others notice of it.

  tests/bench/schedules_due.py [--build build/release] [--n 10000]

A file of schedules with one start for all. A client submits a task and waits for its acknowledgement, again and again,
before that moment and while they fire. Prints one line of JSON."""
import argparse
import datetime
import json
import os
import subprocess
import tempfile
import time
import urllib.request


def ask(base, path, body=None):
    with urllib.request.urlopen(base + path, body, timeout=60) as answer:
        return json.load(answer)


def submit_until(base, enough):
    """Acknowledgements of single tasks, in ms, until `enough` says so."""
    took = []
    while not enough():
        began = time.monotonic()
        ask(base, "/v1/tasks", b'{"handler":"echo","input":"x"}')
        took.append((time.monotonic() - began) * 1000)
    took.sort()
    return {"n": len(took), "p50_ms": round(took[len(took) // 2], 2), "max_ms": round(took[-1], 2)}


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--build", default="build/release")
    options.add_argument("--n", type=int, default=10000)
    options = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        due = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=12)
        one = {"every": 86400, "start": due.isoformat(), "task": {"handler": "echo", "input": "x"}}
        path = os.path.join(folder, "schedules.json")
        with open(path, "w", encoding="utf-8") as out:
            json.dump({f"s{i}": one for i in range(options.n)}, out)
        env = {"PATH": os.environ["PATH"], "FUTURED_DB": os.path.join(folder, "bench.db"), "FUTURED_PAUSED": "io,cpu",
               "FUTURED_LISTEN": "127.0.0.1:0", "FUTURED_SCHEDULES": path, "FUTURED_LOG": "info"}
        began = time.monotonic()
        with subprocess.Popen([os.path.join(options.build, "futured")], env=env, stderr=subprocess.PIPE,
                              text=True) as daemon:
            line = next(line for line in daemon.stderr if " listening " in line)
            started = time.monotonic() - began
            base = "http://" + line.split("address=")[1].split()[0]
            moment = due.timestamp()
            before = submit_until(base, lambda: time.time() > moment - 1)
            time.sleep(max(0.0, moment - time.time()))
            fired_at = None
            own = 0
            took = []
            while fired_at is None:
                start = time.monotonic()
                ask(base, "/v1/tasks", b'{"handler":"echo","input":"x"}')
                took.append((time.monotonic() - start) * 1000)
                own += 1
                if ask(base, "/v1/stats")["tasks"]["submitted"] >= options.n + before["n"] + own:
                    fired_at = time.time()
            took.sort()
            daemon.terminate()
            daemon.stderr.read()
        print(json.dumps({"schedules": options.n, "start_s": round(started, 2),
                          "all_fired_s": round(fired_at - moment, 2), "submit_before": before,
                          "submit_while_firing": {"n": len(took), "p50_ms": round(took[len(took) // 2], 2),
                                                  "max_ms": round(took[-1], 2)}}))


if __name__ == "__main__":
    main()
