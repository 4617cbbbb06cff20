#include "reconstruct/shift.h"

#include "reconstruct/mix.h"

#define GOLDEN UINT64_C(0x9e3779b97f4a7c15)

struct shift shift_by(int64_t us)
{
	uint64_t key = (uint64_t)us;

	if (us == 0)
		return (struct shift){ 0 };
	return (struct shift){ us, mix(key + GOLDEN), mix(key + 2 * GOLDEN), mix(key + 3 * GOLDEN) };
}

static uint64_t moved(const struct shift *s, uint64_t ns)
{
	__int128 to = (__int128)ns + (__int128)s->us * 1000;

	return to < 0 ? 0 : to > INT64_MAX ? (uint64_t)INT64_MAX : (uint64_t)to;
}

void shift_trace(const struct shift *s, struct trace *t, struct event *event)
{
	t->id_hi = mix(t->id_hi ^ s->hi);
	t->id_lo = nonzero(mix(t->id_lo ^ s->lo));
	for (uint32_t i = 0; i < t->n; i++) {
		struct span *span = &t->span[i];

		span->start_ns = moved(s, span->start_ns);
		span->end_ns = moved(s, span->end_ns);
		span->id = nonzero(mix(span->id ^ s->span));
		if (span->parent)
			span->parent = nonzero(mix(span->parent ^ s->span));
	}
	for (uint32_t i = 0; event && i < t->nevents; i++)
		event[i].ns = moved(s, event[i].ns);
}
