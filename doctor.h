/*
 * doctor.h - `haspan doctor`: what spans a haproxy.cfg would give, what is missing, and the lines to add.
 *
 *   doctor_look.c   what a frontend logs, and what is missing (formats/advice.def)
 *   doctor_fix.c    what is missing, as edits of its files, and these as a patch
 *   doctor.c        the command: text, JSON, exit code
 */
#ifndef DOCTOR_H
#define DOCTOR_H

#include "core/buf.h"
#include "options.h"
#include "parse/haproxy_cfg.h"

/* The exit code: 0, 1 when something essential is missing, 2 without a file, 3 for an unreadable configuration. */
int doctor_main(const struct options *o);

/* ---- private ---------------------------------------------------------------------------------------------- */

enum severity { ESSENTIAL, USEFUL, HINT, SEVERITY_MAX };

enum advice_id {
#define ADVICE(id, severity, what, why, lines) ADVICE_##id,
#include "formats/advice.def"
#undef ADVICE
	ADVICE_MAX
};

extern const struct advice {
	const char *id;
	enum severity severity;
	const char *what, *why, *lines;
} advice_table[ADVICE_MAX];

/* The line of an advice that stands for where a frontend logs to, and the least length of such a line. */
#define PROFILE_LEN 8192
#define PROFILE_LOG "    log 127.0.0.1:514 len 8192 format rfc5424 profile haspan local0"

struct finding {
	const struct cfg_directive *by;		/* what it is about; NULL: nothing that stands there */
	struct slice detail;			/* which of them, or what the compiler said; may be empty */
};

/* What the lines of a proxy hold. */
struct fields {
	uint64_t slot[2];
	uint32_t captures;			/* request headers, by their number */
};

/* How a log-format is written, as far as something has to be added to it. */
enum style { STYLE_TEXT, STYLE_KEYED, STYLE_NAMED, STYLE_JSON };

enum style style_of(struct slice format);

/* A proxy, looked at. Memory is the arena's. */
struct look {
	const struct cfg *cfg;
	const struct cfg_proxy *p;
	struct fields fields;
	bool traffic;				/* a log line takes what the proxy logs */
	const struct cfg_profile *profile;	/* … by the steps of this one; NULL: one line a request */
	bool understood;			/* spans can be made */
	bool downstream;			/* servers get the CLIENT span's id */
	struct slice sent_trace, sent_span;	/* the expressions in the traceparent that is set; empty: none */
	uint64_t found;				/* a bit for each advice */
	struct finding finding[ADVICE_MAX];
};

void doctor_look(struct look *l, const struct cfg *cfg, const struct cfg_proxy *p);

static inline bool look_has(const struct look *l, enum slot s)
{
	return l->fields.slot[s >> 6] >> (s & 63) & 1;
}

static inline bool look_found(const struct look *l, enum advice_id id)
{
	return l->found >> id & 1;
}

_Static_assert(ADVICE_MAX <= 64, "look.found is one word");

/* What the format of a step, or of a proxy, holds is added to `f`. */
void fields_read(struct fields *f, const struct cfg *cfg, const struct cfg_proxy *p, struct slice text);

/* The expression that is the variable: "var(txn.x)". */
void variable_expr(char *out, size_t size, const struct cfg_variable *v);

/* Is the request header `name` captured and logged? */
bool look_captures(const struct look *l, struct slice name);

/* Does this log line take messages of the level info? */
bool log_takes_traffic(const struct cfg_log *log);

/* Lines taken out of a file before `at` (from 1), and others put there instead. */
struct edit {
	const struct cfg_file *file;
	unsigned at, remove;
	struct slice add;			/* each line with its end */
	const struct edit *next;		/* of the same list, by file and place */
};

/* A list of edits; zero it. Equal ones are one. */
struct edits {
	struct arena *arena;
	const struct edit *first;
};

/* The edits that mend what is essential or useful in `l`. */
void doctor_fix(const struct look *l, struct edits *edits);

/* All edits as a unified diff. */
void doctor_patch(const struct edits *edits, struct buf *out);

/* The line `n` (from 1) as it stands in the file; p NULL: there is none. */
struct slice file_line(const struct cfg_file *f, unsigned n);

#endif
