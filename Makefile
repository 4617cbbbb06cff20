# haspan. `make` builds build/haspan; `make demo` and `make check` do their own set-up.

VERSION  := $(shell git describe --tags --dirty 2>/dev/null || cat VERSION 2>/dev/null || echo 0.0.0)
BUILD    ?= build
CC       ?= cc
CFLAGS   ?= -O2 -g
PREFIX   ?= /usr/local

ROOMS    := core ingest parse reconstruct export
LIBS     := libpcre2-8 jansson libprotobuf-c libcurl libcrypto zlib libzstd liblzma
WARN     := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wcast-qual \
            -Wwrite-strings -Wvla -Wpointer-arith
STD      := -std=c11 -D_GNU_SOURCE -DHASPAN_VERSION='"$(VERSION)"' -include core/banned.h

ifdef SAN
CFLAGS   += -fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all
LDFLAGS  += -fsanitize=$(SAN)
endif
ifdef HARD
STD      += -DHASPAN_HARD
endif
ifdef DEV
WARN     += -Werror
endif
ifndef V
Q        := @
say       = @printf '  %-5s %s\n' $(1) $(2);
endif

GEN      := $(BUILD)/gen
CPPFLAGS += -I. -I$(GEN)
SRC      := $(wildcard $(addsuffix /*.c,$(ROOMS))) options.c otel_env.c config.c pipeline.c
PROTO    := $(GEN)/export/proto/trace.pb-c.c
OBJ      := $(SRC:%.c=$(BUILD)/%.o) $(PROTO:.c=.o)
TESTS    := $(patsubst tests/%.c,$(BUILD)/%,$(wildcard tests/test_*.c))
LDLIBS    = $(shell pkg-config --libs $(LIBS)) -lpthread -ldl -lm

all: $(BUILD)/haspan

$(BUILD)/haspan: $(BUILD)/main.o $(OBJ)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS) -Wl,--as-needed

$(BUILD)/%.o: %.c $(PROTO)
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(STD) $(WARN) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(GEN)/%.pb-c.c: %.proto
	$(call say,PROTO,$<)
	$(Q)mkdir -p $(GEN)
	$(Q)protoc-c --c_out=$(GEN) $<

$(GEN)/%.pb-c.o: $(GEN)/%.pb-c.c
	$(call say,CC,$<)
	$(Q)$(CC) -std=c11 $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

.SECONDARY:
.DELETE_ON_ERROR:

-include $(OBJ:.o=.d) $(BUILD)/main.d
