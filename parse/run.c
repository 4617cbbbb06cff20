/*
 * parse/run.c - the hot path: a compiled log-format reads one line. No allocation, no libc, no locale.
 */
#include "core/hex.h"
#include "core/scan.h"
#include "parse/program.h"

/*
 * A raw field may hold the text that ends it (a cookie with a blank, a header with a quote): when the rest of
 * the line then does not fit, the program goes back and takes the next place where the text stands.
 */
struct choice {
	const struct insn *insn;
	const char *start, *next;
	uint64_t have[2], plus[2], have_extra;
	uint32_t ncap[CAPTURE_SIDES];
};

struct runner {
	const struct format *f;
	struct record *r;
	const char *end;
	struct choice choice[CHOICES_MAX];
	unsigned nchoices;
};

/* ---- storing ----------------------------------------------------------------------------------------- */

/* HAProxy writes '-' for what is not there. */
static inline bool absent(struct slice s)
{
	return s.len == 0 || (s.len == 1 && *s.p == '-');
}

static inline void store_text(struct record *r, const struct insn *i, struct slice s)
{
	if (i->flags & INSN_EXTRA) {
		r->extra[i->slot] = s;
		if (!absent(s))
			r->have_extra |= UINT64_C(1) << i->slot;
	} else if (i->flags & INSN_CAPTURE) {
		struct captures *c = &r->cap[i->side];

		while (c->n <= i->slot)
			c->v[c->n++] = (struct slice){ NULL, 0 };
		c->v[i->slot] = absent(s) ? (struct slice){ NULL, 0 } : s;
	} else if (!absent(s)) {
		if (i->flags & INSN_FRONTEND) {
			bool tls = s.p[s.len - 1] == '~';

			s.len -= tls;
			record_set_num(r, SLOT_x_tls, tls);
		}
		record_set_text(r, (enum slot)i->slot, s);
	}
}

/* ---- literals ---------------------------------------------------------------------------------------- */

enum found { FOUND, FOUND_NOT, FOUND_END };

/*
 * Does the literal of `i` stand at `*pp`? Then `*pp` moves behind it. FOUND_END: the line ends within it.
 * A line may lack the blank at its end (relays trim it) when nothing has to follow.
 */
static inline enum found literal(const struct insn *i, const char **pp, const char *end)
{
	const char *p = *pp;
	size_t left = (size_t)(end - p), n = i->lit_len;

	if (n == 1 && left) {
		*pp = p + 1;
		return *p == (char)i->first ? FOUND : FOUND_NOT;
	}
	if (left >= n) {
		if (n && (*p != (char)i->first || (n > 1 && memcmp(p + 1, i->lit + 1, n - 1) != 0)))
			return FOUND_NOT;
		*pp = p + n;
		return FOUND;
	}
	if (left && memcmp(p, i->lit, left) != 0)
		return FOUND_NOT;
	if ((i->flags & INSN_REST_OPTIONAL) && left == n - 1 && i->lit[left] == ' ') {
		*pp = end;
		return FOUND;
	}
	return FOUND_END;
}

/* The first place in [p, end) where the literal of `i` stands, or NULL; `*after` is behind it. */
static inline const char *literal_find(const struct insn *i, const char *p, const char *end, const char **after)
{
	size_t n = i->lit_len;

	for (const char *q = p; (q = scan_byte(q, end, (char)i->first)) < end; q++)
		if (n == 1 || ((size_t)(end - q) >= n && memcmp(q + 1, i->lit + 1, n - 1) == 0)) {
			*after = q + n;
			return q;
		}
	if ((i->flags & INSN_REST_OPTIONAL) && i->lit[n - 1] == ' ' && (size_t)(end - p) >= n - 1 &&
	    memcmp(end - (n - 1), i->lit, n - 1) == 0) {
		*after = end;
		return end - (n - 1);
	}
	return NULL;
}

/*
 * Behind a field that is not there: HAProxy merges separators, so the blank that would begin the literal was
 * written before the field.
 */
