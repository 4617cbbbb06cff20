#!/usr/bin/env python3
"""The recipe of doc/ids.md, word for word, in a real HAProxy: what the server behind it saw is what haspan says.

    tests/recipe.py

For every request that reached the server: the trace id and the parent id in its traceparent are those of haspan's
CLIENT span, the flags are the trace's, and SERVER hangs below the client's span where the client sent a valid one.
$HAPROXY and $HASPAN name the binaries.
"""
import hashlib
import re
import sys
import time

import lab
from lab import abort, client_of, expect, get

TRACE, SPAN = '4bf92f3577b34da6a3ce929d0e0e4736', '00f067aa0ba902b7'
PARENT = '%s-' + TRACE + '-' + SPAN + '-%s'

# name: (header, what is left of it: None, or (trace id, parent, flags))
CONTEXTS = {
    'none': (None, None),
    'sampled': (PARENT % ('00', '01'), (TRACE, SPAN, 1)),
    'unsampled': (PARENT % ('00', '00'), (TRACE, SPAN, 0)),
    'random': (PARENT % ('00', '03'), (TRACE, SPAN, 3)),
    'other_flags': (PARENT % ('00', 'fd'), (TRACE, SPAN, 1)),
    'upper_case': ((PARENT % ('00', '01')).upper(), None),
    'zero_trace': ('00-' + 32 * '0' + '-' + SPAN + '-01', None),
    'zero_span': ('00-' + TRACE + '-' + 16 * '0' + '-01', None),
    'short': ((PARENT % ('00', '01'))[:-1], None),
    'long': (PARENT % ('00', '01') + '-x', None),
    'version_ff': (PARENT % ('ff', '01'), None),
    'version_01': (PARENT % ('01', '01'), (TRACE, SPAN, 1)),
    'version_cc_tail': (PARENT % ('cc', '00') + '-what "the" future\tbrings -' + 16 * '0' + '-', (TRACE, SPAN, 0)),
    'version_cc_glued': (PARENT % ('cc', '01') + '.x', None),
    'empty': ('', None),
    'blanks': ('  ' + PARENT % ('00', '01') + '\t', (TRACE, SPAN, 1)),
}


def section(text, name):
    """The lines of a frontend, without those that only make it complete"""
    body = re.search(r'^frontend %s\n(.*?)(?=^\S|\Z)' % name, text, re.M | re.S)[1]
    return [line for line in body.split('\n') if line.strip() and not re.match(r' *(#|bind )', line)]


def configuration():
    """Two tiers of the recipe: `web`, as it stands in the document, and `inner`, which takes over its unique-id"""
    recipe, tiers = lab.document('doc/ids.md', 'haproxy'), lab.document('doc/ids.md', 'haproxy', 1)
    expect('bind :8080\n' in recipe and 'log 127.0.0.1:514 ' in recipe, 'doc/ids.md: another bind or log line')
    recipe = recipe.replace('log 127.0.0.1:514 ', 'log 127.0.0.1:{log} ')
    outer = recipe.replace('bind :8080', 'bind 127.0.0.1:{web}\n    bind 127.0.0.1:{web2} proto h2').split('\n')
    outer += section(tiers, 'web')
    outer += ['    http-request deny if { path_beg /deny }', '    use_backend second if { path_sub /tier }']
    inner = recipe.replace('frontend web', 'frontend inner').replace('bind :8080', 'bind 127.0.0.1:{inner}').split('\n')
    for line in section(tiers, 'inner'):
        word = line.split()[0]
        inner = [line if old.split()[:1] == [word] else old for old in inner]
    return """
defaults
    mode http
    timeout connect 1s
    timeout client 5s
    timeout server 400ms
    timeout http-request 1s
    retries 1
%s
%s
backend app
    server app 127.0.0.1:{origin}
backend second
    server inner 127.0.0.1:{inner}
""" % ('\n'.join(outer), '\n'.join(inner))


def log_format(text):
    return re.search(r'^ *log-format "(.*)"$', text, re.M)[1]


