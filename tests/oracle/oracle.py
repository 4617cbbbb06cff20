#!/usr/bin/env python3
"""The spans that HAProxy log lines must become, worked out without haspan.

    oracle.py [--format NAME,NAME...] [--format-string TEXT]... [options] FILE

prints one JSON object per expected span and line, in the order haspan writes
them.  Written from the contract and from HAProxy's definition of its timers;
it shares no code with haspan, and compare.py holds one against the other.

Text formats, JSON and CBOR as a format describes them, and W3C trace context only.
A line that no format fits is left out and counted on stderr, and so is a request
whose parent says "not sampled".
"""
import argparse
import calendar
import hashlib
import json
import re
import struct
import sys
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

HTTPLOG = ('%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc '
           '%ac/%fc/%bc/%sc/%rc %sq/%bq %hr %hs %{+Q}r')
FORMATS = {
    'httpslog': HTTPLOG + ' %[fc_err]/%[ssl_fc_err,hex]/%[ssl_c_err]/%[ssl_c_ca_err]/'
                          '%[ssl_fc_is_resumed] %[ssl_fc_sni]/%sslv/%sslc',
    'httplog': HTTPLOG,
    'tcplog': '%ci:%cp [%t] %ft %b/%s %Tw/%Tc/%Tt %B %ts %ac/%fc/%bc/%sc/%rc %sq/%bq',
    'httplog-clf': '%{+Q}o %{-Q}ci - - [%trg] %r %ST %B "" "" %cp %ms %ft %b %s %TR %Tw %Tc '
                   '%Tr %Ta %tsc %ac %fc %bc %sc %rc %sq %bq %CC %CS %hrl %hsl',
    'tcplog-clf': '%{+Q}o %{-Q}ci - - [%T] "TCP " 000 %B "" "" %cp %ms %ft %b %s %Th %Tw %Tc '
                  '%Tt %U %ts-- %ac %fc %bc %sc %rc %sq %bq "" "" ',
    # the layout of 1.6 and before; by shape it is httplog, so ask for it by name
    'httplog-old': '%ci:%cp [%t] %ft %b/%s %Tq/%Tw/%Tc/%Tr/%Tt %ST %B %CC %CS %tsc '
                   '%ac/%fc/%bc/%sc/%rc %sq/%bq %hr %hs %{+Q}r',
    'error': None,                                      # not a log-format: ERROR_LINE
}
DEFAULT_FORMATS = 'httpslog,httplog,tcplog,tcplog-clf,httplog-clf,error'

TIMERS = 'Th Ti TR Tw Tc Tr Td Ta Tt Tq'.split()
NUMBERS = set(TIMERS) | set('ST B U ac fc bc sc rc sq bq'.split())
HTTP_ONLY = set('ST TR Tr Ta Ti Tq tr trg trl r HM HP HPO HU HQ HV CC CS hr hs hrl hsl'.split())
# Those whose text HAProxy writes with bytes as #XX; all else is raw.
ESCAPED = set('r HM HP HPO HU HQ HV'.split())
FETCHES = {'unique-id': 'ID', 'src': 'ci', 'src_port': 'cp', 'txn.status': 'ST', 'method': 'HM',
           'fe_name': 'f', 'be_name': 'b', 'srv_name': 's', 'txn.sess_term_state': 'tsc',
           'accept_date(us)': 'at_us', 'request_date(us)': 'rt_us',
           'capture.req.method': 'HM', 'capture.req.uri': 'HU', 'capture.req.ver': 'HV',
           'fc.timer.handshake': 'Th', 'req.timer.idle': 'Ti', 'req.timer.hdr': 'TR',
           'req.timer.queue': 'Tw', 'bc.timer.connect': 'Tc', 'res.timer.hdr': 'Tr',
           'res.timer.data': 'Td', 'txn.timer.total': 'Ta', 'fc.timer.total': 'Tt',
           'req.timer.tq': 'Tq'}

MONTHS = 'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split()
DATE = r'\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d'
PATTERN = {'t': DATE + r'\.\d{3}', 'tr': DATE + r'\.\d{3}', 'b': r'[^/\s]*?', 'cp': r'\d+|-',
           'ts': r'[-A-Za-z]{2}', 'tsc': r'[-A-Za-z0-9]{4}', 'Ts': r'\d+', 'ms': r'\d{1,3}',
           **{a: DATE + r' [+-]\d{4}' for a in ('T', 'Tl', 'trg', 'trl')},
           **{a: r'\S*?' for a in ('ci', 'f', 'ft', 's', 'ID')},
           **{a: r'\+?-?\d+' for a in NUMBERS}}
