#!/bin/bash
# Builds the Debian package into build/deb: sources and systemd/debian in a copy, dpkg-buildpackage,
# lintian. Fails on a lintian error.
#   systemd/deb.sh VERSION
set -euo pipefail
version=${1:?usage: systemd/deb.sh VERSION}
cd "$(dirname "$0")/.."
out=$PWD/build/deb copy=$PWD/build/deb/futured-$version

packaged=$(sed -n '1s/.*(\(.*\)).*/\1/p' systemd/debian/changelog)
if [ "$packaged" != "$version" ]; then
    echo "deb: systemd/debian/changelog says $packaged, the Makefile $version" >&2
    exit 1
fi
rm -rf "$out"
mkdir -p "$copy/debian/source"
cp -r Makefile ./*.md LICENSE core storage workers api daemon client systemd "$copy/"
rm "$copy/CHANGELOG.md" # the package has debian/changelog
cp -r systemd/debian/. "$copy/debian/"
rm "$copy/debian/README.md"
echo '3.0 (native)' >"$copy/debian/source/format"
log=$out/build.log
# VARIANT and the like of an outer make must not reach the package's own.
if ! (cd "$copy" && env -u MAKEFLAGS -u MFLAGS -u VARIANT -u DEVELOPER \
    dpkg-buildpackage -us -uc -b -j"$(nproc)") >"$log" 2>&1; then
    tail -30 "$log" >&2
    exit 1
fi
lintian --fail-on error --tag-display-limit 0 --allow-root "$out"/*.deb ||
    { echo "deb: lintian finds errors" >&2 && exit 1; }

# The Python package as it is, with the Python that it is for: whoever installs it can import it and its worker.
mkdir "$out/unpacked"
dpkg -x "$out"/python3-futured_*.deb "$out/unpacked"
(cd / && PYTHONPATH=$out/unpacked/usr/lib/python3/dist-packages PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 -c '
import futured, futured.worker, futured_worker, pathlib, sys
for module in futured, futured_worker:
    assert module.__file__.startswith(sys.argv[1]), module.__file__
assert pathlib.Path(futured.__file__).with_name("py.typed").exists()
assert futured.__version__ == sys.argv[2], futured.__version__
' "$out/unpacked" "$version") || { echo "deb: python3-futured cannot be imported" >&2 && exit 1; }
rm -r "$out/unpacked"
echo "deb: $(cd "$out" && echo *.deb)"
