#!/usr/bin/env python3
"""What `make demo-jaeger` shows: a real Jaeger 2 with the traces of the samples, as if they had happened just now.

Jaeger is built on the first run (tests/jaeger_lab.py), listens on the loopback interface alone, keeps all in memory, and
is there until Ctrl-C; at once it ends when nobody sits at a terminal. Ports 16686 and 4318 where they are free.
"""
import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
from jaeger_lab import Jaeger, ports                                    # noqa: E402
from lab import ENV, HASPAN, HOST, ROOT                                 # noqa: E402

import socket                                                           # noqa: E402

SAMPLES = [
    ['samples/demo/haproxy.log'],
    ['--haproxy-cfg', 'samples/haproxy-3.2/haproxy.cfg', 'samples/haproxy-3.2/raw.log'],
    ['samples/steps/real/input.log'],
]
KINDS = {1: 'INTERNAL', 2: 'SERVER', 3: 'CLIENT'}


def usual_ports():
    """Those that people know, if nobody has them"""
    try:
        for port in (16686, 4318):
            socket.create_server((HOST, port)).close()
        return 16686, 4318
    except OSError:
        return tuple(ports(2))


def replay(url, words):
    """The trace ids that were sent"""
    with tempfile.NamedTemporaryFile(suffix='.jsonl') as copy:
        done = subprocess.run([HASPAN, '--rebase', 'now', '--to', url, '--to', 'file:' + copy.name, *words], cwd=ROOT,
                              env=ENV, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            sys.exit(done.stderr)
        return re.findall(r'"traceId":"([0-9a-f]{32})"', copy.read().decode())


def show(spans, above=None, depth=0):
    """A trace as Jaeger gave it back; parents that it has not seen are none"""
    known = {s['spanId'] for s in spans}
    for s in sorted(spans, key=lambda s: int(s['startTimeUnixNano'])):
        parent = s.get('parentSpanId') or None
        if (parent if parent in known else None) != above:
            continue
        took = (int(s['endTimeUnixNano']) - int(s['startTimeUnixNano'])) / 1e6
        print('    %s%-8s %s  %.3f ms' % ('  ' * depth, KINDS.get(s.get('kind'), s.get('kind')), s['name'], took))
        show(spans, s['spanId'], depth + 1)


def main():
    with tempfile.TemporaryDirectory() as folder, Jaeger(folder, fixed=usual_ports()) as jaeger:
        ids = [i for words in SAMPLES for i in replay(jaeger.otlp, words)]
        spans = [s for _, s in jaeger.trace(ids[0]) or []]
        if not spans:
            sys.exit('Jaeger does not have trace %s' % ids[0])
        print('%d traces of the samples are in Jaeger, shifted so that they end now. One of them, as its query API gives '
              'it back:\n' % len(set(ids)))
        print('trace %s' % ids[0])
        show(spans)
        print('\nopen  %s/search?service=haproxy\nor    %s/trace/%s\n' % (jaeger.web, jaeger.web, ids[0]))
        print('yours: %s --rebase now --to %s /var/log/haproxy.log.1.gz' % (os.path.relpath(HASPAN, ROOT), jaeger.otlp))
        if sys.stdin.isatty():
            print('Ctrl-C ends it.', flush=True)
            with contextlib.suppress(KeyboardInterrupt):
                signal.pause()


if __name__ == '__main__':
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    main()
