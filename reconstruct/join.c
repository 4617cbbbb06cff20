#include "reconstruct/join.h"

#include "parse/format.h"
#include "reconstruct/clock.h"

#include <stdlib.h>

#define NONE UINT32_MAX

/* Cells are chained; a line is a struct part and its bytes, written through them. */
struct cell {
	uint32_t next;
	char bytes[CELL_SIZE - sizeof(uint32_t)];
};

enum state { STATE_FREE, STATE_OPEN, STATE_LINGER, STATE_DUE, STATE_GONE, STATES };

struct entry {
	uint64_t key[2];
	uint64_t line;			/* the number of the line that brought it into its state */
	int64_t clock;			/* the log's clock then */
	int64_t last_us;		/* the latest time of its lines */
	uint64_t since;			/* the `seq` of its first line */
	uint32_t prev, next;		/* in the list of its state */
	uint32_t first, last, ncells;	/* its lines */
	uint32_t room;			/* bytes left in the last cell */
	uint32_t bytes, dropped;
	uint16_t nparts, nothers;
	uint8_t state, reason;
	uint8_t steps, need;		/* bits: steps that came; that the final line speaks of */
	bool final, weak;
};

struct list {
	uint32_t first, last, n;
};

struct joiner {
	uint32_t max_open;
	int64_t max_age_us;
	struct entry *entry;		/* twice as many as may be open: the others are remembered keys */
	uint32_t nentries, used;	/* from `used` on: never touched */
	uint32_t *bucket;		/* open addressing: index + 1, 0 for none */
	uint32_t mask;
	struct cell *cell;
	uint32_t ncells, cells_used, cells_free;	/* `cells_free`: those given back */
	uint32_t free_cell;		/* the first of them */
	struct list list[STATES];
	uint64_t lines;
	struct clock clock;		/* the log's */
	int64_t credit;			/* cells that may leave: what leaves is bounded by what came */
	uint64_t left_since;		/* the lowest `since` of those that left */
	uint8_t seen;			/* bits of the steps that the stream has shown */
	uint16_t most_others;		/* do-log lines of the request that had most of them */
};

/* Enough for the largest request; more would let a worker's buffers grow. */
#define CREDIT_MAX ((int64_t)(4 * PARTS_BYTES / CELL_SIZE))

/* ---- memory ---------------------------------------------------------------------------------------------- */

struct joiner *joiner_new(uint32_t max_open, int64_t max_age_us, struct err *err)
{
	struct joiner *j = calloc(1, sizeof(*j));
	size_t bytes = max_open * OPEN_BYTES, least = 4 * (PARTS_BYTES + LINE_MAX_BYTES), buckets = 8;

	if (j) {
		j->max_open = max_open;
		j->max_age_us = max_age_us;
		j->clock.most = max_age_us + LINGER_US;		/* enough for all that waits */
		j->nentries = 2 * max_open;
		j->ncells = (uint32_t)((bytes > least ? bytes : least) / CELL_SIZE);
		while (buckets < 4 * (size_t)max_open)
			buckets *= 2;
		j->mask = (uint32_t)buckets - 1;
		/* Zeroed by the system when first touched: what is never open costs nothing. */
		j->entry = calloc(j->nentries, sizeof(*j->entry));
		j->bucket = calloc(buckets, sizeof(*j->bucket));
		j->cell = malloc(j->ncells * sizeof(*j->cell));
		j->free_cell = NONE;
		j->left_since = UINT64_MAX;
		for (int s = 0; s < STATES; s++)
			j->list[s] = (struct list){ NONE, NONE, 0 };
		if (j->entry && j->bucket && j->cell)
			return j;
	}
	joiner_free(j);
	err_set(err, EXIT_CONFIG, "out of memory: asked for %zu bytes for open requests (--max-open)", bytes);
	return NULL;
}

void joiner_free(struct joiner *j)
{
	if (!j)
		return;
	free(j->entry);
	free(j->bucket);
	free(j->cell);
	free(j);
}

static uint32_t cells_left(const struct joiner *j)
{
	return j->ncells - j->cells_used + j->cells_free;
}

