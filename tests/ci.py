#!/usr/bin/env python3
"""The recipes of doc/ci.md as they stand there, with a real HAProxy: a service that is well passes, faults are named.

    tests/ci.py                         the binary is $HASPAN, or build/haspan
    tests/ci.py --record                write samples/ci anew, from a real HAProxy

The files that the document shows are those of tests/ci. Its steps are run one after the other by the shell that the CI
system takes; only the ports are others, and `./start-app` and `./run-tests` are this script's.
"""
import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import xml.etree.ElementTree

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(ROOT, 'tests'))
import packages                                                         # noqa: E402

packages.need('check_jsonschema', 'check-jsonschema==0.39.0')
import ruamel.yaml                                                      # noqa: E402
from lab import ENV, HASPAN, Failure, Origin, expect                    # noqa: E402
from ports import free_port                                             # noqa: E402

CLIENTS = 4
PARENT = '00-4bf92f3577b34da6a3ce929d0e%06x-00f067aa0ba902b7-01'
with open(os.path.join(ROOT, 'doc', 'ci.md'), encoding='utf-8') as document:
    BLOCKS = re.findall(r'^```([a-z]*)\n(.*?)^```$', document.read(), re.M | re.S)
YAML = [ruamel.yaml.YAML(typ='safe').load(text) for kind, text in BLOCKS if kind == 'yaml']


# ---------------------------------------------------------------- the service, and its tests

def paths(kind):
    """What the tests ask for"""
    asked = []
    for i in range(140):
        if i % 7 > 3:
            asked.append('/list/size/2000')
        elif kind in ('failing', 'worse') and i % 20 == 7:
            asked.append('/api/orders/status/500')
        elif kind == 'failing' and i == 50:
            asked.append('/api/orders/cut')
        elif kind in ('slow', 'worse'):
            asked.append('/api/orders/sleep/%d' % (400 if i % 5 == 0 else 40))
        else:
            asked.append('/api/orders/sleep/5')
    return asked