class Sent:
    """What was asked, by its path: which context came with it"""

    def __init__(self):
        self.context, self.n = {}, 0

    def path(self, what, context):
        self.n += 1
        path = '%s/n%d/%s' % (what, self.n, context)
        self.context[path] = CONTEXTS[context][1]
        return path

    @staticmethod
    def headers(context):
        header = CONTEXTS[context][0]
        return () if header is None else ('traceparent: ' + header, 'tracestate: a=1')


def traffic(l, sent, double=True):
    web, web2 = l.port['web'], l.port['web2']
    for context in CONTEXTS:
        for what in ('/one', '/tier'):
            get(web, sent.path(what, context), *sent.headers(context))
    with lab.Client(web) as client:                     # keep-alive
        for context in list(CONTEXTS) + ['none', 'none']:
            client.get(sent.path('/alive', context), *sent.headers(context))
    with lab.Client(web) as client:
        if double:                                      # two headers are none
            path = sent.path('/double', 'sampled')
            sent.context[path] = None
            client.get(path, *sent.headers('sampled'), *sent.headers('random'))
        chosen = sent.path('/tier/chosen', 'none')
        client.get(chosen, 'X-Unique-ID: mine')
        client.get(sent.path('/tier/chosen', 'none'), 'X-Unique-ID: mine')
        client.get(sent.path('/post', 'sampled'), *sent.headers('sampled'), method='POST', body=b'x' * 5000)
    if 'inner' in l.port:                               # past the outer tier, with a unique-id of the client's choice
        get(l.port['inner'], sent.path('/direct', 'none'), 'X-Unique-ID: evil')
    with lab.Http2(web2) as client:                     # ten requests in one packet, of one millisecond
        for context in ('none', 'sampled', 'unsampled', 'upper_case'):
            client.ask(*[(sent.path('/two', context), *sent.headers(context)) for _ in range(10)])
            client.wait()
        away = client.ask((sent.path('/sleep/100', 'none'),), (sent.path('/sleep/100', 'none'),))
        time.sleep(0.03)
        client.reset(away[0])
        client.wait()
    abort(web, sent.path('/sleep/200', 'sampled'), *sent.headers('sampled'))
    abort(web, sent.path('/tier/sleep/200', 'none'))
    for what in ('/close', '/reset', '/cut', '/garbage', '/sleep/600', '/status/503', '/deny'):
        get(web, sent.path(what, 'sampled'), *sent.headers('sampled'))
        get(web, sent.path(what, 'none'))
    get(web, '/bad uri \x01')
    with lab.Client(web) as client:
        client.raw(b'NONSENSE\r\n\r\n')
        client.answer()


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


def check_request(spans, sent):
    """SERVER hangs where the client said"""
    server, client = spans[0], client_of(spans)
    path, fe = server['attrs'].get('url.path'), server['attrs']['haproxy.frontend.name']
    uid = server['attrs'].get('haproxy.unique_id')
    expect(uid or path is None, path, 'has no unique-id')
    if uid:
        # haproxy.cfg says that this one is what somebody else sent: SERVER's id is made of the line
        own = fe != 'inner' or not sent.by_cfg
        expect((server['id'] == digest(uid + '|' + fe)[16:32]) == own, path, "SERVER's id is another")
        expect(not client or client['id'] == digest(uid + '|' + fe)[:16], path, "CLIENT's id is another")
    if fe == 'inner' or path not in sent.context:
        return
    want = sent.context[path] or (digest(uid)[:32], None, 1)
    got = (server['trace_id'], server['above'], server['flags'])
    # --sampler always_on samples what the caller did not
    expect(got == (want[0], want[1], want[2] | 1), path, 'is', got, 'expected', want)


