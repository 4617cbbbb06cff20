/*
 * reconstruct/sample.c - which requests leave: --keep and --drop in the order given, then the sampler.
 *
 * Names and meanings of OTEL_TRACES_SAMPLER. The decision is consistent in the trace id ("Consistent probability
 * sampling" of OpenTelemetry's specification): a trace has randomness R, the low 56 bits of its id or what `rv` of its
 * tracestate says, and is kept when R is not below the threshold T; who samples less keeps a subset. T leaves as `th` in
 * `ot=` of tracestate, so that counts can be extrapolated.
 */
#include "reconstruct/sample.h"

#include <math.h>
#include <stdlib.h>

/* Hex digits of thresholds and of randomness. */
#define DIGITS 14
#define THRESHOLD_MAX (UINT64_C(1) << 56)
#define UNKNOWN UINT64_MAX

/* The threshold that keeps `ratio` of all, to so many digits as the ratio deserves: 4 and those that only say 0 or f. */
static uint64_t threshold(double ratio)
{
	int kept, lost, digits = 4, shift;
	uint64_t t = THRESHOLD_MAX - (uint64_t)llround(ratio * (double)THRESHOLD_MAX);

	frexp(ratio, &kept);
	frexp(1 - ratio, &lost);
	digits += kept / -4 > lost / -4 ? kept / -4 : lost / -4;
	shift = 4 * (DIGITS - (digits < DIGITS ? digits : DIGITS));
	if (shift)
		t = (t + (UINT64_C(1) << (shift - 1))) >> shift << shift;
	return t;
}

static bool ratio(struct slice arg, uint64_t *reject_below, struct err *err)
{
	char text[32], *end;
	double r;

	*reject_below = 0;
	if (arg.len == 0)
		return true;
	if (arg.len >= sizeof(text))
		return err_set(err, EXIT_USAGE, "expected a ratio from 0 to 1");
	memcpy(text, arg.p, arg.len);
	text[arg.len] = '\0';
	r = strtod(text, &end);
	if (*end || !(r >= 0 && r <= 1))
		return err_at(err, EXIT_USAGE, arg.p, arg.len, 0, "expected a ratio from 0 to 1");
	*reject_below = threshold(r);
	return true;
}

bool sampler_parse(struct slice name, struct slice arg, struct sampler *out, struct err *err)
{
	struct sampler s = { .parent_based = slice_starts(name, SLICE("parentbased_")) };
	struct slice root = s.parent_based ? slice_skip(name, 12) : name;

	if (slice_eq(root, SLICE("always_on")))
		s.reject_below = 0;
	else if (slice_eq(root, SLICE("always_off")))
		s.reject_below = THRESHOLD_MAX;
	else if (slice_eq(root, SLICE("traceidratio"))) {
		s.probability = true;
		if (!ratio(arg, &s.reject_below, err))
			return false;
	} else if (slice_eq(root, SLICE("jaeger_remote")) || slice_eq(name, SLICE("xray"))) {
		return err_at(err, EXIT_USAGE, name.p, name.len, 0,
			      "this sampler asks a service for its rules, and haspan asks nobody: "
			      "use parentbased_traceidratio");
	} else {
		return err_at(err, EXIT_USAGE, name.p, name.len, 0,
			      "no such sampler: expected always_on, always_off, traceidratio:RATIO, or one of them "
			      "behind parentbased_, as in parentbased_traceidratio:0.1");
	}
	*out = s;
	return true;
}

/* ---- ot=th:…;rv:… of tracestate ------------------------------------------------------------------------ */

/* What a caller's tracestate says of sampling. */
struct ot {
	struct slice value;		/* of its member `ot`; empty: there is none */
	uint64_t th, rv;		/* or UNKNOWN */
};

/* The value of `key` among `k:v;k:v`, with where it stands. */
static struct slice sub_key(struct slice value, struct slice key)
{
	struct slice rest = value;

	while (rest.p) {
		struct slice pair = slice_cut(&rest, ';');

		if (slice_starts(pair, key) && pair.len > key.len && pair.p[key.len] == ':')
			return slice_skip(pair, key.len + 1);
	}
	return slice_of("", 0);
}

static uint64_t hex_digits(struct slice s, bool exact)
{
	uint64_t n = 0;

	if (s.len == 0 || s.len > DIGITS || (exact && s.len != DIGITS))
		return UNKNOWN;
	for (size_t i = 0; i < DIGITS; i++) {
		char c = i < s.len ? s.p[i] : '0';

		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
			return UNKNOWN;
		n = n << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
	}
	return n;
}

