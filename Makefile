# haspan. `make` builds build/haspan; `make demo` and `make check` do their own set-up.
#
#   make                the program            make check     everything that CI runs
#   make demo           real logs as trees     make fuzz      each fuzzer for FUZZ_SECONDS (600)
#   make demo-jaeger    real logs in a real Jaeger
#   make install        PREFIX, DESTDIR        make bench     side by side with halog
#   make deb            a package for Debian   make uninstall
#   make soak           kill -9 at each point of crash, SOAK (100) times
#   make soak-kafka     the same with real Kafka brokers, and all else that happens to them, SOAK (20) times
#   make check-versions the tests with a real HAProxy, with HAProxy 3.0 and 3.2 from Debian
#
# Variables: CC, CFLAGS, V=1 (show commands), DEV=1 (warnings are errors), SAN=address,undefined,
# HARD=1 (tiny buffers, so that every edge is met), CRASH=1 (points of crash, core/crash.h), BUILD=folder.

VERSION  := $(shell git describe --tags --dirty 2>/dev/null || cat VERSION)
BUILD    ?= build
CC       ?= cc
HOSTCC   ?= $(CC)
CFLAGS   ?= -O3 -g
PREFIX   ?= /usr/local

ROOMS    := core ingest parse reconstruct export report
LIBS     := libpcre2-8 jansson libprotobuf-c libssl libcrypto zlib libzstd liblzma
WARN     := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wcast-qual \
            -Wwrite-strings -Wvla -Wpointer-arith
STD      := -std=c11 -D_GNU_SOURCE -DHASPAN_VERSION='"$(VERSION:v%=%)"'

ifdef SAN
# A CFLAGS of the command line would win over an addition without this word, and nothing be instrumented.
override CFLAGS += -fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all
LDFLAGS  += -fsanitize=$(SAN)
endif
ifdef HARD
STD      += -DHASPAN_HARD
endif
ifdef CRASH
STD      += -DHASPAN_CRASH
endif
ifdef DEV
WARN     += -Werror
endif
ifndef V
Q        := @
say       = @printf '  %-5s %s\n' $(1) $(2)
endif

