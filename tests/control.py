#!/usr/bin/env python3
"""A running haspan is seen and steered: the admin socket, /metrics, signals, new configurations, the service manager.

    tests/control.py [CASE]...          CASE: a part of a test's name

The binary is $HASPAN, or build/haspan. What Prometheus would read is read by its own parsers (PyPI: prometheus-client,
in $HASPAN_CACHE/venv).
"""
import collections
import concurrent.futures
import contextlib
import http.client
import http.server
import json
import os
import re
import select
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import sys
import tempfile
import threading
import time
import traceback

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(ROOT, 'tests'))
import packages                                                         # noqa: E402
from ports import free_port                                              # noqa: E402

packages.need('prometheus_client.openmetrics.parser', 'prometheus-client==0.23.1')
from prometheus_client import openmetrics, parser                       # noqa: E402
import prometheus_client.openmetrics.parser                             # noqa: E402,F401

HASPAN = os.path.abspath(os.path.join(ROOT, os.environ.get('HASPAN') or 'build/haspan'))
ENV = {k: v for k, v in os.environ.items() if k in ('PATH', 'LD_LIBRARY_PATH') or k.endswith('SAN_OPTIONS')}
ENV['TZ'] = 'UTC'
SLOW = 60           # seconds that nothing here needs
LINES = ('requests', 'merged', 'other', 'rejected')
SPANS = ('exported', 'unsampled', 'filtered', 'refused', 'dropped', 'held')
LINE = ('192.0.2.1:%d [21/Nov/2026:08:15:44.%03d] fe be/app 0/0/0/5/5 200 512 - - ---- 7/5/3/2/0 0/0 '
        '"GET /%d HTTP/1.1"\n')
TESTS = []


def test(function):
    TESTS.append(function)
    return function


class Failure(Exception):
    pass


def expect(right, *what):
    if not right:
        raise Failure(' '.join(map(str, what)))


def until(true, *what):
    """Wait until `true()` says something, and return that"""
    end = time.monotonic() + SLOW
    while time.monotonic() < end:
        if (said := true()):
            return said
        time.sleep(0.01)
    raise Failure(' '.join(map(str, ('not within %d s:' % SLOW,) + what)))


def lines(first, n):
    return ''.join(LINE % (1024 + i % 60000, i % 1000, i) for i in range(first, first + n)).encode()


# ---------------------------------------------------------------- haspan

