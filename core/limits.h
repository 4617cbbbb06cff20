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

/* --max-line, at least: HAProxy's own least `len`. */
#define LINE_MIN_BYTES ((size_t)80)

/* Digits of a counted message's count. What is too long for a line is skipped whole; a larger count is no count. */
#define COUNT_DIGITS 6

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

/*
 * Datagrams that one call to the kernel may bring; each has a slot of LINE_MAX_BYTES, of which only what is written to
 * exists. Calls in one turn: a flood of datagrams without text, which hardly fill a block, must not hold up other sources.
 */
#ifdef HASPAN_HARD
#define DATAGRAMS 3
#else
#define DATAGRAMS 64
#endif
#define DATAGRAM_CALLS 64

/*
 * `rcvbuf`: what arrives while every worker is busy or a sink makes them wait. The kernel takes about 1.3 KB for a line of
 * 300 bytes and doubles what is asked for: 8 MB are 12,000 lines, 40 ms at 300,000 a second.
 */
#define RCVBUF_DEFAULT ((uint64_t)8 * 1024 * 1024)
#define RCVBUF_MAX ((uint64_t)1024 * 1024 * 1024)

/*
 * What came of streams and followed files within GATHER_MS goes into one block, where it is less than GATHER_BYTES: each
 * block costs wake-ups, locks and cold caches. A stream's sender has room for more than that in its socket's buffer.
 */
#define GATHER_MS 4
#define GATHER_BYTES (32 * 1024)

/*
 * How long datagrams may gather once the socket was found empty: to be woken for each of them costs as much again as to read
 * it, and a few lines at a time find cold caches. A millisecond for each DATAGRAM_ROOM of the kernel's buffer, at most
 * DATAGRAM_REST_MS: it takes 750,000 lines a second of DATAGRAM_TRUESIZE (what the kernel counts for one) to fill it in that
 * time. When an eighth of it was full it is the shorter time.
 */
#define DATAGRAM_REST_MS 16
#define DATAGRAM_REST_SHORT_MS 1
#define DATAGRAM_ROOM (1024 * 1024)
#define DATAGRAM_TRUESIZE 1300

/* How often the kernel is asked for its drops, and how often they are spoken of, in milliseconds. */
#define DROPS_LOOK_MS 250
#define DROPS_SAY_MS 10000

/* A socket that fails is asked again after so long, in milliseconds. */
#define DATAGRAM_FAILED_MS 100

/* Below this a unix socket loses lines of a busy HAProxy: net.unix.max_dgram_qlen, which systemd sets to 512. */
#define UNIX_QUEUE_ENOUGH 256

/* How long a port that is due may wait for its turn, in milliseconds; times of live sources are seconds. */
#define DUE_LOOK_MS 250

/*
 * --pace: a line that is so far from the one before it counts when one of the next few agrees: a wrong date would stop
 * a replay for years.
 */
#define PACE_DOUBT_US (INT64_C(600) * 1000000)
#define PACE_AHEAD 16

/* --pace, --rate: how long nobody looks whether something else has come, in milliseconds. */
#define PACE_LOOK_MS 200

/* --rate: what was missed because the input had nothing may be made up for by so much, in microseconds. */
#define RATE_BURST_US INT64_C(100000)

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

/* Of these, what is kept with a line that waits for others of its request: traceparent and tracestate take 600 bytes. */
#define ASIDE_MAX 1024

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

/* One message in so many is asked for its headers although it seems to have none (ingest/kafka_message.c). */
#define KAFKA_LOOK_EVERY 1024

/*
 * What malloc keeps once a Kafka source has used it, and pieces that it asks the kernel for as such: about what is fetched
 * ahead (queued.max.messages.kbytes) and an answer of a broker. glibc takes no larger piece.
 */
#define KAFKA_HEAP_KEPT (64 * 1024 * 1024)
#define KAFKA_HEAP_PIECE (32 * 1024 * 1024)

/* A user's name and a password as they are told again to librdkafka (ingest/kafka_fetch.c); longer ones are not. */
#define KAFKA_CREDENTIAL_MAX 4096

/* How often a consumer is polled at least, and how long nobody may have asked for lines before its partitions pause. */
#define KAFKA_POLL_MS 1000

