/*
 * parse/show.c - formats and fields in words, for who writes log-formats: why a line does not fit, and what was
 * read from one that does.
 */
#include "core/civil.h"
#include "parse/parse.h"
#include "parse/object.h"

#include <stdio.h>

/* ---- why it failed ------------------------------------------------------------------------------------- */

static const char *const looks[] = {
	[OP_LITERAL] = "the text before the first field",
	[OP_WORD] = "a word",
	[OP_TEXT] = "text",
	[OP_RAW] = "text",
	[OP_REST] = "the rest of the line",
	[OP_NUMBER] = "a number",
	[OP_HEX] = "a hexadecimal number",
	[OP_IP] = "an address",
	[OP_HEX_IP] = "an address of 8 or 32 hexadecimal digits",
	[OP_ADDR] = "an address, ':' and a port",
	[OP_DATE] = "a date such as 21/Nov/2026:08:15:44.900",
	[OP_DATEZ] = "a date such as 21/Nov/2026:08:15:44 +0000",
	[OP_STATE2] = "a termination state of two letters",
	[OP_STATE4] = "a termination state of four letters",
	[OP_BLOCK] = "a block of captures in braces",
	[OP_LIST] = "captures in quotes",
	[OP_END] = "the end of the line",
};

/* The field of `i` as the format names it. */
static struct slice name_of(const struct format *f, const struct insn *i)
{
	if (i->flags & INSN_EXTRA)
		return f->extra[i->slot].name;
	if (i->flags & INSN_CAPTURE)
		return i->side ? SLICE("response header") : SLICE("request header");
	return slot_info[i->slot].name;
}

static bool is_alias(const struct insn *i)
{
	return !(i->flags & (INSN_EXTRA | INSN_CAPTURE)) && i->slot < SLOT_accept_us;
}

static void say_expected(const struct format *f, const struct insn *i, struct attempt *out)
{
	struct slice name = name_of(f, i);
	size_t n;

	if (i->op == OP_END || i->op == OP_LITERAL)
		n = (size_t)snprintf(out->expected, sizeof(out->expected), "%s", looks[i->op]);
	else
		n = (size_t)snprintf(out->expected, sizeof(out->expected), "%s for %s%.*s", looks[i->op],
				     is_alias(i) ? "%" : "", name.len > 40 ? 40 : (int)name.len, name.p);
	if (n < sizeof(out->expected) && i->lit_len)
		snprintf(out->expected + n, sizeof(out->expected) - n, "%s \"%.*s\"",
			 i->op == OP_LITERAL ? "," : ", then", i->lit_len > 30 ? 30 : (int)i->lit_len, i->lit);
}

/* How many fields stand before instruction `depth`. */
static uint32_t fields_before(const struct format *f, uint32_t depth)
{
	return depth - (depth && f->prog[0].op == OP_LITERAL);
}

/* By the names of its members; false: it does not fit, and `out` says why. */
static bool attempt_object(struct parser *p, const struct format *f, struct attempt *out)
{
	static const char *const kinds[] = {
		[OBJECT_JSON] = "a JSON object", [OBJECT_CBOR] = "a CBOR map", [OBJECT_KEYVALUE] = "key=value",
	};
	enum run how = object_run(p, f, false, &out->depth);
	bool all = p->rec.reached == p->rec.msg.len;

	out->at = out->depth ? p->rec.reached : 0;	/* a line without one member has nothing of it */
	out->result = how == RUN_CUT ? ATTEMPT_ENDS : ATTEMPT_FAILS;
	if (how == RUN_YES && (f->object->generic || 2 * out->depth >= f->object->n))
		return true;
	snprintf(out->expected, sizeof(out->expected), "%s", how == RUN_YES ? "at least half of the members" :
		 all && how == RUN_NO ? "a date and a duration" : out->at ? "a member with a value of its form" :
								   kinds[f->object->kind]);
	return false;
}

void parse_attempt(struct parser *p, uint32_t n, struct slice msg, struct attempt *out)
{
	const struct format *f = p->formats->v[n];
	enum run how;

	*out = (struct attempt){ .result = ATTEMPT_FAILS };
	p->rec.msg = msg;
	p->rec.budget = BACKTRACK_BUDGET;
	if (f->regex) {
		if (regex_run(f, &p->rec, &p->day) == RUN_YES)
			out->result = ATTEMPT_FITS;
		else
			snprintf(out->expected, sizeof(out->expected), "what the pattern says");
		return;
	}
	if (f->object && attempt_object(p, f, out)) {
		out->result = ATTEMPT_FITS;
		return;
	}
	if (!f->prog)
		return;
	if (program_run(f, &p->rec, &p->day, false, NULL) == RUN_YES) {
		out->result = ATTEMPT_FITS;
		return;
	}
	p->rec.budget = BACKTRACK_BUDGET;
	how = program_run(f, &p->rec, &p->day, true, &out->depth);
	if (how == RUN_YES) {
		out->result = ATTEMPT_FITS;
		return;
	}
	out->result = how == RUN_CUT ? ATTEMPT_ENDS : ATTEMPT_FAILS;
	out->at = p->rec.reached;
	out->column = f->prog[out->depth].column;
	say_expected(f, &f->prog[out->depth], out);
	out->depth = fields_before(f, out->depth);
}

