#!/usr/bin/env python3
"""A small OTLP/HTTP collector for tests: real HTTP, its own decoder, and misbehaviour on request.

    collector.py [--port 0] [--out SPANS] [--log REQUESTS] [--bodies FOLDER] [--script TEXT|FILE]
                 [--decoder own|package] [--cert PEM --key PEM [--client-ca PEM]]

Prints `listening PORT` when it is ready. Takes protobuf and JSON, gzip or not, on any path that
ends in /v1/traces. SPANS gets one JSON object per acknowledged span (trace_id, span_id,
parent_span_id, name, kind, sha256 of the request's bytes; `"rejected": true` for those of a partial
success), REQUESTS one per request.

The script is a list of behaviours for consecutive requests, then 200 for ever:

    200 503 400 …        that status; `:retry-after=V` (V may be date+2 or date-9: seconds
                         from now), `:message=TEXT`, `:location=URL`, `:type=TEXT`
                         (`_` is a blank, %XX a byte)
    partial=3            200, the last 3 spans rejected; `:message=TEXT`; the number may be absurd
    warn                 200, nothing rejected, a message
    garbage              200 with a body that is no OTLP
    big                  200 with a body of 5 MiB
    slow=500ms           200, later
    drip=500ms           200, its body byte by byte over that time
    reset                the connection is reset instead of an answer
    close                the connection is closed instead of an answer
    lost                 the spans are taken, then the connection is closed
    hang                 no answer at all
    413>BYTES            not a request: from now on every larger body is answered 413
    413>BYTES:early      the same, without reading the body
    413>BYTES:rude       the connection is reset instead, unless the client asks first (Expect)

and `*N` repeats one of them: behind its name or behind its options, 503*2:retry-after=1 or 503:retry-after=1*2.
"""

import argparse
import email.utils
import gzip
import hashlib
import http.server
import json
import os
import re
import signal
import socket
import ssl
import struct
import sys
import threading
import time
import urllib.parse

# ---- decoding ------------------------------------------------------------------------------------


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at
        if shift > 63:
            raise ValueError("varint too long")


def fields(data):
    """(number, wire type, value) of one protobuf message; strict."""
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        number, wire = tag >> 3, tag & 7
        if number == 0:
            raise ValueError("field number 0")
        if wire == 0:
            value, at = varint(data, at)
        elif wire in (1, 2, 5):
            if wire == 2:
                size, at = varint(data, at)
            else:
                size = 8 if wire == 1 else 4
            if at + size > len(data):
                raise ValueError("field runs over the end")
            value, at = data[at : at + size], at + size
        else:
            raise ValueError("wire type %d" % wire)
        yield number, wire, value


def parts(data, number):
    for got, wire, value in fields(data):
        if got == number:
            if wire != 2:
                raise ValueError("field %d is no message" % number)
            yield value


def span_of(trace_id, span_id, parent, name, kind, raw=b""):
    if len(trace_id) != 32 or len(span_id) != 16 or len(parent) not in (0, 16):
        raise ValueError("ids of a wrong length")
    return {
        "trace_id": trace_id,
        "span_id": span_id,
        "parent_span_id": parent,
        "name": name,
        "kind": kind,
        "same": hashlib.sha256(raw).hexdigest()[:16],
    }


def decode_own(body):
    spans = []
    for resource_spans in parts(body, 1):
        for scope_spans in parts(resource_spans, 2):
            for span in parts(scope_spans, 2):
                got = {number: value for number, _, value in fields(span)}
                spans.append(
                    span_of(
                        got.get(1, b"").hex(),
                        got.get(2, b"").hex(),
                        got.get(4, b"").hex(),
                        got.get(5, b"").decode(),
                        got.get(6, 0),
                        span,
                    )
                )
    return spans


def decode_package(body):
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    request = ExportTraceServiceRequest.FromString(body)
    return [
        span_of(
            s.trace_id.hex(),
            s.span_id.hex(),
            s.parent_span_id.hex(),
            s.name,
            s.kind,
            s.SerializeToString(),
        )
        for rs in request.resource_spans
        for ss in rs.scope_spans
        for s in ss.spans
    ]


def decode_json(body):
    if b"\n" in body:
        raise ValueError("more than one line")
    return [
        span_of(
            s["traceId"],
            s["spanId"],
            s.get("parentSpanId", ""),
            s.get("name", ""),
            s.get("kind", 0),
            json.dumps(s, sort_keys=True).encode(),
        )
        for rs in json.loads(body)["resourceSpans"]
        for ss in rs["scopeSpans"]
        for s in ss["spans"]
    ]


