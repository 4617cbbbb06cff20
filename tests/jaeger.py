#!/usr/bin/env python3
"""What a real Jaeger 2 gives back of what it was sent, span by span against the file sink of the same run.

    tests/jaeger.py [CASE]...           CASE: a part of a test's name

Jaeger is built on the first run (tests/jaeger_lab.py). The binary is $HASPAN, or build/haspan.
"""
import collections
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from jaeger_lab import Jaeger                                           # noqa: E402
from lab import ENV, HASPAN, ROOT, Failure, expect                      # noqa: E402
from replay import DAY, captures, write, line                           # noqa: E402

TESTS = []
KINDS = {'SPAN_KIND_INTERNAL': 1, 'SPAN_KIND_SERVER': 2, 'SPAN_KIND_CLIENT': 3}
CODES = {'STATUS_CODE_UNSET': 0, 'STATUS_CODE_OK': 1, 'STATUS_CODE_ERROR': 2}


def test(function):
    TESTS.append(function)
    return function


# ---------------------------------------------------------------- one form for both

def value(v):
    kind, x = next(iter(v.items()), ('stringValue', ''))
    if kind == 'arrayValue':
        return [value(e) for e in x.get('values', [])]
    return int(x) if kind == 'intValue' else x


def attributes(thing):
    return sorted((a['key'], json.dumps(value(a['value']))) for a in thing.get('attributes', []))


def form(resource, span):
    """Everything that a span says, as a text; without what Jaeger remarks on it, and does: a span of no length gets 1 ns"""
    kind, status = span.get('kind', 0), span.get('status', {})
    all_attributes = dict(attributes(span))
    remarks = all_attributes.pop('@jaeger@warnings', '')
    end = int(span['endTimeUnixNano']) - ('Negative duration detected' in remarks)
    return json.dumps({
        'resource': attributes(resource), 'trace': span['traceId'], 'id': span['spanId'],
        'parent': span.get('parentSpanId') or '', 'name': span['name'], 'kind': KINDS.get(kind, kind),
        'start': int(span['startTimeUnixNano']), 'end': end,
        'status': CODES.get(status.get('code', 0), status.get('code', 0)), 'message': status.get('message', ''),
        'state': span.get('traceState', ''), 'attributes': sorted(all_attributes.items()),
        'events': sorted((int(e['timeUnixNano']), e['name'], attributes(e)) for e in span.get('events', [])),
    }, sort_keys=True)


def sent(path):
    """{trace id: Counter of forms} of a file of the file sink"""
    found = collections.defaultdict(collections.Counter)
    with open(path, encoding='utf-8') as f:
        for text in f:
            for r in json.loads(text)['resourceSpans']:
                for scope in r['scopeSpans']:
                    for s in scope['spans']:
                        found[s['traceId']][form(r['resource'], s)] += 1
    return found


def send(folder, jaeger, *words):
    """Run haspan into Jaeger and into a file; what the file has"""
    copy = os.path.join(folder, 'copy.jsonl')
    done = subprocess.run([HASPAN, '--to', jaeger.otlp, '--to', 'file:' + copy, *words], env=ENV, cwd=ROOT, timeout=120,
                          capture_output=True, text=True)
    expect(done.returncode == 0, 'exit', done.returncode, done.stderr)
    return sent(copy)


def same(jaeger, wanted):
    """Every trace that was sent comes back, with all its spans and no others. The number of spans"""
    spans = 0
    for trace, forms in wanted.items():
        got = {form(r, s) for r, s in jaeger.trace(trace) or []}
        if got != set(forms):
            missing, more = sorted(set(forms) - got), sorted(got - set(forms))
            raise Failure('trace %s: %d spans of %d are missing, %d are others\nsent %s\ngot  %s' % (
                trace, len(missing), len(forms), len(more), missing[0] if missing else '', more[0] if more else ''))
        spans += len(got)
    return spans


def merge(all_of, some):
    for trace, forms in some.items():
        all_of[trace].update(forms)


def a_log(folder, now_us):
    return write(folder, 'a.log', b''.join(line(now_us + i * 1000, port=40000 + i, took=i % 90) for i in range(200)))


