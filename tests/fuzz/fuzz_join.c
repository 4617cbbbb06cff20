/*
 * The joiner: lines of any kind as steps of requests, in a store for a few. Every line is in one request that left, or
 * was counted as dropped or late; each request becomes a tree that holds what tree.h asks for, in two runs the same.
 */
#include "fuzz.h"
#include "tree.h"

#include "reconstruct/steps.h"

static const char *const texts[] = {
	"%OG id=%ID c=%ci:%cp at=%[accept_date(us)] fe=%f",
	"%OG id=%ID c=%ci:%cp rt=%[request_date(us)] fe=%f m=%HM p=%HP TR=%TR tp=%[var(txn.tp)]",
	"%OG id=%ID be=%b srv=%s Tw=%Tw Tc=%Tc rc=%rc",
	"%OG id=%ID st=%ST Tr=%Tr",
	"%OG id=%ID be=%b srv=%s st=%ST B=%B %Th/%Ti/%TR/%Tw/%Tc/%Tr/%Td/%Ta/%Tt ts=%tsc rc=%rc",
	"%OG id=%ID what=%(what)[str(rule)] n=%(n:sint)[rand(7)] now=%[date(0,us)]",
	"%OG %rt/%pid [%t] %f %Tw/%Tc/%Tt %ts {%hr} %[date(0,us)]",
};

enum { RULES = 6 };
static const struct slice from[] = { SLICE("var(txn.tp)") }, to[] = { SLICE("traceparent") };
static struct arena arena;
static struct formats formats;
static struct tree trees[RULES];
static struct merge merge;
static struct joined joined;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct naming naming = { .map_from = from, .map_to = to, .nmap = 1 };
	struct err err = { 0 };
	struct format *whole;

	formats.arena = &arena;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		CHECK(formats_add(&formats, slice_str(texts[i]), &naming, &err));
	CHECK(formats_add(&formats, SLICE("auto"), &naming, &err));
	whole = formats_families(&formats);
	CHECK(whole);
	plan_make(whole, &arena);
	for (unsigned k = 0; k < RULES; k++)
		tree_init(&trees[k], &formats, k);
	merge_init(&merge);
	return argc == NULL || argv == NULL;
}

static void merge_lines(struct tree *x, int poison)
{
	memset(&x->parser.rec, poison, sizeof(x->parser.rec));
	memset(x->parser.scratch, poison, 4096);
	memset(merge.scratch, poison, 4096);
	merge_begin(&merge, &joined);
	for (uint32_t k = 0; k < merge.n; k++) {
		uint32_t i = merge.order[k];
		struct frame f = { .zone_min = ZONE_UNKNOWN, .msg = slice_of(joined.bytes[i], joined.part[i].len) };
		struct recent recent;

		memset(&recent, 0xff, sizeof(recent));
		f.raw = f.line = slice_of(joined.bytes[i], joined.part[i].raw_len);
		CHECK(parse_frame(&x->parser, &f, &recent) == PARSED_REQUEST);
		merge_add(&merge, i, &x->parser.rec);
	}
	CHECK(merge.rec.format);
	merge_finish(&merge);
	memset(&x->trace, poison, sizeof(x->trace));
	x->rebuilder.moments = &merge.moments;
	rebuild(&x->rebuilder, &merge.rec, &merge.frame, &x->trace);
	x->rebuilder.moments = NULL;
	merge_events(&merge, &x->trace);
	x->parser.rec = merge.rec;
	x->frame = merge.frame;
}

static bool check_events(const struct trace *t)
{
	const struct span *server = &t->span[0];
	bool nul = false;

	CHECK(t->nevents >= 1 && t->nevents <= joined.n);
	for (uint32_t i = 0; i < t->nevents; i++) {
		const struct event *e = &t->event[i];

		CHECK(e->name.len && e->ns >= server->start_ns && e->ns <= server->end_ns && (!i || e->ns >= e[-1].ns));
		nul |= tree_nul(e->origin);
		for (uint32_t k = 0; k < e->nattrs; k++) {
			nul |= tree_nul(e->attr[k].key);
			nul |= tree_nul(e->attr[k].value);
			for (uint32_t l = 0; l < k; l++)
				CHECK(!slice_eq(e->attr[k].key, e->attr[l].key));
		}
	}
	return nul;
}

