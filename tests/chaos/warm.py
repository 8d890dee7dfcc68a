"""The worker handler of the chaos run: it stays, and takes what work.sh takes."""
import json
import time

import futured_worker as worker


@worker.handler
def warm(task):
    value = json.loads(task.input)
    time.sleep(value["ms"] / 1000)
    if value["mode"] == "fail":
        raise ValueError(value["token"])
    return value["token"]


worker.run()