static struct ot read_ot(struct slice state)
{
	struct ot ot = { .value = slice_of("", 0), .th = UNKNOWN, .rv = UNKNOWN };
	struct slice rest = state;

	while (rest.len) {
		struct slice member = slice_cut(&rest, ',');

		if (slice_starts(member, SLICE("ot="))) {
			ot.value = slice_skip(member, 3);
			ot.th = hex_digits(sub_key(ot.value, SLICE("th")), false);
			ot.rv = hex_digits(sub_key(ot.value, SLICE("rv")), true);
			break;
		}
	}
	return ot;
}

static size_t put(char *to, size_t at, struct slice s)
{
	memcpy(to + at, s.p, s.len);
	return at + s.len;
}

/* `th` as it is written: trailing zeros say nothing. */
static size_t put_threshold(char *to, size_t at, uint64_t th)
{
	static const char hex[] = "0123456789abcdef";
	int digit = DIGITS - 1;

	at = put(to, at, SLICE("th:"));
	do
		to[at++] = hex[th >> 4 * digit & 15];
	while (digit-- > 0 && th << (64 - 4 * (digit + 1)) != 0);
	return at;
}

/* Sub-keys but `th`, each with a ';' before it unless it is the first of the value, which begins at `from`. */
static size_t put_others(char *to, size_t at, size_t from, struct slice value)
{
	struct slice rest = value;

	while (rest.len) {
		struct slice pair = slice_cut(&rest, ';');

		if (pair.len == 0 || slice_starts(pair, SLICE("th:")))
			continue;
		if (at > from)
			to[at++] = ';';
		at = put(to, at, pair);
	}
	return at;
}

/*
 * `state` with `th` in place of what it had: whoever changes a member puts it first (W3C Trace Context, section
 * 3.5). UNKNOWN takes it away.
 */
static void write_ot(char *buf, const struct ot *ot, uint64_t th, struct slice *state)
{
	struct slice rest = *state;
	size_t n = put(buf, 0, SLICE("ot=")), from = n;
	int members = 1;

	if (th != UNKNOWN)
		n = put_threshold(buf, n, th);
	n = put_others(buf, n, from, ot->value);
	if (n - from > OT_VALUE_MAX)	/* the rest of it is somebody's nonsense */
		n = th == UNKNOWN ? from : put_threshold(buf, from, th);
	if (n == from)
		n = 0, members = 0;
	while (rest.len) {
		struct slice member = slice_cut(&rest, ',');

		if (slice_starts(member, SLICE("ot=")) || member.len == 0 || members == TRACESTATE_MEMBERS)
			continue;
		if (members++)
			buf[n++] = ',';
		n = put(buf, n, member);
	}
	*state = slice_of(buf, n);
}

/* ---- the decision -------------------------------------------------------------------------------------- */

/* A `th` that does not fit the decision is wrong: it would count this trace as many that never were. */
static void check_threshold(char *buf, const struct ot *ot, uint64_t r, bool kept, struct slice *state)
{
	if (ot->th != UNKNOWN && (r >= ot->th) != kept)
		write_ot(buf, ot, UNKNOWN, state);
}

bool sample(const struct sampler *s, const struct context *parent, uint64_t id_lo, char *buf, struct slice *state)
{
	struct ot ot;
	uint64_t r;
	bool keep;

	/* Nothing to decide, and nothing that could be wrong. */
	if (state->len == 0 && !s->probability) {
		keep = s->reject_below == 0;
		return s->parent_based && parent && parent->decision != DECISION_NONE ? parent->decision == DECISION_KEEP : keep;
	}
	ot = read_ot(*state);
	r = ot.rv != UNKNOWN ? ot.rv : id_lo & (THRESHOLD_MAX - 1);
	if (s->parent_based && parent && parent->decision != DECISION_NONE) {
		keep = parent->decision == DECISION_KEEP;
		check_threshold(buf, &ot, r, keep, state);
		return keep;
	}
	keep = r >= s->reject_below;
	/* A caller that kept less says so: its threshold stays. */
	if (keep && s->probability && (ot.th == UNKNOWN || ot.th < s->reject_below || r < ot.th))
		write_ot(buf, &ot, s->reject_below, state);
	else
		check_threshold(buf, &ot, r, keep, state);
	return keep;
}

void sample_forced(uint64_t id_lo, char *buf, struct slice *state)
{
	struct ot ot;

	if (state->len == 0)
		return;
	ot = read_ot(*state);
	check_threshold(buf, &ot, ot.rv != UNKNOWN ? ot.rv : id_lo & (THRESHOLD_MAX - 1), true, state);
}
