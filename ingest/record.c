/*
 * ingest/record.c - peel what container runtimes, journald and log shippers put around a line. Pure, but for the room
 * in which escapes are decoded.
 *
 * Layouts: docker's json-file driver; the Kubernetes CRI's log files; systemd's "Journal Export Formats"; JSON by
 * formats/members.def. doc/records.md has an example of each.
 */
#include "ingest/record.h"

#include "core/civil.h"
#include "core/json_read.h"
#include "core/scan.h"
#include "ingest/ingest.h"

#include <stdio.h>
#include <stdlib.h>

/* What a record says besides its line. The innermost that says it counts. */
struct outside {
	struct slice host;
	int64_t time_us;
	int16_t zone_min;
};

/* ---- room -------------------------------------------------------------------------------------------- */

void unwrapper_init(struct unwrapper *u)
{
	char *p = calloc(1, RECORD_ROOM + 2 * BLOCK_PAD);

	if (!p) {
		fprintf(stderr, "haspan: out of memory: asked for %zu bytes\n", RECORD_ROOM + 2 * BLOCK_PAD);
		abort();
	}
	*u = (struct unwrapper){ .p = p + BLOCK_PAD };
}

void unwrapper_free(struct unwrapper *u)
{
	if (u->p)
		free(u->p - BLOCK_PAD);
	*u = (struct unwrapper){ .p = NULL };
}

/* Room for `n` bytes more; NULL when there is none. Within a block there always is (RECORD_ROOM). */
static char *room(const struct unwrapper *u, size_t n)
{
	return u->p && n <= RECORD_ROOM - u->used ? u->p + u->used : NULL;
}

/* Does the inside of a JSON string end in a newline? `\\n` is a backslash and an n. */
static bool ends_in_newline(struct slice s)
{
	size_t n = s.len, slashes = 0;

	if (n < 2 || s.p[n - 1] != 'n')
		return false;
	while (slashes < n - 1 && s.p[n - 2 - slashes] == '\\')
		slashes++;
	return slashes & 1;
}

/* The inside of a JSON string as text: lent where it lies if it can be, else decoded. False: no room. */
static bool decode(struct unwrapper *u, struct slice s, bool escaped, struct slice *out)
{
	char *to;

	while (escaped && ends_in_newline(s))
		s.len -= 2;
	if (!escaped || !memchr(s.p, '\\', s.len)) {
		*out = s;
		return true;
	}
	to = room(u, s.len);
	if (!to)
		return false;
	*out = slice_of(to, json_unescape(s, to));
	u->used += out->len;
	return true;
}

/* ---- times ------------------------------------------------------------------------------------------- */

/* `1795248944.900123`, or whole milli-, micro- or nanoseconds, told apart by their size: from 2001 to 2286. */
static bool epoch(struct slice s, int64_t *us)
{
	size_t point = slice_find(s, '.');
	uint64_t n;
	int64_t unit = 100000;

	if (!slice_uint(slice_of(s.p, point), &n) || (point < s.len && point != 10))
		return false;
	switch (point) {
	case 10:
		*us = (int64_t)n * 1000000;
		for (size_t i = 11; i < s.len && s.p[i] >= '0' && s.p[i] <= '9'; i++, unit /= 10)
			*us += (s.p[i] - '0') * unit;
		return true;
	case 13:
		*us = (int64_t)n * 1000;
		return true;
	case 16:
		*us = (int64_t)n;
		return true;
	case 19:
		*us = (int64_t)(n / 1000);
		return true;
	default:
		return false;
	}
}

/*
 * A record's time. An offset is that of the host on which the line was written; a `Z` only says which clock the shipper
 * likes, unless the line is a container's: there UTC is the clock.
 */
static void set_time(struct outside *o, struct slice s, bool container)
{
	size_t len;
	int64_t us;
	int zone_min;
	bool known;

	if (epoch(s, &us)) {
		o->time_us = us;
		o->zone_min = ZONE_UNKNOWN;
	} else if (civil_iso(s, &len, &us, &zone_min, &known) && len == s.len && known) {
		o->time_us = us;
		o->zone_min = container || (s.p[len - 1] | 0x20) != 'z' ? (int16_t)zone_min : ZONE_UNKNOWN;
	}
}

/* ---- JSON -------------------------------------------------------------------------------------------- */

enum role { ROLE_LINE, ROLE_HOST, ROLE_TIME, ROLE_STREAM, ROLES };

