#!/bin/bash
# Options, variables, the configuration file, messages and exit codes. The binary is $HASPAN, or build/haspan.
set -u
cd "$(dirname "$0")/.." || exit 2
haspan=$(realpath "${HASPAN:-build/haspan}")
log=$PWD/samples/demo/haproxy.log
root=$PWD
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"; [ -z "${collector:-}" ] || kill "$collector"' EXIT
passed=0 failed=0

# ---- helpers --------------------------------------------------------------------------------------------

check() {	# WHAT, and the verdict as exit code of the words behind
	local what=$1
	shift
	if "$@"; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		printf 'FAILED %s\n  $ haspan %s\n  exit code %s\n' "$what" "$words" "$code"
		sed 's/^/  > /' "$work/err" | head -12
	fi
}

# Run with these words (variables in front: NAME=VALUE); $code, $work/out and $work/err.
run() {
	local env=()
	while [[ ${1:-} =~ ^[A-Z][A-Z_]*= ]]; do
		env+=("$1")
		shift
	done
	words=$*
	(cd "$work" && exec env -i PATH="$PATH" TZ=UTC ${ASAN_OPTIONS:+ASAN_OPTIONS="$ASAN_OPTIONS"} \
		"${env[@]}" timeout 60 "$haspan" "$@") >"$work/out" 2>"$work/err" </dev/null
	code=$?
}

exits() {	# CODE WORD...
	local wanted=$1
	shift
	run "$@"
	[ "$code" = "$wanted" ]
}

said() { grep -qF -e "$1" "$work/err"; }
wrote() { grep -qF -e "$1" "$work/out"; }
silent() { [ ! -s "$work/out" ] && [ ! -s "$work/err" ]; }

# fails CODE TEXT WORD...: this exit code, this in the message, nothing on standard output, no summary
fails() {
	local wanted=$1 text=$2
	shift 2
	exits "$wanted" "$@" && said "$text" && ! grep -q '^lines=' "$work/err" && [ ! -s "$work/out" ]
}

# The caret stands under the beginning of TEXT in the line above it.
caret() {
	awk -v text="$1" '/^ +\^$/ { found = substr(last, length($0)) } { last = $0 }
		END { exit index(found, text) != 1 }' "$work/err"
}

points() {	# CODE TEXT UNDER WORD...: fails, with the caret under UNDER
	local under=$3
	fails "$1" "$2" "${@:4}" && caret "$under"
}

resource() { grep -oF '"resource":{"attributes":[' "$work/out" >/dev/null && wrote "$1"; }

# ---- the command line -----------------------------------------------------------------------------------

check "a near option is suggested" fails 2 'unknown option --fomat: did you mean --format?' --fomat x
check "another one is not" fails 2 'unknown option --nonsense: haspan --help lists all' --nonsense
check "an unknown letter" fails 2 'unknown option -Z' -Z
check "an option without its value" fails 2 '--to wants a value' --to
check "a letter without its value" fails 2 '-t wants a value' -t
check "an option behind the files" exits 0 "$log" --to null
check "-- ends the options" fails 4 '--to: cannot open it' -- --to
check "a letter with its value" exits 0 -j2 -tnull "$log"
check "= in front of a value" exits 0 --threads=2 --to=null "$log"
check "the command run" exits 0 run --to null "$log"
check "ONE: the last value counts" exits 0 --phases some --phases all --to null "$log"
check "haspan check without rules" fails 2 'haspan check wants --rules FILE' check "$log"
check "haspan check with an output that is none" points 2 'expected people or' xml check --rules /dev/null --output xml "$log"
check "haspan check without a rule in its rules" fails 3 '/dev/null: there is no rule in it' check --rules /dev/null "$log"
check "... in several" fails 3 'there is no rule in the rules files' check --rules /dev/null --rules /dev/null "$log"
for words in '--rules none' '--baseline none' '--output json' '--write-rules' '--rejected-ok 1'; do
	check "$words without check" fails 2 "${words%% *}: this is of haspan check" $words "$log"
	check "... of doctor" fails 2 "${words%% *}: this is of haspan check" doctor $words "$log"
