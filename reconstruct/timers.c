#include "reconstruct/timers.h"

#define NS_PER_MS INT64_C(1000000)

static const struct phase {
	enum span_role role;
	enum slot slot;
	struct slice name;
	bool client;			/* below CLIENT */
	const char *letters;		/* of the termination state under which it failed */
} phases_of[] = {
#define S false
#define C true
#define PHASE(role, slot, name, side, letters) { ROLE_##role, SLOT_##slot, { name, sizeof(name) - 1 }, side, letters },
#include "formats/timers.def"
#undef PHASE
#undef S
#undef C
};

#define PHASES (sizeof(phases_of) / sizeof(phases_of[0]))
enum { REQUEST, QUEUE, CONNECT, RESPONSE, DATA };

static const struct termination {
	char cause, state;
	struct slice type, words;
} terminations[] = {
#define TERMINATION(cause, state, type, words) \
	{ cause, state, { type, sizeof(type) - 1 }, { words, sizeof(words) - 1 } },
#include "formats/termination.def"
#undef TERMINATION
};

static const struct { struct slice prefix, type; } conn_errors[] = {
#define CONN_ERROR(prefix, type) { { prefix, sizeof(prefix) - 1 }, { type, sizeof(type) - 1 } },
#include "formats/conn_errors.def"
#undef CONN_ERROR
};

/* One request, while its tree is made. */
struct shape {
	const struct record *r;
	struct trace *t;
	bool tcp;
	char cause, state;		/* the first two letters, '-' when the line has none */
	int failed;			/* index of the failed phase, or -1 */
	int64_t ms[PHASES];		/* the timers; negative: never reached */
	uint64_t start_ns;
	int64_t total_ns;
	bool open_end;			/* the line was written before the end */
};

static const struct termination *termination(char cause, char state)
{
	const struct termination *t = terminations;

	while ((t->cause != '*' && t->cause != cause) || (t->state != '*' && t->state != state))
		t++;
	return t;
}

/* ---- timers ------------------------------------------------------------------------------------------ */

static int64_t clamp(int64_t v, int64_t lo, int64_t hi)
{
	return v < lo ? lo : v > hi ? hi : v;
}

/* A timer of more than a year is no time; keep sums far from overflow. */
static int64_t timer(const struct record *r, enum slot s)
{
	return clamp(record_num(r, s, -1), INT32_MIN, INT64_C(1) << 40);
}

static void read_timers(struct shape *x)
{
	const struct record *r = x->r;

	for (size_t i = 0; i < PHASES; i++)
		x->ms[i] = timer(r, phases_of[i].slot);
	if (x->tcp) {
		/* In TCP mode Tw counts from the accept and 1 ms too much: t_request is -1 (src/log.c). */
		x->ms[REQUEST] = -1;
		x->ms[QUEUE] -= x->ms[QUEUE] > 0;
		x->ms[RESPONSE] = -1;
		x->ms[DATA] = x->ms[CONNECT] >= 0 ? 0 : -1;
		return;
	}
	/* Before 1.7 the request phase is Tq, from the accept on. */
	if (!format_has(r->format, SLOT_TR) && format_has(r->format, SLOT_Tq)) {
		x->ms[REQUEST] = timer(r, SLOT_Tq);
		if (x->ms[REQUEST] >= 0 && format_has(r->format, SLOT_tr))
			x->ms[REQUEST] -= clamp(timer(r, SLOT_Th), 0, x->ms[REQUEST]);
		if (x->ms[REQUEST] >= 0 && format_has(r->format, SLOT_tr))
			x->ms[REQUEST] -= clamp(timer(r, SLOT_Ti), 0, x->ms[REQUEST]);
	}
	/* Only the final line of a request with several has TR: without it, the clock of the request step. */
	if (record_has(r, SLOT_x_incomplete) && x->ms[REQUEST] < 0 && x->ms[QUEUE] >= 0 &&
	    x->t->moments->request >= x->start_ns)
		x->ms[REQUEST] = (int64_t)(x->t->moments->request - x->start_ns) / NS_PER_MS;
	/* Most formats leave Td to be computed: it is what is left once the response began. */
	if (!record_has(r, SLOT_Td))
		x->ms[DATA] = x->ms[RESPONSE] >= 0 ? 0 : -1;
}

