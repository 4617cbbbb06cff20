/*
 * doctor_fix.c - what is missing as edits of the files, and edits as a patch.
 *
 * A section keeps its order: what a line of it said before is said by the line that takes its place; what is new goes
 * in front of its first rule, what changes headers behind the rules that read these.
 */
#include "doctor.h"

#include <stdio.h>

#define LOG_TARGET "log 127.0.0.1:514 len 8192 format rfc5424 local0"
#define UNIQUE_ID "unique-id-format \"%{+X}o %ci:%cp_%fi:%fp_%Ts_%rt:%pid\""
#define LEN_GOOD "8192"
#define CAPTURE_GOOD "64"
#define PATCH_CONTEXT 3
#define PATCH_MAX ((size_t)256 * 1024 * 1024)

static const char *const recipe[] = {
#define RECIPE(line) line,
#include "formats/recipe.def"
#undef RECIPE
};

static const struct { const char *name; struct slice text; } builtins[] = {
#define BUILTIN(name, automatic, since, text, sample) { name, { text, sizeof(text) - 1 } },
#include "formats/builtin.def"
#undef BUILTIN
};

/* What becomes of a proxy. */
struct fix {
	const struct look *l;
	struct edits *edits;
	struct fields fields;			/* of `format`, as it grows */
	struct buf format, line;
	struct buf block, slots, late;		/* what is new: lines, of these the captures, and what changes headers */
	enum style style;
	uint32_t captures;			/* declared, the new ones too */
	const char *txn, *acl;			/* of the recipe's variables and ACLs: nobody else has such */
};

/* ---- files and lines --------------------------------------------------------------------------------------- */

struct slice file_line(const struct cfg_file *f, unsigned n)
{
	struct slice rest = f->text, line = slice_of(NULL, 0);

	while (n > 0 && rest.len) {
		line = slice_cut(&rest, '\n');
		n--;
	}
	return n ? slice_of(NULL, 0) : line;
}

/* HAProxy goes on in the next line behind a backslash. */
static unsigned lines_of(const struct cfg_place *at)
{
	unsigned n = 1;

	for (struct slice line; (line = file_line(at->file, at->line + n - 1)).p; n++)
		if (line.len == 0 || line.p[line.len - 1] != '\\')
			break;
	return n;
}

static bool is_word(struct slice line, const char *word)
{
	line = slice_trim(line);
	return slice_starts(line, slice_str(word)) &&
	       (line.len == strlen(word) || memchr(" \t(\r", line.p[strlen(word)], 4));
}

/* Not between an .if and its .endif: there it would count sometimes. */
static unsigned outside_conditions(const struct cfg_section *s, unsigned at)
{
	unsigned depth = 0, open = at;

	for (unsigned n = s->place.line + 1; n < at; n++) {
		struct slice line = file_line(s->place.file, n);

		if (is_word(line, ".if") && depth++ == 0)
			open = n;
		if (is_word(line, ".endif") && depth > 0)
			depth--;
	}
	return depth ? open : at;
}

/* Not between a comment and what it is about. */
static unsigned above_comments(const struct cfg_section *s, unsigned at)
{
	while (at > s->place.line + 1) {
		struct slice line = slice_trim(file_line(s->place.file, at - 1));

		if (line.len == 0 || *line.p != '#')
			break;
		at--;
	}
	return at;
}

static bool is_rule(struct slice word)
{
	return slice_starts(word, SLICE("http-")) || slice_eq(word, SLICE("redirect")) ||
	       slice_eq(word, SLICE("use_backend")) || slice_eq(word, SLICE("use-server"));
}

/* http-request del-header traceparent, and whatever else changes it. */
static bool changes_trace(const struct cfg_directive *d)
{
	return d->n > 2 && slice_eq(d->word[0], SLICE("http-request")) &&
	       memmem(d->word[1].p, d->word[1].len, "-header", 7) && slice_ieq(d->word[2], SLICE("traceparent"));
}

/* Headers that the recipe changes, and what stands for all headers. */
static bool names_trace(const struct cfg_directive *d)
{
	for (uint32_t i = 1; i < d->n; i++)
		if (strcasestr(d->word[i].p, "traceparent") || strcasestr(d->word[i].p, "tracestate") ||
		    strstr(d->word[i].p, "req.hdrs"))
			return true;
	return false;
}

/* Is a word of the rule (`has_trace`, `!has_trace`) an ACL that looks at the caller's trace? */
static bool asks_for_trace(const struct cfg_directive *rule)
{
	for (const struct cfg_directive *d = rule->section->first; d; d = d->next)
		for (uint32_t i = 2; d->n > 2 && slice_eq(d->word[0], SLICE("acl")) && i < rule->n; i++)
			if (slice_eq(d->word[1], slice_skip(rule->word[i], *rule->word[i].p == '!')) && names_trace(d))
				return true;
	return false;
}

/* Would the rule read what HAProxy sends instead of what the caller sent? */
static bool reads_trace(const struct cfg_directive *d)
{
	return slice_eq(d->word[0], SLICE("http-request")) && (names_trace(d) || asks_for_trace(d));
}

