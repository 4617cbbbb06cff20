#!/usr/bin/env python3
"""kill -9 at each named point: nothing is lost, and what comes twice is the same.

    crash.py [--runs 3] [--seed N] [--jobs 3] [--only haspan|sink] [POINT...]     POINT: part of a point's name

Two things are killed, both built with CRASH=1 (build/crash, or $BUILD):

    haspan      follows a log that is written, and renamed away once, while it lives and while it is dead; --state, --spool
    sink        tests/http_driver.c: the HTTP sink and its spool alone, with so little memory that most is read back, and a
                source that begins again where the sink said that all before it is settled

Each run begins anew, is killed at the Nth time that it reaches the point, and once more in the next start; then it is started
until it ends. Meanwhile the collector answers 503, 429 with Retry-After, 413, resets, hangs up after it has taken a batch,
drips its answer. What it took, in all lives together, must be the golden set (of a run over the finished log, to a file); a
span that came twice must have the same bytes; nothing may be left in the spool; the last exit code is 0.
"""
import argparse
import collections
import concurrent.futures
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, HERE)
import http_sink                                                        # noqa: E402

ROOT = os.path.dirname(HERE)
BUILD = os.path.join(ROOT, os.environ.get('BUILD') or 'build/crash')
# These are not reached unless something fails.
FAULTS = {'spool.write.middle': 'spool.write.short:EIO:1', 'spool.truncate.before': 'spool.write:ENOSPC:2-6',
          'spool.truncate.after': 'spool.write:ENOSPC:2-6'}
# Datagrams have no position: what was read and not yet sent is lost with the process.
# tests/kafka.py has what needs a broker.
ELSEWHERE = ('datagram_received', 'kafka')
DEADLINE = 60


def points(binary):
    listed = subprocess.run([binary], env={**os.environ, 'HASPAN_CRASH': 'list'}, capture_output=True, text=True).stdout
    return [line.split()[1] for line in listed.splitlines() if line.startswith('point ')]


class Run:
    """One life story: starts, kills, and what the collector has in the end"""

    def __init__(self, point, nth, seed):
        self.point, self.nth, self.seed = point, nth, seed
        self.kills = self.starts = self.twice = self.received = 0
        self.rng = random.Random('%s %d %d' % (point, nth, seed))
        self.folder = tempfile.mkdtemp(prefix='haspan-crash-')

    def path(self, name):
        return os.path.join(self.folder, name)

    def env(self):
        env = {**os.environ, 'no_proxy': '*'}
        if self.kills < 2:
            env['HASPAN_CRASH'] = '%s:%d' % (self.point, self.nth if not self.kills else 1 + self.rng.randrange(3))
            if self.point in FAULTS:
                env['HASPAN_FAULT'] = FAULTS[self.point]
        self.starts += 1
        return env

    def script(self):
        return ' '.join(self.rng.choice(self.MOODS) for _ in range(25))

    def live(self):
        collector = http_sink.Collector(self.folder, self.script())
        try:
            for _ in range(12):
                code, said = self.start(collector)
                # Told to go before it could hear it: all had come, in earlier lives.
                if code == -signal.SIGTERM:
                    continue
                # The collector's moods, one after the other, on a busy machine: the next life sends what is in the spool.
                if code == 5 and 'kept in the spool' in said:
                    continue
                if code != -signal.SIGKILL:
                    break
                self.kills += 1
        finally:
            self.end()
            collector.close()
        if code != 0:
            raise AssertionError('exit code %d: %s' % (code, said[-800:]))
        self.judge(said, collector)

    def end(self):
        pass

    def judge(self, said, collector):
        said = {name: int(n) for name, n in re.findall(r'(\w+)=(\d+)', said)}
        if said['held'] or said['refused'] or said['dropped']:
            raise AssertionError('not all was taken: %s' % said)
        golden = self.golden()
        lost, more = golden - set(collector.taken), set(collector.taken) - golden
        if lost or more:
            raise AssertionError('%d spans are lost, %d are nobody\'s' % (len(lost), len(more)))
        bytes_of = collections.defaultdict(set)
        for spans in collector.by_request.values():
            for span in spans:
                bytes_of[span['span_id']].add(span['same'])
        if any(len(kinds) > 1 for kinds in bytes_of.values()):
            raise AssertionError('a span came twice with different bytes')
        left = [name for _, _, names in os.walk(self.path('spool')) for name in names if name.endswith('.spool')]
        if left:
            raise AssertionError('the spool holds %s' % left)
        self.twice = sum(n - 1 for n in collector.taken.values())
        self.received = len(collector.taken)

    def __call__(self):
        try:
            self.live()
            shutil.rmtree(self.folder)
            return None
        except (AssertionError, subprocess.TimeoutExpired) as error:
            return '%s:%d seed %d (kept: %s): %s' % (self.point, self.nth, self.seed, self.folder, error)


