#!/bin/bash
# What to try with a daemon that starts here and now: its address, and a few lines of curl.
#   tests/try.sh FUTURED
set -euo pipefail
at=$("${1:?usage: tests/try.sh FUTURED}" --check-config 2>/dev/null | sed -n 's/^FUTURED_LISTEN=//p')
case "${at:=127.0.0.1:8420}" in
unix:*) url="--unix-socket ${at#unix:} http://localhost" ;;
*) url=http://$at ;;
esac
cat <<END

futured serves at $at until Ctrl-C. In another terminal:
  curl '$url/v1/tasks?wait=10' -d '{"handler":"sha256","input":"hello"}'
  curl '$url/v1/tasks?wait=10' -d '{"handler":"primes","input":{"below":1000000}}'
  curl '$url/v1/futures?limit=5'
  curl '$url/v1/stats'

END
