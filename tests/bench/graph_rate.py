#!/usr/bin/python3
"""A graph of 10,000 tasks that do nothing, by three ways: one batch of futured, a client of futured that submits a
layer when the one before is done, and dask.distributed (Debian: python3-distributed).

  tests/bench/graph_rate.py [--build build/release] [--layers 100] [--width 100] [--parents 3]

Each task of a layer takes the results of `parents` tasks of the layer before. Prints one line of JSON: seconds until
the submission was accepted, and until the last task was done; and CPU seconds of the server (of dask: scheduler, client and worker)."""
import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import urllib.request


def cpu_of(pid):
    """CPU seconds of a process with all its threads."""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def ask(base, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(base + path, data, timeout=120) as answer:
        return json.load(answer)


def wait_for(base, batch):
    """The states of all members, once they are done."""
    while True:
        with urllib.request.urlopen(f"{base}/v1/batches/{batch}/results?wait=50", timeout=120) as answer:
            states = [json.loads(line).get("state") for line in answer]
        if None not in states:
            return states


def choose(options):
    """parents[layer][i]: places in the layer before."""
    chance = random.Random(1)
    return [[chance.sample(range(options.width), options.parents) for _ in range(options.width)]
            for _ in range(options.layers - 1)]


def check(states, n):
    if len(states) != n or set(states) != {"succeeded"}:
        sys.exit(f"{len(states)} of {n} tasks ended, as {set(states)}")


def one_batch(base, parents, options):
    tasks = [{"name": f"0-{i}", "handler": "echo", "input": i} for i in range(options.width)]
    for layer, row in enumerate(parents, 1):
        for i, above in enumerate(row):
            names = [f"{layer - 1}-{p}" for p in above]
            tasks.append({"name": f"{layer}-{i}", "handler": "echo", "after": names,
                          "input": {"layer": layer, "of": [{"$result": name, "pointer": "/layer", "default": 0}
                                                           for name in names]}})
    began = time.monotonic()
    batch = ask(base, "/v1/batches", {"tasks": tasks})["id"]
    accepted = time.monotonic() - began
    states = wait_for(base, batch)
    check(states, len(tasks))
    return {"accepted_s": round(accepted, 3), "done_s": round(time.monotonic() - began, 3)}


def layer_by_layer(base, parents, options):
    """What a client does whose server knows no graph."""
    began = time.monotonic()
    results = [0] * options.width
    for layer in range(options.layers):
        inputs = ([{"layer": 0, "of": i} for i in range(options.width)] if layer == 0 else
                  [{"layer": layer, "of": [results[p] for p in above]} for above in parents[layer - 1]])
        batch = ask(base, "/v1/batches", {"handler": "echo", "inputs": inputs})["id"]
        with urllib.request.urlopen(f"{base}/v1/batches/{batch}/results?wait=50", timeout=120) as answer:
            futures = [json.loads(line) for line in answer]
        check([f.get("state") for f in futures], options.width)
        results = [f["result"]["layer"] for f in futures]
    return {"done_s": round(time.monotonic() - began, 3)}


def with_futured(parents, options):
    with tempfile.TemporaryDirectory() as folder:
        env = {"PATH": os.environ["PATH"], "FUTURED_DB": os.path.join(folder, "bench.db"),
               "FUTURED_LISTEN": "127.0.0.1:0", "FUTURED_LOG": "info", "MAX_THREADS": "4"}
        with subprocess.Popen([os.path.join(options.build, "futured")], env=env, stderr=subprocess.PIPE,
                              text=True) as daemon:
            line = next(line for line in daemon.stderr if " listening " in line)
            base = "http://" + line.split("address=")[1].split()[0]
            drain = subprocess.Popen(["cat"], stdin=daemon.stderr, stdout=subprocess.DEVNULL)
            both = {}
            for way in (one_batch, layer_by_layer):
                before = cpu_of(daemon.pid)
                both[way.__name__] = way(base, parents, options)
                both[way.__name__]["cpu_s"] = round(cpu_of(daemon.pid) - before, 2)
            daemon.terminate()
            daemon.wait()
            drain.wait()
            return both


def node(layer, *of):
    return {"layer": layer, "of": [one["layer"] if isinstance(one, dict) else 0 for one in of]}


def with_dask(parents, options):
    try:
        from distributed import Client, LocalCluster, wait
    except ImportError:
        return None
    with LocalCluster(n_workers=1, threads_per_worker=4, processes=True, dashboard_address=None) as cluster, \
            Client(cluster) as client:
        client.submit(node, 0).result()
        pids = [os.getpid(), *client.run(os.getpid).values()]
        before = sum(map(cpu_of, pids))
        graph = {f"0-{i}": (node, 0, i) for i in range(options.width)}
        for layer, row in enumerate(parents, 1):
            for i, above in enumerate(row):
                graph[f"{layer}-{i}"] = (node, layer, *(f"{layer - 1}-{p}" for p in above))
        began = time.monotonic()
        futures = client.get(graph, list(graph), sync=False)
        accepted = time.monotonic() - began
        wait(futures)
        done = time.monotonic() - began
        if any(f.status != "finished" for f in futures):
            sys.exit("dask: not all tasks finished")
        return {"accepted_s": round(accepted, 3), "done_s": round(done, 3),
                "cpu_s": round(sum(map(cpu_of, pids)) - before, 2)}


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--build", default="build/release")
    options.add_argument("--layers", type=int, default=100)
    options.add_argument("--width", type=int, default=100)
    options.add_argument("--parents", type=int, default=3)
    options = options.parse_args()
    parents = choose(options)
    report = {"nodes": options.layers * options.width,
              "edges": (options.layers - 1) * options.width * options.parents,
              **with_futured(parents, options), "dask": with_dask(parents, options)}
    print(json.dumps(report))


if __name__ == "__main__":
    main()
