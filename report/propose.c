/*
 * report/propose.c - rules from a good capture: rules that always hold measure it, and what they found, with some room, is
 * what is proposed. So whatever is proposed holds for the same capture.
 */
#include "report/propose.h"

#include "core/limits.h"

#include <inttypes.h>
#include <math.h>

/* What is asked of each backend. Their names are the keys below. */
static const char probes[] =
	"count: count >= 0 by backend\n"
	"failed: rate(failed) <= 100% by backend\n"
	"errors: rate(status >= 500) <= 100% by backend, may be empty\n"
	"duration: p99(duration) >= 0 by backend, may be empty\n"
	"typical: p50(duration) >= 0 by backend, may be empty\n"
	"response: p99(Tr) >= 0 by backend, may be empty\n"
	"queue: p99(Tw) >= 0 by backend, may be empty\n"
	"parents [note]: every request has parent\n";

/* For each: what the rule is called behind its backend, and how it begins. */
static const struct proposal {
	const char *probe, *name, *rule;
} proposals[] = {
	{ "failed", "fails seldom", "rate(failed)" },
	{ "errors", "has few errors", "rate(status >= 500)" },
	{ "typical", "is fast", "p50(duration)" },
	{ "duration", "is never slow", "p99(duration)" },
	{ "response", "answers", "p99(Tr)" },
	{ "queue", "does not queue", "p99(Tw)" },
};

bool propose_begin(struct ruleset *s, struct err *err)
{
	return ruleset_add(s, slice_str(probes), "", err) && ruleset_close(s, UINT64_MAX, true, err);
}

/* ---- room ----------------------------------------------------------------------------------------------- */

/* Up to a number that a person would choose: 1, 1.2, 1.5, 2, … times a power of ten. */
static double round_up(double n)
{
	static const double steps[] = { 1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10 };
	double power = pow(10, floor(log10(n)));

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		if (n <= steps[i] * power * 1.0000001)
			return steps[i] * power;
	return n;
}

/* 100 and more: there is no limit that says anything. */
static double percent_limit(const struct result *v)
{
	double percent = v->value * 100 * 2;

	return round_up(percent < 0.1 ? 0.1 : percent);
}

static void put_limit(FILE *out, const struct result *v)
{
	double ms = v->value / 1000 * 1.5;

	if (v->unit == UNIT_TIME)
		fprintf(out, "%.0fms", round_up(ms < 10 ? 10 : ms));
	else
		fprintf(out, "%g%%", percent_limit(v));
}

/* ---- names ---------------------------------------------------------------------------------------------- */

/* Can it stand in a string, as it was? What was masked or cut can't. */
static bool is_plain(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.p[i] <= 0x20 || (unsigned char)s.p[i] >= 0x7f || s.p[i] == '?' || s.p[i] == '"' || s.p[i] == '\\')
			return false;
	return s.len < RULE_GROUP_NAME_MAX;
}

/* What a rule can be called. Two backends that differ in other characters alone are told apart by their number. */
static void put_name(FILE *out, struct slice s, uint32_t number)
{
	bool same = s.len < CHECK_NAME_MAX / 2;

	if (s.len == 0)
		fputs("without backend", out);
	for (size_t i = 0; i < s.len && i < CHECK_NAME_MAX / 2; i++) {
		bool fits = (s.p[i] >= 'a' && s.p[i] <= 'z') || (s.p[i] >= 'A' && s.p[i] <= 'Z') ||
			    (s.p[i] >= '0' && s.p[i] <= '9') || strchr("_.-/", s.p[i]);

		fputc(fits ? s.p[i] : '_', out);
		same &= fits;
	}
	if (!same)
		fprintf(out, " %" PRIu32, number);
}

static const struct result *find(const struct results *r, const char *probe, struct slice group)
{
	for (uint32_t i = 0; i < r->n; i++)
		if (slice_eq(r->v[i].name, slice_str(probe)) && !r->v[i].rest && slice_eq(r->v[i].group, group))
			return &r->v[i];
	return NULL;
}

/* ---- the file ------------------------------------------------------------------------------------------- */

/* Why it is a comment alone; NULL: it is a rule. */
static const char *doubtful(const struct result *v, uint64_t requests)
{
	if (requests < PROPOSE_FEW)
		return "";
	return v->unit == UNIT_SHARE && percent_limit(v) > PROPOSE_SHARE_MAX ? "many do: " : NULL;
}

/* All that is proposed for the backend of `count`. */
static void propose_backend(FILE *out, const struct results *r, const struct result *count, uint32_t number)
{
	struct slice name = count->group;
	const char *doubt;

	fprintf(out, "\n# %" PRIu64 " request%s%s\n", count->seen, count->seen == 1 ? "" : "s",
		count->seen < PROPOSE_FEW ? ": too few to learn from, so these are comments" : "");
	for (size_t k = 0; k < sizeof(proposals) / sizeof(proposals[0]); k++) {
		const struct proposal *p = &proposals[k];
		const struct result *v = find(r, p->probe, name);

		if (!v || !v->measured || (v->unit == UNIT_SHARE && percent_limit(v) >= 100))
			continue;
		if ((doubt = doubtful(v, count->seen)))
			fprintf(out, "# %s", doubt);
		put_name(out, name, number);
		fprintf(out, " %s: %s < ", p->name, p->rule);
		put_limit(out, v);
		if (name.len)
			fprintf(out, " where backend == \"%.*s\"\n", (int)name.len, name.p);
		else
			fputs(" where not backend\n", out);
	}
}

static void propose_all(FILE *out, const struct results *r)
{
	const struct result *parents = find(r, "parents", slice_of("", 0));

	if (r->rejected)
		fprintf(out, "few lines are not understood: rejected <= %" PRIu64 "\n", r->rejected);
	else
		fputs("all lines are understood: rejected == 0\n", out);
	fprintf(out, "enough requests: count >= %" PRIu64 "\n", (r->requests + 1) / 2);
	if (parents && parents->verdict == RESULT_PASSED)
		fputs("traces go on: every request has parent\n", out);
	else if (parents)
		fprintf(out, "# `every request has parent` does not hold: %" PRIu64 " of %" PRIu64 " have none.\n",
			parents->violating, parents->seen);
}

void propose_rules(FILE *out, const struct results *r)
{
	uint32_t number = 0;

	fprintf(out, "# Proposed by haspan %s from %" PRIu64 " requests of %" PRIu64 " lines%s: times may become half as long again,\n"
		     "# shares twice as large. Names, severities ([warning], [note]) and limits are yours to change.\n\n",
		r->version, r->requests, r->lines, result_incomplete(r) ? ", not all there are" : "");
	if (r->requests == 0) {
		fputs("# There is no request to learn from.\n", out);
		return;
	}
	propose_all(out, r);
	for (uint32_t i = 0; i < r->n; i++) {
		const struct result *v = &r->v[i];

		if (!slice_eq(v->name, SLICE("count")))
			continue;
		number++;
		if (v->rest)
			fprintf(out, "\n# About %" PRIu64 " more backends have %" PRIu64 " requests together.\n", v->folded, v->seen);
		else if (is_plain(v->group))
			propose_backend(out, r, v, number);
		else
			fputs("\n# A backend has a name that can't stand in a rule.\n", out);
	}
}