ITEM = re.compile(r'%(?:%|(?:\((?P<name>[^)]*)\))?(?:\{(?P<flags>[^}]*)\})?'
                  r'(?:\[(?P<expr>[^\]]*)\]|(?P<alias>[A-Za-z]+)))')
ERROR_LINE = re.compile(r'(?:(?P<ci>\S+):(?P<cp>\d+)|unknown) \[(?P<t>%s\.\d{3})\] '
                        r'(?P<f>[^/\s]+)/\S+: \S.*' % DATE)


class Format:
    """A log-format text as a regular expression."""

    def __init__(self, text, names=()):
        """names: what --map says, {expression or alias: name}"""
        self.items = []                     # (key, expression or None), in the order of groups
        out, pos, all_q = '', 0, False
        for m in ITEM.finditer(text):
            out += self._literal(text[pos:m.start()])
            pos = m.end()
            alias, expr, flags = m['alias'], m['expr'], m['flags'] or ''
            if m[0] == '%%':
                out += '%'
            elif alias == 'o':
                all_q = '+Q' in flags
                pos += len(text[pos:]) - len(text[pos:].lstrip())       # %o itself writes nothing
            else:
                bare = re.sub(r',json(\([^)]*\))?$', '', expr) if expr else alias
                key = dict(names).get(expr or alias) or (FETCHES.get(bare, bare) if expr else alias)
                self.items.append((key, expr))
                quoted = '+Q' in flags or all_q and '-Q' not in flags
                group = '(?P<f%d>%%s)' % (len(self.items) - 1)
                if key in ('hr', 'hs', 'hrl', 'hsl'):   # absent with the space before it
                    body = r'"?\{[^{}]*\}"?' if len(key) == 2 else \
                        r'"[^"]*"(?: "[^"]*")*' if quoted else r'\S.*?'
                    out = re.sub(r'\\s\+$', '', out) + r'(?:\s*%s)?' % (group % body)
                else:
                    body = PATTERN.get(key, '.*?')
                    if quoted:              # no quote in an escaped one; cut by syslog: none after it
                        body = '"[^"]*"?' if key in ESCAPED else '".*?"|' + body
                    out += group % body
        self.regex = re.compile(out + self._literal(text[pos:].rstrip()) + r'\s*', re.S)
        self.keys = {key for key, _ in self.items}
        self.tcp = not self.keys & HTTP_ONLY
        if not self.keys & {'Ta', 'Tt'}:
            raise ValueError('neither %Ta nor %Tt: no length')

    @staticmethod
    def _literal(text):
        return ''.join(r'\s+' if part.isspace() else re.escape(part)
                       for part in re.split(r'(\s+)', text) if part)

    def match(self, message):
        """{key: text}, absent values left out; None if it does not fit"""
        m = self.regex.fullmatch(message)
        if not m:
            return None
        values = {}
        for i, (key, expr) in enumerate(self.items):
            text = m['f%d' % i] or ''
            if key not in ('hrl', 'hsl') and re.match('"', text):
                if len(text) < 2 or not text.endswith('"'):
                    values['cut'] = text                # by the length limit of syslog or of a ring
                text = text[1:].removesuffix('"')
            if expr and re.search(r',json(\(|$)', expr):
                try:
                    text = json.loads('"%s"' % text)
                except ValueError:
                    pass
            if key in ESCAPED and not expr:
                text = unescape(text)
            if text not in ('', '-'):
                values.setdefault(key, text)
        return values


def latin(text):
    """A decoded string as it would stand in a line read as Latin-1, one character a byte"""
    return ''.join(chr(ord(c) - 0xdc00) if '\udc80' <= c <= '\udcff' else
                   '\xef\xbf\xbd' if '\ud800' <= c <= '\udfff' else
                   c.encode('utf-8').decode('latin-1') for c in text)


def json_object(message):
    """The pairs of a JSON object, nested ones with dotted names; None if it is none"""
    try:
        # bytes that are no UTF-8 become lone surrogates, and come back by latin()
        text = message.encode('latin-1').decode('utf-8', 'surrogateescape')
        pairs = json.JSONDecoder(strict=False, object_pairs_hook=Pairs).decode(text)
    except ValueError:
        return None
    return list(flatten(pairs)) if isinstance(pairs, Pairs) else None


class Pairs(list):
    """An object: its members in order, with duplicates"""