/* How long it took, and whether that is the end. */
static void read_total(struct shape *x)
{
	static const enum slot total[] = { SLOT_Ta, SLOT_Tt };
	const struct record *r = x->r;
	int64_t sum = 0;

	for (int i = x->tcp; i < 2; i++)
		if (record_has(r, total[i])) {
			int64_t ms = timer(r, total[i]);

			/* Tt counts from the accept; Ta = Tt - (Ti >= 0 ? Th + Ti : 0) (src/log.c). */
			if (i == 1 && !x->tcp && format_has(r->format, SLOT_TR) && record_num(r, SLOT_Ti, 0) >= 0)
				ms -= clamp(timer(r, SLOT_Th), 0, INT64_MAX) + clamp(timer(r, SLOT_Ti), 0, INT64_MAX);
			x->open_end = record_plus(r, total[i]);
			x->total_ns = clamp(ms, 0, INT64_MAX) * NS_PER_MS;
			return;
		}
	for (size_t i = 0; i < PHASES; i++)
		sum += x->ms[i] > 0 ? x->ms[i] : 0;
	x->open_end = (!record_has(r, SLOT_Td) && !record_has(r, SLOT_end_us)) || record_has(r, SLOT_x_incomplete);
	x->total_ns = sum * NS_PER_MS;
}

/* ---- failure ----------------------------------------------------------------------------------------- */

static bool no_failure(const struct shape *x)
{
	if (x->cause == '-' || x->state == 'T')
		return true;
	if (x->cause == 'L' && (x->state == 'R' || x->state == 'H' || x->state == 'C'))
		return true;		/* HAProxy answered as it was told to */
	return x->cause == 'P' && x->state == 'R' && x->ms[REQUEST] >= 0;
}

static int failed_phase(const struct shape *x)
{
	if (no_failure(x))
		return -1;
	if (x->cause == 'S' && x->state == 'C' && x->ms[QUEUE] < 0)
		return QUEUE;		/* no server to be had */
	if (x->state == 'D' && !x->tcp && x->ms[RESPONSE] < 0)
		return RESPONSE;
	for (size_t i = 0; i < PHASES; i++)
		if (strchr(phases_of[i].letters, x->state))
			return (int)i;
	return -1;
}

/*
 * Why the failed phase did: by the letter of the phase, not of the line. SC in the queue is not a server that
 * refused but none that was there to ask; SD before the headers is a server that never sent any. And in TCP mode
 * nobody checks a request: PR is a rule that rejected the connection.
 */
static const struct termination *reason(const struct shape *x)
{
	char state = x->failed == QUEUE ? 'Q' : x->failed == RESPONSE ? 'H' : x->tcp && x->state == 'R' ? '*' : x->state;

	return termination(x->cause, state);
}

/* ---- spans ------------------------------------------------------------------------------------------- */

static struct span *span_add(struct shape *x, enum span_role role, enum span_kind kind, struct slice name,
			     uint64_t start, uint64_t end)
{
	struct span *s = &x->t->span[x->t->n++];

	s->start_ns = start;
	s->end_ns = end;
	s->name = name;
	s->error_type.len = 0;
	s->role = (uint8_t)role;
	s->kind = (uint8_t)kind;
	s->status = STATUS_UNSET;
	s->parent_remote = 0;
	return s;
}

/* A server's name in angle brackets is HAProxy's word for having none, or an applet's. */
static bool is_server(struct slice name)
{
	return name.len && *name.p != '<';
}

static bool client_exists(const struct shape *x)
{
	const struct record *r = x->r;
	bool named = format_has(r->format, SLOT_s) ? is_server(record_text(r, SLOT_s)) : record_has(r, SLOT_si);

	/* LC is a server's `redir`: named, but nobody asked it. */
	if (!named || x->failed == REQUEST || x->failed == QUEUE || (x->cause == 'L' && x->ms[CONNECT] < 0))
		return false;
	return x->ms[CONNECT] >= 0 || (x->state != '\0' && strchr("CHDL", x->state));
}

/* The last phase that was reached; it takes what is left of the total. -1: none. */
static int last_phase(const struct shape *x)
{
	int last = -1;

	if (x->failed >= 0)
		return x->failed;
	for (int i = x->tcp ? QUEUE : REQUEST; i < (int)PHASES; i++) {
		if (x->tcp && i == RESPONSE)
			continue;
		if (x->ms[i] < 0 || (i == DATA && x->open_end))
			break;
		last = i;
	}
	return last;
}

