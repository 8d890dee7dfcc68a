#!/bin/bash
# Scripts are clean under shellcheck.
. "$(dirname "$0")/lib.sh"
shell_files | xargs -r shellcheck --external-sources --source-path=SCRIPTDIR --exclude=SC1091,SC2119,SC2120
