#!/usr/bin/env python3
"""The oracle against examples worked out by hand; run it before believing the oracle."""
import copy
import hashlib
import os
import sys
import unittest
from datetime import timezone

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import compare
import oracle

MS = 1000000
START = 1795248944900 * MS                      # 21 Nov 2026 08:15:44.900 UTC
CAPTURED = '00-a4c956f44e22f6691894170d4f4ef702-e1ffee0151ba5687-01'
CUSTOM = ('id=%ID sid=%[var(txn.sid)] in=%{+Q}[var(txn.tpin)] t=[%tr] at=%[accept_date(us)] fe=%f '
          'be=%b srv=%s addr=%si:%sp TR=%TR Tw=%Tw Tc=%Tc Tr=%Tr Td=%Td Ta=%Ta st=%ST ts=%tsc m=%HM')
CUSTOM_MAP = {'var(txn.sid)': 'span_id', 'var(txn.tpin)': 'traceparent'}


def http(times, state='--', status=200, where='be/s1', more='', request='GET /a?b=c HTTP/1.1', rc='0', fe='fe'):
    return ('10.0.0.1:4000 [21/Nov/2026:08:15:44.900] %s %s %s %s 68 - - %s-- 1/2/3/4/%s 5/6%s "%s"'
            % (fe, where, times, status, state, rc, more, request))


def spans(line, formats=None, names=(), **options):
    known = [oracle.Format(f, names) for f in formats or ()] or \
        [f and oracle.Format(f) for f in map(oracle.FORMATS.get, oracle.DEFAULT_FORMATS.split(','))]
    return oracle.expect_line(line, known, oracle.Options(zone=timezone.utc, **options))


