/* CBOR lines, by a format and by words, as digits and as bytes, to the wires; tree.h says what must hold. */
#include "fuzz.h"
#include "tree.h"

#define ENCODED	"%{+cbor}o %(t)tr %(Ta)Ta %(Tr)Tr %(f)ft %(HU)HU %(hrl)hrl %(ST)ST %(ID)ID %(ok:bool)[ssl_fc] " \
		"%(bin)[rand] %(us)[accept_date(us)] %(c)[capture.req.hdr(1)]"

static const char *const runs[][2] = { { "auto" }, { ENCODED, "auto" } };

enum { RUNS = sizeof(runs) / sizeof(runs[0]) };
static struct arena arena;
static struct formats formats[RUNS];
static struct tree trees[RUNS];

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const struct naming naming = { .nmap = 0 };
	struct err err = { 0 };

	for (unsigned i = 0; i < RUNS; i++) {
		formats[i].arena = &arena;
		for (int k = 0; k < 2 && runs[i][k]; k++)
			CHECK(formats_add(&formats[i], slice_str(runs[i][k]), &naming, &err));
		tree_init(&trees[i], &formats[i], i);
	}
	return argc == NULL || argv == NULL;
}

static int digit(uint8_t c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t run = fuzz_byte(&data, &size);
	uint8_t *bytes = malloc(size / 2 + 1);
	bool digits = true;
	char *base;

	CHECK(bytes);
	tree_line(&trees[run % RUNS], fuzz_padded(data, size, &base));
	free(base);
	/* The same as bytes; what is no text of digits is bytes already. */
	for (size_t i = 0; i + 1 < size; i += 2) {
		digits &= digit(data[i]) >= 0 && digit(data[i + 1]) >= 0;
		bytes[i / 2] = (uint8_t)(digits ? digit(data[i]) * 16 + digit(data[i + 1]) : 0);
	}
	if (digits && size > 1) {
		tree_line(&trees[run % RUNS], fuzz_padded(bytes, size / 2, &base));
		free(base);
	}
	free(bytes);
	return 0;
}
