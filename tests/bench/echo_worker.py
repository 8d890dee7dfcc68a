"""A worker program in the least code there can be: hands each task's input back. It speaks the
protocol of workers/README.md by hand, so that what is measured is the daemon and not a library."""

import os


def main():
    channel = os.fdopen(int(os.environ.get("FUTURED_WORKER_FD", "3")), "rb+", buffering=0)
    lines = os.fdopen(os.dup(channel.fileno()), "rb")
    channel.write(b"HELLO 1 0\n")
    for line in lines:
        verb, task, size = line.split(b" ", 3)[:3]
        payload = lines.read(int(size))
        if verb == b"RUN":
            kind = line.rstrip(b"\n").partition(b" type=")[2] or b"application/octet-stream"
            channel.write(b"DONE %s %d type=%s\n%s" % (task, len(payload), kind, payload))


if __name__ == "__main__":
    main()
