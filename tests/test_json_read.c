/*
 * The scanner of JSON texts: its tokens, its bounds, its escapes. Every beginning of a text lies against a dead page.
 */
#include "core/json_read.h"
#include "guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct guard guard;

static const char letters[] = {
	[JR_END] = '.', [JR_BAD] = '!', [JR_CUT] = '~', [JR_OBJECT] = '{', [JR_OBJECT_END] = '}', [JR_ARRAY] = '[',
	[JR_ARRAY_END] = ']', [JR_KEY] = 'k', [JR_STRING] = 's', [JR_NUMBER] = 'n', [JR_TRUE] = 't', [JR_FALSE] = 'f',
	[JR_NULL] = '0',
};

/* The tokens of a text as letters, each key, string and number (also cut ones) followed by <its text>. */
static const char *tokens(const char *p, size_t n)
{
	static char out[65536];
	struct json_reader r;
	enum json_token t;
	size_t at = 0;

	json_begin(&r, slice_of(guard_end(&guard, p, n, BLOCK_PAD, '"'), n));
	do {
		t = json_next(&r);
		out[at++] = letters[t];
		if (t == JR_CUT && r.cut != JR_CUT)
			out[at++] = letters[r.cut];
		if (t == JR_KEY || t == JR_STRING || t == JR_NUMBER || (t == JR_CUT && r.cut != JR_CUT))
			at += (size_t)sprintf(out + at, "<%.*s>%s", (int)r.text.len, r.text.p,
					      t != JR_NUMBER && r.cut != JR_NUMBER && r.escaped ? "\\" : "");
	} while (t > JR_CUT && at < sizeof(out) / 2);
	out[at] = 0;
	if (t <= JR_CUT)
		assert_int_equal(json_next(&r), t);	/* the end stays the end */
	return out;
}

static void same(const char *text, const char *want)
{
	assert_string_equal(tokens(text, strlen(text)), want);
}

static void all_kinds_of_values_are_read(void **state)
{
	(void)state;
	same("{\"a\":1,\"b\":\"x\",\"c\":[true,false,null,[],{}],\"d\":{\"e\":-1.5e+3}}",
	     "{k<a>n<1>k<b>s<x>k<c>[tf0[]{}]k<d>{k<e>n<-1.5e+3>}}.");
	same(" \t\r\n{ \"a\" : 1 , \"b\" : [ 1 , 2 ] } \n", "{k<a>n<1>k<b>[n<1>n<2>]}.");
	same("\"x\"", "s<x>.");
	same("15", "n<15>.");
	same("[]", "[].");
	same("{}", "{}.");
}

static void escapes_are_announced_and_left(void **state)
{
	(void)state;
	same("{\"a\\\"b\":\"c\\\\\",\"d\":\"e\"}", "{k<a\\\"b>\\s<c\\\\>\\k<d>s<e>}.");
	same("[\"\\u00e9\\/\"]", "[s<\\u00e9\\/>\\].");
}

static void careless_writers_are_understood(void **state)
{
	static const char raw[] = "[\"a\tb\0c\n\xff\x80\"]";
	struct json_reader r;

	(void)state;
	json_begin(&r, slice_of(guard_end(&guard, raw, sizeof(raw) - 1, BLOCK_PAD, '0'), sizeof(raw) - 1));
	assert_int_equal(json_next(&r), JR_ARRAY);
	assert_int_equal(json_next(&r), JR_STRING);
	assert_true(slice_eq(r.text, SLICE("a\tb\0c\n\xff\x80")));
	assert_int_equal(json_next(&r), JR_ARRAY_END);
	assert_int_equal(json_next(&r), JR_END);
	same("[+15,-,007]", "[n<+15>n<->n<007>].");
}

static void what_is_no_json_is_bad(void **state)
{
	static const char *const texts[] = { "x", "{x", "{1:2}", "{\"a\" 1}", "{\"a\":}", "{\"a\":1 \"b\":2}", "{\"a\":1,}",
					     "[1,]", "[1}", "{\"a\":1]", "{} x", "nulx", "1 2", "tru]", ",", "'a'", "{,", "]" };

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		const char *got = tokens(texts[i], strlen(texts[i]));

		if (got[strlen(got) - 1] != '!')
			fail_msg("%s: %s", texts[i], got);
	}
}

static void a_cut_text_gives_what_it_holds(void **state)
{
	(void)state;
	same("", "~");
	same("  ", "~");
	same("{", "{~");
	same("{\"ab", "{~k<ab>");
	same("{\"ab\"", "{~");
	same("{\"ab\" :", "{k<ab>~");
	same("{\"ab\":\"c", "{k<ab>~s<c>");
	same("{\"ab\":\"c\\", "{k<ab>~s<c\\>\\");
	same("{\"ab\":12", "{k<ab>~n<12>");
	same("{\"ab\":tr", "{k<ab>~");
	same("{\"ab\":1,", "{k<ab>n<1>~");
	same("[[1", "[[~n<1>");
	same("\"ab", "~s<ab>");
}

static void every_beginning_of_a_text_is_cut_and_never_bad(void **state)
{
	static const char text[] = "{\"a\":[1,-2.5,\"x\\\"y\\u00e9\",true,null],\"b\\n\":{\"c\":{}}, \"d\" : [ ] }";

	(void)state;
	for (size_t n = 0; n < sizeof(text) - 1; n++)
		assert_non_null(strchr(tokens(text, n), '~'));
	assert_null(strchr(tokens(text, sizeof(text) - 1), '~'));
}

