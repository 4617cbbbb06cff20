/*
 * Lines whose fields have names: formats of %{+json}o and %{+cbor}o, hand-written JSON, and lines that nobody described.
 */
#include "lines.h"

static struct lines l;

#define ENCODED "%{+json}o %(ip)ci %(port)cp %(time)tr %(fe)ft %(be)b %(srv)s %(TR)TR %(Tr)Tr %(Ta)Ta %(st)ST %(term)tsc " \
		"%(id)ID %(m)HM %(path)HP %(tp)[var(txn.tp)] %(n:sint)[rand] %(ok:bool)[ssl_fc] %(hrl)hrl %(rc)rc"
#define LINE "{\"ip\": \"192.0.2.1\", \"port\": 4000, \"time\": \"21/Nov/2026:08:15:44.900\", \"fe\": \"web~\", \"be\": \"app\", " \
	     "\"srv\": \"s1\", \"TR\": 0, \"Tr\": -1, \"Ta\": 20, \"st\": 200, \"term\": \"----\", \"id\": \"a\\\\b\\\"c\", \"m\": \"GET\", " \
	     "\"path\": \"/x#22\", \"tp\": \"\", \"n\": 42, \"ok\": true, \"hrl\": [\"h#7Ba\", \"-\"], \"rc\": 3}"

static int64_t num(enum slot s)
{
	assert_true(record_has(&l.parser.rec, s));
	return l.parser.rec.v[s].num;
}

static const char *text(enum slot s)
{
	return lines_text(record_text(&l.parser.rec, s));
}

static const char *attr(const char *key)
{
	return lines_attr(&l, ROLE_SERVER, key);
}

static void rejected(const char *line)
{
	if (lines_parse(&l, line) != PARSED_REJECTED)
		fail_msg("not rejected: %s", line);
}

/* Hexadecimal digits as bytes; returns how many. */
static size_t bytes_of(const char *hex, char *out)
{
	size_t n = 0;

	for (; hex[0]; hex += 2) {
		unsigned byte;

		assert_int_equal(sscanf(hex, "%2x", &byte), 1);
		out[n++] = (char)byte;
	}
	return n;
}

/* ---- formats --------------------------------------------------------------------------------- */

static void named_items_are_read_by_their_aliases(void **state)
{
	(void)state;
	lines_simple(&l, ENCODED);
	lines_request(&l, LINE);
	assert_string_equal(text(SLOT_ci), "192.0.2.1");
	assert_int_equal(num(SLOT_cp), 4000);
	assert_string_equal(text(SLOT_ft), "web");
	assert_int_equal(num(SLOT_x_tls), 1);
	assert_int_equal(num(SLOT_Tr), -1);
	assert_int_equal(num(SLOT_Ta), 20);
	assert_int_equal(num(SLOT_rc), 3);
	assert_string_equal(text(SLOT_tsc), "----");
	assert_string_equal(text(SLOT_ID), "a\\b\"c");
	assert_string_equal(text(SLOT_HP), "/x\"");
	assert_string_equal(attr("haproxy.log.n"), "42");
	assert_string_equal(attr("haproxy.log.ok"), "true");
	assert_null(attr("haproxy.log.tp"));
	assert_int_equal(l.parser.rec.cap[CAPTURE_REQUEST].n, 2);
	assert_text(l.parser.rec.cap[CAPTURE_REQUEST].v[0], "h{a");
	assert_int_equal(l.parser.rec.cap[CAPTURE_REQUEST].v[1].len, 0);
	lines_free(&l);
}

static void absent_values_are_empty_texts_and_null(void **state)
{
	(void)state;
	lines_simple(&l, "%{+json}o %(t)tr %(Ta)Ta %(bp)bp %(ci)ci %(hr)hr %(hs)hs %(x:sint)[rand] %(tsc)tsc");
	lines_request(&l, "{\"t\": \"21/Nov/2026:08:15:44.900\", \"Ta\": 5, \"bp\": \"\", \"ci\": \"\", \"hr\": null, "
			  "\"hs\": \"{a|}\", \"x\": \"\", \"tsc\": \"-\"}");
	assert_false(record_has(&l.parser.rec, SLOT_bp));
	assert_false(record_has(&l.parser.rec, SLOT_ci));
	assert_false(record_has(&l.parser.rec, SLOT_tsc));
	assert_int_equal(l.parser.rec.cap[CAPTURE_REQUEST].n, 0);
	assert_int_equal(l.parser.rec.cap[CAPTURE_RESPONSE].n, 2);
	assert_null(attr("haproxy.log.x"));
	lines_free(&l);
}

