/*
 * OpenSSL lives here. The algorithm is fetched once: fetching by name costs more than the digest itself.
 */
#include "core/sha256.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

static _Thread_local EVP_MD_CTX *ctx;
static _Thread_local EVP_MD *md;

static void prepare(void)
{
	md = EVP_MD_fetch(NULL, "SHA256", NULL);
	ctx = EVP_MD_CTX_new();
	if (!md || !ctx) {
		fprintf(stderr, "haspan: OpenSSL has no SHA-256 here\n");
		abort();
	}
}

void sha256(struct slice a, struct slice b, uint64_t out[4])
{
	unsigned char digest[32];

	if (!ctx)
		prepare();
	EVP_DigestInit_ex2(ctx, md, NULL);
	EVP_DigestUpdate(ctx, a.p, a.len);
	EVP_DigestUpdate(ctx, b.p, b.len);
	EVP_DigestFinal_ex(ctx, digest, NULL);
	for (int w = 0; w < 4; w++) {
		out[w] = 0;
		for (int k = 0; k < 8; k++)
			out[w] = out[w] << 8 | digest[8 * w + k];
	}
}

void sha256_thread_free(void)
{
	EVP_MD_CTX_free(ctx);
	EVP_MD_free(md);
	ctx = NULL;
	md = NULL;
}
