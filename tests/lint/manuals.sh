#!/bin/bash
# Manuals and completion know what the program knows: its options, its commands, the fields of the handlers file.
. "$(dirname "$0")/lib.sh"

make -s -j2 VARIANT=debug all >/dev/null || exit 1
futured=build/debug/futured
# The variables are added to futured.8 when it is built.

# "--name" of each option and the name of each command, as --help prints them.
options() { "$futured" --help | sed -nE 's/^  (--[a-z-]+=?).*/\1/p'; }
commands() { "$futured" --help | sed -nE '/^variables:/q; s/^  ([a-z]+)( .*)?$/\1/p'; }
fields() { "$futured" --dump-handlers-file | sed -nE 's/^\| \x60([a-z_]+)\x60.*/\1/p'; }
lacks() { # FILE BEFORE AFTER: the words of stdin that FILE lacks between these
    local word
    while read -r word; do
        grep -qE -- "$2${word}$3" "$1" || echo "$1:1: says nothing of $word"
    done
}

for table in options commands fields; do
    [ -n "$("$table")" ] || report <<<"tests/lint/manuals.sh:1: the program's $table cannot be read"
done
report < <(options | tr -d = | sed 's/^-//' | lacks systemd/futured.8 '^\.It Fl ' '( |$)')
report < <(commands | lacks systemd/futured.8 '^\.It Cm ' '( |$)')
report < <(options | lacks systemd/futured.bash '' '')
report < <(commands | lacks systemd/futured.bash '\b' '\b')
report < <(fields | lacks systemd/futured-handlers.5 '^\.It Cm ' '$')
# … and it knows no other.
report < <(grep -noE '^\.It Cm [a-z_]+$' systemd/futured-handlers.5 | while IFS=: read -r line item; do
    grep -qx "${item#.It Cm }" <<<"$(fields)" || echo "systemd/futured-handlers.5:$line: no such field: $item"
done)
report < <(for page in systemd/*.[58]; do
    sed 's/^\.\\" @VARIABLES@/.It Ev X/' "$page" | groff -mdoc -Tutf8 -ww -z 2>&1 | sed "s|^|$page: |"
done)
finish
