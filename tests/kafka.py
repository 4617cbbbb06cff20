#!/usr/bin/env python3
"""kafka:// as a source, on real brokers: what is received is what the file gives, whatever happens on the way.

    kafka.py [--runs N] [--seed N] [--assignor NAME] [--jobs N] [NAME...]    parts; default: all, each fault 2 times

With a newer librdkafka, and its cooperative assignor: --newer (from PyPI); any other: LD_LIBRARY_PATH=FOLDER, in which its
librdkafka.so.1 lies.

The yardstick of every part about delivery: the union of the span ids that the collector has acknowledged is the golden
set, made from a file by the same program; spans that came twice are the same bytes; and no committed offset stands
beyond a line whose spans the collector has not acknowledged, at any time that was looked at.
"""
import argparse
import collections
import concurrent.futures
import contextlib
import itertools
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

from kafka_lab import SCRAM_VERSION, USERS, Kafka, free_ports, newer_library
from lab import ENV, HASPAN, HOST, ROOT, Failure, expect

IDS = os.path.join(ROOT, 'build', 'otlp_ids')
CRASH = os.path.join(ROOT, 'build', 'crash', 'haspan')
GEN = os.path.join(ROOT, 'build', 'gen_lines')
QUICK = {'session.timeout.ms': 3000, 'heartbeat.interval.ms': 300, 'fetch.wait.max.ms': 50, 'auto.commit.interval.ms': 200,
         'topic.metadata.refresh.interval.ms': 500, 'reconnect.backoff.max.ms': 500}
DEADLINE = 90


def until(what, look, timeout=DEADLINE):
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.1)         # a look is a process, mostly
    raise Failure('waited %d s in vain: %s' % (timeout, what))


# ---------------------------------------------------------------- the collector

class Collector:
    """A process of its own, which can be killed and comes back on the same port"""

    def __init__(self, folder):
        self.file, self.mood_file = os.path.join(folder, 'bodies'), os.path.join(folder, 'mood')
        self.port, self.process = free_ports(1)[0], None
        open(self.file, 'wb').close()
        self.up()

    @property
    def url(self):
        return 'http://%s:%d' % (HOST, self.port)

    def up(self):
        self.process = subprocess.Popen([sys.executable, os.path.join(ROOT, 'tests', 'kafka_collector.py'), str(self.port),
                                         self.file, self.mood_file], stdout=subprocess.PIPE, text=True, env=ENV)
        expect(self.process.stdout.readline().startswith('listening'), 'no collector')

    def down(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
        self.process = None

    def mood(self, status=None):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.mood_file)
        if status:
            with open(self.mood_file, 'w', encoding='utf-8') as f:
                f.write(str(status))

    def clear(self):
        os.truncate(self.file, 0)

    def spans(self):
        """[(kind, trace id, span id, checksum)] acknowledged so far"""
        got = subprocess.run([IDS, self.file], capture_output=True, text=True, env=ENV, check=False)
        expect(got.returncode == 0, got.stderr)
        return [tuple(line.split(' ')) for line in got.stdout.splitlines()]

    def size(self):
        return os.path.getsize(self.file)


# ---------------------------------------------------------------- what is expected

class Golden:
    """Lines, and the spans of each"""

    def __init__(self, collector, lines, folder):
        self.lines, self.of = lines, {}
        path = os.path.join(folder, 'golden')
        with open(path, 'wb') as f:
            f.write(b''.join(line + b'\n' for line in lines))
        collector.clear()
        done = subprocess.run([HASPAN, '-j', '1', '--phases', 'none', '--connections', '1', '--to', collector.url, path],
                              capture_output=True, text=True, env=ENV, check=False, timeout=DEADLINE)
        expect(done.returncode == 0, 'golden:', done.stderr)
        found, requests = collector.spans(), []
        for kind, *span in found:
            if kind == '2':
                requests.append([])
            requests[-1].append(tuple(span))
        expect(len(requests) == len(lines) == len(set(lines)), 'a line is no request:', len(requests), len(lines))
        self.of = dict(zip(lines, requests))
        self.all = {span for r in requests for span in r}
        self.sums = {(t, s): c for t, s, c in self.all}
        expect(len(self.sums) == len(self.all) == len(found), 'span ids meet')
        collector.clear()

    def compare(self, collector):
        """The union is the golden set, and what came twice came the same"""
        got = {tuple(span) for _, *span in collector.spans()}
        missing = self.all - got
        odd = got - self.all
        expect(not missing, len(missing), 'of', len(self.all), 'spans are missing')
        expect(not odd, len(odd), 'spans that are not of the golden set, or other bytes with an id of it')



# ---------------------------------------------------------------- members

