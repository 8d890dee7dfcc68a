#!/bin/bash
# The C files are as .clang-format wants them (`make format` does it).
. "$(dirname "$0")/lib.sh"
c_files | xargs -r clang-format --dry-run -Werror --ferror-limit=3
