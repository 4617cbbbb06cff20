#include "core/json_read.h"

#include "core/hex.h"
#include "core/scan.h"

/* What may come next. */
enum {
	AT_VALUE,		/* a value */
	AT_FIRST,		/* a value or ']' */
	AT_FIRST_KEY,		/* a key or '}' */
	AT_COMMA,		/* ',' or the end of the container */
	AT_END,			/* white space only */
	AT_BAD, AT_CUT,
};

_Static_assert(JSON_DEPTH_MAX <= 64, "json_reader.objects is one word");

void json_begin(struct json_reader *r, struct slice text)
{
	*r = (struct json_reader){ .p = text.p, .end = text.p + text.len, .state = AT_VALUE };
}

static enum json_token bad(struct json_reader *r)
{
	r->state = AT_BAD;
	return JR_BAD;
}

static enum json_token cut(struct json_reader *r, enum json_token what)
{
	r->state = AT_CUT;
	r->cut = what;
	r->p = r->end;
	return JR_CUT;
}

static inline bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static inline void skip_space(struct json_reader *r)
{
	while (r->p < r->end && is_space(*r->p))
		r->p++;
}

/* A value is over: what may follow it? */
static inline void value_done(struct json_reader *r)
{
	r->state = r->depth ? AT_COMMA : AT_END;
}

static enum json_token container_open(struct json_reader *r, bool object)
{
	if (r->depth == JSON_DEPTH_MAX)
		return bad(r);
	r->p++;
	r->objects = r->objects << 1 | object;
	r->depth++;
	r->state = object ? AT_FIRST_KEY : AT_FIRST;
	return object ? JR_OBJECT : JR_ARRAY;
}

static enum json_token container_close(struct json_reader *r)
{
	bool object = r->objects & 1;

	if (*r->p != (object ? '}' : ']'))
		return bad(r);
	r->p++;
	r->objects >>= 1;
	r->depth--;
	value_done(r);
	return object ? JR_OBJECT_END : JR_ARRAY_END;
}

/* `p` is at the opening quote. false: the text ends within the string, of which `text` has the beginning. */
static inline bool string(struct json_reader *r)
{
	const char *start = r->p + 1, *q = start;

	r->escaped = false;
	for (;; q += 2) {
		q = scan_either(q, r->end, '"', '\\');
		if (q == r->end || *q == '"')
			break;
		r->escaped = true;
		if (r->end - q < 2) {
			q = r->end;
			break;
		}
	}
	r->text = slice_to(start, q);
	if (q == r->end)
		return false;
	r->p = q + 1;
	return true;
}

static enum json_token number(struct json_reader *r)
{
	static const bool part[256] = { ['0' ... '9'] = 1, ['+'] = 1, ['-'] = 1, ['.'] = 1, ['e'] = 1, ['E'] = 1 };
	const char *start = r->p, *p = start;

	while (p < r->end && part[(unsigned char)*p])
		p++;
	r->text = slice_to(start, p);
	/* Inside a container something must follow: the digits that would may be missing. */
	if (p == r->end && r->depth)
		return cut(r, JR_NUMBER);
	r->p = p;
	value_done(r);
	return JR_NUMBER;
}

static enum json_token word(struct json_reader *r, struct slice w, enum json_token token)
{
	size_t left = (size_t)(r->end - r->p), n = left < w.len ? left : w.len;

	if (memcmp(r->p, w.p, n) != 0)
		return bad(r);
	if (n < w.len)
		return cut(r, JR_CUT);
	r->p += n;
	value_done(r);
	return token;
}

static enum json_token value(struct json_reader *r)
{
	char c = *r->p;

	if (c == '"') {
		if (!string(r))
			return cut(r, JR_STRING);
		value_done(r);
		return JR_STRING;
	}
	if ((c >= '0' && c <= '9') || c == '-' || c == '+')
		return number(r);
	switch (c) {
	case '{':
		return container_open(r, true);
	case '[':
		return container_open(r, false);
	case 't':
		return word(r, SLICE("true"), JR_TRUE);
	case 'f':
		return word(r, SLICE("false"), JR_FALSE);
	case 'n':
		return word(r, SLICE("null"), JR_NULL);
	default:
		return bad(r);
	}
}

