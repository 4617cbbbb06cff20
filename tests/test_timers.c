/*
 * Timers and termination states to spans: doc/model.md, line by line.
 *
 * A tree is written as its spans in order, `role start+length` in ms from SERVER's start, then
 * =STATUS for http.response.status_code and !TYPE for status ERROR with its error.type.
 */
#include "lines.h"

/* ---- trees as text --------------------------------------------------------------------------- */

static const char *const roles[ROLE_MAX] = {
	[ROLE_SERVER] = "server",     [ROLE_REQUEST] = "request", [ROLE_QUEUE] = "queue",
	[ROLE_TARPIT] = "tarpit",     [ROLE_CLIENT] = "client",	  [ROLE_CONNECT] = "connect",
	[ROLE_RESPONSE] = "response", [ROLE_DATA] = "data",
};

static size_t put_ms(char *out, size_t size, uint64_t ns)
{
	if (ns % 1000000)
		return (size_t)snprintf(out, size, "%llu.%06llu",
					(unsigned long long)(ns / 1000000),
					(unsigned long long)(ns % 1000000));
	return (size_t)snprintf(out, size, "%llu", (unsigned long long)(ns / 1000000));
}

static const char *tree(const struct lines *l)
{
	static char out[1024];
	const struct span *server = &l->trace.span[0];
	size_t n = 0;

	for (uint32_t i = 0; i < l->trace.n; i++) {
		const struct span *s = &l->trace.span[i];
		const char *code =
			s->kind == KIND_INTERNAL ?
				NULL :
				lines_attr(l, (enum span_role)s->role, "http.response.status_code");

		n += (size_t)snprintf(out + n, sizeof(out) - n, "%s%s ", i ? " | " : "",
				      roles[s->role]);
		n += put_ms(out + n, sizeof(out) - n, s->start_ns - server->start_ns);
		n += (size_t)snprintf(out + n, sizeof(out) - n, "+");
		n += put_ms(out + n, sizeof(out) - n, s->end_ns - s->start_ns);
		if (code)
			n += (size_t)snprintf(out + n, sizeof(out) - n, " =%s", code);
		if (s->status == STATUS_ERROR || s->error_type.len)
			n += (size_t)snprintf(out + n, sizeof(out) - n, " %s%s",
					      s->status == STATUS_ERROR ? "!" : "?",
					      lines_text(s->error_type));
	}
	return out;
}

/* Statistics have the lengths of all phases, also of those that are not drawn: these are of 0 ms under `auto`. */
static void check_lengths(const struct lines *l)
{
	const struct trace *t = &l->trace;
	uint64_t sum = 0;

	assert_false(t->reached & 1u << ROLE_CLIENT);
	for (uint32_t i = 0; i < t->n; i++) {
		const struct span *s = &t->span[i];

		if (s->role == ROLE_CLIENT || l->parser.rec.format->mode == MODE_ERROR)
			continue;
		assert_true(t->reached & 1u << s->role);
		assert_int_equal(t->length_ns[s->role], s->end_ns - s->start_ns);
	}
	for (int role = ROLE_REQUEST; role < ROLE_MAX; role++)
		sum += t->reached >> role & 1 ? t->length_ns[role] : 0;
	assert_true(sum == (t->reached >> 1 ? t->length_ns[ROLE_SERVER] : 0));
}

/*
 * What holds for every tree: SERVER first, a parent before its children and around them, and phases
 * end to end from SERVER's start to its end.
 */
static void check_shape(const struct lines *l)
{
	const struct trace *t = &l->trace;
	const struct span *server = &t->span[0], *client = lines_span(l, ROLE_CLIENT);
	uint64_t at = server->start_ns, client_at = 0;
	bool phases = false, client_phases = false;

	assert_int_equal(server->role, ROLE_SERVER);
	assert_int_equal(server->kind, KIND_SERVER);
	assert_true(server->end_ns >= server->start_ns);
	assert_int_equal(t->has_client, client != NULL);
	if (client) {
		assert_int_equal(client->kind, KIND_CLIENT);
		assert_int_equal(client->parent, server->id);
		assert_true(client->start_ns >= server->start_ns);
		assert_int_equal(client->end_ns, server->end_ns);
	}
	for (uint32_t i = 1; i < t->n; i++) {
		const struct span *s = &t->span[i];
		bool below = client && s->role > ROLE_CLIENT;

		assert_true(s->role > t->span[i - 1].role);
		if (s == client)
			continue;
		assert_int_equal(s->kind, KIND_INTERNAL);
		assert_int_equal(s->parent, below ? client->id : server->id);
		assert_int_equal(s->start_ns, at);
		assert_true(s->end_ns >= s->start_ns);
		if (below && !client_phases)
			client_at = s->start_ns;
		client_phases |= below;
		at = s->end_ns;
		phases = true;
	}
	if (phases)
		assert_int_equal(at, server->end_ns);
	if (client_phases)
		assert_int_equal(client->start_ns, client_at);
	check_lengths(l);
}

static void expect_line(struct lines *l, const char *line, const char *wanted)
{
	lines_request(l, line);
	if (strcmp(tree(l), wanted) != 0)
		fail_msg("%s\n  got    %s\n  wanted %s", line, tree(l), wanted);
	check_shape(l);
}

/* ---- httplog --------------------------------------------------------------------------------- */

/* One line of httplog by what matters here. */
struct row {
	const char *server, *timers, *status, *state, *tree;
};

static void expect_rows(enum phases phases, const struct row *rows, size_t n)
{
	struct lines l;

	lines_init(&l);
	l.rules.phases = phases;
	lines_format(&l, "auto");
	lines_start(&l, "UTC");
	for (size_t i = 0; i < n; i++) {
		char line[512];

		snprintf(line, sizeof(line),
			 "192.0.2.1:49686 [21/Nov/2026:08:15:44.900] fe %s %s %s 68 - - %s "
			 "1/1/0/0/0 0/0 "
			 "\"GET /x HTTP/1.1\"",
			 rows[i].server, rows[i].timers, rows[i].status, rows[i].state);
		expect_line(&l, line, rows[i].tree);
		assert_text(l.parser.rec.format->name, "httplog");
		assert_int_equal(l.trace.span[0].start_ns, UINT64_C(1795248944900000000));
		assert_text(l.trace.span[0].name, "GET");
	}
	lines_free(&l);
}

#define ROWS(phases, ...)                                                                          \
	do {                                                                                       \
		static const struct row rows[] = { __VA_ARGS__ };                                  \
		expect_rows((phases), rows, COUNT(rows));                                          \
	} while (0)

static void phases_tile_a_served_request(void **state)
{
	(void)state;
	ROWS(PHASES_AUTO,
	     { "be/app", "0/0/1/20/22", "200", "----",
	       "server 0+22 =200 | client 0+22 =200 | connect 0+1 | response 1+20 | data 21+1" },
	     { "be/app", "3/2/1/20/30", "200", "----",
	       "server 0+30 =200 | request 0+3 | queue 3+2 | client 5+25 =200 | connect 5+1 | "
	       "response 6+20 | data 26+4" },
	     { "be/app", "0/0/0/0/101", "200", "----",
	       "server 0+101 =200 | client 0+101 =200 | data 0+101" },
	     { "be/app", "0/0/0/21/21", "200", "----",
	       "server 0+21 =200 | client 0+21 =200 | response 0+21" },
	     { "be/app", "0/0/0/0/0", "200", "----", "server 0+0 =200 | client 0+0 =200" },
	     { "be/app", "5/0/0/0/5", "200", "----",
	       "server 0+5 =200 | request 0+5 | client 5+0 =200" },
	     /* a tunnel: 101 is an answer, and the rest is data */
	     { "be/app", "0/0/0/50/351", "101", "----",
	       "server 0+351 =101 | client 0+351 =101 | response 0+50 | data 50+301" },
	     { "be/app", "0/0/0/1099511627776/1099511627776", "200", "----",
	       "server 0+1099511627776 =200 | client 0+1099511627776 =200 | response "
	       "0+1099511627776" });
}

