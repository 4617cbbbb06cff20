#!/usr/bin/env python3
"""Syslog datagrams, live: udp:// and unix:, by a real HAProxy and by this script.

    tests/dgram.py [--seconds N] [CASE]...      N: how long wrk drives HAProxy (4); CASE: a part of a test's name

Nothing is lost without a counter: in each test, what was sent = lines that haspan read + what the kernel dropped, and
haspan's own two accounting identities hold. The binaries are $HASPAN and $HAPROXY, or build/haspan and haproxy.
"""
import contextlib
import os
import random
import re
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.request

import lab
import robust
from lab import expect, free_port
from robust import good, pieces, read, test

SECONDS = 4
PATIENCE = 30           # seconds that nothing here needs


def until(what, true, *of):
    """Wait for it"""
    end = time.monotonic() + PATIENCE
    while not (value := true(*of)):
        expect(time.monotonic() < end, what, 'never came')
        time.sleep(0.005)
    return value


def udp_ports():
    """Ports that somebody has bound: {(version, port)}"""
    found = set()
    for version, name in ((4, 'udp'), (6, 'udp6')):
        with contextlib.suppress(OSError), open('/proc/net/' + name, encoding='ascii') as f:
            found |= {(version, int(row.split()[1].rsplit(':', 1)[1], 16)) for row in list(f)[1:]}
    return found