static const struct member {
	struct slice parent, name;
	uint8_t role, rank;
} members[] = {
#define MEMBER(parent, name, role, rank) \
	{ { "" parent, sizeof(parent) - 1 }, { "" name, sizeof(name) - 1 }, ROLE_##role, rank },
#include "formats/members.def"
#undef MEMBER
};

#define NONE UINT8_MAX

struct object {
	struct slice text[ROLES];	/* still escaped if `escaped`; of a line in bytes, nothing */
	uint8_t rank[ROLES];		/* of what was found; NONE */
	bool escaped;			/* the line */
	bool array;			/* the line is byte values: `bytes` stands on the first */
	struct json_reader bytes;
};

/* A bit for a letter. */
#define LETTER(c) (UINT64_C(1) << ((unsigned char)(c) & 63))

/* `…"message`? */
static bool ends_in_line_name(struct slice s)
{
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		struct slice name = members[i].name;

		if (members[i].role == ROLE_LINE && s.len > name.len && s.p[s.len - name.len - 1] == '"' &&
		    memcmp(s.p + s.len - name.len, name.p, name.len) == 0)
			return true;
	}
	return false;
}

/*
 * Is there a name of a line's member before a colon? Most lines that begin with a brace are HAProxy's own JSON, and are
 * read again by parse/: this look costs a tenth of reading them.
 */
static bool may_have_line(struct slice s)
{
	const uint64_t last = 0
#define MEMBER(parent, name, role, rank) | (ROLE_##role == ROLE_LINE ? LETTER((name)[sizeof(name) - 2]) : 0)
#include "formats/members.def"
#undef MEMBER
		;
	const char *end = s.p + s.len, *p = s.p, *q;

	for (; (p = scan_byte(p, end, ':')) < end; p++) {
		for (q = p - 1; q > s.p && (*q == ' ' || *q == '\t' || *q == '\r'); q--)
			;
		if (q - s.p < 2 || *q != '"' || !(last & LETTER(q[-1])))
			continue;
		if (ends_in_line_name(slice_to(s.p, q)))
			return true;
	}
	return false;
}

static const struct member *member_of(struct slice parent, struct slice name)
{
	const uint64_t first = 0
#define MEMBER(parent, name, role, rank) | LETTER((name)[0])
#include "formats/members.def"
#undef MEMBER
		;

	if (name.len < 3 || !(first & LETTER(*name.p)))
		return NULL;
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		if (slice_eq(members[i].name, name) && slice_eq(members[i].parent, parent))
			return &members[i];
	return NULL;
}

static bool is_parent(struct slice name)
{
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		if (members[i].parent.len && slice_eq(members[i].parent, name))
			return true;
	return false;
}

/* Keep the value of `m` that the reader has just read, if it is of the right kind and the best so far. */
static void keep(struct object *o, const struct member *m, enum json_token token, const struct json_reader *r)
{
	bool wanted = m->role == ROLE_LINE ? token == JR_ARRAY || (token == JR_STRING && r->text.len) :
		      m->role == ROLE_TIME ? (token == JR_STRING && !r->escaped) || token == JR_NUMBER :
					     token == JR_STRING && !r->escaped;

	if (!wanted || m->rank >= o->rank[m->role])
		return;
	o->rank[m->role] = m->rank;
	o->text[m->role] = r->text;
	if (m->role == ROLE_LINE) {
		o->escaped = r->escaped;
		o->array = token == JR_ARRAY;
		o->bytes = *r;
	}
}

/* The members of the object that is all of `s`; false when it is none, or has no line. */
static bool object_read(struct slice s, struct object *o)
{
	struct slice parent = slice_of("", 0), name;
	struct json_reader r;
	enum json_token token;
	const struct member *m;

	memset(o->rank, NONE, sizeof(o->rank));
	if (!may_have_line(s))
		return false;
	json_begin(&r, s);
	if (json_next(&r) != JR_OBJECT)
		return false;
	while ((token = json_next(&r)) == JR_KEY || (token == JR_OBJECT_END && r.depth)) {
		if (token == JR_OBJECT_END) {
			parent.len = 0;
			continue;
		}
		name = r.text;
		m = member_of(parent, name);
		token = json_next(&r);
		if (m)
			keep(o, m, token, &r);
		if (token == JR_OBJECT && parent.len == 0 && is_parent(name))
			parent = name;
		else if (token == JR_OBJECT || token == JR_ARRAY)
			json_skip(&r);
	}
	return token == JR_OBJECT_END && json_next(&r) == JR_END && o->rank[ROLE_LINE] != NONE;
}

/* journald's way to write what is no UTF-8: `[49,50,55]`. */
static bool decode_bytes(struct unwrapper *u, struct json_reader *r, struct slice *out)
{
	/* A number and its comma are two bytes at least. */
	char *to = room(u, (size_t)(r->end - r->p) / 2 + 1);
	enum json_token token;
	uint64_t byte;
	size_t n = 0;

	if (!to)
		return false;
	while ((token = json_next(r)) == JR_NUMBER) {
		if (!slice_uint(r->text, &byte) || byte > 255)
			return false;
		to[n++] = (char)byte;
	}
	if (token != JR_ARRAY_END || n == 0)
		return false;
	*out = slice_of(to, n);
	u->used += n;
	return true;
}