static uint32_t cell_take(struct joiner *j)
{
	uint32_t c = j->free_cell;

	if (c == NONE) {
		c = j->cells_used++;
	} else {
		j->free_cell = j->cell[c].next;
		j->cells_free--;
	}
	j->cell[c].next = NONE;
	return c;
}

static void cells_give(struct joiner *j, struct entry *e)
{
	if (e->ncells) {
		j->cell[e->last].next = j->free_cell;
		j->free_cell = e->first;
		j->cells_free += e->ncells;
	}
	e->ncells = 0;
	e->room = 0;
}

static void write_bytes(struct joiner *j, struct entry *e, const void *from, size_t n)
{
	const char *p = from;

	while (n) {
		size_t part;

		if (e->room == 0) {
			uint32_t c = cell_take(j);

			if (e->ncells++)
				j->cell[e->last].next = c;
			else
				e->first = c;
			e->last = c;
			e->room = sizeof(j->cell->bytes);
		}
		part = n < e->room ? n : e->room;
		memcpy(j->cell[e->last].bytes + sizeof(j->cell->bytes) - e->room, p, part);
		e->room -= (uint32_t)part;
		p += part;
		n -= part;
	}
}

/* Reading what write_bytes wrote. */
struct reader {
	const struct joiner *j;
	uint32_t cell;
	size_t at;
};

static void read_bytes(struct reader *r, void *to, size_t n)
{
	char *p = to;

	while (n) {
		size_t part;

		if (r->at == sizeof(r->j->cell->bytes)) {
			r->cell = r->j->cell[r->cell].next;
			r->at = 0;
		}
		part = sizeof(r->j->cell->bytes) - r->at;
		part = n < part ? n : part;
		memcpy(p, r->j->cell[r->cell].bytes + r->at, part);
		r->at += part;
		p += part;
		n -= part;
	}
}

/* ---- the table ------------------------------------------------------------------------------------------- */

static uint32_t home(const struct joiner *j, const struct entry *e)
{
	return (uint32_t)e->key[0] & j->mask;
}

/* Where the key's bucket is, or the empty one where it would be. */
static uint32_t bucket_of(const struct joiner *j, const uint64_t key[2])
{
	uint32_t at = (uint32_t)key[0] & j->mask;

	for (; j->bucket[at]; at = (at + 1) & j->mask) {
		const struct entry *e = &j->entry[j->bucket[at] - 1];

		if (e->key[0] == key[0] && e->key[1] == key[1])
			break;
	}
	return at;
}

/* Take a key out; those behind it move up, so that no search ends too early. */
static void bucket_clear(struct joiner *j, const uint64_t key[2])
{
	uint32_t hole = bucket_of(j, key), at = hole;

	for (;;) {
		j->bucket[hole] = 0;
		do {
			at = (at + 1) & j->mask;
			if (!j->bucket[at])
				return;
		} while (((at - home(j, &j->entry[j->bucket[at] - 1])) & j->mask) < ((at - hole) & j->mask));
		j->bucket[hole] = j->bucket[at];
		hole = at;
	}
}

/* ---- states ---------------------------------------------------------------------------------------------- */

static void list_remove(struct joiner *j, struct entry *e)
{
	struct list *l = &j->list[e->state];

	*(e->prev == NONE ? &l->first : &j->entry[e->prev].next) = e->next;
	*(e->next == NONE ? &l->last : &j->entry[e->next].prev) = e->prev;
	l->n--;
}

/* To the end of the list of `state`: lists are in the order of `line`, and of `clock`. */
static void enter(struct joiner *j, struct entry *e, enum state state)
{
	uint32_t i = (uint32_t)(e - j->entry);
	struct list *l = &j->list[state];

	if (e->state != STATE_FREE)
		list_remove(j, e);
	e->state = (uint8_t)state;
	e->line = j->lines;
	e->clock = j->clock.passed;
	e->prev = l->last;
	e->next = NONE;
	*(l->last == NONE ? &l->first : &j->entry[l->last].next) = i;
	l->last = i;
	l->n++;
}

