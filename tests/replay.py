#!/usr/bin/env python3
"""--rebase, --pace and --rate (doc/replay.md).

    tests/replay.py [CASE]...           CASE: a part of a test's name

Times and ids of a shifted run are computed here, in Python, from those of the unshifted run: nothing else may differ.
Nothing is expected to be fast: lower bounds of a time are the only ones that are measured.

The binary is $HASPAN, or build/haspan.
"""
import calendar
import datetime
import gzip
import json
import lzma
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lab import ENV, HASPAN, ROOT, Failure, expect                      # noqa: E402

SLOW = 120              # seconds that no run needs
BLOCK = 128 * 1024      # core/limits.h
TESTS = []
TO = '2026-01-01T00:00:00Z'
TO_US = calendar.timegm((2026, 1, 1, 0, 0, 0)) * 10**6


def test(function):
    TESTS.append(function)
    return function


# ---------------------------------------------------------------- the rule of doc/replay.md, once more

MASK = (1 << 64) - 1


def mix(x):
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9 & MASK
    x = (x ^ x >> 27) * 0x94d049bb133111eb & MASK
    return x ^ x >> 31


class Shift:
    def __init__(self, us):
        self.us = us
        self.key = [mix((us + n * 0x9e3779b97f4a7c15) & MASK) for n in (1, 2, 3)]

    def span(self, text):
        return '%016x' % (mix(int(text, 16) ^ self.key[0]) or 1) if text else text

    def trace(self, text):
        high, low = int(text[:16], 16), int(text[16:], 16)
        return '%016x%016x' % (mix(high ^ self.key[1]), mix(low ^ self.key[2]) or 1)

    def time(self, ns):
        return str(int(ns) + self.us * 1000)

    def apply(self, span):
        span = dict(span)
        span['traceId'] = self.trace(span['traceId'])
        span['spanId'] = self.span(span['spanId'])
        if span.get('parentSpanId'):
            span['parentSpanId'] = self.span(span['parentSpanId'])
        for key in ('startTimeUnixNano', 'endTimeUnixNano'):
            span[key] = self.time(span[key])
        if 'events' in span:
            span['events'] = [dict(e, timeUnixNano=self.time(e['timeUnixNano'])) for e in span['events']]
        return span


# ---------------------------------------------------------------- running

def run(*words, stdin=None, code=0):
    """(spans of standard output, stderr)"""
    done = subprocess.run([HASPAN, '--to', '-', *words], env=ENV, cwd=ROOT, timeout=SLOW, capture_output=True,
                          **({'input': stdin} if isinstance(stdin, bytes) else {'stdin': stdin or subprocess.DEVNULL}))
    said = done.stderr.decode('utf-8', 'replace')
    expect(done.returncode == code, 'exit', done.returncode, said)
    spans = [s for line in done.stdout.splitlines() for r in json.loads(line)['resourceSpans']
             for scope in r['scopeSpans'] for s in scope['spans']]
    return spans, said


def said_shift(said):
    """(microseconds, the TIME that does it again)"""
    found = re.search(r'shifted by ([+-])(\d+)\.(\d{6}) s; --rebase (\S+) does it again', said)
    expect(found, 'no word about the shift:', said)
    us = int(found[2]) * 10**6 + int(found[3])
    return -us if found[1] == '-' else us, found[4]


def same_but_shifted(plain, moved, shift):
    expect(plain, 'no spans')
    expect(len(plain) == len(moved), '%d spans became %d' % (len(plain), len(moved)))
    for a, b in zip(plain, moved):
        want = shift.apply(a)
        expect(want == b, 'expected', json.dumps(want)[:600], 'got', json.dumps(b)[:600])
    ids, moved_ids = {s['spanId'] for s in plain}, {s['spanId'] for s in moved}
    expect(len(ids) == len(moved_ids), 'ids that differed are the same')
    for a, b in zip(plain, moved):
        expect((a.get('parentSpanId') in ids) == (b.get('parentSpanId') in moved_ids), 'a parent was lost')


def end_of(spans):
    """When the last line of a log of ordinary lines was written: the last SERVER's end, in microseconds"""
    return int([s for s in spans if s['kind'] == 2][-1]['endTimeUnixNano']) // 1000


