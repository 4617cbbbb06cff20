/*
 * ledger.h - which blocks are settled, and so how far each source need not be read again.
 *
 * A block is entered when it was read, with its source's mark. It is settled when every sink has settled its wires, and
 * when every request that has a line in it has left in a block that is settled. Marks come out in order, never too
 * early; when LEDGER_MAX blocks are awaited they come out in larger steps.
 */
#ifndef LEDGER_H
#define LEDGER_H

#include "core/limits.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct ledger_entry {
	uint64_t seq;			/* of the block, or of the last of several */
	uint64_t low;			/* the earliest block of whose lines it has made a request */
	uint64_t mark;
	uint32_t source;
};

struct ledger {
	pthread_mutex_t lock;
	struct ledger_entry *entry;	/* a ring, in the order of `seq`; owned */
	uint32_t first, n;
	uint64_t open;			/* the earliest block of whose lines a request is not made yet */
	uint64_t mark[LIVE_SOURCES_MAX], told[LIVE_SOURCES_MAX];	/* settled; reported */
};

/* false: out of memory. */
bool ledger_init(struct ledger *l);
void ledger_free(struct ledger *l);

/* Block `seq` was read; in the order of `seq`. `mark` 0: its source keeps no position. */
void ledger_enter(struct ledger *l, uint64_t seq, uint32_t source, uint64_t mark);

/*
 * Block `seq` has been through the joiner, and made requests of lines from block `low` on (UINT64_MAX: of none but its
 * own); those that are still open have lines from block `open` on (UINT64_MAX: none is). In the order of `seq`.
 */
void ledger_joined(struct ledger *l, uint64_t seq, uint64_t low, uint64_t open);

/* All blocks below `seq` are settled by all sinks. */
void ledger_settle(struct ledger *l, uint64_t seq);

/* The next source whose mark has grown since it was last told, from `*source` on. false: none. */
bool ledger_news(struct ledger *l, uint32_t *source, uint64_t *mark);

#endif