def flatten(pairs, path=''):
    for key, value in pairs:
        name = path + (latin(key) if isinstance(key, str) else str(key))
        if isinstance(value, Pairs):
            yield from flatten(value, name + '.')
        elif isinstance(value, list):
            yield name, [scalar(v) for v in value]
            yield from flatten(enumerate(value), name + '.')
        else:
            yield name, scalar(value)


def scalar(value):
    if isinstance(value, (bool, type(None))):
        return {True: 'true', False: 'false', None: None}[value]
    if isinstance(value, bytes):
        return value.hex().upper()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return latin(value) if isinstance(value, str) else str(value)


class Cbor:
    """RFC 8949, as much of it as logs need"""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        piece = self.data[self.at:self.at + n]
        if len(piece) < n:
            raise ValueError('cut')
        self.at += n
        return piece

    def head(self):
        first = self.take(1)[0]
        major, info = first >> 5, first & 31
        if info in (28, 29, 30):
            raise ValueError('reserved')
        if info < 24:
            return major, info, info
        if info == 31:
            return major, info, None
        return major, info, int.from_bytes(self.take(1 << (info - 24)), 'big')

    def ends(self):
        if self.data[self.at:self.at + 1] == b'\xff':
            self.at += 1
            return True
        return False

    def until_break(self, n, one):
        out = []
        while (n is None and not self.ends()) or (n is not None and len(out) < n):
            out.append(one())
        return out

    def item(self):
        major, info, n = self.head()
        if major in (0, 1):
            return n if major == 0 else -1 - n
        if major in (2, 3):
            raw = self.take(n) if n is not None else b''.join(self.until_break(None, lambda: self.chunk(major)))
            return raw if major == 2 else raw.decode('utf-8', 'surrogateescape')
        if major == 4:
            return self.until_break(n, self.item)
        if major == 5:
            return Pairs(self.until_break(n, lambda: (self.item(), self.item())))
        if major == 6:
            return self.item()
        if info in (25, 26, 27):
            return struct.unpack({25: '>e', 26: '>f', 27: '>d'}[info], n.to_bytes(1 << (info - 24), 'big'))[0]
        return {20: False, 21: True}.get(info)

    def chunk(self, major):
        got, _, n = self.head()
        if got != major or n is None:
            raise ValueError('a chunk of another kind')
        return self.take(n)


def cbor_object(message):
    try:
        data = message.encode('latin-1')
        if data[:1].hex() != 'bf':
            data = bytes.fromhex(message) if re.fullmatch('[0-9A-Fa-f]+', message) else b''
        reader = Cbor(data)
        pairs = reader.item()
    except (ValueError, TypeError):
        return None
    return list(flatten(pairs)) if isinstance(pairs, Pairs) and reader.at == len(data) else None


class ObjectFormat:
    """A format whose lines have members: %{+json}o, %{+cbor}o, or a JSON text with fields in it"""

    def __init__(self, text, names=()):
        first = ITEM.match(text)
        self.strict = bool(first and first['alias'] == 'o' and re.search(r'\+(json|cbor)', first['flags'] or ''))
        self.read = cbor_object if self.strict and '+cbor' in first['flags'] else json_object
        self.items = {}                     # path: [(key, expression or None)] in their order
        if self.strict:
            for m in ITEM.finditer(text, first.end()):
                if m['name']:
                    self.items.setdefault(m['name'].split(':')[0], []).append(self.item(m, names))
        else:
            self.from_text(text, names)
        self.keys = {key for items in self.items.values() for key, _ in items}
        self.tcp = not self.keys & HTTP_ONLY
        if not self.keys & {'Ta', 'Tt'}:
            raise ValueError('neither %Ta nor %Tt: no length')

    @staticmethod
    def item(m, names):
        bare = re.sub(r',json(\([^)]*\))?$', '', m['expr']) if m['expr'] else m['alias']
        wanted = dict(names)
        return (wanted.get(m['expr'] or m['alias']) or wanted.get(bare) or
                (FETCHES.get(bare, bare) if m['expr'] else bare)), m['expr']

    def from_text(self, text, names):
        """The text with a mark for each field must be a JSON object"""
        marks, out, pos = {}, '', 0
        for m in ITEM.finditer(text):
            out += text[pos:m.start()]
            pos = m.end()
            inside = len(re.findall(r'(?<!\\)"', out)) % 2
            mark = 'field-%d' % len(marks)
            marks[mark] = self.item(m, names)
            out += mark if inside else '"%s"' % mark
        for path, value in json_object(out + text[pos:]) or ():
            if isinstance(value, str) and value in marks:
                self.items.setdefault(path, []).append(marks[value])

    def match(self, message):
        pairs = self.read(message.removeprefix('@cee:').strip())
        if pairs is None:
            return None
        values, used, known = {}, {}, 0
        for path, value in pairs:
            if path not in self.items:
                continue
            items = self.items[path]
            key, expr = items[min(used.get(path, 0), len(items) - 1)]
            used[path] = used.get(path, 0) + 1
            known += 1
            if isinstance(value, list):
                if key not in ('hr', 'hrl', 'hs', 'hsl'):
                    continue
                value = '{%s}' % '|'.join(v or '' for v in value)
                key = key[:2]
            if value in (None, '', '-'):
                continue
            if key in NUMBERS and not re.fullmatch(r'[+-]?\d+', value):
                return None
            values[key] = unescape(value) if key in ESCAPED and not expr else value
        dated = values.keys() & {'t', 'tr', 'T', 'Tl', 'trg', 'trl', 'Ts', 'at_us', 'rt_us'}
        timed = values.keys() & {'Ta', 'Tt', 'Td', 'Tr'}
        return values if 2 * known >= len(self.items) and dated and timed else None


