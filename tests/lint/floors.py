"""The floors of the program, from the lowest to the highest: who may use whom.

`layers` holds the includes against them, `circles` the symbols of the objects. A file belongs to the floor with the
longest pattern that it begins with. A floor may use itself, the floors it names, and whatever those may use.
"""
import os

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MODULE_FOLDERS = ("core", "storage", "workers", "api", "daemon", "client")

# floor: (patterns, floors it may use)
FLOORS = {
    "core": (["core/"], []),

    # What storage shows to its users and what a backend has to be stand below both.
    "storage interface": (["storage/store.h", "storage/schedule.h", "storage/session.h", "storage/ends.h", "storage/batch.h", "storage/results.h", "storage/limit.h", "storage/queue.h", "storage/node.h", "storage/backend.", "storage/fault.", "storage/copy_side."], ["core"]),
    "storage/memory": (["storage/memory/"], ["storage interface"]),
    "storage/sqlite": (["storage/sqlite/"], ["storage interface"]),
    "storage/postgres": (["storage/postgres/"], ["storage interface"]),
    "storage/engine": (["storage/engine/"], ["storage interface"]),
    "storage": (["storage/"], ["storage/engine", "storage/memory", "storage/sqlite", "storage/postgres"]),

    # The SDK and plug-ins stand alone: they know the two headers that users get.
    "workers/sdk": (["workers/sdk/", "workers/plugin_host."], []),
    "workers/base": (["workers/base/"], ["core"]),
    "workers/wire": (["workers/wire/"], ["workers/base"]),
    "workers/handlers": (["workers/handlers/"], ["workers/wire"]),
    "workers/fork": (["workers/fork/"], ["workers/handlers"]),
    "workers/process": (["workers/process/"], ["workers/fork"]),
    "workers/exec": (["workers/exec/"], ["workers/fork"]),
    "workers/scheduler": (["workers/scheduler/"], ["workers/process", "workers/exec", "storage"]),

    # openapi.json and the web page are linked into the program: bytes that depend on nobody.
    "api/text": (["api/text/", "api/openapi_json.", "api/ui_files."], ["core"]),
    "api/http": (["api/http/"], ["api/text", "storage"]),
    "api/resources": (["api/resources/"], ["api/http"]),
    "api": (["api/"], ["api/resources"]),

    "daemon": (["daemon/"], ["api", "workers/scheduler", "workers/sdk"]),

    # Clients speak HTTP to the daemon; of its code they use core alone.
    "client/cli": (["client/cli/"], ["core"]),

    # Tests stand on what they test.
    "tests/preload": (["tests/preload/"], []),
    "tests/support": (["tests/support/"], ["core", "tests/preload"]),
    "tests/contract": (["tests/contract/"], ["storage", "tests/support"]),
    "tests/model": (["tests/model/"], ["api/http", "tests/support"]),
    "tests/tools": (["tests/tools/"], ["tests/support"]),
    "tests/system": (["tests/system/"], ["tests/support", "workers/sdk"]),
    "tests/bench": (["tests/bench/"], ["daemon", "tests/support"]),
    "tests/fuzz": (["tests/fuzz/"], ["daemon"]),
    "tests/unit/core": (["tests/unit/core/"], ["core", "tests/support"]),
    "tests/unit/storage": (["tests/unit/storage/"], ["storage", "tests/contract"]),
    "tests/unit/workers": (["tests/unit/workers/"], ["workers/scheduler", "workers/sdk", "tests/support"]),
    "tests/unit/api": (["tests/unit/api/"], ["api", "tests/support"]),
    "tests/unit/daemon": (["tests/unit/daemon/"], ["daemon", "tests/support"]),
}


def floor_of(path):
    """The floor of a file, by its path from the root; None where there is none."""
    found = [(len(pattern), floor) for floor, (patterns, _) in FLOORS.items() for pattern in patterns
             if path.startswith(pattern)]
    return max(found)[1] if found else None


def reach(floor, seen=None):
    """The floors that a floor may use, itself among them."""
    seen = set() if seen is None else seen
    if floor in seen:
        return seen
    seen.add(floor)
    for below in FLOORS[floor][1]:
        reach(below, seen)
    return seen


ALLOWED = {floor: reach(floor) for floor in FLOORS}


def c_files(*folders):
    """The project's own C files, sorted, by their paths from the root."""
    found = []
    for folder in folders or MODULE_FOLDERS + ("tests",):
        for at, names, files in os.walk(os.path.join(ROOT, folder)):
            names[:] = [n for n in names if n not in ("build", "node_modules")]
            found += [os.path.relpath(os.path.join(at, f), ROOT) for f in files if f.endswith((".c", ".h"))]
    return sorted(found)
