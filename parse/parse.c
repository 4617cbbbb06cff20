/*
 * parse/parse.c - from message to record: which format, then clean strings.
 */
#include "parse/parse.h"

#include "core/pattern.h"
#include "core/scan.h"
#include "parse/names.h"
#include "parse/object.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#define RECENT_NONE UINT16_MAX

void parser_init(struct parser *p, const struct formats *formats)
{
	*p = (struct parser){ .formats = formats, .scratch = malloc(SCRATCH_SIZE) };
	if (!p->scratch) {
		fprintf(stderr, "haspan: out of memory: asked for %zu bytes\n", SCRATCH_SIZE);
		abort();
	}
}

void parser_free(struct parser *p)
{
	free(p->scratch);
	p->scratch = NULL;
}

void parser_thread_free(void)
{
	pattern_thread_free();
}

/* ---- which format ------------------------------------------------------------------------------------ */

/*
 * `option tcplog clf` (3.1) writes "TCP " where `option httplog clf` has its request, and is otherwise of the same
 * shape. No request is that: a method has a URI behind it.
 */
static inline bool is_tcp_clf(const struct record *r)
{
	return record_has(r, SLOT_r) && slice_eq(r->v[SLOT_r].text, SLICE("TCP "));
}

/* Does an object's record say what format_complete asks of its format? A step of a request need not. */
static bool is_complete(const struct record *r)
{
	if (r->format->step != STEP_UNKNOWN || record_has(r, SLOT_OG))
		return true;
	return record_dated(r) && (record_timed(r) || r->format->mode == MODE_ERROR);
}

static inline struct slice frontend_of(const struct record *r)
{
	return record_text(r, record_has(r, SLOT_ft) ? SLOT_ft : SLOT_f);
}

/* A single block of captures, which the program could not place: this frontend's names can. */
static void settle_block(const struct format *f, struct record *r)
{
	if (!f->ncap[CAPTURE_REQUEST] && !f->ncap[CAPTURE_RESPONSE])
		return;
	r->flags &= ~(unsigned)RECORD_ONE_BLOCK;
	if (!f->ncap[CAPTURE_REQUEST]) {
		r->cap[CAPTURE_RESPONSE] = r->cap[CAPTURE_REQUEST];
		r->cap[CAPTURE_REQUEST].n = 0;
	}
}

/* Lines of a format of haproxy.cfg are those of the frontends that have it, each with its own names. */
static inline bool choose_variant(struct record *r, const struct format *f)
{
	const struct format *variant;

	if (!f->by_frontend)
		return true;
	variant = names_find(f->by_frontend, frontend_of(r));
	if (!variant)
		return false;
	r->format = variant;
	if (r->flags & RECORD_ONE_BLOCK)
		settle_block(variant, r);
	return true;
}

static inline enum run run_format(struct parser *p, uint32_t n)
{
	const struct format *f = p->formats->v[n];

	if (f->regex)
		return regex_run(f, &p->rec, &p->day);
	if (f->prog)
		return program_run(f, &p->rec, &p->day, false, NULL) == RUN_YES && !is_tcp_clf(&p->rec) &&
		       choose_variant(&p->rec, f) ? RUN_YES : RUN_NO;
	if (f->object->generic || object_run(p, f, true, NULL) != RUN_YES || !is_complete(&p->rec) ||
	    !choose_variant(&p->rec, f))
		return RUN_NO;
	return RUN_YES;
}

/* The formats of one frontend: which of them does the line fit? */
static bool run_candidates(struct parser *p, const struct candidates *c, uint16_t *which)
{
	for (uint32_t k = 0; k < c->n; k++)
		if (run_format(p, c->v[k]) == RUN_YES) {
			*which = c->v[k];
			return true;
		}
	return false;
}

/*
 * Does the line fit format `n`? One that haproxy.cfg does not name gives way where the configuration knows the
 * frontend and the line fits what that writes: `*which` is the one it is.
 */
static inline bool fits(struct parser *p, uint16_t n, uint16_t *which)
{
	const struct format *f = p->formats->v[n];
	const struct candidates *own;

	if (run_format(p, n) != RUN_YES)
		return false;
	*which = n;
	if (!f->behind)
		return true;
	own = candidates_of(p->formats, frontend_of(&p->rec));
	return !own || run_candidates(p, own, which) || run_format(p, n) == RUN_YES;
}

