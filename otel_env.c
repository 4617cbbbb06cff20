#include "otel_env.h"

#include "core/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

/* An empty value is an unset one. */
static const char *variable(const char *name)
{
	const char *v = getenv(name);

	return v && *v ? v : NULL;
}

/* OTEL_EXPORTER_OTLP_TRACES_X wins over OTEL_EXPORTER_OTLP_X. */
static const char *exporter(const char *suffix, const char **name)
{
	static char names[2][80];

	snprintf(names[0], sizeof(names[0]), "OTEL_EXPORTER_OTLP_TRACES_%s", suffix);
	snprintf(names[1], sizeof(names[1]), "OTEL_EXPORTER_OTLP_%s", suffix);
	for (int i = 0; i < 2; i++)
		if (variable(names[i])) {
			*name = names[i];
			return variable(names[i]);
		}
	return NULL;
}

static int hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool decode(struct arena *arena, struct slice in, struct slice *out)
{
	char *p = arena_alloc(arena, in.len + 1);
	size_t n = 0;

	for (size_t i = 0; i < in.len; i++) {
		if (in.p[i] != '%') {
			p[n++] = in.p[i];
			continue;
		}
		if (in.len - i < 3 || hex(in.p[i + 1]) < 0 || hex(in.p[i + 2]) < 0)
			return false;
		p[n++] = (char)(hex(in.p[i + 1]) * 16 + hex(in.p[i + 2]));
		i += 2;
	}
	*out = slice_of(p, n);
	return true;
}

int otel_list(struct arena *arena, const char *text, struct slice *keys, struct slice *values, int max)
{
	struct slice rest = slice_str(text);
	int n = 0;

	while (rest.p) {
		struct slice value = slice_trim(slice_cut(&rest, ',')), key;

		if (value.len == 0)
			continue;
		key = slice_trim(slice_cut(&value, '='));
		if (!value.p || key.len == 0 || n == max || !decode(arena, key, &keys[n]) ||
		    !decode(arena, slice_trim(value), &values[n]))
			return -1;
		n++;
	}
	return n;
}

const char *otel_protocol(void)
{
	const char *name, *v = exporter("PROTOCOL", &name);

	if (!v || strcasecmp(v, "http/protobuf") == 0 || strcasecmp(v, "http/json") == 0)
		return v;
	log_warn("%s=%s: this version speaks http/protobuf and http/json only; taking http/protobuf", name, v);
	return NULL;
}

static void endpoint(struct options *o)
{
	const char *traces = variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), *base = variable("OTEL_EXPORTER_OTLP_ENDPOINT");
	const char *which = variable("OTEL_TRACES_EXPORTER");
	char url[4096];
	size_t n;

	if (which && strcasecmp(which, "otlp") != 0) {
		if (strcasecmp(which, "none") == 0 || strcasecmp(which, "console") == 0)
			options_add(o, OPTION_TO, LEVEL_OTEL, *which == 'n' || *which == 'N' ? "null" : "tree",
				    "OTEL_TRACES_EXPORTER", 0);
		else
			log_warn("OTEL_TRACES_EXPORTER=%s is ignored: expected otlp, console or none", which);
		return;
	}
	if (variable("OTEL_SDK_DISABLED") && strcasecmp(getenv("OTEL_SDK_DISABLED"), "true") == 0) {
		options_add(o, OPTION_TO, LEVEL_OTEL, "null", "OTEL_SDK_DISABLED", 0);
		return;
	}
	if (traces) {			/* used as it is, also without a path */
		snprintf(url, sizeof(url), "%s%cexact=true", traces, strchr(traces, '?') ? '&' : '?');
		options_add(o, OPTION_TO, LEVEL_OTEL, url, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", 0);
	} else if (base) {
		n = strlen(base);
		snprintf(url, sizeof(url), "%s%sv1/traces", base, base[n - 1] == '/' ? "" : "/");
		options_add(o, OPTION_TO, LEVEL_OTEL, url, "OTEL_EXPORTER_OTLP_ENDPOINT", 0);
	} else if (which) {		/* asked for by name: the specification's default endpoint */
		options_add(o, OPTION_TO, LEVEL_OTEL, "http://localhost:4318", "OTEL_TRACES_EXPORTER", 0);
	}
}