def client(base, kind):
    """./run-tests"""
    port, asked, lock = int(base.rsplit(':', 1)[1]), list(enumerate(paths(kind))), threading.Lock()

    def work():
        connection = http.client.HTTPConnection('127.0.0.1', port, timeout=30)
        while True:
            with lock:
                if not asked:
                    return
                i, path = asked.pop()
            connection.request('GET', path, headers={'traceparent': PARENT % i})
            with contextlib.suppress(http.client.IncompleteRead):
                connection.getresponse().read()

    threads = [threading.Thread(target=work) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


class Job:
    """A folder as a CI system makes it, and its shell"""

    def __init__(self, kind):
        self.kind = kind

    def __enter__(self):
        self.dir, self.origin, self.over = tempfile.mkdtemp(prefix='haspan-ci-'), None, threading.Event()
        self.ports = {'8080': str(free_port()), '9000': str(free_port())}
        os.mkdir(self.path('ci'))
        for name in os.listdir(os.path.join(ROOT, 'tests', 'ci')):
            with open(os.path.join(ROOT, 'tests', 'ci', name), encoding='utf-8') as f:
                self.write(os.path.join('ci', name), self.fill(f.read()))
        self.write('start-app', '#!/bin/sh\n: > started\n')
        self.service = threading.Thread(target=self.serve)
        self.service.start()
        self.write('run-tests', '#!/bin/sh\n[ -e serving ] || : > early\nexec %s %s --client "$1" %s\n' %
                   (sys.executable, os.path.abspath(__file__), self.kind))
        os.symlink(HASPAN, self.path('haspan'))
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError, ValueError), open(self.path('haproxy.pid'), encoding='ascii') as f:
            os.kill(int(f.read()), signal.SIGKILL)
        self.over.set()
        self.service.join()
        if self.origin:
            self.origin.socket.close()
        shutil.rmtree(self.dir, ignore_errors=True)

    def serve(self):
        """What ./start-app starts: it takes a second to begin"""
        while not self.over.wait(0.05):
            if os.path.exists(self.path('started')):
                self.over.wait(1)
                self.write('serving', '')
                self.origin = Origin(int(self.ports['9000']))
                return

    def path(self, name):
        return os.path.join(self.dir, name)

    def fill(self, text):
        return re.sub('8080|9000', lambda port: self.ports[port[0]], text)

    def write(self, name, text):
        with open(self.path(name), 'w', encoding='utf-8') as f:
            f.write(text)
        os.chmod(self.path(name), 0o755)

    def read(self, name):
        with open(self.path(name), encoding='utf-8') as f:
            return f.read()

    def shell(self, script):
        """As both systems do; the exit code, and what was printed"""
        env = dict(ENV, PATH=self.dir + ':' + ENV['PATH'], CI='true')
        with open(self.path('step'), 'w+', encoding='utf-8') as said:
            done = subprocess.run(['bash', '--noprofile', '--norc', '-eo', 'pipefail', '-c', self.fill(script)],
                                  cwd=self.dir, env=env, stdin=subprocess.DEVNULL, stdout=said, stderr=said, timeout=120)
            said.seek(0)
            return done.returncode, said.read()

    def github(self):
        """The steps of the workflow; what the last one printed, and its exit code"""
        for step in YAML[0]['jobs']['integration']['steps']:
            if 'run' not in step or 'apt-get' in step['run']:
                continue
            code, said = self.shell(step['run'])
            expect(code == 0 or step['name'] == 'Check', step['name'], 'exit', code, said)
        return code, said

    def gitlab(self):
        return self.shell('\n'.join(line for line in YAML[1]['integration']['script'] if 'apt-get' not in line))

    def failures(self):
        """Names of the test cases that failed"""
        root = xml.etree.ElementTree.parse(self.path('haspan.xml'))
        return sorted(case.get('name') for case in root.iter('testcase') if case.find('failure') is not None)

    def compare(self, old, new, *options):
        """Names of what --baseline says of two logs, and all results"""
        done = subprocess.run([HASPAN, 'check', '--baseline', old, '--output', 'json', *options, new], cwd=self.dir,
                              capture_output=True, text=True, env=ENV, timeout=60)
        expect(done.returncode in (0, 1), done.returncode, done.stderr)
        results = [r for r in json.loads(done.stdout)['results'] if r['name'] == 'baseline']
        failed = [r['group'] for r in results if r['verdict'] == 'failed']
        expect((done.returncode == 0) == (not failed), done.returncode, failed)
        return failed, results


# ---------------------------------------------------------------- tests

def documents_show_the_files():
    texts = [text for _, text in BLOCKS]
    for name in 'haproxy.cfg', 'app.rules':
        with open(os.path.join(ROOT, 'tests', 'ci', name), encoding='utf-8') as f:
            expect(f.read() in texts, 'doc/ci.md does not show tests/ci/' + name)


def recipes_are_valid_by_the_schemas_of_their_systems():
    job = {'runs-on': 'ubuntu-24.04', 'steps': YAML[2]}
    for schema, what in (('github-workflows', YAML[0]), ('gitlab-ci', YAML[1]),
                         ('github-workflows', {'on': 'push', 'jobs': {'a': job}})):
        with tempfile.NamedTemporaryFile('w', suffix='.json') as file:
            json.dump({str(k) if k is not True else 'on': v for k, v in what.items()}, file)
            file.flush()
            done = subprocess.run([sys.executable, '-m', 'check_jsonschema', '--builtin-schema', 'vendor.' + schema,
                                   file.name], capture_output=True, text=True)
        expect(done.returncode == 0, schema, done.stdout, done.stderr)


def a_service_that_is_well_passes(job):
    code, said = job.github()
    expect(code == 0 and job.failures() == [], said, job.read('haspan.txt'))
    expect('::notice title=haspan check::passed: ' in said and '::error' not in said, said)
    expect(json.loads(job.read('haspan.sarif'))['runs'][0]['results'] == [], 'sarif')


def the_tests_wait_for_the_service(job):
    expect(not os.path.exists(job.path('early')), 'the tests began before the service')
    expect(re.search('(?m)^ok +no retries ', job.read('haspan.txt')), job.read('haspan.txt'))