def stamp(us):
    t = datetime.datetime.fromtimestamp(us // 10**6, datetime.timezone.utc)
    return t.strftime('%d/%b/%Y:%H:%M:%S') + '.%03d' % (us // 1000 % 1000)


def line(us, took=20, port=40000, path='/'):
    """An httplog line of a request that ended at `us`"""
    return ('192.0.2.1:%d [%s] fe be/app1 0/0/1/%d/%d 200 68 - - ---- 1/1/0/0/0 0/0 "GET %s HTTP/1.1"\n' % (
        port, stamp(us - took * 1000), took - 1, took, path)).encode()


NOTICE = b'Proxy fe started.\n'
DAY = 86400 * 10**6
BASE = 1_790_000_000_000_000


def write(folder, name, data):
    path = os.path.join(folder, name)
    opened = {'.gz': gzip.open, '.xz': lzma.open}.get(os.path.splitext(name)[1], open)
    with opened(path, 'wb') as f:
        f.write(data)
    return path


# ---------------------------------------------------------------- --rebase

def captures():
    """(name, options and file) of all logs in samples/"""
    for folder, _, files in sorted(os.walk(os.path.join(ROOT, 'samples'))):
        if 'input.log' not in files or 'hostile' in folder:
            continue
        words, env = [], os.path.join(folder, 'env')
        if os.path.exists(os.path.join(folder, 'args')):
            with open(os.path.join(folder, 'args'), encoding='utf-8') as f:
                words = f.read().splitlines()
        if not os.path.exists(env):
            yield os.path.relpath(folder, ROOT), [*words, os.path.join(folder, 'input.log')]
    for name in ('raw', 'rfc3164', 'rfc5424', 'iso', 'ring', 'steps'):
        folder = os.path.join(ROOT, 'samples', 'haproxy-3.2')
        yield name, ['--haproxy-cfg', folder + '/haproxy.cfg', os.path.join(folder, name + '.log')]


@test
def every_sample_is_shifted_and_nothing_else(folder):
    """All formats, framings and steps: spans, events, parents, and ids by the documented rule"""
    seen = events = parents = 0
    for name, words in captures():
        plain, _ = run(*words)
        if not plain:
            continue
        moved, said = run('--rebase', TO, *words)
        if 'shifted by' not in said:
            expect(all(int(s['startTimeUnixNano']) == 0 for s in plain), name, 'has dates:', said)
            continue
        us, again = said_shift(said)
        expect(again == '2026-01-01T00:00:00.000Z', again)
        try:
            same_but_shifted(plain, moved, Shift(us))
        except Failure as e:
            raise Failure('%s: %s' % (name, e)) from None
        seen += 1
        events += sum(len(s.get('events', [])) for s in plain)
        parents += sum(s['kind'] == 2 and bool(s.get('parentSpanId')) for s in plain)
    expect(seen > 60 and events > 50 and parents > 20, 'only', seen, events, parents)


@test
def the_last_line_is_at_that_time(folder):
    path = write(folder, 'a.log', b''.join(line(BASE + i * 1000000, port=40000 + i) for i in range(50)))
    plain, _ = run(path)
    moved, said = run('--rebase', TO, path)
    expect(end_of(plain) == BASE + 49 * 1000000, 'the lines of this script')
    expect(end_of(moved) == TO_US, 'ends at', end_of(moved))
    same_but_shifted(plain, moved, Shift(TO_US - end_of(plain)))
    for same in ('2026-01-01T01:00:00+01:00', str(TO_US // 10**6), '2026-01-01 00:00:00.000Z'):
        expect(run('--rebase', same, path)[0] == moved, same, 'is another time')


@test
def now_is_now_and_can_be_repeated(folder):
    path = write(folder, 'a.log', b''.join(line(BASE + i * 1000000, port=40000 + i) for i in range(50)))
    before = time.time_ns() // 1000
    moved, said = run('--rebase', 'now', path)
    after = time.time_ns() // 1000
    expect(before <= end_of(moved) <= after, 'ends at', end_of(moved), 'run from', before, 'to', after)
    expect(run('--rebase', said_shift(said)[1], path)[0] == moved, 'the same TIME gives something else')


@test
def spans_of_400_days_ago(folder):
    now = time.time_ns() // 1000
    path = write(folder, 'a.log', b''.join(line(now - 400 * DAY + i * 1000, port=40000 + i) for i in range(50)))
    plain, _ = run(path)
    moved, said = run('--rebase', 'now', path)
    expect(said_shift(said)[0] >= 399 * DAY, said)
    same_but_shifted(plain, moved, Shift(said_shift(said)[0]))
    expect(not {s['traceId'] for s in plain} & {s['traceId'] for s in moved}, 'a trace met its own past')


@test
def to_its_own_time_is_no_shift(folder):
    path = write(folder, 'a.log', line(BASE) + line(BASE + 1000000, port=2))
    plain, _ = run(path)
    date = datetime.datetime.fromtimestamp(BASE // 10**6 + 1, datetime.timezone.utc).strftime('%Y-%m-%dT%H:%M:%SZ')
    expect(run('--rebase', date, path)[0] == plain, 'a shift of 0 changed something')


@test
def compressed_several_and_standard_input(folder):
    early = b''.join(line(BASE + i * 1000, port=40000 + i) for i in range(400))
    late = b''.join(line(BASE + DAY + i * 1000, port=50000 + i) for i in range(1500))
    # the latest of several files counts, whichever is read last; compressed ones are read for it
    for names in (('a.log.gz', 'b.log'), ('b.log', 'a.log.xz'), ('b.log.gz', 'a.log')):
        paths = [write(folder, n, late if n[0] == 'b' else early) for n in names]
        plain, _ = run(*paths)
        moved, _ = run('--rebase', TO, *paths)
        same_but_shifted(plain, moved, Shift(TO_US - (BASE + DAY + 1499 * 1000)))
    for name in ('c.log', 'c.log.gz', 'c.log.xz'):
        path = write(folder, name, early)
        with open(path, 'rb') as f:
            moved, _ = run('--rebase', TO, stdin=f)
        same_but_shifted(run(path)[0], moved, Shift(TO_US - (BASE + 399 * 1000)))


@test
def the_last_line_that_tells(folder):
    """Notices, noise and half a line behind it, more than a block of them too; a long file is not read for it"""
    lines = b''.join(line(BASE + i * 1000, port=40000 + i % 20000) for i in range(2000))
    for tail in (NOTICE * 3, b'noise\n' * 100, line(BASE + DAY)[:40], NOTICE * (2 * BLOCK // len(NOTICE)), b'x' * 3 * BLOCK):
        path = write(folder, 'a.log', lines + tail)
        moved, said = run('--rebase', TO, path)
        expect(said_shift(said)[0] == TO_US - (BASE + 1999 * 1000), 'behind %r' % tail[:20], said)
    path = write(folder, 'none.log', NOTICE * 10)
    expect('shifted' not in run('--rebase', TO, path)[1], 'shifted by nothing')


@test
def counted_frames_from_a_file(folder):
    lines = [b'<134>' + line(BASE + i * 1000, port=40000 + i)[:-1] for i in range(2000)]
    path = write(folder, 'ring.log', b''.join(b'%d %s' % (len(x), x) for x in lines))
    plain, _ = run(path)
    expect(sum(s['kind'] == 2 for s in plain) == 2000, 'not all were read')
    same_but_shifted(plain, run('--rebase', TO, path)[0], Shift(TO_US - (BASE + 1999 * 1000)))


@test
def a_stream_by_its_first_line(folder):
    lines = NOTICE * 3 + b'noise\n' + b''.join(line(BASE + i * 1000, port=40000 + i) for i in range(3000))
    path = write(folder, 'a.log', lines)
    plain, _ = run(path)
    for threads in '1', '4':
        moved, said = run('--threads', threads, '--rebase', TO, stdin=lines)
        same_but_shifted(plain, moved, Shift(TO_US - BASE))


@test
def a_stream_that_pauses_anywhere(folder):
    """The bytes are the same wherever the pipe was cut, and whatever the number of threads"""
    lines = NOTICE * 20 + b''.join(line(BASE - i % 3 * 5000 + i * 1000, port=40000 + i) for i in range(300))
    whole, _ = run('--rebase', TO, stdin=lines)
    for threads in '1', '4':
        p = subprocess.Popen([HASPAN, '--to', '-', '--threads', threads, '--rebase', TO], env=ENV, stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        with p.stdin:
            for at in range(0, len(lines), 997):
                p.stdin.write(lines[at:at + 997])
                p.stdin.flush()
        with p.stdout:
            got = [s for x in p.stdout.read().splitlines() for r in json.loads(x)['resourceSpans']
                   for scope in r['scopeSpans'] for s in scope['spans']]
        expect(p.wait(SLOW) == 0, 'exit', p.returncode)
        expect(got == whole, 'cut into pieces, %s threads: other spans' % threads)


@test
def threads_do_not_matter(folder):
    path = write(folder, 'a.log', b''.join(line(BASE + i * 1000, port=40000 + i % 20000) for i in range(5000)))
    runs = {json.dumps(run('--threads', n, '--rebase', TO, path)[0]) for n in ('1', '2', '4')}
    expect(len(runs) == 1, 'other bytes with another number of threads')


@test
def at_the_edge_of_time(folder):
    path = write(folder, 'a.log', line(BASE) + line(BASE + 400 * DAY, port=2))
    for to in '1970-01-02T00:00:00Z', '2262-04-11T00:00:00Z':
        spans, _ = run('--rebase', to, path)
        for s in spans:
            start, end = int(s['startTimeUnixNano']), int(s['endTimeUnixNano'])
            expect(0 <= start <= end < 1 << 63, to, start, end)


@test
def what_is_no_time_is_refused(folder):
    path = write(folder, 'a.log', line(BASE))
    for option, bad in (('--rebase', ''), ('--rebase', 'yesterday'), ('--rebase', '2026-13-01T00:00:00Z'),
                        ('--rebase', '2026-01-01T00:00:00'), ('--rebase', '2400-01-01T00:00:00Z'), ('--rebase', '0'),
                        ('--rebase', '99999999999999'), ('--pace', 'x'), ('--pace', '0'), ('--pace', '0.0x'),
                        ('--pace', '-1x'), ('--pace', '1e3'), ('--rate', '0'), ('--rate', 'fast')):
        _, said = run('%s=%s' % (option, bad), path, code=2)
        expect(option in said and 'expected' in said, option, bad, said)


# ---------------------------------------------------------------- --pace, --rate

def paced(*words, stdin=None):
    """(seconds from the first span to the end, spans, stderr)"""
    p = subprocess.Popen([HASPAN, '--to', '-', *words], env=ENV, stdin=stdin or subprocess.DEVNULL,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with p.stdout, p.stderr:
        lines = [p.stdout.readline()]
        first = time.monotonic()
        lines += p.stdout.read().splitlines()
        took = time.monotonic() - first
        said = p.stderr.read().decode()
    expect(p.wait(SLOW) == 0, 'exit', p.returncode, said)
    return took, [s for x in lines for r in json.loads(x)['resourceSpans'] for scope in r['scopeSpans']
                  for s in scope['spans']], said


@test
def pace_keeps_the_gaps(folder):
    """Lines at 0, 8 and 20 s, at 20x: not before 0.4 and 1 s. The same spans as without"""
    path = write(folder, 'a.log', line(BASE) + line(BASE + 8000000, port=2) + line(BASE + 20000000, took=700, port=3))
    plain, _ = run(path)
    took, spans, _ = paced('--pace', '20x', path)
    expect(spans == plain, 'other spans')
    expect(took >= 0.95, 'the last span came after', took)
    took, spans, _ = paced('--pace', '20', '--rebase', TO, path)
    expect(took >= 0.95 and len(spans) == len(plain), 'with --rebase: after', took)
    same_but_shifted(plain, spans, Shift(TO_US - (BASE + 20000000)))
    with open(path, 'rb') as f:
        took, spans, _ = paced('--pace', '20x', '--threads', '4', stdin=f)
    expect(spans == plain and took >= 0.95, 'from standard input: after', took)


@test
def the_middle_line_does_not_wait_for_the_last(folder):
    """At 2x the third line is due after 60 s; the second one, 0.4 s after the first, is out long before"""
    path = write(folder, 'a.log', line(BASE) + line(BASE + 800000, port=2) + line(BASE + 120000000, port=3))
    p = subprocess.Popen([HASPAN, '--to', '-', '--pace', '2x', path], env=ENV, stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with p.stdout, p.stderr:
        p.stdout.readline()
        first = time.monotonic()
        p.stdout.readline()
        second = time.monotonic()
        # a stop does not wait for 60 s; what was read is finished
        p.send_signal(signal.SIGTERM)
        rest = p.stdout.read()
        ended = time.monotonic()
        said = p.stderr.read().decode()
    expect(p.wait(SLOW) == 0, 'exit', p.returncode, said)
    expect(0.3 <= second - first < 30, 'the second line came after', second - first)
    expect(ended - second < 30, 'a stop took', ended - second)
    expect(rest and 'lines=3 ' in said, 'after the stop:', rest, said)


@test
def wrong_dates_do_not_stall(folder):
    """A line of another century, one without a date, a file that begins anew: none of them is waited for"""
    lines = [line(BASE + i * 1000, port=40000 + i) for i in range(20)]
    lines.insert(5, line(BASE + 30000 * DAY, port=7))
    lines.insert(9, line(BASE - 3000 * DAY, port=8))
    lines.insert(12, NOTICE)
    lines += [line(BASE - 3 * DAY + i * 1000, port=i + 1) for i in range(20)]
    lines.append(line(BASE + 30000 * DAY, port=9))
    path = write(folder, 'a.log', b''.join(lines))
    _, spans, _ = paced('--pace', '1x', path)
    expect(spans == run(path)[0], 'other spans')


@test
def a_quiet_night_is_kept(folder):
    """A gap of hours is no wrong date: the lines behind it agree"""
    path = write(folder, 'a.log', line(BASE) + line(BASE + 36000 * 10**6, port=2) + line(BASE + 36001 * 10**6, port=3))
    took, _, _ = paced('--pace', '36000x', path)
    expect(took >= 0.95, 'the night took', took)


@test
def rate_is_a_limit(folder):
    """300 lines at 200 a second, of which 0.1 s' worth may come at once"""
    path = write(folder, 'a.log', b''.join(line(BASE + i * 1000, port=40000 + i) for i in range(300)))
    plain, _ = run(path)
    for more in ((), ('--threads', '4'), ('--pace', '1000x')):
        took, spans, _ = paced('--rate', '200', *more, path)
        expect(spans == plain, more, 'other spans')
        expect(took >= 1.3, more, 'took', took)


@test
def every_sample_at_a_rate(folder):
    """Whatever the framing, the pieces are whole lines"""
    for name, words in captures():
        plain, said = run(*words)
        paced_too, paced_said = run('--rate', '20000', '--threads', '1', *words)
        expect(sorted(map(json.dumps, plain)) == sorted(map(json.dumps, paced_too)), name, 'has other spans at a rate')
        expect(said.splitlines()[-1] == paced_said.splitlines()[-1], name, said, paced_said)
    # over-long lines are torn, and counted once
    path = write(folder, 'a.log', line(BASE) + b'y' * (3 * BLOCK) + b'\n' + line(BASE, port=2) + b'z' * (70 * 1024))
    for words in ((), ('--rate', '100000'), ('--pace', '100x')):
        expect('lines=4 requests=2 merged=0 other=0 rejected=2 ' in run(*words, path)[1], words)


# ---------------------------------------------------------------- progress

def on_a_terminal(*words, stdout=subprocess.DEVNULL, until=b'left', stop=True):
    """What haspan writes to a terminal that is its stderr; told to stop when `until` was seen"""
    ours, theirs = pty.openpty()
    p = subprocess.Popen([HASPAN, *words], env=ENV, stdin=subprocess.DEVNULL, stdout=theirs if stdout is None else stdout,
                         stderr=theirs)
    os.close(theirs)
    said, end = b'', time.monotonic() + SLOW
    while time.monotonic() < end:
        try:
            got = os.read(ours, 65536)
        except OSError:             # the last one who had it open is gone
            break
        if not got:
            break
        said += got
        if stop and until in said:
            p.send_signal(signal.SIGINT)        # Ctrl-C
            stop = False
    os.close(ours)
    expect(p.wait(SLOW) == 0, 'exit', p.returncode, said[-2000:])
    return said


@test
def progress_on_a_terminal(folder):
    """How far, how fast, how long yet; by stored bytes of compressed files too; Ctrl-C ends it cleanly, on a new line"""
    lines = b''.join(line(BASE + i * 1000, port=1024 + i % 60000) for i in range(60000))
    for name in 'a.log', 'a.log.gz':
        path = write(folder, name, lines)
        said = on_a_terminal('--rate', '3000', '--to', 'null', path)
        for pattern in (rb'\r *\d+ %  \d+\.\d of \d+\.\d [kM]B  [\d,]+ lines/s  [\d,]+ spans/s', rb'  \d+:\d\d left'):
            expect(re.search(pattern, said), name, pattern, said[-600:])
        percent = [int(n) for n in re.findall(rb'\r *(\d+) %', said)]
        expect(all(0 <= n <= 100 for n in percent), percent)
        expect(re.search(rb'\r\x1b\[Klines=\d+ ', said), 'no clean last line:', said[-600:])
    # spans go to that very terminal: nothing in between; and none when nobody looks
    path = write(folder, 'b.log', lines[:300 * 110])
    said = on_a_terminal('--rate', '150', '--to', '-', path, stdout=None, stop=False)
    expect(b'lines/s' not in said, said[-600:])
    expect('lines/s' not in run('--rate', '150', path)[1], 'progress without a terminal')


def main():
    passed = failed = 0
    for function in TESTS:
        name = function.__name__.replace('_', ' ')
        if sys.argv[1:] and not any(part in name for part in sys.argv[1:]):
            continue
        folder = tempfile.mkdtemp()
        try:
            function(folder)
            passed += 1
        except Exception as e:                      # a test that breaks has failed, and the next one runs
            failed += 1
            print('FAILED %s: %s' % (name, str(e)[:3000]))
            if not isinstance(e, Failure):
                traceback.print_exc(file=sys.stdout)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    print('%d passed, %d failed' % (passed, failed))
    return failed > 0 or passed == 0


if __name__ == '__main__':
    sys.exit(main())