def make_formats(text, names):
    """The formats of one text, first the one that its lines fit as HAProxy wrote them"""
    if re.match(r'%\{[^}]*\+(json|cbor)', text):
        return [ObjectFormat(text, names)]
    formats = [Format(text, names)]
    if text.startswith('{'):
        try:
            formats.append(ObjectFormat(text, names))
        except ValueError:
            pass
    return formats


# ---------------------------------------------------------------- small helpers

def unescape(text):
    return re.sub('#([0-9A-F]{2})', lambda m: chr(int(m[1], 16)), text)


def utf8(text):
    """Lines are read as Latin-1, one character a byte; this is what is sent."""
    return text.encode('latin-1', 'replace').decode('utf-8', 'replace') if text else text


def negative(timer):
    return timer is not None and timer < 0


def traceparent(text):
    """(trace id, parent id, sampled) by W3C level 2, or None"""
    m = re.fullmatch('([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?',
                     (text or '').strip(' \t'))
    if not m or m[1] == 'ff' or m[1] == '00' and m[5] or not int(m[2], 16) or not int(m[3], 16):
        return None
    return m[2], m[3], bool(int(m[4], 16) & 1)


def hex_id(text, digits):
    return text.lower() if text and re.fullmatch('[0-9a-fA-F]{%d}' % digits, text) \
        and int(text, 16) else None


STAMP = r'(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?)(Z|[+-]\d\d:\d\d) '
ENVELOPES = [re.compile(p, re.S) for p in (
    r'<\d+>1 ' + STAMP + r'\S+ \S+ \S+ \S+ (?:-|(?:\[(?:[^\]\\]|\\.)*\])+) (.*)',       # RFC 5424
    r'<\d+>()()[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d (?:\S+ )?[^\s\[:]+(?:\[\d+\])?: (.*)',  # 3164
    r'(?:<\d+>)?' + STAMP + '(.*)',                                                      # timed, iso
    r'<\d+>()()(.*)')]                                                                   # priority


def peel(line):
    """(message, moment of writing or None, its offset or None)"""
    for envelope in ENVELOPES:
        m = envelope.fullmatch(line)
        if m and m[1] and m[2] != '-00:00':             # -00:00: zone unknown
            wrote = datetime.fromisoformat(m[1] + m[2].replace('Z', '+00:00'))
            return m[3], wrote, wrote.utcoffset()
        if m:
            return m[3], None, None
    return line, None, None


def zone_of(text):
    m = re.fullmatch(r'([+-])(\d\d):?(\d\d)', text)
    if m:
        return timezone(int(m[1] + '1') * timedelta(hours=int(m[2]), minutes=int(m[3])))
    return ZoneInfo(text)


def epoch_ms(text, zone, near=None):
    """A HAProxy date.  zone None: the machine's.  near: the moment (epoch ms) that chooses
    between the two readings of an hour that summer time ends in."""
    m = re.fullmatch(r'(\d\d)/(\w{3})/(\d{4}):(\d\d):(\d\d):(\d\d)(?:\.(\d{3}))?(?: ([+-]\d{4}))?', text)
    parts = [int(m[3]), MONTHS.index(m[2]) + 1] + [int(m[i]) for i in (1, 4, 5, 6)]
    ms = int(m[7] or 0)
    if m[8]:
        offset = int(m[8][0] + '1') * (int(m[8][1:3]) * 3600 + int(m[8][3:]) * 60)
        return (calendar.timegm(parts) - offset) * 1000 + ms
    both = [int(datetime(*parts, fold=fold, tzinfo=zone).timestamp()) * 1000 + ms for fold in (0, 1)]
    return both[0] if near is None else min(both, key=lambda t: abs(t - near))


