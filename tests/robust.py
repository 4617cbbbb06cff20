#!/usr/bin/env python3
"""Whatever comes in, haspan goes on, says what became of each line, and ends with the right code.

    tests/robust.py [CASE]...           CASE: a part of a test's name

After every run the two accounting identities of the summary must hold exactly, and the number of lines must be
the one that this script counts: ends of line, and one more when something stands behind the last.

The binary is $HASPAN, or build/haspan.
"""
import array
import contextlib
import fcntl
import glob
import gzip
import io
import json
import lzma
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import threading
import time
import traceback

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(ROOT, 'tests', 'oracle'))
import compare                                                          # noqa: E402

HASPAN = os.path.abspath(os.path.join(ROOT, os.environ.get('HASPAN') or 'build/haspan'))
ENV = {k: v for k, v in os.environ.items() if k in ('PATH', 'LD_LIBRARY_PATH') or k.endswith('SAN_OPTIONS')}
ENV['TZ'] = 'UTC'
SLOW = 120          # seconds that no run needs
LINES = ('requests', 'merged', 'other', 'rejected')
SPANS = ('exported', 'unsampled', 'filtered', 'refused', 'dropped', 'held')
TESTS = []


def test(function):
    TESTS.append(function)
    return function


class Failure(Exception):
    pass


def expect(right, *what):
    if not right:
        raise Failure(' '.join(map(str, what)))


# ---------------------------------------------------------------- running and reading

def start(*words, **options):
    return subprocess.Popen([HASPAN, *words], env=ENV, stderr=subprocess.PIPE,
                            **{'stdin': subprocess.DEVNULL, 'stdout': subprocess.DEVNULL, **options})


class Summary(dict):
    """The numbers of a summary, checked: {name: number}, of the last sink where there are several"""

    def __init__(self, stderr, lines=None):
        super().__init__()
        rows = [{k: int(v) for k, v in re.findall(r'(\w+)=(\d+)(?= |$)', row)}
                for row in stderr.splitlines() if row.startswith(('lines=', 'sink='))]
        expect(rows and 'lines' in rows[0], 'no summary:', stderr[-2000:])
        self.sinks = [row for row in rows if 'exported' in row]
        for row in rows:
            self.update(row)
        expect(self['lines'] == sum(self[k] for k in LINES), 'lines do not add up:', stderr)
        expect(self.sinks, 'no spans in the summary:', stderr)
        for sink in self.sinks:
            expect(sink['spans'] + sink['restored'] == sum(sink[k] for k in SPANS), 'spans do not add up:', stderr)
        if lines is not None:
            expect(self['lines'] == lines, 'counted %d lines:' % lines, stderr)


def run(*words, stdin=None, code=0, lines=None, stdout=None):
    """Run to the end; the summary, with .out and .err"""
    p = start(*words, stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
              stdout=subprocess.PIPE if stdout is None else stdout)
    try:
        out, err = p.communicate(stdin, timeout=SLOW)
    except subprocess.TimeoutExpired:
        p.kill()
        raise Failure('it hangs: haspan', *words)
    err = err.decode('utf-8', 'replace')
    expect(p.returncode == code, 'exit code %d, expected %d: haspan' % (p.returncode, code), *words, '\n' + err)
    summary = Summary(err, lines)
    summary.out, summary.err = out, err
    return summary


def count(data):
    """Lines, by a rule of this script's own"""
    return data.count(b'\n') + (data[-1:] not in (b'', b'\n'))


def pieces(data):
    """The lines themselves"""
    parts = data.split(b'\n')
    return parts if parts[-1] else parts[:-1]


def write(folder, name, data):
    path = os.path.join(folder, name)
    with open(path, 'wb') as f:
        f.write(data)
    return path


def read(path):
    with open(path, 'rb') as f:
        return f.read()


def spans_in(data):
    with tempfile.NamedTemporaryFile(suffix='.jsonl') as f:
        f.write(data)
        f.flush()
        return list(compare.read_spans(f.name))


def check_spans(data):
    """All lines are JSON, and each request is a tree without gaps"""
    spans = spans_in(data)
    for group in compare.group(spans, lambda s, _: s['kind'] == compare.SERVER):
        for wrong in compare.check_rules(group, True, {}):
            # a line that says both that TR was never reached and that Tc was has a CLIENT, but no phase in it
            if 'no phases in it' not in wrong:
                raise Failure('%s in %s' % (wrong, group[0]))
    return spans


def check_all(data, folder, *words, code=0):
    """Run over `data` from a file, with everything checked that holds for any input"""
    log, out, kept = (os.path.join(folder, n) for n in ('in.log', 'out.jsonl', 'kept.log'))
    write(folder, 'in.log', data)
    summary = run('--to', 'file:' + out, '--rejects', kept, *words, log, lines=count(data), code=code)
    spans = check_spans(read(out))
    expect(len(spans) == summary['exported'], '%d spans in the file' % len(spans), summary.err)
    rejected = iter(pieces(data))
    lines = pieces(read(kept))
    expect(len(lines) == summary['rejected'], '%d lines in --rejects' % len(lines), summary.err)
    for line in lines:
        expect(any(line == other for other in rejected), 'not a whole line in its order:', line[:200])
    return summary, spans, lines


def real_lines():
    found = []
    for name in ('raw', 'rfc3164', 'rfc5424', 'iso'):
        found += pieces(read(os.path.join(ROOT, 'samples', 'haproxy-3.2', name + '.log')))
    for path in sorted(glob.glob(os.path.join(ROOT, 'samples', 'hostile', '*', 'input.log'))):
        found += pieces(read(path))
    return found


GOOD = (b'192.0.2.1:%d [21/Nov/2026:08:15:44.900] fe be/s1 1/2/3/4/15 200 68 - - ---- 1/1/0/0/0 0/0 '
        b'"GET /%d HTTP/1.1"')


def good(n):
    return GOOD % (1024 + n % 60000, n)


