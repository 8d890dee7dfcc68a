#!/bin/bash
# The tables that the program prints of itself stand in the documents as it prints them, and every curl line of a
# document stands where tests/docs runs it.
. "$(dirname "$0")/lib.sh"

make -s -j2 VARIANT=debug all >/dev/null || exit 1
mapfile -t documents < <(git ls-files '*.md')
missing() { # OPTION: lines of the printed table that no document has
    build/debug/futured "$1" | grep -vxFf <(cat "${documents[@]}") | sed "s|^|no document has this line of futured $1: |"
}
report < <(missing --dump-config)
report < <(missing --dump-states)
report < <(missing --dump-ends)
report < <(missing --dump-handlers-file)
report < <(missing --dump-metrics)
# Each route has a row in the contract. No pipe into grep -q, which ends before it has read all: a failure, by pipefail.
rows=$(grep "^|" api/README.md)
tr '\n' ' ' <api/routes.c | grep -oE '\{METHOD_[A-Z]+, *"[^"]+"' | sed -E 's/.*METHOD_([A-Z]+), *"([^"]+)"/\1 \2/' |
    while read -r route; do
        grep -qF "\`$route\`" <<<"$rows" || echo "api/README.md has no row for $route"
    done | report
report < <(tests/docs/run.py --lint)
finish