def no_difference_is_found_where_there_is_none(job):
    compare = [step['run'] for step in YAML[2] if 'run' in step][0]
    expect(job.shell(compare) == (0, ''), 'without a baseline')
    lines = job.read('haproxy.log').splitlines(True)
    for part in 0, 1:                   # of one run: two captures between which there is none
        job.write('half%d' % part, ''.join(lines[part::2]))
    failed, results = job.compare('half0', 'half1')
    expect(failed == [] and len(results) > 6, failed, results)


def a_slow_service_fails_by_its_rule(job):
    code, said = job.github()
    expect(code == 1 and job.failures() == ['api is quick'], code, job.failures(), job.read('haspan.txt'))
    expect('::error file=ci/app.rules,line=6,title=api is quick::p90(Tr) is ' in said, said)
    expect('haproxy.response' in said.split('title=api is quick', 1)[1].split('\n', 1)[0], 'the tree', said)
    results = json.loads(job.read('haspan.sarif'))['runs'][0]['results']
    expect([r['ruleId'] for r in results] == ['api is quick'], results)


def a_baseline_says_what_became_slower(job):
    compare = [step['run'] for step in YAML[2] if 'run' in step][0]
    shutil.copy(os.path.join(ROOT, 'samples', 'ci', 'good.log'), job.path('baseline.log'))
    failed, results = job.compare('baseline.log', 'haproxy.log')
    expect('api, response' in failed and 'api, failures' not in failed, failed, results)
    code, said = job.shell(compare)
    expect(code == 1 and 'title=baseline%3A api%2C response::backend api: response is ' in said, code, said)


def a_failing_service_fails_by_its_rules(job):
    code, said = job.github()
    expect(code == 1 and job.failures() == ['no errors', 'nothing failed'], code, job.failures())
    expect('::error file=ci/app.rules,line=4,title=no errors::' in said, said)
    expect('server closed before the end of the response' in job.read('haspan.txt'), job.read('haspan.txt'))


def the_same_with_gitlab(job):
    code, said = job.gitlab()
    expect(code == 1 and 'FAILED   no errors' in said and 'no errors' in job.failures(), said)


# A job, and what is looked at in it, one after the other
JOBS = (
    ('well', (a_service_that_is_well_passes, the_tests_wait_for_the_service,
              no_difference_is_found_where_there_is_none)),
    ('slow', (a_slow_service_fails_by_its_rule, a_baseline_says_what_became_slower)),
    ('failing', (a_failing_service_fails_by_its_rules,)),
    ('failing', (the_same_with_gitlab,)),
)


def held(test, *what):
    """False where it did: how many have failed is their sum"""
    try:
        test(*what)
    except Failure as failure:
        print('FAILED %s: %s' % (test.__name__, str(failure)[:3000]))
        return True
    print('   ' + test.__name__.replace('_', ' '))
    return False


def record():
    folder = os.path.join(ROOT, 'samples', 'ci')
    os.makedirs(folder, exist_ok=True)
    for name, kind in ('good', 'well'), ('slow', 'worse'):
        with Job(kind) as job:
            job.github()
            text = re.sub(r'127\.0\.0\.1:', '192.0.2.10:', job.read('haproxy.log'))
        with open(os.path.join(folder, name + '.log'), 'w', encoding='utf-8') as f:
            f.write(''.join(line for line in text.splitlines(True) if 'HTTP/1.1' in line))


def main():
    if sys.argv[1:2] == ['--client']:
        return client(*sys.argv[2:])
    if sys.argv[1:] == ['--record']:
        return record()
    failed = [held(test) for test in (documents_show_the_files, recipes_are_valid_by_the_schemas_of_their_systems)]
    for kind, tests in JOBS:
        with Job(kind) as job:
            failed += [held(test, job) for test in tests]
    print('%d passed, %d failed' % (len(failed) - sum(failed), sum(failed)))
    return any(failed)


if __name__ == '__main__':
    sys.exit(main())
