/*
 * The text of a log-format as a parser: every alias, flag and spelling, and what is wrong with a
 * wrong one. Lines marked "2.6.12" were written by that version with the format beside them.
 */
#include "lines.h"

/* ---- aliases --------------------------------------------------------------------------------- */

enum { NUM = 1, TEXT = 2, CAPTURED = 4, DASH = 8, QUOTED = 16 };

/* All 65 of HAProxy 3.5 (src/log.c, logformat_aliases). */
static const struct alias {
	const char *name, *written;
	int kind; /* how it is stored; DASH: may be '-'; QUOTED: under +Q in quotes */
	int64_t num;
	const char *text; /* as stored; NULL: as written */
} aliases[] = {
	{ "o", "", 0, 0, NULL },
	{ "OG", "txn_request", TEXT | QUOTED, 0, NULL },
	{ "B", "18446744073", NUM, 18446744073, NULL },
	{ "CC", "sid=abc\"d", TEXT | DASH | QUOTED, 0, NULL },
	{ "CS", "sid=x y", TEXT | DASH | QUOTED, 0, NULL },
	{ "H", "lb-1.example.org", TEXT | QUOTED, 0, NULL },
	{ "ID", "7F000001:AA24_7F000001:5334_6B0155FB_0000:498D", TEXT | DASH | QUOTED, 0, NULL },
	{ "ST", "-1", NUM, -1, NULL },
	{ "T", "26/Apr/2024:07:41:11 +0000", NUM, 1714117271000, NULL },
	{ "Ta", "5003", NUM, 5003, NULL },
	{ "Tc", "-100", NUM, -100, NULL },
	{ "Td", "0", NUM, 0, NULL },
	{ "Th", "210", NUM, 210, NULL },
	{ "Ti", "-1", NUM, -1, NULL },
	{ "Tl", "26/Apr/2024:09:42:32 +0200", NUM, 1714117352000, NULL },
	{ "Tq", "12", NUM, 12, NULL },
	{ "Tr", "34", NUM, 34, NULL },
	{ "TR", "56", NUM, 56, NULL },
	{ "Ts", "1795248946", NUM, 1795248946, NULL },
	{ "Tt", "78", NUM, 78, NULL },
	{ "Tu", "90", NUM, 90, NULL },
	{ "Tw", "1", NUM, 1, NULL },
	{ "U", "123456789012", NUM, 123456789012, NULL },
	{ "ac", "3", NUM, 3, NULL },
	{ "fc", "2", NUM, 2, NULL },
	{ "bc", "1", NUM, 1, NULL },
	{ "b", "be_app:v1.2-x", TEXT | QUOTED, 0, NULL },
	{ "f", "fe_http", TEXT | QUOTED, 0, NULL },
	{ "bi", "10.0.0.9", TEXT | DASH | QUOTED, 0, NULL },
	{ "bp", "40000", NUM | DASH, 40000, NULL },
	{ "bq", "5", NUM, 5, NULL },
	{ "sq", "6", NUM, 6, NULL },
	{ "ci", "2001:db8::1", TEXT | DASH | QUOTED, 0, NULL },
	{ "cp", "65535", NUM | DASH, 65535, NULL },
	{ "fi", "::ffff:192.0.2.7", TEXT | DASH | QUOTED, 0, NULL },
	{ "fp", "443", NUM | DASH, 443, NULL },
	{ "ft", "fe_https~", TEXT | QUOTED, 0, "fe_https" },
	{ "hr", "{a||c d}", CAPTURED | QUOTED, 0, "a,,c d" },
	{ "hs", "{3}", CAPTURED | QUOTED, 0, "3" },
	{ "hrl", "\"a\" \"\" \"c d\"", CAPTURED, 0, "a,,c d" },
	{ "hsl", "\"3\"", CAPTURED, 0, "3" },
	{ "HM", "GET", TEXT | QUOTED, 0, NULL },
	{ "HP", "http://h/p", TEXT | QUOTED, 0, NULL },
	{ "HPO", "/p", TEXT | QUOTED, 0, NULL },
	{ "HQ", "?q=1&r=#22", TEXT | QUOTED, 0, "?q=1&r=\"" },
	{ "HU", "/p?q", TEXT | QUOTED, 0, NULL },
	{ "HV", "HTTP/1.1", TEXT | QUOTED, 0, NULL },
	{ "lc", "77", NUM, 77, NULL },
	{ "ms", "007", NUM, 7, NULL },
	{ "pid", "16577", NUM, 16577, NULL },
	{ "r", "GET /a b HTTP/1.1", TEXT | QUOTED, 0, NULL },
	{ "rc", "2", NUM, 2, NULL },
	{ "rt", "4294967295", NUM, 4294967295, NULL },
	{ "s", "ns:r/pod:x:https:10.1.2.3:8443", TEXT | QUOTED, 0, NULL },
	{ "sc", "4", NUM, 4, NULL },
	{ "si", "127.0.0.1", TEXT | DASH | QUOTED, 0, NULL },
	{ "sp", "21150", NUM | DASH, 21150, NULL },
	{ "sslc", "TLS_AES_256_GCM_SHA384", TEXT | DASH | QUOTED, 0, NULL },
	{ "sslv", "TLSv1.3", TEXT | DASH | QUOTED, 0, NULL },
	{ "t", "26/Apr/2024:09:39:58.774", NUM, 1714124398774, NULL },
	{ "tr", "29/Feb/2024:23:59:59.999", NUM, 1709251199999, NULL },
	{ "trg", "26/Apr/2024:07:41:11 +0000", NUM, 1714117271000, NULL },
	{ "trl", "26/Apr/2024:02:11:11 -0530", NUM, 1714117271000, NULL },
	{ "ts", "SD", TEXT, 0, NULL },
	{ "tsc", "--VN", TEXT, 0, NULL },
};

/* Fields that make any format whole. */
#define WHOLE " at=%[request_date(us)] end=%[date(0,us)]"
#define WHOLE_TEXT " at=1795248946641367 end=1795248946661999"

static const char *joined(const struct captures *c)
{
	static char out[256];
	size_t n = 0;

	out[0] = '\0';
	for (uint32_t i = 0; i < c->n; i++)
		n += (size_t)snprintf(out + n, sizeof(out) - n, "%s%.*s", i ? "," : "",
				      (int)c->v[i].len, c->v[i].len ? c->v[i].p : "");
	return out;
}

static void check_value(const struct alias *a, const struct record *r, int slot)
{
	const char *text = a->text ? a->text : a->written;

	if (a->kind & CAPTURED) {
		assert_string_equal(joined(&r->cap[slot == SLOT_hs || slot == SLOT_hsl]), text);
		return;
	}
	if (!record_has(r, (enum slot)slot))
		fail_msg("%%%s: nothing was read", a->name);
	if (a->kind & NUM)
		assert_int_equal(r->v[slot].num, a->num);
	else
		assert_text(r->v[slot].text, text);
}

static void try_alias(const struct alias *a, const char *flags, const char *written, bool there)
{
	char format[256], line[256];
	struct lines l;
	struct record *r;
	int slot = slot_find(slice_str(a->name));

	snprintf(format, sizeof(format), "x=%%%s%s%s", flags, a->name, WHOLE);
	snprintf(line, sizeof(line), "x=%s" WHOLE_TEXT, written);
	lines_simple(&l, format);
	r = lines_record(&l, line);
	if (there)
		check_value(a, r, slot);
	else
		assert_false(record_has(r, (enum slot)slot));
	assert_int_equal(record_num(r, SLOT_request_us, 0), 1795248946641367);
	assert_int_equal(record_num(r, SLOT_end_us, 0), 1795248946661999);
	assert_true(format_has(l.formats.v[0], (enum slot)slot));
	lines_free(&l);
}

static void there_are_65_aliases_and_the_table_has_them_all(void **state)
{
	(void)state;
	assert_int_equal(SLOT_accept_us, 65);
	assert_int_equal(COUNT(aliases), 65);
	for (int s = 0; s < SLOT_accept_us; s++) {
		size_t i = 0;

		while (i < COUNT(aliases) &&
		       !slice_eq(slot_info[s].name, slice_str(aliases[i].name)))
			i++;
		if (i == COUNT(aliases))
			fail_msg("%%%s has no row", slot_info[s].name.p);
	}
	for (size_t i = 0; i < COUNT(aliases); i++) {
		int s = slot_find(slice_str(aliases[i].name));

		if (s < 0 || s >= SLOT_accept_us)
			fail_msg("%%%s is not known", aliases[i].name);
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(aliases[i].name, aliases[k].name);
	}
}