static enum json_token key(struct json_reader *r)
{
	if (*r->p != '"')
		return bad(r);
	if (!string(r))
		return cut(r, JR_KEY);
	skip_space(r);
	if (r->p == r->end)
		return cut(r, JR_CUT);
	if (*r->p != ':')
		return bad(r);
	r->p++;
	r->state = AT_VALUE;
	return JR_KEY;
}

enum json_token json_next(struct json_reader *r)
{
	if (r->state >= AT_BAD)
		return r->state == AT_BAD ? JR_BAD : JR_CUT;
	skip_space(r);
	if (r->p == r->end)
		return r->state == AT_END ? JR_END : cut(r, JR_CUT);
	switch (r->state) {
	case AT_COMMA:
		if (*r->p != ',')
			return container_close(r);
		r->p++;
		skip_space(r);
		if (r->p == r->end)
			return cut(r, JR_CUT);
		return r->objects & 1 ? key(r) : value(r);
	case AT_FIRST_KEY:
		return *r->p == '}' ? container_close(r) : key(r);
	case AT_FIRST:
		return *r->p == ']' ? container_close(r) : value(r);
	case AT_VALUE:
		return value(r);
	default:
		return bad(r);
	}
}

enum json_token json_skip(struct json_reader *r)
{
	uint8_t depth = r->depth;
	enum json_token token;

	do
		token = json_next(r);
	while (token > JR_CUT && r->depth >= depth);
	return token;
}

/* ---- escapes ----------------------------------------------------------------------------------------- */

/* The code unit of \uXXXX at `p`; -1: it is none. */
static int32_t code_unit(const char *p, const char *end)
{
	int32_t c = 0;

	if (end - p < 6 || p[0] != '\\' || p[1] != 'u')
		return -1;
	for (int k = 2; k < 6; k++) {
		int digit = hex_value(p[k]);

		if (digit < 0)
			return -1;
		c = c * 16 + digit;
	}
	return c;
}

static char *utf8_put(char *out, uint32_t c)
{
	if (c < 0x80) {
		*out++ = (char)c;
		return out;
	}
	if (c < 0x800) {
		*out++ = (char)(0xc0 | c >> 6);
	} else {
		if (c < 0x10000) {
			*out++ = (char)(0xe0 | c >> 12);
		} else {
			*out++ = (char)(0xf0 | c >> 18);
			*out++ = (char)(0x80 | (c >> 12 & 0x3f));
		}
		*out++ = (char)(0x80 | (c >> 6 & 0x3f));
	}
	*out++ = (char)(0x80 | (c & 0x3f));
	return out;
}

/* \uXXXX, or two of them: 6 bytes become at most 3, and 12 become 4. Returns what follows. */
static const char *unicode(const char *p, const char *end, char **out)
{
	int32_t c = code_unit(p, end), low;

	p += 6;
	if (c >= 0xd800 && c < 0xdc00 && (low = code_unit(p, end)) >= 0xdc00 && low < 0xe000) {
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
		p += 6;
	}
	*out = utf8_put(*out, c >= 0xd800 && c < 0xe000 ? 0xfffd : (uint32_t)c);
	return p;
}

/* Is what stands at `p` the beginning of an escape that the end cut? */
static bool is_cut_unicode(const char *p, const char *end)
{
	if (end - p >= 6)
		return false;
	for (p += 2; p < end; p++)
		if (hex_value(*p) < 0)
			return false;
	return true;
}

size_t json_unescape(struct slice raw, char *out)
{
	static const char decoded[256] = { ['b'] = '\b', ['f'] = '\f', ['n'] = '\n', ['r'] = '\r', ['t'] = '\t' };
	const char *p = raw.p, *end = p + raw.len;
	char *start = out;

	while (p < end) {
		const char *q = memchr(p, '\\', (size_t)(end - p));
		size_t n = (size_t)((q ? q : end) - p);

		memmove(out, p, n);
		out += n;
		if (!q || end - q < 2)
			break;
		p = q;
		if (p[1] == 'u' && code_unit(p, end) >= 0) {
			p = unicode(p, end, &out);
		} else if (p[1] == 'u' && is_cut_unicode(p, end)) {
			break;
		} else {
			char c = decoded[(unsigned char)p[1]];

			*out++ = c ? c : p[1];
			p += 2;
		}
	}
	return (size_t)(out - start);
}