done
check "--fix without doctor" fails 2 '--fix: this is of haspan doctor' --fix "$log"
check "--json without doctor" fails 2 '--json: this is of haspan doctor' check --json "$log"
check "--by without stats" fails 2 '--by: this is of stats: add --to stats' --by backend "$log"
check "--top without stats" fails 2 '--top: this is of stats' explain --top 3 "$log"
check "a variable may be for another command" exits 0 HASPAN_RULES=none HASPAN_BY=backend --to null "$log"
check "--by twice is one list" eval 'exits 0 --to stats --by backend --by method "$log" && wrote "by backend · method"'
check "... with a name that is none" points 2 'expected frontend' nonsense --to stats --by backend --by nonsense "$log"
check "--by route without --route" eval 'exits 0 --to stats --by route "$log" && said "--by route: no --route names any"'
check "... with one" eval 'exits 0 --to stats --by route --route /a "$log" && ! said "names any"'
check "--keep alone" eval 'exits 0 --keep "status >= 500" --to null "$log" && said "--keep alone leaves nothing out: add --sampler always_off"'
check "... with a sampler" eval 'exits 0 --keep "status >= 500" --sampler always_off --to null "$log" && ! said "--keep alone"'
check "... with --drop" eval 'exits 0 --keep "status >= 500" --drop "status < 300" --to null "$log" && ! said "--keep alone"'
check "--keep of a path without quotes" points 2 'put quotes around it' / --keep 'path == /foo' "$log"
check "--keep of a word without quotes" points 2 'put quotes around it' api --keep 'backend == api' "$log"
check "--limit 1 is one" eval 'exits 0 --limit 1 "$log" && said "--limit: 1 request is drawn"'
check "--trace of nothing" eval 'exits 1 --trace ffffffff "$log" && said "no request is of this trace" && ! said "at least 8"'
printf 'p95 < 200ms\n' >"$work/rules"
check "p95 of what?" points 3 'of what? Expected p95(Tr)' p95 check --rules rules "$log"
long=$root/samples/haproxy-3.2/raw.log
for words in '--sampler always_off' '--trace ffffffff' '--grep nothing-has-this' '--sampler always_on'; do
	check "$words: lines that were cut are counted" eval 'run $words --to null "$long"; said " truncated=1 "'
done
for _ in $(seq 50); do cat "$long"; done >"$work/big.log"
words='big.log | sed q'
(cd "$work" && "$haspan" big.log 2>err | sed q >out)
check "who closes standard output is named" said 'the reader of standard output went away'
rm "$work/big.log"

check "--threads 0" points 2 '--threads:1: expected 1 to 64' 0 --threads 0 "$log"
check "--threads x" points 2 '--threads:1: expected a number' x --threads x "$log"
check "--threads 65" points 2 'expected at most 64' 65 --threads 65 "$log"
check "--threads 2x" points 2 '--threads:2:' x --threads 2x "$log"
check "--connections 0" points 2 '--connections:1: expected 1 to 64' 0 --connections 0 "$log"
check "--timeout 5x" points 2 '--timeout:2: unknown unit: expected ms, s, m or h' x --timeout 5x "$log"
check "--buffer-max 16Q" points 2 '--buffer-max:3: unknown unit: expected K' Q --buffer-max 16Q "$log"
check "--buffer-max huge" points 2 '--buffer-max:1: expected' 9 --buffer-max 99999999999999999999 "$log"
check "--buffer-max too much" points 2 '--buffer-max:1: expected at most' 9 --buffer-max 9999999G "$log"
check "--phases some" points 2 '--phases:1: expected auto, all or none' some --phases some "$log"
check "--tree session" points 2 '--tree:1: expected request' session --tree session "$log"
check "--compression zstd" points 2 '--compression:1: expected none or gzip' zstd --compression zstd "$log"
check "--timezone" points 2 '--timezone:1: no such time zone' Mars --timezone Mars/Base "$log"
check "--sampler xray says why" points 2 'asks a service' xray --sampler xray "$log"
check "--sampler jaeger_remote says why" fails 2 'asks a service' --sampler parentbased_jaeger_remote "$log"
check "--sampler with a bad ratio" fails 2 'expected a ratio from 0 to 1' --sampler traceidratio:2 "$log"
check "--sampler foo" points 2 '--sampler:1: no such sampler: expected' foo --sampler foo "$log"
check "--propagators" points 2 '--propagators:14: no such propagator: expected' w3c \
	--propagators tracecontext,w3c "$log"
