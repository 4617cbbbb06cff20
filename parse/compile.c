/*
 * parse/compile.c - the text of a log-format becomes a program, once, at start.
 *
 * HAProxy configuration manual, section 8.2.6 "Custom log format".
 */
#include "parse/object.h"

#include <stdio.h>
#include <stdlib.h>

enum format_option {
	OPTION_QUOTE = 1, OPTION_HEX = 2, OPTION_ESCAPE = 4, OPTION_MANDATORY = 8, OPTION_JSON = 16, OPTION_CBOR = 32,
	OPTION_BIN = 64,
};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

struct compiler {
	struct format *f;
	struct arena *arena;
	const struct naming *naming;
	struct err *err;
	struct slice text;
	size_t at;			/* next byte of `text` */
	unsigned defaults;		/* what %{…}o set */
	struct insn *prog;
	uint32_t n;
	char *lit;			/* literals, one after another; as long as the text and its quotes */
	size_t lit_start, lit_end;	/* the one that is being collected */
	bool encoded;			/* %{+json}o or %{+cbor}o: members instead of instructions */
	struct object_maker members;
};

/* One `%…` of the text. */
struct item {
	size_t column;
	struct slice alias, expr;	/* one of them */
	struct slice name, type;	/* %(name:type) */
	unsigned options;
};

static bool fail(struct compiler *c, size_t at, const char *what)
{
	return err_at(c->err, EXIT_CONFIG, c->text.p, c->text.len, at, "%s", what);
}

static char peek(const struct compiler *c)
{
	return c->at < c->text.len ? c->text.p[c->at] : '\0';
}

/* ---- literals ---------------------------------------------------------------------------------------- */

static void literal_add(struct compiler *c, char ch)
{
	c->lit[c->lit_end++] = ch;
}

/* Blanks are separators: HAProxy writes one for a run of them, and none in front. */
static void literal_blank(struct compiler *c)
{
	bool first = c->n == 0 && c->lit_end == c->lit_start;
	bool after = c->lit_end > c->lit_start && c->lit[c->lit_end - 1] == ' ';

	if (!first && !after)
		literal_add(c, ' ');
}

/* What was collected belongs to the last instruction. */
static void literal_close(struct compiler *c)
{
	if (c->n == 0 && c->lit_end > c->lit_start)
		c->prog[c->n++] = (struct insn){ .op = OP_LITERAL };
	if (c->n > 0) {
		struct insn *i = &c->prog[c->n - 1];

		i->lit = c->lit + c->lit_start;
		i->lit_len = (uint16_t)(c->lit_end - c->lit_start);
		i->first = i->lit_len ? (uint8_t)*i->lit : 0;
	}
	c->lit_start = c->lit_end;
}

/* ---- reading one item -------------------------------------------------------------------------------- */

static bool read_options(struct compiler *c, unsigned *options)
{
	static const struct { struct slice word; unsigned bit; } known[] = {
		{ { "Q", 1 }, OPTION_QUOTE }, { { "X", 1 }, OPTION_HEX }, { { "E", 1 }, OPTION_ESCAPE },
		{ { "M", 1 }, OPTION_MANDATORY }, { { "json", 4 }, OPTION_JSON }, { { "cbor", 4 }, OPTION_CBOR },
		{ { "bin", 3 }, OPTION_BIN },
	};
	size_t open = c->at++, i;

	while (peek(c) != '}') {
		char sign = peek(c);
		struct slice word;
		size_t start = c->at;

		if (sign != '+' && sign != '-')
			return fail(c, c->at < c->text.len ? c->at : open,
				    "expected '+' or '-' and a flag, as in %{+Q}");
		for (c->at++; peek(c) != ',' && peek(c) != '}'; c->at++)
			if (c->at >= c->text.len)
				return fail(c, open, "this '{' is never closed");
		word = slice_of(c->text.p + start + 1, c->at - start - 1);
		for (i = 0; i < COUNT(known) && !slice_eq(known[i].word, word); i++)
			;
		if (i == COUNT(known))
			return fail(c, start, "unknown flag: expected Q, X, E, M, json, cbor or bin");
		*options = sign == '+' ? *options | known[i].bit : *options & ~known[i].bit;
		if (peek(c) == ',')
			c->at++;
	}
	c->at++;
	return true;
}

