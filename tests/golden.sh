#!/bin/bash
# Every samples/<format>/<case>: what haspan makes of input.log must be spans.txt.
#
#   tests/golden.sh [--update] [CASE]...       CASE: a part of a folder's name, as in context/
#
# In a case's folder
#   input.log     the lines
#   args          further words of the command line, one a line
#   env           variables, NAME=VALUE a line
#   spans.txt     what the summary counted, then the spans as tests/spans.py writes them
#   rejects.txt   the rejected lines; none when the file is not there
#   haproxy.cfg   what args may name; tests/haproxy_cfg.sh asks HAProxy whether it takes it (`since`: from which version)
#   unpredicted   why tests/oracle says nothing of this case (a line that it can't read, ids that it can't know)
#
# The binary is $HASPAN. Without $HASPAN it is build/haspan, and the independent oracle is asked as well.
set -u
cd "$(dirname "$0")/.." || exit 2
haspan=${HASPAN:-build/haspan}
oracle=$([ -z "${HASPAN:-}" ] && echo yes)
update=
[ "${1:-}" = --update ] && { update=yes; shift; }

work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
passed=0 failed=0

# Run haspan for the case in $1: spans.txt and rejects.txt in $work.
run() {
	local args=() env=()
	[ -f "$1/args" ] && mapfile -t args <"$1/args"
	[ -f "$1/env" ] && mapfile -t env <"$1/env"
	: >"$work/rejects.txt"
	env -i PATH="$PATH" TZ=UTC "${env[@]}" "$haspan" "${args[@]}" --to "file:$work/otlp.jsonl" \
		--rejects "$work/rejects.txt" "$1/input.log" 2>"$work/stderr" ||
		{ echo "exit code $?"; cat "$work/stderr"; return 1; }
	{
		grep -v '^haspan: ' "$work/stderr" | grep -o '[a-z_]*=[0-9]*' | grep -v -e '=0$' -e '^exported=' | tr '\n' ' ' | sed 's/ $//'
		echo
		python3 tests/spans.py "$work/otlp.jsonl"
	} >"$work/spans.txt" || return 1
	# Whatever else it said is part of the case.
	grep -v '^lines=' "$work/stderr" >>"$work/spans.txt" || true
}

# The case in $1 by tests/oracle, which shares no code with haspan.
predict() {
	local word value o=() formats= args=()
	[ -f "$1/unpredicted" ] && return 0
	[ -f "$1/args" ] && mapfile -t args <"$1/args"
	set -- "$1" ${args[@]+"${args[@]}"}
	local case=$1
	shift
	while [ $# -gt 0 ]; do
		word=$1 value=${2:-}
		shift 2
		case $word:$value in
		--format:auto) formats+=,httpslog,httplog,tcplog,tcplog-clf,httplog-clf,error ;;
		--format:httplog-1.6) formats+=,httplog-old ;;
		--format:*%*) o+=(--format-string "$value") ;;
		--format:*/*) while IFS= read -r value; do
				case $value in *%*) o+=(--format-string "$value") ;; esac
			done <"$value" ;;
		--format:*) formats+=,$value ;;
		--map:* | --capture-request:* | --capture-response:* | --phases:* | --timezone:*) o+=("$word" "$value") ;;
		*) echo "the oracle knows no $word"; return 1 ;;
		esac
	done
	[ -n "$formats" ] && o+=(--format "${formats#,}")
	TZ=UTC python3 tests/oracle/oracle.py ${o[@]+"${o[@]}"} "$case/input.log" >"$work/expected" 2>"$work/counts" ||
		{ cat "$work/counts"; return 1; }
	python3 tests/oracle/compare.py "$work/expected" "$work/otlp.jsonl"
}

check() {
	run "$1" || return 1
	if [ "$update" ]; then
		cp "$work/spans.txt" "$1/spans.txt"
		rm -f "$1/rejects.txt"
		[ -s "$work/rejects.txt" ] && cp "$work/rejects.txt" "$1/rejects.txt"
	fi
	diff -u "$1/spans.txt" "$work/spans.txt" || return 1
	diff -u "$([ -f "$1/rejects.txt" ] && echo "$1/rejects.txt" || echo /dev/null)" "$work/rejects.txt" || return 1
	[ -z "$oracle" ] || predict "$1"
}

for input in samples/*/*/input.log; do
	case=${input%/input.log}
	wanted=$([ $# -eq 0 ] && echo yes)
	for part; do
		case $case in *"$part"*) wanted=yes ;; esac
	done
	[ "$wanted" ] || continue
	if said=$(check "$case" 2>&1); then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		printf 'FAILED %s\n%s\n' "$case" "$(head -40 <<<"$said")"
	fi
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
