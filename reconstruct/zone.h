/*
 * reconstruct/zone.h - local dates to UTC. HAProxy's %t and %tr are local time without a zone.
 */
#ifndef RECONSTRUCT_ZONE_H
#define RECONSTRUCT_ZONE_H

#include "core/err.h"
#include "core/slice.h"

/* One per worker. */
struct zone {
	bool given;			/* --timezone said: the envelope's offset does not count */
	bool fixed;			/* an offset, no zone data */
	int32_t offset_s;		/* of a fixed one: seconds east of UTC */
	int64_t quarter;		/* local time / 15 min of the last answer, or INT64_MIN */
	int32_t early_s, late_s;	/* its offsets; they differ in an ambiguous hour */
};

/*
 * `name`: empty (the system's zone, unless an envelope tells), `UTC`, an offset such as `+02:00`, or an IANA
 * name, or POSIX TZ. false: no such zone (EXIT_USAGE).
 */
bool zone_check(struct slice name, struct err *err);

/* Set the process's TZ for it, while no other thread asks for the time of a place. false: as zone_check. */
bool zone_prepare(struct slice name, struct err *err);

/* Set up `z` for the same `name`. */
void zone_init(struct zone *z, struct slice name);

/*
 * Milliseconds UTC of `local_ms` (as if local were UTC). `envelope_min`: its offset, or INT16_MIN;
 * `near_ms`: a moment in UTC a little later than the date, or 0; it decides in the hour that a clock shows twice,
 * of which the first is taken when nothing decides.
 */
int64_t zone_utc(struct zone *z, int64_t local_ms, int envelope_min, int64_t near_ms);

#endif
