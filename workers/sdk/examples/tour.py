"""One handler for each thing that a worker can do. tests/tools/worker_conformance knows them.

    tour.py [concurrency=N] [fork] [ahead] [soft]
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import futured_worker as worker  # noqa: E402


@worker.session
def prepare(init):
    """What is `bad` breaks the session."""
    if init.text == "bad":
        raise ValueError("a bad init")
    print("preparing")
    return init.text


@worker.handler
def prepared(task):
    return str(task.session)


@worker.handler
def echo(task):
    return worker.Result(task.view, task.content_type)


@worker.handler
def report(task):
    task.progress(0.5, "half of %d bytes" % len(task.input))
    task.log("a line for the log")
    return "reported"


@worker.handler
def fail(task):
    raise ValueError("no good: %s" % task.text)


@worker.handler
def data(task):
    """Fails with its input as data."""
    error = ValueError("no good")
    error.error_data = worker.Result(task.view, task.content_type)
    raise error


@worker.handler
def refuse(task):
    raise worker.Permanent("never")


@worker.handler
def later(task):
    raise worker.Temporary("not now")


@worker.handler("print")
def print_(task):
    print("DONE 1 0 a stray line")
    return "printed"


@worker.handler
def wait(task):
    """Until it is cancelled."""
    task.progress(0, "waiting")
    task.wait()
    task.check()


@worker.handler
def resume(task):
    """Saves its input, goes on a second later, and ends with what it saved."""
    if task.checkpoint is None:
        task.save(worker.Result(task.view, task.content_type))
        raise worker.Suspend(1)
    return task.checkpoint


@worker.handler
def join(task):
    """Is suspended until the futures end whose ids are the input; ends with what became of them."""
    if not task.results:
        raise worker.Suspend(until=task.text.split())
    return task.results


@worker.handler
def child(task):
    """Submits its input as another task, and ends with the id of that."""
    return task.submit("echo", task.text).id


@worker.handler
def steps(task):
    """Five steps, each saved, in the directory that is the input. After a step it waits while there is a
    file stop-N."""
    for step in range((task.checkpoint or 0) + 1, 6):
        with open(os.path.join(task.text, "steps"), "a") as done:
            done.write("%d\n" % step)
        task.save(step)
        while os.path.exists(os.path.join(task.text, "stop-%d" % step)):
            if task.should_yield:
                raise worker.Suspend()
            task.wait(0.02)
            task.check()
    return "five steps"


@worker.handler("yield")
def yield_(task):
    """Saves until it is asked to suspend itself."""
    while not task.should_yield:
        task.save("so far")
    raise worker.Suspend()


options = dict(arg.partition("=")[::2] for arg in sys.argv[1:])
worker.run(concurrency=int(options.get("concurrency", 1)), fork="fork" in options, ahead="ahead" in options,
           soft_cancel="soft" in options)