/* The request in `joined`, twice; its ids in `id`. */
static void request(struct tree *x)
{
	const struct buf empty = { .max = TREE_WIRE_MAX };
	struct buf one[TREE_ENCODERS] = { empty, empty, empty }, two[TREE_ENCODERS] = { empty, empty, empty };
	const struct plan *plan;
	bool nul;

	merge_lines(x, 0xa5);
	tree_encode(x, one);
	tree_spans(&x->trace, x->rules.phases);
	plan = x->parser.rec.format->plan;
	nul = tree_strings(&x->parser.rec, &plan->server);
	nul |= tree_strings(&x->parser.rec, &plan->server_alone);
	nul |= tree_strings(&x->parser.rec, &plan->client);
	nul |= tree_nul(x->frame.host);
	nul |= check_events(&x->trace);
	for (uint32_t i = 0; i < x->trace.nevents; i++)	/* a field of zero need not be written */
		nul |= !x->trace.event[i].ns;
	tree_protobuf(&one[0], &x->trace, !nul);
	tree_json(&one[1], &x->trace);
	tree_terminal(&one[2]);
	merge_lines(x, 0);
	tree_encode(x, two);
	for (int k = 0; k < TREE_ENCODERS; k++) {
		CHECK(slice_eq(slice_of(one[k].p, one[k].len), slice_of(two[k].p, two[k].len)));
		buf_free(&one[k]);
		buf_free(&two[k]);
	}
}

struct account {
	uint32_t first, taken, requests, lines, dropped;
};

static void drain(struct tree *x, struct buf *out, struct account *a)
{
	size_t at = 0;

	while (joined_next(out, &at, &joined)) {
		CHECK(joined.n >= 1 && joined.n <= PARTS_MAX);
		a->requests++;
		a->lines += joined.n;
		a->dropped += joined.dropped;
		request(x);
	}
	out->len = 0;
}

static void take(struct tree *x, struct joiner *j, struct slice line, struct buf *out, struct account *a)
{
	struct recent recent;
	struct part p;

	memset(&recent, 0xff, sizeof(recent));
	x->frame = (struct frame){ .raw = line };
	envelope_peel(&x->frame);
	if (parse_frame(&x->parser, &x->frame, &recent) != PARSED_REQUEST ||
	    !format_has(x->parser.rec.format, SLOT_OG) ||
	    step_line(&x->parser.rec, &x->frame, &p) != STEP_LINE_PART)
		return;
	p.format = recent.v[0];
	CHECK(p.len == x->parser.rec.msg.len && p.step != STEP_UNKNOWN);
	a->taken++;
	a->first += joiner_take(j, &p, &(struct part_bytes){ x->parser.rec.msg.p, x->frame.host.p, NULL }, out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t room = fuzz_byte(&data, &size), rules = fuzz_byte(&data, &size);
	struct tree *x = &trees[rules % RULES];
	struct err err = { 0 };
	struct joiner *j = joiner_new(1 + room % 8, 1000000, &err);
	struct buf out = { .max = TREE_WIRE_MAX };
	struct account a = { 0 };

	CHECK(j);
	while (size) {
		const uint8_t *end = memchr(data, '\n', size);
		size_t n = end ? (size_t)(end - data) : size;
		char *base;

		take(x, j, fuzz_padded(data, n, &base), &out, &a);
		drain(x, &out, &a);
		free(base);
		data += n + (end != NULL);
		size -= n + (end != NULL);
	}
	while (joiner_end(j, &out))
		drain(x, &out, &a);
	CHECK(a.first == a.requests && a.lines + a.dropped <= a.taken);
	buf_free(&out);
	joiner_free(j);
	return 0;
}