# ---------------------------------------------------------------- one request

ORDER = ['request', 'queue', 'tarpit', 'connect', 'response', 'data']
UPSTREAM = ['connect', 'response', 'data']              # the phases that are CLIENT's
LETTERS = {'R': 'request', 'Q': 'queue', 'C': 'connect', 'H': 'response', 'D': 'data', 'L': 'data'}
METHODS = set('CONNECT DELETE GET HEAD OPTIONS PATCH POST PUT TRACE'.split())
SECRET = re.compile('(^|&)(AWSAccessKeyId|Signature|sig|X-Amz-Signature|X-Amz-Credential|'
                    'X-Amz-Security-Token|X-Goog-Signature)=[^&]*')
PLAIN = {'b': 'backend.name', 'ID': 'unique_id', 'B': 'bytes_read', 'U': 'bytes_uploaded',
         'ac': 'connections.active', 'fc': 'connections.frontend', 'bc': 'connections.backend',
         'sq': 'queue.server', 'bq': 'queue.backend'}
PROPAGATION = {'traceparent', 'tracestate', 'baggage', 'b3', 'uber-trace-id', 'x-amzn-trace-id'}


class Options:
    def __init__(self, phases='auto', zone=None, capture_request=(), capture_response=(), chosen_id=False):
        self.chosen_id = chosen_id
        self.phases, self.zone = phases, zone
        self.capture_request = [n.strip().lower() for n in capture_request]
        self.capture_response = [n.strip().lower() for n in capture_response]


def failed_phase(state, t):
    """The phase that failed by the termination state, or None"""
    first, letter = state[0], state[1]
    if first == '-' or first + letter in ('LR', 'LH', 'LC'):
        return None
    if first + letter == 'PR' and t['TR'] is not None and t['TR'] >= 0:
        return None                                     # answered as it was told to
    if first + letter == 'SC' and negative(t['Tw']):
        return 'queue'                                  # no server to be had
    if letter == 'D' and negative(t['Tr']):
        return 'response'
    return LETTERS.get(letter)


def reached_phases(t, tcp, failed, open_end):
    """[(role, ms)], left to right; the length of the last one is not used."""
    if tcp:
        # a TCP stream has no request date, which makes Tw one more than it is
        walk = [('queue', t['Tw'] if t['Tw'] is None or t['Tw'] < 0 else max(0, t['Tw'] - 1)),
                ('connect', t['Tc'])]
        if failed == 'request':
            walk = []
    else:
        walk = [('request', t['TR']), ('queue', t['Tw']), ('connect', t['Tc']), ('response', t['Tr'])]
    walk.append(('data', -1 if open_end or negative(t['Td']) else 0))
    reached = []
    for role, ms in walk:
        if role == failed:
            break
        if ms is None or ms < 0:
            break
        reached.append((role, ms))
    if failed:
        reached = [p for p in reached if ORDER.index(p[0]) < ORDER.index(failed)] + [(failed, 0)]
    return reached


def captured(values, options):
    """([request values], [response values]), '' for an absent one"""
    def block(brief, full):
        text = values.get(full, '')
        got = values[brief].strip('"')[1:-1].split('|') if brief in values \
            else re.findall('"([^"]*)"', text) if text.startswith('"') else text.split()
        return ['' if v == '-' else unescape(v) for v in got]
    request, response = block('hr', 'hrl'), block('hs', 'hsl')
    if 'hrl' in values and options.capture_request:     # the two lists run into one another
        n = len(options.capture_request)
        request, response = request[:n], request[n:] + response
    for key, value in values.items():
        m = re.fullmatch(r'capture\.(req|res)\.hdr\((\d+)\)', key)
        if m:
            slots = request if m[1] == 'req' else response
            slots.extend([''] * (int(m[2]) + 1 - len(slots)))
            slots[int(m[2])] = value
    return request, response


def uri_parts(uri):
    """(scheme, host, path, query), each None if not known"""
    m = re.fullmatch(r'([A-Za-z][A-Za-z0-9+.-]*)://([^/?]*)(.*)', uri, re.S)
    scheme, host, rest = (m[1].lower(), m[2], m[3] or '/') if m else (None, None, uri)
    if not rest.startswith(('/', '?')):                 # '*', or CONNECT's host:port
        return scheme, host, None, None
    path, _, query = rest.partition('?')
    return scheme, host, path or '/', query or None