static void every_alias_is_read_back(void **state)
{
	(void)state;
	for (size_t i = 1; i < COUNT(aliases); i++) {
		const struct alias *a = &aliases[i];
		bool list = a->kind & CAPTURED && a->written[0] == '"';

		try_alias(a, list ? "{+Q}" : "", a->written, true);
		if (a->kind & DASH)
			try_alias(a, "", "-", false);
	}
}

static void under_q_text_is_quoted_and_numbers_are_not(void **state)
{
	(void)state;
	for (size_t i = 1; i < COUNT(aliases); i++) {
		const struct alias *a = &aliases[i];
		const char *quote = a->kind & QUOTED ? "\"" : "";
		char written[128];

		snprintf(written, sizeof(written), "%s%s%s", quote, a->written, quote);
		try_alias(a, "{+Q}", written, true);
		if (a->kind & DASH) /* what is not there is "", ports too */
			try_alias(a, "{+Q}", "\"\"", false);
	}
}

static void old_spellings_mean_their_successors(void **state)
{
	static const char *const names[][2] = {
		{ "Bi", "bi" }, { "Bp", "bp" }, { "Ci", "ci" }, { "Cp", "cp" },
		{ "Fi", "fi" }, { "Fp", "fp" }, { "Si", "si" }, { "Sp", "sp" },
		{ "cc", "CC" }, { "cs", "CS" }, { "st", "ST" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(names); i++)
		for (size_t k = 0; k < COUNT(aliases); k++)
			if (strcmp(aliases[k].name, names[i][1]) == 0) {
				struct alias old = aliases[k];

				old.name = names[i][0];
				assert_int_equal(slot_find(slice_str(old.name)),
						 slot_find(slice_str(names[i][1])));
				try_alias(&old, "", old.written, true);
			}
}

/* ---- one format, one line -------------------------------------------------------------------- */

/* What one field of a line must be; ends at a NULL name. */
struct want {
	const char *name, *value; /* value NULL: absent */
};

static void check_field(const struct lines *l, const struct record *r, const struct want *w)
{
	int slot = slot_find(slice_str(w->name));
	char text[64];

	if (slot < 0 || !record_has(r, (enum slot)slot)) {
		if (w->value)
			fail_msg("%.*s: %s is not there", (int)l->msg.len, l->msg.p, w->name);
		return;
	}
	if (!w->value)
		fail_msg("%.*s: %s is there", (int)l->msg.len, l->msg.p, w->name);
	switch (slot_info[slot].type) {
	case TYPE_NAME:
	case TYPE_RAW:
	case TYPE_ESC:
	case TYPE_REQ:
	case TYPE_IP:
	case TYPE_STATE:
	case TYPE_FT:
		assert_text(r->v[slot].text, w->value);
		break;
	default:
		snprintf(text, sizeof(text), "%lld", (long long)r->v[slot].num);
		assert_string_equal(text, w->value);
		break;
	}
}

#define WANTS 12

struct sample {
	const char *format, *line;
	struct want want[WANTS];
};

static void check_samples(const struct sample *t, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct lines l;
		struct record *r;

		lines_simple(&l, t[i].format);
		r = lines_record(&l, t[i].line);
		for (const struct want *w = t[i].want; w < t[i].want + WANTS && w->name; w++)
			check_field(&l, r, w);
		lines_free(&l);
	}
}

static void hexadecimal_is_for_addresses_ports_and_counters_alone(void **state)
{
	static const struct sample t[] = {
		/* 2.6.12 */
		{ "%{+X}o ci=%ci cp=%cp ST=%ST B=%B ms=%ms rt=%rt lc=%lc pid=%pid Ts=%Ts Ta=%Ta "
		  "src=%[src] "
		  "sp=%[src_port] fc=%fc rc=%rc si=%si sp=%sp tr=[%tr] ID=%ID",
		  "ci=7F000001 cp=BD46 ST=200 B=73 ms=62 rt=0000 lc=0000 pid=45A7 Ts=6B01A92C Ta=0 "
		  "src=127.0.0.1 "
		  "sp=48454 fc=1 rc=0 si=- sp=- tr=[21/Nov/2026:14:22:36.098] "
		  "ID=7F000001:BD46_7F000001:74AF_6B01A92C_0000:45A7",
		  { { "ST", "200" },
		    { "B", "73" },
		    { "ms", "98" },
		    { "rt", "0" },
		    { "lc", "0" },
		    { "pid", "17831" },
		    { "Ts", "1795270956" },
		    { "cp", "48454" },
		    { "si", NULL },
		    { "sp", NULL },
		    { "ID", "7F000001:BD46_7F000001:74AF_6B01A92C_0000:45A7" } } },
		{ "%{+X}ci:%{+X}cp %ST [%tr] %Ta",
		  "20010DB8000000000000000000000001:01BB 200 "
		  "[21/Nov/2026:14:22:36.098] 10",
		  { { "ci", "2001:db8::1" }, { "cp", "443" }, { "ST", "200" }, { "Ta", "10" } } },
		{ "%{+X}ci %{+X}si %{+X}fi %{+X}bi [%tr] %Ta",
		  "C6336409 FE800000000000000123456789ABCDEF 00000000000000000000000000000000 "
		  "00000000000000000000FFFFC0000209 [21/Nov/2026:14:22:36.098] 10",
		  { { "ci", "198.51.100.9" },
		    { "si", "fe80::123:4567:89ab:cdef" },
		    { "fi", "::" },
		    { "bi", "::ffff:192.0.2.9" } } },
		/* a flag holds for its field alone */
		{ "%{+X}pid %pid %{+X}Ts [%tr] %Ta",
		  "0010 10 6B01A92C [21/Nov/2026:14:22:36.098] 10",
		  { { "pid", "10" }, { "Ts", "1795270956" }, { "Ta", "10" } } },
		{ "%{+X}o %{-X}pid %rt [%tr] %Ta",
		  "10 10 [21/Nov/2026:14:22:36.098] 10",
		  { { "pid", "10" }, { "rt", "16" } } },
	};

	(void)state;
	check_samples(t, COUNT(t));
}

static void quotes_stand_around_text_and_around_every_expression(void **state)
{
	/* 2.6.12: a sample expression is text to +Q, a number too; absent captures write nothing at
	 * all */
	static const char format[] = "%{+Q}o ci=%ci cp=%cp ft=%ft tsc=%tsc tr=%tr trg=%trg Ta=%Ta "
				     "hr=%hr hs=%hs hrl=%hrl si=%si "
				     "sp=%sp ID=%ID Ts=%Ts CC=%CC s=%s H=%H r=%r HM=%HM src=%[src] "
				     "sport=%[src_port] bool=%[ssl_fc] "
				     "a=%[capture.req.hdr(0)] E=%{+E}[var(txn.e)] rc=%rc "
				     "sslv=%sslv o=%{-Q}hr";
	static const struct sample t[] = {
		{ format,
		  "ci=\"127.0.0.1\" cp=33342 ft=\"y\" tsc=LR-- tr=21/Nov/2026:14:22:36.118 "
		  "trg=21/Nov/2026:14:22:36 "
		  "+0000 Ta=0 hr=\"{a#22b\\]c #7Bd#7D#7Ce}\" hs= hrl=\"a#22b\\]c #7Bd#7D#7Ce\" "
		  "si=\"\" sp=\"\" ID=\"\" "
		  "Ts=1795270956 CC=\"\" s=\"<NOSRV>\" H=\"vm\" r=\"GET / HTTP/1.1\" HM=\"GET\" "
		  "src=\"127.0.0.1\" "
		  "sport=\"33342\" bool=\"0\" a=\"a\"b\\]c {d}|e\" E=\"a\\\"b\\\\\\]c {d}|e\" rc=0 "
		  "sslv=\"\" "
		  "o={a#22b\\]c #7Bd#7D#7Ce}",
		  { { "ci", "127.0.0.1" },
		    { "cp", "33342" },
		    { "ft", "y" },
		    { "si", NULL },
		    { "sp", NULL },
		    { "ID", NULL },
		    { "CC", NULL },
		    { "sslv", NULL },
		    { "r", "GET / HTTP/1.1" },
		    { "H", "vm" },
		    { "rc", "0" },
		    { "s", "<NOSRV>" } } },
		{ format,
		  "ci=\"127.0.0.1\" cp=33356 ft=\"y\" tsc=LR-- tr=21/Nov/2026:14:22:36.130 "
		  "trg=21/Nov/2026:14:22:36 "
		  "+0000 Ta=0 hr=\"{}\" hs= hrl=\"\" si=\"\" sp=\"\" ID=\"\" Ts=1795270956 CC=\"\" "
		  "s=\"<NOSRV>\" "
		  "H=\"vm\" r=\"GET / HTTP/1.1\" HM=\"GET\" src=\"127.0.0.1\" sport=\"33356\" "
		  "bool=\"0\" a=\"\" E=\"\" "
		  "rc=0 sslv=\"\" o={}",
		  { { "ci", "127.0.0.1" },
		    { "cp", "33356" },
		    { "HM", "GET" },
		    { "tsc", "LR--" } } },
		{ "%{+Q}o %{-Q}ci %f %{-Q}b %s [%tr] %Ta",
		  "192.0.2.1 \"fe\" be \"app\" [21/Nov/2026:14:22:36.098] 10",
		  { { "ci", "192.0.2.1" }, { "f", "fe" }, { "b", "be" }, { "s", "app" } } },
	};
	struct lines l;
	struct record *r;

	(void)state;
	check_samples(t, COUNT(t));
	lines_simple(&l, format);
	r = lines_record(&l, t[0].line);
	assert_int_equal(l.formats.v[0]->nextra, 2);
	assert_text(r->extra[0], "0");
	assert_text(r->extra[1], "a\"b\\]c {d}|e");
	assert_text(r->cap[CAPTURE_REQUEST].v[0], "a\"b\\]c {d}|e");
	lines_free(&l);
}

