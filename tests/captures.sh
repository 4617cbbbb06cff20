#!/bin/bash
# Real HAProxy lines (samples/haproxy-3.2) in all framings, against the independent expectation of tests/oracle.
#
#   tests/captures.sh          the binary is $HASPAN, or build/haspan
set -u
cd "$(dirname "$0")/.." || exit 2
haspan=${HASPAN:-build/haspan}
dir=samples/haproxy-3.2
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
passed=0 failed=0

# The log-format of a frontend of haproxy.cfg.
format_of() {
	sed -n "/^frontend $1\$/,/^frontend/s/^ *log-format [\"']\(.*\)[\"']\$/\1/p" "$dir/haproxy.cfg"
}

test_that() {
	local what=$1 said
	shift
	if said=$("$@" 2>&1); then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		printf 'FAILED %s\n%s\n' "$what" "$(head -25 <<<"$said")"
	fi
}

maps=(--map 'var(txn.sid)=span_id' --map 'var(txn.tid)=trace_id' --map 'var(txn.tpin)=traceparent'
      --map 'var(txn.tpin),field(2,-)=trace_id')
formats=() texts=()
for frontend in fe_custom fe_inner fe_jsonlit; do
	text=$(format_of $frontend)
	[ -n "$text" ] || { echo "no log-format of $frontend in $dir/haproxy.cfg"; exit 2; }
	formats+=(--format "$text")
	texts+=(--format-string "$text")
done
builtin=httpslog,httplog,tcplog,tcplog-clf,httplog-clf,error

# run NAME WORD...: NAME.otlp, NAME.rejects and NAME.summary of the capture NAME.
run() {
	local name=$1
	shift
	env -i PATH="$PATH" TZ=UTC "$haspan" "${formats[@]}" --format auto "${maps[@]}" "$@" \
		--to "file:$work/$name.otlp" --rejects "$work/$name.rejects" "$dir/$name.log" \
		2>"$work/$name.summary" || { cat "$work/$name.summary"; return 1; }
}

# A line a message: what the octet counts say, by a rule of this script's own.
lines_of() {
	[ "$1" = ring ] || { cat "$dir/$1.log"; return; }
	python3 - "$dir/ring.log" <<'PYTHON'
import sys
data = open(sys.argv[1], 'rb').read()
while data:
    count, data = data.split(b' ', 1)
    sys.stdout.buffer.write(data[:int(count)] + b'\n')
    data = data[int(count):]
PYTHON
}

against_oracle() {
	run "$1" --phases "$2" || return 1
	lines_of "$1" >"$work/lines"
	TZ=UTC python3 tests/oracle/oracle.py "${texts[@]}" --format $builtin "${maps[@]}" --phases "$2" "$work/lines" \
		>"$work/expected" 2>"$work/counts" || { cat "$work/counts"; return 1; }
	python3 tests/oracle/compare.py "$work/expected" "$work/$1.otlp" || return 1
	grep -q '^lines=178 requests=154 merged=0 other=0 rejected=24 ' "$work/$1.summary" ||
		{ cat "$work/$1.summary"; return 1; }
}

# The same by haproxy.cfg alone: no --format, no --map, no names.
run_cfg() {
	local name=$1
	shift
	env -i PATH="$PATH" TZ=UTC "$haspan" --haproxy-cfg $dir/haproxy.cfg "$@" --to "file:$work/$name.otlp" \
		--rejects "$work/$name.rejects" "$dir/$name.log" 2>"$work/$name.summary" ||
		{ cat "$work/$name.summary"; return 1; }
}

cfg_against_oracle() {
	run_cfg "$1" --phases "$2" || return 1
	lines_of "$1" >"$work/lines"
	TZ=UTC python3 tests/oracle/by_frontend.py --phases "$2" $dir/haproxy.cfg "$work/lines" >"$work/expected" || return 1
	python3 tests/oracle/compare.py "$work/expected" "$work/$1.otlp" || return 1
	grep -q '^lines=178 requests=154 merged=0 other=0 rejected=24 ' "$work/$1.summary" ||
		{ cat "$work/$1.summary"; return 1; }
}

# JSON and CBOR are for a later version: these lines, whole, and no others.
right_rejects() {
	lines_of "$1" | grep -a -e '{"client_ip"' -e '\(^\|[ >]\)BF69636C69656E745F6970' |
		diff - "$work/$1.rejects" && [ "$(wc -l <"$work/$1.rejects")" = 24 ]
}

ids() {
	python3 tests/spans.py --ids "$work/$1.otlp" >"$work/$1.ids" && [ -s "$work/$1.ids" ]
}

# The ring cut one line, the longest, so that it is another message: its three spans differ, and no others.
same_ids() {
	ids raw && ids "$1" || return 1
	diff "$work/raw.ids" "$work/$1.ids" >"$work/diff" && return
	[ "$1" = ring ] && [ "$(grep -c '^[<>]' "$work/diff")" = 6 ] &&
		[ "$(grep -c '^[<>].* 1795248954854000000 1795248954858000000 ' "$work/diff")" = 6 ] ||
		{ cat "$work/diff"; return 1; }
}

twice() {
	run raw && mv "$work/raw.otlp" "$work/first" && run raw && cmp "$work/first" "$work/raw.otlp"
}

# What HAProxy sent to the server is CLIENT's id, so that the server's span hangs under it.
downstream() {
	python3 - "$work/raw.otlp" "$dir/truth.jsonl" "$dir/raw.log" <<'PYTHON'
import json, re, sys
sys.path.insert(0, 'tests/oracle')
sys.dont_write_bytecode = True
import compare
# the requests of fe_custom, in the log's own words
sent = {m[1] for m in re.finditer(r' sid=(\S+) in=.* fe=fe_custom ', open(sys.argv[3]).read())}
client = {s['id']: s['trace_id'] for s in compare.read_spans(sys.argv[1]) if s['kind'] == compare.CLIENT}
seen = 0
for line in open(sys.argv[2]):
    header = json.loads(line)['hdr'].get('traceparent', '')
    if header.count('-') == 3 and header.split('-')[2] in sent:
        seen += 1
        _, trace, parent, _ = header.split('-')
        if client.get(parent) != trace:
            print('%s: no CLIENT span with this id and trace' % header)
            sys.exit(1)
if seen != 40:
    print('%d rows of truth.jsonl, expected 40' % seen)
    sys.exit(1)
PYTHON
}

for phases in all none auto; do
	for name in raw rfc3164 rfc5424 iso ring; do
		test_that "$name, --phases $phases" against_oracle $name $phases
	done
done
for name in raw rfc3164 rfc5424 iso ring; do
	test_that "$name: rejected are the JSON and CBOR lines" right_rejects $name
done
for name in rfc3164 rfc5424 iso ring; do
	test_that "$name: the ids of raw" same_ids $name
done
test_that "CLIENT has the id that the server saw" downstream
test_that "a second run gives the same bytes" twice
for phases in none auto all; do
	for name in rfc3164 rfc5424 iso ring raw; do
		test_that "$name by haproxy.cfg alone, --phases $phases" cfg_against_oracle $name $phases
	done
done
test_that "CLIENT has the id that the server saw, by haproxy.cfg alone" downstream
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
