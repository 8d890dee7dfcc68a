#!/bin/bash
# Each patch of tests/mutants still applies, names its programs, command and check, and the sources of its programs
# exist. Whether the test notices is what `make mutants` tells.
. "$(dirname "$0")/lib.sh"

report < <(for patch in tests/mutants/*.patch; do
    said=$(patch -p1 --dry-run -s -f <"$patch" 2>&1) || echo "$patch: does not apply: ${said//$'\n'/; }"
done)
report < <(awk '
    FNR == 1 { if (NR > 1) missing(); at = FILENAME; split("", seen) }
    match($0, /^# (builds|caught by|check): /) { seen[substr($0, 3, RLENGTH - 4)] = 1 }
    /^# builds: / { for (i = 3; i <= NF; i++) if (index($i, "tests/") == 1) print at, $i }
    END { missing() }
    function missing() {
        if (!("builds" in seen && "caught by" in seen && "check" in seen))
            print at ": wants lines # builds, # caught by and # check"
    }' tests/mutants/*.patch | while read -r patch program; do
    case $program in
    tests/*) [ -e "${program%.so}.c" ] || echo "$patch: there is no ${program%.so}.c" ;;
    *) echo "$patch $program" ;;
    esac
done)
finish