/* The line behind `last`, or behind the .endif of what that stands in. */
static unsigned past_conditions(const struct cfg_section *s, unsigned last)
{
	unsigned depth = 0;

	for (unsigned n = s->place.line + 1; n <= last || (depth && n <= s->place.file->lines); n++) {
		struct slice line = file_line(s->place.file, n);

		depth += is_word(line, ".if");
		depth -= depth && is_word(line, ".endif");
		last = n > last ? n : last;
	}
	return last + 1;
}

static unsigned last_line_of(const struct cfg_directive *d)
{
	return d->place.line + lines_of(&d->place) - 1;
}

/*
 * Before the first rule, which may end the request; but behind rules that change the traceparent, such as one that
 * takes away what strangers send.
 */
static unsigned place_in(const struct cfg_section *s)
{
	unsigned first = 0, changed = 0, last = s->place.line;

	for (const struct cfg_directive *d = s->first; d; d = d->next) {
		if (!first && is_rule(d->word[0]))
			first = above_comments(s, d->place.line);
		if (changes_trace(d))
			changed = last_line_of(d);
		last = last_line_of(d);
	}
	if (changed)
		return past_conditions(s, changed);
	return outside_conditions(s, first ? first : last + 1);
}

/* Behind the last directive that is `such`, or at `at` when that is further on. */
static unsigned place_behind(const struct cfg_section *s, bool (*such)(const struct cfg_directive *d), unsigned at)
{
	unsigned last = 0;

	for (const struct cfg_directive *d = s->first; d; d = d->next)
		if (such(d))
			last = last_line_of(d);
	return last < at ? at : past_conditions(s, last);
}

/* Captures are numbered as they stand there, and rules may know the numbers: new ones come last. */
static bool is_capture(const struct cfg_directive *d)
{
	return slice_eq(d->word[0], SLICE("capture")) || slice_eq(d->word[0], SLICE("declare")) ||
	       (d->n > 1 && slice_starts(d->word[1], SLICE("capture")));
}

/* ---- the list of edits --------------------------------------------------------------------------------------- */

static int compare(const struct edit *a, const struct edit *b)
{
	int order = a->file == b->file ? 0 : strcmp(a->file->path.p, b->file->path.p);

	if (order)
		return order;
	if (a->at != b->at)
		return a->at < b->at ? -1 : 1;
	return (a->remove > 0) - (b->remove > 0);	/* what is put in front of a line before what replaces it */
}

static void add_edit(struct edits *edits, struct edit e)
{
	const struct edit **link = &edits->first;
	struct edit *new;

	for (; *link && compare(*link, &e) <= 0; link = (const struct edit **)(uintptr_t)&(*link)->next)
		if (compare(*link, &e) == 0 && e.remove)	/* several frontends want it */
			return;
	new = arena_alloc(edits->arena, sizeof(*new));
	*new = e;
	new->add = arena_copy(edits->arena, e.add);
	new->next = *link;
	*link = new;
}

/* `line`, with its section's indent and an end. */
static void put_line(struct buf *out, struct slice indent, struct slice line)
{
	buf_slice(out, indent);
	buf_slice(out, line);
	buf_char(out, '\n');
}

static void replace(struct fix *fix, const struct cfg_directive *d, struct slice line)
{
	struct buf out = { .max = PATCH_MAX };
	struct slice old = file_line(d->place.file, d->place.line);
	size_t indent = 0;

	while (indent < old.len && (old.p[indent] == ' ' || old.p[indent] == '\t'))
		indent++;
	if (line.p)
		put_line(&out, slice_of(old.p, indent), line);
	add_edit(fix->edits, (struct edit){ d->place.file, d->place.line, lines_of(&d->place),
					    slice_of(out.p, out.len), NULL });
	buf_free(&out);
}

static bool is_mine(const struct fix *fix, const struct cfg_directive *d)
{
	return d && d->section == fix->l->p->section;
}

static void say(struct fix *fix, struct slice line)
{
	put_line(&fix->block, fix->l->p->section->indent, line);
}

/* In the place of `d` when the section itself says it, else among what is new. */
static void say_instead(struct fix *fix, const struct cfg_directive *d, struct slice line)
{
	if (is_mine(fix, d))
		replace(fix, d, line);
	else
		say(fix, line);
}

/* ---- words --------------------------------------------------------------------------------------------------- */

/* The end of the word that begins at `at`, quotes and escapes as HAProxy takes them. */
static size_t word_end(struct slice s, size_t at)
{
	char quote = 0;

	for (; at < s.len; at++) {
		char c = s.p[at];

		if (!quote && (c == ' ' || c == '\t' || c == '\r'))
			break;
		if (c == '\\' && quote != '\'')
			at++;
		else if (quote ? c == quote : c == '"' || c == '\'')
			quote = quote ? 0 : c;
	}
	return at < s.len ? at : s.len;
}

static size_t skip_blanks(struct slice s, size_t at)
{
	while (at < s.len && (s.p[at] == ' ' || s.p[at] == '\t'))
		at++;
	return at;
}

