#!/bin/bash
# Style that no formatter checks.
. "$(dirname "$0")/lib.sh"

look() { # what, pattern
    report < <(c_files | xargs -r grep -nHE "$2" | sed "s@\$@   <- $1@")
}

look "no typedef'd structs" '^[[:space:]]*typedef[[:space:]]+(struct|enum|union)\b'
look "no cleanup attribute: one out: label" '__attribute__\(\(.*cleanup'
look "comments are /* */" '(^|[[:space:];{}])//([[:space:]]|$)'
look "TODO needs an issue: TODO(#12)" '\b(TODO|FIXME|XXX)\b[^(]'
look "white space at the end" '[[:space:]]$'
report < <(c_files | grep '\.h$' | xargs awk 'FNR == 1 && !/^\/\*/ {
    print FILENAME ":1: a header begins with what its module is for" }')
finish