static inline enum found literal_without_blank(const struct insn *i, const char **pp, const char *end)
{
	struct insn rest = *i;

	if (i->first == ' ') {
		rest.lit++;
		rest.lit_len--;
		rest.first = rest.lit_len ? (uint8_t)*rest.lit : 0;
	}
	return literal(&rest, pp, end);
}

/* ---- fields ------------------------------------------------------------------------------------------ */

static inline bool is_digit(char c)
{
	return (unsigned char)(c - '0') <= 9;
}

/* [+-] digits. Returns where they end, or NULL; `*has` is false for a lone '-' or nothing at all. */
static inline const char *number(const char *p, const char *end, int64_t *num, bool *has, bool *plus)
{
	bool minus = p < end && *p == '-';
	int64_t n = 0;
	const char *start;

	*plus = p < end && *p == '+';
	p += minus || *plus;
	for (start = p; p < end && is_digit(*p); p++) {
		if (p - start >= 18)
			return NULL;
		n = n * 10 + (*p - '0');
	}
	*has = p > start;
	if (!*has && *plus)
		return NULL;
	*num = minus ? -n : n;
	return p;
}

/* An address as HAProxy writes it: IPv4, IPv6 without brackets, `unix`, or '-'. */
static inline bool is_address(struct slice s)
{
	if (s.len == 0 || s.len > 45)
		return false;
	if (*s.p == 'u' || *s.p == '-')
		return slice_eq(s, SLICE("unix")) || slice_eq(s, SLICE("-"));
	return scan_address(s.p, s.p + s.len);
}

/* Letters of %ts: cause and state (src/stream.c, sess_term_cond and sess_fin_state). */
static inline bool is_state(const char *p)
{
	static const bool cause[256] = { ['-'] = 1, ['L'] = 1, ['c'] = 1, ['C'] = 1, ['s'] = 1, ['S'] = 1, ['P'] = 1,
					 ['R'] = 1, ['I'] = 1, ['D'] = 1, ['K'] = 1, ['U'] = 1 };
	static const bool state[256] = { ['-'] = 1, ['R'] = 1, ['C'] = 1, ['H'] = 1, ['D'] = 1, ['L'] = 1, ['Q'] = 1,
					 ['T'] = 1 };

	return cause[(unsigned char)p[0]] && state[(unsigned char)p[1]];
}

/*
 * {a|b|c}: `p` is behind the '{'. Returns where its '}' stands, or `end` when it is cut. NULL: HAProxy escapes
 * '{' and '"' inside, so what holds one was written by a client, in a field before.
 */
static const char *block_read(struct captures *c, const char *p, const char *end)
{
	const char *start = p;

	for (c->n = 0; (p = scan_block(p, end)) < end; p++) {
		if (*p != '|' && *p != '}')
			return NULL;
		if (c->n < CAPTURES_MAX)
			c->v[c->n++] = slice_to(start, p);
		if (*p == '}')
			return p;
		start = p + 1;
	}
	return end;
}

/* The same without its braces, as a pattern's group may give it. */
static void block_split(struct captures *c, const char *p, const char *close)
{
	c->n = 0;
	for (;;) {
		const char *bar = scan_byte(p, close, '|');

		if (c->n < CAPTURES_MAX)
			c->v[c->n++] = slice_to(p, bar);
		if (bar == close)
			return;
		p = bar + 1;
	}
}

/* "a" "b" …, or words when their number is known. Returns where the list ends; NULL: it is cut. */
static const char *list_read(const struct insn *i, const struct format *f, struct captures *c, const char *p,
			     const char *end)
{
	uint32_t known = f->ncap[i->side], max = known ? known : CAPTURES_MAX;

	c->n = 0;
	while (c->n < max && p < end) {
		bool quoted = *p == '"';
		const char *q = scan_byte(p + quoted, end, quoted ? '"' : ' ');
		struct slice s;

		if (!quoted && !known)
			break;
		if (quoted && q == end)
			return NULL;
		s = slice_to(p + quoted, q);
		c->v[c->n++] = absent(s) ? (struct slice){ NULL, 0 } : s;
		p = q + quoted;
		if (c->n == max || p == end || *p != ' ' || p + 1 == end || (!known && p[1] != '"'))
			break;
		p++;
	}
	return p;
}

