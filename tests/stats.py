#!/usr/bin/env python3
"""--to stats (doc/stats.md) against numpy.

    tests/stats.py [--captures N] [CASE]...           CASE: a part of a test's name

Captures are made here, by chance, with phases that are known; what the table says of them is computed once more from those.
Counts, largest numbers, shares and failures must be exact (as far as they are printed), quantiles within 1/128, and exact
below 128 ms. Without numpy it is installed into $HASPAN_CACHE/venv (tests/packages.py).

The binary is $HASPAN, or build/haspan.
"""
import collections
import json
import os
import pty
import random
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import unicodedata

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import packages                                                         # noqa: E402

packages.need('numpy', 'numpy==2.3.5')
import numpy                                                            # noqa: E402
from lab import ENV, HASPAN, Failure, expect                            # noqa: E402
from ports import free_port                                             # noqa: E402

SLOW = 120              # seconds that no run needs
PHASES = 'request', 'queue', 'tarpit', 'connect', 'response', 'data', 'total'
QUANTILES = ('p50', 0.5), ('p95', 0.95), ('p99', 0.99)
TESTS = []


def test(function):
    TESTS.append(function)
    return function


# ---------------------------------------------------------------- captures

Request = collections.namedtuple('Request', 'fe be srv us phases status state cause')

# termination state: the phase that failed, and the words for it (formats/termination.def)
CAUSES = {
    'CR': ('request', 'client closed the connection'),
    'cR': ('request', 'client sent or read nothing for too long'),
    'PR': ('request', 'HAProxy refused the request as invalid'),
    'sQ': ('queue', 'no server was free in time'),
    'CQ': ('queue', 'client closed the connection'),
    'SC': ('connect', 'server refused or reset the connection'),
    'sC': ('connect', 'server did not accept the connection in time'),
    'SH': ('response', 'server closed before sending response headers'),
    'sH': ('response', 'server did not send response headers in time'),
    'PH': ('response', "HAProxy refused the server's response"),
    'CD': ('data', 'client closed the connection'),
    'sD': ('data', 'server sent or read nothing for too long'),
    'SD': ('data', 'server closed before the end of the response'),
}
ORDER = 'request', 'queue', 'connect', 'response', 'data'
TCP_STATES = 'sQ', 'SC', 'sC', 'CD', 'SD'
STATUS = {'request': 400, 'queue': 503, 'connect': 503, 'response': 504, 'data': 200}


def length(r, scale):
    return 0 if r.random() < 0.3 else int(r.lognormvariate(scale, 1.6))


def one(r, tcp, scale, names):
    """A request that is known in every detail; lengths in ms"""
    fe, be, srv = (r.choice(n) for n in names)
    state = r.choice(TCP_STATES if tcp else list(CAUSES)) if r.random() < 0.08 else '--'
    failed, cause = CAUSES.get(state, (None, None))
    phases = {}
    for phase in ORDER:
        if not tcp or phase not in ('request', 'response'):
            phases[phase] = length(r, scale)
        if phase == failed:
            break
    status = STATUS[failed] if failed else r.choice([200] * 20 + [301, 404, 500, 502, 503])
    if failed == 'queue' or failed == 'request':
        srv = '<NOSRV>'
    if not tcp and not failed and status >= 500:
        cause = '%d from the server' % status
    return Request(fe, be, srv, r.randrange(1000), phases, 0 if tcp else status, state, cause)


def timers(q):
    """TR, Tw, Tc, Tr, Td as HAProxy logs them: of the phase that failed only Ta knows; -1 is what was not reached"""
    failed = CAUSES.get(q.state, (None,))[0]
    values = [-1 if phase not in q.phases or (phase == failed and phase != 'data') else q.phases[phase] for phase in ORDER]
    return values, sum(q.phases.values())


