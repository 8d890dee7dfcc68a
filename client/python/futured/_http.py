# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 without a socket: addresses, requests as bytes, and a parser of answers that is fed what arrives.

The blocking client, the asyncio client and the executor's receiver share this; each moves the bytes in its own way.
"""

from __future__ import annotations

import json
import os
import socket
from ._typing import TYPE_CHECKING, Dict, List, Mapping, Optional, Tuple, Union

if TYPE_CHECKING:
    import ssl

HEAD_MAX = 65536           # bytes of status line and headers
READ_BYTES = 65536         # of one recv; the C library maps and unmaps memory for each larger one
CONNECT_SECONDS = 10.0
JSON = "application/json"
NDJSON = "application/x-ndjson"


class ConnectionLost(ConnectionError):
    """The connection ended, or what came over it is not HTTP, before an answer was whole."""


class Address:
    """Where a daemon listens: `http://host:port`, `https://host:port` or `unix:/path`."""

    def __init__(self, url: str, ca: Optional[str] = None) -> None:
        self.url = url
        self.path: Optional[str] = None
        self.tls: Optional["ssl.SSLContext"] = None
        if url.startswith("unix:"):
            self.path = "/" + url[len("unix:"):].lstrip("/")
            self.host, self.port, self.name = "localhost", 0, "localhost"
            return
        from urllib.parse import urlsplit

        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/"):
            raise ValueError("a daemon's URL is http://HOST:PORT, https://HOST:PORT or unix:/PATH, not %r" % url)
        self.host = parts.hostname
        self.port = parts.port or (443 if parts.scheme == "https" else 80)
        self.name = parts.netloc.rpartition("@")[2]
        if parts.scheme == "https":
            import ssl  # by those alone who need it

            self.tls = ssl.create_default_context(cafile=ca)

    @staticmethod
    def default() -> str:
        """$FUTURED_URL, or where a daemon listens that was told nothing."""
        return os.environ.get("FUTURED_URL") or "http://127.0.0.1:8420"

    def connect(self, timeout: float = CONNECT_SECONDS) -> socket.socket:
        """A new connection; blocks for `timeout` seconds at most, and raises OSError."""
        if self.path is not None:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                sock.settimeout(timeout)
                sock.connect(self.path)
            except OSError:
                sock.close()
                raise
            return sock
        sock = socket.create_connection((self.host, self.port), timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.tls is None:
            return sock
        try:
            return self.tls.wrap_socket(sock, server_hostname=self.host)
        except BaseException:
            sock.close()
            raise


def default_token() -> Optional[str]:
    """$FUTURED_TOKEN, else the first line of the file $FUTURED_TOKEN_FILE, else None."""
    token = os.environ.get("FUTURED_TOKEN")
    path = os.environ.get("FUTURED_TOKEN_FILE")
    if not token and path:
        with open(path, encoding="ascii") as file:
            token = file.readline().strip()
    return token or None


def encode(method: str, target: str, host: str, headers: Mapping[str, str], body: Optional[bytes]) -> bytes:
    """A request as it is sent. Refuses what would be more than one header line."""
    lines: List[str] = ["%s %s HTTP/1.1" % (method, target), "Host: " + host]
    lines.extend("%s: %s" % item for item in headers.items())
    if body is not None or method == "POST":
        lines.append("Content-Length: %d" % len(body or b""))
    head = "\r\n".join(lines)
    if head.count("\r") != len(lines) - 1 or head.count("\n") != len(lines) - 1:
        raise ValueError("a line break in a header or in the target of a request")
    return head.encode("latin-1") + b"\r\n\r\n" + (body or b"")


class Parser:
    """One answer. Feed it what arrives (b"" at the end of the stream) until `done`; `take` gives what there is of the
    body so far. What came behind the answer is an error: nothing is sent ahead here."""

    def __init__(self, method: str = "GET") -> None:
        self.status = 0
        self.headers: Dict[str, str] = {}
        self.done = False
        self.keep_alive = False
        self._method = method
        self._buffer = bytearray()
        self._body: List[bytes] = []
        self._left = 0             # bytes of the body, or of the chunk, that are still to come
        self._mode = "head"        # head, length, close, size, chunk, trailer

    def feed(self, data: bytes) -> None:
        """Takes what arrived; raises ConnectionLost for an end in the middle and for what is not HTTP."""
        if not data:
            if self._mode != "close" or self.done:
                raise ConnectionLost("the connection ended inside an answer" if self.status or self._buffer
                                     else "the connection ended before an answer")
            self.done, self.keep_alive = True, False
            return
        if self._mode == "length" and not self._buffer and len(data) < self._left:
            self._body.append(data)
            self._left -= len(data)
            return
        self._buffer += data
        while not self.done and self._step():
            pass

    def take(self) -> bytes:
        """The bytes of the body that came since the last call."""
        body, self._body = self._body, []
        return body[0] if len(body) == 1 else b"".join(body)

    def _step(self) -> bool:
        if self._mode == "head":
            return self._head()
        if self._mode == "size":
            return self._size()
        if self._mode == "trailer":
            return self._trailer()
        return self._bytes()

    def _head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > HEAD_MAX:
                raise ConnectionLost("an answer whose head does not end")
            return False
        lines = bytes(self._buffer[:end]).decode("latin-1").split("\r\n")
        del self._buffer[:end + 4]
        words = lines[0].split(" ", 2)
        if len(words) < 2 or not words[0].startswith("HTTP/1.") or not words[1].isdigit():
            raise ConnectionLost("not an answer of HTTP: %r" % lines[0][:80])
        if words[1].startswith("1"):
            return True  # 100 Continue: the answer itself follows
        self.status = int(words[1])
        for line in lines[1:]:
            name, _, value = line.partition(":")
            self.headers[name.strip().lower()] = value.strip()
        self._bounds()
        return True

    def _bounds(self) -> None:
        self.keep_alive = self.headers.get("connection", "").lower() != "close"
        if self._method == "HEAD" or self.status in (204, 304):
            self.done = True
        elif "chunked" in self.headers.get("transfer-encoding", "").lower():
            self._mode = "size"
        elif "content-length" in self.headers:
            self._mode, self._left = "length", int(self.headers["content-length"])
            self.done = self._left == 0
        else:
            self._mode, self.keep_alive = "close", False

    def _size(self) -> bool:
        end = self._buffer.find(b"\r\n")
        if end < 0:
            return False
        try:
            self._left = int(bytes(self._buffer[:end]).partition(b";")[0], 16)
        except ValueError:
            raise ConnectionLost("not the size of a chunk: %r" % bytes(self._buffer[:20])) from None
        del self._buffer[:end + 2]
        self._mode = "chunk" if self._left else "trailer"
        return True

    def _trailer(self) -> bool:
        end = self._buffer.find(b"\r\n")
        if end < 0:
            return False
        self.done = end == 0
        del self._buffer[:end + 2]
        return True

    def _bytes(self) -> bool:
        if self._mode == "close":
            self._body.append(bytes(self._buffer))
            self._buffer.clear()
            return False
        if self._mode == "chunk" and self._left <= len(self._buffer) < self._left + 2:
            return False  # its line break is still to come
        part = bytes(self._buffer[:self._left])
        del self._buffer[:len(part)]
        self._left -= len(part)
        if part:
            self._body.append(part)
        if self._left:
            return False
        if self._mode == "length":
            self.done = True
        else:
            del self._buffer[:2]
            self._mode = "size"
        return True


class Lines:
    """Splits a stream of bytes into its lines."""

    def __init__(self) -> None:
        self._parts: List[bytes] = []

    def feed(self, data: bytes) -> List[bytes]:
        """The lines that are whole now, without their line breaks and without empty ones."""
        if b"\n" not in data:
            if data:
                self._parts.append(data)
            return []
        lines = (b"".join(self._parts) + data).split(b"\n")
        last = lines.pop()
        self._parts = [last] if last else []
        return [line for line in lines if line]


class Answer:
    """A whole answer."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    def json(self) -> Dict[str, object]:
        """The body, which is a JSON object; what is none becomes one that says so."""
        try:
            value = json.loads(self.body)
        except ValueError:
            value = None
        return value if isinstance(value, dict) else {"code": "", "detail": self.body[:200].decode("utf-8", "replace")}


_UNRESERVED = str.maketrans("-._~", "0000")
Query = Mapping[str, Union[str, int, float, bool, None]]


def target(path: str, query: Optional[Query] = None) -> str:
    """Path and query of a URL; members that are None are left out."""
    pairs: List[Tuple[str, str]] = []
    for name, value in (query or {}).items():
        if value is not None:
            pairs.append((name, str(value).lower() if isinstance(value, bool) else str(value)))
    if all(_is_plain(name) and _is_plain(value) for name, value in pairs):
        text = "&".join("%s=%s" % pair for pair in pairs)
    else:
        from urllib.parse import urlencode  # by those alone who need it

        text = urlencode(pairs)
    return path + ("?" + text if pairs else "")


def _is_plain(text: str) -> bool:
    return text.isascii() and text.translate(_UNRESERVED).isalnum()


def segment(text: str) -> str:
    """A part of a path."""
    if _is_plain(text):
        return text
    from urllib.parse import quote

    return quote(text, safe="")
