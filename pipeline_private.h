/*
 * pipeline_private.h - what the files of pipeline*.c share.
 */
#ifndef PIPELINE_PRIVATE_H
#define PIPELINE_PRIVATE_H

#include "ingest/live.h"
#include "ledger.h"
#include "pipeline.h"
#include "reconstruct/shift.h"
#include "reconstruct/steps.h"
#include "report/report.h"

#include <pthread.h>

/* Characters that are shown of a line that nobody understood, and the bytes that they take at most. */
#define SAMPLE_SHOWN 100
#define SAMPLE_SIZE (4 * SAMPLE_SHOWN + 8)

/* Who wrote the lines of a pass: one group of spans, one memory of formats. */
struct origin {
	struct slice host;
	uint16_t first, last;		/* frames, chained by frame.next */
};

/* Requests that --trace and --grep asked for. */
struct found {
	uint64_t requests;
	uint64_t hi, lo;		/* trace id of the first */
	bool several;			/* not all are of this trace */
};

/* A --keep or --drop, and how many requests it has decided. */
struct rule_count {
	char *text;			/* `keep EXPR`; owned */
	uint64_t requests;
};

/* Hash of hosts to origins; twice as large as the number of origins. */
#define ORIGIN_BUCKETS (2 * ORIGINS_MAX)

/* A thread, its block and all that it makes of it: nobody else's, while the block is in flight, but for `busy_ms`. */
struct worker {
	struct pipeline *pipeline;
	pthread_t thread;
	_Atomic int64_t busy_ms;	/* since when it has worked at its block; 0: it waits */
	struct rules rules;		/* the configuration's, with the sampler of the block */
	struct block block;
	struct parser parser;
	struct unwrapper unwrapper;
	struct rebuilder rebuilder;
	struct trace trace;
	struct wire wire[SINKS_MAX];
	void *part[WATCHERS_MAX];	/* what the watchers gather here */
	struct buf rejects;
	struct tally tally;		/* of the block */
	uint64_t rule_hits[RULES_MAX];	/* also of the block: requests that each rule has decided */
	struct found found;
	char sample[SAMPLE_SIZE];	/* the first line of the block that was not understood */
	struct buf parts;		/* lines of requests that have several: struct step_ref each */
	struct buf asides;		/* what stood beside them, if anything did */
	struct buf joined;		/* of requests that are whole by now */
	struct merge merge;
	struct joined request;
	struct trace whole;		/* of a request with several lines */
	struct frame frames[FRAMES_MAX];
	struct part steps[FRAMES_MAX];	/* of frames with FRAME_STEP */
	const char *messages[FRAMES_MAX];
	struct origin origins[ORIGINS_MAX];
	uint16_t buckets[ORIGIN_BUCKETS];
	uint32_t norigins;
};

/*
 * While workers run, what is not atomic stays as it was opened, or changes under the lock that stands before it, or by
 * the one thread that its comment names; `files_before` and `pace` are `input`'s, `linetime` and `shift` `output`'s.
 * pipeline_reload changes the rest, while there is no block in flight. `output` is taken within `input`, never the
 * other way round.
 */
struct pipeline {
	const struct config *c;		/* replaced by pipeline_reload, while there is no block in flight */
	struct formats formats;		/* the configuration's, in an order of their own */
	uint64_t learn_seq;		/* the block that teaches it */
	unsigned threads;
	struct sink *sinks[SINKS_MAX];
	uint32_t nsinks;
	struct watcher *watcher[WATCHERS_MAX];
	uint32_t nwatchers;
	struct worker *workers;
	bool relays;			/* one of them wants lines (encoder.lines) */
	int rejects;			/* descriptor, or -1 */
	const char *rejects_failed;	/* the path, then; by the worker whose turn it is to hand over */

	pthread_mutex_t input;		/* who holds it reads the next block */
	pthread_cond_t released;	/* `hold` ended, or a source was enabled */
	_Atomic bool hold;		/* a new configuration waits for `input` */
	char *uri[SOURCES_MAX];		/* of the sources; owned */
	uint32_t nsources;
	uint32_t nlive, live_number[SOURCES_MAX];	/* of those without an end: the number in `live` */
	_Atomic bool disabled[SOURCES_MAX];
	struct live *live;		/* sources without an end, or NULL */
	bool live_ended;
	uint64_t lost;			/* datagrams, by then */
	bool cut_short;			/* a stop was asked for within a file */
	struct source *source;		/* the file that is being read */
	_Atomic uint32_t next_source;
	uint64_t next_seq;
	bool ended;
	struct err *err;