/* Messages that polling may bring while nobody asks for them: one, and what slips through while partitions pause. */
#define KAFKA_HELD_MAX 16

/*
 * How long a last commit is waited for, when partitions are given back and at the end. librdkafka itself would wait for a
 * coordinator that is not there.
 */
#define KAFKA_COMMIT_MS 3000

/* How long the end waits for the group to let go: an answer of a broker takes milliseconds, or does not come. */
#define KAFKA_CLOSE_MS 5000

/* A kafka:// URI with its parameters; a list of thirty brokers and all properties that anybody sets fit. */
#define KAFKA_URI_MAX ((size_t)16384)

/* A secret in a file (NAME.file): keys in PEM with their chain are a few KiB. */
#define KAFKA_SECRET_MAX ((size_t)256 * 1024)

/* How long a start waits for a cluster, in steps of: a broker elects a leader in a few seconds. */
#define KAFKA_PROBE_MS 10000
#define KAFKA_PROBE_STEP_MS 500

/* The Kafka sink: how late its thread notices a stop, and how long it waits with what a broker may take later. */
#define KAFKA_TICK_MS 100
#define KAFKA_HOLD_MS 2000

/* Its messages in memory: --buffer-max is the bound; this is so many that it never bites before. */
#define KAFKA_MESSAGES_MAX "10000000"

/* How long a start waits for the group's coordinator: a new cluster makes its topic first. It may come later. */
#define KAFKA_GROUP_MS 3000

/* How often each kind of librdkafka's messages is repeated. */
#define LOG_KAFKA_MS 10000

/* Tests in one expression, parentheses inside each other, values of one `in (…)`: a person writes a few. */
#define EXPR_TESTS_MAX 1000
#define EXPR_DEPTH_MAX 64
#define EXPR_SET_MAX 1000

/* --keep and --drop of one run. */
#define RULES_MAX 64

/* Bytes of such a rule that are shown beside its count: a screen's width, and enough to tell it from others. */
#define RULE_SHOWN 400

/* --trace, at least: of a million traces about one in 4,000 shares its first 8 digits with another. */
#define TRACE_DIGITS_MIN 8

/* --slowest: a person looks at a few. Kept in memory until the end, each up to TREE_TEXT_MAX. */
#define SLOWEST_MAX 1000

/* The picture of a request that --slowest keeps; what is longer (thousands of steps' fields) is cut, and says so. */
#define TREE_TEXT_MAX ((size_t)32 * 1024)

/*
 * Steps of one regular expression on one text (PCRE2's match limit; its machine code honours it too): a hostile line must
 * not make it run for seconds. This many take milliseconds.
 */
#define PATTERN_STEPS 200000

/*
 * `haspan check --baseline`. Backends that are compared one by one, those beyond together, and the bytes of their names that
 * tell them apart: each worker holds up to 4 KiB for each, and this is many for one HAProxy. Fewer requests than so many are
 * not compared: with less the test of ranks is no longer what the tables say, and a few requests prove nothing.
 */
#define COMPARE_BACKENDS_MAX 512
#define COMPARE_NAME_MAX 256
#define COMPARE_FEW 20

/*
 * --write-rules: of fewer requests, or where a share may be larger than this (in percent), a rule is proposed as a comment.
 * A few requests say little about the next ones, and where a tenth fails a rule would make that the normal case.
 */
#define PROPOSE_FEW 20
#define PROPOSE_SHARE_MAX 20

/* Rules files of `haspan check`: all rules together, a line of one, a file. 10,000 rules load in a fraction of a second. */
#define CHECK_RULES_MAX 20000
#define CHECK_LINE_MAX ((size_t)16 * 1024)
#define CHECK_FILE_MAX ((size_t)16 * 1024 * 1024)

/* A rule's name: it stands in tables, and in the names of tests. */
#define CHECK_NAME_MAX 120

/* One result in any output: its names, its reason and the worst traces, each byte escaped to six at most. */
#define OUTPUT_RESULT_MAX ((size_t)1024 * 1024)

/* --output of one run. */
#define OUTPUTS_MAX 8

