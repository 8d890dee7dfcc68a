#!/usr/bin/env python3
"""One word for one thing, the field's own: no metaphor, no private jargon.

METAPHORS are banned everywhere: in code, in its comments and messages, in tests, in documents, in names of files.
VAGUE words mean several things: prose may use them (and a test's name, which is a sentence), a name in C may not.
Exceptions stand in words.allow: "path-pattern word reason".
"""
import os
import re
import subprocess
import sys

import floors

METAPHORS = {
    "house": "daemon, boot", "plaque": "README", "kid": "child", "orphan": "child",
    "grave": "record, end", "bury": "record, end", "buried": "recorded, ended", "tired": "retiring", "kit": "fixture, test helpers", "story": "scenario",
    "stories": "scenarios", "door": "entry", "brother": "sibling", "spine": "core", "book": "record, table",
    "by_us": "we_ended_it", "manners": "behaviour",
}
VAGUE = {
    "held": "deferred, in_store, kept", "over": "exceeded, finished", "left": "remaining, gone", "wide": "takes_many",
    "past": "earlier", "lost": "abandoned, gone", "dead": "ended", "note": "record, remember", "tired": "retiring",
    "room": "capacity, reserve, module", "settle": "finish, decide", "settled": "finished, decided",
    "family": "process tree, descent",
}
SUFFIXES = (".c", ".h", ".py", ".sh", ".js", ".mjs", ".md", ".json", ".txt", ".css", ".html", "Makefile", ".env", ".service",
            ".socket", ".5", ".8", ".1", ".bash", ".dict", "run", "rules", "control", "backoff")
# Results are what was measured then; patches quote code; the lint itself has to name the words.
SKIPPED = re.compile(r"(^|/)(results|corpus)/|\.patch$|package-lock\.json$|^tests/lint/words\.|^\.git")

os.chdir(floors.ROOT)


def pattern(words):
    return re.compile(r"(?<![A-Za-z])(" + "|".join(sorted(words, key=len, reverse=True)) + r")s?(?![A-Za-z])", re.I)


METAPHOR = pattern(METAPHORS)
NAME = re.compile(r"[A-Za-z_]\w*")
VAGUE_PART = re.compile(r"(?:^|_)(" + "|".join(VAGUE) + r")s?(?=_|$)")
# Comments, strings and characters: blanked, so that names remain.
NOT_NAMES = re.compile(r'/\*.*?\*/|"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\'|^[ \t]*#\s*include[^\n]*', re.S | re.M)


def read_exceptions():
    found = []
    with open("tests/lint/words.allow", encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            fields = line.split(None, 2)
            if fields and not line.startswith("#"):
                if len(fields) < 3:
                    sys.exit(f"tests/lint/words.allow:{number}: an exception without a reason")
                found.append((re.compile(fields[0]), re.compile(fields[1], re.I)))
    return found


EXCEPTIONS = read_exceptions()


def is_allowed(path, text):
    return any(p.fullmatch(path) and w.fullmatch(text) for p, w in EXCEPTIONS)


def findings(path):
    for match in METAPHOR.finditer(path):
        if not is_allowed(path, match[1]):
            yield 1, match[1], METAPHORS[match[1].lower()]
    with open(path, encoding="utf-8", errors="replace") as file:
        text = file.read()
    for match in METAPHOR.finditer(text):
        if not is_allowed(path, match[1]):
            yield text.count("\n", 0, match.start()) + 1, match[1], METAPHORS[match[1].lower()]
    if path.endswith((".c", ".h")):
        names = NOT_NAMES.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), text)
        for match in NAME.finditer(names):
            part = VAGUE_PART.search(match[0])
            if part and not match[0].startswith("test_") and not is_allowed(path, match[0]):
                yield names.count("\n", 0, match.start()) + 1, match[0], VAGUE[part[1]]


paths = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], check=True, capture_output=True, text=True).stdout.splitlines()
failed = False
for name in paths:
    if name.endswith(SUFFIXES) and not SKIPPED.search(name) and os.path.exists(name):
        for line, word, instead in findings(name):
            failed = True
            print(f'{name}:{line}: "{word}": say {instead}')
sys.exit(failed)