/* ---- what was read ------------------------------------------------------------------------------------- */

static const char *unit_of(int slot)
{
	switch (slot_info[slot].type) {
	case TYPE_MS:
	case TYPE_MSEC:
		return "ms";
	case TYPE_US:
		return "us since 1970";
	case TYPE_SEC:
		return "s since 1970";
	case TYPE_DATE:
		return "no zone";
	case TYPE_DATEZ:
		return "UTC";
	default:
		return slot == SLOT_B || slot == SLOT_U ? "bytes" : "";
	}
}

static bool is_number(enum field_type t)
{
	return t == TYPE_INT || t == TYPE_MS || t == TYPE_PORT || t == TYPE_MSEC || t == TYPE_SEC || t == TYPE_US;
}

static bool show_slot(const struct record *r, int slot, struct shown *out, char *scratch, size_t size)
{
	enum field_type t = slot_info[slot].type;

	if (!record_has(r, (enum slot)slot))
		return false;
	out->name = slot_info[slot].name;
	out->alias = slot < SLOT_accept_us;
	out->meaning = slot_info[slot].meaning;
	out->unit = unit_of(slot);
	out->text = slice_of(scratch, 0);
	if (is_number(t)) {
		out->text.len = (size_t)snprintf(scratch, size, "%s%lld", record_plus(r, (enum slot)slot) ? "+" : "",
						 (long long)r->v[slot].num);
	} else if (t == TYPE_DATE || t == TYPE_DATEZ) {
		civil_format((uint64_t)(r->v[slot].num < 0 ? 0 : r->v[slot].num) * 1000000, scratch);
		out->text.len = strlen(scratch);
	} else {
		out->text = r->v[slot].text;
	}
	return true;
}

/* `name=value | name=value`, as far as there is room. */
static bool show_captures(const struct record *r, int side, struct shown *out, char *scratch, size_t size)
{
	const struct captures *c = &r->cap[side];
	size_t n = 0;

	for (uint32_t k = 0; k < c->n; k++) {
		struct slice name = k < r->format->ncap[side] ? r->format->cap[side][k].name : slice_of("", 0);

		if (size - n < name.len + c->v[k].len + 8)
			break;
		n += (size_t)snprintf(scratch + n, size - n, "%s%.*s%s", k ? " | " : "", (int)name.len, name.p ? name.p : "",
				      name.len ? "=" : "");
		if (c->v[k].len)
			memcpy(scratch + n, c->v[k].p, c->v[k].len);
		n += c->v[k].len;
	}
	*out = (struct shown){ side ? SLICE("hs") : SLICE("hr"), slice_of(scratch, n),
			       side ? slot_info[SLOT_hs].meaning : slot_info[SLOT_hr].meaning, "", true };
	return c->n > 0;
}

static bool show_extra(const struct record *r, uint32_t k, struct shown *out)
{
	if (k >= r->format->nextra || !(r->have_extra >> k & 1))
		return false;
	*out = (struct shown){ r->format->extra[k].name, r->extra[k], r->format->extra[k].key, "", false };
	return true;
}

static bool show_pair(const struct record *r, uint32_t k, struct shown *out)
{
	if (!(r->flags & RECORD_PAIRS) || k >= r->npairs)
		return false;
	*out = (struct shown){ r->pair[k].key, r->pair[k].value, slice_of("", 0), "", false };
	return true;
}

static bool show_insn(const struct record *r, const struct insn *i, bool second, struct shown *out, char *scratch,
		      size_t size)
{
	if (second)
		return i->op == OP_ADDR && show_slot(r, i->slot2, out, scratch, size);
	if (i->op == OP_LITERAL || i->op == OP_END || (i->flags & INSN_CAPTURE))
		return false;
	if (i->flags & INSN_EXTRA)
		return show_extra(r, i->slot, out);
	if (i->op == OP_BLOCK || i->op == OP_LIST)
		return show_captures(r, i->side, out, scratch, size);
	return show_slot(r, i->slot, out, scratch, size);
}

bool record_show(const struct record *r, uint32_t *at, struct shown *out, char *scratch, size_t size)
{
	const struct format *f = r->format;
	uint32_t insns = f->prog ? 2 * f->nprog : 0, slots = f->prog ? 0 : SLOT_x_tls, n;

	while ((n = (*at)++) < insns)
		if (show_insn(r, &f->prog[n / 2], n & 1, out, scratch, size))
			return true;
	for (n -= insns; n < slots; n = (*at)++ - insns)
		if (show_slot(r, (int)n, out, scratch, size))
			return true;
	for (n -= slots; n < EXTRAS_MAX + CAPTURE_SIDES + PAIRS_MAX; n = (*at)++ - insns - slots)
		if (n >= EXTRAS_MAX + CAPTURE_SIDES) {
			if (show_pair(r, n - EXTRAS_MAX - CAPTURE_SIDES, out))
				return true;
		} else if (!f->prog && (n < EXTRAS_MAX ? show_extra(r, n, out) :
						  show_captures(r, (int)(n - EXTRAS_MAX), out, scratch, size))) {
			return true;
		}
	return false;
}
