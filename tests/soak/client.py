"""Speaks to a daemon as a client that must not lose anything: a connection kept alive, answers
taken apart, and a daemon that is away for a restart waited for. What HTTP says is all it knows."""

import http.client
import json
import time

AWAY = (OSError, http.client.HTTPException)


class Breach(Exception):
    """The daemon has said or done what it must not."""


class Undecided(Exception):
    """The daemon went away before it had answered: nobody knows whether it happened."""


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)


class Client:
    """One thread's. home: whatever has .address and .is_over (no more waiting for the daemon)."""

    def __init__(self, home):
        self.home, self.connection = home, None

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    def open(self, method, path, body=None, headers=None):
        """The response, its body unread. A connection that the server has closed meanwhile (it may,
        between two requests) is opened once more only for what changes nothing."""
        if not self.connection:
            self.connection = http.client.HTTPConnection(self.home.address, timeout=90)
        if isinstance(body, (dict, list)):
            body, headers = json.dumps(body), {"Content-Type": "application/json", **(headers or {})}
        self.connection.request(method, path, body, headers or {})
        return self.connection.getresponse()

    def once(self, method, path, body=None, headers=None):
        """An answer, or Undecided."""
        try:
            response = self.open(method, path, body, headers)
            answer = Answer(response.status, response.headers, response.read())
            if response.will_close:
                self.close()
            return answer
        except AWAY as error:
            self.close()
            raise Undecided(f"{method} {path}: {error!r}") from error

    def sure(self, method, path, body=None, headers=None, seconds=90):
        """The same, asked again until the daemon is back: for what may be repeated."""
        end = time.monotonic() + seconds
        while True:
            try:
                return self.once(method, path, body, headers)
            except Undecided as error:
                if time.monotonic() > end:
                    raise Breach(f"no answer in {seconds} s: {error}") from error
                self.home.pause(0.1)

    # ---- the daemon's verbs -------------------------------------------------------------------

    def submit(self, handler, value=None, **more):
        """The id of an acknowledged task."""
        answer = self.once("POST", "/v1/tasks", {"handler": handler, "input": value, **more})
        if answer.status not in (200, 202):
            raise refusal(answer, f"POST of {handler}")
        return answer.json()["id"]

    def future(self, task, wait=None):
        path = f"/v1/futures/{task}" + (f"?wait={wait}" if wait else "")
        answer = self.sure("GET", path)
        if answer.status != 200:
            raise Breach(f"GET {path}: {answer.status} {answer.body[:200]!r}: it was acknowledged")
        return answer.json()

    def end(self, task, seconds=120):
        """Waits for the future's end."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = self.future(task, wait=10)
            if found["done"]:
                return found
        raise Breach(f"{task} has not ended in {seconds} s: {json.dumps(found)[:400]}")

    def result(self, task):
        found = self.end(task)
        if found["state"] != "succeeded":
            raise Breach(f"{task} is {found['state']}: {json.dumps(found.get('error'))[:400]}")
        return found["result"]

    def stats(self):
        return self.sure("GET", "/v1/stats").json()


def refusal(answer, what):
    """503 while the daemon goes or comes is no breach: nothing was promised."""
    text = f"{what}: {answer.status} {answer.body[:200]!r}"
    return Undecided(text) if answer.status == 503 else Breach(text)


def expect(condition, text):
    if not condition:
        raise Breach(text)
