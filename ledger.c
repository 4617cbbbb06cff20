#include "ledger.h"

#include <stdlib.h>

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static struct ledger_entry *at(struct ledger *l, uint32_t i)
{
	return &l->entry[(l->first + i) % LEDGER_MAX];
}

bool ledger_init(struct ledger *l)
{
	*l = (struct ledger){ .open = UINT64_MAX };
	pthread_mutex_init(&l->lock, NULL);
	l->entry = calloc(LEDGER_MAX, sizeof(*l->entry));
	return l->entry != NULL;
}

void ledger_free(struct ledger *l)
{
	if (l->entry)
		pthread_mutex_destroy(&l->lock);
	free(l->entry);
	l->entry = NULL;
}

/* The newest two of one source become one, which is settled when both are. false: the newest two are of two sources. */
static bool fold(struct ledger *l, uint64_t seq, uint32_t source, uint64_t mark)
{
	struct ledger_entry *e = at(l, l->n - 1);

	if (e->source != source && mark && e->mark)
		return false;
	e->seq = seq;
	if (mark) {
		e->mark = mark;
		e->source = source;
	}
	return true;
}

void ledger_enter(struct ledger *l, uint64_t seq, uint32_t source, uint64_t mark)
{
	pthread_mutex_lock(&l->lock);
	/* With as many sources as entries nothing folds; then the mark of the newest comes out with its next one. */
	if (l->n == LEDGER_MAX && !fold(l, seq, source, mark)) {
		at(l, l->n - 1)->seq = seq;
	} else if (l->n < LEDGER_MAX) {
		*at(l, l->n) = (struct ledger_entry){ seq, UINT64_MAX, mark, source };
		l->n++;
	}
	pthread_mutex_unlock(&l->lock);
}

/* The entry that holds block `seq`; NULL: it is settled. */
static struct ledger_entry *find(struct ledger *l, uint64_t seq)
{
	uint32_t low = 0, high = l->n;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (at(l, middle)->seq < seq)
			low = middle + 1;
		else
			high = middle;
	}
	return low < l->n ? at(l, low) : NULL;
}

void ledger_joined(struct ledger *l, uint64_t seq, uint64_t low, uint64_t open)
{
	struct ledger_entry *e;

	pthread_mutex_lock(&l->lock);
	e = find(l, seq);
	if (e)
		e->low = least(e->low, low);
	l->open = open;
	pthread_mutex_unlock(&l->lock);
}

void ledger_settle(struct ledger *l, uint64_t seq)
{
	uint64_t below = seq;

	pthread_mutex_lock(&l->lock);
	/* Lines of what is open, and of requests in wires that are not settled, are still needed. */
	below = least(below, l->open);
	for (uint32_t i = l->n; i > 0 && at(l, i - 1)->seq >= seq; i--)
		below = least(below, at(l, i - 1)->low);
	while (l->n && at(l, 0)->seq < below) {
		const struct ledger_entry *e = at(l, 0);

		if (e->mark)
			l->mark[e->source] = e->mark;
		l->first = (l->first + 1) % LEDGER_MAX;
		l->n--;
	}
	pthread_mutex_unlock(&l->lock);
}

bool ledger_news(struct ledger *l, uint32_t *source, uint64_t *mark)
{
	bool found = false;

	pthread_mutex_lock(&l->lock);
	for (; !found && *source < LIVE_SOURCES_MAX; ++*source)
		if (l->mark[*source] != l->told[*source]) {
			*mark = l->told[*source] = l->mark[*source];
			found = true;
		}
	*source -= found;
	pthread_mutex_unlock(&l->lock);
	return found;
}