static void remember(struct recent *recent, uint16_t format)
{
	uint16_t carried = format;

	for (int k = 0; k < FORMATS_RECENT; k++) {
		uint16_t was = recent->v[k];

		recent->v[k] = carried;
		if (was == format || was == RECENT_NONE)
			return;
		carried = was;
	}
}

/*
 * A cut line is worth a span when it still says when the request began, and either how long something took or
 * what was asked for: where the request stands before the timers (CLF), a long one pushes them out.
 */
static bool cut_is_useful(const struct record *r)
{
	static const enum slot worth[] = { SLOT_Ta, SLOT_Tt, SLOT_TR, SLOT_Tq, SLOT_Tw, SLOT_Tc, SLOT_Tr,
					   SLOT_r,  SLOT_HU, SLOT_HP, SLOT_HPO };
	bool timed = false;

	for (size_t k = 0; k < sizeof(worth) / sizeof(worth[0]); k++)
		timed |= record_has(r, worth[k]);
	return timed && record_dated(r);
}

/* One try of find_object. false: the line is not of this format. */
static bool try_object(struct parser *p, const struct format *f, enum run want, uint32_t *known)
{
	p->rec.budget -= BACKTRACK_TRY;
	/* In a text written by hand values are not escaped: cut, nobody can say which of two members is HAProxy's. */
	if (f->object->generic || (want == RUN_CUT && f->prog) || object_run(p, f, false, known) != want)
		return false;
	p->rec.budget -= (int32_t)p->rec.msg.len;
	if (want == RUN_CUT ? !cut_is_useful(&p->rec) : 2 * *known < f->object->n || !is_complete(&p->rec))
		return false;
	return (want == RUN_CUT && frontend_of(&p->rec).len == 0) || choose_variant(&p->rec, f);
}

static bool find_generic(struct parser *p, enum run want)
{
	for (uint32_t n = 0; n < p->formats->n; n++) {
		const struct format *f = p->formats->v[n];

		if (f->object && f->object->generic && object_run(p, f, false, NULL) == want &&
		    (want == RUN_YES || cut_is_useful(&p->rec))) {
			p->matches[n]++;
			return true;
		}
	}
	return false;
}

/*
 * An object whose members stand in another order than HAProxy writes them, or with others between them: of the
 * formats the one that knows most of them, at least half of its own. Then those of no format in particular.
 * `want`: RUN_YES, or RUN_CUT for lines that end too early. Each try reads the line once, so the line's budget counts.
 */
static bool find_object(struct parser *p, enum run want)
{
	uint32_t best = 0, most = 0, known = 0;

	if (!object_likely(p->rec.msg))
		return false;
	for (uint32_t n = 0; n < p->formats->n && p->rec.budget > 0; n++) {
		const struct format *f = p->formats->v[n];

		/* None knows more members than it has: of a thousand equal formats only one is tried. */
		if (!f->object || f->object->n <= most || !try_object(p, f, want, &known) || known <= most)
			continue;
		best = n;
		most = known;
	}
	if (!most)
		return find_generic(p, want);
	object_run(p, p->formats->v[best], false, NULL);
	choose_variant(&p->rec, p->formats->v[best]);
	p->matches[best]++;
	return true;
}

/*
 * With many formats of haproxy.cfg the frontend's name, wherever it stands in the line, says which ones to try. A
 * client can write such names too, but not without bound: then all formats are tried.
 */
static bool look_first(struct parser *p, bool *found)
{
	const struct formats *set = p->formats;
	const struct candidates *c;
	size_t at = 0;
	uint16_t n;

	for (int tries = 0; tries < FRONTEND_TRIES; tries++) {
		c = names_next(set->frontends, p->rec.msg, &at);
		if (!c)
			return false;
		*found = run_candidates(p, c, &n);
		if (*found)
			return true;
	}
	for (n = 0; n < set->n && !*found; n++)
		*found = run_format(p, n) == RUN_YES;
	return true;
}

