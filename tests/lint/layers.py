#!/usr/bin/env python3
"""Includes point down only: no file includes a header of a floor above its own (floors.py)."""
import os
import re
import sys

import floors

INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')
# Headers that are included as their users include them.
PUBLIC = {name: f"workers/sdk/{name}" for name in ("futured_plugin.h", "futured_worker.h", "futured_tasks.h")}


def findings(path):
    floor = floors.floor_of(path)
    if floor is None:
        yield f"{path}:1: no floor of tests/lint/floors.py holds this file"
        return
    with open(os.path.join(floors.ROOT, path), encoding="utf-8") as source:
        for number, line in enumerate(source, 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            target = PUBLIC.get(match[1], match[1])
            there = floors.floor_of(target)
            if not os.path.exists(os.path.join(floors.ROOT, target)):
                yield f'{path}:{number}: no file of the path "{target}"'
            elif there not in floors.ALLOWED[floor]:
                yield f'{path}:{number}: {floor} may not include "{target}", which is of {there}'


found = [line for path in floors.c_files() for line in findings(path)]
print("\n".join(found), end="\n" if found else "")
sys.exit(bool(found))
