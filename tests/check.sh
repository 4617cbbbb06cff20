#!/bin/bash
# Everything that CI runs. First the builds, one after the other; then the tests, $CHECK_JOBS (two more than there are
# cores) at a time, because most wait more than they compute: the longest go first. One that fails beside others is
# run once more alone: what fails then ends it, and what passes then is said at the end.
set -eu
export MAKEFLAGS=--no-print-directory
jobs=$(nproc)
width=${CHECK_JOBS:-$((jobs + 2))}
logs=$(mktemp -d)
passed=0 running=0 begun=$SECONDS
declare -A name_of command_of began log_of
again=()		# those that failed beside others, as words for `eval`
trap 'kill $(jobs -p) 2> /dev/null || true; wait; rm -rf "$logs"' EXIT

failed() {
	echo "FAILED: $1" >&2
	echo "$passed passed, 1 failed"
	exit 1
}

# step NAME COMMAND...: now.
step() {
	local name=$1 start=$SECONDS
	shift
	echo "== $name"
	"$@" || failed "$name"
	passed=$((passed + 1))
	echo "   ($((SECONDS - start)) s)"
}

# Wait for one of those that run, and show what it said.
reap() {
	local pid code=0
	wait -n -p pid || code=$?
	running=$((running - 1))
	echo "== ${name_of[$pid]}"
	cat "${log_of[$pid]}"
	echo "   ($((SECONDS - began[$pid])) s)"
	if [ $code = 0 ]; then
		passed=$((passed + 1))
	else
		echo "   FAILED beside others, exit code $code"
		again+=("${command_of[$pid]}")
	fi
}

# beside NAME COMMAND...: as soon as there is room, beside others.
beside() {
	local name=$1 log
	shift
	[ "$running" -lt "$width" ] || reap
	log=$(mktemp "$logs/XXXXXX")
	"$@" > "$log" 2>&1 < /dev/null &
	running=$((running + 1))
	name_of[$!]=$name
	command_of[$!]=$(printf '%q ' "$name (once more, alone)" "$@")
	began[$!]=$SECONDS
	log_of[$!]=$log
}

units() {
	local build=$1 t out
	for t in "$build"/tests/test_*; do
		[ -x "$t" ] || continue
		case $t in *.d) continue ;; esac
		out=$("$t" 2>&1) || { echo "$out"; return 1; }
		echo "   ${t##*/}: $(echo "$out" | grep -c '\[       OK \]') passed"
	done
}

# Where there are several threads; each report ends the program, and so the test fails.
threads() {
	local build=$1
	local -x HASPAN=$build/haspan TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1
	python3 tests/control.py reloads_under_load sink_is_disabled metrics_are certificates headers || return 1
	python3 tests/stream.py haproxy_ring half_close stop_reads || return 1
	python3 tests/dgram.py drops sigterm || return 1
	python3 tests/follow.py does_not_move copytruncate_while_running || return 1
	python3 tests/robust.py sigusr1 sigterm || return 1
	# Not with Kafka: librdkafka's threads are begun by C11's thrd_create, which TSan does not see.
	python3 tests/rules.py threads an_interrupt || return 1
	python3 tests/http_sink.py --loose --driver "$build/tests/http_driver" several_requests_are_in_flight \
		a_slow_collector_slows_the_source a_stop_waits_for_what_is_on_its_way one_401_stops_all_connections
}

step "build with gcc, warnings are errors" make -j"$jobs" DEV=1 BUILD=build CC=gcc all units build/gen_lines
step "layers" tests/layers.sh
step "build with points of crash" make -j"$jobs" DEV=1 BUILD=build/crash CC=gcc CRASH=1 all build/crash/tests/http_driver
step "build with clang, warnings are errors" make -j"$jobs" DEV=1 BUILD=build/clang CC=clang all units
step "build with ASan and UBSan" make -j"$jobs" DEV=1 BUILD=build/san CC=clang SAN=address,undefined CFLAGS='-O1 -g' all units \
	build/san/faulty
step "build with TSan" make -j"$jobs" DEV=1 BUILD=build/tsan CC=clang SAN=thread CFLAGS='-O1 -g' all build/tsan/faulty \
	build/tsan/tests/http_driver
step "build with tiny buffers" make -j"$jobs" DEV=1 BUILD=build/hard CC=gcc HARD=1 all

beside "service, installation, package" python3 tests/service.py
beside "Kafka: real brokers" python3 tests/kafka.py --runs 2
beside "fuzzers over their seeds" tests/fuzz/run.sh smoke
beside "kill -9 at each point of crash" python3 tests/crash.py --only haspan
beside "samples (ASan, UBSan)" env HASPAN=build/san/haspan tests/golden.sh
beside "syslog by TCP and TLS" python3 tests/stream.py
beside "a followed file, with logrotate and rsyslog" python3 tests/follow.py
beside "Jaeger gives back what it was sent" python3 tests/jaeger.py
beside "Kafka as a sink" python3 tests/kafka_sink.py
beside "Kafka with a newer librdkafka, cooperative" python3 tests/kafka.py --newer --runs 1 --lines 50000 \
	flow sigterm let_go outage messages
