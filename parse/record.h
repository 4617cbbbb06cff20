/*
 * parse/record.h - door 3: the fields of one line.
 *
 * A worker has one record, in flight for one line only; its slices are lent by the block or by the worker's
 * scratch. Which fields are there is a bit mask, so nothing is cleared per line.
 */
#ifndef PARSE_RECORD_H
#define PARSE_RECORD_H

#include "core/limits.h"
#include "core/slice.h"

enum slot {
#define FIELD(alias, type, since, meaning) SLOT_##alias,
#define NAMED(name, type, meaning) SLOT_##name,
#include "formats/fields.def"
#undef FIELD
#undef NAMED
	/* Derived by reconstruct/ from the fields above; what attributes are made of. */
#define DERIVED(name) SLOT_x_##name,
#include "formats/derived.def"
#undef DERIVED
	SLOT_MAX
};

_Static_assert(SLOT_MAX <= 128, "record.have is two words");

/* How a field is written and how it is stored: `num` for numbers and dates, `text` for the rest. */
enum field_type {
	TYPE_NONE,
	TYPE_NAME,		/* text */
	TYPE_RAW,		/* text */
	TYPE_ESC,		/* text */
	TYPE_REQ,		/* text */
	TYPE_INT,		/* num */
	TYPE_MS,		/* num */
	TYPE_IP,		/* text */
	TYPE_PORT,		/* num */
	TYPE_DATE,		/* num: local milliseconds since the epoch, as if local were UTC */
	TYPE_DATEZ,		/* num: UTC milliseconds since the epoch */
	TYPE_MSEC,		/* num */
	TYPE_SEC,		/* num */
	TYPE_US,		/* num */
	TYPE_STATE,		/* text */
	TYPE_BLOCK,		/* captures */
	TYPE_LIST,		/* captures */
	TYPE_FT,		/* text, and SLOT_x_tls */
};

union value {
	int64_t num;
	struct slice text;
};

enum capture_side { CAPTURE_REQUEST, CAPTURE_RESPONSE, CAPTURE_SIDES };

struct captures {
	struct slice v[CAPTURES_MAX];
	uint32_t n;
};

enum record_flag {
	RECORD_TRUNCATED = 1,	/* the line was cut at HAProxy's length limit */
	RECORD_ONE_BLOCK = 2,	/* a single capture block: nobody can say of which side */
	RECORD_OBJECT = 4,	/* a JSON, CBOR or key=value line: its strings have no escapes left but HAProxy's #XX */
	RECORD_DECODED = 8,	/* and hold bytes that the line does not */
	RECORD_PAIRS = 16,	/* `pair` has something in it */
	RECORD_LONE_ID = 32,	/* joined, and not every line of its formats has the frontend: ids do without */
	RECORD_SESSION_ERROR = 64, /* joined, of nothing but lines of a session that failed before a request */
};

enum pair_type { PAIR_TEXT, PAIR_NUMBER, PAIR_BOOL };

/* A member of which nobody knows the meaning: an attribute. */
struct pair {
	struct slice key;		/* of the attribute: only bytes that need no escape, at most PAIR_KEY_MAX */
	struct slice value;
	uint8_t type;			/* enum pair_type: how the line wrote it */
};

struct format;

struct record {
	const struct format *format;	/* which one matched; lent by the format set */
	struct slice msg;
	struct slice line;		/* as it came, without its framing; for those who relay it */
	uint64_t have[2];		/* bit per slot */
	uint64_t plus[2];		/* bit per slot: a '+' stood before the number */
	unsigned flags;			/* enum record_flag */
	uint32_t reached;		/* how many bytes of `msg` a run that accepts cut lines has read */
	int32_t budget;			/* how much going back is left for this line, all formats together */
	uint64_t have_extra;		/* bit per extra field of the format */
	struct captures cap[CAPTURE_SIDES];
	union value v[SLOT_MAX];
	struct slice extra[EXTRAS_MAX];
	struct pair pair[PAIRS_MAX];	/* only with RECORD_PAIRS */
	uint32_t npairs;
};

static inline bool record_has(const struct record *r, enum slot s)
{
	return r->have[s >> 6] >> (s & 63) & 1;
}

static inline bool record_plus(const struct record *r, enum slot s)
{
	return r->plus[s >> 6] >> (s & 63) & 1;
}

static inline void record_set_num(struct record *r, enum slot s, int64_t num)
{
	r->v[s].num = num;
	r->have[s >> 6] |= UINT64_C(1) << (s & 63);
}

static inline void record_set_text(struct record *r, enum slot s, struct slice text)
{
	r->v[s].text = text;
	r->have[s >> 6] |= UINT64_C(1) << (s & 63);
}

static inline void record_drop(struct record *r, enum slot s)
{
	r->have[s >> 6] &= ~(UINT64_C(1) << (s & 63));
}

/* The number in slot `s`, or `otherwise` when the line has none. */
static inline int64_t record_num(const struct record *r, enum slot s, int64_t otherwise)
{
	return record_has(r, s) ? r->v[s].num : otherwise;
}

static inline struct slice record_text(const struct record *r, enum slot s)
{
	return record_has(r, s) ? r->v[s].text : (struct slice){ NULL, 0 };
}

#endif
