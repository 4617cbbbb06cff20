#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "core/pattern.h"

#include "core/limits.h"
#include "core/log.h"

#include <stdatomic.h>

_Static_assert(PATTERN_UNSET == PCRE2_UNSET, "PCRE2's own value is handed on");

struct pattern {
	pcre2_code *code;
};

/* One per thread, because PCRE2 writes to them. */
static _Thread_local pcre2_match_data *match_data;
static _Thread_local pcre2_match_context *match_context;

static void free_code(void *code)
{
	pcre2_code_free(code);
}

struct pattern *pattern_compile(struct slice text, unsigned flags, struct arena *arena, struct pattern_fault *fault)
{
	struct pattern *p = arena_alloc(arena, sizeof(*p));
	uint32_t options = flags & PATTERN_WHOLE ? PCRE2_ANCHORED | PCRE2_ENDANCHORED : 0;
	PCRE2_SIZE at;
	int code;

	p->code = pcre2_compile((PCRE2_SPTR)text.p, text.len, options, &code, &at, NULL);
	if (!p->code) {
		pcre2_get_error_message(code, (PCRE2_UCHAR *)fault->text, sizeof(fault->text));
		fault->at = at;
		return NULL;
	}
	arena_on_free(arena, free_code, p->code);
	/* Without JIT support the interpreter does the same, slower. */
	pcre2_jit_compile(p->code, PCRE2_JIT_COMPLETE);
	return p;
}

bool pattern_group(const struct pattern *p, uint32_t k, struct slice *name, uint32_t *number)
{
	uint32_t count, size;
	PCRE2_SPTR table;

	pcre2_pattern_info(p->code, PCRE2_INFO_NAMECOUNT, &count);
	if (k >= count)
		return false;
	pcre2_pattern_info(p->code, PCRE2_INFO_NAMEENTRYSIZE, &size);
	pcre2_pattern_info(p->code, PCRE2_INFO_NAMETABLE, &table);
	table += k * size;
	*name = slice_str((const char *)table + 2);
	*number = (uint32_t)(table[0] << 8 | table[1]);
	return true;
}

static bool prepare_thread(void)
{
	if (match_data)
		return true;
	match_data = pcre2_match_data_create(PATTERN_GROUPS, NULL);
	match_context = pcre2_match_context_create(NULL);
	if (match_context)
		pcre2_set_match_limit(match_context, PATTERN_STEPS);
	return match_data && match_context;
}

void pattern_thread_free(void)
{
	pcre2_match_data_free(match_data);
	pcre2_match_context_free(match_context);
	match_data = NULL;
	match_context = NULL;
}

static _Atomic uint64_t stopped;
static _Thread_local uint64_t stopped_here;

uint64_t pattern_stopped(void)
{
	return atomic_load_explicit(&stopped, memory_order_relaxed);
}

uint64_t pattern_stopped_here(void)
{
	return stopped_here;
}

/* It was none of the answers: PCRE2 ended the search, at a limit as a rule. */
static enum pattern_answer note_stopped(void)
{
	static atomic_flag saying = ATOMIC_FLAG_INIT;
	static int64_t said_ms;
	uint64_t n;

	stopped_here++;
	n = atomic_fetch_add_explicit(&stopped, 1, memory_order_relaxed) + 1;
	if (atomic_flag_test_and_set(&saying))
		return PATTERN_STOPPED;
	if (log_due(&said_ms, LOG_EVERY_MS))
		log_warn("a regular expression takes too many steps on a line: whether it fits is not known "
			 "(%llu so far). Nested repetitions, as in (a+)+, do that", (unsigned long long)n);
	atomic_flag_clear(&saying);
	return PATTERN_STOPPED;
}

enum pattern_answer pattern_match(const struct pattern *p, struct slice text, const size_t **at, uint32_t *n)
{
	PCRE2_SPTR s = (PCRE2_SPTR)(text.p ? text.p : "");
	int found;

	if (!prepare_thread())
		return note_stopped();
	found = pcre2_match(p->code, s, text.len, 0, 0, match_data, match_context);
	if (found == PCRE2_ERROR_JIT_STACKLIMIT)	/* a long line: the interpreter takes its memory from the heap */
		found = pcre2_match(p->code, s, text.len, 0, PCRE2_NO_JIT, match_data, match_context);
	if (found < 0)
		return found == PCRE2_ERROR_NOMATCH ? PATTERN_NO : note_stopped();
	if (at) {
		*at = pcre2_get_ovector_pointer(match_data);
		*n = found ? (uint32_t)found : PATTERN_GROUPS;
	}
	return PATTERN_FITS;
}
