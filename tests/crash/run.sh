#!/bin/bash
# Kills the daemon at random moments under load and counts what is there afterwards.
#   tests/crash/run.sh BUILD [OPTION VALUE…]     options of tests/tools/crash: --rounds --clients --seed
set -euo pipefail
build=$(cd "${1:?usage: tests/crash/run.sh BUILD [--rounds N] [--clients N] [--seed N]}" && pwd)
shift
export FUT_BUILD=$build
exec "$build/tests/tools/crash" --rounds "${ROUNDS:-20}" "$@"