static bool read_name(struct compiler *c, struct item *it)
{
	size_t open = c->at++, start = c->at;
	struct slice inside;

	while (peek(c) != ')' && c->at < c->text.len)
		c->at++;
	if (c->at >= c->text.len)
		return fail(c, open, "this '(' is never closed");
	inside = slice_of(c->text.p + start, c->at++ - start);
	it->name = slice_cut(&inside, ':');
	it->type = inside;
	if (it->type.len && !slice_eq(it->type, SLICE("str")) && !slice_eq(it->type, SLICE("sint")) &&
	    !slice_eq(it->type, SLICE("bool")) && !slice_eq(it->type, SLICE("raw")))
		return fail(c, (size_t)(it->type.p - c->text.p), "unknown type: expected str, sint, bool or raw");
	return true;
}

static bool read_expr(struct compiler *c, struct item *it)
{
	size_t open = c->at++, start = c->at, first = 0;
	int arguments = 0;

	/* A ']' among arguments is theirs (regsub([0-9]+,N)); if that leaves none, the first one it is. */
	for (; c->at < c->text.len; c->at++) {
		char ch = c->text.p[c->at];

		arguments += ch == '(' ? 1 : ch == ')' && arguments ? -1 : 0;
		if (ch == ']' && !first)
			first = c->at;
		if (ch == ']' && arguments == 0)
			break;
	}
	if (c->at >= c->text.len)
		c->at = first;
	if (!c->at)
		return fail(c, open, "this '[' is never closed");
	it->expr = slice_of(c->text.p + start, c->at++ - start);
	if (it->expr.len == 0)
		return fail(c, open, "expected a sample expression, as in %[src]");
	return true;
}