static void what_a_relay_did_to_a_line_does_not_matter(void **state)
{
	(void)state;
	lines_simple(&l, "%{+json}o %(t)tr %(Ta)Ta %(ST)ST %(ci)ci %(path)HU");
	/* another order, other spacing, further members, numbers as strings and as floating point, escapes */
	lines_request(&l, " {\"host\":\"lb\",\"path\":\"\\/\\u00e9\\ud83d\\ude00\\ud83d\",\"ST\":\"200\",\"extra\":{\"a\":[1,{}]},"
			  "\"Ta\":20.0,\"ci\":null,\"t\":\"21\\/Nov\\/2026:08:15:44.900\"} ");
	assert_int_equal(num(SLOT_ST), 200);
	assert_int_equal(num(SLOT_Ta), 20);
	assert_string_equal(text(SLOT_HU), "/\xc3\xa9\xf0\x9f\x98\x80\xef\xbf\xbd");
	assert_int_equal(num(SLOT_tr), INT64_C(1795248944900));
	assert_null(attr("haproxy.log.host"));
	rejected("{\"t\":\"21/Nov/2026:08:15:44.900\",\"Ta\":\"soon\",\"ST\":200,\"ci\":null,\"path\":\"/\"}");
	rejected("{\"t\":\"21/Nov/2026:08:15:44.900\",\"ST\":200,\"ci\":null,\"path\":\"/\"}");
	rejected("{\"t\":\"21/Nov/2026:08:15:44.900\",\"Ta\":1,\"ST\":200,\"ci\":null,\"path\":\"/\"}}");
	lines_free(&l);
}

static void the_format_that_knows_most_members_is_the_one(void **state)
{
	(void)state;
	lines_init(&l);
	lines_format(&l, "%{+json}o %(t)tr %(Ta)Ta %(a)ci %(x)[var(a)]");
	lines_format(&l, "%{+json}o %(t)tr %(Ta)Ta %(a)ci %(b)si %(y)[var(b)]");
	lines_start(&l, "UTC");
	lines_request(&l, "{\"t\": \"21/Nov/2026:08:15:44.900\", \"Ta\": 1, \"a\": \"1.1.1.1\", \"b\": \"2.2.2.2\", \"y\": \"z\"}");
	assert_text(l.parser.rec.format->name, "format 2");
	lines_request(&l, "{\"y\": \"z\", \"t\": \"21/Nov/2026:08:15:44.900\", \"Ta\": 1, \"a\": \"1.1.1.1\", \"b\": \"2.2.2.2\"}");
	assert_text(l.parser.rec.format->name, "format 2");
	lines_request(&l, "{\"x\": \"z\", \"t\": \"21/Nov/2026:08:15:44.900\", \"Ta\": 1, \"a\": \"1.1.1.1\"}");
	assert_text(l.parser.rec.format->name, "format 1");
	lines_free(&l);
}

static void items_of_one_name_follow_each_other(void **state)
{
	(void)state;
	lines_simple(&l, "%{+json}o %(t)tr %(Ta)Ta %(x)ci %(x)cp");
	lines_request(&l, "{\"t\": \"21/Nov/2026:08:15:44.900\", \"Ta\": 1, \"x\": \"1.1.1.1\", \"x\": 80}");
	assert_string_equal(text(SLOT_ci), "1.1.1.1");
	assert_int_equal(num(SLOT_cp), 80);
	lines_free(&l);
}