static uint32_t nopen(const struct joiner *j)
{
	return j->list[STATE_OPEN].n + j->list[STATE_LINGER].n + j->list[STATE_DUE].n;
}

/* ---- leaving --------------------------------------------------------------------------------------------- */

/* In a buffer: this, then for each line a struct part and its bytes between pads. */
struct head {
	uint32_t n, dropped;
	uint32_t reason;
};

/* Of all that is behind a struct part. */
static size_t bytes_of(const struct part *p)
{
	return (size_t)p->len + p->host_len + p->aside_len;
}

static void out_part(struct buf *out, const struct part *p, const struct part_bytes *from)
{
	static const char pad[BLOCK_PAD];

	buf_add(out, (const char *)p, sizeof(*p));
	buf_add(out, pad, sizeof(pad));
	buf_add(out, from->msg, p->len);
	buf_add(out, from->host, p->host_len);
	buf_slice(out, slice_of(from->aside, p->aside_len));
	buf_add(out, pad, sizeof(pad));
}

static void out_request(struct joiner *j, struct entry *e, struct buf *out)
{
	struct head h = { e->nparts, e->dropped, e->final ? REASON_NONE : e->reason };
	struct reader r = { j, e->first, 0 };

	buf_add(out, (const char *)&h, sizeof(h));
	for (uint32_t i = 0; i < e->nparts; i++) {
		size_t n = sizeof(struct part) + 2 * BLOCK_PAD;
		struct part p;
		char *to;

		read_bytes(&r, &p, sizeof(p));
		to = buf_room(out, n + bytes_of(&p));
		memcpy(to, &p, sizeof(p));
		memset(to + sizeof(p), 0, BLOCK_PAD);
		read_bytes(&r, to + sizeof(p) + BLOCK_PAD, bytes_of(&p));
		memset(to + sizeof(p) + BLOCK_PAD + bytes_of(&p), 0, BLOCK_PAD);
		out->len += n + bytes_of(&p);
	}
}

static void more_others(struct joiner *j, const struct entry *e)
{
	if (e->nothers > j->most_others && e->nothers <= PARTS_OTHER)
		j->most_others = e->nothers;
}

static void leave(struct joiner *j, struct entry *e, struct buf *out)
{
	j->credit -= e->ncells;
	j->left_since = e->since < j->left_since ? e->since : j->left_since;
	out_request(j, e, out);
	cells_give(j, e);
	more_others(j, e);
	enter(j, e, STATE_GONE);
}

/* The first that may leave when there is no room; never `but`. */
static struct entry *dispensable(struct joiner *j, const struct entry *but)
{
	static const enum state order[] = { STATE_DUE, STATE_LINGER, STATE_OPEN };

	for (int s = 0; s < 3; s++)
		for (uint32_t i = j->list[order[s]].first; i != NONE; i = j->entry[i].next)
			if (&j->entry[i] != but)
				return &j->entry[i];
	return NULL;
}

static void make_room(struct joiner *j, const struct entry *but, struct buf *out)
{
	struct entry *e = dispensable(j, but);

	if (e->state == STATE_OPEN)
		e->reason = REASON_MAX_OPEN;
	leave(j, e, out);
}

/*
 * All that was before the final line is there. Steps that the stream has never shown are not waited for: its
 * log-profile has none. A request with fewer do-log lines than another had may get one more.
 */
static bool is_whole(const struct joiner *j, const struct entry *e)
{
	uint8_t need = j->lines > LINGER_LINES ? e->need & j->seen : e->need;

	return e->final && (e->steps & need) == need && e->nothers >= j->most_others;
}

/* Those whose time is over, as far as the credit goes. */
static void release(struct joiner *j, struct buf *out)
{
	struct list *l = j->list;
	struct entry *e;

	while (l[STATE_LINGER].n && (e = &j->entry[l[STATE_LINGER].first], true) &&
	       (j->lines - e->line >= LINGER_LINES || j->clock.passed - e->clock >= LINGER_US))
		enter(j, e, STATE_DUE);
	while (l[STATE_OPEN].n && (e = &j->entry[l[STATE_OPEN].first], j->clock.passed - e->clock >= j->max_age_us)) {
		e->reason = REASON_MAX_AGE;
		enter(j, e, STATE_DUE);
	}
	while (l[STATE_DUE].n && (e = &j->entry[l[STATE_DUE].first], j->credit >= (int64_t)e->ncells))
		leave(j, e, out);
}

