#include "export/keyed.h"

#include "core/hex.h"
#include "core/sha256.h"
#include "parse/format.h"

/* In front of each message of a wire. */
struct head {
	uint64_t hi, lo;	/* of the key */
	uint32_t spans, len;
};

/*
 * While a group is open, what opened it stands at the end of the wire: each message opens a group of its own. An encoder
 * has no other memory.
 */
struct group {
	const struct resource *res;
	struct slice host;
};

static void keyed_open(struct buf *out, const struct resource *res, struct slice host, size_t *mark)
{
	struct group g = { res, host };

	*mark = out->len;
	buf_add(out, (const char *)&g, sizeof(g));
}

static void keyed_close(struct buf *out, size_t mark)
{
	(void)mark;
	out->len -= sizeof(struct group);
}

static void keyed_trace(struct buf *out, const struct record *r, const struct trace *t, const struct encoder *e)
{
	struct head head = { t->id_hi, t->id_lo, t->n, 0 };
	bool json = e == &encoder_json;
	size_t at, mark;
	struct group g;

	out->len -= sizeof(g);
	memcpy(&g, out->p + out->len, sizeof(g));
	at = out->len;
	buf_add(out, (const char *)&head, sizeof(head));
	if (json)
		buf_lit(out, "{\"resourceSpans\":");
	e->open(out, g.res, g.host, &mark);
	if (json)
		out->p[mark] = '[';		/* it takes itself for a further group of a line, and put a comma */
	e->trace(out, r, t);
	e->close(out, mark);
	if (json)
		buf_lit(out, "]}");
	head.len = (uint32_t)(out->len - at - sizeof(head));
	memcpy(out->p + at, &head, sizeof(head));
	buf_add(out, (const char *)&g, sizeof(g));
}

static void keyed_protobuf(struct buf *out, const struct record *r, const struct trace *t)
{
	keyed_trace(out, r, t, &encoder_protobuf);
}

static void keyed_json(struct buf *out, const struct record *r, const struct trace *t)
{
	keyed_trace(out, r, t, &encoder_json);
}

/* ---- lines ----------------------------------------------------------------------------------------------- */

static void raw_open(struct buf *out, const struct resource *res, struct slice host, size_t *mark)
{
	(void)res;
	(void)host;
	*mark = out->len;
}

static void raw_close(struct buf *out, size_t mark)
{
	(void)out;
	(void)mark;
}

/*
 * The trace id. But of several lines of one request only some may have the caller's context, and all must have one key:
 * the trace id that their unique-id alone makes (doc/ids.md).
 */
static void raw_trace(struct buf *out, const struct record *r, const struct trace *t)
{
	bool step = format_has(r->format, SLOT_OG) || r->format->step != STEP_UNKNOWN, has_id = record_has(r, SLOT_ID);
	struct head head = { t->id_hi, t->id_lo, step ? 0 : t->n, (uint32_t)r->line.len };
	uint64_t digest[4];

	if (step && has_id) {
		sha256(r->v[SLOT_ID].text, slice_of("", 0), digest);
		head.hi = digest[0];
		head.lo = digest[1];
	}
	buf_add(out, (const char *)&head, sizeof(head));
	buf_slice(out, r->line);
}

const struct encoder encoder_keyed_protobuf = { "otlp_proto", keyed_open, keyed_protobuf, keyed_close, NULL, false };
const struct encoder encoder_keyed_json = { "otlp_json", keyed_open, keyed_json, keyed_close, NULL, false };
const struct encoder encoder_raw = { "raw", raw_open, raw_trace, raw_close, NULL, true };

bool keyed_next(const struct buf *wire, size_t *at, struct keyed *out)
{
	struct head head;

	if (*at >= wire->len)
		return false;
	memcpy(&head, wire->p + *at, sizeof(head));
	hex_put64(hex_put64(out->key, head.hi), head.lo);
	out->spans = head.spans;
	out->bytes = slice_of(wire->p + *at + sizeof(head), head.len);
	*at += sizeof(head) + head.len;
	return true;
}
