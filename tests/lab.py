"""What the tests with a real HAProxy share: the process, a server behind it, a receiver of its log, clients.

    with Lab() as lab:
        lab.start(CONFIGURATION)        {name} in it: a free port; {origin}, {log}: the server's and the receiver's
        ...                             traffic to lab.port['name']
        lines = lab.stop()              what HAProxy logged, after all its streams have ended
        lab.origin.rows                 what the server saw

The binary is $HAPROXY, or haproxy. All traffic is on the loopback interface.
"""
import contextlib
import os
import re
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(ROOT, 'tests', 'oracle'))
import compare                                                          # noqa: E402
from ports import free_port                                              # noqa: E402

HAPROXY = os.environ.get('HAPROXY') or 'haproxy'
HASPAN = os.path.abspath(os.path.join(ROOT, os.environ.get('HASPAN') or 'build/haspan'))
ENV = {k: v for k, v in os.environ.items() if k in ('PATH', 'LD_LIBRARY_PATH') or k.endswith('SAN_OPTIONS')}
ENV['TZ'] = 'UTC'
HOST = '127.0.0.1'


class Failure(Exception):
    pass


def expect(right, *what):
    if not right:
        raise Failure(' '.join(map(str, what)))


def version():
    """(2, 6) of the HAProxy under test"""
    said = subprocess.run([HAPROXY, '-v'], capture_output=True, text=True).stdout
    return tuple(int(n) for n in re.search(r'version (\d+)\.(\d+)', said).groups())


def accepts(path):
    """None, or what `haproxy -c` says against the configuration"""
    done = subprocess.run([HAPROXY, '-c', '-f', path], capture_output=True, text=True,
                          cwd=os.path.dirname(os.path.abspath(path)))
    return done.stdout + done.stderr if done.returncode else None


def document(path, kind, nth=0):
    """The nth fenced block of that kind in a document"""
    with open(os.path.join(ROOT, path), encoding='utf-8') as f:
        return re.findall(r'^```%s[^\n]*\n(.*?)^```' % kind, f.read(), re.M | re.S)[nth]


# ---------------------------------------------------------------- the server behind HAProxy

class Origin:
    """An HTTP/1.1 server that does what the path says and remembers what it saw.

    /sleep/MS  /drip/MS (headers at once, the body over that time)  /size/BYTES  /status/CODE
    /close (no answer)  /reset  /cut (half a body)  /garbage  /flaky/NAME (no answer the first time)
    """

    def __init__(self, port=0):
        self.rows, self.lock, self.tried = [], threading.Lock(), set()
        self.socket = socket.create_server((HOST, port), backlog=256)
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self.serve, args=(self.socket.accept()[0],), daemon=True).start()

    def serve(self, connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection, connection.makefile('rb') as f, contextlib.suppress(OSError, ValueError):
            while self.request(connection, f):
                pass

    def request(self, connection, f):
        """One request; false when the connection is over"""
        line = f.readline()
        if not line:
            return False
        row = {'start': time.time_ns(), 'headers': []}
        row['method'], row['path'] = line.decode('latin-1').split(' ')[:2]
        for header in iter(f.readline, b'\r\n'):
            if not header:
                return False
            name, _, value = header.decode('latin-1').partition(':')
            row['headers'].append((name.lower(), value.strip()))
        headers = dict(row['headers'])
        if 'content-length' in headers:
            f.read(int(headers['content-length']))
        elif headers.get('transfer-encoding') == 'chunked':
            while (n := int(f.readline(), 16)):
                f.read(n + 2)
            f.readline()
        with self.lock:
            self.rows.append(row)
        return self.answer(connection, row)

    def answer(self, connection, row):
        verbs = dict(re.findall(r'/(sleep|drip|size|status|flaky)/(\w+)', row['path']))
        plain = re.search(r'/(close|reset|cut|garbage)\b', row['path'])
        time.sleep(int(verbs.get('sleep', 0)) / 1000)
        if 'flaky' in verbs and verbs['flaky'] not in self.tried:
            self.tried.add(verbs['flaky'])
            return self.last(connection, row, b'', True)
        if plain and plain[1] == 'reset':
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        if plain:
            return self.last(connection, row, {'cut': b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf',
                                               'garbage': b'NONSENSE\r\n\r\n'}.get(plain[1], b''), True)
        body = b'x' * int(verbs.get('size', 3))
        head = b'HTTP/1.1 %s OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n' % (
            verbs.get('status', '200').encode(), len(body))
        if 'drip' in verbs:
            connection.sendall(head)
            time.sleep(int(verbs['drip']) / 1000)
            head = b''
        return self.last(connection, row, head + (b'' if row['method'] == 'HEAD' else body), False)

    def last(self, connection, row, data, close):
        """The last bytes of an answer: the clock is read before they leave"""
        row['end'] = time.time_ns()
        with contextlib.suppress(OSError):
            connection.sendall(data)
        return not close


# ---------------------------------------------------------------- the receiver of the log

class Receiver:
    """Takes syslog datagrams and writes each as a line, as syslogd does"""

    def __init__(self):
        self.lines = []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.bind((HOST, 0))
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self.receive, daemon=True)
        self.thread.start()

    def receive(self):
        while True:
            data = self.socket.recv(65536)
            if data == b'the end':
                return
            self.lines.append(data.rstrip(b'\n'))

    def stop(self):
        """Every line; what was sent to the receiver before is in it, because datagrams keep their order here"""
        self.socket.sendto(b'the end', (HOST, self.port))
        self.thread.join(10)
        self.socket.close()
        return self.lines


