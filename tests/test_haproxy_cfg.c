/* parse/cfg_*.c, parse/haproxy_cfg.c, parse/names.c: what a haproxy.cfg says, and the formats that come from it. */
#include "guard.h"
#include "lines.h"
#include "parse/cfg_lex.h"
#include "parse/cfg_private.h"
#include "parse/names.h"

#include <unistd.h>

static struct lines l;
static struct cfg cfg;
static struct arena arena;
static char path[64];

/* ---- words ------------------------------------------------------------------------------------------- */

static struct cfg_lexer lexer(void)
{
	struct cfg_lexer lx = { .arena = &arena, .file = SLICE("a.cfg"), .section = SLICE("fe"), .line = 7 };

	lx.out = malloc(CFG_LINE_MAX);
	assert_non_null(lx.out);
	cfg_setenv(&lx, SLICE("A"), SLICE("one two"), true);
	cfg_setenv(&lx, SLICE("EMPTY"), SLICE(""), true);
	cfg_setenv(&lx, SLICE("HOME"), SLICE(""), false);
	return lx;
}

/* The words of a line, each in brackets. */
static void words_are(struct cfg_lexer *lx, const char *line, const char *expected)
{
	struct guard g = guard_new(4096);
	char got[1024] = "";
	size_t n = 0, at;
	const char *wrong = cfg_lex(lx, slice_of(guard_end(&g, line, strlen(line), 0, 0), strlen(line)), &at);

	if (wrong)
		fail_msg("%s: %s", line, wrong);
	for (uint32_t i = 0; i < lx->n; i++) {
		assert_int_equal(lx->word[i].p[lx->word[i].len], 0);
		n += (size_t)snprintf(got + n, sizeof(got) - n, "[%.*s]", (int)lx->word[i].len, lx->word[i].p);
	}
	if (strcmp(got, expected) != 0)
		fail_msg("%s: %s, expected %s", line, got, expected);
	guard_free(&g);
}

static void lines_become_the_words_that_haproxy_sees(void **state)
{
	static const struct { const char *line, *words; } t[] = {
		{ "", "" }, { "  \t ", "" }, { "# comment", "" }, { "a b\tc", "[a][b][c]" },
		{ "  a  b # c", "[a][b]" }, { "a#b", "[a]" }, { "a\\#b", "[a#b]" }, { "a\\ b", "[a b]" },
		{ "a\\\\b", "[a\\b]" }, { "\\x41\\x2c", "[A,]" }, { "a\\tb", "[a\tb]" }, { "\\1 \\q", "[\\1][\\q]" },
		{ "\"a b\" c", "[a b][c]" }, { "'a b' c", "[a b][c]" }, { "a'b c'd", "[ab cd]" },
		{ "'a\\ b'", "[a\\ b]" }, { "'\"'", "[\"]" }, { "\"'\"", "[']" }, { "\"\\\"\"", "[\"]" },
		{ "\\\"a b\\\"", "[\"a][b\"]" }, { "\"a#b\"", "[a#b]" }, { "'a#b'", "[a#b]" }, { "\"\"", "[]" },
		{ "''", "[]" }, { "a \"\" b", "[a][][b]" }, { "a\"\"", "[a]" }, { "a\r", "[a]" },
		{ "log-format %{+Q}o\\ %t\\ %s\\ %{-Q}r", "[log-format][%{+Q}o %t %s %{-Q}r]" },
		{ "log-format \"%{+Q}o %t\"' %s'\\ %{-Q}r", "[log-format][%{+Q}o %t %s %{-Q}r]" },
		{ "$A", "[$A]" }, { "'$A'", "[$A]" }, { "\"$A\"", "[one two]" }, { "\"${A}x\"", "[one twox]" },
		{ "\"\\$A\"", "[$A]" }, { "\"${A[*]}\" z", "[one][two][z]" }, { "\"${EMPTY}\"", "[]" },
		{ "\"${EMPTY[*]}\" z", "[z]" }, { "\"${HOME}\"", "[]" }, { "\"${HOME-/x y}\"", "[/x y]" },
		{ "\"${A-b}\"", "[one two]" }, { "\"${.FILE}:${.LINE} $.SECTION\"", "[a.cfg:7 fe]" },
		{ "\"${HAPROXY_TCP_LOG_FMT}\"",
		  "[%ci:%cp [%t] %ft %b/%s %Tw/%Tc/%Tt %B %ts %ac/%fc/%bc/%sc/%rc %sq/%bq]" },
	};
	struct cfg_lexer lx = lexer();

	(void)state;
	for (size_t i = 0; i < COUNT(t); i++)
		words_are(&lx, t[i].line, t[i].words);
	free(lx.out);
	arena_free(&arena);
}