/* Can the field of `i` be `s`? */
static inline bool can_be(const struct insn *i, struct slice s)
{
	return !i->never || s.len == 0 || !memchr(s.p, i->never, s.len);
}

/* ---- going back -------------------------------------------------------------------------------------- */

static inline void choice_push(struct runner *x, const struct insn *i, const char *start, const char *next)
{
	struct record *r = x->r;

	if (x->nchoices == CHOICES_MAX)
		return;
	x->choice[x->nchoices++] = (struct choice){ i, start, next, { r->have[0], r->have[1] },
						    { r->plus[0], r->plus[1] }, r->have_extra,
						    { r->cap[0].n, r->cap[1].n } };
}

/* Take the last raw field up to its next possible end. Returns its instruction, or NULL; `*pp` is behind it. */
static const struct insn *choice_next(struct runner *x, const char **pp)
{
	while (x->nchoices && x->r->budget > 0) {
		struct choice *c = &x->choice[x->nchoices - 1];
		const char *after, *at = literal_find(c->insn, c->next, x->end, &after);
		struct record *r = x->r;

		r->budget -= BACKTRACK_TRY + (int32_t)((at ? at : x->end) - c->next);
		if (!at) {
			x->nchoices--;
			continue;
		}
		c->next = at + 1;
		for (int k = 0; k < 2; k++) {
			r->have[k] = c->have[k];
			r->plus[k] = c->plus[k];
			r->cap[k].n = c->ncap[k];
		}
		r->have_extra = c->have_extra;
		if (!can_be(c->insn, slice_to(c->start, at))) {	/* nor longer */
			x->nchoices--;
			continue;
		}
		store_text(r, c->insn, slice_to(c->start, at));
		*pp = after;
		return c->insn;
	}
	return NULL;
}

/* ---- instructions ------------------------------------------------------------------------------------ */

/*
 * Each reads its field at `*pp` and the literal behind it. FOUND: stored, `*pp` behind both. FOUND_END: the
 * line ends too early. FOUND_NOT: something else stands there.
 */

static enum found step_word(const struct runner *x, const struct insn *i, const char **pp)
{
	const char *p = *pp, *q = p, *after;

	for (;; q++) {
		enum found found;

		q = scan_either(q, x->end, (char)i->first, ' ');
		if (q == x->end && !(i->flags & INSN_REST_OPTIONAL))
			return FOUND_END;
		after = q;
		found = literal(i, &after, x->end);
		if (found == FOUND)
			break;
		if (found == FOUND_END || *q == ' ')
			return found;
	}
	if (q == p && !(i->flags & INSN_EMPTY))
		return FOUND_NOT;
	store_text(x->r, i, slice_to(p, q));
	*pp = after;
	return FOUND;
}

static enum found step_text(struct runner *x, const struct insn *i, const char **pp, bool cut)
{
	const char *p = *pp, *after, *q = literal_find(i, p, x->end, &after);

	if (!q) {
		if (cut && (i->flags & INSN_PARTIAL))
			store_text(x->r, i, slice_to(p, x->end));
		return FOUND_END;
	}
	if (!can_be(i, slice_to(p, q)))
		return FOUND_NOT;
	if (i->op == OP_RAW)
		choice_push(x, i, p, q + 1);
	store_text(x->r, i, slice_to(p, q));
	*pp = after;
	return FOUND;
}

/* Take the literal behind a number at `q`, then store the number. */
static enum found store_number(struct record *r, const struct insn *i, const char *q, const char *end, int64_t num,
			       bool has, const char **pp)
{
	enum found found = literal(i, &q, end);

	if (found == FOUND) {
		if (has)
			record_set_num(r, (enum slot)i->slot, num);
		*pp = q;
	}
	return found;
}