static void escapes_of_the_e_flag_are_undone(void **state)
{
	static const struct sample t[] = {
		{ "%{+Q,+E}o CC=%CC r=%r [%tr] %Ta",
		  "CC=\"a\\\"b\\\\c\\]d\" r=\"GET /\\] HTTP/1.1\" "
		  "[21/Nov/2026:14:22:36.098] 10",
		  { { "CC", "a\"b\\c]d" }, { "r", "GET /] HTTP/1.1" } } },
		{ "CC=%{+E}CC CS=%CS [%tr] %Ta",
		  "CC=a\\\\b CS=a\\\\b [21/Nov/2026:14:22:36.098] 10",
		  { { "CC", "a\\b" }, { "CS", "a\\\\b" } } },
		/* the json converter writes backslashes as well, and \\u */
		{ "\"%[capture.req.uri,json(utf8s)]\" [%tr] %Ta",
		  "\"\\/caf\\u00e9\\/\\\"q\\\"\" "
		  "[21/Nov/2026:14:22:36.098] 10",
		  { { "HU", "/caf\xc3\xa9/\"q\"" } } },
	};

	(void)state;
	check_samples(t, COUNT(t));
}

static void a_plus_may_stand_before_numbers(void **state)
{
	static const struct {
		const char *line;
		bool ta, b, rc;
	} t[] = {
		{ "ta=+20 tt=+21 b=+68 rc=+1 [21/Nov/2026:14:22:36.098]", true, true, true },
		{ "ta=20 tt=21 b=68 rc=1 [21/Nov/2026:14:22:36.098]", false, false, false },
		{ "ta=20 tt=21 b=+68 rc=1 [21/Nov/2026:14:22:36.098]", false, true, false },
	};
	struct lines l;

	(void)state;
	lines_simple(&l, "ta=%Ta tt=%Tt b=%B rc=%rc [%tr]");
	for (size_t i = 0; i < COUNT(t); i++) {
		struct record *r = lines_record(&l, t[i].line);

		assert_int_equal(record_num(r, SLOT_Ta, 0), 20);
		assert_int_equal(record_num(r, SLOT_B, 0), 68);
		assert_int_equal(record_num(r, SLOT_rc, 0), 1);
		assert_int_equal(record_plus(r, SLOT_Ta), t[i].ta);
		assert_int_equal(record_plus(r, SLOT_Tt), t[i].ta);
		assert_int_equal(record_plus(r, SLOT_B), t[i].b);
		assert_int_equal(record_plus(r, SLOT_rc), t[i].rc);
	}
	assert_int_equal(lines_parse(&l, "ta=+ tt=+21 b=+68 rc=+1 [21/Nov/2026:14:22:36.098]"),
			 PARSED_REJECTED);
	assert_int_equal(lines_parse(&l, "ta=+-2 tt=+21 b=+68 rc=+1 [21/Nov/2026:14:22:36.098]"),
			 PARSED_REJECTED);
	lines_free(&l);
}

/* ---- text between fields --------------------------------------------------------------------- */

static void literals_are_what_haproxy_writes_of_them(void **state)
{
	static const struct sample t[] = {
		{ "100%% %ST%% [%tr] %Ta",
		  "100% 200% [21/Nov/2026:14:22:36.098] 10",
		  { { "ST", "200" } } },
		/* as in haproxy.cfg: blanks escaped, or the whole in quotes */
		{ "ci=%ci\\ st=%ST\\ [%tr]\\ %Ta",
		  "ci=192.0.2.1 st=200 [21/Nov/2026:14:22:36.098] 10",
		  { { "ci", "192.0.2.1" }, { "ST", "200" } } },
		{ "a\\\"b\\\\c\\#d\\%e %ST [%tr] %Ta",
		  "a\"b\\c#d%e 200 [21/Nov/2026:14:22:36.098] 10",
		  { { "ST", "200" } } },
		{ "a\\x %ST [%tr] %Ta",
		  "a\\x 200 [21/Nov/2026:14:22:36.098] 10",
		  { { "ST", "200" } } },
		/* blanks are separators: a run of them is one, and the outer ones are none */
		{ "  %ci   %ST \t [%tr]\t%Ta  ",
		  "192.0.2.1 200 [21/Nov/2026:14:22:36.098] 10",
		  { { "ci", "192.0.2.1" }, { "ST", "200" }, { "Ta", "10" } } },
		{ "%ci \\  %ST [%tr] %Ta",
		  "192.0.2.1 200 [21/Nov/2026:14:22:36.098] 10",
		  { { "ST", "200" } } },
		{ "%{+Q}o   %{-Q}ci %ST [%tr] %Ta",
		  "192.0.2.1 200 [21/Nov/2026:14:22:36.098] 10",
		  { { "ci", "192.0.2.1" } } },
		/* a field at each end, and no literal behind the last */
		{ "%Ta,%tr", "10,21/Nov/2026:14:22:36.098", { { "Ta", "10" } } },
		{ "%tr%Ta", "21/Nov/2026:14:22:36.09810", { { "Ta", "10" } } },
		{ "%tr %Ta %HU",
		  "21/Nov/2026:14:22:36.098 10 /a b c",
		  { { "HU", "/a b c" } } },
		{ "%tr %Ta %f", "21/Nov/2026:14:22:36.098 10 fe", { { "f", "fe" } } },
		/* a hand-written JSON format is text like any other */
		{ "{\"t\":\"%tr\",\"c\":\"%ci\",\"p\":%cp,\"s\":\"%s\",\"Ta\":%Ta,\"id\":\"%ID\"}",
		  "{\"t\":\"21/Nov/"
		  "2026:14:22:36.098\",\"c\":\"192.0.2.1\",\"p\":42232,\"s\":\"app\",\"Ta\":10,"
		  "\"id\":\"-\"}",
		  { { "ci", "192.0.2.1" }, { "cp", "42232" }, { "s", "app" }, { "ID", NULL } } },
	};

	(void)state;
	check_samples(t, COUNT(t));
}

static void a_line_must_fit_from_its_first_byte_to_its_last(void **state)
{
	static const char *const bad[] = {
		"x192.0.2.1 200 [21/Nov/2026:14:22:36.098] 10",
		" x 192.0.2.1 200 [21/Nov/2026:14:22:36.098] 10",
		"192.0.2.1 200 [21/Nov/2026:14:22:36.098] 10x",
		"192.0.2.1 200 [21/Nov/2026:14:22:36.098] 10 10",
		"192.0.2.1 200 [21/Nov/2026:14:22:36.098]",
		"192.0.2.1 200  [21/Nov/2026:14:22:36.098] 10",
		"192.0.2.1  200 [21/Nov/2026:14:22:36.098] 10",
		"192.0.2.1 2x0 [21/Nov/2026:14:22:36.098] 10",
		"192.0.2.1 200 [31/Feb/2026:14:22:36.098] 10",
		"192.0.2.1 200 [21/Nov/2026:24:22:36.098] 10",
		"192.0.2.1 200 [21/Nov/2026:14:22:36,098] 10",
		"192.0.2.1 200 (21/Nov/2026:14:22:36.098) 10",
		"example.org 200 [21/Nov/2026:14:22:36.098] 10",
		"192.0.2.1 1234567890123456789 [21/Nov/2026:14:22:36.098] 10",
		"192.0.2.1 \"\" [21/Nov/2026:14:22:36.098] 10",
	};
	struct lines l;

	(void)state;
	lines_simple(&l, "%ci %ST [%tr] %Ta");
	lines_record(&l, "192.0.2.1 200 [21/Nov/2026:14:22:36.098] 10");
	lines_record(&l, "192.0.2.1 123456789012345678 [21/Nov/2026:14:22:36.098] 10");
	for (size_t i = 0; i < COUNT(bad); i++)
		if (lines_parse(&l, bad[i]) != PARSED_REJECTED)
			fail_msg("taken: %s", bad[i]);
	lines_free(&l);
}