static void depth_is_bounded(void **state)
{
	char text[4096];
	struct json_reader r;
	enum json_token t;
	int n = 0;

	(void)state;
	for (int k = 0; k < JSON_DEPTH_MAX; k++) {
		text[k] = '[';
		text[2 * JSON_DEPTH_MAX - 1 - k] = ']';
	}
	json_begin(&r, slice_of(text, 2 * JSON_DEPTH_MAX));
	while ((t = json_next(&r)) > JR_CUT)
		n++;
	assert_int_equal(t, JR_END);
	assert_int_equal(n, 2 * JSON_DEPTH_MAX);
	memset(text, '[', sizeof(text));
	json_begin(&r, slice_of(text, 1024));
	for (n = 0; (t = json_next(&r)) > JR_CUT; n++)
		;
	assert_int_equal(t, JR_BAD);
	assert_int_equal(n, JSON_DEPTH_MAX);
}

static void objects_and_arrays_keep_apart_at_every_depth(void **state)
{
	(void)state;
	same("[{\"a\":[{\"b\":[{\"c\":1}]}]}]", "[{k<a>[{k<b>[{k<c>n<1>}]}]}].");
	same("[{\"a\":[1}]", "[{k<a>[n<1>!");
}

static void values_are_skipped_whole(void **state)
{
	static const char text[] = "{\"a\":{\"b\":[1,{\"c\":\"]}\"}]},\"d\":[[[]]],\"e\":1}";
	static const char cut[] = "{\"a\":[1,";
	struct json_reader r;

	(void)state;
	json_begin(&r, slice_of(guard_end(&guard, text, sizeof(text) - 1, BLOCK_PAD, '0'), sizeof(text) - 1));
	assert_int_equal(json_next(&r), JR_OBJECT);
	assert_int_equal(json_next(&r), JR_KEY);
	assert_int_equal(json_next(&r), JR_OBJECT);
	assert_int_equal(json_skip(&r), JR_OBJECT_END);
	assert_int_equal(json_next(&r), JR_KEY);
	assert_true(slice_eq(r.text, SLICE("d")));
	assert_int_equal(json_next(&r), JR_ARRAY);
	assert_int_equal(json_skip(&r), JR_ARRAY_END);
	assert_int_equal(json_next(&r), JR_KEY);
	assert_true(slice_eq(r.text, SLICE("e")));
	assert_int_equal(json_next(&r), JR_NUMBER);
	assert_int_equal(json_next(&r), JR_OBJECT_END);
	assert_int_equal(json_next(&r), JR_END);
	json_begin(&r, slice_of(guard_end(&guard, cut, sizeof(cut) - 1, BLOCK_PAD, '0'), sizeof(cut) - 1));
	json_next(&r);
	json_next(&r);
	assert_int_equal(json_next(&r), JR_ARRAY);
	assert_int_equal(json_skip(&r), JR_CUT);
}

static void escapes_become_characters(void **state)
{
	static const struct { const char *raw, *want; } row[] = {
		{ "plain", "plain" }, { "", "" }, { "\\\"\\\\\\/\\b\\f\\n\\r\\t", "\"\\/\b\f\n\r\t" },
		{ "\\u0041\\u00e9\\u20AC", "A\xc3\xa9\xe2\x82\xac" }, { "\\ud83d\\ude00!", "\xf0\x9f\x98\x80!" },
		{ "\\ud83d", "\xef\xbf\xbd" }, { "\\ude00\\ud83d", "\xef\xbf\xbd\xef\xbf\xbd" },
		{ "\\ud83d\\u0041", "\xef\xbf\xbd" "A" }, { "\\ud83dx", "\xef\xbf\xbdx" }, { "\\x41\\q", "x41q" },
		{ "\\uzzzz", "uzzzz" }, { "a\\", "a" }, { "a\\u", "a" }, { "a\\u00e", "a" }, { "a\\u0z", "au0z" },
		{ "\\udbff\\udfff", "\xf4\x8f\xbf\xbf" },
	};
	char out[64];

	(void)state;
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		size_t len = strlen(row[i].raw), n;
		char *in = guard_end(&guard, row[i].raw, len, 0, 0);

		n = json_unescape(slice_of(in, len), out);
		assert_true(n <= len);
		assert_true(slice_eq(slice_of(out, n), slice_str(row[i].want)));
		n = json_unescape(slice_of(in, len), in);	/* in place */
		assert_true(slice_eq(slice_of(in, n), slice_str(row[i].want)));
	}
	assert_int_equal(json_unescape(SLICE("\\u0000"), out), 1);
	assert_int_equal(out[0], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_kinds_of_values_are_read),
		cmocka_unit_test(escapes_are_announced_and_left),
		cmocka_unit_test(careless_writers_are_understood),
		cmocka_unit_test(what_is_no_json_is_bad),
		cmocka_unit_test(a_cut_text_gives_what_it_holds),
		cmocka_unit_test(every_beginning_of_a_text_is_cut_and_never_bad),
		cmocka_unit_test(depth_is_bounded),
		cmocka_unit_test(objects_and_arrays_keep_apart_at_every_depth),
		cmocka_unit_test(values_are_skipped_whole),
		cmocka_unit_test(escapes_become_characters),
	};

	guard = guard_new(65536);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