static bool drawn(const struct shape *x, enum phases phases, int i, uint64_t length)
{
	return phases == PHASES_ALL || (phases == PHASES_AUTO && (length > 0 || i == x->failed));
}

/*
 * The moment of a step, unless it contradicts the timers by more than this: then a clock was moved, or the line was
 * written long before or after what the timer measures (rules that wait run between the two).
 */
#define CONTRADICTION (5 * (uint64_t)NS_PER_MS)

static uint64_t moment_of(const struct shape *x, int i)
{
	const struct moments *m = x->t->moments;
	uint64_t at = i == REQUEST ? m->request : i == CONNECT ? m->connect : i == RESPONSE ? m->response : 0;
	uint64_t timed = x->start_ns;

	for (int k = 0; k <= i; k++)
		timed += x->ms[k] > 0 ? (uint64_t)(x->ms[k] * NS_PER_MS) : 0;
	return at && at + CONTRADICTION >= timed && at <= timed + CONTRADICTION ? at : 0;
}

/* Where phase `i`, not the last, ends: by its timer, or by the steps of a request that has several lines. */
static uint64_t phase_end(const struct shape *x, int i, uint64_t at, uint64_t end)
{
	uint64_t timed = at + (uint64_t)clamp(x->ms[i] * NS_PER_MS, 0, (int64_t)(end - at));
	uint64_t moment, connect;

	if (!x->t->moments)
		return timed;
	moment = moment_of(x, i);
	if (moment)
		return moment < at ? at : moment > end ? end : moment;
	/* No step ends the queue: its timer splits what lies before the connect step. */
	connect = i == QUEUE && x->ms[CONNECT] >= 0 ? moment_of(x, CONNECT) : 0;
	return connect && connect < timed ? (connect < at ? at : connect) : timed;
}

static void set_length(struct trace *t, enum span_role role, uint64_t ns)
{
	t->length_ns[role] = ns;
	t->reached |= (uint8_t)(1u << role);
}

/*
 * Lay the phases end to end between start and end; CLIENT opens where the first of its own begins. It is named by the
 * method alone: the route is the frontend's word, the server may have been asked for another path.
 */
static void lay_phases(struct shape *x, enum phases phases, struct slice name, uint64_t start, uint64_t end)
{
	uint64_t at = start;
	bool opened = !x->t->has_client;
	int last = last_phase(x);
	bool over = false;

	for (int i = 0; i < (int)PHASES; i++) {
		const struct phase *p = &phases_of[i];
		uint64_t to;

		if (p->client && !opened) {
			span_add(x, ROLE_CLIENT, KIND_CLIENT, slice_of(name.p, slice_find(name, ' ')), at, end);
			opened = true;
		}
		over |= x->ms[i] < 0 && !(x->tcp && (i == REQUEST || i == RESPONSE));
		if (i > last || (i != last && (over || x->ms[i] < 0)))
			continue;
		to = i == last ? end : phase_end(x, i, at, end);
		set_length(x->t, p->role, to - at);
		if (drawn(x, phases, i, to - at)) {
			struct span *s = span_add(x, p->role, KIND_INTERNAL, p->name, at, to);

			if (i == x->failed) {
				s->status = STATUS_ERROR;
				s->error_type = reason(x)->type;
			}
		}
		at = to;
	}
}

/* ---- status ------------------------------------------------------------------------------------------ */

static struct span *find(struct trace *t, enum span_role role)
{
	for (uint32_t i = 0; i < t->n; i++)
		if (t->span[i].role == role)
			return &t->span[i];
	return NULL;
}

static void set_error(struct span *s, struct slice type)
{
	s->status = STATUS_ERROR;
	s->error_type = type;
}

