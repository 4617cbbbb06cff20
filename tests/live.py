#!/usr/bin/env python3
"""A real HAProxy, real traffic, all that goes wrong: every line of its log against the oracle and the server.

    tests/live.py

The oracle (tests/oracle) works out the spans of each line without haspan. The server behind HAProxy kept its clock:
from the request read to just before its answer's last bytes it lies within the CLIENT span.
$HAPROXY and $HASPAN name the binaries.
"""
import subprocess
import sys
import threading
import time

import lab
from lab import abort, client_of, expect, get

# What a date in milliseconds, a timer in milliseconds and a clock read once for many events may differ by.
TOLERANCE = 5_000_000
CAPTURES = ('traceparent,host,user-agent', 'content-length')

CONFIGURATION = r'''
defaults
    mode http
    log 127.0.0.1:{log} len 8192 format raw local0
    timeout connect 250ms
    timeout client 500ms
    timeout server 300ms
    timeout http-request 200ms
    timeout http-keep-alive 1s
    timeout queue 150ms
    timeout tarpit 60ms
    retries 1
    option redispatch
    option abortonclose
frontend http
    bind 127.0.0.1:{http}
    bind 127.0.0.1:{http2} proto h2
    option httplog
    capture request header traceparent len 64
    capture request header Host len 64
    capture request header User-Agent len 128
    capture response header Content-Length len 16
    capture cookie sid= len 32
    http-request deny deny_status 403 if { path_beg /deny }
    http-request tarpit deny_status 429 if { path_beg /tarpit }
    http-request redirect location /elsewhere if { path_beg /redir }
    http-request return status 200 content-type text/plain string hi if { path_beg /local }
    http-response deny deny_status 502 if { capture.req.uri -m beg /denied }
    use_backend queue if { path_beg /queue }
    use_backend down if { path_beg /down }
    use_backend none if { path_beg /none }
    use_backend blackhole if { path_beg /blackhole }
    use_backend redispatch if { path_beg /redispatch }
    use_backend again if { path_beg /flaky }
    default_backend app
frontend https
    bind 127.0.0.1:{https} ssl crt ./lab.pem alpn h2,http/1.1
    option httpslog
    default_backend app
frontend clf
    bind 127.0.0.1:{clf}
    option httplog clf
    default_backend app
frontend asap
    bind 127.0.0.1:{asap}
    option httplog
    option logasap
    default_backend app
listen tcp
    bind 127.0.0.1:{tcp}
    mode tcp
    option tcplog
    server t1 127.0.0.1:{origin}
listen tcpdead
    bind 127.0.0.1:{tcpdead}
    mode tcp
    option tcplog
    server t1 127.0.0.1:{closed}
listen tcpasap
    bind 127.0.0.1:{tcpasap}
    mode tcp
    option tcplog
    option logasap
    server t1 127.0.0.1:{origin}
backend app
    server app1 127.0.0.1:{origin}
    server app2 127.0.0.1:{origin}
backend queue
    server one 127.0.0.1:{origin} maxconn 1
backend down
    server dead1 127.0.0.1:{closed}
    server dead2 127.0.0.1:{closed2}
backend none
backend blackhole
    server full 127.0.0.1:{blackhole}
backend redispatch
    option redispatch 1
    retries 2
    balance first
    server dead 127.0.0.1:{closed}
    server app 127.0.0.1:{origin}
backend again
    retry-on conn-failure empty-response
    server app1 127.0.0.1:{origin}
    server app2 127.0.0.1:{origin}
'''

# Bytes that a URI may have, or not; what HAProxy refuses is a bad request, which is a line as well.
ODD = ['/odd?q="quoted"', '/odd/#frag', '/odd/{a|b}', '/odd/\x7f', '/odd/\xe9\xff', '/odd?a=1&sig=secret&b=%00',
       '/odd/' + 'x' * 1100, '/odd?\\back\\"', "/odd?'%{+Q}r%%'", 'http://other.example:81/odd?x', '*', '/odd/;:@!$,']
AGENTS = ['plain', 'sp ace "q" \\ ] #\xe9\tt{|}', '', '{|}', '\x80\xff\xfe', '\u202e'.encode().decode('latin-1'), 'x' * 300]
PARENT = 'traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'


class Numbers:
    """A path that no other request has"""

    def __init__(self):
        self.n = 0

    def __call__(self, path):
        self.n += 1
        return '%s/n%d' % (path, self.n)