static enum found step_number(const struct runner *x, const struct insn *i, const char **pp)
{
	bool has, plus;
	int64_t num;
	const char *q = number(*pp, x->end, &num, &has, &plus);
	enum found found;

	if (!q)
		return FOUND_NOT;
	if (q == *pp && (i->flags & INSN_QUOTES) && x->end - q >= 2 && q[0] == '"' && q[1] == '"')
		return store_number(x->r, i, q + 2, x->end, 0, false, pp);
	if (q == *pp && !(i->flags & INSN_EMPTY))
		return q == x->end ? FOUND_END : FOUND_NOT;
	found = store_number(x->r, i, q, x->end, num, has, pp);
	if (found == FOUND && plus)
		x->r->plus[i->slot >> 6] |= UINT64_C(1) << (i->slot & 63);
	return found;
}

static enum found step_hex(const struct runner *x, const struct insn *i, const char **pp)
{
	const char *p = *pp, *q = p;
	int64_t num = 0;

	for (; q < x->end && q - p < 15 && hex_value(*q) >= 0; q++)
		num = num * 16 + hex_value(*q);
	if (q == p && q < x->end && *q == '-')
		return store_number(x->r, i, q + 1, x->end, 0, false, pp);
	if (q == p)
		return q == x->end ? FOUND_END : FOUND_NOT;
	return store_number(x->r, i, q, x->end, num, true, pp);
}

/* Where an address ends; NULL: the line ends before. `*after` is behind its literal. */
static const char *address_end(const struct runner *x, const struct insn *i, const char *p, const char **after)
{
	*after = x->end;
	return i->lit_len ? literal_find(i, p, x->end, after) : x->end;
}

static enum found step_ip(const struct runner *x, const struct insn *i, const char **pp)
{
	const char *after, *q = address_end(x, i, *pp, &after);
	struct slice s;

	if (!q)
		return FOUND_END;
	s = slice_to(*pp, q);
	if (s.len == 0 && !(i->flags & INSN_EMPTY))
		return FOUND_NOT;
	if (!absent(s) && (i->op == OP_IP ? !is_address(s) : s.len != 8 && s.len != 32))
		return FOUND_NOT;
	for (size_t k = 0; i->op == OP_HEX_IP && k < s.len && s.len > 1; k++)
		if (hex_value(s.p[k]) < 0)
			return FOUND_NOT;
	store_text(x->r, i, s);
	*pp = after;
	return FOUND;
}

/* From the end backwards: digits or '-', a colon, and the rest is the address. */
static enum found step_addr(const struct runner *x, const struct insn *i, const char **pp)
{
	const char *p = *pp, *after, *end = address_end(x, i, p, &after), *q = end;
	bool has, plus;
	int64_t num;

	if (!end)
		return FOUND_END;
	while (q > p && is_digit(q[-1]))
		q--;
	if (q == end && q > p && q[-1] == '-')
		q--;
	if (q <= p + 1 || q[-1] != ':' || end - q > 6 || !is_address(slice_to(p, q - 1)))
		return FOUND_NOT;
	store_text(x->r, i, slice_to(p, q - 1));
	if (number(q, end, &num, &has, &plus) && has)
		record_set_num(x->r, (enum slot)i->slot2, num);
	*pp = after;
	return FOUND;
}

static enum found step_date(const struct runner *x, const struct insn *i, const char **pp, struct day_memo *day)
{
	const char *p = *pp, *q = p + (i->op == OP_DATE ? DATE_LEN : DATEZ_LEN);
	int64_t num;

	if (q > x->end)
		return FOUND_END;
	if (i->op == OP_DATE ? !date_parse(p, day, &num) : !datez_parse(p, day, &num))
		return FOUND_NOT;
	return store_number(x->r, i, q, x->end, num, true, pp);
}

