/*
 * ingest/tls.h - private to ingest/: the server's side of TLS on a connection that was accepted.
 */
#ifndef INGEST_TLS_H
#define INGEST_TLS_H

#include "core/err.h"

#include <sys/types.h>

struct tls_files {
	const char *cert, *key, *ca;	/* PEM files; key NULL: it is in `cert`; ca NULL: any client may connect */
};

/* A certificate, its key, and whom to trust. */
struct tls_context;

/* Read the files. Owned, or NULL with `err` filled (EXIT_CONFIG). */
struct tls_context *tls_context_new(const struct tls_files *files, struct err *err);

/* Sessions that were made of it go on. May be NULL. */
void tls_context_free(struct tls_context *c);

struct tls_session;

/* A session on `fd`, which stays the caller's. NULL: out of memory. */
struct tls_session *tls_session_new(struct tls_context *c, int fd);
void tls_session_free(struct tls_session *s);	/* may be NULL; sends nothing */

/* What tls_read found instead of bytes. */
enum tls_left {
	TLS_WAIT,		/* wait until the descriptor is readable */
	TLS_WAIT_WRITE,		/* the peer doesn't read: try again some time later */
	TLS_END,		/* it said goodbye, or went away */
	TLS_FAILED,		/* tls_reason says why */
};

/*
 * Up to `n` bytes that the peer sent: how many, or 0 with `*left` set. Does the handshake on the way. Reads on until `n`
 * bytes are there or nothing more can be had now, so that what is not read yet is in the kernel's hands or asked for again.
 */
size_t tls_read(struct tls_session *s, char *p, size_t n, enum tls_left *left);

/* Has the handshake ended well? */
bool tls_established(const struct tls_session *s);

/* Tell the peer that nothing will come from here: close_notify, where it doesn't need to wait. */
void tls_goodbye(struct tls_session *s);

/* Why the last tls_read failed, for a message; lent by `s`. */
const char *tls_reason(const struct tls_session *s);

#endif
