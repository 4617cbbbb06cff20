/* Lines: every format over any line, to the wires; tree.h says what must hold. Two bytes pick formats and rules. */
#include "fuzz.h"
#include "tree.h"

#define KV	"id=%{+Q}ID tid=%[var(txn.tid)] sid=%[var(txn.sid)] in=%{+Q}[var(txn.tpin)] c=%ci:%cp t=[%tr] " \
		"at=%[accept_date(us)] fe=%f be=%b srv=%s addr=%si:%sp Th=%Th Ti=%Ti TR=%TR Tw=%Tw Tc=%Tc " \
		"Tr=%Tr Td=%Td Ta=%Ta Tt=%Tt st=%ST up=%U down=%B ts=%tsc rc=%rc sq=%sq bq=%bq m=%HM " \
		"p=%{+Q}HP q=%{+Q}HQ v=%HV"
#define ESCAPED	"%{+E}o {\"time\":\"%Ts\",\"ms\":\"%ms\",\"frontend\":\"%f\",\"server\":\"%s\",\"Ta\":%Ta,\"Tr\":%Tr," \
		"\"status\":%ST,\"r\":\"%r\",\"cookie\":\"%CC\",\"path\":\"%[capture.req.uri,json(utf8s)]\"," \
		"\"n\":%(n:sint)[rand(7)],\"b\":%(b:bool)[ssl_fc],\"h\":\"%[capture.req.hdr(0)]\"," \
		"\"x\":\"%[req.hdr(X-A)]\"}"
#define PATTERN	"re:(?<ci>\\S+) (?<tr>\\S+) (?<TR>\\S+)/(?<Tw>\\S+)/(?<Tc>\\S+)/(?<Tr>\\S+)/(?<Ta>\\S+) (?<ST>\\d+) " \
		"(?<tsc>\\S+) (?<ft>\\S+) (?<s>\\S+) (?<hr>\\{[^}]*\\} )?\"(?<r>[^\"]*)\" " \
		"(?<all>(?<user_agent>.*?)(?<xray>\\S*))"

static const struct slice from[] = { SLICE("var(txn.tid)"), SLICE("var(txn.sid)"), SLICE("var(txn.tpin)") };
static const struct slice to[] = { SLICE("trace_id"), SLICE("span_id"), SLICE("traceparent") };
static const struct slice request[] = { SLICE("traceparent"), SLICE("tracestate"), SLICE("host"), SLICE("b3"),
					SLICE("x-forwarded-for"), SLICE("X-B3-TraceId"), SLICE("x-b3-spanid") };
static const struct slice response[] = { SLICE("content-length") };

/* Which formats a run has, and whether the user named the captures. */
static const struct { const char *format[4]; bool named; } runs[] = {
	{ { "auto", KV, ESCAPED, PATTERN }, false }, { { "auto", KV, ESCAPED, PATTERN }, true },
	{ { "httplog-1.6" }, true }, { { KV }, false }, { { ESCAPED }, true }, { { PATTERN }, false },
};

enum { RUNS = sizeof(runs) / sizeof(runs[0]), RULES = 6 };
static struct arena arena;
static struct formats formats[RUNS];
static struct tree trees[RUNS][RULES];

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct naming naming = { from, to, 3, request, response, 0, 0 };
	struct err err = { 0 };

	for (int i = 0; i < RUNS; i++) {
		formats[i].arena = &arena;
		naming.nrequest = runs[i].named ? 7 : 0;
		naming.nresponse = runs[i].named ? 1 : 0;
		for (int k = 0; k < 4 && runs[i].format[k]; k++)
			CHECK(formats_add(&formats[i], slice_str(runs[i].format[k]), &naming, &err));
		for (unsigned k = 0; k < RULES; k++)
			tree_init(&trees[i][k], &formats[i], k);
	}
	return argc == NULL || argv == NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t run = fuzz_byte(&data, &size), rules = fuzz_byte(&data, &size);
	char *base;

	tree_line(&trees[run % RUNS][rules % RULES], fuzz_padded(data, size, &base));
	free(base);
	return 0;
}