static void a_termination_state_has_haproxys_letters(void **state)
{
	static const char *const good[] = {
		"----", "LR--", "cD--", "CDVN", "sHNI", "SC--", "PTEO",
		"RC--", "IH--", "DD--", "KD--", "UQ--", "CL--", "--77"
	};
	static const char *const bad[] = { "X---", "-X--", "xx--",  "SS--",
					   "l---", "---",  "-----", "" };
	struct lines l;

	(void)state;
	lines_simple(&l, "%tsc %ts [%tr] %Ta");
	for (size_t i = 0; i < COUNT(good) + COUNT(bad); i++) {
		const char *text = i < COUNT(good) ? good[i] : bad[i - COUNT(good)];
		char line[64];

		snprintf(line, sizeof(line), "%s %.2s [21/Nov/2026:14:22:36.098] 10", text, text);
		if (i < COUNT(good)) {
			struct record *r = lines_record(&l, line);

			assert_text(record_text(r, SLOT_tsc), text);
			assert_int_equal(record_text(r, SLOT_ts).len, 2);
		} else if (lines_parse(&l, line) != PARSED_REJECTED) {
			fail_msg("taken: %s", line);
		}
	}
	lines_free(&l);
}

/* Relays trim the blank that HAProxy leaves behind an empty list at the end. */
static void a_blank_may_be_missing_at_the_end(void **state)
{
	static const struct sample t[] = {
		{ "[%tr] %Ta %{+Q}CS %{+Q}hrl %{+Q}hsl",
		  "[21/Nov/2026:14:22:36.098] 10 \"\"",
		  { { "Ta", "10" }, { "CS", NULL } } },
		{ "[%tr] %Ta %{+Q}CS %{+Q}hrl %{+Q}hsl",
		  "[21/Nov/2026:14:22:36.098] 10 \"a b\"",
		  { { "CS", "a b" } } },
		{ "[%tr] %Ta %{+Q}s %hr %hs",
		  "[21/Nov/2026:14:22:36.098] 10 \"app\"",
		  { { "s", "app" } } },
		{ "[%tr] %Ta %s %hr", "[21/Nov/2026:14:22:36.098] 10 app", { { "s", "app" } } },
		{ "[%tr] %s %Ta %hr", "[21/Nov/2026:14:22:36.098] app 10", { { "Ta", "10" } } },
		{ "[%tr] %s %Ta/x %hr", "[21/Nov/2026:14:22:36.098] app 10/x", { { "Ta", "10" } } },
	};
	struct lines l;

	(void)state;
	check_samples(t, COUNT(t));
	/* but nothing else may */
	lines_simple(&l, t[5].format);
	assert_int_equal(lines_parse(&l, "[21/Nov/2026:14:22:36.098] app 10/"), PARSED_REJECTED);
	assert_int_equal(lines_parse(&l, "[21/Nov/2026:14:22:36.098] app 10/y"), PARSED_REJECTED);
	lines_free(&l);
}

/* ---- names and expressions ------------------------------------------------------------------- */

static void expressions_are_known_by_what_they_fetch(void **state)
{
	/* one of each kind; formats/fetches.def is the list */
	static const struct {
		const char *item, *written;
		struct want want;
	} t[] = {
		{ "%[src]", "192.0.2.1", { "ci", "192.0.2.1" } },
		{ "%[src_port]", "443", { "cp", "443" } },
		{ "%[unique-id]", "abc", { "ID", "abc" } },
		{ "%[txn.status]", "200", { "ST", "200" } },
		{ "%[txn.timer.total]", "10", { "Ta", "10" } },
		{ "%[fc.timer.total]", "10", { "Tt", "10" } },
		{ "%[bc.timer.connect]", "-1", { "Tc", "-1" } },
		{ "%[fe_name]", "fe", { "f", "fe" } },
		{ "%[method]", "GET", { "HM", "GET" } },
		{ "%[method,lower]", "get", { "HM", "get" } },
		{ "%[ssl_fc_sni]", "h", { "sni", "h" } },
		{ "%[ssl_fc_sni]", "-", { "sni", NULL } },
		{ "%[ssl_fc_err,hex]", "0000", { "ssl_fc_err", "0000" } },
		{ "%[capture.req.uri,json(utf8s)]", "\\/x", { "HU", "/x" } },
		/* a name that is an alias says what the value is */
		{ "%(ST)[var(txn.x)]", "200", { "ST", "200" } },
		{ "%(trace_id)[var(txn.x)]", "abc", { "trace_id", "abc" } },
		{ "%(ST:sint)[var(txn.x)]", "200", { "ST", "200" } },
		/* headers by their names */
		{ "%[req.hdr(traceparent)]", "00-x", { "traceparent", "00-x" } },
		{ "%[req.fhdr(User-Agent)]", "curl", { "user_agent", "curl" } },
		{ "%[hdr(host)]", "h", { "host", "h" } },
		/* the alias wins over its name */
		{ "%(whatever)ST", "200", { "ST", "200" } },
		{ "%(ci){+Q}f", "\"fe\"", { "f", "fe" } },
		{ "%{+Q}(ci)f", "\"fe\"", { "f", "fe" } },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(t); i++) {
		char format[256], line[256];
		struct sample s = { format, line, { t[i].want } };

		snprintf(format, sizeof(format), "x=%s;%s", t[i].item, WHOLE);
		snprintf(line, sizeof(line), "x=%s;" WHOLE_TEXT, t[i].written);
		check_samples(&s, 1);
	}
}

static void check_type(const struct lines *l, const char *key, enum attr_type type)
{
	const struct attrs *rows = &l->formats.v[0]->plan->server;
	uint32_t i = 0;

	while (i < rows->n && !slice_eq(attrs_row(rows, i)->key, slice_str(key)))
		i++;
	assert_true(i < rows->n);
	assert_int_equal(attrs_row(rows, i)->type, type);
}

static void what_nobody_knows_becomes_an_attribute_of_its_own(void **state)
{
	static const struct {
		const char *item, *written, *key, *value;
		enum attr_type type;
	} t[] = {
		{ "%[var(txn.tenant)]", "acme", "haproxy.log.var_txn.tenant", "acme", ATTR_TEXT },
		{ "%(tenant)[var(txn.t)]", "acme", "haproxy.log.tenant", "acme", ATTR_TEXT },
		{ "%(tenant)[var(txn.t)]", "-", "haproxy.log.tenant", NULL, ATTR_TEXT },
		{ "%(tenant)[var(txn.t)]", "", "haproxy.log.tenant", NULL, ATTR_TEXT },
		{ "%(n:sint)[var(txn.n)]", "-42", "haproxy.log.n", "-42", ATTR_NUMBER_TEXT },
		{ "%(ok:bool)[var(txn.ok)]", "1", "haproxy.log.ok", "1", ATTR_BOOL_TEXT },
		{ "%(note:str)[var(txn.s)]", "a b", "haproxy.log.note", "a b", ATTR_TEXT },
		{ "%(note:raw)[var(txn.s)]", "a b", "haproxy.log.note", "a b", ATTR_TEXT },
		{ "%{+Q}[var(txn.s)]", "\"a \"b\" c\"", "haproxy.log.var_txn.s", "a \"b\" c",
		  ATTR_TEXT },
		{ "%[req.hdr(X-Tenant)]", "acme", "http.request.header.x-tenant", "[acme]",
		  ATTR_LIST },
		{ "%[res.hdr(X-Cache)]", "hit", "http.response.header.x-cache", "[hit]",
		  ATTR_LIST },
		{ "%[res.fhdr(X-Cache),lower]", "hit", "http.response.header.x-cache", "[hit]",
		  ATTR_LIST },
		{ "%[lua.f(a,b)]", "x", "haproxy.log.lua.f_a_b", "x", ATTR_TEXT },
		/* brackets among arguments are theirs */
		{ "%(id)[path,regsub([0-9]+,N)]", "/N", "haproxy.log.id", "/N", ATTR_TEXT },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(t); i++) {
		char format[256], line[256];
		const char *got;
		struct lines l;

		snprintf(format, sizeof(format), "x=%s;%s", t[i].item, WHOLE);
		snprintf(line, sizeof(line), "x=%s;" WHOLE_TEXT, t[i].written);
		lines_simple(&l, format);
		lines_request(&l, line);
		got = lines_attr(&l, ROLE_SERVER, t[i].key);
		check_type(&l, t[i].key, t[i].type);
		if (t[i].value) {
			if (!got)
				fail_msg("%s: no attribute %s", t[i].item, t[i].key);
			assert_string_equal(got, t[i].value);
		} else {
			assert_null(got);
		}
		lines_free(&l);
	}
}