/* A text as one word of haproxy.cfg. */
static void quoted(struct buf *out, struct slice s)
{
	bool plain = s.len > 0, apostrophe = false;		/* what can't stand between apostrophes */

	for (size_t i = 0; i < s.len; i++) {
		plain &= (unsigned char)s.p[i] > ' ' && !memchr("\"'\\$#", s.p[i], 5);
		apostrophe |= s.p[i] == '\'' || (unsigned char)s.p[i] < ' ';
	}
	if (plain) {
		buf_slice(out, s);
		return;
	}
	if (!apostrophe && s.len && (memchr(s.p, '"', s.len) || memchr(s.p, '\\', s.len) || memchr(s.p, '$', s.len))) {
		buf_char(out, '\'');
		buf_slice(out, s);
		buf_char(out, '\'');
		return;
	}
	buf_char(out, '"');
	for (size_t i = 0; i < s.len; i++) {
		char hex[8];

		if (memchr("\"\\$", s.p[i], 3))
			buf_char(out, '\\');
		if ((unsigned char)s.p[i] >= ' ') {
			buf_char(out, s.p[i]);
		} else if (s.p[i]) {			/* a byte 0 is the end of a line */
			snprintf(hex, sizeof(hex), "\\x%02x", (unsigned)s.p[i]);
			buf_slice(out, slice_str(hex));
		}
	}
	buf_char(out, '"');
}

/* `log-format TEXT`, with quotes even where none are needed. */
static struct slice format_line(struct fix *fix)
{
	struct slice text = slice_of(fix->format.p, fix->format.len);

	fix->line.len = 0;
	buf_lit(&fix->line, "log-format ");
	quoted(&fix->line, text);
	return slice_of(fix->line.p, fix->line.len);
}

/* ---- the format ------------------------------------------------------------------------------------------------ */

static struct slice builtin(const char *name)
{
	for (size_t i = 0; i < sizeof(builtins) / sizeof(builtins[0]); i++)
		if (strcmp(builtins[i].name, name) == 0)
			return builtins[i].text;
	return slice_of("", 0);
}

static bool is_key(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("_-.@", c);
}

/* Where the field ends whose `%` is at `at`. */
static size_t field_end(struct slice s, size_t at)
{
	for (at++; at < s.len && (s.p[at] == '{' || s.p[at] == '('); at++)
		at += slice_find(slice_skip(s, at), s.p[at] == '{' ? '}' : ')');
	if (at < s.len && s.p[at] == '[')
		for (int depth = 0; at < s.len && (s.p[at] != ']' || depth > 0); at++)
			depth += s.p[at] == '(' ? 1 : s.p[at] == ')' ? -1 : 0;
	return at;
}

/* Are most words with a field written as `name=…`? A word ends with a blank; the first field of it counts. */
static bool is_keyed(struct slice s)
{
	unsigned keyed = 0, bare = 0;
	size_t word = 0;			/* where it begins; s.len: it was counted */

	for (size_t at = 0; at < s.len; at++) {
		size_t eq = word;

		if (s.p[at] == ' ')
			word = at + 1;
		if (s.p[at] != '%')
			continue;
		while (eq < at && is_key(s.p[eq]))
			eq++;
		if (at + 1 < s.len && s.p[at + 1] == '%') {
			at++;
			continue;
		}
		if (word < s.len) {
			keyed += eq > word && s.p[eq] == '=';
			bare += eq == word || s.p[eq] != '=';
		}
		word = s.len;
		at = field_end(s, at) - 1;
	}
	return keyed > bare && keyed > 1;
}

enum style style_of(struct slice text)
{
	struct slice t = slice_trim(text);

	if (text.len && (memmem(text.p, text.len, "+json", 5) || memmem(text.p, text.len, "+cbor", 5)))
		return STYLE_NAMED;
	if (t.len > 1 && t.p[0] == '{' && t.p[t.len - 1] == '}')
		return STYLE_JSON;
	return is_keyed(t) ? STYLE_KEYED : STYLE_TEXT;
}

/* Has the format something of this name already, as that style writes it? */
static bool is_taken(const struct fix *fix, const char *name)
{
	static const struct { const char *before, *behind; } written[] = {
		[STYLE_KEYED] = { " ", "=" }, [STYLE_NAMED] = { "%(", ":)" }, [STYLE_JSON] = { "\"", "\"" },
	};
	const char *before = written[fix->style].before, *behind = written[fix->style].behind;
	struct slice rest = slice_of(fix->format.p, fix->format.len);
	size_t n = strlen(name);
	const char *at;

	while (before && rest.len && (at = memmem(rest.p, rest.len, name, n))) {
		size_t from = (size_t)(at - fix->format.p), len = strlen(before);
		bool begins = from >= len ? memcmp(at - len, before, len) == 0 : fix->style == STYLE_KEYED && from == 0;

		if (begins && from + n < fix->format.len && strchr(behind, at[n]))
			return true;
		rest = slice_skip(rest, (size_t)(at - rest.p) + 1);
	}
	return false;
}

/*
 * Add `field`, which is `TR`, `[var(txn.tid)]` and the like; `name` is what it is called where fields have names, `flags`
 * what it needs in plain text, `json` the converter that makes it fit for a JSON string.
 */