class Haspan:
    """A haspan that reads from a pipe, in a folder of its own, with an admin socket and a port for metrics"""

    def __init__(self, folder, *words, admin=True, metrics=True, env=None, stderr=None):
        self.folder, self.errors = folder, os.path.join(folder, 'err')
        more = (['--admin', 'unix:' + self.path('admin')] if admin else []) + (['--listen-metrics', ':0'] if metrics else [])
        with open(self.errors, 'wb') as err:
            self.process = subprocess.Popen([HASPAN, *words, *more], env=dict(ENV, **(env or {})), stdin=subprocess.PIPE,
                                            stdout=subprocess.DEVNULL, stderr=stderr or err)
        self.address = None
        if metrics:
            said = until(lambda: re.search(r'metrics at http://([\d.]+):(\d+)/metrics', self.said()) or self.ended(),
                         'the port for metrics')
            expect(said is not True, 'it ended:', self.said())
            self.address = said[1], int(said[2])
        elif admin:
            until(lambda: os.path.exists(self.path('admin')) or self.ended(), 'the admin socket')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        with contextlib.suppress(OSError):
            self.process.stdin.close()

    def path(self, name):
        return os.path.join(self.folder, name)

    def said(self):
        with open(self.errors, encoding='utf-8', errors='replace') as f:
            return f.read()

    def ended(self):
        return self.process.poll() is not None

    def write(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def connect(self):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(SLOW)
        s.connect(self.path('admin'))
        return s

    def ask(self, text, end=False):
        with self.connect() as s:
            s.sendall(text.encode())
            if end:
                s.shutdown(socket.SHUT_WR)
            return rest_of(s)

    def info(self):
        return dict(re.findall(r'^(\w+): (.*)$', self.ask('show info\n'), re.M))

    def sink(self, nth=1):
        row = [r for r in self.ask('show sinks\n').splitlines() if r.startswith('%d ' % nth)][0]
        return dict(re.findall(r'(\w+)=(\d+)', row), state=row.split()[1])

    def get(self, path, method='GET', **headers):
        c = http.client.HTTPConnection(*self.address, timeout=SLOW)
        try:
            c.request(method, path, headers=headers)
            r = c.getresponse()
            return r.status, r.read().decode(), dict((k.lower(), v) for k, v in r.getheaders())
        finally:
            c.close()

    def scrape(self):
        status, text, _ = self.get('/metrics')
        expect(status == 200, '/metrics:', status)
        return text

    def reload(self):
        """SIGHUP, and wait for the verdict: True when the new configuration was taken"""
        def counts():
            said = self.said()
            return said.count('the new configuration is taken'), said.count('the old one goes on')
        before = counts()
        self.process.send_signal(signal.SIGHUP)
        until(lambda: counts() != before or self.ended(), 'a verdict on the new configuration')
        return counts()[0] > before[0]

    def finish(self, code=0):
        """End of input; the summary's rows"""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        return self.wait(code)

    def wait(self, code=0):
        try:
            got = self.process.wait(SLOW)
        except subprocess.TimeoutExpired:
            raise Failure('it does not end:', self.said()) from None
        said = self.said()
        expect(got == code, 'exit code', got, said)
        rows = [{k: int(v) for k, v in re.findall(r'(\w+)=(\d+)(?= |$)', row)}
                for row in said.splitlines() if re.match(r'(<6>)?(lines|sink)=', row)]
        expect(rows and rows[-1], 'no summary', said)
        check_rows(rows)
        return rows


def check_rows(rows):
    """Both identities, in the words of the summary"""
    first = rows[0]
    expect(first['lines'] == sum(first[k] for k in LINES), 'lines do not add up', rows)
    for row in rows:
        if 'exported' in row:
            expect(row['spans'] + row['restored'] == sum(row[k] for k in SPANS), 'spans do not add up', rows)


def rest_of(s):
    said = b''
    while (data := s.recv(65536)):
        said += data
    return said.decode()


def spans_in(path):
    """Every span of a file of OTLP JSON lines: {name, attributes, …}"""
    with open(path, encoding='utf-8') as f:
        for line in f:
            for resource in json.loads(line)['resourceSpans']:
                about = {a['key']: a['value'] for a in resource['resource']['attributes']}
                for scope in resource['scopeSpans']:
                    for span in scope['spans']:
                        span['a'] = {a['key']: next(iter(a['value'].values())) for a in span.get('attributes', [])}
                        span['resource'] = {k: next(iter(v.values())) for k, v in about.items()}
                        yield span


def servers(path):
    return [s for s in spans_in(path) if s['kind'] == 2]


# ---------------------------------------------------------------- a collector

class Collector:
    """Takes everything, or hangs; counts requests"""

    def __init__(self):
        self.requests, self.hang, self.bytes = 0, threading.Event(), 0
        self.hang.set()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'

            def do_POST(self):
                outer.bytes += len(self.rfile.read(int(self.headers['Content-Length'])))
                outer.requests += 1
                outer.hang.wait(SLOW)
                self.send_response(200)
                self.send_header('Content-Length', '0')
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.uri = 'http://127.0.0.1:%d' % self.port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.hang.set()
        self.server.shutdown()
        self.server.server_close()


class Taker(http.server.BaseHTTPRequestHandler):
    """Takes everything"""

    def do_POST(self):
        self.rfile.read(int(self.headers['Content-Length']))
        self.send_response(200)
        self.send_header('Content-Length', '0')
        self.end_headers()

    def log_message(self, *_):
        pass


# ---------------------------------------------------------------- the admin socket

@test
def admin_shows_info(folder):
    with Haspan(folder, '--to', 'null', '--threads', '2') as h:
        h.write(lines(0, 100) + b'nonsense\n')
        until(lambda: h.info().get('lines') == '101', 'lines')
        expect('admin socket at %s\n' % h.path('admin') in h.said(), h.said())
        info = h.info()
        expect(int(info['Pid']) == h.process.pid and info['Name'] == 'haspan' and info['Version'], info)
        expect(info['Nbthread'] == '2' and int(info['Formats']) > 0 and info['State'] == 'running', info)
        with open(os.path.join(ROOT, 'formats', 'counters.def'), encoding='utf-8') as f:
            for name in re.findall(r'^COUNTER\((\w+)', f.read(), re.M):
                expect(name in info, name, 'is not shown')
        expect(info['requests'] == '100' and info['rejected'] == '1', info)
        expect(int(info['sink_1_spans']) + int(info['sink_1_restored']) == sum(int(info['sink_1_' + k]) for k in SPANS), info)
        h.finish()


@test
def admin_speaks_as_haproxy(folder):
    with Haspan(folder, '--to', 'null') as h:
        until(lambda: '1 reading -' in h.ask('show sources\n'), 'the source is read')
        said = h.ask('show sources; show sinks\nhelp\n')
        expect(said.count('# id state uri') == 2 and 'set sampling' in said and said.endswith('\n\n'), said)
        expect('1 reading -' in said and '1 sending null' in said, said)
        expect('State: running' in h.ask('show info', end=True), 'a last line without its end')
        said = h.ask('frobnicate now\n')
        expect(said.startswith("Unknown command: 'frobnicate now'. Please enter one of") and 'show info' in said, said)
        expect('Unknown command' in h.ask('show info and more\n') and 'Unknown command' in h.ask('shows info\n'), 'words')
        expect('\x1b' not in h.ask('\x1b[31m\n'), 'it echoes an escape')
        expect(h.ask('\n') == '' and h.ask(';;\n') == '', 'nothing asked')
        expect('too long' in h.ask('x' * 5000), 'a long line')
        expect('haspan_lines_total 0' in h.ask('show metrics\n'), 'metrics')
        h.finish()


@test
def admin_prompts(folder):
    with Haspan(folder, '--to', 'null') as h, h.connect() as s:
        s.sendall(b'prompt\n')
        said = ''
        for command, last in ((b'show info\n', 'Name: haspan'), (b'show sinks\n', '1 sending null')):
            while not said.endswith('> '):
                said += s.recv(65536).decode()
            s.sendall(command)
            said = ''
            while last not in said:
                said += s.recv(65536).decode()
        s.sendall(b'quit\n')
        rest_of(s)
        h.finish()


@test
def admin_holds_out(folder):
    """Silent, slow and many clients; a hundred commands of one that does not read"""
    with Haspan(folder, '--to', 'null') as h:
        silent = [h.connect() for _ in range(12)]
        began = time.monotonic()
        silent[0].sendall(b'show in')
        greedy = h.connect()
        greedy.sendall(b'show metrics;' * 300 + b'\n')
        for _ in range(20):
            expect('Name: haspan' in h.ask('show info\n'), 'others are not served')
        crowd = [h.connect() for _ in range(20)]
        for s in crowd:
            s.sendall(b'show sources\n')
        for s in silent:
            expect(rest_of(s) == '', 'a silent client was answered')
            s.close()
        expect(8 < time.monotonic() - began < 40, 'silent clients left after', time.monotonic() - began)
        for s in crowd:
            expect('1 reading -' in rest_of(s), 'who waits is served later')
            s.close()
        with contextlib.suppress(ConnectionError):
            rest_of(greedy)
        greedy.close()
        h.write(lines(0, 1000))
        expect(h.finish()[0]['lines'] == 1000, 'lines')


@test
def admin_socket_is_private_and_replaced(folder):
    path = os.path.join(folder, 'admin')

    def mode():
        return stat.S_IMODE(os.stat(path).st_mode)

    def refused(words, *expected, code=2):
        done = subprocess.run([HASPAN, '--to', 'null', *words], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              env=ENV, timeout=SLOW)
        expect(done.returncode == code and all(e in done.stderr for e in expected), done.returncode, done.stderr)

    with socket.socket(socket.AF_UNIX) as stale:        # left by who was killed
        stale.bind(path)
    with Haspan(folder, '--to', 'null', metrics=False) as h:
        until(lambda: 'Name' in (h.ask('show info\n') if mode() == 0o600 else ''), 'a new socket')
        refused(['--admin', 'unix:' + path], 'somebody answers', path, code=4)
        expect('Name' in h.ask('show info\n'), 'the socket is still its own')
        h.finish()
    expect(not os.path.exists(path), 'the socket is left behind')
    with Haspan(folder, '--to', 'null', '--admin', 'unix:' + path + '?mode=660', admin=False) as h:
        expect(mode() == 0o660, 'mode', oct(mode()))
        h.finish()
    with open(path, 'w', encoding='utf-8') as f:
        f.write('precious')
    refused(['--admin', 'unix:' + path], 'is no socket', code=3)
    with open(path, encoding='utf-8') as f:
        expect(f.read() == 'precious', 'a file was replaced')
    for wrong in (path, 'unix:', 'unix:' + 'x' * 200, 'unix:' + path + '?mode=9', 'unix:' + path + '?x=1'):
        refused(['--admin', wrong], '--admin', '^')
        refused(['-n', '--admin', wrong], '--admin')
    refused(['--listen-metrics', 'nonsense'], '--listen-metrics')
    refused(['-n', '--listen-metrics', '127.0.0.1:99999'], '--listen-metrics')


@test
def sampling_is_set(folder):
    out = os.path.join(folder, 'out')
    with Haspan(folder, '--to', 'file:' + out) as h:
        def send(first):
            h.write(lines(first, 1000))
            until(lambda: h.info()['lines'] == str(first + 1000), 'lines')

        send(0)
        expect(h.ask('set sampling 10%\n') == '\n' and h.info()['Sampling'] == '10%', 'sampling')
        send(1000)
        h.ask('set sampling off\n')
        send(2000)
        h.reload()
        expect(h.info()['Sampling'] == 'off', 'a new configuration keeps what was set')
        send(3000)
        h.ask('set sampling default\n')
        send(4000)
        for wrong in ('set sampling', 'set sampling 101%', 'set sampling -1%', 'set sampling 10', 'set sampling 1e1%',
                      'set sampling nan%', 'set sampling %'):
            expect('Expected' in h.ask(wrong + '\n'), wrong)
        expect(h.info()['Sampling'] == 'default', 'a wrong value changes nothing')
        row = h.finish()[-1]
    left = collections.Counter(int(s['a']['url.path'][1:]) // 1000 for s in servers(out))
    expect(left[0] == 1000 and left[4] == 1000 and left[2] == left[3] == 0 and 50 < left[1] < 160, left)
    expect(row['unsampled'] + row['exported'] == row['spans'], row)
    for span in servers(out):
        if 1000 <= int(span['a']['url.path'][1:]) < 2000:
            expect(int(span['traceId'][18:], 16) > 0.8999 * 2**56, 'not by the trace id:', span['traceId'])


@test
def source_is_disabled(folder):
    with Haspan(folder, '--to', 'null', '--threads', '2') as h:
        h.write(lines(0, 10))
        until(lambda: h.info()['lines'] == '10', 'lines')
        h.ask('disable source 1\n')
        expect('1 disabled -' in h.ask('show sources\n'), h.ask('show sources\n'))
        h.write(lines(10, 10))
        time.sleep(0.5)         # what would be read is read by then
        expect(h.info()['lines'] == '10', 'it is read')
        h.ask('enable source -\n')
        until(lambda: h.info()['lines'] == '20', 'lines after it was enabled')
        for wrong in ('0', '2', 'x', '', '99999999999999999999'):
            expect('No such source' in h.ask('disable source %s\n' % wrong), wrong)
        h.ask('disable source 1\n')
        h.write(lines(20, 10))
        h.process.send_signal(signal.SIGTERM)
        h.wait()


@test
def sink_is_disabled(folder):
    out = os.path.join(folder, 'out')
    with Collector() as collector, Haspan(folder, '--to', collector.uri, '--to', 'null') as h:
        h.write(lines(0, 100))
        until(lambda: h.sink()['exported'] == '300', 'spans exported')
        h.ask('disable sink 1\n')
        time.sleep(0.3)
        asked = collector.requests
        h.write(lines(100, 100))
        until(lambda: h.sink(2)['exported'] == '600', 'the other sink goes on')
        expect(h.sink()['held'] == '300' and h.sink()['state'] == 'disabled' and collector.requests == asked, h.sink())
        expect('haspan_sink_enabled{sink="%s"} 0' % h.info()['sink_1'] in h.scrape(), 'sink_enabled')
        h.ask('enable sink %s\n' % h.info()['sink_1'])
        until(lambda: h.sink()['exported'] == '600', 'spans exported after it was enabled')
        h.ask('disable sink 1\n')
        h.write(lines(200, 100))
        until(lambda: h.sink()['held'] == '300', 'held')
        h.process.send_signal(signal.SIGTERM)
        expect(h.wait()[1]['exported'] == 900, 'a stop sends what a disabled sink holds')
    with Haspan(folder, '--to', 'file:' + out) as h:        # what can hold nothing lets the input wait
        h.write(lines(0, 10))
        until(lambda: h.sink()['exported'] == '30', 'spans')
        h.ask('disable sink 1\n')
        for _ in range(3):
            h.write(lines(10, 10))
            time.sleep(0.2)
        expect(h.sink()['exported'] == '30', 'it is written')
        h.ask('enable sink 1\n')
        expect(h.finish()[0]['exported'] == 120, 'all is written')
    expect(len(servers(out)) == 40, 'spans in the file')


@test
def live_ends_are_shown(folder):
    """What is read and where it goes is said at start; show sources has numbers; ends go by the names they were given"""
    port, path = free_port(), os.path.join(folder, 'none.log')
    udp, unix, follow = 'udp://127.0.0.1:%d' % port, 'unix:' + os.path.join(folder, 'log'), 'follow:' + path
    with Collector() as collector:
        words = [w for uri in (udp, unix, follow) for w in ('--from', uri)] + ['--to', collector.uri]
        with Haspan(folder, *words, '--state', os.path.join(folder, 'state')) as h:
            for said in ('listens on ' + udp, 'listens on ' + unix, 'reads ' + follow, 'sends to %s/v1/traces' % collector.uri,
                         'warning: %s: there is no such file yet' % follow):
                until(lambda said=said: said in h.said(), said)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
                s.sendto(b'<134>Nov 21 08:15:44 haproxy[1]: ' + lines(0, 1), ('127.0.0.1', port))
            until(lambda: h.sink()['exported'] == '3', 'spans')
            rows = [r.split() for r in h.ask('show sources\n').splitlines() if r[:1].isdigit()]
            expect([r[2] for r in rows] == [udp, unix, follow], rows)
            expect(all(any(re.fullmatch(r'bytes_total=\d+', w) for w in r[3:]) for r in rows), 'no numbers:', rows)
            expect('bytes_total=0' not in rows[0], rows[0])
            mean = re.search(r' latency_seconds_mean=(\S+)', h.ask('show sinks\n'))
            expect(0 < float(mean[1]) < SLOW, 'this is no mean in seconds:', mean[0])
            h.ask('disable sink %s; disable source %s\n' % (collector.uri, udp))
            expect(h.sink()['state'] == 'disabled' and '1 disabled ' in h.ask('show sources\n'), 'by their given names')
            done = subprocess.run([HASPAN, '-n', *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, env=ENV,
                                  timeout=SLOW)
            expect(done.returncode == 0 and 'is valid' in done.stdout, 'what runs is in the way of -n', done)
            done = subprocess.run([HASPAN, '--to', 'null', '--listen-metrics', str(h.address[1])], stdin=subprocess.DEVNULL,
                                  capture_output=True, text=True, env=ENV, timeout=SLOW)
            expect(done.returncode == 4 and 'cannot listen' in done.stderr, 'a port that is taken', done)
            h.process.send_signal(signal.SIGTERM)
            h.wait()


@test
def lines_not_understood_are_said(folder):
    """While it runs: the first at once, masked; then once a minute"""
    port = free_port()
    with Haspan(folder, '--from', 'udp://127.0.0.1:%d' % port, '--to', 'null') as h, \
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.sendto(b'<134>Nov 21 08:15:44 haproxy[1]: ' + lines(0, 1), ('127.0.0.1', port))
        s.sendto(b'<134>haproxy: some\x1b[31mjunk ' + b'x' * 500, ('127.0.0.1', port))
        until(lambda: 'not understood' in h.said(), 'a warning')
        said = re.search(r'warning: 1 of 2 lines so far were not understood.*', h.said())
        expect(said and 'junk' in said[0] and '\x1b' not in h.said() and len(said[0]) < 250, h.said())
        for _ in range(3):
            s.sendto(b'more junk', ('127.0.0.1', port))
            time.sleep(0.3)
        until(lambda: h.info()['rejected'] == '4', 'rejects')
        time.sleep(0.6)         # the main loop turns
        expect(h.said().count('not understood') == 1, h.said())
        h.process.send_signal(signal.SIGTERM)
        h.wait()


@test
def outage_is_seen(folder):
    """A sink that is tried in vain says so, until it is taken"""
    port = free_port()
    with Haspan(folder, '--to', 'http://127.0.0.1:%d' % port) as h:
        h.write(lines(0, 1))
        until(lambda: h.sink()['state'] == 'retrying', 'retrying:', h.ask('show sinks\n'))
        expect(re.search(r'haspan_sink_retrying\{.*\} 1\n', h.scrape()), h.scrape())
        until(lambda: 'spans are held' in h.said(), 'a warning')
        expect(re.search(r'3 spans are held \((\d+ bytes|\d\.\d KB)\); trying again', h.said()), h.said())
        with http.server.HTTPServer(('127.0.0.1', port), Taker) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            until(lambda: h.sink()['exported'] == '3', 'exported')
            expect(h.sink()['state'] == 'sending', h.ask('show sinks\n'))
            h.finish()
            server.shutdown()


# ---------------------------------------------------------------- metrics

def families(text):
    return list(parser.text_string_to_metric_families(text))


def samples(text):
    """{(name, sink): value} by Prometheus' own parser; every sample once"""
    found = {}
    for family in families(text):
        for s in family.samples:
            key = (s.name,) + tuple(sorted(s.labels.items()))
            expect(key not in found, 'twice:', key)
            found[key] = s.value
    return found


def check_identity(text):
    """Both identities, by plain reading: it is done thousands of times"""
    found = {m[1] + (m[2] or ''): int(m[3]) for m in re.finditer(r'^haspan_(\w+)(\{sink=".*"\})? (\d+)$', text, re.M)}
    expect(found['lines_total'] == sum(found[k + '_total'] for k in LINES), 'lines do not add up', found)
    sinks = [k[len('sink_spans_total'):] for k in found if k.startswith('sink_spans_total{')]
    for sink in sinks:
        right = sum(found['sink_%s%s%s' % (k, '' if k == 'held' else '_total', sink)] for k in SPANS)
        expect(found['sink_spans_total' + sink] + found['sink_restored_total' + sink] == right, sink, found)
    return found, sinks


@test
def metrics_are_prometheus(folder):
    out = os.path.join(folder, 'a "quoted" \\ one\té')
    with Haspan(folder, '--to', 'file:' + out, '--to', 'null', '--to', 'null') as h:
        h.write(lines(0, 100) + b'nonsense\n')
        until(lambda: h.info().get('lines') == '101', 'lines')
        status, text, headers = h.get('/metrics')
        expect(status == 200 and headers['content-type'].startswith('text/plain; version=0.0.4'), headers)
        found = samples(text)
        expect(found[('haspan_lines_total',)] == 101 and found[('haspan_rejected_total',)] == 1, found)
        names = {dict(k[1:])['sink'] for k in found if k[0] == 'haspan_sink_exported_total'}
        expect(names == {'file:' + out.replace('\t', '?'), 'null', 'null #2'}, names)
        for family in families(text):
            expect(family.documentation and family.type in ('counter', 'gauge', 'histogram'), family)
        status, text, headers = h.get('/metrics', Accept='application/openmetrics-text; version=1.0.0,*/*;q=0.1')
        expect(headers['content-type'].startswith('application/openmetrics-text; version=1.0.0'), headers)
        strict = list(openmetrics.parser.text_string_to_metric_families(text))
        expect({f.name for f in strict} >= {'haspan_lines', 'haspan_sink_exported', 'haspan_sink_held'}, strict)
        expect(h.get('/metrics', 'HEAD')[0:2] == (200, '') and h.get('/x')[0] == 404, 'HEAD, or another path')
        status, _, headers = h.get('/metrics', 'POST')
        expect(status == 405 and headers['allow'] == 'GET, HEAD', status, headers)
        expect(h.get('/healthz')[0:2] == (200, 'alive\n') and h.get('/readyz')[0:2] == (200, 'ready\n'), 'health')
        h.finish()


@test
def histograms_are_prometheus(folder):
    """Where a sink has some: buckets grow, the last is the count"""
    with Collector() as collector, Haspan(folder, '--to', collector.uri) as h:
        h.write(lines(0, 1000))
        until(lambda: h.sink()['exported'] == '3000', 'exported')
        found = families(h.scrape())
        for family in (f for f in found if f.type == 'histogram'):
            buckets = [s for s in family.samples if s.name.endswith('_bucket')]
            bounds = [float(s.labels['le']) for s in buckets]
            expect(bounds == sorted(set(bounds)) and bounds[-1] == float('inf') and bounds[0] > 0, family.name, bounds)
            expect(len(bounds) <= 13, family.name, 'has', len(bounds), 'buckets')
            if family.name.endswith('_seconds'):
                expect(bounds[0] == 0.001 and bounds[-2] == 10, 'bounds are no seconds', bounds)
            values = [s.value for s in buckets]
            count = [s.value for s in family.samples if s.name.endswith('_count')]
            expect(values == sorted(values) and count == [values[-1]] and values[-1] > 0, family.name, values, count)
        h.finish()


@test
def identity_holds_at_every_scrape(folder):
    """Thousands of scrapes while lines flow into four sinks, one of which answers late"""
    wanted, scrapes, over = 2000, [0], threading.Event()
    with Collector() as collector, \
            Haspan(folder, '--to', collector.uri, '--to', 'null', '--to', 'file:' + os.path.join(folder, 'out'),
                   '--to', 'null', '--threads', '3', '--buffer-max', '1M') as h:
        def feed():
            n = 0
            while not over.is_set():
                h.write(lines(n, 500) + b'nonsense\n')
                n += 500

        def stutter():
            while not over.is_set():
                collector.hang.clear()
                time.sleep(0.02)
                collector.hang.set()
                time.sleep(0.05)

        threads = [threading.Thread(target=t, daemon=True) for t in (feed, stutter)]
        for t in threads:
            t.start()
        c, before, held = http.client.HTTPConnection(*h.address, timeout=SLOW), {}, 0
        try:
            while scrapes[0] < wanted:
                c.request('GET', '/metrics')
                found, sinks = check_identity(c.getresponse().read().decode())
                expect(len(sinks) == 4, sinks)
                expect(all(v >= before.get(k, 0) for k, v in found.items() if '_total' in k), 'a counter fell')
                before, scrapes[0] = found, scrapes[0] + 1
                held += any(v for k, v in found.items() if k.startswith('sink_held'))
        finally:
            over.set()
            collector.hang.set()
        for t in threads:
            t.join()
        expect(before['lines_total'] > 1000 and held > 100, 'nothing flowed:', before['lines_total'], held)
        h.finish()


@test
def ready_and_alive(folder):
    with Collector() as collector, Haspan(folder, '--to', collector.uri, '--drain-timeout', '60s') as h:
        collector.hang.clear()
        h.write(lines(0, 10))
        until(lambda: collector.requests, 'a request')
        expect(h.get('/readyz')[0] == 200, 'ready')
        h.process.send_signal(signal.SIGTERM)
        until(lambda: h.get('/readyz')[0] == 503, 'not ready while stopping')
        expect(h.get('/healthz')[0] == 200 and h.info()['State'] == 'stopping', 'alive while stopping')
        check_identity(h.scrape())
        collector.hang.set()
        expect(h.wait()[0]['exported'] == 30, 'drained')


@test
def metrics_port_holds_out(folder):
    with Haspan(folder, '--to', 'null') as h:
        idle = []
        for i in range(20):
            s = socket.create_connection(h.address)
            s.sendall((b'', b'GET /metr', b'GET /metrics HTTP/1.1\r\nX: ', b'\x16\x03\x01\x02garbage')[i % 4])
            idle.append(s)
        for _ in range(50):
            check_identity(h.scrape())
        with socket.create_connection(h.address) as s:
            s.sendall(b'GET /metrics HTTP/1.1\r\nHost: x\r\nX: ' + b'y' * 100000 + b'\r\n\r\n')
            with contextlib.suppress(ConnectionError):
                expect(b'200 OK' not in s.recv(100), 'a huge request')
        expect(h.get('/healthz')[0] == 200, 'alive')
        for s in idle:
            s.close()
        h.finish()


@test
def metrics_port_is_never_full(folder):
    """More clients than there are places, each with a request that goes on for ever: probes are answered"""
    with Haspan(folder, '--to', 'null') as h:
        slow = [socket.create_connection(h.address) for _ in range(100)]
        for turn in range(5):
            for s in slow:
                with contextlib.suppress(OSError):
                    s.sendall(b'a' if turn else b'GET /metrics HTTP/1.1\r\nX: ')
            for path in ('/healthz', '/readyz', '/metrics'):
                expect(h.get(path)[0] == 200, path)
        gone = select.select(slow, [], [], 0)[0]
        expect(60 <= len(gone) < 90, 'of 100 slow ones have gone', len(gone))
        for s in slow:
            s.close()
        h.finish()


@test
def samples_are_told_apart(folder):
    """Sources whose URIs begin alike as far as they are shown, and one that looks like another's second"""
    deep = os.path.join(folder, *['x' * 200] * 4)
    os.makedirs(deep)
    paths = [os.path.join(deep, n) for n in ('one', 'two')] + [os.path.join(folder, n) for n in ('a', 'a', 'a #2')]
    for path in paths:
        open(path, 'w', encoding='ascii').close()
    words = [w for path in paths for w in ('--from', 'follow:' + path)]
    with Haspan(folder, *words, '--to', 'null', metrics=True) as h:
        rows = [r.rsplit(' ', 1)[0] for r in h.scrape().splitlines() if r.startswith('haspan_source_bytes_total{')]
        expect(len(rows) == len(set(rows)) == len(paths), rows)
        h.process.send_signal(signal.SIGTERM)
        h.wait()


@test
def a_pattern_that_takes_too_long_is_counted(folder):
    with Haspan(folder, '--format', r're:\[(?<tr>[^]]+)\] (?<Ta>\d+) (?<HM>(\w+\s?)+)!', '--to', 'null') as h:
        h.write(b''.join(b'[21/Nov/2026:08:15:44.000] 5 %s\n' % text for text in (b'a' * 60 + b'!?', b'b' * 60 + b'!!', b'fine!')))
        until(lambda: h.info()['lines'] == '3', 'lines')
        expect(samples(h.scrape())[('haspan_patterns_stopped_total',)] == 2, h.scrape())
        expect(h.said().count('a regular expression takes too many steps') == 1, h.said())
        expect(h.info()['rejected'] == '2', h.info())
        h.finish()


# ---------------------------------------------------------------- a new configuration

FORMAT = 'format %%HP c=%%ci:%%cp t=%%[accept_date(us)] Ta=%%Ta %%TR/%%Tw/%%Tc/%%Tr/%%Td st=%%ST ts=%%ts x=%%[var(txn.x)]\nmap var(txn.x)=app.%s\n'


def plain_lines(first, n):
    return ''.join('/%d c=192.0.2.1:1 t=1795248948%06d Ta=5 0/0/0/5/0 st=200 ts=-- x=v%d\n' % (i, i % 1000000, i)
                   for i in range(first, first + n)).encode()


def write(path, text):
    """As an editor does: at once"""
    with open(path + '.new', 'w', encoding='utf-8') as f:
        f.write(text)
    os.rename(path + '.new', path)


@test
def bad_configuration_changes_nothing(folder):
    conf, out = os.path.join(folder, 'conf'), os.path.join(folder, 'out')
    write(conf, FORMAT % 'one')
    with Haspan(folder, '--config', conf, '--to', 'file:' + out) as h:
        h.write(plain_lines(0, 10))
        until(lambda: h.info()['lines'] == '10', 'lines')
        for bad, said in (('frobnicate yes\n', 'conf:1:1: no such option'), ('format %HP %[\n', 'conf:1'),
                          ('phases some\n' + FORMAT % 'two', 'conf:1'), ('haproxy-cfg /nonexistent\n', '/nonexistent'),
                          (FORMAT % 'two' + 'rejects /nonexistent/file\n', '/nonexistent/file')):
            write(conf, bad)
            expect(not h.reload(), 'it was taken:', bad)
            expect(said in h.said(), 'it does not say', said, ':', h.said())
        os.unlink(conf)
        expect(not h.reload(), 'without its file')
        info = h.info()
        expect(info['Reloads'] == '0' and info['Reloads_failed'] == '6' and info['State'] == 'running', info)
        h.write(plain_lines(10, 10))
        row = h.finish()[0]
    expect(row['requests'] == 20 and row['rejected'] == 0, row)
    expect([s['a'].get('app.one') for s in servers(out)] == ['v%d' % i for i in range(20)], 'the old format')


@test
def new_configuration_is_taken(folder):
    conf, out, rejects = (os.path.join(folder, name) for name in ('conf', 'out', 'rejects'))
    write(conf, FORMAT % 'one' + 'rejects %s\nservice-name first\nthreads 3\n' % rejects)
    with Haspan(folder, '--config', conf, '--to', 'file:' + out) as h:
        h.write(plain_lines(0, 10) + b'bad 1\n')
        until(lambda: h.info()['lines'] == '11', 'lines')
        os.rename(rejects, rejects + '.1')
        write(conf, FORMAT % 'two' + 'rejects %s\nservice-name second\nphases all\nthreads 1\n' % rejects)
        expect(h.reload(), 'it is taken', h.said())
        expect('--threads changed: that needs a restart' in h.said(), h.said())
        h.write(plain_lines(10, 10) + b'bad 2\n')
        until(lambda: h.info()['lines'] == '22', 'lines')
        expect(h.info()['Reloads'] == '1', h.info())
        write(conf, FORMAT % 'two' + 'timezone Europe/Paris\nsampler always_off\n')
        expect(h.reload(), 'it is taken', h.said())
        h.write(plain_lines(20, 10))
        row = h.finish()[0]
    expect(row['requests'] == 30 and row['rejected'] == 2, row)
    found = servers(out)
    expect([s['a'].get('app.one') for s in found[:10]] == ['v%d' % i for i in range(10)], 'the old format')
    expect([s['a'].get('app.two') for s in found[10:]] == ['v%d' % i for i in range(10, 20)], 'the new one')
    expect({s['resource']['service.name'] for s in found[:10]} == {'first'} and
           {s['resource']['service.name'] for s in found[10:]} == {'second'}, 'the resource')
    for path, kept in ((rejects + '.1', 'bad 1\n'), (rejects, 'bad 2\n')):
        with open(path, encoding='utf-8') as f:
            expect(f.read() == kept, path)


@test
def reloads_under_load(folder):
    """50 of them, good and bad, while lines flow: each line once, by the old format or by the new one"""
    conf, out, total = os.path.join(folder, 'conf'), os.path.join(folder, 'out'), [0]
    good = FORMAT % 'one', FORMAT % 'two', FORMAT % 'two' + 'max-open 77\n', FORMAT % 'one' + 'timezone Asia/Tokyo\n'
    over = threading.Event()
    write(conf, good[0])
    with Collector() as collector, \
            Haspan(folder, '--config', conf, '--to', 'file:' + out, '--to', collector.uri, '--threads', '3') as h:
        def feed():
            while not over.is_set():
                h.write(plain_lines(total[0], 100))
                total[0] += 100
                time.sleep(0.005)

        feeder = threading.Thread(target=feed, daemon=True)
        feeder.start()
        try:
            for i in range(50):
                bad = i % 5 == 4
                write(conf, 'nonsense\n' if bad else good[i % 4])
                expect(h.reload() != bad, 'the verdict on configuration', i, h.said()[-1000:])
        finally:
            over.set()
        feeder.join()
        rows = h.finish()
    expect(rows[0]['requests'] == total[0] and rows[0]['rejected'] == 0, rows, total)
    expect(rows[1]['exported'] == rows[2]['exported'] == rows[1]['spans'], rows)
    found = servers(out)
    seen = collections.Counter(s['a']['url.path'] for s in found)
    expect(len(seen) == total[0] and set(seen.values()) == {1}, len(seen), 'of', total[0], 'lines,', len(found), 'requests')
    ways = collections.Counter()
    for s in found:
        n = s['a']['url.path'][1:]
        way = tuple(k for k in ('app.one', 'app.two') if s['a'].get(k) == 'v' + n)
        expect(len(way) == 1, 'read in no way:', s['a'])
        ways[way[0]] += 1
    expect(len(ways) == 2 and total[0] > 1000, ways, total)


@test
def signals_in_a_storm(folder):
    """SIGHUP and SIGUSR1 faster than they can be served; then SIGTERM in the middle of it"""
    conf = os.path.join(folder, 'conf')
    write(conf, FORMAT % 'one')
    with Haspan(folder, '--config', conf, '--to', 'null') as h:
        for i in range(200):
            h.process.send_signal((signal.SIGHUP, signal.SIGUSR1)[i % 2])
            h.write(plain_lines(i * 10, 10))
        until(lambda: h.info()['lines'] == '2000', 'lines')
        h.process.send_signal(signal.SIGHUP)
        h.process.send_signal(signal.SIGTERM)
        rows = h.wait()
        # signals that nobody has taken yet are one
        expect(rows[-1]['requests'] == 2000 and len(rows) > 1, rows[-1])


@test
def open_requests_survive(folder):
    """A request with several lines of which some come before, some after a new configuration"""
    with open(os.path.join(ROOT, 'samples/steps/text/args'), encoding='utf-8') as f:
        args = f.read().split('\n')
    with open(os.path.join(ROOT, 'samples/steps/text/input.log'), 'rb') as f:
        log = f.read().splitlines(True)
    out = os.path.join(folder, 'out')
    whole = subprocess.run([HASPAN, *[a for a in args if a], '--to', '-'], input=b''.join(log), capture_output=True, env=ENV)
    with open(os.path.join(folder, 'whole'), 'wb') as f:
        f.write(whole.stdout)
    with Haspan(folder, *[a for a in args if a], '--to', 'file:' + out) as h:
        for n, line in enumerate(log):
            h.write(line)
            until(lambda n=n: h.info()['lines'] == str(n + 1), 'lines')
            expect(h.reload(), 'reload', n)
        row = h.finish()[0]
    expect(row['requests'] == 2 and row['merged'] == 7, row)

    def essence(path):
        return sorted((s['traceId'], s['spanId'], s['name'], s['startTimeUnixNano'], s['endTimeUnixNano'])
                      for s in spans_in(path))
    expect(essence(out) == essence(os.path.join(folder, 'whole')), 'the spans differ')


@test
def reload_reaches_a_sink_that_waits(folder):
    """The collector takes nothing, all workers wait: a new configuration waits too, and the main loop turns"""
    with Collector() as collector, Haspan(folder, '--to', collector.uri, '--buffer-max', '10K', '--timeout', '0') as h:
        collector.hang.clear()
        n = 0

        def feed():
            with contextlib.suppress(OSError):
                h.write(lines(0, 20000))

        feeder = threading.Thread(target=feed, daemon=True)
        feeder.start()
        until(lambda: collector.requests and int(h.sink()['held']), 'a request')
        h.process.send_signal(signal.SIGHUP)
        until(lambda: h.info()['State'] == 'reloading' or h.info()['Reloads'] == '1', 'reloading')
        expect(h.get('/healthz')[0] == 200, 'alive')
        check_identity(h.scrape())
        collector.hang.set()
        until(lambda: h.info()['Reloads'] == '1' and h.info()['State'] == 'running', 'reloaded')
        feeder.join()
        row = h.finish()[0]
        expect(row['requests'] == 20000 and row['exported'] == 60000, row, n)


def certificate(folder, name):
    """A self-signed one in cert and key; what it is in DER"""
    for kind in ('cert', 'key'):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(folder, kind))
    subprocess.run(['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=' + name,
                    '-keyout', os.path.join(folder, 'key'), '-out', os.path.join(folder, 'cert')], check=True,
                   capture_output=True)
    with open(os.path.join(folder, 'cert'), encoding='ascii') as f:
        return ssl.PEM_cert_to_DER_cert(f.read())


@test
def certificates_are_swapped(folder):
    """tls://: who is connected goes on, who comes meets the new one; a bad one changes nothing"""
    first, port = certificate(folder, 'first'), free_port()
    uri = 'tls://127.0.0.1:%d?cert=%s/cert&key=%s/key' % (port, folder, folder)

    def connect():
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context.wrap_socket(socket.create_connection(('127.0.0.1', port), timeout=SLOW))

    with Haspan(folder, '--from', uri, '--to', 'null', '--spool', os.path.join(folder, 'spool'), '--state',
                os.path.join(folder, 'state')) as h:
        with connect() as old:
            expect(old.getpeercert(True) == first, 'the first certificate')
            old.sendall(lines(0, 100))
            until(lambda: h.info()['lines'] == '100', 'lines')
            os.rename(os.path.join(folder, 'key'), os.path.join(folder, 'hidden'))
            expect(not h.reload(), 'without a key', h.said())
            with connect() as s:
                expect(s.getpeercert(True) == first, 'still the first certificate')
            second = certificate(folder, 'second')
            expect(h.reload(), 'reload', h.said())
            with connect() as new:
                expect(new.getpeercert(True) == second, 'the second certificate')
                new.sendall(lines(100, 100))
                old.sendall(lines(200, 100))
                until(lambda: h.info()['lines'] == '300', 'lines of both')
        h.process.send_signal(signal.SIGTERM)
        expect(h.wait()[0]['requests'] == 300, 'requests')


@test
def sinks_get_new_headers(folder):
    """What the user mends when a collector wants another token; with a spool, whose folder the old configuration named"""
    conf, seen = os.path.join(folder, 'conf'), []
    with Collector() as collector:
        take = collector.server.RequestHandlerClass.do_POST

        def note(handler):
            seen.append(handler.headers['X-Token'])
            take(handler)
        collector.server.RequestHandlerClass.do_POST = note
        common = 'to %s\nspool %s/spool\nstate %s/state\n' % (collector.uri, folder, folder)
        write(conf, common + 'header X-Token: one\n')
        with Haspan(folder, '--config', conf) as h:
            for i, token in enumerate(('one', 'two', 'three')):
                if i:
                    write(conf, common + 'header X-Token: %s\n' % token)
                    expect(h.reload(), 'reload', h.said())
                h.write(lines(100 * i, 100))
                until(lambda i=i: h.sink()['exported'] == str(300 * (i + 1)), 'exported')
                expect(seen[-1] == token, seen)
            h.finish()


# ---------------------------------------------------------------- the service manager, and the journal

class Manager:
    """What systemd does: a datagram socket"""

    def __init__(self, folder, abstract=False):
        name = '\0haspan-test-%d' % os.getpid() if abstract else os.path.join(folder, 'notify')
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(name)
        self.env = {'NOTIFY_SOCKET': name.replace('\0', '@')}
        self.heard = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def hear(self, word):
        """Wait for a message with this word; the message"""
        def look():
            while select.select([self.socket], [], [], 0)[0]:
                self.heard.append((time.monotonic(), self.socket.recv(4096).decode()))
            return next((m for _, m in self.heard if word in m.split('\n') or word in m), None)
        return until(look, word, 'in', self.heard)


@test
def service_manager_is_told(folder):
    with Manager(folder) as manager, Haspan(folder, '--to', 'null', env=dict(manager.env, WATCHDOG_USEC='400000')) as h:
        manager.hear('READY=1')
        expect(manager.heard[0][1] == 'READY=1', 'it comes first', manager.heard)
        manager.hear('STATUS=')
        manager.hear('WATCHDOG=1')
        manager.heard.clear()
        until(lambda: manager.hear('WATCHDOG=1') and len([m for m in manager.heard if 'WATCHDOG' in m[1]]) >= 5, 'watchdog')
        times = [t for t, m in manager.heard if 'WATCHDOG' in m]
        expect(sum(b - a < 0.39 for a, b in zip(times, times[1:])) >= 3, 'not in time', times)
        manager.heard.clear()
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        h.process.send_signal(signal.SIGHUP)
        said = manager.hear('RELOADING=1')
        when = int(re.search(r'^MONOTONIC_USEC=(\d+)$', said, re.M)[1])
        expect(before <= when <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000, 'MONOTONIC_USEC', before, when)
        manager.hear('READY=1')
        order = [m for _, m in manager.heard if 'RELOADING' in m or 'READY' in m]
        expect(order[-1] == 'READY=1' and 'RELOADING' in order[0], order)
        with open('/proc/%d/environ' % h.process.pid, 'rb') as f:
            expect(b'NOTIFY_SOCKET' in f.read(), 'the test sets it')
        h.process.send_signal(signal.SIGTERM)
        manager.hear('STOPPING=1')
        h.wait()
    with Manager(folder + '/..', abstract=True) as manager:
        with Haspan(folder, '--to', 'null', env=dict(manager.env, WATCHDOG_USEC='200000', WATCHDOG_PID='1')) as h:
            manager.hear('READY=1')
            time.sleep(0.5)
            h.finish()
            while select.select([manager.socket], [], [], 0)[0]:
                manager.heard.append((0, manager.socket.recv(4096).decode()))
            expect(not any('WATCHDOG' in m for _, m in manager.heard), 'the watchdog is for another process')


@test
def journal_gets_priorities(folder):
    conf = os.path.join(folder, 'conf')
    path = os.path.join(folder, 'err')
    for mine in (True, False):
        write(conf, '')
        with open(path, 'wb') as err:
            st = os.fstat(err.fileno())
            stream = '%d:%d' % (st.st_dev, st.st_ino + (not mine))
            with Haspan(folder, '--config', conf, '--to', 'null', '--to', 'null', stderr=err,
                        env={'JOURNAL_STREAM': stream}) as h:
                write(conf, 'phases some\n')
                expect(not h.reload(), 'taken')
                h.finish()
                said = h.said().splitlines()
        levels = {line[:3] for line in said}
        if mine:
            expect(levels == {'<3>', '<4>', '<6>'}, said)
            expect(any(re.match(r'<3> +\^$', line) for line in said), 'the caret too', said)
        else:
            expect(not any(line.startswith('<') for line in said), said)


@test
def terminal_that_goes_away_is_a_stop(folder):
    leader, follower = os.openpty()
    with open(os.path.join(folder, 'err'), 'wb') as err:
        p = subprocess.Popen(['setsid', '-c', HASPAN, '--to', 'null', '--from', 'file:' + make_fifo(folder)], stdin=follower,
                             stdout=subprocess.DEVNULL, stderr=err, env=ENV)
        os.close(follower)
        with open(os.path.join(folder, 'fifo'), 'wb') as fifo:
            fifo.write(lines(0, 10))
            fifo.flush()
            time.sleep(0.5)
            os.close(leader)
            expect(p.wait(SLOW) == 0, 'exit code', p.returncode)
    with open(os.path.join(folder, 'err'), encoding='utf-8') as f:
        expect('lines=10 requests=10' in f.read(), 'summary')


def make_fifo(folder):
    os.mkfifo(os.path.join(folder, 'fifo'))
    return os.path.join(folder, 'fifo')


# ---------------------------------------------------------------- the run

def run(t):
    """What is to be said of it, and whether it passed"""
    folder = tempfile.mkdtemp(prefix='haspan-control-')
    began = time.monotonic()
    try:
        t(folder)
        return '   %s (%.1f s)' % (t.__name__, time.monotonic() - began), True
    except Exception as e:
        said = 'FAILED %s: %s' % (t.__name__, e if isinstance(e, Failure) else traceback.format_exc())
        with contextlib.suppress(OSError), open(os.path.join(folder, 'err'), encoding='utf-8', errors='replace') as f:
            said += '\n    ' + f.read()[-1500:].replace('\n', '\n    ')
        return said, False
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main():
    signal.signal(signal.SIGHUP, signal.SIG_DFL)        # under nohup, whoever is started would ignore it too
    wanted = [t for t in TESTS if len(sys.argv) == 1 or any(word in t.__name__ for word in sys.argv[1:])]
    results = []
    with concurrent.futures.ThreadPoolExecutor(3) as pool:      # some of them wait most of the time
        for said, passed in pool.map(run, wanted):
            print(said, flush=True)
            results.append(passed)
    print('%d passed, %d failed' % (results.count(True), results.count(False)))
    return 0 if all(results) and results else 1


sys.exit(main())