def cut_request(line):
    """Did HAProxy cut the request line?  It keeps 1023 bytes (tune.http.logurilen), so the version is gone."""
    return line is not None and len(line) >= 1023 and not re.search(r' HTTP/\d\S*$', line)


def http_attributes(values, headers):
    """(name, SERVER's, CLIENT's)"""
    method, uri, version = values.get('HM'), None, values.get('HV')
    line = values.get('r')
    if line and line != '<BADREQ>':
        # HAProxy cuts a long line: then the version is missing, or a part of the URI too
        m = re.fullmatch(r'(\S+)(?: (.*?))?(?: (HTTP/\d\S*))?', line, re.S)
        method, uri, version = (m[1], m[2], m[3]) if m else (None, None, None)
    uri = uri or values.get('HU') or values.get('HP') or values.get('HPO')
    attrs, name = {}, 'HTTP'
    if method and method != '<BADREQ>':
        known = method in METHODS
        name = method if known else 'HTTP'
        attrs['http.request.method'] = method if known else '_OTHER'
        if not known:
            attrs['http.request.method_original'] = utf8(method)
    client = dict(attrs)
    if not attrs:
        return name, attrs, client
    scheme, host, path, query = uri_parts(uri) if uri else (None,) * 4
    query = query or (values.get('HQ') or '').removeprefix('?') or None
    if path and path != '<BADREQ>':
        attrs['url.path'] = utf8(path)
    if query:
        attrs['url.query'] = utf8(SECRET.sub(r'\1\2=REDACTED', query))
    m = re.fullmatch(r'HTTP/(\d)(?:\.(\d))?', version or '')
    if m:
        attrs['network.protocol.version'] = m[1] if m[1] in '23' else '%s.%s' % (m[1], m[2] or 0)
    tls = None if 'ft' not in values else 'https' if values['ft'].endswith('~') else 'http'
    if scheme is None or tls in (None, scheme):         # two answers: no prediction
        attrs['url.scheme'] = scheme or tls
    host = host or headers.get('host')
    if host and '[' not in host and '@' not in host \
            and not headers.keys() & {'x-forwarded-host', 'forwarded'}:     # they would win
        attrs['server.address'] = utf8(host.rpartition(':')[0] or host)
    if headers.get('user-agent'):
        attrs['user_agent.original'] = utf8(headers['user-agent'])
    return name, {k: v for k, v in attrs.items() if v is not None}, client


def start_us(values, t, fmt, zone, near):
    """(microseconds since 1970, True if the log says no better than about a second)"""
    number = {k: int(values[k]) for k in ('at_us', 'rt_us', 'ms', 'Ts') if k in values}
    if 'rt_us' in number:
        return number['rt_us'], False
    if 'tr' in values:
        # a request's date is the accept date plus whole ms: the digits below are accept's
        return epoch_ms(values['tr'], zone, near) * 1000 + number.get('at_us', 0) % 1000, False
    accept, rough = number.get('at_us'), False
    if accept is None and 't' in values:
        accept = epoch_ms(values['t'], zone, near) * 1000
    if accept is None and values.keys() & {'trg', 'trl'}:
        stamp = epoch_ms(values.get('trg') or values['trl'], zone)
        return (stamp + number.get('ms', 0)) * 1000, True
    if accept is None and values.keys() & {'T', 'Tl', 'Ts'}:
        stamp = number['Ts'] * 1000 if 'Ts' in number else epoch_ms(values.get('T') or values['Tl'], zone)
        accept, rough = (stamp + number.get('ms', 0)) * 1000, 'ms' not in number
    if accept is None:
        raise ValueError('no date in the line')
    if not fmt.tcp and 'TR' in fmt.keys:                # TCP and the old timers count from accept
        accept += (max(0, t['Th'] or 0) + max(0, t['Ti'] or 0)) * 1000
    return accept, rough


def identity(values, parent, frontend, chosen_id=False):
    """(trace id, SERVER's id, CLIENT's id), None where it is a hash we do not want to know.

    chosen_id: a client can choose the unique id, so that ids are made of the line.
    """
    uid = b'' if chosen_id else values.get('ID', '').encode('latin-1')
    digest = hashlib.sha256(uid + b'|' + (frontend or '').encode('latin-1')).hexdigest()
    made = uid and frontend
    trace = parent[0] if parent else hex_id(values.get('trace_id'), 32)
    if not trace and uid:
        trace = hashlib.sha256(uid).hexdigest()[:32]
    return (trace, digest[16:32] if made else None,
            hex_id(values.get('span_id'), 16) or (digest[:16] if made else None))