static void map_names_expressions_names_and_aliases_of_groups(void **state)
{
	static const struct {
		const char *from, *to, *item, *written;
		const char *slot, *attribute, *value;
	} t[] = {
		{ "var(txn.tid)", "trace_id", "%[var(txn.tid)]", "abc", "trace_id", NULL, "abc" },
		{ "var(txn.tid)", "trace_id", "%[var(txn.tid),lower]", "abc", "trace_id", NULL,
		  "abc" },
		{ "var(txn.tid),lower", "trace_id", "%[var(txn.tid),lower]", "abc", "trace_id",
		  NULL, "abc" },
		{ "tid", "trace_id", "%(tid)[var(txn.x)]", "abc", "trace_id", NULL, "abc" },
		{ "var(txn.user)", "enduser.id", "%[var(txn.user)]", "bob", NULL, "enduser.id",
		  "bob" },
		{ "user", "enduser.id", "%(user:str)[var(txn.user)]", "bob", NULL, "enduser.id",
		  "bob" },
		{ "src", "enduser.address", "%[src]", "192.0.2.1", NULL, "enduser.address",
		  "192.0.2.1" },
		{ "var(txn.x)", "nothing", "%[var(txn.x)]", "bob", "nothing",
		  "haproxy.log.var_txn.x", NULL },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(t); i++) {
		char format[256], line[256];
		struct lines l;
		struct record *r;

		lines_init(&l);
		lines_map(&l, t[i].from, t[i].to);
		snprintf(format, sizeof(format), "x=%s;%s", t[i].item, WHOLE);
		snprintf(line, sizeof(line), "x=%s;" WHOLE_TEXT, t[i].written);
		lines_format(&l, format);
		lines_start(&l, "UTC");
		r = lines_request(&l, line);
		if (t[i].slot && t[i].value)
			assert_text(record_text(r, (enum slot)slot_find(slice_str(t[i].slot))),
				    t[i].value);
		if (t[i].attribute && t[i].value)
			assert_string_equal(lines_attr(&l, ROLE_SERVER, t[i].attribute),
					    t[i].value);
		else if (t[i].attribute)
			assert_null(lines_attr(&l, ROLE_SERVER, t[i].attribute));
		lines_free(&l);
	}
}

/* ---- captures -------------------------------------------------------------------------------- */

#define HTTPLOG_TO_BLOCKS                                                                          \
	"192.0.2.1:1 [21/Nov/2026:08:15:44.900] fe be/app 0/0/1/20/22 200 68 - - ---- 1/1/0/0/0 "  \
	"0/0"
#define REQUEST " \"GET /x HTTP/1.1\""

static void capture_blocks_may_be_missing(void **state)
{
	static const struct {
		const char *request, *response, *blocks;
		const char *got[CAPTURE_SIDES];
		bool one; /* nobody can say of which side */
	} t[] = {
		{ NULL, NULL, "", { "", "" }, false },
		{ NULL, NULL, " {a|b} {3}", { "a,b", "3" }, false },
		{ NULL, NULL, " {|} {}", { ",", "" }, false },
		{ NULL, NULL, " {} {}", { "", "" }, false },
		{ NULL, NULL, " {a|b}", { "a,b", "" }, true },
		{ "h,ua", NULL, " {a|b}", { "a,b", "" }, false },
		{ NULL, "len", " {3}", { "", "3" }, false },
		{ "h", "len", " {a} {3}", { "a", "3" }, false },
		{ "h", "len", "", { "", "" }, false },
		{ NULL,
		  NULL,
		  " {a#7Bb#7D#7Cb|sp ace #22q#22 \\ ] #23#C3#A9#09t}",
		  { "a{b}|b,sp ace \"q\" \\ ] #\xc3\xa9\tt", "" },
		  true },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(t); i++) {
		char line[512];
		struct lines l;
		struct record *r;

		lines_init(&l);
		if (t[i].request)
			lines_captures(&l, CAPTURE_REQUEST, t[i].request);
		if (t[i].response)
			lines_captures(&l, CAPTURE_RESPONSE, t[i].response);
		lines_format(&l, "httplog");
		lines_start(&l, "UTC");
		snprintf(line, sizeof(line), HTTPLOG_TO_BLOCKS "%s" REQUEST, t[i].blocks);
		r = lines_request(&l, line);
		for (int side = 0; side < CAPTURE_SIDES; side++)
			assert_string_equal(joined(&r->cap[side]), t[i].got[side]);
		assert_int_equal(r->flags & RECORD_ONE_BLOCK, t[i].one ? RECORD_ONE_BLOCK : 0);
		assert_text(record_text(r, SLOT_r), "GET /x HTTP/1.1");
		if (t[i].one)
			assert_non_null(lines_attr(&l, ROLE_SERVER, "haproxy.captures"));
		else
			assert_null(lines_attr(&l, ROLE_SERVER, "haproxy.captures"));
		lines_free(&l);
	}
}

static void captures_have_the_names_that_the_user_gave(void **state)
{
	struct lines l;

	(void)state;
	lines_init(&l);
	lines_captures(&l, CAPTURE_REQUEST, "Host,X-Tenant,traceparent");
	lines_captures(&l, CAPTURE_RESPONSE, "Content-Length");
	lines_format(&l, "httplog");
	lines_start(&l, "UTC");
	lines_request(&l, HTTPLOG_TO_BLOCKS " {example.org|acme|junk} {3}" REQUEST);
	assert_string_equal(lines_attr(&l, ROLE_SERVER, "http.request.header.host"), "[example."
										     "org]");
	assert_string_equal(lines_attr(&l, ROLE_SERVER, "http.request.header.x-tenant"), "[acme]");
	assert_string_equal(lines_attr(&l, ROLE_SERVER, "http.response.header.content-length"),
			    "[3]");
	assert_null(lines_attr(&l, ROLE_SERVER, "http.request.header.traceparent"));
	assert_null(lines_attr(&l, ROLE_SERVER, "haproxy.captures.request"));
	/* empty: the header was not there; more than names: they have none */
	lines_request(&l, HTTPLOG_TO_BLOCKS " {|acme||more} {3}" REQUEST);
	assert_null(lines_attr(&l, ROLE_SERVER, "http.request.header.host"));
	assert_string_equal(lines_attr(&l, ROLE_SERVER, "http.request.header.x-tenant"), "[acme]");
	lines_free(&l);

	/* without names, whole blocks */
	lines_simple(&l, "httplog");
	lines_request(&l, HTTPLOG_TO_BLOCKS " {a||c} {3}" REQUEST);
	assert_string_equal(lines_attr(&l, ROLE_SERVER, "haproxy.captures.request"), "[a||c]");
	assert_string_equal(lines_attr(&l, ROLE_SERVER, "haproxy.captures.response"), "[3]");
	lines_free(&l);
}

static void lists_of_captures_end_by_their_quotes_or_their_number(void **state)
{
	static const struct {
		const char *request, *response, *format, *line;
		const char *got[CAPTURE_SIDES];
	} t[] = {
		{ NULL,
		  NULL,
		  "%{+Q}hrl %ST" WHOLE,
		  "\"a b\" \"\" \"c\" 200" WHOLE_TEXT,
		  { "a b,,c", "" } },
		{ NULL, NULL, "%ST %{+Q}hrl" WHOLE, "200 \"a\"" WHOLE_TEXT, { "a", "" } },
		{ NULL, NULL, "%ST %{+Q}hrl" WHOLE, "200" WHOLE_TEXT, { "", "" } },
		{ "a,b", "c", "%ST %hrl %hsl" WHOLE, "200 x - z" WHOLE_TEXT, { "x,", "z" } },
		{ "a,b",
		  "c",
		  "%ST %{+Q}hrl %{+Q}hsl" WHOLE,
		  "200 \"x\" \"\" \"z\"" WHOLE_TEXT,
		  { "x,", "z" } },
		{ "a,b",
		  "c",
		  "%ST%{+Q}[var(txn.x)] %{+Q}hrl %{+Q}hsl" WHOLE,
		  "200\"\" \"x\" \"y\" \"z\"" WHOLE_TEXT,
		  { "x,y", "z" } },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(t); i++) {
		struct lines l;
		struct record *r;

		lines_init(&l);
		if (t[i].request)
			lines_captures(&l, CAPTURE_REQUEST, t[i].request);
		if (t[i].response)
			lines_captures(&l, CAPTURE_RESPONSE, t[i].response);
		lines_format(&l, t[i].format);
		lines_start(&l, "UTC");
		r = lines_record(&l, t[i].line);
		assert_int_equal(record_num(r, SLOT_ST, 0), 200);
		for (int side = 0; side < CAPTURE_SIDES; side++)
			assert_string_equal(joined(&r->cap[side]), t[i].got[side]);
		lines_free(&l);
	}
}