static void a_request_that_never_came_fails_in_its_first_phase(void **state)
{
	(void)state;
	ROWS(PHASES_AUTO,
	     { "fe/<NOSRV>", "-1/-1/-1/-1/12", "400", "CR--",
	       "server 0+12 =400 !client_abort | request 0+12 !client_abort" },
	     { "fe/<NOSRV>", "-1/-1/-1/-1/1000", "408", "cR--",
	       "server 0+1000 =408 !client_timeout | request 0+1000 !client_timeout" },
	     { "fe/<NOSRV>", "-1/-1/-1/-1/0", "400", "PR--",
	       "server 0+0 =400 !invalid_request | request 0+0 !invalid_request" },
	     { "fe/<NOSRV>", "-1/-1/-1/-1/3", "-1", "CR--",
	       "server 0+3 !client_abort | request 0+3 !client_abort" },
	     { "fe/<NOSRV>", "-1/-1/-1/-1/0", "0", "CR--",
	       "server 0+0 !client_abort | request 0+0 !client_abort" },
	     { "fe/<NOSRV>", "-1/-1/-1/-1/7", "500", "RR--",
	       "server 0+7 =500 !resource_exhausted | request 0+7 !resource_exhausted" },
	     { "fe/<NOSRV>", "-1/-1/-1/-1/7", "500", "IR--",
	       "server 0+7 =500 !internal_error | request 0+7 !internal_error" },
	     /* aborted after its headers were read: still the request phase, TR or not */
	     { "be/<NOSRV>", "4/-1/-1/-1/9", "400", "CR--",
	       "server 0+9 =400 !client_abort | request 0+9 !client_abort" });
}

static void haproxy_answering_as_it_was_told_to_is_no_failure(void **state)
{
	(void)state;
	ROWS(PHASES_AUTO, { "fe/<NOSRV>", "0/-1/-1/-1/0", "403", "PR--", "server 0+0 =403" },
	     { "fe/<NOSRV>", "5/-1/-1/-1/5", "401", "PR--", "server 0+5 =401 | request 0+5" },
	     { "fe/<NOSRV>", "5/-1/-1/-1/8", "302", "LR--", "server 0+8 =302 | request 0+8" },
	     { "fe/<NOSRV>", "0/-1/-1/-1/0", "200", "LR--", "server 0+0 =200" },
	     { "fe/<NOSRV>", "0/-1/-1/-1/0", "503", "LR--", "server 0+0 =503 !503" },
	     { "fe/<NOSRV>", "0/-1/-1/-1/0", "503", "PR--", "server 0+0 =503 !503" },
	     /* http-response return: the server's answer is not the one that was sent */
	     { "be/app", "0/0/0/20/20", "200", "LH--",
	       "server 0+20 =200 | client 0+20 | response 0+20" },
	     { "be/app", "0/0/0/20/25", "503", "LH--",
	       "server 0+25 =503 !503 | client 0+25 | response 0+20 | data 20+5" },
	     { "be/app", "0/0/0/-1/25", "302", "LH--",
	       "server 0+25 =302 | client 0+25 | connect 0+25" },
	     /* LC is a server's `redir`: it was chosen, but nobody asked it */
	     { "be/app", "0/0/-1/-1/0", "302", "LC--", "server 0+0 =302" },
	     { "be/app", "2/0/-1/-1/2", "302", "LC--", "server 0+2 =302 | request 0+2" });
}

static void an_applet_has_phases_but_no_client(void **state)
{
	(void)state;
	ROWS(PHASES_AUTO,
	     { "fe/<STATS>", "0/0/0/1/1", "200", "LR--", "server 0+1 =200 | response 0+1" },
	     { "fe/<lua.hello>", "2/0/0/3/9", "200", "LR--",
	       "server 0+9 =200 | request 0+2 | response 2+3 | data 5+4" },
	     { "be/<CACHE>", "0/0/0/0/4", "200", "----", "server 0+4 =200 | data 0+4" },
	     { "fe/<STATS>", "0/0/0/0/5", "200", "CD--",
	       "server 0+5 =200 !client_abort | data 0+5 !client_abort" });
}

static void a_tarpit_is_one_phase_and_no_failure(void **state)
{
	(void)state;
	ROWS(PHASES_AUTO,
	     { "be/<NOSRV>", "-1/301/-1/-1/300", "500", "PT--",
	       "server 0+300 =500 !500 | tarpit 0+300" },
	     { "be/<NOSRV>", "-1/301/-1/-1/300", "429", "PT--",
	       "server 0+300 =429 | tarpit 0+300" },
	     { "be/<NOSRV>", "-1/0/-1/-1/0", "429", "PT--", "server 0+0 =429 | tarpit 0+0" });
	ROWS(PHASES_ALL, { "be/<NOSRV>", "-1/301/-1/-1/300", "429", "PT--",
			   "server 0+300 =429 | tarpit 0+300" });
	ROWS(PHASES_NONE, { "be/<NOSRV>", "-1/301/-1/-1/300", "429", "PT--", "server 0+300 =429" });
}

static void a_queue_that_ends_in_vain_has_no_client(void **state)
{
	(void)state;
	ROWS(PHASES_AUTO,
	     { "be/<NOSRV>", "0/800/-1/-1/800", "503", "sQ--",
	       "server 0+800 =503 !queue_timeout | queue 0+800 !queue_timeout" },
	     { "be/one", "1/800/-1/-1/801", "503", "sQ--",
	       "server 0+801 =503 !queue_timeout | request 0+1 | queue 1+800 !queue_timeout" },
	     { "be/one", "0/120/-1/-1/120", "-1", "CQ--",
	       "server 0+120 !client_abort | queue 0+120 !client_abort" },
	     { "be/<NOSRV>", "0/5/-1/-1/5", "503", "PQ--",
	       "server 0+5 =503 !proxy_refused | queue 0+5 !proxy_refused" },
	     /* no server was to be had at all: SC, but Tw says that the queue was never left */
	     { "be_none/<NOSRV>", "0/-1/-1/-1/0", "503", "SC--",
	       "server 0+0 =503 !no_server | queue 0+0 !no_server" },
	     { "be_none/<NOSRV>", "2/-1/-1/-1/3", "503", "SC--",
	       "server 0+3 =503 !no_server | request 0+2 | queue 2+1 !no_server" });
}

static void a_connection_that_fails_runs_to_the_end(void **state)
{
	(void)state;
	ROWS(PHASES_AUTO,
	     { "be/dead", "0/0/-1/-1/801", "503", "SC--",
	       "server 0+801 =503 !connect_failed | client 0+801 !connect_failed | "
	       "connect 0+801 !connect_failed" },
	     { "be/dead", "1/2/-1/-1/10", "503", "sC--",
	       "server 0+10 =503 !connect_timeout | request 0+1 | queue 1+2 | "
	       "client 3+7 !connect_timeout | connect 3+7 !connect_timeout" },
	     { "be/dead", "0/0/-1/-1/0", "503", "SC--",
	       "server 0+0 =503 !connect_failed | client 0+0 !connect_failed | "
	       "connect 0+0 !connect_failed" },
	     { "be/app", "0/0/-1/-1/50", "-1", "CC--",
	       "server 0+50 !client_abort | client 0+50 | connect 0+50 !client_abort" },
	     { "be/app", "0/0/-1/-1/50", "503", "PC--",
	       "server 0+50 =503 !proxy_refused | client 0+50 !proxy_refused | "
	       "connect 0+50 !proxy_refused" },
	     { "be/app", "0/0/-1/-1/50", "503", "RC--",
	       "server 0+50 =503 !resource_exhausted | client 0+50 !resource_exhausted | "
	       "connect 0+50 !resource_exhausted" },
	     /* connected once, then an L7 retry that was not */
	     { "be/app", "0/0/5/-1/100", "503", "SC--",
	       "server 0+100 =503 !connect_failed | client 0+100 !connect_failed | "
	       "connect 0+100 !connect_failed" },
	     /* a server was chosen late, none was left: the name is still there */
	     { "be/<NOSRV>", "0/0/-1/-1/30", "503", "SC--",
	       "server 0+30 =503 !connect_failed | connect 0+30 !connect_failed" });
}

