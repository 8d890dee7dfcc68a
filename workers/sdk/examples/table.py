"""A worker with a large table: loaded once, in the process that forks the workers, and read by all of
them. TABLE_MIB in the handler's env says how large (64).

    {"table": {"worker": ["python3", "table.py"], "lane": "cpu", "env": {"TABLE_MIB": "500"}}}
"""
import array
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import futured_worker as worker  # noqa: E402

table = array.array("I")
index = {}
loader = 0  # the pid of the process that did it


@worker.initializer
def load():
    global table, index, loader
    loader = os.getpid()
    mib = int(os.environ.get("TABLE_MIB", "64"))
    table = array.array("I", range(65536)) * (mib * 4)
    index = {"term%d" % i: i for i in range(100000)}  # many small objects as well


@worker.handler
def read(task):
    """Reads a part of each page, and every term."""
    return {
        "pid": os.getpid(),
        "loader": loader,
        "mib": len(table) * table.itemsize >> 20,
        "sum": sum(memoryview(table)[::64]),
        "terms": sum(index.values()),
    }


worker.run(fork=True)