static void what_cannot_be_cut_has_a_place(void **state)
{
	static const struct { const char *line, *text; size_t at; } t[] = {
		{ "a \"b", "quote", 2 }, { "a 'b c", "quote", 2 }, { "a \"b\" 'c", "quote", 6 },
		{ "\"${A\"", "closed", 2 }, { "\"${A-b\"", "closed", 2 }, { "\"$\"", "variable", 2 },
		{ "\"${1}\"", "variable", 3 }, { "a \\x4", "hexadecimal", 2 }, { "\"${A[x]}\"", "[*]", 4 },
	};
	struct cfg_lexer lx = lexer();
	char words[512] = "";
	size_t at = 0;

	(void)state;
	for (size_t i = 0; i < COUNT(t); i++) {
		const char *wrong = cfg_lex(&lx, slice_str(t[i].line), &at);

		if (!wrong || !strstr(wrong, t[i].text) || at != t[i].at)
			fail_msg("%s: %s at %zu", t[i].line, wrong ? wrong : "nothing", at);
	}
	for (int i = 0; i < 70; i++)
		strcat(words, "w ");
	assert_non_null(cfg_lex(&lx, slice_str(words), &at));
	assert_int_equal(lx.n, CFG_WORDS_MAX);
	free(lx.out);
	arena_free(&arena);
}

static void a_line_that_grows_without_bound_is_refused(void **state)
{
	struct cfg_lexer lx = lexer();
	char *value = malloc(CFG_LINE_MAX / 2);
	size_t at;

	(void)state;
	memset(value, 'v', CFG_LINE_MAX / 2);
	cfg_setenv(&lx, SLICE("LONG"), slice_of(value, CFG_LINE_MAX / 2), true);
	assert_null(cfg_lex(&lx, SLICE("\"$LONG\""), &at));
	assert_non_null(cfg_lex(&lx, SLICE("\"$LONG$LONG$LONG\""), &at));
	free(value);
	free(lx.out);
	arena_free(&arena);
}

static void conditions_are_decided(void **state)
{
	static const struct { const char *text; bool truth, guessed; } t[] = {
		{ "", false, false }, { "0", false, false }, { "1", true, false }, { "!1", false, false },
		{ "!!1", true, false }, { "( 1 )", true, false }, { "1 && 0", false, false }, { "1||0", true, false },
		{ "0 && 0 || 1", true, false }, { "1 || 1 && 0", true, false }, { "(1 || 1) && 0", false, false },
		{ "defined(A)", true, false }, { "defined(HOME)", false, false }, { "!defined(HOME)", true, false },
		{ "streq(a,a)", true, false }, { "streq(a,b)", false, false }, { "streq(,)", true, false },
		{ "strneq(a,b)", true, false }, { "strstr(abc,b)", true, false }, { "streq(\"a,b\",'a,b')", true, false },
		{ "version_atleast(2.4-dev19)", true, true }, { "version_before(2.4)", false, true },
		{ "feature(OPENSSL) && streq(x,x)", true, true }, { "fips_mode", false, true },
	};
	static const char *const wrong[] = { "nonsense(1)", "1 &&", "(1", "streq(a,b", "1 1", "!", ")" };
	struct cfg_lexer lx = lexer();
	char deep[64];
	bool truth, guessed;

	(void)state;
	for (size_t i = 0; i < COUNT(t); i++) {
		const char *error = cfg_condition(&lx, slice_str(t[i].text), &truth, &guessed);

		if (error || truth != t[i].truth || guessed != t[i].guessed)
			fail_msg("%s: %d %d %s", t[i].text, truth, guessed, error ? error : "");
	}
	for (size_t i = 0; i < COUNT(wrong); i++)
		if (!cfg_condition(&lx, slice_str(wrong[i]), &truth, &guessed))
			fail_msg("taken: %s", wrong[i]);
	memset(deep, '(', sizeof(deep));
	assert_non_null(cfg_condition(&lx, slice_of(deep, sizeof(deep)), &truth, &guessed));
	free(lx.out);
	arena_free(&arena);
}

