/*
 * parse/format.h - a compiled log-format, as those to the right see it: what its lines can hold.
 */
#ifndef PARSE_FORMAT_H
#define PARSE_FORMAT_H

#include "parse/record.h"

struct insn;
struct regex;
struct object;
struct plan;
struct names;

/* What a line of this format tells of. */
enum format_mode {
	MODE_HTTP,		/* one HTTP request */
	MODE_TCP,		/* one TCP connection */
	MODE_ERROR,		/* a connection that failed before its first request */
};

/*
 * Which step of a request a line tells of (configuration manual, "log-steps", "log-profile"; 3.1 and later). Where
 * the format does not say, its field %OG does.
 */
enum step {
	STEP_UNKNOWN,
	STEP_ACCEPT, STEP_REQUEST, STEP_CONNECT, STEP_RESPONSE,
	STEP_CLOSE,		/* the final line */
	STEP_ERROR,		/* the session ended before a request */
	STEP_OTHER,		/* a do-log action */
};

/* Can two requests have the same unique id, as when a client chooses it (%[req.hdr(…)])? doc/ids.md */
enum chosen_id {
	ID_OWN,			/* no, or nobody knows */
	ID_CHOSEN,		/* yes: it makes no ids */
	ID_CHOSEN_SENT,		/* yes, and HAProxy made a traceparent of it for the server: what it sent holds */
};

/* A field with no known meaning: %[expr] as an attribute of its own. */
struct extra {
	struct slice name;		/* its explicit name, else the expression */
	struct slice key;		/* the attribute it becomes */
	enum field_type type;		/* TYPE_RAW, TYPE_INT, TYPE_NAME for a boolean */
};

/* One captured header. */
struct capture {
	struct slice name;		/* lower case; empty when nobody told, or it is no header */
	struct slice key;		/* what is no header: the attribute it becomes; else empty */
	int16_t slot;			/* what it means beyond itself, or -1 */
	bool context;			/* trace context: no attribute */
};

/* Immutable after compilation; owned by its format set. */
struct format {
	/* What every line of it needs stands together: a variant is in the cache only by chance. */
	const struct plan *plan;	/* its attributes; made by reconstruct/, owned by the arena */
	const struct format *whole;	/* of a step: slots and extra fields of all steps together; NULL: itself */
	uint64_t slots[2];		/* what its lines can hold */
	uint64_t every[2];		/* of a `whole`: slots that each of the steps has; none: not known */
	uint64_t unescape[2];		/* text slots written with backslash escapes (+E, json converter) */
	uint64_t unescape_extra;
	uint32_t unescape_cap[CAPTURE_SIDES];	/* captured headers that are fields of their own */
	uint64_t hex_ip[2];		/* addresses written in hexadecimal (+X) */
	struct capture *cap[CAPTURE_SIDES];
	uint32_t ncap[CAPTURE_SIDES];	/* names known; 0: none */
	enum format_mode mode;
	bool escaped;			/* any of the three above */
	uint8_t step;			/* enum step: what haproxy.cfg says that its lines are */
	uint8_t chosen_id;		/* enum chosen_id */
	bool behind;			/* haproxy.cfg goes before: a line of its frontends is first read its way */
	const struct insn *prog;
	uint32_t nprog;
	const struct regex *regex;	/* instead of `prog`; NULL for a log-format */
	const struct object *object;	/* JSON, CBOR or key=value: instead of `prog`, or when the line does not fit that */
	const struct names *by_frontend;	/* the same with other names (cfg_formats.c); NULL: one for all */
	struct format *const *variants;	/* what its lines can turn out to be, when that is not known before (words.c) … */
	uint32_t nvariants;		/* … the first of a mode can hold all that the others can */
	bool pairs;			/* its lines may have members without a meaning: record.pair */
	struct extra *extra;		/* room for EXTRAS_MAX; variants share it */
	uint32_t nextra, nshared;	/* the first `nshared` belong to all steps of a request */
	const struct format *like;	/* has the same fields, and so shares its plan; NULL: none */
	struct slice name;		/* built-in name, or "format 1", … */
	struct slice text;		/* as the user wrote it */
};

static inline bool format_has(const struct format *f, enum slot s)
{
	return f->slots[s >> 6] >> (s & 63) & 1;
}

#endif