static bool is_alnum(char ch)
{
	return (ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z');
}

/* At '%': false with an error, or true with the item read. */
static bool read_item(struct compiler *c, struct item *it)
{
	size_t start;

	*it = (struct item){ .column = c->at, .options = c->defaults };
	c->at++;
	while (peek(c) == '(' || peek(c) == '{')
		if (peek(c) == '(' ? !read_name(c, it) : !read_options(c, &it->options))
			return false;
	if (peek(c) == '[')
		return read_expr(c, it);
	for (start = c->at; is_alnum(peek(c)); c->at++)
		;
	it->alias = slice_of(c->text.p + start, c->at - start);
	if (it->alias.len == 0)
		return fail(c, it->column, "expected an alias, '[' or '%' behind '%'");
	return true;
}

/* ---- one item becomes an instruction ------------------------------------------------------------------- */

static enum op op_of(enum field_type type, unsigned options)
{
	bool hex = options & OPTION_HEX;

	switch (type) {
	case TYPE_NAME:
	case TYPE_FT:
		return OP_WORD;
	case TYPE_INT:
	case TYPE_PORT:
	case TYPE_MSEC:
	case TYPE_SEC:
		return hex ? OP_HEX : OP_NUMBER;
	case TYPE_MS:
	case TYPE_US:
		return OP_NUMBER;
	case TYPE_IP:
		return hex ? OP_HEX_IP : OP_IP;
	case TYPE_DATE:
		return OP_DATE;
	case TYPE_DATEZ:
		return OP_DATEZ;
	case TYPE_STATE:
		return OP_STATE4;
	case TYPE_BLOCK:
		return OP_BLOCK;
	case TYPE_LIST:
		return OP_LIST;
	default:
		return OP_RAW;
	}
}

/*
 * Which fields HAProxy puts in quotes under +Q: strings and addresses (lf_text), not numbers, dates, states; but
 * every sample expression is a string to it. A block of captures has its quotes only when it is there.
 */
static bool quotable(const struct item *it, enum op op)
{
	if (it->options & OPTION_JSON)
		return op != OP_NUMBER && op != OP_HEX;
	return it->expr.len || op == OP_WORD || op == OP_RAW || op == OP_IP;
}

/* +X changes addresses, ports, %Ts, %ms and three counters, and no expression (src/log.c). */
static bool hexable(const struct item *it, int slot)
{
	return it->alias.len && (slot_info[slot].type != TYPE_INT || slot == SLOT_rt || slot == SLOT_lc ||
				 slot == SLOT_pid);
}

static void mark(struct format *f, int slot)
{
	f->slots[slot >> 6] |= UINT64_C(1) << (slot & 63);
}

/* An instruction for a field of `type`; the literal before it is complete but for an opening quote. */
static struct insn *emit(struct compiler *c, const struct item *it, enum op op)
{
	bool quote = (it->options & (OPTION_QUOTE | OPTION_JSON)) && quotable(it, op);
	struct insn *i;

	if (c->n + 2 > INSNS_MAX) {
		fail(c, it->column, "too many fields in one format");
		return NULL;
	}
	if (quote)
		literal_add(c, '"');
	literal_close(c);
	i = &c->prog[c->n++];
	*i = (struct insn){ .op = (uint8_t)op, .column = (uint16_t)it->column, .flags = quote ? INSN_EMPTY : 0 };
	if (quote)
		literal_add(c, '"');
	return i;
}

/* `%ci:%cp` is one thing: only its end tells the colons of an IPv6 address from the one before the port. */
static bool fuse_port(struct compiler *c, int slot)
{
	struct insn *before = c->n ? &c->prog[c->n - 1] : NULL;

	if (!before || before->op != OP_IP || c->lit_end - c->lit_start != 1 || c->lit[c->lit_start] != ':')
		return false;
	before->op = OP_ADDR;
	before->slot2 = (uint8_t)slot;
	c->lit_end = c->lit_start;
	return true;
}

/* A text of which the beginning says something. */
static bool is_partial(int slot)
{
	enum field_type type = slot_info[slot].type;

	return type == TYPE_ESC || type == TYPE_REQ || (type == TYPE_RAW && slot < SLOT_trace_id && slot != SLOT_ID) ||
	       slot == SLOT_host || slot == SLOT_user_agent || slot == SLOT_error;
}

static bool emit_slot(struct compiler *c, const struct item *it, int slot, bool from_expr)
{
	enum field_type type = slot_info[slot].type;
	enum op op = op_of(type, hexable(it, slot) ? it->options : it->options & ~(unsigned)OPTION_HEX);
	struct insn *i;

	mark(c->f, slot);
	if (slot == SLOT_ft)
		mark(c->f, SLOT_x_tls);
	if (type == TYPE_PORT && op == OP_NUMBER && fuse_port(c, slot))
		return true;
	if (slot == SLOT_ts)
		op = OP_STATE2;
	if (type == TYPE_LIST && (it->options & OPTION_JSON))
		return fail(c, it->column, "an array of captures is read in %{+json}o alone: write them one by one");
	if (type == TYPE_LIST && !(it->options & OPTION_QUOTE) && !c->f->ncap[slot == SLOT_hsl])
		return fail(c, it->column, "how many captures? name them with --capture-request (or "
					   "--capture-response), or write them with +Q");
	if (!(i = emit(c, it, op)))
		return false;
	i->slot = (uint8_t)slot;
	i->side = slot == SLOT_hs || slot == SLOT_hsl;
	if (type == TYPE_FT)
		i->flags |= INSN_FRONTEND;
	if ((it->options & OPTION_QUOTE) && it->alias.len && (type == TYPE_PORT || type == TYPE_BLOCK))
		i->flags |= INSN_QUOTES;
	if ((it->options & OPTION_JSON) && (op == OP_NUMBER || op == OP_HEX))
		i->flags |= INSN_QUOTES;
	if (is_partial(slot))
		i->flags |= INSN_PARTIAL;
	if (from_expr || (it->options & OPTION_JSON) || type == TYPE_RAW || type == TYPE_ESC)
		i->flags |= INSN_EMPTY;
	/* HAProxy writes a quote in these as #22, and no cipher has a slash. */
	if (slot == SLOT_sslc)
		i->never = '/';
	else if ((type == TYPE_ESC || type == TYPE_REQ) && !from_expr && !(it->options & OPTION_JSON))
		i->never = '"';
	if (it->options & (OPTION_ESCAPE | OPTION_JSON))
		c->f->unescape[slot >> 6] |= UINT64_C(1) << (slot & 63);
	return true;
}

static bool emit_capture(struct compiler *c, const struct item *it, const struct binding *b)
{
	struct insn *i = emit(c, it, OP_RAW);

	if (!i)
		return false;
	mark(c->f, b->side ? SLOT_hs : SLOT_hr);
	i->side = (uint8_t)b->side;
	i->slot = (uint8_t)b->index;
	i->flags |= INSN_CAPTURE | INSN_EMPTY | INSN_PARTIAL;
	if (b->backslash || (it->options & OPTION_ESCAPE))
		c->f->unescape_cap[b->side] |= UINT32_C(1) << b->index;
	return true;
}

static int add_extra(struct compiler *c, const struct item *it, const struct binding *b)
{
	enum field_type type = slice_eq(it->type, SLICE("sint")) ? TYPE_INT :
			       slice_eq(it->type, SLICE("bool")) ? TYPE_NAME : TYPE_RAW;
	int index = format_add_extra(c->f, it->name.len ? it->name : it->expr, b->key, type);

	if (index < 0)
		fail(c, it->column, "too many fields of unknown meaning in one format");
	return index;
}

static bool emit_extra(struct compiler *c, const struct item *it, const struct binding *b)
{
	int index = add_extra(c, it, b);
	struct item bare = *it;
	struct insn *i;

	/* In quotes or not? Where the format does not say the expression's type, cleaning its text will see to them. */
	if (!slice_eq(it->type, SLICE("str")))
		bare.options &= ~(unsigned)OPTION_JSON;
	if (index < 0 || !(i = emit(c, &bare, OP_RAW)))
		return false;
	i->slot = (uint8_t)index;
	i->flags |= INSN_EXTRA | INSN_EMPTY | INSN_PARTIAL;
	if (b->backslash || (it->options & (OPTION_ESCAPE | OPTION_JSON)))
		c->f->unescape_extra |= UINT64_C(1) << index;
	return true;
}

/* A name that differs from a known one by case only was probably meant. */
static bool unknown_alias(struct compiler *c, const struct item *it)
{
	char text[160], list[64] = "";
	size_t n = 0;

	for (int s = 0; s < SLOT_accept_us; s++)
		if (slice_ieq(slot_info[s].name, it->alias) && n + 8 < sizeof(list))
			n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%%%s", n ? " or " : "",
					      slot_info[s].name.p);
	snprintf(text, sizeof(text), "unknown alias '%%%.*s'%s%s%s", it->alias.len > 20 ? 20 : (int)it->alias.len,
		 it->alias.p, n ? ": did you mean " : ": `haspan formats` lists them all", list, n ? "?" : "");
	return fail(c, it->column, text);
}

