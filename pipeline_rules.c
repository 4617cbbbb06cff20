/*
 * pipeline_rules.c - what --keep, --drop, --trace and --grep have decided.
 */
#include "pipeline_private.h"

#include "core/log.h"
#include "core/term.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct rule_count *rules_make(const struct config *c, struct err *err)
{
	const struct rules *r = &c->rules;
	struct rule_count *rules = calloc(r->nrules + 1, sizeof(*rules));

	for (uint32_t i = 0; rules && i < r->nrules; i++)
		if (asprintf(&rules[i].text, "%s %s", r->rule[i].keep ? "keep" : "drop", r->rule[i].text) < 0) {
			rules_free(rules, i);
			rules = NULL;
		}
	if (!rules)
		err_set(err, EXIT_CONFIG, "out of memory");
	return rules;
}

void rules_free(struct rule_count *rules, uint32_t n)
{
	for (uint32_t i = 0; rules && i < n; i++)
		free(rules[i].text);
	free(rules);
}

/* Of two that are the same only the first decides anything. */
static struct rule_count *find(struct rule_count *rules, uint32_t n, const char *text)
{
	for (uint32_t i = 0; i < n; i++)
		if (strcmp(rules[i].text, text) == 0)
			return &rules[i];
	return NULL;
}

void rules_follow(const struct pipeline *p, struct rule_count *new, uint32_t n)
{
	for (uint32_t i = 0; i < p->nrules; i++) {
		const struct rule_count *old = &p->rules[i];
		struct rule_count *same = find(new, n, old->text);

		if (same)
			same->requests += old->requests;
		else if (old->requests)
			log_info("a rule is gone; it had decided %" PRIu64 " requests: %.*s", old->requests, RULE_SHOWN, old->text);
	}
}

static void found_add(struct found *to, const struct found *from)
{
	if (from->requests == 0)
		return;
	if (to->requests == 0)
		*to = *from;
	else
		to->requests += from->requests;
	to->several |= from->several || to->hi != from->hi || to->lo != from->lo;
}

void rules_add(struct pipeline *p, struct worker *w)
{
	for (uint32_t i = 0; i < p->nrules; i++) {
		p->rules[i].requests += w->rule_hits[i];
		w->rule_hits[i] = 0;
	}
	found_add(&p->found, &w->found);
	w->found = (struct found){ 0 };
}

uint32_t pipeline_rules(struct pipeline *p, struct rule_account out[RULES_MAX])
{
	uint32_t n;

	pthread_mutex_lock(&p->output);
	n = p->nrules;
	for (uint32_t i = 0; i < n; i++) {
		snprintf(out[i].text, sizeof(out[i].text), "%s", p->rules[i].text);
		out[i].requests = p->rules[i].requests;
	}
	pthread_mutex_unlock(&p->output);
	return n;
}

void rules_print(struct pipeline *p, struct buf *out)
{
	struct rule_account rules[RULES_MAX];
	uint32_t n = pipeline_rules(p, rules);

	for (uint32_t i = 0; i < n; i++) {
		buf_printf(out, "rule=%u requests=%" PRIu64 " ", i + 1, rules[i].requests);
		term_text(out, slice_str(rules[i].text), RULE_SHOWN / 4);
		buf_char(out, '\n');
	}
}

/* What comes from a source without an end may still come. */
bool rules_found(const struct pipeline *p)
{
	const struct pick *pick = &p->c->rules.pick;

	if (p->found.several && pick->by_id && !(pick->lo_mask & 1))
		log_warn("--trace: several traces begin with these digits; give more of them");
	if (p->live || p->found.requests || (!pick->by_id && !pick->grep))
		return true;
	log_warn(pick->by_id && pick->grep ? "no request fits both --trace and --grep" : pick->by_id ?
		 "no request is of this trace: trees and spans show the ids that there are" :
		 "no line of a request fits --grep, which is a regular expression; (?i) in front of it ignores case");
	return false;
}
