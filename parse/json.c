/*
 * parse/json.c - the members of a JSON line (RFC 8259), as HAProxy writes it: with raw control bytes and invalid UTF-8.
 */
#include "parse/object.h"

static struct slice key_text(struct reading *x, const struct json_reader *r)
{
	char *out;
	size_t n;

	if (!r->escaped)
		return r->text;
	if (!(out = object_scratch(x, r->text.len)))
		return slice_of("", 0);
	n = json_unescape(r->text, out);
	return slice_of(out, n);
}

static inline bool value(struct reading *x, const struct json_reader *r, struct slice key, enum json_token token,
			 bool cut)
{
	struct scalar s = { .kind = SCALAR_NULL };

	switch (token) {
	case JR_STRING:
		s.kind = SCALAR_TEXT;
		s.escaped = r->escaped;
		s.text = r->text;
		break;
	case JR_NUMBER:
		s.kind = SCALAR_NUMBER;
		s.text = r->text;
		break;
	case JR_TRUE:
	case JR_FALSE:
		s.kind = SCALAR_BOOL;
		s.num = token == JR_TRUE;
		break;
	default:
		break;
	}
	return object_value(x, key, &s, cut);
}

/* The cookie of CEE-enhanced syslog, which rsyslog wants before JSON. */
static struct slice without_cookie(struct slice text)
{
	if (slice_starts(text, SLICE("@cee:")))
		text = slice_skip(text, 5);
	return slice_trim(text);
}

static enum run walk(struct reading *x, struct json_reader *r)
{
	struct slice key = slice_of("", 0);
	enum json_token token;

	for (;;) {
		token = json_next(r);
		if (token == JR_KEY) {
			key = key_text(x, r);
			token = json_next(r);
		}
		switch (token) {
		case JR_OBJECT:
		case JR_ARRAY:
			if (!object_open(x, key, token == JR_ARRAY))
				return RUN_NO;
			break;
		case JR_OBJECT_END:
		case JR_ARRAY_END:
			object_close(x);
			break;
		case JR_CUT:
			if (r->cut == JR_STRING && !value(x, r, key, JR_STRING, true))
				return RUN_NO;
			return RUN_CUT;
		case JR_END:
			return RUN_YES;
		case JR_BAD:
			return RUN_NO;
		default:
			if (!value(x, r, key, token, false))
				return RUN_NO;
		}
	}
}

enum run json_members(struct reading *x, struct slice text)
{
	struct json_reader r;
	enum run run;

	text = without_cookie(text);
	if (text.len == 0 || *text.p != '{')
		return RUN_NO;
	json_begin(&r, text);
	run = walk(x, &r);
	x->r->reached = (uint32_t)(r.p - x->r->msg.p);
	return run;
}
