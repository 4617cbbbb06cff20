/*
 * core/wait.h - to wait for another thread, or for some time, by the clock that nobody sets: when the time of day jumps, no
 * thread sleeps for longer or wakes in a circle.
 */
#ifndef CORE_WAIT_H
#define CORE_WAIT_H

#include <pthread.h>

/* As pthread_cond_init; for wait_ms, and for pthread_cond_wait. */
void wait_init(pthread_cond_t *cond);

/* As pthread_cond_wait, for at most `ms`, not negative. Whoever calls looks himself what has happened. */
void wait_ms(pthread_cond_t *cond, pthread_mutex_t *lock, int ms);

#endif
