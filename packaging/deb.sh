#!/bin/sh
# Make a Debian package of the tree as it stands: packaging/deb.sh BUILD VERSION. The same tree gives the same bytes.
set -eu
build=$1
version=$(echo "${2#v}" | sed 's/-\([0-9]*\)-g/+\1.g/; s/-/+/g')
# As Debian's own tools have it; else who made the last commit.
maintainer="${DEBFULLNAME:-haspan} <${DEBEMAIL:-}>"
case ${DEBEMAIL:-} in
*'<'*) maintainer=$DEBEMAIL ;;
'') maintainer=$(git log -1 --format='%an <%ae>' 2>/dev/null) || maintainer="$(id -un) <$(id -un)@$(hostname)>" ;;
esac
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct 2>/dev/null || stat -c %Y CHANGES)}"
export SOURCE_DATE_EPOCH
export LC_ALL=C.UTF-8

if ! command -v dpkg-buildpackage >/dev/null || ! command -v dh >/dev/null; then
	echo "make deb needs: apt-get install debhelper dpkg-dev fakeroot" >&2
	exit 3
fi
tree=$build/deb/haspan-$version
rm -rf "$build/deb"
mkdir -p "$tree"
{ git ls-files -z --cached --others --exclude-standard 2>/dev/null ||
	find . -path "./$build" -prune -o -type f -print0; } | tar --null --files-from=- -cf - | tar -C "$tree" -xf -
cp -R packaging/debian "$tree/debian"
sed -i "s|@MAINTAINER@|$maintainer|" "$tree/debian/control"
mkdir "$tree/debian/source"
echo "3.0 (native)" > "$tree/debian/source/format"
cat > "$tree/debian/changelog" <<END
haspan ($version) unstable; urgency=medium

  * What changed is in /usr/share/doc/haspan/changelog.gz.

 -- $maintainer  $(date -R -u -d "@$SOURCE_DATE_EPOCH")
END
log=$build/deb/log
if ! (cd "$tree" && unset MAKEFLAGS MAKEOVERRIDES BUILD CC CFLAGS &&
	DEB_BUILD_OPTIONS="nocheck parallel=$(nproc)" dpkg-buildpackage -b -uc -us) >"$log" 2>&1; then
	tail -30 "$log" >&2
	echo "deb: its whole output is in $log" >&2
	exit 1
fi
cp "$build"/deb/haspan_*.deb "$build/"
ls "$build"/haspan_"$version"_*.deb
