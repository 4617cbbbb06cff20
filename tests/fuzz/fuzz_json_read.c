/*
 * The JSON scanner beside jansson: what jansson takes, it takes, with the same strings; it never looks beyond the pads and
 * always comes to an end.
 */
#include "core/json_read.h"
#include "fuzz.h"

#include <jansson.h>

/* A value of which `token` is the first token, against jansson's. */
static void same(struct json_reader *r, enum json_token token, json_t *want, char *out)
{
	size_t n = 0;

	switch (token) {
	case JR_OBJECT:
		CHECK(json_is_object(want));
		while ((token = json_next(r)) == JR_KEY) {
			size_t len = json_unescape(r->text, out);
			json_t *v = json_object_getn(want, out, len);

			CHECK(len <= r->text.len && (r->escaped || len == r->text.len) && v);
			same(r, json_next(r), v, out);
			n++;
		}
		CHECK(token == JR_OBJECT_END && n == json_object_size(want));
		break;
	case JR_ARRAY:
		CHECK(json_is_array(want));
		while ((token = json_next(r)) != JR_ARRAY_END)
			same(r, token, json_array_get(want, n++), out);
		CHECK(n == json_array_size(want));
		break;
	case JR_STRING:
		n = json_unescape(r->text, out);
		CHECK(n <= r->text.len && json_is_string(want));
		CHECK(slice_eq(slice_of(out, n), slice_of(json_string_value(want), json_string_length(want))));
		break;
	case JR_NUMBER:
		CHECK(json_is_number(want));
		break;
	default:
		CHECK(token == (json_is_true(want) ? JR_TRUE : json_is_false(want) ? JR_FALSE : JR_NULL));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *base, *out = malloc(size + 1);
	struct slice text = fuzz_padded(data, size, &base);
	struct json_reader r;
	enum json_token token;
	json_error_t error;
	json_t *root;
	size_t n = 0;

	CHECK(out);
	json_begin(&r, text);
	while ((token = json_next(&r)) > JR_CUT) {
		CHECK(++n <= size && r.depth <= JSON_DEPTH_MAX && r.p <= r.end);
		if (token == JR_KEY || token == JR_STRING || token == JR_NUMBER)
			CHECK(fuzz_inside(r.text, text) && json_unescape(r.text, out) <= r.text.len);
	}
	if (token == JR_CUT && r.cut != JR_CUT)
		CHECK(fuzz_inside(r.text, text) && json_unescape(r.text, out) <= r.text.len);
	/* To jansson a NUL is the end of the text. */
	root = memchr(text.p, 0, text.len) ? NULL :
	       json_loadb(text.p, text.len, JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &error);
	if (root && token != JR_BAD) {	/* bad is only what is deeper than the bound */
		CHECK(token == JR_END);
		json_begin(&r, text);
		same(&r, json_next(&r), root, out);
		CHECK(json_next(&r) == JR_END);
	}
	if (root && token == JR_BAD)
		CHECK(r.depth == JSON_DEPTH_MAX);
	json_decref(root);
	free(base);
	free(out);
	return 0;
}
