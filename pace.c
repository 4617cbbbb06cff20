#include "pace.h"

#include "linetime.h"

#include <stdlib.h>

struct pace {
	double speed;			/* 0: --pace was not given */
	double step_us;			/* of --rate, between lines; 0: no limit */
	struct linetime *time;
	struct block held;
	size_t at;			/* what has left of it */
	size_t next;			/* behind the line at `at`, if `known` */
	bool known;			/* when that is due: */
	double due_us;
	/* Of the line before, 0 at first. Fractions of a microsecond add up, so they are kept. */
	int64_t line_us;
	double paced_us, rated_us;
};

struct pace *pace_new(const struct config *c, struct err *err)
{
	struct pace *p;

	if (c->pace <= 0 && !c->rate)
		return NULL;
	p = calloc(1, sizeof(*p));
	if (!p) {
		err_set(err, EXIT_CONFIG, "out of memory");
		return NULL;
	}
	block_alloc(&p->held);
	p->speed = c->pace;
	p->step_us = c->rate ? 1e6 / (double)c->rate : 0;
	if (p->speed > 0 && !(p->time = linetime_new(c, err))) {
		pace_free(p);
		return NULL;
	}
	return p;
}

void pace_free(struct pace *p)
{
	if (!p)
		return;
	linetime_free(p->time);
	block_free(&p->held);
	free(p);
}

struct block *pace_block(struct pace *p)
{
	p->at = 0;
	p->held.len = 0;
	p->held.mark = 0;
	return &p->held;
}

bool pace_holds(const struct pace *p)
{
	return p->at < p->held.len;
}

static bool far(int64_t a, int64_t b)
{
	return a - b > PACE_DOUBT_US || b - a > PACE_DOUBT_US;
}

/* Is one of the lines behind `at` written at about `us`? */
static bool is_confirmed(struct pace *p, size_t at, int64_t us)
{
	struct frame f;
	int64_t other;

	for (int i = 0; i < PACE_AHEAD && frame_cut(&p->held, &at, &f, 1); i++)
		if ((other = linetime_of(p->time, &f)) && !far(us, other))
			return true;
	return false;
}

/* --pace: the line is due so much later than the one before as it was written later, at this speed. */
static double due_by_time(struct pace *p, struct frame *f, double now_us)
{
	int64_t us = linetime_of(p->time, f);

	if (!us || (p->line_us && far(us, p->line_us) && !is_confirmed(p, p->next, us)))
		return p->paced_us;
	if (!p->line_us)
		p->paced_us = now_us;
	else if (us > p->line_us)
		p->paced_us += (double)(us - p->line_us) / p->speed;
	/* Lines stand a little out of order; but files may also go back by days. */
	if (us > p->line_us || far(us, p->line_us))
		p->line_us = us;
	return p->paced_us;
}

static double due_by_rate(struct pace *p, double now_us)
{
	double due = p->rated_us + p->step_us;

	p->rated_us = due < now_us - RATE_BURST_US ? now_us - RATE_BURST_US : due;
	return p->rated_us;
}

static double due_of(struct pace *p, struct frame *f, double now_us)
{
	double due = 0, other;

	if (f->flags & FRAME_CONTINUES)
		return 0;
	if (p->speed > 0)
		due = due_by_time(p, f, now_us);
	if (p->step_us > 0 && (other = due_by_rate(p, now_us)) > due)
		due = other;
	return due;
}

/* When the line at `at` is due; of messages, which leave together, the first one. */
static void look(struct pace *p, double now_us)
{
	struct frame f;

	p->next = p->at;
	frame_cut(&p->held, &p->next, &f, 1);
	p->due_us = due_of(p, &f, now_us);
	while (p->held.framing == FRAMING_MESSAGES && frame_cut(&p->held, &p->next, &f, 1))
		due_of(p, &f, now_us);
	p->known = true;
}

/* The messages of a queue lie where its library put them: they leave together. */
static void take_messages(struct pace *p, struct block *b)
{
	struct block empty = *b;

	*b = p->held;
	p->held = empty;
	p->held.len = p->at = 0;
}

/* A piece of the block, as if it had been read alone. */
static void hand(struct pace *p, struct block *b, size_t from)
{
	const struct block *held = &p->held;

	if (held->framing == FRAMING_MESSAGES) {
		take_messages(p, b);
		return;
	}
	memcpy(b->p, held->p + from, p->at - from);
	b->len = p->at - from;
	b->framing = held->framing;
	b->torn_head = held->torn_head && from == 0;
	b->torn_len = b->torn_head ? held->torn_len : 0;
	b->torn_tail = held->torn_tail && p->at == held->len;
	b->sole = held->sole;
	b->source = held->source;
	b->max_line = held->max_line;
	b->mark = p->at == held->len ? held->mark : 0;
}

int pace_take(struct pace *p, struct block *b, int64_t now_us, bool all)
{
	size_t from = p->at;

	if (!pace_holds(p)) {		/* an empty block: time has passed */
		b->len = 0;
		b->mark = 0;
		return 0;
	}
	while (pace_holds(p)) {
		if (all) {
			p->at = p->held.len;
			p->known = false;
			break;
		}
		if (!p->known)
			look(p, (double)now_us);
		if (p->due_us > (double)now_us)
			break;
		p->at = p->next;
		p->known = false;
	}
	if (p->at > from) {
		hand(p, b, from);
		return 0;
	}
	if (p->due_us - (double)now_us > 1000.0 * PACE_LOOK_MS)
		return PACE_LOOK_MS;
	return 1 + (int)((p->due_us - (double)now_us) / 1000);
}