static void append(struct fix *fix, const char *name, const char *flags, const char *field)
{
	char item[512], other[64];
	struct buf *b = &fix->format;

	snprintf(other, sizeof(other), "haproxy_%s", name);	/* haspan knows it by this name as well */
	name = is_taken(fix, name) ? other : name;
	if (fix->style == STYLE_NAMED)
		snprintf(item, sizeof(item), " %%(%s)%s", name, field);
	else if (fix->style == STYLE_JSON)
		snprintf(item, sizeof(item), ",\"%s\":\"%%%s\"}", name, field);
	else if (fix->style == STYLE_KEYED)
		snprintf(item, sizeof(item), " %s=%%%s%s", name, flags, field);
	else
		snprintf(item, sizeof(item), " %%%s%s", flags, field);
	if (fix->style == STYLE_JSON) {
		while (b->len && b->p[b->len - 1] != '}')
			b->len--;
		b->len -= b->len > 0;
	}
	buf_slice(b, slice_str(item));
	fix->fields = (struct fields){ { 0 }, 0 };
	fields_read(&fix->fields, fix->l->cfg, fix->l->p, slice_of(b->p, b->len));
}

static bool has(const struct fix *fix, int slot)
{
	return fix->fields.slot[slot >> 6] >> (slot & 63) & 1;
}

/* Unless the format has one of two fields, add the first. */
static void want(struct fix *fix, int slot, int or_slot, const char *name)
{
	if (!has(fix, slot) && !has(fix, or_slot))
		append(fix, name, "", name);
}

static void want_request(struct fix *fix)
{
	if (has(fix, SLOT_r))
		return;
	if (!has(fix, SLOT_HM) && !has(fix, SLOT_HU) && !has(fix, SLOT_HP) && !has(fix, SLOT_HPO)) {
		append(fix, "r", "{+Q}", "r");
		return;
	}
	want(fix, SLOT_HM, SLOT_HM, "HM");
	if (!has(fix, SLOT_HP) && !has(fix, SLOT_HPO))
		want(fix, SLOT_HU, SLOT_HU, "HU");
}

static void want_fields(struct fix *fix)
{
	const struct look *l = fix->l;
	bool http = l->p->http;

	want(fix, SLOT_ci, SLOT_ci, "ci");
	want(fix, SLOT_cp, SLOT_cp, "cp");
	want(fix, SLOT_ft, SLOT_f, "ft");
	want(fix, SLOT_b, SLOT_b, "b");
	want(fix, SLOT_s, SLOT_s, "s");
	if (http)
		want(fix, SLOT_TR, SLOT_TR, "TR");
	want(fix, SLOT_Tw, SLOT_Tw, "Tw");
	want(fix, SLOT_Tc, SLOT_Tc, "Tc");
	if (http)
		want(fix, SLOT_Tr, SLOT_Tr, "Tr");
	if (http)
		want(fix, SLOT_Ta, SLOT_Tt, "Ta");
	else
		want(fix, SLOT_Tt, SLOT_Tt, "Tt");
	want(fix, SLOT_tsc, SLOT_ts, "tsc");
	if (http) {
		want(fix, SLOT_ST, SLOT_ST, "ST");
		want_request(fix);
	}
	if (look_found(l, ADVICE_nameless_step))
		want(fix, SLOT_OG, SLOT_OG, "OG");
	if (http || l->p->unique_id_format.by)
		want(fix, SLOT_ID, SLOT_ID, "ID");
}

/* A field of its own for a capture, where the format has no block of them. */
static void want_capture(struct fix *fix, const char *header, const char *name, const char *len)
{
	char text[160];

	snprintf(text, sizeof(text), "capture request header %s len %s", header, len);
	if (!look_captures(fix->l, slice_str(name)) || !fix->l->understood) {
		uint32_t at = fix->captures;

		for (uint32_t i = 0; i < fix->l->p->ncaptures[CAPTURE_REQUEST]; i++)
			if (slice_ieq(fix->l->p->capture[CAPTURE_REQUEST][i].name, slice_str(name)))
				at = i;
		if (at == fix->captures) {
			fix->captures++;
			put_line(&fix->slots, fix->l->p->section->indent, slice_str(text));
		}
		if (has(fix, SLOT_hr) || has(fix, SLOT_hrl) || (fix->fields.captures >> (at & 31) & 1))
			return;
		snprintf(text, sizeof(text), "[capture.req.hdr(%u)%s]", at, fix->style == STYLE_JSON ? ",json(utf8s)" : "");
		if (fix->style == STYLE_TEXT && !fix->fields.captures)
			append(fix, "hr", "", "hr");
		else
			append(fix, strcmp(name, "user-agent") == 0 ? "user_agent" : name, "{+Q}", text);
	}
}

/* ---- trace context ------------------------------------------------------------------------------------------- */

/* A line of the recipe with names that nobody else has. */
static void say_recipe(struct fix *fix, struct buf *out, const char *line)
{
	fix->line.len = 0;
	for (const char *p = line; *p;) {
		if (strncmp(p, "txn.", 4) == 0) {
			buf_slice(&fix->line, slice_str(fix->txn));
			p += 4;
		} else if (strncmp(p, "tp_", 3) == 0) {
			buf_slice(&fix->line, slice_str(fix->acl));
			p += 3;
		} else {
			buf_char(&fix->line, *p++);
		}
	}
	put_line(out, fix->l->p->section->indent, slice_of(fix->line.p, fix->line.len));
}

/*
 * The caller's context is taken over as early as can be: a rule behind may end the request. Headers are changed behind
 * the rules that read them.
 */
