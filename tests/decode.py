#!/usr/bin/env python3
"""What haspan exports, decoded by OpenTelemetry's own generated code (PyPI: opentelemetry-proto).

    tests/decode.py [CASE]...           CASE: a part of the name of a folder in samples/

Each log is exported by OTLP/HTTP to a server in this script and to a file as JSON lines, in one run. Both are
decoded and must hold the same spans, all fields equal, nothing unknown in them, and be valid as the OTLP
specification wants it. The same with JSON by HTTP, and compressed.

The binary is $HASPAN, or build/haspan. The decoder lives in $HASPAN_CACHE/venv (made when it is not there;
HASPAN_CACHE is ~/.cache/haspan unless said). Without build/gen_lines the long generated log is left out.
"""
import base64
import collections
import glob
import gzip
import http.server
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
import threading

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(ROOT, 'tests'))
import packages                                                         # noqa: E402

packages.need('opentelemetry.proto.collector.trace.v1.trace_service_pb2', 'opentelemetry-proto==1.38.0')
from google.protobuf import json_format                                 # noqa: E402
from google.protobuf.unknown_fields import UnknownFieldSet              # noqa: E402
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (  # noqa: E402
    ExportTraceServiceRequest, ExportTraceServiceResponse)
from opentelemetry.proto.trace.v1.trace_pb2 import Span, TracesData     # noqa: E402


class Failure(Exception):
    pass


# ---------------------------------------------------------------- the collector

class Collector(http.server.ThreadingHTTPServer):
    """Takes what comes and keeps it"""
    daemon_threads = True

    def __init__(self):
        super().__init__(('127.0.0.1', 0), Handler)
        self.requests, self.lock = [], threading.Lock()
        self.url = 'http://127.0.0.1:%d' % self.server_address[1]
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def take(self):
        with self.lock:
            taken, self.requests = self.requests, []
        return taken


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    disable_nagle_algorithm = True

    def do_POST(self):
        body = self.rfile.read(int(self.headers['Content-Length']))
        kind = self.headers['Content-Type']
        if self.headers.get('Content-Encoding') == 'gzip':
            body = gzip.decompress(body)
        with self.server.lock:
            self.server.requests.append((self.path, kind, self.headers.get('Content-Encoding'), body))
        answer = b'{}' if kind == 'application/json' else ExportTraceServiceResponse().SerializeToString()
        self.send_response(200)
        self.send_header('Content-Type', kind)
        self.send_header('Content-Length', str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *args):
        pass


# ---------------------------------------------------------------- decoding

IDS = {'traceId': 16, 'spanId': 8, 'parentSpanId': 8}


def from_hex(value):
    """OTLP's JSON has ids in hex where protobuf's JSON has base64; and what only OTLP asks for is looked at"""
    if isinstance(value, list):
        return [from_hex(v) for v in value]
    if not isinstance(value, dict):
        return value
    for key in value:
        if key in IDS and not re.fullmatch('[0-9a-f]{%d}' % (2 * IDS[key]), value[key]):
            raise Failure('%s is %r' % (key, value[key]))
        if key in ('kind', 'code', 'flags') and not isinstance(value[key], int):
            raise Failure('%s is %r: expected a number' % (key, value[key]))
        if key in ('startTimeUnixNano', 'endTimeUnixNano', 'timeUnixNano', 'intValue') and not isinstance(value[key], str):
            raise Failure('%s is %r: expected a string' % (key, value[key]))
    return {k: base64.b64encode(bytes.fromhex(v)).decode() if k in IDS else from_hex(v) for k, v in value.items()}


def no_duplicates(pairs):
    keys = [k for k, _ in pairs]
    if len(set(keys)) != len(keys):
        raise Failure('an object with the same key twice: %s' % keys)
    return dict(pairs)


def parse_json(text, into):
    return json_format.ParseDict(from_hex(json.loads(text, object_pairs_hook=no_duplicates)), into)


