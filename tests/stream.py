#!/usr/bin/env python3
"""Syslog over TCP and TLS: real senders and bad ones. What arrives is what the same lines give from a file.

    tests/stream.py [CASE]...           CASE: a part of a test's name

In every case the accounting identities hold exactly, the number of lines is the one that was sent, and the spans are
those that haspan makes of the same lines in a file. The binaries are $HASPAN and $HAPROXY.
"""
import collections
import contextlib
import http.server
import os
import random
import re
import resource
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback

import lab
from lab import ENV, HASPAN, HOST, ROOT, Failure, compare, expect, free_port

LINES = ('requests', 'merged', 'other', 'rejected')
SPANS = ('exported', 'unsampled', 'filtered', 'refused', 'dropped', 'held')
HARD = 'hard' in HASPAN.split('/')[-2:][0]      # built with tiny bounds: time limits can be waited for
TESTS = []


def test(function):
    TESTS.append(function)
    return function


def poll(what, until=20):
    """Wait for `what()`; its value. No test here depends on how long something takes, but for this deadline."""
    end = time.monotonic() + until
    while time.monotonic() < end:
        value = what()
        if value:
            return value
        time.sleep(0.01)
    raise Failure('waited in vain for', getattr(what, '__name__', what))


GOOD = ('Nov 21 08:15:44 lb1 haproxy[8904]: 192.0.2.1:%d [21/Nov/2026:08:15:44.%03d] fe be/s1 1/2/3/4/15 200 68 - - ---- '
        '1/1/0/0/0 0/0 "GET /%d HTTP/1.1"')


def good(n):
    return b'<134>' + (GOOD % (1024 + n % 60000, n % 1000, n)).encode()


def many(n, start=0):
    return [good(start + i) for i in range(n)]


def counted(lines):
    return b''.join(b'%d %s' % (len(line), line) for line in lines)


def newlines(lines):
    return b''.join(line + b'\n' for line in lines)


# ---------------------------------------------------------------- the receiver

# What systemd does: the descriptors become 3, 4 …, three variables say so, and haspan takes the process's place.
PASS_ON = '''
import os, sys
end = sys.argv.index('--')
high = [os.dup2(int(fd), 100 + i) for i, fd in enumerate(sys.argv[1:end])]
for i, fd in enumerate(high):
    os.dup2(fd, 3 + i, inheritable=True)
    os.close(fd)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(high)), LISTEN_FDNAMES=':'.join('x' * len(high)))
os.execv(sys.argv[end + 1], sys.argv[end + 1:])
'''


class Receiver:
    """A haspan that listens. `port` is where; stop() gives its summary, checked."""
    all = []

    def __init__(self, folder, query='', *words, scheme='tcp', host=HOST, port=None, wait=True, passed=()):
        self.folder = tempfile.mkdtemp(dir=folder)
        self.otlp, self.rejects, self.said = (os.path.join(self.folder, n) for n in ('otlp', 'rejects', 'stderr'))
        self.host = host.strip('[]')
        self.port = port or free_port()
        source = ['--from', '%s://%s:%d%s' % (scheme, host, self.port, query)] if scheme else []
        start = [sys.executable, '-c', PASS_ON, *(str(f.fileno()) for f in passed), '--'] if passed else []
        with open(self.said, 'wb') as said:
            self.process = subprocess.Popen([*start, HASPAN, *source, '--to', 'file:' + self.otlp, '--rejects', self.rejects, *words],
                                            env=ENV, stdin=subprocess.DEVNULL,
                                            stdout=subprocess.DEVNULL, stderr=said,
                                            pass_fds=[f.fileno() for f in passed])
        Receiver.all.append(self.process)
        if wait:
            poll(self.listens)

    def listens(self):
        expect(self.process.poll() is None, 'haspan ended:', self.stderr())
        with open('/proc/%d/net/tcp6' % self.process.pid, encoding='ascii') as six, \
                open('/proc/%d/net/tcp' % self.process.pid, encoding='ascii') as four:
            return len(re.findall(r':%04X [0-9A-F]+:0000 0A ' % self.port, six.read() + four.read()))

    def stderr(self):
        with open(self.said, encoding='utf-8', errors='replace') as f:
            return f.read()

    def connect(self):
        return socket.create_connection((self.host if self.host != '*' else HOST, self.port), timeout=20)

    def send(self, data):
        """All of it on one connection; waits until haspan has read it and closed its side"""
        with self.connect() as s:
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            expect(s.recv(1) == b'', 'the receiver answered')

    def status(self, name):
        with open('/proc/%d/status' % self.process.pid, encoding='ascii') as f:
            return int(re.search(r'%s:\s*(\d+)' % name, f.read())[1])

    def descriptors(self):
        return len(os.listdir('/proc/%d/fd' % self.process.pid))

    def stop(self, lines=None, code=0, asked=False):
        if not asked:                   # a second wish ends it at once
            self.process.send_signal(signal.SIGTERM)
        try:
            got = self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise Failure('it does not end') from None
        text = self.stderr()
        expect(got == code, 'exit code', got, text)
        return summary(text, lines)

    def spans(self):
        return spans_of(self.otlp)