/* A field or expression of %{+json}o and %{+cbor}o; what has no name is not written. */
static bool add_member(struct compiler *c, const struct item *it, const struct binding *b)
{
	struct member m = { .name = it->name, .what = MEMBER_SLOT, .slot = (uint8_t)b->slot };

	if (it->name.len == 0)
		return true;
	if (b->slot == -2) {
		m.what = MEMBER_CAPTURE;
		m.slot = (uint8_t)b->index;
		m.side = (uint8_t)b->side;
		m.partial = true;
		mark(c->f, b->side ? SLOT_hs : SLOT_hr);
	} else if (b->slot < 0) {
		int index = add_extra(c, it, b);

		if (index < 0)
			return false;
		m.what = MEMBER_EXTRA;
		m.slot = (uint8_t)index;
		m.partial = true;
	} else {
		enum field_type type = slot_info[b->slot].type;

		mark(c->f, b->slot);
		if (type == TYPE_FT)
			mark(c->f, SLOT_x_tls);
		if (type == TYPE_BLOCK || type == TYPE_LIST)
			m.what = MEMBER_BLOCK;
		m.side = b->slot == SLOT_hs || b->slot == SLOT_hsl;
		m.partial = is_partial(b->slot);
		if (type == TYPE_IP && hexable(it, b->slot) && (it->options & OPTION_HEX))
			c->f->hex_ip[b->slot >> 6] |= UINT64_C(1) << (b->slot & 63);
	}
	return object_add(&c->members, m) || fail(c, it->column, "too many fields in one format");
}

/* %{…}o: for all that follows. */
static bool set_defaults(struct compiler *c, const struct item *it)
{
	c->defaults = it->options;
	if (!(it->options & (OPTION_JSON | OPTION_CBOR)))
		return true;
	if (c->n)
		return fail(c, it->column, "JSON and CBOR are for the whole line: expected this in front of all "
					    "fields");
	c->encoded = true;
	return true;
}

