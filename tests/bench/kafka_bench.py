#!/usr/bin/env python3
"""What reading from Kafka costs: tests/bench/kafka_bench.py [--lines 1000000] [--pairs 5] [--only one|two|cost] [--library FOLDER]

One broker, one topic of 4 partitions, lines of tests/bench/gen.c. --library FOLDER: with the librdkafka.so.1 that lies there.

one: everything is read from the beginning to the end, in turns:

  count     a program that only counts bytes with rd_kafka_consumer_poll (tests/kafka_tool.c): the yardstick
  kcat      kcat -C to nothing
  file      haspan --to null, 1 thread, the same lines from a file: what they cost without Kafka
  null      haspan --to null, 1 thread and as many as it takes by itself
  otlp      haspan --to http://… : acknowledged end to end, by a server that only counts (tests/bench/sink.c)

CPU is user + system of the process with all its threads (wait4). Wall is counted from the first message on: the wait before
it (a fixed half second, mostly librdkafka's) is measured with an empty range and taken off.

two: two members of a group, each on one core with all its threads, against one on one core. What this machine can give:
the same with two programs that only count (the broker shares the cores), and with two haspans that read files and have
nothing to do with each other. The topic has three times the lines; lines/s are those while both read.

cost: what a line takes, on its way in and in each form in which it may leave: bytes in the topic by compression; CPU of haspan
with 1 thread and of the broker, bytes that leave. doc/scale.md calculates with these.

Each turn gives one ratio; medians of the ratios, the smallest and the largest in brackets. Wall means something only when
the machine does nothing else.
"""
import argparse
import contextlib
import glob
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
from kafka_lab import TOOL, Kafka, free_ports                           # noqa: E402
from lab import ENV, HASPAN, HOST, ROOT                                 # noqa: E402

GEN, SINK = os.path.join(ROOT, 'build', 'gen_lines'), os.path.join(ROOT, 'build', 'bench_sink')
# 1.0 CPU-s a million lines where kcat -C takes 0.34
LIMIT_CPU, LIMIT_NULL, LIMIT_OTLP, LIMIT_TWO = 1.0 / 0.34, 0.5, 0.35, 1.7


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


def show(name, values, unit, limit=None, better=min):
    middle = statistics.median(values)
    verdict = '' if limit is None else '  %s %.2f: %s' % ('<=' if better is min else '>=', limit,
                                                        'ok' if better(middle, limit) == middle else 'OVER')
    print('%-52s %10.2f %-4s [%.2f %.2f]%s' % (name, middle, unit, min(values), max(values), verdict), flush=True)


def fill(kafka, topic, lines, *options):
    if not kafka.tool('leaders', topic, ok=False):
        kafka.create(topic, 4)
    with open(lines, 'rb') as f:
        subprocess.run(['kcat', '-P', '-b', kafka.bootstrap, '-t', topic, '-X', 'linger.ms=20', '-X', 'batch.num.messages=10000',
                        *options], stdin=f, check=True, env=ENV)
    return sum(high for _, high in kafka.numbers('ends', topic).values())


# ---------------------------------------------------------------- one program

def measure(kafka, n, pairs, lines):
    with subprocess.Popen([SINK, 'http', '0'], stdout=subprocess.PIPE, text=True) as server:
        otlp = 'http://%s:%s' % (HOST, server.stdout.readline().split()[1])
        source = 'kafka://%s/bench?until=end' % kafka.bootstrap
        ways = {
            'count': [TOOL, kafka.bootstrap, 'count', 'bench'],
            'kcat': ['kcat', '-C', '-b', kafka.bootstrap, '-t', 'bench', '-o', 'beginning', '-e', '-q'],
            'file, 1 thread': [HASPAN, '-j', '1', '--to', 'null', lines],
            'null, 1 thread': [HASPAN, '-j', '1', '--from', source, '--to', 'null'],
            'null': [HASPAN, '--from', source, '--to', 'null'],
            'otlp': [HASPAN, '--from', source, '--to', otlp],
        }
        got = {name: [] for name in ways}
        for i in range(pairs):
            for name in list(ways) if i % 2 else reversed(list(ways)):
                idle = run(*('/dev/null' if w == lines else w.replace('bench', 'empty') for w in ways[name]))
                wall, cpu, memory, said = run(*ways[name])
                if words := re.search(r'lines=(\d+) requests=(\d+)', said):
                    assert words[1] == words[2] == str(n), said
                got[name].append((max(wall - idle[0], 0.001), cpu, memory))
        server.terminate()
    return got


