/*
 * The loop from bytes to bytes takes no memory once it is warm.
 *
 * Every malloc of the process is counted, those of libraries too: this file's definitions stand
 * before the C library's. Under ASan its own hooks count instead. What is linked with --wrap comes
 * through
 * __wrap_* and is counted the same way.
 */
#include "lines.h"

#include "export/export.h"
#include "report/stats.h"

static volatile size_t taken; /* calls; volatile, for compilers know that malloc changes nothing */

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define UNDER_ASAN 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define UNDER_ASAN 1
#endif

void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);

#ifdef UNDER_ASAN

int __sanitizer_install_malloc_and_free_hooks(void (*on_malloc)(const volatile void *, size_t),
					      void (*on_free)(const volatile void *));
void *__real_malloc(size_t n) __attribute__((weak));
void *__real_calloc(size_t n, size_t size) __attribute__((weak));
void *__real_realloc(void *p, size_t n) __attribute__((weak));

static void count_malloc(const volatile void *p, size_t n)
{
	(void)p;
	(void)n;
	taken++;
}

static void count_free(const volatile void *p)
{
	(void)p;
}

/* Only with --wrap does anybody come here, and then the real ones are there. */
void *__wrap_malloc(size_t n)
{
	return __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
	return __real_realloc(p, n);
}

static void count_from_here(void)
{
	__sanitizer_install_malloc_and_free_hooks(count_malloc, count_free);
}

#else

/* glibc's own, under names that stay when malloc is somebody else's. */
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);

void *__wrap_malloc(size_t n)
{
	taken++;
	return __libc_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	taken++;
	return __libc_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
	taken++;
	return __libc_realloc(p, n);
}

void *malloc(size_t n) __attribute__((alias("__wrap_malloc")));
void *calloc(size_t n, size_t size) __attribute__((alias("__wrap_calloc")));
void *realloc(void *p, size_t n) __attribute__((alias("__wrap_realloc")));

static void count_from_here(void)
{
}

#endif

static void the_counter_counts(void **state)
{
	void *volatile p;

	(void)state;
	taken = 0;
	p = malloc(10);
	assert_int_equal(taken, 1);
	p = realloc(p, 100000);
	assert_int_equal(taken, 2);
	free(p);
	p = calloc(3, 3);
	assert_int_equal(taken, 3);
	free(p);
	/* in a library as well */
	p = strdup("text");
	assert_int_equal(taken, 4);
	free(p);
}

#define HTTP(envelope, blocks, request)                                                            \
	envelope "127.0.0.1:49686 [21/Nov/2026:08:15:44.900] fe_http be_app/app1 1/2/3/21/30 200 " \
		 "68 - sid=abc ---- "                                                              \
		 "1/1/0/0/+1 0/0 " blocks "\"" request "\"\n"

