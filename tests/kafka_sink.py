#!/usr/bin/env python3
"""The Kafka sink (doc/kafka-sink.md) against a real Apache Kafka, and Jaeger 2 that reads its topic.

    tests/kafka_sink.py [CASE]...       CASE: a part of a test's name

What the topic holds is decoded by OpenTelemetry's own generated code (tests/decode.py keeps it in a virtual environment)
and must be what the file sink of the same run wrote. The binary is $HASPAN, or build/haspan.
"""
import base64
import collections
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import traceback

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from jaeger_lab import Jaeger                                           # noqa: E402
from kafka_lab import SCRAM_VERSION, USERS, Kafka                       # noqa: E402,F401
from lab import ENV, HASPAN, ROOT, Failure, expect                      # noqa: E402
from replay import BASE, captures, line, write                          # noqa: E402
import jaeger as jaeger_test                                            # noqa: E402

SAMPLE = os.path.join(ROOT, 'samples', 'haproxy-3.2')
CFG = ['--haproxy-cfg', SAMPLE + '/haproxy.cfg']
CACHE = os.environ.get('HASPAN_CACHE') or os.path.join(
    os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache'), 'haspan')
TESTS = []

# Messages in base64, one a line, to OTLP JSON lines
DECODE = '''
import base64, json, sys
from google.protobuf import json_format
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData
for text in sys.stdin:
    data = TracesData()
    data.ParseFromString(base64.b64decode(text))
    print(json.dumps(json_format.MessageToDict(data, use_integers_for_enums=True)))
'''


def test(function):
    TESTS.append(function)
    return function


def haspan(*words, code=0, stdin=None, timeout=120):
    """stderr"""
    done = subprocess.run([HASPAN, *words], env=ENV, cwd=ROOT, timeout=timeout, capture_output=True, input=stdin)
    said = done.stderr.decode('utf-8', 'replace')
    expect(done.returncode == code, 'exit', done.returncode, 'expected', code, said)
    return said


def messages(kafka, topic):
    """[(partition, key, bytes)] of all that a topic holds"""
    out = subprocess.run(['kcat', '-C', '-b', kafka.bootstrap, '-t', topic, '-e', '-q', '-f', '%p %k %S %s'], env=ENV,
                         capture_output=True, timeout=120, check=True).stdout
    found, at = [], 0
    while at < len(out):
        head = re.compile(rb'(\d+) (\S*) (\d+) ').match(out, at)
        end = head.end() + int(head[3])
        found.append((int(head[1]), head[2].decode(), out[head.end():end]))
        at = end
    return found


def forms(texts):
    """Counter of the spans of OTLP JSON documents, each in one form"""
    found = collections.Counter()
    for text in texts:
        for r in json.loads(text)['resourceSpans']:
            for scope in r['scopeSpans']:
                for s in scope['spans']:
                    found[jaeger_test.form(r['resource'], s)] += 1
    return found


def file_forms(path):
    with open(path, encoding='utf-8') as f:
        return forms(f)


def decoded(bodies):
    """Protobuf to OTLP JSON texts: ids are hex there, base64 in protobuf's JSON"""
    python = os.path.join(CACHE, 'venv', 'bin', 'python3')
    text = b''.join(base64.b64encode(b) + b'\n' for b in bodies)
    done = subprocess.run([python, '-c', DECODE], input=text, capture_output=True, timeout=120)
    expect(done.returncode == 0, done.stderr.decode())
    return [re.sub(r'"(traceId|spanId|parentSpanId)": "([^"]*)"',
                   lambda m: '"%s": "%s"' % (m[1], base64.b64decode(m[2]).hex()), x) for x in done.stdout.decode().splitlines()]


def sink(kafka, topic, *more):
    return 'kafka://%s/%s?%s' % (kafka.bootstrap, topic, '&'.join(more))


# ----------------------------------------------------------------

@test
def spans_of_all_samples_one_trace_a_message(folder, kafka):
    kafka.create('proto', 3)
    kafka.create('json', 3)
    wanted = collections.Counter()
    copy = os.path.join(folder, 'copy')
    for _, words in captures():
        said = haspan(*words, '--to', 'file:' + copy, '--to', sink(kafka, 'proto'),
                      '--to', sink(kafka, 'json', 'encoding=otlp_json'))
        wanted += file_forms(copy)
        expect(said.count(' refused=0 dropped=0 held=0') == 3, said)
    for topic in 'proto', 'json':
        got = messages(kafka, topic)
        texts = decoded([m[2] for m in got]) if topic == 'proto' else [m[2].decode() for m in got]
        expect(forms(texts) == wanted, topic, 'holds other spans', len(wanted), len(got))
        for (_, key, _), text in zip(got, texts):
            spans = [s for r in json.loads(text)['resourceSpans'] for scope in r['scopeSpans'] for s in scope['spans']]
            expect({s['traceId'] for s in spans} == {key}, 'key', key, 'of', text[:300])
            expect(sum(s['kind'] == 2 for s in spans) == 1, 'more than a request in a message')
        places = collections.defaultdict(set)
        for partition, key, _ in got:
            places[key].add(partition)
        expect(len(places) > 300 and all(len(p) == 1 for p in places.values()), 'a trace is in two partitions')
        expect({p for s in places.values() for p in s} == {0, 1, 2}, 'not all partitions are used')


@test
def jaeger_reads_the_topic(folder, kafka):
    """Jaeger 2's own Kafka receiver"""
    kafka.create('spans', 2)
    copy = os.path.join(folder, 'copy')
    haspan(*CFG, SAMPLE + '/raw.log', '--to', 'file:' + copy, '--to', sink(kafka, 'spans'))
    wanted = jaeger_test.sent(copy)
    with Jaeger(folder, kafka=(kafka.bootstrap, 'spans', 'otlp_proto')) as jaeger:
        until = time.monotonic() + 60
        while True:
            try:
                spans = jaeger_test.same(jaeger, wanted)
                break
            except Failure:
                if time.monotonic() > until:
                    raise
                time.sleep(0.3)
    expect(spans > 300, 'only', spans)


@test
def lines_of_one_request_meet(folder, kafka):
    """raw: steps and hops of a request have one key, and another haspan makes the same spans of the topic"""
    for name in 'steps', 'raw', 'rfc5424':
        kafka.create('lines-' + name, 3)
        direct = os.path.join(folder, 'direct')
        path = os.path.join(SAMPLE, name + '.log')
        said = haspan(*CFG, path, '--to', 'file:' + direct, '--to', sink(kafka, 'lines-' + name, 'encoding=raw'))
        expect(said.count(' refused=0 dropped=0 held=0') == 2, said)
        got = messages(kafka, 'lines-' + name)
        with open(path, 'rb') as f:
            sent = collections.Counter(f.read().splitlines())
        lines = collections.Counter(m[2] for m in got)
        expect(not lines - sent and sum(lines.values()) >= 0.9 * sum(sent.values()), name, 'other lines:', lines - sent)
        ids = collections.defaultdict(set)
        for partition, key, text in got:
            for unique in re.findall(rb'7F000001:\w+_7F000001:\w+_\w+_\w+:\w+', text)[:1]:
                ids[unique].add((partition, key))
        expect(name != 'steps' or len(ids) >= 12, 'unique ids', len(ids))
        expect(name != 'steps' or all(len(v) == 1 for v in ids.values()), 'a request has two keys', ids)
        again = os.path.join(folder, 'again')
        haspan(*CFG, '--from', sink(kafka, 'lines-' + name, 'offset=beginning', 'until=end'), '--to', 'file:' + again)
        expect(file_forms(again) == file_forms(direct), name, 'makes other spans behind Kafka')


@test
def a_broker_that_goes_and_comes_back(folder, kafka):
    """Everything is there once: the producer is idempotent"""
    kafka.create('outage', 2)
    data = b''.join(line(BASE + i * 1000, port=1024 + i % 60000) for i in range(3000))
    p = subprocess.Popen([HASPAN, '--to', sink(kafka, 'outage'), '--to', 'file:' + os.path.join(folder, 'copy')], env=ENV,
                         stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    half = data[:len(data) // 2].rindex(b'\n') + 1
    p.stdin.write(data[:half])
    p.stdin.flush()
    until = time.monotonic() + 60
    while not messages(kafka, 'outage') and time.monotonic() < until:
        time.sleep(0.1)
    kafka.kill(1)
    p.stdin.write(data[half:])
    p.stdin.close()
    time.sleep(1)                       # it has nobody to send to; how long does not matter
    expect(p.poll() is None, 'it ended while the broker was away')
    kafka.start(1)
    kafka.ready()
    said = p.stderr.read().decode()
    p.stderr.close()
    expect(p.wait(120) == 0, 'exit', p.returncode, said)
    expect('refused=0 dropped=0 held=0' in said, said)
    got = forms(decoded([m[2] for m in messages(kafka, 'outage')]))
    expect(got == file_forms(os.path.join(folder, 'copy')), 'other spans', sum(got.values()))


@test
def what_is_in_memory_is_bounded(folder, kafka):
    """While the broker is away the input waits at --buffer-max"""
    kafka.create('bound', 1)
    path = write(folder, 'a.log', b''.join(line(BASE + i * 1000, port=1024 + i % 60000) for i in range(40000)))
    kafka.pause(1)
    try:
        p = subprocess.Popen([HASPAN, '--to', sink(kafka, 'bound'), '--buffer-max', '4M', '--threads', '1', path], env=ENV,
                             stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        time.sleep(1)
    finally:
        kafka.pause(1, False)
    most, seen = 0, 0
    until = time.monotonic() + 60
    while p.poll() is None and time.monotonic() < until and seen < 3:
        if not seen:
            kafka.pause(1)              # as soon as the producer has found its broker
        time.sleep(0.7)
        with contextlib.suppress(OSError), open('/proc/%d/status' % p.pid, encoding='utf-8') as f:
            most = max(most, *(int(n) for n in re.findall(r'VmHWM:\s+(\d+)', f.read())))
        seen += 1
    running = p.poll() is None
    p.send_signal(signal.SIGUSR1)
    kafka.pause(1, False)
    said = p.communicate(timeout=120)[1].decode()
    expect(p.returncode == 0, 'exit', p.returncode, said)
    expect(not running or most < 120 * 1024, 'took', most, 'KiB')
    expect('lines=40000 ' in said and 'held=0' in said.splitlines()[-1], said)


@test
def too_large_for_the_broker(folder, kafka):
    """Refused for good and counted, exit 5; the others arrive"""
    kafka.create('large', 1)
    path = write(folder, 'a.log', line(BASE) + line(BASE, path='/' + 'x' * 5000, port=2) + line(BASE, port=3))
    said = haspan(path, '--log-len', '65535', '--to', sink(kafka, 'large', 'message.max.bytes=4000'), code=5)
    summary = {k: int(v) for k, v in re.findall(r'(\w+)=(\d+)', said.splitlines()[-1])}
    expect(summary['refused'] == 4 and summary['exported'] == 8 and summary['held'] == 0, said)
    expect(said.count('refused for good') == 1, said)
    expect(len(messages(kafka, 'large')) == 2, 'messages')


@test
def what_is_wrong_is_said_in_one_line(folder, kafka):
    path = write(folder, 'a.log', line(BASE))
    for uri, code, words in ((sink(kafka, 'a', 'encoding=xml'), 2, 'no such encoding'),
                             (sink(kafka, 'a', 'no.such=1'), 2, 'knows no property no.such'),
                             (sink(kafka, 'a', 'acks=often'), 2, 'does not take this value of acks'),
                             ('kafka://127.0.0.1', 2, ''), ('kafka://127.0.0.1:1/a', 5, 'no broker answers'),
                             (sink(kafka, 'not.there', 'allow.auto.create.topics=false'), 5, 'there is no topic not.there')):
        said = haspan(path, '--to', uri, code=code)
        own = [x for x in said.splitlines() if x.startswith('haspan: ') and 'warning: kafka: ' not in x]
        expect(len(own) == 1 and words in own[0], uri, said)
    haspan('-n', path, '--to', sink(kafka, 'not.there'))
    expect('no such encoding' in haspan('-n', path, '--to', sink(kafka, 'a', 'encoding=xml'), code=2), 'with -n')


@test
def who_may_not(folder, _):
    """A wrong password, and a user that may not write"""
    path = write(folder, 'a.log', line(BASE))
    with Kafka(security=('plain',), acl=True, settings='auto.create.topics.enable=false\n') as kafka:
        kafka.create('mine', 1)
        login = ['security.protocol=SASL_PLAINTEXT', 'sasl.mechanism=PLAIN']
        uri = 'kafka://%s/%%s?%s' % (kafka.listener['sasl'], '&'.join(login))
        secret = write(folder, 'secret', b'wrong\n')
        said = haspan(path, '--to', uri % 'mine' + '&sasl.username=bob&sasl.password.file=' + secret, code=5)
        expect('the broker refuses' in said and 'wrong' not in said, said)
        write(folder, 'secret', USERS['eve'].encode() + b'\n')
        said = haspan(path, '--to', uri % 'mine' + '&sasl.username=eve&sasl.password.file=' + secret, code=5)
        expect('uthorization' in said or 'no topic' in said, said)
        write(folder, 'secret', USERS['admin'].encode() + b'\n')
        haspan(path, '--to', uri % 'mine' + '&sasl.username=admin&sasl.password.file=' + secret)
        expect(len(messages(kafka, 'mine')) == 1, 'messages')
        expect('there is no topic nope' in haspan(path, '--to', 'kafka://%s/nope' % kafka.bootstrap, code=5), 'topic')


def main():
    passed = failed = 0
    with Kafka(settings='auto.create.topics.enable=false\n') as kafka:
        for function in TESTS:
            name = function.__name__.replace('_', ' ')
            if sys.argv[1:] and not any(part in name for part in sys.argv[1:]):
                continue
            try:
                with tempfile.TemporaryDirectory() as folder:
                    function(folder, kafka)
                passed += 1
            except Exception as e:                  # a test that breaks has failed, and the next one runs
                failed += 1
                print('FAILED %s: %s' % (name, str(e)[:4000]), flush=True)
                if not isinstance(e, Failure):
                    traceback.print_exc(file=sys.stdout)
    print('%d passed, %d failed' % (passed, failed))
    return failed > 0 or passed == 0


if __name__ == '__main__':
    sys.exit(main())
