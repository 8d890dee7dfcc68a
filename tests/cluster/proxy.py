"""TCP between a node and the server, which can be held up: both ways, one way, or only the connection that listens."""

import contextlib
import selectors
import socket
import threading

CHUNK = 65536


class Link:
    """One connection of a node, and ours to the server for it."""

    def __init__(self, client, server):
        self.ends, self.is_listener = (client, server), False
        self.waiting = {client: b"", server: b""}  # bytes that this end has not taken yet

    def other(self, end):
        return self.ends[1] if end is self.ends[0] else self.ends[0]


class Proxy(threading.Thread):
    """One thread; other threads call pause, go_on and cut. target(): the path of the server's socket."""

    def __init__(self, target):
        super().__init__(name="proxy", daemon=True)
        self.target, self.lock, self.paused = target, threading.RLock(), ()
        self.links, self.selector = {}, selectors.DefaultSelector()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.listener.setblocking(False)
        self.wake, self.woken = socket.socketpair()
        self.is_over = False
        self.start()

    # ---- any thread -----------------------------------------------------------------------------

    def pause(self, ways=("in", "out"), only_listener=False):
        """in: what the node sends; out: what the server answers."""
        with self.lock:
            self.paused, self.only_listener = tuple(ways), only_listener
        self.wake.send(b"x")

    def go_on(self):
        with self.lock:
            self.paused = ()
        self.wake.send(b"x")

    def cut(self):
        """All connections end, as when a router has forgotten them."""
        with self.lock:
            for link in set(self.links.values()):
                for end in link.ends:
                    with contextlib.suppress(OSError):
                        end.shutdown(socket.SHUT_RDWR)

    def close(self):
        self.is_over = True
        self.wake.send(b"x")
        self.join()

    # ---- its thread -----------------------------------------------------------------------------

    def may_read(self, link, end):
        way = "in" if end is link.ends[0] else "out"
        return way not in self.paused or (self.only_listener and not link.is_listener)

    def accept(self):
        client, _ = self.listener.accept()
        server = socket.socket(socket.AF_UNIX)
        try:
            server.connect(self.target())
        except OSError:
            client.close()
            server.close()
            return
        link = Link(client, server)
        for end in link.ends:
            end.setblocking(False)
            self.links[end] = link
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close_link(self, link):
        for end in link.ends:
            self.links.pop(end, None)
            with contextlib.suppress(KeyError, ValueError):
                self.selector.unregister(end)
            end.close()

    def read(self, link, end):
        if link.waiting[link.other(end)]:
            return
        try:
            data = end.recv(CHUNK)
        except BlockingIOError:
            return
        if not data:
            raise ConnectionError("it has ended")
        if end is link.ends[0] and b"LISTEN futured" in data:
            link.is_listener = True
            if not self.may_read(link, end):
                pass  # what was read before it was known goes on
        link.waiting[link.other(end)] = data

    def write(self, link, end):
        data = link.waiting[end]
        if data:
            with contextlib.suppress(BlockingIOError):
                link.waiting[end] = data[end.send(data):]

    def interests(self):
        """What each end waits for now."""
        wanted = {self.listener: selectors.EVENT_READ, self.woken: selectors.EVENT_READ}
        for end, link in self.links.items():
            events = selectors.EVENT_WRITE if link.waiting[end] else 0
            if self.may_read(link, end) and not link.waiting[link.other(end)]:
                events |= selectors.EVENT_READ
            if events:
                wanted[end] = events
        return wanted

    def register(self):
        wanted = self.interests()
        for key in list(self.selector.get_map().values()):
            if key.fileobj not in wanted:
                self.selector.unregister(key.fileobj)
        known = {key.fileobj: key.events for key in self.selector.get_map().values()}
        for end, events in wanted.items():
            if end not in known:
                self.selector.register(end, events)
            elif known[end] != events:
                self.selector.modify(end, events)

    def serve(self, end, events):
        if end is self.listener:
            self.accept()
        elif end is self.woken:
            self.woken.recv(CHUNK)
        elif end in self.links:
            link = self.links[end]
            try:
                if events & selectors.EVENT_READ:
                    self.read(link, end)
                    end, events = link.other(end), events | selectors.EVENT_WRITE
                if events & selectors.EVENT_WRITE:
                    self.write(link, end)
            except OSError:
                self.close_link(link)

    def run(self):
        while not self.is_over:
            with self.lock:
                self.register()
            for key, events in self.selector.select():
                with self.lock:
                    self.serve(key.fileobj, events)
        for link in set(self.links.values()):
            self.close_link(link)
        self.listener.close()