static void say_recipes(struct fix *fix)
{
	const struct cfg_section *s = fix->l->p->section;
	bool split = place_behind(s, reads_trace, place_in(s)) != place_in(s);
	struct buf *out = &fix->block;

	put_line(out, s->indent, split ? SLICE("# the caller's trace") :
		 SLICE("# the caller's trace, and for the servers the id of haspan's CLIENT span"));
	for (size_t i = 0; i < sizeof(recipe) / sizeof(recipe[0]); i++) {
		if (split && out == &fix->block && strstr(recipe[i], "-header ")) {
			out = &fix->late;
			put_line(out, s->indent, SLICE("# for the servers the id of haspan's CLIENT span"));
		}
		say_recipe(fix, out, recipe[i]);
	}
}

static bool names_taken(const struct look *l)
{
	static const char *const names[] = { "txn.parent", "txn.tid", "txn.flags", "txn.fe", "txn.sid" };

	for (uint32_t i = 0; i < l->p->nvariables; i++)
		for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++)
			if (slice_eq(l->p->variable[i].name, slice_str(names[k])))
				return true;
	for (const struct cfg_directive *d = l->p->section->first; d; d = d->next)
		if (d->n > 1 && slice_eq(d->word[0], SLICE("acl")) && slice_starts(d->word[1], SLICE("tp_")))
			return true;
	return false;
}

/* The variable that holds the caller's context already, or NULL. */
static const struct cfg_variable *parent_variable(const struct look *l)
{
	for (uint32_t i = 0; i < l->p->nvariables; i++) {
		char expr[256];

		variable_expr(expr, sizeof(expr), &l->p->variable[i]);
		if (slice_eq(cfg_meaning(l->cfg, l->p, slice_str(expr)), SLICE("traceparent")))
			return &l->p->variable[i];
	}
	return NULL;
}

/* In the format, `old` becomes `new`; says how often. */
static unsigned reword(struct fix *fix, const char *old, const char *new)
{
	struct slice rest = arena_copy(fix->edits->arena, slice_of(fix->format.p, fix->format.len));
	size_t n = strlen(old);
	const char *at;
	unsigned times = 0;

	fix->format.len = 0;
	for (; rest.len && (at = memmem(rest.p, rest.len, old, n)); times++) {
		buf_slice(&fix->format, slice_to(rest.p, at));
		buf_slice(&fix->format, slice_str(new));
		rest = slice_skip(rest, (size_t)(at - rest.p) + n);
	}
	buf_slice(&fix->format, rest);
	return times;
}

/*
 * What the format has of the caller's header becomes what the recipe took over: of two headers HAProxy takes none,
 * while a variable or a capture holds the last.
 */
static unsigned reword_parent(struct fix *fix)
{
	const struct cfg_proxy *p = fix->l->p;
	unsigned times = 0;
	char old[300], new[64];

	snprintf(new, sizeof(new), "var(%sparent)", fix->txn);
	for (uint32_t i = 0; i < p->nvariables; i++) {
		variable_expr(old, sizeof(old), &p->variable[i]);
		if (strcmp(old, new) != 0 && slice_eq(cfg_meaning(fix->l->cfg, p, slice_str(old)), SLICE("traceparent")))
			times += reword(fix, old, new);
	}
	for (uint32_t i = 0; i < p->ncaptures[CAPTURE_REQUEST]; i++) {
		snprintf(old, sizeof(old), "capture.req.hdr(%u)", i);
		if (slice_eq(p->capture[CAPTURE_REQUEST][i].name, SLICE("traceparent")))
			times += reword(fix, old, new);
	}
	return times;
}

static void want_recipe_parent(struct fix *fix)
{
	bool there = has(fix, SLOT_traceparent);
	char field[64];

	there |= reword_parent(fix) > 0;
	snprintf(field, sizeof(field), "[var(%sparent)]", fix->txn);
	if (!there)
		append(fix, "traceparent", "", field);
}

static void want_parent(struct fix *fix, bool by_recipe)
{
	const struct cfg_variable *v = by_recipe ? NULL : parent_variable(fix->l);
	char field[300];

	if (fix->l->profile) {			/* its steps log the variable */
		snprintf(field, sizeof(field), "http-request set-var(%sparent) req.hdr(traceparent)", fix->txn);
		if (!by_recipe && !v && look_found(fix->l, ADVICE_thin_step))
			say(fix, slice_str(field));
		return;
	}
	if (by_recipe) {
		want_recipe_parent(fix);
		return;
	}
	if (!look_found(fix->l, ADVICE_no_parent) && fix->l->understood)
		return;
	if (!v) {
		want_capture(fix, "traceparent", "traceparent", "64");
		return;
	}
	snprintf(field, sizeof(field), "[var(%.*s)]", (int)v->name.len, v->name.p);
	append(fix, "traceparent", "", field);
}

static void want_sent_ids(struct fix *fix)
{
	const struct look *l = fix->l;
	char field[300];

	if (!look_found(l, ADVICE_other_downstream))
		return;
	snprintf(field, sizeof(field), "[%.*s]", (int)l->sent_trace.len, l->sent_trace.p);
	append(fix, "trace_id", "", field);
	snprintf(field, sizeof(field), "[%.*s]", (int)l->sent_span.len, l->sent_span.p);
	append(fix, "span_id", "", field);
}