def http_line(q, n):
    (TR, Tw, Tc, Tr, _), Ta = timers(q)
    return '192.0.2.1:%d [21/Nov/2026:08:%02d:%02d.%03d] %s %s/%s %d/%d/%d/%d/%d %d 68 - - %s-- 1/1/0/0/0 0/0 "GET /x/%d HTTP/1.1"' % (
        1024 + n % 60000, n // 60 % 60, n % 60, n % 1000, q.fe, q.be, q.srv, TR, Tw, Tc, Tr, Ta, q.status, q.state, n)


def tcp_line(q, n):
    (_, Tw, Tc, _, _), Tt = timers(q)
    return '192.0.2.1:%d [21/Nov/2026:08:%02d:%02d.%03d] %s %s/%s %d/%d/%d 68 %s 1/1/0/0/0 0/0' % (
        1024 + n % 60000, n // 60 % 60, n % 60, n % 1000, q.fe, q.be, q.srv, Tw + 1 if Tw > 0 else Tw, Tc,
        Tt, q.state)


KEYS = 'at=%tr fe=%f be=%b srv=%s TR=%TR Tw=%Tw Tc=%Tc Tr=%Tr Td=%Td Ta=%Ta status=%ST state=%ts path=%HP method=%HM'


def key_line(q, n):
    (TR, Tw, Tc, Tr, Td), Ta = timers(q)
    return 'at=21/Nov/2026:08:15:44.900 fe=%s be=%s srv=%s TR=%d Tw=%d Tc=%d Tr=%d Td=%d Ta=%d status=%d state=%s path=/x/%d method=GET' % (
        q.fe, q.be, q.srv, TR, Tw, Tc, Tr, Td, Ta, q.status, q.state, n)


MICROS = 'fe=%f be=%b srv=%s TR=%TR Tw=%Tw Tc=%Tc Tr=%Tr Ta=%Ta status=%ST state=%ts path=%HP from=%[request_date(us)] ' \
         'to=%[date(0,us)]'


def micro_line(q, n):
    """The end is exact to the microsecond, and so is the last phase"""
    (TR, Tw, Tc, Tr, _), Ta = timers(q)
    start = (1795248944 + n) * 1000000
    return 'fe=%s be=%s srv=%s TR=%d Tw=%d Tc=%d Tr=%d Ta=%d status=%d state=%s path=/x/%d from=%d to=%d' % (
        q.fe, q.be, q.srv, TR, Tw, Tc, Tr, Ta, q.status, q.state, n, start, start + Ta * 1000 + q.us)


FORMATS = (('httplog', http_line, False), ('tcplog', tcp_line, True), (KEYS, key_line, False), (MICROS, micro_line, False))


def capture(seed, n=None):
    r = random.Random(seed)
    form, write, tcp = FORMATS[seed % len(FORMATS)]
    scale = r.choice((0, 1, 3, 5))
    names = [['%s%d' % (kind, k) for k in range(r.randint(1, 3))] for kind in ('fe', 'be', 'app')]
    requests = [one(r, tcp, scale, names) for _ in range(n or r.choice((1, 7, 300, 3000)))]
    lines = ''.join(write(q, k) + '\n' for k, q in enumerate(requests))
    return form, requests, lines, write is micro_line


def lengths(q, micros):
    """{phase: microseconds}"""
    found = {phase: 1000 * ms for phase, ms in q.phases.items()}
    if micros:
        found[list(found)[-1]] += q.us
    return dict(found, total=sum(found.values()))


# ---------------------------------------------------------------- what haspan says

def start(*arguments, **kw):
    return subprocess.Popen([HASPAN, *arguments], env={**ENV, 'COLUMNS': '100', **kw.pop('env', {})}, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, **kw)


def run(*arguments, lines=b'', code=0, **kw):
    child = start(*arguments, stdin=subprocess.PIPE, **kw)
    out, err = child.communicate(lines if isinstance(lines, bytes) else lines.encode(), timeout=SLOW)
    expect(child.returncode == code, 'exit', child.returncode, 'instead of', code, err.decode()[-2000:])
    return out.decode(), err.decode()


Row = collections.namedtuple('Row', 'count p50 p95 p99 max share')


def tables(text):
    """{name of the group, '' for all: (requests, failed, {phase: Row})}; {(phase, cause): count}; [(ms, trace id)]"""
    groups, failures, slowest, name, before = {}, {}, [], None, ''
    for line in text.split('\n'):
        m = re.match(r'(?:  )?(\d+) requests?(?:, (\d+) failed or 5xx)?', line)
        if m:
            name = '' if not groups else before
            groups[name] = int(m[1]), int(m[2] or 0), {}
        m = re.match(r'  (%s) +(\d+)((?: +[\d.]+){4}) +(<?[\d.]+) %%$' % '|'.join(PHASES), line)
        if m:
            groups[name][2][m[1]] = Row(int(m[2]), *map(float, m[3].split()), m[4])
        m = re.match(r' +(\d+)  (request|queue|connect|response|data|tarpit|status|connection) +(\S.*)$', line)
        if m:
            failures[m[2], m[3]] = int(m[1])
        m = re.match(r' +([\d.]+)  ([0-9a-f]{32})\b', line)
        if m:
            slowest.append((float(m[1]), m[2]))
        if line.startswith('all of them: '):
            groups[line[len('all of them: '):]] = groups['']
        before = line if not line.startswith('  (') else before
    return groups, failures, slowest


def near(got, want, what):
    """`got` ms as printed, `want` us"""
    off = abs(got * 1000 - want)
    whole = want % 1000 == 0 and want < 128000
    expect(off < 0.5 if whole else off <= want / 128 + max(0.5, want * 0.0006), what, got, 'ms, but it is', want, 'us')


def check_group(found, requests, micros, name):
    known = [lengths(q, micros) for q in requests]
    count, failed, rows = found
    expect(count == len(requests), name, count, 'requests instead of', len(requests))
    expect(failed == sum(q.cause is not None for q in requests), name, failed, 'failed')
    whole = sum(k['total'] for k in known)
    for phase in PHASES:
        values = numpy.array([k[phase] for k in known if phase in k], dtype=numpy.int64)
        expect((phase in rows) == (len(values) > 0), name, phase, 'is there, or is not')
        if not len(values):
            continue
        row = rows[phase]
        expect(row.count == len(values), name, phase, row.count, 'instead of', len(values))
        for word, q in QUANTILES:
            near(getattr(row, word), int(numpy.quantile(values, q, method='inverted_cdf')), (name, phase, word))
        largest = int(values.max())
        expect(abs(row.max * 1000 - largest) <= (0.5 if largest % 1000 == 0 else max(0.5, largest * 0.0006)), name, phase,
               'max', row.max, largest)
        share = 100 * int(values.sum()) / whole if whole else 0
        expect(share < 0.05 if row.share == '<0.1' else abs(float(row.share) - share) <= 0.0501, name, phase, row.share, share)


def server(q):
    return '-' if q.srv == '<NOSRV>' else q.srv


def check_failures(found, requests):
    known = collections.Counter()
    for q in requests:
        if q.cause:
            known[CAUSES[q.state][0] if q.state in CAUSES else 'status', q.cause] += 1
    expect(found == dict(known), 'failures', found, 'instead of', dict(known))


@test
def captures_against_numpy():
    """Random captures of several formats: every number of every group"""
    for seed in range(CAPTURES):
        form, requests, lines, micros = capture(seed)
        options = ['--to', 'stats', '--top', '0', '--format', form]
        out, err = run(*options, lines=lines)
        expect('requests=%d ' % len(requests) in err and 'rejected=0' in err, seed, err)
        groups, failures, _ = tables(out)
        known = collections.defaultdict(list)
        for q in requests:
            known[' · '.join((q.fe, q.be, server(q)))].append(q)
        expect(set(groups) == {'', *known}, seed, sorted(groups), sorted(known))
        known[''] = requests
        try:
            for name, of in known.items():
                check_group(groups[name], of, micros, name)
            check_failures(failures, requests)
        except Failure as e:
            raise Failure('capture', seed, form, e, out[:3000]) from e


@test
def groups_by_other_names():
    form, requests, lines, micros = capture(4 * 7, 3000)
    for by, key in (('backend', lambda q: q.be), ('status,frontend', lambda q: '%d · %s' % (q.status, q.fe)),
                    ('server', server), ('none', None)):
        groups = tables(run('--to', 'stats', '--top', '0', '--by', by, '--format', form, lines=lines)[0])[0]
        known = collections.defaultdict(list)
        for q in requests:
            if key:
                known[key(q)].append(q)
        expect(set(groups) == {'', *known}, by, sorted(groups), sorted(known))
        for name, of in known.items():
            check_group(groups[name], of, micros, name)
    out = run('--to', 'stats', '--route', '/x/{n}', '--format', form, lines=lines)[0]
    expect('  by frontend · backend · server · route\n' in out and ' · /x/{n}\n' in out, out[:600])


@test
def what_is_not_shown_is_in_one_row():
    form, requests, lines, micros = capture(4 * 7, 3000)
    out = run('--to', 'stats', '--top', '2', '--format', form, lines=lines)[0]
    groups = tables(out)[0]
    names = collections.Counter()
    for q in requests:
        names[' · '.join((q.fe, q.be, server(q)))] += sum(q.phases.values())
    shown = [name for name, _ in names.most_common(2)]
    rest = '%d further groups together' % (len(names) - 2)
    expect(list(groups) == ['', *shown, rest], list(groups), shown, rest)
    check_group(groups[rest], [q for q in requests if ' · '.join((q.fe, q.be, server(q))) not in shown], micros, rest)


@test
def threads_and_order_change_nothing():
    """More paths than are told apart: which are kept, and every number, are the same"""
    form, requests, lines, _ = capture(0, 12000)
    rows = lines.splitlines(keepends=True)
    random.Random(1).shuffle(rows)
    shuffled = ''.join(rows)
    for by in 'frontend,backend,server', 'path':
        options = ['--to', 'stats', '--by', by, '--format', form]
        first = run(*options, '--threads', '1', lines=lines)[0]
        for threads in '1', '2', '4':
            for text in lines, shuffled:
                out = run(*options, '--threads', threads, lines=text)[0]
                expect(out == first, by, threads, 'threads: another table', out[:1500], first[:1500])
    m = re.search(r'about (\d+) further groups together', first)
    limit = int(re.search(r'beyond (\d+) groups', first)[1])
    expect(m and (limit < 1000 or 10800 < int(m[1]) < 13200), first[-3000:])


@test
def it_sees_what_others_do_not():
    """Sampling and --drop are for sinks; several of those work beside it; what it shows can be found there"""
    form, requests, lines, micros = capture(4, 3000)
    plain = run('--to', 'stats', '--format', form, lines=lines)[0]
    for options in (['--sampler', 'always_off'], ['--drop', 'status >= 0'], ['--phases', 'none'], ['--phases', 'all']):
        expect(run('--to', 'stats', *options, '--format', form, lines=lines)[0] == plain, options, 'another table')
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'spans')
        for shift in [], ['--rebase', '2025-01-01T00:00:00Z']:
            out, err = run('--to', 'stats', '--slowest', '25', *shift, '--to', 'file:' + path, '--format', form, lines=lines)
            expect('exported' in err and 'held=0' in err, err)
            spans = []
            with open(path, encoding='utf-8') as f:
                for line in f:
                    for rs in json.loads(line)['resourceSpans']:
                        spans += [s for ss in rs['scopeSpans'] for s in ss['spans'] if s['kind'] == 2]
            took = {s['traceId']: (int(s['endTimeUnixNano']) - int(s['startTimeUnixNano'])) // 1000 for s in spans}
            shown = tables(out)[2]
            expect(len(shown) == 25 and all(took[i] == ms * 1000 for ms, i in shown), shown)
            expect([ms * 1000 for ms, _ in shown] == sorted(took.values(), reverse=True)[:25], 'the slowest', shown)


@test
def a_tree_beside_it_may_end_early():
    """--limit is the tree's; the table has the rest"""
    lines = capture(0, 5000)[2]
    for options in ['--limit', '2'], ['--slowest', '2']:
        out, err = run('--to', 'tree', '--to', 'stats', '--threads', '1', *options, lines=lines)
        expect('\n5000 requests, ' in out and out.count('  SERVER ') == 2 and 'lines=5000 ' in err, options, out[-3000:], err)


@test
def hostile_names_are_inert():
    nasty = ['\x1b[31mred', 'a\u202eb', '\u2028', '<script>', ']]>', 'x' * 5000, 'é' * 300, '\x9b31m', '\u200bzero', "%s%n"]
    text = b''.join(b'at=21/Nov/2026:08:15:44.900 fe=f be=b srv=s TR=0 Tw=0 Tc=0 Tr=1 Td=0 Ta=1 status=500 state=-- path=/%s method=%s\n' % (n, n)
                    for n in [n.encode() for n in nasty] + [b'\xff\xfe', b'\0', b'\xc3', b'#1B[2J', b'\r\b\b'])
    for by in 'path', 'method,path,host,client':
        out = run('--to', 'stats', '--by', by, '--top', '0', '--format', KEYS, lines=text)[0]
        bad = {c for c in out if c != '\n' and (unicodedata.category(c) in ('Cc', 'Cf') or c in '\u2028\u2029')}
        expect(not bad and '\x1b' not in out, by, bad)
        widest = max(out.split('\n'), key=len)
        expect(len(widest) <= 100, by, 'a line is too wide:', widest)
    wide = run('--to', 'stats', '--by', 'path', '--format', KEYS, lines=text, env={'COLUMNS': '60'})[0]
    widest = max(wide.split('\n'), key=len)
    expect(len(widest) <= 60, 'a line is too wide:', widest)


@test
def connections_and_tarpits():
    lines = '''192.0.2.1:1 [21/Nov/2026:08:15:44.900] fe/1: SSL handshake failure
192.0.2.1:2 [21/Nov/2026:08:15:44.900] fe/1: Timeout during SSL handshake
192.0.2.1:3 [21/Nov/2026:08:15:44.900] fe fe/<NOSRV> 9/-1/-1/-1/500 500 68 - - PT-- 1/1/0/0/0 0/0 "GET /x HTTP/1.1"
192.0.2.1:4 [21/Nov/2026:08:15:44.900] fe fe/<NOSRV> 2/-1/-1/-1/2 503 68 - - PR-- 1/1/0/0/0 0/0 "GET /x HTTP/1.1"
192.0.2.1:4 [21/Nov/2026:08:15:44.900] fe be/s 2/0/1/1/4 777 68 - - ---- 1/1/0/0/0 0/0 "GET /x HTTP/1.1"
'''
    groups, failures, slowest = tables(run('--to', 'stats', lines=lines)[0])
    expect(groups[''][:2] == (5, 5), groups[''])
    expect(groups[''][2]['tarpit'] == Row(1, 500, 500, 500, 500, '98.8') and groups[''][2]['total'].count == 3, groups[''])
    expect(failures == {('connection', 'tls handshake failed'): 1, ('connection', 'tls handshake timeout'): 1,
                        ('status', '503 from HAProxy'): 1, ('status', '500 from HAProxy'): 1,
                        ('status', 'above 599 from the server'): 1}, failures)
    expect(len(slowest) == 3 and slowest[0][0] == 500, slowest)


@test
def nothing_at_all():
    out, err = run('--to', 'stats')
    expect(out.startswith('0 requests\n') and 'lines=0 ' in err, out, err)
    out, err = run('--to', 'stats', '--slowest', '0', '--by', 'none', lines=capture(0, 50)[2])
    expect('Slowest' not in out and out.startswith('50 requests'), out)


@test
def wrong_options_are_explained():
    for option, said in (('frontend,bakend', r'frontend,bakend\n +\^'), ('path,path', 'expected each name once'), ('', 'expected')):
        err = run('--to', 'stats', '--by', option, code=2)[1]
        expect(re.search(said, err), option, err)
    run('--to', 'stats', '--slowest', '1001', code=2)
    run('--to', 'stats', '--top', '-1', code=2)
    expect('valid' in run('-n', '--to', 'stats', '/dev/null')[0], '-n')
    err = run('--to', 'stats', '--to', '-', code=2)[1]
    expect('standard output' in err, err)


@test
def a_table_that_cannot_be_written():
    """A full disk, a pipe that nobody reads"""
    with open('/dev/full', 'wb') as full:
        done = subprocess.run([HASPAN, '--to', 'stats'], input=capture(0, 50)[2].encode(), stdout=full, env=ENV,
                              stderr=subprocess.PIPE, timeout=SLOW)
    expect(done.returncode == 5 and b'cannot write' in done.stderr, done.returncode, done.stderr)
    child = start('--to', 'stats', stdin=subprocess.PIPE)
    child.stdout.close()
    child.stdin.write(capture(0, 50)[2].encode())
    child.stdin.close()
    expect(child.wait(SLOW) == 5, child.returncode)
    child.stderr.close()


@test
def a_stop_shows_what_there_was():
    """Ctrl-C while a pipe is read; SIGTERM with a socket"""
    lines = capture(0, 2000)[2].encode()
    for number in signal.SIGINT, signal.SIGTERM:
        port = free_port()
        child = start('--from', 'tcp://127.0.0.1:%d' % port, '--to', 'stats', '--to', 'null')
        deadline = time.monotonic() + SLOW
        while time.monotonic() < deadline:
            try:
                s = socket.create_connection(('127.0.0.1', port), 1)
                break
            except OSError:
                time.sleep(0.05)
        s.sendall(lines)
        s.shutdown(socket.SHUT_WR)
        s.recv(1)                           # it closes when all was read
        child.send_signal(number)
        out, err = child.communicate(timeout=SLOW)
        expect(child.returncode == 0 and out.startswith(b'2000 requests'), number, child.returncode, out[:200], err)
        s.close()


@test
def colours_are_for_terminals():
    lines = capture(0, 300)[2]
    expect('\x1b' not in run('--to', 'stats', lines=lines)[0], 'colours in a pipe')
    for env, coloured in (({}, True), ({'NO_COLOR': '1'}, False)):
        primary, secondary = pty.openpty()
        child = subprocess.Popen([HASPAN, '--to', 'stats'], stdin=subprocess.PIPE, stdout=secondary, stderr=subprocess.DEVNULL,
                                 env=dict(ENV, TERM='xterm', **env))
        os.close(secondary)
        said = []
        reader = threading.Thread(target=read_all, args=(primary, said))
        reader.start()
        child.communicate(lines.encode(), timeout=SLOW)
        reader.join(SLOW)
        os.close(primary)
        text = b''.join(said)
        expect(b'300 requests' in text and (b'\x1b[1m' in text) == coloured, env, text[:300])


def read_all(fd, said):
    while True:
        try:
            data = os.read(fd, 65536)
        except OSError:
            return
        if not data:
            return
        said.append(data)


@test
def memory_is_bounded():
    """100,000 paths, each with times of its own"""
    r = random.Random(5)
    pre = [http_line(one(r, False, 4, [['fe'], ['be'], ['a', 'b']]), k).rsplit('/x/', 1)[0] for k in range(5000)]
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'log')
        with open(path, 'w', encoding='utf-8') as f:
            for k in range(400000):
                f.write('%s/x/%d HTTP/1.1"\n' % (pre[k % 5000], r.randrange(100000)))
        child = start('--to', 'stats', '--by', 'path', '--threads', '4', path)
        out = child.stdout.read().decode()
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = status
        child.stdout.close()
        child.stderr.close()
    expect(status == 0 and out.startswith('400000 requests'), status, out[:200])
    expect(re.search(r'about \d+ further groups together', out), out[-500:])
    if not os.path.basename(os.path.dirname(HASPAN)) in ('san', 'tsan'):
        expect(used.ru_maxrss <= max(64 * 1024, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss), used.ru_maxrss, 'KiB')


def main():
    global CAPTURES
    arguments, CAPTURES = sys.argv[1:], 50
    if arguments[:1] == ['--captures']:
        CAPTURES = int(arguments[1])
        arguments = arguments[2:]
    passed = failed = 0
    for function in TESTS:
        name = function.__name__.replace('_', ' ')
        if arguments and not any(part in name for part in arguments):
            continue
        try:
            function()
            passed += 1
        except Exception as e:                      # a test that breaks has failed, and the next one runs
            failed += 1
            print('FAILED %s: %s' % (name, ' '.join(map(str, e.args))[:3000]))
            if not isinstance(e, Failure):
                traceback.print_exc(file=sys.stdout)
    print('%d passed, %d failed' % (passed, failed))
    return failed > 0 or passed == 0


CAPTURES = 50
if __name__ == '__main__':
    sys.exit(main())
