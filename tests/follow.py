#!/usr/bin/env python3
"""follow:PATH with everything that happens to a log file: what comes out is what `file:` makes of all the lines.

    tests/follow.py [CASE]...           CASE: a part of a test's name

The lines are build/gen_lines', those of one test HAProxy's and rsyslog's own; logrotate is the real one. Each test
follows a file in a folder of its own, and they run beside each other: most of their time is waiting.

The binary is $HASPAN, or build/haspan; $HASPAN_CRASH_BUILD, or build/crash/haspan, is one that was made with CRASH=1.
The tests that need that are left out, and that is said, when it is not there.
"""
import collections
import concurrent.futures
import contextlib
import glob
import gzip
import hashlib
import json
import lzma
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab as haproxy                                                   # noqa: E402
from lab import ENV, HASPAN, ROOT, Failure, expect, free_port           # noqa: E402

CRASH = os.path.abspath(os.path.join(ROOT, os.environ.get('HASPAN_CRASH_BUILD') or 'build/crash/haspan'))
GEN = os.path.join(ROOT, 'build/gen_lines')
COLLECTOR = os.path.join(ROOT, 'tests/collector.py')
DEADLINE = 60           # seconds that no wait needs
TESTS = []


def test(function):
    TESTS.append(function)
    return function


def lines(n, seed=1):
    """n lines, each with its newline; other seeds give others"""
    done = subprocess.run([GEN, '-n', str(n), '-s', str(seed)], stdout=subprocess.PIPE, check=True)
    found = done.stdout.splitlines(True)
    expect(len(found) == n, 'gen_lines made', len(found))
    return found


def until(condition, what):
    end = time.monotonic() + DEADLINE
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failure('in %d s not: %s' % (DEADLINE, what))
        time.sleep(0.02)


# ---------------------------------------------------------------- what came out

HEAD, TAIL = b'"spans":[', b'],"schemaUrl":'


def texts(path):
    """The spans of a file of OTLP JSON lines as one text: blocks are cut anew by every run, spans are not"""
    with open(path, 'rb') as f:
        for line in f:
            groups = line.split(HEAD)[1:]       # one, unless the blocks are tiny; no text of a span holds a bare quote
            expect(groups and all(group.count(TAIL) == 1 for group in groups), 'not what was expected:', line[:200])
            yield b','.join(group[:group.find(TAIL)] for group in groups)


def digest(*paths):
    h, first = hashlib.sha256(), True
    for path in paths:
        for text in texts(path):
            h.update(text if first else b',' + text)
            first = False
    return h.hexdigest()


def spans(*paths):
    """[(span id, the span)] in order; what a kill cut short in the output is no line"""
    found = []
    for path in paths:
        with open(path, 'rb') as f:
            for line in f:
                groups = json.loads(line)['resourceSpans'] if line.endswith(b'\n') else ()
                found += [(span['traceId'] + span['spanId'], json.dumps([group['resource'], span]))
                          for group in groups for scope in group['scopeSpans'] for span in scope['spans']]
    return found


# ---------------------------------------------------------------- a folder with a log, and who follows it

