/*
 * tests/http_driver.c - the HTTP sink alone: wires made by protobuf-c instead of lines, and the
 * account at the end.
 *
 *     http_driver URI [name=number]…
 *
 * The wires of JSON are not joined unless `join` says up to how many bytes. The spool is in the folder $DRIVER_SPOOL.
 *
 * Prints `submitted=… restored=… exported=… refused=… dropped=… held=… failed=… peak_kb=… submit_ms=…
 * finish_ms=…`. Trace ids are 1, 2, 3…; the spans of trace T have the ids T * 256 + 1, + 2…, so
 * that a test knows them all.
 */
#include "export/export.h"
#include "export/http.h"

#include "core/log.h"
#include "core/stop.h"
#include "export/proto/trace.pb-c.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static const char *const headers[] = { "X-Token: s3cret", "X-Empty:", NULL };

/* What can be set, with what holds otherwise. */
#define SETTINGS(X) \
	X(wires, 4) X(traces, 10) X(spans, 3) X(pad, 0) X(json, 0) X(gzip, 0) X(timeout, 2000) \
	X(connections, 2) X(buffer, 16000000) X(drain, 1000) X(give_up, 2000) X(backoff, 20) \
	X(backoff_max, 200) X(hold, 300) X(after_max, 300000) X(stop_ms, 0) X(pause_ms, 0) \
	X(user_headers, 0) X(join, 0) X(delay, 0) X(spool_max, 1 << 30) X(first, 1) \
	X(reload_ms, 0) X(settle_every, 1) X(rejoin, 10000)

struct settings {
#define X(name, value) unsigned long name;
	SETTINGS(X)
#undef X
};

/* ---- wires ----------------------------------------------------------------------------------- */

static void put64(uint8_t *to, uint64_t v)
{
	for (int i = 0; i < 8; i++)
		to[i] = (uint8_t)(v >> (56 - 8 * i));
}

static Otlp__Span *make_span(uint64_t trace, uint64_t n, unsigned long pad)
{
	Otlp__Span *s = malloc(sizeof(*s));

	otlp__span__init(s);
	s->trace_id = (ProtobufCBinaryData){ 16, calloc(1, 16) };
	s->span_id = (ProtobufCBinaryData){ 8, calloc(1, 8) };
	put64(s->trace_id.data + 8, trace);
	put64(s->span_id.data, trace * 256 + n);
	if (n > 1) {
		s->parent_span_id = (ProtobufCBinaryData){ 8, calloc(1, 8) };
		put64(s->parent_span_id.data, trace * 256 + 1);
	}
	s->name = strdup(n == 1 ? "GET" : "haproxy.response");
	s->kind = n == 1 ? OTLP__SPAN__SPAN_KIND__SPAN_KIND_SERVER
			 : OTLP__SPAN__SPAN_KIND__SPAN_KIND_INTERNAL;
	s->start_time_unix_nano = 1700000000000000000 + trace;
	s->end_time_unix_nano = s->start_time_unix_nano + 1000000 * n;
	if (pad) {
		s->trace_state = calloc(1, pad + 1);
		memset(s->trace_state, 'x', pad);
	}
	return s;
}

static Otlp__ExportTraceServiceRequest *make_request(uint64_t first, const struct settings *set)
{
	Otlp__ExportTraceServiceRequest *q = malloc(sizeof(*q));
	Otlp__ResourceSpans *rs = malloc(sizeof(*rs));
	Otlp__ScopeSpans *ss = malloc(sizeof(*ss));

	otlp__export_trace_service_request__init(q);
	otlp__resource_spans__init(rs);
	otlp__scope_spans__init(ss);
	q->resource_spans = malloc(sizeof(rs));
	q->resource_spans[q->n_resource_spans++] = rs;
	rs->resource = malloc(sizeof(*rs->resource));
	otlp__resource__init(rs->resource);
	rs->schema_url = strdup("https://opentelemetry.io/schemas/1.44.0");
	rs->scope_spans = malloc(sizeof(ss));
	rs->scope_spans[rs->n_scope_spans++] = ss;
	ss->scope = malloc(sizeof(*ss->scope));
	otlp__instrumentation_scope__init(ss->scope);
	ss->scope->name = strdup("haspan");
	ss->spans = calloc(set->traces * set->spans, sizeof(*ss->spans));
	for (uint64_t t = 0; t < set->traces; t++)
		for (uint64_t n = 1; n <= set->spans; n++)
			ss->spans[ss->n_spans++] = make_span(first + t, n, set->pad);
	return q;
}

static void put_hex(struct buf *out, const ProtobufCBinaryData *id)
{
	for (size_t i = 0; i < id->len; i++) {
		snprintf(buf_room(out, 3), 3, "%02x", id->data[i]);
		out->len += 2;
	}
}

