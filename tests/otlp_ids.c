/*
 * tests/otlp_ids.c - the spans of many OTLP requests: `KIND TRACE-ID SPAN-ID CHECKSUM` a line, in their order.
 *
 *   otlp_ids FILE...       each file: 4 bytes of length (big endian) and a protobuf body, again and again
 *
 * The checksum is of the span's own bytes: the same id with another one is another span. A body that is cut short at the
 * end of a file was never acknowledged: it is left out.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct bytes {
	const unsigned char *p, *end;
};

static void die(const char *what)
{
	fprintf(stderr, "otlp_ids: %s\n", what);
	exit(1);
}

static uint64_t varint(struct bytes *b)
{
	uint64_t v = 0;

	for (unsigned shift = 0; b->p < b->end && shift < 64; shift += 7) {
		v |= (uint64_t)(*b->p & 127) << shift;
		if (*b->p++ < 128)
			return v;
	}
	die("bad varint");
	return 0;
}

/* The next field; its number, or 0 at the end. What is delimited comes as `*inside`, a varint as `*value`. */
static uint64_t field(struct bytes *b, struct bytes *inside, uint64_t *value)
{
	uint64_t tag, n = 0;

	if (b->p == b->end)
		return 0;
	tag = varint(b);
	switch (tag & 7) {
	case 0: *value = varint(b); return tag >> 3;
	case 1: n = 8; break;
	case 2: n = varint(b); break;
	case 5: n = 4; break;
	default: die("bad wire type");
	}
	if (n > (uint64_t)(b->end - b->p))
		die("a field runs over the end");
	*inside = (struct bytes){ b->p, b->p + n };
	b->p += n;
	return tag >> 3;
}

static void hex(struct bytes b)
{
	for (; b.p < b.end; b.p++)
		printf("%02x", *b.p);
	putchar(' ');
}

static void span(struct bytes b)
{
	struct bytes all = b, inside = b, trace = { 0 }, id = { 0 };
	uint64_t n, value = 0, kind = 0, sum = UINT64_C(14695981039346656037);

	while ((n = field(&b, &inside, &value)) != 0) {
		trace = n == 1 ? inside : trace;
		id = n == 2 ? inside : id;
		kind = n == 6 ? value : kind;
	}
	for (; all.p < all.end; all.p++)
		sum = (sum ^ *all.p) * UINT64_C(1099511628211);
	printf("%d ", (int)kind);
	hex(trace);
	hex(id);
	printf("%016llx\n", (unsigned long long)sum);
}

/* TracesData > ResourceSpans > ScopeSpans > Span are fields 1, 2 and 2. */
static void walk(struct bytes b, int depth)
{
	struct bytes inside = b;
	uint64_t n, value;

	while ((n = field(&b, &inside, &value)) != 0)
		if (n == (depth == 0 ? 1 : 2) && depth < 2)
			walk(inside, depth + 1);
		else if (n == 2 && depth == 2)
			span(inside);
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		FILE *f = fopen(argv[i], "rb");
		unsigned char head[4];

		if (!f)
			die(argv[i]);
		while (fread(head, 1, 4, f) == 4) {
			size_t n = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
			unsigned char *body = malloc(n + 1);

			if (fread(body, 1, n, f) == n)
				walk((struct bytes){ body, body + n }, 0);
			free(body);
		}
		fclose(f);
	}
	return 0;
}
