# SPDX-License-Identifier: Apache-2.0
"""`python3 -m futured keygen | handlers | serve`: what an operator does once, and the worker of a module's tasks."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Any, Dict, List, Optional

from . import _keys, _tasks


def entries(key: str, threads: int, python: str) -> Dict[str, Any]:
    """The members of the handlers file that executors need."""
    about = "calls of Python %d.%d" % sys.version_info[:2]
    shared: Dict[str, Any] = {"scope": "code", "timeout": 86400, "retries": 0, "retry_on": [], "description": about}
    needed = _tasks.environment("futured")
    if needed:
        shared["env"] = needed
    command = [python, "-m", "futured.worker"]
    return {"python.cpu": dict(shared, worker=[*command, "cpu", "--key", key], lane="cpu"),
            "python.io": dict(shared, worker=[*command, "io", str(threads), "--key", key], lane="io")}


def main(arguments: Optional[List[str]] = None) -> int:
    parser = argparse.ArgumentParser(prog="python3 -m futured")
    commands = parser.add_subparsers(dest="command", required=True)
    keygen = commands.add_parser("keygen", help="make the key that calls and results are signed with")
    handlers = commands.add_parser("handlers", help="print the entries of the handlers file for executors")
    for each in (keygen, handlers):
        each.add_argument("--key", default=_keys.default_path(), help="the key file (%(default)s)")
    serve = commands.add_parser("serve", help="run the tasks of a module: a worker program of the daemon")
    handlers.add_argument("module", nargs="?", help="print the entries for the tasks of this module instead")
    serve.add_argument("module")
    handlers.add_argument("--threads", type=int, default=20, help="of the io lane (%(default)s)")
    serve.add_argument("--threads", type=int, default=1, help="that many tasks at once, on the io lane alone")
    given = parser.parse_args(arguments)
    if given.command == "serve":
        _tasks.serve(given.module, given.threads)
    if given.command == "handlers" and given.module:
        print(json.dumps(_tasks.entries(given.module, sys.executable, given.threads), indent=1))
        return 0
    key = os.path.abspath(given.key)
    if given.command == "keygen":
        try:
            _keys.generate(key)
        except FileExistsError:
            print("%s is there already; nothing was changed" % key, file=sys.stderr)
            return 1
        print(key)
        return 0
    print(json.dumps(entries(key, given.threads, sys.executable), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
