#!/bin/bash
# task_state.c alone names a state: SQL text compares states with parameters, never with a literal.
. "$(dirname "$0")/lib.sh"
report < <(c_files storage | xargs -r grep -nHiE \
    "\bstate\b[[:space:]]*(=|==|!=|<>|<|>|<=|>=|in|between|is)[[:space:]]*\(?[[:space:]]*['0-9]" |
    sed 's/$/   <- a state literal/')
report < <(c_files storage | xargs -r grep -nHE \
    "'(scheduled|queued|running|succeeded|failed|cancelled)'" | sed "s/\$/   <- a state's name in SQL/")
finish
