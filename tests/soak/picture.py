"""The soak as one SVG: a panel for each series, a line for each daemon, over minutes; linear, from
zero, since what is to be seen is whether a line rises."""

import math
import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "bench"))

from charts import COLOURS, line, text  # noqa: E402

PANEL_W, PANEL_H, LEFT, TOP = 420, 170, 60, 60
ROOM_W, ROOM_H = PANEL_W - 90, PANEL_H - 60
POINTS = 200  # of each line: the median of what falls to one


def _thinned(points):
    step = max(1, math.ceil(len(points) / POINTS))
    parts = [points[i:i + step] for i in range(0, len(points), step)]
    return [(part[0][0], sorted(v for _, v in part)[len(part) // 2]) for part in parts]


def _top(value):
    """A round number that is not below value."""
    if value <= 0:
        return 1
    power = 10 ** math.floor(math.log10(value))
    return next(m * power for m in (1, 1.5, 2, 3, 5, 7.5, 10) if m * power >= value)


def _panel(x, y, title, lines, end, warm_up):
    high = _top(max((v for points in lines for _, v in points), default=1))
    yield text(x, y - 8, title, size=13)
    for part in (0, 0.5, 1):
        at = y + ROOM_H * (1 - part)
        yield line(x, at, x + ROOM_W, at, "#dddddd")
        yield text(x - 6, at + 4, f"{high * part:g}", "end", 11)
    for part in (0, 0.5, 1):
        yield text(x + ROOM_W * part, y + ROOM_H + 16, f"{end * part / 60:.3g}", "middle", 11)
    yield line(x + ROOM_W * warm_up / end, y, x + ROOM_W * warm_up / end, y + ROOM_H, "#bbbbbb")
    for number, points in enumerate(lines):
        path = " ".join(f"{x + ROOM_W * min(t / end, 1):.1f},{y + ROOM_H * (1 - v / high):.1f}"
                        for t, v in points)
        yield (f'<polyline points="{path}" fill="none" stroke="{COLOURS[number]}" '
               'stroke-width="1.5"/>')


def draw(title, series, rows, warm_up, end):
    """series: name -> (words, unit, …); rows: as of the sampler. The SVG document as text."""
    names = list(rows)
    body = [text(LEFT, 24, title, size=15)]
    for number, name in enumerate(names):
        body += [line(LEFT + 150 * number, 38, LEFT + 20 + 150 * number, 38, COLOURS[number], 2),
                 text(LEFT + 26 + 150 * number, 42, name)]
    body.append(text(LEFT + 320, 42, "minutes; the grey line is the end of the warm-up"))
    for number, (key, (words, unit, *_)) in enumerate(series.items()):
        x, y = LEFT + PANEL_W * (number % 2), TOP + 30 + PANEL_H * (number // 2)
        lines = [_thinned([(t, found[key]) for t, found in rows[name] if key in found])
                 for name in names]
        body += _panel(x, y, words + (f", {unit}" if unit else ""), lines, end, warm_up)
    width, height = PANEL_W * 2 + LEFT, TOP + 30 + PANEL_H * math.ceil(len(series) / 2)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            f'viewBox="0 0 {width} {height}" font-family="sans-serif">\n'
            '<rect width="100%" height="100%" fill="#ffffff"/>\n' + "\n".join(body) + "\n</svg>\n")
