/*
 * parse/parse.h - the parse room: message to record.
 */
#ifndef PARSE_PARSE_H
#define PARSE_PARSE_H

#include "core/arena.h"
#include "core/err.h"
#include "ingest/frame.h"
#include "parse/date.h"
#include "parse/format.h"

/* How a user names what HAProxy does not name. Lent by the configuration. */
struct naming {
	const struct slice *map_from, *map_to;	/* --map FROM=TO */
	uint32_t nmap;
	const struct slice *request, *response;	/* --capture-request, --capture-response; "%[expr]": no header */
	uint32_t nrequest, nresponse;
	uint8_t chosen_id;		/* enum chosen_id: what haproxy.cfg says of %ID */
};

/* The slot of an alias or of a name of formats/fields.def, or -1. */
int slot_find(struct slice name);

/* All formats of a run. Immutable once the workers start, but for `order`, which is settled once. */
struct formats {
	struct arena *arena;		/* lent; where formats live */
	struct format *v[FORMATS_MAX];
	uint32_t n, norder;
	uint32_t nfirst;		/* of the user's own, at most FORMATS_FIRST: always tried, in this order; else 0 */
	struct names *frontends;	/* of haproxy.cfg: struct candidates of each; NULL: there is none */
	bool first_look;		/* so many that the frontend's name is looked for first; those are not in `order` */
	struct format **planned;	/* further ones that records may have, which want a plan: variants, whole ones */
	uint32_t nplanned, planned_cap;
	size_t log_len;			/* HAProxy's `len`: no line much shorter than this was cut by it */
	uint16_t order[FORMATS_MAX];	/* in which they are tried: as given, then as formats_learn says */
};

/* The formats that matched last at one origin, most recent first: indices into struct formats, or 0xffff. */
struct recent {
	uint16_t v[FORMATS_RECENT];
};

/* What a worker needs besides: owned by it. */
struct parser {
	const struct formats *formats;
	struct record rec;
	struct day_memo day;
	uint32_t matches[FORMATS_MAX];	/* lines by format so far */
	char *scratch;			/* SCRATCH_SIZE bytes */
	size_t scratch_used;
};

enum parsed {
	PARSED_REQUEST,		/* the record holds a request */
	PARSED_OTHER,		/* a line of HAProxy's that is no traffic */
	PARSED_REJECTED,	/* not understood */
};

/*
 * Add the format that the user named: NAME (formats/builtin.def), `auto`, `re:PATTERN`, a file (a format a
 * line, `#` comments), or the text of a log-format. false: `err` has line, column, caret (EXIT_CONFIG).
 */
bool formats_add(struct formats *set, struct slice arg, const struct naming *naming, struct err *err);

/* The built-in formats that `auto` tries. */
bool formats_add_auto(struct formats *set, const struct naming *naming, struct err *err);

/*
 * Try the formats from now on in the order of how many lines they matched (`matches`), equal ones as given.
 * Called once, after the first block and before the second, so that what a line becomes depends on the input
 * alone, never on the timing of threads.
 */
void formats_learn(struct formats *set, const uint32_t *matches);

/*
 * The formats of the steps of a request belong together. haproxy.cfg's log-profile says which; of those that only have
 * %OG all do: they get a `whole` one. Call once, when all formats are there. Returns it, or NULL when there is none;
 * no lines are tried with it.
 */
struct format *formats_families(struct formats *set);

/*
 * Do both sets read every line the same way, format for format, so that lines that were read with one can be read again
 * with the other? Pure.
 */
bool formats_same(const struct formats *a, const struct formats *b);

/* `haspan formats`: all that is known, on standard output. */
void formats_print(void);

/* Allocates its scratch; aborts when out of memory. */
void parser_init(struct parser *p, const struct formats *formats);
void parser_free(struct parser *p);

/* Gives back what libraries keep for the calling thread. */
void parser_thread_free(void);

/*
 * Parse the message of `f` into p->rec. `recent` belongs to the origin of `f` and only makes it faster: it is
 * reset with every pass, so that what a line becomes does not depend on what a thread saw before.
 * Strings in the record are valid UTF-8, HAProxy's escapes decoded. Pure but for `p` and `recent`.
 */
enum parsed parse_frame(struct parser *p, const struct frame *f, struct recent *recent);

/* A line that HAProxy writes but that is no traffic (server state, start and stop, health checks). */
bool notice_match(struct slice msg);

/* HAProxy's #XX and, with `backslash`, backslash escapes decoded, bytes that are not UTF-8 replaced by U+FFFD;
 * `out` has room for 3 bytes per input byte. Returns the length. */
size_t text_clean(struct slice in, bool hash, bool backslash, char *out);

/* ---- for a person (show.c) ----------------------------------------------------------------------------- */

/* What a format made of a message. */
struct attempt {
	enum { ATTEMPT_FITS, ATTEMPT_ENDS, ATTEMPT_FAILS } result;	/* ENDS: the message ends too early */
	uint32_t depth;			/* fields that were read */
	size_t at;			/* where in the message it failed */
	size_t column;			/* of the field in the format's text that was looked for */
	char expected[160];
};

/* Try format number `n` on `msg`, which has BLOCK_PAD bytes behind it. Uses p->rec. */
void parse_attempt(struct parser *p, uint32_t n, struct slice msg, struct attempt *out);

/*
 * The fields of the record, in the order in which the line has them, one a call: `*at` is 0 at first. false: no more.
 * `name` is the alias or the expression; `text` is lent until the next call.
 */
struct shown {
	struct slice name, text, meaning;
	const char *unit;		/* "ms", "bytes" …, or "" */
	bool alias;			/* `name` is HAProxy's */
};
bool record_show(const struct record *r, uint32_t *at, struct shown *out, char *scratch, size_t size);

/* Is it valid UTF-8 (no surrogates, no overlong forms, at most U+10FFFF)? */
bool text_valid(struct slice s);

#endif
