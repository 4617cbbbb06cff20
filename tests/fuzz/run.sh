#!/bin/bash
# Build the fuzzers with clang and run them, $FUZZ_JOBS (2) at a time.
#   run.sh SECONDS [NAME...]   each for so long, its corpus kept in build/fuzz/corpus/NAME
#   run.sh smoke [NAME...]     only over the seeds: samples/ and tests/fuzz/seeds/
# Exit code 1 when one crashed; what made it crash is in build/fuzz/crashes/.
set -eu
export LC_ALL=C
cd "$(dirname "$0")/../.."

out=build/fuzz
flags='-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all'
export ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1

# ---- seeds: a file per input ------------------------------------------------------------------

# each FOLDER PREFIX: the lines of the input, each with PREFIX in front and without its newline.
each() {
	awk -v to="$1" -v prefix="$2" '{ f = to "/" prefix "-" NR; printf "%s%s", prefix, $0 > f; close(f) }'
}

samples() {
	find samples -name '*.log' ! -name ring.log ! -name steps.log -exec cat {} + 2>/dev/null | sort -u
}

seeds() {
	local to=$out/seeds/$1 k
	rm -rf "$to"
	mkdir -p "$to"
	case $1 in
	frame)		# choice of framing and torn ends, place of the split
		for k in P Q R U; do
			{ printf '%s~' $k; cat tests/fuzz/seeds/counted.log; } > "$to/counted-$k"
			{ printf '%s0' $k; head -n 7 tests/fuzz/seeds/lines.log; } > "$to/lines-$k"
		done ;;
	stream)		# framing, how it is cut; a byte 1 stands for 50,000
		for k in 0 1 2; do
			{ printf '%s~' $k; cat tests/fuzz/seeds/counted.log; } > "$to/counted-$k"
			{ printf '%s0' $k; head -n 7 tests/fuzz/seeds/lines.log; } > "$to/lines-$k"
			{ printf '%sA<134>1 a\n<134>2 \001\001\001\001 b\n<134>3 c' $k; } > "$to/long-lines-$k"
			{ printf '%sB9 <134>1 a200005 <134>\001\001\001\0019 <134>3 c' $k; } > "$to/long-counted-$k"
		done ;;
	records)	# framing, place of the split
		for k in 00 0~ 17; do
			each "$to" $k < tests/fuzz/seeds/records.log
		done
		for k in samples/records/*/input.log; do
			{ printf '0Q'; head -c 4000 "$k"; } > "$to/stream-$(basename "$(dirname "$k")")"
		done ;;
	envelope)	{ samples; cat tests/fuzz/seeds/envelopes.log; } | awk 'NR % 20 == 0 || /^</' | each "$to" '' ;;
	format)		# names, format, newline, line
		for k in 0 7 O; do
			awk -F '\t' -v to="$to" -v k=$k '
				{ f = to "/" k NR; printf "%s%s\n%s", k, $1, $2 > f; close(f) }
			' tests/fuzz/seeds/formats.txt
		done ;;
	line)		# formats, rules
		for k in 00 11 22 05 34 43 50; do
			each "$to" $k < tests/fuzz/seeds/lines.log
		done
		each "$to" 10 < tests/fuzz/seeds/envelopes.log
		samples | each "$to" 13 ;;
	traceparent)	each "$to" '' < tests/fuzz/seeds/traceparent.txt ;;
	tracestate)	each "$to" '' < tests/fuzz/seeds/tracestate.txt ;;
	haproxy_cfg)	# a configuration, a byte 1, a line
		for case in samples/haproxy-cfg/*/; do
			[ -f "$case/haproxy.cfg" ] || continue
			awk -v to="$to/$(basename "$case")" -v cfg="$case/haproxy.cfg" '{
				f = to "-" NR
				while ((getline line < cfg) > 0) print line > f
				printf "\001%s", $0 > f
				close(cfg); close(f)
			}' "$case/input.log"
		done
		for k in 5 9 17; do	# what one may find in a configuration, cut small
			split -l $k -a 3 samples/haproxy-3.2/haproxy.cfg "$to/lab-$k-"
		done ;;
	join)		# room for so many, formats; then a line a message
		for k in 30 70 21 62; do
			{ printf %s $k; head -n 18 samples/haproxy-3.2/steps.log; } > "$to/json-$k"
			{ printf %s $k; cat tests/fuzz/seeds/steps.log; } > "$to/text-$k"
		done ;;
	doctor)		find samples -name '*.cfg' | while read -r k; do
			cp "$k" "$to/$(echo "$k" | tr / -)"
		done
		for k in 5 9 17; do
			cat samples/doctor/*/haproxy.cfg | split -l $k -a 3 - "$to/cut-$k-"
		done ;;
	json)		cat tests/fuzz/seeds/{text.txt,lines.log} | each "$to" '' ;;
	json_line)	for k in 0 1 2; do each "$to" $k < tests/fuzz/seeds/objects.log; done ;;
	cbor)		for k in 0 1; do each "$to" $k < tests/fuzz/seeds/cbor.log; done ;;
	spool)		# position, place; then records as they are on disk
		python3 tests/fuzz/seeds/spool.py "$to" ;;
	checkpoint)	cp tests/fuzz/seeds/checkpoint.txt "$to/whole"
		head -n 7 tests/fuzz/seeds/checkpoint.txt > "$to/without-sum"
		awk -v to="$to" '{ f = to "/name-" NR; printf "%s\n%s", $1, $2 > f; close(f) }' tests/fuzz/seeds/rotated.txt ;;
	kafka)		# a URI, or messages behind a size of passes, ended by a byte 1
		each "$to" '' < tests/fuzz/seeds/kafka.txt
		tr '\n' '\001' < tests/fuzz/seeds/counted.log | { printf 2; cat; } > "$to/counted"
		{ printf '3<1>a\n<1>b\001\001'; head -n 7 tests/fuzz/seeds/lines.log; printf '\001\n\001x'; } > "$to/lines" ;;
	expr)		# formats, expression; a newline and a line when not the usual one
		for k in 0 1; do each "$to" $k < tests/fuzz/seeds/expressions.txt; done
		while read -r k; do
			awk -v to="$to" -v k="$k" 'NR % 5 == 1 { f = to "/line" ++n "-" length(k); printf "0%s\n%s", k, $0 > f; close(f) }' \
				tests/fuzz/seeds/lines.log
		done < tests/fuzz/seeds/expressions.txt ;;
	rules)		# formats; files of rules, and each of their lines
		cat samples/check/*/rules.txt tests/fuzz/seeds/rules.txt | each "$to" 0
		for case in samples/check/*/rules.txt tests/fuzz/seeds/rules.txt; do
			{ printf 1; cat "$case"; } > "$to/$(echo "$case" | tr / -)"
		done ;;
	json_read)	each "$to" "" < tests/fuzz/seeds/json.txt ;;
	esac
}

# ---- building ---------------------------------------------------------------------------------

build() {
	local objects=$out/gen/export/proto/trace.pb-c.o source libs
	for source in {core,ingest,parse,reconstruct,export,report}/*.c doctor*.c options.c; do
		objects="$objects $out/${source%.c}.o"
	done
	make -s --no-print-directory -j2 BUILD=$out CC=clang CFLAGS="$flags -fsanitize=fuzzer-no-link" $objects
	libs="$(pkg-config --libs libpcre2-8 jansson libprotobuf-c libssl libcrypto zlib libzstd liblzma) -lpthread -ldl -lm"
	printf '%s\n' "$@" | xargs -P"${FUZZ_JOBS:-2}" -I{} clang -std=c11 -D_GNU_SOURCE -Wall -Wextra -I. -Itests/fuzz -I$out/gen \
		$flags -fsanitize=fuzzer -o $out/fuzz_{} tests/fuzz/fuzz_{}.c $objects $libs
}

# ---- running ----------------------------------------------------------------------------------

# one NAME SECONDS: prints its line; SECONDS is `smoke` for the seeds alone.
one() {
	local name=$1 corpus=$out/corpus/$1 log=$out/fuzz_$1.log how status=0
	mkdir -p "$corpus"
	how="-max_total_time=$2 $corpus"
	[ "$2" = smoke ] && how=-runs=0
	$out/fuzz_"$name" -max_len=4096 -timeout=5 -rss_limit_mb=2048 -dict=tests/fuzz/haproxy.dict -print_final_stats=1 \
		-artifact_prefix=$out/crashes/"$name"- $how $out/seeds/"$name" > "$log" 2>&1 || status=$?
	awk -v name="$name" -v crashed=$((status != 0)) '
		/cov: / { for (i = 1; i < NF; i++) if ($i == "cov:") cov = $(i + 1) }
		/^stat::number_of_executed_units/ { runs = $2 }
		END {
			printf "   %-12s %10d executions %6d edges   %s\n", name, runs, cov, crashed ? "CRASHED" : "no crash"
		}
	' "$log"
	[ $status = 0 ] && return
	grep -E -m4 'broken:|ERROR:|runtime error|SUMMARY' "$log" || tail -n 5 "$log"
	grep -a -o 'Test unit written to .*' "$log" || true
	return 1
}

case ${1:-} in
--one)	one "$2" "$3"; exit ;;
smoke|[0-9]*) seconds=$1; shift ;;
*)	sed -n '2,5s/^# //p' "$0" >&2; exit 2 ;;
esac
command -v clang > /dev/null || { echo "   skipped: there is no clang"; exit 0; }
[ $# -gt 0 ] || set -- frame stream envelope records format line join traceparent tracestate json json_read json_line cbor haproxy_cfg doctor spool checkpoint kafka expr rules
mkdir -p $out/crashes
build "$@"
for name in "$@"; do
	seeds "$name"
done
printf '%s\n' "$@" | xargs -P"${FUZZ_JOBS:-2}" -I{} tests/fuzz/run.sh --one {} "$seconds" || exit 1
