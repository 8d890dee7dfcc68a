"""Flat or not. The rule, for each series, from the end of the warm-up on: what is left is cut into
three parts of equal length, and the median of the last one may be at most

    the middle one's x 1.05 + slack,  and  the first one's x 1.10 + 2 x slack.

The slack is what a handful of tasks more or less at that moment makes."""

import statistics

# series -> (what it is, unit, slack)
SERIES = {
    "rss": ("resident memory of the daemon", "MiB", 2.0),
    "fork_rss": ("resident memory of the fork server", "MiB", 0.5),
    "descriptors": ("descriptors of the daemon", "", 16),
    "fork_descriptors": ("descriptors of the fork server", "", 8),
    "threads": ("threads of the daemon", "", 2),
    "processes": ("processes below the daemon", "", 4),
    "wal": ("write-ahead log", "MiB", 2.0),
    "database": ("database file", "MiB", 3.0),
}


def thirds(points, warm_up, end):
    """points: [(seconds, value)]. The medians of the three parts; None where there is nothing."""
    length = (end - warm_up) / 3
    parts = [[v for t, v in points if warm_up + i * length <= t < warm_up + (i + 1) * length]
             for i in range(3)]
    return [statistics.median(part) if part else None for part in parts]


def judge(points, series, warm_up, end):
    """(is flat, the three medians, what the last may be)."""
    first, middle, last = medians = thirds(points, warm_up, end)
    if None in medians:
        return False, medians, None
    slack = SERIES[series][2]
    limit = min(middle * 1.05 + slack, first * 1.10 + 2 * slack)
    return last <= limit, medians, limit