static bool unwrap_json(struct unwrapper *u, struct slice *s, struct outside *outside, bool *strange)
{
	struct slice stream;
	struct object o;
	bool container;

	if (!object_read(*s, &o) ||
	    !(o.array ? decode_bytes(u, &o.bytes, s) : decode(u, o.text[ROLE_LINE], o.escaped, s)))
		return false;
	stream = o.rank[ROLE_STREAM] != NONE ? o.text[ROLE_STREAM] : slice_of("", 0);
	container = slice_eq(stream, SLICE("stdout")) || slice_eq(stream, SLICE("stderr"));
	if (o.rank[ROLE_HOST] != NONE)
		outside->host = envelope_host(o.text[ROLE_HOST]);
	if (o.rank[ROLE_TIME] != NONE)
		set_time(outside, o.text[ROLE_TIME], container);
	*strange = !container;
	return true;
}

/* ---- containers -------------------------------------------------------------------------------------- */

/* `{"log":"…","stream":"stdout",…`: docker writes them in this order. */
static bool docker_piece(struct slice line, struct piece *out)
{
	struct json_reader r;

	json_begin(&r, line);
	if (json_next(&r) != JR_OBJECT || json_next(&r) != JR_KEY || !slice_eq(r.text, SLICE("log")) ||
	    json_next(&r) != JR_STRING)
		return false;
	*out = (struct piece){ .text = r.text, .escaped = r.escaped };
	if (json_next(&r) != JR_KEY || !slice_eq(r.text, SLICE("stream")) || json_next(&r) != JR_STRING ||
	    !(slice_eq(r.text, SLICE("stdout")) || slice_eq(r.text, SLICE("stderr"))))
		return false;
	out->stream = r.text.p[3];
	out->more = out->text.len >= DOCKER_PIECE && !ends_in_newline(out->text);
	return true;
}

/* `2026-11-21T08:15:44.900123456Z stdout P …`: date, stream, tags of which the first is P or F, text. */
static bool cri_piece(struct slice line, struct piece *out)
{
	const char *end = line.p + line.len, *p;

	if (line.len < 29 || line.p[4] != '-' || line.p[10] != 'T')
		return false;
	p = scan_byte(line.p + 19, line.p + (line.len < 40 ? line.len : 40), ' ');
	if (end - p < 9 || (memcmp(p, " stdout ", 8) != 0 && memcmp(p, " stderr ", 8) != 0))
		return false;
	*out = (struct piece){ .time = slice_to(line.p, p), .stream = p[4], .more = p[8] == 'P' };
	if ((p[8] != 'P' && p[8] != 'F') || (end - p > 9 && p[9] != ' ' && p[9] != ':'))
		return false;
	p = scan_byte(p + 9, end, ' ');
	out->text = p < end ? slice_to(p + 1, end) : slice_of(end, 0);
	return true;
}

bool record_piece(struct slice line, struct piece *out)
{
	if (line.len == 0)
		return false;
	return *line.p == '{' ? docker_piece(line, out) : cri_piece(line, out);
}

static bool unwrap_cri(struct slice *s, struct outside *outside)
{
	struct piece piece;

	if (!cri_piece(*s, &piece))
		return false;
	set_time(outside, piece.time, true);
	*s = piece.text;
	return true;
}

/* Several records, a line each, of one message; frame.c has looked at them. */
static bool unwrap_pieces(struct unwrapper *u, struct slice *s, struct outside *outside)
{
	struct slice rest = *s, line;
	char *start = room(u, s->len), *to = start;
	struct piece piece;
	struct object o;

	if (!start)
		return false;
	while (rest.p) {
		line = slice_cut(&rest, '\n');
		if (!record_piece(line, &piece))
			return false;
		if (piece.escaped) {
			to += json_unescape(piece.text, to);
		} else if (piece.text.len) {
			memcpy(to, piece.text.p, piece.text.len);
			to += piece.text.len;
		}
	}
	/* The moment of writing is that of the last piece, whose text is not needed again. */
	if (piece.time.len)
		set_time(outside, piece.time, true);
	else if (object_read(line, &o) && o.rank[ROLE_TIME] != NONE)
		set_time(outside, o.text[ROLE_TIME], true);
	*s = slice_to(start, to);
	u->used += s->len;
	return true;
}

/* ---- journald's export format ------------------------------------------------------------------------- */

/* A 64-bit number, little-endian. */
static uint64_t le64(const char *p)
{
	uint64_t n = 0;

	for (int i = 7; i >= 0; i--)
		n = n << 8 | (unsigned char)p[i];
	return n;
}