static enum found step_state(const struct runner *x, const struct insn *i, const char **pp)
{
	size_t n = i->op == OP_STATE2 ? 2 : 4;
	const char *p = *pp, *q = p + n;
	enum found found;

	if (q > x->end)
		return FOUND_END;
	if (!is_state(p))
		return FOUND_NOT;
	found = literal(i, &q, x->end);
	if (found == FOUND) {
		record_set_text(x->r, (enum slot)i->slot, slice_of(p, n));
		*pp = q;
	}
	return found;
}

static enum found step_captures(const struct runner *x, const struct insn *i, const char **pp)
{
	struct captures *c = &x->r->cap[i->side];
	const char *p = *pp, *q;
	enum found found;

	if (i->op == OP_LIST) {
		q = list_read(i, x->f, c, p, x->end);
		if (!q)
			return FOUND_END;
	} else {
		bool quoted = (i->flags & INSN_QUOTES) && p < x->end && *p == '"';

		q = p;
		if (p + quoted < x->end && p[quoted] == '{') {
			q = block_read(c, p + quoted + 1, x->end);
			if (!q)
				return FOUND_NOT;
			if (x->end - q < 1 + quoted) {
				c->n = 0;
				return FOUND_END;
			}
			if (quoted && q[1] != '"')
				return FOUND_NOT;
			q += 1 + quoted;
		}
	}
	if (q == p && (p == x->r->msg.p || p[-1] == ' '))
		return literal_without_blank(i, pp, x->end);
	found = literal(i, &q, x->end);
	if (found == FOUND)
		*pp = q;
	return found;
}

static enum found step(struct runner *x, const struct insn *i, const char **pp, struct day_memo *day, bool cut)
{
	switch ((enum op)i->op) {
	case OP_LITERAL:
		return literal(i, pp, x->end);
	case OP_WORD:
		return step_word(x, i, pp);
	case OP_TEXT:
	case OP_RAW:
		return step_text(x, i, pp, cut);
	case OP_REST:
		if (!can_be(i, slice_to(*pp, x->end)))
			return FOUND_NOT;
		store_text(x->r, i, slice_to(*pp, x->end));
		*pp = x->end;
		return FOUND;
	case OP_NUMBER:
		return step_number(x, i, pp);
	case OP_HEX:
		return step_hex(x, i, pp);
	case OP_IP:
	case OP_HEX_IP:
		return step_ip(x, i, pp);
	case OP_ADDR:
		return step_addr(x, i, pp);
	case OP_DATE:
	case OP_DATEZ:
		return step_date(x, i, pp, day);
	case OP_STATE2:
	case OP_STATE4:
		return step_state(x, i, pp);
	case OP_BLOCK:
	case OP_LIST:
		return step_captures(x, i, pp);
	case OP_END:
		break;
	}
	return *pp == x->end ? FOUND : FOUND_NOT;
}

/* ---- the program ------------------------------------------------------------------------------------- */

/*
 * The usual case of the two most frequent instructions: an unsigned number or a word, and one byte behind it.
 * false: nothing was done, the general step decides. Reads 8 bytes behind the end (BLOCK_PAD).
 */
static inline bool quick_step(struct record *r, const struct insn *i, const char **pp, const char *end)
{
	const char *p = *pp, *q;

	if (i->op == OP_NUMBER) {
		unsigned digits;
		uint64_t n = scan_number(p, &digits);

		q = p + digits;
		if (digits == 0 || q >= end || *q != (char)i->first)
			return false;
		r->v[i->slot].num = (int64_t)n;
	} else {
		q = scan_either(p, end, (char)i->first, ' ');
		if (q == end || q - p < 2 || *q != (char)i->first)
			return false;
		r->v[i->slot].text = slice_to(p, q);
	}
	r->have[i->word] |= i->bit;
	*pp = q + 1;
	return true;
}

