#!/usr/bin/env python3
"""Hold haspan's OTLP JSON Lines file against the spans that oracle.py expects.

    compare.py [--max N] EXPECTED.jsonl OTLP.jsonl

Requests are matched one to one in order.  Checked is everything the oracle
predicts, and what must hold for any request: phases tile their parent, no child
leaves its parent, ids are not zero, no span id comes twice.
Exits 1 when there is a difference, after printing the first ones.
"""
import argparse
import difflib
import itertools
import json
import re
import sys

SERVER, CLIENT, INTERNAL = 2, 3, 1
# Where the oracle says nothing of these, they must not be there.
EXACT = re.compile(r'haproxy\.timer\.|haproxy\.redispatched$|haspan\.|http\.response\.status_code$|'
                   r'http\.request\.method$|error\.type$')


def value_of(v):
    """An OTLP AnyValue as a Python value"""
    kind, x = next(iter(v.items()), (None, None))
    if kind == 'intValue':
        return int(x)
    if kind == 'arrayValue':
        return [value_of(e) for e in x.get('values', [])]
    return x


def read_spans(path):
    """The spans of a file in its order, as flat dicts"""
    with open(path, encoding='utf-8') as f:
        for line in filter(str.strip, f):
            for resource in json.loads(line).get('resourceSpans', []):
                for scope in resource.get('scopeSpans', []):
                    for s in scope.get('spans', []):
                        keys = [a['key'] for a in s.get('attributes', [])]
                        yield {'name': s.get('name'), 'kind': s.get('kind', 0),
                               'trace_id': s.get('traceId', ''), 'id': s.get('spanId', ''),
                               'above': s.get('parentSpanId') or None,
                               'start_ns': int(s.get('startTimeUnixNano', 0)),
                               'end_ns': int(s.get('endTimeUnixNano', 0)),
                               'status': s.get('status', {}).get('code', 0),
                               'flags': s.get('flags', 0) & 0xff,
                               'attrs': {a['key']: value_of(a['value']) for a in s.get('attributes', [])},
                               'twice': {k for k in keys if keys.count(k) > 1}}


def group(spans, starts):
    """Lists of spans, a new one wherever starts(span, list so far)"""
    groups = []
    for s in spans:
        if not groups or starts(s, groups[-1]):
            groups.append([])
        groups[-1].append(s)
    return groups


def role_of(s):
    return {SERVER: 'server', CLIENT: 'client'}.get(s['kind'], s['name'].removeprefix('haproxy.'))


def interval(s):
    return '[%d, +%.6f ms]' % (s['start_ns'], (s['end_ns'] - s['start_ns']) / 1e6)


def check_rules(spans, with_phases, seen):
    """What holds for every request, whatever the oracle says"""
    by_id = {s['id']: s for s in spans}
    for i, s in enumerate(spans):
        who = role_of(s)
        for key, digits in (('trace_id', 32), ('id', 16)):
            if not re.fullmatch('[0-9a-f]{%d}' % digits, s[key]) or not int(s[key], 16):
                yield '%s: bad %s %r' % (who, key, s[key])
        if s['id'] in seen:
            yield '%s: span id %s is already in the file (%s)' % (who, s['id'], seen[s['id']])
        seen[s['id']] = who
        if s['trace_id'] != spans[0]['trace_id']:
            yield '%s: trace id %s, SERVER has %s' % (who, s['trace_id'], spans[0]['trace_id'])
        if s['end_ns'] < s['start_ns']:
            yield '%s: ends before it starts' % who
        if s['twice']:
            yield '%s: attributes that come twice: %s' % (who, ', '.join(sorted(s['twice'])))
        above = by_id.get(s['above'])
        if i and (above is None or above not in spans[:i]):
            yield '%s: parent %s is not an earlier span of the request' % (who, s['above'])
        elif i and not above['start_ns'] <= s['start_ns'] <= s['end_ns'] <= above['end_ns']:
            yield '%s %s lies outside %s %s' % (who, interval(s), role_of(above), interval(above))
        kids = sorted((k for k in spans if k['above'] == s['id']), key=lambda k: (k['start_ns'], k['end_ns']))
        if with_phases and kids:
            edges = [s['start_ns']] + [k['end_ns'] for k in kids]
            for k, edge in zip(kids, edges):
                if k['start_ns'] != edge:
                    yield '%s: %s before %s' % (who, 'gap' if k['start_ns'] > edge else 'overlap', role_of(k))
            if edges[-1] != s['end_ns']:
                yield '%s: its children end %d ns before it does' % (who, s['end_ns'] - edges[-1])
        elif with_phases and s['kind'] == CLIENT and s['start_ns'] != s['end_ns']:
            yield '%s: no phases in it' % who