def one(kafka, args, lines):
    n = fill(kafka, 'bench', lines)
    kafka.create('empty', 4)
    got = measure(kafka, n, args.pairs, lines)
    million = n / 1e6
    for name, rows in got.items():
        show(name + ': CPU per 1,000,000 lines', [cpu / million for _, cpu, _ in rows], 's')
        show(name + ': lines/s', [n / wall for wall, _, _ in rows], '/s')
        show(name + ': memory', [m for _, _, m in rows], 'MiB')
    for name in ('null, 1 thread', 'null'):
        show(name + ': CPU against kcat', [r[1] / k[1] for k, r in zip(got['kcat'], got[name])], 'x',
             LIMIT_CPU if name != 'null' else None)
    show('null, 1 thread: CPU against file + count', [r[1] / (f[1] + c[1]) for f, c, r in zip(
        got['file, 1 thread'], got['count'], got['null, 1 thread'])], 'x')
    for name, limit in (('null, 1 thread', None), ('null', LIMIT_NULL), ('otlp', LIMIT_OTLP)):
        show(name + ': lines/s against count', [c[0] / r[0] for c, r in zip(got['count'], got[name])], 'x', limit, max)


# ---------------------------------------------------------------- two members

class Counter:
    """A program that only counts; (when, messages) as time goes on"""

    def __init__(self, kafka, topic, _, core, members):
        self.seen, each = [], 4 // members
        self.process = subprocess.Popen(['taskset', '-c', str(core), TOOL, kafka.bootstrap, 'share', topic, str(core * each),
                                         str(core * each + each - 1)], env=ENV, stdout=subprocess.PIPE, text=True)
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()

    def watch(self):
        for line in self.process.stdout:
            at, n = line.split()
            self.seen.append((float(at), int(n)))

    def begin(self):
        pass

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.thread.join()


class Member(Counter):
    """A haspan on one core, which begins when all share the partitions; asked for its messages"""

    def __init__(self, kafka, topic, group, core, _):
        self.seen, self.ended = [], False
        self.url, self.admin = '%s:%d' % (HOST, free_ports(1)[0]), kafka.path('%s.%d' % (group, core))
        source = 'kafka://%s/%s?group=%s&heartbeat.interval.ms=300' % (kafka.bootstrap, topic, group)
        self.process = subprocess.Popen(['taskset', '-c', str(core), HASPAN, '-j', '1', '--from', source, '--to', 'null',
                                         '--listen-metrics', self.url, '--admin', 'unix:' + self.admin], env=ENV,
                                        stderr=subprocess.DEVNULL)
        self.ask('disable source 1')
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()

    def ask(self, command):
        end = time.monotonic() + 30
        while time.monotonic() < end:
            try:
                with socket.socket(socket.AF_UNIX) as s:
                    s.connect(self.admin)
                    s.sendall(command.encode() + b'\n')
                    return s.makefile().read()
            except OSError:
                time.sleep(0.01)
        raise SystemExit('no answer from ' + self.admin)

    def metric(self, name):
        with urllib.request.urlopen('http://%s/metrics' % self.url, timeout=5) as answer:
            return float(re.search(r'^haspan_source_%s\S* (\S+)' % name, answer.read().decode(), re.M)[1])

    def watch(self):
        last = 0
        while not self.ended:
            time.sleep(0.05)
            with contextlib.suppress(OSError, TypeError):
                now = self.metric('messages_total')
                if now > last:
                    last = now
                    self.seen.append((time.monotonic(), last))

    def begin(self):
        self.ask('enable source 1')

    def stop(self):
        self.ended = True
        super().stop()


def at(seen, when):
    """Messages at that time, between two looks"""
    for (t, n), (u, m) in zip(seen, seen[1:]):
        if t <= when <= u:
            return n + (m - n) * (when - t) / (u - t)
    return seen[-1][1] if when > seen[-1][0] else 0


def rate(kind, members, kafka, topic, total):
    """Lines/s while all of them read"""
    rate.groups += 1
    some = [kind(kafka, topic, 'bench%d' % rate.groups, core, members) for core in range(members)]
    end = time.monotonic() + 180
    while kind is Member and time.monotonic() < end and any(m.metric('partitions') != 4 / members for m in some):
        time.sleep(0.2)
    for m in some:
        m.begin()
    while sum(m.seen[-1][1] if m.seen else 0 for m in some) < total and time.monotonic() < end:
        time.sleep(0.1)
    for m in some:
        m.stop()
    if not all(len(m.seen) > 2 for m in some):
        raise SystemExit('%s: a member has read nothing' % kind.__name__)
    begin, over = max(m.seen[1][0] for m in some), min(m.seen[-1][0] for m in some)
    return sum(at(m.seen, over) - at(m.seen, begin) for m in some) / (over - begin)


rate.groups = 0


def files(members, n, lines):
    """Lines/s of so many haspans that have nothing to do with each other, a core each"""
    start = time.monotonic()
    some = [subprocess.Popen(['taskset', '-c', str(core), HASPAN, '-j', '1', '--to', 'null', *[lines] * 3],
                             stderr=subprocess.DEVNULL, env=ENV) for core in range(members)]
    took = []
    for p in some:
        p.wait()
        took.append(time.monotonic() - start)
    return members * n / statistics.mean(took)


