/*
 * export/export.h - the export room: encoders and sinks.
 *
 * An encoder turns traces into bytes, in a worker, without I/O. A sink takes finished wires, in the order of
 * the blocks, and answers for every span in them. A sink is a few function pointers; what it owns is its own.
 */
#ifndef EXPORT_EXPORT_H
#define EXPORT_EXPORT_H

#include "core/buf.h"
#include "core/err.h"
#include "core/metrics.h"
#include "parse/record.h"
#include "reconstruct/plan.h"
#include "reconstruct/span.h"

/* ---- encoders ---------------------------------------------------------------------------------------- */

/* What is the same for all spans of a run. Lent by the configuration. */
struct resource {
	struct slice service_name;
	struct slice keys[32], values[32];	/* OTEL_RESOURCE_ATTRIBUTES and --resource, sorted by key */
	uint32_t n;
	struct slice version;			/* of haspan: the scope's version */
};

/*
 * How traces become bytes. All functions are pure but for `out`, which grows up to its stated bound.
 * Called per pass and origin: open, trace…, close. `host` may be empty.
 */
struct encoder {
	const char *name;
	void (*open)(struct buf *out, const struct resource *res, struct slice host, size_t *mark);
	void (*trace)(struct buf *out, const struct record *rec, const struct trace *trace);
	void (*close)(struct buf *out, size_t mark);	/* `mark` is what open stored */
	void (*seal)(struct buf *out);			/* after the last group of a wire; may be NULL */
	/*
	 * It wants each line that is a request, or a step of one, as it came (record.line): a request of several lines is
	 * not given to it, and no group needs to be open.
	 */
	bool lines;
};

extern const struct encoder encoder_protobuf;	/* TracesData = ExportTraceServiceRequest, canonical protobuf */
extern const struct encoder encoder_json;	/* the same as one line of OTLP JSON, with its newline */
extern const struct encoder encoder_tree;	/* for a person */
extern const struct encoder encoder_tree_pieces;	/* the same as pieces to choose from (export/tree.h) */

/* ---- sinks ------------------------------------------------------------------------------------------- */

/* The bytes of one block for one sink. */
struct wire {
	struct buf bytes;
	uint64_t spans;
	uint64_t seq;		/* of the block */
};

/* What became of the spans given to a sink (haspan(1)); written by the sink alone. */
struct sink_tally {
	uint64_t restored, exported, refused, dropped, held;
	uint64_t left_out;	/* that it was told to leave out: --slowest, --limit */
};

struct sink;
struct export_config;

struct sink_ops {
	/*
	 * Take the bytes and spans of `w` (there may be spans without bytes: encoder.lines), which is left empty, ready for reuse. Called by one thread at a time, in
	 * order of `seq`. Blocks while the sink is full: that is what slows the source.
	 */
	void (*submit)(struct sink *s, struct wire *w);
	/*
	 * No more wires will come. Returns when all is answered for, or after `give_up_ms` without any progress, or
	 * `drain_ms` after a stop was asked for (core/stop.h).
	 */
	void (*finish)(struct sink *s);
	/* A consistent reading; any thread, any time. */
	void (*tally)(struct sink *s, struct sink_tally *out);
	/*
	 * The lowest `seq` of the wires that were submitted and are not settled: answered for, or in the spool.
	 * UINT64_MAX: none. Any thread, any time.
	 */
	uint64_t (*unsettled)(struct sink *s);
	/* May be NULL. What is settled shall also survive a loss of power, if the sink keeps it here (fdatasync). */
	void (*sync)(struct sink *s);
	/* May be NULL. New headers, certificates and limits, from the next request on (SIGHUP). false: `err` filled, the old go on. */
	bool (*reload)(struct sink *s, const struct export_config *cfg, struct err *err);
	/* May be NULL. Add the sink's numbers; any thread. */
	void (*metrics)(struct sink *s, struct metrics *m);
	void (*free)(struct sink *s);
};

/* First member of every sink's own struct. */
struct sink {
	const struct sink_ops *ops;
	const struct encoder *encoder;
	char *uri;			/* as the user wrote it, without secrets; owned */
	_Atomic bool failed;		/* the sink gave up, and takes no more; set in submit or finish */
	_Atomic bool done;		/* it has all that it wants (--limit); set in submit */
	/*
	 * Disabled by who operates it: nothing is to be sent until it is enabled, or a stop is asked for. A sink that `holds`
	 * sees to that itself and goes on taking wires; for others the pipeline does not submit.
	 */
	_Atomic bool disabled;
	bool holds;
};

/* Settings that sinks share; lent by the configuration, already merged by precedence. */
struct export_config {
	const char *protocol;		/* "http/protobuf", "http/json" or NULL: the default */
	const char *const *headers;	/* "Name: value", NULL-terminated; may be NULL */
	bool gzip;
	unsigned timeout_ms;		/* of one request; 0: none */
	unsigned connections;		/* requests in flight at once, at least 1 */
	const char *ca, *cert, *key;	/* PEM files, or NULL */
	size_t buffer_max;		/* bytes of wires held in memory */
	unsigned batch_delay_ms;	/* how long spans may wait for others to be sent with */
	const char *spool;		/* folder, or NULL */
	uint64_t spool_max;		/* bytes of all files in it, for each sink */
	unsigned drain_ms;		/* how long to go on sending once a stop was asked for */
	const char *const *kafka;	/* "property=value" of --kafka, NULL-terminated; may be NULL */
	unsigned give_up_ms;		/* how long to wait for any acknowledgement before giving up; 0: for ever */
	bool colour;			/* for the tree */
	unsigned width;
	bool terminal;			/* it goes to one, which is so wide */
	uint32_t slowest, limit;	/* of the tree: only so many requests; 0: all */
};

/*
 * Open the sink that `uri` names (haspan(1)). Returns an owned sink, or NULL with `err` filled.
 */
struct sink *sink_open(struct slice uri, const struct export_config *cfg, struct err *err);

/* All sinks of the configuration are open: warn of spools that none of them has. */
void sinks_opened(const struct export_config *cfg);

/* Would sink_open succeed? Looks, but writes and sends nothing. */
bool sink_check(struct slice uri, const struct export_config *cfg, struct err *err);

/* The sinks themselves; sink_open picks. `rest` is what follows the scheme. */
struct sink *file_sink_open(struct slice path, const struct encoder *enc, struct err *err);
struct sink *null_sink_open(struct err *err);
struct sink *tree_sink_open(const struct export_config *cfg, struct err *err);
struct sink *kafka_sink_open(struct slice uri, const struct export_config *cfg, struct err *err);
bool kafka_sink_check(struct slice uri, const struct export_config *cfg, struct err *err);	/* asks no broker */
struct sink *http_sink_open(struct slice uri, const struct export_config *cfg, struct err *err);

#endif
