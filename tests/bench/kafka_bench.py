#!/usr/bin/env python3
"""What reading from Kafka costs: tests/bench/kafka_bench.py [--lines 1000000] [--pairs 5]

One broker, one topic of 4 partitions, lines of tests/bench/gen.c; everything is read from the beginning to the end, in turns:

  count     a program that only counts bytes with rd_kafka_consumer_poll (tests/kafka_tool.c): the yardstick
  kcat      kcat -C to nothing
  null      haspan --to null, 1 thread and as many as it takes by itself
  otlp      haspan --to http://… : acknowledged end to end, by a server that only counts

CPU is user + system of the process with all its threads (wait4). Wall is counted from the first message on: the wait before
it (a fixed half second, mostly librdkafka's) is measured with an empty range and taken off. Medians; the smallest and the
largest in brackets. The broker shares the machine: wall means something only when nothing else does.
"""
import argparse
import http.server
import os
import re
import statistics
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
from kafka_lab import TOOL, Kafka                                       # noqa: E402
from lab import ENV, HASPAN, HOST, ROOT                                 # noqa: E402


class Count(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    disable_nagle_algorithm = True

    def do_POST(self):
        left = int(self.headers['Content-Length'])
        while left:
            left -= len(self.rfile.read(min(left, 1 << 20)))
        self.send_response(200)
        self.send_header('Content-Length', '0')
        self.end_headers()

    def log_message(self, *_):
        pass


def run(*command):
    """(wall, CPU, peak memory in MiB, stderr)"""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=ENV) as p:
        start = time.monotonic()
        said = p.stderr.read()
        _, status, used = os.wait4(p.pid, 0)
        wall, p.returncode = time.monotonic() - start, os.waitstatus_to_exitcode(status)
    if p.returncode:
        raise SystemExit('%s: exit %d\n%s' % (command[0], p.returncode, said))
    return wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, said


def show(name, values, unit, limit=None, worse=max):
    middle = statistics.median(values)
    verdict = '' if limit is None else '  %s %.2f: %s' % ('<=' if worse is max else '>=', limit,
                                                        'ok' if worse(middle, limit) == limit else 'OVER')
    print('%-46s %8.2f %-8s [%.2f %.2f]%s' % (name, middle, unit, min(values), max(values), verdict), flush=True)
    return middle


def measure(kafka, n, pairs):
    server = http.server.ThreadingHTTPServer((HOST, 0), Count)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    source = 'kafka://%s/bench?until=end' % kafka.bootstrap
    otlp = 'http://%s:%d' % (HOST, server.server_port)
    ways = {
        'count': [TOOL, kafka.bootstrap, 'count', 'bench'],
        'kcat': ['kcat', '-C', '-b', kafka.bootstrap, '-t', 'bench', '-o', 'beginning', '-e', '-q'],
        'null, 1 thread': [HASPAN, '-j', '1', '--from', source, '--to', 'null'],
        'null': [HASPAN, '--from', source, '--to', 'null'],
        'otlp': [HASPAN, '--from', source, '--to', otlp],
    }
    empty = {name: [w.replace('bench', 'empty') for w in words] for name, words in ways.items()}
    got = {name: [] for name in ways}
    for i in range(pairs):
        for name in list(ways) if i % 2 else reversed(list(ways)):
            idle = run(*empty[name])
            wall, cpu, memory, said = run(*ways[name])
            if words := re.search(r'lines=(\d+) requests=(\d+)', said):
                assert words[1] == words[2] == str(n), said
            got[name].append((max(wall - idle[0], 0.001), cpu, memory))
    return got


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument('--lines', type=int, default=1000000)
    parser.add_argument('--pairs', type=int, default=5)
    args = parser.parse_args()
    with Kafka() as kafka:
        kafka.create('bench', 4)
        kafka.create('empty', 4)
        gen = subprocess.Popen([os.path.join(ROOT, 'build', 'gen_lines'), '-n', str(args.lines)], stdout=subprocess.PIPE)
        subprocess.run(['kcat', '-P', '-b', kafka.bootstrap, '-t', 'bench', '-X', 'linger.ms=20', '-X', 'batch.num.messages=10000'],
                       stdin=gen.stdout, check=True)
        gen.wait()
        n = sum(high for _, high in kafka.numbers('ends', 'bench').values())
        got = measure(kafka, n, args.pairs)
    million = n / 1e6
    print('%d lines; load %.1f on %d cores' % (n, os.getloadavg()[0], os.cpu_count()))
    for name, rows in got.items():
        show(name + ': CPU s per 1,000,000 lines', [cpu / million for _, cpu, _ in rows], 's',
             1.0 if name == 'null, 1 thread' else None)
        show(name + ': lines/s', [n / wall for wall, _, _ in rows], '/s')
        show(name + ': memory', [m for _, _, m in rows], 'MiB')
    for name, limit in (('null', 0.5), ('otlp', 0.35)):
        show(name + ': lines/s against count', [c[0] / r[0] for c, r in zip(got['count'], got[name])], 'x', limit, min)


if __name__ == '__main__':
    main()
