#include "pipeline_private.h"

#include "core/wait.h"

/* How often it is looked what the sinks have settled. */
#define SETTLE_MS 200

/* Blocks below this one are settled by all sinks. */
static uint64_t settled_below(struct pipeline *p)
{
	uint64_t below;

	pthread_mutex_lock(&p->output);
	below = p->next_out;
	pthread_mutex_unlock(&p->output);
	for (uint32_t k = 0; k < p->nsinks; k++) {
		uint64_t unsettled = p->sinks[k]->ops->unsettled(p->sinks[k]);

		below = unsettled < below ? unsettled : below;
	}
	return below;
}

/* `below` is settled; what a sync cannot vouch for is not, after all. Returns what remains. */
static uint64_t sync_sinks(struct pipeline *p, uint64_t below)
{
	uint64_t synced;

	for (uint32_t k = 0; k < p->nsinks; k++)
		if (p->sinks[k]->ops->sync)
			p->sinks[k]->ops->sync(p->sinks[k]);
	synced = settled_below(p);
	return synced < below ? synced : below;
}

/* What all sinks have settled need not be read again: tell the sources. */
static void settle(struct pipeline *p, bool last)
{
	uint64_t below = settled_below(p), mark;
	uint32_t source = 0;

	if (below > p->settled) {
		p->settled = sync_sinks(p, below);
		ledger_settle(&p->ledger, p->settled);
	}
	while (ledger_news(&p->ledger, &source, &mark))
		live_acknowledge(p->live, source, mark);
	live_keep(p->live, last);
}

static void *keeper_main(void *arg)
{
	struct pipeline *p = arg;

	pthread_mutex_lock(&p->keeping);
	while (!p->kept) {
		wait_ms(&p->keep, &p->keeping, SETTLE_MS);
		pthread_mutex_unlock(&p->keeping);
		settle(p, false);
		pthread_mutex_lock(&p->keeping);
	}
	pthread_mutex_unlock(&p->keeping);
	return NULL;
}

bool keeper_start(struct pipeline *p)
{
	return p->live && pthread_create(&p->keeper, NULL, keeper_main, p) == 0;
}

/* The last positions move when the sinks have said their last word. */
void keeper_end(struct pipeline *p)
{
	pthread_mutex_lock(&p->keeping);
	p->kept = true;
	pthread_cond_signal(&p->keep);
	pthread_mutex_unlock(&p->keeping);
	pthread_join(p->keeper, NULL);
	settle(p, true);
}