static void single_captures_are_captures(void **state)
{
	struct lines l;
	struct record *r;

	(void)state;
	lines_init(&l);
	lines_captures(&l, CAPTURE_REQUEST, "traceparent,X-Tenant");
	lines_format(&l, "tp=\"%[capture.req.hdr(0)]\" t=\"%[capture.req.hdr(1)]\" "
			 "c=\"%[capture.res.hdr(2)]\"" WHOLE);
	lines_start(&l, "UTC");
	r = lines_request(&l, "tp=\"00-12345678901234567890123456789012-1234567890123456-01\" "
			      "t=\"acme\" "
			      "c=\"hit\"" WHOLE_TEXT);
	assert_int_equal(l.trace.id_lo, UINT64_C(0x7890123456789012));
	assert_string_equal(lines_attr(&l, ROLE_SERVER, "http.request.header.x-tenant"), "[acme]");
	assert_string_equal(joined(&r->cap[CAPTURE_RESPONSE]), ",,hit");
	r = lines_request(&l, "tp=\"-\" t=\"-\" c=\"-\"" WHOLE_TEXT);
	assert_string_equal(joined(&r->cap[CAPTURE_REQUEST]), ",");
	assert_null(lines_attr(&l, ROLE_SERVER, "http.request.header.x-tenant"));
	lines_free(&l);
}

/* ---- fields that hold what ends them --------------------------------------------------------- */

static void a_raw_field_may_hold_its_own_terminator(void **state)
{
	static const struct sample t[] = {
		/* cookies are not escaped: blanks, quotes, slashes */
		{ "%ST %CC %tsc" WHOLE,
		  "200 sid=a b c ----" WHOLE_TEXT,
		  { { "CC", "sid=a b c" }, { "tsc", "----" } } },
		{ "httplog",
		  "192.0.2.1:1 [21/Nov/2026:08:15:44.900] fe be/app 0/0/1/20/22 200 68 - sid=a b c "
		  "---- "
		  "1/1/0/0/0 0/0 \"GET /x HTTP/1.1\"",
		  { { "CC", NULL }, { "CS", "sid=a b c" } } },
		{ "httplog",
		  "192.0.2.1:1 [21/Nov/2026:08:15:44.900] fe be/app 0/0/1/20/22 200 68 - a=- ---- "
		  "1/1/0/0/0 x "
		  "SD-- 1/1/0/0/0 0/0 \"GET /x HTTP/1.1\"",
		  { { "CC", NULL },
		    { "CS", "a=- ---- 1/1/0/0/0 x" },
		    { "tsc", "SD--" },
		    { "sq", "0" } } },
		/* two in a row: the value ends with one of them */
		{ "%ST %CC %tsc" WHOLE,
		  "200 sid=a  ----" WHOLE_TEXT,
		  { { "CC", "sid=a " }, { "tsc", "----" } } },
		/* quotes inside quotes */
		{ "%{+Q}[var(txn.a)] %{+Q}[var(txn.b)] %ST" WHOLE,
		  "\"x\" \"y\" \"z\" 200" WHOLE_TEXT,
		  { { "ST", "200" } } },
		{ "ua=%{+Q}[var(txn.a)] st=%ST" WHOLE,
		  "ua=\"a\" st=9 \"b\" st=200" WHOLE_TEXT,
		  { { "ST", "200" } } },
		/* the end of the line is the last chance */
		{ "%ST %tr %Ta x=%{+Q}[var(txn.a)]",
		  "200 21/Nov/2026:08:15:44.900 9 x=\"a\"b\"",
		  { { "ST", "200" } } },
	};
	struct lines l;

	(void)state;
	check_samples(t, COUNT(t));
	lines_simple(&l, t[5].format);
	lines_record(&l, t[5].line);
	assert_text(l.parser.rec.extra[0], "a\" st=9 \"b");
	lines_free(&l);
	lines_simple(&l, t[6].format);
	lines_record(&l, t[6].line);
	assert_text(l.parser.rec.extra[0], "a\"b");
	lines_free(&l);
}

static void fields_read_on_the_way_to_a_dead_end_are_forgotten(void **state)
{
	struct lines l;
	struct record *r;

	(void)state;
	lines_simple(&l, "a=%CC b=%rc c=%bp" WHOLE);
	/* the first ` b=` is the cookie's own; behind it stands a '+' and a number that are not the
	 * field's */
	r = lines_record(&l, "a=x b=+1 c=2 b=3 c=-" WHOLE_TEXT);
	assert_text(record_text(r, SLOT_CC), "x b=+1 c=2");
	assert_int_equal(record_num(r, SLOT_rc, 0), 3);
	assert_false(record_plus(r, SLOT_rc));
	assert_false(record_has(r, SLOT_bp));
	lines_free(&l);
}

static void addresses_are_split_from_the_right(void **state)
{
	static const struct {
		const char *line, *address;
		int64_t port; /* -1: absent */
	} t[] = {
		{ "192.0.2.1:49686", "192.0.2.1", 49686 },
		{ "2001:db8::1:1234", "2001:db8::1", 1234 },
		{ "::1:80", "::1", 80 },
		{ ":::80", "::", 80 },
		{ "::ffff:192.0.2.1:80", "::ffff:192.0.2.1", 80 },
		{ "unix:1", "unix", 1 },
		{ "-:-", NULL, -1 },
	};
	static const char *const bad[] = {
		"192.0.2.1",	   ":80",     "host:80",       "192.0.2.1:1234567", "unix",
		"192.0.2.1:80x",   "u:80",    "10.0.0.1/8:80", "-1.2.3.4:80",	    "1 2:80",
		"fe80::1%eth0:80", "g::1:80", "`::1:80",       "::1]:80",	    "1;2:80",
		"@::1:80",
	};
	struct lines l;

	(void)state;
	lines_simple(&l, "%ci:%cp [%tr] %Ta");
	for (size_t i = 0; i < COUNT(t); i++) {
		char line[128];
		struct record *r;

		snprintf(line, sizeof(line), "%s [21/Nov/2026:08:15:44.900] 10", t[i].line);
		r = lines_record(&l, line);
		assert_int_equal(record_has(r, SLOT_ci), t[i].address != NULL);
		if (t[i].address)
			assert_text(record_text(r, SLOT_ci), t[i].address);
		assert_int_equal(record_num(r, SLOT_cp, -1), t[i].port);
	}
	for (size_t i = 0; i < COUNT(bad); i++) {
		char line[128];

		snprintf(line, sizeof(line), "%s [21/Nov/2026:08:15:44.900] 10", bad[i]);
		if (lines_parse(&l, line) != PARSED_REJECTED)
			fail_msg("taken: %s", line);
	}
	lines_free(&l);
}

static void names_of_proxies_and_servers_are_split_at_the_first_slash(void **state)
{
	static const struct {
		const char *line, *frontend, *backend, *server;
		int tls;
	} t[] = {
		{ "fe be/app", "fe", "be", "app", 0 },
		{ "fe~ be/app", "fe", "be", "app", 1 },
		{ "fe fe/<NOSRV>", "fe", "fe", "<NOSRV>", 0 },
		{ "fe be/srv/with/slash", "fe", "be", "srv/with/slash", 0 },
		{ "fe be_http:ns:r/pod:x:svc:https:10.1.2.3:8443", "fe", "be_http:ns:r",
		  "pod:x:svc:https:10.1.2.3:8443", 0 },
		{ "[::]:443~ b:1/[::1]:80", "[::]:443", "b:1", "[::1]:80", 1 },
		{ "<OCSP-UPDATE> -/-", "<OCSP-UPDATE>", NULL, NULL, 0 },
		{ "f b/s", "f", "b", "s", 0 },
	};
	struct lines l;

	(void)state;
	lines_simple(&l, "httplog");
	for (size_t i = 0; i < COUNT(t); i++) {
		char line[256];
		struct record *r;

		snprintf(line, sizeof(line),
			 "192.0.2.1:1 [21/Nov/2026:08:15:44.900] %s 0/0/1/20/22 200 68 - - "
			 "---- 1/1/0/0/0 0/0 \"GET /x HTTP/1.1\"",
			 t[i].line);
		r = lines_record(&l, line);
		assert_text(record_text(r, SLOT_ft), t[i].frontend);
		assert_text(record_text(r, SLOT_b), t[i].backend ? t[i].backend : "");
		assert_text(record_text(r, SLOT_s), t[i].server ? t[i].server : "");
		assert_int_equal(record_num(r, SLOT_x_tls, -1), t[i].tls);
	}
	lines_free(&l);
}

