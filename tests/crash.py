#!/usr/bin/env python3
"""kill -9 at each named point of delivery: nothing is lost, and what comes twice is the same.

    crash.py [--runs 3] [--seed N] [--jobs 3] [POINT...]     POINT: part of a point's name

build/crash/tests/http_driver is the HTTP sink with its spool, between a source that has a position (it begins again where
the sink said that all before it is settled) and a collector that answers 503, 429 with Retry-After, 413, resets, hangs up
after it has taken a batch, drips its answer, goes away. Each run begins anew, is killed at the Nth time that it reaches the
point, and once more in the next start; then it is started until it ends. What the collector took, in all lives together,
must be the golden set; a span that came twice must have the same bytes; and nothing may be left in the spool.
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
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, HERE)
import http_sink                                                        # noqa: E402

ROOT = os.path.dirname(HERE)
DRIVER = os.path.join(ROOT, os.environ.get('BUILD') or 'build/crash', 'tests', 'http_driver')
WIRES, TRACES, SPANS = 40, 10, 3
# A wire is about 2.5 kB: memory holds a few of them, a file of the spool two or three, the spool about ten.
SETTINGS = {'wires': WIRES, 'traces': TRACES, 'spans': SPANS, 'pad': 30, 'buffer': 9000, 'spool_max': 60000, 'backoff': 5,
            'backoff_max': 40, 'give_up': 20000, 'connections': 2, 'after_max': 150, 'timeout': 1000, 'delay': 3}
MOODS = ('200', '200', '200', '200', '503', '503:retry-after=1', '429:retry-after=date+1', '429:retry-after=99999999',
         'reset', 'close', 'lost', 'lost', 'drip=20ms', 'slow=20ms', 'garbage', 'big', '502', '504')
# These are not reached unless something fails.
FAULTS = {'spool.write.middle': 'spool.write.short:EIO:1', 'spool.truncate.before': 'spool.write:ENOSPC:4-5',
          'spool.truncate.after': 'spool.write:ENOSPC:4-5'}
DEADLINE = 60


def golden():
    return http_sink.span_ids(wires=WIRES, traces=TRACES, spans=SPANS)


def points():
    listed = subprocess.run([DRIVER], env={**os.environ, 'HASPAN_CRASH': 'list'}, capture_output=True, text=True).stdout
    return [line.split()[1] for line in listed.splitlines() if line.startswith('point ')]


class Run:
    """One life story: starts, kills, and what the collector has in the end"""

    def __init__(self, point, nth, seed):
        self.point, self.nth, self.seed = point, nth, seed
        self.kills = self.starts = 0
        self.rng = random.Random('%s %d %d' % (point, nth, seed))
        self.folder = tempfile.mkdtemp(prefix='haspan-crash-')
        self.json = self.rng.random() < 0.3

    def start(self, port, armed):
        env = {**os.environ, 'no_proxy': '*', 'DRIVER_SPOOL': os.path.join(self.folder, 'spool'),
               'DRIVER_STATE': os.path.join(self.folder, 'state')}
        if armed:
            env['HASPAN_CRASH'] = '%s:%d' % (self.point, self.nth if not self.kills else 1 + self.rng.randrange(3))
            if self.point in FAULTS:
                env['HASPAN_FAULT'] = FAULTS[self.point]
        settings = {**SETTINGS, 'json': int(self.json), 'join': 1 << 20}
        command = [DRIVER, 'http://127.0.0.1:%d' % port] + ['%s=%s' % pair for pair in settings.items()]
        self.starts += 1
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=DEADLINE)

    def live(self):
        script = ' '.join(self.rng.choice(MOODS) for _ in range(25))
        if self.rng.random() < 0.5:
            script = '413>%d ' % self.rng.choice((4000, 7000)) + script
        collector = http_sink.Collector(self.folder, script)
        try:
            for _ in range(12):
                done = self.start(collector.port, self.kills < 2)
                if done.returncode != -signal.SIGKILL:
                    break
                self.kills += 1
        finally:
            collector.close()
        self.judge(done, collector)

    def judge(self, done, collector):
        if done.returncode != 0:
            raise AssertionError('exit code %d: %s' % (done.returncode, done.stderr[-500:]))
        said = {name: int(n) for name, n in re.findall(r'(\w+)=(\d+)', done.stdout)}
        if said['held'] or said['refused'] or said['dropped']:
            raise AssertionError('not all was taken: ' + done.stdout)
        lost, more = golden() - set(collector.taken), set(collector.taken) - golden()
        if lost or more:
            raise AssertionError('%d spans are lost, %d are nobody\'s' % (len(lost), len(more)))
        bytes_of = collections.defaultdict(set)
        for spans in collector.by_request.values():
            for span in spans:
                bytes_of[span['span_id']].add(span['same'])
        if any(len(kinds) > 1 for kinds in bytes_of.values()):
            raise AssertionError('a span came twice with different bytes')
        left = [name for _, _, names in os.walk(os.path.join(self.folder, 'spool')) for name in names
                if name.endswith('.spool')]
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


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument('--runs', type=int, default=3)
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--jobs', type=int, default=3)
    parser.add_argument('points', nargs='*')
    options = parser.parse_args()
    failed = passed = 0
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        plan = []
        for point in points():
            if options.points and not any(part in point for part in options.points):
                continue
            runs = [Run(point, 1 + i if i < 3 else 1 + random.Random(i).randrange(30), options.seed + i)
                    for i in range(options.runs)]
            plan.append((point, runs, [pool.submit(run) for run in runs]))
        for point, runs, futures in plan:
            wrong = [w for w in (f.result() for f in futures) if w]
            kills = sum(run.kills for run in runs)
            if not kills:
                wrong.append('%s was never reached' % point)
            print('%-22s %3d runs, %3d kills, %3d starts, %d spans of %d each, %d came twice, lost 0' % (
                point, len(runs), kills, sum(run.starts for run in runs), getattr(runs[0], 'received', 0), len(golden()),
                sum(getattr(run, 'twice', 0) for run in runs)) if not wrong else 'FAILED ' + '; '.join(wrong), flush=True)
            passed += not wrong
            failed += bool(wrong)
    print('%d passed, %d failed' % (passed, failed))
    sys.exit(failed > 0)


if __name__ == '__main__':
    main()