# ---------------------------------------------------------------- HAProxy

class Lab:
    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix='haspan-lab-')
        self.origin, self.receiver = Origin(), Receiver()
        self.process, self.port = None, {}
        return self

    def __exit__(self, *_):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.dir, name)

    def certificate(self):
        """A self-signed one for localhost"""
        subprocess.run(['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=localhost',
                        '-keyout', self.path('key'), '-out', self.path('cert')], check=True, capture_output=True)
        with open(self.path('lab.pem'), 'wb') as f:
            for name in ('cert', 'key'):
                with open(self.path(name), 'rb') as part:
                    f.write(part.read())

    def fill(self, text):
        """{name} becomes a port that is free now"""
        names = set(re.findall(r'\{([a-z][a-z_0-9]*)\}', text)) - {'origin', 'log'}
        self.port = {name: free_port() for name in names}
        known = dict(self.port, origin=self.origin.port, log=self.receiver.port)
        return re.sub(r'\{([a-z][a-z_0-9]*)\}', lambda m: str(known[m[1]]), text)

    def start(self, text):
        text = 'global\n    stats socket unix@admin mode 600 level admin\n    hard-stop-after 5s\n' + text
        for _ in range(5):              # somebody else may take a port between our look and HAProxy's bind
            with open(self.path('haproxy.cfg'), 'w', encoding='utf-8') as f:
                f.write(self.fill(text))
            with open(self.path('stderr'), 'w', encoding='utf-8') as said:
                self.process = subprocess.Popen([HAPROXY, '-db', '-f', 'haproxy.cfg'], cwd=self.dir, env=ENV,
                                                stdout=said, stderr=said)
            if self.ready():
                return self
        with open(self.path('stderr'), encoding='utf-8') as said:
            raise Failure('HAProxy does not start:\n' + said.read())

    def ready(self):
        for _ in range(1000):
            if self.process.poll() is not None:
                return False
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as s:
                s.connect(self.path('admin'))
                s.sendall(b'show info\n')
                if s.recv(100):
                    return True
            time.sleep(0.01)
        return False

    def stop(self):
        """The lines, after HAProxy ended by itself"""
        self.process.send_signal(signal.SIGUSR1)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            raise Failure('HAProxy does not end') from None
        return self.receiver.stop()


# ---------------------------------------------------------------- clients

class Client:
    """A connection to a port of HAProxy's"""

    def __init__(self, port, tls=False):
        self.socket = socket.create_connection((HOST, port), timeout=20)
        if tls:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            self.socket = context.wrap_socket(self.socket, server_hostname='localhost')
        self.file = self.socket.makefile('rb')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.file.close()
        self.socket.close()

    def send(self, path, *headers, method='GET', body=None):
        if body is not None:
            headers += ('Content-Length: %d' % len(body),)
        text = '%s %s HTTP/1.1\r\nHost: shop.example\r\n%s\r\n' % (method, path, ''.join(h + '\r\n' for h in headers))
        self.raw(text.encode('latin-1') + (body or b''))

    def raw(self, data):
        self.socket.sendall(data)

    def answer(self):
        """The status; 0 when the connection ended instead"""
        line, length = self.file.readline(), 0
        if not line:
            return 0
        for header in iter(self.file.readline, b'\r\n'):
            if header.lower().startswith(b'content-length:'):
                length = int(header.split(b':')[1])
        if len(self.file.read(length)) < length:
            return 0
        return int(line.split(b' ')[1])

    def get(self, path, *headers, **more):
        self.send(path, *headers, **more)
        return self.answer()

    def to_the_end(self):
        with contextlib.suppress(OSError):
            while self.socket.recv(65536):
                pass


