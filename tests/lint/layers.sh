#!/bin/bash
# Includes point down only: core < storage < {api | workers} < daemon; tests stand on what they test.
# The SDK in C and plug-ins stand alone: they know the two headers that users get, and nothing else.
. "$(dirname "$0")/lib.sh"

declare -A may=(
    [core]="core"
    [storage]="storage core"
    [workers]="workers storage core sdk"
    [sdk]="sdk"
    [api]="api storage core"
    [daemon]="daemon api workers storage core"
    [tests/unit/core]="core tests/support"
    [tests/unit/storage]="storage core tests/contract tests/support"
    [tests/unit/workers]="workers storage core sdk tests/support"
    [tests/unit/api]="api storage core tests/support"
    [tests/unit/daemon]="daemon api workers storage core tests/support"
    [tests/contract]="storage core tests/support"
    [tests/preload]="tests/preload"
    [tests/support]="tests/support tests/preload core"
    [tests/tools]="tests/support tests/preload core"
    [tests/model]="core tests/support"
    [tests/bench]="tests/support daemon api workers storage core"
    [tests/system]="tests/support tests/preload core"
    [tests/fuzz]="daemon api workers storage core"
)

# Headers that are included as their users include them.
declare -A public=(
    [futured_plugin.h]=workers/sdk/futured_plugin.h
    [futured_worker.h]=workers/sdk/futured_worker.h
)

room_of() {
    case "$1" in
    workers/sdk/* | workers/futured_plugin.h) echo sdk ;;
    tests/unit/*) echo "$1" | cut -d/ -f1-3 ;;
    tests/*) echo "$1" | cut -d/ -f1-2 ;;
    *) echo "${1%%/*}" ;;
    esac
}

check_file() {
    local file=$1 room allowed line target target_room
    room=$(room_of "$file")
    allowed="${may[$room]-} ${room}"
    while IFS=: read -r line target; do
        target=${public[$target]-$target}
        target_room=$(room_of "$target")
        [[ " $allowed " == *" $target_room "* ]] && [ -e "$target" ] && continue
        [ -e "$target" ] || target_room="no file of that path"
        echo "$file:$line: $room may not include \"$target\" ($target_room)"
    done < <(sed -nE 's/^[[:space:]]*#[[:space:]]*include[[:space:]]+"([^"]+)".*/\1/;t show;b;:show;=;p' "$file" |
        paste -d: - -)
}

report < <(c_files | while read -r file; do check_file "$file"; done)
finish