/* `… len N`: a longer one; the rest stays as it is written. */
static void fix_capture(struct fix *fix)
{
	const struct cfg_directive *by = fix->l->finding[ADVICE_short_capture].by;
	struct slice line;
	size_t at = 0, from, to;

	if (!look_found(fix->l, ADVICE_short_capture))
		return;
	line = file_line(by->place.file, by->place.line);
	for (uint32_t i = 0; i < by->n; i++) {			/* words as they are written have the same order */
		from = skip_blanks(line, at);
		at = word_end(line, from);
		if (i == 0 || !slice_eq(by->word[i - 1], SLICE("len")))
			continue;
		to = at;
		fix->line.len = 0;
		buf_slice(&fix->line, slice_trim(slice_of(line.p, from)));
		buf_lit(&fix->line, " " CAPTURE_GOOD);
		buf_slice(&fix->line, slice_skip(line, to));
		replace(fix, by, slice_of(fix->line.p, fix->line.len));
		return;
	}
}

static void fix_trace(struct fix *fix)
{
	bool by_recipe = look_found(fix->l, ADVICE_no_downstream);

	if (by_recipe && names_taken(fix->l)) {
		fix->txn = "txn.haspan_";
		fix->acl = "haspan_tp_";
	}
	want_parent(fix, by_recipe);
	want_sent_ids(fix);
	fix_capture(fix);
	want_capture(fix, "Host", "host", "128");
	want_capture(fix, "User-Agent", "user-agent", "256");
	if (by_recipe)
		say_recipes(fix);
}

/* ---- log lines ------------------------------------------------------------------------------------------------- */

/* `log ADDRESS [len N] …` gets another N; the rest stays as it is written. */
static void fix_len(struct fix *fix, const struct cfg_log *log)
{
	struct slice line = file_line(log->by->place.file, log->by->place.line);
	size_t from = word_end(line, skip_blanks(line, 0)), to;	/* behind `log` */

	from = to = word_end(line, skip_blanks(line, from));		/* behind the address */
	if (log->by->n > 2 && slice_eq(log->by->word[2], SLICE("len"))) {
		to = word_end(line, skip_blanks(line, to));
		to = word_end(line, skip_blanks(line, to));
	}
	fix->line.len = 0;
	buf_slice(&fix->line, slice_trim(slice_of(line.p, from)));
	buf_lit(&fix->line, " len " LEN_GOOD);
	buf_slice(&fix->line, slice_skip(line, to));
	replace(fix, log->by, slice_of(fix->line.p, fix->line.len));
}

/* `log global` means the lines that global had when HAProxy came to it. */
static bool is_before(const struct cfg_log *log, const struct cfg_section *s)
{
	return log->by->place.file != s->place.file || log->by->place.line < s->place.line;
}

/* The last `no log` of the section itself, which would undo a line in front of it. */
static const struct cfg_directive *no_log_in(const struct cfg_section *s)
{
	const struct cfg_directive *found = NULL;

	for (const struct cfg_directive *d = s->first; d; d = d->next)
		if (d->no && slice_eq(d->word[0], SLICE("log")))
			found = d;
	return found;
}

static void fix_logs(struct fix *fix)
{
	const struct look *l = fix->l;
	bool global = false;

	for (uint32_t i = 0; i < l->cfg->nlogs; i++)
		global |= log_takes_traffic(&l->cfg->log[i]) && is_before(&l->cfg->log[i], l->p->section);
	if (!l->traffic)
		say_instead(fix, no_log_in(l->p->section),
			    look_found(l, ADVICE_no_log) && global ? SLICE("log global") : SLICE(LOG_TARGET));
	for (uint32_t i = 0; i < l->p->nlogs; i++)
		if (look_found(l, ADVICE_short_len) && log_takes_traffic(&l->p->log[i]) && l->p->log[i].len < 4096 &&
		    !slice_starts(l->p->log[i].address, SLICE("ring@")))
			fix_len(fix, &l->p->log[i]);
	for (uint32_t i = 0; !l->traffic && global && look_found(l, ADVICE_no_log) && i < l->cfg->nlogs; i++)
		if (log_takes_traffic(&l->cfg->log[i]) && l->cfg->log[i].len < 4096)
			fix_len(fix, &l->cfg->log[i]);
}

static bool same_option(const struct cfg_directive *a, const struct cfg_directive *b)
{
	return a->n > 1 && slice_eq(a->word[0], b->word[0]) && slice_eq(a->word[1], b->word[1]);
}

/* Do the defaults of `s` say it too? */
static bool is_inherited(const struct cfg_section *s, const struct cfg_directive *option)
{
	for (s = s->from; s; s = s->from)
		for (const struct cfg_directive *d = s->first; d; d = d->next)
			if (same_option(d, option))
				return true;
	return false;
}

static void switch_off(struct fix *fix, enum advice_id id, struct slice line)
{
	const struct cfg_directive *by = fix->l->finding[id].by;

	if (!look_found(fix->l, id))
		return;
	if (!is_mine(fix, by))
		say(fix, line);
	else if (is_inherited(by->section, by))
		replace(fix, by, line);
	else						/* it may stand there twice */
		for (const struct cfg_directive *d = by->section->first; d; d = d->next)
			if (same_option(d, by))
				replace(fix, d, slice_of(NULL, 0));
}

static void fix_unique_id(struct fix *fix)
{
	const struct look *l = fix->l;

	if (look_found(l, ADVICE_no_unique_id) || look_found(l, ADVICE_client_unique_id) ||
	    look_found(l, ADVICE_weak_unique_id))
		say_instead(fix, l->p->unique_id_format.by, SLICE(UNIQUE_ID));
}

