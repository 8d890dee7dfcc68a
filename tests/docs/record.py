#!/usr/bin/env python3
"""Plays a document's commands against a fresh daemon and draws what a terminal shows as an animated SVG.

    tests/docs/record.py tests/docs/session.md tests/docs/session.svg      $FUT_BUILD: the build (build/release)

Commands appear as they would be typed; output appears at the times at which it came. Where a viewer does not animate,
or its user asks for less motion, the whole session is there at once.
"""

import os
import sys
import threading
import time
from xml.sax.saxutils import escape

import console
import run

COLUMN, ROW, MARGIN, BAR = 8.43, 20, 16, 34
KEY_S, PAUSE_S, REST_S = 0.012, 0.4, 5.0
STYLE = """text{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;white-space:pre}
.p{fill:#7ee787}.c{fill:#e6edf3}.n{fill:#8b949e}.o{fill:#a5d6ff}
"""


class Line:
    """A row of the terminal: when it begins to show, and how long it takes to be typed (0: output)."""

    def __init__(self, text, at, typed_s):
        self.text, self.at, self.typed_s = text, at, typed_s


def watch(path, began, stop):
    """[(seconds since the start, line)] of what a command prints, as it prints it."""
    lines, done = [], False
    while not done:
        done = stop.is_set()
        if os.path.exists(path):
            with open(path, encoding="utf-8") as f:
                text = f.read()
            whole = text.splitlines() if done else text.split("\n")[:-1]
            lines += [(time.monotonic() - began, line.rstrip("\r")) for line in whole[len(lines):]]
        stop.wait(0.01)
    return lines


def play(session, command):
    """Runs the command; returns its output with times."""
    out = os.path.join(session.directory, ".output")
    if os.path.exists(out):
        os.remove(out)
    stop, found, began = threading.Event(), [], time.monotonic()
    reader = threading.Thread(target=lambda: found.extend(watch(out, began, stop)))
    reader.start()
    try:
        session.run(command)
    finally:
        stop.set()
        reader.join()
    shown = [(at, line.replace(session.daemon.address, "localhost:8420")) for at, line in found]
    return shown, time.monotonic() - began


def record(build, document):
    session, lines, now = run.Session(build), [], PAUSE_S
    try:
        for command in console.commands(run.ROOT, document):
            typed = command.text.split("\n")
            for i, text in enumerate(typed):
                lines.append(Line(("$ " if i == 0 else "  ") + text, now, KEY_S * len(text.split("  #")[0])))
                now += lines[-1].typed_s
            now += 0.2
            output, took = play(session, command)
            lines += [Line(text, now + at, 0) for at, text in output]
            now += took + PAUSE_S
    finally:
        session.close()
    return lines, now + REST_S


def spans(line):
    if not line.typed_s:
        return f'<tspan class="o">{escape(line.text)}</tspan>'
    command, mark, comment = line.text[2:].partition("  #")
    return (f'<tspan class="p">{line.text[:2]}</tspan><tspan class="c">{escape(command)}</tspan>'
            f'<tspan class="n">{escape(mark + comment)}</tspan>')


def draw(lines, total):
    width = round(2 * MARGIN + COLUMN * max(len(line.text) for line in lines))
    height = BAR + MARGIN + ROW * len(lines) + MARGIN // 2
    rules, rows = [], []
    for i, line in enumerate(lines):
        begin, end = (100 * t / total for t in (line.at, line.at + max(line.typed_s, 0.01)))
        rules.append(f"@keyframes k{i}{{0%,{begin:.2f}%{{clip-path:inset(0 100% 0 0);"
                     f"animation-timing-function:steps({max(1, len(line.text))})}}"
                     f"{end:.2f}%,100%{{clip-path:inset(0)}}}}\n"
                     f"#l{i}{{animation:k{i} {total:.1f}s infinite}}\n")
        rows.append(f'<text id="l{i}" xml:space="preserve" x="{MARGIN}" y="{BAR + MARGIN + ROW * i + 6}">{spans(line)}</text>\n')
    dots = "".join(f'<circle cx="{MARGIN + 4 + 20 * i}" cy="17" r="6" fill="{colour}"/>'
                   for i, colour in enumerate(("#ff5f57", "#febc2e", "#28c840")))
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
            f'height="{height}" role="img">\n<title>A terminal session with futured</title>\n<style>\n{STYLE}'
            f'@media (prefers-reduced-motion:no-preference){{\n{"".join(rules)}}}\n</style>\n'
            f'<rect width="{width}" height="{height}" rx="10" fill="#0d1117"/>{dots}\n{"".join(rows)}</svg>\n')


def main(arguments):
    document, picture = arguments
    build = os.path.abspath(os.environ.get("FUT_BUILD") or os.path.join(run.ROOT, "build/release"))
    drawn = draw(*record(build, document))
    with open(picture, "w", encoding="utf-8") as f:
        f.write(drawn)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1:])
