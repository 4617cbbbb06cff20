#include "reconstruct/context.h"

#include "core/hex.h"
#include "core/limits.h"

/* Lower-case hex only: W3C Trace Context level 2, section 2.2.2 (HEXDIGLC). 0xff: none. */
static inline unsigned hex_lower(char c)
{
	return c >= '0' && c <= '9' ? (unsigned)(c - '0') : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10 : 0xff;
}

bool context_hex(struct slice s, size_t digits, uint64_t *out)
{
	uint64_t n = 0;
	unsigned bad = 0;

	if (s.len != digits)
		return false;
	for (size_t i = 0; i < digits; i++) {
		unsigned d = hex_lower(s.p[i]);

		bad |= d;
		n = n << 4 | (d & 15);
	}
	if (bad > 15)
		return false;
	*out = n;
	return true;
}

/* 32 digits as two words; false also when all are zero. */
static bool trace_id(struct slice s, uint64_t *hi, uint64_t *lo)
{
	return s.len == 32 && hex16(s.p, hi) && hex16(s.p + 16, lo) && (*hi || *lo);
}

/* 16 digits; false also when all are zero. */
static bool span_id(struct slice s, uint64_t *id)
{
	return s.len == 16 && hex16(s.p, id) && *id;
}

static struct context make(uint64_t hi, uint64_t lo, uint64_t parent, enum decision decision)
{
	return (struct context){ hi, lo, parent, decision == DECISION_KEEP, decision };
}

bool context_traceparent(struct slice value, struct context *out)
{
	struct slice s = slice_trim(value);
	uint64_t version, hi, lo, parent, flags;

	if (s.len < 55 || s.p[2] != '-' || s.p[35] != '-' || s.p[52] != '-' ||
	    !context_hex(slice_of(s.p, 2), 2, &version) || version == 0xff ||
	    !trace_id(slice_of(s.p + 3, 32), &hi, &lo) || !span_id(slice_of(s.p + 36, 16), &parent) ||
	    !context_hex(slice_of(s.p + 53, 2), 2, &flags))
		return false;
	/* Only a future version may go on, and then with a '-' (section 4.3, "Versioning of traceparent"). */
	if (s.len > 55 && (version == 0 || s.p[55] != '-'))
		return false;
	*out = make(hi, lo, parent, flags & 1 ? DECISION_KEEP : DECISION_DROP);
	out->flags = (uint8_t)(flags & 3);
	return true;
}

/* 16 or 32 digits, the short form left-padded. */
static bool b3_trace_id(struct slice s, uint64_t *hi, uint64_t *lo)
{
	*hi = 0;
	return s.len == 16 ? span_id(s, lo) : trace_id(s, hi, lo);
}

bool context_b3(struct slice value, struct context *out)
{
	struct slice rest = slice_trim(value), trace, span, sampled;
	enum decision decision = DECISION_NONE;
	uint64_t hi, lo, parent, grandparent;

	trace = slice_cut(&rest, '-');
	span = slice_cut(&rest, '-');
	if (!b3_trace_id(trace, &hi, &lo) || !span_id(span, &parent))
		return false;
	if (rest.p) {
		sampled = slice_cut(&rest, '-');
		if (sampled.len != 1 || !memchr("01d", *sampled.p, 3))
			return false;
		decision = *sampled.p == '0' ? DECISION_DROP : DECISION_KEEP;
		if (rest.p && !context_hex(rest, 16, &grandparent))
			return false;
	}
	*out = make(hi, lo, parent, decision);
	return true;
}

bool context_b3_multi(struct slice trace, struct slice span, struct slice sampled, struct slice flags,
		      struct context *out)
{
	enum decision decision = DECISION_NONE;
	uint64_t hi, lo, parent;

	if (!b3_trace_id(slice_trim(trace), &hi, &lo) || !span_id(slice_trim(span), &parent))
		return false;
	sampled = slice_trim(sampled);
	if (slice_eq(slice_trim(flags), SLICE("1")) || slice_eq(sampled, SLICE("1")) ||
	    slice_ieq(sampled, SLICE("true")))
		decision = DECISION_KEEP;
	else if (slice_eq(sampled, SLICE("0")) || slice_ieq(sampled, SLICE("false")))
		decision = DECISION_DROP;
	*out = make(hi, lo, parent, decision);
	return true;
}

/* Up to `max` hex digits of either case, left-padded. */
static bool hex_padded(struct slice s, size_t max, uint64_t *hi, uint64_t *lo)
{
	*hi = *lo = 0;
	if (s.len == 0 || s.len > max)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		unsigned d = hex_lower(slice_lower(s.p[i]));

		if (d > 15)
			return false;
		*hi = *hi << 4 | *lo >> 60;
		*lo = *lo << 4 | d;
	}
	return true;
}

