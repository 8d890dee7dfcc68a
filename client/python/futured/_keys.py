# SPDX-License-Identifier: Apache-2.0
"""The key that calls and results are signed with. A pickle is a program: nothing is un-pickled, on either side, that
was not signed with the key of this file."""

from __future__ import annotations

import os
import stat

from ._typing import Any, Optional

blake2b: Any
compare_digest: Any
try:
    # What hashlib.blake2b and hmac.compare_digest are. Those two modules load all of OpenSSL, which takes longer than
    # importing this package.
    from _blake2 import blake2b  # type: ignore[import,no-redef]
    from _operator import _compare_digest as compare_digest
except ImportError:
    from hashlib import blake2b
    from hmac import compare_digest

MAC_BYTES = 32
KEY_MIN = 32               # bytes
KEY_MAX = 4096
MAC_KEY_MAX = 64           # bytes that BLAKE2b takes


class NotSigned(Exception):
    """The bytes were not signed with our key, or were changed, or stand for something else."""


def default_path() -> str:
    """$FUTURED_KEY, else ~/.config/futured/key."""
    return os.environ.get("FUTURED_KEY") or os.path.join(os.path.expanduser("~"), ".config", "futured", "key")


def generate(path: str) -> None:
    """Makes a key file that only its owner can read. Raises FileExistsError rather than replacing one."""
    folder = os.path.dirname(path)
    if folder:
        os.makedirs(folder, mode=0o700, exist_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as file:
        file.write(os.urandom(32).hex().encode("ascii") + b"\n")


def load(path: Optional[str] = None) -> bytes:
    """The key in a file, as `sign` takes it. Raises FileNotFoundError, which says how to make one, and PermissionError
    when others may read or write it."""
    path = path or default_path()
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise FileNotFoundError("there is no key file %s; `python3 -m futured keygen` makes one, which the worker of "
                                "the daemon needs too" % path) from None
    with open(fd, "rb") as file:
        mode = os.fstat(fd).st_mode
        if not stat.S_ISREG(mode) or mode & 0o077:
            raise PermissionError("the key file %s must be for its owner alone: chmod 600" % path)
        key = file.read(KEY_MAX).strip()
    if len(key) < KEY_MIN:
        raise ValueError("the key file %s has fewer than %d bytes" % (path, KEY_MIN))
    return key if len(key) <= MAC_KEY_MAX else bytes(blake2b(key).digest())


def sign(key: bytes, what: bytes, data: bytes) -> bytes:
    """The signature of data as a `what`, "call" or "end": that of a call does not fit a result. Keyed BLAKE2b."""
    found: bytes = blake2b(data, digest_size=MAC_BYTES, key=key, person=what).digest()
    return found


def verify(key: bytes, what: bytes, signed: bytes) -> bytes:
    """The data behind its signature; raises NotSigned."""
    mac, data = signed[:MAC_BYTES], signed[MAC_BYTES:]
    if len(mac) != MAC_BYTES or not compare_digest(mac, sign(key, what, data)):
        raise NotSigned("not signed with the key of this side")
    return data