/*
 * Groups of all rules with `by` together, for each worker; each such rule has its share, and at least RULE_GROUPS_LEAST. A
 * group takes about 1 KiB, with `p95(…)` 2 to 5 and with its worst request 1 more. What a group is called is cut (core/cut.h).
 */
#ifdef HASPAN_HARD
#define RULE_GROUPS_ALL 16
#define RULE_GROUPS_LEAST 4
#else
#define RULE_GROUPS_ALL 1024
#define RULE_GROUPS_LEAST 16
#endif
#define GROUPED_RULES_MAX 64
#define RULE_GROUP_NAME_MAX 128

/*
 * The worst requests that are kept of a rule (of a group: one), and of all rules together, for each worker: where there are
 * more rules, each has fewer. Each takes what its tree takes, about 1 KiB; one of all phases on 160 columns with colours
 * has less than the last number, one with hundreds of steps is cut there.
 */
#define WORST_MAX 3
#define WORST_ALL 1024
#define WORST_TREE_MAX ((size_t)6144)

/* Sinks of one run. */
#define SINKS_MAX 8

/* Who sees every request (report/report.h): the table of `--to stats`, the rules of `haspan check` and its --baseline. */
#define WATCHERS_MAX 3

/*
 * Quantiles (report/sketch.h): whole numbers below 2^7, and so many thousands, are exact, larger ones within 1/128. A bit
 * more would double the memory for a difference that no two runs of a service repeat. Bins of all 64-bit numbers and of
 * their thousands, 8 bytes each; milliseconds from none to an hour take 1 KiB as long as no bin has more than 255, and
 * 4 KiB up to 4e9. Bins that are added at once, at least.
 */
#define SKETCH_BITS 7
#define SKETCH_BYTES_MAX ((size_t)2 * 59 * 64 * 8)
#define SKETCH_STEP 32

/*
 * As long as there are no more different numbers than this, each is kept as it was beside its bin, 16 bytes each: a few
 * requests, or many of one length, are told exactly.
 */
#define SKETCH_SINGLES 16
#define SKETCH_SINGLES_BYTES ((size_t)SKETCH_SINGLES * 16)

/*
 * --to stats: names in --by, bytes of each that are kept (core/cut.h), and how many groups are told apart. Names of a configuration
 * are hundreds; paths have no end. A group takes 1 to 2 KiB as a rule, and each worker may hold twice as many.
 */
#define STATS_BY_MAX 8
#define STATS_NAME_MAX 120
#ifdef HASPAN_HARD
#define STATS_GROUPS 8
#else
#define STATS_GROUPS 1024
#endif

/* Groups that are shown unless --top says otherwise; slowest requests, unless --slowest does. */
#define STATS_TOP 20
#define STATS_SLOWEST 10

/* Kinds of failures that are shown, and for each the groups that have most of it. */
#define STATS_FAILURES 30
#define STATS_FAILURE_GROUPS 3

/* Sockets that systemd may pass (LISTEN_FDS): as many as a configuration can name sources. */
#define PASSED_MAX 256

/*
 * Connections of streams, all listeners together: --max-connections, at most. An idle one costs half a KiB here
 * (TLS: 15) and a descriptor; the soft limit of those is raised to fit, and some are left for everything else.
 */
#define CONNECTIONS_DEFAULT 10000
#define CONNECTIONS_MAX 1000000
#define DESCRIPTORS_ELSE 256

/* Connections that are accepted in one turn, before the others are read again; and, once a stop was asked for, in all. */
#define ACCEPTS_MAX 256
#define STOP_ACCEPTS_MAX 4096

/* Connections that wait to be accepted (?backlog=). The kernel cuts it at net.core.somaxconn, which is 4096 mostly. */
#define BACKLOG_DEFAULT 4096
#define BACKLOG_MAX 65535

/* How often a listener looks whose time is up. */
#define LISTENER_LOOK_MS 500

/* How long a TLS peer that must read before more can come is left alone. */
#define REST_MS 50

/*
 * How long connections that were told to go, because a stop was asked for, may say nothing before they are not waited for
 * any longer: some round trips. HAProxy goes at once.
 */
#define LEAVE_MS 250

