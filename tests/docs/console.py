"""The commands that documents show: ```console blocks of Markdown, literal displays of manuals.

In a block, `$ ` begins a command; lines behind a backslash, in open single quotes or in a here-document
go on with it; any other line is output that the document shows. A curl line anywhere else cannot be tested; `stray` finds these.
"""

import glob
import os
import re
from dataclasses import dataclass, field

FENCE = re.compile(r"^\s*```(\w*)\s*$")
HERE = re.compile(r"<<-?'?(\w+)'?")
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")
PATH = re.compile(r"`((?:api|core|daemon|storage|systemd|tests|workers)/[\w./*-]+)`")
CURL = re.compile(r"(?:^|[\s`(|])curl\s+(?:-|http|localhost|[\"'$])")


@dataclass
class Command:
    document: str
    line: int
    text: str
    shown: list = field(default_factory=list)  # lines of output; none: only the exit status counts


def documents(root):
    """The documents of the tree, without what was built or installed."""
    found = []
    for directory, folders, files in os.walk(root):
        folders[:] = sorted(f for f in folders if f not in ("build", ".git", "node_modules", "wrong"))
        found += [os.path.relpath(os.path.join(directory, f), root) for f in sorted(files) if f.endswith(".md")]
    manuals = glob.glob("**/*.[1-8]", root_dir=root, recursive=True)
    return found + sorted(m for m in manuals if not m.startswith("build/"))


def read(root, document):
    with open(os.path.join(root, document), encoding="utf-8") as f:
        return f.read().splitlines()


def commands(root, document):
    lines = read(root, document)
    return _markdown(document, lines) if document.endswith(".md") else _manual(document, lines)


def stray(root, document):
    """(line, text) of each curl line that no test runs."""
    if not document.endswith(".md"):
        return
    run = set()
    for command in commands(root, document):
        run.update(range(command.line, command.line + command.text.count("\n") + 1))
    for number, line in enumerate(read(root, document), 1):
        if CURL.search(line) and number not in run:
            yield number, line.strip()


def broken(root, document):
    """(line, path) of each link to a file, and of each path of the tree in backquotes, that leads nowhere."""
    if not document.endswith(".md"):
        return
    here, language = os.path.join(root, os.path.dirname(document)), None
    for number, line in enumerate(read(root, document), 1):
        if line.lstrip().startswith("```"):
            language = None if language is not None else line
        elif language is None:
            links = [(here, link) for link in LINK.findall(line) if "://" not in link]
            for folder, path in links + [(root, path) for path in PATH.findall(line)]:
                if not glob.glob(os.path.join(folder, path) + ("" if "." in os.path.basename(path) else "*")):
                    yield number, path


def _markdown(document, lines):
    found, language, end = [], None, None  # end: the word that ends the here-document
    for number, line in enumerate(lines, 1):
        fence = FENCE.match(line)
        if fence and end is None:
            language = fence[1] if language is None else None
        elif language != "console":
            continue
        elif end is not None:
            found[-1].text += "\n" + line
            end = None if line == end else end
        elif line.startswith("$ "):
            found.append(Command(document, number, line[2:]))
            end = _here(line)
        elif found and not found[-1].shown and _is_open(found[-1].text):
            found[-1].text += "\n" + line
            end = _here(line)
        elif found:
            found[-1].shown.append(line)
    return found


def _is_open(text):
    """Whether a command goes on in the next line: a backslash at its end, or a quote that is still open."""
    return text.endswith("\\") or text.count("'") % 2 == 1


def _here(line):
    found = HERE.search(line)
    return found[1] if found else None


def _manual(document, lines):
    """mdoc: the lines of each `.Bd -literal` … `.Ed` that has a curl line."""
    found, block = [], None
    for number, line in enumerate(lines, 1):
        text = line.replace("\\e", "\\").replace("\\-", "-")
        if line.startswith(".Bd -literal"):
            block = []
        elif line.startswith(".Ed") and block is not None:
            found += block if any("curl " in command.text for command in block) else []
            block = None
        elif block and block[-1].text.endswith("\\"):
            block[-1].text += "\n" + text
        elif block is not None:
            block.append(Command(document, number, text))
    return found
