#!/usr/bin/env python3
"""A global symbol of D/X.c begins with X_, or with D_, the innermost folder's name; singulars of plurals will do.

In storage/ and storage/engine/ the folder's prefix is store_, api_ is for api/server.c alone. Exceptions stand in
symbols.allow, each with its reason: "file-pattern symbol-pattern reason". Reads the objects of VARIANT (debug).
"""
import os
import re
import subprocess
import sys

import floors

os.chdir(floors.ROOT)
BUILD = os.path.join("build", os.environ.get("VARIANT", "debug"))
FOLDER_PREFIX = {"storage": "store", "storage/engine": "store", "api": None}


def prefixes(path):
    folder, name = os.path.split(path[:-2])
    found = {name}
    if path == "api/server.c":
        found.add("api")
    if not folder.startswith("tests"):
        found.add(FOLDER_PREFIX.get(folder, os.path.basename(folder)))
    found.discard(None)
    return found | {p[:-1] for p in found if p.endswith("s")}


def read_exceptions():
    with open("tests/lint/symbols.allow", encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            fields = line.split(None, 2)
            if fields and not line.startswith("#"):
                if len(fields) < 3:
                    sys.exit(f"tests/lint/symbols.allow:{number}: an exception without a reason")
                yield re.compile(fields[0]), re.compile(fields[1])


def line_of(path, symbol):
    with open(path, encoding="utf-8") as file:
        return next((n for n, line in enumerate(file, 1) if re.search(rf"\b{symbol}\b", line)), 1)


EXCEPTIONS = list(read_exceptions())
sources = {f"{BUILD}/{path[:-2]}.o": path for path in floors.c_files(*floors.MODULE_FOLDERS, "tests/support")
           if path.endswith(".c") and "/examples/" not in path}
missing = [path for path in sources if not os.path.exists(path)]
failed = bool(missing)
for path in missing:
    print(f"{path}: not built")
out = subprocess.run(["nm", "-A", "-g", "--defined-only", *(p for p in sources if p not in missing)], check=True,
                     capture_output=True, text=True).stdout
for line in out.splitlines():
    path, symbol = sources[line.split(":", 1)[0]], line.split()[-1]
    if symbol == "main" or re.match(rf"({'|'.join(prefixes(path))})(_|$)", symbol):
        continue
    if not any(p.fullmatch(path) and s.fullmatch(symbol) for p, s in EXCEPTIONS):
        failed = True
        print(f"{path}:{line_of(path, symbol)}: global {symbol} begins with none of {' '.join(sorted(prefixes(path)))}")
sys.exit(failed)
