#!/bin/bash
# Functions that have a safer sibling in the house or in libc.
. "$(dirname "$0")/lib.sh"

banned=(strcpy stpcpy strcat strncat strncpy sprintf vsprintf gets strtok atoi atol atoll atof
    localtime gmtime asctime ctime alloca tmpnam mktemp tempnam system popen setjmp longjmp vfork
    readdir_r)
pattern=$(IFS='|' && echo "${banned[*]}")

# Strings and comments may say these words: blank them, keeping the lines.
strip() {
    sed -E 's/"([^"\\]|\\.)*"/""/g; s@/\*.*\*/@@g; s@/\*.*$@@; s@^[[:space:]]*\*.*@@' "$1"
}

report < <(c_files | while read -r file; do
    strip "$file" | grep -nE "(^|[^[:alnum:]_>.])($pattern)[[:space:]]*\(" | sed "s|^|$file:|; s|\$|   <- banned|"
done)
finish