static void any_negative_timer_means_never_reached(void **state)
{
	(void)state;
	ROWS(PHASES_AUTO,
	     /* an L7 retry that was redispatched to dead servers: seen on 2.6 to 3.5 */
	     { "be/dead", "0/100/-100/-1/100", "503", "SC--",
	       "server 0+100 =503 !connect_failed | queue 0+100 | client 100+0 !connect_failed | "
	       "connect 100+0 !connect_failed" },
	     { "be/app", "0/5/-1/-1/50", "200", "----", "server 0+50 =200 | queue 0+50" },
	     { "be/app", "1/-1/3/4/50", "200", "----",
	       "server 0+50 =200 | request 0+50 | client 50+0 =200" },
	     { "be/app", "0/0/2/-7/50", "200", "----",
	       "server 0+50 =200 | client 0+50 | connect 0+50" });
}

static void a_server_that_never_answers_fails_in_the_response(void **state)
{
	(void)state;
	ROWS(PHASES_AUTO,
	     { "be/app", "0/0/0/-1/12", "502", "SH--",
	       "server 0+12 =502 !server_abort | client 0+12 !server_abort | "
	       "response 0+12 !server_abort" },
	     { "be/app", "0/0/0/-1/0", "502", "SH--",
	       "server 0+0 =502 !server_abort | client 0+0 !server_abort | response 0+0 "
	       "!server_abort" },
	     { "be/app", "0/1/2/-1/3003", "504", "sH--",
	       "server 0+3003 =504 !response_timeout | queue 0+1 | client 1+3002 !response_timeout "
	       "| "
	       "connect 1+2 | response 3+3000 !response_timeout" },
	     { "be/app", "0/0/1/-1/300", "-1", "CH--",
	       "server 0+300 !client_abort | client 0+300 | connect 0+1 | response 1+299 "
	       "!client_abort" },
	     { "be/app", "0/0/0/-1/300", "400", "CH--",
	       "server 0+300 =400 !client_abort | client 0+300 | response 0+300 !client_abort" },
	     { "be/app", "0/0/0/-1/300", "408", "cH--",
	       "server 0+300 =408 !client_timeout | client 0+300 | response 0+300 "
	       "!client_timeout" },
	     /* an answer that HAProxy would not pass on */
	     { "be/app", "0/0/0/7/9", "502", "PH--",
	       "server 0+9 =502 !invalid_response | client 0+9 !invalid_response | "
	       "response 0+9 !invalid_response" },
	     { "be/app", "0/0/0/-1/7", "502", "PH--",
	       "server 0+7 =502 !invalid_response | client 0+7 !invalid_response | "
	       "response 0+7 !invalid_response" },
	     { "be/app", "0/0/0/-1/7", "502", "DH--",
	       "server 0+7 =502 !server_down | client 0+7 !server_down | response 0+7 "
	       "!server_down" });
}

static void a_transfer_that_breaks_fails_in_the_data(void **state)
{
	(void)state;
	ROWS(PHASES_AUTO,
	     { "be/app", "0/0/0/5/100", "200", "CD--",
	       "server 0+100 =200 !client_abort | client 0+100 =200 | response 0+5 | "
	       "data 5+95 !client_abort" },
	     { "be/app", "0/0/0/5/100", "200", "cD--",
	       "server 0+100 =200 !client_timeout | client 0+100 =200 | response 0+5 | "
	       "data 5+95 !client_timeout" },
	     { "be/app", "0/0/0/0/0", "200", "SD--",
	       "server 0+0 =200 !server_abort | client 0+0 =200 !server_abort | data 0+0 "
	       "!server_abort" },
	     { "be/app", "0/0/0/5/100", "200", "sD--",
	       "server 0+100 =200 !server_timeout | client 0+100 =200 !server_timeout | response "
	       "0+5 | "
	       "data 5+95 !server_timeout" },
	     { "be/app", "0/0/0/5/100", "200", "PD--",
	       "server 0+100 =200 !invalid_response | client 0+100 =200 !invalid_response | "
	       "response 0+5 | data 5+95 !invalid_response" },
	     { "be/app", "0/0/0/5/100", "200", "KD--",
	       "server 0+100 =200 !killed | client 0+100 =200 !killed | response 0+5 | data 5+95 "
	       "!killed" },
	     { "be/app", "0/0/0/5/100", "200", "UD--",
	       "server 0+100 =200 !server_changed | client 0+100 =200 !server_changed | response "
	       "0+5 | "
	       "data 5+95 !server_changed" },
	     { "be/app", "0/0/0/5/100", "200", "CL--",
	       "server 0+100 =200 !client_abort | client 0+100 =200 | response 0+5 | "
	       "data 5+95 !client_abort" },
	     { "be/app", "0/0/0/5/100", "200", "sL--",
	       "server 0+100 =200 !server_timeout | client 0+100 =200 !server_timeout | response "
	       "0+5 | "
	       "data 5+95 !server_timeout" },
	     /* a server's own error, and then it broke */
	     { "be/app", "0/0/0/5/9", "500", "SD--",
	       "server 0+9 =500 !server_abort | client 0+9 =500 !server_abort | response 0+5 | "
	       "data 5+4 !server_abort" },
	     { "be/app", "0/0/0/5/9", "404", "CD--",
	       "server 0+9 =404 !client_abort | client 0+9 =404 !404 | response 0+5 | "
	       "data 5+4 !client_abort" },
	     /* old versions write D without an answer: it was the response that failed */
	     { "be/app", "0/0/0/-1/50", "-1", "SD--",
	       "server 0+50 !server_abort | client 0+50 !server_abort | response 0+50 "
	       "!server_abort" },
	     { "be/app", "0/0/0/-1/50", "-1", "CD--",
	       "server 0+50 !client_abort | client 0+50 | response 0+50 !client_abort" });
}

static void a_status_is_whose_answer_it_was(void **state)
{
	(void)state;
	ROWS(PHASES_AUTO,
	     { "be/app", "0/0/0/1/1", "404", "----",
	       "server 0+1 =404 | client 0+1 =404 !404 | response 0+1" },
	     { "be/app", "0/0/0/1/1", "499", "----",
	       "server 0+1 =499 | client 0+1 =499 !499 | response 0+1" },
	     { "be/app", "0/0/0/1/1", "500", "----",
	       "server 0+1 =500 !500 | client 0+1 =500 !500 | response 0+1" },
	     { "be/app", "0/0/0/1/1", "599", "----",
	       "server 0+1 =599 !599 | client 0+1 =599 !599 | response 0+1" },
	     { "be/app", "0/0/0/1/1", "399", "----",
	       "server 0+1 =399 | client 0+1 =399 | response 0+1" },
	     { "be/app", "0/0/0/1/1", "100", "----",
	       "server 0+1 =100 | client 0+1 =100 | response 0+1" },
	     { "be/app", "0/0/0/1/1", "99", "----", "server 0+1 | client 0+1 | response 0+1" },
	     { "be/app", "0/0/0/1/1", "1000", "----", "server 0+1 | client 0+1 | response 0+1" },
	     { "be/app", "0/0/0/1/1", "-1", "----", "server 0+1 | client 0+1 | response 0+1" },
	     { "be/app", "0/0/0/1/1", "0", "----", "server 0+1 | client 0+1 | response 0+1" });
}

