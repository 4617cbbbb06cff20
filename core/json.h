/*
 * core/json.h - text as the inside of a JSON string (RFC 8259 section 7).
 */
#ifndef CORE_JSON_H
#define CORE_JSON_H

#include "core/buf.h"

/*
 * Append `s`, which is valid UTF-8, escaped, without quotes. Beyond what JSON asks, U+007F and the line
 * separators U+2028 and U+2029 are escaped: they are inert in any viewer then.
 */
void json_escape(struct buf *out, struct slice s);

/* Append a member of an object, `"key":"s"`; `key` needs no escape. */
void json_pair(struct buf *out, const char *key, struct slice s);

/* How many bytes from the start of `s` need no escape. Never reads behind it. */
size_t json_plain(struct slice s);

#endif