def summary(text, lines=None):
    row = {k: int(v) for k, v in re.findall(r'(\w+)=(\d+)(?= |$)', next(r for r in text.splitlines() if 'lines=' in r))}
    expect(row['lines'] == sum(row[k] for k in LINES), 'lines do not add up:', text)
    expect(row['spans'] + row['restored'] == sum(row[k] for k in SPANS), 'spans do not add up:', text)
    if lines is not None:
        expect(row['lines'] == lines, 'sent %d lines:' % lines, text)
    return row


def spans_of(path):
    """Everything about each span, in an order that is nobody's"""
    return sorted(repr(sorted(span.items(), key=lambda kv: kv[0])) for span in map(plain, compare.read_spans(path)))


def plain(span):
    return dict(span, attrs=sorted(span['attrs'].items()), twice=sorted(span['twice']))


def from_file(folder, lines, *words):
    """What the same lines give from a file: spans, summary"""
    log, out = os.path.join(folder, 'lines.log'), os.path.join(folder, 'lines.otlp')
    with open(log, 'wb') as f:
        f.write(newlines(lines))
    done = subprocess.run([HASPAN, *words, '--to', 'file:' + out, log], env=ENV, capture_output=True, text=True, timeout=60,
                          check=True)
    return spans_of(out), summary(done.stderr)


def same(folder, receiver, lines, *words):
    """Stop it: it has exactly these lines, with the spans that they have in a file"""
    got = receiver.stop(len(lines))
    wanted, _ = from_file(folder, lines, *words)
    expect(receiver.spans() == wanted, 'other spans than from a file:', got)
    return got


# ---------------------------------------------------------------- senders that are real

@test
def haproxy_ring(folder):
    """HAProxy's rings, counted and with newlines, in its formats: each request once"""
    kinds = [('octet-count', 'rfc3164'), ('octet-count', 'rfc5424'), ('octet-count', 'raw'), ('legacy', 'rfc5424'),
             ('legacy', 'timed'), ('legacy', 'raw')]
    receivers = [Receiver(folder) for _ in kinds]
    text = ''
    for i, ((framing, shape), receiver) in enumerate(zip(kinds, receivers)):
        text += ('ring r%d\n    format %s\n    maxlen 4096\n    size 262144\n    timeout connect 1s\n    timeout server 5s\n'
                 '    server s1 127.0.0.1:%d log-proto %s\n' % (i, shape, receiver.port, framing))
    text += 'frontend fe\n    mode http\n    timeout client 5s\n    timeout server 5s\n    timeout connect 5s\n'
    text += '    bind 127.0.0.1:{http}\n    option httplog\n    default_backend be\n'
    text += ''.join('    log ring@r%d local0\n' % i for i in range(len(kinds))) + '    log 127.0.0.1:{log} len 4096 local0\n'
    text += 'backend be\n    mode http\n    timeout server 5s\n    timeout connect 5s\n    server s1 127.0.0.1:{origin}\n'
    with lab.Lab() as box:
        box.start(text)
        with lab.Client(box.port['http']) as client:
            for i in range(100):
                expect(client.get('/ring/%d' % i) == 200, 'no answer')
        for receiver in receivers:      # what stands in a ring when HAProxy ends is lost
            poll(lambda r=receiver: len({trace for trace, _ in ids(r.otlp)}) == 100)
        lines = [line for line in box.stop() if b'/ring/' in line]
    expect(len(lines) == 100, len(lines), 'lines by UDP')
    wanted = ids(from_file(folder, lines) and os.path.join(folder, 'lines.otlp'))
    for kind, receiver in zip(kinds, receivers):
        row = receiver.stop()
        expect(row['rejected'] == 0, kind, 'rejected:', row)
        expect(ids(receiver.otlp) == wanted, kind, 'other spans than by UDP:', row)


@test
def haproxy_log_tcp(folder):
    """`log tcp@`: an implicit ring; from 3.1 on with a connection for each batch"""
    receiver = Receiver(folder)
    with lab.Lab() as box:
        box.start('frontend fe\n    mode http\n    timeout client 5s\n    timeout server 5s\n    timeout connect 5s\n'
                  '    bind 127.0.0.1:{http}\n    option httplog\n    default_backend be\n'
                  '    log tcp@127.0.0.1:%d len 4096 format rfc5424 local0\n    log 127.0.0.1:{log} len 4096 local0\n'
                  'backend be\n    mode http\n    timeout server 5s\n    timeout connect 5s\n'
                  '    server s1 127.0.0.1:{origin}\n' % receiver.port)
        with lab.Client(box.port['http']) as client:
            for batch in range(3):
                for i in range(20):
                    expect(client.get('/batch/%d/%d' % (batch, i)) == 200, 'no answer')
                poll(lambda n=batch: len({trace for trace, _ in ids(receiver.otlp)}) == 20 * (n + 1))
        lines = [line for line in box.stop() if b'/batch/' in line]
    row = receiver.stop()
    expect(row['rejected'] == 0 and len(lines) == 60, row)
    expect(ids(receiver.otlp) == ids(from_file(folder, lines) and os.path.join(folder, 'lines.otlp')), 'other spans than by UDP')


def ids(path):
    return sorted((span['trace_id'], span['id']) for span in compare.read_spans(path))