static void items_without_a_name_are_not_written(void **state)
{
	struct err err;

	(void)state;
	lines_simple(&l, "%{+json}o %ci text %(t)tr %[rand] %(Ta)Ta %ST");
	lines_request(&l, "{\"t\": \"21/Nov/2026:08:15:44.900\", \"Ta\": 1}");
	assert_int_equal(num(SLOT_Ta), 1);
	assert_false(lines_try_format(&l, "%{+json}o %ci %tr %Ta", &err));
	assert_non_null(strstr(err.text, "no field has a name"));
	assert_false(lines_try_format(&l, "%tr %{+json}o %(Ta)Ta", &err));
	assert_int_equal(err.column, 5);
	assert_false(lines_try_format(&l, "%tr %{+cbor}[src] %Ta", &err));
	assert_non_null(strstr(err.text, "CBOR is for the whole line"));
	lines_free(&l);
}

static void a_single_item_can_be_json_in_a_text(void **state)
{
	(void)state;
	lines_simple(&l, "%{+json}ci %{+json}cp [%tr] %{+json}HU %(a:str){+json}[var(a)] %(n:sint){+json}[rand] %Ta");
	lines_request(&l, "\"192.0.2.1\" 4000 [21/Nov/2026:08:15:44.900] \"/a\\\"b\\\\c\" \"x \\\"y\\\"\" 42 7");
	assert_string_equal(text(SLOT_ci), "192.0.2.1");
	assert_int_equal(num(SLOT_cp), 4000);
	assert_string_equal(text(SLOT_HU), "/a\"b\\c");
	assert_string_equal(attr("haproxy.log.a"), "x \"y\"");
	assert_string_equal(attr("haproxy.log.n"), "42");
	lines_request(&l, "\"\" \"\" [21/Nov/2026:08:15:44.900] \"\" \"\" \"\" 7");
	assert_false(record_has(&l.parser.rec, SLOT_cp));
	assert_null(attr("haproxy.log.a"));
	lines_free(&l);
}

static void a_hand_written_text_is_understood_in_any_spelling(void **state)
{
	(void)state;
	lines_simple(&l, "{\"time\":\"%tr\",\"net\":{\"ip\":\"%ci\",\"port\":%cp,\"to\":\"%si:%sp\"},\"t\":[%TR,%Tw,%Tc,%Tr],\"Ta\":%Ta,"
			 "\"path\":\"%[capture.req.uri,json(utf8s)]\",\"who\":\"haproxy %pid\",\"x\":\"%[var(x)]\"}");
	/* As HAProxy wrote it, a raw quote in a value included. */
	lines_request(&l, "{\"time\":\"21/Nov/2026:08:15:44.900\",\"net\":{\"ip\":\"1.1.1.1\",\"port\":80,\"to\":\"2.2.2.2:81\"},"
			  "\"t\":[0,1,2,3],\"Ta\":9,\"path\":\"\\/a\",\"who\":\"haproxy 7\",\"x\":\"a \"b\\n\"}");
	assert_string_equal(attr("haproxy.log.var_x"), "a \"b\\n");
	assert_string_equal(text(SLOT_HU), "/a");
	/* As a relay writes it. */
	lines_request(&l, "{ \"x\": \"a\\\\n\", \"Ta\": \"9\", \"t\": [ 0, 1, 2, 3 ], \"net\": { \"to\": \"2.2.2.2:81\", \"port\": null, "
			  "\"ip\": \"1.1.1.1\" }, \"path\": \"\\/a\\\\b\", \"time\": \"21/Nov/2026:08:15:44.900\", \"who\": \"?\" }");
	assert_string_equal(attr("haproxy.log.var_x"), "a\\n");
	assert_string_equal(text(SLOT_HU), "/a\\b");
	assert_string_equal(text(SLOT_ci), "1.1.1.1");
	assert_string_equal(text(SLOT_si), "2.2.2.2");
	assert_int_equal(num(SLOT_sp), 81);
	assert_int_equal(num(SLOT_Tc), 2);
	assert_int_equal(num(SLOT_Ta), 9);
	assert_false(record_has(&l.parser.rec, SLOT_cp));
	lines_free(&l);
}

/* ---- cut lines ------------------------------------------------------------------------------- */