/* One of everything that takes a way of its own. */
static const char *const lines[] = {
	HTTP("", "", "GET /sleep/20 HTTP/1.1"),
	HTTP("<134>Nov 21 08:15:44 lb1 haproxy[8904]: ",
	     "{00-a4c956f44e22f6691894170d4f4ef702-e1ffee0151ba5687-01|foo=1 , "
	     "bar=2|127.0.0.1:21001|lab/1.0 #22quoted#22 #7Bbrace#7D} {3} ",
	     "POST https://u:p@h:1/orders/17?a=1&sig=abc#C3#A9 HTTP/2.0"),
	HTTP("<134>1 2026-11-21T08:15:44.922103+00:00 lb2 haproxy 8904 - [a@1 b=\"c\\]\"] ",
	     "{|||} {} ", "<BADREQ>"),
	HTTP("2026-10-25T01:15:44.922103+00:00 ", "{junk|FOO=1||} {} ", "BREW /\xff\xfe HTTP/1.1"),
	"127.0.0.1:33860 [25/Oct/2026:02:30:00.000] fe~ be/app1 0/0/0/20/20 200 68 - - ---- "
	"3/1/2/0/0 0/0 {} "
	"\"GET https://h/x HTTP/2.0\" 0/0000000000000000/0/0/0 h/TLSv1.3/TLS_AES_256_GCM_SHA384\n",
	"127.0.0.1:46240 [29/Mar/2026:02:30:00.000] fe be/t1 1/0/24 61 SD 1/1/0/0/0 0/0\n",
	"127.0.0.1 - - [21/Nov/2026:08:15:45 +0000] \"GET /x HTTP/1.1\" 200 68 \"\" \"\" 35180 333 "
	"\"fe\" \"be\" \"app1\" 0 "
	"0 0 20 20 ---- 2 1 1 0 0 0 0 \"\" \"\" \"a\" \"b\"\n",
	"127.0.0.1:33870 [21/Nov/2026:08:15:48.876] fe/1: SSL handshake failure\n",
	/* a unique-id: SHA-256; escapes that need room */
	"id=\"7F000001:9BD2_7F000001:5210_6B015332_0031:22C8\" in=\"a\\\"b\" "
	"[21/Nov/2026:08:15:46.641] "
	"1795248946641367 fe be app 0/0/0/20/20\n",
	/* a pattern: PCRE2 */
	"PATTERN 192.0.2.1 [21/Nov/2026:08:15:46.641] 5/20 caf\xc3\xa9\n",
	/* members: by words, with escapes, without a meaning; CBOR with a float; key=value; cut */
	"{\"ts\":\"2026-11-21T08:15:46.641367Z\",\"Ta\":\"22\",\"uri\":\"\\/caf\\u00e9\",\"plan\":{\"name\":\"gold\",\"n\":[1,2]}}\n",
	"BF6174781832312F4E6F762F323032363A30383A31353A34342E393030625461056161FB3FF8000000000000624855"
	"7F622F616323433363234139FF6162390100FF\n",
	"t=[21/Nov/2026:08:15:46.641] Ta=5 status=200 note=\"a \\\"b\\\"\"\n",
	"{\"ts\":\"2026-11-21T08:15:46.641367Z\",\"Ta\":\"22\",\"uri\":\"\\/caf\n",
	/* cut by HAProxy */
	"127.0.0.1:49686 [21/Nov/2026:08:15:44.900] fe_http be_app/app1 0/0/0/21/21 200 68 - - "
	"---- 1/1/0/0/0 0/0 {a|b\n",
	/* records */
	"{\"log\":\"127.0.0.1:49686 [21/Nov/2026:08:15:44.900] fe be/app1 0/0/0/21/21 200 68 - - ---- 1/1/0/0/0 0/0 "
	"\\\"GET / HTTP/1.1\\\"\\n\",\"stream\":\"stdout\",\"time\":\"2026-11-21T08:15:44.922103345Z\"}\n",
	"2026-11-21T08:15:44.922103345Z stdout P 127.0.0.1:49686 [21/Nov/2026:08:15:44.900] fe be/app1 0/0/0/21/\n"
	"2026-11-21T08:15:44.922103345Z stdout F 21 200 68 - - ---- 1/1/0/0/0 0/0 \"GET / HTTP/1.1\"\n",
	/* no traffic, and nobody's */
	"<133>Nov 21 08:15:44 lb1 haproxy[8904]: Server be/app1 is DOWN. 0 active and 0 backup "
	"servers left.\n",
	"what is this\n",
	"\n",
};

/* Who sees every request, and what is gathered for it. */
static struct watcher *watcher;
static void *part;

/* One pass as a worker makes it. Returns how many lines were requests. */
static size_t pass(struct lines *l, const struct block *b, const struct encoder *const *encoders,
		   struct buf *out, size_t n)
{
	static const struct resource resource = {
		.service_name = { "haproxy", 7 },
		.keys = { { "service.name", 12 } },
		.values = { { "haproxy", 7 } },
		.n = 1,
		.version = { "1.0.0", 5 },
	};
	struct frame frames[64];
	struct recent recent;
	size_t at = 0, requests = 0, mark[4];
	uint32_t cut;