class Member:
    """A haspan that reads the topic"""

    def __init__(self, test, *options, binary=HASPAN, crash=None, to=None, **more):
        self.test = test
        self.err = tempfile.NamedTemporaryFile('w+', dir=test.folder, delete=False)
        env = dict(ENV, HASPAN_CRASH=crash) if crash else ENV
        self.process = subprocess.Popen([binary, '--phases', 'none', '--connections', '2', '--from', test.source(**more),
                                         '--to', to or test.collector.url, '--drain-timeout', '5s', *options],
                                        stderr=self.err, stdout=subprocess.DEVNULL, env=env)
        test.members.append(self)

    def said(self):
        with open(self.err.name, encoding='utf-8', errors='replace') as f:
            return f.read()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self, code=0, timeout=40):
        self.process.send_signal(signal.SIGTERM)
        return self.wait(code, timeout)

    def wait(self, code=0, timeout=40):
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise Failure('haspan does not end: ' + self.said()[-1500:]) from None
        expect(code is None or self.process.returncode == code, 'exit', self.process.returncode, self.said()[-1500:])
        return {word: int(n) for word, n in re.findall(r'(\w+)=(\d+)', self.said())}


class Test:
    """One topic, one group, one collector; at its end the committed offsets are read back"""
    numbers = itertools.count(1)

    def __init__(self, kafka, partitions=4, **properties):
        number = next(Test.numbers)
        self.kafka, self.members, self.made = kafka, [], None
        self.topic, self.group = 'logs%d' % number, 'group%d' % number
        self.properties = dict(QUICK, **properties)
        self.partitions = partitions

    def __enter__(self):
        self.folder = tempfile.mkdtemp(dir=self.kafka.dir)
        self.collector = Collector(self.folder)
        self.kafka.create(self.topic, self.partitions)
        return self

    def __exit__(self, kind, *_):
        try:
            if not kind and self.made:
                self.check_commits(self.made)
        finally:
            self.leave(kind)

    def leave(self, kind):
        for m in self.members:
            if m.process.poll() is None:
                m.kill()
            if kind:
                print('   a member said:', m.said()[-600:].strip().replace('\n', '\n      '))
            m.err.close()
        self.collector.down()

    def source(self, **more):
        words = dict({'group': self.group}, **self.properties)
        words.update(more)
        return 'kafka://%s/%s?%s' % (self.kafka.bootstrap, self.topic, '&'.join('%s=%s' % w for w in words.items()
                                                                               if w[1] is not None))

    def golden(self, n, seed=1):
        self.made = Golden(self.collector, lines(n, seed), self.folder)
        return self.made

    def produce(self, some, *options):
        self.kafka.produce(self.topic, some, *options)

    def committed(self):
        return {p: o for p, o in self.kafka.numbers('committed', self.group, self.topic).items() if o >= 0}

    def ends(self):
        return {p: high for p, (low, high) in self.kafka.numbers('ends', self.topic).items()}

    def at_the_end(self):
        return all(self.committed().get(p, 0) >= o for p, o in self.ends().items())

    def log(self, topic=None):
        """{(partition, offset): message}"""
        out = subprocess.run(['kcat', '-C', '-b', self.kafka.bootstrap, '-t', topic or self.topic, '-e', '-q', '-f', '%p %o %S %s'],
                             capture_output=True, env=ENV, check=True, timeout=DEADLINE).stdout
        found, at, head = {}, 0, re.compile(rb'(\d+) (\d+) (-?\d+) ')
        while at < len(out):
            m = head.match(out, at)
            end = m.end() + max(int(m[3]), 0)
            found[int(m[1]), int(m[2])] = out[m.end():end]
            at = end
        return found

    def check_commits(self, golden):
        """No committed offset stands beyond a line that is not acknowledged. The offsets are asked for first."""
        committed = self.committed()
        got = {tuple(span) for _, *span in self.collector.spans()}
        lost = [(p, o) for (p, o), line in self.log().items()
                if o < committed.get(p, 0) and line in golden.of and not set(golden.of[line]) <= got]
        expect(not lost, len(lost), 'lines are committed, but were never acknowledged:', lost[:5], committed)

    def finish(self, golden, *members):
        """Everything has come: the members end, and the group's offsets are where the topic ends"""
        until('all offsets', self.at_the_end)
        for m in members:
            m.stop()
        golden.compare(self.collector)
        committed, ends = self.committed(), self.ends()
        expect({p: committed.get(p, 0) for p in ends} == ends, 'committed', committed, 'ends', ends)


