#!/usr/bin/env python3
"""Prints how the program is cut: functions and files per 1,000 lines of code, headers that one other file includes, and
static functions with one caller, for each folder and all. Arrows, floors and circles: circles.py measure."""
import os
import re

import floors

os.chdir(floors.ROOT)
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.S)
FUNCTION = re.compile(r"^(?!typedef|struct \w+ \{|enum)([A-Za-z_][^;{}=]*?)\b(\w+)\(([^;{}]*)\)[^;{}]*\n\{", re.M)
FILES = [p for p in floors.c_files(*floors.MODULE_FOLDERS) if "/examples/" not in p]
TEXT = {p: COMMENT.sub("", open(p, encoding="utf-8").read()) for p in FILES}
INCLUDED = {}
for path, text in TEXT.items():
    for name in re.findall(r'#\s*include "([^"]+)"', text):
        if name[:-2] != path[:-2]:
            INCLUDED.setdefault(name, set()).add(path)

print("| folder | files | lines of code | functions | per 1,000 lines: functions, files | static, of them with one caller | "
      "headers, of them for one other file |\n|---|---|---|---|---|---|---|")
for folder in (*floors.MODULE_FOLDERS, ""):
    paths = [p for p in FILES if p.startswith(folder)]
    lines = sum(1 for p in paths for line in TEXT[p].split("\n") if line.strip()) or 1
    functions = static = single = 0
    for p in paths:
        for head, name, _ in FUNCTION.findall(TEXT[p]):
            functions += 1
            if head.startswith("static") and p.endswith(".c"):
                static += 1
                prototypes = len(re.findall(rf"^static [^;{{}}=]*\b{name}\([^{{}};]*\);", TEXT[p], re.M))
                single += len(re.findall(rf"\b{name}\b", TEXT[p])) - 1 - prototypes == 1
    headers = [p for p in paths if p.endswith(".h")]
    alone = sum(len(INCLUDED.get(p, ())) == 1 for p in headers)
    print(f"| {folder or 'all'} | {len(paths)} | {lines} | {functions} | {1000 * functions / lines:.0f}, {1000 * len(paths) / lines:.1f} "
          f"| {static}, {single} | {len(headers)}, {alone} |")
