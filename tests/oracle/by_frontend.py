#!/usr/bin/env python3
"""Expected spans of samples/haproxy-3.2, each frontend's lines by what its section of haproxy.cfg says.

    by_frontend.py [--phases PHASES] HAPROXY.CFG LINES >EXPECTED.jsonl

What the configuration says was read by a person: the table below.  oracle.py does the rest, for each frontend on a
copy of the lines in which those of the others are blank, so that line numbers stay what they are.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TRACEPARENT = ['--capture-request', 'traceparent']
OF_FRONTEND = {
    'fe_http': ['--format', 'httplog,error', '--capture-request', 'traceparent,host,user-agent',
                '--capture-response', 'content-length'],
    'fe_https': ['--format', 'httpslog,error', *TRACEPARENT],
    'fe_clf': ['--format', 'httplog-clf'],
    'fe_tcp': ['--format', 'tcplog'],
    'fe_tcpdead': ['--format', 'tcplog'],
    'fe_asap': ['--format', 'httplog'],
    'fe_old': ['--format', 'httplog-old'],
    'fe_jsonlit': ['--format-string', None, *TRACEPARENT],
    'fe_json': ['--format-string', None, '--map', 'var(txn.tp)=traceparent'],
    'fe_cbor': ['--format-string', None, '--map', 'var(txn.tp)=traceparent'],
    # txn.tid and txn.sid are sent to the server as trace and span id
    'fe_custom': ['--format-string', None, '--map', 'var(txn.tid)=trace_id', '--map', 'var(txn.sid)=span_id',
                  '--map', 'var(txn.tpin)=traceparent'],
    # here txn.sid is only logged
    'fe_inner': ['--chosen-id', '--format-string', None, '--map', 'var(txn.tpin)=traceparent',
                 '--map', 'var(txn.tpin),field(2,-)=trace_id'],
}
NAME = re.compile(r'(?: fe=|"frontend": ?"| "| )(fe_[a-z]+)(?=[ "~/])')

CBOR = b'fe_cbor'.hex().upper().encode()


def text_of(cfg, frontend):
    section = re.search(r'^frontend %s$(.*?)^\S' % frontend, cfg, re.M | re.S)[1]
    return re.search(r'''^ *log-format (["'])(.*)\1$''', section, re.M)[2]


def main():
    p = argparse.ArgumentParser()
    p.add_argument('--phases', default='auto')
    p.add_argument('cfg')
    p.add_argument('lines')
    a = p.parse_args()
    with open(a.cfg, encoding='utf-8') as f:
        cfg = f.read()
    with open(a.lines, 'rb') as f:
        lines = f.read().split(b'\n')
    whose = ['fe_cbor' if CBOR in line else (NAME.search(line.decode('latin-1')) or [None, None])[1] for line in lines]
    expected = []
    for frontend, words in OF_FRONTEND.items():
        words = [text_of(cfg, frontend) if w is None else w for w in words]
        with tempfile.NamedTemporaryFile() as f:
            f.write(b'\n'.join(line if whose[i] == frontend else b'' for i, line in enumerate(lines)))
            f.flush()
            out = subprocess.run([sys.executable, os.path.join(HERE, 'oracle.py'), *words, '--phases', a.phases,
                                  f.name], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
        found = [json.loads(line) for line in out.splitlines()]
        if not found:
            sys.exit('no line of %s in %s' % (frontend, a.lines))
        expected += found
    for span in sorted(expected, key=lambda s: s['line']):
        print(json.dumps(span))


if __name__ == '__main__':
    main()