class Place:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix='haspan-follow-')
        self.log, self.state = self.path('haproxy.log'), self.path('state')
        self.process, self.runs, self.written = None, 0, []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    def path(self, *names):
        return os.path.join(self.dir, *names)

    # the writer

    def write(self, data, path=None):
        """Append, as a syslog daemon does"""
        data = b''.join(data) if isinstance(data, list) else data
        with open(path or self.log, 'ab') as f:
            f.write(data)
        self.written.append(data)

    def logrotate(self, *directives):
        """The real one, now"""
        with open(self.path('logrotate.conf'), 'w', encoding='utf-8') as f:
            f.write('%s {\n%s\n}\n' % (self.log, '\n'.join(('rotate 10', 'missingok', 'su root root') + directives)))
        command = ['/usr/sbin/logrotate', '-f', '-s', self.path('logrotate.state'), self.path('logrotate.conf')]
        done = subprocess.run(command, capture_output=True, text=True)
        while 'already exists, skipping rotation' in done.stderr:       # names with a second in them
            time.sleep(0.2)
            done = subprocess.run(command, capture_output=True, text=True)
        expect(done.returncode == 0, 'logrotate:', done.stderr)

    # haspan

    def start(self, *words, query='', state=True, binary=HASPAN, to=None, env=None):
        self.runs += 1
        self.err = open(self.path('err%d' % self.runs), 'w+', encoding='utf-8')
        to = to or 'file:' + self.out(self.runs)
        self.process = subprocess.Popen(
            [binary, 'run', '--from', 'follow:%s%s' % (self.log, query), *(('--state', self.state) if state else ()),
             '--to', to, '--threads', '2', '--drain-timeout', '2s', *words],
            env={**ENV, **(env or {})}, cwd=self.dir, stdin=subprocess.DEVNULL, stderr=self.err)
        return self

    def out(self, run):
        return self.path('out%d.json' % run)

    def outs(self):
        return [p for p in map(self.out, range(1, self.runs + 1)) if os.path.exists(p)]

    def said(self, run=None):
        with open(self.path('err%d' % (run or self.runs)), encoding='utf-8') as f:
            return f.read()

    def numbers(self):
        """Those of the last summary line, or nothing"""
        rows = [line for line in self.said().splitlines() if line.startswith('lines=')]
        return {k: int(v) for k, v in re.findall(r'(\w+)=(\d+)', rows[-1])} if rows else {}

    def ask(self):
        """A summary of this moment; nothing when it has ended"""
        before = self.said().count('\nlines=') + self.said().startswith('lines=')
        if self.process.poll() is not None:
            raise Failure('it ended with %d: %s' % (self.process.returncode, self.said()))
        self.process.send_signal(signal.SIGUSR1)
        until(lambda: self.said().count('\nlines=') + self.said().startswith('lines=') > before or
              self.process.poll() is not None, 'a summary')
        return self.numbers()

    def ready(self):
        """It takes signals"""
        def takes():
            with open('/proc/%d/status' % self.process.pid, encoding='ascii') as f:
                status = dict(line.rstrip('\n').partition('\t')[::2] for line in f)
            blocked = int(status['SigBlk:'], 16) >> (signal.SIGUSR1 - 1) & 1
            return blocked and status['Name:'].startswith('haspan') or self.process.poll() is not None
        until(takes, 'it takes signals')
        return self

    def begun(self):
        """It has found the file, and said where in it it begins"""
        self.ready()
        until(self.checkpoint, 'a first checkpoint')
        return self

    def settled(self, n):
        """Until it has read n lines in this run, and nothing is held"""
        self.ready()
        try:
            until(lambda: (s := self.ask())['lines'] >= n and s['held'] == 0, '%d lines' % n)
        except Failure as why:
            raise Failure('%s: %s' % (why, self.numbers())) from None
        return self

    def stop(self, sig=signal.SIGTERM, code=0):
        self.process.send_signal(sig)
        got = self.process.wait(DEADLINE)
        expect(got == (-sig if sig == signal.SIGKILL else code), 'exit code %d:' % got, self.said())
        return self

    def checkpoint(self):
        """{word: value} of the only one"""
        files = [f for f in glob.glob(self.path('state', 'haproxy.log-*')) if re.search(r'-[0-9a-f]{16}$', f)]
        if not files:
            return None
        with open(files[0], encoding='utf-8') as f:
            return dict(line.rstrip('\n').split(' ', 1) for line in f if ' ' in line)

    # judgement

    def expected(self, data=None):
        path = self.path('all.log')
        with open(path, 'wb') as f:
            f.write(b''.join(self.written) if data is None else data)
        subprocess.run([HASPAN, 'run', '--to', 'file:' + self.path('want.json'), path], env=ENV, check=True,
                       stderr=subprocess.DEVNULL)
        return self.path('want.json')

    def same(self, data=None):
        """Each line once, in the order in which they were written"""
        want, got = spans(self.expected(data)), spans(*self.outs())
        if want != got:
            a, b = collections.Counter(want), collections.Counter(got)
            raise Failure('%d spans, expected %d; lost %d, twice or foreign %d%s\n%s' % (
                len(got), len(want), sum((a - b).values()), sum((b - a).values()),
                '' if a != b else ': only the order differs', self.said()))

    def complete(self, data=None):
        """Each line at least once; what came twice came with the same bytes"""
        want, got = set(spans(self.expected(data))), set(spans(*self.outs()))
        expect(want == got, '%d lost, %d foreign:' % (len(want - got), len(got - want)), self.said())


