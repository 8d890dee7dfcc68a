#!/bin/bash
# What to try with a daemon that starts here and now: its address, a few lines of the command line and of curl.
#   tests/try.sh FUTURED
set -euo pipefail
at=$("${1:?usage: tests/try.sh FUTURED}" --check-config 2>/dev/null | sed -n 's/^FUTURED_LISTEN=//p')
case "${at:=127.0.0.1:8420}" in
unix:*) url=$at curl="curl --unix-socket ${at#unix:} 'http://localhost" page='' ;;
*) url=http://$at curl="curl 'http://$at" page=" The page: http://$at/ui/" ;;
esac
cat <<END

futured serves at $at until Ctrl-C.$page
In another terminal:
  export FUTURED_URL=$url PATH=\$PATH:$(realpath "${1%/*}")
  future run sha256 hello --wait
  future run primes '{"below":1000000}' --wait
  future ls
  future top
or with curl alone:
  $curl/v1/tasks?wait=10' -d '{"handler":"sha256","input":"hello"}'
  $curl/v1/stats'

END