/* What a peer can cause is said so often at most. */
#define LOG_EVERY_MS INT64_C(60000)

/*
 * How long a message may take from its first byte to its last, and a TLS handshake. A sender writes a message at once, and
 * TCP repeats what was lost for about this long. What takes longer is no sender of logs, and holds memory.
 */
#ifdef HASPAN_HARD
#define MESSAGE_MS INT64_C(1500)
#else
#define MESSAGE_MS INT64_C(60000)
#endif

/*
 * A connection that says nothing for so long (--idle-timeout) is told to go. A HAProxy without traffic may be silent
 * for a night, and peers that died without a word are found by TCP's keep-alive, in KEEPALIVE_S + 3 KEEPALIVE_PROBE_S.
 */
#define IDLE_DEFAULT_MS 86400000
#define KEEPALIVE_S 120
#define KEEPALIVE_PROBE_S 30

/*
 * Unfinished messages of all connections together. Four thousand times 4 KiB, or 250 of the longest kind: more is no
 * sender of logs. Beyond it a message that would have to be kept leaves in pieces, as one rejected line.
 */
#ifdef HASPAN_HARD
#define CARRY_MAX ((size_t)256 * 1024)
#else
#define CARRY_MAX ((size_t)16 * 1024 * 1024)
#endif

/* A read into less room than this isn't worth its call: the block is full. */
#define READ_MIN ((size_t)4 * 1024)

/* Keys and values of the resource together: it is repeated for each host of a block. */
#define RESOURCE_MAX ((size_t)16 * 1024)

/* What the C library keeps for the next batch: allocations up to this size, and this much at the heap's end (main.c). */
#define KEPT_ALLOCATION (4 * 1024 * 1024)
#define KEPT_MEMORY (16 * 1024 * 1024)

/*
 * Requests of several lines that leave because of one block, with their lines: about so much at once, and one request more.
 * As a rule it is less than three blocks; but short new requests may displace as many of PARTS_BYTES.
 */
#ifdef HASPAN_HARD
#define JOINED_MAX ((size_t)2 * 1024)
#else
#define JOINED_MAX ((size_t)4 * 1024 * 1024)
#endif

/* An encoded block: a block of the shortest lines (45 bytes) makes less than this in any encoding. */
#define WIRE_MAX ((size_t)64 * 1024 * 1024)

/*
 * A batch leaves at once when it has so many bytes: a block of a file always has, so only lines that come singly wait for
 * --batch-delay. Batches that wait are sent together up to JOIN_MAX: beyond it a request gains nothing, and proxies'
 * limits lie near.
 */
#define BATCH_TARGET ((size_t)256 * 1024)
#define JOIN_MAX ((size_t)1024 * 1024)

/*
 * A file of the spool: an eighth of --spool-max, but not more than this, so that space comes back in pieces. The smallest
 * --spool-max is of a size at which the pieces still make sense.
 */
#define SPOOL_SEGMENTS 8
#ifdef HASPAN_HARD
#define SPOOL_SEGMENT_MAX ((uint64_t)64 * 1024)
#else
#define SPOOL_SEGMENT_MAX ((uint64_t)16 * 1024 * 1024)
#endif
#define SPOOL_MAX_LEAST ((uint64_t)1024 * 1024)

/* Files that were written and not yet synced: as many descriptors. Beyond it the next one waits for the disk. */
#define SPOOL_UNSYNCED_MAX 8

/* The spool is searched for the next intact record in windows of this size. */
#define SPOOL_WINDOW ((size_t)64 * 1024)

/* After a failed call the spool is left alone for so long; so often a record that cannot be read is tried. */
#define SPOOL_RETRY_MS 1000
#define SPOOL_READ_TRIES 5

/* The mark is written when so many bytes were answered for, or after so long: that is what is sent twice after kill -9. */
#define SPOOL_MARK_BYTES ((uint64_t)1024 * 1024)
#define SPOOL_MARK_MS 1000

/*
 * What libcurl sends at once: a batch, as one block makes it. Its own 64 KiB cost a fifth more CPU time for an export on the
 * same machine. One for each of --connections.
 */
#define UPLOAD_BUFFER (1024L * 1024)