static bool find_format(struct parser *p, struct recent *recent)
{
	const uint32_t first = p->formats->nfirst;
	bool found = false;
	uint16_t n;

	if (p->formats->first_look && look_first(p, &found))
		return found || find_object(p, RUN_YES);
	/* Of two formats of the user's that fit a line the first is taken, whatever the lines before were. */
	for (uint16_t i = 0; i < first; i++)
		if (fits(p, i, &n)) {
			p->matches[n]++;
			return true;
		}
	for (int k = 0; k < FORMATS_RECENT && recent->v[k] != RECENT_NONE; k++)
		if (recent->v[k] >= first && fits(p, recent->v[k], &n)) {
			p->matches[n]++;
			if (k || n != recent->v[k])
				remember(recent, n);
			return true;
		}
	for (uint32_t i = 0; i < p->formats->norder; i++) {
		bool tried;

		n = p->formats->order[i];
		tried = n < first;
		for (int k = 0; k < FORMATS_RECENT; k++)
			tried |= recent->v[k] == n;
		if (!tried && fits(p, n, &n)) {
			p->matches[n]++;
			remember(recent, n);
			return true;
		}
	}
	return find_object(p, RUN_YES);
}

/*
 * A line that HAProxy cut at its length limit fits a format but for its end: the format that read most of it
 * is the one. The limit counts the syslog header, which may be gone or may have been written anew by a relay:
 * what is shorter by more than HEADER_SLACK was not cut, it is of another format.
 */
#define HEADER_SLACK 128

static bool find_cut_text(struct parser *p, size_t raw_len)
{
	uint32_t best = 0, best_depth = 0, depth;

	/* No limit is below 80 bytes with the newline (configuration manual, "log", len). */
	if (raw_len < 79 || raw_len + HEADER_SLACK < p->formats->log_len)
		return false;
	for (uint32_t n = 0; n < p->formats->n; n++) {
		const struct format *f = p->formats->v[n];

		if (f->prog && f->mode != MODE_ERROR && program_run(f, &p->rec, &p->day, true, &depth) == RUN_CUT &&
		    !is_tcp_clf(&p->rec) && cut_is_useful(&p->rec) && depth > best_depth &&
		    (frontend_of(&p->rec).len == 0 || choose_variant(&p->rec, f))) {
			best = n;
			best_depth = depth;
		}
	}
	if (best_depth == 0)
		return false;
	program_run(p->formats->v[best], &p->rec, &p->day, true, &depth);
	choose_variant(&p->rec, p->formats->v[best]);
	return true;
}

/* Texts go first: what looks like members in a line that is none was written by a client. */
static bool find_cut(struct parser *p, size_t raw_len)
{
	/* Nobody but a limit ends an object in its middle. */
	if (!find_cut_text(p, raw_len) && !find_object(p, RUN_CUT))
		return false;
	p->rec.flags |= RECORD_TRUNCATED;
	return true;
}

/* ---- clean strings ----------------------------------------------------------------------------------- */

static struct slice clean(struct parser *p, struct slice s, bool hash, bool backslash)
{
	unsigned dirt = s.len ? scan_dirt(s.p, s.p + s.len) & ~(unsigned)SCAN_LINE : 0;	/* a capture that is not there has no p */
	char *out = p->scratch + p->scratch_used;
	size_t n;

	if (!dirt && !backslash)
		return s;
	/* As %{+json}[…] writes a text; quotes of its own have a backslash. */
	if (backslash && s.len >= 2 && s.p[0] == '"' && s.p[s.len - 1] == '"')
		s = slice_of(s.p + 1, s.len - 2);
	hash &= (dirt & SCAN_HASH) != 0;
	backslash = backslash && s.len && memchr(s.p, '\\', s.len);
	if (!hash && !backslash && (!(dirt & SCAN_HIGH) || text_valid(s)))
		return s;
	/* Fields do not overlap, so there is always room; the groups of a pattern may, and then one is dropped. */
	if (SCRATCH_SIZE - p->scratch_used < 3 * s.len)
		return slice_of("", 0);
	n = text_clean(s, hash, backslash, out);
	p->scratch_used += n;
	return slice_of(out, n);
}

static bool is_text(enum field_type t)
{
	return t == TYPE_NAME || t == TYPE_RAW || t == TYPE_ESC || t == TYPE_REQ || t == TYPE_FT || t == TYPE_STATE ||
	       t == TYPE_IP;
}

