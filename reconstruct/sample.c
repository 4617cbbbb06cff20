/*
 * reconstruct/sample.c - which requests leave. Names and meanings of OTEL_TRACES_SAMPLER.
 */
#include "reconstruct/reconstruct.h"

#include <stdlib.h>

#define KEEP_ALL (UINT64_C(1) << 63)

static bool ratio(struct slice arg, uint64_t *keep_below, struct err *err)
{
	char text[32], *end;
	double r;

	if (arg.len == 0) {
		*keep_below = KEEP_ALL;
		return true;
	}
	if (arg.len >= sizeof(text))
		return err_set(err, EXIT_USAGE, "expected a ratio from 0 to 1");
	memcpy(text, arg.p, arg.len);
	text[arg.len] = '\0';
	r = strtod(text, &end);
	if (*end || !(r >= 0 && r <= 1))
		return err_at(err, EXIT_USAGE, arg.p, arg.len, 0, "expected a ratio from 0 to 1");
	*keep_below = r >= 1 ? KEEP_ALL : (uint64_t)(r * (double)KEEP_ALL);
	return true;
}

bool sampler_parse(struct slice name, struct slice arg, struct sampler *out, struct err *err)
{
	struct sampler s = { .parent_based = slice_starts(name, SLICE("parentbased_")) };
	struct slice root = s.parent_based ? slice_skip(name, 12) : name;

	if (slice_eq(root, SLICE("always_on")))
		s.keep_below = KEEP_ALL;
	else if (slice_eq(root, SLICE("always_off")))
		s.keep_below = 0;
	else if (slice_eq(root, SLICE("traceidratio"))) {
		if (!ratio(arg, &s.keep_below, err))
			return false;
	} else if (slice_eq(root, SLICE("jaeger_remote")) || slice_eq(name, SLICE("xray"))) {
		return err_at(err, EXIT_USAGE, name.p, name.len, 0,
			      "this sampler asks a service for its rules, and haspan asks nobody: "
			      "use parentbased_traceidratio");
	} else {
		return err_at(err, EXIT_USAGE, name.p, name.len, 0,
			      "no such sampler: expected always_on, always_off, traceidratio:RATIO, or one of them "
			      "behind parentbased_");
	}
	*out = s;
	return true;
}
