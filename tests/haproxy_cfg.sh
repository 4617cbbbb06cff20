#!/bin/bash
# The configurations of samples/haproxy-cfg are ones that HAProxy takes: those that say `since` only from that version
# on. Skipped where there is no HAProxy.
set -u
cd "$(dirname "$0")/.." || exit 2
command -v haproxy >/dev/null || { echo "   skipped: there is no haproxy"; exit 0; }
version=$(haproxy -v | sed -n 's/^HAProxy version \([0-9]*\.[0-9]*\).*/\1/p')
passed=0 failed=0 skipped=0

for case in samples/haproxy-cfg/*/; do
	[ -f "$case/args" ] || continue
	if [ -f "$case/since" ] && [ "$(printf '%s\n' "$(cat "$case/since")" "$version" | sort -V | head -1)" = "$version" ] &&
	   [ "$(cat "$case/since")" != "$version" ]; then
		skipped=$((skipped + 1))
		continue
	fi
	files=()
	while read -r option && read -r path; do
		[ "$option" = --haproxy-cfg ] && files+=(-f "$path")
	done <"$case/args"
	if said=$(haproxy -c "${files[@]}" 2>&1); then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		printf 'FAILED %s\n%s\n' "$case" "$said"
	fi
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
