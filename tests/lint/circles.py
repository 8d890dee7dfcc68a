#!/usr/bin/env python3
"""The modules (C files) of the program form no circle, and none calls one of a floor above its own (floors.py).

Who uses whom is read from the objects by `nm`, so that a prototype in a low header whose function stands in a high file
does not hide.
    circles.py [check]   prints every symbol that points up, and every circle with the symbols that close it
    circles.py measure   prints modules, arrows and floors of each folder, and the circles' sizes
VARIANT names the build to read (debug).
"""
import collections
import glob
import os
import re
import subprocess
import sys

import floors

BUILD = os.path.join("build", os.environ.get("VARIANT", "debug"))


# Objects that are made of other files than a C file.
LINKED_IN = {"api/openapi_json": "api/openapi.json", "api/ui_files": "api/ui/index.html"}


def objects():
    """Path of an object -> path of its source; objects whose source is gone are none of the program."""
    found = {}
    for folder in floors.MODULE_FOLDERS:
        for path in glob.glob(f"{BUILD}/{folder}/**/*.o", recursive=True):
            name = os.path.relpath(path, BUILD)[:-2]
            source = LINKED_IN.get(name, name + ".c")
            if "/examples/" not in name and os.path.exists(source):
                found[path] = name + ".c"
    return found


def symbols(sources):
    """(symbol -> module that defines it, module -> symbols that it uses)"""
    defined, used = {}, collections.defaultdict(set)
    out = subprocess.run(["nm", "-A", "-g", *sources], check=True, capture_output=True, text=True).stdout
    for line in out.splitlines():
        path, rest = line.split(":", 1)
        fields = rest.split()
        if fields[-2] in "TDBRVWC":
            defined[fields[-1]] = sources[path]
        elif fields[-2] == "U":
            used[sources[path]].add(fields[-1])
    return defined, used


def arrows(defined, used):
    """module -> {module that it uses: the symbols}"""
    found = {module: {} for module in set(used) | set(defined.values())}
    for module, names in used.items():
        for name in names:
            target = defined.get(name, module)
            if target != module:
                found[module].setdefault(target, set()).add(name)
    return found


def circles(graph):
    """The strongly connected components of more than one module (Tarjan), largest first; and the order that he finds:
    what is used comes before its users."""
    index, low, stack, found, order = {}, {}, [], [], []

    def visit(module):
        index[module] = low[module] = len(index)
        stack.append(module)
        for target in graph[module]:
            if target not in index:
                visit(target)
                low[module] = min(low[module], low[target])
            elif target in stack:
                low[module] = min(low[module], index[target])
        if low[module] == index[module]:
            circle = stack[stack.index(module):]
            del stack[stack.index(module):]
            order.append(circle)
            if len(circle) > 1:
                found.append(sorted(circle))

    sys.setrecursionlimit(10000)
    for module in sorted(graph):
        if module not in index:
            visit(module)
    return sorted(found, key=len, reverse=True), order


def place(module, symbol):
    """file:line of the first use of a symbol."""
    if os.path.exists(module):
        with open(module, encoding="utf-8") as source:
            for number, line in enumerate(source, 1):
                if re.search(rf"\b{symbol}\b", line):
                    return f"{module}:{number}"
    return f"{module}:1"


def check(graph):
    failed = False
    for module in sorted(graph):
        floor = floors.floor_of(module)
        for target, names in sorted(graph[module].items()):
            there = floors.floor_of(target)
            if there not in floors.ALLOWED[floor]:
                failed = True
                for name in sorted(names):
                    print(f"{place(module, name)}: {name} is upward: {floor} may not use {target}")
    for circle in circles(graph)[0]:
        failed = True
        print(f"circle of {len(circle)} modules: {' '.join(name[:-2] for name in circle)}")
        for module in circle:
            for target, names in sorted(graph[module].items()):
                if target in circle:
                    print(f"    {module} -> {target}: {' '.join(sorted(names))}")
    return failed


def measure(graph):
    """A folder's floors: the longest way down through it, a circle counting as one step."""
    found, order = circles(graph)
    folder = lambda module: module.split("/")[0]
    print("| folder | modules | arrows inside | floors |\n|---|---|---|---|")
    for name in floors.MODULE_FOLDERS:
        inside = {m: [t for t in graph[m] if folder(t) == name] for m in graph if folder(m) == name}
        height = {}
        for circle in order:
            if folder(circle[0]) == name:
                top = 1 + max((height[t] for m in circle for t in inside[m] if t not in circle), default=0)
                height.update((m, top) for m in circle)
        print(f"| {name} | {len(inside)} | {sum(map(len, inside.values()))} | {max(height.values())} |")
    print(f"circles: {len(found)}, of {', '.join(str(len(c)) for c in found) or 'no'} modules")


os.chdir(floors.ROOT)
SOURCES = objects()
if not SOURCES:
    sys.exit(f"circles: {BUILD} is empty: make VARIANT={os.path.basename(BUILD)} first")
GRAPH = arrows(*symbols(SOURCES))
if sys.argv[1:] == ["measure"]:
    measure(GRAPH)
else:
    sys.exit(check(GRAPH))