check "--map without =" points 2 "--map:1: expected FIELD=MEANING" foo --map foo "$log"
check "--map to nothing known" points 2 '--map:3: no field has this name' nodot --map x=nodot "$log"
check "--map of an expression with =" exits 0 --map 'var(txn.a),regsub(a=b,c)=a.b' --to null "$log"
check "--capture-request" points 2 '--capture-request:3: expected names of headers' ,b --capture-request a,,b "$log"
check "--route" points 2 "--route:1: expected a template" orders --route orders "$log"
check "--route with bad UTF-8" fails 2 'UTF-8' --route $'/\xff' "$log"
check "--header" points 2 '--header:1: expected NAME:VALUE' nocolon --header nocolon "$log"
check "--header with a line break" fails 2 '--header:1: expected NAME:VALUE' --header $'a: b\r\nc: d' "$log"
check "--resource" points 2 '--resource:1: expected KEY=VALUE' novalue --resource novalue "$log"
check "--resource twice" fails 2 'given twice' --resource a=1 --resource a=2 "$log"
check "--resource with bad UTF-8" points 2 '--resource:3: the value is not valid UTF-8' '?' --resource $'a=\xff' "$log"
check "--service-name with bad UTF-8" fails 2 'UTF-8' --service-name $'\xff' "$log"
check "--to http//" points 2 'expected http://HOST:4318' http --to http//localhost:4318 "$log"
check "--to https:/ hides a password" eval 'fails 2 "expected https://HOST:4318" --to https:/me:secret@h "$log" && ! said secret'
check "--to grpc:// names what there is" fails 2 'OTLP goes over HTTP, as in http://HOST:4318' --to grpc://localhost:4317 "$log"
check "--from tcp:5514" fails 4 'expected tcp://HOST:PORT' --from tcp:5514
check "explain of a file" fails 2 "this is a file: tail -1 $log | haspan explain" explain "$log"
check "--to foo://" points 2 '--to:1: no such sink: expected' foo --to foo://x "$log"
for sink in grpc://h:4317 zipkin://h:9411 html:x.html; do
	check "--to $sink: not yet" fails 2 '--to:1:' --to $sink "$log"
done
check "--from kafka://h/t: no group" fails 2 'group=NAME expected' --from kafka://h/t
check "--from kafka: a topic twice" fails 2 'stands there twice' --from "kafka://h/t,u,t?until=end"
check "--to kafka: an encoding that is none" fails 2 'no such encoding' --to "kafka://h/t?encoding=xml" /dev/null
check "nine sinks" fails 2 'at most 8' --to null --to null --to null --to null --to null --to null --to null \
	--to null --to null "$log"

# ---- formats --------------------------------------------------------------------------------------------

check "an unknown alias" points 3 "--format:11: unknown alias '%foo'" %foo --format '%ci [%tr] %foo %Ta' "$log"
check "an alias in another case" points 3 'did you mean %Ta?' %TA --format '%ci [%tr] %TA %Ta' "$log"
check "an unknown flag" points 3 'unknown flag: expected Q, X, E, M, json, cbor or bin' '+Z' --format '%{+Z}ci' "$log"
check "a bracket that is not closed" points 3 "'[' is never closed" '[src' --format '%ci %[src' "$log"
check "a parenthesis that is not closed" points 3 "'(' is never closed" '(x' --format '%(x' "$log"
check "a brace that is not closed" points 3 "'{' is never closed" '{+Q' --format '%{+Q' "$log"
check "an unknown type" points 3 '--format:5: unknown type: expected str' foo --format '%(x:foo)ci' "$log"
check "no such name" points 3 'no format has this name' httlog --format httlog "$log"
check "no border between fields" points 3 'border' %b --format '%ci%b %tr %Ta' "$log"
check "no date" fails 3 'this format has no date' --format '%ci %Ta' "$log"
check "no duration" fails 3 'this format has no duration' --format '%ci %tr' "$log"
check "JSON without a date" fails 3 'this format has no date' --format '%{+json}o %(a)ci' "$log"
check "JSON without a name" fails 3 'no field has a name' --format '%{+json}o %ci %tr %Ta' "$log"
check "JSON behind a field" points 3 'expected this in front of all fields' '%{+json}' --format '%tr %{+json}o %(a)Ta' "$log"
check "CBOR of a field alone" points 3 'CBOR is for the whole line' '%{+cbor}[src]' --format '%tr %{+cbor}[src] %Ta' "$log"
check "an array in a text" points 3 'write them one by one' '%{+json}hrl' --format '%tr %{+json}hrl %Ta' "$log"
check "a pattern that is broken" fails 3 '--format:5: missing closing parenthesis' --format 're:(' "$log"
check "a pattern without groups" fails 3 'no named group' --format 're:x' "$log"
printf '# two\n%%ci %%tr %%Ta\n\n%%ci %%tr %%bad\n' >"$work/formats"
check "a format of a file" points 3 "formats:4:9: unknown alias '%bad'" %bad --format "$work/formats" "$log"
check "captures without number" fails 3 'how many captures' --format '%ci %tr %Ta %hrl' "$log"

