#!/bin/bash
# Nothing waits by guessing: no sleeping in tests, nor in the daemon. A client may pause before it asks again, and so
# may an example program that stands in for work that takes time.
. "$(dirname "$0")/lib.sh"
report < <(c_files | grep -v ^client/ | xargs -r grep -nHE '\b(u?sleep|nanosleep|clock_nanosleep|thrd_sleep)[[:space:]]*\(' |
    sed 's/$/   <- wait for an event (tests\/support\/wait.h)/')
report < <(c_files tests | grep -vx tests/support/wait.c | xargs -r grep -nHE '\bpoll\(NULL, 0,' |
    sed 's/$/   <- wait_for (tests\/support\/wait.h)/')
report < <(shell_files | grep -v ^workers/sdk/examples/ | xargs -r grep -nHE '(^|[;&|({]|\bdo|\bthen)[[:space:]]*sleep[[:space:]]+[0-9.$]' |
    sed 's/$/   <- wait for an event/')
finish
