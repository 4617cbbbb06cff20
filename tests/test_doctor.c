/*
 * tests/test_doctor.c - haspan doctor's parts: what a format holds, which log lines count, edits as a patch.
 */
#include "doctor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static struct arena arena;

/* ---- what a configuration holds ---------------------------------------------------------------------------- */

/* The model of a configuration whose text this is. */
static struct cfg *model(const char *text)
{
	struct cfg *cfg = arena_alloc(&arena, sizeof(*cfg));
	char path[] = "/tmp/haspan-doctor-XXXXXX";
	int fd = mkstemp(path);
	struct slice name;
	struct err err = { 0 };

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	name = arena_copy(&arena, slice_str(path));
	assert_true(cfg_read(cfg, &name, 1, &arena, &err));
	unlink(path);
	return cfg;
}

static struct look look_at(const char *text)
{
	const struct cfg *cfg = model(text);
	struct look l;

	assert_non_null(cfg->proxy);
	doctor_look(&l, cfg, cfg->proxy);
	return l;
}

static bool holds(const char *format, enum slot s)
{
	const struct cfg *cfg = model("frontend a\n    mode http\n    http-request set-var(txn.p) req.hdr(traceparent)\n");
	struct fields f = { { 0 }, 0 };

	fields_read(&f, cfg, cfg->proxy, slice_str(format));
	return f.slot[s >> 6] >> (s & 63) & 1;
}

static void fields_are_found_however_they_are_written(void **state)
{
	(void)state;
	assert_true(holds("%ci", SLOT_ci));
	assert_true(holds("%{+Q}r y", SLOT_r));
	assert_true(holds("%(a:sint)Ta", SLOT_Ta));
	assert_true(holds("%(a){+json}Ta", SLOT_Ta));
	assert_true(holds("%[src]", SLOT_ci));
	assert_true(holds("%[txn.timer.total,div(1)]", SLOT_Ta));
	assert_true(holds("%(traceparent)[rand]", SLOT_traceparent));
	assert_true(holds("%[var(txn.p)]", SLOT_traceparent));
	assert_true(holds("%[accept_date(us)]", SLOT_accept_us));
	assert_true(holds("%[unique-id,regsub([0-9]+,N)] %Ta", SLOT_Ta));
}

static void what_is_no_field_is_none(void **state)
{
	static const char *const odd[] = { "", "%", "%%", "%%ci", "%{", "%{+Q", "%(", "%(a", "%[", "%[src", "%{+Q}", "%()",
					   "%[]", "%{}{}{}", "ci", "%é", "%[)", "%[(]" };
	(void)state;
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
		assert_false(holds(odd[i], SLOT_ci));
}

static bool takes(const char *line)
{
	char text[256];
	const struct cfg *cfg;

	snprintf(text, sizeof(text), "frontend a\n    mode http\n    %s\n", line);
	cfg = model(text);
	assert_int_equal(cfg->proxy->nlogs, 1);
	return log_takes_traffic(&cfg->proxy->log[0]);
}

static void a_level_above_info_takes_no_requests(void **state)
{
	(void)state;
	assert_true(takes("log 127.0.0.1 local0"));
	assert_true(takes("log 127.0.0.1 local0 info"));
	assert_true(takes("log 127.0.0.1 local0 debug err"));
	assert_true(takes("log 127.0.0.1 len 4096 format rfc5424 local0 info"));
	assert_false(takes("log 127.0.0.1 local0 notice"));
	assert_false(takes("log 127.0.0.1 len 4096 format rfc5424 local0 notice info"));
	assert_false(takes("log 127.0.0.1 sample 1:2 local0 err"));
}

