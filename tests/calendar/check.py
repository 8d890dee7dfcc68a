#!/usr/bin/python3
"""Compares the times that core/calendar computes with those of croniter, dateutil and zoneinfo.

  tests/calendar/check.py           some zones, two years: part of `make test`
  tests/calendar/check.py --whole   every zone of tzdata, ten years: `make calendar`

croniter and dateutil give local times without a zone; zoneinfo says which moments these are. A time of the day that
is missing is due when the clock jumps over it, one that comes twice is due the first time; what recurs by the clock is
due whenever the clock shows it."""
import datetime
import os
import subprocess
import sys
import zoneinfo

import croniter
import dateutil.rrule

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
UTC = datetime.timezone.utc
FROM = datetime.datetime(2025, 1, 1, 0, 7, 0)
SOME = ["UTC", "Europe/Berlin", "Europe/Dublin", "America/New_York", "America/Santiago", "America/Nuuk",
        "Australia/Lord_Howe", "Asia/Kolkata", "Asia/Gaza", "Africa/Casablanca", "Africa/Cairo", "Pacific/Apia",
        "Pacific/Chatham", "Antarctica/Troll", "America/Sao_Paulo", "Etc/GMT+12"]

LISTED = ["30 2 * * *", "0 0 * * *", "15,45 1,2,3 * * *", "59 23 31 12 *", "0 3 1 * 1", "10 4 * * 1-5", "0 2 * * sun",
          "1-59/7 0-4 29 2 *", "5 0 1,15 jan-jun mon,fri", "0 12 * * 7", "30 1 L * *", "0 6 * * 1#2", "0 6 * * L5",
          "7/9 2 * * *"]
ELAPSED = ["*/5 * * * *", "* 2 * * *", "*/15 1-3 * * *", "30 * * * *", "0 */6 * * *", "20 */2 1-7 * *"]
RULES = ["FREQ=DAILY;BYHOUR=2;BYMINUTE=30", "FREQ=WEEKLY;BYDAY=MO,SU;BYHOUR=1,2,3", "FREQ=MONTHLY;BYDAY=-1SU",
         "FREQ=MONTHLY;BYMONTHDAY=-1,15;BYHOUR=0;BYMINUTE=0"]
# Rules of whose times the zone is no part.
MORE_RULES = [
    "FREQ=DAILY;INTERVAL=3", "FREQ=DAILY;COUNT=10", "FREQ=DAILY;UNTIL=20250301T000000", "FREQ=DAILY;BYMONTH=2",
    "FREQ=DAILY;BYMONTHDAY=31", "FREQ=DAILY;BYDAY=TU,TH;BYHOUR=9,17;BYMINUTE=0,30;BYSECOND=0,20",
    "FREQ=DAILY;BYHOUR=9,17;BYMINUTE=0,30;BYSETPOS=2,-1", "FREQ=WEEKLY;INTERVAL=2;WKST=SU;BYDAY=TU,TH",
    "FREQ=WEEKLY;INTERVAL=2;WKST=MO;BYDAY=TU,SU", "FREQ=WEEKLY;INTERVAL=2;WKST=SU;BYDAY=TU,SU", "FREQ=WEEKLY",
    "FREQ=WEEKLY;BYDAY=MO,WE,FR;BYSETPOS=-1", "FREQ=WEEKLY;BYMONTH=1,2", "FREQ=MONTHLY", "FREQ=MONTHLY;INTERVAL=18",
    "FREQ=MONTHLY;BYDAY=1FR", "FREQ=MONTHLY;BYDAY=1SU,-1SU", "FREQ=MONTHLY;BYMONTHDAY=-3", "FREQ=MONTHLY;BYDAY=TU",
    "FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13", "FREQ=MONTHLY;BYDAY=SA;BYMONTHDAY=7,8,9,10,11,12,13",
    "FREQ=MONTHLY;BYDAY=TU,WE,TH;BYSETPOS=3", "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-2",
    "FREQ=MONTHLY;BYMONTHDAY=31;COUNT=7", "FREQ=MONTHLY;BYDAY=5MO", "FREQ=YEARLY", "FREQ=YEARLY;BYMONTH=6,7",
    "FREQ=YEARLY;BYYEARDAY=1,100,200,-1", "FREQ=YEARLY;BYDAY=20MO", "FREQ=YEARLY;BYDAY=-1FR",
    "FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO", "FREQ=YEARLY;BYWEEKNO=1,53;BYDAY=MO,SU",
    "FREQ=YEARLY;BYWEEKNO=-1;BYDAY=MO", "FREQ=YEARLY;WKST=SU;BYWEEKNO=1;BYDAY=SA",
    "FREQ=YEARLY;BYMONTH=3;BYDAY=TH", "FREQ=YEARLY;BYMONTH=1,9;BYDAY=2TU", "FREQ=YEARLY;BYDAY=FR;BYMONTHDAY=13",
    "FREQ=YEARLY;INTERVAL=4;BYMONTH=11;BYDAY=TU;BYMONTHDAY=2,3,4,5,6,7,8", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29",
    "FREQ=YEARLY;BYMONTH=1;BYDAY=SU;BYHOUR=8,9;BYMINUTE=30", "FREQ=YEARLY;BYMONTHDAY=-31;BYHOUR=5",
    "FREQ=HOURLY;INTERVAL=7", "FREQ=HOURLY;BYHOUR=9,10,11;BYDAY=MO", "FREQ=HOURLY;BYMINUTE=0,20,40;BYSETPOS=-1",
    "FREQ=HOURLY;INTERVAL=5;BYMONTH=2;BYMINUTE=3,4", "FREQ=HOURLY;INTERVAL=5;BYHOUR=1", "FREQ=HOURLY;BYYEARDAY=-1",
    "FREQ=MINUTELY;INTERVAL=90", "FREQ=MINUTELY;INTERVAL=7;BYDAY=WE;BYHOUR=9", "FREQ=MINUTELY;INTERVAL=1001;COUNT=99",
    "FREQ=MINUTELY;BYMINUTE=59;BYHOUR=23;BYMONTHDAY=1,-1;BYSECOND=0,59", "FREQ=SECONDLY;INTERVAL=10007",
    "FREQ=SECONDLY;INTERVAL=600;BYMONTH=1;BYMONTHDAY=9",
]


