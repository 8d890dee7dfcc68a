"""Receives done-callbacks, and is at times a bad receiver: errors, Retry-After, connections that are closed."""

import http.server
import json
import random
import threading


class Receiver:
    def __init__(self, seed):
        self.random, self.lock = random.Random(seed), threading.Lock()
        self.told = {}  # token -> states that were received and answered with 2xx
        self.data = {}  # token -> what came with them
        self.is_kind = False
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                outer.receive(self)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def url(self, token):
        return f"http://127.0.0.1:{self.server.server_port}/{token}"

    def receive(self, request):
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        with self.lock:
            luck = 1.0 if self.is_kind else self.random.random()
        if luck < 0.05:
            request.close_connection = True
            return
        if luck < 0.15:
            request.send_response(503)
            request.send_header("Retry-After", "1")
            request.end_headers()
            return
        if luck < 0.2:
            request.send_response(500)
            request.end_headers()
            return
        said, token = json.loads(body), request.path[1:]
        with self.lock:
            self.told.setdefault(token, []).append(said["type"].removeprefix("future."))
            self.data.setdefault(token, []).append(said["data"])
        request.send_response(204)
        request.end_headers()

    def states(self, token):
        with self.lock:
            return list(self.told.get(token, ()))

    def said(self, token):
        with self.lock:
            return list(self.data.get(token, ()))