# ---- haproxy.cfg ---------------------------------------------------------------------------------------

printf 'defaults\n  mode http\nfrontend a\n  log-format "%%tr %%f %%Ta %%bad"\nfrontend b\n  option httplog\n' >"$work/h.cfg"
check "a format that can't be used is a warning" exits 0 --haproxy-cfg h.cfg -n
check "... with its place" said "h.cfg:4:26: the log-format of frontend a is not used: unknown alias '%bad'"
check "... and a caret" said 'haspan: warning:                ^'
printf 'frontend a\n  bind "x\n  log-format "%%tr %%f\n' >"$work/q.cfg"
check "a quote that is not closed" points 3 'q.cfg:2:8: this quote is never closed' '"x' --haproxy-cfg q.cfg "$log"
printf 'frontend a\n  server s "x\n  option httplog\n  mode http\n' >"$work/s.cfg"
check "... in a line that nobody needs" exits 0 --haproxy-cfg s.cfg --to null "$log"
check "... is a note under -v" exits 0 -v --haproxy-cfg s.cfg --to null "$log"
check "... with its place" said 's.cfg:2: column 12: this quote is never closed'
check "no such file" fails 3 'none.cfg: cannot open the configuration of HAProxy' --haproxy-cfg none.cfg "$log"
check "no configuration at all" exits 0 -n --haproxy-cfg /etc/passwd "$log"
check "... is said" said 'warning: --haproxy-cfg /etc/passwd: there is no frontend in this configuration'
mkdir "$work/conf.d"
check "a folder without configurations" fails 3 'no file in this folder ends in .cfg' --haproxy-cfg conf.d "$log"
printf 'frontend a\n  mode http\n  option httplog\n' >"$work/conf.d/a.cfg"
check "a folder" exits 0 --haproxy-cfg conf.d/ --to null "$log"
check "built-in formats are behind" said 'lines=13 requests=13 '
check "a variable names files too" exits 3 HASPAN_HAPROXY_CFG=none.cfg --to null "$log"
check "with --format only what both say" exits 0 --haproxy-cfg conf.d --format tcplog --to null "$log"
check "... is read" said ' requests=1 '

# ---- the configuration file -----------------------------------------------------------------------------

conf() { printf "$@" >"$work/conf"; }
conf '# first\nphases none\n\n  \tthreads   2  \r\n--to null\nstrict\n'
check "comments, blanks, CR, --" exits 0 --config conf "$log"
conf '# first\nphases none\n\nnonsense 3\n'
check "an unknown option has its line" points 3 'conf:4:1: no such option: expected' nonsense --config conf "$log"
conf 'to null\nphases\n'
check "a value is missing" points 3 'conf:2:1: this option wants a value' phases --config conf "$log"
conf 'strict yes\n'
check "a value is too much" points 3 'conf:1:1: this option takes no value' strict --config conf "$log"
conf '\n\nphases some\n'
check "a bad value has its line" points 3 'conf:3:' some --config conf "$log"
conf '\nformat %%ci %%zz\n'
check "a bad format has its line" points 3 'conf:2:' %zz --config conf "$log"
conf 'to foo://x\n'
check "a bad sink has its line" points 3 'conf:1:' foo --config conf "$log"
check "no such file" fails 3 'none: cannot open the configuration' --config none "$log"
conf 'format %%{+Q}o %%ci [%%tr] %%Ta\nto null\n'
check "a value with blanks" exits 0 --config conf "$log"

# ---- variables, and who wins ----------------------------------------------------------------------------

check "a variable" points 2 'HASPAN_PHASES:1: expected' some HASPAN_PHASES=some "$log"
check "an empty one is unset" exits 0 HASPAN_PHASES= HASPAN_TO=null "$log"
check "several values, one a line" fails 2 'HASPAN_MAP:3:' HASPAN_MAP=$'a=b.c\nx=q' "$log"
check "a file by variable" fails 3 'none: cannot open' HASPAN_CONFIG=none "$log"
check "a flag by variable" exits 1 HASPAN_STRICT=true HASPAN_TO=null "$root/samples/notices/no-notice/input.log"

