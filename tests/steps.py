#!/usr/bin/env python3
"""Several lines of one request: one tree, whatever their order, however many threads; and every line is accounted for.

    tests/steps.py [CASE]...            CASE: a part of a test's name

The real lines (samples/haproxy-3.2/steps.log) are compared with tests/oracle/steps_oracle.py, to the microsecond. The
same lines, written by a text log-format, serve for what must hold of many. The binary is $HASPAN, or build/haspan.
"""
import itertools
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
import traceback

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(ROOT, 'tests', 'oracle'))
import compare                                                          # noqa: E402
import steps_oracle                                                     # noqa: E402

HASPAN = os.path.abspath(os.path.join(ROOT, os.environ.get('HASPAN') or 'build/haspan'))
REAL = os.path.join(ROOT, 'samples', 'haproxy-3.2', 'steps.log')
TRUTH = os.path.join(ROOT, 'samples', 'haproxy-3.2', 'truth.jsonl')
ENV = {k: v for k, v in os.environ.items() if k in ('PATH', 'LD_LIBRARY_PATH') or k.endswith('SAN_OPTIONS')}
ENV['TZ'] = 'UTC'
LINES = ('requests', 'merged', 'other', 'rejected')
SPANS = ('exported', 'unsampled', 'filtered', 'refused', 'dropped', 'held')
TESTS = []


class Failure(Exception):
    pass


def test(function):
    TESTS.append(function)
    return function


def expect(right, *what):
    if not right:
        raise Failure(' '.join(map(str, what)))


def summary_of(text):
    rows = [row for row in text.splitlines() if row.startswith('lines=')]
    expect(rows, 'no summary:', text[-1000:])
    found = []
    for row in rows:
        n = {k: int(v) for k, v in re.findall(r'(\w+)=(\d+)', row)}
        expect(n['lines'] == sum(n[k] for k in LINES), 'lines do not add up:', row)
        expect(n['spans'] + n['restored'] == sum(n[k] for k in SPANS), 'spans do not add up:', row)
        found.append(n)
    return found


def run(lines, *words, binary=HASPAN):
    """The bytes of the JSON sink and the summary; `lines` in one file"""
    with tempfile.NamedTemporaryFile(suffix='.log') as f:
        f.write('\n'.join(lines).encode() + b'\n' * bool(lines))
        f.flush()
        done = subprocess.run([binary, *words, '--to', '-', f.name], env=ENV, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=120)
    text = done.stderr.decode('utf-8', 'replace')
    expect(done.returncode == 0, 'exit code %d:' % done.returncode, text[-3000:])
    total = summary_of(text)[-1]
    expect(total['lines'] == len(lines), len(lines), 'lines were given:', text)
    return done.stdout, total


def spans(out):
    found = []
    for line in filter(None, out.decode().split('\n')):
        for resource in json.loads(line)['resourceSpans']:
            for scope in resource['scopeSpans']:
                found += scope['spans']
    return found


def requests(out):
    """{trace id: its spans}; no id may come twice"""
    found = {}
    seen = set()
    for s in spans(out):
        expect(s['spanId'] not in seen, 'span id twice:', s['spanId'])
        seen.add(s['spanId'])
        found.setdefault(s['traceId'], []).append(s)
    return found


def attrs(thing):
    return {a['key']: next(iter(a['value'].values())) for a in thing['attributes']}


def server(spans_of_one):
    return spans_of_one[0]


def us(ns):
    expect(int(ns) % 1000 == 0, 'not whole microseconds:', ns)
    return int(ns) // 1000


def real_lines():
    with open(REAL, encoding='utf-8') as f:
        return f.read().splitlines()


# ---------------------------------------------------------------- the same lines as text

