/*
 * parse/program.h - private to parse/: a log-format as a program. compile.c writes it, run.c runs it.
 *
 * Each instruction reads one field and then the literal text that HAProxy writes behind it; the literal is how
 * the end of a text field is found. It is the dual of how h2o compiles an access-log format to elements with
 * a suffix.
 */
#ifndef PARSE_PROGRAM_H
#define PARSE_PROGRAM_H

#include "parse/parse.h"

enum op {
	OP_LITERAL,		/* nothing but the literal: the text before the first field */
	OP_WORD,		/* text without a blank, up to the literal */
	OP_TEXT,		/* text up to the literal */
	OP_RAW,			/* the same, but the text may hold the literal: run.c can go back to it */
	OP_REST,		/* text to the end of the line */
	OP_NUMBER,		/* [+-] digits; '-' alone is absent */
	OP_HEX,			/* hexadecimal digits (+X) */
	OP_IP,			/* address */
	OP_HEX_IP,		/* 8 or 32 hexadecimal digits (+X) */
	OP_ADDR,		/* address ':' port in one go, port in slot2: an IPv6 address has no brackets */
	OP_DATE,		/* 21/Nov/2026:08:15:44.900 */
	OP_DATEZ,		/* 21/Nov/2026:08:15:44 +0000 */
	OP_STATE2, OP_STATE4,	/* termination state */
	OP_BLOCK,		/* {a|b}, or nothing at all, then without its literal */
	OP_LIST,		/* "a" "b" …, to the end or to what can't be a member */
	OP_END,
};

enum insn_flag {
	INSN_EXTRA = 1,		/* `slot` is an index into the format's extra fields */
	INSN_PARTIAL = 2,	/* a cut value is still worth keeping */
	INSN_REST_OPTIONAL = 4,	/* all that follows may be missing */
	INSN_FRONTEND = 8,	/* %ft: a '~' behind the name means TLS */
	INSN_CAPTURE = 16,	/* one captured header: `slot` is its number, `side` its side */
	INSN_EMPTY = 32,	/* may be empty */
	INSN_QUOTES = 64,	/* +Q: a port that is not there is "", a block that is there has quotes around it */
};

struct insn {
	uint8_t op;
	uint8_t flags;
	uint8_t slot, slot2;
	uint8_t side;		/* enum capture_side */
	uint8_t first;		/* first byte of the literal; 0 when there is none */
	char never;		/* what the field can't hold: there it has been cut in the wrong place; 0: nothing */
	uint16_t lit_len;
	const char *lit;	/* lent by the format's arena */
	uint16_t column;	/* of the field in the format's text, from 0: for messages */
	bool plain;		/* a word or number with a literal of one byte: quick_step may try it */
	uint8_t word;		/* of record.have … */
	uint64_t bit;		/* … and the bit in it, of `slot` */
};

/* The type and name of a slot. */
extern const struct slot_info {
	struct slice name;	/* alias or name; empty for a derived slot */
	enum field_type type;
	struct slice since, meaning;
} slot_info[SLOT_MAX];

/* May this be a header's name (RFC 9110 section 5.6.2)? Then it can be part of an attribute's key. */
bool header_is_token(struct slice s);

/* The slot of a request header that means more than itself (formats/headers.def), or -1. */
int slot_of_header(struct slice name);

/*
 * Compile `text` into `f` (zeroed but for name), all memory from `arena`.
 * false: `err` points at the column (EXIT_CONFIG).
 */
bool program_compile(struct format *f, struct slice text, const struct naming *naming, struct arena *arena,
		     struct err *err);

/* Settle what kind of lines these are; false when they do not say when a request began or how long it took. */
bool format_complete(struct format *f, struct err *err);

/*
 * What it asks of a format, of one record: a line whose fields have names may lack any of them.
 */
#define RECORD_BIT(word, s) ((s) >> 6 == (word) ? UINT64_C(1) << ((s) & 63) : 0)
#define RECORD_DATES(w) \
	(RECORD_BIT(w, SLOT_tr) | RECORD_BIT(w, SLOT_trg) | RECORD_BIT(w, SLOT_trl) | RECORD_BIT(w, SLOT_t) | \
	 RECORD_BIT(w, SLOT_T) | RECORD_BIT(w, SLOT_Tl) | RECORD_BIT(w, SLOT_Ts) | RECORD_BIT(w, SLOT_accept_us) | \
	 RECORD_BIT(w, SLOT_request_us))
