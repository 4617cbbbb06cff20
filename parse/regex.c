/*
 * parse/regex.c - lines that are not HAProxy's own layout, by a pattern: `re:PATTERN`.
 *
 * A named group is a field when its name is an alias or a name of formats/fields.def, or when --map says so;
 * else an attribute. A group that took no part is an absent field.
 */
#include "core/pattern.h"
#include "parse/parse.h"
#include "parse/program.h"

struct regex {
	const struct pattern *pattern;
	uint32_t ngroups;
	struct group {
		uint32_t number;
		int slot;		/* -1: extra field `extra` */
		int extra;
	} group[EXTRAS_MAX + SLOT_MAX];
};

static bool name_groups(struct format *f, struct regex *re, const struct naming *naming, struct arena *arena,
			struct err *err)
{
	struct slice name;
	uint32_t number;

	for (uint32_t k = 0; pattern_group(re->pattern, k, &name, &number); k++) {
		struct group *g = &re->group[re->ngroups];
		struct binding b;

		binding_resolve(&b, name, name, naming, arena);
		if (re->ngroups == EXTRAS_MAX + SLOT_MAX || b.slot == SLOT_o)
			return err_set(err, EXIT_CONFIG, "too many groups, or one named %s", name.p);
		g->number = number;
		g->slot = b.slot;
		if (b.slot >= 0) {
			f->slots[b.slot >> 6] |= UINT64_C(1) << (b.slot & 63);
			if (b.slot == SLOT_ft)
				f->slots[SLOT_x_tls >> 6] |= UINT64_C(1) << (SLOT_x_tls & 63);
		} else {
			g->slot = -1;
			g->extra = format_add_extra(f, arena_copy(arena, name), b.key, TYPE_RAW);
			if (g->extra < 0)
				return err_set(err, EXIT_CONFIG, "too many groups of unknown meaning");
		}
		re->ngroups++;
	}
	if (re->ngroups == 0)
		return err_at(err, EXIT_CONFIG, f->text.p, f->text.len, 0,
			      "no named group: expected (?<TR>\\d+) and the like, with HAProxy's aliases as names");
	return true;
}

bool regex_compile(struct format *f, struct slice pattern, const struct naming *naming, struct arena *arena,
		   struct err *err)
{
	struct regex *re = arena_alloc(arena, sizeof(*re));
	struct pattern_fault fault;

	f->text = pattern;
	format_captures(f, naming, arena);
	re->pattern = pattern_compile(pattern, PATTERN_WHOLE, arena, &fault);
	if (!re->pattern)
		return err_at(err, EXIT_CONFIG, pattern.p - 3, pattern.len + 3, fault.at + 3, "%s", fault.text);	/* re: */
	f->regex = re;
	return name_groups(f, re, naming, arena, err);
}

enum run regex_run(const struct format *f, struct record *r, struct day_memo *day)
{
	const struct regex *re = f->regex;
	const size_t *at;
	uint32_t n;

	r->format = f;
	r->have[0] = r->have[1] = r->plus[0] = r->plus[1] = r->have_extra = 0;
	r->flags = 0;
	r->cap[0].n = r->cap[1].n = 0;
	if (pattern_match(re->pattern, r->msg, &at, &n) != PATTERN_FITS)
		return RUN_NO;
	for (uint32_t k = 0; k < re->ngroups; k++) {
		const struct group *g = &re->group[k];
		struct slice s;

		if (g->number >= n || at[2 * g->number] == PATTERN_UNSET || at[2 * g->number + 1] < at[2 * g->number])
			continue;
		s = slice_of(r->msg.p + at[2 * g->number], at[2 * g->number + 1] - at[2 * g->number]);
		if (g->slot < 0) {
			r->extra[g->extra] = s;
			if (s.len && !slice_eq(s, SLICE("-")))
				r->have_extra |= UINT64_C(1) << g->extra;
		} else if (!value_parse(slot_info[g->slot].type, s, (enum slot)g->slot, r, day)) {
			return RUN_NO;
		}
	}
	return RUN_YES;
}