class Sink(Run):
    """The HTTP sink and its spool alone"""
    BINARY = os.path.join(BUILD, 'tests', 'http_driver')
    WIRES, TRACES, SPANS = 40, 10, 3
    # A wire is about 2.5 kB: memory holds a few of them, a file of the spool two or three, the spool about twenty.
    SETTINGS = {'wires': WIRES, 'traces': TRACES, 'spans': SPANS, 'pad': 30, 'buffer': 9000, 'spool_max': 60000, 'backoff': 5,
                'backoff_max': 40, 'give_up': 20000, 'connections': 2, 'after_max': 150, 'timeout': 1000, 'delay': 3,
                'join': 1 << 20}
    MOODS = ('200', '200', '200', '200', '503', '503:retry-after=1', '429:retry-after=date+1', '429:retry-after=99999999',
             'reset', 'close', 'lost', 'lost', 'drip=20ms', 'slow=20ms', 'garbage', 'big', '502', '504')

    def script(self):
        self.json = self.rng.random() < 0.3
        return ('413>%d ' % self.rng.choice((4000, 7000)) if self.rng.random() < 0.5 else '') + super().script()

    def start(self, collector):
        env = {**self.env(), 'DRIVER_SPOOL': self.path('spool'), 'DRIVER_STATE': self.path('state')}
        command = [self.BINARY, 'http://127.0.0.1:%d' % collector.port, 'json=%d' % self.json]
        command += ['%s=%s' % pair for pair in self.SETTINGS.items()]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=DEADLINE)
        return done.returncode, done.stdout if done.returncode == 0 else done.stderr

    def golden(self):
        return http_sink.span_ids(wires=self.WIRES, traces=self.TRACES, spans=self.SPANS)


