/*
 * parse/regex.c - lines that are not HAProxy's own layout, by a pattern: `re:PATTERN`. PCRE2 lives here.
 *
 * A named group is a field when its name is an alias or a name of formats/fields.def, or when --map says so;
 * else an attribute. A group that took no part is an absent field.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "parse/parse.h"
#include "parse/program.h"

struct regex {
	pcre2_code *code;
	uint32_t ngroups;
	struct group {
		uint32_t number;
		int slot;		/* -1: extra field `extra` */
		int extra;
	} group[EXTRAS_MAX + SLOT_MAX];
};

/* A hostile line must not make a pattern run for seconds: JIT honours this limit too. */
#define MATCH_LIMIT 200000

/* One per thread, because PCRE2 writes to them; parser_free gives them back. */
static _Thread_local pcre2_match_data *match_data;
static _Thread_local pcre2_match_context *match_context;

static void free_code(void *code)
{
	pcre2_code_free(code);
}

static bool name_groups(struct format *f, struct regex *re, const struct naming *naming, struct arena *arena,
			struct err *err)
{
	uint32_t count, size;
	PCRE2_SPTR table;

	pcre2_pattern_info(re->code, PCRE2_INFO_NAMECOUNT, &count);
	pcre2_pattern_info(re->code, PCRE2_INFO_NAMEENTRYSIZE, &size);
	pcre2_pattern_info(re->code, PCRE2_INFO_NAMETABLE, &table);
	for (uint32_t k = 0; k < count; k++, table += size) {
		struct slice name = slice_str((const char *)table + 2);
		struct group *g = &re->group[re->ngroups];
		struct binding b;

		binding_resolve(&b, name, name, naming, arena);
		if (re->ngroups == EXTRAS_MAX + SLOT_MAX || b.slot == SLOT_o)
			return err_set(err, EXIT_CONFIG, "too many groups, or one named %s", (const char *)table + 2);
		g->number = (uint32_t)(table[0] << 8 | table[1]);
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
	if (count == 0)
		return err_at(err, EXIT_CONFIG, f->text.p, f->text.len, 0,
			      "no named group: expected (?<TR>\\d+) and the like, with HAProxy's aliases as names");
	return true;
}

bool regex_compile(struct format *f, struct slice pattern, const struct naming *naming, struct arena *arena,
		   struct err *err)
{
	struct regex *re = arena_alloc(arena, sizeof(*re));
	PCRE2_UCHAR text[160];
	PCRE2_SIZE at;
	int code;

	f->text = pattern;
	format_captures(f, naming, arena);
	re->code = pcre2_compile((PCRE2_SPTR)pattern.p, pattern.len, PCRE2_ANCHORED | PCRE2_ENDANCHORED, &code, &at,
				 NULL);
	if (!re->code) {
		pcre2_get_error_message(code, text, sizeof(text));
		return err_at(err, EXIT_CONFIG, pattern.p - 3, pattern.len + 3, at + 3, "%s", (const char *)text);	/* re: */
	}
	arena_on_free(arena, free_code, re->code);
	/* Without JIT support the interpreter does the same, slower. */
	pcre2_jit_compile(re->code, PCRE2_JIT_COMPLETE);
	f->regex = re;
	return name_groups(f, re, naming, arena, err);
}

static bool prepare_thread(void)
{
	if (match_data)
		return true;
	match_data = pcre2_match_data_create(EXTRAS_MAX + SLOT_MAX + 1, NULL);
	match_context = pcre2_match_context_create(NULL);
	if (match_context)
		pcre2_set_match_limit(match_context, MATCH_LIMIT);
	return match_data && match_context;
}

void regex_thread_free(void)
{
	pcre2_match_data_free(match_data);
	pcre2_match_context_free(match_context);
	match_data = NULL;
	match_context = NULL;
}

enum run regex_run(const struct format *f, struct record *r, struct day_memo *day)
{
	const struct regex *re = f->regex;
	const PCRE2_SIZE *at;
	int n;

	r->format = f;
	r->have[0] = r->have[1] = r->plus[0] = r->plus[1] = r->have_extra = 0;
	r->flags = 0;
	r->cap[0].n = r->cap[1].n = 0;
	if (!prepare_thread())
		return RUN_NO;
	n = pcre2_match(re->code, (PCRE2_SPTR)r->msg.p, r->msg.len, 0, 0, match_data, match_context);
	if (n == PCRE2_ERROR_JIT_STACKLIMIT)	/* a long line: the interpreter takes its memory from the heap */
		n = pcre2_match(re->code, (PCRE2_SPTR)r->msg.p, r->msg.len, 0, PCRE2_NO_JIT, match_data, match_context);
	if (n < 0)
		return RUN_NO;
	at = pcre2_get_ovector_pointer(match_data);
	for (uint32_t k = 0; k < re->ngroups; k++) {
		const struct group *g = &re->group[k];
		struct slice s;

		if (g->number >= EXTRAS_MAX + SLOT_MAX + 1 || (n && g->number >= (uint32_t)n) ||
		    at[2 * g->number] == PCRE2_UNSET || at[2 * g->number + 1] < at[2 * g->number])
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
