/*
 * parse/haproxy_cfg.h - a haproxy.cfg, as far as it says what the logs look like: the model from which the format
 * set is made (parse/cfg_formats.c) and on which `haspan doctor` gives its advice.
 *
 * Everything is owned by the arena that it was read into, and immutable once cfg_read() is back. Strings are what
 * HAProxy would see: quotes, escapes and variables are done. Everything knows the directive that said it, so that a
 * message or a patch can name the file and the line.
 */
#ifndef PARSE_HAPROXY_CFG_H
#define PARSE_HAPROXY_CFG_H

#include "parse/parse.h"

/* ---- what stands there ----------------------------------------------------------------------------------- */

struct cfg_file {
	struct slice path;		/* as it was given or found; NUL-terminated */
	struct slice text;		/* all of it, as it is on disk */
	uint32_t lines;
};

struct cfg_place {
	const struct cfg_file *file;
	unsigned line;			/* from 1 */
};

/* One line of a section that is not left out by an .if. */
struct cfg_directive {
	struct cfg_place place;
	struct cfg_section *section;
	const struct slice *word;	/* NUL-terminated each; word[0] is the keyword, without `no` or `default` */
	uint32_t n;			/* at least 1 */
	bool no, reset;			/* `no` or `default` stood before it */
	const struct cfg_directive *next;	/* of the same section */
};

enum cfg_kind {
	CFG_GLOBAL, CFG_DEFAULTS, CFG_FRONTEND, CFG_LISTEN, CFG_BACKEND, CFG_LOG_PROFILE, CFG_RING,
	CFG_OTHER,			/* a section that says nothing about logs */
};

struct cfg_section {
	enum cfg_kind kind;
	struct slice keyword;		/* "frontend" … */
	struct slice name;		/* empty when it has none */
	struct cfg_place place;		/* of its header */
	unsigned last_line;		/* of its last directive, or of its header: what is added goes behind it */
	struct slice indent;		/* the blanks before its first directive; four when it has none */
	const struct cfg_directive *first;	/* in the order of the file; NULL: it is empty */
	const struct cfg_section *from;	/* the defaults that it takes over; NULL: none */
	const struct cfg_section *next;	/* in the order of the files */
};

/* Something that was not understood, or taken with a grain of salt: nothing worse comes of it. */
struct cfg_note {
	struct cfg_place place;
	struct slice text;
	const struct cfg_note *next;
};

/* ---- what it means --------------------------------------------------------------------------------------- */

/* The value of a directive that can be set once. by NULL: nobody set it. */
struct cfg_setting {
	struct slice text;
	const struct cfg_directive *by;	/* by->section tells whether it is inherited */
};

/* A slot of %hr or %hs, in the order in which they are logged. */
struct cfg_capture {
	struct slice name;		/* the header, in lower case; empty when it is none, or nobody knows */
	struct slice expr;		/* what is captured, as in "req.hdr(host)"; empty: declared, never filled */
	uint64_t len;			/* bytes kept */
	const struct cfg_directive *by;	/* what declared the slot */
};

/* http-request, http-response, tcp-request … set-var(NAME) or set-var-fmt(NAME), in the order of the file. */
struct cfg_variable {
	struct slice name;		/* "txn.tp" */
	struct slice value;		/* a sample expression, or with `format` the text of a log-format */
	bool format;
	bool conditional;		/* an `if` or `unless` stands behind it */
	const struct cfg_directive *by;
};

/* A header that HAProxy sets: set-header and add-header of http-request. */
struct cfg_header {
	struct slice name;
	struct slice value;		/* the text of a log-format */
	bool add;			/* add-header: one from the client stays */
	bool conditional;
	const struct cfg_directive *by;
};

/* A step of a log-profile. */
struct cfg_step {
	enum step step;			/* STEP_OTHER: a do-log action; STEP_UNKNOWN: `on any` */
	struct slice word;		/* "accept", "http-req", "any" … */
	bool drop;
	struct cfg_setting format, sd;	/* by NULL: the proxy's */
	const struct cfg_directive *by;
};

struct cfg_profile {
	const struct cfg_section *section;
	struct slice name;
	struct cfg_setting log_tag;
	const struct cfg_step *step;
	uint32_t nsteps;
	const struct cfg_profile *next;
};

/* A `log` line that counts for a proxy; `log global` stands for all of global's. */
struct cfg_log {
	struct slice address;
	uint64_t len;			/* 1024 unless it says otherwise */
	struct slice format;		/* of the envelope: "rfc5424" …; empty: HAProxy's choice */
	struct slice profile_name;	/* empty: none */
	const struct cfg_profile *profile;	/* NULL: none, or no section has that name */
	struct slice facility;
	const struct cfg_directive *by;	/* the `log` line with the address: global's, for `log global` */
};

