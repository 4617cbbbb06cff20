/*
 * parse/object_text.c - a hand-written JSON log-format: the compiled text with its fields as values is itself JSON.
 *
 * Lines as HAProxy wrote them fit the compiled text. What a relay made of them (another order, other spacing and
 * escapes, null, numbers as strings) is the same object all the same.
 */
#include "parse/object.h"

#include <stdio.h>
#include <stdlib.h>

/* A field in the text is this digit: a value by itself, and nothing special inside a string. */
#define PLACE '0'

struct text {
	char *p;
	size_t len;
	size_t *place;		/* of each instruction: where its PLACE stands */
	uint32_t n;
};

static bool build(struct text *t, const struct insn *prog)
{
	size_t len = 0;

	for (t->n = 0; prog[t->n].op != OP_END; t->n++)
		len += prog[t->n].lit_len + 1;
	/* The scanner may look behind it. */
	t->p = calloc(1, len + BLOCK_PAD);
	t->place = calloc(t->n + 1, sizeof(*t->place));
	if (!t->p || !t->place)
		return false;
	for (uint32_t i = 0; i < t->n; i++) {
		t->place[i] = t->len;
		if (prog[i].op != OP_LITERAL)
			t->p[t->len++] = PLACE;
		memcpy(t->p + t->len, prog[i].lit, prog[i].lit_len);
		t->len += prog[i].lit_len;
	}
	return true;
}

/* The instruction that the value is, all of it; NULL: it is a literal, or more than one field. */
static const struct insn *field_of(const struct text *t, const struct insn *prog, struct slice value)
{
	for (uint32_t i = 0; i < t->n && value.len == 1; i++)
		if (prog[i].op != OP_LITERAL && t->p + t->place[i] == value.p)
			return &prog[i];
	return NULL;
}

static void add(struct object_maker *m, const struct insn *i, struct slice name)
{
	struct member member = { .name = name, .what = MEMBER_SLOT, .slot = i->slot, .slot2 = i->slot2, .side = i->side,
				 .partial = i->flags & INSN_PARTIAL };

	if (i->op == OP_HEX)		/* digits that look like another number */
		return;
	if (i->flags & INSN_EXTRA)
		member.what = MEMBER_EXTRA;
	else if (i->flags & INSN_CAPTURE)
		member.what = MEMBER_CAPTURE;
	else if (i->op == OP_ADDR)
		member.what = MEMBER_ADDR;
	else if (i->op == OP_BLOCK || i->op == OP_LIST)
		member.what = MEMBER_BLOCK;
	object_add(m, member);
}

/* Where a container's members get their names. */
struct place {
	size_t len;		/* of the path, with its dot */
	unsigned index;
	bool array;
};

static bool walk(struct object_maker *m, const struct text *t, const struct insn *prog)
{
	struct place open[JSON_DEPTH_MAX + 1];
	char path[OBJECT_PATH_MAX + 16];
	struct slice name = slice_of(path, 0);
	enum json_token token;
	struct json_reader r;

	json_begin(&r, slice_of(t->p, t->len));
	while ((token = json_next(&r)) > JR_CUT) {
		struct place *in = r.depth ? &open[r.depth - (token == JR_OBJECT || token == JR_ARRAY)] : open;
		const struct insn *i;

		if (token == JR_OBJECT_END || token == JR_ARRAY_END)
			continue;
		if (token == JR_KEY) {
			/* A field as a name can't be looked up; an escape in one nobody writes. */
			if (r.escaped || in->len + r.text.len > OBJECT_PATH_MAX)
				return false;
			memcpy(path + in->len, r.text.p, r.text.len);
			name.len = in->len + r.text.len;
			continue;
		}
		if (r.depth > 1 || (token != JR_OBJECT && token != JR_ARRAY)) {
			if (in->array)
				name.len = in->len + (size_t)snprintf(path + in->len, 8, "%u", in->index++ % 10000);
		}
		if (token == JR_OBJECT || token == JR_ARRAY) {
			if (name.len + 1 > OBJECT_PATH_MAX)
				return false;
			if (r.depth > 1)
				path[name.len] = '.';
			open[r.depth] = (struct place){ r.depth > 1 ? name.len + 1 : 0, 0, token == JR_ARRAY };
		} else if ((token == JR_STRING || token == JR_NUMBER) && (i = field_of(t, prog, r.text))) {
			add(m, i, name);
		}
	}
	return token == JR_END && m->n > 0;
}

const struct object *object_of_text(const struct insn *prog, struct arena *arena)
{
	struct object_maker m = { .arena = arena };
	struct text t = { .p = NULL };
	const struct object *o = NULL;

	if (prog->lit_len && *prog->lit == '{' && prog->op == OP_LITERAL && build(&t, prog) && walk(&m, &t, prog))
		o = object_make(&m, OBJECT_JSON, false);
	free(m.v);
	free(t.p);
	free(t.place);
	return o;
}
