/* JSON text: whatever is escaped comes back from a real decoder as it was. */
#include "core/json.h"
#include "fuzz.h"
#include "parse/parse.h"

#include <jansson.h>

/* Decoding `out` with jansson gives `s`, in one piece. */
static void check(const struct buf *out, struct slice s)
{
	json_error_t error;
	json_t *root = json_loadb(out->p, out->len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);

	CHECK(root && json_is_string(root));
	CHECK(slice_eq(slice_of(json_string_value(root), json_string_length(root)), s));
	json_decref(root);
	/* Beyond JSON: no byte that a terminal or a line-based reader could take for more than text. */
	for (size_t i = 0; i < out->len; i++)
		CHECK((unsigned char)out->p[i] >= 0x20 && out->p[i] != 0x7f);
	CHECK(!memmem(out->p, out->len, "\xe2\x80\xa8", 3) && !memmem(out->p, out->len, "\xe2\x80\xa9", 3));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf out = { .max = 1 << 20 };
	/* No pads: the function promises not to look behind the string. */
	char *text = malloc(size ? size : 1), *clean = malloc(3 * size + 1);
	struct slice s = slice_of(text, size);
	size_t plain;

	if (size)
		memcpy(text, data, size);
	if (!text_valid(s)) {	/* only valid UTF-8 ever comes here: what does not is repaired before */
		s = slice_of(clean, text_clean(s, false, false, clean));
		CHECK(text_valid(s) && s.len <= 3 * size);
	}
	plain = json_plain(s);
	CHECK(plain <= s.len);
	for (size_t i = 0; i < plain; i++)
		CHECK((unsigned char)s.p[i] >= 0x20 && !strchr("\"\\\x7f", s.p[i]));
	buf_char(&out, '"');
	json_escape(&out, s);
	buf_char(&out, '"');
	check(&out, s);
	/* Escapes of HAProxy's, decoded, are text as well, and decoding never makes it longer. */
	s = slice_of(clean, text_clean(slice_of(text, size), true, true, clean));
	CHECK(text_valid(s) && s.len <= 3 * size);
	buf_free(&out);
	free(text);
	free(clean);
	return 0;
}
