"""Line charts as SVG text: one line per subject over named steps, the median as the line, from the
least to the most as a thin bar. The scale is logarithmic: what is compared lies far apart."""

import math
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 760, 420
LEFT, RIGHT, TOP, BOTTOM = 70, 230, 40, 50
COLOURS = ["#0b5394", "#cc4125", "#38761d", "#b45f06", "#674ea7", "#45818e", "#a64d79", "#666666"]


def text(x, y, text, anchor="start", size=12, colour="#333333"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" '
            f'fill="{colour}">{escape(text)}</text>')


def line(x1, y1, x2, y2, colour, width=1.0):
    return (f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" '
            f'stroke-width="{width}"/>')


def _tick(value):
    for limit, unit in ((1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:g} {unit}"
    return f"{value:g}"


class _Scale:
    """From values to the height on the picture, powers of ten at its ends."""

    def __init__(self, values):
        positive = [v for v in values if v > 0] or [1]
        self.low = math.floor(math.log10(min(positive)))
        self.high = max(math.ceil(math.log10(max(positive))), self.low + 1)

    def y(self, value):
        share = (math.log10(max(value, 10.0**self.low)) - self.low) / (self.high - self.low)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    def ticks(self):
        return [10.0**power for power in range(self.low, self.high + 1)]


def _x(steps, at):
    width = WIDTH - LEFT - RIGHT
    return LEFT + width * (at / (len(steps) - 1) if len(steps) > 1 else 0.5)


def _frame(title, x_title, y_title, steps, scale):
    yield text(LEFT, 22, f"{title} ({y_title})", size=15)
    for tick in scale.ticks():
        yield line(LEFT, scale.y(tick), WIDTH - RIGHT, scale.y(tick), "#dddddd")
        yield text(LEFT - 6, scale.y(tick) + 4, _tick(tick), "end")
    for at, step in enumerate(steps):
        yield text(_x(steps, at), HEIGHT - BOTTOM + 18, step, "middle")
    yield text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, x_title, "middle")


def _subject(number, name, points, steps, scale):
    colour = COLOURS[number % len(COLOURS)]
    spots = [(_x(steps, at), points[step]) for at, step in enumerate(steps) if step in points]
    path = " ".join(f"{x:.1f},{scale.y(median):.1f}" for x, (median, _, _) in spots)
    yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
    for x, (median, least, most) in spots:
        yield line(x, scale.y(least), x, scale.y(most), colour)
        yield f'<circle cx="{x:.1f}" cy="{scale.y(median):.1f}" r="3" fill="{colour}"/>'
    y = TOP + 10 + 20 * number
    yield line(WIDTH - RIGHT + 14, y, WIDTH - RIGHT + 34, y, colour, 2)
    yield text(WIDTH - RIGHT + 40, y + 4, name)


def lines(title, x_title, y_title, steps, subjects):
    """subjects: name -> {step: (median, least, most)}. The SVG document as text."""
    scale = _Scale([v for points in subjects.values() for found in points.values() for v in found])
    body = list(_frame(title, x_title, y_title, steps, scale))
    for number, (name, points) in enumerate(subjects.items()):
        body += _subject(number, name, points, steps, scale)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
            f'viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">\n'
            '<rect width="100%" height="100%" fill="#ffffff"/>\n' + "\n".join(body) + "\n</svg>\n")
