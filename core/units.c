#include "core/units.h"

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