conf 'service-name of-the-file\nto -\n'
otel=(OTEL_SERVICE_NAME=of-otel OTEL_RESOURCE_ATTRIBUTES=service.name=of-attributes,team=shop)
run "${otel[@]}" HASPAN_SERVICE_NAME=of-haspan --config conf --service-name of-the-flag "$log"
check "flag > HASPAN_*" resource '"of-the-flag"'
run "${otel[@]}" HASPAN_SERVICE_NAME=of-haspan --config conf "$log"
check "HASPAN_* > file" resource '"of-haspan"'
run "${otel[@]}" --config conf "$log"
check "file > OTEL_*" resource '"of-the-file"'
run "${otel[@]}" --to - "$log"
check "OTEL_SERVICE_NAME > OTEL_RESOURCE_ATTRIBUTES" resource '"of-otel"'
run OTEL_RESOURCE_ATTRIBUTES=service.name=of-attributes,team=shop --to - "$log"
check "OTEL_RESOURCE_ATTRIBUTES" resource '"of-attributes"'
check "a further attribute" resource '{"key":"team","value":{"stringValue":"shop"}}'
run --to - "$log"
check "the default" resource '"haproxy"'
run OTEL_RESOURCE_ATTRIBUTES=' a = x%20%3D%2C%C3%A9 ,c=d' --to - "$log"
check "percent-decoded" resource '{"key":"a","value":{"stringValue":"x =,é"}},{"key":"c","value":{"stringValue":"d"}}'
for bad in 'a=b,c' 'a=%zz' 'a=b,=c'; do
	run OTEL_RESOURCE_ATTRIBUTES="$bad" --to - "$log"
	check "OTEL_RESOURCE_ATTRIBUTES=$bad: a warning" said 'OTEL_RESOURCE_ATTRIBUTES'
	check "... nothing of it" eval '! wrote "\"key\":\"a\""'
	check "... exit code 0" [ "$code" = 0 ]
done
for bad in OTEL_TRACES_SAMPLER=foo OTEL_TRACES_SAMPLER=xray OTEL_EXPORTER_OTLP_TIMEOUT=abc OTEL_PROPAGATORS=foo \
	OTEL_EXPORTER_OTLP_COMPRESSION=zstd OTEL_EXPORTER_OTLP_PROTOCOL=grpc OTEL_EXPORTER_OTLP_HEADERS=foo; do
	run $bad --to null "$log"
	check "$bad: a warning" said "${bad%%=*}"
	check "... exit code 0" [ "$code" = 0 ]
done
run OTEL_TRACES_SAMPLER=always_off --to null "$log"
check "OTEL_TRACES_SAMPLER" said 'spans=36 restored=0 exported=0 unsampled=36'
run OTEL_TRACES_SAMPLER=traceidratio OTEL_TRACES_SAMPLER_ARG=0 --to null "$log"
check "OTEL_TRACES_SAMPLER_ARG" said 'exported=0 unsampled=36'
run OTEL_TRACES_SAMPLER=always_off --sampler always_on --to null "$log"
check "--sampler > OTEL_TRACES_SAMPLER" said 'exported=36 unsampled=0'
run OTEL_TRACES_SAMPLER=always_off HASPAN_SAMPLER=always_on --to null "$log"
check "HASPAN_SAMPLER > OTEL_TRACES_SAMPLER" said 'exported=36 unsampled=0'
run HASPAN_TO=$'null\n-' HASPAN_PHASES=none "$log"
check "MANY by variable" said 'sink=- spans=21'
run HASPAN_TO=$'null\n-' --to null "$log"
check "a flag replaces all values of a variable" said 'spans=36 restored=0 exported=36'

# ---- a collector ----------------------------------------------------------------------------------------

# Says on standard output where it listens; writes `PATH|Content-Type|Content-Encoding|A header|B header|bytes`.
python3 - "$work" <<'PYTHON' &
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_POST(self):
        body = self.rfile.read(int(self.headers['Content-Length']))
        with open(sys.argv[1] + '/requests', 'a') as f:
            h = [self.headers.get(n, '-') for n in ('Content-Type', 'Content-Encoding', 'x-a', 'x-b', 'User-Agent')]
            f.write('|'.join([self.path, *h, '%d bytes\n' % len(body)]))
        self.send_response(200)
        self.send_header('Content-Length', '0')
        self.end_headers()
    def log_message(self, *args):
        pass
server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
with open(sys.argv[1] + '/port.new', 'w') as f:
    f.write(str(server.server_address[1]))