/* ---- steps ------------------------------------------------------------------------------------------------------- */

/* A profile may serve several proxies: what one of them needs it gets, whoever is looked at. */
static const struct cfg_proxy *http_user(const struct cfg *cfg, const struct cfg_profile *profile)
{
	for (const struct cfg_proxy *p = cfg->proxy; p; p = p->next)
		for (uint32_t i = 0; p->front && p->http && i < p->nlogs; i++)
			if (p->log[i].profile == profile)
				return p;
	return NULL;
}

static unsigned users(const struct cfg *cfg, const struct cfg_profile *profile)
{
	unsigned n = 0;

	for (const struct cfg_proxy *p = cfg->proxy; p; p = p->next) {
		bool mine = false;

		for (uint32_t i = 0; p->front && i < p->nlogs; i++)
			mine |= p->log[i].profile == profile;
		n += mine;
	}
	return n;
}

static bool tells_parent(const struct cfg *cfg, const struct cfg_proxy *p, struct slice format)
{
	struct fields f = { { 0 }, 0 };

	fields_read(&f, cfg, p, format);
	return f.slot[SLOT_traceparent >> 6] >> (SLOT_traceparent & 63) & 1;
}

static void fix_step(struct fix *fix, const struct cfg_profile *profile, const struct cfg_step *s)
{
	const struct cfg_setting *format = s->format.by ? &s->format : &fix->l->p->log_format;
	const struct cfg_proxy *http = http_user(fix->l->cfg, profile);
	struct buf out = { .max = PATCH_MAX };

	if (s->drop || !format->by)
		return;
	fix->format.len = 0;
	buf_slice(&fix->format, format->text);
	fix->style = style_of(format->text);
	fix->fields = (struct fields){ { 0 }, 0 };
	fields_read(&fix->fields, fix->l->cfg, fix->l->p, format->text);
	want(fix, SLOT_ID, SLOT_ID, "ID");
	want(fix, SLOT_ft, SLOT_f, "ft");
	if (look_found(fix->l, ADVICE_no_downstream) && users(fix->l->cfg, profile) == 1)
		reword_parent(fix);
	if (http && !tells_parent(fix->l->cfg, http, format->text)) {
		char field[300];
		const struct cfg_variable *v = look_found(fix->l, ADVICE_no_downstream) ? NULL : parent_variable(fix->l);

		if (v)
			snprintf(field, sizeof(field), "[var(%.*s)]", (int)v->name.len, v->name.p);
		else
			snprintf(field, sizeof(field), "[var(%sparent)]", fix->txn);
		append(fix, "traceparent", "", field);
	}
	if (slice_eq(slice_of(fix->format.p, fix->format.len), format->text))
		return;
	for (uint32_t i = 0; i < s->by->n; i++) {
		if (i)
			buf_char(&out, ' ');
		if (i > 1 && slice_eq(s->by->word[i - 1], SLICE("format")))
			quoted(&out, slice_of(fix->format.p, fix->format.len));
		else
			quoted(&out, s->by->word[i]);
		if (i == 1 && !s->format.by) {
			buf_lit(&out, " format ");
			quoted(&out, slice_of(fix->format.p, fix->format.len));
		}
	}
	replace(fix, s->by, slice_of(out.p, out.len));
	buf_free(&out);
}

static void fix_steps(struct fix *fix)
{
	const struct cfg_proxy *p = fix->l->p;

	for (uint32_t i = 0; i < p->nlogs; i++)
		for (uint32_t k = 0; p->log[i].profile && k < p->log[i].profile->nsteps; k++)
			fix_step(fix, p->log[i].profile, &p->log[i].profile->step[k]);
}

/* ---- a proxy ----------------------------------------------------------------------------------------------------- */

/* The text to begin with: its own, unless another is needed. */
static struct slice base_format(const struct look *l)
{
	if (!l->understood || look_found(l, ADVICE_clf) || look_found(l, ADVICE_old_timers))
		return builtin(l->p->http ? "httplog" : "tcplog");
	return l->p->log_format.text;
}

/* New lines in front of the line `at` of the proxy's file. */
static void add_lines(struct fix *fix, unsigned at, const struct buf *lines)
{
	struct slice text = slice_of(lines->p, lines->len);

	if (text.len)
		add_edit(fix->edits, (struct edit){ fix->l->p->section->place.file, at, 0, text, NULL });
}

void doctor_fix(const struct look *l, struct edits *edits)
{
	struct fix fix = { .l = l, .edits = edits, .txn = "txn.", .acl = "tp_", .format = { .max = PATCH_MAX },
			   .block = { .max = PATCH_MAX }, .slots = { .max = PATCH_MAX }, .late = { .max = PATCH_MAX },
			   .line = { .max = PATCH_MAX } };
	struct slice base = base_format(l);
	const struct cfg_section *s = l->p->section;
	unsigned at = place_in(s);

	fix.captures = l->p->ncaptures[CAPTURE_REQUEST];
	fix.style = style_of(base);
	buf_slice(&fix.format, base);
	fields_read(&fix.fields, l->cfg, l->p, base);
	fix_logs(&fix);
	switch_off(&fix, ADVICE_logasap, SLICE("no option logasap"));
	switch_off(&fix, ADVICE_dontlog_normal, SLICE("no option dontlog-normal"));
	fix_unique_id(&fix);
	if (!l->profile)
		want_fields(&fix);
	if (l->p->http)
		fix_trace(&fix);
	if (!l->profile && !slice_eq(slice_of(fix.format.p, fix.format.len), l->p->log_format.text))
		say_instead(&fix, l->p->log_format.by, format_line(&fix));
	add_lines(&fix, place_behind(s, is_capture, at), &fix.slots);
	add_lines(&fix, at, &fix.block);
	add_lines(&fix, place_behind(s, reads_trace, at), &fix.late);
	if (l->profile)
		fix_steps(&fix);
	buf_free(&fix.format);
	buf_free(&fix.block);
	buf_free(&fix.slots);
	buf_free(&fix.late);
	buf_free(&fix.line);
}

