/* Trace context: what is accepted has ids, and traceparent follows the grammar of W3C Trace Context to the byte. */
#include "fuzz.h"
#include "reconstruct/context.h"

#include <ctype.h>
#include <inttypes.h>

/* `n` bytes of [0-9a-f] as W3C writes a number; false when they are not, or when it must not be zero and is. */
static bool digits(const char *p, size_t n, bool zero)
{
	size_t zeros = 0;

	for (size_t i = 0; i < n; zeros += p[i++] == '0')
		if (!isdigit((unsigned char)p[i]) && (p[i] < 'a' || p[i] > 'f'))
			return false;
	return zero || zeros < n;
}

/* Section 3.2: version "-" trace-id "-" parent-id "-" trace-flags, and for later versions "-" anything. */
static bool traceparent(struct slice s)
{
	s = slice_trim(s);
	if (s.len < 55 || s.p[2] != '-' || s.p[35] != '-' || s.p[52] != '-' || !digits(s.p, 2, true) ||
	    !digits(s.p + 3, 32, false) || !digits(s.p + 36, 16, false) || !digits(s.p + 53, 2, true) ||
	    memcmp(s.p, "ff", 2) == 0)
		return false;
	return s.len == 55 || (memcmp(s.p, "00", 2) != 0 && s.p[55] == '-');
}

static void check(bool accepted, const struct context *c, bool orphan)
{
	CHECK(accepted || (c->hi == 1 && c->lo == 2 && c->parent == 3 && c->flags == 99));
	CHECK(!accepted || ((c->hi || c->lo) && (c->parent || orphan) && c->flags <= 3));
	CHECK(!accepted || (c->decision == DECISION_KEEP) == (c->flags & 1));
}

#define FRESH (c = (struct context){ .hi = 1, .lo = 2, .parent = 3, .flags = 99 }, &c)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct context c;
	struct slice s, rest, part[3];
	char *base, text[64];

	rest = s = fuzz_padded(data, size, &base);
	CHECK(context_traceparent(s, FRESH) == traceparent(s));
	check(traceparent(s), &c, false);
	snprintf(text, sizeof(text), "%016" PRIx64 "%016" PRIx64 "-%016" PRIx64, c.hi, c.lo, c.parent);
	CHECK(!traceparent(s) || memcmp(text, slice_trim(s).p + 3, 49) == 0);
	check(context_b3(s, FRESH), &c, false);
	check(context_jaeger(s, FRESH), &c, false);
	check(context_xray(s, FRESH), &c, true);
	for (int k = 0; k < 3; k++)
		part[k] = slice_cut(&rest, '\n');
	check(context_b3_multi(part[0], part[1], part[2], rest, FRESH), &c, false);
	free(base);
	return 0;
}
