"""Handlers that raise, return and print what no handler should: the input names it.

    odd.py [concurrency]
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../workers/sdk"))
import futured_worker as worker  # noqa: E402


class Mute(Exception):
    def __str__(self):
        raise RuntimeError("no text")

    __repr__ = __str__


class Fehlerzähler(Exception):
    pass


class Meta(type):
    @property
    def __name__(cls):
        raise RuntimeError("no name")


class Nameless(Exception, metaclass=Meta):
    pass


Long = type("L" * 300, (Exception,), {})
Foreign = type("失敗", (Exception,), {})


def throw(error):
    raise error


def recurse():
    return recurse()


def close_stdout():
    sys.stdout.close()
    sys.stdout = open(1, "w", closefd=False)


def take_stdout(instead):
    kept, sys.stdout = sys.stdout, instead
    return kept


def without_stdout():
    kept = take_stdout(None)
    print("nowhere")
    sys.stdout = kept
    return "fine"


ODD = {
    "mute": lambda task: throw(Mute()),
    "umlaut": lambda task: throw(Fehlerzähler("ä\nö")),
    "foreign": lambda task: throw(Foreign("x")),
    "nameless": lambda task: throw(Nameless("x")),
    "long": lambda task: throw(Long("x" * 5000000)),
    "surrogate error": lambda task: throw(ValueError("\udc80")),
    "empty": lambda task: throw(ValueError()),
    "blank": lambda task: throw(ValueError("\n\n")),
    "exit": lambda task: sys.exit(3),
    "interrupt": lambda task: throw(KeyboardInterrupt()),
    "base": lambda task: throw(BaseException("x")),
    "stop": lambda task: next(iter(())),
    "recursion": lambda task: recurse(),
    "traceback": lambda task: throw(ValueError("told")),
    "set": lambda task: {1, 2},
    "object": lambda task: object(),
    "generator": lambda task: (i for i in ()),
    "nan": lambda task: float("nan"),
    "surrogate": lambda task: "\udc80",
    "data": lambda task: worker.Result("text", "text/plain"),
    "type": lambda task: worker.Result(b"x", "text/plän"),
    "type none": lambda task: worker.Result(b"x", None),
    "type lines": lambda task: worker.Result(b"x", "text/plain\nDONE 1 0"),
    "type long": lambda task: worker.Result(b"x", "text/" + "x" * 200),
    "print surrogate": lambda task: print("\udc80"),
    "closed": lambda task: close_stdout(),
    "none": lambda task: without_stdout(),
    "tiny": lambda task: task.progress(1e-9),
    "not a number": lambda task: task.progress(float("nan")),
    "much": lambda task: task.log("x" * 3000000),
    "fine": lambda task: "fine",
}


@worker.handler
def odd(task):
    return ODD[task.text](task)


worker.run(concurrency=int(sys.argv[1]) if len(sys.argv) > 1 else 1)
