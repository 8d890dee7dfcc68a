"""A worker without an SDK that does one thing wrong, to show that worker_conformance sees it.

    wrong_worker.py right|chatty|text|strict|sticky|deaf|eager
"""
import os
import signal
import sys

WRONG = sys.argv[1]
KNOWN = {"task", "attempt", "timeout_ms", "handler"}
channel = os.fdopen(3, "r+b", buffering=0)
source = os.fdopen(os.dup(3), "rb")  # its buffer keeps what comes after a header


def say(header, payload=b""):
    rest = memoryview(header.encode() + b"\n" + payload)
    while rest:
        rest = rest[channel.write(rest):]


def answer(number, keys, kind, payload):
    if WRONG == "strict" and set(keys) - KNOWN:
        sys.exit("what is that?")
    if WRONG == "text":  # as a program does that takes its input for a C string
        payload = payload.split(b"\0")[0]
    if WRONG == "chatty":
        channel.write(b"working...\n")
    say("DONE %s %d type=%s" % (number, len(payload), kind), payload)


def serve():
    cancelled = False
    say("HELLO 1 0 cancel=1" + (" checkpoint=1" if WRONG == "eager" else ""))
    while True:
        line = source.readline()
        if not line:
            return
        head, _, kind = line.decode("ascii").rstrip("\n").partition(" type=")
        verb, number, size, *rest = head.split(" ")
        payload = source.read(int(size))
        if verb == "CANCEL":
            cancelled = WRONG == "sticky"  # it should look whose number that is
        elif verb != "RUN":
            sys.exit(1)
        elif cancelled:
            say("FAIL %s 0 kind=Cancelled" % number)
            say("DONE %s 0" % number)
        elif WRONG == "eager":  # it does not wait until its checkpoint is stored
            say("CHECKPOINT %s %d" % (number, len(payload)), payload)
            say("SUSPEND %s 0 for_ms=1000" % number)
        else:
            answer(number, dict(word.split("=", 1) for word in rest), kind, payload)


serve()
while WRONG == "deaf":
    signal.pause()