@contextlib.contextmanager
def frozen(place):
    """As if the sinks made it wait: nothing is read meanwhile"""
    place.process.send_signal(signal.SIGSTOP)
    yield
    place.process.send_signal(signal.SIGCONT)


# ---------------------------------------------------------------- growing

@test
def appended_in_random_pieces():
    with Place() as p:
        data, dice, at = b''.join(lines(200000)), random.Random(5), 0
        # what is compared is the text of half a million spans: two phases less of it
        p.write(b'')
        p.start('--phases', 'none').begun()
        with open(p.log, 'ab', buffering=0) as f:
            while at < len(data):
                n = min(dice.choice((1, 17, 300, 4000, 70000, 500000, 3000000)), len(data) - at)
                f.write(data[at:at + n])
                at += n
                if dice.random() < 0.2:
                    time.sleep(dice.random() / 50)
        p.settled(200000).stop()
        with open(p.path('all.log'), 'wb') as f:
            f.write(data)
        subprocess.run([HASPAN, 'run', '--phases', 'none', '--to', 'file:' + p.path('want.json'), p.path('all.log')],
                       env=ENV, check=True, stderr=subprocess.DEVNULL)
        expect(digest(p.path('want.json')) == digest(p.out(1)), 'other bytes')


@test
def an_unfinished_line_waits():
    with Place() as p:
        a = lines(3)
        p.write(a[0] + a[1][:40])
        p.start().settled(1)
        p.stop()
        expect(int(p.checkpoint()['offset']) == len(a[0]), p.checkpoint())
        p.start().ready()
        p.write(a[1][40:] + a[2])
        p.settled(2).stop()
        p.same()


@test
def a_line_longer_than_any():
    with Place() as p:
        a = lines(4)
        p.write(a[0])
        p.write(b'x' * 300000)
        p.start().settled(1)
        p.stop()
        p.start().ready()
        p.write(b'y' * 300000 + b'\n')
        p.write(a[1:])
        p.settled(4).stop()
        expect(p.numbers()['rejected'] == 1, p.numbers())
        p.complete()


@test
def it_appears_later():
    with Place() as p:
        a = lines(40)
        p.log = p.path('not', 'yet', 'haproxy.log')
        p.start()
        time.sleep(0.3)
        os.makedirs(os.path.dirname(p.log))
        time.sleep(0.3)
        p.write(a[:20])
        p.settled(20)
        p.write(a[20:])
        p.settled(40).stop()
        p.same()


@test
def from_the_end():
    with Place() as p:
        a = lines(60)
        p.write(a[:20] + [a[20][:50]])
        p.start(query='?start=end').begun()
        p.stop(signal.SIGKILL)              # the end is the end of the first start, not of the second
        p.write([a[20][50:]] + a[21:40])
        p.start(query='?start=end').settled(20)
        p.write(a[40:])
        p.settled(40).stop()
        p.same(b''.join(a[20:]))


@test
def a_link():
    with Place() as p:
        a = lines(60)
        os.mkdir(p.path('elsewhere'))
        for k in '12':
            p.write(b'', p.path('elsewhere', 'haproxy.log-2026010' + k))
        os.symlink('elsewhere/haproxy.log-20260101', p.log)
        p.start().ready()
        p.write(a[:20])
        p.settled(20)
        p.write(a[20:40], p.path('elsewhere', 'haproxy.log-20260102'))
        os.symlink('elsewhere/haproxy.log-20260102', p.path('new'))
        os.rename(p.path('new'), p.log)
        p.settled(40)
        p.write(a[40:])
        p.settled(60).stop()
        p.same()