TEXT = {
    'txn_accept': ('%OG id=%ID c=%ci:%cp at=%[accept_date(us)] fe=%f', 'id={id} c={ci}:{cp} at={at} fe={fe}'),
    'txn_request': ('%OG id=%ID c=%ci:%cp rt=%[request_date(us)] fe=%f m=%HM p=%HP TR=%TR',
                    'id={id} c={ci}:{cp} rt={rt} fe={fe} m={method} p={path} TR={TR}'),
    'txn_connect': ('%OG id=%ID be=%b srv=%s Tw=%Tw Tc=%Tc rc=%rc', 'id={id} be={be} srv={srv} Tw={Tw} Tc={Tc} rc={rc}'),
    'txn_response': ('%OG id=%ID st=%ST Tr=%Tr', 'id={id} st={status} Tr={Tr}'),
    'txn_close': ('%OG id=%ID be=%b srv=%s st=%ST B=%B %Th/%Ti/%TR/%Tw/%Tc/%Tr/%Td/%Ta/%Tt ts=%tsc rc=%rc',
                  'id={id} be={be} srv={srv} st={status} B={bytes} {Th}/{Ti}/{TR}/{Tw}/{Tc}/{Tr}/{Td}/{Ta}/{Tt} ts={ts} '
                  'rc={rc}'),
    'http-req': ('%OG id=%ID what=%(what)[str(rule)] now=%[date(0,us)]', 'id={id} what={what} now={now}'),
}
FORMATS = [w for text, _ in TEXT.values() for w in ('--format', text)]


def as_text(line):
    head, body = line.split(' - - ', 1)
    d = json.loads(body)
    return '%s - - %s %s' % (head, d['step'], TEXT[d['step']][1].format(**d))


def text_lines():
    return [as_text(line) for line in real_lines()]


def id_of(line):
    return re.search(r'id=(\S+)', line)[1]


def step_of(line):
    return line.split(' - - ')[1].split()[0]


def by_request(lines):
    found = {}
    for line in lines:
        found.setdefault(id_of(line), []).append(line)
    return list(found.values())