def span(role, name, kind, parent, trace, span_id, bounds, failed, attrs, error_type=None):
    return {'name': name, 'kind': kind, 'role': role, 'parent': parent, 'trace_id': trace,
            'span_id': span_id, 'start_ns': bounds[0], 'end_ns': bounds[1],
            'status': 2 if failed else 0, 'error': failed, 'error_type': error_type,
            'status_code': attrs.get('http.response.status_code'), 'attrs': attrs}


def peer(address, port):
    """network.peer.*; for a unix socket HAProxy writes 'unix' and a number: not predicted"""
    if not address or address == 'unix':
        return {}
    return {'network.peer.address': address, **({'network.peer.port': int(port)} if port else {})}


def expect(values, fmt, options, zone=None, near=None):
    """The spans of one line, [] if the parent was not sampled"""
    plus = {k for k in NUMBERS if values.get(k, '').startswith('+')}
    num = {k: int(values[k].lstrip('+')) for k in NUMBERS if k in values}
    t = {k: num.get(k) for k in TIMERS}
    if 'TR' not in fmt.keys:
        t['TR'] = t['Tq']                               # before 1.7
    open_end = bool(plus & {'Ta', 'Tt'})
    total = max(0, next((t[k] for k in ('Ta', 'Tt') if t[k] is not None), 0))
    if near is not None:
        near -= total                                   # what was written then is the end
    us, rough = start_us(values, t, fmt, zone, near)
    start, end = us * 1000, us * 1000 + total * 1000000
    state = (values.get('tsc') or values.get('ts') or '--').ljust(2, '-')

    # who
    request, response = captured(values, options)
    headers = dict(zip(options.capture_request, request))
    if 'traceparent' in values:
        parent = traceparent(values['traceparent'])
    elif options.capture_request:
        parent = traceparent(headers.get('traceparent'))
    else:
        parent = next(filter(None, map(traceparent, request)), None)
    if parent and not parent[2]:
        return []
    frontend = (values.get('f') or values.get('ft') or '').rstrip('~') or None
    trace, server_id, client_id = identity(values, parent, frontend, options.chosen_id)

    # when
    if state[1] == 'T':
        failed, phases = None, [('tarpit', 0)]
    else:
        failed = failed_phase(state, t)
        phases = reached_phases(t, fmt.tcp, failed, open_end)
    bounds, at = {}, start
    for role, ms in phases:
        stop = end if role == phases[-1][0] else min(end, at + ms * 1000000)
        bounds[role] = (at, stop)
        at = stop
    server = values.get('s')
    named = server and not (server.startswith('<') and server.endswith('>'))
    upstream = [bounds[role][0] for role in UPSTREAM if role in bounds]
    has_client = bool(named and upstream)

    # what
    name, sattrs, cattrs = ('tcp', {'network.transport': 'tcp'}, {}) if fmt.tcp \
        else http_attributes(values, headers)
    if frontend:
        sattrs['haproxy.frontend.name'] = utf8(frontend)
    for key, attr in PLAIN.items():
        if key in values:
            sattrs['haproxy.' + attr] = num[key] if key in num else utf8(values[key])
    if 'tsc' in values or 'ts' in values:
        sattrs['haproxy.termination_state'] = values.get('tsc') or values['ts']
    near_server = cattrs if has_client else sattrs      # no CLIENT: SERVER says it
    for key in TIMERS:
        if num.get(key, -1) >= 0:
            (near_server if key in ('Tc', 'Tr', 'Td') else sattrs)['haproxy.timer.' + key] = num[key]
    if server and server != '<NOSRV>':
        near_server['haproxy.server.name'] = utf8(server)
    if 'rc' in num:
        near_server['haproxy.retries'] = num['rc']
    if 'rc' in plus:
        near_server['haproxy.redispatched'] = True
    if 'sc' in num:
        near_server['haproxy.connections.server'] = num['sc']
    if open_end:
        sattrs['haspan.open_end'] = True
    if rough:
        sattrs['haspan.start_imprecise'] = True
    if 'cut' in values or cut_request(values.get('r')):
        sattrs['haspan.truncated'] = True
    sattrs.update(peer(values.get('ci'), values.get('cp')))
    if 'network.peer.address' in sattrs and not headers.keys() & {'forwarded', 'x-forwarded-for'}:
        sattrs['client.address'] = sattrs['network.peer.address']
    if has_client:
        cattrs.update(peer(values.get('si'), values.get('sp')))
    for kind, names, got in (('request', options.capture_request, request),
                             ('response', options.capture_response, response)):
        for header, value in zip(names, got):
            if value and header not in PROPAGATION and not header.startswith('x-b3-'):
                sattrs['http.%s.header.%s' % (kind, header)] = [utf8(value)]

    # how it ended
    status = max(0, num.get('ST', 0))
    received = has_client and status and failed not in ('connect', 'response') \
        and state[:2] != 'LH' and not negative(t['Tr'])
    if status:
        sattrs['http.response.status_code'] = status
    if received:
        cattrs['http.response.status_code'] = status
    server_bad = bool(failed) or status >= 500
    client_bad = failed in UPSTREAM and state[0] not in 'Cc' or bool(received) and status >= 400
    word = None if failed else str(status)              # the words for failures are haspan's

    spans = [span('server', name, 2, parent[1] if parent else None, trace, server_id, (start, end),
                  server_bad, sattrs, word if server_bad else None)]
    for role in ORDER:
        if role == 'connect' and has_client:
            spans.append(span('client', name, 3, 'server', trace, client_id, (upstream[0], end),
                              client_bad, cattrs, word if client_bad else None))
        if role not in bounds or options.phases == 'none':
            continue
        a, b = bounds[role]
        if a < b or role in (failed, 'tarpit') or options.phases == 'all':
            above = 'client' if has_client and role in UPSTREAM else 'server'
            spans.append(span(role, 'haproxy.' + role, 1, above, trace, None, (a, b), role == failed, {}))
    return spans