	memset(&recent, 0xff, sizeof(recent));
	unwrapper_reset(&l->unwrapper);
	for (size_t k = 0; k < n; k++) {
		out[k].len = 0;
		encoders[k]->open(&out[k], &resource, SLICE("lb1"), &mark[k]);
	}
	while ((cut = frame_cut(b, &at, frames, 64)) != 0)
		for (uint32_t i = 0; i < cut; i++) {
			record_peel(&l->unwrapper, &frames[i]);
			if (parse_frame(&l->parser, &frames[i], &recent) != PARSED_REQUEST)
				continue;
			requests++;
			rebuild(&l->rebuilder, &l->parser.rec, &frames[i], &l->trace);
			for (size_t k = 0; k < n; k++)
				encoders[k]->trace(&out[k], &l->parser.rec, &l->trace);
			watcher->ops->see(part, &l->parser.rec, &l->trace);
		}
	for (size_t k = 0; k < n; k++) {
		encoders[k]->close(&out[k], mark[k]);
		if (encoders[k]->seal)
			encoders[k]->seal(&out[k]);
	}
	return requests;
}

static void watch(void)
{
	struct stats_config c = { .slowest = 10, .width = 80 };
	struct err err = { 0 };

	assert_true(stats_by(&c, SLICE("frontend,backend,server,route,path"), &err));
	watcher = stats_new(&c);
	assert_non_null(watcher);
	part = watcher->ops->part(watcher);
	assert_non_null(part);
}

static void twenty_thousand_lines_take_no_memory(void **state)
{
	static const struct encoder *const encoders[] = { &encoder_protobuf, &encoder_json,
							  &encoder_tree };
	struct buf out[3] = { { .max = 1 << 26 }, { .max = 1 << 26 }, { .max = 1 << 26 } };
	struct buf text = { .max = 1 << 20 };
	struct block b = { .framing = FRAMING_LINES };
	struct lines l;
	size_t requests, first;
	char *base;

	(void)state;
	lines_init(&l);
	lines_captures(&l, CAPTURE_REQUEST, "traceparent,tracestate,host,user-agent");
	l.rules.routes[l.rules.nroutes++] = SLICE("/orders/{id}");
	lines_format(&l, "auto");
	lines_format(&l, "id=%{+Q}ID in=%{+Q,+E}[var(txn.x)] [%tr] %[accept_date(us)] %f %b %s "
			 "%TR/%Tw/%Tc/%Tr/%Ta");
	lines_format(&l, "re:PATTERN (?<ci>\\S+) \\[(?<tr>[^]]+)\\] (?<TR>\\d+)/(?<Ta>\\d+) "
			 "(?<note>.*)");
	l.formats.log_len = 0; /* one of the lines was cut */
	lines_start(&l, "Europe/Paris");
	for (int i = 0; i < 20; i++)
		for (size_t k = 0; k < COUNT(lines); k++)
			buf_slice(&text, slice_str(lines[k]));
	b.len = text.len;
	b.p = lines_padded(text.p, text.len, &base);

	unwrapper_init(&l.unwrapper);
	watch();
	count_from_here();
	first = pass(&l, &b, encoders, out, COUNT(out));
	assert_int_equal(first, 20 * (COUNT(lines) - 3));
	/* Counts beyond a byte are wider, once. */
	for (int i = 0; i < 13; i++)
		pass(&l, &b, encoders, out, COUNT(out));
	taken = 0;
	requests = 0;
	for (size_t total = 0; total < 20000; total += 20 * COUNT(lines))
		requests += pass(&l, &b, encoders, out, COUNT(out));
	assert_int_equal(taken, 0);
	assert_true(requests >= 14000 && requests % first == 0);
	assert_true(out[0].len > 20000 && out[1].len > out[0].len);

	for (size_t k = 0; k < COUNT(out); k++)
		buf_free(&out[k]);
	watcher->ops->join(watcher, part);
	stats_free(watcher);
	buf_free(&text);
	free(base);
	lines_free(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(twenty_thousand_lines_take_no_memory),
		cmocka_unit_test(the_counter_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