/* ---- the model ----------------------------------------------------------------------------------------- */

static bool try_cfg(const char *text, size_t len, struct err *err)
{
	struct slice paths[1];
	int fd;

	strcpy(path, "/tmp/haspan-cfg-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0 && write(fd, text, len) == (ssize_t)len);
	close(fd);
	paths[0] = slice_str(path);
	*err = (struct err){ 0 };
	lines_init(&l);
	return cfg_read(&cfg, paths, 1, &l.arena, err);
}

static void done(void)
{
	unlink(path);
	lines_free(&l);
}

static void read_cfg(const char *text)
{
	struct err err;

	if (!try_cfg(text, strlen(text), &err))
		fail_msg("%u:%u: %s", err.line, err.column, err.text);
	unlink(path);
}

static const struct cfg_proxy *proxy(const char *name)
{
	const struct cfg_proxy *p = cfg_proxy_find(&cfg, slice_str(name));

	if (!p)
		fail_msg("no proxy %s", name);
	return p;
}

#define assert_slice(s, text) \
	do { \
		struct slice got_ = (s); \
		if (!slice_eq(got_, slice_str(text))) \
			fail_msg("%.*s, expected %s", (int)got_.len, got_.p, text); \
	} while (0)

static void sections_inherit_as_haproxy_does(void **state)
{
	const struct cfg_proxy *p;

	(void)state;
	read_cfg("defaults base\n  mode http\n  option httplog\n  option logasap\n  log-tag first\n"
		 "defaults tcp from base\n  mode tcp\n"
		 "frontend by-order\n  bind :1 ssl\n  bind :2\n"
		 "frontend by-name from base\n  no option logasap\n  log-format \"%ST %f\"\n  option tcplog\n"
		 "listen last-wins from base\n  option tcplog\n  log-format x%f\n"
		 "defaults\n  option httplog clf\n"
		 "frontend fresh\n  mode http\n"
		 "backend back\n  option httpslog\n  log-format nothing\n");
	p = proxy("by-order");
	assert_false(p->http);
	assert_int_equal(p->log_kind, CFG_LOG_TCP);	/* httplog wants http */
	assert_int_equal(p->log_format.by->place.line, 3);
	assert_int_equal(p->log_format.by->section->kind, CFG_DEFAULTS);
	assert_true(p->logasap && p->bound && p->ssl && p->plain);
	assert_slice(p->log_tag.text, "first");
	p = proxy("by-name");
	assert_true(p->http && !p->logasap && !p->bound);
	assert_int_equal(p->log_kind, CFG_LOG_TCP);
	assert_int_equal(p->log_format.by->place.line, 14);
	p = proxy("last-wins");
	assert_true(p->front && p->back);
	assert_int_equal(p->log_kind, CFG_LOG_CUSTOM);
	assert_slice(p->log_format.text, "x%f");
	p = proxy("fresh");
	assert_int_equal(p->log_kind, CFG_LOG_HTTP_CLF);
	assert_true(!p->logasap && !p->log_tag.by);
	assert_int_equal(cfg.nproxies, 5);
	done();
}

static void everything_knows_its_place(void **state)
{
	const struct cfg_section *s;

	(void)state;
	read_cfg("# one\n\nglobal\n\tlog 127.0.0.1 local0\n\nfrontend a # comment\n  mode http\n\n  option httplog\n");
	s = cfg.section;
	assert_int_equal(s->kind, CFG_GLOBAL);
	assert_int_equal(s->place.line, 3);
	assert_slice(s->indent, "\t");
	s = s->next;
	assert_slice(s->name, "a");
	assert_int_equal(s->place.line, 6);
	assert_int_equal(s->last_line, 9);
	assert_slice(s->indent, "  ");
	assert_int_equal(s->first->next->place.line, 9);
	assert_slice(s->first->next->word[1], "httplog");
	assert_int_equal(cfg.file[0]->lines, 9);
	done();
}

static void captures_stand_in_the_order_of_their_slots(void **state)
{
	static const char *const names[] = { "host", "", "x-late", "traceparent", "" };
	const struct cfg_proxy *p;

	(void)state;
	read_cfg("frontend a\n mode http\n capture request header Host len 10\n http-request capture src len 15\n"
		 " declare capture request len 20\n tcp-request content capture req.hdr(Traceparent) len 55\n"
		 " capture response header Server len 5\n http-request capture req.hdr(X-Late,-1),lower id 2\n"
		 " capture cookie sid= len 32\n declare capture request len 3\n http-request capture path id 9\n"
		 " http-response capture res.hdr(Age) len 4\n");
	p = proxy("a");
	assert_int_equal(p->ncaptures[CAPTURE_REQUEST], COUNT(names));
	for (size_t i = 0; i < COUNT(names); i++)
		assert_slice(p->capture[CAPTURE_REQUEST][i].name, names[i]);
	assert_slice(p->capture[CAPTURE_REQUEST][1].expr, "src");
	assert_int_equal(p->capture[CAPTURE_REQUEST][2].len, 20);
	assert_int_equal(p->capture[CAPTURE_REQUEST][2].by->place.line, 5);
	assert_slice(p->capture[CAPTURE_RESPONSE][0].name, "server");
	assert_slice(p->capture[CAPTURE_RESPONSE][1].name, "age");
	assert_slice(p->capture_cookie.text, "sid=");
	assert_int_equal(cfg.nnotes, 1);	/* no slot 9 */
	done();
}

static void a_slot_that_two_rules_fill_has_no_name(void **state)
{
	(void)state;
	read_cfg("frontend a\n declare capture request len 20\n http-request capture req.hdr(A) id 0 if X\n"
		 " http-request capture req.hdr(B) id 0 unless X\n");
	assert_slice(proxy("a")->capture[CAPTURE_REQUEST][0].name, "");
	done();
}

static void log_lines_are_those_that_count(void **state)
{
	const struct cfg_proxy *p;

	(void)state;
	read_cfg("log-profile one\n on close format A\n on any drop\n"
		 "global\n log g1 len 2048 local0\n log g2 format rfc5424 sample 1:2 profile one local1 notice\n"
		 "defaults\n log global\n"
		 "frontend a\n log own len 100 local2\n log global\n"
		 "frontend b\n no log\n log only profile none local0\n"
		 "frontend c\n log wrong\n");
	p = proxy("a");
	assert_int_equal(p->nlogs, 3);
	assert_int_equal(p->log[0].len, 2048);
	assert_slice(p->log[1].format, "rfc5424");
	assert_slice(p->log[1].facility, "local1");
	assert_ptr_equal(p->log[1].profile, cfg.profile);
	assert_int_equal(p->log[1].by->place.line, 6);
	assert_slice(p->log[2].address, "own");
	p = proxy("b");
	assert_int_equal(p->nlogs, 1);
	assert_null(p->log[0].profile);
	assert_int_equal(proxy("c")->nlogs, 2);
	assert_int_equal(cfg.nnotes, 2);
	assert_int_equal(cfg_log_len(&cfg), 100);
	assert_int_equal(cfg.profile->nsteps, 2);
	assert_int_equal(cfg.profile->step[0].step, STEP_CLOSE);
	assert_true(cfg.profile->step[1].drop);
	done();
}

static void variables_mean_what_they_are_set_from(void **state)
{
	static const struct { const char *expr, *means; } t[] = {
		{ "var(txn.tp)", "traceparent" }, { "var(txn.tp),lower", "traceparent" },
		{ "var(txn.tp),field(2,-)", "trace_id" }, { "var(txn.tp),field(3,-)", "" },
		{ "req.hdr(traceparent),field(2,-)", "trace_id" }, { "var(txn.copy)", "traceparent" },
		{ "var(txn.uid)", "ID" }, { "var(txn.x)", "http.request.header.x-a" }, { "var(txn.both)", "" },
		{ "var(txn.now)", "" }, { "var(txn.unknown)", "" }, { "var(txn.loop)", "" }, { "src", "" },
		{ "req.hdr(Host)", "" }, { "var(txn.server)", "http.response.header.server" },
		{ "var(txn.tid)", "trace_id" }, { "var(txn.sid)", "span_id" }, { "var(txn.sid),upper", "span_id" },
		{ "var(txn.cond)", "trace_id" }, { "var(txn.alone)", "traceparent" }, { "", "" }, { "var(", "" },
	};

	(void)state;
	read_cfg("frontend a\n mode http\n"
		 " http-request set-var(txn.tp) req.hdr(traceparent)\n"
		 " http-request set-var(txn.copy) var(txn.tp)\n"
		 " http-request set-var(txn.uid) unique-id\n"
		 " http-request set-var(txn.x,ifnotset) req.hdr(X-A) if { path / }\n"
		 " http-request set-var(txn.both) req.hdr(X-A)\n"
		 " http-request set-var(txn.both) req.hdr(X-B) if { path / }\n"
		 " http-request set-var(txn.now) date(0,us)\n"
		 " http-request set-var(txn.loop) var(txn.loop)\n"
		 " http-response set-var(txn.server) res.hdr(Server)\n"
		 " http-request set-var(txn.cond) unique-id,digest(sha256),hex\n"
		 " http-request set-var(txn.cond) var(txn.tp),field(2,-) if { var(txn.tp) -m found }\n"
		 " http-request set-var-fmt(txn.alone) %[req.hdr(traceparent)]\n"
		 " http-request set-var-fmt(txn.out) 00-%[var(txn.tid)]-%[var(txn.sid)]-01\n"
		 " http-request set-header Traceparent %[var(txn.out)]\n");
	for (size_t i = 0; i < COUNT(t); i++) {
		struct slice means = cfg_meaning(&cfg, proxy("a"), slice_str(t[i].expr));

		if (!slice_eq(means, slice_str(t[i].means)))
			fail_msg("%s: %.*s, expected %s", t[i].expr, (int)means.len, means.p, t[i].means);
	}
	assert_slice(cfg_header_find(proxy("a"), SLICE("traceparent"))->value, "%[var(txn.out)]");
	done();
}

static void the_backend_may_send_the_ids(void **state)
{
	(void)state;
	read_cfg("frontend a\n default_backend b\n"
		 "backend b\n http-request set-header traceparent 00-%[var(txn.t)]-%{+Q}[var(txn.s)]-%[var(txn.f)]\n");
	assert_slice(cfg_meaning(&cfg, proxy("a"), SLICE("var(txn.t)")), "trace_id");
	assert_slice(cfg_meaning(&cfg, proxy("a"), SLICE("var(txn.s)")), "span_id");
	assert_slice(cfg_meaning(&cfg, proxy("a"), SLICE("var(txn.f)")), "");
	done();
}

static void what_is_not_understood_is_a_note(void **state)
{
	static const char *const t[] = {
		"frontend a\n log-format a b\n", "frontend a\n log-format\n", "mode http\n", "frontend\n",
		"frontend a from nobody\n", ".if nonsense\n.endif\n", ".if 1\n", ".endif\n", "frontend a\n log x\n",
		"frontend a\n server \"x\n", "backend a\n log-format x\n", "defaults\n capture request header a len 1\n",
		"frontend a\n option httplog\n", "frontend a\n log-format \"${NO_SUCH_VARIABLE_HERE}\"\n",
		".if version_atleast(3.0)\n.endif\n", "frontend a\n no option tcplog\n",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(t); i++) {
		read_cfg(t[i]);
		if (cfg.nnotes != 1)
			fail_msg("%s: %u notes", t[i], cfg.nnotes);
		done();
	}
}

static void an_open_quote_of_a_wanted_line_has_its_place(void **state)
{
	static const char text[] = "frontend a\n\tmode http\n    log-format \"%ci %ST\n";
	struct err err;

	(void)state;
	assert_false(try_cfg(text, strlen(text), &err));
	assert_int_equal(err.code, EXIT_CONFIG);
	assert_string_equal(err.where, path);
	assert_int_equal(err.line, 3);
	assert_int_equal(err.column, 16);
	done();
	assert_false(cfg_read(&cfg, &SLICE("/no/such/file"), 1, &arena, &err));
	arena_free(&arena);
}

static void branches_that_are_not_taken_say_nothing(void **state)
{
	(void)state;
	read_cfg("defaults\n mode http\n"
		 ".if 0\nfrontend no1\n.if 1\nfrontend no2\n.else\nfrontend no3\n.endif\n"
		 ".elif 1\nfrontend yes1\n.elif 1\nfrontend no4\n.else\nfrontend no5\n.endif\n"
		 ".if 1\n.if 0\nfrontend no6\n.else\nfrontend yes2\n.endif\n.else\nfrontend no7\n.endif\n");
	assert_int_equal(cfg.nproxies, 2);
	proxy("yes1");
	proxy("yes2");
	assert_int_equal(cfg.nnotes, 0);
	done();
}

/* ---- the format set ---------------------------------------------------------------------------------------- */

static void start(bool automatic)
{
	struct err err = { 0 };

	assert_true(formats_add_cfg(&l.formats, &cfg, &l.naming, &err));
	if (automatic)
		assert_true(formats_add_auto(&l.formats, &l.naming, &err));
	lines_start(&l, "UTC");
}

static struct slice captured(int side, uint32_t i)
{
	return l.parser.rec.format->cap[side][i].name;
}

static char *thousand(const char *head, const char *section)
{
	size_t size = 1000 * 1024, n;
	char *text = malloc(size);

	assert_non_null(text);
	n = (size_t)snprintf(text, size, "%s", head);
	for (unsigned i = 0; i < 1000; i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-extra-args"
		n += (size_t)snprintf(text + n, size - n, section, i, i, i);
#pragma GCC diagnostic pop
	}
	return text;
}

static void one_program_serves_a_thousand_frontends(void **state)
{
	char *text = thousand("defaults\n mode http\n option httplog\n",
			      "frontend fe_%u\n capture request header X-%u len 10\n");

	(void)state;
	read_cfg(text);
	start(true);
	for (uint32_t i = 0, mine = 0; i < l.formats.n; i++) {
		mine += l.formats.v[i]->variants != NULL;
		assert_int_equal(mine, 1);
	}
	assert_false(l.formats.first_look);
	lines_request(&l, "127.0.0.1:49686 [21/Nov/2026:08:15:44.900] fe_7~ be/app1 0/0/1/20/22 200 68 - - ---- "
			  "1/1/0/0/0 0/0 {a} \"GET /x HTTP/1.1\"");
	assert_slice(captured(CAPTURE_REQUEST, 0), "x-7");
	lines_request(&l, "127.0.0.1:49686 [21/Nov/2026:08:15:44.900] fe_999 be/app1 0/0/1/20/22 200 68 - - ---- "
			  "1/1/0/0/0 0/0 {a} \"GET /x HTTP/1.1\"");
	assert_slice(captured(CAPTURE_REQUEST, 0), "x-999");
	lines_request(&l, "127.0.0.1:49686 [21/Nov/2026:08:15:44.900] fe_1000 be/app1 0/0/1/20/22 200 68 - - ---- "
			  "1/1/0/0/0 0/0 {a} \"GET /x HTTP/1.1\"");
	assert_int_equal(l.parser.rec.format->ncap[CAPTURE_REQUEST], 0);
	free(text);
	lines_free(&l);
}

static void a_thousand_formats_are_told_apart_by_the_name(void **state)
{
	char *text = thousand("defaults\n mode http\n", "frontend fe_%u\n log-format \"%%tr %%Ta n%u=%%ST %%ft u=%%HP\"\n");
	static const struct { const char *line; int64_t status; } t[] = {
		{ "21/Nov/2026:08:15:44.900 22 n7=200 fe_7~ u=/x", 200 },
		{ "21/Nov/2026:08:15:44.900 22 n999=404 fe_999 u=/fe_7/fe_8", 404 },
		{ "21/Nov/2026:08:15:44.900 22 n8=200 fe_7 u=/x", 0 },
		{ "21/Nov/2026:08:15:44.900 22 n8=200 fe_1000 u=/x", 0 },
		{ "fe_1 fe_2 fe_3 fe_4 fe_5 fe_6 fe_7 fe_8 fe_9 fe_10 fe_11 fe_12 fe_13 fe_14 fe_15 fe_16 fe_17 fe_18", 0 },
	};

	(void)state;
	read_cfg(text);
	start(false);
	assert_int_equal(l.formats.n, 1000);
	assert_true(l.formats.first_look);
	assert_int_equal(l.formats.norder, 0);
	for (size_t i = 0; i < COUNT(t); i++) {
		enum parsed p = lines_parse(&l, t[i].line);

		assert_int_equal(p, t[i].status ? PARSED_REQUEST : PARSED_REJECTED);
		if (t[i].status)
			assert_int_equal(l.parser.rec.v[SLOT_ST].num, t[i].status);
	}
	free(text);
	lines_free(&l);
}

static void names_hold_only_where_all_users_of_a_nameless_format_agree(void **state)
{
	(void)state;
	read_cfg("defaults\n mode http\n log-format \"%tr %Ta %ST %hr\"\n"
		 "frontend a\n capture request header Host len 10\n capture request header X-A len 10\n"
		 "frontend b\n capture request header Host len 10\n capture request header X-B len 10\n");
	start(false);
	assert_int_equal(l.formats.n, 1);
	lines_request(&l, "21/Nov/2026:08:15:44.900 22 200 {h|x}");
	assert_slice(captured(CAPTURE_REQUEST, 0), "host");
	assert_slice(captured(CAPTURE_REQUEST, 1), "");
	lines_free(&l);
}

static void equal_text_with_other_variables_is_another_format(void **state)
{
	(void)state;
	read_cfg("defaults\n mode http\n log-format \"%tr %f %Ta %ST %[var(txn.v)]\"\n"
		 "frontend a\n http-request set-var(txn.v) req.hdr(traceparent)\n"
		 "frontend b\n http-request set-var(txn.v) req.hdr(X-B)\n"
		 "frontend c\n");
	start(false);
	assert_int_equal(l.formats.n, 3);
	lines_request(&l, "21/Nov/2026:08:15:44.900 a 22 200 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
	assert_true(record_has(&l.parser.rec, SLOT_traceparent));
	lines_request(&l, "21/Nov/2026:08:15:44.900 b 22 200 x");
	assert_slice(l.parser.rec.format->extra[0].key, "http.request.header.x-b");
	lines_request(&l, "21/Nov/2026:08:15:44.900 c 22 200 x");
	assert_slice(l.parser.rec.format->extra[0].key, "haproxy.log.var_txn.v");
	lines_free(&l);
}

static void the_users_map_goes_before_the_configuration(void **state)
{
	(void)state;
	read_cfg("frontend a\n mode http\n log-format \"%tr %f %Ta %ST %[var(txn.v)]\"\n"
		 " http-request set-var(txn.v) req.hdr(traceparent)\n");
	lines_map(&l, "var(txn.v)", "app.mine");
	start(false);
	lines_request(&l, "21/Nov/2026:08:15:44.900 a 22 200 x");
	assert_slice(l.parser.rec.format->extra[0].key, "app.mine");
	lines_free(&l);
}

static void steps_share_their_extra_fields(void **state)
{
	const struct format *first, *last;

	(void)state;
	read_cfg("log-profile p\n on accept format \"A %tr %f %[var(txn.a)] %[var(txn.b)]\"\n"
		 " on close format \"C %f %Ta %ST %[var(txn.b)] %[var(txn.c)]\"\n on request drop\n on connect\n"
		 "frontend a\n mode http\n log x profile p local0\n log y profile p local0\n"
		 " log-format \"N %tr %f %Ta\"\n");
	start(false);
	assert_int_equal(l.formats.n, 4);	/* the log-format, and three steps */
	first = l.formats.v[1];
	last = l.formats.v[2];
	assert_int_equal(first->step, STEP_ACCEPT);
	assert_int_equal(last->step, STEP_CLOSE);
	assert_int_equal(l.formats.v[3]->step, STEP_CONNECT);
	assert_non_null(first->whole);
	assert_ptr_equal(first->whole, last->whole);
	assert_non_null(first->whole->plan);
	assert_int_equal(first->whole->nextra, 3);
	assert_true(format_has(first->whole, SLOT_tr) && format_has(first->whole, SLOT_ST));
	for (uint32_t i = 0; i < 3; i++)
		assert_true(slice_eq(first->extra[i].key, last->extra[i].key));
	lines_request(&l, "C a 22 200 bee cee");
	assert_int_equal(l.parser.rec.have_extra, 6);
	assert_slice(l.parser.rec.extra[1], "bee");
	assert_slice(l.parser.rec.extra[2], "cee");
	lines_free(&l);
}

static void names_are_found_up_to_a_dead_page(void **state)
{
	struct guard g = guard_new(4096);
	struct names *t = names_new(&arena, 3);
	static const char *const names[] = { "a", "frontend", "a_rather:long.name-of-a-frontend" };

	(void)state;
	for (size_t i = 0; i < COUNT(names); i++)
		names_add(t, &arena, slice_str(names[i]), names[i]);
	for (size_t i = 0; i < COUNT(names); i++)
		for (int fill = 0; fill < 256; fill += 85) {
			size_t n = strlen(names[i]), at = 0;
			struct slice s = slice_of(guard_end(&g, names[i], n, BLOCK_PAD, fill), n);

			assert_ptr_equal(names_find(t, s), names[i]);
			assert_ptr_equal(names_next(t, s, &at), names[i]);
			assert_int_equal(at, n);
			assert_null(names_next(t, s, &at));
			assert_null(names_find(t, slice_of(s.p, n - 1)));
		}
	guard_free(&g);
	arena_free(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_become_the_words_that_haproxy_sees),
		cmocka_unit_test(what_cannot_be_cut_has_a_place),
		cmocka_unit_test(a_line_that_grows_without_bound_is_refused),
		cmocka_unit_test(conditions_are_decided),
		cmocka_unit_test(sections_inherit_as_haproxy_does),
		cmocka_unit_test(everything_knows_its_place),
		cmocka_unit_test(captures_stand_in_the_order_of_their_slots),
		cmocka_unit_test(a_slot_that_two_rules_fill_has_no_name),
		cmocka_unit_test(log_lines_are_those_that_count),
		cmocka_unit_test(variables_mean_what_they_are_set_from),
		cmocka_unit_test(the_backend_may_send_the_ids),
		cmocka_unit_test(what_is_not_understood_is_a_note),
		cmocka_unit_test(an_open_quote_of_a_wanted_line_has_its_place),
		cmocka_unit_test(branches_that_are_not_taken_say_nothing),
		cmocka_unit_test(one_program_serves_a_thousand_frontends),
		cmocka_unit_test(a_thousand_formats_are_told_apart_by_the_name),
		cmocka_unit_test(names_hold_only_where_all_users_of_a_nameless_format_agree),
		cmocka_unit_test(equal_text_with_other_variables_is_another_format),
		cmocka_unit_test(the_users_map_goes_before_the_configuration),
		cmocka_unit_test(steps_share_their_extra_fields),
		cmocka_unit_test(names_are_found_up_to_a_dead_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
