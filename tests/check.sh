#!/bin/bash
# Everything that CI runs. Each step prints its own last line; the first failure ends it.
set -eu
export MAKEFLAGS=--no-print-directory
jobs=$(nproc)
passed=0

step() {
	local name=$1 start=$SECONDS
	shift
	echo "== $name"
	"$@" || { echo "FAILED: $name" >&2; echo "$passed passed, 1 failed"; exit 1; }
	passed=$((passed + 1))
	echo "   ($((SECONDS - start)) s)"
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
	python3 tests/http_sink.py --loose --driver "$build/tests/http_driver" several_requests_are_in_flight \
		a_slow_collector_slows_the_source a_stop_waits_for_what_is_on_its_way one_401_stops_all_connections
}

step "build with gcc, warnings are errors" make -j"$jobs" DEV=1 BUILD=build CC=gcc all units build/gen_lines
step "layers" tests/layers.sh
step "unit tests (gcc)" units build
step "samples" tests/golden.sh
step "real captures against the independent oracle" tests/captures.sh
step "the recipe in a real HAProxy" python3 tests/recipe.py
step "haspan doctor, and what it mends" python3 tests/doctor.py
step "real HAProxy, real traffic, against the oracle" python3 tests/live.py
step "configurations of the samples against HAProxy" tests/haproxy_cfg.sh
step "a real HAProxy by its haproxy.cfg alone" python3 tests/haproxy_live.py
step "the oracle itself" python3 tests/oracle/test_oracle.py -q
step "command line" tests/cli.sh
step "accounting and hostile input" python3 tests/robust.py
step "several lines of one request" python3 tests/steps.py
step "syslog by TCP and TLS" python3 tests/stream.py
step "a followed file, with logrotate and rsyslog" python3 tests/follow.py
step "decoded by opentelemetry-proto" python3 tests/decode.py
step "OTLP/HTTP against a collector" python3 tests/http_sink.py
step "build with points of crash" make -j"$jobs" DEV=1 BUILD=build/crash CC=gcc CRASH=1 all build/crash/tests/http_driver
step "the spool: outages, full disks, failing calls, damage" python3 tests/spool.py
step "kill -9 at each point of crash" python3 tests/crash.py --only haspan
step "kill -9 of the sink alone" python3 tests/crash.py --only sink --runs 1
step "seen and steered: admin socket, metrics, signals, new configurations" python3 tests/control.py
step "explain" python3 tests/explain.py
step "datagrams, live" python3 tests/dgram.py
step "what the documents print" python3 tests/docs.py
step "service, installation, package" python3 tests/service.py
step "build with clang, warnings are errors" make -j"$jobs" DEV=1 BUILD=build/clang CC=clang all units
step "unit tests (clang)" units build/clang
step "samples (clang)" env HASPAN=build/clang/haspan tests/golden.sh
step "build with ASan and UBSan" make -j"$jobs" DEV=1 BUILD=build/san CC=clang SAN=address,undefined CFLAGS='-O1 -g' all units \
	build/san/faulty
step "ASan and UBSan are in it" tests/sanitized.sh build/san address,undefined
step "unit tests (ASan, UBSan)" units build/san
step "samples (ASan, UBSan)" env HASPAN=build/san/haspan tests/golden.sh
step "hostile input (ASan, UBSan)" env HASPAN=build/san/haspan python3 tests/robust.py
step "several lines of one request (ASan, UBSan)" env HASPAN=build/san/haspan python3 tests/steps.py
step "syslog by TCP and TLS (ASan, UBSan)" env HASPAN=build/san/haspan python3 tests/stream.py loris long random garbage cut
step "haspan doctor (ASan, UBSan)" env HASPAN=build/san/haspan python3 tests/doctor.py samples errors
step "explain (ASan, UBSan)" env HASPAN=build/san/haspan python3 tests/explain.py
step "datagrams, live (ASan, UBSan)" env HASPAN=build/san/haspan python3 tests/dgram.py --seconds 1
step "OTLP/HTTP against a collector (ASan, UBSan)" python3 tests/http_sink.py --loose --driver build/san/tests/http_driver
step "seen and steered (ASan, UBSan)" env HASPAN=build/san/haspan python3 tests/control.py \
	prompts holds_out disabled reload certificates headers configuration storm survive
step "a followed file (ASan, UBSan)" env HASPAN=build/san/haspan python3 tests/follow.py random_pieces copytruncate broken damaged
step "build with TSan" make -j"$jobs" DEV=1 BUILD=build/tsan CC=clang SAN=thread CFLAGS='-O1 -g' all build/tsan/faulty \
	build/tsan/tests/http_driver
step "TSan is in it" tests/sanitized.sh build/tsan thread
step "threads (TSan)" threads build/tsan
step "build with tiny buffers" make -j"$jobs" DEV=1 BUILD=build/hard CC=gcc HARD=1 all
step "samples (tiny buffers)" env HASPAN=build/hard/haspan tests/golden.sh
step "records (tiny buffers)" env HASPAN=build/hard/haspan python3 tests/robust.py record
step "syslog by TCP and TLS (tiny buffers)" env HASPAN=build/hard/haspan python3 tests/stream.py loris long memory garbage
step "datagrams, live (tiny buffers)" env HASPAN=build/hard/haspan python3 tests/dgram.py --seconds 1 datagram lines drops
step "fuzzers over their seeds" tests/fuzz/run.sh smoke
step "manual" sh -c 'make man && mandoc -Tlint -Werror build/haspan.1'
echo "$passed passed, 0 failed"
