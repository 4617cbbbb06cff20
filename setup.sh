#!/bin/sh
# Install what haspan needs from Debian's (or Ubuntu's) packages, if anything is missing.
#   setup.sh build    to build and run it
#   setup.sh check    also to run all tests
set -eu

build="gcc make pkg-config libpcre2-dev libjansson-dev libprotobuf-c-dev protobuf-c-compiler
       libcurl4-openssl-dev librdkafka-dev libssl-dev zlib1g-dev libzstd-dev liblzma-dev libxxhash-dev libseccomp-dev
       libmicrohttpd-dev tzdata"
check="clang libclang-rt-14-dev libcmocka-dev python3 python3-venv haproxy rsyslog openssl patch valgrind gzip zstd xz-utils mandoc
       systemd systemd-container debhelper dpkg-dev fakeroot lintian logrotate default-jre-headless maven kcat zsh fish"

wanted=$build
[ "${1:-build}" = check ] && wanted="$build $check"

missing=
for package in $wanted; do
	status=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
	case $status in
	*" installed") ;;
	*) missing="$missing $package" ;;
	esac
done
[ -z "$missing" ] && exit 0

run="apt-get install -y --no-install-recommends$missing"
if ! command -v apt-get >/dev/null; then
	echo "setup: this is no Debian; install the like of:$missing" >&2
	exit 3
fi
if [ "$(id -u)" = 0 ]; then
	sudo=
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
	sudo=sudo
else
	echo "setup: some packages are missing. Run this once, then try again:" >&2
	echo "    sudo $run" >&2
	exit 3
fi
echo "setup: installing$missing"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
# A service that a package brings must not start here: only its program is wanted.
if ! { $sudo apt-get -q update && $sudo env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 $run; } >"$log" 2>&1; then
	tail -20 "$log" >&2
	echo "setup: apt-get failed; its whole output is in $log" >&2
	exit 3
fi
rm -f "$log"
