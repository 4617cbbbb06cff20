#!/usr/bin/env python3
"""A real HAProxy with one haproxy.cfg, real requests, and haspan with the same haproxy.cfg and nothing else.

    tests/haproxy_live.py        the binary is $HASPAN, or build/haspan; skipped where there is no HAProxy

Every frontend has another way to its format: inherited, from a variable, by options, escaped, old timers, captures on
either side, slots filled by rules.  Nothing may be rejected, and what was sent must be found under its name.
"""
import collections
import http.client
import http.server
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'oracle'))
sys.dont_write_bytecode = True
import compare  # noqa: E402
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from ports import free_port  # noqa: E402

HASPAN = os.path.join(ROOT, os.environ.get('HASPAN') or 'build/haspan')
PARENT = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
EACH = 3

CFG = r'''
global
    setenv FORMAT "%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST"
    log stdout len 4096 format raw local0

defaults base
    mode http
    log global
    timeout client 5s
    timeout server 5s
    timeout connect 5s
    unique-id-format %{+X}o\ %ci:%cp_%fi:%fp_%Ts_%rt:%pid
    log-format "base %tr %f %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST id=%ID"
    default_backend app

defaults extended from base
    log-format "${FORMAT} id=%ID ${NOT_SET-otherwise}"

frontend inherited from base
    bind 127.0.0.1:@

frontend extended from extended
    bind 127.0.0.1:@

frontend last
    bind 127.0.0.1:@
    option httplog

frontend both from base
    bind 127.0.0.1:@
    option httplog
    capture request header X-A len 64
    capture request header traceparent len 64
    capture response header X-Made-By len 20

frontend response from base
    bind 127.0.0.1:@
    option httplog
    capture response header X-Made-By len 20

frontend slots from base
    bind 127.0.0.1:@
    option httplog
    declare capture request len 64
    http-request capture method len 10
    http-request set-var(txn.tp) req.hdr(traceparent)
    http-request capture var(txn.tp) len 64
    http-request capture req.hdr(X-A),lower id 0

frontend old from base
    bind 127.0.0.1:@
    log-format "%ci:%cp [%t] %ft %b/%s %Tq/%Tw/%Tc/%Tr/%Tt %ST %B %CC %CS %tsc %ac/%fc/%bc/%sc/%rc %sq/%bq %hr %hs %{+Q}r"

frontend escaped from base
    bind 127.0.0.1:@
    log-format %tr\ "%f"\ \"%b\"' %s %TR/%Tw/%Tc/%Tr/%Ta "#" 'a\\b\x20%ST\ %{+Q}HP # comment

frontend sends from base
    bind 127.0.0.1:@
    http-request set-var(txn.fe) fe_name
    http-request set-var(txn.tid) req.hdr(traceparent),field(2,-)
    http-request set-var(txn.sid) unique-id,concat(|,txn.fe),digest(sha256),bytes(0,8),hex,lower
    http-request set-header traceparent 00-%[var(txn.tid)]-%[var(txn.sid)]-01
    log-format "%tr %f %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %[var(txn.tid)] %[var(txn.sid)]"

.if streq("$FORMAT","")
frontend nowhere
    bind 127.0.0.1:@
.else
frontend clf from base
    bind 127.0.0.1:@
    option httplog clf
.endif

listen tcp
    bind 127.0.0.1:@
    mode tcp
    log global
    option httplog
    timeout client 5s
    timeout server 5s
    timeout connect 5s
    server s1 127.0.0.1:%d

backend app
    mode http
    timeout server 5s
    timeout connect 5s
    server s1 127.0.0.1:%d
'''

seen = []


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        seen.append(self.headers.get('traceparent'))
        self.send_response(200)
        self.send_header('X-Made-By', 'server')
        self.send_header('Content-Length', '2')
        self.end_headers()
        self.wfile.write(b'ok')

    def log_message(self, *args):
        pass


def configuration(server):
    """The text, and the port of each frontend"""
    out, ports, name = [], {}, None
    for line in CFG.replace('127.0.0.1:%d', '127.0.0.1:' + str(server)).splitlines():
        words = line.split()
        if words and words[0] in ('frontend', 'listen'):
            name = words[1]
        if line.endswith('127.0.0.1:@'):
            ports[name] = free_port()
            line = line.replace('@', str(ports[name]))
        out.append(line)
    del ports['nowhere']
    return '\n'.join(out) + '\n', ports


