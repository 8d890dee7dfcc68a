"""The executors of Python's standard library, in this process, nothing durable: what a no-op task of
64 bytes costs there. Prints one line of JSON.
    executors.py thread|process WORKERS submit|collect|roundtrip|spawn|gzip COUNT
    executors.py thread|process WORKERS fetch URL COUNT
    executors.py thread|process WORKERS primes BELOW COUNT
"""

import concurrent.futures
import json
import subprocess
import sys
import time
import urllib.request


def echo(value):
    return value


def spawn(_):
    return subprocess.run(["true"], check=True).returncode


def gzip(_):
    done = subprocess.run(["gzip"], input=b"x" * 65536, check=True, capture_output=True)
    return len(done.stdout)


def fetch(url):
    with urllib.request.urlopen(url) as answer:
        return len(answer.read())


def primes(below):
    """CPU-bound, nothing clever: the same for every worker."""
    below = int(below)
    sieve = bytearray([1]) * below
    for n in range(2, int(below**0.5) + 1):
        if sieve[n]:
            sieve[n * n::n] = bytes(len(range(n * n, below, n)))
    return sum(sieve) - 2


def collect(executor, function, value, count):
    """All submitted, then all collected."""
    began = time.perf_counter()
    futures = [executor.submit(function, value) for _ in range(count)]
    submitted = time.perf_counter()
    for future in futures:
        future.result()
    return submitted - began, time.perf_counter() - began


def roundtrips(executor, count):
    took = []
    for _ in range(count):
        began = time.perf_counter()
        executor.submit(echo, "x" * 64).result()
        took.append((time.perf_counter() - began) * 1e3)
    took.sort()
    return {"p50_ms": took[len(took) // 2], "p99_ms": took[len(took) * 99 // 100]}


def main(kind, workers, what, *rest):
    pools = {"thread": concurrent.futures.ThreadPoolExecutor,
             "process": concurrent.futures.ProcessPoolExecutor}
    with pools[kind](int(workers)) as executor:
        collect(executor, echo, "warm", 100)
        if what == "roundtrip":
            return roundtrips(executor, int(rest[0]))
        function, value = {"spawn": (spawn, None), "gzip": (gzip, None), "fetch": (fetch, rest[0]),
                           "primes": (primes, rest[0])}.get(what, (echo, "x" * 64))
        count = int(rest[-1])
        submitted, collected = collect(executor, function, value, count)
    return {"rate": count / (submitted if what == "submit" else collected), "seconds": collected}


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
