/*
 * core/notify.h - what haspan tells the service manager that started it (sd_notify(3), Type=notify).
 *
 * The protocol is one datagram of VARIABLE=value lines to the socket of NOTIFY_SOCKET; that is less code than what would
 * be needed to find libsystemd, and works without it. Without a service manager nothing here does anything.
 */
#ifndef CORE_NOTIFY_H
#define CORE_NOTIFY_H

#include <stdint.h>

/*
 * Before the first thread, and before privileges are dropped: take NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID out of
 * the environment, and open the socket. A socket that can't be used is as none.
 */
void notify_init(void);

/* Send one message: lines `NAME=value`, without a final newline. Never waits; one that can't be sent is lost. */
void notify_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Every how many milliseconds the watchdog wants WATCHDOG=1 (half of WATCHDOG_USEC); 0: it does not. */
int64_t notify_watchdog_ms(void);

/* CLOCK_MONOTONIC in microseconds, as RELOADING=1 wants it in MONOTONIC_USEC. */
uint64_t notify_monotonic_us(void);

#endif