static void a_cut_object_gives_what_it_holds(void **state)
{
	static const char line[] = "{\"t\": \"21/Nov/2026:08:15:44.900\", \"Ta\": 20, \"path\": \"/abc\\u00e9\", \"ST\": 200}";

	(void)state;
	lines_simple(&l, "%{+json}o %(t)tr %(Ta)Ta %(path)HU %(ST)ST");
	for (size_t n = 0; n < sizeof(line) - 1; n++) {
		enum parsed parsed = lines_parse_n(&l, line, n);

		/* The date and the time are there from this comma on. */
		if (n < strstr(line, ", \"path") - line + 1ul) {
			assert_int_equal(parsed, n ? PARSED_REJECTED : PARSED_OTHER);
			continue;
		}
		assert_int_equal(parsed, PARSED_REQUEST);
		assert_true(l.parser.rec.flags & RECORD_TRUNCATED);
		assert_int_equal(num(SLOT_Ta), 20);
		assert_false(record_has(&l.parser.rec, SLOT_ST));
		if (record_has(&l.parser.rec, SLOT_HU))
			assert_true(slice_starts(SLICE("/abc\xc3\xa9"), record_text(&l.parser.rec, SLOT_HU)));
	}
	lines_request(&l, line);
	assert_string_equal(text(SLOT_HU), "/abc\xc3\xa9");
	lines_free(&l);
}

/* ---- CBOR ------------------------------------------------------------------------------------ */

static void both(const char *hex)
{
	static char raw[4096];

	lines_request(&l, hex);
	if (lines_parse_n(&l, raw, bytes_of(hex, raw)) != PARSED_REQUEST)
		fail_msg("not as bytes: %s", hex);
	rebuild(&l.rebuilder, &l.parser.rec, &l.frame, &l.trace);
}

/* "t": "21/Nov/2026:08:15:44.900" */
#define CBOR_T "6174781832312F4E6F762F323032363A30383A31353A34342E393030"

static void cbor_is_read_as_digits_and_as_bytes(void **state)
{
	(void)state;
	lines_simple(&l, "%{+cbor}o %(t)tr %(Ta)Ta %(Tr)Tr %(path)HP %(ok:bool)[ssl_fc] %(ci)ci %(hrl)hrl %(bin)[rand] "
			 "%(us)[accept_date(us)]");
	both("BF" CBOR_T "625461" "191388" "625472" "20" "6470617468" "7F622F61" "6323374" "2" "6162FF" "626F6B" "F5" "626369"
	     "F6" "6368726C" "9F7F616163233743FF612DFF" "6362696E" "5F41004200FFFF" "627573" "1B000660C4F7A4E81B" "FF");
	assert_int_equal(num(SLOT_Ta), 5000);
	assert_int_equal(num(SLOT_Tr), -1);
	assert_string_equal(text(SLOT_HP), "/a{b");
	assert_string_equal(attr("haproxy.log.ok"), "true");
	assert_string_equal(attr("haproxy.log.bin"), "0000FF");
	assert_int_equal(num(SLOT_accept_us), INT64_C(0x000660C4F7A4E81B));
	assert_false(record_has(&l.parser.rec, SLOT_ci));
	assert_int_equal(l.parser.rec.cap[CAPTURE_REQUEST].n, 2);
	assert_text(l.parser.rec.cap[CAPTURE_REQUEST].v[0], "a|");
	lines_free(&l);
}

static void all_of_cbor_is_known(void **state)
{
	(void)state;
	lines_simple(&l, "cbor");
	/* a map of a known length; tags, floats, undefined, a map and an array inside, lower-case digits */
	both("ab" "6174" "c0" "781832312f4e6f762f323032363a30383a31353a34342e393030" "625461" "05" "6161" "f93e00" "6171" "fa3fc00000"
	     "6163" "fb3ff8000000000000" "6164" "f7" "6165" "a16178820102" "6166" "f4" "6167" "3903e7" "6168" "1bffffffffffffffff"
	     "6169" "60");
	assert_string_equal(attr("haproxy.log.a"), "1.5");
	assert_string_equal(attr("haproxy.log.q"), "1.5");
	assert_string_equal(attr("haproxy.log.c"), "1.5");
	assert_null(attr("haproxy.log.d"));
	assert_string_equal(attr("haproxy.log.e.x.1"), "2");
	assert_string_equal(attr("haproxy.log.g"), "-1000");
	assert_null(attr("haproxy.log.h"));
	assert_null(attr("haproxy.log.i"));
	lines_free(&l);
}