static void timers_beyond_the_total_are_clamped_from_left_to_right(void **state)
{
	(void)state;
	ROWS(PHASES_AUTO,
	     { "be/app", "0/133/0/2942/430", "200", "----",
	       "server 0+430 =200 | queue 0+133 | client 133+297 =200 | response 133+297" },
	     { "be/app", "500/1/1/1/100", "200", "----",
	       "server 0+100 =200 | request 0+100 | client 100+0 =200" },
	     { "be/app", "10/200/5/5/100", "200", "SD--",
	       "server 0+100 =200 !server_abort | request 0+10 | queue 10+90 | "
	       "client 100+0 =200 !server_abort | data 100+0 !server_abort" },
	     { "be/app", "0/0/0/5/-3", "200", "----", "server 0+0 =200 | client 0+0 =200" });
	ROWS(PHASES_ALL, { "be/app", "0/133/0/2942/430", "200", "----",
			   "server 0+430 =200 | request 0+0 | queue 0+133 | client 133+297 =200 | "
			   "connect 133+0 | "
			   "response 133+297 | data 430+0" });
}

static void phases_all_draws_what_was_reached(void **state)
{
	(void)state;
	ROWS(PHASES_ALL,
	     { "be/app", "0/0/0/0/0", "200", "----",
	       "server 0+0 =200 | request 0+0 | queue 0+0 | client 0+0 =200 | connect 0+0 | "
	       "response 0+0 | data 0+0" },
	     { "fe/<NOSRV>", "0/-1/-1/-1/0", "302", "LR--", "server 0+0 =302 | request 0+0" },
	     { "be/dead", "0/0/-1/-1/9", "503", "SC--",
	       "server 0+9 =503 !connect_failed | request 0+0 | queue 0+0 | client 0+9 "
	       "!connect_failed | "
	       "connect 0+9 !connect_failed" },
	     { "be/app", "0/0/0/-1/12", "502", "SH--",
	       "server 0+12 =502 !server_abort | request 0+0 | queue 0+0 | client 0+12 "
	       "!server_abort | "
	       "connect 0+0 | response 0+12 !server_abort" },
	     { "be/<NOSRV>", "0/-1/-1/-1/0", "503", "SC--",
	       "server 0+0 =503 !no_server | request 0+0 | queue 0+0 !no_server" });
}

static void phases_none_leaves_server_and_client_and_their_status(void **state)
{
	(void)state;
	ROWS(PHASES_NONE,
	     { "be/app", "3/2/1/20/30", "200", "----", "server 0+30 =200 | client 5+25 =200" },
	     { "be/app", "0/0/0/5/9", "200", "SD--",
	       "server 0+9 =200 !server_abort | client 0+9 =200 !server_abort" },
	     { "be/<NOSRV>", "0/800/-1/-1/800", "503", "sQ--", "server 0+800 =503 !queue_timeout" },
	     { "fe/<NOSRV>", "-1/-1/-1/-1/9", "400", "CR--", "server 0+9 =400 !client_abort" });
}

/* ---- '+' ------------------------------------------------------------------------------------- */

static void logasap_ends_the_tree_at_the_last_known_moment(void **state)
{
	static const struct {
		enum phases phases;
		const char *line, *tree;
		bool open;
	} t[] = {
		{ PHASES_AUTO,
		  "127.0.0.1:57436 [21/Nov/2026:08:15:45.765] fe be/app 0/0/0/20/+20 200 +68 - - "
		  "---- 3/1/3/1/0 0/0 \"GET /sleep/20 HTTP/1.1\"",
		  "server 0+20 =200 | client 0+20 =200 | response 0+20", true },
		{ PHASES_ALL,
		  "127.0.0.1:57436 [21/Nov/2026:08:15:45.765] fe be/app 0/0/10/1/+11 200 +58 - - "
		  "---- 3/1/3/1/0 0/0 \"GET /half HTTP/1.1\"",
		  "server 0+11 =200 | request 0+0 | queue 0+0 | client 0+11 =200 | connect 0+10 | "
		  "response 10+1",
		  true },
		{ PHASES_AUTO,
		  "127.0.0.1:57498 [21/Nov/2026:08:15:45.978] fe be/app 0/0/0/-1/+0 502 +209 - - "
		  "SH-- 3/1/2/2/0 0/0 \"GET /close HTTP/1.1\"",
		  "server 0+0 =502 !server_abort | client 0+0 !server_abort | response 0+0 "
		  "!server_abort",
		  true },
		{ PHASES_ALL,
		  "127.0.0.1:46240 [21/Nov/2026:08:15:54.877] fe be/t1 1/3/+3 +0 -- 1/1/0/0/0 0/0",
		  "server 0+3 | queue 0+0 | client 0+3 | connect 0+3", true },
		/* a '+' elsewhere does not open the end */
		{ PHASES_AUTO,
		  "127.0.0.1:57436 [21/Nov/2026:08:15:45.765] fe be/app 0/0/0/20/20 200 +68 - - "
		  "---- 3/1/3/1/0 0/0 \"GET /sleep/20 HTTP/1.1\"",
		  "server 0+20 =200 | client 0+20 =200 | response 0+20", false },
	};
	struct lines l;

	(void)state;
	for (size_t i = 0; i < COUNT(t); i++) {
		lines_init(&l);
		l.rules.phases = t[i].phases;
		lines_format(&l, "auto");
		lines_start(&l, "UTC");
		expect_line(&l, t[i].line, t[i].tree);
		if (t[i].open)
			assert_string_equal(lines_attr(&l, ROLE_SERVER, "haspan.open_end"), "true");
		else
			assert_null(lines_attr(&l, ROLE_SERVER, "haspan.open_end"));
		lines_free(&l);
	}
}

static void a_plus_before_the_retries_means_another_server(void **state)
{
	static const struct {
		const char *conns, *server, *retries;
		bool redispatched;
	} t[] = {
		{ "1/1/0/0/+1", "be/app", "1", true },	   { "1/1/0/0/1", "be/app", "1", false },
		{ "1/1/0/0/+0", "be/app", "0", true },	   { "1/1/0/0/0", "be/app", "0", false },
		{ "1/1/0/0/+2", "be/<NOSRV>", "2", true },
	};
	struct lines l;

	(void)state;
	lines_simple(&l, "httplog");
	for (size_t i = 0; i < COUNT(t); i++) {
		enum span_role role = strchr(t[i].server, '<') ? ROLE_SERVER : ROLE_CLIENT;
		char line[512];

		snprintf(line, sizeof(line),
			 "127.0.0.1:1 [21/Nov/2026:08:15:44.900] fe %s 0/1000/1/5/1006 200 "
			 "68 - - ---- %s 0/0 \"GET / HTTP/1.1\"",
			 t[i].server, t[i].conns);
		lines_request(&l, line);
		assert_string_equal(lines_attr(&l, role, "haproxy.retries"), t[i].retries);
		if (t[i].redispatched)
			assert_string_equal(lines_attr(&l, role, "haproxy.redispatched"), "true");
		else
			assert_null(lines_attr(&l, role, "haproxy.redispatched"));
	}
	lines_free(&l);
}

