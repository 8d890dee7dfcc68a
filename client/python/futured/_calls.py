# SPDX-License-Identifier: Apache-2.0
"""What goes over the wire between an executor and its worker: the preparation of a session, a call, and how it ended.

An init:   signature, then "FUT3", the Python's major and minor version, the executor's number (16 random bytes), the
           pickled preparation. It is the session's init, so it goes over once.
A call:    signature, then the same four, the pickled (function, args, kwargs). It is run by processes that were
           prepared by the init with its executor's number, and by no others.
A result:  signature, then the call's signature, the task's id, and the pickled value; of a failure the pickled
           exception, which is the data of the task's error. So it is the result of this call of this task, and of no other.
"""

from __future__ import annotations

import base64
import binascii
import os
import pickle
import struct
import sys
import types
from ._typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Tuple

from . import _functions, _keys

MAGIC = b"FUT3"
HEAD = struct.Struct("!4sBB16s")
INIT_TYPE = "application/vnd.futured.init"
INIT_MAX = 1 << 20         # bytes, signed
CALL_TYPE = "application/vnd.futured.call"
RESULT_TYPE = "application/vnd.futured.result"
EXCEPTION_TYPE = "application/vnd.futured.exception"
ID_BYTES = 36              # of a task's id
MARK = "\x1e\x1e"          # in the log of a task that failed: before the traceback


class StopLoading(BaseException):
    """Raised by the first executor that a main program makes while a worker loads it: what stands above is there, and
    nothing below runs a second time."""


class NotOurs(Exception):
    """A call that this worker refuses before anything of it is un-pickled."""


loading_main = False       # a worker loads a client's main program right now


class Signed(NamedTuple):
    """An init, or a call."""

    mac: bytes                 # its signature, which the result of a call repeats
    executor: bytes            # its number
    data: bytes                # pickled


def preparation(initializer: Optional[Callable[..., Any]], initargs: Tuple[Any, ...], max_tasks: Optional[int],
                share_authkey: bool = False, env: Optional[Mapping[str, str]] = None) -> bytes:
    """What a worker needs before the first call of an executor. Raises what pickle raises."""
    authkey: Optional[bytes] = None
    if share_authkey:
        import multiprocessing  # by those alone who have a Manager anyway

        authkey = bytes(multiprocessing.current_process().authkey)
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    state: Dict[str, Any] = {
        "argv": list(sys.argv), "path": [os.path.abspath(p or ".") for p in sys.path], "cwd": os.getcwd(),
        "module": spec.name if spec is not None else None, "max_tasks": max_tasks,
        "file": _functions.main_file() if spec is None else None,
        "initializer": _functions.dumps((initializer, initargs)) if initializer is not None else None,
        "authkey": authkey, "env": dict(env or {}),
    }
    return pickle.dumps(state, _functions.PROTOCOL)


def encode(key: bytes, what: bytes, executor: bytes, data: bytes) -> bytes:
    """Signs an "init" or a "call"."""
    body = HEAD.pack(MAGIC, sys.version_info[0], sys.version_info[1], executor) + data
    return _keys.sign(key, what, body) + body


def from_text(data: bytes) -> bytes:
    """A call that came as base64, as those of a batch do. Raises NotOurs."""
    try:
        return base64.b64decode(data, validate=True)
    except binascii.Error:
        raise NotOurs("not a call of the Python package") from None


def decode(key: bytes, what: bytes, signed: bytes) -> Signed:
    """Verifies an "init" or a "call" and takes it apart; raises NotOurs. Un-pickles nothing."""
    name = what.decode("ascii")
    try:
        body = _keys.verify(key, what, signed)
    except _keys.NotSigned:
        raise NotOurs("the %s is not signed with the key of this worker" % name) from None
    if len(body) < HEAD.size:
        raise NotOurs("the %s is too short" % name)
    magic, major, minor, executor = HEAD.unpack_from(body)
    if magic != MAGIC:
        raise NotOurs("the %s is of another version of the package" % name)
    if (major, minor) != sys.version_info[:2]:
        raise NotOurs("the %s is of Python %d.%d, and this worker is Python %d.%d"
                      % (name, major, minor, *sys.version_info[:2]))
    return Signed(signed[:_keys.MAC_BYTES], executor, body[HEAD.size:])


def encode_end(key: bytes, call_mac: bytes, task_id: str, data: bytes) -> bytes:
    body = call_mac + task_id.encode("ascii") + data
    return _keys.sign(key, b"end", body) + body


def decode_end(key: bytes, call_mac: Optional[bytes], task_id: str, data: bytes) -> bytes:
    """The pickle of a result or of a failure; raises NotSigned also when it is the end of another call or task.
    `call_mac` None: of any call of that task."""
    body = _keys.verify(key, b"end", data)
    start = _keys.MAC_BYTES + ID_BYTES
    if body[_keys.MAC_BYTES:start] != task_id.encode("ascii"):
        raise _keys.NotSigned("the end of another task")
    if call_mac is not None and body[:_keys.MAC_BYTES] != call_mac:
        raise _keys.NotSigned("the end of another call")
    return body[start:]


class Parts(NamedTuple):
    printed: str               # what the function wrote
    traceback: str


def parts_of_log(log: str) -> Parts:
    """Takes the log of a task that failed apart."""
    printed, mark, trace = log.rpartition(MARK)
    return Parts(printed, trace) if mark else Parts(log, "")


def run_chunk(fn: Callable[..., Any], chunk: List[Tuple[Any, ...]]) -> List[Tuple[bool, Any]]:
    """A chunk of a map: each call's value or exception, so that one that raises costs the others nothing."""
    results: List[Tuple[bool, Any]] = []
    for args in chunk:
        try:
            results.append((True, fn(*args)))
        except BaseException as error:
            results.append((False, error.with_traceback(None)))
    return results


def load_main(state: Mapping[str, Any]) -> Optional[types.ModuleType]:
    """Runs the client's main program up to its first executor, as a module named `__mp_main__`; None: it has none
    that can be loaded. Raises what the program raises."""
    global loading_main
    if state["module"] is None and state["file"] is None:
        return None
    module = types.ModuleType("__mp_main__")
    name = state["module"]
    if name is not None:
        import importlib.util

        spec = importlib.util.find_spec(name)
        loader: Any = spec.loader if spec is not None else None
        if spec is None or loader is None:
            raise ImportError("the worker does not find the main module %s" % name)
        code = loader.get_code(spec.name)
        module.__file__, module.__package__ = spec.origin, spec.parent
    else:
        with open(state["file"], "rb") as file:
            code = compile(file.read(), state["file"], "exec")
        module.__file__ = state["file"]
    loading_main = True
    try:
        sys.modules["__mp_main__"] = module
        exec(code, module.__dict__)
    except StopLoading:
        pass
    finally:
        loading_main = False
    return module