def two(kafka, args, lines):
    for _ in range(3):
        n = fill(kafka, 'shared', lines)
    rows = []
    for _ in range(args.pairs):
        rows.append([files(1, n, lines), files(2, n, lines)] +
                    [rate(kind, members, kafka, 'shared', n) for kind in (Counter, Member) for members in (1, 2)])
    for i, name in enumerate(('one that reads a file', 'two that read files', 'one that counts', 'two that count', 'one member',
                              'two members')):
        show(name + ', a core each: lines/s', [r[i] for r in rows], '/s')
    show('two that read files against one', [r[1] / r[0] for r in rows], 'x')
    show('two that count against one', [r[3] / r[2] for r in rows], 'x')
    show('two members against one', [r[5] / r[4] for r in rows], 'x', LIMIT_TWO, max)


# ---------------------------------------------------------------- what a line takes

def on_disk(kafka, topic):
    return sum(os.path.getsize(path) for path in glob.glob(kafka.path('data1', topic + '-?', '*.log')))


def broker_cpu(kafka):
    with open('/proc/%d/stat' % kafka.process[1].pid, encoding='utf-8') as f:
        return sum(map(int, f.read().rpartition(')')[2].split()[11:13])) / os.sysconf('SC_CLK_TCK')


def cost(kafka, args, lines):
    n = args.lines
    for name in ('none', 'lz4', 'zstd', 'gzip'):
        before = broker_cpu(kafka)
        fill(kafka, 'as-' + name, lines, '-z', name)
        print('in the topic, %-5s %7.0f bytes a line; the broker took %.2f us to take it' % (
            name + ':', on_disk(kafka, 'as-' + name) / n, (broker_cpu(kafka) - before) * 1e6 / n), flush=True)
    kafka.create('out', 4)
    ways = [(source, [], 'null') for source in ('none', 'lz4', 'zstd')] + [
        ('lz4', ['--sampler', 'parentbased_traceidratio:0.01'], 'null'), ('lz4', ['--phases', 'none'], 'null'),
        ('lz4', [], 'http'), ('lz4', ['OTEL_EXPORTER_OTLP_COMPRESSION=gzip'], 'http'), ('lz4', ['--phases', 'none'], 'http'),
        ('lz4', ['--sampler', 'traceidratio:0.01'], 'http'),
        ('lz4', [], 'out'), ('lz4', [], 'out?compression.type=lz4'), ('lz4', [], 'out?encoding=raw&compression.type=lz4')]
    for topic, options, to in ways:
        env = [o for o in options if o.startswith('OTEL_')]
        with subprocess.Popen([SINK, 'http', '0'], stdout=subprocess.PIPE, text=True) as server:
            port = server.stdout.readline().split()[1]
            target = {'null': 'null', 'http': 'http://%s:%s' % (HOST, port)}.get(to, 'kafka://%s/%s' % (kafka.bootstrap, to))
            stored, before = on_disk(kafka, 'out'), broker_cpu(kafka)
            _, cpu, memory, said = run('env', *env, HASPAN, '-j', '1', '--from', 'kafka://%s/as-%s?until=end' % (
                kafka.bootstrap, topic), '--to', target, *[o for o in options if o not in env])
            server.terminate()
            sent = int(re.search(r'bytes=(\d+)', server.stdout.read())[1]) + on_disk(kafka, 'out') - stored
        assert ' held=0' in said, said
        print('%-72s %5.2f us, broker %.2f us, %6.0f bytes out, %3.0f MiB' % (
            '%s to %s %s' % (topic, to, ' '.join(options)), cpu * 1e6 / n, (broker_cpu(kafka) - before) * 1e6 / n, sent / n, memory),
            flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument('--lines', type=int, default=1000000)
    parser.add_argument('--pairs', type=int, default=5)
    parser.add_argument('--only', choices=('one', 'two', 'cost'))
    parser.add_argument('--library', help='a folder with another librdkafka.so.1')
    args = parser.parse_args()
    if args.library:
        ENV['LD_LIBRARY_PATH'] = args.library
    with Kafka() as kafka, tempfile.NamedTemporaryFile(dir=kafka.dir) as lines:
        subprocess.run([GEN, '-n', str(args.lines)], stdout=lines, check=True)
        print('%d lines of %d bytes; load %.1f on %d cores' % (args.lines, os.path.getsize(lines.name) / args.lines,
                                                              os.getloadavg()[0], os.cpu_count()), flush=True)
        for part in (one, two, cost):
            if args.only in (None, part.__name__):
                part(kafka, args, lines.name)
        print('load %.1f' % os.getloadavg()[0])


if __name__ == '__main__':
    main()