static void put_json(const Otlp__ExportTraceServiceRequest *q, struct buf *out)
{
	const Otlp__ScopeSpans *ss = q->resource_spans[0]->scope_spans[0];

	buf_lit(out, "{\"resourceSpans\":[{\"scopeSpans\":[");
	buf_lit(out, "{\"scope\":{\"name\":\"haspan\"},\"spans\":[");
	for (size_t i = 0; i < ss->n_spans; i++) {
		const Otlp__Span *s = ss->spans[i];

		if (i)
			buf_char(out, ',');
		buf_lit(out, "{\"traceId\":\"");
		put_hex(out, &s->trace_id);
		buf_lit(out, "\",\"spanId\":\"");
		put_hex(out, &s->span_id);
		buf_lit(out, "\",\"name\":\"");
		buf_slice(out, slice_str(s->name));
		buf_lit(out, "\",\"traceState\":\"");
		buf_slice(out, slice_str(s->trace_state));
		buf_lit(out, "\",\"kind\":1}");
	}
	buf_lit(out, "]}]}]}\n");
}

static void fill(struct wire *w, uint64_t first, const struct settings *set)
{
	Otlp__ExportTraceServiceRequest *q = make_request(first, set);
	size_t n = otlp__export_trace_service_request__get_packed_size(q);

	if (set->json) {
		put_json(q, &w->bytes);
	} else {
		otlp__export_trace_service_request__pack(q, (uint8_t *)buf_room(&w->bytes, n));
		w->bytes.len += n;
	}
	w->spans += set->traces * set->spans;
	otlp__export_trace_service_request__free_unpacked(q, NULL);
}

/* ---- positions ------------------------------------------------------------------------------- */

/*
 * As sources do: what is settled, and has survived a sync, is not submitted again by the next run. The number of the
 * first wire that is not settled stands in the file $DRIVER_STATE.
 */
static uint64_t state_read(void)
{
	FILE *f = getenv("DRIVER_STATE") ? fopen(getenv("DRIVER_STATE"), "r") : NULL;
	char line[32] = "";
	uint64_t n = 0;

	if (f && fgets(line, sizeof(line), f))
		n = strtoull(line, NULL, 10);
	if (f)
		fclose(f);
	return n;
}

static void state_write(struct sink *sink, uint64_t start, uint64_t submitted)
{
	const char *path = getenv("DRIVER_STATE");
	uint64_t below = sink->ops->unsettled(sink), again;
	char next[4096];
	FILE *f;

	if (!path)
		return;
	sink->ops->sync(sink);
	again = sink->ops->unsettled(sink);
	below = again < below ? again : below;
	below = below < submitted ? below : submitted;
	snprintf(next, sizeof(next), "%s.next", path);
	f = fopen(next, "w");
	if (!f || fprintf(f, "%" PRIu64 "\n", start + below) < 0 || fclose(f) != 0 || rename(next, path) != 0)
		abort();
}

/* ---- the account, while it moves ------------------------------------------------------------- */

struct watch {
	struct sink *sink;
	const struct settings *set;
	atomic_uint_fast64_t before, after;	/* spans whose submit() has begun, has returned */
	atomic_bool over;
};

static void nap(unsigned long ms)
{
	nanosleep(&(struct timespec){ (time_t)(ms / 1000), (long)(ms % 1000) * 1000000 }, NULL);
}

/*
 * At every moment the sum is what was submitted: not less than what has returned, not more than
 * what has begun.
 */
static void *watch(void *arg)
{
	struct watch *w = arg;
	struct sink_tally t;
	uint64_t low, sum;

	while (!atomic_load(&w->over)) {
		low = atomic_load(&w->after);
		w->sink->ops->tally(w->sink, &t);
		sum = t.exported + t.refused + t.dropped + t.held - t.restored;
		if (sum < low || sum > atomic_load(&w->before)) {
			fprintf(stderr, "the account is wrong: %" PRIu64 "\n", sum);
			abort();
		}
		nap(1);
	}
	return NULL;
}

static void *stop_later(void *arg)
{
	const struct settings *set = arg;

	nap(set->stop_ms);
	stop_request();
	return NULL;
}

/* SIGHUP: a new header, and nothing else. */
static void *reload_later(void *arg)
{
	static const char *const fresh[] = { "X-Token: fresh", NULL };
	struct export_config cfg = { .headers = fresh, .timeout_ms = 2000, .drain_ms = 1000, .give_up_ms = 2000 };
	struct watch *w = arg;
	struct err err = { 0 };

	cfg.batch_delay_ms = (unsigned)w->set->delay;
	nap(w->set->reload_ms);
	if (!w->sink->ops->reload(w->sink, &cfg, &err))
		abort();
	cfg.ca = "/nonexistent";
	if (w->sink->ops->reload(w->sink, &cfg, &err))
		abort();
	return NULL;
}

static void submit_all(struct watch *w, const struct settings *set)
{
	struct wire wire = { .bytes = { .max = WIRE_MAX } };
	uint64_t start = state_read();

	for (unsigned long i = start; i < set->wires && !stop_requested(); i++) {
		fill(&wire, set->first + i * set->traces, set);
		wire.seq = i - start;
		atomic_fetch_add(&w->before, wire.spans);
		w->sink->ops->submit(w->sink, &wire);
		if (wire.bytes.len || wire.spans || wire.bytes.max != WIRE_MAX)
			abort();
		atomic_fetch_add(&w->after, set->traces * set->spans);
		nap(set->pause_ms);
		if (i % set->settle_every == 0)
			state_write(w->sink, start, i - start + 1);
	}
	buf_free(&wire.bytes);
}

