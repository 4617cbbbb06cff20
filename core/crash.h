/*
 * core/crash.h - points at which a test kills the program, or lets a call fail. Nothing in a build without CRASH=1.
 *
 * HASPAN_CRASH=POINT:N is kill -9 at the N-th time that POINT is reached. HASPAN_FAULT=POINT:ERRNO:FROM[-TO] lets
 * the call at POINT fail with ERRNO (a number or ENOSPC, EIO, EROFS…) from the FROM-th time on, up to the TO-th; several
 * of them stand behind commas. HASPAN_CRASH=list prints every point that was compiled in, one a line (`point NAME`,
 * `fault NAME`), and ends.
 */
#ifndef CORE_CRASH_H
#define CORE_CRASH_H

#ifdef HASPAN_CRASH
/* The names are literals: they are gathered by the linker, for the list. */
#define crash_point(name) \
	do { \
		static const char *const point_ __attribute__((section("crash_points"), used)) = (name); \
		crash_reached(point_); \
	} while (0)
#define crash_fault(name) \
	({ \
		static const char *const fault_ __attribute__((section("crash_faults"), used)) = (name); \
		crash_errno(fault_); \
	})
void crash_reached(const char *point);
int crash_errno(const char *point);	/* the errno that the call shall fail with, or 0 */
#else
static inline void crash_point(const char *point)
{
	(void)point;
}
static inline int crash_fault(const char *point)
{
	(void)point;
	return 0;
}
#endif

#endif
