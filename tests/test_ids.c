/*
 * Ids and sampling: doc/ids.md Ids are recomputed here with OpenSSL, and compared with
 * what HAProxy itself computed and wrote into real lines.
 */
#include "lines.h"

#include "export/export.h"

#include <math.h>
#include <openssl/evp.h>

/* The configuration's format for fe_custom and fe_inner of the captures. */
#define CUSTOM                                                                                     \
	"id=%{+Q}ID tid=%[var(txn.tid)] sid=%[var(txn.sid)] in=%{+Q}[var(txn.tpin)] c=%ci:%cp "    \
	"t=[%tr] "                                                                                 \
	"at=%[accept_date(us)] fe=%f be=%b srv=%s addr=%si:%sp Th=%Th Ti=%Ti TR=%TR Tw=%Tw "       \
	"Tc=%Tc "                                                                                  \
	"Tr=%Tr Td=%Td Ta=%Ta Tt=%Tt st=%ST up=%U down=%B ts=%tsc rc=%rc sq=%sq bq=%bq m=%HM "     \
	"p=%{+Q}HP q=%{+Q}HQ v=%HV"

/* Written by HAProxy 3.2.26. The first has a parent, the second none. */
#define UID_31 "7F000001:9BD2_7F000001:5210_6B015332_0031:22C8"
#define UID_32 "7F000001:9BDC_7F000001:5210_6B015332_0032:22C8"
#define LINE_31                                                                                    \
	"id=\"" UID_31 "\" tid=59bdb33fec4eddfc57d9c985ad161cfc sid=0db2824fdf612e45 "             \
	"in=\"00-59bdb33fec4eddfc57d9c985ad161cfc-09f60e634dc6a34b-01\" c=127.0.0.1:39890 "        \
	"t=[21/Nov/2026:08:15:46.641] at=1795248946641367 fe=fe_custom be=be_app srv=app1 "        \
	"addr=127.0.0.1:21150 Th=0 Ti=0 TR=0 Tw=0 Tc=0 Tr=20 Td=0 Ta=20 Tt=20 st=200 up=174 "      \
	"down=68 "                                                                                 \
	"ts=---- rc=0 sq=0 bq=0 m=GET p=\"/sleep/20\" q=\"\" v=HTTP/1.1"
#define LINE_32                                                                                    \
	"id=\"" UID_32 "\" tid=9131987d73436bd7894d0d3c51da81fd sid=d473987359868587 in=\"\" "     \
	"c=127.0.0.1:39900 t=[21/Nov/2026:08:15:46.668] at=1795248946668230 fe=fe_custom "         \
	"be=be_app "                                                                               \
	"srv=app2 addr=127.0.0.1:21150 Th=0 Ti=0 TR=0 Tw=0 Tc=0 Tr=0 Td=0 Ta=0 Tt=0 st=404 "       \
	"up=110 "                                                                                  \
	"down=68 ts=---- rc=0 sq=0 bq=0 m=GET p=\"/status/404\" q=\"\" v=HTTP/1.1"

/* One request through two frontends that share one unique-id. */
#define INNER                                                                                      \
	"id=\"7F000001:DAAE_7F000001:5210_6B01533E_00B0:22C8\" "                                   \
	"tid=bc22eb97c771a687ede9828e5e44a493 "                                                    \
	"sid=d303bdb4b2c3d742 in=\"00-bc22eb97c771a687ede9828e5e44a493-61b9d756c61e52a3-01\" "     \
	"c=127.0.0.1:37346 t=[21/Nov/2026:08:15:58.248] at=1795248958248042 fe=fe_inner "          \
	"be=be_app "                                                                               \
	"srv=app2 addr=127.0.0.1:21150 Th=0 Ti=0 TR=0 Tw=0 Tc=0 Tr=0 Td=0 Ta=0 Tt=0 st=200 "       \
	"up=236 "                                                                                  \
	"down=68 ts=---- rc=0 sq=0 bq=0 m=GET p=\"/tier/sleep/51\" q=\"\" v=HTTP/1.1"
#define OUTER                                                                                      \
	"id=\"7F000001:DAAE_7F000001:5210_6B01533E_00B0:22C8\" "                                   \
	"tid=bc22eb97c771a687ede9828e5e44a493 "                                                    \
	"sid=61b9d756c61e52a3 in=\"00-bc22eb97c771a687ede9828e5e44a493-bb3b0e8f52348a14-01\" "     \
	"c=127.0.0.1:55982 t=[21/Nov/2026:08:15:58.247] at=1795248958247930 fe=fe_custom "         \
	"be=be_inner "                                                                             \
	"srv=inner addr=127.0.0.1:21020 Th=0 Ti=0 TR=0 Tw=0 Tc=0 Tr=0 Td=0 Ta=0 Tt=0 st=200 "      \
	"up=179 "                                                                                  \
	"down=68 ts=---- rc=0 sq=0 bq=0 m=GET p=\"/tier/sleep/51\" q=\"\" v=HTTP/1.1"

