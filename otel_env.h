/*
 * otel_env.h - the OTEL_* variables, as the OpenTelemetry specification says (SDK environment variables, OTLP
 * exporter), written into the options at the lowest level.
 */
#ifndef OTEL_ENV_H
#define OTEL_ENV_H

#include "options.h"

/*
 * `k=v,k=v` with percent-encoded values (W3C Baggage without properties) into `keys` and `values`, at most `max`.
 * Returns how many, or -1 when any of it is wrong: then all of it is to be ignored.
 */
int otel_list(struct arena *arena, const char *text, struct slice *keys, struct slice *values, int max);

/* Fill in what is set; what is wrong is ignored with a warning, as the specification wants. */
void otel_env(struct options *o);

/* http/protobuf or http/json from OTEL_EXPORTER_OTLP_(TRACES_)PROTOCOL, or NULL. */
const char *otel_protocol(void);

#endif