/* A collector's answer, also after decompression (OTLP specification, "Response size"). */
#define RESPONSE_MAX ((size_t)4 * 1024 * 1024)

/* Who waits for the input or a sink to be enabled again looks so often whether a stop was asked for, in milliseconds. */
#define RELEASE_LOOK_MS 100

/* A message of haspan's about itself: one line of a terminal or of the journal, which cuts at 48 KiB. */
#define LOG_LINE_MAX ((size_t)1024)

/* Lines that are printed together: the summary has one for each sink, an error its text, a quote and a caret. */
#define LOG_TEXT_MAX ((size_t)32 * 1024)

/* A message to the service manager: systemd reads at most 4 KiB of one. */
#define NOTIFY_MAX ((size_t)1024)

/*
 * --admin: clients at once (further ones wait in the kernel's queue), what one may send before it is answered (HAProxy
 * takes 16 KiB, but these commands are short), how long it may be silent or not read, and how long one that asked for a
 * prompt may think.
 */
#define ADMIN_CLIENTS_MAX 16
#define ADMIN_INPUT_MAX ((size_t)4 * 1024)
#define ADMIN_SILENT_MS 10000
#define ADMIN_PROMPT_MS 300000

/* What one command answers: every number of 256 sources and 8 sinks, each with a label of LABEL_MAX. */
#define SHOW_MAX ((size_t)64 * 1024 * 1024)

/* A label's value, escaped: URIs are short; of a longer one the beginning is shown. */
#define LABEL_MAX ((size_t)512)

/*
 * --listen-metrics: connections at once, and further ones that are accepted while those leave that have to go for them;
 * memory for each (its request); how long one may be silent.
 */
#define METRICS_CONNECTIONS_MAX 32
#define METRICS_CONNECTIONS_MORE 32
#define METRICS_MEMORY ((size_t)16 * 1024)
#define METRICS_SILENT_S 10

/* A worker that has had one block for so long is stuck: a block takes milliseconds. So is a main loop that does not turn. */
#define STUCK_MS 10000

/* How often it is said that lines are not understood, at most: a wrong format makes one a line. */
#define SAY_REJECTED_MS 60000

/* How often the main loop turns when nothing happens, and how often the service manager is told how things are. */
#define TURN_MS 500
#define STATUS_MS 10000

/*
 * follow: the first bytes of a file, by which it is known again under another name: a few log lines, the dates of which
 * make them unique. Less than a page: a look at them is one read.
 */
#define FOLLOW_HEAD ((size_t)1024)

/* Positions of a followed file that wait for their acknowledgement; when there are more, every second one is forgotten. */
#ifdef HASPAN_HARD
#define FOLLOW_MARKS 4
#else
#define FOLLOW_MARKS 1024
#endif

/* Rotated predecessors of one file that are looked at: hourly ones of a quarter. */
#define FOLLOW_ROTATED_MAX 4096

/* The name of a followed file, with its folder (PATH_MAX). */
#define FOLLOW_PATH ((size_t)4096)

/* How often a followed file is looked at although the kernel announces nothing: NFS does not, and tail -F does the same. */
#define FOLLOW_POLL_MS 1000

/* Lines that are written one by one make one block in this time, not one each. */
#define FOLLOW_LINGER_MS 50

/*
 * A file that was renamed away is left when nobody has written to it for so long: writers are told to open the new one
 * within a second of that; but it is left after the other time in any case, if there are lines in the new one.
 */
#define FOLLOW_GRACE_MS 2000
#define FOLLOW_GRACE_MAX_MS 60000

/* Bytes of a compressed file that are skipped in one go, on the way to the place where reading goes on. */
#define FOLLOW_SKIP ((size_t)4 * 1024 * 1024)

/* The text of a checkpoint: a path, each byte of it escaped, and a few lines. Its own path: a folder's, and a name. */
#define CHECKPOINT_MAX ((size_t)16 * 1024)
#define CHECKPOINT_PATH (FOLLOW_PATH + 256)

/* How often a checkpoint is written: what is read twice after a kill, against writes to the disk. */
#define CHECKPOINT_EVERY_MS 1000

#endif