def many(n):
    return b''.join(good(i) + b'\n' for i in range(n))


# ---------------------------------------------------------------- odd inputs

@test
def empty_input(folder):
    summary, spans, _ = check_all(b'', folder)
    expect(not spans and summary['lines'] == 0, summary.err)
    summary = run('--to', '-', stdin=b'', lines=0)
    expect(summary.out == b'', summary.out)


@test
def no_newline_at_the_end(folder):
    summary, spans, _ = check_all(good(1) + b'\n' + good(2), folder)
    expect(summary['requests'] == 2, summary.err)
    summary, _, lines = check_all(good(1) + b'\nwhat', folder)
    expect(lines == [b'what'] and read(os.path.join(folder, 'kept.log')) == b'what\n', lines)


@test
def only_newlines(folder):
    for data in (b'\n', b'\n' * 70000, b'\r\n' * 5000, b'\n' + good(1) + b'\n\n\n' + good(2) + b'\n\n'):
        summary, _, _ = check_all(data, folder)
        expect(summary['rejected'] == 0 and summary['other'] == summary['lines'] - summary['requests'], summary.err)


@test
def random_bytes(folder):
    for seed in range(6):
        check_all(random.Random(seed).randbytes(1 << 20), folder)


@test
def random_text(folder):
    for seed in range(3):
        dice = random.Random(seed)
        alphabet = b' /[]:"{}|-+0123456789GETHTPbefsr.\n<>#%\0\r\x1b\xff'
        check_all(bytes(dice.choices(alphabet, k=400000)), folder)


def mutate(dice, line, lines):
    kind = dice.randrange(8)
    at = dice.randrange(len(line) + 1)
    to = min(len(line), at + dice.randrange(1, 40))
    if kind == 0:                                   # bytes flipped
        line = bytearray(line)
        for _ in range(dice.randrange(1, 4)):
            if line:
                line[dice.randrange(len(line))] ^= 1 << dice.randrange(8)
        return bytes(line)
    if kind == 1:                                   # cut at the end, at the begin
        return line[:at] if dice.random() < 0.7 else line[at:]
    if kind == 2:                                   # a part twice
        return line[:to] + line[at:]
    if kind == 3:                                   # a part gone
        return line[:at] + line[to:]
    if kind == 4:                                   # two lines in one
        return line[:at] + dice.choice(lines)
    if kind == 5:                                   # a number replaced
        numbers = list(re.finditer(rb'-?\d+', line))
        if numbers:
            m = dice.choice(numbers)
            line = line[:m.start()] + dice.choice((b'-1', b'0', b'-2147483648', b'99999999999999999999', b'',
                                                   b'+5', b'1e9', b'4294967296')) + line[m.end():]
        return line
    if kind == 6:                                   # odd bytes put in
        return line[:at] + dice.choice((b'\0', b'\x1b[31m', b'\xff', b'"', b'\\', b'#0', b'{', b'}', b'|', b'\r',
                                        b'  ', b'\xe2\x80\xae')) + line[at:]
    return line


@test
def mutated_lines(folder):
    lines = real_lines()
    for seed in range(5):
        dice = random.Random(seed)
        data = b'\n'.join(mutate(dice, dice.choice(lines), lines) for _ in range(20000))
        summary, _, _ = check_all(data, folder)
        expect(summary['requests'] > 2500, 'hardly any of them is a request:', summary.err)


@test
def mutated_lines_of_other_formats(folder):
    lines = pieces(many(50)) + real_lines()
    custom = '%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc %ac/%fc/%bc/%sc/%rc %sq/%bq %hr %hs ' \
             '%{+Q}r'
    pattern = r're:.*\[(?<tr>[^]]*)\] (?<f>\S+) (?<b>[^/]*)/(?<s>\S+) (?<TR>-?\d+)/(?<Tw>-?\d+)/(?<Tc>-?\d+)/' \
              r'(?<Tr>-?\d+)/(?<Ta>\+?\d+) (?<ST>-?\d+).*'
    for words in (('--format', custom, '--capture-request', 'traceparent,host,user-agent'), ('--format', pattern),
                  ('--format', 'httplog-1.6'), ('--phases', 'all'), ('--format', 'auto', '--format', pattern)):
        dice = random.Random(words[0])
        data = b'\n'.join(mutate(dice, dice.choice(lines), lines) for _ in range(5000))
        check_all(data, folder, *words)


@test
def nuls(folder):
    for data in (b'\0', b'\0' * 300000, b'\0\n' * 1000, good(1) + b'\0\n' + good(2)[:40] + b'\0' + good(2)[40:] + b'\n',
                 b'\0' * 4096 + good(1) + b'\n' + good(2) + b'\n'):
        check_all(data, folder)


@test
def a_line_of_10_mb(folder):
    huge = bytes(random.Random(1).choices(b'abcdefghij "/[]', k=10 << 20))
    for before, after in ((3, 4), (0, 1), (1, 0)):
        data = many(before) + huge + b'\n' * bool(after) + many(after)
        summary, _, lines = check_all(data, folder)
        expect(summary['requests'] == before + after and lines == [huge], summary.err)
    summary, _, lines = check_all(many(2) + huge + b'\n' + huge[::-1] + b'\n' + many(3), folder)
    expect(summary['requests'] == 5 and lines == [huge, huge[::-1]], summary.err)


@test
def lines_around_every_bound(folder):
    for bound in (66 << 10, 80 << 10, 128 << 10, 256 << 10):
        for size in (bound - 2, bound - 1, bound, bound + 1, bound + 2):
            for tail in (b'\n' + good(2) + b'\n', b'\n', b''):
                head = good(1) + b'\n'
                data = head + b'x' * (size - len(head)) + tail
                summary, _, lines = check_all(data, folder)
                expect(lines == [b'x' * (size - len(head))], size, [len(x) for x in lines])
                data = b'y' * size + tail
                check_all(data, folder)
    # a request as long as HAProxy can write one
    path = b'/' + b'a' * 65000
    summary, spans, _ = check_all(good(1).replace(b'/1 HTTP', path + b' HTTP') + b'\n' + good(2) + b'\n', folder)
    expect(summary['requests'] == 2 and spans[0]['attrs']['url.path'].encode() == path, summary.err)