os.rename(sys.argv[1] + '/port.new', sys.argv[1] + '/port')
server.serve_forever()
PYTHON
collector=$!
for _ in $(seq 100); do [ -f "$work/port" ] && break; sleep 0.05; done
at=http://127.0.0.1:$(cat "$work/port")

# posts EXPECTED WORD...: one request came, and it begins like this
posts() {
	local wanted=$1
	shift
	rm -f "$work/requests"
	exits 0 "$@" && [ "$(wc -l <"$work/requests")" = 1 ] && grep -qE "^$wanted" "$work/requests" && return
	cat "$work/requests" >>"$work/err" 2>&1
	return 1
}

plain='application/x-protobuf\|-\|-\|-\|'
check "--to http" posts "/v1/traces\|$plain" --to "$at" "$log"
check "--to http with a path" posts "/in/v1/traces\|$plain" --to "$at/in/v1/traces" "$log"
check "OTEL_EXPORTER_OTLP_ENDPOINT is a base" posts "/v1/traces\|$plain" OTEL_EXPORTER_OTLP_ENDPOINT="$at" "$log"
check "... with an end" posts "/v1/traces\|$plain" OTEL_EXPORTER_OTLP_ENDPOINT="$at/" "$log"
check "... with a path" posts "/a/b/v1/traces\|$plain" OTEL_EXPORTER_OTLP_ENDPOINT="$at/a/b" "$log"
check "... with both" posts "/a/b/v1/traces\|$plain" OTEL_EXPORTER_OTLP_ENDPOINT="$at/a/b/" "$log"
check "..._TRACES_ENDPOINT is the place itself" posts "/a/b\|$plain" OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="$at/a/b" "$log"
check "... without a path" posts "/\|$plain" OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="$at" "$log"
check "... wins" posts "/t\|$plain" OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="$at/t" OTEL_EXPORTER_OTLP_ENDPOINT="$at/e" "$log"
rm -f "$work/requests"
run OTEL_EXPORTER_OTLP_ENDPOINT="$at" --to null "$log"
check "--to wins over both" [ ! -e "$work/requests" ]
run OTEL_EXPORTER_OTLP_ENDPOINT="$at" OTEL_SDK_DISABLED=TRUE "$log"
check "OTEL_SDK_DISABLED" [ ! -e "$work/requests" ]
check "..._HEADERS" posts '/v1/traces\|application/x-protobuf\|-\|1 2\|b\|' OTEL_EXPORTER_OTLP_ENDPOINT="$at" \
	OTEL_EXPORTER_OTLP_HEADERS='x-a=1%202, x-b = b' "$log"
check "..._TRACES_HEADERS wins" posts '/v1/traces\|application/x-protobuf\|-\|t\|-\|' \
	OTEL_EXPORTER_OTLP_ENDPOINT="$at" OTEL_EXPORTER_OTLP_HEADERS=x-b=e OTEL_EXPORTER_OTLP_TRACES_HEADERS=x-a=t "$log"
check "--header" posts '/v1/traces\|application/x-protobuf\|-\|1\|2\|' --to "$at" --header 'x-a: 1' -H x-b:2 "$log"
check "..._PROTOCOL" posts '/v1/traces\|application/json\|' OTEL_EXPORTER_OTLP_ENDPOINT="$at" \
	OTEL_EXPORTER_OTLP_PROTOCOL=http/json "$log"
check "..._TRACES_PROTOCOL wins" posts "/v1/traces\|$plain" OTEL_EXPORTER_OTLP_ENDPOINT="$at" \
	OTEL_EXPORTER_OTLP_PROTOCOL=http/json OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=HTTP/protobuf "$log"
check "... also for --to" posts '/v1/traces\|application/json\|' OTEL_EXPORTER_OTLP_PROTOCOL=http/json --to "$at" "$log"
check "?protocol=" posts '/v1/traces\|application/json\|' --to "$at?protocol=http/json" "$log"
check "?protocol= nonsense" fails 2 '--to:' --to "$at?protocol=morse" "$log"
check "--compression" posts '/v1/traces\|application/x-protobuf\|gzip\|' --to "$at" --compression gzip "$log"
check "..._COMPRESSION" posts '/v1/traces\|application/x-protobuf\|gzip\|' OTEL_EXPORTER_OTLP_COMPRESSION=gzip \
	--to "$at" "$log"
check "User-Agent" posts '.*\|haspan/[^ |]* ?OTel-OTLP-Exporter|.*haspan/' --to "$at" "$log"