/* ---- taking in ------------------------------------------------------------------------------------------- */

static uint32_t cells_for(const struct part *p)
{
	return (uint32_t)((sizeof(*p) + bytes_of(p)) / sizeof(((struct cell *)0)->bytes)) + 1;
}

/* A line of a request that left? Counters that began anew are told by the time that has passed. */
static bool is_late(const struct entry *e, const struct part *p)
{
	return !e->weak || !e->final || !p->time_us || !e->last_us || p->time_us <= e->last_us + LINGER_US;
}

static struct entry *entry_new(struct joiner *j, const struct part *p, struct buf *out)
{
	struct entry *e;

	if (nopen(j) == j->max_open)
		make_room(j, NULL, out);
	if (j->used < j->nentries) {
		e = &j->entry[j->used++];
	} else {
		e = &j->entry[j->list[STATE_GONE].first];
		bucket_clear(j, e->key);
		list_remove(j, e);
	}
	*e = (struct entry){ .key = { p->key[0], p->key[1] }, .since = p->seq, .weak = (p->flags & PART_WEAK) != 0 };
	j->bucket[bucket_of(j, p->key)] = (uint32_t)(e - j->entry) + 1;
	enter(j, e, STATE_OPEN);
	return e;
}

/* The request that the line belongs to; NULL: it is too late for it. */
static struct entry *entry_of(struct joiner *j, const struct part *p, bool *first, struct buf *out)
{
	uint32_t b = j->bucket[bucket_of(j, p->key)];
	struct entry *e = b ? &j->entry[b - 1] : NULL;

	*first = !e || (e->state == STATE_GONE && !is_late(e, p));
	if (!e)
		return entry_new(j, p, out);
	if (e->state != STATE_GONE)
		return e;
	if (*first) {
		bucket_clear(j, e->key);
		e->key[0] = e->key[1] = 0;	/* stays among the gone, found by nobody */
		return entry_new(j, p, out);
	}
	return NULL;
}

/* The final line always has its place. */
static bool has_place(const struct entry *e, const struct part *p)
{
	if ((p->flags & PART_FINAL) && !e->final)
		return true;
	return e->nparts < (p->step == STEP_OTHER ? PARTS_OTHER : PARTS_MAX - 1) &&
	       e->bytes + bytes_of(p) <= PARTS_BYTES;
}

static void add(struct joiner *j, struct entry *e, const struct part *p, const struct part_bytes *from, struct buf *out)
{
	if (!has_place(e, p)) {
		e->dropped++;
		return;
	}
	while (cells_left(j) < cells_for(p))
		make_room(j, e, out);
	write_bytes(j, e, p, sizeof(*p));
	write_bytes(j, e, from->msg, p->len);
	write_bytes(j, e, from->host, p->host_len);
	write_bytes(j, e, from->aside, p->aside_len);
	e->nparts++;
	e->nothers = (uint16_t)(e->nothers + (p->step == STEP_OTHER));
	e->bytes += (uint32_t)bytes_of(p);
	e->steps |= (uint8_t)(1u << p->step);
	e->last_us = p->time_us > e->last_us ? p->time_us : e->last_us;
	if (p->flags & PART_FINAL) {
		e->need |= p->need;
		if (!e->final && e->state == STATE_OPEN)
			enter(j, e, STATE_LINGER);
		e->final = true;
	}
	if (e->state == STATE_LINGER && is_whole(j, e))
		enter(j, e, STATE_DUE);
}