/* ---- patterns -------------------------------------------------------------------------------- */

static void groups_of_a_pattern_are_fields(void **state)
{
	struct lines l;
	struct record *r;

	(void)state;
	lines_init(&l);
	lines_map(&l, "who", "enduser.id");
	lines_format(&l, "re:(?<ci>\\S+) (?<who>\\S+) \\[(?<tr>[^]]+)\\] (?<ft>\\S+) "
			 "(?<TR>-?\\d+)/(?<Ta>\\+?\\d+)"
			 "(?: (?<ts>\\S\\S))? \"(?<r>[^\"]*)\"(?: (?<note>.*))?");
	lines_start(&l, "UTC");
	r = lines_request(&l, "192.0.2.1 bob [21/Nov/2026:08:15:44.900] fe~ 5/+20 -- \"GET /x "
			      "HTTP/1.1\" hello");
	assert_text(record_text(r, SLOT_ci), "192.0.2.1");
	assert_text(record_text(r, SLOT_ft), "fe");
	assert_int_equal(record_num(r, SLOT_x_tls, 0), 1);
	assert_int_equal(record_num(r, SLOT_Ta, 0), 20);
	assert_true(record_plus(r, SLOT_Ta));
	assert_text(record_text(r, SLOT_ts), "--");
	assert_string_equal(lines_attr(&l, ROLE_SERVER, "enduser.id"), "bob");
	assert_string_equal(lines_attr(&l, ROLE_SERVER, "haproxy.log.note"), "hello");
	assert_string_equal(lines_attr(&l, ROLE_SERVER, "url.path"), "/x");
	r = lines_request(&l, "192.0.2.1 bob [21/Nov/2026:08:15:44.900] fe 5/20 \"GET /x "
			      "HTTP/1.1\"");
	assert_false(record_has(r, SLOT_ts));
	assert_false(record_plus(r, SLOT_Ta));
	assert_null(lines_attr(&l, ROLE_SERVER, "haproxy.log.note"));
	/* '-' is absent, as in a log-format */
	r = lines_request(&l, "- - [21/Nov/2026:08:15:44.900] fe 5/20 \"GET /x HTTP/1.1\" -");
	assert_false(record_has(r, SLOT_ci));
	assert_null(lines_attr(&l, ROLE_SERVER, "enduser.id"));
	assert_null(lines_attr(&l, ROLE_SERVER, "haproxy.log.note"));
	/* the pattern is the whole line, and a field must have its form */
	assert_int_equal(lines_parse(&l, "x 192.0.2.1 bob [21/Nov/2026:08:15:44.900] fe 5/20 \"GET "
					 "/x\""),
			 PARSED_REJECTED);
	assert_int_equal(lines_parse(&l, "192.0.2.1 bob [21/Nov/2026] fe 5/20 \"GET /x HTTP/1.1\""),
			 PARSED_REJECTED);
	assert_int_equal(lines_parse(&l, "example.org bob [21/Nov/2026:08:15:44.900] fe 5/20 \"GET "
					 "/x\""),
			 PARSED_REJECTED);
	lines_free(&l);
}