@test
def haproxy_as_documented(folder):
    """The ring of doc/syslog-streams.md"""
    receiver, text = Receiver(folder), lab.document('doc/syslog-streams.md', 'haproxy')
    for was, now in (('127.0.0.1:5514', '127.0.0.1:%d' % receiver.port), (':8080', ':{http}'), (':8000', ':{origin}')):
        expect(was in text, was, 'is not in the document')
        text = text.replace(was, now)
    with lab.Lab() as box:
        box.start('defaults\n    timeout connect 5s\n    timeout client 5s\n    timeout server 5s\n' + text)
        with lab.Client(box.port['http']) as client:
            for i in range(50):
                expect(client.get('/documented/%d' % i) == 200, 'no answer')
        poll(lambda: len({trace for trace, _ in ids(receiver.otlp)}) == 50)
        box.stop()
    row = receiver.stop()
    expect(row['requests'] == 50 and row['rejected'] == 0, row)


@test
def half_close_after_each_batch(folder):
    """`log tcp@` of HAProxy 3.1+: half-closes after each batch, and waits until the receiver closes"""
    receiver, lines = Receiver(folder), many(500)
    longest = 0
    for at in range(0, len(lines), 25):
        with receiver.connect() as s:
            s.sendall(newlines(lines[at:at + 25]))
            s.shutdown(socket.SHUT_WR)
            start = time.monotonic()
            expect(s.recv(1) == b'', 'the receiver answered')
            longest = max(longest, time.monotonic() - start)
    expect(longest < 5, 'the end was answered after', longest, 's')
    same(folder, receiver, lines)


@test
def rsyslog_forwards(folder):
    """rsyslog's omfwd by TCP, both framings, in its three formats, and as doc/syslog-streams.md has it"""
    program = shutil.which('rsyslogd') or '/usr/sbin/rsyslogd'
    kinds = [(framing, shape) for framing in ('octet-counted', 'traditional')
             for shape in ('RSYSLOG_ForwardFormat', 'RSYSLOG_SyslogProtocol23Format', 'RSYSLOG_TraditionalForwardFormat')]
    kinds.append('as documented')
    receivers, port = [Receiver(folder) for _ in kinds], free_port()
    conf, lines = os.path.join(folder, 'rsyslog.conf'), many(200)
    with open(conf, 'w', encoding='ascii') as f:
        f.write('global(workDirectory="%s")\nmodule(load="imtcp")\ninput(type="imtcp" port="%d" address="127.0.0.1")\n'
                % (folder, port))
        documented = lab.document('doc/syslog-streams.md', 'rsyslog')
        expect('port="5514"' in documented, 'the document has another port')
        f.write(documented.replace('5514', str(receivers[-1].port)))
        for (framing, shape), receiver in zip(kinds, receivers[:-1]):
            f.write('action(type="omfwd" target="127.0.0.1" port="%d" protocol="tcp" template="%s" TCP_Framing="%s")\n'
                    % (receiver.port, shape, framing))
    process = subprocess.Popen([program, '-n', '-f', conf, '-i', os.path.join(folder, 'pid')], stderr=subprocess.DEVNULL)
    try:
        poll(lambda: connects(port))
        with socket.create_connection((HOST, port)) as s:
            s.sendall(newlines(lines))
        wanted = ids(from_file(folder, lines) and os.path.join(folder, 'lines.otlp'))
        for kind, receiver in zip(kinds, receivers):
            poll(lambda r=receiver: os.path.getsize(r.otlp) and len(ids(r.otlp)) >= len(wanted))
            receiver.stop(len(lines))
            expect(ids(receiver.otlp) == wanted, kind, 'other spans than from a file')
    finally:
        process.terminate()
        process.wait(20)


def connects(port):
    with contextlib.suppress(OSError):
        socket.create_connection((HOST, port)).close()
        return True
    return False


# ---------------------------------------------------------------- framing

