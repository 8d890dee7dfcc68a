#!/bin/bash
# Sizes of folders, files and functions.
#   tests/lint/sizes.sh          prints them
#   tests/lint/sizes.sh check    fails on functions over 60 lines and files over 600; 10 to 30 and 150 to 600 read well
. "$(dirname "$0")/lib.sh"
function_limit=60 file_limit=600

# shellcheck disable=SC2016 # the dollars are awk's
# "lines file:line name" of each function: its body stands between { and } in the first column.
functions() {
    c_files | grep '\.c$' | xargs -r awk '
        /^[A-Za-z_]/ && /\(/ && !/;[ \t]*$/ { name = $0; sub(/\(.*/, "", name); sub(/.*[ *]/, "", name); at = FNR }
        /^{$/ { began = at }
        /^}$/ && began { print FNR - began + 1, FILENAME ":" began, name; began = 0 }'
}

if [ "${1-}" = check ]; then
    report < <(functions | awk -v max=$function_limit '$1 > max { print $2 ": " $3 "() has " $1 " lines, at most " max }')
    # An SDK is one file to be copied, however long it gets.
    report < <(c_files | grep -v '^workers/sdk/futured_worker' | xargs -r wc -l | awk -v max=$file_limit \
        '$2 != "total" && $1 > max { print $2 ":1: " $1 " lines, at most " max }')
    finish
    exit
fi
for folder in "${folders[@]}" tests; do
    find "$folder" -name '*.[ch]' -print0 | xargs -0r cat | wc -l | sed "s|\$| lines in $folder/|"
done
echo "longest files:"
c_files | xargs -r wc -l | grep -v total | sort -rn | head -10
echo "longest functions:"
functions | sort -rn | head -10
functions | awk '{ n++; sum += $1; above += $1 > 30 } END { if (n)
    printf "%d functions, %.1f lines on average, %d above 30\n", n, sum / n, above }'