static void ids_are_judged_by_what_makes_them(void **state)
{
#define WITH(line) "frontend a\n    mode http\n    log 127.0.0.1 len 8192 local0\n    log-format \"%ci [%tr] %Ta %ST %ID\"\n" \
		   line "\n"
	static const struct { const char *text; enum advice_id id; } cases[] = {
		{ WITH(""), ADVICE_no_unique_id },
		{ WITH("unique-id-format %[req.hdr(X-Request-ID)]"), ADVICE_client_unique_id },
		{ WITH("unique-id-format %ci:%cp"), ADVICE_weak_unique_id },
	};
	static const struct { const char *text; bool shared; } tiers[] = {
		{ WITH("unique-id-format %[req.hdr(X-Unique-ID)]"), true },
		{ WITH("unique-id-format %[hdr(x-unique-id)]"), true },
		{ WITH("unique-id-format %[req.fhdr(X-Unique-ID,1)]"), true },
		{ WITH("unique-id-format %[req.hdr(X-My)]") "frontend b\n    unique-id-header x-my\n", true },
		{ WITH("unique-id-format %[req.hdr(X-My)]\n    unique-id-header X-My"), false },
		{ WITH("unique-id-format %[req.hdr(X-Unique-ID),lower]"), false },
		{ WITH("unique-id-format %[req.hdr(X-Unique-ID)]-"), false },
		{ WITH("unique-id-format -%[req.hdr(X-Unique-ID)]"), false },
		{ WITH("unique-id-format %[req.hdr(X-Unique-ID"), false },
		{ WITH("unique-id-format %[req.hdr()]"), false },
	};
	static const char *const good[] = {
		WITH("unique-id-format %rt:%pid"), WITH("unique-id-format %[uuid()]"),
		WITH("unique-id-format %[req.hdr(X-Request-ID)]-%{+X}rt"),
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct look l = look_at(cases[i].text);

		assert_true(look_found(&l, cases[i].id));
	}
	for (size_t i = 0; i < sizeof(tiers) / sizeof(tiers[0]); i++) {
		struct look l = look_at(tiers[i].text);

		assert_int_equal(look_found(&l, ADVICE_shared_unique_id), tiers[i].shared);
		assert_int_equal(look_found(&l, ADVICE_client_unique_id), !tiers[i].shared);
	}
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct look l = look_at(good[i]);

		assert_false(look_found(&l, ADVICE_no_unique_id) || look_found(&l, ADVICE_client_unique_id) ||
			     look_found(&l, ADVICE_weak_unique_id) || look_found(&l, ADVICE_unlogged_unique_id));
	}
}

static void a_parent_has_to_be_whole_and_known_to_the_recipe(void **state)
{
#define UID WITH("unique-id-format %rt:%pid")
	static const struct { const char *text; bool cut, dialect; } cases[] = {
		{ UID "    capture request header traceparent len 54\n    option httplog\n", true, false },
		{ UID "    capture request header traceparent len 55\n    option httplog\n", false, false },
		{ UID "    capture request header TraceParent len 1\n    log-format \"%ci [%tr] %Ta %hr\"\n", true, false },
		{ UID "    capture request header traceparent len 1\n    http-request set-var(txn.p) req.hdr(traceparent)\n"
		      "    log-format \"%ci [%tr] %Ta %hr %[var(txn.p)]\"\n", false, false },
		{ UID "    capture request header traceparent len 1\n", false, false },		/* not logged */
		{ UID "    capture request header b3 len 64\n    option httplog\n", false, true },
		{ UID "    capture request header b3 len 64\n    capture request header traceparent len 64\n    option httplog\n",
		  false, false },
		{ UID "    capture request header b3 len 64\n    option httplog\n"
		      "    http-request set-header traceparent 00-%[rand]-%[rand]-01\n", false, false },
		{ UID "    http-request set-var(txn.b) req.hdr(b3)\n    log-format \"%ci [%tr] %Ta %[var(txn.b)]\"\n", false, true },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct look l = look_at(cases[i].text);

		assert_int_equal(look_found(&l, ADVICE_short_capture), cases[i].cut);
		assert_int_equal(look_found(&l, ADVICE_other_dialect), cases[i].dialect);
		assert_false(look_found(&l, ADVICE_other_dialect) && look_found(&l, ADVICE_no_downstream));
	}
}

