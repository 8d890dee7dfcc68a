#!/bin/bash
# core/end_codes.c alone spells the codes with which attempts end: elsewhere they are enum end_code.
# The errors of the API are another table: api/text/problem.c. An SDK stands alone.
. "$(dirname "$0")/lib.sh"
codes=$(sed -nE 's/^    \[END_[A-Z_]+\] = \{"([a-z_]+)".*/\1/p' core/end_codes.c | paste -sd '|')
[ -n "$codes" ] || report <<<"core/end_codes.c:1: no row of the table can be read"
files() { c_files core storage workers api daemon | grep -vE '^(core/end_codes\.c|api/text/problem\.c|workers/sdk/)' | grep '\.c$'; }
# In the place of a code, whatever the word …
report < <(files | xargs grep -nHE \
    "((code = |\? |: )|(task_outcome_error|fail|replace|run_fail[a-z_]*)\(([a-z>-]+, )?)\"($codes)\"[,;) ]" |
    grep -vE 'json_out|(\? |: )"(ok|exit|signal|internal|cancelled)" :' | sed 's/$/   <- enum end_code/')
# … and words that mean nothing else, anywhere but as the event of a log line.
report < <(files | xargs grep -nHE "\"($(tr '|' '\n' <<<"$codes" | grep _ | paste -sd '|'))\"" |
    grep -vE 'log_(debug|info|warn|error)\("' | sed 's/$/   <- enum end_code/')
# The schema of the contract lists them all (but "ok", which is no error), and no other.
list() { tr '|' '\n' | grep -vx ok | sort; }
report < <(diff <(list <<<"$codes") \
    <(sed -nE 's/.*as futured --dump-ends prints them: ([a-z_, ]+);.*/\1/p' api/openapi.json | sed 's/, /|/g' | list) |
    sed -nE 's/^< (.*)/api\/openapi.json:1: TaskError.code does not list \1/p; s/^> (.*)/api\/openapi.json:1: TaskError.code lists \1, which is none/p')
finish