static bool compile_item(struct compiler *c, const struct item *it)
{
	struct binding b = { .slot = -1 };

	if (it->alias.len) {
		b.slot = slot_find(it->alias);
		if (b.slot == SLOT_o)
			return set_defaults(c, it);
		if (b.slot < 0 || b.slot >= SLOT_accept_us)
			return unknown_alias(c, it);
		return c->encoded ? add_member(c, it, &b) : emit_slot(c, it, b.slot, false);
	}
	binding_resolve(&b, it->expr, it->name, c->naming, c->arena);
	if (c->encoded)
		return add_member(c, it, &b);
	if (it->options & OPTION_CBOR)
		return fail(c, it->column, "CBOR is for the whole line: expected %{+cbor}o in front");
	if (b.slot == -2)
		return emit_capture(c, it, &b);
	if (b.slot < 0)
		return emit_extra(c, it, &b);
	if (b.backslash)
		c->f->unescape[b.slot >> 6] |= UINT64_C(1) << (b.slot & 63);
	return emit_slot(c, it, b.slot, true);
}

/* A backslash that the configuration file needed: `\ ` and the like. Others stand for themselves. */
static void literal_byte(struct compiler *c)
{
	char ch = c->text.p[c->at++];

	if (ch == '\\' && c->at < c->text.len && strchr(" \"\\#%", c->text.p[c->at])) {
		ch = c->text.p[c->at++];
		if (ch != ' ') {
			literal_add(c, ch);
			return;
		}
	}
	if (ch == ' ' || ch == '\t')
		literal_blank(c);
	else
		literal_add(c, ch);
}

/* ---- what only shows when all is read -------------------------------------------------------------------- */

/* A field without an end: only numbers, dates and states end by themselves. */
static bool ends_itself(enum op op)
{
	return op == OP_LITERAL || op == OP_NUMBER || op == OP_HEX || op == OP_HEX_IP || op == OP_DATE ||
	       op == OP_DATEZ || op == OP_STATE2 || op == OP_STATE4 || op == OP_BLOCK || op == OP_LIST;
}

/* A number and a field that may begin with a digit run into each other. */
static bool would_merge(const struct insn *i)
{
	bool number = i->op == OP_NUMBER || i->op == OP_HEX || i->op == OP_HEX_IP;

	return number && (i[1].op == OP_NUMBER || i[1].op == OP_HEX || i[1].op == OP_HEX_IP || i[1].op == OP_IP ||
			  i[1].op == OP_ADDR || i[1].op == OP_DATE || i[1].op == OP_DATEZ || i[1].op == OP_WORD ||
			  i[1].op == OP_RAW || i[1].op == OP_REST);
}

static bool finish(struct compiler *c)
{
	bool optional = true;
	struct insn *last;

	while (c->lit_end > c->lit_start && c->lit[c->lit_end - 1] == ' ')
		c->lit_end--;
	literal_close(c);
	if (c->n == 0 || (c->n == 1 && c->prog[0].op == OP_LITERAL))
		return fail(c, 0, "no field at all: expected aliases such as %ci or %[…] expressions");
	last = &c->prog[c->n - 1];
	if (last->lit_len == 0 && (last->op == OP_WORD || last->op == OP_RAW))
		last->op = OP_REST;
	for (struct insn *i = c->prog; i < last; i++)
		if (i->lit_len == 0 && (!ends_itself((enum op)i->op) || would_merge(i)))
			return fail(c, i[1].column, "nothing stands between this field and the one before it: "
						    "their border can't be found");
	/* HAProxy escapes '"' in these, so the first one ends them. */
	for (struct insn *i = c->prog; i <= last; i++)
		if (i->op == OP_RAW && !(i->flags & (INSN_EXTRA | INSN_CAPTURE)) && i->first == '"' &&
		    (slot_info[i->slot].type == TYPE_ESC || slot_info[i->slot].type == TYPE_REQ))
			i->op = OP_TEXT;
	for (struct insn *i = last; i >= c->prog && optional; i--) {
		bool blank = i->lit_len == 0 || (i->lit_len == 1 && *i->lit == ' ');

		i->flags |= INSN_REST_OPTIONAL;
		optional = blank && (i->op == OP_BLOCK || i->op == OP_LIST);
	}
	for (struct insn *i = c->prog; i <= last; i++) {
		i->bit = UINT64_C(1) << (i->slot & 63);
		i->word = i->slot >> 6;
		i->plain = i->op == OP_WORD && i->lit_len == 1 && i->flags == 0;
		i->plain |= i->op == OP_NUMBER && i->lit_len == 1;
	}
	c->prog[c->n++] = (struct insn){ .op = OP_END, .column = (uint16_t)c->text.len };
	return true;
}