@test
def an_editor_replaces_it():
    with Place() as p:
        a = lines(60)
        p.write(a[:20])
        p.start().settled(20)
        shutil.copy(p.log, p.path('copy'))
        p.write(a[20:40], p.path('copy'))
        os.rename(p.path('copy'), p.log)
        p.settled(40)
        p.write(a[40:])
        p.settled(60).stop()
        p.same()


@test
def idle_costs_nothing():
    with Place() as p:
        p.write(lines(10))
        p.start().settled(10)

        def used():
            with open('/proc/%d/stat' % p.process.pid, encoding='ascii') as f:
                words = f.read().rsplit(')', 1)[1].split()
            return int(words[11]) + int(words[12])                      # ticks of 10 ms
        before = used()
        time.sleep(4)
        expect(used() - before <= 3, 'idle for 4 s took %d ms of CPU' % (10 * (used() - before)))
        p.stop()


# ---------------------------------------------------------------- rotation

ROTATIONS = {
    'create': ('create', 'nocompress'),
    'nocreate': ('nocreate', 'nocompress'),
    'compress': ('create', 'compress'),
    'delaycompress': ('create', 'compress', 'delaycompress'),
    'dateext': ('create', 'nocompress', 'dateext', 'dateformat -%Y%m%d-%s'),
    'dateext_compress': ('create', 'compress', 'dateext', 'dateformat -%Y%m%d-%s'),
    'extension': ('create', 'nocompress', 'extension .log'),
    'copytruncate': ('copytruncate', 'nocompress'),
    'copytruncate_compress': ('copytruncate', 'compress'),
    'copytruncate_dateext': ('copytruncate', 'compress', 'delaycompress', 'dateext', 'dateformat -%Y%m%d-%s'),
    'zstd': ('create', 'compress', 'compresscmd /usr/bin/zstd', 'compressext .zst', 'compressoptions --rm -q'),
}


def rotation(directives):
    def while_running():
        with Place() as p:
            a = lines(80)
            p.write(a[:20])
            p.start().settled(20)
            p.logrotate(*directives)
            p.write(a[20:40])
            p.settled(40)
            with frozen(p):                 # with lines that nobody has read yet, twice
                p.write(a[40:50])
                p.logrotate(*directives)
                p.write(a[50:60])
                p.logrotate(*directives)
                p.write(a[60:70])
            p.settled(70)
            p.write(a[70:])
            p.settled(80).stop()
            p.same()

    def while_down():
        with Place() as p:
            a = lines(80)
            p.write(a[:20])
            p.start().settled(20).stop()
            p.write(a[20:30])
            p.logrotate(*directives)
            p.write(a[30:40])
            p.start().settled(20)
            p.stop()
            for k in (40, 50):
                p.write(a[k:k + 10])
                p.logrotate(*directives)
            p.write(a[60:])
            p.start().settled(40).stop()
            p.same()
    return while_running, while_down


for name, how in ROTATIONS.items():
    for function in rotation(how):
        function.__name__ = 'logrotate_%s_%s' % (name, function.__name__)
        test(function)


@test
def late_writers_and_unfinished_lines():
    with Place() as p:
        a = lines(60)
        p.write(a[:20])
        p.start().settled(20)
        os.rename(p.log, p.log + '.1')
        p.write(a[20:30], p.log + '.1')             # the writer has not heard of it
        p.settled(30)
        p.write(a[30][:-1], p.log + '.1')           # its last line has no newline
        time.sleep(0.2)
        with open(p.log, 'ab') as f:
            f.write(b''.join(a[31:]))
        p.settled(60).stop()
        p.same(b''.join(a))


@test
def a_writer_that_is_never_told():
    with Place() as p:
        a = lines(40)
        p.write(a[:20])
        p.start().settled(20)
        os.rename(p.log, p.log + '.1')
        p.write(b'')
        time.sleep(3)
        p.write(a[20:], p.log + '.1')
        p.settled(40).stop()
        p.same()


def zstd(data):
    return subprocess.run(['zstd', '-qc'], input=data, stdout=subprocess.PIPE, check=True).stdout