static void broken_cbor_is_rejected(void **state)
{
	static const char *const lines[] = {
		"BF", "BFFF", "BF" CBOR_T "625461" "05" "FF00", "BF" CBOR_T "625461" "05" "01" "02" "FF", "BF" CBOR_T "625461" "05FG",
		"BF" CBOR_T "625461" "1C" "FF", "BF" CBOR_T "625461" "7F01FF" "FF", "BF" CBOR_T "625461" "1FFF", "9F01FF",
		"BF" CBOR_T "625461" "05" "6178" "DFFF",
	};
	static char deep[4096];
	char raw[64];

	(void)state;
	lines_simple(&l, "cbor");
	for (size_t i = 0; i < COUNT(lines); i++)
		rejected(lines[i]);
	strcpy(deep, "BF" CBOR_T "625461" "05" "6178");
	memset(deep + strlen(deep), '8', 2);
	for (int k = 0; k < 200; k++)
		strcat(deep, "81");
	rejected(deep);
	/* a string of 2^63 bytes */
	assert_int_equal(lines_parse_n(&l, raw, bytes_of("BF61747B7FFFFFFFFFFFFFFF61", raw)), PARSED_REJECTED);
	lines_free(&l);
}

static void cut_cbor_gives_what_it_holds(void **state)
{
	static const char line[] = "BF" CBOR_T "625461" "1914" "6470617468" "7F622F616162FF" "FF";

	(void)state;
	lines_simple(&l, "%{+cbor}o %(t)tr %(Ta)Ta %(path)HP");
	lines_parse(&l, "BF" CBOR_T "625461" "14" "6470617468" "7F622F616162");
	assert_true(l.parser.rec.flags & RECORD_TRUNCATED);
	assert_string_equal(text(SLOT_HP), "/ab");
	lines_parse(&l, "BF" CBOR_T "625461" "14" "6470617468" "7F622F616");
	assert_true(l.parser.rec.flags & RECORD_TRUNCATED);
	assert_string_equal(text(SLOT_HP), "/a");
	for (size_t n = 0; n < sizeof(line); n++)
		(void)lines_parse_n(&l, line, n);
	lines_free(&l);
}

/* ---- words ----------------------------------------------------------------------------------- */

static void names_that_people_use_are_understood(void **state)
{
	(void)state;
	lines_simple(&l, "auto");
	lines_request(&l, "{\"haproxy_clientIP\":\"192.0.2.1\",\"client-port\":\"4000\",\"timestamp\":1795248944,\"http_status\":200,"
			  "\"http_request\":\"GET /x HTTP/1.1\",\"upstream_response_time\":\"7\",\"session_duration\":\"22\","
			  "\"backend_name\":\"app\",\"termination_state\":\"--\",\"bytes_read\":68,\"queue_time_ms\":3}");
	assert_string_equal(text(SLOT_ci), "192.0.2.1");
	assert_int_equal(num(SLOT_cp), 4000);
	assert_int_equal(num(SLOT_ST), 200);
	assert_int_equal(num(SLOT_Tr), 7);
	assert_int_equal(num(SLOT_Tt), 22);
	assert_int_equal(num(SLOT_Tw), 3);
	assert_string_equal(text(SLOT_b), "app");
	assert_string_equal(text(SLOT_x_path), "/x");
	assert_int_equal(l.trace.span[0].start_ns, UINT64_C(1795248944000000000));
	/* nested, as haproxy-ingress is often set up */
	lines_request(&l, "{\"time\":\"21/Nov/2026:08:15:44 +0000\",\"haproxy\":{\"conn\":{\"fe\":2},\"time\":{\"tq\":1,\"tr\":20,"
			  "\"tt\":22},\"network\":{\"client_ip\":\"192.0.2.1\"},\"name\":{\"backend\":\"be\",\"frontend\":\"fe~\"},"
			  "\"response\":{\"status_code\":503,\"header\":{\"x\":\"y\"}}}}");
	assert_int_equal(num(SLOT_Tr), 20);
	assert_int_equal(num(SLOT_Tq), 1);
	assert_int_equal(num(SLOT_fc), 2);
	assert_int_equal(num(SLOT_ST), 503);
	assert_string_equal(text(SLOT_ft), "fe");
	assert_string_equal(text(SLOT_ci), "192.0.2.1");
	assert_string_equal(attr("haproxy.log.haproxy.response.header.x"), "y");
	lines_free(&l);
}