# ---- encoding of answers -------------------------------------------------------------------------


def put_varint(value):
    out, value = b"", value & 2**64 - 1
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def put_bytes(number, data):
    return put_varint(number << 3 | 2) + put_varint(len(data)) + data


def success(as_json, rejected, message):
    if as_json:
        partial = {"rejectedSpans": str(rejected), "errorMessage": message}
        return json.dumps({"partialSuccess": partial} if rejected or message else {}).encode()
    partial = (b"\x08" + put_varint(rejected) if rejected else b"") + (
        put_bytes(2, message.encode()) if message else b""
    )
    return put_bytes(1, partial) if partial else b""


def failure(as_json, message):
    if as_json:
        return json.dumps({"code": 3, "message": message}).encode()
    return b"\x08\x03" + put_bytes(2, message.encode())


# ---- the script ----------------------------------------------------------------------------------


class Step:
    """One behaviour: `name=arg:key=value:…`."""

    def __init__(self, text):
        head, *options = text.split(":")
        # A URL has colons of its own.
        for i, option in enumerate(options):
            if option.startswith("location="):
                options[i:] = [":".join(options[i:])]
                break
        self.text = text
        self.name, _, self.arg = head.partition("=")
        self.options = dict(o.partition("=")[::2] for o in options)

    def message(self, default=""):
        return urllib.parse.unquote(self.options.get("message", default).replace("_", " "))


BEHAVIOURS = "partial warn garbage big slow drip reset close lost hang".split()


def read_script(text):
    if os.path.exists(text):
        with open(text) as f:
            text = f.read()
    steps = []
    for word in text.split():
        found = re.fullmatch(r"([^:*]+)(?:\*(\d+))?(:[^*]*)?(?:\*(\d+))?", word)
        name = found and found[1].partition("=")[0].partition(">")[0]
        if not found or (found[2] and found[4]) or not (name in BEHAVIOURS or name.isdigit()):
            sys.exit("collector.py: --script: what is %r? (--help lists the behaviours)" % word)
        steps += [found[1] + (found[3] or "")] * int(found[2] or found[4] or 1)
    return steps


class State:
    def __init__(self, args):
        self.lock = threading.Lock()
        self.script = read_script(args.script)
        self.limit, self.manner = None, ""
        self.out = open(args.out, "a", buffering=1) if args.out else None
        self.log = open(args.log, "a", buffering=1) if args.log else None
        self.bodies = args.bodies
        self.decode = decode_package if args.decoder == "package" else decode_own
        self.stop = threading.Event()
        self.connections = self.requests = 0
        self.take_limits()

    def take_limits(self):
        while self.script and self.script[0].startswith("413>"):
            limit, _, self.manner = self.script.pop(0)[4:].partition(":")
            self.limit = int(limit)

    def next_step(self):
        with self.lock:
            self.take_limits()
            return Step(self.script.pop(0) if self.script else "200")

    def record(self, spans, rejected, body):
        digest = hashlib.sha256(body).hexdigest()
        if self.bodies:
            with open(os.path.join(self.bodies, digest), "wb") as f:
                f.write(body)
        lines = []
        for i, span in enumerate(spans):
            span = dict(span, sha256=digest)
            if i >= len(spans) - rejected:
                span["rejected"] = True
            lines.append(json.dumps(span) + "\n")
        if self.out:
            with self.lock:
                self.out.write("".join(lines))

    def note(self, entry):
        if self.log:
            with self.lock:
                self.log.write(json.dumps(entry) + "\n")


