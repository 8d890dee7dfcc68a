"""A worker program as people write it, with the SDK, that hands each task's input back; --ahead takes tasks ahead."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "workers/sdk"))
import futured_worker as worker


@worker.handler
def echo(task):
    return task.text


if __name__ == "__main__":
    worker.run(ahead="--ahead" in sys.argv)
