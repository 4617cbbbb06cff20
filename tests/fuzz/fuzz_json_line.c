/* JSON and key=value lines, by formats and by words, to the wires; tree.h says what must hold. One byte picks the formats. */
#include "fuzz.h"
#include "tree.h"

#define ENCODED	"%{+json}o %(step)OG %(client_ip)ci %(client_port)cp %(time)tr %(at:sint)[accept_date(us)] %(frontend)ft " \
		"%(backend)b %(server)s %(TR)TR %(Tw)Tw %(Tc)Tc %(Tr)Tr %(Ta)Ta %(status)ST %(bytes)B %(term)tsc %(id)ID " \
		"%(method)HM %(path)HP %(tp:str)[var(txn.tp)] %(retries)rc %(hrl)hrl %(hs)hs %(n:sint)[rand] " \
		"%(b:bool)[ssl_fc] %(c)[capture.req.hdr(1)] %(x){+X}bi"
#define LITERAL	"{\"time\":\"%tr\",\"c\":{\"ip\":\"%ci\",\"port\":%cp,\"addr\":\"%bi:%bp\"},\"f\":\"%f\",\"TR\":%TR,\"t\":[%Tw,%Tc]," \
		"\"Ta\":%Ta,\"status\":%ST,\"path\":\"%[capture.req.uri,json(utf8s)]\",\"h\":\"%[capture.req.hdr(0)]\",\"x\":\"%[rand]\"}"
#define ITEMS	"%(a){+json}ci %{+json}tr %{+json}Ta %{+json}HU %{+json}[rand] %(n:sint){+json}[rand]"

static const struct slice from[] = { SLICE("var(txn.tp)"), SLICE("plan"), SLICE("shard") };
static const struct slice to[] = { SLICE("traceparent"), SLICE("tenant.plan"), SLICE("nothing") };
static const struct slice request[] = { SLICE("traceparent"), SLICE("host") };

static const char *const runs[][4] = { { "auto" }, { ENCODED, LITERAL, ITEMS, "auto" }, { LITERAL } };

enum { RUNS = sizeof(runs) / sizeof(runs[0]) };
static struct arena arena;
static struct formats formats[RUNS];
static struct tree trees[RUNS];

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct naming naming = { from, to, 3, request, NULL, 0, 0 };
	struct err err = { 0 };

	for (unsigned i = 0; i < RUNS; i++) {
		formats[i].arena = &arena;
		naming.nrequest = i == 1 ? 2 : 0;
		for (int k = 0; k < 4 && runs[i][k]; k++)
			CHECK(formats_add(&formats[i], slice_str(runs[i][k]), &naming, &err));
		tree_init(&trees[i], &formats[i], i);
	}
	return argc == NULL || argv == NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t run = fuzz_byte(&data, &size);
	char *base;

	tree_line(&trees[run % RUNS], fuzz_padded(data, size, &base));
	free(base);
	return 0;
}
