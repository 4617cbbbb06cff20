#!/usr/bin/env python3
"""What a stream of syslog costs: haspan beside rsyslog's imtcp, in turns. tests/bench/live_tcp.py [--lines N] [--pairs N]

One sender writes the same octet-counted messages as fast as the receiver takes them, over one TCP connection on the
loopback interface. CPU is user + system seconds of the receiver with all its threads, from wait4(), after it has eaten
everything (its clock stands still) and was asked to end. Not counted: the sender, and the server that swallows the spans.

    imtcp       rsyslogd: imtcp, then omfile into /dev/null
    null        haspan --to null: framing, parsing, spans, OTLP protobuf
    http        haspan --to http://…: the same, sent to a server that answers 200

Rows: CPU seconds (median), their ratio to imtcp's of the same turn (median, least, most), and per 100,000 requests.
"""
import argparse
import contextlib
import http.server
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HASPAN = os.path.abspath(os.path.join(ROOT, os.environ.get('HASPAN') or 'build/haspan'))
LIMIT_IMTCP = 1.0               # of imtcp's CPU
LIMIT_100K = 0.12               # CPU-s of 100,000 requests, to a collector


class Failed(Exception):
    pass


def free_port():
    with socket.create_server(('127.0.0.1', 0)) as s:
        return s.getsockname()[1]


def messages(lines):
    """httplog with RFC 3164 envelopes, octet-counted"""
    text = subprocess.run([os.path.join(ROOT, 'build', 'gen_lines'), '-n', str(lines), '-e', 'rfc3164'],
                          check=True, capture_output=True).stdout
    return b''.join(b'%d <134>%s' % (len(line) + 5, line) for line in text.split(b'\n')[:-1])


def send(port, data):
    with socket.create_connection(('127.0.0.1', port)) as s:
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        s.settimeout(60)
        with contextlib.suppress(OSError):
            s.recv(1)


def cpu_now(pid):
    with open('/proc/%d/stat' % pid, encoding='ascii') as f:
        words = f.read().rsplit(')', 1)[1].split()
    return int(words[11]) + int(words[12])


def wait_listening(port, process):
    for _ in range(500):
        with contextlib.suppress(OSError):
            socket.create_connection(('127.0.0.1', port)).close()
            return
        if process.poll() is not None:
            raise Failed('it does not start: %s' % process.args)
        time.sleep(0.01)
    raise Failed('nothing listens')


def cost(argv, port, data, said):
    """CPU seconds of a receiver for the messages, less what it costs to start and end it"""
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=open(said, 'wb'))
    wait_listening(port, process)
    send(port, data)
    last, still = -1, 0
    while still < 4:
        time.sleep(0.1)
        now = cpu_now(process.pid)
        still = still + 1 if now == last else 0
        last = now
    process.send_signal(signal.SIGTERM)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = status
    if status != 0:
        raise Failed('%s: status %d' % (argv[0], status))
    return usage.ru_utime + usage.ru_stime


def imtcp(folder, data):
    port, conf = free_port(), os.path.join(folder, 'rsyslog.conf')
    with open(conf, 'w', encoding='ascii') as f:
        f.write('global(workDirectory="%s")\nmodule(load="imtcp")\ninput(type="imtcp" port="%d" address="127.0.0.1")\n'
                'action(type="omfile" file="/dev/null")\n' % (folder, port))
    return cost(['rsyslogd', '-n', '-f', conf, '-i', os.path.join(folder, 'pid')], port, data, os.devnull)


def haspan(folder, data, sink, lines):
    port, said = free_port(), os.path.join(folder, 'stderr')
    seconds = cost([HASPAN, '--from', 'tcp://127.0.0.1:%d' % port, '--to', sink], port, data, said)
    with open(said, encoding='utf-8') as f:
        text = f.read()
    got = {word: int(n) for word, n in re.findall(r'(\w+)=(\d+)', text)}
    if got.get('lines') != lines or got['requests'] + got['other'] != lines or got['exported'] != got['spans']:
        raise Failed('of %d lines: %s' % (lines, text))
    return seconds


class Swallow(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def do_POST(self):
        left = int(self.headers['Content-Length'])
        while left:
            left -= len(self.rfile.read(min(left, 1 << 20)))
        self.send_response(200)
        self.send_header('Content-Length', '0')
        self.end_headers()

    def log_message(self, *_):
        pass


def swallower():
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Swallow)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return 'http://127.0.0.1:%d' % server.server_port


def row(name, what, value, limit):
    state = '-' if limit is None else 'ok' if statistics.median(value) <= limit else 'OVER'
    print('%-28s %-10s %8.3f  (%.3f to %.3f)  %s' % (name, what, statistics.median(value), min(value), max(value), state),
          flush=True)


def measure(lines, pairs):
    data, sink = messages(lines), swallower()
    folder = tempfile.mkdtemp(prefix='haspan-bench-')
    runs = {'null': lambda: haspan(folder, data, 'null', lines), 'http': lambda: haspan(folder, data, sink, lines)}
    if shutil.which('rsyslogd'):
        runs['imtcp'] = lambda: imtcp(folder, data)
    else:
        print('rsyslogd is not installed: no ratio')
    seconds = {name: [] for name in runs}
    try:
        for turn in range(pairs):
            for name in sorted(runs, reverse=turn % 2 == 1):
                seconds[name].append(runs[name]())
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for name, values in sorted(seconds.items()):
        row('tcp %s, %d messages' % (name, lines), 'CPU-s', values, None)
        if name != 'imtcp':
            row('tcp %s, 100,000 requests' % name, 'CPU-s', [v * 1e5 / lines for v in values],
                LIMIT_100K if name == 'http' else None)
        if name != 'imtcp' and 'imtcp' in seconds:
            row('tcp %s / imtcp' % name, 'ratio', [a / b for a, b in zip(values, seconds['imtcp'])], LIMIT_IMTCP)


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__.split('\n', maxsplit=1)[0])
    parser.add_argument('--lines', type=int, default=1_000_000)
    parser.add_argument('--pairs', type=int, default=5)
    asked = parser.parse_args()
    try:
        measure(asked.lines, asked.pairs)
    except Failed as failed:
        sys.exit('live_tcp: %s' % failed)