class Program(Run):
    """haspan itself, with a log that grows whether it lives or not"""
    BINARY = os.path.join(BUILD, 'haspan')
    CHUNKS, LINES, PAD = 15, 20, 'p' * 300
    MOODS = ('200', '200', '200', '200', '200', '503:retry-after=0', '429:retry-after=0', 'lost', 'lost', 'drip=20ms',
             'slow=20ms', 'garbage', 'big', 'reset')

    def __init__(self, *words):
        super().__init__(*words)
        self.gone, self.seen, self.seen_to = threading.Event(), set(), 0
        self.writer = threading.Thread(target=self.write)

    def line(self, n):
        return ('10.0.%d.%d:%d [21/Nov/2026:10:%02d:%02d.%03d] www app/s%d 0/%d/1/%d/%d 200 %d - - ---- 1/1/0/0/0 0/0 '
                '"GET /item/%d?%s HTTP/1.1"\n' % (n // 250, n % 250, 1024 + n, n // 60000 % 60, n // 1000 % 60, n % 1000, n % 3,
                                              n % 4, n % 90, n % 90 + 9, n * 7, n, self.PAD))

    def write(self):
        log = open(self.path('log'), 'a')
        for chunk in range(self.CHUNKS):
            if chunk == self.CHUNKS // 2:
                self.wait_for_checkpoint()
                os.rename(self.path('log'), self.path('log.1'))
                log.close()
                log = open(self.path('log'), 'a')
            log.write(''.join(self.line(chunk * self.LINES + i) for i in range(self.LINES)))
            log.flush()
            if self.gone.wait(0.02):
                break
        log.close()

    def wait_for_checkpoint(self):
        """Without one nobody could know that there was a file before this one"""
        until = time.monotonic() + DEADLINE
        while time.monotonic() < until and not self.gone.wait(0.01):
            state = self.path('state')
            if os.path.isdir(state) and any('.' not in name for name in os.listdir(state)):
                break

    @classmethod
    def prepare(cls):
        with tempfile.TemporaryDirectory() as folder:
            whole, out = os.path.join(folder, 'whole'), os.path.join(folder, 'golden')
            with open(whole, 'w') as f:
                f.write(''.join(cls.line(cls, n) for n in range(cls.CHUNKS * cls.LINES)))
            subprocess.run([cls.BINARY, '--to', 'file:' + out, whole], check=True, capture_output=True)
            with open(out) as f:
                cls.ids = {span['spanId'] for line in f for rs in json.loads(line)['resourceSpans']
                           for ss in rs['scopeSpans'] for span in ss['spans']}

    def golden(self):
        return self.ids

    def has_all(self, collector):
        """Reads what has come since the last look"""
        if os.path.exists(collector.out):
            with open(collector.out) as f:
                f.seek(self.seen_to)
                new = f.read()
            new = new[:new.rfind('\n') + 1]
            self.seen_to += len(new)
            self.seen.update(re.findall(r'"span_id": "(\w+)"', new))
        return self.seen >= self.ids

    def start(self, collector):
        if not self.writer.ident:
            self.writer.start()
        command = [self.BINARY, '--from', 'follow:' + self.path('log'), '--to', 'http://127.0.0.1:%d' % collector.port,
                   '--spool', self.path('spool'), '--spool-max', '1M', '--buffer-max', '100K', '--state', self.path('state'),
                   '--batch-delay', '10ms', '--timeout', '2s', '--connections', '2', '--drain-timeout', '20s']
        with open(self.path('said'), 'w+') as said:
            process = subprocess.Popen(command, env=self.env(), stderr=said, stdout=subprocess.DEVNULL)
            until = time.monotonic() + DEADLINE
            while process.poll() is None and not self.has_all(collector) and time.monotonic() < until:
                time.sleep(0.02)
            if self.starts > 1:
                time.sleep(0.1)
            process.terminate()
            try:
                code = process.wait(DEADLINE)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
            said.seek(0)
            return code, said.read()

    def end(self):
        self.gone.set()
        if self.writer.ident:
            self.writer.join()


def tell(name, runs, wrong):
    if wrong:
        print('FAILED %s: %s' % (name, '; '.join(wrong)), flush=True)
        return
    print('%-38s %3d runs, %3d kills, %3d starts: %d spans each, lost 0, %d came twice, all the same' % (
        name, len(runs), sum(run.kills for run in runs), sum(run.starts for run in runs), runs[0].received,
        sum(run.twice for run in runs)), flush=True)


def lived(kind, point, nth, seed):
    """A run that was killed, and what was wrong. A point that is not reached so often is tried for an earlier time."""
    while True:
        run = kind(point, nth, seed)
        wrong = run()
        if wrong or run.kills or nth == 1:
            return run, wrong
        nth //= 2


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument('--runs', type=int, default=3)
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--jobs', type=int, default=3)
    parser.add_argument('--only', choices=['haspan', 'sink'])
    parser.add_argument('points', nargs='*')
    options = parser.parse_args()
    failed = passed = 0
    plan = []
    Program.prepare()
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for kind, name in ((Program, 'haspan'), (Sink, 'sink')):
            for point in points(kind.BINARY):
                if (options.only or name) != name or point.startswith(ELSEWHERE) or (kind is Sink and point.startswith('checkpoint')) or \
                   (options.points and not any(part in point for part in options.points)):
                    continue
                plan.append((name + ' ' + point, [
                    pool.submit(lived, kind, point, 1 + i if i < 3 else 1 + random.Random(options.seed + i).randrange(20),
                                options.seed + i) for i in range(options.runs)]))
        for name, futures in plan:
            runs = [f.result()[0] for f in futures]
            wrong = [f.result()[1] for f in futures if f.result()[1]]
            if not any(run.kills for run in runs):
                wrong.append('never reached')
            tell(name, runs, wrong)
            passed += not wrong
            failed += bool(wrong)
    print('%d passed, %d failed' % (passed, failed))
    sys.exit(failed > 0)


if __name__ == '__main__':
    main()
