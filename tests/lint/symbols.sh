#!/bin/bash
# Every global symbol of X.o begins with X's name, or with the first or the last words of it, in
# singular or plural (store_verbs.c: store_verbs_, store_, verbs_, verb_), or with its folder's
# (handlers/echo.c: echo_, handler_, handlers_).
# Exceptions stand in symbols.allow, each with its reason: "file symbol-pattern reason".
. "$(dirname "$0")/lib.sh"
allow=tests/lint/symbols.allow

mapfile -t sources < <(c_files "${rooms[@]}" tests/support | grep '\.c$')
objects=("${sources[@]/#/build/lint-gcc/}")
make -s -k -j2 VARIANT=lint-gcc CFLAGS=-O2 "${objects[@]/%.c/.o}" >/dev/null 2>&1

prefixes() {
    local file=${1%.c} name folder
    name=${file##*/}
    folder=$(basename "$(dirname "$file")")
    printf '%s|%s_|%s_' "$name" "$name" "${name%s}"
    local first=$name last=$name
    while [[ $first == *_* ]]; do
        first=${first%_*} last=${last#*_}
        printf '|%s_|%s_|%s_' "$first" "$last" "${last%s}"
    done
    [[ $file == */*/* && $file != tests/* ]] && printf '|%s_|%s_' "$folder" "${folder%s}"
}

is_allowed() { # file symbol
    local file pattern reason # both are regular expressions
    while read -r file pattern reason; do
        [[ $1 =~ ^($file)$ && -n $reason && $2 =~ ^($pattern)$ ]] && return 0
    done < <(grep -v '^#' "$allow")
    return 1
}

report < <(awk '!/^#/ && NF && NF < 3 { print FILENAME ":" FNR ": an exception without a reason" }' "$allow")
report < <(
    for file in "${sources[@]}"; do
        object=build/lint-gcc/${file%.c}.o
        [ -e "$object" ] || { echo "$file:1: does not compile" && continue; }
        pattern="^($(prefixes "$file"))"
        nm -g --defined-only "$object" | awk '{ print $3 }' | while read -r symbol; do
            [[ $symbol == main || $symbol =~ $pattern ]] && continue
            is_allowed "$file" "$symbol" && continue
            line=$(grep -nE "\b$symbol\b" "$file" | head -1 | cut -d: -f1)
            echo "$file:${line:-1}: global $symbol does not begin with its file's name"
        done
    done
)
finish
