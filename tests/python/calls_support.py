"""A daemon whose handlers are those of executors, on a unix socket, with a key of its own."""

import os
import subprocess
import sys
import tempfile

import support


class CallsDaemon(support.Daemon):
    """`more`: further entries of the handlers file."""

    def __init__(self, threads=20, more=None, **settings):
        self.folder = tempfile.mkdtemp(prefix="futured-calls-")
        self.key = os.path.join(self.folder, "key")
        environment = {**os.environ, "PYTHONPATH": support.PACKAGE}
        subprocess.run([sys.executable, "-m", "futured", "keygen", "--key", self.key], env=environment, check=True,
                       stdout=subprocess.DEVNULL)
        printed = subprocess.run([sys.executable, "-m", "futured", "handlers", "--key", self.key, "--threads",
                                  str(threads)], env=environment, check=True, stdout=subprocess.PIPE).stdout
        settings.setdefault("FUTURED_LISTEN", "unix:" + os.path.join(self.folder, "socket"))
        settings.setdefault("MAX_WORKERS", "4")
        super().__init__({**support.json.loads(printed), **(more or {})}, **settings)

    def environment(self):
        """For a program that uses executors."""
        return {**os.environ, "PYTHONPATH": support.PACKAGE, "FUTURED_URL": self.url, "FUTURED_KEY": self.key}

    def stop(self):
        try:
            super().stop()
        finally:
            support.shutil.rmtree(self.folder, ignore_errors=True)


class CallsCase(support.DaemonCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = CallsDaemon(**cls.settings)
        os.environ.update(FUTURED_URL=cls.daemon.url, FUTURED_KEY=cls.daemon.key)
