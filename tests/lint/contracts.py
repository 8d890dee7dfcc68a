#!/usr/bin/env python3
"""Every prototype in a header stands under a comment of its own group, and every contract stands alone.

A group is a comment and the prototypes below it up to the next blank line. A contract that begins "The same" makes the
reader look for another one.
"""
import os
import re
import sys

import floors

os.chdir(floors.ROOT)
PROTOTYPE = re.compile(r"^(?!typedef|struct \w+;|enum \w+;|union \w+;|extern \"C\"|#|\}|static|_Static_assert)[A-Za-z_][^={]*\b(\w+)\(")


def findings(path):
    with open(path, encoding="utf-8") as file:
        lines = file.read().split("\n")
    covered = in_comment = False
    for number, line in enumerate(lines, 1):
        if re.match(r"\s*/\*+\s*The same\b", line):
            yield f"{path}:{number}: a contract that begins \"The same\" does not stand alone"
        if in_comment or line.lstrip().startswith("/*"):
            in_comment = "*/" not in line
            covered = True
        elif not line.strip():
            covered = False
        elif PROTOTYPE.match(line) and not covered and "/*" not in line:
            yield f"{path}:{number}: {PROTOTYPE.match(line)[1]}() has no comment"


found = [line for path in floors.c_files() if path.endswith(".h") for line in findings(path)]
print("\n".join(found), end="\n" if found else "")
sys.exit(bool(found))