static void headers(struct options *o)
{
	struct slice keys[64], values[64];
	const char *name, *v = exporter("HEADERS", &name);
	int n = v ? otel_list(o->arena, v, keys, values, 64) : 0;

	if (n < 0)
		log_warn("%s is not `key=value,key=value`: ignored", name);
	for (int i = 0; i < n; i++) {
		char line[8192];

		snprintf(line, sizeof(line), "%.*s: %.*s", (int)keys[i].len, keys[i].p, (int)values[i].len, values[i].p);
		options_add(o, OPTION_HEADER, LEVEL_OTEL, line, name, 0);
	}
}

static void sampler(struct options *o)
{
	const char *name = variable("OTEL_TRACES_SAMPLER"), *arg = variable("OTEL_TRACES_SAMPLER_ARG");
	char text[256];

	if (!name)
		return;
	snprintf(text, sizeof(text), "%s%s%s", name, arg ? ":" : "", arg ? arg : "");
	for (char *p = text; *p && *p != ':'; p++)	/* enum values are case-insensitive */
		*p = slice_lower(*p);
	options_add(o, OPTION_SAMPLER, LEVEL_OTEL, text, "OTEL_TRACES_SAMPLER", 0);
}

/* Plain copies: the variable's suffix and the option it sets. */
static void copies(struct options *o)
{
	static const struct { const char *suffix; enum option_id id; } table[] = {
		{ "COMPRESSION", OPTION_COMPRESSION }, { "TIMEOUT", OPTION_TIMEOUT },	 { "CERTIFICATE", OPTION_CA },
		{ "CLIENT_CERTIFICATE", OPTION_CERT }, { "CLIENT_KEY", OPTION_KEY },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		const char *name, *v = exporter(table[i].suffix, &name);

		if (v)
			options_add(o, table[i].id, LEVEL_OTEL, v, arena_copy(o->arena, slice_str(name)).p, 0);
	}
}

/* The batch processor's own: how long a span may wait for others. */
static void batch_delay(struct options *o)
{
	const char *v = variable("OTEL_BSP_SCHEDULE_DELAY");

	if (v)
		options_add(o, OPTION_BATCH_DELAY, LEVEL_OTEL, v, "OTEL_BSP_SCHEDULE_DELAY", 0);
}

/* Names that haspan does not know are left out, with a warning; `none` alone is a list too. */
static void propagators(struct options *o)
{
	static const char known[] = ",tracecontext,baggage,b3,b3multi,jaeger,xray,none,";
	const char *text = variable("OTEL_PROPAGATORS");
	struct slice rest = slice_str(text);
	char list[512] = "";
	size_t n = 0;

	while (text && rest.p) {
		struct slice name = slice_trim(slice_cut(&rest, ','));
		char word[64];

		snprintf(word, sizeof(word), ",%.*s,", (int)(name.len < 60 ? name.len : 60), name.p);
		if (!strstr(known, word))
			log_warn("OTEL_PROPAGATORS: %.*s is ignored", (int)name.len, name.p);
		else
			n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%.*s", n ? "," : "", (int)name.len, name.p);
		if (n >= sizeof(list) - 64)
			break;
	}
	if (n)
		options_add(o, OPTION_PROPAGATORS, LEVEL_OTEL, list, "OTEL_PROPAGATORS", 0);
}

static void resource(struct options *o)
{
	const char *text = variable("OTEL_RESOURCE_ATTRIBUTES"), *service = variable("OTEL_SERVICE_NAME");
	struct slice keys[32], values[32];
	int n = text ? otel_list(o->arena, text, keys, values, 32) : 0;

	if (n < 0)
		log_warn("OTEL_RESOURCE_ATTRIBUTES is not `key=value,key=value`: all of it is ignored");
	for (int i = 0; i < n; i++) {
		char line[4096];

		if (slice_eq(keys[i], SLICE("service.name"))) {
			if (!service)
				options_add(o, OPTION_SERVICE_NAME, LEVEL_OTEL,
					    arena_copy(o->arena, values[i]).p, "OTEL_RESOURCE_ATTRIBUTES", 0);
			continue;
		}
		snprintf(line, sizeof(line), "%.*s=%.*s", (int)keys[i].len, keys[i].p, (int)values[i].len, values[i].p);
		options_add(o, OPTION_RESOURCE, LEVEL_OTEL, line, "OTEL_RESOURCE_ATTRIBUTES", 0);
	}
	if (service)
		options_add(o, OPTION_SERVICE_NAME, LEVEL_OTEL, service, "OTEL_SERVICE_NAME", 0);
}

void otel_env(struct options *o)
{
	endpoint(o);
	headers(o);
	sampler(o);
	copies(o);
	batch_delay(o);
	propagators(o);
	resource(o);
}