static void report_metrics(struct sink *sink)
{
	static const char *const names[] = {
#define METRIC(name, kind, label, help) #name,
#include "formats/metrics.def"
#undef METRIC
	};
	struct metrics m = { 0 };
	struct metric_sample s;

	sink->ops->metrics(sink, &m);
	for (size_t at = 0; at < m.samples.len; at += sizeof(s)) {
		uint64_t n = 0;

		memcpy(&s, m.samples.p + at, sizeof(s));
		for (int i = 0; s.histogram && i < HISTOGRAM_BUCKETS; i++)
			n += atomic_load(&s.histogram->bucket[i]);
		printf("%s=%.0f ", names[s.id], s.histogram ? (double)n : s.value);
	}
	printf("\n");
	metrics_free(&m);
}

/* Not getrusage's: that remembers the process which started this one. */
static long peak_kb(void)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[256];
	long kb = 0;

	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, "VmHWM:", 6) == 0)
			kb = strtol(line + 6, NULL, 10);
	if (f)
		fclose(f);
	return kb;
}

static void report(struct watch *w, int64_t submit_ms, int64_t finish_ms)
{
	struct sink_tally t;

	w->sink->ops->tally(w->sink, &t);
	printf("submitted=%" PRIu64 " restored=%" PRIu64 " exported=%" PRIu64 " refused=%" PRIu64 " dropped=%" PRIu64
	       " held=%" PRIu64 " failed=%d peak_kb=%ld submit_ms=%" PRId64 " finish_ms=%" PRId64
	       "\n",
	       (uint64_t)atomic_load(&w->after), t.restored, t.exported, t.refused, t.dropped, t.held,
	       w->sink->failed, peak_kb(), submit_ms, finish_ms);
}

static void drive(struct sink *sink, struct settings *set)
{
	struct watch w = { .sink = sink, .set = set };
	pthread_t watcher, stopper, reloader;
	int64_t start = clock_ms(), middle;
	uint64_t state_start = state_read();

	pthread_create(&watcher, NULL, watch, &w);
	if (set->stop_ms)
		pthread_create(&stopper, NULL, stop_later, set);
	if (set->reload_ms)
		pthread_create(&reloader, NULL, reload_later, &w);
	submit_all(&w, set);
	middle = clock_ms();
	sink->ops->finish(sink);
	atomic_store(&w.over, true);
	pthread_join(watcher, NULL);
	if (set->stop_ms)
		pthread_join(stopper, NULL);
	if (set->reload_ms)
		pthread_join(reloader, NULL);
	state_write(sink, state_start, atomic_load(&w.after) / (set->traces * set->spans));
	report(&w, middle - start, clock_ms() - middle);
	report_metrics(sink);
	sink->ops->free(sink);
}

static bool set_one(struct settings *set, const char *word)
{
	size_t n = strcspn(word, "=");

#define X(name, value) \
	if (slice_eq(slice_of(word, n), SLICE(#name)) && word[n]) \
		return set->name = strtoul(word + n + 1, NULL, 10), true;
	SETTINGS(X)
#undef X
	return false;
}

static struct sink *open_sink(const char *uri, const struct settings *set, struct err *err)
{
	struct export_config cfg = {
		.protocol = set->json ? "http/json" : NULL,
		.headers = set->user_headers ? headers : NULL,
		.gzip = set->gzip,
		.timeout_ms = (unsigned)set->timeout,
		.connections = (unsigned)set->connections,
		.ca = getenv("DRIVER_CA"),
		.cert = getenv("DRIVER_CERT"),
		.key = getenv("DRIVER_KEY"),
		.buffer_max = set->buffer,
		.drain_ms = (unsigned)set->drain,
		.give_up_ms = (unsigned)set->give_up,
		.batch_delay_ms = (unsigned)set->delay,
		.spool = getenv("DRIVER_SPOOL"),
		.spool_max = set->spool_max,
	};

	http_join_max = set->join ? set->join : set->json ? 1 : JOIN_MAX;
	http_timing.first_ms = (uint32_t)set->backoff;
	http_timing.max_ms = (uint32_t)set->backoff_max;
	http_timing.hold_ms = (uint32_t)set->hold;
	http_timing.join_ms = (uint32_t)set->rejoin;
	http_timing.after_max_ms = (uint32_t)set->after_max;
	return http_sink_open(slice_str(uri), &cfg, err);
}

int main(int argc, char **argv)
{
	struct settings set = {
#define X(name, value) .name = value,
		SETTINGS(X)
#undef X
	};
	struct err err = { 0 };
	struct sink *sink;

	for (int i = 2; i < argc; i++)
		if (!set_one(&set, argv[i]))
			return fprintf(stderr, "%s?\n", argv[i]), EXIT_USAGE;
	if (argc < 2 || !stop_init())
		return EXIT_USAGE;
	sink = open_sink(argv[1], &set, &err);
	if (!sink)
		return err_print(&err), (int)err.code;
	drive(sink, &set);
	return EXIT_DONE;
}
