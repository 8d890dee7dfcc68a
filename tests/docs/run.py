#!/usr/bin/env python3
"""Runs the commands that the documents show, each document against a fresh daemon, and compares their output.

    tests/docs/run.py [DOCUMENT…]      all documents, or these; $FUT_BUILD is the build to run (build/debug)
    tests/docs/run.py --lint           names the curl lines that no test runs, and links and paths that lead nowhere

A command must exit with 0, and print what the document shows below it, where `…` stands for anything and a line of
`…` alone for any lines. `make run` and `futured &`, with variables before them, start a daemon in place of the
document's first one; `pkill` sends it a signal. The address of the documents, port 8420, is replaced by the daemon's, and
a proxy's, 127.0.0.1:8080, by a free one. With FUTURED_LISTEN=127.0.0.1:8421 before it, `futured &` starts a second
daemon beside the first. `createdb` makes a database on the server of tests/tools/with_postgres; `sudo` does nothing.
"""

import glob
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

import console

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FACTOR = int(os.environ.get("CK_TIMEOUT_MULTIPLIER", "1"))
COMMAND_S = 60 * FACTOR
START = re.compile(r"((?:[A-Z_]+=\S+ )*)(?:make run|futured)(?: &)?\s*(?:#.*)?")
HERE = re.compile(r"(?:localhost|127\.0\.0\.1):8420")
SECOND = "127.0.0.1:8421"
REFUSAL = re.compile(r'"status":[45]\d\d|HTTP/1.1 [45]\d\d')
# Where createdb, psql and the daemon find the server without being told.
POSTGRES = {"PGHOST": os.environ["FUT_POSTGRES"], "PGUSER": "futured"} if "FUT_POSTGRES" in os.environ else {}
# An answer of 400 or more is an error for the test, as it is for a reader who copies the line.
# pkill is for the daemon of this document, not for all of the machine.
PRELUDE = """set -o pipefail
curl() { command curl --fail-with-body "$@"; }
sudo() { :; }
pkill() { kill "$1" "$(cat .pid)" && { [ "$1" = -HUP ] || echo "$1" >.signal; }; }
"""


class Wrong(Exception):
    """What a command did otherwise than its document says."""


