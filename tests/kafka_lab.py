"""A real Apache Kafka for tests: one broker or three (KRaft, no ZooKeeper), on the loopback interface.

    with Kafka(brokers=1) as kafka:             security: 'plain' 'scram' 'tls' 'mtls' add listeners
        kafka.create('logs', partitions=4)
        kafka.produce('logs', lines)
        kafka.bootstrap                         HOST:PORT,… of the open listener
        kafka.listener['sasl']                  and of the others

    kafka_lab.py [VERSION]                      starts one, prints its address, and waits for Ctrl-C

Kafka comes from Maven, once, into ${HASPAN_CACHE:-~/.cache/haspan}/kafka-VERSION; remove that to get it anew.
"""
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import zipfile

from lab import ENV, HOST, ROOT, Failure, expect, free_port

CACHE = os.path.join(os.environ.get('HASPAN_CACHE') or
                     os.path.join(os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache'), 'haspan'))
VERSION = '4.3.1'
SCRAM_VERSION = '3.9.2'         # librdkafka before 2.6.1 can't do SCRAM with Kafka 4 (#4895)
NEWER = '2.16.1'                # of librdkafka, and of the wheel that has it
TOOL = os.path.join(ROOT, 'build', 'kafka_tool')
USERS = {'admin': 'admin-secret', 'bob': 'bob&secret', 'eve': 'eve-secret'}

POM = '''<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>haspan</groupId><artifactId>kafka</artifactId><version>1</version><dependencies>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>%s</version></dependency>
<dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
</dependencies></project>
'''

PROPERTIES = '''process.roles=broker,controller
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
num.partitions=4
offsets.topic.num.partitions=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=6000
controller.quorum.fetch.timeout.ms=3000
controller.quorum.election.timeout.ms=1500
log.flush.interval.messages=9223372036854775807
message.max.bytes=2000000
'''


def libs(version):
    """The folder with Kafka's jars"""
    folder = os.path.join(CACHE, 'kafka-' + version)
    jars = os.path.join(folder, 'libs')
    if os.path.exists(os.path.join(folder, 'done')):
        return jars
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, 'pom.xml'), 'w', encoding='utf-8') as f:
        f.write(POM % version)
    got = subprocess.run(['mvn', '-B', '-ntp', '-q', '-f', os.path.join(folder, 'pom.xml'), 'dependency:copy-dependencies',
                          '-DincludeScope=runtime', '-DoutputDirectory=' + jars], capture_output=True, text=True,
                         timeout=600, check=False)
    expect(got.returncode == 0, 'no Kafka to be had from Maven:', (got.stdout + got.stderr)[-2000:])
    with open(os.path.join(folder, 'done'), 'w', encoding='utf-8'):
        pass
    return jars


def newer_library():
    """A folder with a newer librdkafka.so.1: the one inside PyPI's confluent-kafka, fetched once"""
    folder = os.path.join(CACHE, 'librdkafka-' + NEWER)
    if not os.path.exists(os.path.join(folder, 'librdkafka.so.1')):
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as t:
            got = subprocess.run([sys.executable, '-m', 'pip', 'download', '-q', '--disable-pip-version-check', '--no-deps',
                                  '--only-binary', ':all:', '-d', t, 'confluent-kafka==' + NEWER], capture_output=True, text=True,
                                 timeout=600, check=False)
            expect(got.returncode == 0, 'no librdkafka', NEWER, 'to be had:', (got.stdout + got.stderr)[-2000:])
            with zipfile.ZipFile(os.path.join(t, os.listdir(t)[0])) as wheel:
                name = next(n for n in wheel.namelist() if re.search(r'\.libs/librdkafka-\w+\.so\.1$', n))
                os.rename(wheel.extract(name, t), os.path.join(folder, 'librdkafka.so.1'))
    return folder


def free_ports(n):
    return [free_port() for _ in range(n)]