/* The time that a row of lines has proved had passed before them: those that came since are no older by it. */
static void read_clock(struct joiner *j, const struct part *p, const char *host)
{
	static const enum state waiting[] = { STATE_OPEN, STATE_LINGER };
	uint64_t since = clock_line(&j->clock, slice_of(host, p->host_len), p->time_us, j->lines);

	for (int s = 0; since && s < 2; s++)
		for (uint32_t i = j->list[waiting[s]].last; i != NONE && j->entry[i].line >= since; i = j->entry[i].prev)
			j->entry[i].clock = j->clock.passed;
}

bool joiner_take(struct joiner *j, const struct part *p, const struct part_bytes *from, struct buf *out)
{
	struct entry *e;
	bool first = true;

	if (p->flags & PART_ALONE) {
		struct head h = { 1, 0, REASON_NONE };

		buf_add(out, (const char *)&h, sizeof(h));
		out_part(out, p, from);
		return true;
	}
	j->lines++;
	read_clock(j, p, from->host);
	j->seen |= (uint8_t)(1u << p->step);
	j->credit += 2 * (int64_t)cells_for(p);
	j->credit = j->credit < CREDIT_MAX ? j->credit : CREDIT_MAX;
	e = entry_of(j, p, &first, out);
	if (e) {
		add(j, e, p, from, out);
	} else if (p->step == STEP_OTHER) {
		/* It left too early: the next ones wait for as many do-log lines. */
		e = &j->entry[j->bucket[bucket_of(j, p->key)] - 1];
		e->nothers = (uint16_t)(e->nothers + (e->nothers < UINT16_MAX));
		more_others(j, e);
	}
	release(j, out);
	return first;
}

bool joiner_idle(struct joiner *j, bool all, struct buf *out)
{
	static const enum state waiting[] = { STATE_DUE, STATE_LINGER, STATE_OPEN };
	size_t before = out->len;

	for (int s = 0; s < (all ? 3 : 2); s++) {
		const struct list *l = &j->list[waiting[s]];

		while (l->n && out->len - before < BLOCK_SIZE) {
			struct entry *e = &j->entry[l->first];

			if (e->state == STATE_OPEN)
				e->reason = REASON_MAX_AGE;
			leave(j, e, out);
		}
	}
	j->credit = j->credit > 0 ? j->credit : 0;	/* nothing came for them */
	return out->len > before;
}

uint32_t joiner_open(const struct joiner *j, uint32_t *final)
{
	*final = j->list[STATE_LINGER].n + j->list[STATE_DUE].n;
	return nopen(j);
}

/* Lists are in the order in which requests came into their state: of the open ones the first is the oldest. */
uint64_t joiner_open_since(const struct joiner *j)
{
	uint32_t first = j->list[STATE_OPEN].first;
	uint64_t since = first == NONE ? UINT64_MAX : j->entry[first].since;

	for (int s = STATE_LINGER; s <= STATE_DUE; s++)
		for (uint32_t i = j->list[s].first; i != NONE; i = j->entry[i].next)
			since = j->entry[i].since < since ? j->entry[i].since : since;
	return since;
}

uint64_t joiner_left_since(struct joiner *j)
{
	uint64_t since = j->left_since;

	j->left_since = UINT64_MAX;
	return since;
}

bool joiner_end(struct joiner *j, struct buf *out)
{
	size_t before = out->len;
	struct entry *e;

	while (out->len - before < BLOCK_SIZE && (e = dispensable(j, NULL))) {
		if (e->state == STATE_OPEN)
			e->reason = REASON_END;
		leave(j, e, out);
	}
	return out->len > before;
}

bool joined_next(const struct buf *out, size_t *at, struct joined *r)
{
	struct head h;

	if (*at == out->len)
		return false;
	memcpy(&h, out->p + *at, sizeof(h));
	*at += sizeof(h);
	r->n = h.n;
	r->dropped = h.dropped;
	r->reason = (enum reason)h.reason;
	for (uint32_t i = 0; i < h.n; i++) {
		struct part *p = &r->part[i];

		memcpy(p, out->p + *at, sizeof(*p));
		r->bytes[i] = out->p + *at + sizeof(*p) + BLOCK_PAD;
		*at += sizeof(*p) + 2 * BLOCK_PAD + bytes_of(p);
	}
	return true;
}