static void a_group_takes_only_what_its_field_can_be(void **state)
{
	static const struct {
		const char *group, *written;
		const char *value; /* NULL: the line is not of this format */
	} t[] = {
		{ "B", "68", "68" },
		{ "B", "-1", "-1" },
		{ "B", "68x", NULL },
		{ "B", "0x44", NULL },
		{ "cp", "443", "443" },
		{ "cp", "https", NULL },
		{ "ms", "007", "7" },
		{ "Ts", "1795248946", "1795248946" },
		{ "t", "21/Nov/2026:08:15:44.900", "1795248944900" },
		{ "t", "21/Nov/2026:08:15:44.90", NULL },
		{ "t", "31/Nov/2026:08:15:44.900", NULL },
		{ "T", "21/Nov/2026:08:15:44 +0000", "1795248944000" },
		{ "T", "21/Nov/2026:08:15:44 +000", NULL },
		{ "T", "21/Nov/2026:08:15:44 *0000", NULL },
		{ "tsc", "SD--", "SD--" },
		{ "ts", "SD", "SD" },
		{ "tsc", "SD-", NULL },
		{ "tsc", "XD--", NULL },
		{ "ci", "::1", "::1" },
		{ "ci", "unix", "unix" },
		{ "ci", "nowhere", NULL },
		{ "ft", "fe~", "fe" },
		{ "HU", "/a b", "/a b" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(t); i++) {
		char format[128], line[128];
		struct lines l;

		snprintf(format, sizeof(format), "re:(?<request_us>\\d+) (?<Ta>\\d+) (?<%s>.*)",
			 t[i].group);
		snprintf(line, sizeof(line), "1795248946641367 20 %s", t[i].written);
		lines_simple(&l, format);
		if (t[i].value) {
			struct record *r = lines_record(&l, line);

			check_field(&l, r, &(struct want){ t[i].group, t[i].value });
		} else if (lines_parse(&l, line) != PARSED_REJECTED) {
			fail_msg("taken: %s", line);
		}
		lines_free(&l);
	}
}

static void a_group_of_captures_is_split(void **state)
{
	struct lines l;
	struct record *r;

	(void)state;
	lines_simple(&l, "re:(?<tr>\\S+) (?<Ta>\\d+) (?<hr>\\S+) (?<hs>.*)");
	r = lines_record(&l, "21/Nov/2026:08:15:44.900 20 {a||c} 3|4");
	assert_string_equal(joined(&r->cap[CAPTURE_REQUEST]), "a,,c");
	assert_string_equal(joined(&r->cap[CAPTURE_RESPONSE]), "3,4");
	lines_free(&l);
}

/* ---- mistakes -------------------------------------------------------------------------------- */

static void a_mistake_names_its_column(void **state)
{
	static const struct {
		const char *format;
		unsigned column;  /* 0: nowhere in particular */
		const char *text; /* part of the message */
	} t[] = {
		{ "%ci %zz [%tr] %Ta", 5, "unknown alias '%zz'" },
		{ "%ci %TA [%tr] %Ta", 5, "did you mean %Ta?" },
		{ "%ci %CI [%tr] %Ta", 5, "did you mean %ci?" },
		{ "%ci %tR [%tr] %Ta", 5, "%Tr or %TR or %tr" },
		{ "%ci %aliasthatiswaytoolongtobeone [%tr] %Ta", 5, "'%aliasthatiswaytoolon'" },
		{ "%ci %trace_id [%tr] %Ta", 5, "unknown alias '%trace'" },
		{ "%ci %accept_us %Ta", 5, "unknown alias '%accept'" },
		{ "%ci %{+Q [%tr] %Ta", 6, "'{' is never closed" },
		{ "%ci %{+Q", 6, "'{' is never closed" },
		{ "%ci %{", 6, "expected '+' or '-'" },
		{ "%ci %(name", 6, "'(' is never closed" },
		{ "%ci %(name:str", 6, "'(' is never closed" },
		{ "%ci %[src", 6, "'[' is never closed" },
		{ "%ci %{+Q}[src", 10, "'[' is never closed" },
		{ "%ci %[] %Ta", 6, "expected a sample expression" },
		{ "%ci %{Q}f %Ta", 7, "expected '+' or '-'" },
		{ "%ci %{+Z}f %Ta", 7, "unknown flag" },
		{ "%ci %{+Q,-Y}f %Ta", 10, "unknown flag" },
		{ "%ci %{+}f %Ta", 7, "unknown flag" },
		{ "%ci %(n:int)f %Ta", 9, "unknown type" },
		{ "%ci %", 5, "expected an alias" },
		{ "%ci % f", 5, "expected an alias" },
		{ "%ci %{+Q} f", 5, "expected an alias" },
		{ "%ci %-f", 5, "expected an alias" },
		{ "%tr %Ta %b%s", 11, "border" },
		{ "%tr %Ta %b%[src] %s", 11, "border" },
		{ "%tr %Ta %[var(a)]%[var(b)]", 18, "border" },
		{ "%tr %Ta %ci%cp", 12, "border" },
		{ "%tr %Ta %ST%B", 12, "border" },
		{ "%tr %Ta %ST%ci", 12, "border" },
		{ "%tr %Ta %ST%ci:%cp", 12, "border" },
		{ "%tr %Ta%t", 8, "border" },
		{ "%tr %Ta%T", 8, "border" },
		{ "%tr %Ta %{+X}pid%{+X}rt", 17, "border" },
		{ "%tr %Ta %{+X}ci%s x", 16, "border" },
		{ "%tr %Ta %ST%s x", 12, "border" },
		{ "%tr %Ta %ST%[var(x)] x", 12, "border" },
		{ "%tr %Ta%HU", 8, "border" },
		{ "%tr %Ta %hrl", 9, "how many captures?" },
		{ "%tr %Ta %hsl", 9, "how many captures?" },
		{ "%ci %f %Ta", 1, "no date" },
		{ "%ci %f %tr", 1, "no duration" },
		{ "%ci %f %t %TR/%Tw/%Tc", 1, "no duration" },
		{ "100%%", 1, "no field at all" },
		{ "%{+Q}o %%", 1, "no field at all" },
		/* what stands around it in haproxy.cfg */
		{ "log-format %ci [%tr] %Ta", 1, "without the keyword" },
		{ "error-log-format %ci [%tr] %Ta", 1, "without the keyword" },
		{ "\"%ci [%tr] %Ta\"", 1, "without the quotes" },
		{ "'%ci [%tr] %Ta'", 1, "without the quotes" },
		/* names */
		{ "httplogs", 1, "no format has this name" },
		{ "", 1, "no format has this name" },
		{ "/nonexistent/formats", 1, "no format has this name" },
		/* patterns: where PCRE2 stopped */
		{ "re:(?<TR>\\d+", 13, "missing closing parenthesis" },
		{ "re:(?<TR>[0-9)", 15, "missing terminating ]" },
		{ "re:a{2,1}(?<TR>x)", 9, "numbers out of order" },
		{ "re:(\\d+) (.*)", 1, "no named group" },
		{ "re:(?<TR>\\d+)", 1, "no date" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(t); i++) {
		struct lines l;
		struct err err;

		lines_init(&l);
		if (lines_try_format(&l, t[i].format, &err))
			fail_msg("taken: %s", t[i].format);
		assert_int_equal(err.code, EXIT_CONFIG);
		if (!strstr(err.text, t[i].text))
			fail_msg("%s: %s", t[i].format, err.text);
		if (err.column != t[i].column)
			fail_msg("%s: column %u: %s", t[i].format, err.column, err.text);
		assert_int_equal(err.caret, err.column - 1);
		assert_int_equal(l.formats.n, 0);
		lines_free(&l);
	}
}

static char *repeated(const char *head, const char *item, unsigned n)
{
	size_t size = strlen(head) + strlen(item) * n + 1, at;
	char *text = malloc(size);

	assert_non_null(text);
	at = (size_t)snprintf(text, size, "%s", head);
	while (n--)
		at += (size_t)snprintf(text + at, size - at, "%s", item);
	return text;
}

static void a_format_has_its_limits(void **state)
{
	static const struct {
		const char *head, *item;
		unsigned n;
		const char *text; /* NULL: fits */
	} t[] = {
		{ "%tr %Ta", " %ST", INSNS_MAX - 4, NULL },
		{ "%tr %Ta", " %ST", INSNS_MAX, "too many fields in one format" },
		{ "%tr %Ta", " %[var(x)]", EXTRAS_MAX, NULL },
		{ "%tr %Ta", " %[var(x)]", EXTRAS_MAX + 1, "too many fields of unknown meaning" },
		{ "%tr %Ta ", "x", FORMAT_TEXT_MAX - 8, NULL },
		{ "%tr %Ta ", "x", FORMAT_TEXT_MAX - 7, "too long" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(t); i++) {
		char *text = repeated(t[i].head, t[i].item, t[i].n);
		struct lines l;
		struct err err;

		lines_init(&l);
		assert_int_equal(lines_try_format(&l, text, &err), t[i].text == NULL);
		if (t[i].text)
			assert_non_null(strstr(err.text, t[i].text));
		lines_free(&l);
		free(text);
	}
}

static void a_mistake_far_into_a_format_is_quoted_around_its_place(void **state)
{
	char *text = repeated("%tr %Ta", " %ST", 100);
	struct lines l;
	struct err err;

	(void)state;
	memcpy(text + 7 + 4 * 50, " %zz", 4);
	lines_init(&l);
	assert_false(lines_try_format(&l, text, &err));
	assert_int_equal(err.column, 7 + 4 * 50 + 2);
	assert_int_equal(strncmp(err.quoted + err.caret, "%zz", 3), 0);
	assert_true(strlen(err.quoted) <= 100);
	lines_free(&l);
	free(text);
}

static void a_file_holds_a_format_a_line(void **state)
{
	static const char text[] = "# ours\n\n%ci [%tr] %Ta\r\nre:(?<tr>\\S+) (?<Ta>\\d+)\n   "
				   "\n%tr %Tt %zz\n";
	char path[] = P_tmpdir "/haspan-test-XXXXXX";
	int fd = mkstemp(path);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
	struct lines l;
	struct err err;

	(void)state;
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	lines_init(&l);
	assert_false(lines_try_format(&l, path, &err));
	assert_int_equal(l.formats.n, 2);
	assert_int_equal(err.line, 6);
	assert_int_equal(err.column, 9);
	assert_string_equal(err.where, path);
	assert_text(l.formats.v[0]->text, "%ci [%tr] %Ta");
	lines_start(&l, "UTC");
	lines_record(&l, "192.0.2.1 [21/Nov/2026:08:15:44.900] 10");
	lines_record(&l, "21/Nov/2026:08:15:44.900 10");
	lines_free(&l);
	remove(path);
}

static void the_samples_of_the_built_in_formats_are_read_by_them(void **state)
{
	static const struct {
		const char *name, *sample;
		int automatic;
	} t[] = {
#define BUILTIN(name, automatic, since, text, sample) { name, sample, automatic },
#include "formats/builtin.def"
#undef BUILTIN
	};
	struct lines all;

	(void)state;
	lines_simple(&all, "auto");
	for (size_t i = 0; i < COUNT(t); i++) {
		struct lines l;

		lines_simple(&l, t[i].name);
		lines_record(&l, t[i].sample);
		lines_free(&l);
		if (t[i].automatic)
			assert_text(lines_record(&all, t[i].sample)->format->name, t[i].name);
	}
	lines_free(&all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(there_are_65_aliases_and_the_table_has_them_all),
		cmocka_unit_test(every_alias_is_read_back),
		cmocka_unit_test(under_q_text_is_quoted_and_numbers_are_not),
		cmocka_unit_test(old_spellings_mean_their_successors),
		cmocka_unit_test(hexadecimal_is_for_addresses_ports_and_counters_alone),
		cmocka_unit_test(quotes_stand_around_text_and_around_every_expression),
		cmocka_unit_test(escapes_of_the_e_flag_are_undone),
		cmocka_unit_test(a_plus_may_stand_before_numbers),
		cmocka_unit_test(literals_are_what_haproxy_writes_of_them),
		cmocka_unit_test(a_line_must_fit_from_its_first_byte_to_its_last),
		cmocka_unit_test(a_termination_state_has_haproxys_letters),
		cmocka_unit_test(a_blank_may_be_missing_at_the_end),
		cmocka_unit_test(expressions_are_known_by_what_they_fetch),
		cmocka_unit_test(what_nobody_knows_becomes_an_attribute_of_its_own),
		cmocka_unit_test(map_names_expressions_names_and_aliases_of_groups),
		cmocka_unit_test(capture_blocks_may_be_missing),
		cmocka_unit_test(captures_have_the_names_that_the_user_gave),
		cmocka_unit_test(lists_of_captures_end_by_their_quotes_or_their_number),
		cmocka_unit_test(single_captures_are_captures),
		cmocka_unit_test(a_raw_field_may_hold_its_own_terminator),
		cmocka_unit_test(fields_read_on_the_way_to_a_dead_end_are_forgotten),
		cmocka_unit_test(addresses_are_split_from_the_right),
		cmocka_unit_test(names_of_proxies_and_servers_are_split_at_the_first_slash),
		cmocka_unit_test(groups_of_a_pattern_are_fields),
		cmocka_unit_test(a_group_takes_only_what_its_field_can_be),
		cmocka_unit_test(a_group_of_captures_is_split),
		cmocka_unit_test(a_mistake_names_its_column),
		cmocka_unit_test(a_format_has_its_limits),
		cmocka_unit_test(a_mistake_far_into_a_format_is_quoted_around_its_place),
		cmocka_unit_test(a_file_holds_a_format_a_line),
		cmocka_unit_test(the_samples_of_the_built_in_formats_are_read_by_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
