"""The report: Markdown for people, JSON for programs, a chart per growth."""

import json
import os
import pathlib
import platform
import shutil
import subprocess
import time

import charts
import servers
from harness import is_quiet, ratios
from targets import targets

# metric -> (heading, digits, is more better)
METRICS = {
    "rate": ("tasks/s", 0, True), "mb_s": ("MB/s", 1, True), "p50_ms": ("p50 ms", 3, False),
    "p99_ms": ("p99 ms", 2, False), "p99_9_ms": ("p99.9 ms", 2, False),
    "max_ms": ("longest ms", 1, False), "gap_ms": ("gap ms", 1, False),
    "rss_mib": ("rss MiB", 1, False), "tree_mib": ("all MiB", 1, False),
    "disk_mib": ("disk MiB", 1, False), "kib_each": ("KiB each", 2, False),
    "noticed_ms": ("noticed ms", 0, False), "released_ms": ("released ms", 0, False),
    "bytes_each": ("bytes each", 0, False), "seconds": ("seconds", 3, False),
    "cpu_us": ("CPU µs", 1, False), "switches": ("sleeps", 2, False),
    "calls": ("reads, writes", 2, False), "written": ("bytes written", 0, False),
    "over_ideal": ("over the ideal", 3, False), "share": ("share", 2, True), "wal": ("WAL bytes", 0, False),
}

PROMISES = """\
futured: WAL and `synchronous=FULL`, one fsync per group of commits, a 202 and a shown result are on disk.
beanstalkd `-f0`: fsync per write; `-f50`: at most 50 ms at risk. Redis: append-only file, `appendfsync
always`, no snapshots. gearmand, Python's executors and the bare library keep nothing. All on the same
disk, over loopback, one request open per connection, clients of the same engine (`tests/tools/load`)."""


def number(value, digits):
    return f"{value:,.{digits}f}"


def cell(found, digits):
    """median (least–most)"""
    if not found:
        return ""
    median, least, most = (number(v, digits) for v in found)
    return median if least == most else f"{median} ({least}–{most})"


def row(cells):
    return "| " + " | ".join(cells) + " |"


def version(command):
    path = shutil.which(command[0]) or f"/usr/sbin/{command[0]}"
    try:
        done = subprocess.run([path, *command[1:]], capture_output=True, text=True, check=False)
    except OSError:
        return "missing"
    return (done.stdout or done.stderr).strip().splitlines()[0].split(" - ")[0][:60]


def facts(bench):
    cpu = "CPU"
    for line in pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            cpu = line.split(":", 1)[1].strip()
            break
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "futured": version([str(servers.BUILD / "futured"), "--version"]),
        "commit": version(["git", "rev-parse", "--short", "HEAD"]),
        "cpus": len(os.sched_getaffinity(0)), "cpu": cpu,
        "kernel": platform.release(),
        "load_before": bench.load_before, "load_after": os.getloadavg()[0],
        "runs": bench.runs, "seconds": bench.seconds, "quick": bench.quick,
        "took_s": round(time.monotonic() - bench.began),
        "peers": {"beanstalkd": version(["beanstalkd", "-v"]),
                  "gearmand": version(["gearmand", "--version"]),
                  "redis": version(["redis-server", "--version"])[:27],
                  "python": platform.python_version()},
    }


# ---- tables --------------------------------------------------------------------------------------


def part_lines(part):
    metrics = [m for m in METRICS if any(m in s.metrics() for s in part.samples.values())]
    yield f"## {part.title}"
    yield ""
    yield part.text
    yield ""
    yield row(["", "", *(METRICS[m][0] for m in metrics), "futured /"])
    yield row(["---", "---", *("---:" for _ in metrics), "---:"])
    for case in part.cases():
        subjects = part.subjects(case)
        own = next((s for s in subjects if s.startswith("futured")), None)
        for at, subject in enumerate(subjects):
            samples = part.samples[case, subject]
            cells = [cell(samples.spread(m), METRICS[m][1]) for m in metrics]
            if samples.errors and not samples.turns:
                cells[0] = "failed: " + samples.errors[0].replace("|", "/").replace("\n", " ")[:100]
            yield row(["" if at else f"**{case}**", subject, *cells,
                       compared(part, case, own, subject, metrics)])
    yield ""
    for chart in part.charts:
        yield f"![{part.title}: {METRICS[chart[0]][0]}]({chart_name(part, chart)})"
        yield ""