def wait_for(port):
    for _ in range(200):
        with socket.socket() as s:
            if s.connect_ex(('127.0.0.1', port)) == 0:
                return
        time.sleep(0.05)
    sys.exit('HAProxy does not listen')


def ask(port, name):
    c = http.client.HTTPConnection('127.0.0.1', port, timeout=10)
    c.request('GET', '/of/' + name, headers={'X-A': 'value-of-' + name, 'traceparent': PARENT, 'Connection': 'close'})
    assert c.getresponse().read() == b'ok'
    c.close()


def traffic(folder, server):
    text, ports = configuration(server)
    path = os.path.join(folder, 'haproxy.cfg')
    with open(path, 'w', encoding='utf-8') as f:
        f.write(text)
    with open(os.path.join(folder, 'log'), 'wb') as log, open(os.path.join(folder, 'err'), 'wb') as err:
        haproxy = subprocess.Popen(['haproxy', '-db', '-f', path], stdout=log, stderr=err,
                                   env={'PATH': os.environ['PATH'], 'TZ': 'UTC'})
        try:
            wait_for(ports['inherited'])
            time.sleep(0.2)
            for name, port in ports.items():
                for _ in range(EACH):
                    ask(port, name)
            time.sleep(0.3)
        finally:
            haproxy.terminate()
            haproxy.wait(10)
    return path, ports


def spans_of(folder, cfg):
    out = os.path.join(folder, 'spans')
    p = subprocess.run([HASPAN, '--haproxy-cfg', cfg, '--strict', '--to', 'file:' + out, os.path.join(folder, 'log')],
                       stderr=subprocess.PIPE, text=True, env={'PATH': os.environ['PATH'], 'TZ': 'UTC'})
    if p.returncode or 'warning' in p.stderr:
        with open(os.path.join(folder, 'log'), encoding='utf-8') as f:
            sys.exit(p.stderr + f.read())
    return list(compare.read_spans(out))


def check(ports, spans):
    """Yields what is wrong"""
    server = collections.defaultdict(list)
    for s in spans:
        if s['kind'] == compare.SERVER:
            server[s['attrs'].get('haproxy.frontend.name')].append(s)
    client = {s['id']: s for s in spans if s['kind'] == compare.CLIENT}

    def holds(name, key, value):
        for s in server[name]:
            if s['attrs'].get(key) != value:
                yield '%s: %s is %r, expected %r' % (name, key, s['attrs'].get(key), value)

    for name in ports:
        # whoever waited for HAProxy to listen made connections without a request
        requests = [s for s in server[name] if s['attrs'].get('http.response.status_code') == 200 or name == 'tcp']
        if len(requests) != EACH:
            yield '%s: %d requests, expected %d' % (name, len(requests), EACH)
        server[name] = requests
    yield from holds('inherited', 'haproxy.backend.name', 'app')
    yield from holds('both', 'http.request.header.x-a', ['value-of-both'])
    yield from holds('both', 'http.response.header.x-made-by', ['server'])
    yield from holds('response', 'http.response.header.x-made-by', ['server'])
    yield from holds('slots', 'http.request.header.x-a', ['value-of-slots'])
    yield from holds('escaped', 'url.path', '/of/escaped')
    yield from holds('old', 'haproxy.timer.TR', None)
    yield from holds('tcp', 'network.transport', 'tcp')
    for s in server['old']:
        if 'haproxy.timer.Tq' not in s['attrs'] or 'haproxy.timer.Tt' not in s['attrs']:
            yield 'old: not the old timers: %r' % s['attrs']
    for name in ('both', 'slots', 'sends'):
        for s in server[name]:
            if s['trace_id'] != PARENT.split('-')[1]:
                yield '%s: trace %s' % (name, s['trace_id'])
    for name in ('both', 'slots'):
        for s in server[name]:
            if s['above'] != PARENT.split('-')[2]:
                yield '%s: parent %s' % (name, s['above'])
    sent = [h.split('-')[2] for h in seen if h and h != PARENT]
    if len(sent) != EACH or any(span not in client for span in sent):
        yield 'the server saw the spans %s, not all are CLIENT spans' % sent


def main():
    if not shutil.which('haproxy'):
        print('   skipped: there is no haproxy')
        return 0
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        cfg, ports = traffic(folder, server.server_address[1])
        wrong = list(check(ports, spans_of(folder, cfg)))
    server.shutdown()
    for w in wrong[:20]:
        print('FAILED', w)
    print('%d frontends of a real HAProxy, %d failures' % (len(ports), len(wrong)))
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
