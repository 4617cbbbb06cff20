#include "core/cut.h"

#include "core/hash.h"
#include "core/hex.h"

size_t cut_name(char *to, size_t max, struct slice name)
{
	uint64_t digits;
	size_t n;

	if (name.len <= max) {
		if (name.len)
			memcpy(to, name.p, name.len);
		return name.len;
	}
	n = max - CUT_SIGN;
	while (n > 0 && ((unsigned char)name.p[n] & 0xc0) == 0x80)
		n--;
	memcpy(to, name.p, n);
	memcpy(to + n, "…", 3);
	digits = hex_digits8((uint32_t)XXH3_64bits(name.p, name.len));
	memcpy(to + n + 3, &digits, 8);
	return n + CUT_SIGN;
}
