"""The worker handlers of the chaos run: they stay. `warm` takes what work.sh takes; `steps` counts and stores how far it
is, and tells when a later run is given less than an earlier one had stored."""
import json
import os
import time

import futured_worker as worker


@worker.handler
def warm(task):
    value = json.loads(task.input)
    time.sleep(value["ms"] / 1000)
    if value["mode"] == "fail":
        raise ValueError(value["token"])
    return value["token"]


@worker.handler
def steps(task):
    value = json.loads(task.input)
    done = task.checkpoint or 0
    path = os.path.join(os.environ["CHAOS_RUNS"], task.id)
    with open(path + ".steps", "a+") as file:
        file.seek(0)
        stored = max([int(line) for line in file if line.endswith("\n")], default=0)
        if done < stored:
            with open(os.path.join(os.environ["CHAOS_RUNS"], "too-old"), "a") as told:
                told.write("%s attempt %d began at %d, and %d was stored\n" % (task.id, task.attempt, done, stored))
        while done < value["steps"]:
            time.sleep(value["ms"] / 1000)
            done += 1
            try:
                task.save(done)
            except worker.NotSaved as error:
                raise worker.Temporary(str(error)) from error
            file.write("%d\n" % done)
            file.flush()
            if value["suspends"] and done == value["steps"] // 2:
                raise worker.Suspend(0.3)
    return value["token"]


worker.run()