beside "replays: shifted, paced, limited" python3 tests/replay.py
beside "the spool: outages, full disks, failing calls, damage" python3 tests/spool.py
beside "hostile input (ASan, UBSan)" env HASPAN=build/san/haspan python3 tests/robust.py
beside "threads (TSan)" threads build/tsan
beside "haspan doctor, and what it mends" python3 tests/doctor.py
beside "several lines of one request (ASan, UBSan)" env HASPAN=build/san/haspan python3 tests/steps.py
beside "OTLP/HTTP against a collector (ASan, UBSan)" python3 tests/http_sink.py --loose --driver build/san/tests/http_driver
beside "samples (tiny buffers)" env HASPAN=build/hard/haspan tests/golden.sh
beside "samples (clang)" env HASPAN=build/clang/haspan tests/golden.sh
beside "samples" tests/golden.sh
beside "unit tests (ASan, UBSan)" units build/san
beside "unit tests (gcc)" units build
beside "real captures against the independent oracle" tests/captures.sh
beside "the recipe in a real HAProxy" python3 tests/recipe.py
beside "real HAProxy, real traffic, against the oracle" python3 tests/live.py
beside "configurations of the samples against HAProxy" tests/haproxy_cfg.sh
beside "a real HAProxy by its haproxy.cfg alone" python3 tests/haproxy_live.py
beside "the oracle itself" python3 tests/oracle/test_oracle.py -q
beside "command line" tests/cli.sh
beside "accounting and hostile input" python3 tests/robust.py
beside "several lines of one request" python3 tests/steps.py
beside "decoded by opentelemetry-proto" python3 tests/decode.py
beside "OTLP/HTTP against a collector" python3 tests/http_sink.py
beside "kill -9 of the sink alone" python3 tests/crash.py --only sink --runs 1
beside "seen and steered: admin socket, metrics, signals, new configurations" python3 tests/control.py
beside "explain" python3 tests/explain.py
beside "statistics against numpy" python3 tests/stats.py
beside "statistics (ASan, UBSan)" env HASPAN=build/san/haspan python3 tests/stats.py --captures 8
beside "checks in CI, with a real HAProxy" python3 tests/ci.py
beside "haspan check" python3 tests/rules.py
beside "haspan check (ASan, UBSan)" env HASPAN=build/san/haspan python3 tests/rules.py folders threads proposed hostile interrupt
beside "haspan check, for CI systems" python3 tests/reports.py
beside "haspan check, for CI systems (ASan, UBSan)" env HASPAN=build/san/haspan python3 tests/reports.py
beside "tests of significance against scipy" python3 tests/compare.py
beside "haspan check (tiny buffers)" env HASPAN=build/hard/haspan python3 tests/rules.py threads memory
beside "datagrams, live" python3 tests/dgram.py
beside "what the documents print" python3 tests/docs.py
beside "what is chosen: --slowest, --limit, --trace, --grep, rules" python3 tests/choose.py
beside "completion in bash, zsh and fish" python3 tests/completion.py
beside "unit tests (clang)" units build/clang
beside "what is chosen (ASan, UBSan)" env HASPAN=build/san/haspan python3 tests/choose.py
beside "what is chosen (tiny buffers)" env HASPAN=build/hard/haspan python3 tests/choose.py
beside "ASan and UBSan are in it" tests/sanitized.sh build/san address,undefined
beside "syslog by TCP and TLS (ASan, UBSan)" env HASPAN=build/san/haspan python3 tests/stream.py loris long random garbage cut
beside "haspan doctor (ASan, UBSan)" env HASPAN=build/san/haspan python3 tests/doctor.py samples errors
beside "explain (ASan, UBSan)" env HASPAN=build/san/haspan python3 tests/explain.py
beside "datagrams, live (ASan, UBSan)" env HASPAN=build/san/haspan python3 tests/dgram.py --seconds 1
beside "seen and steered (ASan, UBSan)" env HASPAN=build/san/haspan python3 tests/control.py \
	prompts holds_out disabled reload certificates headers configuration storm survive
beside "a followed file (ASan, UBSan)" env HASPAN=build/san/haspan python3 tests/follow.py random_pieces copytruncate broken damaged
beside "TSan is in it" tests/sanitized.sh build/tsan thread
beside "records (tiny buffers)" env HASPAN=build/hard/haspan python3 tests/robust.py record
beside "syslog by TCP and TLS (tiny buffers)" env HASPAN=build/hard/haspan python3 tests/stream.py loris long memory garbage oldest senders
beside "datagrams, live (tiny buffers)" env HASPAN=build/hard/haspan python3 tests/dgram.py --seconds 1 datagram lines drops
beside "manual" sh -c 'make man && mandoc -Tlint -Werror build/haspan.1'
while [ "$running" -gt 0 ]; do
	reap
done
[ "${#again[@]}" -le 3 ] || failed "${#again[@]} steps"
for words in "${again[@]}"; do
	eval "step $words"
done
[ "${#again[@]}" = 0 ] || echo "passed only alone: ${#again[@]}"
echo "$passed passed, 0 failed, $(((SECONDS - begun) / 60)) minutes"