def compared(part, case, own, subject, metrics):
    """futured's first figure of the case, divided by this one's."""
    metric = next((m for m in metrics if any(part.get(case, own, m))), None) if own else None
    if metric is None or subject.startswith("futured"):
        return ""
    found = ratios(part.get(case, own, metric), part.get(case, subject, metric))
    return cell(found, 2) + "x" if found else ""


def target_rows(bench):
    for target in targets(bench):
        found = target.measured(bench)
        if not found:
            yield target, None, "", "not measured"
            continue
        yield target, found[0], found[1], target.verdict(*found[0])


def target_lines(bench):
    yield "## Targets"
    yield ""
    yield row(["measure", "target", "measured (least–most)", "against", ""])
    yield row(["---", "---:", "---:", "---", "---"])
    for target, found, against, verdict in target_rows(bench):
        yield row([target.text, target.bar(), cell(found, 2) if found else "", against, verdict])
    yield ""


def markdown(bench):
    f = facts(bench)
    yield "# What `make bench` gave"
    yield ""
    yield (f"{f['futured']} (commit {f['commit']}), {f['date']}, {f['cpus']} × {f['cpu']}, Linux "
           f"{f['kernel']}; load average {f['load_before']:.1f} before. Medians of {f['runs']} "
           f"interleaved runs, in brackets the least and the most; {f['seconds']:g} s per rate; the "
           f"whole took {f['took_s'] // 60} min {f['took_s'] % 60} s. A ratio is taken turn by turn, "
           "then its median; the last column is the first figure of the group's first row of futured, "
           "divided by that of this row.")
    yield ""
    yield "Peers: " + ", ".join(f"{k} ({v})" for k, v in f["peers"].items()) + "."
    if not is_quiet(f["load_before"]):
        yield ""
        yield "**The machine was not alone: the times are not to be quoted.**"
    for reason in bench.failed:
        yield ""
        yield f"**Not whole: {reason}**"
    if f["quick"]:
        yield ""
        yield "**Everything was made small: this shows that it works, not how fast it is.**"
    yield ""
    yield PROMISES
    yield ""
    yield from target_lines(bench)
    for part in bench.parts.values():
        yield from part_lines(part)


# ---- files ---------------------------------------------------------------------------------------


def as_json(bench):
    return {
        "facts": facts(bench),
        "targets": [{"measure": t.text, "target": t.bar(), "against": against, "verdict": verdict,
                     **dict(zip(("median", "least", "most"), found or ()))}
                    for t, found, against, verdict in target_rows(bench)],
        "parts": {name: [{"case": case, "subject": subject, "turns": s.turns, "errors": s.errors}
                         for (case, subject), s in part.samples.items()]
                  for name, part in bench.parts.items()},
    }


def chart_name(part, chart):
    return f"{part.name}-{chart[0]}.svg"


def draw(part, chart):
    metric, axis = chart
    lines = {}
    for case in part.cases():
        for subject in part.subjects(case):
            found = part.samples[case, subject].spread(metric)
            if found:
                lines.setdefault(subject, {})[case] = found
    return charts.lines(part.title, axis, METRICS[metric][0], part.cases(), lines)


def write(bench, folder):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    text = "\n".join(markdown(bench))
    (folder / "README.md").write_text(text.rstrip() + "\n", encoding="utf-8")
    (folder / "results.json").write_text(json.dumps(as_json(bench), indent=1) + "\n",
                                         encoding="utf-8")
    for part in bench.parts.values():
        for chart in part.charts:
            (folder / chart_name(part, chart)).write_text(draw(part, chart), encoding="utf-8")
    return text
