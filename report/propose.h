/*
 * report/propose.h - rules that a good capture holds, with some room (haspan check --write-rules).
 */
#ifndef REPORT_PROPOSE_H
#define REPORT_PROPOSE_H

#include "report/rules.h"

/* Rules that measure what the proposed ones will be about. false: `err` filled. */
bool propose_begin(struct ruleset *s, struct err *err);

/* The rules file, from what they found. */
void propose_rules(FILE *out, const struct results *r);

#endif