/* ---- the patch ------------------------------------------------------------------------------------------------------- */

struct diff {
	const struct cfg_file *file;
	struct slice *line;			/* with their ends; from 1 */
	unsigned n;
	struct buf body;			/* of the hunk */
	unsigned old_from, old_n, new_n;
	long shift;				/* lines added so far, less those removed */
	struct buf *out;
};

static void diff_line(struct diff *d, char sign, struct slice line)
{
	buf_char(&d->body, sign);
	buf_slice(&d->body, line);
	if (line.len == 0 || line.p[line.len - 1] != '\n')
		buf_lit(&d->body, "\n\\ No newline at end of file\n");
	d->old_n += sign != '+';
	d->new_n += sign != '-';
}

static void diff_keep(struct diff *d, unsigned from, unsigned to)
{
	for (unsigned i = from; i < to && i <= d->n; i++)
		diff_line(d, ' ', d->line[i]);
}

static void diff_add(struct diff *d, struct slice lines)
{
	bool crlf = d->n && d->line[1].len > 1 && d->line[1].p[d->line[1].len - 2] == '\r';

	while (lines.len) {
		struct slice one = slice_cut(&lines, '\n');

		buf_char(&d->body, '+');
		buf_slice(&d->body, one);
		buf_slice(&d->body, crlf ? SLICE("\r\n") : SLICE("\n"));
		d->new_n++;
	}
}

static void hunk_end(struct diff *d)
{
	char head[128];
	unsigned old_at = d->old_n ? d->old_from : d->old_from - 1;

	if (!d->body.len)
		return;
	snprintf(head, sizeof(head), "@@ -%u,%u +%ld,%u @@\n", old_at, d->old_n, (long)old_at + d->shift, d->new_n);
	buf_slice(d->out, slice_str(head));
	buf_add(d->out, d->body.p, d->body.len);
	d->shift += (long)d->new_n - (long)d->old_n;
	d->body.len = 0;
	d->old_n = d->new_n = 0;
}

static void diff_open(struct diff *d, const struct cfg_file *file, struct arena *arena, struct buf *out)
{
	struct slice rest = file->text;
	bool blank = memchr(file->path.p, ' ', file->path.len) != NULL;

	*d = (struct diff){ .file = file, .out = out, .body = { .max = PATCH_MAX } };
	d->line = arena_alloc(arena, (file->lines + 3) * sizeof(*d->line));
	while (rest.len && d->n < file->lines + 1) {
		const char *start = rest.p;
		struct slice one = slice_cut(&rest, '\n');

		d->line[++d->n] = slice_of(start, one.len + (rest.p != NULL));
	}
	for (int i = 0; i < 2; i++) {
		buf_slice(out, i ? SLICE("+++ ") : SLICE("--- "));
		buf_slice(out, file->path);
		buf_slice(out, blank ? SLICE("\t\n") : SLICE("\n"));
	}
}

/* One edit in the open hunk; `at` is the next line of the file. Returns what is the next line then. */
static unsigned diff_edit(struct diff *d, const struct edit *e, unsigned at)
{
	/* Behind a last line without an end: that gets one first. */
	bool torn = e->at > d->n && d->n && d->line[d->n].p[d->line[d->n].len - 1] != '\n';

	if (torn) {
		diff_keep(d, at, d->n);
		diff_line(d, '-', d->line[d->n]);
		diff_add(d, d->line[d->n]);
		at = d->n + 1;
	}
	diff_keep(d, at, e->at);
	for (unsigned i = 0; i < e->remove && e->at + i <= d->n; i++)
		diff_line(d, '-', d->line[e->at + i]);
	diff_add(d, e->add);
	return e->at + e->remove;
}

void doctor_patch(const struct edits *edits, struct buf *out)
{
	struct diff d = { 0 };
	unsigned at = 0;

	for (const struct edit *e = edits->first; e; e = e->next) {
		if (e->file != d.file) {
			buf_free(&d.body);
			diff_open(&d, e->file, edits->arena, out);
			at = 0;
		}
		if (!at) {				/* a new hunk */
			at = e->at > PATCH_CONTEXT ? e->at - PATCH_CONTEXT : 1;
			d.old_from = at;
		}
		at = diff_edit(&d, e, at);
		if (!e->next || e->next->file != e->file || e->next->at > at + 2 * PATCH_CONTEXT) {
			diff_keep(&d, at, at + PATCH_CONTEXT);
			hunk_end(&d);
			at = 0;
		}
	}
	buf_free(&d.body);
}
