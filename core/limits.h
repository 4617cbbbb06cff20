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

/*
 * A record that a container runtime or a log shipper made of a line, or of several that belong together (docker and CRI
 * cut at 16 KiB): HAProxy's longest line, what stands around each of its pieces, and its quotes escaped. It fits
 * into a block, also in that of HARD=1.
 */
#define RECORD_MAX_BYTES ((size_t)72 * 1024)

/* Docker cuts a line that is longer into several records (its copier's buffer). A shorter record is a whole line. */
#define DOCKER_PIECE ((size_t)16 * 1024)

/* Records in records: Filebeat's around docker's around a line; one more for good measure. */
#define RECORD_DEPTH 3

/* A worker's room for what is unescaped in one block: decoded text is never longer than what it is decoded from. */
#define RECORD_ROOM (BLOCK_SIZE * RECORD_DEPTH)

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

/* So many formats of the user's own are tried on each line in the order given: more than one may fit. */
#define FORMATS_FIRST 8

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

/*
 * Lines of one request that are kept (log-steps, do-log): five steps, and do-log actions up to PARTS_OTHER. Further
 * ones are counted, and their events are left out; the final line always finds a place.
 */
#define PARTS_MAX 64
#define PARTS_OTHER 48

/* Bytes of these lines: one of the longest kind and all usual ones. Only the final line may go beyond. */
#define PARTS_BYTES ((size_t)128 * 1024)

/* What an open request may hold on average: --max-open times this is the store for their lines. */
#define OPEN_BYTES ((size_t)4 * 1024)

/* The store's unit. A usual step line takes one or two. */
#define CELL_SIZE ((size_t)256)

/*
 * How long a request whose final line came waits for earlier ones that the network delivers later: so many further
 * step lines, or so much of the log's own clock. Datagrams overtake each other by milliseconds.
 */
#define LINGER_LINES 512
#define LINGER_US INT64_C(1000000)

/*
 * The log's clock (reconstruct/clock.h): a line that is further away from its host's clock proves nothing; so many in
 * a row do. Hosts that have a clock of their own: an installation has a few load balancers.
 */
#define CLOCK_STEP_US (INT64_C(600) * 1000000)
#define CLOCK_PROOF 32
#define CLOCK_HOSTS 64

/* Fields of do-log lines that one request's events can hold together. */
#define EVENT_ATTRS_MAX 256

/* Objects and arrays inside each other in a line that is read: log records have three or four. Deeper is no log. */
#define JSON_DEPTH_MAX 64

/* Members of one JSON, CBOR or key=value format: as many as fields of a text. */
#define OBJECT_MEMBERS_MAX 1024

/* The dotted name of a nested member; what is deeper inside is skipped. */
#define OBJECT_PATH_MAX 256

/*
 * Members of one line whose meaning nobody knows, kept as attributes, and the length of their keys (one byte in OTLP).
 * Those beyond are counted by haspan.dropped_members.
 */
#define PAIRS_MAX 32
#define PAIR_KEY_MAX 120

/* SERVER, CLIENT and five phases. */
#define SPANS_MAX 8

/*
 * A worker's scratch for one line: unescaped and repaired strings. 0xFF becomes 3 bytes of U+FFFD; members of objects
 * are unescaped before, and their keys take a little.
 */
#define SCRATCH_SIZE (LINE_MAX_BYTES * 5)

/* tracestate carries at most 32 members (W3C Trace Context level 2, section 3.3.1.1). */
#define TRACESTATE_MEMBERS 32

/* --threads: more workers than this were never faster, and each owns about 2 MiB. */
#define THREADS_MAX 64

/* Live sources of one run: sockets and followed files. Connections of streams are not counted. */
#define LIVE_SOURCES_MAX 64

/* --max-connections: each idle one costs the kernel some KiB and haspan less than one. */
#define CONNECTIONS_DEFAULT 10000

/* How long a port that is due may wait for its turn, in milliseconds; times of live sources are seconds. */
#define DUE_LOOK_MS 250

/* How long what has arrived is read after a stop was asked for, in milliseconds: a flood would never end. */
#define STOP_READ_MS 1000

/* Blocks whose answers are awaited, for the sake of positions; beyond, positions move in larger steps. */
#ifdef HASPAN_HARD
#define LEDGER_MAX 4
#else
#define LEDGER_MAX 65536
#endif

/*
 * Messages of a queue (Kafka) in one block, and the bytes of what stands beside their text: keys and headers that name
 * a trace. About as many as fill a block with usual lines.
 */
#ifdef HASPAN_HARD
#define MESSAGES_MAX 3
#define MESSAGE_ASIDE ((size_t)8 * 1024)
#else
#define MESSAGES_MAX 1024
#define MESSAGE_ASIDE ((size_t)64 * 1024)
#endif

/* Headers of one message that name a trace, and of all messages of a block: more leave with the next one. */
#define MESSAGE_HEADERS 9
#define MESSAGES_HEADERS (2 * MESSAGES_MAX + MESSAGE_HEADERS)

/* A header or a key of a message that is longer than this names no trace. tracestate may have 512 bytes. */
#define MESSAGE_HEADER_MAX 600

/*
 * Positions of blocks that are not settled, for each Kafka source: one for each partition in a block. Beyond, they move
 * in larger steps.
 */
#ifdef HASPAN_HARD
#define KAFKA_POSITIONS 16
#else
#define KAFKA_POSITIONS 65536
#endif

/* How often a consumer is polled at least, and how long nobody may have asked for lines before its partitions pause. */
#define KAFKA_POLL_MS 1000

/* Messages that polling may bring while nobody asks for them: one, and what slips through while partitions pause. */
#define KAFKA_HELD_MAX 16

/* How long the end waits for the group to let go: an answer of a broker takes milliseconds, or does not come. */
#define KAFKA_CLOSE_MS 5000

/* A kafka:// URI with its parameters; a list of thirty brokers and all properties that anybody sets fit. */
#define KAFKA_URI_MAX ((size_t)16384)

/* A secret in a file (NAME.file): keys in PEM with their chain are a few KiB. */
#define KAFKA_SECRET_MAX ((size_t)256 * 1024)

/* How long a start waits for a cluster, in steps of: a broker elects a leader in a few seconds. */
#define KAFKA_PROBE_MS 10000
#define KAFKA_PROBE_STEP_MS 500

/* How long a start waits for the group's coordinator: a new cluster makes its topic first. It may come later. */
#define KAFKA_GROUP_MS 3000

/* How often each kind of librdkafka's messages is repeated. */
#define LOG_KAFKA_MS 10000

/* Sinks of one run. */
#define SINKS_MAX 8

/* Keys and values of the resource together: it is repeated for each host of a block. */
#define RESOURCE_MAX ((size_t)16 * 1024)

/* An encoded block: a block of the shortest lines (45 bytes) makes less than this in any encoding. */
#define WIRE_MAX ((size_t)64 * 1024 * 1024)

/* A collector's answer, also after decompression (OTLP specification, "Response size"). */
#define RESPONSE_MAX ((size_t)4 * 1024 * 1024)

#endif