def expect_error(m, zone, near):
    """A connection that never became a request"""
    ns = epoch_ms(m['t'], zone, near) * 1000000
    attrs = {'haproxy.frontend.name': utf8(m['f']), **peer(m['ci'], m['cp'])}
    if 'network.peer.address' in attrs:
        attrs['client.address'] = attrs['network.peer.address']
    return [span('server', 'connection', 2, None, None, None, (ns, ns), True, attrs)]


def expect_line(line, formats, options):
    """spans, or None if no format fits"""
    message, wrote, offset = peel(line)
    zone = options.zone or (timezone(offset) if offset is not None else None)
    near = int(wrote.timestamp() * 1000) if wrote else None
    for fmt in formats:
        if fmt is None:
            m = ERROR_LINE.fullmatch(message)
            if m:
                return expect_error(m, zone, near)
            continue
        values = fmt.match(message)
        if values is not None:
            return expect(values, fmt, options, zone, near)
    return None


def main():
    p = argparse.ArgumentParser(description='expected spans of HAProxy log lines')
    p.add_argument('--format', help='built-in formats, tried in this order: ' + ' '.join(FORMATS))
    p.add_argument('--format-string', action='append', default=[], metavar='TEXT',
                   help='a log-format text, tried before --format')
    p.add_argument('--map', action='append', default=[], metavar='EXPR=NAME',
                   help='NAME: trace_id, span_id, traceparent, or an alias')
    p.add_argument('--capture-request', default='', metavar='A,B')
    p.add_argument('--capture-response', default='', metavar='A,B')
    p.add_argument('--phases', choices=['auto', 'all', 'none'], default='auto')
    p.add_argument('--chosen-id', action='store_true', help='a client can choose the unique id')
    p.add_argument('--timezone', type=zone_of, help='of dates without one: a name or +hh:mm')
    p.add_argument('file')
    a = p.parse_args()
    names = dict(m.rsplit('=', 1) for m in a.map)
    chosen = a.format if a.format is not None else '' if a.format_string else DEFAULT_FORMATS
    try:
        texts = [make_formats(text, names) for text in a.format_string]
        formats = [f for several in texts for f in several[:1]] + [f for several in texts for f in several[1:]]
        formats += [FORMATS[n] and Format(FORMATS[n], names) for n in chosen.split(',') if n]
    except (KeyError, ValueError) as e:
        p.error('format: %s' % e)
    options = Options(a.phases, a.timezone, [n for n in a.capture_request.split(',') if n],
                      [n for n in a.capture_response.split(',') if n], a.chosen_id)
    count = {'lines': 0, 'requests': 0, 'unsampled': 0, 'unmatched': 0}
    with open(a.file, encoding='latin-1', newline='\n') as f:
        for number, line in enumerate(f, 1):
            spans = expect_line(line.rstrip('\r\n'), formats, options)
            count['lines'] += 1
            count['unmatched' if spans is None else 'requests' if spans else 'unsampled'] += 1
            for s in spans or ():
                print(json.dumps({'line': number, **s}))
    print(' '.join('%s=%d' % item for item in count.items()), file=sys.stderr)


if __name__ == '__main__':
    main()
