#!/bin/bash
# Lines of documents end within 120 columns; rows of tables cannot be broken and may be longer.
. "$(dirname "$0")/lib.sh"
# shellcheck disable=SC2016 # the dollars are awk's
report < <(git ls-files -z '*.md' ':!tests/*/results/*' | xargs -0 awk 'FNR == 1 { code = 0 }
    /^ *```/ { code = !code }
    length > 120 && !/^ *\|/ { print FILENAME ":" FNR ": " length " columns, at most 120" }')
finish