/* The separator is ':', in some clients URL-encoded. */
static struct slice jaeger_part(struct slice *rest)
{
	struct slice all = *rest;

	for (size_t i = 0; i < all.len; i++) {
		if (all.p[i] == ':') {
			*rest = slice_skip(all, i + 1);
			return slice_of(all.p, i);
		}
		if (all.p[i] == '%' && all.len - i >= 3 && slice_ieq(slice_of(all.p + i, 3), SLICE("%3A"))) {
			*rest = slice_skip(all, i + 3);
			return slice_of(all.p, i);
		}
	}
	*rest = (struct slice){ NULL, 0 };
	return all;
}

bool context_jaeger(struct slice value, struct context *out)
{
	struct slice rest = slice_trim(value), trace, span, parent;
	uint64_t hi, lo, id, flags, unused;

	trace = jaeger_part(&rest);
	span = jaeger_part(&rest);
	parent = jaeger_part(&rest);
	if (!rest.p || !hex_padded(trace, 32, &hi, &lo) || !(hi || lo) || !hex_padded(span, 16, &unused, &id) || !id ||
	    !hex_padded(rest, 2, &unused, &flags))
		return false;
	if (parent.len && !hex_padded(parent, 16, &unused, &unused))
		return false;
	*out = make(hi, lo, id, flags & 1 ? DECISION_KEEP : DECISION_DROP);
	return true;
}

/* Root=1-{8}-{24} */
static bool xray_root(struct slice s, uint64_t *hi, uint64_t *lo)
{
	uint64_t time, high;

	if (s.len != 35 || s.p[0] != '1' || s.p[1] != '-' || s.p[10] != '-' ||
	    !context_hex(slice_of(s.p + 2, 8), 8, &time) || !context_hex(slice_of(s.p + 11, 8), 8, &high) ||
	    !context_hex(slice_of(s.p + 19, 16), 16, lo))
		return false;
	*hi = time << 32 | high;
	return *hi || *lo;
}

bool context_xray(struct slice value, struct context *out)
{
	struct slice rest = slice_trim(value);
	enum decision decision = DECISION_NONE;
	uint64_t hi = 0, lo = 0, parent = 0;
	bool rooted = false;

	while (rest.len) {
		struct slice part = slice_trim(slice_cut(&rest, ';')), key;

		key = slice_cut(&part, '=');
		if (slice_eq(key, SLICE("Root"))) {
			if (!xray_root(part, &hi, &lo))
				return false;
			rooted = true;
		} else if (slice_eq(key, SLICE("Parent"))) {
			if (!span_id(part, &parent))
				return false;
		} else if (slice_eq(key, SLICE("Sampled"))) {
			decision = slice_eq(part, SLICE("1")) ? DECISION_KEEP :
				   slice_eq(part, SLICE("0")) ? DECISION_DROP : DECISION_NONE;
		}
	}
	if (!rooted)
		return false;
	*out = make(hi, lo, parent, decision);
	return true;
}

/* ---- tracestate (section 3.3) ------------------------------------------------------------------------ */

static bool is_key(struct slice key)
{
	if (key.len == 0 || key.len > 256)
		return false;
	for (size_t i = 0; i < key.len; i++) {
		char c = key.p[i];
		bool first = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');

		if (!first && (i == 0 || !memchr("_-*/@", c, 5)))
			return false;
	}
	return true;
}

static bool is_value(struct slice value)
{
	if (value.len == 0 || value.len > 256 || value.p[value.len - 1] == ' ')
		return false;
	for (size_t i = 0; i < value.len; i++)
		if (value.p[i] < 0x20 || value.p[i] > 0x7e || value.p[i] == ',' || value.p[i] == '=')
			return false;
	return true;
}

/* Blanks behind a value are white space, those before it belong to it. */
static struct slice trim_right(struct slice s)
{
	while (s.len && (s.p[s.len - 1] == ' ' || s.p[s.len - 1] == '\t'))
		s.len--;
	return s;
}

bool context_tracestate(struct slice value, char *scratch, struct slice *out)
{
	struct slice rest = slice_trim(value);
	size_t n = 0;
	int members = 0;

	while (rest.len) {
		struct slice member = slice_trim(slice_cut(&rest, ',')), key, val = member;

		if (member.len == 0)
			continue;
		key = slice_cut(&val, '=');
		if (!val.p || !is_key(key) || !is_value(trim_right(val)) || ++members > TRACESTATE_MEMBERS)
			return false;
		if (n)
			scratch[n++] = ',';
		memcpy(scratch + n, member.p, member.len);
		n += member.len;
	}
	*out = slice_of(scratch, n);
	return true;
}