@test
def predecessors_on_the_first_start():
    with Place() as p:
        a = lines(100)
        packers = (('.4.xz', lzma.compress), ('.3.gz', gzip.compress), ('.2.zst', zstd), ('.1', bytes))
        for k, (name, pack) in enumerate(packers):
            data = b''.join(a[20 * k:20 * k + 20])
            with open(p.log + name, 'wb') as f:
                f.write(pack(data))
            p.written.append(data)
        for other in ('.old', '.1.bak', '-notes', '2.gz', '.10.gz.tmp'):
            with open(p.log + other, 'wb') as f:
                f.write(b''.join(a[:3]))
        p.write(a[80:])
        p.start(query='?rotated=yes').settled(100).stop()
        p.same()
        p.start(query='?rotated=yes').ready()
        p.stop()
        expect(p.numbers()['lines'] == 0, 'the second start reads them again')


@test
def a_broken_predecessor():
    with Place() as p:
        a = lines(60)
        data = gzip.compress(b''.join(a[:20]))
        with open(p.log + '.2.gz', 'wb') as f:
            f.write(data[:-12])
        with open(p.log + '.1', 'wb') as f:
            f.write(b''.join(a[20:40]))
        p.write(a[40:])
        p.start(query='?rotated=yes').settled(59).stop()
        expect('broken or cut' in p.said(), p.said())
        got = {text for _, text in spans(p.out(1))}
        expect({text for _, text in spans(p.expected(b''.join(a[20:])))} <= got, 'what comes behind it is lost')


@test
def an_inode_is_used_again():
    with Place() as p:
        a = lines(60)
        p.write(a[:20])
        p.start().settled(20).stop()
        inode = os.stat(p.log).st_ino
        os.unlink(p.log)
        for k in range(2000):               # until the file system gives it out again
            with open(p.path('x'), 'wb'):
                pass
            if os.stat(p.path('x')).st_ino == inode:
                break
            os.rename(p.path('x'), p.path('y%d' % k))
        again = os.path.exists(p.path('x'))
        if again:
            os.rename(p.path('x'), p.log)
        p.write(a[20:])
        p.start().settled(40).stop()
        p.same()
        expect('is gone' in p.said(), p.said())


@test
def the_file_is_gone():
    with Place() as p:
        a = lines(60)
        p.write(a[:20])
        p.start().settled(20).stop()
        os.unlink(p.log)
        for name, part in (('.2', a[20:30]), ('.1', a[30:40]), ('', a[40:])):
            p.write(part, p.log + name)
        past = time.time() - 86400
        with open(p.log + '.3', 'wb') as f:             # older than what was read: it was read
            f.write(b''.join(a[:5]))
        os.utime(p.log + '.3', (past, past))
        p.start().settled(40).stop()
        expect('is gone: lines that stood behind its byte' in p.said(), p.said())
        p.same()


# ---------------------------------------------------------------- the checkpoint

@test
def killed_at_random():
    for seed in (1, 2):
        with Place() as p:
            a, dice = lines(3000, seed), random.Random(seed)
            at = 0
            while at < len(a):
                p.start()
                for _ in range(dice.randrange(4, 12)):
                    n = dice.randrange(1, 400)
                    p.write(a[at:at + n])
                    at += n
                    time.sleep(dice.random() / 8)
                    if dice.random() < 0.2:
                        p.logrotate(*ROTATIONS[dice.choice(('create', 'compress', 'delaycompress'))])
                p.stop(signal.SIGKILL)
            p.start().ready()
            until(lambda: p.ask()['held'] == 0 and int(p.checkpoint()['offset']) == os.stat(p.log).st_size,
                  'everything read: %s, %s' % (p.checkpoint(), os.stat(p.log).st_size))
            p.stop()
            p.complete()


@test
def what_was_rejected_before_a_kill_is_kept():
    with Place() as p:
        for n in (b'1', b'2'):
            p.write(b'what is this? ' + n + b'\n')
            p.start('--rejects', p.path('kept')).settled(1)
            until(lambda: p.checkpoint() and int(p.checkpoint()['offset']) == os.stat(p.log).st_size, 'the checkpoint')
            p.stop(signal.SIGKILL)
        with open(p.path('kept'), 'rb') as f:
            expect(f.read() == b'what is this? 1\nwhat is this? 2\n', 'not kept')