def shape(line, **options):
    """{role: (ms from the start, length in ms, status)}"""
    found = spans(line, **options)
    first = found[0]['start_ns']
    return {s['role']: ((s['start_ns'] - first) // MS, (s['end_ns'] - s['start_ns']) // MS, s['status'])
            for s in found}


class Phases(unittest.TestCase):
    def test_all_reached(self):
        got = spans(http('10/20/30/40/150'))
        self.assertEqual([(s['role'], s['name'], s['kind'], s['parent']) for s in got], [
            ('server', 'GET', 2, None), ('request', 'haproxy.request', 1, 'server'),
            ('queue', 'haproxy.queue', 1, 'server'), ('client', 'GET', 3, 'server'),
            ('connect', 'haproxy.connect', 1, 'client'), ('response', 'haproxy.response', 1, 'client'),
            ('data', 'haproxy.data', 1, 'client')])
        self.assertEqual(got[0]['start_ns'], START)
        self.assertEqual(shape(http('10/20/30/40/150')), {
            'server': (0, 150, 0), 'request': (0, 10, 0), 'queue': (10, 20, 0), 'client': (30, 120, 0),
            'connect': (30, 30, 0), 'response': (60, 40, 0), 'data': (100, 50, 0)})

    def test_phases_option(self):
        line = http('0/0/0/20/20')
        self.assertEqual(list(shape(line)), ['server', 'client', 'response'])
        self.assertEqual(list(shape(line, phases='none')), ['server', 'client'])
        self.assertEqual(list(shape(line, phases='all')),
                         ['server', 'request', 'queue', 'client', 'connect', 'response', 'data'])

    def test_clamped_left_to_right(self):
        self.assertEqual(shape(http('0/133/0/2942/430')), {
            'server': (0, 430, 0), 'queue': (0, 133, 0), 'client': (133, 297, 0), 'response': (133, 297, 0)})

    def test_server_did_not_answer(self):
        self.assertEqual(shape(http('1/2/3/-1/3002', 'sH', 504)), {
            'server': (0, 3002, 2), 'request': (0, 1, 0), 'queue': (1, 2, 0), 'client': (3, 2999, 2),
            'connect': (3, 3, 0), 'response': (6, 2996, 2)})
        client = spans(http('1/2/3/-1/3002', 'sH', 504))[3]
        self.assertIsNone(client['status_code'])
        self.assertTrue(client['error'])

    def test_failed_phase_of_no_length_is_drawn(self):
        self.assertEqual(shape(http('0/0/0/0/0', 'SD')), {
            'server': (0, 0, 2), 'client': (0, 0, 2), 'data': (0, 0, 2)})

    def test_data_without_response_headers_is_response(self):
        self.assertEqual(list(shape(http('0/0/0/-1/5', 'SD', -1)))[-1], 'response')

    def test_redispatch_after_retry_makes_connect_negative(self):
        self.assertEqual(shape(http('0/100/-100/-1/100', 'SC', 503, rc='+2')), {
            'server': (0, 100, 2), 'queue': (0, 100, 0), 'client': (100, 0, 2), 'connect': (100, 0, 2)})

    def test_no_server(self):
        self.assertEqual(shape(http('0/-1/-1/-1/7', 'SC', 503, 'be/<NOSRV>')),
                         {'server': (0, 7, 2), 'queue': (0, 7, 2)})
        self.assertEqual(shape(http('0/799/-1/-1/799', 'sQ', 503, 'be/<NOSRV>')),
                         {'server': (0, 799, 2), 'queue': (0, 799, 2)})

    def test_connect_failed_without_a_name_hangs_under_server(self):
        got = spans(http('1/2/-1/-1/9', 'SC', 503, 'be/<NOSRV>'))
        self.assertEqual([(s['role'], s['parent']) for s in got][-1], ('connect', 'server'))

    def test_answered_by_haproxy(self):
        for state, status in (('LR', 302), ('PR', 403)):
            self.assertEqual(shape(http('3/-1/-1/-1/5', state, status, 'fe/<NOSRV>')),
                             {'server': (0, 5, 0), 'request': (0, 5, 0)})
        self.assertEqual(shape(http('0/0/0/4/4', 'LH', 403)),
                         {'server': (0, 4, 0), 'client': (0, 4, 0), 'response': (0, 4, 0)})
        self.assertIsNone(spans(http('0/0/0/4/4', 'LH', 403))[1]['status_code'])

    def test_bad_request(self):
        line = http('-1/-1/-1/-1/1003', 'cR', 408, 'fe/<NOSRV>', request='<BADREQ>')
        self.assertEqual(shape(line), {'server': (0, 1003, 2), 'request': (0, 1003, 2)})
        self.assertEqual(spans(line)[0]['name'], 'HTTP')
        self.assertNotIn('http.request.method', spans(line)[0]['attrs'])

    def test_tarpit(self):
        line = http('-1/301/-1/-1/300', 'PT', 429, 'fe/<NOSRV>')
        self.assertEqual(shape(line), {'server': (0, 300, 0), 'tarpit': (0, 300, 0)})

    def test_client_went_away(self):
        self.assertEqual(shape(http('0/0/1/-1/9', 'CH', -1)), {
            'server': (0, 9, 2), 'client': (0, 9, 0), 'connect': (0, 1, 0), 'response': (1, 8, 2)})
        self.assertNotIn('http.response.status_code', spans(http('0/0/1/-1/9', 'CH', -1))[0]['attrs'])

    def test_logasap_has_no_data(self):
        got = spans(http('0/0/10/1/+11'))
        self.assertEqual([s['role'] for s in got], ['server', 'client', 'connect', 'response'])
        self.assertEqual(got[0]['end_ns'] - START, 11 * MS)
        self.assertIs(got[0]['attrs']['haspan.open_end'], True)

    def test_tcp_queue_is_one_less(self):
        line = '10.0.0.1:4000 [21/Nov/2026:08:15:44.900] fe be/t1 %s 61 %s 1/1/0/0/0 0/0'
        self.assertEqual(shape(line % ('6/2/24', '--')), {
            'server': (0, 24, 0), 'queue': (0, 5, 0), 'client': (5, 19, 0), 'connect': (5, 2, 0),
            'data': (7, 17, 0)})
        self.assertEqual(shape(line % ('2005/-1/2004', 'SC')), {
            'server': (0, 2004, 2), 'queue': (0, 2004, 0), 'client': (2004, 0, 2), 'connect': (2004, 0, 2)})
        self.assertEqual(shape(line % ('1/0/8', 'PR')), {'server': (0, 8, 2), 'request': (0, 8, 2)})
        self.assertEqual(spans(line % ('6/2/24', '--'))[0]['name'], 'tcp')

    def test_before_1_7(self):
        got = spans(http('7/0/0/20/30'), [oracle.FORMATS['httplog-old']])
        self.assertEqual([(s['role'], (s['end_ns'] - s['start_ns']) // MS) for s in got],
                         [('server', 30), ('request', 7), ('client', 23), ('response', 20), ('data', 3)])
        self.assertEqual(got[0]['attrs']['haproxy.timer.Tq'], 7)

    def test_error_line(self):
        got = spans('10.0.0.1:4000 [21/Nov/2026:08:15:44.900] fe/1: SSL handshake failure (error:1:a:b)')
        self.assertEqual([(s['name'], s['status'], s['start_ns'], s['end_ns']) for s in got],
                         [('connection', 2, START, START)])


class Meaning(unittest.TestCase):
    def test_status(self):
        def both(status):
            return [(s['status'], s['error_type']) for s in spans(http('0/0/0/5/5', status=status))[:2]]
        self.assertEqual(both(302), [(0, None), (0, None)])
        self.assertEqual(both(404), [(0, None), (2, '404')])
        self.assertEqual(both(503), [(2, '503'), (2, '503')])

    def test_attributes(self):
        server, client = spans(http('1/2/3/4/10', rc='+1', fe='fe~'))[0::3][:2]
        self.assertEqual(server['attrs'], {
            'http.request.method': 'GET', 'url.path': '/a', 'url.query': 'b=c', 'url.scheme': 'https',
            'network.protocol.version': '1.1', 'http.response.status_code': 200,
            'network.peer.address': '10.0.0.1', 'network.peer.port': 4000, 'client.address': '10.0.0.1',
            'haproxy.frontend.name': 'fe', 'haproxy.backend.name': 'be', 'haproxy.bytes_read': 68,
            'haproxy.termination_state': '----', 'haproxy.connections.active': 1,
            'haproxy.connections.frontend': 2, 'haproxy.connections.backend': 3, 'haproxy.queue.server': 5,
            'haproxy.queue.backend': 6, 'haproxy.timer.TR': 1, 'haproxy.timer.Tw': 2, 'haproxy.timer.Ta': 10})
        self.assertEqual(client['attrs'], {
            'http.request.method': 'GET', 'http.response.status_code': 200, 'haproxy.server.name': 's1',
            'haproxy.retries': 1, 'haproxy.redispatched': True, 'haproxy.connections.server': 4,
            'haproxy.timer.Tc': 3, 'haproxy.timer.Tr': 4})

    def test_without_client_server_says_it(self):
        attrs = spans(http('0/-1/-1/-1/0', 'LR', 200, 'be/<STATS>'))[0]['attrs']
        self.assertEqual(attrs['haproxy.server.name'], '<STATS>')
        self.assertEqual(attrs['haproxy.retries'], 0)
        self.assertNotIn('haproxy.timer.Tw', attrs)

    def test_requests(self):
        def attrs(request):
            return spans(http('0/0/0/5/5', request=request))[0]['attrs']
        h2 = attrs('GET https://example.com:8443/p?sig=1 HTTP/2.0')
        self.assertEqual((h2['url.path'], h2['url.query'], h2['network.protocol.version']),
                         ('/p', 'sig=REDACTED', '2'))
        self.assertEqual(h2['server.address'], 'example.com')
        self.assertEqual(attrs('GET /#22#C3#A9 HTTP/1.0')['url.path'], '/"\u00e9')
        cut = attrs('GET /very/lo')
        self.assertEqual(cut['url.path'], '/very/lo')
        self.assertNotIn('network.protocol.version', cut)
        self.assertEqual(attrs('BREW /pot HTTP/1.1')['http.request.method'], '_OTHER')
        self.assertNotIn('haspan.truncated', cut)
        self.assertIs(attrs(('GET /' + 'a' * 1023)[:1023])['haspan.truncated'], True)
        self.assertIs(spans(http('0/0/0/5/5')[:-5])[0]['attrs']['haspan.truncated'], True)
        self.assertNotIn('haspan.truncated', attrs('GET /%s HTTP/1.1' % ('a' * 1100)))

    def test_clf(self):
        got = spans('10.0.0.1 - - [21/Nov/2026:08:15:44 +0000] "GET /a HTTP/1.1" 200 68 "" "" 4000 007 '
                    '"fe" "be" "s1" 0 0 1 2 3 ---- 2 1 1 0 0 0 0 "" "" "%s" ""' % CAPTURED)
        self.assertEqual(got[0]['start_ns'], START - 893 * MS)
        self.assertIs(got[0]['attrs']['haspan.start_imprecise'], True)
        self.assertEqual(got[0]['trace_id'], CAPTURED[3:35])

    def test_microseconds(self):
        line = ('id=u sid=- in="" t=[21/Nov/2026:08:15:44.905] at=1795248944900367 fe=fe be=be srv=s1 '
                'addr=10.9.9.9:80 TR=0 Tw=0 Tc=0 Tr=5 Td=0 Ta=5 st=200 ts=---- m=GET')
        got = spans(line, [CUSTOM], CUSTOM_MAP)
        self.assertEqual(got[0]['start_ns'], 1795248944905367000)
        self.assertEqual(got[1]['attrs']['network.peer.address'], '10.9.9.9')


class Identity(unittest.TestCase):
    def test_captured_parent(self):
        got = spans(http('0/0/0/5/5', more=' {x|%s} {3}' % CAPTURED))
        self.assertEqual((got[0]['trace_id'], got[0]['parent']), tuple(CAPTURED.split('-')[1:3]))
        self.assertEqual(got[1]['trace_id'], got[0]['trace_id'])

    def test_unsampled_parent_is_left_out(self):
        self.assertEqual(spans(http('0/0/0/5/5', more=' {%s}' % (CAPTURED[:-1] + '0'))), [])
        self.assertEqual(len(spans(http('0/0/0/5/5', more=' {%s}' % (CAPTURED[:-1] + '3')))), 3)

    def test_named_captures(self):
        line = http('0/0/0/5/5', more=' {%s|h:80|lab #22q#22} {3}' % CAPTURED)
        server = spans(line, capture_request=['x', 'Host', 'User-Agent'], capture_response=['Content-Length'])[0]
        self.assertIsNone(server['parent'])             # none of them is named traceparent
        self.assertEqual(server['attrs']['http.request.header.user-agent'], ['lab "q"'])
        self.assertEqual(server['attrs']['http.response.header.content-length'], ['3'])

    def test_traceparent(self):
        t, p = '12345678901234567890123456789012', '1234567890123456'
        for good in ('00-%s-%s-01', ' \t00-%s-%s-01 ', 'cc-%s-%s-01', 'cc-%s-%s-01-what-the-future'):
            self.assertEqual(oracle.traceparent(good % (t, p)), (t, p, True), good)
        self.assertEqual(oracle.traceparent('00-%s-%s-02' % (t, p)), (t, p, False))
        for bad in ('00-%s-%s-01.', '00-%s-%s-01-what', 'cc-%s-%s-01.what', 'ff-%s-%s-01', '0-%s-%s-01',
                    '000-%s-%s-01', '.0-%s-%s-01', '00-%s-%s-1', '00-%s-%s-001', '00-%s-%s-0A'):
            self.assertIsNone(oracle.traceparent(bad % (t, p)), bad)
        self.assertIsNone(oracle.traceparent('00-%s-%s-01' % ('0' * 32, p)))
        self.assertIsNone(oracle.traceparent('00-%s-%s-01' % (t, '0' * 16)))

    def test_unique_id(self):
        line = ('id=7F000001:1 sid=%s in="%s" t=[21/Nov/2026:08:15:44.900] at=1795248944900000 fe=edge be=be '
                'srv=s1 addr=-:- TR=0 Tw=0 Tc=0 Tr=5 Td=0 Ta=5 st=200 ts=---- m=GET')
        digest = hashlib.sha256(b'7F000001:1|edge').hexdigest()
        server, client, _ = spans(line % ('-', ''), [CUSTOM], CUSTOM_MAP)
        self.assertEqual(server['trace_id'], hashlib.sha256(b'7F000001:1').hexdigest()[:32])
        self.assertEqual((client['span_id'], server['span_id']), (digest[:16], digest[16:32]))
        server, client, _ = spans(line % ('0db2824fdf612e45', CAPTURED), [CUSTOM], CUSTOM_MAP)
        self.assertEqual((client['span_id'], server['span_id']), ('0db2824fdf612e45', digest[16:32]))
        self.assertEqual((server['trace_id'], server['parent']), tuple(CAPTURED.split('-')[1:3]))


class Lines(unittest.TestCase):
    def test_envelopes(self):
        line = http('0/0/0/5/5')
        bare = spans(line)
        for head in ('<134>Nov 21 08:15:44 localhost haproxy[8904]: ', '<134>Nov  1 08:15:44 haproxy[8904]: ',
                     '<134>1 2026-11-21T08:15:44.922103+00:00 - haproxy 8904 - - ',
                     '<134>1 2026-11-21T08:15:44.922103+00:00 h haproxy 8904 - [a@1 b="c\\]d"] ',
                     '2026-11-21T08:15:44.922113+00:00 ', '<6>2026-11-21T08:15:44.922113+00:00 ', '<134>'):
            self.assertEqual(spans(head + line), bare, head)

    def test_zone(self):
        line = '2026-11-21T10:15:44.922113+02:00 ' + http('0/0/0/5/5').replace(':08:', ':10:')
        fmt = [oracle.Format(oracle.HTTPLOG)]
        self.assertEqual(oracle.expect_line(line, fmt, oracle.Options())[0]['start_ns'], START)
        # 25 Oct 2026 02:30 came twice in Berlin; the line was written in the second hour
        line = '2026-10-25T01:30:01+00:00 ' + http('0/0/0/5/5')
        line = line.replace('21/Nov/2026:08:15:44', '25/Oct/2026:02:30:00')
        options = oracle.Options(zone=oracle.zone_of('Europe/Berlin'))
        self.assertEqual(oracle.expect_line(line, fmt, options)[0]['start_ns'], 1792891800900 * MS)

    def test_not_traffic(self):
        for line in ('', 'Proxy fe started.', 'Server be/s1 is UP.', '{"a": 1}'):
            self.assertIsNone(spans(line))

    def test_json_text(self):
        text = ('{"t":"%tr","fe":"%f","s":"%s","TR":%TR,"Tw":%Tw,"Tc":%Tc,"Tr":%Tr,"Ta":%Ta,"m":"%HM",'
                '"p":"%[capture.req.uri,json(utf8s)]","tp":"%[capture.req.hdr(0)]"}')
        line = ('{"t":"21/Nov/2026:08:15:44.900","fe":"fe","s":"s1","TR":0,"Tw":0,"Tc":0,"Tr":5,"Ta":5,"m":"GET",'
                '"p":"\\/a?b=c","tp":"%s"}')
        server = spans(line % CAPTURED, [text])[0]
        self.assertEqual((server['attrs']['url.path'], server['parent']), ('/a', 'e1ffee0151ba5687'))
        self.assertIsNone(spans(line % '-', [text])[0]['parent'])


class Objects(unittest.TestCase):
    ENCODED = '%{+json}o %(t)tr %(fe)f %(s)s %(TR)TR %(Tw)Tw %(Tc)Tc %(Tr)Tr %(Ta)Ta %(m)HM %(p)HP %(hrl)hrl'

    def match(self, text, line):
        return oracle.ObjectFormat(text).match(line)

    def test_json(self):
        line = ('{"t": "21/Nov/2026:08:15:44.900", "fe": "fe\xff", "Ta": "5", "TR": 0.0, "s": null, "Tr": -1, "m": "", '
                '"p": "\\/#41\\u00e9\\ud83d", "hrl": ["a", "-"], "more": [1]}')
        got = self.match(self.ENCODED, line)
        self.assertEqual((got['f'], got['Ta'], got['TR'], got['Tr']), ('fe\xff', '5', '0', '-1'))
        self.assertEqual(got['HP'], '/A\xc3\xa9\xef\xbf\xbd')
        self.assertEqual(got['hr'], '{a|-}')
        self.assertFalse(got.keys() & {'s', 'HM'})
        for bad in ('', '[]', line[:-1], line + '}', line.replace('"5"', '"x"'), '{"t": 1}'):
            self.assertIsNone(self.match(self.ENCODED, bad), bad)

    def test_cbor(self):
        # appendix A of RFC 8949
        for text, value in (('00', 0), ('1903e8', 1000), ('3863', -100), ('f93e00', 1.5), ('fb3ff199999999999a', 1.1),
                            ('f5', True), ('f6', None), ('62c3bc', '\xfc'), ('8301820203820405', [1, [2, 3], [4, 5]]),
                            ('9f018202039f0405ffff', [1, [2, 3], [4, 5]]), ('a26161016162820203', [('a', 1), ('b', [2, 3])]),
                            ('7f657374726561646d696e67ff', 'streaming'), ('bf6346756ef563416d7421ff', [('Fun', True), ('Amt', -2)]),
                            ('c074323031332d30332d32315432303a30343a30305a', '2013-03-21T20:04:00Z'),
                            ('5f42010243030405ff', b'\1\2\3\4\5')):
            self.assertEqual(oracle.Cbor(bytes.fromhex(text)).item(), value, text)
        self.assertIsNone(oracle.cbor_object('BF6161'))
        self.assertEqual(oracle.cbor_object('BF616101FF'), [('a', '1')])
        self.assertEqual(oracle.cbor_object('\xbfaa\x01\xff'), [('a', '1')])

    def test_text_in_another_spelling(self):
        text = '{"t":"%tr","x":{"Ta":%Ta,"r":["%HM",%ST]},"both":"%f/%b"}'
        got = self.match(text, '{ "x": {"r": ["GET", "200"], "Ta": 7}, "both": "a/b", "t": "21/Nov/2026:08:15:44.900" }')
        self.assertEqual(got, {'HM': 'GET', 'ST': '200', 'Ta': '7', 'tr': '21/Nov/2026:08:15:44.900'})


class Compare(unittest.TestCase):
    """compare.py finds what is wrong and nothing else"""

    def setUp(self):
        self.expected, self.got = [], []
        for number, times in enumerate(('10/20/30/40/150', '0/0/0/5/5'), 1):
            ids = {}
            for i, s in enumerate(spans(http(times, status=503)), 1):
                ids[s['role']] = '%015x%x' % (number, i)
                self.expected.append({'line': number, **s})
                error = {'error.type': s['error_type']} if s['error'] else {}
                self.got.append({'name': s['name'], 'kind': s['kind'], 'trace_id': '%032x' % number,
                                 'id': ids[s['role']], 'above': ids.get(s['parent']), 'status': s['status'],
                                 'start_ns': s['start_ns'], 'end_ns': s['end_ns'],
                                 'attrs': {**s['attrs'], **error}, 'twice': set()})

    def differences(self):
        return list(compare.compare(self.expected, self.got))

    def test_equal(self):
        self.assertEqual(self.differences(), [])

    def test_each_mistake_is_found(self):
        right = copy.deepcopy(self.got)
        for i, change in ((0, {'name': 'POST'}), (1, {'end_ns': START + 9 * MS}), (3, {'above': None}),
                          (6, {'end_ns': START + 151 * MS}), (2, {'kind': 3}), (4, {'status': 2}),
                          (5, {'id': right[4]['id']}), (5, {'id': '0' * 16}), (7, {'trace_id': '0' * 32}),
                          (0, {'attrs': {**right[0]['attrs'], 'haproxy.timer.Tc': 30}}),
                          (0, {'attrs': {**right[0]['attrs'], 'haproxy.backend.name': 'x'}}),
                          (6, {'attrs': {'error.type': 'x'}}), (0, {'twice': {'a'}})):
            self.got = copy.deepcopy(right)
            self.got[i].update(change)
            self.assertTrue(self.differences(), (i, change))

    def test_missing_request(self):
        del self.got[:7]
        found = self.differences()
        self.assertEqual(len(found), 2, found)
        self.assertIn('missing', found[1])


if __name__ == '__main__':
    unittest.main()