/* ---- TCP ------------------------------------------------------------------------------------- */

static void tcp_waits_one_millisecond_less_than_it_says(void **state)
{
	static const struct {
		const char *server, *timers, *state, *tree;
	} t[] = {
		/* seen on 2.6 to 3.5: Tt = (Tw - 1) + Tc + Td */
		{ "be/t1", "1/0/531", "--", "server 0+531 | client 0+531 | data 0+531" },
		{ "be/t1", "211/0/311", "--",
		  "server 0+311 | queue 0+210 | client 210+101 | data 210+101" },
		{ "be/t1", "3/4/24", "--",
		  "server 0+24 | queue 0+2 | client 2+22 | connect 2+4 | data 6+18" },
		/* examples of the manual, made by hand */
		{ "be/t1", "0/0/5007", "--", "server 0+5007 | client 0+5007 | data 0+5007" },
		{ "be/t1", "1/-1/800", "SC",
		  "server 0+800 !connect_failed | client 0+800 !connect_failed | "
		  "connect 0+800 !connect_failed" },
		{ "be/t1", "1/-1/1000", "sC",
		  "server 0+1000 !connect_timeout | client 0+1000 !connect_timeout | "
		  "connect 0+1000 !connect_timeout" },
		{ "be/<NOSRV>", "-1/-1/0", "SC", "server 0+0 !no_server | queue 0+0 !no_server" },
		{ "be/<NOSRV>", "501/-1/500", "sQ",
		  "server 0+500 !queue_timeout | queue 0+500 !queue_timeout" },
		{ "be/t1", "1/0/60000", "cD",
		  "server 0+60000 !client_timeout | client 0+60000 | data 0+60000 "
		  "!client_timeout" },
		{ "be/t1", "1/0/24", "SD",
		  "server 0+24 !server_abort | client 0+24 !server_abort | data 0+24 "
		  "!server_abort" },
		{ "be/t1", "1/0/24", "CD",
		  "server 0+24 !client_abort | client 0+24 | data 0+24 !client_abort" },
		{ "be/t1", "1/2/24", "KD",
		  "server 0+24 !killed | client 0+24 !killed | connect 0+2 | data 2+22 !killed" },
		{ "fe/<NOSRV>", "-1/-1/7", "CR",
		  "server 0+7 !client_abort | request 0+7 !client_abort" },
	};
	struct lines l;

	(void)state;
	lines_simple(&l, "auto");
	for (size_t i = 0; i < COUNT(t); i++) {
		char line[512];

		snprintf(line, sizeof(line),
			 "127.0.0.1:46240 [21/Nov/2026:08:15:54.877] fe %s %s 61 %s "
			 "1/1/0/0/0 0/0",
			 t[i].server, t[i].timers, t[i].state);
		expect_line(&l, line, t[i].tree);
		assert_text(l.trace.span[0].name, "tcp");
		assert_string_equal(lines_attr(&l, ROLE_SERVER, "network.transport"), "tcp");
		assert_null(lines_attr(&l, ROLE_SERVER, "http.request.method"));
		assert_int_equal(l.trace.span[0].start_ns, UINT64_C(1795248954877000000));
	}
	lines_free(&l);
}

/* ---- other formats --------------------------------------------------------------------------- */

/* Start in microseconds of 2026-11-21 08:15:00 UTC. */
static int64_t start_us(const struct lines *l)
{
	return (int64_t)(l->trace.span[0].start_ns / 1000) - INT64_C(1795248900000000);
}

