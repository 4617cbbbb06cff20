#include "report/result.h"

#include <math.h>

const char *severity_name(enum severity s)
{
	static const char *const names[SEVERITY_MAX] = { "note", "warning", "error" };

	return names[s];
}

const char *verdict_name(enum verdict_of_rule v)
{
	static const char *const names[RESULT_MAX] = { "passed", "failed", "nothing matched", "error" };

	return names[v];
}

/* 1234567 as 1,234,567; what is no whole number with up to three decimals. */
static void number(struct buf *out, double n)
{
	char text[40];
	int whole, len = snprintf(text, sizeof(text), n == floor(n) ? "%.0f" : "%.3f", n);

	if (memchr(text, '.', (size_t)len))
		while (text[len - 1] == '0')
			len--;
	whole = (int)slice_find(slice_of(text, (size_t)len), '.');
	for (int i = 0; i < len; i++) {
		if (i > (n < 0) && i < whole && (whole - i) % 3 == 0)
			buf_char(out, ',');
		buf_char(out, text[i]);
	}
}

static void things(struct buf *out, double n, const char *one)
{
	number(out, n);
	buf_printf(out, " %s%s", one, n == 1 ? "" : "s");
}

void result_value(struct buf *out, enum unit unit, double value)
{
	switch (unit) {
	case UNIT_TIME:
		number(out, fabs(value) < 10e6 ? round(value) / 1e3 : round(value / 1e3) / 1e3);
		buf_slice(out, fabs(value) < 10e6 ? SLICE(" ms") : SLICE(" s"));
		return;
	case UNIT_SHARE:
		buf_printf(out, "%.4g %%", value * 100);
		return;
	case UNIT_REQUESTS:
		things(out, value, "request");
		return;
	case UNIT_SPANS:
		things(out, value, "span");
		return;
	case UNIT_LINES:
		things(out, value, "line");
		return;
	case UNIT_NUMBER:
		number(out, value);
		return;
	}
}

const char *result_incomplete(const struct results *r)
{
	return r->interrupted ? "interrupted: this is what was read until then" :
	       r->unreadable ? "not all of the input could be read: this is what was found in the rest" : NULL;
}

void result_measured(struct buf *out, const struct result *v)
{
	if (v->error > 0)
		buf_slice(out, SLICE("≈ "));
	result_value(out, v->unit, v->value);
}

void result_name(struct buf *out, const struct result *v)
{
	buf_slice(out, v->name);
	if (v->rest) {
		buf_lit(out, ": ");
		buf_printf(out, "about ");
		result_value(out, UNIT_NUMBER, (double)v->folded);
		buf_lit(out, " others");
	} else if (v->by.len && v->group.len) {
		buf_lit(out, ": ");
		buf_slice(out, v->group);
	} else if (v->by.len && v->verdict != RESULT_EMPTY) {
		buf_lit(out, ": no ");
		buf_slice(out, v->by);
	}
}

void result_plain(struct buf *out, struct slice tree)
{
	while (tree.len) {
		struct slice text = slice_cut(&tree, '\033');

		buf_slice(out, text);
		/* Only the drawing itself wrote such bytes, and nothing but colours. */
		if (tree.p)
			slice_cut(&tree, 'm');
	}
}
