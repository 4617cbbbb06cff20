#!/usr/bin/env python3
"""What haspan doctor says of the configurations in samples/doctor, and that what it proposes works.

    tests/doctor.py [--update] [CASE]...        CASE: a part of a folder's name

    haproxy.cfg     the configuration; a folder's name ends with the version that it needs, as in json-3.0
    expected.txt    what doctor prints, and its exit code
    expected.patch  what --fix prints

After the patch HAProxy still takes the configuration ($HAPROXY; skipped when it is too old), doctor finds nothing
essential or useful missing, and has nothing more to mend. Then frontends that doctor mended meet tests/recipe.py in a
real HAProxy, with no more than --haproxy-cfg for haspan. Binaries: $HAPROXY, $HASPAN.
"""
import difflib
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

import lab
import recipe
from lab import expect

VERSION = lab.version()
DEFAULTS = '''defaults
    mode http
    log 127.0.0.1:{log} format raw local0
    timeout connect 1s
    timeout client 5s
    timeout server 400ms
    timeout http-request 1s
    retries 1
'''
FRONTEND = '''
frontend web
    bind 127.0.0.1:{web}
    bind 127.0.0.1:{web2} proto h2
    http-request deny if { path_beg /deny }
%s    default_backend app

backend app
    server app 127.0.0.1:{origin}
'''
# A frontend of doc/json.md, whose own rule reads the caller's traceparent
BY_HAND = '\n'.join(line for line in recipe.section(lab.document('doc/json.md', 'haproxy', 1), 'web')
                    if line.split()[0] not in ('log', 'default_backend')) + '\n'
# Frontends that doctor has to mend until the recipe's test holds, and the version that they need.
LIVE = {
    'no format': ((2, 6), ''),
    'httplog': ((2, 6), '    option httplog\n    option logasap\n    option dontlog-normal\n'),
    'httpslog': ((2, 6), '    option httpslog\n'),
    'CLF': ((2, 6), '    option httplog clf\n    unique-id-format "%[req.hdr(X-Request-ID)]"\n'),
    'text': ((2, 6), "    log-format 'who=\"%ci\" when=[%tr] what=%{+Q}r took=%Ta price=5$ code=%ST'\n"
                     '    acl tp_one path_beg /two\n    http-request set-var(txn.sid) str(taken)\n'),
    'key=value': ((2, 6), '    capture request header User-Agent len 64\n'
                          '    log-format "app=web time=%tr client=%ci:%cp fe=%f be=%b srv=%s Ta=%Ta status=%ST req=%{+Q}r"\n'),
    'captures': ((2, 6), '    capture request header traceparent len 64\n    capture request header User-Agent len 64\n'
                         '    log-format "%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %tsc %[capture.req.hdr(0)] '
                         '%{+Q}[capture.req.hdr(1)] %{+Q}r"\n'),
    'captures in a block': ((2, 6), '    option httplog\n    capture request header traceparent len 64\n'),
    'JSON by hand': ((2, 6), BY_HAND),
    'readers': ((2, 6), '    option httplog\n'
                        '    http-request set-header X-Caller %[req.hdr(traceparent)] if { req.hdr(TraceParent) -m found }\n'
                        '    .if streq(a,a)\n    acl traced req.fhdr(traceparent) -m found\n'
                        '    http-request set-header X-Traced yes if METH_GET traced or METH_POST traced\n    .endif\n'
                        '    http-request set-var(txn.late) req.hdr(tracestate)\n'
                        '    http-request set-header X-State %[var(txn.late)]\n'),
    'old timers': ((2, 6), '    log-format "%ci:%cp [%t] %ft %b/%s %Tq/%Tw/%Tc/%Tr/%Tt %ST %B %CC %CS %tsc %hr %hs %{+Q}r"\n'),
    'own ids': ((2, 6), '    option httplog\n'
                        '    http-request set-var(txn.tp) req.hdr(traceparent)\n'),
    'JSON text': ((2, 6), '    log-format \'{"time":"%tr","client":"%ci","f":"%f","Ta":%Ta,"status":%ST,"method":"%HM",'
                          '"path":"%[capture.req.uri,json(utf8s)]"}\'\n'),
    '+json': ((3, 0), '    log-format "%{+json}o %(time)tr %(client)ci %(port)cp %(frontend)f %(Ta)Ta %(status)ST '
                      '%(method)HM %(path)HP"\n'),
}


def doctor(path, *options, where=None):
    done = subprocess.run([lab.HASPAN, 'doctor', *options, path], capture_output=True, cwd=where, env=lab.ENV)
    expect(done.returncode in (0, 1), 'doctor: exit', done.returncode, done.stderr)
    return done.stdout.decode(), done.stderr.decode(), done.returncode