def get(port, path, *headers, tls=False, **more):
    """One request on a connection of its own"""
    with Client(port, tls) as client, contextlib.suppress(ConnectionError):
        return client.get(path, *headers, **more)
    return 0


def abort(port, path, *headers, after=0.05):
    """Ask, and go away before the answer"""
    with Client(port) as client:
        client.send(path, *headers)
        time.sleep(after)


class Http2:
    """Just enough of HTTP/2 to ask many things at once on one connection; no answer is decoded"""
    DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7

    def __init__(self, port, tls=False):
        self.socket = socket.create_connection((HOST, port), timeout=20)
        if tls:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            context.set_alpn_protocols(['h2'])
            self.socket = context.wrap_socket(self.socket, server_hostname='localhost')
        self.file, self.next, self.open = self.socket.makefile('rb'), 1, set()
        self.socket.sendall(b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' + self.frame(self.SETTINGS, 0, 0, b''))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()

    @staticmethod
    def frame(kind, flags, stream, data):
        return struct.pack('>I', len(data))[1:] + struct.pack('>BBI', kind, flags, stream) + data

    @staticmethod
    def literal(name, value):
        """A header that goes into no table (RFC 7541, 6.2.2), of less than 127 bytes"""
        return b'\0' + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()

    def ask(self, *requests):
        """All requests, (path, header...) each, in one write; returns their streams"""
        data, streams = b'', []
        for path, *headers in requests:
            pairs = [(':method', 'GET'), (':scheme', 'http'), (':authority', 'shop.example'), (':path', path)]
            pairs += [(h.split(': ', 1)[0].lower(), h.split(': ', 1)[1]) for h in headers]
            block = b''.join(self.literal(*pair) for pair in pairs)
            data += self.frame(self.HEADERS, 5, self.next, block)       # END_STREAM, END_HEADERS
            streams.append(self.next)
            self.next += 2
        self.open |= set(streams)
        self.socket.sendall(data)
        return streams

    def reset(self, stream):
        """The client goes away from one of its requests"""
        self.socket.sendall(self.frame(self.RESET, 0, stream, struct.pack('>I', 8)))
        self.open.discard(stream)

    def wait(self):
        """Until all that was asked is answered"""
        while self.open:
            head = self.file.read(9)
            if len(head) < 9:
                return
            length, (kind, flags, stream) = int.from_bytes(head[:3], 'big'), struct.unpack('>BBI', head[3:])
            data = self.file.read(length)
            if kind in (self.SETTINGS, self.PING) and not flags & 1:
                self.socket.sendall(self.frame(kind, 1, 0, data if kind == self.PING else b''))
            elif kind == self.GOAWAY:
                return
            elif kind == self.RESET or kind in (self.DATA, self.HEADERS) and flags & 1:
                self.open.discard(stream)


# ---------------------------------------------------------------- haspan

def haspan(lab, lines, *options, command=HASPAN):
    """The requests that haspan makes of the lines: lists of spans, SERVER first; and its summary as {word: number}"""
    with open(lab.path('log'), 'wb') as f:
        f.write(b''.join(line + b'\n' for line in lines))
    done = subprocess.run([command, *options, '--to', 'file:' + lab.path('otlp'), '--rejects', lab.path('rejects'),
                           lab.path('log')], capture_output=True, text=True, env=ENV, timeout=60)
    expect(done.returncode == 0, 'haspan: exit', done.returncode, done.stderr)
    summary = {word: int(n) for word, n in re.findall(r'(\w+)=(\d+)', done.stderr)}
    with open(lab.path('rejects'), 'rb') as f:
        expect(summary['rejected'] == 0, 'rejected:', f.read(2000).decode('latin-1'))
    return groups(lab.path('otlp')), summary


def groups(path):
    found = []
    for span in compare.read_spans(path):
        if span['kind'] == compare.SERVER:
            found.append([])
        found[-1].append(span)
    return found


def client_of(spans):
    return next((s for s in spans if s['kind'] == compare.CLIENT), None)


def run(main):
    """One test of many parts: the first failure ends it"""
    try:
        main()
    except Failure as failure:
        print('FAILED', failure)
        print('0 passed, 1 failed')
        sys.exit(1)
    print('1 passed, 0 failed')
