/*
 * core/limits.h - every bound of the program, each with its reason. A size that is not here does not exist.
 *
 * HARD=1 builds with tiny values, so that every edge is met by the ordinary tests.
 */
#ifndef CORE_LIMITS_H
#define CORE_LIMITS_H

/*
 * Bytes of log that are read, processed and acknowledged together. About 450 lines: with their spans it
 * stays inside a core's second-level cache, and one block makes one request of about half a megabyte.
 */
#ifdef HASPAN_HARD
#define BLOCK_SIZE ((size_t)80 * 1024)
#else
#define BLOCK_SIZE ((size_t)128 * 1024)
#endif

/*
 * Readable bytes before and behind every input buffer. Scans read 16 bytes at a time and copies write 32:
 * they may overshoot by less than this. tests/guard.h puts a dead page behind it.
 */
#define BLOCK_PAD ((size_t)64)

/*
 * The longest line that is looked at. HAProxy's `len` ends at 65535 (configuration manual, "log"), and an
 * envelope adds less than 1 KiB. A longer line is one rejected line; it is kept whole by --rejects.
 */
#define LINE_MAX_BYTES ((size_t)66 * 1024)

/* The file of --config. Somebody's log, or /dev/zero, is none. */
#define CONFIG_MAX ((size_t)1024 * 1024)

/* Frames that are cut in one pass over a block; a block of shorter lines takes several passes. */
#ifdef HASPAN_HARD
#define FRAMES_MAX 3
#else
#define FRAMES_MAX 2048
#endif

/* Origins (hosts) told apart within one pass. More than frames in a pass would be idle. */
#define ORIGINS_MAX FRAMES_MAX

/* Formats that a run can hold: three for each of 1,000 frontends of a haproxy.cfg, and the built-in ones. */
#define FORMATS_MAX 4096

/* Formats remembered per origin, most recent first: more than a handful on one stream is rare. */
#define FORMATS_RECENT 6

/*
 * haproxy.cfg. HAProxy itself takes 64 words a line and 10 levels of .if (MAX_LINE_ARGS, MAXNESTEDCONDS); a line of
 * this length after its variables, a file of this size and so many files are far beyond what it is used with.
 */
#define CFG_WORDS_MAX 64
#define CFG_NEST_MAX 10
#define CFG_LINE_MAX ((size_t)64 * 1024)
#define CFG_FILE_MAX ((size_t)64 * 1024 * 1024)
#define CFG_FILES_MAX 4096

/* Formats of one frontend: log-format, error-log-format, and a profile's steps and do-log contexts. */
#define CANDIDATES_MAX 32

/* How many words of a line that are a frontend's name are followed up; a client may write such words too. */
#define FRONTEND_TRIES 16

/* Notes that are kept: a file that is no haproxy.cfg would make one a line. */
#define CFG_NOTES_MAX 1000

/* Instructions of one compiled format: HAProxy's default formats have at most 40. */
#define INSNS_MAX 320

/* The text of one log-format; HAProxy's own configuration line ends at 2 KiB by default (LINESIZE). */
#define FORMAT_TEXT_MAX ((size_t)16 * 1024)

/* Captured headers in one block. HAProxy has no limit; nobody captures more. Further ones are dropped. */
#define CAPTURES_MAX 32

/* Fields of one format that are no alias: %[expr] without a known meaning. */
#define EXTRAS_MAX 64

/* Points to which the line program can go back when a raw field held its own terminator. */
#define CHOICES_MAX 8

/*
 * How much going back one line may cost, whatever the number of formats: bytes looked at, and a little for each
 * try. A line of the longest kind can be gone through several times; a hostile one ends within a millisecond.
 */
#define BACKTRACK_BUDGET (512 * 1024)
#define BACKTRACK_TRY 32

/* SERVER, CLIENT and five phases. */
#define SPANS_MAX 8

/* A worker's scratch for one line: unescaped and repaired strings. 0xFF becomes 3 bytes of U+FFFD. */
#define SCRATCH_SIZE (LINE_MAX_BYTES * 4)

/* tracestate carries at most 32 members (W3C Trace Context level 2, section 3.3.1.1). */
#define TRACESTATE_MEMBERS 32

/* --threads: more workers than this were never faster, and each owns about 2 MiB. */
#define THREADS_MAX 64

/* Sinks of one run. */
#define SINKS_MAX 8

/* Keys and values of the resource together: it is repeated for each host of a block. */
#define RESOURCE_MAX ((size_t)16 * 1024)

/* An encoded block: a block of the shortest lines (45 bytes) makes less than this in any encoding. */
#define WIRE_MAX ((size_t)64 * 1024 * 1024)

/* A collector's answer, also after decompression (OTLP specification, "Response size"). */
#define RESPONSE_MAX ((size_t)4 * 1024 * 1024)

#endif