static void a_name_counts_only_if_the_value_has_its_form(void **state)
{
	(void)state;
	lines_simple(&l, "auto");
	lines_request(&l, "{\"t\":\"21/Nov/2026:08:15:44.900\",\"Ta\":22,\"status\":\"ok\",\"rt\":\"fast\",\"server\":\"no name\","
			  "\"id\":\"with blanks\",\"trace_id\":\"short\",\"uri\":\"none\",\"ts\":\"yesterday\",\"client\":\"me\",\"x\":true}");
	assert_false(record_has(&l.parser.rec, SLOT_ST));
	assert_string_equal(attr("haproxy.log.status"), "ok");
	assert_string_equal(attr("haproxy.log.rt"), "fast");
	assert_string_equal(attr("haproxy.log.server"), "no name");
	assert_string_equal(text(SLOT_ID), "with blanks");
	assert_string_equal(attr("haproxy.log.trace_id"), "short");
	assert_string_equal(attr("haproxy.log.uri"), "none");
	assert_string_equal(attr("haproxy.log.ts"), "yesterday");
	assert_string_equal(attr("haproxy.log.client"), "me");
	assert_string_equal(attr("haproxy.log.x"), "true");
	lines_free(&l);
}

static void a_date_may_have_any_form(void **state)
{
	static const struct { const char *value; uint64_t ns; } row[] = {
		{ "\"21/Nov/2026:08:15:44.900\"", UINT64_C(1795248944900000000) },
		{ "\"21/Nov/2026:08:15:44 +0000\"", UINT64_C(1795248944000000000) },
		{ "\"2026-11-21T08:15:44.900123Z\"", UINT64_C(1795248944900123000) },
		{ "\"2026-11-21T10:15:44+02:00\"", UINT64_C(1795248944000000000) },
		{ "1795248944900123", UINT64_C(1795248944900123000) },
		{ "1795248944900", UINT64_C(1795248944900000000) },
		{ "1795248944.9", UINT64_C(1795248944900000000) },
		{ "\"1795248944\"", UINT64_C(1795248944000000000) },
	};
	static const char *const names[] = { "time", "ts", "t", "tr", "rt", "timestamp", "@timestamp", "request_time" };
	char line[256];

	(void)state;
	lines_simple(&l, "auto");
	for (size_t i = 0; i < COUNT(row); i++)
		for (size_t k = 0; k < COUNT(names); k++)
			for (int tcp = 0; tcp < 2; tcp++) {
				/* ten digits of %rt are the counter that it is */
				if (!strcmp(names[k], "rt") && i == 7)
					continue;
				snprintf(line, sizeof(line), "{\"%s\":%s,\"%s\":22}", names[k], row[i].value, tcp ? "Tt" : "Ta");
				lines_request(&l, line);
				assert_int_equal(l.parser.rec.format->mode, tcp ? MODE_TCP : MODE_HTTP);
				if (l.trace.span[0].start_ns != row[i].ns)
					fail_msg("%s: %llu", line, (unsigned long long)l.trace.span[0].start_ns);
				assert_int_equal(l.trace.span[0].end_ns, row[i].ns + 22000000);
			}
	lines_free(&l);
}

static void a_line_without_date_or_duration_is_no_request(void **state)
{
	(void)state;
	lines_simple(&l, "auto");
	rejected("{\"time\":\"21/Nov/2026:08:15:44.900\",\"status\":200}");
	rejected("{\"Ta\":5,\"status\":200}");
	rejected("{}");
	rejected("{\"log\":\"x\",\"stream\":\"stdout\",\"time\":\"2026-11-21T08:15:44.9Z\"}");
	rejected("level=info msg=\"started\" time=2026-11-21T08:15:44.9Z");
	rejected("what = this?");
	lines_free(&l);
}