# ----------------------------------------------------------------

@test
def all_samples_come_back_as_they_were_sent(folder):
    """As they are, and shifted to 400 days ago"""
    old = str(int(time.time()) - 400 * 86400)
    wanted = collections.defaultdict(collections.Counter)
    with Jaeger(folder) as jaeger:
        for _, words in captures():
            merge(wanted, send(folder, jaeger, *words))
        logs = len(wanted)
        for _, words in captures():
            merge(wanted, send(folder, jaeger, '--rebase', old, *words))
        spans = same(jaeger, wanted)
    expect(logs > 300 and len(wanted) > 1.5 * logs and spans > 3000, 'only', logs, len(wanted), spans)
    print('   %d spans of %d traces' % (spans, len(wanted)))


@test
def spans_of_400_days_ago_are_found(folder):
    """By id; by a search only when it says so: Jaeger looks an hour or days back unless told"""
    then = time.time_ns() // 1000 - 400 * DAY
    with Jaeger(folder) as jaeger:
        wanted = send(folder, jaeger, a_log(folder, then))
        expect(same(jaeger, wanted) >= 400, 'spans')
        stamp = [time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(then // 10**6 + s)) for s in (-60, 60)]
        found = jaeger.get('/api/v3/traces?query.service_name=haproxy&query.start_time_min=%s&query.start_time_max=%s&'
                           'query.num_traces=1000' % tuple(stamp))
        found = found.get('result', found)
        ids = {s['traceId'] for r in found['resourceSpans'] for scope in r.get('scopeSpans', []) for s in scope.get('spans', [])}
        expect(ids == set(wanted), 'the search found %d traces of %d' % (len(ids), len(wanted)))


def raw(jaeger, trace):
    """How many spans the store has, duplicates too"""
    return len(jaeger.get('/api/traces/%s?raw=true' % trace)['data'][0]['spans'])


@test
def twice_is_once(folder):
    """In memory the store keeps both and shows one; Badger has one. Badger also has it after a restart"""
    path = a_log(folder, time.time_ns() // 1000 - DAY)
    with Jaeger(folder) as jaeger:
        wanted = send(folder, jaeger, path)
        once = list(wanted)[3]
        before = raw(jaeger, once)
        expect(send(folder, jaeger, path) == wanted, 'a second run sends something else')
        after = raw(jaeger, once)       # a look that hides duplicates also takes them away, so this comes first
        same(jaeger, wanted)
        expect((before, after) == (len(wanted[once]), 2 * len(wanted[once])), 'what memory keeps:', before, after)
    badger = Jaeger(folder, badger=folder)
    with badger as jaeger:
        send(folder, jaeger, path)
        send(folder, jaeger, path)
        same(jaeger, wanted)
        expect(raw(jaeger, once) == len(wanted[once]), 'what Badger keeps:', raw(jaeger, once))
    with badger as jaeger:
        same(jaeger, wanted)


@test
def the_demo(folder):
    done = subprocess.run([sys.executable, os.path.join(ROOT, 'tests', 'demo_jaeger.py')], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=300)
    expect(done.returncode == 0, 'exit', done.returncode, done.stderr)
    for word in ('traces of the samples are in Jaeger', 'SERVER', 'CLIENT', 'open  http://127.0.0.1:'):
        expect(word in done.stdout, word, 'is not in', done.stdout)


def main():
    passed = failed = 0
    for function in TESTS:
        name = function.__name__.replace('_', ' ')
        if sys.argv[1:] and not any(part in name for part in sys.argv[1:]):
            continue
        try:
            with tempfile.TemporaryDirectory() as folder:
                function(folder)
            passed += 1
        except Exception as e:                      # a test that breaks has failed, and the next one runs
            failed += 1
            print('FAILED %s: %s' % (name, str(e)[:4000]))
            if not isinstance(e, Failure):
                traceback.print_exc(file=sys.stdout)
    print('%d passed, %d failed' % (passed, failed))
    return failed > 0 or passed == 0


if __name__ == '__main__':
    sys.exit(main())
