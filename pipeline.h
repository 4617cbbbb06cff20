/*
 * pipeline.h - the corridor: the only place that knows all rooms.
 */
#ifndef PIPELINE_H
#define PIPELINE_H

#include "config.h"

struct pipeline;

/* Open all sources and sinks. NULL: `err` filled. With `c->check_only` nothing is written to. */
struct pipeline *pipeline_open(const struct config *c, struct err *err);

/*
 * Read everything, or until core/stop.h's wish; then wait for the sinks. Runs its workers as threads; returns
 * when all is answered for or given up. Errors of the input are in `err`; the rest was read all the same.
 */
void pipeline_run(struct pipeline *p, struct err *err);

/*
 * `w`, lent, sees every request; when pipeline_run returns, all parts have been joined. Before pipeline_run. false: `err` filled.
 */
struct watcher;
bool pipeline_watch(struct pipeline *p, struct watcher *w, struct err *err);

/* ---- seen and steered: any thread, any time ----------------------------------------------------------------- */

struct tally {
#define COUNTER(name, identity, meaning) uint64_t name;
#include "formats/counters.def"
#undef COUNTER
};

/* What became of the spans of one sink. */
struct sink_account {
	const char *uri;		/* lent by the pipeline; it is the label of the sink's metrics */
	bool disabled, failed;
#define ACCOUNT(name, kind, meaning) uint64_t name;
#include "formats/account.def"
#undef ACCOUNT
};

struct account {
	struct tally total;
	uint32_t nsinks;
	struct sink_account sink[SINKS_MAX];
};

/* One reading, in which both identities (haspan(1)) hold, the second for each sink. */
void pipeline_account(struct pipeline *p, struct account *out);

/* How many requests a --keep or --drop of the configuration has decided; a new one that has it too goes on counting. */
struct rule_account {
	char text[RULE_SHOWN];		/* `drop path ~ "^/healthz"`, as it was given, cut where it is longer */
	uint64_t requests;
};

/* Returns how many there are, in the order in which they are tried. Any thread. */
uint32_t pipeline_rules(struct pipeline *p, struct rule_account out[RULES_MAX]);

/* What sources and sinks show of themselves, labelled by their URIs. */
void pipeline_metrics(struct pipeline *p, struct metrics *m);

/* How far the input is. */
struct progress {
	uint64_t done, total;		/* of what there is to read; `total` 0: nobody knows */
	bool bytes;			/* they are bytes of files */
	uint64_t lines, spans;
};

/* false: there is nothing to be told, because the input has no end. */
bool pipeline_progress(struct pipeline *p, struct progress *out);

enum source_state { SOURCE_WAITING, SOURCE_READING, SOURCE_DISABLED, SOURCE_ENDED };

uint32_t pipeline_sources(const struct pipeline *p);
/* For people, and the label of its metrics: as it was configured, but without secrets. */
const char *pipeline_source_uri(const struct pipeline *p, uint32_t i);
/* Where its socket is bound, as in 127.0.0.1:514; empty when it has none. */
const char *pipeline_source_bound(const struct pipeline *p, uint32_t i);
enum source_state pipeline_source_state(const struct pipeline *p, uint32_t i);

/*
 * How many lines were not understood; the first of them since the last call, shortened and masked, is appended to
 * `sample`. Any thread.
 */
uint64_t pipeline_rejected(struct pipeline *p, struct buf *sample);

/*
 * Source `i` is not read while it is disabled: what it has waits there, but for datagrams, which the kernel drops when
 * its buffer is full, and counts. To sink `k` nothing is sent: what it holds in memory or in its spool stays there, and
 * when there is no room for more the input waits, for all sinks. A stop enables everything, so that nothing is lost.
 */
void pipeline_enable_source(struct pipeline *p, uint32_t i, bool enable);
void pipeline_enable_sink(struct pipeline *p, uint32_t k, bool enable);

/* Sample by `s` from the next block on, whatever the configuration says, also a new one; NULL: as it says. */
void pipeline_sample(struct pipeline *p, const struct sampler *s);

/* For how many milliseconds the slowest worker has been busy with its block: not waiting for input, sinks or others. */
int64_t pipeline_busy_ms(struct pipeline *p);

/*
 * Go on with `c`: formats, rules, resource, limits and certificates of sources, settings of sinks, --rejects, which is
 * opened again. Blocks that were read before are read the old way, and nothing is read meanwhile. Requests that are
 * open stay so, but leave as at the end when the formats or --max-open or --max-age changed. What only a restart
 * changes is said in a warning, and stays.
 *
 * Waits until all blocks in flight are handed over, which may take as long as a sink makes them wait; sinks get their
 * settings before. true: nobody uses the old configuration any more. false: `err` filled, all is as it was, and `c` is
 * used by nobody. One caller at a time, while pipeline_run runs.
 */
bool pipeline_reload(struct pipeline *p, const struct config *c, struct err *err);

/* The accounting identity on stderr (haspan(1)); any thread, any time. */
void pipeline_summary(struct pipeline *p);

/*
 * After pipeline_run. Was it stopped before it had read all of the files, and of the other sources that have an end? And
 * was there something in its input that could not be read?
 */
bool pipeline_interrupted(const struct pipeline *p);
bool pipeline_unreadable(const struct pipeline *p);

/* Datagrams that were lost before they could be read, up to the end of reading. After pipeline_run. */
uint64_t pipeline_lost(const struct pipeline *p);

/* 0, or the highest exit code that what happened asks for. After pipeline_run. */
int pipeline_exit_code(struct pipeline *p);

void pipeline_close(struct pipeline *p);

#endif