bool export_field(struct slice raw, size_t *at, struct slice *name, struct slice *value)
{
	struct slice rest = slice_skip(raw, *at);
	size_t lf = slice_find(rest, '\n'), equals = slice_find(slice_of(rest.p, lf), '=');
	uint64_t n;

	if (lf == 0 || lf == rest.len)
		return false;
	*name = slice_of(rest.p, equals);
	if (equals < lf) {		/* NAME=value */
		*value = slice_of(rest.p + equals + 1, lf - equals - 1);
		*at += lf + 1;
		return true;
	}
	if (rest.len - lf - 1 < 9)	/* NAME, length, value */
		return false;
	n = le64(rest.p + lf + 1);
	/* Longer than a record may be: no field, also where so much is here. How much is read at once must not matter. */
	if (n > RECORD_MAX_BYTES || n > rest.len - lf - 10 || rest.p[lf + 9 + n] != '\n')
		return false;
	*value = slice_of(rest.p + lf + 9, (size_t)n);
	*at += lf + 10 + (size_t)n;
	return true;
}

bool export_is_cut(struct slice rest)
{
	size_t lf = slice_find(rest, '\n');
	uint64_t n;

	if (rest.len - lf < 10)		/* or there is none */
		return true;
	n = le64(rest.p + lf + 1);
	return n <= RECORD_MAX_BYTES && n > rest.len - lf - 10;
}

static bool unwrap_export(struct slice *s, struct outside *outside)
{
	struct slice raw = *s, name, value, message = { NULL, 0 };
	size_t at = 0;

	while (export_field(raw, &at, &name, &value)) {
		if (!message.p && slice_eq(name, SLICE("MESSAGE")))
			message = value;
		else if (slice_eq(name, SLICE("_HOSTNAME")))
			outside->host = envelope_host(value);
		else if (slice_eq(name, SLICE("__REALTIME_TIMESTAMP")))
			set_time(outside, value, false);
	}
	if (!message.p || at < raw.len)
		return false;
	*s = message;
	return true;
}

/* ---- all of it ---------------------------------------------------------------------------------------- */

/* One record around `*s`. `*strange`: it may as well be a line of HAProxy's own, in JSON. */
static bool unwrap(struct unwrapper *u, struct slice *s, struct outside *outside, bool *strange)
{
	struct outside before = *outside;
	bool is = false;

	*strange = false;
	if (s->len && *s->p == '{')
		is = unwrap_json(u, s, outside, strange);
	else if (s->len && (unsigned)(*s->p - '0') < 10)
		is = unwrap_cri(s, outside);
	if (!is)
		*outside = before;
	return is;
}

/* What the envelope left open the record may tell. */
static void fill_in(struct frame *f, const struct outside *outside)
{
	if (f->host.len == 0)
		f->host = outside->host;
	if (f->time_us == 0) {
		f->time_us = outside->time_us;
		f->zone_min = outside->zone_min;
	}
}

/* What is a record, or looks like one. */
__attribute__((noinline)) static void peel(struct unwrapper *u, struct frame *f)
{
	struct outside outside = { .host = { f->raw.p, 0 }, .zone_min = ZONE_UNKNOWN };
	bool strange;
	struct slice s = f->raw, before;
	int depth = 0;

	f->whole.len = 0;
	if (f->flags & (FRAME_EXPORT | FRAME_PIECES)) {
		bool is = f->flags & FRAME_EXPORT ? unwrap_export(&s, &outside) : unwrap_pieces(u, &s, &outside);

		depth = is ? 1 : RECORD_DEPTH;	/* what is none is left as it came */
	}
	for (before = s; depth < RECORD_DEPTH && unwrap(u, &s, &outside, &strange); before = s, depth++)
		if (strange)
			f->whole = before;
	while (s.p != f->raw.p && s.len && *s.p == ' ')	/* rsyslog leaves the blank behind the tag */
		s = slice_skip(s, 1);
	f->line = s;
	envelope_line(f);
	fill_in(f, &outside);
	while (f->whole.len && f->whole.p[f->whole.len - 1] != '}')
		f->whole.len--;
}

void record_peel_next(struct unwrapper *u, struct frame *f, const struct frame *before)
{
	struct slice s = f->raw;

	if (s.len < 2 || (*s.p != '{' && !(f->flags & (FRAME_EXPORT | FRAME_PIECES)) &&
			  ((unsigned)(*s.p - '0') > 9 || s.p[10] != 'T')))
		envelope_peel_next(f, before);
	else
		peel(u, f);
}

void record_peel(struct unwrapper *u, struct frame *f)
{
	record_peel_next(u, f, NULL);
}
