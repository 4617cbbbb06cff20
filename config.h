/*
 * config.h - what the options mean: one immutable struct for the whole run.
 */
#ifndef CONFIG_H
#define CONFIG_H

#include "core/user.h"
#include "export/export.h"
#include "ingest/live.h"
#include "options.h"
#include "parse/haproxy_cfg.h"
#include "reconstruct/reconstruct.h"
#include "report/stats.h"

#define SOURCES_MAX 256

/* Lent by the arena it was made in, until that goes. */
struct config {
	struct slice sources[SOURCES_MAX];
	const struct option_value *source_from[SOURCES_MAX];	/* for messages; NULL: an operand */
	uint32_t nsources;
	struct slice sinks[SINKS_MAX];
	const struct option_value *sink_from[SINKS_MAX];	/* for messages; NULL: nobody asked */
	uint32_t nsinks;
	bool stats;				/* a sink is `stats`: it is no sink of the pipeline's */
	struct stats_config stats_config;
	struct formats formats;
	struct cfg *haproxy;			/* of --haproxy-cfg, or NULL */
	struct rules rules;
	struct resource resource;
	struct export_config export;
	struct live_config live;
	struct slice timezone;
	const struct option_value *baseline;	/* files that are read too (baseline.h), or NULL */
	const char *rejects;			/* path, or NULL */
	const char *admin, *listen_metrics;	/* as given, or NULL */
	bool strict, check_only;
	bool rebase;			/* --rebase, to: */
	int64_t rebase_us;		/* microseconds since 1970; 0: now */
	double pace;			/* the log's seconds in one of ours; 0: as fast as possible */
	uint64_t rate;			/* lines a second; 0: no limit */
	uint32_t max_open;		/* requests with several lines that may be open at once */
	int64_t max_age_us;		/* how long, by the log's clock */
	unsigned threads;
	struct user user;		/* whom to become once the sockets are bound */
	bool sandbox;
	const char *const *rereads;	/* files and folders that a reload reads again, NULL-terminated */
};

/* All of it from the options and the OTEL_* variables. false: `err` says where (EXIT_USAGE, EXIT_CONFIG). */
bool config_make(struct config *c, struct options *o, struct err *err);

#endif