/* A single block of captures: only the names that the user gave can tell its side. */
static void settle_blocks(const struct format *f, struct record *r)
{
	struct captures *req = &r->cap[CAPTURE_REQUEST], *res = &r->cap[CAPTURE_RESPONSE];

	if (!format_has(f, SLOT_hr) || !format_has(f, SLOT_hs) || req->n == 0 || res->n != 0)
		return;
	if (f->ncap[CAPTURE_RESPONSE] && !f->ncap[CAPTURE_REQUEST]) {
		*res = *req;
		req->n = 0;
	} else if (!f->ncap[CAPTURE_REQUEST]) {
		r->flags |= RECORD_ONE_BLOCK;
	}
}

static void record_reset(struct record *r, const struct format *f)
{
	r->format = f;
	r->have[0] = r->have[1] = 0;
	r->plus[0] = r->plus[1] = 0;
	r->have_extra = 0;
	r->flags = 0;
	r->cap[0].n = r->cap[1].n = 0;
}

enum run program_run(const struct format *f, struct record *r, struct day_memo *day, bool cut, uint32_t *depth)
{
	struct runner x;
	const struct insn *i = f->prog;
	const char *p = r->msg.p;

	x.f = f;
	x.r = r;
	x.end = p + r->msg.len;
	x.nchoices = 0;
	record_reset(r, f);
	for (;; i++) {
		enum found found;

		if (i->plain && quick_step(r, i, &p, x.end))
			continue;
		found = step(&x, i, &p, day, cut);
		if (found == FOUND) {
			if (i->op != OP_END)
				continue;
			settle_blocks(f, r);
			return RUN_YES;
		}
		if (cut) {
			*depth = (uint32_t)(i - f->prog);
			r->reached = (uint32_t)(p - r->msg.p);
			if (found == FOUND_END)
				settle_blocks(f, r);
			return found == FOUND_END ? RUN_CUT : RUN_NO;
		}
		if (!x.nchoices || !(i = choice_next(&x, &p)))
			return RUN_NO;
	}
}

/* ---- single values, for patterns ------------------------------------------------------------------------ */

static bool number_whole(struct slice s, enum slot slot, struct record *r)
{
	bool has, plus;
	int64_t num;

	if (number(s.p, s.p + s.len, &num, &has, &plus) != s.p + s.len || !has)
		return false;
	record_set_num(r, slot, num);
	if (plus)
		r->plus[slot >> 6] |= UINT64_C(1) << (slot & 63);
	return true;
}

bool value_parse(enum field_type t, struct slice s, enum slot slot, struct record *r, struct day_memo *day)
{
	struct insn i = { .slot = (uint8_t)slot, .flags = t == TYPE_FT ? INSN_FRONTEND : 0 };
	int64_t num;

	switch (t) {
	case TYPE_INT:
	case TYPE_MS:
	case TYPE_PORT:
	case TYPE_MSEC:
	case TYPE_SEC:
	case TYPE_US:
		return absent(s) || number_whole(s, slot, r);
	case TYPE_DATE:
		if (s.len != DATE_LEN || !date_parse(s.p, day, &num))
			return false;
		record_set_num(r, slot, num);
		return true;
	case TYPE_DATEZ:
		if (s.len != DATEZ_LEN || !datez_parse(s.p, day, &num))
			return false;
		record_set_num(r, slot, num);
		return true;
	case TYPE_STATE:
		if ((s.len != 2 && s.len != 4) || !is_state(s.p))
			return false;
		record_set_text(r, slot, s);
		return true;
	case TYPE_IP:
		if (!is_address(s))
			return false;
		store_text(r, &i, s);
		return true;
	case TYPE_BLOCK:
		if (s.len >= 2 && s.p[0] == '{' && s.p[s.len - 1] == '}')
			s = slice_of(s.p + 1, s.len - 2);
		block_split(&r->cap[slot == SLOT_hs], s.p, s.p + s.len);
		return true;
	default:
		store_text(r, &i, s);
		return true;
	}
}
