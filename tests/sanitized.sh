#!/bin/bash
# Is a build what it claims to be? A sanitizer that was not compiled in finds nothing, and every test passes.
#
#   tests/sanitized.sh BUILD SAN     SAN: as given to make: address,undefined or thread
#
# Each object of the program must call the sanitizer, and tests/faulty.c, compiled as they are, must be caught.
set -u
cd "$(dirname "$0")/.." || exit 2
build=$1
passed=0 failed=0

claim() {
	if [ "$1" = 0 ]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "FAILED $2"
	fi
}

# calls SYMBOL: all objects of the program do.
calls() {
	local o without=
	for o in "$build"/*.o "$build"/{core,ingest,parse,reconstruct,export,report}/*.o; do
		nm -u "$o" | grep -q "$1" || without="$without $o"
	done
	[ -z "$without" ]
	claim $? "$1 is not called by$without"
}

# caught FAULT WORDS: it ends with the words, and not by itself.
caught() {
	local said status
	said=$("$build/faulty" "$1" 2>&1)
	status=$?
	[ $status != 0 ] && grep -q "$2" <<<"$said"
	claim $? "$1: exit code $status, but no \`$2' in: $said"
}

case ,$2, in *,address,*)
	calls __asan_init
	caught behind 'heap-buffer-overflow'
	caught freed 'heap-use-after-free'
	caught leak 'detected memory leaks' ;;
esac
case ,$2, in *,undefined,*)
	caught overflow 'signed integer overflow'
	caught shift 'shift exponent 32' ;;
esac
case ,$2, in *,thread,*)
	calls __tsan_init
	caught race 'data race' ;;
esac
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