@test
def counted_and_newlines_on_one_port(folder):
    receiver, lines = Receiver(folder), many(1600)
    shares = [lines[i::8] for i in range(8)]
    threads = [threading.Thread(target=receiver.send, args=((counted if i % 2 else newlines)(share),))
               for i, share in enumerate(shares)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    same(folder, receiver, lines)


@test
def where_reads_end_makes_no_difference(folder):
    """In pieces of every size, also byte by byte, on connections that take turns"""
    receiver, lines, rng = Receiver(folder), many(240), random.Random(5)
    streams = [(counted if i % 2 else newlines)(lines[i::12]) for i in range(12)]
    sockets = [receiver.connect() for _ in streams]
    for s in sockets:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while any(streams):
        i = rng.choice([k for k, rest in enumerate(streams) if rest])
        n = 1 if i < 4 else rng.choice((1, 2, 7, 100, 1000))
        sockets[i].sendall(streams[i][:n])
        streams[i] = streams[i][n:]
    for s in sockets:
        s.close()
    same(folder, receiver, lines)


@test
def no_end_of_line_at_the_end(folder):
    """EOF, a reset and a stop each end a line that has no newline yet"""
    receiver, lines = Receiver(folder), many(30)
    receiver.send(newlines(lines[:10])[:-1])
    with receiver.connect() as s:
        s.sendall(newlines(lines[10:20])[:-1])
        before = receiver.status('voluntary_ctxt_switches')
        poll(lambda: receiver.status('voluntary_ctxt_switches') > before or queue_empty(receiver.port))
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    s = receiver.connect()
    s.sendall(newlines(lines[20:])[:-1])
    same(folder, receiver, lines)


def queue_empty(port):
    """Has everything that was sent to this port been read?"""
    for name in ('tcp', 'tcp6'):
        with open('/proc/net/' + name, encoding='ascii') as f:
            for row in f.read().splitlines()[1:]:
                words = row.split()
                if words[1].endswith(':%04X' % port) and words[3] != '0A' and not words[4].endswith(':00000000'):
                    return False
                if words[2].endswith(':%04X' % port) and not words[4].startswith('00000000:'):
                    return False
    return True


@test
def long_lines_and_nuls(folder):
    """A message of 100 KB is one rejected line, whole in --rejects, and those beside it are fine; NULs are nothing special"""
    lines = many(30)
    long = b'<134>' + b'x' * 100_000
    nul = good(77).replace(b'lb1', b'l\0b\x01')
    for frame in (counted, newlines):
        receiver = Receiver(folder)
        receiver.send(frame(lines[:10] + [long] + lines[10:20] + [nul] + lines[20:]))
        row = receiver.stop(32)
        with open(receiver.rejects, 'rb') as f:
            kept = f.read().splitlines()
        expect(long in kept, frame.__name__, 'the long line is not kept whole', [len(k) for k in kept])
        expect(row['rejected'] == len(kept) and row['requests'] >= 30, frame.__name__, row)


@test
def a_line_longer_than_all_buffers(folder):
    """Megabytes without an end: one rejected line, bounded memory"""
    lines = many(20)
    for frame, size in ((newlines, 3_000_000), (counted, 999_999)):
        receiver, long = Receiver(folder), b'<134>' + b'y' * (size - 5)
        before = receiver.status('VmRSS')
        receiver.send(frame(lines[:10] + [long] + lines[10:]))
        grown = receiver.status('VmRSS') - before
        row = receiver.stop(21)
        expect(row['rejected'] == 1 and row['requests'] == 20, frame.__name__, row)
        expect(grown < 8192, 'memory grew by', grown, 'KiB')
        with open(receiver.rejects, 'rb') as f:
            expect(f.read() == long + b'\n', frame.__name__, 'it is not kept whole')


@test
def max_line(folder):
    """--max-line: a longer message is rejected, however it is framed and cut"""
    lines = many(6)
    lines[2] = lines[2].replace(b'GET /', b'GET /' + b'a' * 2000)
    for frame in (counted, newlines):
        receiver = Receiver(folder, '', '--max-line', '1K')
        receiver.send(frame(lines))
        row = receiver.stop(6)
        expect(row['rejected'] == 1 and row['requests'] == 5, frame.__name__, row)


@test
def random_bytes_on_100_connections(folder):
    receiver, rng = Receiver(folder), random.Random(9)
    lines, expected = many(1000), 1000
    sockets = [receiver.connect() for _ in range(101)]
    for s in sockets[:100]:
        data = b'\xff' + rng.randbytes(rng.randrange(1, 20000))    # no count, and no cursor
        s.sendall(data)
        expected += data.count(b'\n') + (data[-1:] != b'\n')
    sockets[100].sendall(newlines(lines))
    for s in sockets:
        s.close()
    row = receiver.stop(expected)
    expect(row['requests'] == 1000, row)


# ---------------------------------------------------------------- limits

@test
def ten_thousand_idle_connections(folder):
    """They cost next to nothing, and a busy one beside them is served"""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    want = min(10_000, hard - 300)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, want + 300), hard))
    try:
        receiver, lines = Receiver(folder, '', '--max-connections', '10001'), many(1000)
        receiver.send(newlines(lines[:500]))
        before = receiver.status('VmRSS')
        idle = [receiver.connect() for _ in range(want)]
        for s in idle[::100]:
            s.sendall(b'<134>half a line')
        poll(lambda: receiver.descriptors() >= want)
        receiver.send(newlines(lines[500:]))
        after = receiver.status('VmRSS')
        print('   %d idle connections: RSS %d KiB, before %d KiB' % (want, after, before))
        expect(after - before < want, 'more than 1 KiB for each')
        row = receiver.stop(1000 + len(idle[::100]))
        expect(row['requests'] == 1000, row)
        for s in idle:
            s.close()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@test
def more_connections_than_allowed(folder):
    """Those beyond --max-connections are closed and said once; when one has gone there is room again"""
    receiver, lines = Receiver(folder, '', '--max-connections', '3'), many(6)
    sockets = []
    for line in lines[:3]:
        sockets.append(receiver.connect())
        sockets[-1].sendall(line + b'\n')
    poll(lambda: receiver.descriptors() and established(receiver.port) >= 3 and queue_empty(receiver.port))
    for _ in range(5):
        with receiver.connect() as s, contextlib.suppress(ConnectionError):
            expect(s.recv(1) == b'', 'it was not refused')
    sockets.pop().close()

    def accepted():
        s = receiver.connect()
        with contextlib.suppress(ConnectionError, socket.timeout):
            s.settimeout(0.2)
            if s.recv(1) == b'':
                return None
        sockets.append(s)
        return s

    poll(accepted).sendall(newlines(lines[3:]))
    same(folder, receiver, lines)
    expect(receiver.stderr().count('--max-connections') == 1, receiver.stderr())


