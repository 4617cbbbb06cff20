/*
 * reconstruct/plan.c - which attributes spans of a format can carry, and their keys, encoded once.
 */
#include "reconstruct/plan.h"

#include "reconstruct/reconstruct.h"

enum { S = 1, C = 2, L = 4 };

static const struct row {
	struct slice key;
	enum slot slot;
	enum attr_type type;
	unsigned spans;
} rows[] = {
#define ATTR(key, slot, type, spans) { { key, sizeof(key) - 1 }, SLOT_##slot, ATTR_##type, spans },
#include "formats/attrs.def"
#undef ATTR
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

/* Every row, all captures of both sides, all extra fields, three blocks. */
#define PLAN_MAX (ROWS + 2 * CAPTURES_MAX + EXTRAS_MAX + 3)

/* What a derived slot comes from: without any of these it is never filled. */
static const struct {
	enum slot slot, from[8];	/* ends at SLOT_o */
} origins[] = {
	{ SLOT_x_method_original, { SLOT_r, SLOT_HM } },
	{ SLOT_x_method, { SLOT_r, SLOT_HM } },
	{ SLOT_x_version, { SLOT_r, SLOT_HV } },
	{ SLOT_x_path, { SLOT_r, SLOT_HU, SLOT_HP, SLOT_HPO } },
	{ SLOT_x_route, { SLOT_r, SLOT_HU, SLOT_HP, SLOT_HPO } },
	{ SLOT_x_query, { SLOT_r, SLOT_HU, SLOT_HQ } },
	{ SLOT_x_tls_version, { SLOT_sslv } },
	{ SLOT_x_resumed, { SLOT_tls_resumed } },
	{ SLOT_x_redispatched, { SLOT_rc } },
	{ SLOT_x_status, { SLOT_ST } },
	{ SLOT_x_status_server, { SLOT_ST } },
	{ SLOT_x_frontend, { SLOT_ft, SLOT_f } },
	{ SLOT_x_server, { SLOT_s } },
};

/* Can a record of this format have the slot? */
static bool possible(const struct format *f, enum slot s)
{
	if (s == SLOT_user_agent || s == SLOT_host)	/* captured headers may fill these */
		return true;
	if (s == SLOT_x_transport)
		return f->mode == MODE_TCP;
	if (s < SLOT_x_tls)
		return format_has(f, s);
	for (size_t i = 0; i < sizeof(origins) / sizeof(origins[0]); i++) {
		if (origins[i].slot != s)
			continue;
		for (int k = 0; k < 8 && origins[i].from[k] != SLOT_o; k++)
			if (format_has(f, origins[i].from[k]))
				return true;
		return false;
	}
	return true;
}

/*
 * Span.attributes, its length, KeyValue.key, KeyValue.value, its length, and the tag of the value (trace.proto,
 * common.proto). Both lengths are the encoder's to fill in.
 */
static const char *image(struct arena *arena, struct slice key, enum attr_quick quick)
{
	char *p = arena_alloc(arena, key.len + PLAN_IMAGE);
	size_t n = 0;

	p[n++] = 0x4a;
	p[n++] = 0;
	p[n++] = 0x0a;
	p[n++] = (char)key.len;
	memcpy(p + n, key.p, key.len);
	n += key.len;
	p[n++] = 0x12;
	p[n++] = 0;
	p[n++] = quick == QUICK_TEXT ? 0x0a : 0x18;
	return p;
}

/* The numbers and short texts of the usual keys fit an image. */
static enum attr_quick quick_of(enum attr_type type, struct slice key)
{
	if (key.len + 7 > PLAN_IMAGE)
		return QUICK_NO;
	return type == ATTR_TEXT ? QUICK_TEXT : type == ATTR_INT || type == ATTR_TIMER ? QUICK_INT : QUICK_NO;
}

/* Keys hold no byte that JSON escapes: names of options are checked, others are made of known letters. */
static struct slice json_key(struct arena *arena, struct slice key, enum attr_type type)
{
	static const char head[] = "{\"key\":\"";
	const char *tail = type == ATTR_TEXT ? "\",\"value\":{\"stringValue\":\"" :
			   type == ATTR_INT || type == ATTR_TIMER ? "\",\"value\":{\"intValue\":\"" :
								    "\",\"value\":{";
	size_t n = sizeof(head) - 1;
	char *p = arena_alloc(arena, key.len + 64 + PLAN_JSON_COPY);

	memcpy(p, head, n);
	memcpy(p + n, key.p, key.len);
	n += key.len;
	memcpy(p + n, tail, strlen(tail));
	return slice_of(p, n + strlen(tail));
}

struct builder {
	struct arena *arena;
	struct attr attr[PLAN_MAX];
	uint32_t n;
};

/* Keys are unique within a span (OTLP, Span.attributes): the first one stays. */
static void add(struct builder *b, enum attr_from from, size_t index, enum attr_type type, struct slice key)
{
	enum attr_quick quick;

	if (key.len == 0)
		return;
	for (uint32_t i = 0; i < b->n; i++)
		if (slice_eq(b->attr[i].key, key))
			return;
	quick = from == FROM_SLOT ? quick_of(type, key) : QUICK_NO;
	b->attr[b->n++] = (struct attr){
		.bit = from == FROM_SLOT ? UINT64_C(1) << (index & 63) : 0,
		.word = from == FROM_SLOT ? (uint8_t)(index >> 6) : 0,
		.type = (uint8_t)type,
		.from = (uint8_t)from,
		.index = (uint8_t)index,
		.quick = (uint8_t)quick,
		.short_text = (uint8_t)(quick ? 127 - (key.len + 6) : 0),
		.head = (uint8_t)(quick ? key.len + 7 : 0),
		.image = quick ? image(b->arena, key, quick) : NULL,
		.key = key,
		.key_json = json_key(b->arena, key, type),
	};
}

static void add_rows(struct builder *b, const struct format *f, unsigned spans)
{
	for (size_t i = 0; i < ROWS; i++)
		if ((rows[i].spans & spans) && possible(f, rows[i].slot))
			add(b, FROM_SLOT, rows[i].slot, rows[i].type, rows[i].key);
}

static void add_captures(struct builder *b, const struct format *f)
{
	static const struct slice prefix[CAPTURE_SIDES] = { { "http.request.header.", 20 },
							    { "http.response.header.", 21 } };
	static const struct slice whole[CAPTURE_SIDES] = { { "haproxy.captures.request", 24 },
							   { "haproxy.captures.response", 25 } };
	static const enum slot slots[CAPTURE_SIDES][2] = { { SLOT_hr, SLOT_hrl }, { SLOT_hs, SLOT_hsl } };

	for (int side = 0; side < CAPTURE_SIDES; side++) {
		if (!format_has(f, slots[side][0]) && !format_has(f, slots[side][1]))
			continue;
		for (uint32_t k = 0; k < f->ncap[side]; k++) {
			const struct capture *c = &f->cap[side][k];
			char *p;

			if (c->key.len)
				add(b, side ? FROM_RESPONSE_CAPTURE : FROM_REQUEST_CAPTURE, k, ATTR_TEXT, c->key);
			if (c->context || c->name.len == 0)
				continue;
			p = arena_alloc(b->arena, prefix[side].len + c->name.len);
			memcpy(p, prefix[side].p, prefix[side].len);
			memcpy(p + prefix[side].len, c->name.p, c->name.len);
			add(b, side ? FROM_RESPONSE_CAPTURE : FROM_REQUEST_CAPTURE, k, ATTR_LIST,
			    slice_of(p, prefix[side].len + c->name.len));
		}
		if (f->ncap[side] == 0)
			add(b, FROM_BLOCK, (size_t)side, ATTR_LISTS, whole[side]);
	}
	if (!f->ncap[CAPTURE_REQUEST] && !f->ncap[CAPTURE_RESPONSE])
		add(b, FROM_ONE_BLOCK, CAPTURE_REQUEST, ATTR_LISTS, SLICE("haproxy.captures"));
}

static void add_extras(struct builder *b, const struct format *f)
{
	for (uint32_t k = 0; k < f->nextra; k++) {
		bool header = slice_starts(f->extra[k].key, SLICE("http.request.header.")) ||
			      slice_starts(f->extra[k].key, SLICE("http.response.header."));

		add(b, FROM_EXTRA, k, header ? ATTR_LIST : f->extra[k].type == TYPE_INT ? ATTR_NUMBER_TEXT :
				      f->extra[k].type == TYPE_NAME ? ATTR_BOOL_TEXT : ATTR_TEXT, f->extra[k].key);
	}
}

/* The rows from `first` on, for good, their keys behind them: together they come into the cache. */
static const struct attr *keep(const struct builder *b, uint32_t first)
{
	size_t size = (b->n - first) * sizeof(struct attr), keys = 0;
	struct attr *v;
	char *p;

	for (uint32_t i = first; i < b->n; i++)
		keys += b->attr[i].key.len;
	v = arena_alloc(b->arena, size + keys + PLAN_IMAGE);	/* a short key is copied as one piece */
	p = (char *)v + size;
	memcpy(v, b->attr + first, size);
	for (uint32_t i = 0; i < b->n - first; i++) {
		memcpy(p, v[i].key.p, v[i].key.len);
		v[i].key.p = p;
		p += v[i].key.len;
	}
	return v;
}

/* `like`: a format with the same fields, but for what its captures are called; or NULL. */
static struct attrs make(const struct format *f, const struct attrs *like, struct arena *arena, unsigned spans)
{
	struct builder b;		/* too large to be cleared for each of a thousand formats */
	struct attrs a;

	b.arena = arena;
	b.n = 0;
	if (like) {
		memcpy(b.attr, like->v, like->nslots * sizeof(*b.attr));
		b.n = like->nslots;
	} else {
		add_rows(&b, f, spans);
	}
	a.nslots = b.n;
	a.v = like ? like->v : keep(&b, 0);
	if (spans & S) {
		add_captures(&b, f);
		add_extras(&b, f);
	}
	a.own = keep(&b, a.nslots);
	a.n = b.n;
	return a;
}

static bool same_rows(const struct attrs *a, const struct attrs *b)
{
	if (a->n - a->nslots != b->n - b->nslots)
		return false;
	for (uint32_t i = 0; i < a->n - a->nslots; i++)
		if (!slice_eq(a->own[i].key, b->own[i].key))
			return false;
	return true;
}

void plan_make(struct format *f, struct arena *arena)
{
	const struct plan *like = f->like ? f->like->plan : NULL;
	struct plan *p = arena_alloc(arena, sizeof(*p));

	p->server = make(f, like ? &like->server : NULL, arena, S);
	p->server_alone = make(f, like ? &like->server_alone : NULL, arena, S | L);
	p->client = make(f, like ? &like->client : NULL, arena, C | L);
	if (same_rows(&p->server, &p->server_alone))
		p->server_alone.own = p->server.own;
	f->plan = p;
}