	pthread_mutex_t output;		/* for what follows */
	pthread_cond_t turn;
	uint64_t next_out;		/* whose turn it is to hand over; 1: the formats' order has been taught */
	uint64_t next_join;		/* whose turn it is to join */
	struct joiner *joiner;		/* for the worker whose turn that is */
	int64_t joined_ms;		/* when it last took a line; also its */
	_Atomic uint32_t open, final;	/* its requests that wait, for whoever waits for input */
	struct ledger ledger;
	struct tally total;
	struct rule_count *rules;	/* of `c`, in its order; owned */
	uint32_t nrules;
	struct found found;
	char sample[SAMPLE_SIZE];	/* the first line that was not understood */
	char fresh[SAMPLE_SIZE];	/* the first since pipeline_rejected was asked */
	struct sampler sampler;		/* of the next block; `output`'s too */
	bool sampler_set;		/* by pipeline_sample */

	pthread_t keeper;		/* tells sources what is settled */
	uint64_t settled;		/* blocks below it; the keeper's own */
	pthread_mutex_t keeping;	/* of `kept` */
	pthread_cond_t keep;
	bool kept;

	uint64_t files_size;		/* bytes of all files, as they are stored; for progress */
	bool files_open;		/* but nobody knows: one of them is a pipe */
	uint64_t files_before;		/* of those that were read to their end */
	_Atomic uint64_t files_read;
	struct pace *pace;		/* of the input; NULL: as fast as possible */
	struct linetime *linetime;	/* of --rebase, until the shift is known; then NULL */
	struct shift shift;
	int64_t rebase_us;		/* where the line goes that decides it */

	bool host_given;		/* the user's host.name counts, not the envelope's */
};

/* ---- pipeline.c -------------------------------------------------------------------------------------------- */

/*
 * Requests that are still open leave, a block's worth at a time, through `w`. While no block is in flight and none is
 * read: when the input has ended, or by pipeline_reload.
 */
void pipeline_leave_open(struct pipeline *p, struct worker *w);

/* ---- pipeline_keep.c: how far the sources need not be read again ------------------------------------------- */

/* Tell the sources without an end, now and then, in a thread of its own. false: there are none, or no thread. */
bool keeper_start(struct pipeline *p);

/* After keeper_start and when the sinks are finished: the last word to the sources. */
void keeper_end(struct pipeline *p);

/* ---- pipeline_rules.c: what --keep, --drop, --trace and --grep have decided --------------------------------- */

/* The rules of `c`, each with a count of 0. NULL: `err` filled. */
struct rule_count *rules_make(const struct config *c, struct err *err);
void rules_free(struct rule_count *rules, uint32_t n);

/*
 * No block is in flight, and `new` shall take the place of p->rules: what both have goes on counting; of what is gone the
 * count is said, since nobody shows it any more.
 */
void rules_follow(const struct pipeline *p, struct rule_count *new, uint32_t n);

/* The worker's counts of its block; under `output`. */
void rules_add(struct pipeline *p, struct worker *w);

/* A line for each rule, behind the summary. */
void rules_print(struct pipeline *p, struct buf *out);

/* After the run: did it have what --trace and --grep asked for? Says so, when not. */
bool rules_found(const struct pipeline *p);

/* ---- pipeline_open.c --------------------------------------------------------------------------------------- */

/*
 * A descriptor to append to, the caller's to close; -1: `err` filled. `truncate`: what an earlier run left there goes;
 * not at a new configuration, when it may be the same file, nor with sources without an end, which go on where the
 * earlier run has ended: its lines do not come again.
 */
int pipeline_open_rejects(const char *path, bool truncate, struct err *err);

/* No worker sees a request any more: what they gathered goes to the watchers. */
void pipeline_join_parts(struct pipeline *p);

/* Does the user name the host? Then the envelopes' do not count. */
bool pipeline_gives_host(const struct config *c);

#endif
