/*
 * parse/cfg_private.h - private to parse/: what the files of haproxy_cfg share while a configuration is read.
 */
#ifndef PARSE_CFG_PRIVATE_H
#define PARSE_CFG_PRIVATE_H

#include "parse/haproxy_cfg.h"

/* Say something that is no error. */
void cfg_note(struct cfg *cfg, struct cfg_place place, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* From sections and directives to what they mean: proxies, profiles, log lines (cfg_model.c). */
void cfg_model(struct cfg *cfg);

/* Is this a directive that the model takes from? One that can't be read is then an error, not a note. */
bool cfg_wanted(struct slice keyword);

/* The word `i` of a directive; empty when it has fewer. */
static inline struct slice cfg_word(const struct cfg_directive *d, uint32_t i)
{
	return i < d->n ? d->word[i] : (struct slice){ "", 0 };
}

static inline bool cfg_is(const struct cfg_directive *d, uint32_t i, const char *word)
{
	return slice_eq(cfg_word(d, i), slice_str(word));
}

/* Text in parentheses behind `function` when `s` begins with `function(…)`; `*rest` is what follows. */
bool cfg_call(struct slice s, const char *function, struct slice *arg, struct slice *rest);

/*
 * The next %[expression] of a log-format's text, from `*at` on, whatever flags and name stand before the bracket; `*at`
 * is then on the bracket that closes it.
 */
bool cfg_next_expr(struct slice text, size_t *at, struct slice *expr);

#endif