def parse_file(path):
    with open(path, 'rb') as f:
        data = f.read()
    if data and not data.endswith(b'\n'):
        raise Failure('the last JSON line has no end')
    return [parse_json(line, TracesData()) for line in data.decode('utf-8').split('\n')[:-1]]


def parse_request(request):
    path, kind, _, body = request
    if path != '/v1/traces':
        raise Failure('POST %s' % path)
    if kind == 'application/json':
        return parse_json(body.decode('utf-8'), ExportTraceServiceRequest())
    if kind != 'application/x-protobuf':
        raise Failure('Content-Type: %s' % kind)
    message = ExportTraceServiceRequest()
    if message.ParseFromString(body) != len(body):
        raise Failure('bytes behind the message')
    nothing_unknown(message)
    return message


def nothing_unknown(message):
    if len(UnknownFieldSet(message)):
        raise Failure('unknown fields in %s' % message.DESCRIPTOR.name)
    for field, value in message.ListFields():
        if field.type == field.TYPE_MESSAGE:
            for part in value if field.is_repeated else [value]:
                nothing_unknown(part)


def check_attributes(attributes, where):
    keys = [a.key for a in attributes]
    if len(set(keys)) != len(keys) or '' in keys:
        raise Failure('%s: attributes with no name, or twice: %s' % (where, sorted(keys)))
    for a in attributes:
        if a.value.WhichOneof('value') is None:
            raise Failure('%s: %s has no value' % (where, a.key))


def check_span(span):
    where = '%s %s' % (span.name, span.span_id.hex())
    if len(span.trace_id) != 16 or not any(span.trace_id) or len(span.span_id) != 8 or not any(span.span_id) \
            or len(span.parent_span_id) not in (0, 8):
        raise Failure('%s: ids' % where)
    if not span.name or span.kind not in (Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CLIENT, Span.SPAN_KIND_INTERNAL):
        raise Failure('%s: name or kind' % where)
    if not 0 < span.end_time_unix_nano - span.start_time_unix_nano + 1 or span.flags & ~0x3ff:
        raise Failure('%s: times or flags' % where)
    if span.flags & 0x200 and not span.flags & 0x100:
        raise Failure('%s: remote, but not said to be known' % where)
    check_attributes(span.attributes, where)
    for event in span.events:
        if not event.name or not span.start_time_unix_nano <= event.time_unix_nano <= span.end_time_unix_nano:
            raise Failure('%s: event %s: name or time' % (where, event.name))
        check_attributes(event.attributes, where + ' ' + event.name)


def spans_of(messages):
    """Everything about each span, as bytes that compare: [(key, resource and scope, span)]"""
    found = []
    for message in messages:
        if not message.resource_spans:
            raise Failure('an empty message')
        for resource in message.resource_spans:
            check_attributes(resource.resource.attributes, 'resource')
            for scope in resource.scope_spans:
                if not scope.spans:
                    raise Failure('a scope without spans')
                around = (resource.resource.SerializeToString(deterministic=True), resource.schema_url,
                          scope.scope.SerializeToString(deterministic=True), scope.schema_url)
                for span in scope.spans:
                    check_span(span)
                    found.append((span.SerializeToString(deterministic=True), around, span))
    return found


def differences(one, other):
    """Fields of the first span that is on one side only"""
    there = {(s.trace_id, s.span_id): s for _, _, s in other}
    left = collections.Counter((b, a) for b, a, _ in other)
    for raw, around, span in one:
        if left[raw, around]:
            left[raw, around] -= 1
            continue
        twin = there.get((span.trace_id, span.span_id))
        if twin is None:
            return 'no such span on the other side: %s %s' % (span.name, span.span_id.hex())
        for field in span.DESCRIPTOR.fields:
            a, b = getattr(span, field.name), getattr(twin, field.name)
            if a != b and field.is_repeated:
                a, b = next((x, y) for x, y in itertools.zip_longest(a, b) if x != y)
            if a != b:
                return '%s %s: %s\n  %s\n  %s' % (span.name, span.span_id.hex(), field.name, a, b)
        return '%s %s: resource or scope' % (span.name, span.span_id.hex())
    return None