def check_request(expected, got):
    """One request against its expectation"""
    want, have = [e['role'] for e in expected], [role_of(s) for s in got]
    if want != have:
        yield 'spans: expected %s, got %s' % (' '.join(want), ' '.join(have))
    ids = {e['role']: s['id'] for e, s in zip(expected, got) if e['role'] == role_of(s)}
    mine = {role_of(s): s for s in reversed(got)}
    for e in expected:
        s = mine.get(e['role'])
        if s is None:
            continue
        parent = ids.get(e['parent'], e['parent'])
        pairs = [(k, e[k], s[k]) for k in ('name', 'kind', 'start_ns', 'end_ns', 'status')]
        pairs.append(('parent', parent, s['above']))
        pairs += [(k, e[k], s[there]) for k, there in (('trace_id', 'trace_id'), ('span_id', 'id')) if e[k]]
        if e['error_type'] or bool(s['attrs'].get('error.type')) != e['error']:
            pairs.append(('error.type', e['error_type'] or ('a word' if e['error'] else None),
                          s['attrs'].get('error.type')))
        pairs += [(k, v, s['attrs'].get(k)) for k, v in e['attrs'].items()]
        pairs += [(k, None, v) for k, v in s['attrs'].items()
                  if EXACT.match(k) and k not in e['attrs'] and k != 'error.type']
        for key, a, b in pairs:
            if a != b or type(a) is not type(b):        # True is not 1, nor is "1"
                delta = '  (%+.6f ms)' % ((b - a) / 1e6) if key.endswith('_ns') else ''
                yield '%s: %s: expected %r, got %r%s' % (e['role'], key, a, b, delta)


def compare(expected, spans):
    """Yields the differences"""
    wanted = group(expected, lambda s, g: s['line'] != g[-1]['line'])
    groups = group(spans, lambda s, g: s['kind'] == SERVER)
    with_phases = any(e['kind'] == INTERNAL for e in expected)
    seen, blocks = {}, [('replace', 0, len(wanted), 0, len(groups))]
    if len(wanted) != len(groups):
        yield '%d requests expected, %d found' % (len(wanted), len(groups))
    keys = [[(g[0]['name'], g[0]['start_ns'], g[0]['end_ns']) for g in side] for side in (wanted, groups)]
    if keys[0] != keys[1]:
        # Find which are missing or too many, so that the others can still be compared.
        blocks = difflib.SequenceMatcher(None, *keys, autojunk=False).get_opcodes()
    for _, a, b, c, d in blocks:
        for e, g in itertools.zip_longest(wanted[a:b], groups[c:d]):
            if e is None:
                yield 'not expected: %s %s' % (g[0]['name'], interval(g[0]))
                continue
            where = 'line %d, %s %s: ' % (e[0]['line'], e[0]['name'], interval(e[0]))
            if g is None:
                yield where + 'missing'
                continue
            for difference in [*check_request(e, g), *check_rules(g, with_phases, seen)]:
                yield where + difference


def main():
    p = argparse.ArgumentParser(description="expected spans against haspan's")
    p.add_argument('--max', type=int, default=20, help='differences to print (20)')
    p.add_argument('expected')
    p.add_argument('otlp')
    a = p.parse_args()
    with open(a.expected, encoding='utf-8') as f:
        expected = [json.loads(line) for line in f]
    spans = list(read_spans(a.otlp))
    differences = list(compare(expected, spans))
    for d in differences[:a.max]:
        print(d)
    if differences:
        print('%d differences' % len(differences))
        return 1
    requests = len({e['line'] for e in expected})
    print('%d requests, %d spans compared' % (requests, len(spans)))
    return 0


if __name__ == '__main__':
    sys.exit(main())
