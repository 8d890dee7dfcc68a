#!/usr/bin/env python3
"""The parser of answers: every way to cut an answer into pieces gives the same; what is no answer is said to be none."""

import ssl
import unittest

import support

from futured._http import Address, ConnectionLost, Lines, Parser, encode, target

ANSWERS = [
    (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, b"hello", True),
    (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", True),
    (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 Accepted\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}", 202,
     b"{}", False),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n", 200,
     b"hello world", True),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n", 200,
     b"0123456789", True),
    (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 404, b"", True),
]


class ParserTests(unittest.TestCase):
    def test_any_cut(self):
        for whole, status, body, keep in ANSWERS:
            for size in range(1, len(whole) + 1):
                with self.subTest(whole=whole, size=size):
                    parser, got = Parser(), b""
                    for at in range(0, len(whole), size):
                        self.assertFalse(parser.done)
                        parser.feed(whole[at:at + size])
                        got += parser.take()
                    self.assertEqual((parser.done, parser.status, got, parser.keep_alive), (True, status, body, keep))

    def test_end_of_the_stream_ends_a_body_without_a_length(self):
        parser = Parser()
        parser.feed(b"HTTP/1.0 200 OK\r\n\r\nabc")
        self.assertFalse(parser.done)
        parser.feed(b"")
        self.assertEqual((parser.done, parser.take(), parser.keep_alive), (True, b"abc", False))

    def test_an_end_in_the_middle_is_a_lost_connection(self):
        for whole, _, _, _ in ANSWERS:
            for at in range(len(whole)):
                parser = Parser()
                if at:
                    parser.feed(whole[:at])
                with self.subTest(part=whole[:at]), self.assertRaises(ConnectionLost):
                    parser.feed(b"")

    def test_what_is_not_http(self):
        for wrong in (b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1\r\n\r\n", b"x" * 70000,
                      b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"):
            with self.subTest(wrong=wrong[:20]), self.assertRaises(ConnectionLost):
                Parser().feed(wrong)

    def test_lines(self):
        text = b"one\n\ntwo\nthree\n"
        for size in range(1, len(text) + 1):
            lines, got = Lines(), []
            for at in range(0, len(text), size):
                got += lines.feed(text[at:at + size])
            self.assertEqual(got, [b"one", b"two", b"three"])


class RequestTests(unittest.TestCase):
    def test_a_header_cannot_become_two(self):
        for headers in ({"X": "a\r\nY: b"}, {"X": "a\nb"}, {"X": "a\rb"}):
            with self.subTest(headers=headers), self.assertRaises(ValueError):
                encode("GET", "/", "h", headers, None)
        with self.assertRaises(ValueError):
            encode("GET", "/a b\r\nX: y", "h", {}, None)

    def test_post_always_says_how_long_it_is(self):
        self.assertIn(b"Content-Length: 0\r\n", encode("POST", "/", "h", {}, None))
        self.assertNotIn(b"Content-Length", encode("GET", "/", "h", {}, None))

    def test_queries(self):
        self.assertEqual(target("/a", {"b": 1, "c": None, "d": "e f", "g": True}), "/a?b=1&d=e+f&g=true")

    def test_addresses(self):
        for url, want in [("http://127.0.0.1:8420", ("127.0.0.1", 8420, None, "127.0.0.1:8420")),
                          ("http://[::1]:80/", ("::1", 80, None, "[::1]:80")),
                          ("unix:/run/x.sock", ("localhost", 0, "/run/x.sock", "localhost")),
                          ("unix:///run/x.sock", ("localhost", 0, "/run/x.sock", "localhost"))]:
            address = Address(url)
            self.assertEqual((address.host, address.port, address.path, address.name), want)
        self.assertIsInstance(Address("https://example.org").tls, ssl.SSLContext)
        for wrong in ("127.0.0.1:8420", "ftp://x", "http://", "http://x/v1"):
            with self.subTest(url=wrong), self.assertRaises(ValueError):
                Address(wrong)


if __name__ == "__main__":
    support.main()