@test
def crlf(folder):
    summary, spans, lines = check_all(b''.join(good(i) + b'\r\n' for i in range(9)) + b'what\r\n', folder)
    expect(summary['requests'] == 9 and lines == [b'what\r'], summary.err, lines)
    plain, with_cr = (spans_in(run('--to', '-', stdin=good(1) + end).out) for end in (b'\n', b'\r\n'))
    expect(plain == with_cr, 'the end of the line changes the spans')


@test
def rejects_in_their_order(folder):
    hosts = [b'', b'<134>Nov 21 08:15:44 lb1 haproxy[1]: ', b'<134>Nov 21 08:15:44 lb2 haproxy[1]: ']
    data = b''.join(hosts[i % 3] + (good(i) if i % 2 else b'bad line %d' % i) + b'\n' for i in range(9000))
    wanted = [line for line in pieces(data) if b'bad line' in line]
    for threads in ('1', '2', '4'):
        summary, _, lines = check_all(data, folder, '--threads', threads)
        expect(lines == wanted, 'rejected lines are missing or in another order, --threads', threads)


@test
def octet_counted_streams(folder):
    def counted(*messages):
        return b''.join(b'%d %s' % (len(m), m) for m in messages)
    head = b'<134>1 2026-11-21T08:15:44.922103+00:00 lb1 haproxy 8904 - - '
    whole = counted(*(head + good(i) for i in range(2000)))
    kept = os.path.join(folder, 'kept.log')
    summary = run('--to', 'null', write(folder, 'a', whole), lines=2000)
    expect(summary['requests'] == 2000, summary.err)
    # the last one is not whole; a wrong count; garbage between; a newline behind each; far too large a count
    for data in (whole[:-30], counted(head + good(1)) + b'9999 ' + head + good(2),
                 counted(head + good(1)) + b'garbage' + counted(head + good(2)),
                 counted(*(head + good(i) + b'\n' for i in range(9))), counted(head + good(1)) + b'99999999 <1>x',
                 counted(head + good(1), b'', head + good(2)), b'5 <134>', b'3 <1>' * 1000,
                 counted(head + good(1), head + b'x' * 200000, head + good(2)), whole + b'\n' * 5000 + whole):
        summary = run('--to', 'null', '--rejects', kept, write(folder, 'a', data))
        expect(summary['requests'] or data[:1] in b'53', summary.err)


# ---------------------------------------------------------------- files

# ---------------------------------------------------------------- records around lines

def as_docker(line, dice):
    parts = [line[i:i + 16384] for i in range(0, len(line), 16384)] or [b'']
    if len(line) and len(line) % 16384 == 0:
        parts.append(b'')
    return b''.join(json.dumps({'log': part.decode('latin-1') + ('\n' if n + 1 == len(parts) else ''), 'stream': 'stdout',
                                'time': '2026-11-21T08:15:44.922103456Z'}).encode() + b'\n'
                    for n, part in enumerate(parts))


def as_cri(line, dice):
    cuts = sorted(dice.randrange(len(line) + 1) for _ in range(dice.choice((0, 0, 0, 1, 2, 9)))) + [len(line)]
    parts = [line[a:b] for a, b in zip([0] + cuts, cuts)]
    return b''.join(b'2026-11-21T08:15:44.922103456Z stdout %s %s\n' % (b'F' if n + 1 == len(parts) else b'P', part)
                    for n, part in enumerate(parts))


def as_export(line, dice):
    def field(name, value):
        if dice.random() < 0.2 or b'\n' in value:
            return b'%s\n%s%s\n' % (name, len(value).to_bytes(8, 'little'), value)
        return b'%s=%s\n' % (name, value)
    fields = [field(b'MESSAGE', line), field(b'_HOSTNAME', b'lb1'), field(b'SYSLOG_RAW', line[:2000] + b'\n'),
              field(b'A', b'\n\n__CURSOR=forged\nMESSAGE=forged\n\n' * dice.randrange(3))]
    dice.shuffle(fields)
    return b'__CURSOR=s=%d\n' % dice.randrange(1000000) + b''.join(fields) + b'\n' * dice.choice((1, 1, 1, 2, 5))


def as_journald(line, dice):
    message = list(line) if dice.random() < 0.2 else line.decode('latin-1')
    return json.dumps({'_HOSTNAME': 'lb1', 'MESSAGE': message, '__REALTIME_TIMESTAMP': '1795248944922103'}).encode() + b'\n'


RECORDS = (as_docker, as_cri, as_export, as_journald)


def ascii_lines():
    """Real lines, some of them long: those that HAProxy's longest `len` allows"""
    found = [line for line in pieces(read(os.path.join(ROOT, 'samples', 'haproxy-3.2', 'raw.log'))) if line.isascii()]
    long = [good(n)[:-10] + b'x' * size + b' HTTP/1.1"' for n, size in enumerate((9000, 16300, 30000, 64000))]
    return found + long + [good(n) for n in range(3000)]


@test
def records_give_the_spans_of_their_lines(folder):
    dice = random.Random(5)
    lines = ascii_lines()
    dice.shuffle(lines)
    plain = write(folder, 'plain.log', b''.join(line + b'\n' for line in lines))
    wanted = run('--to', '-', plain, lines=len(lines))
    ids = sorted((s['trace_id'], s['id'], s['start_ns'], s['end_ns']) for s in spans_in(wanted.out))
    for record in RECORDS:
        data = b''.join(record(line, dice) for line in lines)
        log = write(folder, 'in.log', data)
        for words, stdin in ((('--threads', '2', log), None), ((), data)):
            got = run('--to', '-', *words, stdin=stdin, lines=len(lines))
            expect(sorted((s['trace_id'], s['id'], s['start_ns'], s['end_ns']) for s in spans_in(got.out)) == ids,
                   record.__name__, words, got.err)


