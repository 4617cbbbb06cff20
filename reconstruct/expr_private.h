/*
 * reconstruct/expr_private.h - what expr_names.c, expr_compile.c and expr.c share: an expression as a program.
 *
 * An instruction is one test, and where to go on when it is true and when it is not. Those that look at a field of the
 * record alone, which nearly all do, hold all they need in one line of the cache; the others point to the test as it was
 * read.
 */
#ifndef RECONSTRUCT_EXPR_PRIVATE_H
#define RECONSTRUCT_EXPR_PRIVATE_H

#include "core/pattern.h"
#include "reconstruct/expr.h"

/* Where a value comes from. */
enum from { FROM_A_SLOT, FROM_STATE, FROM_DURATION, FROM_FAILED, FROM_ERROR, FROM_HEADER, FROM_NAMED };

struct expr_value {
	enum from from;
	enum expr_kind kind;
	enum slot slot;
	enum capture_side side;
	struct slice name;		/* of a header, or of a field without a known meaning */
	uint32_t memo;
};

enum op {
	OP_HAS, OP_EQ, OP_NE, OP_LT, OP_LE, OP_GT, OP_GE, OP_MATCH, OP_IN,
	OP_BEGINS, OP_ENDS, OP_HOLDS,		/* patterns that say no more than that */
};

struct constant {
	int64_t number;			/* a time is in microseconds */
	struct slice text;
};

/* A test as it was read. */
struct test {
	struct expr_value value;
	enum op op;
	bool turned;			/* !~, not in */
	bool numbers;			/* of `in`: `set` are numbers */
	int64_t number;			/* a time is in microseconds */
	struct slice text;
	const struct pattern *pattern;
	const struct constant *set;	/* `nset` of them */
	uint32_t nset;
};

/* How an instruction finds out. */
enum how {
	HOW_TEST,		/* by the long way: `test` */
	HOW_HAS,		/* is the field there? */
	HOW_RANGE,		/* a number from low to low + span */
	HOW_BEGINS,		/* a text that begins with `text` */
	HOW_IS,			/* that is `text` */
};

/* The first bytes of a text are looked at in one piece. */
#define HEAD_BYTES sizeof(uint64_t)

struct insn {
	uint64_t bit;			/* of record.have[word] */
	union {
		struct {
			int64_t least;	/* what is a value at all, in the field's own units */
			uint64_t room;	/* ... up to least + room */
			int64_t low;
			uint64_t span;
		};
		struct {
			struct slice text;
			uint64_t head, mask;	/* its first bytes, and which of the field's count */
		};
	};
	const struct test *test;
	uint16_t yes, no;		/* another instruction, or an end */
	uint8_t how;			/* enum how */
	uint8_t word, slot;
	bool turned;
	bool denied;			/* it stands below an odd number of `not` */
};

_Static_assert(sizeof(struct insn) == 64, "an instruction is a line of the cache");

#define END_TRUE UINT16_MAX
#define END_FALSE ((uint16_t)(UINT16_MAX - 1))

struct expr {
	struct insn *insn;
	uint16_t n, first;
};

/* The first bytes of `p`, as they lie in memory. */
static inline uint64_t expr_head(const char *p)
{
	uint64_t head;

	memcpy(&head, p, sizeof(head));
	return head;
}

/* ---- expr_names.c ------------------------------------------------------------------------------------------ */

/*
 * What `name` means. In backquotes (`quoted`) any name may be a member of a line whose members nobody knows beforehand.
 * false: nothing, and `*v` is of no use.
 */
bool expr_name(struct slice name, bool quoted, const struct expr_names *names, struct expr_value *v);

/* The known name that is most like it; empty: none is. Lent by a table or a format. */
struct slice expr_nearest_name(struct slice name, const struct expr_names *names);

#endif