GEN      := $(BUILD)/gen
CPPFLAGS += -I. -I$(GEN)
SRC      := $(wildcard $(addsuffix /*.c,$(ROOMS))) options.c otel_env.c config.c ledger.c linetime.c pace.c progress.c \
            baseline.c check.c completion.c explain.c misuse.c sandbox.c sandbox_landlock.c sandbox_seccomp.c $(wildcard pipeline*.c doctor*.c control*.c)
PROTO    := $(GEN)/export/proto/trace.pb-c.c
OBJ      := $(SRC:%.c=$(BUILD)/%.o) $(PROTO:.c=.o)
UNITS    := $(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/test_*.c))
LDLIBS    = $(shell pkg-config --libs $(LIBS)) -lpthread -ldl -lm

all: $(BUILD)/haspan

$(BUILD)/haspan: $(BUILD)/main.o $(OBJ)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -Wl,--as-needed $(LDLIBS)

$(BUILD)/%.o: %.c | $(PROTO)
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(STD) -include core/banned.h $(WARN) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(GEN)/%.pb-c.c: %.proto
	$(call say,PROTO,$<)
	$(Q)mkdir -p $(GEN)
	$(Q)protoc-c --c_out=$(GEN) $<

$(GEN)/%.pb-c.o: $(GEN)/%.pb-c.c
	$(call say,CC,$<)
	$(Q)$(CC) -std=c11 $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

# The filter of system calls is made here: at run time it is a table.
$(BUILD)/sandbox_filter: sandbox_filter.c sandbox.def sandbox_private.h
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(HOSTCC) $(STD) $(WARN) -o $@ $< $$(pkg-config --cflags --libs libseccomp)

$(GEN)/sandbox_filter.h: $(BUILD)/sandbox_filter
	$(call say,GEN,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$< > $@
$(BUILD)/sandbox_seccomp.o: $(GEN)/sandbox_filter.h

# The version is compiled in: a new one rebuilds the files that say it.
$(BUILD)/version: FORCE
	$(Q)mkdir -p $(BUILD)
	$(Q)echo '$(VERSION)' | cmp -s - $@ || echo '$(VERSION)' > $@
$(BUILD)/main.o $(BUILD)/control_show.o $(BUILD)/config.o $(BUILD)/export/post.o: $(BUILD)/version

# ---- tests ---------------------------------------------------------------------------------------------

$(BUILD)/tests/test_noalloc: LDFLAGS += -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc

$(BUILD)/tests/%: tests/%.c $(OBJ)
	$(call say,TEST,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(STD) -Wall -Wextra $(CPPFLAGS) -Itests $(CFLAGS) $(LDFLAGS) -MMD -MP -o $@ $< $(OBJ) \
		-Wl,--as-needed -lcmocka $(LDLIBS)

$(BUILD)/gen_lines: tests/bench/gen.c
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -std=c11 $(CFLAGS) -o $@ $<

# Asks a Kafka cluster for the tests, and counts for the bench.
$(BUILD)/kafka_tool: tests/kafka_tool.c
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(STD) -Wall -Wextra $(CFLAGS) -o $@ $< -lrdkafka

$(BUILD)/otlp_ids: tests/otlp_ids.c
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(STD) -Wall -Wextra $(CFLAGS) -o $@ $<

$(BUILD)/bench_%: tests/bench/%.c
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -std=c11 $(CFLAGS) -o $@ $<

# For tests/sanitized.sh: by the rule of all objects, with what the sanitizers must find.
$(BUILD)/faulty: $(BUILD)/tests/faulty.o
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lpthread

units: $(UNITS) $(BUILD)/tests/http_driver $(BUILD)/tests/infer_driver $(BUILD)/kafka_tool $(BUILD)/otlp_ids
demo:
	$(Q)./setup.sh build
	$(Q)$(MAKE) --no-print-directory all
	$(Q)tests/demo.sh

# A real Jaeger 2 with the samples in it; built on the first run.
demo-jaeger:
	$(Q)./setup.sh build
	$(Q)$(MAKE) --no-print-directory all
	$(Q)python3 tests/demo_jaeger.py

check:
	$(Q)./setup.sh check
	$(Q)tests/check.sh

# The same with Debian's newer HAProxies, which it downloads once.
check-versions: all
	$(Q)tests/versions.sh

# Each point of crash, so often; what it prints is the proof.
soak:
	$(Q)./setup.sh check
	$(Q)$(MAKE) --no-print-directory CRASH=1 BUILD=build/crash all build/crash/tests/http_driver
	$(Q)python3 tests/crash.py --runs $${SOAK:-100} $(SOAK_POINTS)

soak-kafka:
	$(Q)./setup.sh check
	$(Q)$(MAKE) --no-print-directory all units $(BUILD)/gen_lines
	$(Q)$(MAKE) --no-print-directory CRASH=1 BUILD=build/crash all
	$(Q)python3 tests/kafka.py --runs $${SOAK:-20} $(SOAK_PARTS)
	$(Q)python3 tests/kafka.py --newer --runs $${SOAK:-20} $(SOAK_PARTS)

layers:
	$(Q)tests/layers.sh

fuzz:
	$(Q)./setup.sh check
	$(Q)tests/fuzz/run.sh $${FUZZ_SECONDS:-600}

bench: all $(BUILD)/kafka_tool $(BUILD)/gen_lines $(BUILD)/bench_send $(BUILD)/bench_sink $(BUILD)/tests/test_expr
	$(Q)python3 tests/bench/bench.py $(BENCH)
	$(Q)$(if $(BENCH),,python3 tests/bench/kafka_bench.py)

golden-update: all
	$(Q)tests/golden.sh --update

# ---- the rest ------------------------------------------------------------------------------------------

$(BUILD)/haspan.1: doc/haspan.1.in $(BUILD)/haspan
	$(Q)awk '/^@OPTIONS@$$/ { while (("$(BUILD)/haspan --help=man" | getline line) > 0) print line; next } \
		/^@FIELDS@$$/ { while (("$(BUILD)/haspan formats" | getline line) > 0) { \
			gsub(/\\/, "\\e", line); gsub(/-/, "\\-", line); print (line ~ /^[.\x27]/ ? "\\&" : "") line } next } \
		{ gsub(/@VERSION@/, "$(VERSION)"); print }' $< > $@

man: $(BUILD)/haspan.1

# What shells need to complete a command line.
$(BUILD)/completion/haspan.%: $(BUILD)/haspan
	$(Q)mkdir -p $(@D)
	$(Q)$< completion $* > $@

COMPLETION := $(addprefix $(BUILD)/completion/haspan.,bash zsh fish)

# An existing configuration stays as it is. SYSCONFDIR is /etc whatever PREFIX is: that is where operators look.
SYSCONFDIR ?= /etc
UNITDIR    ?= $(PREFIX)/lib/systemd/system
DOCDIR     ?= $(PREFIX)/share/doc/haspan
ZSHDIR     ?= $(PREFIX)/share/zsh/site-functions

install: all man $(COMPLETION)
	install -D -m 755 $(BUILD)/haspan $(DESTDIR)$(PREFIX)/bin/haspan
	install -D -m 644 $(BUILD)/haspan.1 $(DESTDIR)$(PREFIX)/share/man/man1/haspan.1
	install -D -m 644 $(BUILD)/completion/haspan.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/haspan
	install -D -m 644 $(BUILD)/completion/haspan.zsh $(DESTDIR)$(ZSHDIR)/_haspan
	install -D -m 644 $(BUILD)/completion/haspan.fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/haspan.fish
	install -d $(DESTDIR)$(UNITDIR) $(DESTDIR)$(DOCDIR)/examples $(DESTDIR)$(DOCDIR)/doc
	sed 's|/usr/bin/|$(PREFIX)/bin/|; s|/etc/haspan|$(SYSCONFDIR)/haspan|' packaging/haspan.service \
		> $(DESTDIR)$(UNITDIR)/haspan.service
	chmod 644 $(DESTDIR)$(UNITDIR)/haspan.service
	install -D -m 644 packaging/haspan.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/haspan.conf
	test -e $(DESTDIR)$(SYSCONFDIR)/haspan/haspan.conf || \
		install -D -m 644 packaging/haspan.conf $(DESTDIR)$(SYSCONFDIR)/haspan/haspan.conf
	install -m 644 README.md CHANGES LICENSE $(DESTDIR)$(DOCDIR)
	install -m 644 $(wildcard doc/*.md) $(DESTDIR)$(DOCDIR)/doc
	install -m 644 packaging/haspan.socket $(wildcard packaging/*.yaml) $(DESTDIR)$(DOCDIR)/examples

# What runs stays, and so does the configuration.
uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/haspan $(DESTDIR)$(PREFIX)/share/man/man1/haspan.1 \
		$(DESTDIR)$(UNITDIR)/haspan.service $(DESTDIR)$(PREFIX)/lib/sysusers.d/haspan.conf \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/haspan $(DESTDIR)$(ZSHDIR)/_haspan \
		$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/haspan.fish
	rm -rf $(DESTDIR)$(DOCDIR)

# A package of the tree as it stands, for the Debian (or Ubuntu) that it is made on: build/haspan_VERSION_ARCH.deb
deb:
	$(Q)packaging/deb.sh $(BUILD) '$(VERSION)'

dist:
	git archive --prefix=haspan-$(VERSION)/ -o $(BUILD)/haspan-$(VERSION).tar.gz HEAD

clean:
	rm -rf $(BUILD)

.PHONY: all units demo demo-jaeger check soak soak-kafka check-versions layers fuzz bench golden-update man install uninstall deb dist clean FORCE
.SECONDARY:
.DELETE_ON_ERROR:

-include $(OBJ:.o=.d) $(BUILD)/main.d $(UNITS:=.d)
