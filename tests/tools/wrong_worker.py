"""A worker without an SDK that does one thing wrong, to show that worker_conformance sees it.

    wrong_worker.py right|chatty|text|strict|sticky|deaf|eager|greedy|forgetful|polite
"""
import array
import fcntl
import os
import signal
import socket
import sys

WRONG = sys.argv[1]
KNOWN = {"task", "attempt", "timeout_ms", "handler"}
channel = os.fdopen(3, "r+b", buffering=0)
source = os.fdopen(os.dup(3), "rb")  # its buffer keeps what comes after a header


def say(header, payload=b""):
    rest = memoryview(header.encode() + b"\n" + payload)
    while rest:
        rest = rest[channel.write(rest):]


def greet_with_tickets():
    page = os.memfd_create("tickets", os.MFD_ALLOW_SEALING)
    os.truncate(page, 128)
    fcntl.fcntl(page, 1033, 2)  # F_ADD_SEALS, F_SEAL_SHRINK
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [page]))]
    socket.socket(fileno=os.dup(3)).sendmsg([b"HELLO 1 0 cancel=1 ahead=8\n"], rights)


def greedy():
    """Begins all that comes ahead, and looks at no ticket."""
    greet_with_tickets()
    waiting = []
    while True:
        line = source.readline()
        if not line:
            return
        head, _, kind = line.decode("ascii").rstrip("\n").partition(" type=")
        verb, number, size = head.split(" ")[:3]
        payload = source.read(int(size))
        if verb == "CANCEL":
            say("FAIL %s 0 kind=Cancelled" % number)
            for each, data in waiting:
                say("DONE %s %d type=text/plain" % (each, len(data)), data)
        elif " ahead=1" in head:
            waiting.append((number, payload))
        else:
            say("PROGRESS %s 0" % number)


def closing():
    """Of sessions. CLOSE ends all of them (forgetful) or is answered (polite)."""
    made = {}
    say("HELLO 1 0 sessions=1 closes=1")
    while True:
        line = source.readline()
        if not line:
            return
        verb, number, size, *rest = line.decode("ascii").split()
        payload = source.read(int(size))
        keys = dict(word.split("=", 1) for word in rest)
        if verb == "CLOSE" and WRONG == "forgetful":
            made.clear()
        elif verb == "CLOSE":
            made.pop(keys["session"], None)
            say("DONE %s 0" % number)
        elif verb == "INIT":
            made[keys["session"]] = payload
            say("DONE %s 0" % number)
        else:
            payload = made.get(keys.get("session"), payload)
            say("DONE %s %d type=text/plain" % (number, len(payload)), payload)


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


{"greedy": greedy, "forgetful": closing, "polite": closing}.get(WRONG, serve)()
while WRONG == "deaf":
    signal.pause()
