#include "reconstruct/ids.h"

#include "core/hash.h"
#include "core/sha256.h"
#include "reconstruct/mix.h"

static struct seeds from_unique_id(struct slice id, const struct record *r)
{
	struct slice frontend = record_text(r, SLOT_x_frontend);
	uint64_t trace[4], span[4];
	char joint[1 + 256];

	if (r->flags & RECORD_LONE_ID)
		frontend.len = 0;
	joint[0] = '|';
	frontend.len = frontend.len < 256 ? frontend.len : 256;
	memcpy(joint + 1, frontend.p ? frontend.p : "", frontend.len);
	sha256(id, slice_of("", 0), trace);
	sha256(id, slice_of(joint, 1 + frontend.len), span);
	return (struct seeds){ trace[0], trace[1], span[1], span[0] };
}

static struct seeds from_line(const struct record *r)
{
	XXH128_hash_t h = XXH3_128bits(r->msg.p, r->msg.len);

	return (struct seeds){ h.high64, h.low64, mix(h.low64 + 1), mix(h.high64 ^ UINT64_C(0x9e3779b97f4a7c15)) };
}

void ids_key(struct slice what, struct slice host, struct slice frontend, uint64_t key[2])
{
	uint64_t apart = XXH3_64bits(host.p, host.len) ^ mix(XXH3_64bits(frontend.p, frontend.len) + 1);
	XXH128_hash_t h = XXH3_128bits_withSeed(what.p, what.len, apart);

	key[0] = h.low64;
	key[1] = h.high64;
}

/*
 * A unique id that a client chose does not tell its requests apart; the whole line, with it, does. Where HAProxy made a
 * traceparent of it for the server, the trace's and CLIENT's ids are what the server has seen.
 */
static struct seeds from_chosen_id(struct slice id, const struct record *r)
{
	struct seeds plain = from_unique_id(id, r), line = from_line(r);

	return r->format->chosen_id == ID_CHOSEN_SENT ? (struct seeds){ plain.hi, plain.lo, line.server, plain.client } : line;
}

/* Lines of one request are not the same: what they have in common must do. */
static bool is_chosen(const struct format *f)
{
	return f->chosen_id != ID_OWN && f->step == STEP_UNKNOWN && !format_has(f, SLOT_OG) && !f->every[0];
}

/* A trace id that the line holds: 32 digits, or 16, of either case. */
static bool logged_trace(const struct record *r, uint64_t *hi, uint64_t *lo)
{
	struct slice s = record_text(r, SLOT_trace_id);
	char lower[32];

	if (s.len != 16 && s.len != 32)
		return false;
	memset(lower, '0', sizeof(lower));
	for (size_t i = 0; i < s.len; i++)
		lower[32 - s.len + i] = slice_lower(s.p[i]);
	return context_hex(slice_of(lower, 16), 16, hi) && context_hex(slice_of(lower + 16, 16), 16, lo) &&
	       (*hi || *lo);
}

static bool logged_span(const struct record *r, uint64_t *id)
{
	struct slice s = record_text(r, SLOT_span_id);
	char lower[16];

	if (s.len != 16)
		return false;
	for (size_t i = 0; i < 16; i++)
		lower[i] = slice_lower(s.p[i]);
	return context_hex(slice_of(lower, 16), 16, id) && *id;
}

/* What an id is made of that nobody gave. */
static uint8_t made_of(const struct record *r)
{
	return record_text(r, SLOT_ID).len && (!is_chosen(r->format) || r->format->chosen_id == ID_CHOSEN_SENT) ?
	       ID_FROM_UNIQUE_ID : ID_FROM_LINE;
}

void ids_trace(const struct record *r, const struct context *parent, struct trace *t, struct seeds *seeds)
{
	struct slice unique = record_text(r, SLOT_ID);

	*seeds = !unique.len ? from_line(r) : is_chosen(r->format) ? from_chosen_id(unique, r) : from_unique_id(unique, r);
	t->trace_from = parent ? ID_FROM_PARENT : ID_FROM_LOG;
	if (parent) {
		t->id_hi = parent->hi;
		t->id_lo = parent->lo;
	} else if (!logged_trace(r, &t->id_hi, &t->id_lo)) {
		t->trace_from = made_of(r);
		t->id_hi = seeds->hi;
		t->id_lo = nonzero(seeds->lo);
	}
}

void ids_spans(const struct record *r, const struct context *parent, const struct seeds *seeds, struct trace *t)
{
	uint64_t client, server = nonzero(seeds->server);

	t->client_from = ID_FROM_LOG;
	if (!logged_span(r, &client)) {
		t->client_from = made_of(r);
		client = nonzero(seeds->client);
	}
	/* The parent's own id, logged by a HAProxy that passes the header on, would make a span its own ancestor. */
	if (parent && client == parent->parent)
		client = nonzero(mix(client));
	/* A logged id that by chance is SERVER's own would make a span its own parent. */
	if (client == server)
		server = nonzero(mix(server));
	for (uint32_t i = 0; i < t->n; i++) {
		struct span *s = &t->span[i];

		s->id = s->role == ROLE_SERVER ? server :
			s->role == ROLE_CLIENT ? client :
						 nonzero(mix(server + s->role * UINT64_C(0x9e3779b97f4a7c15)));
		s->parent = s->role > ROLE_CLIENT && t->has_client ? client : server;
	}
	t->span[0].parent = parent ? parent->parent : 0;
	t->span[0].parent_remote = parent && parent->parent;
}
