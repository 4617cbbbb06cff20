#include "core/units.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

bool units_read(struct slice text, const char *units, uint64_t *n, uint64_t *scale, size_t *at)
{
	size_t digits = 0;
	char *end;

	*at = 0;
	while (digits < text.len && text.p[digits] >= '0' && text.p[digits] <= '9')
		digits++;
	if (!slice_uint(slice_of(text.p, digits), n))
		return false;
	if (digits == text.len)
		return true;
	*at = digits;
	for (const char *unit = units; *unit; unit = end + (*end == ' ')) {
		size_t len = strcspn(unit, "=");
		uint64_t worth = strtoull(unit + len + 1, &end, 10);

		if (slice_eq(slice_of(unit, len), slice_skip(text, digits))) {
			*scale = worth;
			return true;
		}
	}
	return false;
}

const char *units_bytes(uint64_t n, char out[32])
{
	static const char *const names[] = { "KB", "MB", "GB" };
	double value = (double)n / 1e3;
	unsigned k = 0;

	if (n < 1000) {
		snprintf(out, 32, "%" PRIu64 " bytes", n);
		return out;
	}
	/* What would be rounded up to 1000.0 is one of the next unit. */
	for (; value >= 999.95 && k < 2; k++)
		value /= 1e3;
	snprintf(out, 32, "%.1f %s", value, names[k]);
	return out;
}
