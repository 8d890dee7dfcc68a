#!/bin/bash
# Each folder has a README.md: what it is for, what may live there, how it is tested. It names each module.
. "$(dirname "$0")/lib.sh"
report < <(find "${folders[@]}" tests systemd -type d -not -path 'tests/unit/*' -not -path 'tests/fuzz/corpus*' -not -path '*/__pycache__*' |
    sort | while read -r folder; do
    [ -s "$folder/README.md" ] || echo "$folder: no README.md"
done)
report < <(c_files | grep -v ^tests/ | grep '\.c$' | while read -r file; do
    folder=${file%/*} module=${file##*/} module=${module%.c}
    grep -qw -- "$module" "$folder/README.md" || echo "$file: $folder/README.md does not name it"
done)
finish
