#!/usr/bin/env python3
"""An OTLP/HTTP collector that only keeps what it acknowledges, fast: tests/otlp_ids.c reads it.

    kafka_collector.py PORT FILE [MOOD]

Each body goes to FILE (4 bytes of length before it) in one write, then the answer: so FILE is what was acknowledged, also
after kill -9. MOOD is a file with a status that is answered instead, as long as it is there.
"""
import http.server
import os
import struct
import sys
import threading

HOST = '127.0.0.1'


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    disable_nagle_algorithm = True

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get('Content-Length', 0)))
        status = self.server.mood()
        if status == 200:
            with self.server.lock:
                os.write(self.server.out, struct.pack('>I', len(body)) + body)
        self.send_response(status)
        self.send_header('Content-Type', 'application/x-protobuf')
        self.send_header('Content-Length', '0')
        self.end_headers()

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port, path, mood):
        super().__init__((HOST, port), Handler)
        self.out = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self.lock, self.mood_path = threading.Lock(), mood

    def mood(self):
        try:
            with open(self.mood_path, encoding='utf-8') as f:
                return int(f.read())
        except (OSError, TypeError, ValueError):
            return 200

    def handle_error(self, *_):
        pass


if __name__ == '__main__':
    server = Server(int(sys.argv[1]), sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else None)
    print('listening', server.server_port, flush=True)
    server.serve_forever()
