/*
 * core/json_read.h - read one JSON text (RFC 8259) where it lies: a token at a time, no tree, no allocation, no
 * recursion.
 *
 *	struct json_reader r;
 *
 *	json_begin(&r, text);
 *	while ((token = json_next(&r)) > JR_CUT)
 *		…
 *
 * The text is lent and not changed; slices point into it. Up to 15 bytes behind its end may be READ (core/scan.h):
 * it lies in a block or in a buffer with BLOCK_PAD behind it. No token goes beyond the end.
 *
 * It is tolerant where log writers are careless: strings may hold control bytes, NULs and invalid UTF-8 (HAProxy
 * writes what %[expressions] give it), and a number is any run of digits and "+-.eE" (`+15`, `-`, `007`), for the caller to judge.
 */
#ifndef CORE_JSON_READ_H
#define CORE_JSON_READ_H

#include "core/limits.h"
#include "core/slice.h"

enum json_token {
	JR_END,		/* the value is complete and nothing but white space is behind it */
	JR_BAD,		/* no JSON, or deeper than JSON_DEPTH_MAX; `p` is where */
	JR_CUT,		/* the text ends too early; see `cut` */
	JR_OBJECT, JR_OBJECT_END,
	JR_ARRAY, JR_ARRAY_END,
	JR_KEY,		/* `text` is the name; its colon is read */
	JR_STRING,		/* `text` is what stands between the quotes */
	JR_NUMBER,		/* `text` is the number */
	JR_TRUE, JR_FALSE, JR_NULL,
};

struct json_reader {
	const char *p, *end;	/* lent; what is not read yet */
	struct slice text;	/* of the last key, string or number, still escaped; lent by the text */
	bool escaped;		/* of the last key or string: it holds a backslash, so json_unescape has work */
	uint8_t state;		/* private */
	uint8_t depth;		/* containers open */
	enum json_token cut;	/* with JR_CUT: JR_KEY, JR_STRING or JR_NUMBER, of which `text` is the beginning that
				 * is there; else JR_CUT */
	uint64_t objects;	/* private: a bit for each open container, set for an object */
};

/* Start on `text`. */
void json_begin(struct json_reader *r, struct slice text);

/* The next token. JR_END, JR_BAD and JR_CUT come again for ever. */
enum json_token json_next(struct json_reader *r);

/*
 * After JR_OBJECT or JR_ARRAY: read on to its end. Returns JR_OBJECT_END or JR_ARRAY_END, or JR_BAD or
 * JR_CUT (then `depth` is as deep as it came).
 */
enum json_token json_skip(struct json_reader *r);

/*
 * Decode the inside of a string: all escapes of RFC 8259, `\/` too; surrogate pairs become one character, a lone
 * surrogate U+FFFD; a backslash before anything else is dropped, and so is an escape that the end of `raw` cuts. Other
 * bytes are copied as they are, so the result is valid UTF-8 only if `raw` was. Returns the length, which is
 * never more than raw.len: `out` needs room for that. `out` may be raw.p (in place), else they must not overlap.
 * Never reads behind `raw`.
 */
size_t json_unescape(struct slice raw, char *out);

#endif
