#!/bin/bash
# Installs the Debian packages that are missing and says which; silent when nothing is missing.
#   tests/deps.sh        what building and testing needs
#   tests/deps.sh lint   what `make lint` needs besides
set -euo pipefail

build=(build-essential pkg-config libmicrohttpd-dev libjansson-dev libsqlite3-dev
    libcurl4-openssl-dev libssl-dev check curl)
lint=(clang clang-format clang-tidy cppcheck shellcheck)

case "${1-build}" in
build) wanted=("${build[@]}") ;;
lint) wanted=("${lint[@]}") ;;
*)
    echo "usage: tests/deps.sh [build|lint]" >&2
    exit 2
    ;;
esac

if ! command -v dpkg-query >/dev/null; then
    echo "deps: not a Debian system: make sure that these are there: ${wanted[*]}" >&2
    exit 0
fi

# dpkg-query fails when a package is unknown, so its status says nothing; its lines do.
mapfile -t present < <(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${wanted[@]}" \
    2>/dev/null | sed -n 's/^installed //p')
missing=()
for package in "${wanted[@]}"; do
    [[ " ${present[*]} " == *" $package "* ]] || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(id -u)" -eq 0 ]; then
    as_root=(env)
elif command -v sudo >/dev/null; then
    as_root=(sudo)
else
    echo "deps: missing: ${missing[*]}; run as root: apt-get install ${missing[*]}" >&2
    exit 1
fi
echo "deps: installing ${missing[*]}"
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
    "${missing[@]}" >/dev/null
