/*
 * parse/frontends.c - which formats the lines of a frontend can have, where haproxy.cfg tells.
 */
#include "parse/names.h"
#include "parse/program.h"

/* The formats of one frontend: log-format, error-log-format, the steps of a profile. */
struct candidates *candidates_of(const struct formats *set, struct slice frontend)
{
	/* The table's values are const for those who read; whoever builds the set may add to them. */
	return (struct candidates *)(uintptr_t)names_find(set->frontends, frontend);
}

void frontends_add(struct formats *set, struct slice name, uint32_t format)
{
	struct candidates *c = candidates_of(set, name);

	if (!c) {
		c = arena_alloc(set->arena, sizeof(*c));
		names_add(set->frontends, set->arena, name, c);
	}
	if (c->n < CANDIDATES_MAX)
		c->v[c->n++] = (uint16_t)format;
}

/* Does the frontend's name stand in every line of `f` as a word by itself? Then it is found without reading the line. */
static bool stands_alone(const struct format *f)
{
	for (const struct insn *i = f->prog; i && i->op != OP_END; i++) {
		const struct insn *before = i > f->prog ? i - 1 : NULL;

		if ((i->flags & (INSN_EXTRA | INSN_CAPTURE)) || (i->slot != SLOT_f && i->slot != SLOT_ft))
			continue;
		if (i->op != OP_WORD || (before && (before->lit_len == 0 || names_byte(before->lit[before->lit_len - 1]))))
			continue;
		if ((i->lit_len && !names_byte(*i->lit)) || i[1].op == OP_END)
			return true;
	}
	return false;
}

void frontends_settle(struct formats *set)
{
	uint32_t named = 0, n = 0;

	for (uint32_t i = 0; i < set->n; i++)
		named += set->v[i]->by_frontend && stands_alone(set->v[i]);
	set->first_look = named > FORMATS_RECENT;
	if (!set->first_look)
		return;
	set->nfirst = 0;
	for (uint32_t i = 0; i < set->norder; i++) {
		const struct format *f = set->v[set->order[i]];

		if (!f->by_frontend || !stands_alone(f))
			set->order[n++] = set->order[i];
	}
	set->norder = n;
}

void formats_plan(struct formats *set, struct format *f)
{
	if (set->nplanned == set->planned_cap) {
		struct format **old = set->planned;

		set->planned_cap = set->planned_cap ? 2 * set->planned_cap : 64;
		set->planned = arena_alloc(set->arena, set->planned_cap * sizeof(*set->planned));
		if (set->nplanned)
			memcpy(set->planned, old, set->nplanned * sizeof(*set->planned));
	}
	set->planned[set->nplanned++] = f;
}