static void a_step_of_a_request_is_one_without_a_duration(void **state)
{
	(void)state;
	lines_simple(&l, "auto");
	lines_record(&l, "{\"step\": \"txn_accept\", \"id\": \"a\", \"ci\": \"1.1.1.1\", \"at\": 1795248948380021}");
	assert_string_equal(text(SLOT_OG), "txn_accept");
	assert_int_equal(num(SLOT_accept_us), INT64_C(1795248948380021));
	assert_int_equal(l.parser.rec.format->mode, MODE_HTTP);
	lines_record(&l, "{\"step\": \"http-req\", \"id\": \"a\", \"now\": 1795248948380021}");
	assert_int_equal(num(SLOT_end_us), INT64_C(1795248948380021));
	lines_record(&l, "{\"step\": \"error\", \"id\": \"a\"}");
	assert_int_equal(l.parser.rec.format->mode, MODE_ERROR);
	lines_record(&l, "{\"step\": \"txn_accept\", \"ci\": \"1.1.1.1\"}");	/* of whom, reconstruct/ will ask */
	rejected("{\"step\": \"txn\", \"id\": \"a\", \"ci\": \"1.1.1.1\"}");
	lines_free(&l);
}

static void what_a_line_lacks_its_format_lacks(void **state)
{
	(void)state;
	lines_simple(&l, "auto");
	/* Tq without TR: the old timers; TR without Tq: the new ones. */
	lines_request(&l, "{\"t\":\"21/Nov/2026:08:15:44.900\",\"Tq\":5,\"Tw\":0,\"Tc\":1,\"Tr\":4,\"Tt\":22,\"s\":\"s1\",\"ST\":200}");
	assert_false(format_has(l.parser.rec.format, SLOT_TR));
	assert_int_equal(lines_span(&l, ROLE_SERVER)->start_ns + 5000000, lines_span(&l, ROLE_CLIENT)->start_ns);
	lines_request(&l, "{\"tr\":\"21/Nov/2026:08:15:44.900\",\"Ta\":22,\"ST\":200,\"si\":\"2.2.2.2\",\"Tc\":1}");
	assert_non_null(lines_span(&l, ROLE_CLIENT));	/* a server without a name */
	assert_string_equal(lines_attr(&l, ROLE_CLIENT, "http.response.status_code"), "200");
	lines_free(&l);
}

static void the_user_names_members_too(void **state)
{
	(void)state;
	lines_init(&l);
	lines_map(&l, "took", "Ta");
	lines_map(&l, "tenant", "tenant.id");
	lines_map(&l, "noise", "nothing");
	lines_captures(&l, CAPTURE_REQUEST, "host,x-a");
	lines_format(&l, "auto");
	lines_start(&l, "UTC");
	lines_request(&l, "{\"time\":\"21/Nov/2026:08:15:44.900\",\"took\":22,\"tenant\":\"acme\",\"noise\":\"x\",\"hrl\":[\"h\",\"y\"]}");
	assert_int_equal(num(SLOT_Ta), 22);
	assert_string_equal(attr("tenant.id"), "acme");
	assert_null(attr("haproxy.log.noise"));
	assert_string_equal(attr("http.request.header.x-a"), "[y]");
	assert_string_equal(attr("server.address"), "h");
	lines_free(&l);
}

static void members_without_a_meaning_are_bounded(void **state)
{
	static char line[200000];
	size_t n = (size_t)sprintf(line, "{\"t\":\"21/Nov/2026:08:15:44.900\",\"Ta\":22,\"origin\":\"a b\"");

	(void)state;
	for (int i = 0; i < 5000; i++)
		n += (size_t)sprintf(line + n, ",\"m%d\":%d", i, i);
	n += (size_t)sprintf(line + n, "}");
	lines_simple(&l, "auto");
	lines_request(&l, line);
	assert_string_equal(attr("haproxy.log.origin_"), "a b");
	assert_string_equal(attr("haproxy.log.m0"), "0");
	assert_string_equal(attr("haproxy.log.m29"), "29");
	assert_null(attr("haproxy.log.m30"));
	assert_string_equal(attr("haspan.dropped_members"), "4970");
	/* One name twice is one attribute. */
	lines_request(&l, "{\"t\":\"21/Nov/2026:08:15:44.900\",\"Ta\":22,\"a b\":1,\"a?b\":2}");
	assert_int_equal(l.parser.rec.npairs, 1);
	assert_string_equal(attr("haproxy.log.a_b"), "2");
	lines_free(&l);
}

