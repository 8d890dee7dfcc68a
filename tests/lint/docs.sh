#!/bin/bash
# The tables that the program prints of itself stand in the documents as it prints them.
. "$(dirname "$0")/lib.sh"

make -s -j2 VARIANT=debug all >/dev/null || exit 1
missing() { # FILE OPTION: lines of the printed table that the file lacks
    build/debug/futured "$2" | grep -vxFf "$1" | sed "s|^|$1 lacks (futured $2): |"
}
report < <(missing README.md --dump-config)
report < <(missing api/README.md --dump-states)
finish