class Daemon:
    """One futured in a directory, on a port that the kernel chose, or on that of the one before."""

    def __init__(self, build, directory, settings, listen):
        self.directory = directory
        self.log = open(os.path.join(directory, ".log"), "w+", encoding="utf-8")
        keep = {k: v for k, v in os.environ.items() if k in ("PATH", "LANG") or k.endswith("SAN_OPTIONS")}
        environment = {**keep, **POSTGRES, "HOME": directory, "FUTURED_LISTEN": listen, **settings}
        self.process = subprocess.Popen([os.path.join(build, "futured")], cwd=directory, env=environment,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                        text=True, start_new_session=True)
        self.address = self._wait_address()

    def write_pid(self):
        """For `pkill`."""
        with open(os.path.join(self.directory, ".pid"), "w", encoding="ascii") as f:
            f.write(str(self.process.pid))

    def _wait_address(self):
        """Reads the log up to the line that names the address; from then on the log goes to the file."""
        for line in self.process.stderr:
            self.log.write(line)
            found = re.search(r"\baddress=(\S+)", line)
            if found:
                subprocess.Popen(["cat"], stdin=self.process.stderr, stdout=self.log)
                return found[1]
        self.log.flush()
        self.log.seek(0)
        raise Wrong(f"the daemon did not start (exit status {self.process.wait()}):\n{self.log.read()}")

    def wait_if_killed(self):
        """After a command that has sent it a signal to end by: it has ended."""
        sent = os.path.join(self.directory, ".signal")
        if os.path.exists(sent):
            self.process.wait(COMMAND_S)

    def stop(self):
        """Ends it. It must exit with 0, unless the document has killed it."""
        sent = os.path.join(self.directory, ".signal")
        expected = 0
        if os.path.exists(sent):
            with open(sent, encoding="ascii") as f:
                expected = -signal.SIGKILL if f.read().strip() == "-9" else 0
            os.remove(sent)
        if expected == 0:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(COMMAND_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        if status != expected:
            self.log.flush()
            self.log.seek(0)
            raise Wrong(f"the daemon ended with {status}:\n{self.log.read()}")


class Session:
    """One document: a directory, a shell that lives as long, the daemon that its commands talk to."""

    def __init__(self, build):
        self.build = build
        self.directory = tempfile.mkdtemp(prefix="futured-docs-")
        self.daemon = self.second = None
        self.databases = []
        self.listen = "127.0.0.1:0"
        with socket.create_server(("127.0.0.1", 0)) as s:
            self.proxy = f"127.0.0.1:{s.getsockname()[1]}"
        for name in os.listdir(ROOT):  # as in a clone, but what commands write stays out of it
            if name not in ("build", ".git"):
                os.symlink(os.path.join(ROOT, name), os.path.join(self.directory, name))
        tools = os.path.join(self.directory, ".bin")
        os.mkdir(tools)
        for program in ("futured", "future"):
            os.symlink(os.path.join(build, program), os.path.join(tools, program))
        read, write = os.pipe()
        self.status = os.fdopen(read)
        nginx = os.path.join(ROOT, "build/nginx/usr/sbin")
        environment = {**os.environ, **POSTGRES, "HOME": self.directory, "PATH": f"{tools}:{os.environ['PATH']}:{nginx}"}
        for name in [n for n in environment if n.startswith(("FUTURED_", "MAX_"))]:
            del environment[name]
        self.shell = subprocess.Popen(["bash", "--norc", "--noprofile"], stdin=subprocess.PIPE, pass_fds=(write,),
                                      cwd=self.directory, env=environment, start_new_session=True, text=True)
        os.close(write)
        self.status_fd = write
        self.shell.stdin.write(PRELUDE)

    def run(self, command):
        start = START.fullmatch(command.text)
        if start:
            settings = dict(s.split("=", 1) for s in start[1].split())
            if settings.get("FUTURED_LISTEN") == SECOND:
                settings["FUTURED_LISTEN"] = "127.0.0.1:0"
                self.second = Daemon(self.build, self.directory, settings, "")
            else:
                self.start_daemon(settings)
            return
        self.databases += re.findall(r"\bcreatedb (\w+)", command.text)
        if self.daemon is None:
            self.start_daemon({})
        text = HERE.sub(self.daemon.address, command.text)
        if self.second:
            text = text.replace(SECOND, self.second.address)
        status, output = self._shell(text.replace("127.0.0.1:8080", self.proxy))
        self.daemon.wait_if_killed()
        output = output.replace("\r", "").replace(self.daemon.address, "127.0.0.1:8420")
        output = output.replace(self.proxy, "127.0.0.1:8080")
        if status != 0 and not any(REFUSAL.search(line) for line in command.shown):
            raise Wrong(f"exit status {status}, and:\n{output}")
        if command.shown and not re.fullmatch(pattern(command.shown), output.rstrip("\n")):
            shown = "\n".join(command.shown)
            raise Wrong(f"printed:\n{output}where the document shows:\n{shown}")

    def start_daemon(self, settings):
        self.stop_daemon()
        self.daemon = Daemon(self.build, self.directory, settings, self.listen)
        self.daemon.write_pid()
        self.listen = self.daemon.address

    def stop_daemon(self):
        daemon, self.daemon = self.daemon, None
        if daemon:
            daemon.stop()

    def _shell(self, text):
        """(exit status, output) of a command, run in the shell itself so that its variables stay."""
        script, out = (os.path.join(self.directory, name) for name in (".command", ".output"))
        with open(script, "w", encoding="utf-8") as f:
            f.write(text + "\n")
        self.shell.stdin.write(f". '{script}' </dev/null >'{out}' 2>&1; echo $? >&{self.status_fd}\n")
        self.shell.stdin.flush()
        if not select.select([self.status], [], [], COMMAND_S)[0]:
            raise Wrong(f"did not end within {COMMAND_S} s")
        status = self.status.readline()
        if not status:
            raise Wrong("ended the shell")
        with open(out, encoding="utf-8", errors="replace") as f:
            return int(status), f.read()

    def close(self):
        try:
            self.stop_daemon()
            if self.second:
                self.second.stop()
        finally:
            os.killpg(self.shell.pid, signal.SIGKILL)
            self.shell.wait()
            for path in glob.glob(os.path.join(self.directory, "*.pid")):  # servers that a document started
                with open(path, encoding="ascii") as f:
                    os.kill(int(f.read()), signal.SIGTERM)
            for name in self.databases:
                subprocess.run(["dropdb", "--force", name], env={**os.environ, **POSTGRES}, check=True)
            shutil.rmtree(self.directory, ignore_errors=True)  # a server may be removing its own files


def pattern(shown):
    """What a document shows, as a regular expression; empty lines at its end do not count."""
    lines = list(shown)
    while lines and not lines[-1]:
        lines.pop()
    text = "\n".join(lines)
    text = re.escape(text).replace("…", ".*?")
    return re.sub(r"(?m)^\.\*\?(?:\\?\n|$)", r"(?:.*(?:\\n|$))*?", text)


def play(build, root, document):
    """Runs a document's commands; yields (command, what was wrong or None) for each, and once more for its end."""
    commands = console.commands(root, document)
    if not commands:
        return
    session = Session(build)
    try:
        for command in commands:
            try:
                session.run(command)
                yield command, None
            except Wrong as wrong:
                yield command, str(wrong)
    finally:
        try:
            session.close()
            wrong = None
        except Wrong as error:
            wrong = str(error)
    yield console.Command(document, len(console.read(root, document)), "(its end)"), wrong


def check_the_check(build):
    """Documents that are wrong on purpose: each of their commands says in a comment whether it must be refused."""
    here = os.path.join(ROOT, "tests/docs/wrong")
    results = list(play(build, here, "commands.md"))
    for command, wrong in results:
        must_fail = "# wrong" in command.text
        yield command, None if must_fail == (wrong is not None) else f"the check says {wrong!r}"
    found = [line for line, _ in console.stray(here, "stray.md")]
    expected = [i for i, line in enumerate(console.read(here, "stray.md"), 1) if "stray" in line]
    yield console.Command("stray.md", 1, "(its curl lines)"), None if found == expected else f"found {found}"
    found = [path for _, path in console.broken(here, "stray.md")]
    expected = ["nowhere.md", "tests/docs/run.py", "tests/docs/nowhere.py"]  # seen from `here`
    yield console.Command("stray.md", 1, "(its paths)"), None if found == expected else f"found {found}"


def lint():
    bad = 0
    for document in console.documents(ROOT):
        for line, text in console.stray(ROOT, document):
            print(f"{document}:{line}: a curl line outside of a console block, which no test runs: {text}")
            bad += 1
        for line, path in console.broken(ROOT, document):
            print(f"{document}:{line}: there is no {path}")
            bad += 1
    return 1 if bad else 0


def main(arguments):
    if arguments == ["--lint"]:
        return lint()
    build = os.path.abspath(os.environ.get("FUT_BUILD") or os.path.join(ROOT, "build/debug"))
    server = os.path.join(build, "tests/tools/with_postgres")
    if "FUT_POSTGRES" not in os.environ and os.path.exists(server):
        os.execv(server, [server, sys.executable, os.path.abspath(__file__), *arguments])
    checks = failures = 0
    plays = [play(build, ROOT, document) for document in arguments or console.documents(ROOT)]
    for results in plays if arguments else [check_the_check(build), *plays]:
        for command, wrong in results:
            checks += 1
            if wrong is not None:
                failures += 1
                print(f"{command.document}:{command.line}: $ {command.text}\n{wrong}\n", flush=True)
    print(f"{100 * (checks - failures) // max(checks, 1)}%: Checks: {checks}, Failures: {failures}, Errors: 0")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
