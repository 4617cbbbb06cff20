/*
 * OpenSSL lives here. Its EVP interface takes memory for every digest (3.0: EVP_DigestInit_ex2 makes the provider's
 * context anew) and needs twice the time; this is the plain one, which 3.0 calls deprecated and keeps.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "core/sha256.h"

#include <openssl/sha.h>

void sha256(struct slice a, struct slice b, uint64_t out[4])
{
	unsigned char digest[SHA256_DIGEST_LENGTH];
	SHA256_CTX ctx;

	SHA256_Init(&ctx);
	SHA256_Update(&ctx, a.p, a.len);
	SHA256_Update(&ctx, b.p, b.len);
	SHA256_Final(digest, &ctx);
	for (int w = 0; w < 4; w++) {
		out[w] = 0;
		for (int k = 0; k < 8; k++)
			out[w] = out[w] << 8 | digest[8 * w + k];
	}
}