class Live:
    """A haspan that reads `sources` and writes OTLP JSON to a file, until it is told to stop"""

    def __init__(self, folder, *sources, name='', words=(), sink=None, threads=2):
        self.out, self.kept = (os.path.join(folder, name + n) for n in ('spans', 'kept'))
        self.said = os.path.join(folder, name + 'said')
        words = ['--threads', str(threads), '--to', sink or 'file:' + self.out, '--rejects', self.kept, *words]
        for source in sources:
            words += ['--from', source]
        self.log = open(self.said, 'wb')
        self.process = subprocess.Popen([lab.HASPAN, *words], env=lab.ENV, stdin=subprocess.DEVNULL, stderr=self.log,
                                        stdout=subprocess.DEVNULL)
        for source in sources:
            until(source, self.is_bound, source)
        # its threads begin when all is open
        until('the start', lambda: len(os.listdir('/proc/%d/task' % self.process.pid)) > 1)

    def is_bound(self, source):
        expect(self.process.poll() is None, 'haspan ended:', self.stderr())
        if source.startswith('unix:'):
            path = source[5:].split('?')[0]
            # a socket of before may stand there: only a living one answers
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
                s.connect(path)
                return True
            return False
        port = int(re.search(r':(\d+)(\?|$)', source)[1])
        return any(p == port for _, p in udp_ports())

    def stderr(self):
        return read(self.said).decode('utf-8', 'replace')

    def pause(self, on=True):
        self.process.send_signal(signal.SIGSTOP if on else signal.SIGCONT)
        if on:
            until('the stop', lambda: open('/proc/%d/stat' % self.process.pid).read().rsplit(')', 1)[1].split()[0] == 'T')

    def stop(self, code=0, told=False):
        """The summary: .drops, .truncated of its sources, .err; both identities are checked"""
        if not told:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise robust.Failure('haspan does not end') from None
        self.log.close()
        err = self.stderr()
        expect(self.process.returncode == code, 'exit', self.process.returncode, err)
        summary = robust.Summary(err)
        summary.err = err
        summary.drops, summary.truncated = (
            sum(int(n) for n in re.findall(r'source=\S+ .*?\b%s=(\d+)' % word, err)) for word in ('kernel_drops', 'truncated'))
        return summary

    def spans(self):
        return robust.check_spans(read(self.out))

    def paths(self):
        """Of each request, in order"""
        return [s['attrs'].get('url.path') for s in self.spans() if s['kind'] == robust.compare.SERVER]

    def kill(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()


@contextlib.contextmanager
def live(folder, *sources, **more):
    h = Live(folder, *sources, **more)
    try:
        yield h
    finally:
        h.kill()


def to_udp(port, host=lab.HOST):
    s = socket.socket(socket.AF_INET6 if ':' in host else socket.AF_INET, socket.SOCK_DGRAM)
    s.connect((host, port))
    return s


def to_unix(path):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    s.connect(path)                 # it waits while the other side's queue is full
    return s


def refused(*words, code, says, n=False):
    p = robust.start('--to', 'null', *(('-n',) if n else ()), *words)
    _, err = p.communicate(timeout=PATIENCE)
    err = err.decode('utf-8', 'replace')
    expect(p.returncode == code and says in err, words, 'exit', p.returncode, err)
    return err


# ---------------------------------------------------------------- what a datagram may be

def everything_at(sources, senders, folder):
    """Odd datagrams between good ones, by each sender: each is one line"""
    rng, sent, wanted = random.Random(5), 0, []
    with live(folder, *sources) as h:
        for send, longest in senders:
            odd = [b'', b'\n', b'\0', b'\0' * 40, b'<134>', b'x' * longest, b'\n' * 100, b'12 <134>x\n', b'0 ', b'<134>\xff\0\n\0']
            odd += [rng.randbytes(rng.randrange(1, 2000)) for _ in range(200)]
            for i, data in enumerate(odd):
                send(data)
                n = 100 + len(wanted)
                send((b'', b'<134>', b'<134>Nov 21 08:15:44 lb1 haproxy[7]: ')[i % 3] + good(n) + (b'\n', b'', b'\0', b'\n\0')[i % 4])
                wanted.append('/%d' % n)
            sent += 2 * len(odd)
        summary = h.stop()
        expect(summary['lines'] + summary.drops == sent, 'sent', sent, summary.err)
        if summary.drops:               # who may not raise the receive buffer has no room for so much at once
            return summary
        expect(summary['requests'] == len(wanted), summary.err)
        expect(sorted(h.paths()) == sorted(wanted), 'not the requests that were sent')
    return summary


@test
def any_datagram_is_one_line_by_udp(folder):
    port = free_port()
    summary = everything_at(['udp://%s:%d' % (lab.HOST, port)], [(to_udp(port).send, 65507)], folder)
    expect(summary.truncated == 0, summary.err)


@test
def any_datagram_is_one_line_by_unix(folder):
    path = os.path.join(folder, 'log')
    everything_at(['unix:' + path], [(lambda data: to_unix(path).send(data), 65536)], folder)


@test
def several_sources_at_once(folder):
    port, other, path = free_port(), free_port(), os.path.join(folder, 'log')
    everything_at(['udp://:%d' % port, 'unix:' + path, 'udp://localhost:%d?rcvbuf=1M' % other],
                  [(to_udp(port).send, 60000), (lambda data: to_unix(path).send(data), 60000), (to_udp(other).send, 60000)], folder)


@test
def the_lines_of_a_file_give_the_same_spans(folder):
    for name in ('raw', 'rfc3164', 'rfc5424', 'iso'):
        path = os.path.join(lab.ROOT, 'samples', 'haproxy-3.2', name + '.log')
        words = ['--timezone', 'UTC', '--capture-request', 'traceparent,host,user-agent']
        robust.run('--to', 'file:' + os.path.join(folder, 'file'), *words, path)
        port = free_port()
        with live(folder, 'udp://127.0.0.1:%d' % port, words=words) as h:
            with to_udp(port) as s:
                for line in pieces(read(path)):
                    s.send(line + b'\n')
            summary = h.stop()
            expect(summary['lines'] == len(pieces(read(path))), name, summary.err)
            wanted, got = ([(s['attrs'], s['start_ns'], s['end_ns'], s['span_id'] if 'span_id' in s else s.get('id')) for s in
                            robust.spans_in(read(p))] for p in (os.path.join(folder, 'file'), h.out))
            expect(got == wanted, name, len(got), 'and', len(wanted), 'spans')


@test
def binary_messages_with_newlines_in_them(folder):
    """CBOR as HAProxy 3.x sends it with +bin: a newline inside is a byte as any other"""
    form = '%{+cbor,+bin}o %(t)tr %(ci)ci %(f)f %(b)b %(s)s %(TR)TR %(Tw)Tw %(Tc)Tc %(Tr)Tr %(Ta)Ta %(st)ST %(B)B %(p)HP'

    def text(s):
        return (bytes([0x60 + len(s)]) if len(s) < 24 else bytes([0x78, len(s)])) + s

    def message(n):
        pairs = [(b't', text(b'21/Nov/2026:08:15:44.900')), (b'ci', text(b'192.0.2.1')), (b'f', text(b'fe')), (b'b', text(b'be')),
                 (b's', text(b's1')), (b'TR', b'\x0a'), (b'Tw', b'\x00'), (b'Tc', b'\x01'), (b'Tr', b'\x02'), (b'Ta', b'\x0d'),
                 (b'st', b'\x18\xc8'), (b'B', b'\x0a'), (b'p', text(b'/%d' % n))]
        return b'\xbf' + b''.join(text(k) + v for k, v in pairs) + b'\xff'

    port = free_port()
    with live(folder, 'udp://127.0.0.1:%d' % port, words=['--format', form]) as h:
        with to_udp(port) as s:
            for n in range(200):
                s.send(message(n) + b'\n')
        summary = h.stop()
        expect(summary['requests'] == 200, summary.err)
        expect(h.paths() == ['/%d' % n for n in range(200)], 'not the requests that were sent')
        expect({s['attrs'].get('haproxy.bytes_read') for s in h.spans() if s['kind'] == robust.compare.SERVER} == {10},
               'a newline inside was lost')


@test
def two_lines_in_one_datagram_are_one_message(folder):
    port = free_port()
    with live(folder, 'udp://127.0.0.1:%d' % port) as h:
        with to_udp(port) as s:
            s.send(good(1) + b'\n' + good(2) + b'\n')
            s.send(good(3) + b'\n')
        summary = h.stop()
        expect(summary['lines'] == 2, summary.err)
        expect('/3' in h.paths(), h.paths())


@test
def what_is_longer_than_a_line_may_be_is_cut_and_counted(folder):
    def server_attributes(h):
        return [s['attrs'] for s in h.spans() if s['kind'] == robust.compare.SERVER]

    path = os.path.join(folder, 'log')
    with live(folder, 'unix:' + path) as h:
        with to_unix(path) as s:
            s.send(good(1)[:-len(b'/1 HTTP/1.1"')] + b'/' + b'x' * 100000 + b' HTTP/1.1"\n')
            s.send(good(2) + b'\n')
        summary = h.stop()
        expect(summary['lines'] == 2 and summary.truncated == 1 and summary['truncated'] == 1, summary.err)
        expect([a.get('haspan.truncated') for a in server_attributes(h)] == [True, None], 'haspan.truncated')
    port = free_port()
    with live(folder, 'udp://127.0.0.1:%d' % port, words=['--max-line', str(len(good(1)))]) as h:
        with to_udp(port) as s:
            for tail in (b'', b'\n', b'\r\n', b'x\n'):
                s.send(good(1) + tail)
            s.send(good(1)[:-10] + b'x' * 30 + b' HTTP/1.1"')
        summary = h.stop()
        expect(summary['requests'] == 5 and summary.truncated == 3, summary.err)
        expect([a.get('haspan.truncated') for a in server_attributes(h)] == [None] * 4 + [True], 'haspan.truncated')


# ---------------------------------------------------------------- addresses

@test
def every_way_to_write_an_address(folder):
    ways = [('udp://127.0.0.1:%d', '127.0.0.1'), ('udp://localhost:%d', '127.0.0.1'), ('udp://*:%d', '127.0.0.1'),
            ('udp://:%d', '127.0.0.1')]
    if socket.has_ipv6 and os.path.exists('/proc/net/if_inet6'):
        ways += [('udp://[::1]:%d', '::1'), ('udp://*:%d', '::1'), ('udp://:%d', '::1'), ('udp://[::]:%d', '::1')]
    for i, (source, host) in enumerate(ways):
        port = free_port()
        with live(folder, source % port) as h:
            with to_udp(port, host) as s:
                s.send(good(i))
            summary = h.stop()
            expect(summary['requests'] == 1 and h.paths() == ['/%d' % i], source, 'from', host, summary.err)


@test
def a_wrong_parameter_is_shown_with_its_place(folder):
    for source, says, column in (
            ('udp://127.0.0.1:5514?rcvbuf=8X', 'expected K, M or G', 'X'), ('udp://127.0.0.1:5514?rcvbuf=', 'expected a value', None),
            ('udp://127.0.0.1:5514?rcvbuf=2G', 'expected 1 to 1G', '2G'), ('udp://127.0.0.1:5514?color=1', 'rcvbuf', 'color'),
            ('udp://127.0.0.1:5514?reuseport=1', 'no value', None), ('udp://127.0.0.1:99999', 'expected a port', '99999'),
            ('udp://127.0.0.1:5514?mode=0600', 'unknown parameter', 'mode'), ('unix:/tmp/x?mode=0999', 'octal', '999'),
            ('unix:/tmp/x?mode=07777', 'octal', None), ('unix:/tmp/x?rcvbuf=8M', 'unknown parameter', 'rcvbuf'),
            ('unix:', 'expected a path', None), ('unix:/' + 'x' * 200, 'expected a path of 1 to 107', None)):
        for n in (False, True):
            err = refused('--from', source, code=2, says=says, n=n).splitlines()
            shown = next(i for i, row in enumerate(err) if row.strip() == '^')
            if column:
                expect(err[shown - 1][err[shown].index('^'):].startswith(column), source, err)


@test
def a_taken_port_is_an_error_and_reuseport_shares_it(folder):
    port = free_port()
    source = 'udp://127.0.0.1:%d' % port
    with live(folder, source, name='a') as h:
        refused('--from', source, code=4, says='something listens there')
        h.stop()
    got, sent = [], 0
    with live(folder, source + '?reuseport', name='a') as a, live(folder, source + '?reuseport', name='b') as b:
        until('the second', lambda: list(udp_ports_twice(port)) == [port, port])
        for k in range(32):                 # the kernel chooses by the sender's port
            with to_udp(port) as s:
                for n in range(50):
                    s.send(good(100 * k + n))
                    sent += 1
        for h in (a, b):
            summary = h.stop()
            expect(summary.drops == 0 and summary['requests'], 'one of two had nothing', summary.err)
            got += h.paths()
    expect(len(got) == sent and len(set(got)) == sent, 'sent', sent, 'received', len(got))


def udp_ports_twice(port):
    with open('/proc/net/udp', encoding='ascii') as f:
        for row in list(f)[1:]:
            if int(row.split()[1].rsplit(':', 1)[1], 16) == port:
                yield port


@test
def a_granted_buffer_that_is_smaller_is_said(folder):
    with open('/proc/sys/net/core/rmem_max', encoding='ascii') as f:
        rmem_max = int(f.read())
    port = free_port()
    with live(folder, 'udp://127.0.0.1:%d?rcvbuf=1G' % port) as h:
        summary = h.stop()
    # root gets all but what an int can't hold
    expect('net.core.rmem_max=1073741824' in summary.err or rmem_max >= 1 << 30 or os.geteuid() == 0, summary.err)
    with live(folder, 'udp://127.0.0.1:%d?rcvbuf=64K' % port) as h:
        expect('rmem_max' not in h.stop().err, 'a small buffer was granted')


# ---------------------------------------------------------------- unix sockets

def is_socket(path):
    return os.path.exists(path) and stat.S_ISSOCK(os.lstat(path).st_mode)


@test
def a_unix_socket_is_there_while_haspan_is(folder):
    path = os.path.join(folder, 'log')
    for query, mode in (('', 0o666), ('?mode=0600', 0o600), ('?mode=660', 0o660)):
        with live(folder, 'unix:' + path + query) as h:
            expect(stat.S_IMODE(os.stat(path).st_mode) == mode, 'mode', oct(os.stat(path).st_mode))
            h.stop()
        expect(not os.path.exists(path), 'the socket was left behind')


@test
def a_stale_socket_is_replaced_and_nothing_else(folder):
    path = os.path.join(folder, 'log')
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(path)
        refused('--from', 'unix:' + path, code=4, says='somebody reads from this socket')
        refused('--from', 'unix:' + path, code=0, says='', n=True)         # it is what runs that reads it
    expect(is_socket(path), 'no stale socket')
    refused('--from', 'unix:' + path, '--to', 'null', code=0, says='', n=True)
    expect(is_socket(path), '-n removed it')
    with live(folder, 'unix:' + path) as h:
        h.kill()                                    # leaves a stale one
    expect(is_socket(path), 'kill -9 leaves no socket?')
    with live(folder, 'unix:' + path) as h:
        with to_unix(path) as s:
            s.send(good(1))
        expect(h.stop()['requests'] == 1, 'nothing came')
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
        s.bind(path)
        s.listen()
        refused('--from', 'unix:' + path, code=4, says='somebody reads from this socket')
    os.unlink(path)
    robust.write(folder, 'log', b'precious')
    refused('--from', 'unix:' + path, code=4, says='no socket')
    refused('--from', 'unix:' + path, code=4, says='no socket', n=True)
    expect(read(path) == b'precious', 'a file was destroyed')
    os.unlink(path)
    os.symlink(os.path.join(folder, 'elsewhere'), path)
    refused('--from', 'unix:' + path, code=4, says='no socket')
    refused('--from', 'unix:' + os.path.join(folder, 'no', 'log'), code=4, says='No such file')


@test
def a_socket_that_somebody_else_put_there_is_left_alone(folder):
    path = os.path.join(folder, 'log')
    with live(folder, 'unix:' + path) as h:
        os.unlink(path)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.bind(path)
            h.stop()
            expect(is_socket(path), 'another\'s socket was removed')


# ---------------------------------------------------------------- nothing is lost without a counter

def pour(s, n, first=0):
    for i in range(n):
        s.send(b'<134>Nov 21 08:15:44 haproxy[7]: ' + good(first + i) + b'\n')


@test
def kernel_drops_are_counted_exactly(folder):
    port, other, at = free_port(), free_port(), free_port()
    source = 'udp://127.0.0.1:%d?rcvbuf=64K' % port
    with live(folder, source, 'udp://127.0.0.1:%d' % other, words=['--listen-metrics', '127.0.0.1:%d' % at]) as h:
        for round_ in range(3):
            h.pause()
            with to_udp(port) as s:
                pour(s, 3000)
            with to_udp(other) as s:
                pour(s, 500)
            h.pause(False)
            with to_udp(other) as s:
                pour(s, 500, 3000 + round_)         # the process lives again when these are read
            until('the warning', lambda: 'the kernel has dropped' in h.stderr())
        text = urllib.request.urlopen('http://127.0.0.1:%d/metrics' % at, timeout=PATIENCE).read().decode()
        scraped = re.search(r'^haspan_source_kernel_drops_total\{source="%s"\} (\d+)$' % re.escape(source), text, re.M)
        summary = h.stop()
        expect(summary.drops > 1000, 'no drops?', summary.err)
        expect(scraped and int(scraped[1]) == summary.drops, 'metrics', scraped, summary.err)
        expect(summary['lines'] + summary.drops == 3 * 4000, 'sent 12000', summary.err)
        expect(summary['requests'] == summary['lines'], summary.err)
        expect('source=udp://127.0.0.1:%d?rcvbuf=64K kernel_drops=%d ' % (port, summary.drops) in summary.err, summary.err)
        expect(summary.err.count('the kernel has dropped') < 4, 'not rate-limited', summary.err)


@test
def what_lay_in_the_sockets_at_sigterm_is_read(folder):
    port, path = free_port(), os.path.join(folder, 'log')
    with live(folder, 'udp://127.0.0.1:%d' % port, 'unix:' + path) as h:
        h.pause()
        with to_udp(port) as s, to_unix(path) as u:
            pour(s, 4000)
            u.setblocking(False)
            waiting = 0
            with contextlib.suppress(BlockingIOError):
                while waiting < 8:
                    pour(u, 1, 5000 + waiting)
                    waiting += 1
        h.process.send_signal(signal.SIGTERM)
        h.pause(False)
        summary = h.stop(told=True)
        expect(summary['requests'] == 4000 + waiting and summary.drops == 0 and waiting, summary.err)
        expect(len(set(h.paths())) == 4000 + waiting, 'not all were exported')


@test
def a_flood_does_not_hold_up_the_end(folder):
    port = free_port()
    with live(folder, 'udp://127.0.0.1:%d' % port, sink='null') as h:
        flood = subprocess.Popen([sys.executable, '-c', 'import socket\ns=socket.socket(2,2)\ns.connect(("127.0.0.1",%d))\n'
                                  'try:\n while 1: s.send(b"x")\nexcept OSError: pass' % port])
        try:
            until('the flood', lambda: os.path.getsize(h.kept) > 1000)
            summary = h.stop()
            expect(summary['rejected'] == summary['lines'] > 0, summary.err)
        finally:
            flood.kill()
            flood.wait()


# ---------------------------------------------------------------- dates

@test
def new_year_and_summer_time(folder):
    """The header of RFC 3164 has neither year nor zone: the message's own date counts, the header's offset where it has one"""
    line = b'192.0.2.1:%d [%s] fe be/s1 1/2/3/4/15 200 68 - - ---- 1/1/0/0/0 0/0 "GET /%d HTTP/1.1"'
    rows = [    # envelope, date, seconds since the epoch in UTC
        (b'<134>Jan  1 00:00:00 lb1 haproxy[7]: ', b'31/Dec/2026:23:59:59.900', 1798757999),
        (b'<134>Dec 31 23:59:59 lb1 haproxy[7]: ', b'01/Jan/2027:00:00:00.100', 1798758000),
        (b'<134>Jan  1 00:00:01 haproxy[7]: ', b'01/Jan/2027:00:00:00.900', 1798758000),
        (b'<134>Mar 29 03:00:01 lb1 haproxy[7]: ', b'29/Mar/2026:01:59:59.900', 1774745999),
        (b'<134>Mar 29 03:00:01 lb1 haproxy[7]: ', b'29/Mar/2026:03:00:00.900', 1774746000),
        (b'<134>1 2026-10-25T02:30:00.000000+02:00 lb1 haproxy 7 - - ', b'25/Oct/2026:02:29:59.900', 1792888199),
        (b'<134>1 2026-10-25T02:30:00.000000+01:00 lb1 haproxy 7 - - ', b'25/Oct/2026:02:29:59.900', 1792891799),
        (b'<134>Oct 25 03:00:01 lb1 haproxy[7]: ', b'25/Oct/2026:03:00:00.900', 1792893600),
    ]
    port = free_port()
    with live(folder, 'udp://127.0.0.1:%d' % port, words=['--timezone', 'Europe/Paris']) as h:
        with to_udp(port) as s:
            for i, (head, date, _) in enumerate(rows):
                s.send(head + line % (1024 + i, date, i) + b'\n')
        summary = h.stop()
        expect(summary['requests'] == len(rows), summary.err)
        got = {s['attrs']['url.path']: s['start_ns'] // 10**9 for s in h.spans() if s['kind'] == robust.compare.SERVER}
        expect(got == {'/%d' % i: row[2] for i, row in enumerate(rows)}, got)


# ---------------------------------------------------------------- a real HAProxy

FORMATS = ('local', 'rfc3164', 'rfc5424', 'priority', 'short', 'timed', 'iso', 'raw')


@test
def every_framing_of_a_real_haproxy(folder):
    port, path = free_port(), os.path.join(folder, 'log')
    text = 'defaults\n    mode http\n    timeout client 5s\n    timeout server 5s\n    timeout connect 5s\n    option httplog\n'
    for form in FORMATS:
        for kind, target in (('udp', '127.0.0.1:%d' % port), ('unix', path)):
            text += ('frontend %s_%s\n    bind 127.0.0.1:{%s_%s}\n    log %s len 8192 format %s local0\n'
                     '    http-request return status 200\n' % (kind, form, kind, form, target, form))
    wanted = []
    with live(folder, 'udp://127.0.0.1:%d' % port, 'unix:' + path) as h, lab.Lab() as l:
        l.start(text)
        for name, at in sorted(l.port.items()):
            for what in ('a', 'x' * 900):
                expect(lab.get(at, '/%s/%s' % (name, what)) == 200, 'HAProxy does not answer')
                wanted.append('/%s/%s' % (name, what))
        l.stop()
        summary = h.stop()
        expect(summary['requests'] == len(wanted) and summary['rejected'] == 0 and summary.drops == 0, summary.err)
        expect(sorted(h.paths()) == sorted(wanted), 'not the requests that were sent')


@test
def the_recipes_of_the_document(folder):
    """doc/syslog-datagrams.md, as it is written but for addresses"""
    for nth, (kind, written) in enumerate((('udp', '127.0.0.1:5514'), ('unix', '/run/haspan/log'))):
        port, path = free_port(), os.path.join(folder, kind)
        text = lab.document('doc/syslog-datagrams.md', 'haproxy', nth)
        source = {'udp': 'udp://127.0.0.1:%d' % port, 'unix': 'unix:' + path}[kind]
        expect('haspan --from %s%s --to' % ('udp://' if kind == 'udp' else 'unix:', written) in
               read(os.path.join(lab.ROOT, 'doc', 'syslog-datagrams.md')).decode(), 'no command for', kind)
        text = text.replace(written, '127.0.0.1:%d' % port if kind == 'udp' else path).replace(':8080', '127.0.0.1:{http}')
        with live(folder, source) as h, lab.Lab() as l:
            l.start('defaults\n    mode http\n    timeout client 5s\n' + text)
            for n in range(5):
                expect(lab.get(l.port['http'], '/%d' % n) == 200, 'HAProxy does not answer')
            l.stop()
            summary = h.stop()
            expect(summary['requests'] == 5 and summary['rejected'] == 0, kind, summary.err)


def admin(l, command):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(l.path('admin'))
        s.sendall(command.encode() + b'\n')
        return b''.join(iter(lambda: s.recv(65536), b'')).decode()


def driven(folder, source, target):
    """HAProxy under wrk, all its requests logged to `target`: what it counted, what haspan counted"""
    text = ('defaults\n    mode http\n    timeout client 30s\n    timeout server 30s\n    timeout connect 5s\n    option httplog\n'
            'frontend f\n    bind 127.0.0.1:{http}\n    log %s len 8192 local0\n    http-request return status 200\n' % target)
    with live(folder, source, sink='null') as h, lab.Lab() as l:
        l.start(text)
        subprocess.run(['wrk', '-t1', '-c50', '-d%d' % SECONDS, 'http://127.0.0.1:%d/some/path?and=query' % l.port['http']],
                       check=True, capture_output=True)

        def settled():
            return re.search(r'^CurrConns: (\d+)', admin(l, 'show info'), re.M)[1] == '0' or None
        with contextlib.suppress(lab.Failure):
            until('the end of the connections', settled)
        info = admin(l, 'show info')
        stats = next(row.split(',') for row in admin(l, 'show stat').splitlines() if row.startswith('f,FRONTEND'))
        requests = int(stats[48])
        missed = int(re.search(r'DroppedLogs: (\d+)', info)[1])
        l.stop()
        summary = h.stop()
    said = '%s: %d requests by HAProxy = %d lines of requests + %d DroppedLogs + %d drops' % (
        source.split(':')[0], requests, summary['requests'], missed, summary.drops)
    expect(requests > 1000 * SECONDS / 4, 'wrk did nothing', said)
    expect(requests == summary['requests'] + missed + summary.drops and summary['rejected'] == 0, said, summary.err)
    print('   ' + said)


@test
def haproxy_under_load_by_udp(folder):
    port = free_port()
    driven(folder, 'udp://127.0.0.1:%d' % port, '127.0.0.1:%d' % port)


@test
def haproxy_under_load_by_unix(folder):
    driven(folder, 'unix:' + os.path.join(folder, 'log'), os.path.join(folder, 'log'))


def main():
    global SECONDS
    if sys.argv[1:2] == ['--seconds']:
        SECONDS = int(sys.argv[2])
        del sys.argv[1:3]
    robust.TESTS[:] = [t for t in robust.TESTS if t.__module__ == __name__]
    return robust.main()


if __name__ == '__main__':
    sys.exit(main())