def later(line, n):
    """The same line, of the n-th request after it: another id, 100 ms later each"""
    line = re.sub(r'_(....):22C8', lambda m: '_%04X%05X:22C8' % (int(m[1], 16), n), line)
    line = re.sub(r'(at|rt|now)=(\d{16})', lambda m: '%s=%d' % (m[1], int(m[2]) + n * 100000), line)
    when = re.search(r'2026-\S+', line)[0]
    micros = steps_oracle.micros(when) + n * 100000
    new = time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(micros // 1000000)) + '.%06d+00:00' % (micros % 1000000)
    return line.replace(when, new)


def many(n):
    """A log of n requests, each from one of the real ones, in the order of their envelopes"""
    lines = []
    sets = by_request(text_lines())
    for i in range(n):
        lines += [later(line, i) for line in sets[i % len(sets)]]
    return sorted(lines, key=lambda line: line.split(' ')[1])


# ---------------------------------------------------------------- against the oracle

def check_request(want, got, name):
    s = server(got)
    expect(s['spanId'] == want['server'], name, 'SERVER is', s['spanId'], 'not', want['server'])
    expect('parentSpanId' not in s and s['kind'] == 2 and s['name'] == want['method'], name, s)
    expect((us(s['startTimeUnixNano']), us(s['endTimeUnixNano'])) == (want['start'], want['end']), name,
           'SERVER', s['startTimeUnixNano'], s['endTimeUnixNano'], want['start'], want['end'])
    a = attrs(s)
    expect(a['url.path'] == want['path'] and int(a['http.response.status_code']) == want['status'], name, a)
    expect(a['haproxy.backend.name'] == want['backend'] and a['haproxy.frontend.name'] == 'fe_steps', name, a)
    expect(not any(k.startswith('haspan.') for k in a), name, 'is not whole:', a)
    client = [x for x in got if x['kind'] == 3]
    expect(len(client) == 1 and client[0]['spanId'] == want['client'], name, client)
    expect((us(client[0]['startTimeUnixNano']), us(client[0]['endTimeUnixNano'])) == (want['split'], want['end']), name,
           'CLIENT', client[0])
    expect(attrs(client[0])['haproxy.server.name'] == want['host_server'], name, client)
    phases = {x['name']: (us(x['startTimeUnixNano']), us(x['endTimeUnixNano'])) for x in got if x['kind'] == 1}
    expect(phases == want['phases'], name, phases, want['phases'])
    for x in got:
        if x['kind'] == 1:
            above = s if x['name'] in ('haproxy.request', 'haproxy.queue') else client[0]
            expect(x['parentSpanId'] == above['spanId'], name, x['name'], 'hangs elsewhere')
        failed = x['name'] == want['failed'] or (want['failed'] and x['kind'] in (2, 3))
        http_error = x['kind'] == 3 and want['status'] >= 400 or x['kind'] == 2 and want['status'] >= 500
        expect((x.get('status', {}).get('code') == 2) == bool(failed or http_error), name, x['name'], 'status')
        if x['name'] == want['failed']:
            expect(attrs(x)['error.type'] == want['error'], name, x)
    events = [(us(e['timeUnixNano']), e['name']) for e in s['events']]
    expect(sorted(events) == want['events'] and events == sorted(events, key=lambda e: e[0]), name, events,
           want['events'])
    for e in s['events']:
        a = attrs(e)
        if e['name'] == 'haproxy.log':
            expect(a == {'haproxy.log.origin': 'http-req', 'haproxy.log.what': 'rule'}, name, a)
        else:
            expect(a == {}, name, a)


def against_oracle(lines, *words):
    want = steps_oracle.read(REAL)
    out, total = run(lines, *words)
    got = requests(out)
    expect(set(got) == {r['trace'] for r in want.values()}, 'other traces')
    expect(total['requests'] == len(want) and total['merged'] == len(lines) - len(want), total)
    for name, r in want.items():
        check_request(r, got[r['trace']], name)
    return got, want


@test
def real_lines_as_text():
    against_oracle(text_lines(), *FORMATS)


@test
def real_lines_as_they_are():
    against_oracle(real_lines())


@test
def server_was_asked_within_the_response_phase():
    got, want = against_oracle(text_lines(), *FORMATS)
    found = 0
    with open(TRUTH, encoding='utf-8') as f:
        for row in map(json.loads, f):
            r = want.get(row['hdr'].get('x-unique-id'))
            if not r:
                continue
            found += 1
            client = [x for x in got[r['trace']] if x['kind'] == 3][0]
            response = [x for x in got[r['trace']] if x['name'] == 'haproxy.response'][0]
            expect(int(response['startTimeUnixNano']) <= row['t0'] <= int(response['endTimeUnixNano']), row)
            # the server looks at its clock once its last byte has left: by then HAProxy may have it already
            expect(row['t1'] <= int(client['endTimeUnixNano']) + 50000, row)
            if '/drip' not in row['path']:
                expect(row['t1'] <= int(response['endTimeUnixNano']) + 50000, row)
    expect(found == 10, found, 'of them are in truth.jsonl')


# ---------------------------------------------------------------- order

def comparable(out):
    return sorted(json.dumps(s) for s in spans(out))


@test
def any_order_of_the_lines_of_a_request():
    first, second = by_request(text_lines())[:2]
    wanted = comparable(run(first + second, *FORMATS)[0])
    for order in itertools.permutations(second):
        expect(comparable(run(first + list(order), *FORMATS)[0]) == wanted, 'another order, other spans:', order)


@test
def json_and_text_say_the_same():
    def bare(s):
        return {k: v for k, v in s.items() if k != 'attributes'}, sorted(attrs(s).items())
    for one, other in zip(spans(run(text_lines(), *FORMATS)[0]), spans(run(real_lines())[0])):
        expect(bare(one) == bare(other), one, other)


@test
def all_lines_in_any_order():
    lines = text_lines()
    last = id_of(lines[-1])         # it takes a second: its clock ends all waiting
    wanted = comparable(run(lines, *FORMATS)[0])
    dice = random.Random(4)
    for _ in range(30):
        mixed = [line for line in lines if id_of(line) != last]
        dice.shuffle(mixed)
        mixed += [line for line in lines if id_of(line) == last]
        # do-log lines first: what comes behind the very first request to be whole is late (doc/steps.md)
        mixed.sort(key=lambda line: step_of(line) != 'http-req')
        out, total = run(mixed, *FORMATS)
        expect(comparable(out) == wanted, 'another order, other spans')
        expect(total['requests'] == 12, total)


@test
def every_subset_of_lines_has_the_same_ids():
    lines = by_request(text_lines())[0]
    whole = server(spans(run(lines, *FORMATS)[0]))
    for n in range(1, len(lines) + 1):
        for some in itertools.combinations(lines, n):
            out, total = run(list(some), *FORMATS)
            s = server(spans(out))
            expect((s['traceId'], s['spanId']) == (whole['traceId'], whole['spanId']), some)
            a = attrs(s)
            final = any(step_of(line) == 'txn_close' for line in some)
            expect(a.get('haspan.incomplete') == (None if final else 'end_of_input'), some, a)
            expect(total['requests'] == 1 and total['merged'] == n - 1, total)
            expect(len(s['events']) == n, some, s['events'])


@test
def lines_that_come_twice_change_nothing():
    lines = by_request(text_lines())[0]
    wanted, _ = run(lines, *FORMATS)
    for i in range(len(lines)):
        got, total = run(lines + [lines[i]], *FORMATS)
        expect(got == wanted and total['merged'] == 6, lines[i], total)
        got, total = run(lines[:i] + [lines[i]] + lines[i:], *FORMATS)
        expect(comparable(got) == comparable(wanted), lines[i])


@test
def threads_and_buffers_change_nothing():
    lines = many(6000)
    dice = random.Random(1)
    # neighbours swapped, as datagrams do
    for i in range(0, len(lines) - 4, 3):
        k = i + dice.randrange(4)
        lines[i], lines[k] = lines[k], lines[i]
    wanted, total = run(lines, *FORMATS, '--threads', '1')
    expect(total['requests'] == 6000, total)
    for n in ('2', '3', '4'):
        got, _ = run(lines, *FORMATS, '--threads', n)
        expect(got == wanted, '--threads', n)
    hard = os.path.join(ROOT, 'build/hard/haspan')
    for words in ([], ['--max-open', '3']):
        wanted = comparable(run(lines, *FORMATS, *words)[0])
        if os.path.exists(hard):
            expect(comparable(run(lines, *FORMATS, *words, binary=hard)[0]) == wanted, 'tiny buffers', words)


@test
def hosts_are_apart():
    lines = [line.replace('+00:00 - ', '+00:00 %s ' % host) for line in many(40) for host in ('lb1', 'lb2', 'lb3')]
    out, total = run(lines, *FORMATS)
    expect(total['requests'] == 120, total)
    found = {}
    for line in filter(None, out.decode().split('\n')):
        for resource in json.loads(line)['resourceSpans']:
            host = attrs(resource['resource'])['host.name']
            for scope in resource['scopeSpans']:
                found.setdefault(host, []).extend(scope['spans'])
    expect(set(found) == {'lb1', 'lb2', 'lb3'}, set(found))
    expect(len({json.dumps(v) for v in found.values()}) == 1, 'the hosts wrote the same')


# ---------------------------------------------------------------- bounds

@test
def max_open():
    sets = by_request(many(50))
    opened = [lines[0] for lines in sets]
    for n in (1, 2, 7, 50, 51):
        out, total = run(opened, *FORMATS, '--max-open', str(n))
        why = [attrs(s)['haspan.incomplete'] for s in spans(out)]
        expect(why == ['max_open'] * max(0, 50 - n) + ['end_of_input'] * min(n, 50), n, why)
        expect(total['requests'] == 50, total)


@test
def later_lines_of_what_was_cut_make_no_second_tree():
    sets = by_request(many(50))
    lines = [lines[0] for lines in sets] + [line for lines in sets for line in lines[1:]]
    out, total = run(lines, *FORMATS, '--max-open', '40')
    servers = [s for s in spans(out) if s['kind'] == 2]
    expect(len(servers) == 50 and total['requests'] == 50, total, len(servers))
    cut = [s for s in servers if attrs(s).get('haspan.incomplete')]
    expect(len(cut) == 10 and all(len(s['events']) == 1 for s in cut), len(cut))


@test
def max_age():
    lines = many(100)               # ten seconds
    slow = [line for line in lines if id_of(line) == id_of(lines[0])]
    rest = [line for line in lines if id_of(line) != id_of(lines[0])]
    out, total = run(slow[:2] + rest + slow[2:], *FORMATS, '--max-age', '5s')
    cut = [s for s in spans(out) if attrs(s).get('haspan.incomplete')]
    expect(len(cut) == 1 and attrs(cut[0])['haspan.incomplete'] == 'max_age', cut)
    expect(len(cut[0]['events']) == 2 and total['requests'] == 100, cut, total)
    out, _ = run(slow[:2] + rest + slow[2:], *FORMATS, '--max-age', '1h')
    expect(not [s for s in spans(out) if attrs(s).get('haspan.incomplete')], 'nothing is too old')


@test
def too_many_lines_of_one_request():
    lines = by_request(text_lines())[0]
    log = [line for line in lines if step_of(line) == 'http-req'][0]
    flood = [re.sub(r'now=\d+', 'now=%d' % (1795248948380091 + i), log) for i in range(1000)]
    out, total = run(lines[:2] + flood + lines[3:], *FORMATS)
    s = server(spans(out))
    a = attrs(s)
    expect(int(a['haspan.lines_dropped']) == 1000 - 48 + 2, a)
    expect('haspan.incomplete' not in a and len(s['events']) == 48 + 3, len(s['events']))
    expect(total['requests'] == 1 and total['merged'] == 1004, total)


@test
def a_flood_of_ids():
    lines = []
    for i in range(20000):
        lines.append('<134>1 2026-11-21T08:15:48.%06d+00:00 - haproxy 1 - - txn_response id=%s st=200 Tr=1' %
                     (i, 'x' * (i % 700) + str(i)))
    out, total = run(lines, *FORMATS, '--max-open', '100')
    expect(total['requests'] == 20000 and len(spans(out)) == 20000, total)


# A child's peak counts from before its exec: a small parent is needed, which this program is not.
PEAK = """import os, subprocess, sys
p = subprocess.Popen(sys.argv[1:], stderr=subprocess.DEVNULL)
_, status, usage = os.wait4(p.pid, 0)
print(usage.ru_maxrss)
sys.exit(status != 0)"""


@test
def memory_is_bounded():
    """The lines of open requests take what --max-open allows; the program itself stays below 48 MiB"""
    line = '<134>1 2026-11-21T08:15:48.380138+00:00 - haproxy 1 - - txn_response id=%s st=200 Tr=1\n'
    with tempfile.NamedTemporaryFile('w') as f:
        f.writelines(line % ('x' * 700 + str(i)) for i in range(120000))
        f.flush()
        for most, mib in (('100', 48), ('10000', 40 + 48)):
            done = subprocess.run([sys.executable, '-c', PEAK, HASPAN, *FORMATS, '--threads', '2', '--to', 'null', '--max-open',
                                   most, f.name], env=ENV, capture_output=True, timeout=120)
            expect(done.returncode == 0 and (int(done.stdout) < mib * 1024 or 'san' in HASPAN), most, done.stdout, 'KiB')


# ---------------------------------------------------------------- keys

@test
def counter_and_process():
    words = [w.replace('%ID', '%rt/%pid') for w in FORMATS]
    lines = [re.sub(r'id=\S+_(....):22C8', lambda m: 'id=%d/8904' % int(m[1], 16), line) for line in text_lines()]
    out, total = run(lines, *words)
    plain, _ = run(text_lines(), *FORMATS)
    expect(total['requests'] == 12, total)
    bounds = [(s['name'], s['startTimeUnixNano'], s['endTimeUnixNano'], s.get('events')) for s in spans(plain)]
    expect([(s['name'], s['startTimeUnixNano'], s['endTimeUnixNano'], s.get('events')) for s in spans(out)] == bounds,
           'other spans')
    # a new process counts from the same numbers on, a while later
    again = [later(re.sub(r'/8904', '/9000', line), 36000) for line in lines]
    expect(run(lines + again, *words)[1]['requests'] == 24, 'a reload')
    again = [later(line, 36000) for line in lines]
    expect(run(lines + again, *words)[1]['requests'] == 24, 'a container that started anew')


@test
def what_no_request_can_be_told_of():
    words = ['--format', '%OG id=%ID rt=%rt pid=%pid c=%ci', '--format', '%OG id=%ID %tr %Ta st=%ST ts=%ts']
    head = '<134>1 2026-11-21T08:15:48.380138+00:00 - haproxy 1 - - '
    _, total = run([head + 'tcp-req-conn id=- rt=26 pid=1 c=192.0.2.1', head + 'txn_accept id=- rt=27 pid=- c=192.0.2.1'],
                   *words)
    expect(total['other'] == 2 and total['spans'] == 0, total)
    _, total = run([head + 'tcp-req-cont id=- rt=26 pid=1 c=192.0.2.1'], *words)
    expect(total['requests'] == 1, total)
    # the end alone is a request, also without a key
    out, total = run([head + 'txn_close id=- 21/Nov/2026:08:15:48.300 80 st=200 ts=--'], *words)
    expect(total['requests'] == 1 and len(spans(out)) == 1, total)
    # a session that failed has no length
    out, total = run([head + 'sess_error id=- rt=26 pid=1 c=192.0.2.1'], *words)
    s = server(spans(out))
    expect(s['name'] == 'connection' and s['startTimeUnixNano'] == s['endTimeUnixNano'] and s['status']['code'] == 2, s)


@test
def log_of_close_alone():
    lines = [line for line in many(3000) if step_of(line) == 'txn_close']
    out, total = run(lines, *FORMATS)
    expect(total['requests'] == 3000 and total['merged'] == 0, total)
    expect(not [s for s in spans(out) if 'haspan.incomplete' in attrs(s)], 'a final line is enough')


# ---------------------------------------------------------------- the account, asked for in the middle

@test
def account_in_the_middle():
    lines = many(3000)
    p = subprocess.Popen([HASPAN, *FORMATS, '--to', 'null'], env=ENV, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    for at in range(0, len(lines), 2000):
        p.stdin.write('\n'.join(lines[at:at + 2000]).encode() + b'\n')
        p.stdin.flush()
        time.sleep(0.05)
        p.send_signal(signal.SIGUSR1)
    _, err = p.communicate(timeout=60)
    found = summary_of(err.decode())
    expect(p.returncode == 0 and len(found) > 3, len(found), err)
    expect(found[-1]['requests'] == 3000 and found[-1]['lines'] == len(lines), found[-1])
    expect(any(0 < n['requests'] < 3000 for n in found), 'all were at the end')


@test
def a_line_from_the_future():
    lines = many(100)
    future = re.sub(r'=\d{16}', '=4102444800000000', lines[0].replace(id_of(lines[0]), 'zzz'))
    expect('4102444800000000' in future, future)
    out, total = run(lines[:7] + [future] + lines[7:], *FORMATS, '--max-age', '1h')
    cut = [attrs(s)['haspan.incomplete'] for s in spans(out) if attrs(s).get('haspan.incomplete')]
    expect(cut == ['end_of_input'] and total['requests'] == 101, cut, total)


@test
def a_stop_in_the_middle():
    lines = many(500)
    with tempfile.NamedTemporaryFile(suffix='.jsonl') as f:
        p = subprocess.Popen([HASPAN, *FORMATS, '--to', 'file:' + f.name], env=ENV, stdin=subprocess.PIPE,
                             stderr=subprocess.PIPE)
        p.stdin.write('\n'.join(lines[:-3]).encode() + b'\n')
        p.stdin.flush()
        time.sleep(0.5)
        p.send_signal(signal.SIGTERM)
        _, err = p.communicate(timeout=60)
        out = f.read()
    total = summary_of(err.decode())[-1]
    expect(p.returncode == 0 and len(spans(out)) == total['exported'], err)
    expect(total['requests'] == len([s for s in spans(out) if s['kind'] == 2]), total)


# ---------------------------------------------------------------- hostile

@test
def short_requests_may_displace_many_long_ones():
    """More than a wire can hold leaves because of the lines of one block; a wire is no bound for what is read"""
    step = ('<134>1 2026-11-21T08:15:48.380138+00:00 - haproxy 8904 - - {"step": "%s", "id": '
            '"7F000001:B656_7F000001:5214_6B015334_%08X:22C8", "ci": "127.0.0.1", "cp": 46678, "at": 1795248948380021, '
            '"fe": "fe_steps"%s}')
    request = ', "rt": 1795248948380021, "method": "GET", "path": "/%s", "TR": -1, "tp": ""' % ('x' * 60000)
    lines = []
    for n in range(600):
        lines += [step % ('txn_accept', n, ''), step % ('txn_request', n, request), step % ('txn_request', n, request)]
    lines += [step % ('txn_accept', n, '') for n in range(600, 21200)]
    with tempfile.NamedTemporaryFile(suffix='.log') as f:
        f.write('\n'.join(lines).encode() + b'\n')
        f.flush()
        done = subprocess.run([HASPAN, '--max-open', '20000', '--to', 'null', f.name], env=ENV, capture_output=True,
                              timeout=120, text=True, check=False)
    expect(done.returncode == 0, done.returncode, done.stderr[-1000:])
    total = summary_of(done.stderr)[-1]
    expect((total['requests'], total['merged'], total['exported']) == (21200, 1200, 21200), total)


def mutate(dice, line):
    kind, at = dice.randrange(5), dice.randrange(len(line))
    if kind == 0:
        return line[:at]
    if kind == 1:
        return line[:at] + dice.choice(('-1', '99999999999999999999', '=', ' ', '\x1b', '"', '<', '%')) + line[at + 1:]
    if kind == 2:
        return re.sub(r'\d{16}', lambda m: str(dice.choice((0, 1, 9 * 10**17, int(m[0]) - 10**9, int(m[0]) + 7777))), line)
    if kind == 3:
        return re.sub(r'txn_\w+', lambda m: dice.choice(('txn_close', 'txn_accept', 'http-req', 'sess_error', 'x')), line)
    return line


@test
def mutated_lines():
    for seed in range(4):
        dice = random.Random(seed)
        lines = [mutate(dice, line).replace('\n', '') for line in many(1500)]
        dice.shuffle(lines)
        with tempfile.NamedTemporaryFile(suffix='.jsonl') as f:
            out, total = run(lines, *FORMATS, '--max-open', '200')
            f.write(out)
            f.flush()
            found = list(compare.read_spans(f.name))
        expect(len(found) == total['exported'], total)
        for group in compare.group(found, lambda s, _: s['kind'] == compare.SERVER):
            for wrong in compare.check_rules(group, True, {}):
                if 'no phases in it' not in wrong:
                    raise Failure('%s in %s' % (wrong, group[0]))


def main():
    failed = passed = 0
    for t in TESTS:
        if sys.argv[1:] and not any(word in t.__name__ for word in sys.argv[1:]):
            continue
        begin = time.time()
        try:
            t()
            passed += 1
        except Exception as e:
            failed += 1
            print('FAILED %s: %s' % (t.__name__, str(e)[:3000] if isinstance(e, Failure) else traceback.format_exc()))
    print('%d passed, %d failed' % (passed, failed))
    return failed > 0 or passed == 0


if __name__ == '__main__':
    sys.exit(main())