def established(port):
    with open('/proc/net/tcp', encoding='ascii') as f:
        return sum(row.split()[1].endswith(':%04X' % port) and row.split()[3] == '01' for row in f.read().splitlines()[1:])


@test
def idle_timeout_loses_nothing(folder):
    """An idle connection sees the end of the other's side, and what it says after that still counts"""
    receiver, lines = Receiver(folder, '', '--idle-timeout', '300ms'), many(40)
    polite, stubborn, busy = receiver.connect(), receiver.connect(), receiver.connect()
    polite.sendall(newlines(lines[:10]))
    stubborn.sendall(newlines(lines[10:20]))
    rest, told = lines[30:], []

    def chatter():
        while rest:
            busy.sendall(newlines([rest.pop()]))
            time.sleep(0.05)

    thread = threading.Thread(target=chatter)
    thread.start()
    for s in (polite, stubborn):
        told.append(s.recv(1))
    expect(told == [b'', b''], told)
    polite.close()
    thread.join()
    stubborn.sendall(newlines(lines[20:30]))
    stubborn.close()
    busy.close()
    same(folder, receiver, lines)


@test
def memory_of_unfinished_messages(folder):
    """More of them than fit: the oldest ends there, and each is one line; a finished one is not touched"""
    size, n = (20_000, 40) if HARD else (65_000, 400)
    receiver, lines = Receiver(folder), many(100)
    before, sockets = receiver.status('VmRSS'), []
    for i in range(n):
        sockets.append(receiver.connect())
        with contextlib.suppress(ConnectionError):
            sockets[-1].sendall(b'<134>%d ' % i + b'z' * size)
        if i % 4 == 0:
            receiver.send(newlines(lines[i // 4:i // 4 + 1]))
    poll(lambda: queue_empty(receiver.port))
    grown = receiver.status('VmRSS') - before
    sent = len(lines[:(n + 3) // 4])
    row = receiver.stop(n + sent)
    expect(row['requests'] == sent and row['rejected'] == n, row)
    expect('unfinished messages' in receiver.stderr(), receiver.stderr())
    expect(grown < 40_000, 'memory grew by', grown, 'KiB')


@test
def the_oldest_message_is_another_listeners(folder):
    """It is the connection longest inside its message that makes room, whichever listener has it"""
    if not HARD:
        return
    port, sockets = free_port(), []
    receiver = Receiver(folder, '', '--from', 'tcp://%s:%d' % (HOST, port))

    def hold(at):
        sockets.append(socket.create_connection((HOST, at)))
        sockets[-1].sendall(b'<134>' + b'z' * 20_000)
        poll(lambda: queue_empty(at))

    while 'unfinished messages' not in receiver.stderr():
        hold(receiver.port)
    with socket.create_connection((HOST, port)) as victim:
        victim.sendall(good(1)[:40])
        poll(lambda: queue_empty(port))
        for _ in range(3):              # two are more than there is
            hold(port)
        with contextlib.suppress(OSError):
            victim.sendall(good(1)[40:] + b'\n')
            victim.shutdown(socket.SHUT_WR)
            expect(victim.recv(1) == b'', 'the receiver answered')
    row = receiver.stop(len(sockets) + 1)
    expect(row['requests'] == 1, row)


class Moody(http.server.BaseHTTPRequestHandler):
    """A collector that is busy, until it is not"""
    protocol_version, status = 'HTTP/1.1', 503

    def do_POST(self):
        self.rfile.read(int(self.headers['Content-Length']))
        self.send_response(type(self).status)
        self.send_header('Content-Length', '0')
        self.end_headers()

    def log_message(self, *_):
        pass


@test
def senders_are_not_late_when_haspan_is(folder):
    """While a source is disabled, or a collector takes nothing, the time for a message stands still (tiny bounds only)"""
    if not HARD:
        return
    Moody.status, lines = 503, many(4000)
    paused = Receiver(folder, '', '--admin', 'unix:' + os.path.join(folder, 'admin'))
    with http.server.ThreadingHTTPServer((HOST, 0), Moody) as collector, paused.connect() as first:
        threading.Thread(target=collector.serve_forever, daemon=True).start()
        full = Receiver(folder, '', '--to', 'http://%s:%d' % (HOST, collector.server_port), '--buffer-max', '1M', '--threads', '1')
        first.sendall(lines[0][:50])
        poll(lambda: queue_empty(paused.port))
        admin(folder, 'disable source 1')
        first.sendall(lines[0][50:] + b'\n')
        # More than the buffer and a block, which ends inside a line: the rest waits in the kernel
        with full.connect() as second:
            second.sendall(counted(lines[:3990]))
            poll(lambda: not queue_empty(full.port))
            time.sleep(2.5)             # longer than the time for a message (MESSAGE_MS)
            expect(not queue_empty(full.port), 'there was no outage')
            admin(folder, 'enable source 1')
            Moody.status = 200
            poll(lambda: queue_empty(paused.port) and queue_empty(full.port))
            first.sendall(lines[1] + b'\n')
            second.sendall(counted(lines[3990:]))
            for s in (first, second):
                s.shutdown(socket.SHUT_WR)
                expect(s.recv(1) == b'', 'the receiver answered')
        for receiver, n in ((paused, 2), (full, 4000)):
            receiver.process.send_signal(signal.SIGTERM)
            expect(receiver.process.wait(30) == 0, receiver.stderr())
            expect('lines=%d requests=%d ' % (n, n) in receiver.stderr(), receiver.stderr())
            expect('told to go' not in receiver.stderr(), receiver.stderr())
        collector.shutdown()


def admin(folder, command):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(os.path.join(folder, 'admin'))
        s.sendall(command.encode() + b'\n')
        while s.recv(1000):
            pass


@test
def slow_loris(folder):
    """Byte by byte for ever: served as long as it may, and nobody else waits. (Tiny bounds: cut in the end.)"""
    receiver, lines = Receiver(folder), many(300)
    slow = [receiver.connect() for _ in range(50)]
    stop, sent = threading.Event(), [0]

    def drip():
        while not stop.is_set():
            for s in slow:
                with contextlib.suppress(OSError):
                    s.send(b'z')
            sent[0] += 1
            time.sleep(0.005)

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        for at in range(0, 300, 10):
            receiver.send(newlines(lines[at:at + 10]))
        if HARD:
            poll(lambda: 'a message of it' in receiver.stderr() and established(receiver.port) == 0)
        else:
            poll(lambda: sent[0] > 100)
    finally:
        stop.set()
        thread.join()
    row = receiver.stop(350)
    expect(row['requests'] == 300 and row['rejected'] == 50, row)


# ---------------------------------------------------------------- addresses and sockets

@test
def ipv6_and_every_address(folder):
    lines = many(20)
    receiver = Receiver(folder, host='[::1]')
    receiver.send(newlines(lines))
    same(folder, receiver, lines)
    receiver = Receiver(folder, host='*')
    receiver.send(newlines(lines[:10]))
    with socket.create_connection(('::1', receiver.port)) as s:
        s.sendall(newlines(lines[10:]))
        s.shutdown(socket.SHUT_WR)
        s.recv(1)
    same(folder, receiver, lines)


@test
def two_share_a_port(folder):
    """?reuseport: the kernel gives each some of the connections; together they have everything"""
    first = Receiver(folder, '?reuseport')
    second = Receiver(folder, '?reuseport&backlog=64', port=first.port)
    lines = many(400)
    poll(lambda: second.listens() == 2)
    for at in range(0, 400, 10):
        first.send(newlines(lines[at:at + 10]))
    rows = [first.stop(), second.stop()]
    expect(sum(row['lines'] for row in rows) == 400 and all(row['lines'] for row in rows), rows)
    wanted, _ = from_file(folder, lines)
    expect(sorted(first.spans() + second.spans()) == wanted, 'other spans than from a file')


@test
def a_taken_address_is_an_error(folder):
    receiver = Receiver(folder)
    done = subprocess.run([HASPAN, '--from', 'tcp://%s:%d' % (HOST, receiver.port), '--to', 'null'], env=ENV,
                          capture_output=True, text=True, timeout=20)
    expect(done.returncode == 4 and 'cannot bind' in done.stderr, done.returncode, done.stderr)
    receiver.stop(0)


@test
def wrong_parameters_have_a_caret(_):
    for uri, column, what in (('tcp://127.0.0.1:0?colour=1', 18, 'unknown parameter: expected reuseport or backlog'),
                              ('tcp://127.0.0.1:0?reuseport=1', 27, 'no value'), ('tcp://127.0.0.1:70000', 16, 'a port'),
                              ('tcp://127.0.0.1:0?backlog=x', 26, 'expected 1 to'), ('tcp://[::1', 6, 'expected [ADDRESS]'),
                              ('tls://127.0.0.1:0?reuseport', 27, 'cert=FILE')):
        done = subprocess.run([HASPAN, '--from', uri, '--to', 'null'], env=ENV, capture_output=True, text=True, timeout=20)
        row = done.stderr.splitlines()
        expect(done.returncode == 2 and what in row[0], uri, done.returncode, done.stderr)
        expect(row[2].index('^') == 4 + column, uri, done.stderr)


@test
def systemd_passes_sockets(folder):
    """One that a source names is taken, one that no source names is a source; the next process goes on where it was"""
    named, other, plain_file = socket.create_server((HOST, 0)), socket.create_server((HOST, 0)), open(os.devnull, 'rb')
    lines, got = many(40), []
    wanted, _ = from_file(folder, lines)

    for turn in range(2):
        with contextlib.ExitStack() as stack:
            # the first connects before anybody is there
            first = stack.enter_context(socket.create_connection(named.getsockname()))
            first.sendall(newlines(lines[turn * 20:turn * 20 + 10]))
            receiver = Receiver(folder, scheme=('tcp', None)[turn], port=named.getsockname()[1], wait=False,
                                passed=(named, other, plain_file))
            second = stack.enter_context(socket.create_connection(other.getsockname()))
            second.sendall(newlines(lines[turn * 20 + 10:turn * 20 + 20]))
            for s in (first, second):
                s.shutdown(socket.SHUT_WR)
                expect(s.recv(1) == b'', 'the receiver answered')
            receiver.stop(20)
            got += receiver.spans()
            expect('descriptor 5 is not used' in receiver.stderr(), receiver.stderr())
    expect(sorted(got) == wanted, 'other spans than from a file')


# ---------------------------------------------------------------- TLS

class Certificates:
    """An authority, a server, and clients: good, expired, of a stranger"""

    def __init__(self, folder):
        self.folder = os.path.join(folder, 'pki')
        os.makedirs(os.path.join(self.folder, 'new'))
        for name in ('ca', 'stranger-ca'):
            self.call('req', '-x509', *self.key(name), '-days', '10', '-subj', '/CN=' + name, '-out', self.path(name + '.pem'))
        for name, ca, end in (('server', 'ca', '20400101000000Z'), ('client', 'ca', '20400101000000Z'),
                              ('expired', 'ca', '20210101000000Z'), ('stranger', 'stranger-ca', '20400101000000Z')):
            self.issue(name, ca, end)

    def path(self, name):
        return os.path.join(self.folder, name)

    def call(self, *words):
        done = subprocess.run(['openssl', *words], capture_output=True, text=True, cwd=self.folder, timeout=60)
        expect(done.returncode == 0, 'openssl', *words, done.stderr)

    def key(self, name):
        return ('-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', self.path(name + '.key'))

    def issue(self, name, ca, end):
        """By `openssl ca`, which alone can date back"""
        with open(self.path('ca.cnf'), 'w', encoding='ascii') as f:
            f.write('[ca]\ndefault_ca=x\n[x]\ndatabase=index\nnew_certs_dir=new\nserial=serial\ndefault_md=sha256\npolicy=p\n'
                    'unique_subject=no\nx509_extensions=e\n[p]\ncommonName=supplied\n[e]\nsubjectAltName=DNS:localhost\n')
        open(self.path('index'), 'w', encoding='ascii').close()
        with open(self.path('serial'), 'w', encoding='ascii') as f:
            f.write('%016X\n' % random.getrandbits(60))
        self.call('req', '-new', *self.key(name), '-subj', '/CN=localhost', '-out', self.path(name + '.csr'))
        self.call('ca', '-batch', '-notext', '-config', 'ca.cnf', '-cert', ca + '.pem', '-keyfile', ca + '.key', '-startdate',
                  '20200101000000Z', '-enddate', end, '-in', name + '.csr', '-out', name + '.pem')

    def query(self, more=''):
        return '?cert=%s&key=%s%s' % (self.path('server.pem'), self.path('server.key'), more)

    def context(self, name=None):
        context = ssl.create_default_context(cafile=self.path('ca.pem'))
        if name:
            context.load_cert_chain(self.path(name + '.pem'), self.path(name + '.key'))
        return context


def send_tls(receiver, context, data):
    """All of it; True when the receiver took it and said goodbye"""
    with receiver.connect() as raw, context.wrap_socket(raw, server_hostname='localhost') as s:
        for at in range(0, len(data), 50_000):
            s.sendall(data[at:at + 50_000])
        with contextlib.suppress(ssl.SSLError):
            s.unwrap()
        return True


@test
def tls_and_who_may_speak(folder):
    pki, lines = Certificates(folder), many(600)
    receiver = Receiver(folder, pki.query(), scheme='tls')
    send_tls(receiver, pki.context(), newlines(lines[:300]))
    send_tls(receiver, pki.context(), counted(lines[300:]))
    same(folder, receiver, lines)

    receiver = Receiver(folder, pki.query('&ca=' + pki.path('ca.pem')), scheme='tls')
    send_tls(receiver, pki.context('client'), newlines(lines))
    for name, reason in ((None, 'did not return a certificate'), ('expired', 'expired'), ('stranger', 'issuer')):
        with contextlib.suppress(OSError):
            send_tls(receiver, pki.context(name), newlines(many(10)))
    same(folder, receiver, lines)
    expect(any(why in receiver.stderr() for why in ('certificate',)), receiver.stderr())


@test
def tls_versions_and_ciphers(folder):
    """1.2 and 1.3; nothing older, no weak cipher, no compression, no renegotiation"""
    pki, lines = Certificates(folder), many(20)
    receiver = Receiver(folder, pki.query(), scheme='tls')
    for version, half in ((ssl.TLSVersion.TLSv1_2, lines[:10]), (ssl.TLSVersion.TLSv1_3, lines[10:])):
        context = pki.context()
        context.minimum_version = context.maximum_version = version
        send_tls(receiver, context, newlines(half))
    for words in (('-tls1_1',), ('-tls1_2', '-cipher', 'AES128-SHA:@SECLEVEL=0'),
                  ('-tls1_2', '-cipher', 'ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0')):
        done = subprocess.run(['openssl', 's_client', '-connect', '%s:%d' % (HOST, receiver.port), *words], input=b'',
                              capture_output=True, timeout=20)
        expect(done.returncode != 0, 's_client', *words, 'was let in')
    asked = subprocess.run(['openssl', 's_client', '-tls1_2', '-connect', '%s:%d' % (HOST, receiver.port)], input=b'R\n',
                           capture_output=True, timeout=20)
    expect(b'Compression: NONE' in asked.stdout, asked.stdout)
    expect(b'renegotiation' in asked.stderr.lower(), asked.stderr[-500:])
    same(folder, receiver, lines)


@test
def tls_garbage(folder):
    """Handshakes that are none, that stop, that are cut; clients that never read: no line, and others are served"""
    pki, lines, rng = Certificates(folder), many(100), random.Random(3)
    receiver = Receiver(folder, pki.query(), scheme='tls')
    silent = [receiver.connect() for _ in range(20)]
    for i in range(60):
        with receiver.connect() as s, contextlib.suppress(OSError):
            s.sendall((b'GET / HTTP/1.0\r\n\r\n', rng.randbytes(500), b'\x16\x03\x01\x40\x00' + rng.randbytes(300))[i % 3])
            if i % 2:
                s.shutdown(socket.SHUT_WR)
            s.settimeout(0.05)
            with contextlib.suppress(socket.timeout):
                s.recv(100)
    for i in range(20):             # a good client's first flight, cut
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        half = pki.context().wrap_bio(incoming, outgoing, server_hostname='localhost')
        with contextlib.suppress(ssl.SSLWantReadError):
            half.do_handshake()
        hello = outgoing.read()
        silent.append(receiver.connect())
        silent[-1].sendall(hello[:rng.randrange(1, len(hello) + 1)])
    send_tls(receiver, pki.context(), newlines(lines))
    if HARD:
        poll(lambda: established(receiver.port) == 0)
        expect('handshake' in receiver.stderr(), receiver.stderr())
    same(folder, receiver, lines)


@test
def bad_certificates_are_said_at_start(folder):
    pki = Certificates(folder)
    for query, name in (('?cert=/nowhere', '/nowhere'), ('?cert=%s' % pki.path('server.key'), 'server.key'),
                        ('?cert=%s&key=%s' % (pki.path('server.pem'), pki.path('client.key')), 'client.key'),
                        (pki.query('&ca=' + pki.path('ca.cnf')), 'ca.cnf')):
        done = subprocess.run([HASPAN, '--from', 'tls://%s:0%s' % (HOST, query), '--to', 'null'], env=ENV, capture_output=True,
                              text=True, timeout=20)
        expect(done.returncode == 3 and name in done.stderr, query, done.returncode, done.stderr)


@test
def sighup_reads_certificates_again(folder):
    """New ones are used from the next connection on; bad ones are said, and the old ones stay; connections go on"""
    pki, lines = Certificates(folder), many(40)
    receiver = Receiver(folder, pki.query(), scheme='tls')

    def serial():
        with receiver.connect() as raw, pki.context().wrap_socket(raw, server_hostname='localhost') as s:
            return s.getpeercert()['serialNumber']

    first = serial()
    with receiver.connect() as raw, pki.context().wrap_socket(raw, server_hostname='localhost') as s:
        s.sendall(newlines(lines[:20]))
        with open(pki.path('server.pem'), 'rb') as f:
            good_one = f.read()
        with open(pki.path('server.pem'), 'wb') as f:
            f.write(b'nonsense')
        receiver.process.send_signal(signal.SIGHUP)
        poll(lambda: 'server.pem' in receiver.stderr())
        expect(serial() == first, 'the old certificate is gone')
        pki.issue('server', 'ca', '20400101000000Z')
        receiver.process.send_signal(signal.SIGHUP)
        expect(good_one and poll(lambda: serial() != first), 'the old certificate is still there')
        s.sendall(newlines(lines[20:]))
        with contextlib.suppress(ssl.SSLError):
            s.unwrap()
    same(folder, receiver, lines)


# ---------------------------------------------------------------- the end

@test
def stop_reads_what_has_arrived(folder):
    """SIGTERM while senders are at it: what they could write before they were told is there"""
    receiver, done = Receiver(folder), collections.Counter()
    lock = threading.Lock()

    def sender(k):
        with receiver.connect() as s:
            s.setblocking(False)
            n = 0
            while True:
                with contextlib.suppress(BlockingIOError):
                    if s.recv(1) == b'':
                        break
                s.setblocking(True)
                s.sendall(newlines(many(5, k * 100_000 + n)))
                s.setblocking(False)
                n += 5
                time.sleep(0.001)
        with lock:
            done[k] = n

    threads = [threading.Thread(target=sender, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    poll(lambda: os.path.getsize(receiver.otlp) > 100_000 and established(receiver.port) == 4)
    receiver.process.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join(20)
    receiver.stop(sum(done.values()), asked=True)


def main():
    chosen = [t for t in TESTS if not sys.argv[1:] or any(part in t.__name__ for part in sys.argv[1:])]
    passed = failed = 0
    for case in chosen:
        folder = tempfile.mkdtemp(prefix='haspan-stream-')
        start = time.monotonic()
        try:
            case(folder)
            passed += 1
            print('   %-40s %5.1f s' % (case.__name__, time.monotonic() - start), flush=True)
        except Exception as why:                                        # pylint: disable=broad-except
            failed += 1
            print('FAILED %s: %s' % (case.__name__, why), flush=True)
            if not isinstance(why, Failure):
                traceback.print_exc()
        finally:
            end_all()
            shutil.rmtree(folder, ignore_errors=True)
    print('%d passed, %d failed' % (passed, failed))
    sys.exit(failed > 0 or passed == 0)


def end_all():
    """What a failed case has left running"""
    for process in list(Receiver.all):
        if process.poll() is None:
            process.kill()
            process.wait()
    Receiver.all.clear()


if __name__ == '__main__':
    main()
