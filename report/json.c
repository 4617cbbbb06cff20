#include "report/result.h"

void report_json(FILE *out, const struct results *r)
{
	(void)out;
	(void)r;
}