static void every_format_gives_the_same_kind_of_tree(void **state)
{
	static const struct {
		const char *format, *name, *line, *tree;
		int64_t start_us;
		bool imprecise;
	} t[] = {
		{ "auto", "httpslog",
		  "127.0.0.1:33860 [21/Nov/2026:08:15:48.818] fe~ be/app 0/0/0/20/20 200 68 - - "
		  "---- 3/1/2/0/0 0/0 "
		  "\"GET https://h/x HTTP/2.0\" 0/0000000000000000/0/0/0 "
		  "h/TLSv1.3/TLS_AES_256_GCM_SHA384",
		  "server 0+20 =200 | client 0+20 =200 | response 0+20", 48818000, false },
		/* its date has seconds; the accept's milliseconds are the best there is for the
		   rest */
		{ "auto", "httplog-clf",
		  "127.0.0.1 - - [21/Nov/2026:08:15:45 +0000] \"GET /x HTTP/1.1\" 200 68 \"\" \"\" "
		  "35180 333 \"fe\" "
		  "\"be\" \"app\" 1 2 3 4 15 ---- 2 1 1 0 0 0 0 \"\" \"\"",
		  "server 0+15 =200 | request 0+1 | queue 1+2 | client 3+12 =200 | connect 3+3 | "
		  "response 6+4 | "
		  "data 10+5",
		  45333000, true },
		{ "auto", "httplog-clf",
		  "127.0.0.1 - - [21/Nov/2026:10:15:45 +0200] \"GET /x HTTP/1.1\" 502 68 \"\" \"\" "
		  "35180 007 \"fe\" "
		  "\"be\" \"app\" 0 0 0 -1 5 SH-- 2 1 1 0 0 0 0 \"\" \"\" ",
		  "server 0+5 =502 !server_abort | client 0+5 !server_abort | response 0+5 "
		  "!server_abort",
		  45007000, true },
		/* the accept's seconds and its milliseconds fit together */
		{ "auto", "tcplog-clf",
		  "127.0.0.1 - - [21/Nov/2026:08:15:45 +0000] \"TCP \" 000 61 \"\" \"\" 35180 333 "
		  "\"fe\" \"be\" "
		  "\"t1\" 0 1 2 24 10 ---- 2 1 1 0 0 0 0 \"\" \"\"",
		  "server 0+24 | client 0+24 | connect 0+2 | data 2+22", 45333000, false },
		/* before 1.7: from the accept on, and the request phase is Tq */
		{ "httplog-1.6", "httplog-1.6",
		  "127.0.0.1:35998 [21/Nov/2026:08:15:46.206] fe be/app 3/0/1/20/25 200 68 - - "
		  "---- 3/1/2/0/0 0/0 "
		  "\"GET /x HTTP/1.1\"",
		  "server 0+25 =200 | request 0+3 | client 3+22 =200 | connect 3+1 | response 4+20 "
		  "| data 24+1",
		  46206000, false },
		{ "httplog-1.6", "httplog-1.6",
		  "127.0.0.1:35998 [21/Nov/2026:08:15:46.206] fe fe/<NOSRV> -1/-1/-1/-1/12 400 68 "
		  "- - CR-- "
		  "3/1/2/0/0 0/0 \"<BADREQ>\"",
		  "server 0+12 =400 !client_abort | request 0+12 !client_abort", 46206000, false },
		{ "httplog-1.6", "httplog-1.6",
		  "127.0.0.1:36104 [21/Nov/2026:08:15:46.430] fe be/app 0/0/0/-1/+7 502 +209 - - "
		  "SH-- "
		  "3/1/2/2/0 0/0 \"GET /close HTTP/1.1\"",
		  "server 0+7 =502 !server_abort | client 0+7 !server_abort | response 0+7 "
		  "!server_abort",
		  46430000, false },
		/* the shape of httplog is taken for httplog */
		{ "auto", "httplog",
		  "127.0.0.1:35998 [21/Nov/2026:08:15:46.206] fe be/app 3/0/1/20/25 200 68 - - "
		  "---- 3/1/2/0/0 0/0 "
		  "\"GET /x HTTP/1.1\"",
		  "server 0+25 =200 | request 0+3 | client 3+22 =200 | connect 3+1 | response 4+20 "
		  "| data 24+1",
		  46206000, false },
		/* dates of one's own */
		{ "%ci:%cp [%t] %f %b/%s %Th/%Ti/%TR/%Tw/%Tc/%Tr/%Ta %ST %ts", "format 1",
		  "127.0.0.1:1 [21/Nov/2026:08:15:46.206] fe be/app 5/100/0/0/0/20/20 200 --",
		  "server 0+20 =200 | client 0+20 =200 | response 0+20", 46311000, false },
		{ "%ci:%cp [%t] %f %b/%s %Th/%Ti/%TR/%Tw/%Tc/%Tr/%Ta %ST %ts", "format 1",
		  "127.0.0.1:1 [21/Nov/2026:08:15:46.206] fe fe/<NOSRV> 5/-1/-1/-1/-1/-1/20 0 CR",
		  "server 0+20 !client_abort | request 0+20 !client_abort", 46206000, false },
		{ "%ci:%cp [%t] %f %b/%s %TR/%Tw/%Tc/%Tr/%Ta/%Tt %ST %ts", "format 1",
		  "127.0.0.1:1 [21/Nov/2026:08:15:46.206] fe be/app 0/0/0/20/20/125 200 --",
		  "server 0+20 =200 | client 0+20 =200 | response 0+20", 46311000, false },
		{ "%ci:%cp [%t] %f %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %ts", "format 1",
		  "127.0.0.1:1 [21/Nov/2026:08:15:46.206] fe be/app 0/0/0/20/20 200 --",
		  "server 0+20 =200 | client 0+20 =200 | response 0+20", 46206000, true },
		/* Ta is what is left of Tt (src/log.c) */
		{ "%ci:%cp [%tr] %f %b/%s %Th/%Ti/%TR/%Tw/%Tc/%Tr/%Tt %ST %ts", "format 1",
		  "127.0.0.1:1 [21/Nov/2026:08:15:46.206] fe be/app 5/100/0/0/0/20/125 200 --",
		  "server 0+20 =200 | client 0+20 =200 | response 0+20", 46206000, false },
		{ "%ci:%cp [%tr] %f %b/%s %Th/%Ti/%TR/%Tw/%Tc/%Tr/%Tt %ST %ts", "format 1",
		  "127.0.0.1:1 [21/Nov/2026:08:15:46.206] fe fe/<NOSRV> 5/-1/-1/-1/-1/-1/20 0 CR",
		  "server 0+20 !client_abort | request 0+20 !client_abort", 46206000, false },
		{ "%ci:%cp [%tr] %f %b/%s %Th/%Ti/%TR/%Tw/%Tc/%Tr/%Tt %ST %ts", "format 1",
		  "127.0.0.1:1 [21/Nov/2026:08:15:46.206] fe fe/<NOSRV> 5/0/-1/-1/-1/-1/-2 0 CR",
		  "server 0+0 !client_abort | request 0+0 !client_abort", 46206000, false },
		{ "%ci:%cp [%tr] %f %b/%s %TR/%Tw/%Tc/%Tr/%Td %ST %ts", "format 1",
		  "127.0.0.1:1 [21/Nov/2026:08:15:46.206] fe be/app 1/2/3/4/5 200 --",
		  "server 0+15 =200 | request 0+1 | queue 1+2 | client 3+12 =200 | connect 3+3 | "
		  "response 6+4 | "
		  "data 10+5",
		  46206000, false },
		/* a data phase that was logged: what is left goes to the last one all the same */
		{ "%ci:%cp [%tr] %f %b/%s %TR/%Tw/%Tc/%Tr/%Td/%Ta %ST %ts", "format 1",
		  "127.0.0.1:1 [21/Nov/2026:08:15:46.206] fe be/app 0/0/1/20/3/30 200 --",
		  "server 0+30 =200 | client 0+30 =200 | connect 0+1 | response 1+20 | data 21+9",
		  46206000, false },
		{ "%ci:%cp %Ts.%ms %f %b/%s %Th/%Ti/%TR/%Tw/%Tc/%Tr/%Ta %ST %ts", "format 1",
		  "127.0.0.1:1 1795248946.007 fe be/app 0/1/0/0/0/20/20 200 --",
		  "server 0+20 =200 | client 0+20 =200 | response 0+20", 46008000, false },
		{ "%ci:%cp [%Tl] %f %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %ts", "format 1",
		  "127.0.0.1:1 [21/Nov/2026:09:15:46 +0100] fe be/app 0/0/0/20/20 200 --",
		  "server 0+20 =200 | client 0+20 =200 | response 0+20", 46000000, true },
		{ "%ci:%cp [%trl] %f %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %ts", "format 1",
		  "127.0.0.1:1 [21/Nov/2026:04:15:46 -0400] fe be/app 0/0/0/20/20 200 --",
		  "server 0+20 =200 | client 0+20 =200 | response 0+20", 46000000, true },
		/* a server by its address alone */
		{ "%ci:%cp [%tr] %f %si:%sp %TR/%Tw/%Tc/%Tr/%Ta %ST %ts", "format 1",
		  "127.0.0.1:1 [21/Nov/2026:08:15:46.206] fe 10.0.0.1:80 0/0/0/20/20 200 --",
		  "server 0+20 =200 | client 0+20 =200 | response 0+20", 46206000, false },
		{ "%ci:%cp [%tr] %f %si:%sp %TR/%Tw/%Tc/%Tr/%Ta %ST %ts", "format 1",
		  "127.0.0.1:1 [21/Nov/2026:08:15:46.206] fe -:- 0/-1/-1/-1/20 403 PR",
		  "server 0+20 =403 | request 0+20", 46206000, false },
		/* no termination state: nothing failed */
		{ "%ci:%cp [%tr] %f %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST", "format 1",
		  "127.0.0.1:1 [21/Nov/2026:08:15:46.206] fe be/app 0/0/-1/-1/20 503",
		  "server 0+20 =503 !503 | queue 0+20", 46206000, false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(t); i++) {
		struct lines l;

		lines_simple(&l, t[i].format);
		expect_line(&l, t[i].line, t[i].tree);
		assert_text(l.parser.rec.format->name, t[i].name);
		if (start_us(&l) != t[i].start_us)
			fail_msg("%s: starts at %lld", t[i].line, (long long)start_us(&l));
		assert_int_equal(lines_attr(&l, ROLE_SERVER, "haspan.start_imprecise") != NULL,
				 t[i].imprecise);
		lines_free(&l);
	}
}

static void microsecond_clocks_are_used_where_the_log_has_them(void **state)
{
	static const struct {
		const char *format, *line, *tree;
		int64_t start_us;
	} t[] = {
		/* the accept's clock, and the whole milliseconds before the request */
		{ "[%tr] %[accept_date(us)] %b/%s %Th/%Ti/%TR/%Tw/%Tc/%Tr/%Ta",
		  "[21/Nov/2026:08:15:46.646] 1795248946641367 be/app 2/3/0/0/0/20/20",
		  "server 0+20 | client 0+20 | response 0+20", 46646367 },
		{ "%[accept_date(us)] %b/%s %Th/%Ti/%TR/%Tw/%Tc/%Tr/%Ta",
		  "1795248946641367 be/app 2/3/0/0/0/20/20",
		  "server 0+20 | client 0+20 | response 0+20", 46646367 },
		{ "%[accept_date(us)] %b/%s %Th/%Ti/%TR/%Tw/%Tc/%Tr/%Ta",
		  "1795248946641367 be/app 0/0/0/0/0/20/20",
		  "server 0+20 | client 0+20 | response 0+20", 46641367 },
		{ "[%tr] %[accept_date(us)] %b/%s %TR/%Tw/%Tc/%Tr/%Ta",
		  "[21/Nov/2026:08:15:46.646] 1795248946641367 be/app 0/0/0/20/20",
		  "server 0+20 | client 0+20 | response 0+20", 46646367 },
		/* %tr is local and nobody said where: the accept's clock does */
		{ "[%tr] %[accept_date(us)] %b/%s %TR/%Tw/%Tc/%Tr/%Ta",
		  "[21/Nov/2026:10:15:46.646] 1795248946641367 be/app 0/0/0/20/20",
		  "server 0+20 | client 0+20 | response 0+20", 46646367 },
		{ "[%tr] %[accept_date(us)] %b/%s %TR/%Tw/%Tc/%Tr/%Ta",
		  "[21/Nov/2026:02:45:46.646] 1795248946641367 be/app 0/0/0/20/20",
		  "server 0+20 | client 0+20 | response 0+20", 46646367 },
		/* the request's clock beats all */
		{ "[%tr] %[accept_date(us)] %[request_date(us)] %b/%s %TR/%Tw/%Tc/%Tr/%Ta",
		  "[21/Nov/2026:08:15:46.646] 1795248946641367 1795248946646999 be/app 0/0/0/20/20",
		  "server 0+20 | client 0+20 | response 0+20", 46646999 },
		/* TCP starts at the accept */
		{ "%[accept_date(us)] %b/%s %Th %Tw/%Tc/%Tt", "1795248946641367 be/app 5 6/1/20",
		  "server 0+20 | queue 0+5 | client 5+15 | connect 5+1 | data 6+14", 46641367 },
		/* the clock at the end is finer than the sum of milliseconds */
		{ "%[request_date(us)] %[date(0,us)] %b/%s %TR/%Tw/%Tc/%Tr/%Ta",
		  "1795248946641367 1795248946661999 be/app 0/0/1/19/20",
		  "server 0+20.632000 | client 0+20.632000 | connect 0+1 | response 1+19 | data "
		  "20+0.632000",
		  46641367 },
		{ "%[request_date(us)] %[date(0,us)] %b/%s %TR/%Tw/%Tc/%Tr/%Ta",
		  "1795248946641367 1795248946660999 be/app 0/0/1/19/20",
		  "server 0+19.632000 | client 0+19.632000 | connect 0+1 | response 1+18.632000",
		  46641367 },
		/* a clock that was set in between must not bend a span */
		{ "%[request_date(us)] %[date(0,us)] %b/%s %TR/%Tw/%Tc/%Tr/%Ta",
		  "1795248946641367 1795248946761999 be/app 0/0/1/19/20",
		  "server 0+20 | client 0+20 | connect 0+1 | response 1+19", 46641367 },
		{ "%[request_date(us)] %[date(0,us)] %b/%s %TR/%Tw/%Tc/%Tr/%Ta",
		  "1795248946641367 1795248946541999 be/app 0/0/1/19/20",
		  "server 0+20 | client 0+20 | connect 0+1 | response 1+19", 46641367 },
		/* a clock beyond all time is none */
		{ "%[request_date(us)] %[date(0,us)] %b/%s %TR/%Tw/%Tc/%Tr",
		  "1795248946641367 999999999999999999 be/app 0/0/1/19",
		  "server 0+20 | client 0+20 | connect 0+1 | response 1+19", 46641367 },
		/* no total at all: the clock is the only one */
		{ "%[request_date(us)] %[date(0,us)] %b/%s %TR/%Tw/%Tc/%Tr",
		  "1795248946641367 1795248946761999 be/app 0/0/1/19",
		  "server 0+120.632000 | client 0+120.632000 | connect 0+1 | response 1+19 | data "
		  "20+100.632000",
		  46641367 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(t); i++) {
		struct lines l;

		lines_simple(&l, t[i].format);
		expect_line(&l, t[i].line, t[i].tree);
		if (start_us(&l) != t[i].start_us)
			fail_msg("%s: starts at %lld", t[i].line, (long long)start_us(&l));
		assert_null(lines_attr(&l, ROLE_SERVER, "haspan.start_imprecise"));
		lines_free(&l);
	}
}

static void an_error_line_is_one_span_without_length(void **state)
{
	static const struct {
		const char *message, *type;
	} t[] = {
		{ "SSL handshake failure", "tls_handshake_failed" },
		{ "SSL handshake failure (error:0A0000C6:SSL routines::packet length too long)",
		  "tls_handshake_failed" },
		{ "SSL handshake failure after heartbeat", "tls_handshake_failed" },
		{ "Timeout during SSL handshake", "tls_handshake_timeout" },
		{ "Connection closed during SSL handshake", "tls_handshake_aborted" },
		{ "Connection error during SSL handshake", "tls_handshake_aborted" },
		{ "SSL client CA chain cannot be verified", "tls_client_ca" },
		{ "SSL client certificate not trusted", "tls_client_certificate" },
		{ "Stopped a TLSv1 heartbeat attack (CVE-2014-0160)", "tls_attack" },
		{ "Rejected a client-initiated SSL renegotiation attempt", "tls_attack" },
		{ "Too many SSL connections", "resource_exhausted" },
		{ "Out of memory when initializing an SSL connection", "resource_exhausted" },
		{ "SSL fatal error", "tls_error" },
		{ "Timeout while waiting for PROXY protocol header", "proxy_header_timeout" },
		{ "Connection closed while waiting for PROXY protocol header", "proxy_header_"
									       "aborted" },
		{ "Connection error while waiting for PROXY protocol header", "proxy_header_"
									      "aborted" },
		{ "Truncated PROXY protocol header received", "proxy_header_invalid" },
		{ "Received something which does not look like a PROXY protocol header", "proxy_"
											 "header_"
											 "invali"
											 "d" },
		{ "Received an invalid PROXY protocol header", "proxy_header_invalid" },
		{ "Missing NetScaler Client IP header", "proxy_header_invalid" },
		{ "Server refused early data", "early_data_refused" },
		{ "unknown connection error (code=33 flags=00044300)", "connection_error" },
	};
	struct lines l;

	(void)state;
	lines_simple(&l, "auto");
	for (size_t i = 0; i < COUNT(t); i++) {
		char line[256], wanted[64];

		snprintf(line, sizeof(line), "192.0.2.1:33870 [21/Nov/2026:08:15:48.876] fe/1: %s",
			 t[i].message);
		snprintf(wanted, sizeof(wanted), "server 0+0 !%s", t[i].type);
		expect_line(&l, line, wanted);
		assert_text(l.trace.span[0].name, "connection");
		assert_int_equal(start_us(&l), 48876000);
		assert_string_equal(lines_attr(&l, ROLE_SERVER, "error.message"), t[i].message);
		assert_string_equal(lines_attr(&l, ROLE_SERVER, "client.address"), "192.0.2.1");
		assert_string_equal(lines_attr(&l, ROLE_SERVER, "haproxy.frontend.name"), "fe");
		assert_string_equal(lines_attr(&l, ROLE_SERVER, "haproxy.bind.name"), "1");

		snprintf(line, sizeof(line), "unknown [21/Nov/2026:08:15:48.876] fe/sock:a: %s",
			 t[i].message);
		expect_line(&l, line, wanted);
		assert_null(lines_attr(&l, ROLE_SERVER, "client.address"));
		assert_string_equal(lines_attr(&l, ROLE_SERVER, "haproxy.bind.name"), "sock:a");
	}
	lines_free(&l);
}

/* ---- attributes ------------------------------------------------------------------------------ */

static void timers_are_attributes_whatever_is_drawn_and_negative_ones_are_absent(void **state)
{
	static const struct {
		const char *key;
		enum span_role role;
		const char *value;
	} t[] = {
		{ "haproxy.timer.Th", ROLE_SERVER, "1" },
		{ "haproxy.timer.Ti", ROLE_SERVER, "2" },
		{ "haproxy.timer.TR", ROLE_SERVER, "3" },
		{ "haproxy.timer.Tw", ROLE_SERVER, "0" },
		{ "haproxy.timer.Ta", ROLE_SERVER, "30" },
		{ "haproxy.timer.Tt", ROLE_SERVER, "33" },
		{ "haproxy.timer.Tc", ROLE_CLIENT, "5" },
		{ "haproxy.timer.Tr", ROLE_CLIENT, NULL },
		{ "haproxy.timer.Td", ROLE_CLIENT, NULL },
		{ "haproxy.timer.Tc", ROLE_SERVER, NULL },
		{ "haproxy.timer.Ta", ROLE_CLIENT, NULL },
	};

	(void)state;
	for (int phases = PHASES_AUTO; phases <= PHASES_NONE; phases++) {
		struct lines l;

		lines_init(&l);
		l.rules.phases = (enum phases)phases;
		lines_format(&l, "[%tr] %b/%s %Th %Ti %TR %Tw %Tc %Tr %Td %Ta %Tt %tsc");
		lines_start(&l, "UTC");
		lines_request(&l, "[21/Nov/2026:08:15:44.900] be/app 1 2 3 0 5 -1 -1 30 33 SH--");
		for (size_t i = 0; i < COUNT(t); i++) {
			const char *got = lines_attr(&l, t[i].role, t[i].key);

			if (t[i].value)
				assert_string_equal(got, t[i].value);
			else
				assert_null(got);
		}
		lines_free(&l);
	}
}

static void without_a_client_the_server_span_says_what_is_known(void **state)
{
	struct lines l;

	(void)state;
	lines_simple(&l, "httplog");
	lines_request(&l, "127.0.0.1:1 [21/Nov/2026:08:15:44.900] fe fe/<STATS> 0/0/0/1/1 200 68 - "
			  "- LR-- "
			  "1/1/0/7/2 0/0 \"GET / HTTP/1.1\"");
	assert_string_equal(lines_attr(&l, ROLE_SERVER, "haproxy.server.name"), "<STATS>");
	assert_string_equal(lines_attr(&l, ROLE_SERVER, "haproxy.retries"), "2");
	assert_string_equal(lines_attr(&l, ROLE_SERVER, "haproxy.connections.server"), "7");
	assert_string_equal(lines_attr(&l, ROLE_SERVER, "haproxy.timer.Tr"), "1");
	lines_request(&l, "127.0.0.1:1 [21/Nov/2026:08:15:44.900] fe be/<NOSRV> 0/-1/-1/-1/1 503 "
			  "68 - - SC-- "
			  "1/1/0/0/0 0/0 \"GET / HTTP/1.1\"");
	assert_null(lines_attr(&l, ROLE_SERVER, "haproxy.server.name"));
	lines_request(&l, "127.0.0.1:1 [21/Nov/2026:08:15:44.900] fe be/app 0/0/0/1/1 200 68 - - "
			  "---- "
			  "1/1/0/0/0 0/0 \"GET / HTTP/1.1\"");
	assert_null(lines_attr(&l, ROLE_SERVER, "haproxy.server.name"));
	assert_string_equal(lines_attr(&l, ROLE_CLIENT, "haproxy.server.name"), "app");
	lines_free(&l);
}

static void a_failure_comes_with_words_for_a_person(void **state)
{
	static const struct {
		const char *server, *timers, *state, *words;
	} t[] = {
		{ "be/app", "0/0/0/1/1", "----", "" },
		{ "fe/<NOSRV>", "0/-1/-1/-1/0", "PR--", "" },
		{ "fe/<NOSRV>", "0/-1/-1/-1/0", "LR--", "" },
		{ "be/<NOSRV>", "-1/300/-1/-1/300", "PT--", "" },
		{ "be/app", "0/0/-1/-1/1", "SC--", "server refused or reset the connection" },
		{ "be/<NOSRV>", "0/-1/-1/-1/1", "SC--", "no server was to be had" },
		{ "be/app", "0/0/0/1/1", "cD--", "client sent or read nothing for too long" },
		{ "be/app", "0/0/0/-1/1", "SD--", "server closed before sending response headers" },
	};
	struct lines l;

	(void)state;
	lines_simple(&l, "httplog");
	for (size_t i = 0; i < COUNT(t); i++) {
		char line[512];

		snprintf(line, sizeof(line),
			 "127.0.0.1:1 [21/Nov/2026:08:15:44.900] fe %s %s 200 68 - - %s "
			 "1/1/0/0/0 0/0 \"GET / HTTP/1.1\"",
			 t[i].server, t[i].timers, t[i].state);
		lines_request(&l, line);
		assert_text(l.trace.words, t[i].words);
	}
	/* Every letter of a cause, in every phase, has words and a type of its own or a common one.
	 */
	for (const char *c = "cCsSPRIDKUL"; *c; c++)
		for (const char *s = "RQCHDL"; *s; s++) {
			char line[512];

			snprintf(line, sizeof(line),
				 "127.0.0.1:1 [21/Nov/2026:08:15:44.900] fe be/app "
				 "-1/-1/-1/-1/9 200 68 - - %c%c-- 1/1/0/0/0 0/0 \"GET / HTTP/1.1\"",
				 *c, *s);
			lines_request(&l, line);
			check_shape(&l);
			assert_int_equal(l.trace.words.len > 0, *c != 'L' || !strchr("RCH", *s));
			assert_int_equal(l.trace.span[0].error_type.len > 0, l.trace.words.len > 0);
			assert_string_not_equal(lines_text(l.trace.words), "unknown cause");
		}
	lines_free(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(phases_tile_a_served_request),
		cmocka_unit_test(a_request_that_never_came_fails_in_its_first_phase),
		cmocka_unit_test(haproxy_answering_as_it_was_told_to_is_no_failure),
		cmocka_unit_test(an_applet_has_phases_but_no_client),
		cmocka_unit_test(a_tarpit_is_one_phase_and_no_failure),
		cmocka_unit_test(a_queue_that_ends_in_vain_has_no_client),
		cmocka_unit_test(a_connection_that_fails_runs_to_the_end),
		cmocka_unit_test(any_negative_timer_means_never_reached),
		cmocka_unit_test(a_server_that_never_answers_fails_in_the_response),
		cmocka_unit_test(a_transfer_that_breaks_fails_in_the_data),
		cmocka_unit_test(a_status_is_whose_answer_it_was),
		cmocka_unit_test(timers_beyond_the_total_are_clamped_from_left_to_right),
		cmocka_unit_test(phases_all_draws_what_was_reached),
		cmocka_unit_test(phases_none_leaves_server_and_client_and_their_status),
		cmocka_unit_test(logasap_ends_the_tree_at_the_last_known_moment),
		cmocka_unit_test(a_plus_before_the_retries_means_another_server),
		cmocka_unit_test(tcp_waits_one_millisecond_less_than_it_says),
		cmocka_unit_test(every_format_gives_the_same_kind_of_tree),
		cmocka_unit_test(microsecond_clocks_are_used_where_the_log_has_them),
		cmocka_unit_test(an_error_line_is_one_span_without_length),
		cmocka_unit_test(
			timers_are_attributes_whatever_is_drawn_and_negative_ones_are_absent),
		cmocka_unit_test(without_a_client_the_server_span_says_what_is_known),
		cmocka_unit_test(a_failure_comes_with_words_for_a_person),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