/* What wrote a proxy's lines. */
enum cfg_log_kind {
	CFG_LOG_NONE,			/* nothing: HAProxy writes "Connect from …" */
	CFG_LOG_HTTP, CFG_LOG_HTTP_CLF, CFG_LOG_HTTPS, CFG_LOG_TCP, CFG_LOG_TCP_CLF,	/* option httplog … */
	CFG_LOG_CUSTOM,			/* log-format */
};

/*
 * A frontend, listen or backend after inheritance, as HAProxy has it: the last directive wins, in the section itself
 * before its defaults.
 */
struct cfg_proxy {
	const struct cfg_section *section;
	struct slice name;
	bool front, back;		/* listen: both */
	bool http;			/* mode http; without a mode it is tcp */
	struct cfg_setting mode;

	enum cfg_log_kind log_kind;
	struct cfg_setting log_format;	/* the effective text, also of an option; by: the option or the log-format */
	struct cfg_setting log_format_sd, error_log_format;
	struct cfg_setting unique_id_format, unique_id_header, log_tag;
	struct cfg_setting capture_cookie;
	struct cfg_setting default_backend;
	const struct cfg_directive *logasap, *dontlognull, *dontlog_normal, *http_buffer_request;	/* NULL: off */
	struct cfg_setting log_steps;	/* "all" or "accept,close"; by NULL: one line a request */

	const struct cfg_log *log;	/* none: it does not log */
	uint32_t nlogs;
	const struct cfg_capture *capture[CAPTURE_SIDES];
	uint32_t ncaptures[CAPTURE_SIDES];
	const struct cfg_variable *variable;	/* its defaults' first */
	uint32_t nvariables;
	const struct cfg_header *header;	/* its defaults' first */
	uint32_t nheaders;
	bool bound, ssl, plain;		/* it has `bind` lines; some with ssl, some without */

	struct cfg_proxy *next;		/* in the order of the files */
	struct cfg_proxy *same_hash;	/* private */
};

/* Proxies are found by name through a table of this size. */
#define CFG_BUCKETS 1024

struct cfg {
	struct arena *arena;		/* lent */
	const struct cfg_file **file;	/* in the order in which they were read */
	uint32_t nfiles;
	const struct cfg_section *section;	/* all, in the order of the files */
	const struct cfg_profile *profile;
	struct cfg_proxy *proxy;
	uint32_t nproxies;
	const struct cfg_log *log;	/* global's */
	uint32_t nlogs;
	struct cfg_setting log_tag;	/* global's */
	const struct cfg_note *note;	/* in the order of discovery */
	uint32_t nnotes;
	const struct cfg_note **note_end;	/* private */
	struct cfg_proxy *bucket[CFG_BUCKETS];	/* private */
};

/*
 * Read files and folders (of these the *.cfg in the order of their names, as HAProxy's -f does) into `cfg`, all
 * memory from `arena`. What is not understood becomes a note. false: a file can't be read, or a quote is never
 * closed (EXIT_CONFIG, with file, line, column and caret).
 */
bool cfg_read(struct cfg *cfg, const struct slice *paths, uint32_t n, struct arena *arena, struct err *err);

/* The frontend, listen or backend of this name, or NULL. */
const struct cfg_proxy *cfg_proxy_find(const struct cfg *cfg, struct slice name);

/* The last rule of the proxy that sets the header `name`, ignoring case; NULL: none. */
const struct cfg_header *cfg_header_find(const struct cfg_proxy *p, struct slice name);

/*
 * What the sample expression `expr` of a log-format of the proxy means, where only the configuration tells: the
 * name of a field ("traceparent", "trace_id", "span_id", "ID" …) or of an attribute ("http.request.header.x"), which
 * is what --map takes. Empty: nothing is known. Memory, if any, from the arena of `cfg`.
 */
struct slice cfg_meaning(const struct cfg *cfg, const struct cfg_proxy *p, struct slice expr);

/* Does each request have another unique id by this unique-id-format? */
bool cfg_id_unique(struct slice format);

/* The same for the unique-id-format of `p`, with the variables in it; true when it has none. */
bool cfg_ids_unique(const struct cfg_proxy *p);

/* Is it made of what a client sent, and of nothing that would make it unique? */
bool cfg_id_chosen(struct slice format);

/* "option httplog", "log-format" …, for messages. */
const char *cfg_log_kind_name(enum cfg_log_kind kind);

/* ---- the format set (cfg_formats.c) ---------------------------------------------------------------------- */

/*
 * Add what the frontends of `cfg` write, for all of them together: a text that several share is compiled once.
 * A format that haspan can't use is a warning with its place, not an error. `naming` is what the user said, which
 * goes before what the configuration says. false: `err` (EXIT_CONFIG), when the set is full.
 */
bool formats_add_cfg(struct formats *set, const struct cfg *cfg, const struct naming *naming, struct err *err);

/* The smallest `len` of the log lines that count: no shorter line was cut by HAProxy. 0: there is no log line. */
uint64_t cfg_log_len(const struct cfg *cfg);

#endif
