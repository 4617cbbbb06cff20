#!/usr/bin/env python3
"""The log-profile of doc/doctor.md, with the recipe of doc/ids.md, in a HAProxy of 3.1 or later.

    tests/profile.py

Every line is JSON, knows its request (unique-id, frontend) and, once HAProxy's rules ran, the parent; the steps come in
their order, with clocks in microseconds that never go back. $HAPROXY and $HASPAN name the binaries.
"""
import json
import re
import sys

import lab
import recipe
from lab import abort, expect, get

STEPS = ['txn_accept', 'txn_request', 'txn_connect', 'txn_response', 'txn_close']
REFUSED = ['txn_accept', 'txn_request', 'txn_close']
FAILED = ['txn_accept', 'txn_request', 'txn_connect', 'txn_close']
PARENT = ('traceparent: ' + recipe.PARENT % ('00', '01'), 'tracestate: a=1')


def configuration():
    proposal = lab.document('doc/doctor.md', 'haproxy')
    profile, lines = proposal.split('\nfrontend web\n')
    own = lab.document('doc/ids.md', 'haproxy').split('\n')
    for line in lines.split('\n'):                      # `log` in place of the recipe's, `log-steps` beside it
        if re.match(r' *log ', line):
            own = [line if re.match(r' *log ', old) else old for old in own]
        elif re.match(r' *log-steps ', line):
            own.append(line)
    own = [line for line in own if not re.match(r' *log-format ', line)]
    text = '\n'.join(own) + '\n    http-request deny if { path_beg /deny }\n'
    text = text.replace('bind :8080', 'bind 127.0.0.1:{web}\n    bind 127.0.0.1:{web2} proto h2')
    text = text.replace('log 127.0.0.1:514 ', 'log 127.0.0.1:{log} ').replace('format rfc5424', 'format raw')
    return profile + '''
defaults
    mode http
    timeout connect 1s
    timeout client 5s
    timeout server 300ms
    timeout http-request 300ms
    retries 0
''' + text + '''
backend app
    server app 127.0.0.1:{origin}
'''


def traffic(l):
    """{path: (steps that it must have, or None; did a parent come)}"""
    web, want = l.port['web'], {}
    for i, (path, steps) in enumerate([('/a', STEPS), ('/sleep/20', STEPS), ('/drip/30', STEPS), ('/deny', REFUSED),
                                       ('/close', FAILED), ('/sleep/500', FAILED), ('/size/50000', STEPS)]):
        for headers in ((), PARENT):
            want['%s/n%d%s' % (path, i, 'p' if headers else '')] = (steps, bool(headers))
            get(web, list(want)[-1], *headers)
    with lab.Client(web) as client:
        for i in range(5):
            want['/alive/%d' % i] = (STEPS, i % 2 == 1)
            client.get('/alive/%d' % i, *(PARENT if i % 2 else ()))
    with lab.Http2(l.port['web2']) as client:
        want.update({'/two/%d' % i: (STEPS, True) for i in range(10)})
        client.ask(*[('/two/%d' % i, *PARENT) for i in range(10)])
        client.wait()
    abort(web, '/sleep/100/away')
    want['/sleep/100/away'] = (None, False)
    with lab.Client(web) as client:
        client.raw(b'NONSENSE\r\n\r\n')
        client.to_the_end()
    return want


def check(lines, want):
    """Each request's lines; returns how many lines there were"""
    errors, requests, parent = 0, {}, recipe.PARENT % ('00', '01')
    for line in lines:
        row = json.loads(line)
        expect(row['ft'] == 'web' and 'traceparent' in row and row['end_us'] > 1.7e15, line.decode())
        if row['step'] == 'sess_error':                 # there is no request yet, and so no id
            errors += 1
            continue
        expect(row['ID'], 'no unique-id:', line.decode())
        requests.setdefault(row['ID'], []).append(row)
    expect(errors == 1, errors, 'lines of refused connections')
    for rows in requests.values():
        final = rows[-1]
        path = re.sub(r'^http://[^/]*', '', final.get('HU', ''))
        steps, has_parent = want.pop(path, (None, False))
        got = [row['step'] for row in rows]
        expect(got == steps or not steps and got == [s for s in STEPS if s in got], path, got, 'expected', steps)
        clocks = [row['end_us'] for row in rows]
        expect(clocks == sorted(clocks), path, clocks)
        told = [row['traceparent'] for row in rows[2:]]
        expect(all(t == (parent if has_parent else '') for t in told), path, 'parents:', told)
        length = sum(max(0, final[timer]) for timer in ('TR', 'Tw', 'Tc', 'Tr', 'Td'))
        expect(length <= final['Ta'] <= (clocks[-1] - clocks[0]) / 1000 + 2, path, clocks, final)
    expect(not want, 'no lines of', want)
    return errors + sum(map(len, requests.values()))


def check_joined(l, lines, want, *options):
    """One tree a request, with the server's ids as the recipe promises them, to the microsecond"""
    sent = recipe.Sent()
    sent.context = {path: (recipe.TRACE, recipe.SPAN, 1) if parent else None for path, (_, parent) in want.items()}
    recipe.check(l, sent, lines, *options, tiers=0)
    requests, summary = lab.haspan(l, lines, *options)
    expect(summary['requests'] == len(want) + 1 and summary['other'] == 0, summary)
    expect(summary['merged'] == len(lines) - summary['requests'], summary)
    fine = [s for spans in requests for s in spans if (s['end_ns'] - s['start_ns']) % 1000000]
    expect(len(fine) > len(requests), 'only', len(fine), 'spans are known to the microsecond')


def main():
    with lab.Lab() as l:
        l.start(configuration())
        want = traffic(l)
        lines = [line for line in l.stop() if not line.startswith(b'Proxy ')]
        requests = len(want) + 1
        texts = re.findall(r'^    on \w+ +format "(.*)"$', configuration(), re.M)
        check_joined(l, lines, want, *[word for text in texts for word in ('--format', text)])
        check_joined(l, lines, want, '--haproxy-cfg', l.path('haproxy.cfg'))
        n = check(lines, want)
    print('HAProxy %d.%d: %d lines of %d requests, each with unique-id, frontend and parent' % (*lab.version(), n, requests))


if __name__ == '__main__':
    lab.run(main)