# ---------------------------------------------------------------- the cases

def haspan(words, variables=()):
    env = {'PATH': os.environ['PATH'], 'TZ': 'UTC', **dict(v.split('=', 1) for v in variables)}
    done = subprocess.run([os.environ.get('HASPAN') or 'build/haspan', *words], env=env, cwd=ROOT,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300)
    if done.returncode:
        raise Failure('exit code %d: %s' % (done.returncode, done.stderr.decode(errors='replace')))
    return done.stderr.decode()


def lines_of(path):
    if not os.path.exists(path):
        return []
    with open(path, encoding='utf-8') as f:
        return f.read().splitlines()


def compare(collector, log, words=(), variables=(), to='', more=()):
    """Export `log` both ways in one run; returns (requests, spans)"""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'spans.jsonl')
        said = haspan([*words, *more, '--to', collector.url + to, '--to', 'file:' + path, log], variables)
        requests = collector.take()
        by_http = spans_of(map(parse_request, requests))
        by_file = spans_of(parse_file(path))
    wrong = differences(by_http, by_file) or differences(by_file, by_http)
    if wrong:
        raise Failure(wrong)
    for exported in re.findall(r'^sink=.* exported=(\d+) ', said, re.M):
        if int(exported) != len(by_file):
            raise Failure('%d spans arrived, but the summary says\n%s' % (len(by_file), said))
    return requests, by_file


def cases(collector, generated):
    for log in sorted(glob.glob(os.path.join(ROOT, 'samples', '*', '*', 'input.log'))):
        folder = os.path.dirname(log)
        yield os.path.relpath(folder, ROOT), lambda log=log, folder=folder: compare(
            collector, log, lines_of(folder + '/args'), lines_of(folder + '/env'))
    for log in sorted(glob.glob(os.path.join(ROOT, 'samples', 'haproxy-3.2', '*.log'))):
        yield os.path.relpath(log, ROOT), lambda log=log: compare(collector, log)
    def large(lines, to='', more=(), kind='application/x-protobuf', encoding=None):
        requests, spans = compare(collector, generated(lines), to=to, more=more)
        if {r[1:3] for r in requests} != {(kind, encoding)} or len(requests) < 2 or len(spans) < 3 * lines:
            raise Failure('%d requests, %d spans, %s' % (len(requests), len(spans), requests[:1]))
    if generated(1):
        yield '20000 generated lines', lambda: large(20000)
        yield 'generated lines, gzip', lambda: large(3000, more=['--compression', 'gzip'], encoding='gzip')
        yield 'generated lines, JSON', lambda: large(3000, to='?protocol=http/json', kind='application/json')


def generate(folder, lines):
    """A log of so many lines in all of HAProxy's formats, or None"""
    beside = os.path.join(os.path.dirname(os.environ.get('HASPAN') or 'build/haspan'), 'gen_lines')
    program = next((p for p in (os.path.join(ROOT, 'build', 'gen_lines'), beside) if os.path.exists(p)), None)
    if not program:
        return None
    path = os.path.join(folder, 'generated.log')
    with open(path, 'wb') as f:
        subprocess.run([program, '-n', str(lines), '-s', '7', '-f', 'mixed', '-e', 'rfc5424'], stdout=f, check=True)
    return path


def main():
    os.chdir(ROOT)
    collector = Collector()
    passed = failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, run in cases(collector, lambda lines: generate(folder, lines)):
            if sys.argv[1:] and not any(part in name for part in sys.argv[1:]):
                continue
            try:
                run()
                passed += 1
            except (Failure, ValueError, json_format.Error, subprocess.SubprocessError) as e:
                failed += 1
                print('FAILED %s\n%s' % (name, e))
    print('%d passed, %d failed' % (passed, failed))
    return failed > 0 or passed == 0


if __name__ == '__main__':
    sys.exit(main())
