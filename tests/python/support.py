"""What the tests of the Python package share: a daemon of their own, and a runner that counts as libcheck does."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PACKAGE = os.path.join(ROOT, "client", "python")
BUILD = os.path.abspath(os.environ.get("FUT_BUILD") or os.path.join(ROOT, "build", "debug"))
FACTOR = int(os.environ.get("CK_TIMEOUT_MULTIPLIER", "1"))
WAIT_S = 60 * FACTOR       # seconds after which a test gives up on an event
sys.path.insert(0, PACKAGE)


def _store(directory):
    """Where a daemon keeps its tasks, by $FUT_STORE: in a file there; "postgres": in a schema of its own on the server of
    tests/tools/with_postgres; "memory": nowhere."""
    store = os.environ.get("FUT_STORE") or "sqlite"
    if store == "memory":
        return {"FUTURED_STORE": "memory"}
    return {"FUTURED_DB": _schema(directory) if store == "postgres" else os.path.join(directory, "futured.db")}


def _schema(directory):
    schema = "p" + re.sub(r"\W", "_", os.path.basename(directory)).lower() + str(os.getpid())
    url = "postgresql:///postgres?user=futured&host=" + os.environ["FUT_POSTGRES"]
    subprocess.run(["psql", "-X", "-q", "-d", url, "-c", "CREATE SCHEMA " + schema], check=True)
    return url + "&options=-csearch_path%3D" + schema


class Daemon:
    """A futured in a directory of its own, on a port that the kernel chose. `handlers`: its handlers file."""

    def __init__(self, handlers=None, **settings):
        self.directory = tempfile.mkdtemp(prefix="futured-python-")
        self.settings = dict(settings)
        self.process = None
        if handlers is not None:
            path = os.path.join(self.directory, "handlers.json")
            with open(path, "w", encoding="utf-8") as file:
                json.dump(handlers, file)
            self.settings["FUTURED_HANDLERS"] = path
        self.store = _store(self.directory)
        self.url = None
        self.start()

    def start(self):
        """Starts it, again at the address that it had."""
        keep = {k: v for k, v in os.environ.items() if k in ("PATH", "LANG") or k.endswith("SAN_OPTIONS")}
        listen = self.settings.get("FUTURED_LISTEN") or (self.url or "http://127.0.0.1:0").partition("//")[2]
        environment = {**keep, "HOME": self.directory, **self.store,
                       **self.settings, "FUTURED_LISTEN": listen}
        self.process = subprocess.Popen([os.path.join(BUILD, "futured")], cwd=self.directory, env=environment,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                        text=True, start_new_session=True)
        said = []
        for line in self.process.stderr:
            said.append(line)
            found = re.search(r"\baddress=(\S+)", line)
            if found:
                threading.Thread(target=self._drain, args=(self.process.stderr,), daemon=True).start()
                unix = found[1].startswith(("/", "unix:"))
                self.url = "unix:" + found[1].replace("unix:", "") if unix else "http://" + found[1]
                return
        raise AssertionError("the daemon did not start:\n" + "".join(said))

    def _drain(self, stream):
        with open(os.path.join(self.directory, "log"), "a", encoding="utf-8") as log, stream:
            for line in stream:
                log.write(line)
                log.flush()

    def log(self):
        with open(os.path.join(self.directory, "log"), encoding="utf-8") as log:
            return log.read()

    def end(self, number=signal.SIGTERM):
        """Ends it by a signal and waits for that."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(WAIT_S)

    def restart(self, number=signal.SIGKILL):
        self.end(number)
        self.start()

    def stop(self):
        """Ends it; it must exit with 0."""
        try:
            status = self.end()
            if status != 0:
                raise AssertionError("the daemon ended with %d:\n%s" % (status, self.log()))
        finally:
            shutil.rmtree(self.directory, ignore_errors=True)


class DaemonCase(unittest.TestCase):
    """Tests that share a daemon: `handlers` and `settings` are for it."""

    handlers = None
    settings = {}

    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon(cls.handlers, **cls.settings)

    @classmethod
    def tearDownClass(cls):
        cls.daemon.stop()


class _Result(unittest.TextTestResult):
    ran = 0

    def startTest(self, test):
        super().startTest(test)
        type(self).ran += 1


def main():
    """Runs the tests of the program; the closing line is what tests/run.sh adds up."""
    program = unittest.main(exit=False, testRunner=unittest.TextTestRunner(
        stream=sys.stdout, resultclass=_Result, verbosity=int(os.environ.get("FUT_VERBOSE", "0"))))
    result = program.result
    bad, errors = len(result.failures) + len(result.unexpectedSuccesses), len(result.errors)
    checks = max(result.testsRun, bad + errors)
    for test, why in result.skipped:
        print("NOTE: %s was skipped: %s" % (test, why))
    print("%d%%: Checks: %d, Failures: %d, Errors: %d"
          % (100 * (checks - bad - errors) // max(1, checks), checks, bad, errors))
    sys.stdout.flush()
    os._exit(1 if bad or errors else 0)  # a thread of a test that failed must not hold it up