@test
def records_by_a_slow_pipe(folder):
    dice = random.Random(6)
    for record in RECORDS:
        data = b''.join(record(good(n), dice) for n in range(12))
        p = start('--to', '-', stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for at in range(0, len(data), 97):
            p.stdin.write(data[at:at + 97])
            p.stdin.flush()
            time.sleep(0.002)
        out, err = p.communicate(timeout=SLOW)
        summary = Summary(err.decode(), 12)
        expect(summary['requests'] == 12 and len(spans_in(out)) == summary['spans'], record.__name__, err)


@test
def a_record_whose_length_lies_is_one_line_however_it_comes(folder):
    def record(n, size=None):
        line = good(n)
        return b'__CURSOR=s=1\nMESSAGE\n%s%s\n_PID=1\n\n' % ((size or len(line)).to_bytes(8, 'little'), line)
    for size in (5000, 71000, 74000, 90000, 120000, 1 << 62):
        # Where the lie would end a field ends indeed: it can be taken for the truth.
        before, lie = record(1), record(2, size)
        behind = b''.join(record(n) for n in range(3, 1003))
        end = len(lie) - len(b'\n_PID=1\n\n') - len(good(2)) + size
        data = before + lie + behind
        if size < 1 << 20:
            data = data[:len(before) + end] + b'\n\n' + data[data.index(b'__CURSOR', len(before) + end):]
        log = write(folder, 'in.log', data)
        from_file = run('--to', 'null', log)
        p = start('--to', 'null', stdin=subprocess.PIPE)
        for at in range(0, len(data), 3000):
            p.stdin.write(data[at:at + 3000])
            p.stdin.flush()
            time.sleep(0.002)
        _, err = p.communicate(timeout=SLOW)
        expect(err.decode() == from_file.err, size, from_file.err, err.decode())
        expect(size <= 72 * 1024 or from_file['requests'] >= 999, size, from_file.err)
    # Near the end there is less than the lie says.
    data = b''.join(record(n, 5000 if n == 1 else None) for n in range(22))
    summary = run('--to', 'null', write(folder, 'in.log', data), lines=22)
    expect(summary['requests'] == 21 and summary['rejected'] == 1, summary.err)


@test
def a_record_that_is_too_long_is_one_line_and_kept(folder):
    dice, kept = random.Random(7), os.path.join(folder, 'kept.log')
    for size in (70000, 100000, 131072, 300000, 5000000):
        huge = b'__CURSOR=s=1\nCOREDUMP\n%s%s\nMESSAGE=%s\n' % (size.to_bytes(8, 'little'), b'\n\nx=' * (size // 4), good(1))
        data = b''.join(as_export(good(n), dice) for n in range(50))
        log = write(folder, 'in.log', data + huge + b'\n' + data)
        summary = run('--to', 'null', '--rejects', kept, log, lines=101)
        fits = size < 72000
        expect(summary['requests'] == 100 + fits and summary['rejected'] == 1 - fits, size, summary.err)
        expect(fits or read(kept) == huge + b'\n', size, 'not kept whole: %d bytes' % len(read(kept)))


@test
def mutated_records(folder):
    dice, found = random.Random(8), []
    for path in sorted(glob.glob(os.path.join(ROOT, 'samples', 'records', '*', 'input.log'))):
        found.append(read(path))
    for data in found:
        lines = pieces(data)
        broken = b'\n'.join(mutate(dice, dice.choice(lines), lines) for _ in range(300))
        log = write(folder, 'in.log', (data[:9] if data.startswith(b'__CURSOR=') else b'') + broken)
        one, two = (run('--to', 'null', '--rejects', os.path.join(folder, 'kept.log'), *words, log) for words in
                    (('--threads', '1'), ('--threads', '3')))
        expect(one.err.split(' exported')[0] == two.err.split(' exported')[0], one.err, two.err)


def zstd(data):
    return subprocess.run(['zstd', '-q', '-c'], input=data, stdout=subprocess.PIPE, check=True).stdout


PACKERS = {'gz': gzip.compress, 'xz': lzma.compress, 'zst': zstd}


@test
def compressed(folder):
    plain = many(20000) + b'no end'
    wanted = run('--to', '-', write(folder, 'plain.log', plain), lines=20001).out
    for kind, pack in PACKERS.items():
        summary = run('--to', '-', write(folder, 'a.log.' + kind, pack(plain)), lines=20001)
        expect(summary.out == wanted, kind, 'gives other spans')
        # told by its content, not its name; several members; nothing in it
        run('--to', 'null', write(folder, 'renamed', pack(plain)), lines=20001)
        run('--to', 'null', write(folder, 'two.' + kind, pack(many(3)) + pack(many(4))), lines=7)
        run('--to', 'null', write(folder, 'none.' + kind, pack(b'')), lines=0)
        # a line that goes on in the next member
        run('--to', 'null', write(folder, 'split.' + kind, pack(good(1)[:50]) + pack(good(1)[50:] + b'\n')), lines=1)


@test
def broken_compression(folder):
    dice = random.Random(5)
    plain = b''.join(good(dice.randrange(10**9)) + b' %x\n' % dice.getrandbits(64) for _ in range(30000))
    plain = re.sub(rb'" [0-9a-f]+\n', b'"\n', plain)
    for kind, pack in PACKERS.items():
        packed = pack(plain)
        kept = os.path.join(folder, 'kept.log')
        for name, data, least in (('cut', packed[:len(packed) * 3 // 4], 1000), ('cut at the end', packed[:-4], 1000),
                                  ('cut at once', packed[:9], 0)):
            summary = run('--to', 'null', '--rejects', kept, write(folder, 'x.' + kind, data), code=4)
            expect(summary['requests'] >= least, kind, name, 'what was read before is lost:', summary.err)
            expect('x.' + kind in summary.err, 'the file is not named:', summary.err)
        for _ in range(12):
            data = bytearray(packed)
            for _ in range(3):
                data[dice.randrange(20, len(data))] ^= 1 << dice.randrange(8)
            p = start('--to', 'null', write(folder, 'x.' + kind, bytes(data)))
            _, err = p.communicate(timeout=SLOW)
            summary = Summary(err.decode('utf-8', 'replace'))
            expect(p.returncode == 4 or p.returncode == 0 and kind == 'zst', kind, p.returncode, err)
        # other files are read nevertheless
        summary = run('--to', 'null', write(folder, 'x.' + kind, packed[:200]), write(folder, 'next.log', many(5)),
                      code=4)
        expect(summary['requests'] >= 5, 'the next file is not read:', summary.err)
        run('--to', 'null', write(folder, 'x.' + kind, pack(many(5)) + b'garbage'), code=4, lines=5)
        # behind a whole one, one that is cut anywhere: said, not taken for the end
        for cut in (1, 5, 12, len(packed) // 2, len(packed) - 1):
            run('--to', 'null', write(folder, 'x.' + kind, pack(many(5)) + packed[:cut]), code=4)
        again = run('--to', 'null', write(folder, 'x.' + kind, pack(many(5)) + (b'\0' * 512 if kind != 'zst' else b'') + pack(many(7))))
        expect(again['lines'] == 12, 'the second of two is not read:', again.err)


def refused_start(*words, code=4, says=''):
    """Nothing is read at all: no summary"""
    p = start(*words)
    _, err = p.communicate(timeout=SLOW)
    err = err.decode('utf-8', 'replace')
    expect(p.returncode == code, 'exit code %d, expected %d:' % (p.returncode, code), err)
    expect(says in err, 'expected %r:' % says, err)


@test
def missing_files(folder):
    there = write(folder, 'there.log', many(3))
    refused_start('--to', 'null', os.path.join(folder, 'none.log'), says='none.log')
    refused_start('--to', 'null', there, os.path.join(folder, 'none.log'), says='none.log')
    refused_start('--to', 'null', os.path.join(folder, '*.gz'), says='*.gz')
    out = os.path.join(folder, 'spans.jsonl')
    refused_start('--to', 'file:' + out, os.path.join(folder, 'none.log'))
    expect(not os.path.exists(out) or not read(out), 'something was written')


@test
def a_folder(folder):
    os.mkdir(os.path.join(folder, 'logs'))
    p = start('--to', 'null', os.path.join(folder, 'logs'))
    _, err = p.communicate(timeout=SLOW)
    expect(p.returncode == 4 and b'folder' in err, p.returncode, err)


@test
def globs(folder):
    for n, name in enumerate(('b.log', 'a.log', 'c.log.gz', 'd.txt')):
        write(folder, name, gzip.compress(many(n + 1)) if name.endswith('gz') else good(n) + b'\n')
    summary = run('--to', '-', 'file:' + os.path.join(folder, '*.log*'), lines=5)
    paths = [s['attrs']['url.path'] for s in spans_in(summary.out) if s['kind'] == compare.SERVER]
    expect(paths == ['/1', '/0', '/0', '/1', '/2'], 'not in the order of names:', paths)
    write(folder, 'star*[1].log', many(2))
    run('--to', 'null', os.path.join(folder, 'star*[1].log'), lines=2)


@test
def files_one_after_another(folder):
    paths = [write(folder, '%d.log' % n, many(n) + b'unfinished %d' % n) for n in range(4)]
    summary = run('--to', 'null', '--rejects', os.path.join(folder, 'kept'), *paths, lines=0 + 1 + 2 + 3 + 4)
    expect(pieces(read(os.path.join(folder, 'kept'))) == [b'unfinished %d' % n for n in range(4)], summary.err)
    # standard input between files, and a fifo
    fifo = os.path.join(folder, 'fifo')
    os.mkfifo(fifo)
    writer = threading.Thread(target=lambda: write(folder, 'fifo', many(7)))
    writer.start()
    run('--to', 'null', paths[1], '-', fifo, stdin=many(5), lines=2 + 5 + 7)
    writer.join()


# ---------------------------------------------------------------- sinks

@test
def the_same_whatever_the_threads(folder):
    lines, dice = real_lines(), random.Random(3)
    data = b'\n'.join(mutate(dice, dice.choice(lines), lines) for _ in range(30000))
    log, results = write(folder, 'in.log', data), []
    for threads in ('1', '2', '4', '1'):
        out, kept = (os.path.join(folder, n) for n in ('out.jsonl', 'kept.log'))
        run('--threads', threads, '--to', 'file:' + out, '--rejects', kept, log, lines=count(data))
        results.append((read(out), read(kept)))
    expect(results.count(results[0]) == 4, 'the output depends on --threads')
    # by a pipe, where reads end anywhere, the spans are the same too
    piped = run('--to', '-', stdin=data, lines=count(data)).out
    expect(sorted(str(s) for s in spans_in(piped)) == sorted(str(s) for s in spans_in(results[0][0])),
           'by a pipe there are other spans')


@test
def several_sinks(folder):
    log = write(folder, 'in.log', many(5000) + b'what\n')
    one, two = (os.path.join(folder, n) for n in ('one.jsonl', 'two.jsonl'))
    summary = run('--to', 'file:' + one, '--to', 'null', '--to', '-', '--to', 'file:' + two, log, lines=5001)
    expect(len(summary.sinks) == 4 and all(s['exported'] == summary['spans'] for s in summary.sinks), summary.err)
    expect(read(one) == read(two) == summary.out and len(check_spans(read(one))) == summary['spans'], summary.err)
    # one fails, the others go on
    summary = run('--to', 'file:/dev/full', '--to', 'file:' + one, log, lines=5001, code=5)
    expect(read(one) == read(two) and summary.sinks[1]['exported'] == summary['spans'], summary.err)


@test
def standard_input(folder):
    # a pipe is read as it comes, so lines may be grouped otherwise: the spans are the same
    one, two = (run('--to', '-', *words, stdin=many(500), lines=500).out for words in (['-'], []))
    expect(spans_in(one) == spans_in(two), 'with and without -')
    # slowly, so that the last piece of each write is no whole line
    p = start('--to', '-', stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    data = many(40) + good(41)
    for at in range(0, len(data), 613):
        p.stdin.write(data[at:at + 613])
        p.stdin.flush()
        time.sleep(0.003)
    out, err = p.communicate(timeout=SLOW)
    summary = Summary(err.decode(), 41)
    expect(summary['requests'] == 41 and p.returncode == 0, err)
    expect(spans_in(out) == spans_in(run('--to', '-', stdin=data).out), 'the pieces change the spans')


@test
def spans_come_while_the_pipe_is_open(folder):
    p = start('--to', '-', stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    p.stdin.write(good(1) + b'\n')
    p.stdin.flush()
    timer = threading.Timer(SLOW / 4, p.kill)
    timer.start()
    line = p.stdout.readline()
    timer.cancel()
    p.stdin.write(good(2) + b'\n')
    out, err = p.communicate(timeout=SLOW)
    expect(len(spans_in(line)) and Summary(err.decode(), 2)['requests'] == 2, line, err)


@test
def strict(folder):
    good_log, bad_log = write(folder, 'good.log', many(5)), write(folder, 'bad.log', many(5) + b'what\n')
    run('--strict', '--to', 'null', good_log, lines=5)
    run('--strict', '--to', 'null', bad_log, lines=6, code=1)
    run('--to', 'null', bad_log, lines=6)
    run('--strict', '--to', 'file:/dev/full', bad_log, code=5)          # the highest that applies
    summary = run('--strict', '--to', 'null', write(folder, 'other.log', b'Proxy f started.\n\n'), lines=2)
    expect(summary['other'] == 2, summary.err)


@test
def nobody_reads_the_output(folder):
    log = write(folder, 'in.log', many(20000))
    for words in (['--to', '-'], []):
        p = start(*words, log, stdout=subprocess.PIPE)
        expect(p.stdout.readline(), 'no first line')
        p.stdout.close()
        err = p.stderr.read().decode()
        expect(p.wait(SLOW) == 5, 'exit code', p.returncode, err)
        summary = Summary(err, None)
        expect(summary['exported'] < summary['spans'], err)


@test
def a_full_disk(folder):
    log = write(folder, 'in.log', many(3000))
    for words in (['--to', 'file:/dev/full'],):
        summary = run(*words, log, code=5)
        expect(summary['exported'] == 0 and '/dev/full' in summary.err, summary.err)
    with open('/dev/full', 'wb') as full:
        for words in (['--to', '-'], ['--to', 'tree'], ['--to', '-', '--to', 'null']):
            run(*words, log, code=5, stdout=full)
    bad = write(folder, 'bad.log', b'what\n' * 9 + many(9))
    summary = run('--to', 'null', '--rejects', '/dev/full', bad, lines=18, code=3)
    expect(summary['exported'] == summary['spans'] and '/dev/full' in summary.err, summary.err)


@test
def sinks_that_cannot_be(folder):
    log = write(folder, 'in.log', many(3))
    for sink, code in (('file:' + folder + '/no/such/folder', 5), ('file:' + folder, 5)):
        p = start('--to', sink, log)
        _, err = p.communicate(timeout=SLOW)
        expect(p.returncode in (code, 3), sink, 'exit code', p.returncode, err)
        expect(folder.encode() in err, err)


@test
def no_collector(folder):
    with socket.socket() as s:                      # a port where nobody listens
        s.bind(('127.0.0.1', 0))
        url = 'http://127.0.0.1:%d' % s.getsockname()[1]
    before = time.monotonic()
    summary = run('--to', url, '--give-up-after', '700ms', write(folder, 'in.log', many(50)), code=5)
    expect(summary['held'] + summary['dropped'] == summary['spans'] > 0, summary.err)
    expect(time.monotonic() - before < 30, 'gave up late')


@contextlib.contextmanager
def silent_collector():
    """Takes connections and never answers"""
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        s.listen(16)
        yield 'http://127.0.0.1:%d' % s.getsockname()[1]


# ---------------------------------------------------------------- signals

def feed(p, stop):
    """Write lines until the other side or the test has enough"""
    block, n = many(500), 0
    try:
        while not stop.is_set():
            p.stdin.write(block)
            n += 500
    except (BrokenPipeError, ValueError, OSError):
        pass


def takes_signals(p):
    """Wait until it looks at signals itself: before, they do what they always do"""
    end = time.monotonic() + SLOW
    while time.monotonic() < end and p.poll() is None:
        with open('/proc/%d/status' % p.pid, encoding='ascii', errors='replace') as f:
            if int(re.search(r'SigBlk:\s*(\w+)', f.read())[1], 16) >> signal.SIGTERM - 1 & 1:
                return
        time.sleep(0.005)
    raise Failure('it never takes signals')


def is_read(pipe):
    """Wait until nothing is left in it"""
    left, end = array.array('i', [1]), time.monotonic() + SLOW
    while left[0]:
        expect(time.monotonic() < end, 'it does not read')
        time.sleep(0.005)
        fcntl.ioctl(pipe, termios.FIONREAD, left)


def stop_by(signals, *words, code=0, after=0.4):
    p, stop = start(*words, stdin=subprocess.PIPE), threading.Event()
    writer = threading.Thread(target=feed, args=(p, stop), daemon=True)
    writer.start()
    takes_signals(p)
    time.sleep(after)
    for n in signals:
        p.send_signal(n)
        time.sleep(0.2)
    try:
        p.wait(SLOW)
    except subprocess.TimeoutExpired:
        p.kill()
        raise Failure('it does not stop')
    finally:
        stop.set()
    err = p.stderr.read().decode()
    writer.join(5)
    expect(p.returncode == code, 'exit code %d, expected %d:' % (p.returncode, code), err)
    return Summary(err)


@test
def sigterm_and_sigint(folder):
    for n in (signal.SIGTERM, signal.SIGINT):
        out = os.path.join(folder, 'out.jsonl')
        summary = stop_by([n], '--to', 'file:' + out, '--to', 'null')
        expect(summary['requests'] > 0 and summary['exported'] == summary['spans'], summary)
        expect(read(out).count(b'"spanId":') == summary['spans'], 'spans in the file:', summary)


@test
def sigterm_while_nothing_comes(folder):
    p = start('--to', 'null', stdin=subprocess.PIPE)
    p.stdin.write(many(7) + b'half a li')
    p.stdin.flush()
    takes_signals(p)
    is_read(p.stdin)
    p.send_signal(signal.SIGTERM)
    expect(p.wait(SLOW) == 0, p.returncode)
    summary = Summary(p.stderr.read().decode())
    expect(summary['requests'] == 7, 'lines that had come are not counted:', summary)


@test
def sigterm_twice(folder):
    with silent_collector() as url:
        before = time.monotonic()
        summary = stop_by([signal.SIGTERM, signal.SIGTERM], '--to', url, '--timeout', '60s', code=5)
        expect(time.monotonic() - before < 10, 'the second SIGTERM is not at once')
        expect(summary['held'] + summary['dropped'] > 0, summary)


@test
def sigterm_drains_for_a_time(folder):
    with silent_collector() as url:
        before = time.monotonic()
        summary = stop_by([signal.SIGTERM], '--to', url, '--timeout', '60s', '--drain-timeout', '600ms', code=5)
        expect(time.monotonic() - before < 15, '--drain-timeout does not bound it')
        expect(summary['held'] + summary['dropped'] == summary['spans'] > 0, summary)


@test
def sigusr1(folder):
    p, stop = start('--to', 'null', stdin=subprocess.PIPE), threading.Event()
    writer = threading.Thread(target=feed, args=(p, stop), daemon=True)
    writer.start()
    seen = []
    takes_signals(p)
    for _ in range(20):
        time.sleep(0.05)
        p.send_signal(signal.SIGUSR1)
        seen.append(Summary(p.stderr.readline().decode()))      # the identities at every scrape
    stop.set()
    writer.join(10)
    p.stdin.close()
    last = Summary(p.stderr.read().decode())
    expect(p.wait(SLOW) == 0, p.returncode)
    numbers = [s['lines'] for s in [*seen, last]]
    expect(numbers == sorted(numbers) and numbers[-1] > numbers[0], numbers)


@test
def sigusr1_while_the_collector_is_silent(folder):
    with silent_collector() as url:
        p, stop = start('--to', url, '--timeout', '60s', '--buffer-max', '200K', stdin=subprocess.PIPE), threading.Event()
        writer = threading.Thread(target=feed, args=(p, stop), daemon=True)
        writer.start()
        takes_signals(p)
        time.sleep(0.7)
        before = time.monotonic()
        p.send_signal(signal.SIGUSR1)
        summary = Summary(p.stderr.readline().decode())
        expect(time.monotonic() - before < 5, 'a summary has to wait for the collector')
        expect(summary['held'] > 0 and summary['lines'] > 0, summary)
        p.kill()
        p.wait()
        stop.set()


@test
def a_signal_before_the_pipeline_ends_it(folder):
    fifo = os.path.join(folder, 'fifo')
    os.mkfifo(fifo)
    for words in (['-n', '--haproxy-cfg', fifo], ['--config', fifo], ['doctor', fifo], ['explain']):
        p = start(*words, stdin=subprocess.PIPE)
        time.sleep(0.4)
        expect(p.poll() is None, words, 'did not wait')
        p.send_signal(signal.SIGTERM)
        try:
            expect(p.wait(5) == -signal.SIGTERM, words, p.returncode)
        finally:
            p.kill()
            p.communicate()


@test
def a_pipe_that_nobody_reads_is_an_error(folder):
    fifo = os.path.join(folder, 'fifo')
    os.mkfifo(fifo)
    p = start('--to', 'file:' + fifo, os.path.join(ROOT, 'samples', 'demo', 'haproxy.log'), stdin=subprocess.DEVNULL)
    try:
        _, err = p.communicate(timeout=10)
    finally:
        p.kill()
    expect(p.returncode == 5 and b'nobody reads this pipe' in err, p.returncode, err)
    got = []
    reader = threading.Thread(target=lambda: got.append(open(fifo, 'rb').read()))
    reader.start()
    time.sleep(0.3)
    run('--to', 'file:' + fifo, os.path.join(ROOT, 'samples', 'demo', 'haproxy.log'), lines=13)
    reader.join(10)
    expect(got and got[0].count(b'spanId') >= 36, 'the reader got', got[:1])


@test
def what_is_said_can_do_nothing_to_a_terminal(folder):
    cfg = write(folder, 'x.cfg', b'frontend a\x1b[31m\xc2\x9b31m\xe2\x80\xae\x9b\n  bind :1\n  mode http\n  log-format "%zz"\n')
    for words in (['doctor', cfg], ['-n', '--haproxy-cfg', cfg], ['--to', 'null', folder + '/\xc2\x9b31m\x1b'],
                  ['--to', 'nowhere:\u009b31m'], ['--phases', '\u202eall'], ['--format', '%ci \u009b %zz']):
        p = start(*words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        out, err = p.communicate(timeout=20)
        said = ((out or b'') + (err or b'')).decode()                   # strict: it is UTF-8
        bad = [c for c in said if (ord(c) < 32 and c not in '\n\t') or 0x7f <= ord(c) < 0xa0 or 0x202a <= ord(c) <= 0x202e]
        expect(said and not bad, words, bad)


def closed(fd, *words):
    """What becomes of a run whose parent has closed `fd`: exit code, stderr"""
    script = 'import os, sys; os.close(%d); os.execv(sys.argv[1], sys.argv[1:])' % fd
    done = subprocess.run([sys.executable, '-c', script, HASPAN, *words], env=ENV, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=20)
    return done.returncode, done.stderr.decode()


@test
def closed_descriptors(folder):
    demo = os.path.join(ROOT, 'samples', 'demo', 'haproxy.log')
    code, err = closed(0, '--to', 'null')
    expect(code == 4 and 'standard input' in err, 'closed 0:', code, err)
    code, err = closed(0, 'explain')
    expect(code == 4 and 'standard input' in err, 'closed 0, explain:', code, err)
    code, err = closed(0, '--to', 'null', demo)
    expect(code == 0 and Summary(err)['exported'], 'closed 0, not needed:', code, err)
    code, err = closed(1, '--to', '-', demo)
    summary = Summary(err)
    expect(code == 5 and summary['dropped'] == summary['spans'] > 0, 'closed 1:', code, err)
    for words in (['explain', 'x'], ['formats'], ['--help'], ['--version']):
        code, err = closed(1, *words)
        expect(code == 5 and 'standard output' in err, 'closed 1:', words, code, err)
    out = os.path.join(folder, 'out.jsonl')
    code, _ = closed(2, '--to', 'file:' + out, demo)
    with open(out, encoding='utf-8') as f:
        expect(code == 0 and all(json.loads(line) for line in f), 'closed 2:', code)


@test
def a_full_disk_behind_standard_output(folder):
    demo = os.path.join(ROOT, 'samples', 'demo', 'haproxy.log')
    cfg = os.path.join(folder, 'haproxy.cfg')
    with open(cfg, 'w', encoding='utf-8') as f:
        for n in range(300):            # more than a buffer of stdio takes
            f.write('frontend fe%d\n\tmode http\n\tbind :%d\n\tlog 127.0.0.1 local0\n\tdefault_backend be\n' % (n, 8000 + n))
        f.write('backend be\n\tmode http\n\tserver s 127.0.0.1:1\n')
    with open('/dev/full', 'w', encoding='utf-8') as full, open(demo, 'rb') as lines:
        for words in (['explain'], ['doctor', cfg], ['formats'], ['--help']):
            lines.seek(0)
            p = start(*words, stdin=lines, stdout=full)
            _, err = p.communicate(timeout=SLOW)
            expect(p.returncode == 5 and b'standard output' in err, words, p.returncode, err[-500:])


@test
def sigpipe_is_survived(folder):
    p = start('--to', 'null', stdin=subprocess.PIPE)
    p.stdin.write(many(3))
    p.stdin.flush()
    takes_signals(p)
    p.send_signal(signal.SIGPIPE)
    p.stdin.write(many(4))
    p.stdin.close()
    expect(p.wait(SLOW) == 0, p.returncode)
    Summary(p.stderr.read().decode(), 7)


# ---------------------------------------------------------------- what a person sees

@test
def trees_of_hostile_lines_are_harmless(folder):
    for path in sorted(glob.glob(os.path.join(ROOT, 'samples', 'hostile', '*', 'input.log'))):
        out = run('--capture-request', 'x-a,x-b,x-c', path).out
        text = out.decode('utf-8')                  # valid
        odd = {c for c in text if c != '\n' and (ord(c) < 0x20 or 0x7f <= ord(c) < 0xa0 or c in
                                                 '\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e'
                                                 '\u2066\u2067\u2068\u2069\u2028\u2029')}
        expect(not odd, path, odd)
    plain = run(os.path.join(ROOT, 'samples', 'demo', 'haproxy.log')).out
    expect(b'\x1b' not in plain, 'colour without a terminal')


@test
def the_first_line_that_was_not_understood_is_harmless(folder):
    for line in (b'ab\xc2\x9b31m\x1b[31m', 'a\u202egnp.exe\u2066'.encode(), b'a\x9b\xff', 'é'.encode() * 200, b'x' * 500):
        p = start('--to', 'null', stdin=subprocess.PIPE)
        _, err = p.communicate(line + b'\n', timeout=SLOW)
        said = err.decode('utf-8')      # valid
        shown = re.search('the first was: (.*)', said)
        expect(shown and len(shown[1]) <= 100 and (len(line) < 100 or shown[1].endswith('…')), said)
        odd = {c for c in said if c != '\n' and (ord(c) < 0x20 or 0x7f <= ord(c) < 0xa0 or c in '\u202e\u2066')}
        expect(not odd, odd, said)


@test
def messages_of_hostile_names_are_harmless(folder):
    for words in ([os.path.join(folder, '\x1b[31m.log')], ['--format', '%ci \x1b[31m %foo'], ['--\x1b[31m'],
                  ['--to', 'file:/\x1b[31m/x', os.path.join(ROOT, 'samples', 'demo', 'haproxy.log')]):
        p = start(*words)
        _, err = p.communicate(timeout=SLOW)
        expect(p.returncode in (2, 3, 4, 5) and b'\x1b' not in err, words, p.returncode, err)


# ----------------------------------------------------------------

def main():
    passed = failed = 0
    for function in TESTS:
        name = function.__name__.replace('_', ' ')
        if sys.argv[1:] and not any(part in name for part in sys.argv[1:]):
            continue
        folder = tempfile.mkdtemp()
        said = io.StringIO()
        try:
            function(folder)
            passed += 1
        except Exception as e:                      # a test that breaks has failed, and the next one runs
            failed += 1
            if not isinstance(e, Failure):
                traceback.print_exc(file=said)
            print('FAILED %s: %s\n%s' % (name, str(e)[:3000], said.getvalue()))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    print('%d passed, %d failed' % (passed, failed))
    return failed > 0 or passed == 0


if __name__ == '__main__':
    sys.exit(main())