#define RECORD_DURATIONS(w) \
	(RECORD_BIT(w, SLOT_Ta) | RECORD_BIT(w, SLOT_Tt) | RECORD_BIT(w, SLOT_Td) | RECORD_BIT(w, SLOT_Tr) | \
	 RECORD_BIT(w, SLOT_end_us))

static inline bool record_dated(const struct record *r)
{
	return (r->have[0] & RECORD_DATES(0)) || (r->have[1] & RECORD_DATES(1));
}

static inline bool record_timed(const struct record *r)
{
	return (r->have[0] & RECORD_DURATIONS(0)) || (r->have[1] & RECORD_DURATIONS(1));
}

/* Give `f` the captures that --capture-request and --capture-response name, and room for extra fields. */
void format_captures(struct format *f, const struct naming *naming, struct arena *arena);

/* What a field named `name` (an expression, an explicit name, a regex group) is: fills slot or extra. */
struct binding {
	int slot;		/* -1: an extra field */
	int side, index;	/* slot == -2: capture number `index` of `side` */
	struct slice key;	/* slot == -1: attribute key */
	bool backslash;		/* written by the json converter */
};
void binding_resolve(struct binding *b, struct slice expr, struct slice name, const struct naming *naming,
		     struct arena *arena);

/* Add an extra field to `f`; returns its index, or -1 when there are EXTRAS_MAX already. */
int format_add_extra(struct format *f, struct slice name, struct slice key, enum field_type type);

/* The text of the built-in format `name`; empty when there is none. */
struct slice formats_builtin(struct slice name);

/*
 * Compile `text` under `name`, all but its place in the set. `steps`: it is one of
 * several, which need not say all by itself and has the extra fields of those before it. NULL: `err`.
 */
struct format *format_make(struct formats *set, struct slice name, struct slice text, const struct naming *naming,
			   const struct format *steps, struct err *err);

/* Give a compiled format its place in the set; false when that is full. */
bool formats_append(struct formats *set, struct format *f, struct err *err);

/* The format that was appended last is the user's own, not a built-in one. */
void formats_own(struct formats *set);

/* ---- frontends.c ------------------------------------------------------------------------------------- */

/* The formats of one frontend of haproxy.cfg: indices into struct formats. */
struct candidates {
	uint16_t v[CANDIDATES_MAX];
	uint32_t n;
};

/* Of a frontend; NULL: no configuration names it. Reads up to 7 bytes behind the name. */
struct candidates *candidates_of(const struct formats *set, struct slice frontend);

/* The frontend `name` writes lines of format number `format`. */
void frontends_add(struct formats *set, struct slice name, uint32_t format);

/* All of haproxy.cfg is in the set: settle which formats are found by the frontend's name alone. */
void frontends_settle(struct formats *set);

/* A format that is not in the set itself, but that records can have: it wants a plan. */
void formats_plan(struct formats *set, struct format *f);

/* ---- run.c ------------------------------------------------------------------------------------------- */

enum run {
	RUN_NO,			/* not this format */
	RUN_CUT,		/* all of it fits, but the line ends too early */
	RUN_YES,
};

/*
 * Run `f` on r->msg; sets r->have, plus, flags, fields. `cut`: accept a line that ends early (RUN_CUT), and
 * say in `*depth` how many instructions were done. Reads up to BLOCK_PAD bytes behind the message. Pure.
 */
enum run program_run(const struct format *f, struct record *r, struct day_memo *day, bool cut, uint32_t *depth);

/* ---- regex.c ----------------------------------------------------------------------------------------- */

bool regex_compile(struct format *f, struct slice pattern, const struct naming *naming, struct arena *arena,
		   struct err *err);

enum run regex_run(const struct format *f, struct record *r, struct day_memo *day);

/* ---- values, for regex.c: `text` as a field of type `t`; false: it has not that form ------------------- */

bool value_parse(enum field_type t, struct slice text, enum slot s, struct record *r, struct day_memo *day);

#endif
