/*
 * core/stop.h - one wish, made once: finish what is begun, and end.
 */
#ifndef CORE_STOP_H
#define CORE_STOP_H

#include <stdbool.h>

/* Before the first use; false when the kernel gives no descriptor. */
bool stop_init(void);

/* From anywhere, a signal handler included. */
void stop_request(void);

bool stop_requested(void);

/* Becomes readable with the wish and stays so: for poll(2). */
int stop_fd(void);

/*
 * Who waits for input shall look up, once: wake_fd becomes readable until wake_taken. From any thread. A new
 * configuration waits for that.
 */
void wake_input(void);
int wake_fd(void);
void wake_taken(void);

#endif
