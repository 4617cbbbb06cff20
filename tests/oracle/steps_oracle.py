#!/usr/bin/env python3
"""The spans that the lines of `log-steps` must become, worked out without haspan.

    steps_oracle.py FILE         JSON lines of a log-profile like that of samples/haproxy-3.2, in RFC 5424 envelopes

read() gives {unique-id: request}: where SERVER, CLIENT and the phases begin and end (microseconds), which of them
failed, the ids of SERVER and CLIENT, and the events. It shares no code with haspan. The rules:

  - a step's moment is its own clock (accept date, date(0,us)), else the envelope's
  - SERVER is [request date, moment of the close]; request, connect and response end at the moments of their steps,
    the queue lasts Tw of what lies between request and connect, data is what is left
  - where a moment and the sum of the timers are more than 5 ms apart, the timers hold
"""
import hashlib
import json
import re
import sys
from datetime import datetime

LINE = re.compile(r'<\d+>1 (\S+) \S+ \S+ \S+ \S+ - (\{.*\})$')
APART = 5000


def micros(text):
    d = datetime.fromisoformat(text)
    return int(d.replace(microsecond=0).timestamp()) * 1000000 + d.microsecond


def near(moment, timed):
    return moment is not None and abs(moment - timed) <= APART


def request(lines):
    """What one request must be; `lines` maps a step to (envelope's time, members)"""
    close_at, close = lines['txn_close']
    at = {step: t for step, (t, _) in lines.items()}
    unique = close['id']
    start = lines['txn_request'][1]['rt']
    tr, tw, tc, tresp, ta = (close[k] for k in ('TR', 'Tw', 'Tc', 'Tr', 'Ta'))
    end = close_at if near(close_at, start + ta * 1000) else start + ta * 1000
    cause, state = close['ts'][:2]
    failed = {'--': None, 'SH': 'response', 'SD': 'data'}[cause + state]

    def bound(step, timed, low):
        moment = at.get(step)
        return min(end, max(low, moment if near(moment, timed) else timed))

    phases = []
    timed = start + tr * 1000
    p = bound('txn_request', timed, start)
    phases.append(('request', start, p))
    timed += tw * 1000
    connected = at.get('txn_connect')
    q = min(p + tw * 1000, end)
    if near(connected, timed + tc * 1000):
        q = max(p, min(q, connected))
    phases.append(('queue', p, q))
    timed += tc * 1000
    c = bound('txn_connect', timed, q)
    phases.append(('connect', q, c))
    if failed == 'response':
        phases.append(('response', c, end))
    else:
        r = bound('txn_response', timed + tresp * 1000, c)
        phases.append(('response', c, r))
        phases.append(('data', r, end))
    events = [('haproxy.accept', lines['txn_accept'][1]['at'])]
    for step, (t, d) in lines.items():
        if step == 'http-req':
            events.append(('haproxy.log', d['now']))
        elif step != 'txn_accept':
            events.append((step.replace('txn_', 'haproxy.'), t))
    digest = hashlib.sha256(unique.encode()).hexdigest()
    spans = hashlib.sha256((unique + '|').encode()).hexdigest()
    return {
        'trace': digest[:32], 'client': spans[:16], 'server': spans[16:32], 'start': start, 'end': end, 'split': q,
        'phases': {'haproxy.' + n: (a, b) for n, a, b in phases if b > a or n == failed},
        'failed': failed and 'haproxy.' + failed,
        'error': {None: None, 'response': 'server_abort', 'data': 'server_abort'}[failed],
        'status': close['status'], 'path': lines['txn_request'][1]['path'], 'method': lines['txn_request'][1]['method'],
        'backend': close['be'], 'host_server': close['srv'],
        'events': sorted((max(start, min(end, t)), n) for n, t in events),
    }


def read(path):
    found = {}
    with open(path, encoding='utf-8') as f:
        for line in f:
            when, text = LINE.match(line.strip()).groups()
            d = json.loads(text)
            found.setdefault(d['id'], {})[d['step']] = (micros(when), d)
    return {unique: request(lines) for unique, lines in found.items()}


if __name__ == '__main__':
    for unique, r in read(sys.argv[1]).items():
        print(unique, json.dumps(r))