static void keys_and_paths_of_any_length_are_survived(void **state)
{
	static char line[8192];

	(void)state;
	lines_simple(&l, "auto");
	for (size_t len = 0; len < 700; len += len < 300 ? 1 : 37) {
		size_t n = (size_t)sprintf(line, "{\"t\":\"21/Nov/2026:08:15:44.900\",\"Ta\":22,\"");

		memset(line + n, 'k', len);
		n += len;
		n += (size_t)sprintf(line + n, "\":{\"");
		memset(line + n, 'k', len);
		n += len;
		sprintf(line + n, "\":[1,{\"x\":2}]}}");
		lines_request(&l, line);
		for (uint32_t k = 0; (l.parser.rec.flags & RECORD_PAIRS) && k < l.parser.rec.npairs; k++)
			assert_true(l.parser.rec.pair[k].key.len <= PAIR_KEY_MAX);
	}
	lines_free(&l);
}

/* ---- key=value ------------------------------------------------------------------------------- */

static void keys_and_values_are_read(void **state)
{
	(void)state;
	lines_simple(&l, "auto");
	lines_request(&l, "id=\"a \\\"b\\\"\" c=192.0.2.1:4000 client=192.0.2.2:81 t=[21/Nov/2026:08:15:44.900] TR=0, Ta=22, "
			  "ua=curl/8 (x86_64; a) status=200 uri=/x?a=b&c=d empty= none=- quoted=\"a \"b\" c\" plan=gold");
	assert_string_equal(text(SLOT_ID), "a \"b\"");
	assert_string_equal(text(SLOT_ci), "192.0.2.2");
	assert_int_equal(num(SLOT_cp), 81);
	assert_string_equal(text(SLOT_user_agent), "curl/8 (x86_64; a)");
	assert_int_equal(num(SLOT_ST), 200);
	assert_int_equal(num(SLOT_Ta), 22);
	assert_string_equal(text(SLOT_HU), "/x?a=b&c=d");
	assert_null(attr("haproxy.log.empty"));
	assert_null(attr("haproxy.log.none"));
	assert_string_equal(attr("haproxy.log.quoted"), "a \"b\" c");
	assert_string_equal(attr("haproxy.log.plan"), "gold");
	assert_string_equal(attr("haproxy.log.c"), "192.0.2.1:4000");
	lines_request(&l, "time=1795248944900123 Tt=5 Tw=1 bytes=7");
	assert_int_equal(l.parser.rec.format->mode, MODE_TCP);
	lines_free(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(named_items_are_read_by_their_aliases),
		cmocka_unit_test(absent_values_are_empty_texts_and_null),
		cmocka_unit_test(what_a_relay_did_to_a_line_does_not_matter),
		cmocka_unit_test(the_format_that_knows_most_members_is_the_one),
		cmocka_unit_test(items_of_one_name_follow_each_other),
		cmocka_unit_test(items_without_a_name_are_not_written),
		cmocka_unit_test(a_single_item_can_be_json_in_a_text),
		cmocka_unit_test(a_hand_written_text_is_understood_in_any_spelling),
		cmocka_unit_test(a_cut_object_gives_what_it_holds),
		cmocka_unit_test(cbor_is_read_as_digits_and_as_bytes),
		cmocka_unit_test(all_of_cbor_is_known),
		cmocka_unit_test(broken_cbor_is_rejected),
		cmocka_unit_test(cut_cbor_gives_what_it_holds),
		cmocka_unit_test(names_that_people_use_are_understood),
		cmocka_unit_test(a_name_counts_only_if_the_value_has_its_form),
		cmocka_unit_test(a_date_may_have_any_form),
		cmocka_unit_test(a_line_without_date_or_duration_is_no_request),
		cmocka_unit_test(a_step_of_a_request_is_one_without_a_duration),
		cmocka_unit_test(what_a_line_lacks_its_format_lacks),
		cmocka_unit_test(the_user_names_members_too),
		cmocka_unit_test(members_without_a_meaning_are_bounded),
		cmocka_unit_test(keys_and_paths_of_any_length_are_survived),
		cmocka_unit_test(keys_and_values_are_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