static void how_a_format_is_written_is_told(void **state)
{
	static const struct { const char *text; enum style style; } cases[] = {
		{ "a=%ci b=%cp", STYLE_KEYED },
		{ "haproxy: time=%tr client=%ci:%cp req=%{+Q}r tp=%[var(txn.a b)] up=\"%[src,concat( ,txn.x)]\" t=[%t]",
		  STYLE_KEYED },
		{ "%ci a=%cp b=%b c=%s", STYLE_KEYED },
		{ "price=5%% %ci %cp a=%b b=%s", STYLE_TEXT },
		{ "a=%ci", STYLE_TEXT },
		{ "%ci:%cp [%tr] %ft %b/%s a=%ST b=%B", STYLE_TEXT },
		{ "x?y=%ci =%cp =%b", STYLE_TEXT },
		{ "{\"a\":\"%ci\"}", STYLE_JSON },
		{ "%{+json}o %(a)ci", STYLE_NAMED },
		{ "", STYLE_TEXT }, { "%", STYLE_TEXT }, { "a=%{", STYLE_TEXT }, { "a=%[ b=%[ c=%[((", STYLE_TEXT },
		{ "a=%(", STYLE_TEXT },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(style_of(slice_str(cases[i].text)), cases[i].style);
}

/* ---- patches --------------------------------------------------------------------------------------------------- */

#define LINES 60

/* Apply a unified diff as patch(1) does, without any tolerance. */
static size_t apply(const char *old, struct slice diff, char *out)
{
	struct slice rest = slice_str(old), line;
	size_t n = 0;
	unsigned at = 1;

	while (diff.len) {
		unsigned old_at, old_n, new_at, new_n;
		const char *start = diff.p;

		line = slice_cut(&diff, '\n');
		if (slice_starts(line, SLICE("--- ")) || slice_starts(line, SLICE("+++ ")))
			continue;
		if (sscanf(start, "@@ -%u,%u +%u,%u @@", &old_at, &old_n, &new_at, &new_n) == 4) {
			for (old_at += old_n == 0; at < old_at; at++) {
				struct slice kept = slice_cut(&rest, '\n');

				n += (size_t)sprintf(out + n, "%.*s\n", (int)kept.len, kept.p);
			}
			continue;
		}
		assert_non_null(memchr(" -+", *start, 3));
		if (*start != '+') {
			struct slice kept = slice_cut(&rest, '\n');

			assert_true(slice_eq(kept, slice_skip(line, 1)));
			at++;
		}
		if (*start != '-')
			n += (size_t)sprintf(out + n, "%.*s\n", (int)line.len - 1, line.p + 1);
	}
	return n + (size_t)sprintf(out + n, "%.*s", (int)rest.len, rest.p ? rest.p : "");
}

/* Random edits of a file of LINES lines, and what they make of it, worked out line by line. */
static void patches_say_what_edits_do(void **state)
{
	(void)state;
	srandom(1);
	for (int round = 0; round < 2000; round++) {
		static char old[LINES * 16], want[LINES * 64], got[LINES * 64];
		struct cfg_file file = { .path = SLICE("f") };
		struct edit edit[2 * LINES + 2];
		unsigned n = 0, lines = (unsigned)random() % LINES + 1;
		size_t len = 0, end = 0;
		struct buf out = { .max = 1 << 20 };
		struct edits edits = { .arena = &arena };

		for (unsigned at = 1; at <= lines; at++)
			len += (size_t)sprintf(old + len, "line %u\n", at);
		file.text = slice_of(old, len);
		file.lines = lines;
		for (unsigned at = 1; at <= lines + 1; at++) {
			unsigned dice = (unsigned)random() % 8, next = at;

			if (dice == 0) {
				edit[n++] = (struct edit){ &file, at, 0, SLICE("new\nnewer\n"), NULL };
				end += (size_t)sprintf(want + end, "new\nnewer\n");
			}
			if (dice == 1 && at <= lines) {
				edit[n++] = (struct edit){ &file, at, 1, at % 2 ? SLICE("other\n") : SLICE(""), NULL };
				end += (size_t)sprintf(want + end, "%s", at % 2 ? "other\n" : "");
				next++;
			}
			if (next == at && at <= lines)
				end += (size_t)sprintf(want + end, "line %u\n", at);
		}
		for (unsigned i = 0; i < n; i++) {
			edit[i].next = i + 1 < n ? &edit[i + 1] : NULL;
			edits.first = edit;
		}
		doctor_patch(&edits, &out);
		if (n)
			assert_true(slice_starts(slice_of(out.p, out.len), SLICE("--- f\n+++ f\n@@ -")));
		got[apply(old, slice_of(out.p, out.len), got)] = '\0';
		want[end] = '\0';
		assert_string_equal(got, want);
		buf_free(&out);
	}
}

static int clean(void **state)
{
	(void)state;
	arena_free(&arena);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(fields_are_found_however_they_are_written, clean),
		cmocka_unit_test_teardown(what_is_no_field_is_none, clean),
		cmocka_unit_test_teardown(a_level_above_info_takes_no_requests, clean),
		cmocka_unit_test_teardown(ids_are_judged_by_what_makes_them, clean),
		cmocka_unit_test_teardown(a_parent_has_to_be_whole_and_known_to_the_recipe, clean),
		cmocka_unit_test_teardown(how_a_format_is_written_is_told, clean),
		cmocka_unit_test_teardown(patches_say_what_edits_do, clean),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