def patch(where, text, *options):
    done = subprocess.run(['patch', '-p0', '--fuzz=0', *options], input=text.encode('utf-8', 'surrogateescape'), cwd=where, capture_output=True)
    expect(done.returncode == 0 and b'offset' not in done.stdout, 'patch:', done.stdout, done.stderr)


def same(path, said, update):
    if update:
        with open(path, 'w', encoding='utf-8') as f:
            f.write(said)
    known = ''
    if os.path.exists(path):
        with open(path, encoding='utf-8', newline='') as f:
            known = f.read()
    expect(known == said, '\n'.join(difflib.unified_diff(known.split('\n'), said.split('\n'), path, 'said', lineterm='')))


def check_json(path, where, text, code):
    said = json.loads(doctor(path, '--json', where=where)[0])
    words = dict(re.findall(r'(\w+)=(\d+)', text.rsplit('\n', 2)[1]))
    expect(len(said['frontends']) == int(words['frontends']), 'JSON has other frontends')
    severities = [advice['severity'] for frontend in said['frontends'] for advice in frontend['advice']]
    for key, severity in (('essential', 'essential'), ('useful', 'useful'), ('hints', 'hint')):
        expect(said[key] == severities.count(severity) == int(words[key]), 'JSON counts', key, said[key])
    expect(code == (said['essential'] > 0), 'exit', code, 'with', said['essential'], 'essential')
    return said


def takes(folder, path):
    """Does the HAProxy under test know what the case needs?"""
    wanted = re.search(r'-(\d+)\.(\d+)$', folder)
    if wanted and VERSION < (int(wanted[1]), int(wanted[2])):
        return
    said = lab.accepts(path)
    expect(said is None, 'haproxy -c:', said)


def check_case(folder, update):
    with tempfile.TemporaryDirectory() as work:
        shutil.copy(os.path.join(folder, 'haproxy.cfg'), work)
        path = os.path.join(work, 'haproxy.cfg')
        takes(folder, path)
        text, notes, code = doctor('haproxy.cfg', where=work)
        same(os.path.join(folder, 'expected.txt'), text + notes + 'exit %d\n' % code, update)
        check_json('haproxy.cfg', work, text, code)
        fix = doctor('haproxy.cfg', '--fix', where=work)[0]
        same(os.path.join(folder, 'expected.patch'), fix, update)
        if fix:
            patch(work, fix)
        takes(folder, path)
        left = check_json('haproxy.cfg', work, *doctor('haproxy.cfg', where=work)[::2])
        expect(left['essential'] == left['useful'] == 0, 'after the patch:', json.dumps(
            [a for f in left['frontends'] for a in f['advice'] if a['severity'] != 'hint'], indent=1))
        expect(doctor('haproxy.cfg', '--fix', where=work)[0] == '', 'there is more to mend after the patch')


def check_other(source):
    """A configuration from elsewhere: what HAProxy took before the patch it takes after it"""
    with tempfile.TemporaryDirectory() as work:
        shutil.copytree(os.path.dirname(source), work, dirs_exist_ok=True)
        name = os.path.basename(source)
        path = os.path.join(work, name)
        before = lab.accepts(path)
        done = subprocess.run([lab.HASPAN, 'doctor', '--fix', name], capture_output=True, cwd=work, env=lab.ENV)
        if done.returncode == 3:                        # an error in it is what that sample is about
            expect(before is not None, 'doctor:', done.stderr.decode())
            return
        expect(done.returncode in (0, 1), 'doctor: exit', done.returncode, done.stderr.decode())
        json.loads(doctor(name, '--json', where=work)[0])
        if done.stdout:
            patch(work, done.stdout.decode('utf-8', 'surrogateescape'))
        after = lab.accepts(path)
        expect(before or not after, 'haproxy -c after the patch:', after)


def check_readers(l):
    """Rules of the operator's saw what the client sent"""
    for row in l.origin.rows:
        headers = dict(row['headers'])
        sent = recipe.CONTEXTS[row['path'].rsplit('/', 1)[1]][0]
        if '/double/' not in row['path']:
            expect(headers.get('x-caller') == (None if sent is None else sent.strip()), row['path'], headers)
        expect(headers.get('x-traced') == (None if sent is None else 'yes'), row['path'], headers)
        expect(headers.get('x-state', '') == ('' if sent is None else 'a=1'), row['path'], headers)


