#!/bin/sh
# Who may include what: a room sees the types to its left, never their functions, and nothing to its right.
# A library lives in one file.
set -eu
said=$(awk '
function may(file, inc,    room, owner) {
	room = file; sub(/\/.*/, "", room)
	# what the files of one part of the corridor share, as in pipeline*.c, is for them alone
	owner = inc; sub(/_private\.h$/, "", owner)
	if (owner != inc && file !~ /\// && index(file, owner) != 1) return 0
	if (inc ~ /^core\//) return 1
	if (inc ~ /^formats\//) return room ~ /^(core|ingest|parse|reconstruct|report)$/ || file !~ /\//
	# haproxy.cfg is what the user configured, for config.c and for commands that speak about it;
	# steps: lines of one request meet between parsing and rebuilding, and only the corridor knows both
	if (file !~ /\//) return inc !~ /\// || inc ~ /^(ingest\/(ingest|live)|parse\/(parse|haproxy_cfg)|reconstruct\/(reconstruct|steps|shift)|export\/(export|tree)|report\/[a-z]+)\.h$|^report\/outputs\.def$/
	if (inc ~ "^" room "/") return 1
	if (room == "parse") return inc ~ /^ingest\/frame\.h$/
	if (room == "reconstruct") return inc ~ /^(ingest\/frame|parse\/(record|format))\.h$/
	if (room == "report") return inc ~ /^(parse\/(record|format)|reconstruct\/(span|plan|expr)|export\/tree)\.h$/
	if (room == "export") return inc ~ /^(parse\/(record|format)|reconstruct\/(span|plan))\.h$/
	return 0
}
# The time of day jumps: who waits for some time does so by core/wait.h.
/pthread_cond_timedwait\(/ && FILENAME !~ /core\/wait\.c$/ {
	printf "%s:%d: wait_ms() is for that\n", FILENAME, FNR; bad = 1
}
/^[ \t]*#[ \t]*include[ \t]+"/ {
	inc = $0; sub(/^[^"]*"/, "", inc); sub(/".*/, "", inc)
	if (!may(FILENAME, inc)) { printf "%s:%d: must not include %s\n", FILENAME, FNR, inc; bad = 1 }
}
/^[ \t]*#[ \t]*include[ \t]+</ {
	inc = $0; sub(/^[^<]*</, "", inc); sub(/>.*/, "", inc)
	lib = inc ~ /^pcre2/ ? "pcre2" : inc ~ /^openssl\/(ssl|x509|err)/ ? "libssl" : \
	      inc ~ /^openssl/ ? "libcrypto" : inc ~ /^zstd/ ? "zstd" : \
	      inc ~ /^lzma/ ? "lzma" : inc ~ /^xxhash/ ? "xxhash" : inc ~ /^curl/ ? "curl" : \
	      inc ~ /^microhttpd/ ? "microhttpd" : inc ~ /^seccomp\.h/ ? "libseccomp" : inc ~ /^linux\/landlock/ ? "landlock" : inc ~ /^librdkafka/ ? "rdkafka" : ""
	if (lib != "" && FILENAME !~ /\.h$/) {
		if (lib in home && home[lib] != FILENAME) {
			printf "%s:%d: %s lives in %s already\n", FILENAME, FNR, lib, home[lib]; bad = 1
		}
		home[lib] = FILENAME
	}
}
END { exit bad }
' *.c *.h core/*.[ch] ingest/*.[ch] parse/*.[ch] reconstruct/*.[ch] export/*.[ch] report/*.[ch]) || { printf '%s\n' "$said"; echo "layers: 0 passed, 1 failed"; exit 1; }
echo "layers: 1 passed, 0 failed"
