#!/bin/bash
# The tests with a real HAProxy, with Debian's newer ones: 3.0 (trixie) and 3.2 (sid).
#
#   tests/versions.sh [SUITE]...       default: trixie sid
#
# Their packages, with all libraries, are unpacked into a folder and run from there: nothing is installed, no root is
# needed. The folder is kept in ${HASPAN_CACHE:-~/.cache/haspan}/versions; remove it to get newer packages.
# HASPAN_DEBIAN_MIRROR: where from; else the mirror of this machine's own sources, else deb.debian.org.
# Needs apt-get, dpkg-deb and Debian's keys (the package debian-archive-keyring).
set -eu
cd "$(dirname "$0")/.."
cache=${HASPAN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/haspan}/versions
keys=/usr/share/keyrings/debian-archive-keyring.gpg
arch=$(dpkg --print-architecture)
passed=0 failed=0

mirror() {
	local own
	own=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list 2>/dev/null |
		grep -v '^#' | grep -o 'https\?://[^ ]*/debian/\?\( \|$\)' | head -1)
	echo "${HASPAN_DEBIAN_MIRROR:-${own:-http://deb.debian.org/debian}}"
}

# apt SUITE WORD...: apt-get that knows that suite alone, and that nothing is installed.
apt() {
	local dir=$cache/$1
	shift
	apt-get -q -o Dir::State="$dir/state" -o Dir::State::status="$dir/status" -o Dir::Cache="$dir/cache" \
		-o Dir::Etc::sourcelist="$dir/sources.list" -o Dir::Etc::sourceparts=- -o Dir::Etc::preferencesparts=- \
		-o Debug::NoLocking=1 -o APT::Architecture="$arch" -o APT::Sandbox::User=root \
		-o Acquire::Languages=none -o APT::Install-Recommends=false "$@"
}

fetch() {
	local suite=$1 dir=$cache/$1 deb
	rm -rf "$dir"
	mkdir -p "$dir/state/lists/partial" "$dir/cache/archives/partial" "$dir/root"
	: >"$dir/status"
	echo "deb [signed-by=$keys] $(mirror) $suite main" >"$dir/sources.list"
	apt "$suite" update && apt "$suite" -y --download-only install haproxy || return 1
	for deb in "$dir"/cache/archives/*.deb; do
		dpkg-deb --fsys-tarfile "$deb" | tar -x --keep-directory-symlink -C "$dir/root" || return 1
	done
	rm -rf "$dir/cache" "$dir/state"
}

# The program of a suite with its own loader and libraries, as one command.
wrap() {
	local root=$cache/$1/root loader libraries
	loader=$(find "$root" -name 'ld-linux*.so.*' | head -1)
	libraries=$(find "$root" -name 'libc.so.6' -exec dirname {} \; | head -1)
	[ -n "$loader" ] && [ -n "$libraries" ] && [ -x "$root/usr/sbin/haproxy" ] || return 1
	printf '#!/bin/sh\nexec "%s" --library-path "%s" "%s" "$@"\n' "$loader" "$libraries" "$root/usr/sbin/haproxy" \
		>"$cache/$1/haproxy" && chmod +x "$cache/$1/haproxy"
}

install() {
	[ -x "$cache/$1/haproxy" ] && "$cache/$1/haproxy" -v >/dev/null && return
	echo "== getting HAProxy from Debian $1"
	mkdir -p "$cache"
	fetch "$1" >"$cache/$1.log" 2>&1 && wrap "$1" && "$cache/$1/haproxy" -v >/dev/null || {
		echo "there is no HAProxy of $1 to be had:" >&2
		tail -3 "$cache/$1.log" >&2
		return 1
	}
}

test_that() {
	local what=$1 said
	shift
	if said=$("$@" 2>&1); then
		passed=$((passed + 1))
		echo "   $(head -1 <<<"$said")"
	else
		failed=$((failed + 1))
		printf 'FAILED %s\n%s\n' "$what" "$(head -25 <<<"$said")"
	fi
}

for suite in ${*:-trixie sid}; do
	install "$suite" || { failed=$((failed + 1)); continue; }
	export HAPROXY=$cache/$suite/haproxy
	version=$("$HAPROXY" -v | sed -n 's/.*version \([0-9]*\.[0-9]*\).*/\1/p')
	echo "== HAProxy $version ($suite)"
	test_that "$version: what the documents propose" python3 tests/docs.py --haproxy
	test_that "$version: the recipe" python3 tests/recipe.py
	test_that "$version: what haspan doctor mends" python3 tests/doctor.py
	test_that "$version: every kind of line" python3 tests/live.py
	test_that "$version: its rings and log tcp@" python3 tests/stream.py haproxy
	# log-profile came with 3.1
	if [ "$(printf '%s\n' 3.1 "$version" | sort -V | head -1)" = 3.1 ]; then
		test_that "$version: several lines a request" python3 tests/profile.py
	fi
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
