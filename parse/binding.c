/*
 * parse/binding.c - what a name means: aliases, names, expressions, --map, captured headers.
 */
#include "parse/program.h"

const struct slot_info slot_info[SLOT_MAX] = {
#define TEXT(s) { "" s, sizeof(s) - 1 }
#define FIELD(alias, type, since, meaning) \
	[SLOT_##alias] = { TEXT(#alias), TYPE_##type, TEXT(since), TEXT(meaning) },
#define NAMED(name, type, meaning) \
	[SLOT_##name] = { TEXT(#name), TYPE_##type, TEXT(""), TEXT(meaning) },
#include "formats/fields.def"
#undef FIELD
#undef NAMED
};

/* Spellings that HAProxy dropped in 2.5 and read as their successors before. */
static const struct { struct slice old; enum slot slot; } renamed[] = {
	{ TEXT("Bi"), SLOT_bi }, { TEXT("Bp"), SLOT_bp }, { TEXT("Ci"), SLOT_ci }, { TEXT("Cp"), SLOT_cp },
	{ TEXT("Fi"), SLOT_fi }, { TEXT("Fp"), SLOT_fp }, { TEXT("Si"), SLOT_si }, { TEXT("Sp"), SLOT_sp },
	{ TEXT("cc"), SLOT_CC }, { TEXT("cs"), SLOT_CS }, { TEXT("st"), SLOT_ST },
};

static const struct { struct slice expr; enum slot slot; } fetches[] = {
#define FETCH(expr, slot) { TEXT(expr), SLOT_##slot },
#include "formats/fetches.def"
#undef FETCH
};

static const struct { struct slice name; enum slot slot; bool context; } headers[] = {
#define HEADER(name, slot, context) { TEXT(name), SLOT_##slot, context },
#include "formats/headers.def"
#undef HEADER
};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

int slot_find(struct slice name)
{
	for (int s = 0; s < SLOT_MAX; s++)
		if (slot_info[s].name.len && slice_eq(slot_info[s].name, name))
			return s;
	for (size_t i = 0; i < COUNT(renamed); i++)
		if (slice_eq(renamed[i].old, name))
			return (int)renamed[i].slot;
	return -1;
}

static int header_slot(struct slice name, bool *context)
{
	for (size_t i = 0; i < COUNT(headers); i++)
		if (slice_ieq(headers[i].name, name)) {
			*context = headers[i].context;
			return (int)headers[i].slot;
		}
	*context = false;
	return -1;
}

int slot_of_header(struct slice name)
{
	bool context;

	return header_slot(name, &context);
}

static struct slice lower(struct arena *arena, struct slice s)
{
	char *p = arena_alloc(arena, s.len + 1);

	for (size_t k = 0; k < s.len; k++)
		p[k] = slice_lower(s.p[k]);
	return slice_of(p, s.len);
}

static bool is_context(int slot)
{
	for (size_t i = 0; i < COUNT(headers); i++)
		if ((int)headers[i].slot == slot)
			return headers[i].context;
	return false;
}

int format_add_extra(struct format *f, struct slice name, struct slice key, enum field_type type)
{
	for (uint32_t k = 0; k < f->nshared; k++)
		if (f->extra[k].type == type && slice_eq(f->extra[k].key, key))
			return (int)k;
	if (f->nextra == EXTRAS_MAX)
		return -1;
	f->extra[f->nextra] = (struct extra){ name, key, type };
	return (int)f->nextra++;
}

/* Text in parentheses behind `function` when `expr` is `function(…)` and nothing else. */
static bool argument(struct slice expr, struct slice function, struct slice *arg)
{
	if (!slice_starts(expr, function) || expr.len < function.len + 2 || expr.p[function.len] != '(' ||
	    expr.p[expr.len - 1] != ')')
		return false;
	*arg = slice_of(expr.p + function.len + 1, expr.len - function.len - 2);
	return true;
}

/* Converters that change how a value is written, not what it is. Returns the expression without them. */
static struct slice strip_converters(struct slice expr, bool *backslash)
{
	static const struct slice spelling[] = { TEXT("lower"), TEXT("upper"), TEXT("json()"), TEXT("json"),
						 TEXT("json(ascii)"), TEXT("json(utf8)"), TEXT("json(utf8s)"),
						 TEXT("json(utf8p)"), TEXT("json(utf8ps)") };

	for (;;) {
		size_t comma = expr.len, i;
		int depth = 0;
		struct slice last;

		for (i = 0; i < expr.len; i++) {
			depth += expr.p[i] == '(' ? 1 : expr.p[i] == ')' ? -1 : 0;
			if (expr.p[i] == ',' && depth == 0)
				comma = i;
		}
		if (comma == expr.len)
			return expr;
		last = slice_skip(expr, comma + 1);
		for (i = 0; i < COUNT(spelling) && !slice_eq(spelling[i], last); i++)
			;
		if (i == COUNT(spelling))
			return expr;
		if (slice_starts(last, SLICE("json")))
			*backslash = true;
		expr.len = comma;
	}
}

/* The attribute of a field that nobody named: haspan's own space, and only bytes that suit a key. */
static struct slice own_key(struct slice name, struct arena *arena)
{
	static const char prefix[] = "haproxy.log.";
	char *p = arena_alloc(arena, sizeof(prefix) + name.len);
	size_t n = sizeof(prefix) - 1;

	memcpy(p, prefix, n);
	for (size_t i = 0; i < name.len; i++) {
		char c = name.p[i];
		bool fits = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			    c == '.' || c == '-' || c == '_';

		if (fits)
			p[n++] = c;
		else if (p[n - 1] != '_' && p[n - 1] != '.')
			p[n++] = '_';
	}
	while (n > sizeof(prefix) && p[n - 1] == '_')
		n--;
	return slice_of(p, n);
}

/* Bind to what --map says of `from`; false when it says nothing. */
static bool bind_mapped(struct binding *b, struct slice from, const struct naming *naming)
{
	for (uint32_t i = 0; i < naming->nmap; i++)
		if (from.len && slice_eq(naming->map_from[i], from)) {
			b->slot = slot_find(naming->map_to[i]);
			b->key = naming->map_to[i];
			return true;
		}
	return false;
}

static bool bind_capture(struct binding *b, struct slice expr)
{
	static const struct slice fetch[CAPTURE_SIDES] = { TEXT("capture.req.hdr"), TEXT("capture.res.hdr") };
	struct slice arg;
	uint64_t n;

	for (int side = 0; side < CAPTURE_SIDES; side++)
		if (argument(expr, fetch[side], &arg) && slice_uint(arg, &n) && n < CAPTURES_MAX) {
			b->slot = -2;
			b->side = side;
			b->index = (int)n;
			return true;
		}
	return false;
}

/* A header's name (RFC 9110 section 5.6.2): nothing else becomes part of a key. */
bool header_is_token(struct slice s)
{
	static const char other[] = "!#$%&'*+-.^_`|~";

	for (size_t i = 0; i < s.len; i++) {
		char c = slice_lower(s.p[i]);

		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && !memchr(other, c, sizeof(other) - 1))
			return false;
	}
	return s.len > 0;
}

static bool bind_header(struct binding *b, struct slice expr, struct arena *arena)
{
	static const struct slice fetch[] = { TEXT("req.hdr"), TEXT("req.fhdr"), TEXT("hdr"), TEXT("fhdr"),
					      TEXT("res.hdr"), TEXT("res.fhdr") };
	static const struct slice prefix[2] = { TEXT("http.request.header."), TEXT("http.response.header.") };
	struct slice args, arg;
	bool context;

	for (size_t i = 0; i < COUNT(fetch); i++) {
		const struct slice pre = prefix[i >= 4];
		char *p;

		/* An occurrence behind a comma picks a value, not another name. */
		if (!argument(expr, fetch[i], &args) || !header_is_token(arg = slice_cut(&args, ',')) ||
		    slice_find(args, ')') < args.len)
			continue;
		b->slot = i < 4 ? header_slot(arg, &context) : -1;
		p = arena_alloc(arena, pre.len + arg.len);
		memcpy(p, pre.p, pre.len);
		for (size_t k = 0; k < arg.len; k++)
			p[pre.len + k] = slice_lower(arg.p[k]);
		b->key = slice_of(p, pre.len + arg.len);
		return true;
	}
	return false;
}

void binding_resolve(struct binding *b, struct slice expr, struct slice name, const struct naming *naming,
		     struct arena *arena)
{
	struct slice plain;

	*b = (struct binding){ .slot = -1 };
	if (bind_mapped(b, expr, naming) || bind_mapped(b, name, naming)) {
		strip_converters(expr, &b->backslash);
		return;
	}
	for (size_t i = 0; i < COUNT(fetches); i++)
		if (slice_eq(fetches[i].expr, expr)) {
			b->slot = (int)fetches[i].slot;
			return;
		}
	plain = strip_converters(expr, &b->backslash);
	for (size_t i = 0; i < COUNT(fetches); i++)
		if (slice_eq(fetches[i].expr, plain)) {
			b->slot = (int)fetches[i].slot;
			return;
		}
	if (bind_mapped(b, plain, naming) || bind_capture(b, plain) || bind_header(b, plain, arena))
		return;
	b->slot = name.len ? slot_find(name) : -1;
	b->key = own_key(name.len ? name : plain, arena);
}

/* ---- captures ---------------------------------------------------------------------------------------- */

/* A slot that haproxy.cfg fills from an expression: it means what that means. */
static void name_expr(struct capture *c, struct slice expr, const struct naming *naming, struct arena *arena)
{
	struct binding b;
	bool text;

	binding_resolve(&b, expr, slice_of("", 0), naming, arena);
	text = b.slot >= 0 && (slot_info[b.slot].type == TYPE_RAW || slot_info[b.slot].type == TYPE_NAME);
	*c = (struct capture){ .slot = (int16_t)(text ? b.slot : -1), .context = text && is_context(b.slot) };
	if (!text)
		c->key = b.slot < 0 ? b.key : own_key(expr, arena);
}

static void name_side(struct format *f, int side, const struct slice *names, uint32_t n,
		      const struct naming *naming, struct arena *arena)
{
	f->ncap[side] = n < CAPTURES_MAX ? n : CAPTURES_MAX;
	f->cap[side] = f->ncap[side] ? arena_alloc(arena, f->ncap[side] * sizeof(*f->cap[side])) : NULL;
	for (uint32_t i = 0; i < f->ncap[side]; i++) {
		struct capture *c = &f->cap[side][i];

		if (slice_starts(names[i], SLICE("%["))) {
			name_expr(c, slice_of(names[i].p + 2, names[i].len - 3), naming, arena);
			continue;
		}
		*c = (struct capture){ .name = lower(arena, names[i]), .slot = -1 };
		if (side == CAPTURE_REQUEST)
			c->slot = (int16_t)header_slot(c->name, &c->context);
	}
}

void format_captures(struct format *f, const struct naming *naming, struct arena *arena)
{
	if (!f->extra)
		f->extra = arena_alloc(arena, EXTRAS_MAX * sizeof(*f->extra));
	f->chosen_id = naming->chosen_id;
	name_side(f, CAPTURE_REQUEST, naming->request, naming->nrequest, naming, arena);
	name_side(f, CAPTURE_RESPONSE, naming->response, naming->nresponse, naming, arena);
}