def ours(build, lines):
    """The times of core/calendar, as a list for each (zone, from, until, kind, text)."""
    text = "".join("\t".join(map(str, line)) + "\n" for line in lines)
    done = subprocess.run([os.path.join(build, "tests/tools/next_times")], input=text, text=True, capture_output=True,
                          check=False)
    if done.returncode != 0:
        sys.exit(f"next_times: {done.stderr}")
    return [[int(word) for word in line.split()] for line in done.stdout.splitlines()]


def to_utc(zone, local, fold=0):
    return int(local.replace(tzinfo=zone, fold=fold).timestamp())


def shows(zone, moment):
    return datetime.datetime.fromtimestamp(moment, zone).replace(tzinfo=None, fold=0)


def jump_over(zone, local):
    """The moment at which the clock jumps over a local time that it never shows."""
    low, high = to_utc(zone, local) - 2 * 86400, to_utc(zone, local) + 2 * 86400
    while high - low > 1:  # the clock shows less than `local` at low, and more at high
        middle = (low + high) // 2
        if shows(zone, middle) < local:
            low = middle
        else:
            high = middle
    return high


def listed(zone, locals_):
    """Each local time once."""
    found = []
    for local in locals_:
        moment = to_utc(zone, local)
        if shows(zone, moment) != local:
            moment = jump_over(zone, local)
        if not found or moment > found[-1]:
            found.append(moment)
    return found


def elapsed(zone, locals_):
    """Whenever the clock shows one."""
    moments = (to_utc(zone, local, fold) for local in locals_ for fold in (0, 1))
    return sorted({m for m in moments if shows(zone, m) in locals_})


def cron_times(pattern, begin, end):
    times, at = [], croniter.croniter(pattern, begin)
    while (local := at.get_next(datetime.datetime)) <= end:
        times.append(local)
    return times


def rule_times(rule, begin, end):
    found = []
    for local in dateutil.rrule.rrulestr(rule, dtstart=begin):
        if local > end:
            break
        if local > begin:
            found.append(local)
    return found


def to_ours(pattern):
    return pattern.replace("L5", "5L")


def changes(zone, begin, end):
    """Days on which the offset changes."""
    day, found = begin, []
    while day < end:
        if zone.utcoffset(day) != zone.utcoffset(day + datetime.timedelta(days=1)):
            found.append(day)
        day += datetime.timedelta(days=1)
    return found


class Check:
    def __init__(self, build):
        self.build, self.lines, self.expected = build, [], []

    def add(self, name, begin, end, kind, text, expected):
        self.lines.append((name, begin, end, kind, text))
        self.expected.append([t for t in expected if begin < t <= end])

    def failures(self):
        for line, got, wanted in zip(self.lines, ours(self.build, self.lines), self.expected, strict=True):
            if got != wanted:
                wrong = sorted(set(got) ^ set(wanted))[:3]
                yield f"{line}: {len(got)} times, not {len(wanted)}; differ first at {wrong}"


def plan(check, names, years):
    end = FROM.replace(year=FROM.year + years)
    lists = {p: cron_times(p, FROM - datetime.timedelta(days=2), end + datetime.timedelta(days=2)) for p in LISTED}
    rules = {r: rule_times(r, FROM, end) for r in RULES}
    for name in names:
        zone = zoneinfo.ZoneInfo(name)
        begin_utc, end_utc = to_utc(zone, FROM), to_utc(zone, end)
        for pattern, locals_ in lists.items():
            check.add(name, begin_utc, end_utc, "cron", to_ours(pattern), listed(zone, locals_))
        for rule, locals_ in rules.items():
            check.add(name, begin_utc, end_utc, "rrule", rule, listed(zone, locals_))
        for day in changes(zone, FROM, end) or [FROM]:
            near = (day - datetime.timedelta(days=2), day + datetime.timedelta(days=3))
            for pattern in ELAPSED:
                times = set(cron_times(pattern, *near))
                check.add(name, to_utc(zone, day), to_utc(zone, near[1]) - 86400, "cron", pattern,
                          elapsed(zone, times))
    end = FROM.replace(year=FROM.year + 10)
    for rule in MORE_RULES:
        zone = zoneinfo.ZoneInfo("UTC")
        check.add("UTC", to_utc(zone, FROM), to_utc(zone, end), "rrule", rule,
                  listed(zone, rule_times(rule, FROM, end)))


def main(arguments):
    whole = arguments == ["--whole"]
    build = os.path.abspath(os.environ.get("FUT_BUILD") or os.path.join(ROOT, "build/debug"))
    names = sorted(zoneinfo.available_timezones()) if whole else SOME
    check = Check(build)
    plan(check, names, 10 if whole else 2)
    failures = list(check.failures())
    print("\n".join(failures[:50]), end="\n" if failures else "")
    n = len(check.lines)
    if whole:
        print(f"{len(names)} zones, {n} comparisons, {sum(map(len, check.expected))} times")
    print(f"{100 * (n - len(failures)) // n}%: Checks: {n}, Failures: {len(failures)}, Errors: 0")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
