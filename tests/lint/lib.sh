# shellcheck shell=bash
# Sourced by the checks: the lists of files, and how a finding is told.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 2
folders=(core storage workers api daemon client)
findings=0

# The project's own C files below the given folders (all of them without one).
c_files() {
    [ $# -gt 0 ] || set -- "${folders[@]}" tests
    find "$@" -name '*.[ch]' -not -path '*/build/*' | sort
}

shell_files() {
    {
        find tests workers .ci -type f -name '*.sh' 2>/dev/null
        find .ci workers tests systemd client -type f ! -name '*.*' \
            -exec grep -lE '^#!.*\b(ba)?sh\b' {} + 2>/dev/null
    } | sort -u
}

# report "file:line: what" …: prints each non-empty line read from stdin, and counts it.
report() {
    while IFS= read -r line; do
        [ -n "$line" ] || continue
        echo "$line"
        findings=$((findings + 1))
    done
}

finish() {
    [ "$findings" -eq 0 ]
}
