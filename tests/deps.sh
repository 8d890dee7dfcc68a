#!/bin/bash
# Installs the Debian packages that are missing and says which; silent when nothing is missing.
#   tests/deps.sh        what building and testing needs
#   tests/deps.sh lint   what `make lint` needs besides
#   tests/deps.sh fuzz   what `make fuzz` needs besides
#   tests/deps.sh package, systemd   what `make deb` and `make test-systemd` need besides
#   tests/deps.sh test   what `make test` needs besides: node, and from npm the tools that check
#                        api/openapi.json and the types of client/node, in build/openapi-tools, nginx and Prometheus in build/, and
#                        chromium
#   tests/deps.sh bench  what `make bench` compares with; from npm what tests/bench/npm names, in build/bench-tools
#   tests/deps.sh counts what `make bench-ci` counts with
#   tests/deps.sh python what `make python-test` needs besides
#   tests/deps.sh cluster what `make demo-cluster` needs besides
#   tests/deps.sh soak   what `make soak` and `make overload` are written in
set -euo pipefail

build=(build-essential pkg-config libmicrohttpd-dev libjansson-dev libsqlite3-dev libpq-dev
    libcurl4-openssl-dev libncurses-dev libssl-dev libsystemd-dev tzdata check curl)
lint=(clang clang-format clang-tidy cppcheck shellcheck)

fuzz=(clang libclang-rt-14-dev)
package=(debhelper dh-python lintian fakeroot python3)
systemd=(systemd systemd-sysv dbus)
test=(openssl python3 python3-croniter python3-dateutil python3-pip python3-setuptools python3-wheel python3-tqdm
    python3-joblib python3-dask mypy jq tmux postgresql)
bench=(beanstalkd gearman-job-server redis-server python3 python3-celery python3-redis python3-rq python3-distributed
    task-spooler postgresql)
command -v npm >/dev/null || { test+=(nodejs npm) && bench+=(nodejs npm); }
counts=(valgrind python3)
soak=(python3)
cluster=(postgresql jq)
python=(libpython3.11-testsuite)

case "${1-build}" in
build) wanted=("${build[@]}") ;;
lint) wanted=("${lint[@]}") ;;
fuzz) wanted=("${fuzz[@]}") ;;
test) wanted=("${test[@]}") ;;
bench) wanted=("${bench[@]}") ;;
counts) wanted=("${counts[@]}") ;;
soak) wanted=("${soak[@]}") ;;
cluster) wanted=("${cluster[@]}") ;;
python) wanted=("${python[@]}") ;;
package) wanted=("${package[@]}") ;;
systemd) wanted=("${systemd[@]}") ;;
*)
    echo "usage: tests/deps.sh [build|lint|fuzz|test|bench|counts|cluster|package|systemd|python]" >&2
    exit 2
    ;;
esac

# Exact versions, by the lock file. Without a network the rest can still run, and whoever misses them
# says so.
install_npm_tools() {
    local from tools shown
    case "$1" in
    test) from=openapi tools=openapi-tools ;;
    bench) from=bench/npm tools=bench-tools ;;
    *) return 0 ;;
    esac
    shown=tests/$from
    from=$(dirname "$0")/$from
    tools=$(dirname "$0")/../build/$tools
    cmp -s "$from/package-lock.json" "$tools/installed" && return 0
    mkdir -p "$tools"
    cp "$from/package.json" "$from/package-lock.json" "$tools/"
    echo "deps: installing the npm packages of $shown"
    if npm ci --prefix "$tools" --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null; then
        cp "$from/package-lock.json" "$tools/installed"
    else
        echo "deps: npm could not install them: what needs them will fail" >&2
    fi
}

# Unpacked in build/PACKAGE, as the package would start a server with the machine.
unpack() { # PACKAGE PROGRAM
    local build
    build=$(dirname "$0")/../build
    if command -v "$1" >/dev/null || [ -x "$build/$1/$2" ]; then
        return 0
    fi
    mkdir -p "$build/$1"
    echo "deps: unpacking $1 in build/$1"
    (
        cd "$build/$1" || exit 1
        download() { apt-get download -qq -o APT::Sandbox::User=root "$1" 2>/dev/null; }
        download "$1" || { [ "$(id -u)" -eq 0 ] && apt-get update -qq && download "$1"; } || exit 1
        dpkg -x "$1"_*.deb . && rm "$1"_*.deb
    ) || echo "deps: could not get $1: its tests will fail" >&2
}
# nginx for systemd/NGINX.md, Prometheus for tests/system/test_metrics.
unpack_servers() {
    [ "$1" = test ] || return 0
    unpack nginx usr/sbin/nginx
    unpack prometheus usr/bin/prometheus
}

# A real browser with its driver, for tests/browser. Without it the rest of the tests can still run.
install_browser() {
    local as_root=(env)
    [ "$1" = test ] || return 0
    command -v chromedriver >/dev/null && command -v chromium >/dev/null && return 0
    [ "$(id -u)" -eq 0 ] || as_root=(sudo)
    echo "deps: installing chromium chromium-driver"
    { "${as_root[@]}" apt-get update -qq && "${as_root[@]}" DEBIAN_FRONTEND=noninteractive apt-get install -qq -y \
        --no-install-recommends chromium chromium-driver >/dev/null; } ||
        echo "deps: could not install chromium: test_browser will fail" >&2
}

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
if [ ${#missing[@]} -eq 0 ]; then
    install_npm_tools "${1-build}"
    unpack_servers "${1-build}"
    install_browser "${1-build}"
    exit 0
fi

if [ "$(id -u)" -eq 0 ]; then
    as_root=(env)
elif command -v sudo >/dev/null; then
    as_root=(sudo)
else
    echo "deps: missing: ${missing[*]}; run as root: apt-get install ${missing[*]}" >&2
    exit 1
fi
# The servers of the bench are started by it and by nobody else: no service of the system.
policy=/usr/sbin/policy-rc.d
if [ "${1-build}" = bench ] && [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
    "${as_root[@]}" chmod 755 "$policy"
    trap '"${as_root[@]}" rm -f "$policy"' EXIT
fi
echo "deps: installing ${missing[*]}"
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
    "${missing[@]}" >/dev/null
install_npm_tools "${1-build}"
unpack_servers "${1-build}"
install_browser "${1-build}"