# ---- HTTP ----------------------------------------------------------------------------------------


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    state = None

    def setup(self):
        super().setup()
        with self.state.lock:
            self.state.connections += 1
            self.number = self.state.connections

    def log_message(self, *args):
        pass

    def too_large(self):
        limit = self.state.limit
        return limit is not None and int(self.headers.get("Content-Length", 0)) > limit

    def handle_expect_100(self):
        if self.too_large() and self.state.manner:
            self.begin()
            self.answer(413, failure(self.as_json, "too large"), "413 to Expect")
            self.close_connection = True
            return False
        return super().handle_expect_100()

    def begin(self):
        with self.state.lock:
            self.state.take_limits()
        self.began = time.time()
        self.as_json = "json" in self.headers.get("Content-Type", "")
        self.body = b""
        self.spans = []

    def do_POST(self):
        self.begin()
        if self.too_large() and self.state.manner == "rude":
            return self.vanish(Step("reset"))
        if self.too_large() and self.state.manner == "early":
            self.close_connection = True
            return self.answer(413, failure(self.as_json, "too large"), "413 early")
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.too_large():
            return self.answer(413, failure(self.as_json, "too large"), "413")
        step = self.state.next_step()
        if not self.path.partition("?")[0].endswith("/v1/traces"):
            return self.answer(404, failure(self.as_json, "no such path"), "404")
        try:
            plain = self.body
            if self.headers.get("Content-Encoding") == "gzip":
                plain = gzip.decompress(plain)
            self.spans = decode_json(plain) if self.as_json else self.state.decode(plain)
        except Exception as error:
            return self.answer(
                400, failure(self.as_json, "cannot decode: %r" % error), "undecodable"
            )
        self.behave(step)

    def behave(self, step):
        if step.name.isdigit() and not step.name.startswith("2"):
            return self.answer(
                int(step.name),
                failure(self.as_json, step.message("scripted")),
                step.text,
                step.options,
            )
        if step.name in ("reset", "close", "hang", "lost"):
            return self.vanish(step)
        rejected = int(step.arg) if step.name == "partial" else 0
        if step.name == "slow":
            time.sleep(int(step.arg.removesuffix("ms")) / 1000)
        self.state.record(self.spans, min(max(rejected, 0), len(self.spans)), self.body)
        if step.name == "drip":
            words = success(self.as_json, 0, "word by word")
            return self.drip(words, int(step.arg.removesuffix("ms")) / 1000)
        wordy = step.name in ("partial", "warn")
        body = success(self.as_json, rejected, step.message("scripted" if wordy else ""))
        body = {"garbage": b"<html>\xff\x00", "big": b"\x12" * (5 << 20)}.get(step.name, body)
        self.answer(int(step.name) if step.name.isdigit() else 200, body, step.text, step.options)

    def drip(self, body, seconds):
        self.send_response(200)
        self.send_header("Content-Type", self.headers.get("Content-Type", "text/plain"))
        self.send_header("Content-Length", str(len(body)))
        self.note(200, "drip")
        try:
            self.end_headers()
            for byte in body:
                time.sleep(seconds / len(body))
                self.wfile.write(bytes([byte]))
        except OSError:
            self.close_connection = True

    def vanish(self, step):
        self.note(0, step.text)
        self.close_connection = True
        if step.name == "lost":
            self.state.record(self.spans, 0, self.body)
        elif step.name == "hang":
            self.state.stop.wait()
        elif step.name == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            os.close(self.connection.detach())

    def answer(self, status, body, why, options=None):
        options = options or {}
        # These have no body (RFC 9110, sections 15.3.5 and 15.4.5); one would be the next answer.
        body = b"" if status in (204, 304) else body
        self.note(status, why)
        self.send_response(status)
        self.send_header(
            "Content-Type", options.get("type", self.headers.get("Content-Type", "text/plain"))
        )
        self.send_header("Content-Length", str(len(body)))
        if "retry-after" in options:
            self.send_header("Retry-After", self.retry_after(options["retry-after"]))
        if "location" in options:
            self.send_header("Location", options["location"])
        if self.close_connection:
            self.send_header("Connection", "close")
        try:
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            self.close_connection = True

    @staticmethod
    def retry_after(text):
        if text.startswith("date"):
            return email.utils.formatdate(time.time() + int(text[4:]), usegmt=True)
        return text

    def note(self, status, why):
        with self.state.lock:
            self.state.requests += 1
            number = self.state.requests
        self.state.note(
            {
                "request": number,
                "connection": self.number,
                "status": status,
                "why": why,
                "path": self.path,
                "size": len(self.body),
                "spans": len(self.spans),
                "sha256": hashlib.sha256(self.body).hexdigest(),
                "began": self.began,
                "ended": time.time(),
                "headers": {k.lower(): v for k, v in self.headers.items()},
            }
        )


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, address):
        # A client that hangs up is what half of the tests are about.
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, address)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--out")
    parser.add_argument("--log")
    parser.add_argument("--bodies")
    parser.add_argument("--script", default="")
    parser.add_argument("--decoder", choices=["own", "package"], default="own")
    parser.add_argument("--cert")
    parser.add_argument("--key")
    parser.add_argument("--client-ca")
    args = parser.parse_args()
    Handler.state = State(args)
    server = Server(("127.0.0.1", args.port), Handler)
    if args.cert:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(args.cert, args.key)
        if args.client_ca:
            tls.verify_mode = ssl.CERT_REQUIRED
            tls.load_verify_locations(args.client_ca)
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    print("listening", server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