def check_row(row, clients, sent):
    """What the server saw is a CLIENT span of haspan's; returns it"""
    header = [value for name, value in row['headers'] if name == 'traceparent']
    expect(len(header) == 1, row['path'], 'came with', header)
    version, trace, parent, flags = header[0].split('-')
    spans = clients.get(parent)
    expect(version == '00' and spans, row['path'], header[0], 'is no CLIENT span')
    client, context = client_of(spans), sent.context[row['path']]
    expect(client['trace_id'] == trace, row['path'], header[0], 'is in the trace', client['trace_id'])
    expect(flags == '%02x' % (context[2] if context else 1), row['path'], header[0], 'has other flags than', context)
    expect(client['flags'] == int(flags) | 1, row['path'], header[0], 'CLIENT has the flags', client['flags'])
    expect(spans[0]['attrs']['url.path'] == row['path'], row['path'], 'has the id of', spans[0]['attrs']['url.path'])
    state = ('tracestate', 'a=1') in row['headers']
    expect(state == bool(context), row['path'], 'tracestate:', state)
    return spans


def check_tiers(requests):
    """The inner tier's SERVER hangs below the outer tier's CLIENT, which shares its unique-id; returns how many do"""
    outer = {client_of(s)['id']: s for s in requests if client_of(s) and
             s[0]['attrs']['haproxy.frontend.name'] == 'web'}
    inner = [s for s in requests if s[0]['attrs']['haproxy.frontend.name'] == 'inner' and
             not s[0]['attrs']['url.path'].startswith('/direct/')]
    for spans in inner:
        above = outer.get(spans[0]['above'])
        path = spans[0]['attrs']['url.path']
        expect(above and above[0]['attrs']['url.path'] == path, path, 'of inner hangs below nothing')
        expect(above[0]['trace_id'] == spans[0]['trace_id'], path, 'has two traces')
        expect(above[0]['attrs']['haproxy.unique_id'] == spans[0]['attrs']['haproxy.unique_id'], path, 'has two ids')
    return len(inner)


def check(l, sent, lines, *options, tiers=15):
    requests, summary = lab.haspan(l, lines, *options, '--sampler', 'always_on')
    sent.by_cfg = '--haproxy-cfg' in options
    expect(summary['requests'] == len(requests), 'a request left no span', summary)
    ids = [s['id'] for spans in requests for s in spans]
    expect(len(set(ids)) == len(ids), 'an id comes twice')
    for spans in requests:
        check_request(spans, sent)
    clients = {client_of(s)['id']: s for s in requests if client_of(s)}
    seen = [check_row(row, clients, sent) for row in l.origin.rows]
    expect(len({spans[0]['id'] for spans in seen}) == len(seen), 'two requests were one')
    with_client = sum(1 for s in clients.values() if 'second' != s[0]['attrs']['haproxy.backend.name'])
    expect(with_client == len(seen), 'the server saw', len(seen), 'requests, haspan', with_client)
    through = check_tiers(requests)
    expect(through >= tiers, 'only', through, 'requests of the inner tier')
    paths = {s[0]['attrs'].get('url.path') for s in requests}
    expect(set(sent.context) <= paths, 'not logged:', set(sent.context) - paths)
    return len(requests), len(seen), through


def check_sampling(l, sent, lines, *options):
    """By default the caller decides: what it did not sample is not sent"""
    requests, summary = lab.haspan(l, lines, *options)
    unsampled = sum(1 for c in sent.context.values() if c and c[2] & 1 == 0)
    expect(unsampled and all(s['flags'] & 1 for spans in requests for s in spans), 'an unsampled span was sent')
    kept = {s[0]['attrs'].get('url.path') for s in requests}
    expect(kept.isdisjoint(p for p, c in sent.context.items() if c and c[2] & 1 == 0), 'sent all the same')
    expect(summary['unsampled'] >= unsampled, summary)


def main():
    with lab.Lab() as l:
        text, sent = configuration(), Sent()
        l.start(text)
        traffic(l, sent)
        lines = l.stop()
        options = ('--format', log_format(text), '--format', 'error', '--map', 'var(txn.parent)=traceparent')
        requests, seen, tiers = check(l, sent, lines, *options)
        check_sampling(l, sent, lines, *options)
        check(l, sent, lines, '--haproxy-cfg', l.path('haproxy.cfg'))
    print('HAProxy %d.%d: %d requests, %d seen by the server, %d of them through two tiers: every parent is a CLIENT span'
          % (*lab.version(), requests, seen, tiers))


if __name__ == '__main__':
    lab.run(main)