static int hex_any(char c)
{
	return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

/* 7F000001 or 32 digits as an address. */
static struct slice address(struct parser *p, struct slice hex)
{
	char *out = p->scratch + p->scratch_used;
	unsigned char bytes[16];

	if ((hex.len != 8 && hex.len != 32) || SCRATCH_SIZE - p->scratch_used < INET6_ADDRSTRLEN)
		return hex;
	for (size_t i = 0; i < hex.len / 2; i++)
		bytes[i] = (unsigned char)(hex_any(hex.p[2 * i]) * 16 + hex_any(hex.p[2 * i + 1]));
	if (!inet_ntop(hex.len == 8 ? AF_INET : AF_INET6, bytes, out, INET6_ADDRSTRLEN))
		return hex;
	p->scratch_used += INET6_ADDRSTRLEN;
	return slice_str(out);
}

static void clean_record(struct parser *p)
{
	struct record *r = &p->rec;
	const struct format *f = r->format;
	bool text = !(r->flags & RECORD_OBJECT);	/* an object's strings are unescaped already */

	for (int word = 0; word < 2; word++)
		for (uint64_t bits = r->have[word]; bits; bits &= bits - 1) {
			int s = word * 64 + __builtin_ctzll(bits);
			enum field_type t = slot_info[s].type;

			if (f->hex_ip[word] >> (s & 63) & 1)
				r->v[s].text = address(p, r->v[s].text);
			else if (slot_info[s].name.len && is_text(t))
				r->v[s].text = clean(p, r->v[s].text, t == TYPE_ESC || t == TYPE_REQ,
						     text && (f->unescape[word] >> (s & 63) & 1));
		}
	for (uint64_t bits = r->have_extra; bits; bits &= bits - 1) {
		int k = __builtin_ctzll(bits);

		r->extra[k] = clean(p, r->extra[k], false, text && (f->unescape_extra >> k & 1));
	}
	for (uint32_t k = 0; (r->flags & RECORD_PAIRS) && k < r->npairs; k++)
		r->pair[k].value = clean(p, r->pair[k].value, false, false);
	for (int side = 0; side < CAPTURE_SIDES; side++)
		for (uint32_t k = 0; k < r->cap[side].n; k++)
			r->cap[side].v[k] = clean(p, r->cap[side].v[k], true, text && (f->unescape_cap[side] >> k & 1));
}

/*
 * A JSON text with a member that looks like a line may be HAProxy's own, and the member something that a client wrote:
 * what is understood as a whole is not taken apart.
 */
static bool find_whole(struct parser *p, const struct frame *f, struct recent *recent)
{
	p->rec.msg = f->whole;
	return f->whole.len && find_format(p, recent);
}

/* The date in front was no envelope but the format's own first field? */
static bool find_dated(struct parser *p, const struct frame *f, struct recent *recent)
{
	p->rec.msg = slice_to(f->line.p, f->msg.p + f->msg.len);
	return (f->flags & FRAME_BARE_ISO) && find_format(p, recent);
}

/* Which format, and the message as it takes it. */
static enum parsed read_message(struct parser *p, const struct frame *f, struct recent *recent)
{
	if (find_whole(p, f, recent))
		return PARSED_REQUEST;
	p->rec.msg = f->msg;
	if (f->msg.len == 0)
		return PARSED_OTHER;
	if (find_format(p, recent))
		return PARSED_REQUEST;
	if (notice_match(f->msg))
		return PARSED_OTHER;
	if (find_dated(p, f, recent))
		return PARSED_REQUEST;
	p->rec.msg = f->msg;
	return find_cut(p, f->line.len) ? PARSED_REQUEST : PARSED_REJECTED;
}

enum parsed parse_frame(struct parser *p, const struct frame *f, struct recent *recent)
{
	enum parsed what;
	unsigned dirt;

	p->rec.budget = BACKTRACK_BUDGET;
	p->scratch_used = 0;
	if (f->flags & FRAME_TORN)
		return PARSED_REJECTED;
	what = read_message(p, f, recent);
	if (what != PARSED_REQUEST)
		return what;
	dirt = scan_dirt(p->rec.msg.p, p->rec.msg.p + p->rec.msg.len);
	/* HAProxy writes no newline into a text: the fields of two lines that came as one message are nobody's. */
	if ((dirt & SCAN_LINE) && !(p->rec.flags & RECORD_OBJECT))
		return PARSED_REJECTED;
	if (p->rec.format->escaped || (p->rec.flags & RECORD_DECODED) || dirt)
		clean_record(p);
	return PARSED_REQUEST;
}
