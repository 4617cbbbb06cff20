#!/usr/bin/env python3
"""kafka:// as a source, on real brokers: what is received is what the file gives, whatever happens on the way.

    kafka.py [--runs N] [--seed N] [--assignor NAME] [--keep] [NAME...]    parts, in their order; default: all, each fault
                                                                           2 times

With a newer librdkafka: LD_LIBRARY_PATH=FOLDER, in which its librdkafka.so.1 lies.

The yardstick of every part about delivery: the union of the span ids that the collector has acknowledged is the golden
set, made from a file by the same program; spans that came twice are the same bytes; and no committed offset stands
beyond a line whose spans the collector has not acknowledged, at any time that was looked at.
"""
import argparse
import contextlib
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

from kafka_lab import SCRAM_VERSION, USERS, Kafka, free_ports
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
        time.sleep(0.05)
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

    def __init__(self, test, *options, binary=HASPAN, crash=None, **more):
        self.test = test
        self.err = tempfile.NamedTemporaryFile('w+', dir=test.folder, delete=False)
        env = dict(ENV, HASPAN_CRASH=crash) if crash else ENV
        self.process = subprocess.Popen([binary, '--phases', 'none', '--connections', '2', '--from', test.source(**more),
                                         '--to', test.collector.url, '--drain-timeout', '5s', *options],
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
    """One topic, one group, one collector"""
    number = 0

    def __init__(self, kafka, partitions=4, **properties):
        Test.number += 1
        self.kafka, self.members = kafka, []
        self.topic, self.group = 'logs%d' % Test.number, 'group%d' % Test.number
        self.properties = dict(QUICK, **properties)
        self.partitions = partitions

    def __enter__(self):
        self.folder = tempfile.mkdtemp(dir=self.kafka.dir)
        self.collector = Collector(self.folder)
        self.kafka.create(self.topic, self.partitions)
        return self

    def __exit__(self, kind, *_):
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
        return Golden(self.collector, lines(n, seed), self.folder)

    def produce(self, some, *options):
        self.kafka.produce(self.topic, some, *options)

    def committed(self):
        return {p: o for p, o in self.kafka.numbers('committed', self.group, self.topic).items() if o >= 0}

    def ends(self):
        return {p: high for p, (low, high) in self.kafka.numbers('ends', self.topic).items()}

    def at_the_end(self):
        return all(self.committed().get(p, 0) >= o for p, o in self.ends().items())

    def log(self):
        """{(partition, offset): line}"""
        got = subprocess.run(['kcat', '-C', '-b', self.kafka.bootstrap, '-t', self.topic, '-e', '-q', '-f', '%p %o %s\n'],
                             capture_output=True, env=ENV, check=True, timeout=DEADLINE)
        return {(int(p), int(o)): line for p, o, line in (row.split(b' ', 2) for row in got.stdout.splitlines())}

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


def scram(*_):
    """SCRAM-SHA-256, with the Kafka that this librdkafka can do it with"""
    with Kafka(version=SCRAM_VERSION, security=['scram']) as kafka:
        kafka.create('open', 1)
        kafka.produce('open', lines(5))
        source = ('kafka://%s/open?until=end&security.protocol=SASL_PLAINTEXT&sasl.mechanism=SCRAM-SHA-256&sasl.username=bob&'
                  'sasl.password=' % kafka.listener['sasl'])
        for password, code in (('bob%26secret', 0), ('wrong', 4)):
            done = subprocess.run([HASPAN, '--from', source + password, '--to', 'null'], capture_output=True, text=True,
                                  env=ENV, timeout=60, check=False)
            expect(done.returncode == code and (code or 'requests=5 ' in done.stderr), 'exit', done.returncode, done.stderr)


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
    kafka.create('context-host', 1)
    kafka.message('context-host', re.sub(rb'^.*?: ', b'', plain), '-k', 'lb7.example')
    expect('lb7.example' in spans('context-host', key='host')[1], 'key=host')
    expect('lb7.example' not in spans('context-host')[1], 'a key is a host unasked')


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


ONE = [errors, security, messages, ranges, killed, points, flow, outage, refused, let_go, grown, out_of_range, sigterm]
FAULTS = [killed, points, flow, outage, refused, let_go, grown, out_of_range, sigterm, leader]


def prepare(kafka):
    kafka.create('open', 1)
    kafka.create('closed', 1)
    kafka.produce('open', lines(5))
    kafka.tool('allow', 'bob', 'open', 'bobs')
    kafka.tool('allow', 'CN=client', 'open', 'haspan')
    kafka.tool('allow', 'ANONYMOUS', 'open', '-')


def parts(names, kind):
    return [p for p in kind if not names or p.__name__ in names]


def run(part, kafka, args):
    global failed, passed
    for i in range(args.runs if part in FAULTS else 1):
        start, rng = time.monotonic(), random.Random('%d %s %d' % (args.seed, part.__name__, i))
        try:
            part(kafka, rng)
        except (Failure, subprocess.SubprocessError) as failure:
            failed += 1
            print('FAILED', part.__name__, 'run', i + 1, 'of', args.runs, 'seed', args.seed, failure, flush=True)
            if args.keep:
                sys.exit(1)
            continue
        passed += 1
        print('   %s: %s (%.1f s)' % (part.__name__, part.__doc__, time.monotonic() - start), flush=True)


passed = failed = 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument('names', nargs='*')
    parser.add_argument('--runs', type=int, default=2)
    parser.add_argument('--seed', type=int, default=random.randrange(1 << 30))
    parser.add_argument('--lines', type=int, default=200000, help='that flow while members come and go')
    parser.add_argument('--assignor', help='partition.assignment.strategy of all members')
    parser.add_argument('--keep', action='store_true', help='end at the first failure')
    args = parser.parse_args()
    Test.flow = args.lines
    if args.assignor:
        QUICK['partition.assignment.strategy'] = args.assignor
    if parts(args.names, ONE):
        with Kafka(security=['plain', 'tls', 'mtls'], acl=True) as kafka:
            prepare(kafka)
            for part in parts(args.names, ONE):
                run(part, kafka, args)
    if parts(args.names, [leader]):
        with Kafka(brokers=3) as three:
            run(leader, three, args)
    if parts(args.names, [scram]):
        run(scram, None, args)
    print('%d passed, %d failed' % (passed, failed))
    sys.exit(failed > 0)


if __name__ == '__main__':
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    main()
