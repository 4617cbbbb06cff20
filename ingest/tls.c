/*
 * ingest/tls.c - OpenSSL's libssl lives here.
 */
#include "ingest/tls.h"

#include "core/log.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * TLS 1.2: forward secrecy and authenticated encryption, what every peer of the last ten years can. 1.3 has nothing else.
 */
#define CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM"

struct tls_context {
	SSL_CTX *ctx;
};

struct tls_session {
	SSL *ssl;
	char reason[160];
};

/* ---- the context ------------------------------------------------------------------------------------- */

/* The queue's first reason, where there is one; the queue is empty afterwards. */
static const char *first_reason(char *out, size_t size)
{
	unsigned long code = ERR_get_error();
	const char *reason = code ? ERR_reason_error_string(code) : NULL;

	/* A file that can't be opened has the errno's text in it. */
	if (code && ERR_SYSTEM_ERROR(code))
		reason = strerror(ERR_GET_REASON(code));
	snprintf(out, size, "%s", reason ? reason : code ? "an unknown error" : "no reason given");
	ERR_clear_error();
	return out;
}

static bool refuse(const char *what, const char *file, struct err *err)
{
	char reason[160];

	err_set(err, EXIT_CONFIG, "%s: %s", what, first_reason(reason, sizeof(reason)));
	return err_where(err, "%s", file);
}

/* A terminal must not be asked: an encrypted key is an error. */
static int no_password(char *buf, int size, int writing, void *user)
{
	(void)buf, (void)size, (void)writing, (void)user;
	return 0;
}

static void set_up(SSL_CTX *ctx)
{
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_cipher_list(ctx, CIPHERS);
	/*
	 * A peer that only writes may close without having read our tickets; its kernel then answers with a reset, and
	 * what it had sent is lost. So there are none, and no sessions either.
	 */
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET |
				 SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_SINGLE_DH_USE);
	SSL_CTX_set_num_tickets(ctx, 0);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_read_ahead(ctx, 1);
	SSL_CTX_set_dh_auto(ctx, 1);
	SSL_CTX_set_default_passwd_cb(ctx, no_password);
}

static bool load(SSL_CTX *ctx, const struct tls_files *f, struct err *err)
{
	const char *key = f->key ? f->key : f->cert;
	STACK_OF(X509_NAME) *names;

	if (SSL_CTX_use_certificate_chain_file(ctx, f->cert) != 1)
		return refuse("no certificate can be read", f->cert, err);
	if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1)
		return refuse("no private key can be read, or it doesn't belong to the certificate", key, err);
	if (SSL_CTX_check_private_key(ctx) != 1)
		return refuse("this key doesn't belong to the certificate", key, err);
	if (!f->ca)
		return true;
	if (SSL_CTX_load_verify_locations(ctx, f->ca, NULL) != 1 || !(names = SSL_load_client_CA_file(f->ca)))
		return refuse("no certificates of authorities can be read", f->ca, err);
	SSL_CTX_set_client_CA_list(ctx, names);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	return true;
}

struct tls_context *tls_context_new(const struct tls_files *files, struct err *err)
{
	struct tls_context *c = calloc(1, sizeof(*c));

	ERR_clear_error();
	if (c)
		c->ctx = SSL_CTX_new(TLS_server_method());
	if (!c || !c->ctx) {
		err_set(err, EXIT_CONFIG, "out of memory");
		free(c);
		return NULL;
	}
	set_up(c->ctx);
	if (load(c->ctx, files, err))
		return c;
	tls_context_free(c);
	return NULL;
}

void tls_context_free(struct tls_context *c)
{
	if (c)
		SSL_CTX_free(c->ctx);
	free(c);
}

/* ---- sessions ---------------------------------------------------------------------------------------- */

struct tls_session *tls_session_new(struct tls_context *c, int fd)
{
	struct tls_session *s = calloc(1, sizeof(*s));

	if (s)
		s->ssl = SSL_new(c->ctx);
	if (!s || !s->ssl || SSL_set_fd(s->ssl, fd) != 1) {
		tls_session_free(s);
		return NULL;
	}
	SSL_set_accept_state(s->ssl);
	return s;
}

void tls_session_free(struct tls_session *s)
{
	if (s)
		SSL_free(s->ssl);
	free(s);
}

bool tls_established(const struct tls_session *s)
{
	return SSL_is_init_finished(s->ssl);
}

const char *tls_reason(const struct tls_session *s)
{
	return s->reason;
}

static enum tls_left failed(struct tls_session *s)
{
	long verified = SSL_get_verify_result(s->ssl);

	if (!SSL_is_init_finished(s->ssl) && verified != X509_V_OK) {
		snprintf(s->reason, sizeof(s->reason), "client certificate: %s", X509_verify_cert_error_string(verified));
		ERR_clear_error();
	} else {
		first_reason(s->reason, sizeof(s->reason));
	}
	return TLS_FAILED;
}

/* What SSL_read that returned `code` wants. */
static enum tls_left left_by(struct tls_session *s, int code, int saved_errno)
{
	switch (SSL_get_error(s->ssl, code)) {
	case SSL_ERROR_WANT_READ:
		return TLS_WAIT;
	case SSL_ERROR_WANT_WRITE:
		return TLS_WAIT_WRITE;
	case SSL_ERROR_ZERO_RETURN:
		return TLS_END;
	case SSL_ERROR_SYSCALL:
		if (tls_established(s))
			return TLS_END;
		snprintf(s->reason, sizeof(s->reason), "%s", saved_errno ? strerror(saved_errno) : "it went away in the handshake");
		ERR_clear_error();
		return TLS_FAILED;
	default:
		return failed(s);
	}
}

size_t tls_read(struct tls_session *s, char *p, size_t n, enum tls_left *left)
{
	size_t total = 0, got;

	ERR_clear_error();
	while (total < n) {
		int code;

		errno = 0;
		code = SSL_read_ex(s->ssl, p + total, n - total, &got);
		if (code != 1) {
			*left = left_by(s, code, errno);
			break;
		}
		total += got;
	}
	return total;
}

void tls_goodbye(struct tls_session *s)
{
	ERR_clear_error();
	if (tls_established(s))
		SSL_shutdown(s->ssl);
	ERR_clear_error();
}
