"""A worker program in the least code there can be: hands each task's input back. It speaks the
protocol of workers/wire/PROTOCOL.md by hand, so that what is measured is the daemon and not a library.
With the argument "memfd" large payloads come and go by descriptor."""

import os
import socket
import sys

LINE_MAX = 1024


def serve_stream(fd):
    channel = os.fdopen(fd, "rb+", buffering=0)
    lines = os.fdopen(os.dup(channel.fileno()), "rb")
    channel.write(b"HELLO 1 0\n")
    for line in lines:
        verb, task, size = line.split(b" ", 3)[:3]
        payload = lines.read(int(size))
        if verb == b"RUN":
            kind = line.rstrip(b"\n").partition(b" type=")[2] or b"application/octet-stream"
            channel.write(b"DONE %s %d type=%s\n%s" % (task, len(payload), kind, payload))


def serve_memfd(fd):
    """One task at a time, so what recv_fds brings belongs to one header."""
    channel = socket.socket(fileno=fd)
    channel.sendall(b"HELLO 1 0 memfd=1\n")
    while True:
        data, fds, _, _ = socket.recv_fds(channel, LINE_MAX, 1)
        while data and b"\n" not in data:
            data += channel.recv(LINE_MAX)
        if not data:
            return
        line, _, payload = data.partition(b"\n")
        verb, task, size = line.split(b" ", 3)[:3]
        kind = line.partition(b" type=")[2] or b"application/octet-stream"
        if fds:
            header = b"DONE %s %s fd=1 type=%s\n" % (task, size, kind)
            socket.send_fds(channel, [header], fds)
            os.close(fds[0])
            continue
        while len(payload) < int(size):
            payload += channel.recv(int(size) - len(payload))
        channel.sendall(b"DONE %s %s type=%s\n%s" % (task, size, kind, payload))


if __name__ == "__main__":
    number = int(os.environ.get("FUTURED_WORKER_FD", "3"))
    (serve_memfd if sys.argv[1:] == ["memfd"] else serve_stream)(number)
