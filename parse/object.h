/*
 * parse/object.h - private to parse/: lines whose fields have names (JSON, CBOR, key=value), read where they lie.
 *
 * A table says what each member means. A reader (json.c, cbor.c, keyvalue.c) walks the line and hands over each
 * member as it comes; object.c finds it in the table and stores it. No tree is built, nothing is allocated.
 *
 * Nested members have dotted names: {"time":{"TR":5}} is time.TR, an element of an array the array's name and its
 * number.
 */
#ifndef PARSE_OBJECT_H
#define PARSE_OBJECT_H

#include "core/json_read.h"
#include "parse/program.h"

enum object_kind { OBJECT_JSON, OBJECT_CBOR, OBJECT_KEYVALUE };

enum member_what {
	MEMBER_SLOT,		/* a field */
	MEMBER_ADDR,		/* address:port, of `slot` and `slot2` */
	MEMBER_EXTRA,		/* extra field `slot` of the format */
	MEMBER_CAPTURE,		/* captured header `slot` of `side` */
	MEMBER_BLOCK,		/* all captured headers of `side`: an array, or "{a|b}" */
	MEMBER_DATE,		/* a date of any form (words.c): field `slot` if it fits, else of `slot2` */
};

struct member {
	struct slice name;	/* lent by the arena; of a generic object without what spellings differ in (words.c) */
	struct slice spelling;	/* with `exact`: as it must be spelt */
	uint8_t what;		/* enum member_what */
	uint8_t slot, slot2;
	uint8_t side;
	bool partial;		/* a cut value is still worth keeping */
	bool exact;		/* of a generic object: an alias or a name of --map, not a word: spelling counts */
};

/* Immutable after it was made. */
struct object {
	uint8_t kind;		/* enum object_kind */
	bool generic;		/* made of aliases and words, not of a format (words.c) */
	uint32_t n;
	const struct member *v;	/* in the order of the format */
	uint32_t mask;		/* of `hash`: a power of two less one */
	const uint16_t *hash;	/* number of a member plus one, 0: free; linear probing */
};

/* A value as a reader found it. */
enum scalar_kind {
	SCALAR_TEXT,		/* `text` */
	SCALAR_NUMBER,		/* `text`, as a number is written */
	SCALAR_INT,		/* `num` */
	SCALAR_BOOL,		/* `num` */
	SCALAR_NULL,
};

struct scalar {
	uint8_t kind;		/* enum scalar_kind */
	bool escaped;		/* `text` has JSON's escapes in it */
	struct slice text;
	int64_t num;
};

/* A container that is open. */
struct level {
	uint16_t len;		/* of its path, with the dot behind it; PATH_LOST: too long */
	uint16_t index;		/* of the next element */
	bool array;
	int8_t side;		/* of the captures that its elements are, or -1 */
};

/* One line while it is read. */
struct reading {
	struct parser *p;
	struct record *r;
	const struct format *f;
	const struct object *o;
	bool strict;		/* all members, in the order of the format, and no others */
	uint32_t expect;	/* which member of the table comes next if they stand in its order */
	uint32_t found;		/* members so far that are in the table */
	uint32_t dropped;		/* members without a meaning, of which there were too many */
	uint32_t depth;
	struct level level[JSON_DEPTH_MAX];
	char path[OBJECT_PATH_MAX];
};

/* ---- for readers ------------------------------------------------------------------------------------- */

/*
 * `n` bytes of scratch, which live as long as the record; NULL when there are no more. They may be given back in
 * part by taking what was not used off p->scratch_used.
 */
char *object_scratch(struct reading *x, size_t n);

/* A container begins: `key` is its name in the container that is open, ignored in an array. false: too deep. */
bool object_open(struct reading *x, struct slice key, bool array);
void object_close(struct reading *x);

/* A value. `cut`: the line ends within it. false: the line is not of this format. */
bool object_value(struct reading *x, struct slice key, const struct scalar *s, bool cut);

/* The readers: RUN_YES; RUN_CUT: the line ends too early; RUN_NO: it is of another kind or not of this format. */
enum run json_members(struct reading *x, struct slice text);
enum run cbor_members(struct reading *x, struct slice text);
enum run keyvalue_members(struct reading *x, struct slice text);

/* ---- for parse.c --------------------------------------------------------------------------------------- */

/*
 * Read the message of p->rec by f->object; sets the record, which may be of a variant of `f`. `strict` as above.
 * `*known`, if not NULL, gets the number of members that are in the table, at most as many as it has.
 */
enum run object_run(struct parser *p, const struct format *f, bool strict, uint32_t *known);

/* Could the message be of any such kind? */
bool object_likely(struct slice msg);

/* ---- for compile.c and formats.c ------------------------------------------------------------------------- */

/* A table of members while it grows. */
struct object_maker {
	struct arena *arena;
	struct member *v;	/* owned until object_make */
	uint32_t n, cap;
};

/* false when there are OBJECT_MEMBERS_MAX already. `name` is copied. */
bool object_add(struct object_maker *m, struct member member);

/* The member of this name (of this spelling, when that counts), or NULL. */
const struct member *object_lookup(const struct object *o, struct slice name, struct slice spelling);

/* The table becomes an object, in the arena; the maker is empty afterwards. */
struct object *object_make(struct object_maker *m, enum object_kind kind, bool generic);

/*
 * What compile.c made of a log-format, `prog` to its OP_END, is a JSON text with fields as values? Then the object
 * that describes its lines whatever their spelling; else NULL.
 */
const struct object *object_of_text(const struct insn *prog, struct arena *arena);

/* The three formats of lines that nobody described: JSON, CBOR, key=value. */
struct format *generic_format(struct formats *set, enum object_kind kind, const struct naming *naming);

/* `haspan formats`: the words. */
void words_print(void);

/* ---- words.c ------------------------------------------------------------------------------------------- */

/* What a name means to a generic object; NULL: nothing. */
const struct member *words_find(const struct object *o, struct slice name);

/* Store a value if it has the form of the field; false: it has not, or the field is there already. */
bool words_store(struct reading *x, const struct member *m, struct slice text);

/* The line is read: which of the variants it is. false: it is no request. `cut`: less is enough. */
bool words_settle(struct reading *x);

#endif
