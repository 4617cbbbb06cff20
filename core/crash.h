/*
 * core/crash.h - points at which a test kills the program, or lets a call fail. Nothing in a build without CRASH=1.
 *
 * HASPAN_CRASH=POINT:N is kill -9 at the N-th time that POINT is reached. HASPAN_FAULT=POINT:ERRNO:FROM[-TO] lets
 * the call at POINT fail with ERRNO (a number or ENOSPC, EIO, EROFS…) from the FROM-th time on, up to the TO-th.
 * HASPAN_CRASH=list prints every point that was compiled in, and ends.
 */
#ifndef CORE_CRASH_H
#define CORE_CRASH_H

#ifdef HASPAN_CRASH
void crash_point(const char *point);
int crash_fault(const char *point);	/* the errno that the call shall fail with, or 0 */
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