@test
def a_restart_says_where_it_goes_on():
    with Place() as p:
        a = lines(40)
        p.write(a[:20])
        p.start().settled(20).stop()
        expect('going on at byte' not in p.said(), p.said())
        p.write(a[20:])
        p.start().settled(20).stop()
        expect('follow:%s: going on at byte %d\n' % (p.log, len(b''.join(a[:20]))) in p.said(), p.said())
        p.write(lines(10, 3))
        os.rename(p.log, p.log + '.1')
        p.start().settled(10).stop()
        expect('going on at byte %d of %s.1\n' % (len(b''.join(a)), p.log) in p.said(), p.said())


@test
def it_does_not_move_without_the_collector():
    with Place() as p, socket.create_server(('127.0.0.1', 0)) as s:
        port = s.getsockname()[1]
        s.close()
        a = lines(200)
        p.write(a[:100])
        p.start(to='http://127.0.0.1:%d' % port).begun()
        until(lambda: p.ask()['lines'] == 100, 'lines read')
        p.write(a[100:])
        until(lambda: p.ask()['lines'] == 200, 'lines read')
        time.sleep(1.5)
        expect(p.checkpoint()['offset'] == '0', p.checkpoint())
        p.stop(code=5)
        expect(p.checkpoint()['offset'] == '0', p.checkpoint())
        c = subprocess.Popen([sys.executable, COLLECTOR, '--port', str(port), '--out', p.path('spans')],
                             stdout=subprocess.PIPE, text=True)
        try:
            c.stdout.readline()
            p.start(to='http://127.0.0.1:%d' % port).settled(200).stop()
        finally:
            c.terminate()
            c.wait()
            c.stdout.close()
        expect(int(p.checkpoint()['offset']) == os.stat(p.log).st_size, p.checkpoint())
        with open(p.path('spans'), encoding='utf-8') as f:
            got = {s['trace_id'] + s['span_id'] for s in map(json.loads, f)}
        expect(got == {i for i, _ in spans(p.expected())}, 'other spans')


