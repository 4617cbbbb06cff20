#!/usr/bin/env python3
"""OTLP JSON Lines as a text that a person can read and diff can compare.

    spans.py [--ids] [OTLP.jsonl]

One block per request; below it a line per span, nested like the tree:

    trace TRACE-ID flags=FLAGS [state="..."]
      KIND name  SPAN-ID  START +LENGTH ms  [ERROR] [error.type=WORD]
          attribute = value
          event name +TIME SINCE START ms [attribute=value...]

FLAGS are the W3C trace flags of the request; `remote` says that its parent is another process.  Requests of
one resource (host) stand together, in the order of the log; a `resource` line says where the next one begins, and
resources are sorted: in which order haspan writes them depends on the size of its blocks.
Values are JSON with everything but ASCII escaped, long ones cut to their beginning, length and checksum.

--ids: only trace id, span id, start and end of each span, sorted; what no envelope may change.
"""
import argparse
import hashlib
import json
import sys
from datetime import datetime, timezone

KINDS = {1: 'INTERNAL', 2: 'SERVER', 3: 'CLIENT'}
STATUS = {0: '', 1: '  OK', 2: '  ERROR'}
LONG = 200


def value_of(v):
    """An OTLP AnyValue as a Python value"""
    kind, x = next(iter(v.items()), (None, None))
    if kind == 'intValue':
        return int(x)
    if kind == 'arrayValue':
        return [value_of(e) for e in x.get('values', [])]
    return x


def attributes(thing):
    """{key: value}; a key that comes twice is an error"""
    found = {}
    for a in thing.get('attributes', []):
        if a['key'] in found:
            raise SystemExit('spans.py: attribute %s comes twice' % a['key'])
        found[a['key']] = value_of(a['value'])
    return found


def show(value):
    """JSON, with the long middle of a long value left out"""
    text = json.dumps(value)
    if len(text) > LONG:
        raw = value if isinstance(value, str) else text
        return '%s... (%d characters, sha256 %s)' % (text[:60], len(raw),
                                                      hashlib.sha256(raw.encode()).hexdigest()[:8])
    return text


def when(ns):
    return '%s.%09dZ' % (datetime.fromtimestamp(ns // 10**9, timezone.utc).strftime('%Y-%m-%dT%H:%M:%S'),
                         ns % 10**9)


def times(span):
    start, end = int(span['startTimeUnixNano']), int(span['endTimeUnixNano'])
    return '%s +%d.%06d ms' % (when(start), (end - start) // 10**6, (end - start) % 10**6)


def read(lines):
    """{resource attributes as text: [span]}"""
    found = {}
    for line in filter(str.strip, lines):
        for resource in json.loads(line)['resourceSpans']:
            key = ' '.join('%s=%s' % (k, show(v)) for k, v in sorted(attributes(resource['resource']).items()))
            for scope in resource['scopeSpans']:
                found.setdefault(key, []).extend(scope['spans'])
    return dict(sorted(found.items()))


def span_lines(span, depth):
    indent = '  ' * depth
    attrs = attributes(span)
    error = attrs.pop('error.type', None)
    status = span.get('status', {})
    yield '%s%s %s  %s  %s%s%s%s' % (
        indent, KINDS[span['kind']], show(span['name'])[1:-1], span['spanId'], times(span),
        STATUS[status.get('code', 0)], ' error.type=%s' % show(error)[1:-1] if error is not None else '',
        ' message=%s' % show(status['message']) if status.get('message') else '')
    for key, value in sorted(attrs.items()):
        yield '%s    %s = %s' % (indent, key, show(value))
    for event in span.get('events', []):
        after = int(event['timeUnixNano']) - int(span['startTimeUnixNano'])
        yield '%s    event %s +%d.%06d ms%s' % (
            indent, event['name'], after // 10**6, after % 10**6,
            ''.join(' %s=%s' % (k, show(v)) for k, v in sorted(attributes(event).items())))


def request_lines(spans):
    """The block of one request: its spans, the first of which is SERVER"""
    first = spans[0]
    flags = first.get('flags', 0)
    parent = first.get('parentSpanId')
    yield 'trace %s flags=%02x%s%s%s' % (
        first['traceId'], flags & 0xff, ' parent=%s' % parent if parent else '',
        ' remote' if flags & 0x300 == 0x300 else '',
        ' state=%s' % show(first['traceState']) if first.get('traceState') else '')
    depth = {}
    for span in spans:
        odd = [k for k in ('traceId', 'traceState') if span.get(k) != first.get(k)]
        if odd or span.get('flags', 0) & 0xff != flags & 0xff:
            raise SystemExit("spans.py: %s has another %s than its SERVER" % (span['name'], odd or 'flags'))
        depth[span['spanId']] = depth.get(span.get('parentSpanId'), 0) + 1
        yield from span_lines(span, depth[span['spanId']])


def requests(spans):
    """Lists of spans, a new one at each SERVER"""
    groups = []
    for span in spans:
        if span['kind'] == 2 or not groups:
            groups.append([])
        groups[-1].append(span)
    return groups


def main():
    p = argparse.ArgumentParser(description='OTLP JSON Lines as text')
    p.add_argument('--ids', action='store_true')
    p.add_argument('file', nargs='?')
    a = p.parse_args()
    source = open(a.file, encoding='utf-8') if a.file else sys.stdin
    found = read(source)
    if a.ids:
        rows = [' '.join((s['traceId'], s['spanId'], s.get('parentSpanId') or '-', s['startTimeUnixNano'],
                          s['endTimeUnixNano'], s['name'])) for spans in found.values() for s in spans]
        print('\n'.join(sorted(rows)))
        return
    for resource, spans in found.items():
        if resource != 'service.name="haproxy"' or len(found) > 1:
            print('resource %s' % resource)
        for group in requests(spans):
            print('\n'.join(request_lines(group)))


if __name__ == '__main__':
    main()
