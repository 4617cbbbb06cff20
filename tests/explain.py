#!/usr/bin/env python3
"""`haspan explain` says of a line what `haspan --to -` makes of it, and is safe to print.

    tests/explain.py            the binary is $HASPAN, or build/haspan
"""
import json
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
HASPAN = os.path.join(ROOT, os.environ.get("HASPAN", "build/haspan"))
ENV = {"PATH": os.environ["PATH"], "TZ": "UTC", "COLUMNS": "100"}
passed = failed = 0


def check(what, ok, detail=""):
    global passed, failed
    passed, failed = passed + bool(ok), failed + (not ok)
    if not ok:
        print(f"FAILED {what}\n{detail}")


def haspan(*args, stdin=b""):
    return subprocess.run([HASPAN, *args], input=stdin, capture_output=True, env=ENV, timeout=60)


def explain(line, *args):
    done = haspan("explain", *args, stdin=line + b"\n")
    return done.returncode, done.stdout.decode()      # strict: what is printed is UTF-8


def spans(line, *args):
    done = haspan("--to", "-", *args, stdin=line + b"\n")
    found = []
    for text in done.stdout.splitlines():
        for group in json.loads(text)["resourceSpans"]:
            for scope in group["scopeSpans"]:
                found += scope["spans"]
    return done, found


def same_as_run(name, line, *args):
    code, said = explain(line, *args)
    done, found = spans(line, *args)
    if b" requests=1 " not in done.stderr:
        check(f"{name}: no request", found == [] and "\nspans " not in said, said)
        check(f"{name}: exit", code == (1 if b" rejected=1 " in done.stderr else 0), said)
        return
    trace = re.search(r"^  trace   ([0-9a-f]{32}) ", said, re.M)
    ids = re.findall(r"^  span    ([0-9a-f]{16})  parent ([0-9a-f]{16}|none) ", said, re.M)
    check(f"{name}: exit", code == 0, said)
    check(f"{name}: trace id", trace and {s["traceId"] for s in found} == {trace[1]}, said)
    check(f"{name}: span ids", ids == [(s["spanId"], s.get("parentSpanId") or "none") for s in found], said)
    keys = [a["key"] for s in found if s["kind"] > 1 for a in s.get("attributes", []) if a["key"] != "error.type"]
    shown = re.findall(r"^  ([\w.-]+) = ", said[said.index("attributes of"):], re.M)
    check(f"{name}: attributes", sorted(keys) == sorted(shown), f"{keys}\n{shown}")


def captures():
    with open(os.path.join(ROOT, "samples/haproxy-3.2/rfc3164.log"), "rb") as f:
        for n, line in enumerate(f.read().splitlines()):
            if n % 3 == 0:
                same_as_run(f"line {n + 1}", line)


def custom():
    line = b'1.2.3.4 [21/Nov/2026:08:15:43.609] fe be/app 0/0/1/20/21 sid=00f067aa0ba902b7 "GET /a HTTP/1.1" uid-1'
    args = ["--format", '%ci [%tr] %f %b/%s %TR/%Tw/%Tc/%Tr/%Ta sid=%[var(txn.sid)] %{+Q}r %ID', "--map", "var(txn.sid)=span_id"]
    same_as_run("custom format", line, *args)
    code, said = explain(line, *args)
    check("where ids come from", "SHA-256 of the unique id" in said and "GET: logged by HAProxy" in said, said)
    code, said = explain(line.replace(b"/20/", b"/x/"), *args)
    message = re.search(r"^    message  (.*)\n( *)\^$", said, re.M)
    text = re.search(r"^    format   (.*)\n( *)\^$", said, re.M)
    check("the caret stands under what is wrong", code == 1 and message and
          message[1][len(message[2]) - 13:].startswith("x/21"), said)
    check("and under the field", text and text[1][len(text[2]) - 13:].startswith("%Tr"), said)
    check("and says what was expected", 'expected a number for %Tr, then "/"' in said, said)


def hostile():
    lines = [b"\x1b[31m\x9b31m\xc2\x9b31m\r\x07", b"\xf8\xff\xc0\x80 \xed\xa0\x80", "\u202egnp.exe\u2066".encode(), b"\0" * 50,
             b"x" * 70000, b"{" * 5000, b'"' * 3000, b"<134>1 " + b"9" * 300]
    good = b'192.0.2.1:4 [21/Nov/2026:08:15:44.900] fe be/app 0/0/0/20/20 200 68 - - ---- 1/1/0/0/0 0/0 "GET /%s HTTP/1.1"'
    lines += [good % b"\x1b]0;x\x07", good % b"#1B[31m", good % "\u202e".encode(), good % (b"a" * 9000)]
    for n, line in enumerate(lines):
        code, said = explain(line)
        bad = [c for c in said if (ord(c) < 32 and c != "\n") or 0x7f <= ord(c) < 0xa0 or 0x202a <= ord(c) <= 0x202e
               or 0x2066 <= ord(c) <= 0x2069]
        check(f"hostile line {n}", code in (0, 1) and not bad, repr(bad[:5]))


def arguments():
    one = haspan("explain", "no line of HAProxy's", "")
    check("two lines as words", one.returncode == 0 or b"not understood" in one.stdout, one.stdout.decode())
    check("each is explained", one.stdout.count(b"envelope ") == 2, one.stdout.decode())
    check("nothing to explain", haspan("explain").returncode == 0)
    wrong = haspan("explain", "--format", "%zz", "x")
    check("a wrong format", wrong.returncode == 3 and b"unknown alias" in wrong.stderr, wrong.stderr.decode())


for part in (captures, custom, hostile, arguments):
    part()
print(f"{passed} passed, {failed} failed")
sys.exit(failed > 0)