/* doc/model.md, "Status". */
static void set_status(struct shape *x, struct record *r)
{
	struct span *server = &x->t->span[0], *client = find(x->t, ROLE_CLIENT);
	int64_t status = record_num(r, SLOT_ST, 0);
	bool below_client = x->failed >= 0 && phases_of[x->failed].client;
	struct slice code = { x->t->code, 3 };

	if (status < 100 || status > 999)
		status = 0;
	else
		record_set_num(r, SLOT_x_status, status);
	if (status >= 400)
		for (int64_t i = 2, n = status; i >= 0; i--, n /= 10)
			x->t->code[i] = (char)('0' + n % 10);
	if (x->failed >= 0) {
		x->t->failed = (uint8_t)phases_of[x->failed].role;
		set_error(server, reason(x)->type);
		x->t->words = reason(x)->words;
	}
	if (x->failed < 0 && status >= 500)
		set_error(server, code);
	if (!client)
		return;
	/* The server's answer reached HAProxy unless something failed before, or HAProxy replaced it (LH). */
	if (status && x->failed != CONNECT && x->failed != RESPONSE && x->cause != 'L' &&
	    (x->ms[RESPONSE] >= 0 || !format_has(r->format, SLOT_Tr))) {
		record_set_num(r, SLOT_x_status_server, status);
		if (status >= 400)
			set_error(client, code);
	}
	if (below_client && x->cause != 'C' && x->cause != 'c')
		set_error(client, reason(x)->type);
}

static void name_server(struct record *r)
{
	struct slice s = record_text(r, SLOT_s);

	if (s.len && !slice_eq(s, SLICE("<NOSRV>")))
		record_set_text(r, SLOT_x_server, s);
	if (record_plus(r, SLOT_rc))
		record_set_num(r, SLOT_x_redispatched, 1);
}

static void connection_error(struct record *r, uint64_t start_ns, struct shape *x)
{
	struct slice message = record_text(r, SLOT_error);
	struct span *s = span_add(x, ROLE_SERVER, KIND_SERVER, SLICE("connection"), start_ns, start_ns);
	size_t i = 0;

	while (!slice_starts(message, conn_errors[i].prefix))
		i++;
	set_error(s, message.len == 0 && x->cause != '-' ? termination(x->cause, x->state)->type : conn_errors[i].type);
}

/* A line's own clock at its end is finer than the sum of milliseconds; a moved clock must not bend a span. */
static uint64_t end_of(const struct shape *x, uint64_t start_ns)
{
	uint64_t end = start_ns + (uint64_t)x->total_ns, exact;
	int64_t us = record_num(x->r, SLOT_end_us, 0);

	if (us <= 0 || us > INT64_MAX / 1000)
		return end;
	exact = (uint64_t)us * 1000;
	if (!record_has(x->r, SLOT_Ta) && !record_has(x->r, SLOT_Tt))
		return exact >= start_ns ? exact : end;
	return exact >= start_ns && exact + 5 * (uint64_t)NS_PER_MS >= end && exact <= end + 5 * (uint64_t)NS_PER_MS ?
	       exact : end;
}

void timers_rebuild(struct record *r, enum phases phases, uint64_t start_ns, struct slice name, struct trace *t)
{
	struct slice state = record_text(r, record_has(r, SLOT_tsc) ? SLOT_tsc : SLOT_ts);
	struct shape x = { .r = r, .t = t, .start_ns = start_ns, .tcp = r->format->mode == MODE_TCP, .cause = '-', .state = '-' };
	uint64_t end;

	t->n = 0;
	t->has_client = false;
	t->failed = 0;
	t->reached = 0;
	t->words = slice_of("", 0);
	if (state.len >= 2) {
		x.cause = state.p[0];
		x.state = state.p[1];
	}
	if (r->format->mode == MODE_ERROR || (r->flags & RECORD_SESSION_ERROR)) {
		connection_error(r, start_ns, &x);
		return;
	}
	name_server(r);
	read_timers(&x);
	read_total(&x);
	x.failed = failed_phase(&x);
	if (x.failed == QUEUE)
		x.state = 'Q';		/* SC without a server is the queue's failure: by that row of the table */
	t->has_client = x.state != 'T' && client_exists(&x);
	if (x.open_end)
		record_set_num(r, SLOT_x_open_end, 1);
	end = end_of(&x, start_ns);
	span_add(&x, ROLE_SERVER, KIND_SERVER, name, start_ns, end);
	set_length(t, ROLE_SERVER, end - start_ns);
	if (x.state == 'T') {
		set_length(t, ROLE_TARPIT, end - start_ns);
		if (phases != PHASES_NONE)
			span_add(&x, ROLE_TARPIT, KIND_INTERNAL, SLICE("haproxy.tarpit"), start_ns, end);
	} else {
		lay_phases(&x, phases, name, start_ns, end);
	}
	set_status(&x, r);
}
