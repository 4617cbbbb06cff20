/*
 * Text of others on its way to a terminal, or to a CI runner that reads what a step prints.
 */
#include "core/term.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static const struct { const char *text, *shown; } texts[] = {
	{ "plain é … – “x” 🙂 ❤️", "plain é … – “x” 🙂 ❤️" },
	{ "a\033[31mb\u202ec\xc2\x9b" "d\xff", "a?[31mb?c?d?" },
	{ "a\ufeffb\U000e0041c\U000e007fd\u00ade\u180ef\ufff9g\ufffbh\u2060i\u3164j\u115fk", "a?b?c?d?e?f?g?h?i?j?k" },
	{ "##[error]x", "#?[error]x" },
	{ "GET /###[group]", "GET /##?[group]" },
	{ "/a##", "/a#?" },
	{ "/#a ##b #[c]", "/#a ##b #[c]" },
	{ "::error::x", "?:error::x" },
	{ "  ::add-mask::x", "  ?:add-mask::x" },
	{ "\u2003::debug::x", "\u2003?:debug::x" },
	{ "a::error::x", "a::error::x" },
	{ "::1", "::1" },
	{ "::ffff:10.0.0.1", "::ffff:10.0.0.1" },
	{ "::dead:beef ::x", "::dead:beef ::x" },
	{ "::", "::" },
};

static void what_is_hostile_is_masked(void **state)
{
	struct buf out = { .max = 1024 };

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		out.len = 0;
		term_text(&out, slice_str(texts[i].text), 100);
		buf_char(&out, '\0');
		assert_string_equal(out.p, texts[i].shown);
	}
	buf_free(&out);
}

static void each_line_in_place(void **state)
{
	char text[] = "::error::a ##[b]\n\t::debug::c ##\n::1 a::b\1", same[] = "?:error::a #?[b]\n\t?:debug::c ##\n::1 a::b?";

	(void)state;
	term_mask(text, sizeof(text) - 1, "\n\t");
	assert_string_equal(text, same);
}

static void columns_are_characters_and_a_cut_shows(void **state)
{
	struct buf out = { .max = 64 };

	(void)state;
	assert_int_equal(term_text(&out, slice_str("é\u202e##[abc"), 4), 4);
	buf_char(&out, '\0');
	assert_string_equal(out.p, "é?#…");
	buf_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_hostile_is_masked),
		cmocka_unit_test(each_line_in_place),
		cmocka_unit_test(columns_are_characters_and_a_cut_shows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