/* Only HTTP has these (alias table of src/log.c, mode H). */
static bool is_http(const struct format *f)
{
	static const enum slot http[] = { SLOT_ST, SLOT_CC, SLOT_CS, SLOT_HM, SLOT_HP, SLOT_HPO, SLOT_HQ, SLOT_HU,
					  SLOT_HV, SLOT_Ta, SLOT_Ti, SLOT_Tq, SLOT_Tr, SLOT_TR, SLOT_Tu, SLOT_r,
					  SLOT_tr, SLOT_trg, SLOT_trl, SLOT_request_us };

	for (size_t i = 0; i < sizeof(http) / sizeof(http[0]); i++)
		if (format_has(f, http[i]))
			return true;
	return false;
}

bool format_complete(struct format *f, struct err *err)
{
	static const enum slot date[] = { SLOT_tr, SLOT_trg, SLOT_trl, SLOT_t, SLOT_T, SLOT_Tl, SLOT_Ts,
					  SLOT_accept_us, SLOT_request_us };
	bool dated = false;

	f->mode = format_has(f, SLOT_error) ? MODE_ERROR : is_http(f) ? MODE_HTTP : MODE_TCP;
	for (size_t i = 0; i < sizeof(date) / sizeof(date[0]); i++)
		dated |= format_has(f, date[i]);
	/* Lines that say which step they are: the other steps say the rest. */
	if (format_has(f, SLOT_OG))
		return true;
	if (!dated)
		return err_at(err, EXIT_CONFIG, f->text.p, f->text.len, 0,
			      "this format has no date, so nobody can say when a request began: add %%tr (or, better, "
			      "%%[accept_date(us)])");
	if (f->mode != MODE_ERROR && !format_has(f, SLOT_Ta) && !format_has(f, SLOT_Tt) &&
	    !format_has(f, SLOT_Td) && !format_has(f, SLOT_Tr) && !format_has(f, SLOT_end_us))
		return err_at(err, EXIT_CONFIG, f->text.p, f->text.len, 0,
			      "this format has no duration, so nobody can say when a request ended: add %%Ta (%%Tt "
			      "for TCP)");
	return true;
}

static void finish_program(struct compiler *c)
{
	struct insn *prog = arena_alloc(c->arena, c->n * sizeof(*prog));
	struct format *f = c->f;

	memcpy(prog, c->prog, c->n * sizeof(*prog));
	f->prog = prog;
	f->nprog = c->n;
	for (uint32_t k = 0; k < c->n; k++)
		if (prog[k].op == OP_HEX_IP)
			f->hex_ip[prog[k].word] |= prog[k].bit;
	f->escaped = f->unescape[0] || f->unescape[1] || f->unescape_extra || f->hex_ip[0] || f->hex_ip[1] ||
		     f->unescape_cap[0] || f->unescape_cap[1];
	f->object = object_of_text(prog, c->arena);
}

static bool finish_object(struct compiler *c)
{
	if (c->members.n == 0)
		return fail(c, 0, "no field has a name, so HAProxy writes none: expected %(name)alias");
	c->f->object = object_make(&c->members, c->defaults & OPTION_CBOR ? OBJECT_CBOR : OBJECT_JSON, false);
	c->f->escaped = c->f->hex_ip[0] || c->f->hex_ip[1];
	return true;
}

bool program_compile(struct format *f, struct slice text, const struct naming *naming, struct arena *arena,
		     struct err *err)
{
	struct compiler c = { .f = f, .arena = arena, .naming = naming, .err = err, .text = text,
			      .members = { .arena = arena } };
	struct item it;

	f->text = text;
	if (text.len > FORMAT_TEXT_MAX)
		return err_set(err, EXIT_CONFIG, "a format of %zu bytes is too long", text.len);
	format_captures(f, naming, arena);
	c.lit = arena_alloc(arena, 3 * text.len + 1);
	c.prog = calloc(INSNS_MAX + 1, sizeof(*c.prog));
	if (!c.prog)
		return err_set(err, EXIT_CONFIG, "out of memory");
	while (c.at < text.len) {
		if (peek(&c) != '%') {
			literal_byte(&c);
		} else if (c.at + 1 < text.len && text.p[c.at + 1] == '%') {
			literal_add(&c, '%');
			c.at += 2;
		} else if (!read_item(&c, &it) || !compile_item(&c, &it)) {
			break;
		}
	}
	if (err->code == EXIT_DONE && c.encoded)
		finish_object(&c);
	else if (err->code == EXIT_DONE && finish(&c))
		finish_program(&c);
	free(c.members.v);
	free(c.prog);
	return err->code == EXIT_DONE;
}