class Kafka:
    def __init__(self, brokers=1, version=VERSION, security=(), acl=False, settings=''):
        self.n, self.jars, self.security, self.acl, self.settings = brokers, libs(version), tuple(security), acl, settings
        self.scram = 'scram' in security
        self.process = {}

    # ---- settings

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def listeners(self):
        """Name: protocol of each"""
        found = {'PLAINTEXT': 'PLAINTEXT', 'CONTROLLER': 'PLAINTEXT'}
        for word, name, protocol in (('plain', 'SASL', 'SASL_PLAINTEXT'), ('scram', 'SASL', 'SASL_PLAINTEXT'),
                                     ('tls', 'TLS', 'SSL'), ('mtls', 'MTLS', 'SSL')):
            if word in self.security:
                found[name] = protocol
        return found

    def write_settings(self, i):
        ports, names = self.ports[i], self.listeners()
        address = {name: '%s://%s:%d' % (name, HOST, ports[name]) for name in names}
        text = PROPERTIES + self.settings + '\n'
        text += 'node.id=%d\nlog.dirs=%s\n' % (i, self.path('data%d' % i))
        text += 'controller.quorum.voters=%s\n' % ','.join('%d@%s:%d' % (k, HOST, self.ports[k]['CONTROLLER'])
                                                            for k in self.ports)
        text += 'listeners=%s\n' % ','.join(address.values())
        text += 'advertised.listeners=%s\n' % ','.join(a for name, a in address.items() if name != 'CONTROLLER')
        text += 'listener.security.protocol.map=%s\n' % ','.join('%s:%s' % pair for pair in names.items())
        copies = 3 if self.n >= 3 else 1
        for name in ('offsets.topic', 'transaction.state.log', 'share.coordinator.state.topic'):
            text += '%s.replication.factor=%d\n' % (name, copies)
        text += 'default.replication.factor=%d\nmin.insync.replicas=%d\n' % (copies, 2 if copies > 1 else 1)
        text += 'transaction.state.log.min.isr=1\nshare.coordinator.state.topic.min.isr=1\n'
        text += self.secure()
        with open(self.path('%d.properties' % i), 'w', encoding='utf-8') as f:
            f.write(text)

    def secure(self):
        text = ''
        if 'SASL' in self.listeners():
            mechanism = 'SCRAM-SHA-256' if self.scram else 'PLAIN'
            module = 'scram.ScramLoginModule' if self.scram else 'plain.PlainLoginModule'
            users = '' if self.scram else ' '.join('user_%s="%s"' % pair for pair in USERS.items())
            text += 'sasl.enabled.mechanisms=%s\n' % mechanism
            text += ('listener.name.sasl.%s.sasl.jaas.config=org.apache.kafka.common.security.%s required %s;\n'
                     % (mechanism.lower(), module, users))
        if 'tls' in self.security or 'mtls' in self.security:
            self.certificates()
            for name in ('tls', 'mtls'):
                text += 'listener.name.%s.ssl.keystore.type=PEM\nlistener.name.%s.ssl.keystore.location=%s\n' % (
                    name, name, self.path('server.pem'))
                text += 'listener.name.%s.ssl.truststore.type=PEM\nlistener.name.%s.ssl.truststore.location=%s\n' % (
                    name, name, self.path('ca.crt'))
            text += 'listener.name.mtls.ssl.client.auth=required\n'
        if self.acl:
            text += 'authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n'
            text += 'super.users=User:admin;User:ANONYMOUS\n'
        return text

    def certificates(self):
        """A CA, a server's for 127.0.0.1 and a client's; PEM"""
        def openssl(*words):
            subprocess.run(['openssl', *words], check=True, capture_output=True, cwd=self.dir)
        openssl('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=lab CA', '-keyout', 'ca.key',
                '-out', 'ca.crt')
        for name, extra in (('server', 'subjectAltName=IP:127.0.0.1,DNS:localhost'), ('client', 'extendedKeyUsage=clientAuth')):
            with open(self.path('ext'), 'w', encoding='utf-8') as f:
                f.write(extra + '\n')
            openssl('req', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=' + name, '-keyout', name + '.key', '-out', name + '.csr')
            openssl('x509', '-req', '-in', name + '.csr', '-CA', 'ca.crt', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2',
                    '-extfile', 'ext', '-out', name + '.crt')
        with open(self.path('server.pem'), 'w', encoding='utf-8') as f:
            for name in ('server.key', 'server.crt', 'ca.crt'):
                with open(self.path(name), encoding='utf-8') as part:
                    f.write(part.read())

    # ---- life

    def __enter__(self):
        for last in (False, False, True):       # somebody else may take a port between our look and Kafka's bind
            self.dir = tempfile.mkdtemp(prefix='haspan-kafka-')
            try:
                self.begin()
                return self
            except Failure:
                self.__exit__()
                if last:
                    raise
            except BaseException:
                self.__exit__()
                raise
        return self

    def begin(self):
        names = [n for n in self.listeners()]
        ports = free_ports(self.n * len(names))
        self.ports = {i + 1: {name: ports[i * len(names) + k] for k, name in enumerate(names)} for i in range(self.n)}
        for i in self.ports:
            self.write_settings(i)
        words = ['format', '-t', 'AAAAAAAAQACAAAAAAAAAAQ']
        if self.scram:
            for user, password in USERS.items():
                words += ['--add-scram', 'SCRAM-SHA-256=[name=%s,password=%s]' % (user, password)]
        formats = [self.java('kafka.tools.StorageTool', *words, '-c', self.path('%d.properties' % i),
                             log='format%d' % i) for i in self.ports]
        for i, p in enumerate(formats):
            expect(p.wait(60) == 0, 'format fails:', self.said('format%d' % (i + 1)))
        for i in self.ports:
            self.start(i)
        self.bootstrap = self.at('PLAINTEXT')
        self.listener = {name.lower(): self.at(name) for name in self.listeners()}
        self.ready()

    def at(self, name):
        return ','.join('%s:%d' % (HOST, p[name]) for p in self.ports.values())

    def java(self, main, *words, log):
        with open(self.path(log + '.log'), 'ab') as out:
            return subprocess.Popen(['java', '-Xms64m', '-Xmx384m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-cp',
                                     self.jars + '/*', main, *words], stdout=out, stderr=out, stdin=subprocess.DEVNULL,
                                    cwd=self.dir, env=dict(ENV, HOME=self.dir))

    def said(self, log):
        with contextlib.suppress(OSError), open(self.path(log + '.log'), encoding='utf-8', errors='replace') as f:
            return f.read()
        return ''

    def start(self, i):
        self.started = getattr(self, 'started', {})
        self.started[i] = self.said('broker%d' % i).count('Kafka Server started')
        self.process[i] = self.java('kafka.Kafka', self.path('%d.properties' % i), log='broker%d' % i)

    def ready(self, timeout=150):
        """Every broker that runs has said so, and knows the others"""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            for i, p in self.process.items():
                expect(p.poll() is None, 'broker', i, 'ended:', self.complaints(i))
            if all(self.said('broker%d' % i).count('Kafka Server started') > self.started[i] for i in self.process):
                got = subprocess.run(['kcat', '-b', self.bootstrap, '-L', '-m', '3'], capture_output=True, text=True, env=ENV,
                                     check=False)
                if ' %d brokers:' % len(self.process) in got.stdout:
                    return
            time.sleep(0.1)
        raise Failure('Kafka is not ready: ' + ' | '.join(self.complaints(i) for i in self.process))

    def complaints(self, i):
        said = self.said('broker%d' % i).splitlines()
        return '\n'.join([line for line in said if re.search(r'ERROR|FATAL|Exception', line)][-8:] or said[-3:])

    def kill(self, i):
        p = self.process.pop(i, None)
        if p:
            p.kill()
            p.wait()

    def pause(self, i, on=True):
        self.process[i].send_signal(signal.SIGSTOP if on else signal.SIGCONT)

    def __exit__(self, *_):
        for i in list(self.process):
            self.kill(i)
        shutil.rmtree(self.dir, ignore_errors=True)

    # ---- use

    def tool(self, *words, ok=True):
        got = subprocess.run([TOOL, self.bootstrap, *map(str, words)], capture_output=True, text=True, timeout=60, env=ENV,
                             check=False)
        expect(got.returncode == 0 or not ok, 'kafka_tool', words, got.stderr)
        return got.stdout

    def create(self, topic, partitions=4, replication=None):
        self.tool('create', topic, partitions, replication or (3 if self.n >= 3 else 1))
        end = time.monotonic() + 20
        while time.monotonic() < end:           # the leaders are elected a moment later
            if len(self.numbers('leaders', topic)) == partitions:
                return
            time.sleep(0.05)
        raise Failure('no leaders for ' + topic)

    def numbers(self, *words):
        """The lines that the tool prints, as {first: the others}"""
        found = {}
        for line in self.tool(*words, ok=words[0] not in ('leaders', 'ends')).splitlines():
            first, *rest = map(int, line.split())
            found[first] = rest[0] if len(rest) == 1 else tuple(rest)
        return found

    def produce(self, topic, lines, *options):
        """Each of `lines` (bytes) as a message, spread over the partitions"""
        with tempfile.NamedTemporaryFile(dir=self.dir) as f:
            f.write(b''.join(line + b'\n' for line in lines))
            f.flush()
            got = subprocess.run(['kcat', '-P', '-b', self.bootstrap, '-t', topic, '-X', 'linger.ms=5', *options, '-l', f.name],
                                 capture_output=True, text=True, timeout=120, env=ENV, check=False)
        expect(got.returncode == 0, 'kcat:', got.stderr)

    def message(self, topic, body, *options):
        """One message of any bytes"""
        with tempfile.NamedTemporaryFile(dir=self.dir) as f:
            f.write(body)
            f.flush()
            got = subprocess.run(['kcat', '-P', '-b', self.bootstrap, '-t', topic, '-X', 'message.max.bytes=2000000', *options,
                                  f.name], capture_output=True, text=True, timeout=60, env=ENV, check=False)
        expect(got.returncode == 0, 'kcat:', got.stderr)


def main():
    with Kafka(version=sys.argv[1] if len(sys.argv) > 1 else VERSION) as kafka:
        print(kafka.bootstrap, flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()


if __name__ == '__main__':
    main()