@test
def a_checkpoint_that_is_damaged_or_foreign():
    def cut(text):
        return text[:len(text) // 2]

    def flip(text):
        return text.replace('offset ', 'offset 1')

    def foreign(text):
        text = text[:text.index('sha256')].replace('haproxy.log', 'another.log')
        return text + 'sha256 %s\n' % hashlib.sha256(text.encode()).hexdigest()

    for damage, word in ((cut, 'damaged'), (flip, 'checksum'), (foreign, "another source's"),
                         (lambda _: '', 'no checkpoint'), (lambda t: t.replace('checkpoint 1', 'checkpoint 2'), 'another version')):
        with Place() as p:
            a = lines(20)
            p.write(a)
            p.start().settled(20).stop()
            path = [f for f in glob.glob(p.path('state', '*')) if re.search(r'-[0-9a-f]{16}$', f)][0]
            with open(path, encoding='utf-8') as f:
                text = damage(f.read())
            with open(path, 'w', encoding='utf-8') as f:
                f.write(text)
            p.start().settled(20).stop()
            expect(word in p.said() and 'from its beginning' in p.said(), word, p.said())
            with open(path + '.damaged', encoding='utf-8') as f:
                expect(f.read() == text, 'it is not kept')
            p.start().ready()
            p.stop()
            expect(p.numbers()['lines'] == 0, 'a third start reads it again')


@test
def a_folder_that_cannot_be_written():
    with Place() as p:
        p.write(lines(5))
        for state in (p.log, os.path.join(p.log, 'no', 'such'), '/proc/haspan'):
            for more in ((), ('-n',) if state.startswith(p.dir) else ()):
                p.state = state
                p.start(*more)
                code = p.process.wait(DEADLINE)
                expect(code == 3 and '--state' in p.said(), state, more, code, p.said())


@test
def two_processes():
    with Place() as p, Place() as q:
        p.write(lines(5))
        p.start().settled(5)
        q.log, q.state = p.log, p.state
        q.start()
        expect(q.process.wait(DEADLINE) == 3 and 'followed already' in q.said(), q.process.returncode, q.said())
        q.start('-n')                       # asking is allowed
        expect(q.process.wait(DEADLINE) == 0, q.process.returncode, q.said())
        p.stop(signal.SIGKILL)
        q.start()                           # the lock went with the process
        q.settled(0).stop()


@test
def what_is_no_source():
    with Place() as p:
        os.mkfifo(p.path('pipe'))
        for uri, code, word in (('follow:', 2, 'expected follow:PATH'),
                                ('follow:x?start=middle', 2, 'expected start=end'),
                                ('follow:x?start=end&rotated=yes', 2, 'exclude'), ('follow:' + p.dir, 4, 'regular'),
                                ('follow:' + p.path('pipe'), 4, 'file:PATH')):
            done = subprocess.run([HASPAN, 'run', '--from', uri, '--to', 'null'], env=ENV, capture_output=True,
                                  text=True)
            expect(done.returncode == code and word in done.stderr, uri, done.returncode, done.stderr)
            expect(code != 2 or re.search(r'^ +\^$', done.stderr, re.M), 'no caret:', done.stderr)


@test
def the_folder_of_systemd():
    with Place() as p:
        a = lines(20)
        p.write(a)
        p.start(state=False, env={'STATE_DIRECTORY': p.state + ':' + p.path('other')}).settled(20).stop()
        expect(p.checkpoint()['offset'] == str(len(b''.join(a))), os.listdir(p.dir))


# ---------------------------------------------------------------- a build that dies and fails on demand

def crash_points():
    done = subprocess.run([CRASH], env={**ENV, 'HASPAN_CRASH': 'list'}, capture_output=True, text=True)
    return [line.split()[1] for line in done.stdout.splitlines() if re.match(r'point checkpoint\.', line)]


def killed_at(point, n):
    with Place() as p:
        a = lines(120, n)
        p.write(a[:30])
        p.start(binary=CRASH, env={'HASPAN_CRASH': '%s:%d' % (point, n)})
        for k in range(30, 90, 10):         # a checkpoint a second: the n-th must come
            if p.process.poll() is not None:
                break
            time.sleep(0.7)
            p.write(a[k:k + 10])
            if k == 50:
                p.logrotate(*ROTATIONS['create'])
        until(lambda: p.process.poll() is not None, '%s:%d kills it' % (point, n))
        expect(p.process.returncode == -signal.SIGKILL, point, p.process.returncode, p.said())
        have = len(b''.join(p.written))
        p.write(a[len(b''.join(p.written).splitlines()):])
        p.start()
        until(lambda: (c := p.checkpoint()) and int(c['offset']) == os.stat(p.log).st_size and
              int(c['inode'], 16) == os.stat(p.log).st_ino, 'everything read of %d' % have)
        p.stop()
        p.complete()


def fault(point, error):
    with Place() as p:
        a = lines(60)
        p.write(a[:20])
        p.start(binary=CRASH, env={'HASPAN_FAULT': '%s:%s:2-3' % (point, error)}).settled(20)
        for k in range(20, 60, 10):
            p.write(a[k:k + 10])
            time.sleep(1.1)
        p.settled(60)
        until(lambda: int(p.checkpoint()['offset']) == os.stat(p.log).st_size, 'it is written in the end')
        p.stop()
        expect("can't be written" in p.said(), p.said())
        p.same()


def crash_tests():
    for point in crash_points():
        for n in (1, 2, 3):
            def one(point=point, n=n):
                killed_at(point, n)
            one.__name__ = 'killed_at_%s_%d' % (point, n)
            yield one
    for point, error in (('checkpoint.open', 'EROFS'), ('checkpoint.write', 'ENOSPC'), ('checkpoint.fsync', 'EIO'),
                         ('checkpoint.rename', 'EROFS'), ('checkpoint.fsync-folder', 'EIO')):
        def one(point=point, error=error):
            fault(point, error)
        one.__name__ = 'fault_%s_%s' % (point, error)
        yield one


# ---------------------------------------------------------------- HAProxy, rsyslog, logrotate

HAPROXY = '''
    log 127.0.0.1:%(port)d local0
defaults
    mode http
    log global
    option httplog
    timeout connect 2s
    timeout client 5s
    timeout server 5s
frontend front
    bind 127.0.0.1:{front}
    default_backend back
backend back
    server one 127.0.0.1:{origin}
'''


def haproxy_and_rsyslog(*more):
    """The recipe of doc/follow.md, with other places and ports"""
    with Place() as p, haproxy.Lab() as lab:
        port = free_port()
        with open(p.path('rsyslog.conf'), 'w', encoding='utf-8') as f:
            text = haproxy.document('doc/follow.md', 'rsyslog')
            f.write(text.replace('"514"', '"%d"' % port).replace('/var/log/haproxy.log', p.log))
        daemon = subprocess.Popen(['/usr/sbin/rsyslogd', '-n', '-f', p.path('rsyslog.conf'),
                                   '-i', p.path('rsyslog.pid')], cwd=p.dir, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            until(lambda: os.path.exists(p.path('rsyslog.pid')), 'rsyslog')
            lab.start(HAPROXY % {'port': port})
            p.start()
            for turn in range(4):
                for k in range(25):
                    haproxy.get(lab.port['front'], '/turn/%d/%d' % (turn, k))
                if turn == 2:
                    p.stop()                # the third rotation happens while nobody follows
                if turn < 3:
                    text = haproxy.document('doc/follow.md', 'logrotate').replace(
                        '/usr/lib/rsyslog/rsyslog-rotate', 'kill -HUP %d' % daemon.pid)
                    p.logrotate(*text.strip().splitlines()[1:-1], *more)
                if turn == 2:
                    p.start()
            lab.stop()
            seen = {row['path'] for row in lab.origin.rows}
            expect(len(seen) == 100, len(seen))

            def paths():
                found = [json.loads(text)[1] for _, text in spans(*p.outs())]
                return [next(a['value']['stringValue'] for a in span['attributes'] if a['key'] == 'url.path')
                        for span in found if span['kind'] == 2]
            until(lambda: sum(os.path.getsize(o) for o in p.outs()) and len(paths()) >= 100, 'all requests')
            p.stop()
            got = paths()
            expect(len(got) == 100 and set(got) == seen, len(got), 'paths,', sorted(seen - set(got))[:5], 'are lost')
        finally:
            daemon.terminate()
            daemon.wait()


@test
def haproxy_rsyslog_create():
    haproxy_and_rsyslog()


@test
def haproxy_rsyslog_dateext():
    haproxy_and_rsyslog('create', 'nodelaycompress', 'dateext', 'dateformat -%Y%m%d-%s')


def main():
    chosen = [t for t in TESTS if not sys.argv[1:] or any(word in t.__name__ for word in sys.argv[1:])]
    if os.path.exists(CRASH):
        chosen += [t for t in crash_tests() if not sys.argv[1:] or any(word in t.__name__ for word in sys.argv[1:])]
    else:
        print('   no %s: nobody is killed at the points of the checkpoint' % os.path.relpath(CRASH, ROOT))
    passed = failed = 0

    def one(t):
        begin = time.monotonic()
        try:
            t()
            return None, time.monotonic() - begin
        except Exception as e:
            why = str(e)[:3000] if isinstance(e, Failure) else traceback.format_exc()
            return 'FAILED %s: %s' % (t.__name__, why), time.monotonic() - begin

    with concurrent.futures.ThreadPoolExecutor(24) as pool:
        for t, (wrong, took) in zip(chosen, pool.map(one, chosen)):
            print(wrong or '   %-46s %5.1f s' % (t.__name__, took), flush=True)
            passed, failed = passed + (wrong is None), failed + (wrong is not None)
    print('%d passed, %d failed' % (passed, failed))
    return failed > 0 or passed == 0


if __name__ == '__main__':
    sys.exit(main())
