#!/usr/bin/env python3
"""Functions that have a safer sibling among our own or in libc."""
import os
import re
import sys

import floors

BANNED = ("strcpy stpcpy strcat strncat strncpy sprintf vsprintf gets strtok atoi atol atoll atof localtime gmtime asctime ctime "
          "alloca tmpnam mktemp tempnam system popen setjmp longjmp vfork readdir_r").split()
CALL = re.compile(r"(?<![\w>.])(" + "|".join(BANNED) + r")\s*\(")
# Strings and comments may say these words.
TEXT = re.compile(r'/\*.*?\*/|"(?:[^"\\\n]|\\.)*"', re.S)

os.chdir(floors.ROOT)
found = []
for path in floors.c_files():
    with open(path, encoding="utf-8") as file:
        code = TEXT.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), file.read())
    found += [f"{path}:{code.count(chr(10), 0, m.start()) + 1}: {m[1]}() is banned" for m in CALL.finditer(code)]
print("\n".join(found), end="\n" if found else "")
sys.exit(bool(found))