check "https:// where TLS is not spoken" eval 'exits 5 --to "${at/http/https}" --give-up-after 300ms "$log" && said "is it http://?"'
# A gRPC server begins with a frame of HTTP/2's settings.
python3 - "$work" <<'PYTHON' &
import os, socket, sys
server = socket.create_server(('127.0.0.1', 0))
with open(sys.argv[1] + '/grpc.new', 'w') as f:
    f.write(str(server.getsockname()[1]))
os.rename(sys.argv[1] + '/grpc.new', sys.argv[1] + '/grpc')
while True:
    s = server.accept()[0]
    s.recv(100)
    s.sendall(b'\0\0\6\4\0\0\0\0\0\0\5\0\0@\0')
    s.close()
PYTHON
grpc=$!
for _ in $(seq 100); do [ -f "$work/grpc" ] && break; sleep 0.05; done
check "a port of gRPC" eval 'exits 5 --to http://127.0.0.1:$(cat "$work/grpc") --give-up-after 300ms "$log" &&
	said "this looks like gRPC; OTLP over HTTP is usually at port 4318" && said "when that is mended"'
kill $grpc

for source in udp://127.0.0.1:0 tcp://127.0.0.1:0; do
	words="--from $source"
	"$haspan" --to null --from $source 2>"$work/err" &
	listener=$!
	for _ in $(seq 200); do said 'listens on' && break; sleep 0.05; done
	kill $listener
	wait $listener
	check "where it listens is said" grep -qE "listens on $source, which is 127.0.0.1:[1-9]" "$work/err"
done

# ---- what it tells of itself ----------------------------------------------------------------------------

run --version
check "--version" grep -qE '^haspan [0-9]+\.[0-9]+' "$work/out"
check "-V is the same" eval 'cp "$work/out" "$work/v"; run -V; cmp -s "$work/v" "$work/out"'
run --help
for name in $(sed -n 's/^OPTION([A-Z_]*, "\([a-z-]*\)".*/\1/p' "$root/cli.def"); do
	check "--help has --$name" grep -qE -e "--$name( |\$)" "$work/out"
done
for letter in $(sed -n "s/^OPTION([A-Z_]*, \"[a-z-]*\", '\(.\)'.*/\1/p" "$root/cli.def"); do
	check "--help has -$letter" grep -qF -e " -$letter, --" "$work/out"
done
check "--help fits 100 columns" awk 'length > 100 { exit 1 }' "$work/out"
check "--help says the exit codes" wrote '5 export'
cp "$work/out" "$work/help"
run -h
check "-h is the same" cmp -s "$work/help" "$work/out"
run --help=man
for name in $(sed -n 's/^OPTION([A-Z_]*, "\([a-z-]*\)".*/\1/p' "$root/cli.def"); do
	check "the manual has --$name" wrote "\\-\\-${name//-/\\-}\\fR"
done
run formats
for name in $(sed -n 's/^BUILTIN("\([^"]*\)".*/\1/p' "$root/formats/builtin.def"); do
	check "haspan formats has $name" grep -q "^$name " "$work/out"
done
for name in $(sed -n 's/^FIELD(\([A-Za-z]*\),.*/\1/p' "$root/formats/fields.def"); do
	check "haspan formats has %$name" grep -q "^ *%$name " "$work/out"
done
check "... 65 aliases" eval '[ "$(grep -c "^ *%[A-Za-z]* " "$work/out")" = 65 ]'
for name in $(sed -n 's/^NAMED(\([a-z0-9_]*\),.*/\1/p' "$root/formats/fields.def"); do
	check "haspan formats has $name" grep -q "^ *$name " "$work/out"
done

run explain --help
check "explain --help is its own" eval '[ $code = 0 ] && wrote "haspan explain [OPTION]" && wrote "--haproxy-cfg" && ! wrote "--spool"'
run doctor --help
check "doctor --help is its own" eval '[ $code = 0 ] && wrote "haspan doctor" && wrote "--fix" && ! wrote "--spool"'
run help
check "help" eval '[ $code = 0 ] && cmp -s "$work/help" "$work/out"'
check "a word that is no command" fails 4 'no such file, and no such command' status
check "... one that was meant" fails 4 'did you mean haspan check?' chek "$log"
check "... a sink" fails 4 'did you mean --to stats?' stats "$log"
check "... an option" fails 4 'did you mean --version?' version
check "... but a file" eval 'cp "$log" "$work/status" && exits 0 --to null status; rm -f "$work/status"'
: >"$work/file"
check "--state: where it is, and what" eval 'fails 3 "haspan: --state: cannot keep checkpoints in file/x" --from follow:x --state file/x'