def lines(n, seed=1):
    got = subprocess.run([GEN, '-n', str(n + n // 50 + 50), '-s', str(seed)], capture_output=True, env=ENV, check=True)
    found = list(dict.fromkeys(got.stdout.splitlines()))
    return found[:n]


# ---------------------------------------------------------------- parts

def errors(kafka, _):
    """what cannot work says so in one line, and ends"""
    def says(code, text, source, *options, timeout=40):
        done = subprocess.run([HASPAN, '--from', source, '--to', 'null', *options], capture_output=True, text=True, env=ENV,
                              timeout=timeout, check=False)
        said = [x for x in done.stderr.splitlines() if 'warning' not in x and not x.startswith('lines=') and x[:4] != '    ']
        expect(done.returncode == code and len(said) == 1 and re.search(text, said[0]), source, 'exit', done.returncode,
               done.stderr)
        expect('secret' not in done.stderr, 'a secret is shown:', done.stderr)
    b = kafka.bootstrap
    sasl = 'kafka://%s/open?group=bobs&security.protocol=SASL_PLAINTEXT&sasl.mechanism=PLAIN' % kafka.listener['sasl']
    says(4, 'there is no topic nosuch', 'kafka://%s/nosuch?group=g' % b)
    says(4, 'no broker answers', 'kafka://%s:1/logs?group=g' % HOST)
    says(4, 'refuses.*[Aa]uthentication', sasl + '&sasl.username=bob&sasl.password=wrongsecret')
    says(4, '(not authorized|[Aa]uthorization)', sasl.replace('/open', '/closed') + '&sasl.username=bob&sasl.password=bob%26secret')
    says(4, 'group.*[Aa]uthorization|refuses the group', sasl.replace('bobs', 'other') +
         '&sasl.username=bob&sasl.password=bob%26secret')
    says(4, 'refuses|certificate', 'kafka://%s/open?group=g&security.protocol=SSL' % kafka.listener['tls'])
    says(2, 'group=NAME expected', 'kafka://%s/open' % b)
    says(2, 'knows no property foo', 'kafka://%s/open?group=g&foo=secret' % b)
    says(2, 'does not take this value', 'kafka://%s/open?group=g&acks=secret' % b)
    says(2, 'a topic expected', 'kafka://%s/?group=g&sasl.password=secret' % b)
    says(2, 'no user stands here', 'kafka://bob:secret@%s/open?group=g' % b)
    says(2, 'enable.auto.offset.store', 'kafka://%s/open?group=g&enable.auto.offset.store=true' % b)
    if not Test.newer:
        says(2, 'needs librdkafka 2.10', 'kafka://%s/open?group=g' % b, '--kafka',
             'partition.assignment.strategy=cooperative-sticky')
    says(2, 'expected PROPERTY=VALUE', 'kafka://%s/open?group=g' % b, '--kafka', 'sasl.secret')
    says(3, 'cannot read /nonexistent', 'kafka://%s/open?group=g&sasl.password.file=/nonexistent' % b)


def security(kafka, _):
    """PLAIN, TLS and mTLS; secrets from files and from --config"""
    def reads(what, source, *options):
        done = subprocess.run([HASPAN, '--from', source + '&until=end', '--to', 'null', *options], capture_output=True,
                              text=True, env=ENV, timeout=60, check=False)
        expect(done.returncode == 0 and 'lines=5 requests=5' in done.stderr, what, done.returncode, done.stderr)
    with open(kafka.path('password'), 'w', encoding='utf-8') as f:
        f.write(USERS['bob'] + '\n')
    with open(kafka.path('conf'), 'w', encoding='utf-8') as f:
        f.write('kafka security.protocol=SASL_PLAINTEXT\nkafka sasl.mechanism=PLAIN\nkafka sasl.username=bob\n'
                'kafka sasl.password.file=%s\n' % kafka.path('password'))
    sasl = kafka.listener['sasl']
    reads('PLAIN', 'kafka://%s/open?security.protocol=SASL_PLAINTEXT&sasl.mechanism=PLAIN&sasl.username=bob&'
          'sasl.password=bob%%26secret' % sasl)
    reads('PLAIN, --config', 'kafka://%s/open?client.id=x' % sasl, '--config', kafka.path('conf'))
    ca = 'security.protocol=SSL&ssl.ca.location=%s' % kafka.path('ca.crt')
    reads('TLS', 'kafka://%s/open?%s' % (kafka.listener['tls'], ca))
    reads('mTLS', 'kafka://%s/open?%s&ssl.certificate.location=%s&ssl.key.location=%s' % (
        kafka.listener['mtls'], ca, kafka.path('client.crt'), kafka.path('client.key')))
    done = subprocess.run([HASPAN, '--from', 'kafka://%s/open?%s&until=end' % (kafka.listener['mtls'], ca), '--to', 'null'],
                          capture_output=True, text=True, env=ENV, timeout=60, check=False)
    expect(done.returncode == 4, 'mTLS without a certificate: exit', done.returncode, done.stderr)
    kafka.create('written', 1)
    written(kafka, 0, 'kafka://%s/written?%s' % (kafka.listener['tls'], ca))
    written(kafka, 0, 'kafka://%s/written?security.protocol=SASL_PLAINTEXT&sasl.mechanism=PLAIN&sasl.username=admin&'
            'sasl.password=%s' % (sasl, USERS['admin']))
    written(kafka, 5, 'kafka://%s/written?security.protocol=SSL' % kafka.listener['tls'])


def written(kafka, code, sink):
    """Five requests go there, or it is refused in one line"""
    path, before = kafka.path('five.log'), kafka.numbers('ends', 'written')[0][1]
    with open(path, 'wb') as f:
        f.write(b''.join(line + b'\n' for line in lines(5)))
    done = subprocess.run([HASPAN, '--to', sink, path], capture_output=True, text=True, env=ENV, timeout=60, check=False)
    expect(done.returncode == code, sink, 'exit', done.returncode, done.stderr)
    got = kafka.numbers('ends', 'written')[0][1] - before
    expect(got == (0 if code else 5), sink, 'has written', got)
    said = [x for x in done.stderr.splitlines() if x.startswith('haspan: ') and 'warning: kafka: ' not in x]
    expect(len(said) == (code > 0), done.stderr)


def scram(*_):
    """SCRAM-SHA-256, with the Kafka that this librdkafka can do it with; the sink as well"""
    with Kafka(version=SCRAM_VERSION, security=['scram']) as kafka:
        kafka.create('open', 1)
        kafka.produce('open', lines(5))
        source = ('kafka://%s/open?until=end&security.protocol=SASL_PLAINTEXT&sasl.mechanism=SCRAM-SHA-256&sasl.username=bob&'
                  'sasl.password=' % kafka.listener['sasl'])
        for password, code in (('bob%26secret', 0), ('wrong', 4)):
            done = subprocess.run([HASPAN, '--from', source + password, '--to', 'null'], capture_output=True, text=True,
                                  env=ENV, timeout=60, check=False)
            expect(done.returncode == code and (code or 'requests=5 ' in done.stderr), 'exit', done.returncode, done.stderr)
        kafka.create('written', 1)
        written(kafka, 0, source.replace('/open', '/written').replace('until=end&', '') + 'bob%26secret')
        written(kafka, 5, source.replace('/open', '/written').replace('until=end&', '') + 'wrong')


def ranges(kafka, _):
    """a range is read once, ends by itself, and leaves the group alone"""
    with Test(kafka) as t:
        g = t.golden(2000)
        t.produce(g.lines[:1000])
        time.sleep(0.05)
        between = int(time.time() * 1000)
        time.sleep(0.05)
        t.produce(g.lines[1000:])
        for n, words in ((2000, {'until': 'end'}), (1000, {'since': between, 'until': 'end'}),
                         (1000, {'until': between}), (2000, {'offset': 'beginning', 'until': 'end'}),
                         (0, {'offset': 'end', 'until': 'end'}), (0, {'since': '2001-01-01T00:00:00Z', 'until': '2002-01-01T00:00:00Z'}),
                         (t.ends()[2] - 7, {'offset': 7, 'partition': 2, 'until': 'end'})):
            got = Member(t, **words).wait()
            expect(got['lines'] == got['requests'] == n, words, got)
            expect(not t.committed(), words, 'has moved the group:', t.committed())
        g.compare(t.collector)
        Member(t, until='end', commit='true').wait()
        expect(t.committed() == t.ends(), 'commit=true:', t.committed(), t.ends())
        several = 'kafka://%s/%s,%s?until=end' % (kafka.bootstrap, t.topic, 'open')
        done = subprocess.run([HASPAN, '--from', several, '--to', 'null'], capture_output=True, text=True, env=ENV, timeout=60,
                              check=False)
        expect('lines=2005 requests=2005' in done.stderr, 'two topics:', done.stderr)


def messages(kafka, _):
    """one line, several, octet counts; keys, headers; what is no log is counted and stops nothing"""
    with Test(kafka, partitions=1) as t:
        g = t.golden(60)
        said = [b'<134>' + line for line in g.lines]
        put = lambda body, *options: kafka.message(t.topic, body, '-p', '0', *options)
        put(said[0])
        put(b'\n'.join(said[1:4]) + b'\n')
        put(b''.join(b'%d %s' % (len(x), x) for x in said[4:8]))
        kafka.tool('empty', t.topic, 0)
        put(b'\0')
        put(b'\0' * 5000)
        put(random.Random(1).randbytes(900000).replace(b'\n', b'x'))
        put(b'\n'.join(said[8:40]) * 1)
        put(b'\n'.join(g.lines[i % 60] for i in range(3300))[:900000].rpartition(b'\n')[0])
        put(said[40])
        for line in said[41:]:
            put(line)
        m = Member(t, until='end')
        got = m.wait()
        g.compare(t.collector)
        # what is no log: two without a byte, one with a NUL and one with 5,000 are empty lines; 900,000 bytes are one line
        expect(got['rejected'] == 1 and got['other'] == 4, got)
        expect(got['lines'] == got['requests'] + got['rejected'] + got['other'], got)
        t.group += 'live'
        m = Member(t)
        until('all offsets', t.at_the_end)
        m.stop()
    context(kafka)


def context(kafka):
    """A traceparent, a B3 and a key beside a line count when the line has none of its own"""
    def spans(topic, *options, **words):
        out = kafka.path('out.json')
        more = ''.join('&%s=%s' % w for w in words.items())
        done = subprocess.run([HASPAN, '--from', 'kafka://%s/%s?until=end%s' % (kafka.bootstrap, topic, more), '--to', 'file:' + out,
                               *options], capture_output=True, text=True, env=ENV, timeout=60, check=False)
        expect(done.returncode == 0, done.stderr)
        with open(out, encoding='utf-8') as f:
            text = f.read()
        return [(m[1], m[2]) for m in re.finditer(r'"traceId":"(\w+)","spanId":"\w+",(?:"traceState":"[^"]*",)?'
                                                  r'(?:"parentSpanId":"(\w*)",)?(?:"flags":\d+,)?"name":"[A-Z]+","kind":2', text)], text
    plain = re.sub(rb' \{[^}]*\}', b'', lines(1)[0])
    own = re.sub(rb' \{[^}]*\}', b' {00-11111111111111111111111111111111-2222222222222222-01|x}', lines(1)[0], count=1)
    trace, parent = 'c' * 31 + '1', 'd' * 15 + '2'
    cases = (('traceparent', plain, ['-H', 'traceparent=00-%s-%s-01' % (trace, parent), '-H', 'x=y'], trace, parent),
             ('b3', plain, ['-H', 'B3=%s-%s-1' % (trace, parent)], trace, parent),
             ('badcontext', plain, ['-H', 'traceparent=00-%s-zz-01' % trace], None, None),
             ('key', plain, ['-k', trace], trace, None),
             ('own', own, ['-k', trace, '-H', 'traceparent=00-%s-%s-01' % (trace, parent)], '1' * 32, '2' * 16))
    for name, line, options, want, above in cases:
        kafka.create('context-' + name, 1)
        kafka.message('context-' + name, line, *options)
        found, _ = spans('context-' + name)
        expect(len(found) == 1 and (found[0][0] == want) == (want is not None) and (above is None or found[0][1] == above),
               name, found)
    # a request of several lines, of which one brings the header
    with open(os.path.join(ROOT, 'samples', 'steps', 'real', 'input.log'), 'rb') as f:
        steps = f.read().splitlines()
    steps = [step for step in steps if re.search(rb'"id": "[^"]*"', steps[0])[0] in step]
    for at in (None, 0, 1):
        name = 'context-steps-%s' % at
        kafka.create(name, 1)
        for i, step in enumerate(steps):
            kafka.message(name, step, *(('-H', 'traceparent=00-%s-%s-01' % (trace, parent)) if i == at else ()))
        found, _ = spans(name)
        expect(len(found) == 1 and (found[0] == (trace, parent)) == (at is not None), name, found)
    kafka.create('context-host', 1)
    kafka.message('context-host', re.sub(rb'^.*?: ', b'', plain), '-k', 'lb7.example')
    expect('lb7.example' in spans('context-host', key='host')[1], 'key=host')
    expect('lb7.example' not in spans('context-host')[1], 'a key is a host unasked')
    # which of the two it was: the hour that summer time's end doubles
    kafka.create('context-time', 1)
    for ms in 1792888200000, 1792891800000:     # 2026-10-25T00:30Z and 01:30Z
        kafka.tool('at', 'context-time', ms, re.sub(r'\[\d+/\w+/\d+:', '[25/Oct/2026:',
                                                    re.sub(r':\d\d:\d\d:\d\d\.', ':02:29:00.', plain.decode())))
    text = spans('context-time', '--timezone', 'Europe/Berlin')[1]
    begun = [int(n) // 10**9 for n in re.findall(r'"kind":2,"startTimeUnixNano":"(\d+)"', text)]
    expect(sorted(begun) == [1792888140, 1792891740], 'the time of a message:', begun, text[:600])


def flow(kafka, rng):
    """members join and leave, and one is killed, while lines flow"""
    with Test(kafka, partitions=6) as t:
        g = t.golden(t.flow)
        members, stop = [Member(t)], threading.Event()

        def feed():
            for at in range(0, len(g.lines), 12500):
                t.produce(g.lines[at:at + 12500])
                if stop.wait(0.05):
                    return
        feeder = threading.Thread(target=feed)
        feeder.start()
        try:
            for step in ('join', 'join', 'kill', 'join', 'leave', 'leave'):
                time.sleep(rng.uniform(0.2, 1.2))
                if step == 'join':
                    members.append(Member(t))
                elif step == 'kill':
                    members.pop(rng.randrange(len(members))).kill()
                else:
                    members.pop(rng.randrange(len(members))).stop()
                if step == 'kill':
                    t.check_commits(g)
            feeder.join()
        finally:
            stop.set()
            feeder.join()
        t.finish(g, *members)


def killed(kafka, rng):
    """kill -9 of the only member, again and again, also while the collector refuses"""
    with Test(kafka) as t:
        g = t.golden(20000)
        t.produce(g.lines)
        for mood in (503, None, 503, None):
            t.collector.mood(mood)
            m = Member(t)
            size = t.collector.size()
            until('something', lambda: t.collector.size() > size or t.at_the_end() or mood and '503' in m.said())
            time.sleep(rng.uniform(0, 0.6))
            m.kill()
            t.check_commits(g)
        t.finish(g, Member(t))


def points(kafka, rng):
    """kill -9 at every point of the loop (build/crash)"""
    listed = subprocess.run([CRASH], env=dict(ENV, HASPAN_CRASH='list'), capture_output=True, text=True, check=False).stdout
    names = re.findall(r'^point (kafka\.\S+)', listed, re.M)
    expect(len(names) >= 9, 'no points of crash in', CRASH, listed)
    with Test(kafka, **{'session.timeout.ms': 1500}) as t:
        g = t.golden(400 * len(names))
        for i, name in enumerate(names):
            crash_at(t, name, rng, g.lines[400 * i:400 * i + 400])
            t.check_commits(g)
        t.finish(g, Member(t))


def crash_at(t, name, rng, some):
    """One member that is killed there; those at which partitions are given back need others"""
    size = t.collector.size()
    nth = rng.randrange(1, 3) if name in ('kafka.filled', 'kafka.store.before', 'kafka.store.after') else 1
    t.produce(some[:200])
    m = Member(t, binary=CRASH, crash='%s:%d' % (name, nth))
    other = None
    if name in ('kafka.unassign', 'kafka.commit.last'):
        until('lines of the first', lambda: t.collector.size() > size)
        other = Member(t)
    for at in range(200, 400, 20):      # in several blocks, settled one after the other
        t.produce(some[at:at + 20])
        size = t.collector.size()
        if m.process.poll() is None and at > 200:
            with contextlib.suppress(Failure):
                until('it', lambda: t.collector.size() > size or m.process.poll() is not None, 0.5)
    if name == 'kafka.commit.end':
        until('all offsets', t.at_the_end)
        m.process.send_signal(signal.SIGTERM)
    try:
        m.wait(-signal.SIGKILL)
    except Failure as failure:
        raise Failure('%s:%d: %s' % (name, nth, failure)) from None
    if other:
        other.stop()


def outage(kafka, rng):
    """the collector is killed, and away for longer than the session and max.poll.interval.ms: nobody is thrown out"""
    with Test(kafka, **{'session.timeout.ms': 1500, 'max.poll.interval.ms': 2000}) as t:
        g = t.golden(30000)
        t.produce(g.lines[:5000])
        m = Member(t, '--buffer-max', '1M')
        until('something', lambda: t.collector.size())
        t.collector.down()
        t.produce(g.lines[5000:])
        before = t.committed()
        time.sleep(5 + rng.uniform(0, 0.5))
        expect(kafka.tool('members', t.group).split()[0] == '1', 'no member any more:', kafka.tool('members', t.group))
        t.check_commits(g)
        t.collector.up()
        t.finish(g, m)
        expect('taken away' not in m.said() and 'max.poll' not in m.said().lower(), m.said(), before)


def refused(kafka, _):
    """401 holds: the place does not move"""
    with Test(kafka) as t:
        g = t.golden(2000)
        t.collector.mood(401)
        t.produce(g.lines)
        m = Member(t)
        until('a complaint', lambda: '401' in m.said())
        time.sleep(1.5)
        expect(not any(t.committed().values()), 'committed under 401:', t.committed())
        t.collector.mood()
        m.stop(None)            # a slow retry: the next one has it anew
        t.finish(g, Member(t))


def let_go(kafka, _):
    """with the collector away a partition is let go within --drain-timeout, uncommitted, and read by whom it is given to"""
    with Test(kafka) as t:
        g = t.golden(8000)
        t.collector.mood(503)
        t.produce(g.lines)
        m = Member(t, '-v', '--drain-timeout', '2s')
        until('lines', lambda: '503' in m.said())
        n = Member(t, '-v')
        until('a partition of two', lambda: 'partitions are given' in n.said(), 30)
        expect(not any(t.committed().values()), 'committed under 503:', t.committed())
        t.collector.mood()
        t.finish(g, m, n)


def grown(kafka, _):
    """a partition is added, and its lines are read from its beginning"""
    with Test(kafka, partitions=2) as t:
        g = t.golden(6000)
        t.produce(g.lines[:3000])
        m = Member(t)
        until('half', lambda: t.at_the_end())
        kafka.tool('grow', t.topic, 4)
        until('4 partitions', lambda: len(kafka.numbers('leaders', t.topic)) == 4)
        t.produce(g.lines[3000:])
        expect(all(t.ends().get(p) for p in range(4)), 'nothing in the new partitions:', t.ends())
        t.finish(g, m)


def out_of_range(kafka, _):
    """the place is gone from the topic: reading goes on with the oldest that is there"""
    with Test(kafka, partitions=1) as t:
        g = t.golden(4000)
        t.produce(g.lines[:1000])
        m = Member(t)
        until('its end', t.at_the_end)
        m.stop()
        t.produce(g.lines[1000:2000])
        kafka.tool('cut', t.topic, 0, 1500)
        t.produce(g.lines[2000:])
        gone = {s for line in g.lines[1000:1500] for s in g.of[line]}
        g.all -= gone
        m = Member(t)
        t.finish(g, m)
        expect(re.search('out of range|OUT_OF_RANGE', m.said()), 'nothing is said:', m.said())


def sigterm(kafka, rng):
    """SIGTERM in the middle of a rebalance"""
    with Test(kafka) as t:
        g = t.golden(20000)
        t.produce(g.lines)
        m = Member(t)
        until('something', lambda: t.collector.size())
        n = Member(t)
        time.sleep(rng.uniform(0.02, 0.6))
        m.stop(None)
        t.check_commits(g)
        n.stop(None)
        t.check_commits(g)
        t.finish(g, Member(t))


def leader(three, rng):
    """kill -9 of a leader of three brokers, and back"""
    with Test(three, partitions=3) as t:
        g = t.golden(20000)
        t.produce(g.lines[:10000], '-X', 'acks=all')
        m = Member(t)
        until('something', lambda: t.collector.size())
        victim = rng.choice(sorted(set(three.numbers('leaders', t.topic).values())))
        three.kill(victim)
        t.produce(g.lines[10000:], '-X', 'acks=all')
        t.finish(g, m)
        t.check_commits(g)
        three.start(victim)
        three.ready()


def sink_leader(three, rng):
    """the sink: kill -9 of a leader of three brokers; each message is there once"""
    some, found = lines(20000), []
    with Test(three, partitions=3) as t:
        for topic in t.topic + 'calm', t.topic:
            if topic != t.topic:
                three.create(topic, 3)
            p = subprocess.Popen([HASPAN, '--to', 'kafka://%s/%s?topic.metadata.refresh.interval.ms=500' % (
                three.bootstrap, topic)], env=ENV, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
            p.stdin.write(b''.join(line + b'\n' for line in some[:10000]))
            p.stdin.flush()
            if topic == t.topic:
                until('messages', lambda: any(t.ends().values()))
                victim = rng.choice(sorted(set(three.numbers('leaders', topic).values())))
                three.kill(victim)
            said = p.communicate(b''.join(line + b'\n' for line in some[10000:]), timeout=DEADLINE)[1].decode()
            expect(p.returncode == 0 and 'requests=20000 ' in said and 'refused=0 dropped=0 held=0' in said, said)
            found.append(collections.Counter(t.log(topic).values()))
        three.start(victim)
        three.ready()
    expect(found[0] == found[1] and sum(found[0].values()) == 20000, 'messages', [sum(f.values()) for f in found])


def sink_points(kafka, rng):
    """the sink: kill -9 before a message is produced, and at a report; the group's place is behind what the topic has"""
    some = lines(3000)
    with Test(kafka) as t:
        to = 'kafka://%s/%sout?linger.ms=5' % (kafka.bootstrap, t.topic)
        kafka.create(t.topic + 'out', 3)
        kafka.create(t.topic + 'calm', 1)
        subprocess.run([HASPAN, '-j', '1', '--phases', 'none', '--to', to.replace('out?', 'calm?')], env=ENV, check=True,
                       input=b''.join(line + b'\n' for line in some), stderr=subprocess.DEVNULL, timeout=DEADLINE)
        of = dict(zip(some, [body for _, body in sorted(t.log(t.topic + 'calm').items())]))
        expect(len(of) == len(set(of.values())) == 3000, 'golden', len(of))
        t.produce(some)
        for point in ('kafka-produce', 'kafka-report', None):
            m = Member(t, to=to, **({'binary': CRASH, 'crash': '%s:%d' % (point, rng.randrange(1, 700))} if point else {}))
            if point:
                m.wait(-signal.SIGKILL)
            else:
                until('all offsets', t.at_the_end)
                m.stop()
            committed, got = t.committed(), set(t.log(t.topic + 'out').values())
            lost = [p for p, line in t.log().items() if p[1] < committed.get(p[0], 0) and of[line] not in got]
            expect(not lost, point, len(lost), 'lines are committed, but their spans are not in the topic')
        expect(got == set(of.values()), 'messages that are missing', len(set(of.values()) - got), 'odd', len(got - set(of.values())))
        expect(committed == t.ends(), 'committed', committed, 'ends', t.ends())


def reload(kafka, _):
    """SIGHUP with other properties says that it needs a restart; the group and its place stay"""
    with Test(kafka) as t:
        g, conf = t.golden(1000), kafka.path(t.topic + '.conf')
        for wait, half in ((50, g.lines[:500]), (60, g.lines[500:])):
            with open(conf, 'w', encoding='utf-8') as f:
                f.write('kafka fetch.wait.max.ms=%d\nkafka client.id=secret%d\n' % (wait, wait))
            if wait == 50:
                m = Member(t, '--config', conf, **{'fetch.wait.max.ms': None})
                t.produce(half)
                until('half', t.at_the_end)
                members = kafka.tool('members', t.group)
            else:
                m.process.send_signal(signal.SIGHUP)
                until('a word', lambda: '--kafka changed: that needs a restart' in m.said())
                t.produce(half)
        until('all offsets', t.at_the_end)
        expect(kafka.tool('members', t.group) == members, 'the group has changed', kafka.tool('members', t.group), members)
        expect('secret' not in m.said(), m.said())
        t.finish(g, m)


# The longest first: they run beside each other
ONE = [flow, points, killed, errors, security, outage, refused, let_go, sigterm, sink_points, messages, out_of_range, grown, ranges,
       reload]
THREE = [leader, sink_leader]
FAULTS = [flow, points, killed, outage, refused, let_go, sigterm, sink_points, out_of_range, grown] + THREE


def prepare(kafka):
    kafka.create('open', 1)
    kafka.create('closed', 1)
    kafka.produce('open', lines(5))
    kafka.tool('allow', 'bob', 'open', 'bobs')
    kafka.tool('allow', 'CN=client', 'open', 'haspan')
    kafka.tool('allow', 'ANONYMOUS', 'open', '-')


def parts(names, kind):
    return [p for p in kind if not names or p.__name__ in names]


def run(part, kafka, args, i):
    """True: it passed"""
    start, rng = time.monotonic(), random.Random('%d %s %d' % (args.seed, part.__name__, i))
    try:
        part(kafka, rng)
    except (Failure, subprocess.SubprocessError, OSError) as failure:
        print('FAILED', part.__name__, 'run', i + 1, 'of', args.runs, 'seed', args.seed, failure, flush=True)
        return False
    print('   %s: %s (%.1f s)' % (part.__name__, part.__doc__, time.monotonic() - start), flush=True)
    return True


def one_broker(args):
    """The parts, in their runs, some at a time: most of them wait"""
    jobs = [(part, i) for part in parts(args.names, ONE) for i in range(args.runs if part in FAULTS else 1)]
    if not jobs:
        return []
    with Kafka(security=['plain', 'tls', 'mtls'], acl=True) as kafka:
        prepare(kafka)
        with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
            return list(pool.map(lambda job: run(job[0], kafka, args, job[1]), jobs))


def three_brokers(args):
    """One after the other: each kills one of them"""
    if not parts(args.names, THREE):
        return []
    with Kafka(brokers=3) as three:
        return [run(part, three, args, i) for part in parts(args.names, THREE) for i in range(args.runs)]


def older_broker(args):
    return [run(part, None, args, 0) for part in parts(args.names, [scram])]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument('names', nargs='*')
    parser.add_argument('--runs', type=int, default=2)
    parser.add_argument('--seed', type=int, default=random.randrange(1 << 30))
    parser.add_argument('--lines', type=int, default=200000, help='that flow while members come and go')
    parser.add_argument('--assignor', help='partition.assignment.strategy of all members')
    parser.add_argument('--newer', action='store_true', help='a newer librdkafka, and its cooperative assignor')
    parser.add_argument('--jobs', type=int, default=4, help='parts at a time')
    args = parser.parse_args()
    Test.flow = args.lines
    Test.newer = args.newer
    if args.newer:
        ENV['LD_LIBRARY_PATH'] = newer_library()
        args.assignor = args.assignor or 'cooperative-sticky'
    if args.assignor:
        QUICK['partition.assignment.strategy'] = args.assignor
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        done = [ok for found in pool.map(lambda part: part(args), (one_broker, three_brokers, older_broker)) for ok in found]
    print('%d passed, %d failed' % (sum(done), done.count(False)))
    sys.exit(not done or not all(done))


if __name__ == '__main__':
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    main()