def check_live(lines):
    """A frontend, mended, in a real HAProxy: the server saw haspan's ids"""
    with lab.Lab() as l:
        with open(l.path('haproxy.cfg'), 'w', encoding='utf-8') as f:
            f.write(DEFAULTS + FRONTEND % lines)
        patch(l.dir, doctor('haproxy.cfg', '--fix', where=l.dir)[0])
        with open(l.path('haproxy.cfg'), encoding='utf-8') as f:
            text = f.read()
        l.start(text)
        sent = recipe.Sent()
        recipe.traffic(l, sent)
        logged = l.stop()
        options = ('--haproxy-cfg', l.path('haproxy.cfg'))
        recipe.check(l, sent, logged, *options, tiers=0)
        recipe.check_sampling(l, sent, logged, *options)
        if 'app=web time=' in lines:                    # who reads by keys finds all of it, without the configuration
            recipe.check(l, sent, logged, tiers=0)
        if 'X-Caller' in lines:
            check_readers(l)


def check_errors():
    """Exit codes of what is no configuration"""
    def code(*words):
        done = subprocess.run([lab.HASPAN, 'doctor', *words], capture_output=True, text=True, env=lab.ENV)
        expect(done.stderr.startswith('haspan: '), 'says', done.stderr)
        return done.returncode
    with tempfile.TemporaryDirectory() as work:
        path = os.path.join(work, 'haproxy.cfg')
        with open(path, 'w', encoding='utf-8') as f:
            f.write('frontend a\n    log-format "never closed\n')
        expect(code() == 2, 'no file is not exit 2')
        expect(code('--fix', '--json', 'samples/doctor/tcp/haproxy.cfg') == 2, '--fix with --json is not exit 2')
        expect(code(path) == 3, 'an open quote is not exit 3')
        expect(code(os.path.join(work, 'nowhere')) == 3, 'a file that is not there is not exit 3')
        for text in (b'frontend a\n    bind :80', b'frontend a\r\n    bind :80\r\n'):       # ends of all kinds
            with open(path, 'wb') as f:
                f.write(text)
            patch(work, doctor('haproxy.cfg', '--fix', where=work)[0], '--binary')
            with open(path, 'rb') as f:
                got = f.read()
            expect(got.startswith(text) and got.endswith(text[-2:] if text.endswith(b'\n') else b'\n'), got)
            expect(text.count(b'\r') * got.count(b'\n') == got.count(b'\r') * text.count(b'\r'), got)


def check_texts():
    """One text in two places: the recipe and the profile are those of the documents"""
    with tempfile.TemporaryDirectory() as work:
        shutil.copy('samples/doctor/debian/haproxy.cfg', work)
        said = [line.strip() for line in re.sub(r'(?m)^ *[-+] ', '', doctor('haproxy.cfg', where=work)[0]).split('\n')]
    with open('formats/advice.def', encoding='utf-8') as f:
        table = ['| %s | `%s` | %s |' % (m[2].lower(), m[1], m[3])
                 for m in re.finditer(r'^ADVICE\((\w+), (\w+), "([^"]*)"', f.read(), re.M)]
    with open('doc/doctor.md', encoding='utf-8') as f:
        expect('\n'.join(table) in f.read(), 'doc/doctor.md has another table than formats/advice.def')
    blocks = lab.document('doc/ids.md', 'haproxy') + lab.document('doc/doctor.md', 'haproxy')
    for line in map(str.strip, blocks.split('\n')):
        if line.startswith(('acl ', 'http-request ', 'unique-id-format ', 'log-profile ', 'on ')):
            expect(line in said, 'only in the documents:', line)
    for line in said:
        if line.startswith(('acl tp_', 'http-request ', 'log-profile ', 'on ')) and '/admin' not in line:
            expect(line in map(str.strip, blocks.split('\n')), 'only in the program:', line)


def main():
    os.chdir(lab.ROOT)
    words = sys.argv[1:]
    parts = [w for w in words if not w.startswith('--')]
    tests = [(folder, check_case, (folder, '--update' in words)) for folder in sorted(glob.glob('samples/doctor/*'))]
    tests += [(path, check_other, (path,)) for path in sorted(glob.glob('samples/**/*.cfg', recursive=True))
              if not path.startswith('samples/doctor/')]
    tests += [('live: ' + name, check_live, (lines,)) for name, (since, lines) in LIVE.items() if VERSION >= since]
    tests += [('errors', check_errors, ()), ('texts', check_texts, ())]
    passed = failed = 0
    for name, function, arguments in tests:
        if parts and not any(part in name for part in parts):
            continue
        try:
            function(*arguments)
            passed += 1
        except lab.Failure as failure:
            failed += 1
            print('FAILED %s: %s' % (name, '\n'.join(str(failure).split('\n')[:40])))
    print('%d passed, %d failed' % (passed, failed))
    sys.exit(failed > 0 or not passed)


if __name__ == '__main__':
    main()