class Full:
    """A server that takes no connection: its backlog is full"""

    def __enter__(self):
        self.socket = lab.socket.create_server((lab.HOST, 0), backlog=0)
        self.port, self.held = self.socket.getsockname()[1], []
        for _ in range(4):
            s = lab.socket.socket()
            s.setblocking(False)
            s.connect_ex((lab.HOST, self.port))
            self.held.append(s)
        return self

    def __exit__(self, *_):
        for s in [self.socket, *self.held]:
            s.close()


def quiet_traffic(port, new):
    """What goes well, or is refused"""
    http = port['http']
    with lab.Client(http) as client:
        for path in ('/a', '/sleep/20', '/drip/30', '/size/50000', '/status/404', '/status/503', '/local', '/redir', '/b'):
            client.get(new(path), PARENT, 'User-Agent: lab', 'Cookie: sid=abc')
            time.sleep(0.01)
        client.get(new('/post'), method='POST', body=b'y' * 40000)
        client.get(new('/head'), method='HEAD')
        client.get(new('/brew'), method='BREW')
    for path in ('/deny', '/tarpit', '/none', '/down', '/redispatch/sleep/10', '/denied', '/local', '/redir'):
        get(http, new(path))
    for uri in ODD:
        get(http, uri)
    for agent in AGENTS:
        get(http, new('/agent'), 'User-Agent: ' + agent)
    for raw in (b'NONSENSE\r\n\r\n', b'GET / HTTP/9.9\r\n\r\n', b'GET /x HTTP/1.1\r\nHo st: y\r\n\r\n', b'\0\1\2\3\r\n\r\n',
                b'GET /old\r\n\r\n', b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', b'\x16\x03\x01\x02\x00\x01\x00\r\n\r\n'):
        with lab.Client(http) as client:
            client.raw(raw)
            client.to_the_end()
    lab.Client(http).close()


def troubled_traffic(port, new):
    """Aborts and time-outs, of each side and in each phase"""
    http = port['http']
    for path in ('/close', '/reset', '/cut', '/garbage', '/flaky/one', '/sleep/500', '/drip/500', '/blackhole'):
        get(http, new(path))
    abort(http, new('/sleep/100'))
    abort(http, new('/drip/100'))
    abort(http, new('/tarpit'), after=0.02)
    abort(http, new('/blackhole'), after=0.1)
    with lab.Client(http) as client:                    # the request never ends
        client.raw(b'GET /slow HTTP/1.1\r\nHost: x')
        client.to_the_end()
    with lab.Client(http) as client:                    # nor does its body
        client.raw(b'POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhal' % new('/body').encode())
        client.to_the_end()
    with lab.Client(http) as client:                    # the answer is not read
        client.socket.setsockopt(lab.socket.SOL_SOCKET, lab.socket.SO_RCVBUF, 4096)
        client.send(new('/size/9000000'))
        time.sleep(0.7)


def queued_traffic(port, new):
    """One server, one connection at a time: one is served, two wait, of which one gives up"""
    paths = [new('/queue/sleep/120'), new('/queue/sleep/100'), new('/queue/sleep/50')]
    threads = [threading.Thread(target=get, args=(port['http'], path)) for path in paths]
    for t in threads:
        t.start()
        time.sleep(0.02)
    abort(port['http'], new('/queue/sleep/5'), after=0.03)
    for t in threads:
        t.join()


def other_traffic(port, new):
    """HTTP/2, TLS, and the frontends with other formats"""
    with lab.Http2(port['http2']) as client:
        client.ask((new('/h2'), PARENT), (new('/h2'), PARENT), *[(new('/h2/sleep/%d' % ms), PARENT) for ms in (30, 10, 20, 0)])
        client.wait()
        away = client.ask((new('/h2/sleep/100'),), (new('/h2/drip/60'),))
        time.sleep(0.03)
        client.reset(away[0])
        client.wait()
    with lab.Http2(port['https'], tls=True) as client:
        client.ask(*[(new('/tls/h2/sleep/%d' % ms),) for ms in (5, 0)])
        client.wait()
    with lab.Client(port['https'], tls=True) as client:
        client.get(new('/tls/a'))
        client.get(new('/tls/sleep/20'))
    with lab.Client(port['https']) as client:           # no TLS at all
        client.raw(b'GET / HTTP/1.1\r\n\r\n')
        client.to_the_end()
    lab.Client(port['https']).close()
    for frontend in ('clf', 'asap'):
        with lab.Client(port[frontend]) as client:
            client.get(new('/a'), 'User-Agent: odd "\x01{|}#')
            client.get(new('/drip/60'))
        for path in ('/close', '/status/500', '/sleep/500', '/odd?q="#'):
            get(port[frontend], new(path))
    for path in ('/sleep/20', '/drip/40', '/close', '/reset', '/cut', '/sleep/500'):
        get(port['tcp'], new('/tcp' + path))
    abort(port['tcp'], new('/tcp/sleep/100'))
    get(port['tcpasap'], new('/tcp/drip/40'))
    get(port['tcpdead'], new('/tcp'))


def against_oracle(l, phases):
    """tests/oracle and tests/oracle/compare.py on the very lines that haspan read"""
    words = ['--format', 'httpslog,httplog,tcplog,httplog-clf,error', '--capture-request', CAPTURES[0],
             '--capture-response', CAPTURES[1], '--phases', phases, l.path('log')]
    with open(l.path('expected'), 'w', encoding='utf-8') as f:
        done = subprocess.run([sys.executable, 'tests/oracle/oracle.py', *words], cwd=lab.ROOT, env=lab.ENV, text=True,
                              stdout=f, stderr=subprocess.PIPE)
    expect(done.returncode == 0 and ' unmatched=0' in done.stderr, 'oracle:', done.stderr)
    done = subprocess.run([sys.executable, 'tests/oracle/compare.py', l.path('expected'), l.path('otlp')],
                          cwd=lab.ROOT, capture_output=True, text=True)
    expect(done.returncode == 0, done.stdout, done.stderr)


def lies_within(row, client):
    return row['start'] >= client['start_ns'] - TOLERANCE and row['end'] <= client['end_ns'] + TOLERANCE


def against_server(l, requests):
    """Each request that the server handled lies within its CLIENT span; returns how many did"""
    last = {row['path']: row for row in l.origin.rows}          # of several tries the last
    found, tcp = 0, []
    for spans in requests:
        client, server = client_of(spans), spans[0]['attrs']
        if server['haproxy.frontend.name'] == 'tcp' and client:
            tcp.append(client)
        row = last.get(server.get('url.path'))
        # logasap ends before the end; CLF has seconds
        if not row or not client or server.get('haspan.open_end') or server.get('haspan.start_imprecise'):
            continue
        if 'end' not in row or server['haproxy.termination_state'][0] in 'CcsL':
            row = dict(row, end=row['start'])                   # the server went on after HAProxy had given up
        expect(lies_within(row, client), row, 'is not within', client)
        found += 1
    # connections are one after the other, but the line of one may come after the next one's
    for row, client in zip((r for r in l.origin.rows if r['path'].startswith('/tcp')),
                           sorted(tcp, key=lambda span: span['start_ns'])):
        gave_up = client['end_ns'] < row.get('end', 0)
        expect(lies_within(dict(row, end=row['start']) if gave_up else row, client), row, 'is not within', client)
    return found, len(tcp)


# What every version must have shown. (A server that stops in the middle is sD in 2.6 and 3.2, and CD in 3.0.)
STATES = '---- CC-- CD-- CH-- CQ-- CR-- LR-- PH-- PR-- PT-- SC-- SD-- SH-- cD-- cR-- sC-- sH-- sQ-- SC SD -- sD'.split()


def main():
    with lab.Lab() as l, Full() as full, lab.socket.socket() as closed, lab.socket.socket() as closed2:
        text, new = CONFIGURATION.replace('{blackhole}', str(full.port)), Numbers()
        for name, s in (('{closed}', closed), ('{closed2}', closed2)):
            s.bind((lab.HOST, 0))                               # bound and not listening: nobody answers there
            text = text.replace(name, str(s.getsockname()[1]))
        l.certificate()
        l.start(text)
        for traffic in (quiet_traffic, troubled_traffic, queued_traffic, other_traffic):
            traffic(l.port, new)
        lines = l.stop()
        for phases in ('auto', 'all'):
            requests, summary = lab.haspan(l, [line for line in lines if b'Proxy ' not in line], '--phases', phases,
                                           '--capture-request', CAPTURES[0], '--capture-response', CAPTURES[1])
            expect(summary['requests'] == summary['lines'] == len(requests), summary)
            against_oracle(l, phases)
        states = {s[0]['attrs'].get('haproxy.termination_state') for s in requests}
        expect(set(STATES) <= states, 'no line with', set(STATES) - states)
        found, tcp = against_server(l, requests)
        expect(found > 30 and tcp > 5, found, 'and', tcp, 'requests had a row of the server')
        lab.haspan(l, lines)
    print('HAProxy %d.%d: %d lines as the oracle says, %d states; %d requests and %d connections as the server saw them'
          % (*lab.version(), len(requests), len(states), found, tcp))


if __name__ == '__main__':
    lab.run(main)
