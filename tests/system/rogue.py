"""A worker of one handler that gives a number back, or does the worst that its input names. What it
does is bounded by itself, too, for the machine that runs the tests."""
import ctypes
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../workers/sdk"))
import futured_worker as worker  # noqa: E402

MIB = 1 << 20


def wait(seconds):
    threading.Event().wait(seconds)


def crash():
    ctypes.string_at(0)


def hog():
    held = []
    for _ in range(300):
        held.append(b"x" * MIB)
        wait(0.005)
    wait(30)


def spin():
    while time.process_time() < 120:
        pass


def bomb():
    for _ in range(6):
        os.fork()
    wait(30)
    os._exit(0)


def endless():
    for _ in range(1000):
        print("x" * MIB)


DEEDS = {deed.__name__: deed for deed in (crash, hog, spin, bomb, endless)}


@worker.handler
def work(task):
    if task.text in DEEDS:
        DEEDS[task.text]()
    return {"number": int(task.text)}


worker.run()
