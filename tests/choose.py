#!/usr/bin/env python3
"""What is chosen: --slowest, --limit, --trace, --grep, and how many requests each --keep and --drop has decided.

What must come out is worked out here, from all spans of a run that leaves nothing out. And the tree on a terminal: its
width, its colours, Ctrl-C. The binary is $HASPAN, or build/haspan.
"""
import fcntl
import http.client
import json
import os
import pty
import random
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
HASPAN = os.path.abspath(os.path.join(ROOT, os.environ.get('HASPAN') or 'build/haspan'))
ENV = {k: v for k, v in os.environ.items() if k in ('PATH', 'LD_LIBRARY_PATH') or k.endswith('SAN_OPTIONS')}
ENV['TZ'] = 'UTC'
STEPS = ['--haproxy-cfg', os.path.join(ROOT, 'samples/haproxy-3.2/haproxy.cfg'), os.path.join(ROOT, 'samples/haproxy-3.2/steps.log')]
passed = failed = 0


def claim(what, holds, *seen):
    global passed, failed
    passed, failed = passed + bool(holds), failed + (not holds)
    if not holds:
        print('FAILED %s\n  > %s' % (what, ' | '.join(str(s)[:400] for s in seen)))
    return holds


def run(*words, code=0):
    r = subprocess.run([HASPAN, *map(str, words)], env=ENV, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    claim('exit code %d: %s' % (code, ' '.join(map(str, words))[-90:]), r.returncode == code, r.returncode, r.stderr)
    return r


def account(r, sink=None):
    """The numbers of a sink's account; the identity is a claim"""
    line = [w for w in r.stderr.splitlines() if w.startswith('sink=%s ' % sink if sink else 'lines=')][-1]
    a = {k: int(v) for k, v in re.findall(r'(\w+)=(\d+)', line)}
    claim('spans are accounted for', a['spans'] + a['restored'] == sum(a[k] for k in (
        'exported', 'unsampled', 'filtered', 'refused', 'dropped', 'held')), line)
    return a


def rules(text):
    return [int(n) for n in re.findall(r'^rule=\d+ requests=(\d+) ', text, re.M)]


def make(path, n, seed=7):
    """Lines of httplog with few different durations, so that many are equal"""
    r, out = random.Random(seed), []
    for i in range(n):
        tr, tw, tc, tresp, td = r.randrange(3), r.choice((0, 0, 40)), r.randrange(2), r.choice((1, 5, 5, 90, 700)), r.randrange(3)
        out.append('<134>Nov 21 08:15:%02d lb haproxy[1]: 10.0.0.%d:%d [21/Nov/2026:08:15:%02d.%03d] fe %s/s1 %d/%d/%d/%d/%d %d %d - - ---- '
                   '1/1/1/1/0 0/0 "GET %s HTTP/1.1"' % (i // 1000 % 60, i % 250, 1024 + i % 60000, i // 1000 % 60, i % 1000, r.choice(('api', 'web')),
                                                        tr, tw, tc, tresp, tr + tw + tc + tresp + td, r.choice((200, 200, 200, 404, 500, 503)),
                                                        i, r.choice(('/', '/healthz', '/api/orders', '/API/x?id=%d' % i))))
    with open(path, 'w', encoding='ascii') as f:
        f.write('\n'.join(out) + '\n')
    return out


def requests(path):
    """(trace id, nanoseconds, spans) of each request, in order"""
    out = subprocess.run([HASPAN, '--to', '-', path], env=ENV, capture_output=True, text=True, check=True, timeout=120).stdout
    found = []
    for line in out.splitlines():
        for rs in json.loads(line)['resourceSpans']:
            for span in rs['scopeSpans'][0]['spans']:
                if span['kind'] == 2:
                    found.append([span['traceId'], int(span['endTimeUnixNano']) - int(span['startTimeUnixNano']), 0])
                found[-1][2] += 1
    return found


def drawn(text):
    return re.findall(r'^  .* trace ([0-9a-f]{32})', text, re.M)


def slowest(log, found):
    order = sorted(found, key=lambda f: (-f[1], f[0]))
    for n in (1, 7, 500):
        texts = [run('--slowest', n, '--threads', t, log) for t in (1, 2, 4)]
        claim('--slowest %d: these, slowest first' % n, drawn(texts[0].stdout) == [f[0] for f in order[:n]])
        claim('... whatever the threads', len({t.stdout for t in texts}) == 1)
        a = account(texts[0])
        claim('... the others are filtered', a['exported'] == sum(f[2] for f in order[:n]), a)
    few = run('--slowest', 1000, os.path.join(ROOT, 'samples/demo/haproxy.log'))
    claim('--slowest, more than there are: all', len(drawn(few.stdout)) == 13 and account(few)['filtered'] == 0)
    both = run('--slowest', 2, '--to', 'tree', '--to', 'null', log)
    claim('--slowest leaves other sinks alone', account(both, 'null')['filtered'] == 0 and
          account(both, 'tree')['exported'] == sum(f[2] for f in order[:2]), both.stderr)
    for words, said in ((('--slowest', '0'), 'expected 1 to 1000'), (('--slowest', '1001'), 'at most 1000'), (('--limit', '0'), 'at least 1'),
                        (('--slowest', '3', '--to', 'null'), 'add --to tree'), (('--slowest', '3', '--limit', '3'), 'one of the two')):
        claim('%s: %s' % (' '.join(words), said), said in run(*words, log, code=2).stderr)


def limit(log, found):
    whole = run(log).stdout
    for t in (1, 4):
        r = run('--limit', 5, '--threads', t, log)
        claim('--limit: the first ones', drawn(r.stdout) == [f[0] for f in found[:5]] and whole.startswith(r.stdout))
        a = account(r)
        claim('... and the rest is not read', a['lines'] < len(found) and '--limit: 5 requests are drawn' in r.stderr, a)
    both = run('--limit', 5, '--to', 'tree', '--to', 'null', log)
    claim('--limit beside another sink: that gets all', account(both, 'null')['exported'] == sum(f[2] for f in found) and
          account(both, 'tree')['exported'] == sum(f[2] for f in found[:5]), both.stderr)


def trace(log, found):
    some = found[1234]
    for words in ((some[0],), (some[0][:12],), (some[0][:9].upper(),)):
        r = run('--trace', *words, log)
        claim('--trace %s' % words, drawn(r.stdout) == [some[0]] and account(r)['exported'] == some[2], r.stdout)
    r = run('--trace', some[0], '--sampler', 'traceidratio:0.5', '--to', 'null', '--to', '-', log)
    claim('--trace: for all sinks', account(r, 'null')['spans'] == sum(f[2] for f in found))
    claim('--trace: nothing found', 'no request is of this trace' in run('--trace', '0' * 32, log, code=1).stderr)
    for bad in ('1234567', 'x' * 8, '0' * 33):
        run('--trace', bad, log, code=2)
    shared = '10.0.0.1:%d [21/Nov/2026:08:15:44.900] fe be/s1 0/0/0/5/5 200 1 - - ---- 1/1/1/1/0 0/0 {%s} "GET / HTTP/1.1"\n'
    with tempfile.NamedTemporaryFile('w', suffix='.log') as f:
        for i, ids in enumerate(('12345678' + '1' * 24, '12345678' + '2' * 24)):
            f.write(shared % (i, '00-%s-00f067aa0ba902b7-01' % ids))
        f.flush()
        r = run('--capture-request', 'traceparent', '--trace', '12345678', f.name)
        claim('--trace: digits of two traces: both, and that is said', len(drawn(r.stdout)) == 2 and 'several traces' in r.stderr, r.stderr)
        r = run('--capture-request', 'traceparent', '--trace', '123456781', f.name)
        claim('... one more digit: one', len(drawn(r.stdout)) == 1 and 'several' not in r.stderr, r.stderr)


def grep(log, lines, found):
    for pattern in ('healthz', '(?i)/api', r' 50[03] \d+ .*orders', r'haproxy\[1\]: 10\.0\.0\.7:'):
        wanted = [f[0] for f, line in zip(found, lines) if re.search(pattern, line)]
        for t in (1, 4):
            r = run('--grep', pattern, '--threads', t, log)
            claim('--grep %s' % pattern, drawn(r.stdout) == wanted and len(wanted) > 3, len(wanted), len(drawn(r.stdout)))
        account(r)
    claim('--grep: nothing fits', 'no line of a request fits --grep' in run('--grep', 'no such text', log, code=1).stderr)
    claim('--grep: a broken pattern has its place', '--grep:2:' in run('--grep', '(', log, code=2).stderr)
    # A request of several lines: one of them is enough, and all of the request is there.
    with open(STEPS[-1], encoding='utf-8') as f:
        steps = f.read()
    word = re.search(r'POST', steps) and 'POST'
    all_, some = run(*STEPS), run('--grep', word, *STEPS)
    claim('--grep, several lines: requests are whole', 0 < len(drawn(some.stdout)) < len(drawn(all_.stdout)) and
          all(block in all_.stdout for block in some.stdout.split('\n\n')), some.stdout)
    account(some)


def counts(log, lines, found):
    words = ['--keep', 'status >= 500', '--drop', 'path == "/healthz"', '--keep', 'Ta > 500ms', '--drop', 'status >= 500', '--sampler',
             'always_off']
    wanted = [0, 0, 0, 0]
    for line in lines:
        status, total = int(re.search(r'/\d+ (\d{3}) ', line)[1]), int(re.search(r'/(\d+) \d{3} ', line)[1])
        truths = [status >= 500, '"GET /healthz HTTP' in line, total > 500, False]
        if True in truths:
            wanted[truths.index(True)] += 1
    for t in (1, 2, 4):
        r = run(*words, '--threads', t, '--to', 'null', log)
        claim('rules count exactly, %d threads' % t, rules(r.stderr) == wanted, rules(r.stderr), wanted)
    claim('without rules no such line', 'rule=' not in run('--to', 'null', log).stderr)
    r = run('--keep', 'status in (404)', '--to', 'null', *STEPS)
    one = run('--keep', 'status in (404)', '--threads', 4, '--to', 'null', *STEPS)
    claim('rules count requests of several lines once', rules(r.stderr) == rules(one.stderr) and rules(r.stderr)[0] > 0, r.stderr)
    hostile = run('--keep', 'path == "\x1b[31m\u202e"', '--to', 'null', log)
    claim('a rule is shown masked', '\x1b' not in hostile.stderr and '\u202e' not in hostile.stderr, hostile.stderr)


def early(log, found):
    """Who is not sampled is counted as if his spans had been made"""
    for sampler in ('always_off', 'traceidratio:0.3', 'parentbased_traceidratio:0.01'):
        brief = account(run('--sampler', sampler, '--to', 'null', log))
        whole = account(run('--sampler', sampler, '--keep', 'status == 999', '--to', 'null', log))
        claim('%s: counts do not depend on how it was decided' % sampler, brief == whole and brief['spans'] == sum(f[2] for f in found), brief, whole)
    for samples in (STEPS, ['--format', '%ci %tr %TR/%Tw/%Tc/%Tr/%Ta %ST end=%[date(0,us)]', '/dev/null']):
        a = [account(run('--sampler', 'always_off', *more, '--to', 'null', *samples)) for more in ((), ('--keep', 'status == 999'))]
        claim('... nor of several lines', a[0] == a[1], a)


def wait_for(true, what):
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if (said := true()):
            return said
        time.sleep(0.02)
    claim(what, False, 'not within 30 s')
    return None


def ask(path, text):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(30)
        s.connect(path)
        s.sendall(text.encode())
        return b''.join(iter(lambda: s.recv(65536), b'')).decode()


def reload(folder, lines):
    conf, admin, errors = (os.path.join(folder, n) for n in ('conf', 'admin', 'err'))

    def configure(*given):
        with open(conf, 'w', encoding='utf-8') as f:
            f.write(''.join('%s\n' % g for g in given))

    def table():
        return re.findall(r'^(\d+) (\d+) (.*)$', ask(admin, 'show rules\n'), re.M)

    def send(p, data):
        p.stdin.write(('\n'.join(data) + '\n').encode())
        p.stdin.flush()

    configure('keep status >= 500', 'drop path ~ "^/healthz\\""', 'drop status == 404')
    configure('keep status >= 500', 'drop path ~ "^/healthz"', 'drop status == 404')
    first, second = lines[:600], lines[600:900]
    hits = lambda part, s: sum(1 for x in part if re.search(s, x))      # noqa: E731
    with open(errors, 'wb') as err, subprocess.Popen(
            [HASPAN, '--config', conf, '--to', 'null', '--admin', 'unix:' + admin, '--listen-metrics', '127.0.0.1:0', '--threads', '4'],
            env=ENV, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=err) as p:
        wait_for(lambda: os.path.exists(admin), 'the admin socket')
        said = lambda: open(errors, encoding='utf-8').read()            # noqa: E731
        send(p, first)
        kept = hits(first, r' 50[03] \d')
        wait_for(lambda: re.search(r'^requests: 600$', ask(admin, 'show info\n'), re.M), 'the first lines')
        t = table()
        claim('show rules', [r[2] for r in t] == ['keep status >= 500', 'drop path ~ "^/healthz"', 'drop status == 404'] and
              int(t[0][1]) == kept, t)
        gone = int(t[2][1])
        configure('drop path ~ "^/healthz"', 'keep status >= 500', 'keep Ta > 1h')
        p.send_signal(signal.SIGHUP)
        wait_for(lambda: 'a rule is gone' in said(), 'a new configuration')
        claim('a rule that goes says its count', 'it had decided %d requests: drop status == 404' % gone in said(), said())
        send(p, second)
        wait_for(lambda: re.search(r'^requests: 900$', ask(admin, 'show info\n'), re.M), 'the second lines')
        u = table()
        health = int(t[1][1]) + hits(second, '"GET /healthz HTTP')
        kept += sum(1 for x in second if re.search(r' 50[03] \d', x) and '"GET /healthz HTTP' not in x)
        claim('others go on counting, in their new order', [int(r[1]) for r in u] == [health, kept, 0], u, health, kept)
        port = int(re.search(r'metrics at http://127.0.0.1:(\d+)/', said())[1])
        c = http.client.HTTPConnection('127.0.0.1', port, timeout=30)
        c.request('GET', '/metrics')
        page = c.getresponse().read().decode()
        c.close()
        claim('metrics', 'haspan_rule_requests_total{rule="drop path ~ \\"^/healthz\\""} %d\n' % health in page and
              '# TYPE haspan_rule_requests_total counter' in page, [x for x in page.splitlines() if 'rule_' in x])
        p.stdin.close()
        p.wait(60)
        claim('the summary has them', rules(said()) == [health, kept, 0], said())


def terminal(width, words, env=(), interrupt=None):
    """What a terminal of so many columns shows, and the exit code"""
    pid, fd = pty.fork()
    if pid == 0:
        fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack('HHHH', 40, width, 0, 0))
        os.execve(HASPAN, [HASPAN, *map(str, words)], dict(ENV, **dict(env)))
    said, sent = b'', False
    while True:
        if interrupt and not sent and interrupt():
            os.write(fd, b'\x03')
            sent = True
        if not select.select([fd], [], [], 0.05 if interrupt and not sent else 60)[0]:
            continue
        try:
            data = os.read(fd, 65536)
        except OSError:
            break
        if not data:
            break
        said += data
    os.close(fd)
    return said.decode(), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def screens(log, folder):
    plain = lambda s: re.sub('\x1b\\[[0-9;]*m', '', s).replace('\r', '')        # noqa: E731
    demo = os.path.join(ROOT, 'samples/demo/haproxy.log')
    for width in (60, 80, 132):
        for words in ([demo], STEPS):
            said, _ = terminal(width, words)
            long = [x for x in plain(said).splitlines() if len(x) > width and not x.startswith('lines=')]
            claim('%d columns: no line is wider' % width, not long and 'SERVER' in said, long)
    said, _ = terminal(100, [demo])
    bars = re.findall(r'(?:queue|CLIENT GET) +▕([ █]+)▏ (397|203) ms', plain(said))
    claim('bars are to scale', len(bars) == 2 and all(abs(len(b[0].strip()) / len(b[0]) - int(b[1]) / 600) < 0.05 for b in bars), bars)
    claim('failures are in words', 'server did not send response headers in time' in plain(said), said)
    claim('colour on a terminal', '\x1b[' in said)
    claim('NO_COLOR', '\x1b[' not in terminal(100, [demo], {'NO_COLOR': '1'})[0])
    claim('an empty NO_COLOR says nothing', '\x1b[' in terminal(100, [demo], {'NO_COLOR': ''})[0])
    claim('no colour when piped', '\x1b[' not in run(demo).stdout)
    spans = os.path.join(folder, 'spans')
    said, code = terminal(100, ['--from', 'follow:' + log, '--slowest', 3, '--to', 'tree', '--to', 'file:' + spans],
                          interrupt=lambda: os.path.exists(spans) and open(spans, encoding='utf-8').read().count('"kind":2') == 4000)
    claim('Ctrl-C ends cleanly with what was found', code == 0 and len(drawn(plain(said))) == 3 and 'sink=tree' in said, code, said[-500:])
    said, code = terminal(100, [])
    claim('haspan alone: five lines', code == 2 and len(said.strip().splitlines()) == 5, said)
    for word in '--to stats', 'haspan check', 'doctor', 'explain':
        claim('... which name ' + word, word in said, said)


def main():
    with tempfile.TemporaryDirectory() as folder:
        log = os.path.join(folder, 'a.log')
        lines = make(log, 4000)
        found = requests(log)
        claim('the lines are requests', len(found) == len(lines), len(found))
        slowest(log, found)
        limit(log, found)
        trace(log, found)
        grep(log, lines, found)
        counts(log, lines, found)
        early(log, found)
        reload(folder, lines)
        screens(log, folder)
    print('%d passed, %d failed' % (passed, failed))
    return failed > 0


if __name__ == '__main__':
    sys.exit(main())