# A terminal, and nothing to read: what one might want to do
terminal() {
	python3 - "$haspan" "$@" <<'PYTHON'
import os, pty, sys
pid, fd = pty.fork()
if pid == 0:
    os.environ.pop('NO_COLOR', None)
    os.environ.update(e.split('=', 1) for e in sys.argv[2:] if '=' in e)
    os.execv(sys.argv[1], [sys.argv[1], *(a for a in sys.argv[2:] if '=' not in a)])
said = b''
while True:
    try:
        data = os.read(fd, 65536)
    except OSError:
        break
    if not data:
        break
    said += data
sys.stdout.buffer.write(said)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
PYTHON
}
words='(on a terminal)'
terminal >"$work/out" 2>"$work/err"
code=$?
check "nothing to read: first words" eval '[ $code = 2 ] && wrote "haspan --help" && wrote "haspan haproxy.log"'
check "... and other commands" eval 'wrote "--to stats" && wrote "haspan check" && wrote "doctor" && wrote "explain"'
for words in '--to stats' '--slowest 3' '--to null' 'check --baseline none'; do
	terminal $words >"$work/out" 2>"$work/err"
	code=$?
	check "nothing to read: $words" eval '[ $code = 2 ] && wrote "no FILE given: haspan"'
done
words='(on a terminal)'
python3 - "$haspan" >"$work/out" <<'PYTHON'
import os, pty, sys
pid, fd = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], [sys.argv[1], 'explain'])
said = os.read(fd, 1000)
os.write(fd, b'\x04')
os.waitpid(pid, 0)
sys.stdout.buffer.write(said)
PYTHON
check "explain on a terminal says that it waits" wrote 'reads log lines from the terminal'
terminal "$log" >"$work/out" 2>"$work/err"
check "colour on a terminal" wrote $'\e['
terminal NO_COLOR=1 "$log" >"$work/out" 2>"$work/err"
check "NO_COLOR" eval '! wrote $'"'\\e['"
run "$log"
check "no colour elsewhere" eval '! wrote $'"'\\e['"
check "trees without --to" wrote 'SERVER'

# ---- -n -------------------------------------------------------------------------------------------------

check "-n: it is valid" eval 'exits 0 -n "$log" && wrote "the configuration is valid" && [ ! -s "$work/err" ]'
check "-n: nothing made" eval 'exits 0 -n --to file:none.jsonl --rejects none.rej "$log" &&
	[ ! -e "$work/none.jsonl" ] && [ ! -e "$work/none.rej" ]'
check "-n: nothing sent" eval 'rm -f "$work/requests"; exits 0 -n --to "$at" "$log" && [ ! -e "$work/requests" ]'
check "-n: a file is missing" fails 4 'none.log: cannot open it' -n none.log
check "-n: a bad format" fails 3 'unknown alias' -n --format '%ci %zz' "$log"
check "-n: a bad sink" fails 2 'no such sink' -n --to foo://x "$log"
check "-n: a bad option" fails 2 'expected auto' -n --phases some "$log"
conf 'nonsense\n'
check "-n: a bad configuration" fails 3 'no such option' -n --config conf "$log"

# ---- exit codes and streams -----------------------------------------------------------------------------

bad=$root/samples/notices/no-notice/input.log
check "0: done" exits 0 --to null "$log"
check "the summary goes to standard error" eval 'said "lines=13 requests=13 merged=0 other=0 rejected=0 " &&
	[ ! -s "$work/out" ]'
check "0: rejected lines alone" exits 0 --to null "$bad"
check "1: rejected lines under --strict" exits 1 --strict --to null "$bad"
check "2: usage" exits 2 --nonsense
check "3: a format" exits 3 --format '%zz' "$log"
check "3: --rejects cannot be" exits 3 --rejects /no/such/folder --to null "$log"
check "4: no such file" exits 4 --to null none.log
check "4: a folder" exits 4 --to null "$work"
check "5: a full disk" exits 5 --to file:/dev/full "$log"
check "5: no collector" exits 5 --to http://127.0.0.1:1 --give-up-after 300ms "$log"
check "5 is higher than 1" exits 5 --strict --to file:/dev/full "$bad" "$log"
check "4 is higher than 1" exits 4 --strict --to null "$bad" "$work"
check "a file in a folder that is not there" eval 'run --to file:/no/such/x "$log"; [ $code = 3 ] || [ $code = 5 ]'
check "... is named" said '/no/such/x'

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
