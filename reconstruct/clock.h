/*
 * reconstruct/clock.h - how much time passed, by what the lines of a log say: its clock.
 *
 * Lines come from many machines, some of whose clocks are wrong, and anybody may send one. So each host's lines are
 * compared among themselves, and one line proves little:
 *  - a line up to CLOCK_STEP_US later than its host's clock moves it: so much time passed;
 *  - a line up to CLOCK_STEP_US earlier is late, and moves nothing;
 *  - a line further away moves nothing, unless it is the last of CLOCK_PROOF in a row of its host that are all further
 *    ahead, or all further behind. Then the host's clock is set to the one of them that is nearest to it: if ahead, the
 *    time between has passed; if behind, none has.
 *    What was logged since the first of these lines is no older by that time.
 * The log's clock is the furthest of its hosts'. It never goes back, and it is a function of the lines alone.
 */
#ifndef RECONSTRUCT_CLOCK_H
#define RECONSTRUCT_CLOCK_H

#include "core/limits.h"
#include "core/slice.h"

struct host_clock {
	uint64_t host;			/* a hash of its name */
	int64_t at;			/* its lines' latest time; 0: none yet */
	int64_t passed;			/* on the log's clock */
	int64_t nearest;		/* of those in a row that are far away */
	int32_t far;			/* how many they are; < 0: behind */
	uint64_t since;			/* the number of the first of them */
};

struct clock {
	int64_t passed;			/* the log's clock: microseconds, from 0 */
	int64_t most;			/* a host's clock that is set ahead counts for no more than this */
	uint32_t n;
	struct host_clock host[CLOCK_HOSTS];	/* the last one serves all further hosts */
};

/*
 * Line number `line` (from 1), of `host`, written at `time_us` (0: unknown). Where a row of lines has set the clock:
 * the number of the first of them, else 0.
 */
uint64_t clock_line(struct clock *c, struct slice host, int64_t time_us, uint64_t line);

#endif