#define PLAIN                                                                                      \
	"127.0.0.1:49696 [21/Nov/2026:08:15:44.927] fe_http be_app/app2 0/0/0/3/5 404 68 - "       \
	"sid=abc "                                                                                 \
	"---- 1/1/0/0/0 0/0 {|127.0.0.1:21001|lab/1.0} {3} \"GET /status/404 HTTP/1.1\""

/* ---- OpenSSL's word for it ------------------------------------------------------------------- */

/* Eight bytes of SHA-256(text) from byte `from` on, as on the wire. */
static uint64_t digest(const char *text, size_t from)
{
	unsigned char out[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	uint64_t word = 0;

	assert_int_equal(EVP_Digest(text, strlen(text), out, &n, EVP_sha256(), NULL), 1);
	assert_int_equal(n, 32);
	for (size_t i = 0; i < 8; i++)
		word = word << 8 | out[from + i];
	return word;
}

static void a_custom(struct lines *l, bool mapped)
{
	lines_init(l);
	if (mapped) {
		lines_map(l, "var(txn.tid)", "trace_id");
		lines_map(l, "var(txn.sid)", "span_id");
		lines_map(l, "var(txn.tpin)", "traceparent");
	}
	lines_format(l, CUSTOM);
	lines_start(l, "UTC");
}

/* ---- the rule -------------------------------------------------------------------------------- */

static void ids_follow_the_published_rule(void **state)
{
	struct lines l;

	(void)state;
	a_custom(&l, false);
	lines_request(&l, LINE_31);
	assert_int_equal(l.trace.id_hi, digest(UID_31, 0));
	assert_int_equal(l.trace.id_lo, digest(UID_31, 8));
	assert_int_equal(lines_span(&l, ROLE_CLIENT)->id, digest(UID_31 "|fe_custom", 0));
	assert_int_equal(lines_span(&l, ROLE_SERVER)->id, digest(UID_31 "|fe_custom", 8));
	assert_int_equal(lines_span(&l, ROLE_SERVER)->parent, 0);
	/* HAProxy's own digest of its own unique-id */
	assert_int_equal(digest(UID_31, 16), UINT64_C(0x0db2824fdf612e45));
	lines_request(&l, LINE_32);
	assert_int_equal(l.trace.id_hi, UINT64_C(0x9131987d73436bd7));
	assert_int_equal(l.trace.id_lo, UINT64_C(0x894d0d3c51da81fd));
	lines_free(&l);
}

static void haproxy_computes_the_same_ids_by_its_converters(void **state)
{
	/*
	 * Written by HAProxy 2.6.12: tid = unique-id,digest(sha256),bytes(0,16),hex,lower; sid and
	 * server = unique-id,concat(|,txn.fe),digest(sha256),bytes(0,8) and bytes(8,8).
	 */
	static const char line[] = "id=7F000001:CDCC_7F000001:74B1_6B01AE8B_0000:278E "
				   "tid=c57e1dcc79dc80510a0741a8ad0b93a5 "
				   "sid=577a7c0d6e2317bd server=03446f6d222c0ffc fe=fe_rule be=b "
				   "srv=app "
				   "t=[21/Nov/2026:14:45:31.327] 0/0/0/0/0 st=200 ts=----";
	struct lines l;

	(void)state;
	lines_simple(&l, "id=%ID tid=%[var(txn.tid)] sid=%[var(txn.sid)] server=%[var(txn.srv)] "
			 "fe=%f be=%b "
			 "srv=%s t=[%tr] %TR/%Tw/%Tc/%Tr/%Ta st=%ST ts=%tsc");
	lines_request(&l, line);
	assert_int_equal(l.trace.id_hi, UINT64_C(0xc57e1dcc79dc8051));
	assert_int_equal(l.trace.id_lo, UINT64_C(0x0a0741a8ad0b93a5));
	assert_int_equal(lines_span(&l, ROLE_CLIENT)->id, UINT64_C(0x577a7c0d6e2317bd));
	assert_int_equal(lines_span(&l, ROLE_SERVER)->id, UINT64_C(0x03446f6d222c0ffc));
	lines_free(&l);
}

static void the_frontend_of_the_rule_is_its_name_whatever_wrote_it(void **state)
{
	static const char *const formats[] = { "%f", "%ft", "%[fe_name]", "%{+Q}f" };
	static const char *const written[] = { "fe", "fe~", "fe", "\"fe\"" };

	(void)state;
	for (size_t i = 0; i < COUNT(formats); i++) {
		char format[128], line[128];
		struct lines l;

		snprintf(format, sizeof(format), "%%ID %s %%s %%tr %%Tc/%%Tr/%%Ta", formats[i]);
		snprintf(line, sizeof(line), "abc %s app 21/Nov/2026:08:15:44.900 0/0/0",
			 written[i]);
		lines_simple(&l, format);
		lines_request(&l, line);
		assert_int_equal(lines_span(&l, ROLE_CLIENT)->id, digest("abc|fe", 0));
		assert_int_equal(lines_span(&l, ROLE_SERVER)->id, digest("abc|fe", 8));
		lines_free(&l);
	}
}

static void every_span_of_a_request_has_an_id_of_its_own(void **state)
{
	static const char *const lines[] = { LINE_31, LINE_32, INNER, OUTER };
	struct lines l;

	(void)state;
	for (int mapped = 0; mapped < 2; mapped++) {
		a_custom(&l, mapped);
		l.rules.phases = PHASES_ALL;
		for (size_t i = 0; i < COUNT(lines); i++) {
			lines_request(&l, lines[i]);
			assert_int_equal(l.trace.n, 7);
			for (uint32_t a = 0; a < l.trace.n; a++) {
				assert_true(l.trace.span[a].id != 0);
				for (uint32_t b = 0; b < a; b++)
					assert_true(l.trace.span[a].id != l.trace.span[b].id);
			}
		}
		lines_free(&l);
	}
}

static void two_frontends_of_one_unique_id_share_the_trace_and_no_span(void **state)
{
	uint64_t ids[2][SPANS_MAX], hi[2], lo[2];
	struct lines l;

	(void)state;
	a_custom(&l, false);
	l.rules.phases = PHASES_ALL;
	for (int k = 0; k < 2; k++) {
		lines_request(&l, k ? OUTER : INNER);
		assert_int_equal(l.trace.n, 7);
		hi[k] = l.trace.id_hi;
		lo[k] = l.trace.id_lo;
		for (uint32_t i = 0; i < l.trace.n; i++)
			ids[k][i] = l.trace.span[i].id;
	}
	assert_int_equal(hi[0], hi[1]);
	assert_int_equal(lo[0], lo[1]);
	for (int a = 0; a < 7; a++)
		for (int b = 0; b < 7; b++)
			assert_true(ids[0][a] != ids[1][b]);
	lines_free(&l);
}

/* ---- what the line brings along -------------------------------------------------------------- */

static void a_logged_span_id_is_the_clients_and_the_parent_gives_the_trace(void **state)
{
	struct lines l;

	(void)state;
	a_custom(&l, true);
	lines_request(&l, LINE_31);
	assert_int_equal(l.trace.id_hi, UINT64_C(0x59bdb33fec4eddfc));
	assert_int_equal(l.trace.id_lo, UINT64_C(0x57d9c985ad161cfc));
	assert_int_equal(lines_span(&l, ROLE_SERVER)->parent, UINT64_C(0x09f60e634dc6a34b));
	assert_int_equal(lines_span(&l, ROLE_SERVER)->parent_remote, 1);
	assert_int_equal(lines_span(&l, ROLE_SERVER)->id, digest(UID_31 "|fe_custom", 8));
	/* what HAProxy sent downstream: the server's own spans hang below it */
	assert_int_equal(lines_span(&l, ROLE_CLIENT)->id, UINT64_C(0x0db2824fdf612e45));
	assert_int_equal(lines_span(&l, ROLE_CLIENT)->parent, lines_span(&l, ROLE_SERVER)->id);
	assert_int_equal(lines_span(&l, ROLE_CLIENT)->parent_remote, 0);
	assert_int_equal(lines_span(&l, ROLE_RESPONSE)->parent, UINT64_C(0x0db2824fdf612e45));

	/* the outer tier's CLIENT is the inner tier's parent */
	lines_request(&l, OUTER);
	assert_int_equal(lines_span(&l, ROLE_CLIENT)->id, UINT64_C(0x61b9d756c61e52a3));
	lines_request(&l, INNER);
	assert_int_equal(lines_span(&l, ROLE_SERVER)->parent, UINT64_C(0x61b9d756c61e52a3));
	lines_free(&l);
}

static void a_logged_trace_id_is_taken_when_there_is_no_parent(void **state)
{
	static const struct {
		const char *tid;
		uint64_t hi, lo; /* both 0: not taken */
	} t[] = {
		{ "59bdb33fec4eddfc57d9c985ad161cfc", 0x59bdb33fec4eddfc, 0x57d9c985ad161cfc },
		{ "59BDB33FEC4EDDFC57D9C985AD161CFC", 0x59bdb33fec4eddfc, 0x57d9c985ad161cfc },
		{ "57d9c985ad161cfc", 0, 0x57d9c985ad161cfc },
		{ "00000000000000000000000000000000", 0, 0 },
		{ "0000000000000000", 0, 0 },
		{ "59bdb33fec4eddfc57d9c985ad161cf", 0, 0 },
		{ "59bdb33fec4eddfc57d9c985ad161cfcc", 0, 0 },
		{ "59bdb33f-ec4e-ddfc-57d9-c985ad16", 0, 0 },
		{ "-", 0, 0 },
	};
	struct lines l;

	(void)state;
	lines_init(&l);
	lines_map(&l, "var(txn.tid)", "trace_id");
	lines_format(&l, "%ID %f tid=%[var(txn.tid)] %tr %Ta");
	lines_start(&l, "UTC");
	for (size_t i = 0; i < COUNT(t); i++) {
		char line[128];

		snprintf(line, sizeof(line), "abc fe tid=%s 21/Nov/2026:08:15:44.900 5", t[i].tid);
		lines_request(&l, line);
		assert_int_equal(l.trace.id_hi, t[i].hi || t[i].lo ? t[i].hi : digest("abc", 0));
		assert_int_equal(l.trace.id_lo, t[i].hi || t[i].lo ? t[i].lo : digest("abc", 8));
	}
	lines_free(&l);
}

static void a_logged_span_id_must_be_sixteen_digits(void **state)
{
	static const struct {
		const char *sid;
		uint64_t id; /* 0: not taken */
	} t[] = {
		{ "0db2824fdf612e45", 0x0db2824fdf612e45 },
		{ "0DB2824FDF612E45", 0x0db2824fdf612e45 },
		{ "0000000000000000", 0 },
		{ "db2824fdf612e45", 0 },
		{ "0db2824fdf612e456", 0 },
		{ "0db2824fdf612e4x", 0 },
		{ "-", 0 },
	};
	struct lines l;

	(void)state;
	lines_init(&l);
	lines_map(&l, "var(txn.sid)", "span_id");
	lines_format(&l, "%ID %f %s sid=%[var(txn.sid)] %tr %Tc/%Tr/%Ta");
	lines_start(&l, "UTC");
	for (size_t i = 0; i < COUNT(t); i++) {
		char line[128];

		snprintf(line, sizeof(line), "abc fe app sid=%s 21/Nov/2026:08:15:44.900 0/0/5",
			 t[i].sid);
		lines_request(&l, line);
		assert_int_equal(lines_span(&l, ROLE_CLIENT)->id,
				 t[i].id ? t[i].id : digest("abc|fe", 0));
		assert_int_equal(lines_span(&l, ROLE_SERVER)->id, digest("abc|fe", 8));
	}
	lines_free(&l);
}

/* By chance HAProxy's id may be the one that SERVER would have: no span is its own parent. */
static void client_and_server_never_share_an_id(void **state)
{
	uint64_t server = digest("abc|fe", 8);
	char line[128];
	struct lines l;

	(void)state;
	lines_init(&l);
	lines_map(&l, "var(txn.sid)", "span_id");
	l.rules.phases = PHASES_ALL;
	lines_format(&l, "%ID %f %s sid=%[var(txn.sid)] %tr %TR/%Tw/%Tc/%Tr/%Ta");
	lines_start(&l, "UTC");
	snprintf(line, sizeof(line), "abc fe app sid=%016llx 21/Nov/2026:08:15:44.900 0/0/0/0/5",
		 (unsigned long long)server);
	lines_request(&l, line);
	assert_int_equal(lines_span(&l, ROLE_CLIENT)->id, server);
	assert_int_equal(lines_span(&l, ROLE_CLIENT)->parent, lines_span(&l, ROLE_SERVER)->id);
	assert_int_equal(l.trace.n, 7);
	for (uint32_t a = 0; a < l.trace.n; a++)
		for (uint32_t b = 0; b < a; b++)
			assert_true(l.trace.span[a].id != l.trace.span[b].id);
	lines_free(&l);
}

/* A HAProxy that passes its parent's header on unchanged may log the id in it as the one it sent.
 */
static void no_span_is_its_own_ancestor(void **state)
{
	struct lines l;

	(void)state;
	lines_init(&l);
	lines_map(&l, "var(txn.sid)", "span_id");
	lines_captures(&l, CAPTURE_REQUEST, "traceparent");
	lines_format(&l, "%ID %f %s sid=%[var(txn.sid)] %hr %tr %Tc/%Tr/%Ta");
	lines_start(&l, "UTC");
	lines_request(&l, "abc fe app sid=000000000000000a "
			  "{00-59bdb33fec4eddfc57d9c985ad161cfc-000000000000000a-01} "
			  "21/Nov/2026:08:15:44.900 0/0/5");
	assert_int_equal(lines_span(&l, ROLE_SERVER)->parent, 10);
	assert_true(lines_span(&l, ROLE_SERVER)->id != 10);
	assert_true(lines_span(&l, ROLE_CLIENT)->id != 10);
	assert_true(lines_span(&l, ROLE_CLIENT)->id != lines_span(&l, ROLE_SERVER)->id);
	lines_free(&l);
}

static void an_invalid_traceparent_is_counted_and_ignored(void **state)
{
	struct lines l;

	(void)state;
	lines_init(&l);
	lines_captures(&l, CAPTURE_REQUEST, "traceparent");
	lines_format(&l, "%ID %f %hr %tr %Ta");
	lines_start(&l, "UTC");
	lines_request(&l, "abc fe {00-59bdb33fec4eddfc57d9c985ad161cfc-0000000000000000-00} "
			  "21/Nov/2026:08:15:44.900 5");
	assert_int_equal(l.rebuilder.invalid_contexts, 1);
	assert_int_equal(l.trace.id_hi, digest("abc", 0));
	assert_int_equal(l.trace.span[0].parent, 0);
	assert_true(l.sampled);
	lines_request(&l, "abc fe {00-59bdb33fec4eddfc57d9c985ad161cfc-0000000000000000-0} "
			  "21/Nov/2026:08:15:44.900 5");
	assert_int_equal(l.rebuilder.invalid_contexts, 2);
	/* no header, and a valid one: nothing to count */
	lines_request(&l, "abc fe {} 21/Nov/2026:08:15:44.900 5");
	lines_request(&l, "abc fe {00-59bdb33fec4eddfc57d9c985ad161cfc-000000000000000a-00} "
			  "21/Nov/2026:08:15:44.900 5");
	assert_int_equal(l.rebuilder.invalid_contexts, 2);
	assert_int_equal(l.trace.span[0].parent, 10);
	lines_free(&l);
}

/* ---- the same bytes -------------------------------------------------------------------------- */

static const struct resource resource = {
	.service_name = { "haproxy", 7 },
	.keys = { { "service.name", 12 } },
	.values = { { "haproxy", 7 } },
	.n = 1,
	.version = { "1.0.0", 5 },
};

static void encode(struct lines *l, const char *const *lines, size_t n, struct buf *out)
{
	size_t mark;

	encoder_protobuf.open(out, &resource, slice_of("", 0), &mark);
	for (size_t i = 0; i < n; i++) {
		lines_request(l, lines[i]);
		encoder_protobuf.trace(out, &l->parser.rec, &l->trace);
	}
	encoder_protobuf.close(out, mark);
}

static void a_second_run_gives_the_same_bytes(void **state)
{
	static const char *const lines[] = { LINE_31, PLAIN, INNER, LINE_32, OUTER };
	struct buf out[2] = { { .max = 1 << 20 }, { .max = 1 << 20 } };
	struct lines l;

	(void)state;
	for (int run = 0; run < 2; run++) {
		lines_init(&l);
		lines_map(&l, "var(txn.tpin)", "traceparent");
		lines_format(&l, CUSTOM);
		lines_format(&l, "auto");
		lines_start(&l, "UTC");
		if (run) /* what came before leaves nothing behind */
			lines_request(&l, "192.0.2.1:1 [22/Nov/2026:08:15:44.927] f b/s 0/0/0/3/5 "
					  "200 +68 a b SD-- "
					  "1/1/0/0/+1 0/0 "
					  "{00-12345678901234567890123456789012-1234567890123456-"
					  "01} "
					  "\"GET http://u:p@h:8/x?sig=1 HTTP/2.0\"");
		encode(&l, lines, COUNT(lines), &out[run]);
		lines_free(&l);
	}
	assert_true(out[0].len > 1000);
	assert_int_equal(out[0].len, out[1].len);
	assert_memory_equal(out[0].p, out[1].p, out[0].len);
	buf_free(&out[0]);
	buf_free(&out[1]);
}

static void ids_do_not_depend_on_the_envelope(void **state)
{
	static const struct {
		const char *head, *tail;
	} t[] = {
		{ "", "" },
		{ "<134>Nov 21 08:15:44 localhost haproxy[8904]: ", "" },
		{ "<134>Nov 21 08:15:45 other haproxy[1]: ", "" },
		{ "<134>Nov 21 08:15:44 haproxy[8904]: ", "" }, /* local */
		{ "<134>1 2026-11-21T08:15:44.922103+00:00 - haproxy 8904 - - ", "" },
		{ "<134>1 2026-11-21T08:15:44.922103+00:00 lb1 haproxy 8904 - [a@1 b=\"c]\\\"\"] ",
		  "" },
		{ "<6>", "" },					/* short */
		{ "<134>", "" },				/* priority */
		{ "<6>2026-11-21T08:15:44.922113+00:00 ", "" }, /* timed */
		{ "2026-11-21T08:15:44.922113+00:00 ", "" },	/* iso */
		{ "Nov 21 08:15:44 lb1 haproxy[8904]: ", "" },	/* rsyslog, traditional */
		{ "2026-11-21T08:15:44.922113+00:00 lb1 haproxy[8904]: ",
		  "" },					 /* rsyslog, RFC 3339 */
		{ "Nov 21 08:15:44 lb1 haproxy: ", "" }, /* syslog-ng, no pid */
		{ "", " " },
		{ "", "\r" },
		{ "<134>", "  \t\r" },
	};
	static const char *const messages[] = { PLAIN, LINE_31 };

	(void)state;
	for (size_t m = 0; m < COUNT(messages); m++) {
		struct trace first;
		struct lines l;

		lines_init(&l);
		lines_format(&l, "auto");
		lines_format(&l, CUSTOM);
		lines_start(&l, "UTC");
		for (size_t i = 0; i < COUNT(t); i++) {
			char line[2048];
			size_t n = (size_t)snprintf(line, sizeof(line), "%s%s%s", t[i].head,
						    messages[m], t[i].tail);

			/* and each of them with the NUL that some senders add */
			for (size_t nul = 0; nul < 2; nul++) {
				assert_int_equal(lines_parse_n(&l, line, n + nul), PARSED_REQUEST);
				assert_text(l.msg, messages[m]);
				rebuild(&l.rebuilder, &l.parser.rec, &l.frame, &l.trace);
				if (i == 0 && nul == 0)
					first = l.trace;
				assert_int_equal(l.trace.id_hi, first.id_hi);
				assert_int_equal(l.trace.id_lo, first.id_lo);
				assert_int_equal(l.trace.n, first.n);
				for (uint32_t k = 0; k < first.n; k++) {
					assert_int_equal(l.trace.span[k].id, first.span[k].id);
					assert_int_equal(l.trace.span[k].start_ns,
							 first.span[k].start_ns);
					assert_int_equal(l.trace.span[k].end_ns,
							 first.span[k].end_ns);
				}
			}
		}
		lines_free(&l);
	}
}

/* A change of these would make every replay after an upgrade a duplicate. */
#define ESCAPED                                                                                    \
	"127.0.0.1:49696 [21/Nov/2026:08:15:44.927] fe_http be_app/app2 0/0/0/3/5 404 68 - "       \
	"sid=abc "                                                                                 \
	"---- 1/1/0/0/0 0/0 {|127.0.0.1:21001|lab/1.0} {3} \\\"GET /status/404 HTTP/1.1\\\""

static void ids_do_not_depend_on_the_record(void **state)
{
	static const char *const t[] = {
		PLAIN "\n",
		"{\"log\":\"" ESCAPED
		"\\n\",\"stream\":\"stdout\",\"time\":\"2026-11-21T08:15:44.932123456Z\"}\n",
		"2026-11-21T08:15:44.932123456Z stdout F " PLAIN "\n",
		"2026-11-21T08:15:44.932123456Z stdout P 127.0.0.1:49696 [21/Nov/2026:08:15:44.927] fe_http be\n"
		"2026-11-21T08:15:44.932123456Z stdout P _app/app2 0/0/0/3/5 404 68 - sid=abc ---\n"
		"2026-11-21T08:15:44.932123456Z stdout F - 1/1/0/0/0 0/0 {|127.0.0.1:21001|lab/1.0} {3} "
		"\"GET /status/404 HTTP/1.1\"\n",
		"__CURSOR=s=1\n_HOSTNAME=lb1\nMESSAGE=" PLAIN "\n\n",
		"__CURSOR=s=1\nMESSAGE=<134>Nov 21 08:15:44 lb1 haproxy[1]: " PLAIN "\n",
		"{\"_HOSTNAME\":\"lb1\",\"__REALTIME_TIMESTAMP\":\"1795248944932123\",\"MESSAGE\":\"" ESCAPED
		"\"}\n",
		"{\"@timestamp\":\"2026-11-21T08:15:45.932Z\",\"host\":{\"name\":\"lb1\"},\"message\":\"Nov 21 08:15:44 "
		"lb1 haproxy[1]: " ESCAPED "\"}\n",
		"{\"timestamp\":\"2026-11-21T08:15:45.932Z\",\"message\":\"<134>1 2026-11-21T08:15:44.932123+00:00 lb1 "
		"haproxy 1 - - " ESCAPED "\"}",
		"{\"date\":1795248944.932123,\"log\":\"2026-11-21T08:15:44.932123456Z stdout F " ESCAPED
		"\"}\n",
	};
	struct trace first;
	struct lines l;

	(void)state;
	lines_simple(&l, "auto");
	for (size_t i = 0; i < COUNT(t); i++) {
		assert_int_equal(lines_parse_stream(&l, t[i], strlen(t[i])), PARSED_REQUEST);
		assert_text(l.msg, PLAIN);
		rebuild(&l.rebuilder, &l.parser.rec, &l.frame, &l.trace);
		if (i == 0)
			first = l.trace;
		assert_int_equal(l.trace.id_hi, first.id_hi);
		assert_int_equal(l.trace.id_lo, first.id_lo);
		assert_int_equal(l.trace.n, first.n);
		for (uint32_t k = 0; k < first.n; k++) {
			assert_int_equal(l.trace.span[k].id, first.span[k].id);
			assert_int_equal(l.trace.span[k].start_ns, first.span[k].start_ns);
			assert_int_equal(l.trace.span[k].end_ns, first.span[k].end_ns);
		}
	}
	lines_free(&l);
}

static void ids_made_from_a_line_stay_what_they_are(void **state)
{
	struct lines l;

	(void)state;
	lines_simple(&l, "httplog");
	lines_request(&l, PLAIN);
	assert_int_equal(l.trace.id_hi, UINT64_C(0xbecc7435e996ef2c));
	assert_int_equal(l.trace.id_lo, UINT64_C(0x5f5c8a1c761aa384));
	assert_int_equal(lines_span(&l, ROLE_SERVER)->id, UINT64_C(0xc2a6bc4e45d4c9a2));
	assert_int_equal(lines_span(&l, ROLE_CLIENT)->id, UINT64_C(0xeeb7cab4cd6c7d1b));
	assert_int_equal(lines_span(&l, ROLE_RESPONSE)->id, UINT64_C(0x1e0fc46340d0bc55));
	lines_free(&l);
}

static void lines_that_differ_in_one_byte_share_nothing(void **state)
{
	static const char text[] = PLAIN;
	uint64_t seen[sizeof(text)][3];
	size_t n = 0;
	struct lines l;

	(void)state;
	lines_simple(&l, "httplog");
	for (size_t at = 0; at + 1 < sizeof(text); at++) {
		char line[sizeof(text)];

		if (text[at] < '1' || text[at] > '8')
			continue;
		memcpy(line, text, sizeof(text));
		line[at]++;
		if (lines_parse(&l, line) != PARSED_REQUEST)
			continue;
		rebuild(&l.rebuilder, &l.parser.rec, &l.frame, &l.trace);
		seen[n][0] = l.trace.id_lo;
		seen[n][1] = l.trace.span[0].id;
		seen[n][2] = lines_span(&l, ROLE_CLIENT)->id;
		for (size_t k = 0; k < n; k++)
			for (int i = 0; i < 3; i++)
				assert_true(seen[k][i] != seen[n][i]);
		n++;
	}
	assert_true(n > 30);
	lines_free(&l);
}

static void without_a_unique_id_the_line_itself_is_the_seed(void **state)
{
	struct lines l;
	uint64_t absent;

	(void)state;
	lines_simple(&l, "%ID %f %tr %Ta");
	lines_request(&l, "- fe 21/Nov/2026:08:15:44.900 5");
	absent = l.trace.id_lo;
	assert_true(absent != digest("-", 8) && absent != digest("", 8));
	lines_request(&l, "- fe 21/Nov/2026:08:15:44.901 5");
	assert_true(l.trace.id_lo != absent);
	/* a unique-id is all that counts for the trace */
	lines_request(&l, "x fe 21/Nov/2026:08:15:44.900 5");
	assert_int_equal(l.trace.id_lo, digest("x", 8));
	lines_request(&l, "x fe 21/Nov/2026:08:15:44.901 6");
	assert_int_equal(l.trace.id_lo, digest("x", 8));
	lines_free(&l);
}

/* ---- sampling -------------------------------------------------------------------------------- */

#define ALL (UINT64_C(1) << 56)

static void samplers_have_the_names_of_the_specification(void **state)
{
	static const struct {
		const char *name, *arg;
		bool ok, parent_based;
		uint64_t reject_below;
		const char *message;
	} t[] = {
		{ "always_on", "", true, false, 0, NULL },
		{ "always_off", "", true, false, ALL, NULL },
		{ "traceidratio", "0.5", true, false, ALL / 2, NULL },
		{ "traceidratio", "0", true, false, ALL, NULL },
		{ "traceidratio", "1", true, false, 0, NULL },
		{ "traceidratio", "1.0", true, false, 0, NULL },
		{ "traceidratio", "", true, false, 0, NULL },
		{ "parentbased_always_on", "", true, true, 0, NULL },
		{ "parentbased_always_off", "", true, true, ALL, NULL },
		{ "parentbased_traceidratio", "0.25", true, true, ALL / 4 * 3, NULL },
		{ "traceidratio", "1.5", false, false, 0, "from 0 to 1" },
		{ "traceidratio", "-0.1", false, false, 0, "from 0 to 1" },
		{ "traceidratio", "nan", false, false, 0, "from 0 to 1" },
		{ "traceidratio", "0.5x", false, false, 0, "from 0 to 1" },
		{ "traceidratio", "0.00000000000000000000000000000001", false, false, 0,
		  "from 0 to 1" },
		{ "jaeger_remote", "", false, false, 0, "asks a service" },
		{ "parentbased_jaeger_remote", "", false, false, 0, "asks a service" },
		{ "xray", "", false, false, 0, "asks a service" },
		{ "often", "", false, false, 0, "no such sampler" },
		{ "parentbased_", "", false, false, 0, "no such sampler" },
		{ "", "", false, false, 0, "no such sampler" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(t); i++) {
		struct sampler s = { .reject_below = 42 };
		struct err err = { 0 };

		if (sampler_parse(slice_str(t[i].name), slice_str(t[i].arg), &s, &err) != t[i].ok)
			fail_msg("%s:%s", t[i].name, t[i].arg);
		if (t[i].ok) {
			assert_int_equal(s.parent_based, t[i].parent_based);
			assert_int_equal(s.reject_below, t[i].reject_below);
			continue;
		}
		assert_int_equal(s.reject_below, 42);
		assert_int_equal(err.code, EXIT_USAGE);
		assert_non_null(strstr(err.text, t[i].message));
	}
}

static void the_callers_decision_counts_for_a_parent_based_sampler(void **state)
{
	static const struct {
		const char *sampler, *captures;
		bool sampled;
	} t[] = {
		{ "parentbased_always_on",
		  "{00-59bdb33fec4eddfc57d9c985ad161cfc-000000000000000a-00}", false },
		{ "parentbased_always_on",
		  "{00-59bdb33fec4eddfc57d9c985ad161cfc-000000000000000a-01}", true },
		{ "parentbased_always_on", "{}", true },
		{ "parentbased_always_off",
		  "{00-59bdb33fec4eddfc57d9c985ad161cfc-000000000000000a-01}", true },
		{ "parentbased_always_off",
		  "{00-59bdb33fec4eddfc57d9c985ad161cfc-000000000000000a-00}", false },
		{ "parentbased_always_off", "{}", false },
		{ "always_on", "{00-59bdb33fec4eddfc57d9c985ad161cfc-000000000000000a-00}", true },
		{ "always_off", "{00-59bdb33fec4eddfc57d9c985ad161cfc-000000000000000a-01}",
		  false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(t); i++) {
		struct err err = { 0 };
		char line[256];
		struct lines l;

		lines_init(&l);
		assert_true(sampler_parse(slice_str(t[i].sampler), slice_of("", 0),
					  &l.rules.sampler, &err));
		lines_captures(&l, CAPTURE_REQUEST, "traceparent");
		lines_format(&l, "%f %hr %tr %Ta");
		lines_start(&l, "UTC");
		snprintf(line, sizeof(line), "fe %s 21/Nov/2026:08:15:44.900 5", t[i].captures);
		lines_request(&l, line);
		assert_int_equal(l.sampled, t[i].sampled);
		/* a span that leaves says so */
		assert_int_equal(l.trace.flags & 1, t[i].sampled);
		lines_free(&l);
	}
}

static void a_ratio_keeps_by_the_trace_id_and_a_larger_one_keeps_more(void **state)
{
	static const char *const ratios[] = { "0.1", "0.25", "0.5", "0.9" };
	static const double share[] = { 0.1, 0.25, 0.5, 0.9 };
	bool kept[4000] = { false };

	(void)state;
	for (size_t k = 0; k < COUNT(ratios); k++) {
		struct err err = { 0 };
		int total = 0;
		struct lines l;

		lines_init(&l);
		assert_true(sampler_parse(SLICE("parentbased_traceidratio"), slice_str(ratios[k]),
					  &l.rules.sampler, &err));
		lines_format(&l, "%ID %f %tr %Ta");
		lines_start(&l, "UTC");
		for (int i = 0; i < 4000; i++) {
			char line[128];

			snprintf(line, sizeof(line), "uid-%d fe 21/Nov/2026:08:15:44.900 5", i);
			lines_request(&l, line);
			/* the low 56 bits, against a threshold that has four digits of the ratio or more */
			assert_int_equal(l.sampled, (l.trace.id_lo & (ALL - 1)) >= l.rules.sampler.reject_below);
			assert_true(fabs((double)l.rules.sampler.reject_below - (1 - share[k]) * (double)ALL) <
				    (double)ALL * share[k] / 1000);
			assert_true(l.sampled || !kept[i]);
			kept[i] = l.sampled;
			total += l.sampled;
		}
		assert_in_range(total, (int)(4000 * share[k]) - 150, (int)(4000 * share[k]) + 150);
		lines_free(&l);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids_follow_the_published_rule),
		cmocka_unit_test(haproxy_computes_the_same_ids_by_its_converters),
		cmocka_unit_test(the_frontend_of_the_rule_is_its_name_whatever_wrote_it),
		cmocka_unit_test(every_span_of_a_request_has_an_id_of_its_own),
		cmocka_unit_test(two_frontends_of_one_unique_id_share_the_trace_and_no_span),
		cmocka_unit_test(a_logged_span_id_is_the_clients_and_the_parent_gives_the_trace),
		cmocka_unit_test(a_logged_trace_id_is_taken_when_there_is_no_parent),
		cmocka_unit_test(a_logged_span_id_must_be_sixteen_digits),
		cmocka_unit_test(client_and_server_never_share_an_id),
		cmocka_unit_test(no_span_is_its_own_ancestor),
		cmocka_unit_test(an_invalid_traceparent_is_counted_and_ignored),
		cmocka_unit_test(a_second_run_gives_the_same_bytes),
		cmocka_unit_test(ids_do_not_depend_on_the_envelope),
		cmocka_unit_test(ids_do_not_depend_on_the_record),
		cmocka_unit_test(ids_made_from_a_line_stay_what_they_are),
		cmocka_unit_test(lines_that_differ_in_one_byte_share_nothing),
		cmocka_unit_test(without_a_unique_id_the_line_itself_is_the_seed),
		cmocka_unit_test(samplers_have_the_names_of_the_specification),
		cmocka_unit_test(the_callers_decision_counts_for_a_parent_based_sampler),
		cmocka_unit_test(a_ratio_keeps_by_the_trace_id_and_a_larger_one_keeps_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
