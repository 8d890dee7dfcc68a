# futured: `make run` and `make test` are all that a fresh Debian machine needs.
VERSION  := 0.1.0
VARIANT  ?= release
B        := build/$(VARIANT)
FOLDERS  := core storage workers api daemon

CC       ?= gcc
WARN     := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes \
            -Wmissing-prototypes -Wold-style-definition -Wformat=2 -Wundef -Wvla -Wwrite-strings \
            -Wpointer-arith -Wcast-qual -Wswitch-enum -Wnull-dereference -fno-common
ifeq ($(DEVELOPER),1)
WARN     += -Werror
endif
CPPFLAGS += -I. -iquote workers/sdk -D_GNU_SOURCE -DFUT_VERSION='"$(VERSION)"'
CFLAGS_release := -O2 -g -D_FORTIFY_SOURCE=2 -fstack-protector-strong
CFLAGS_debug   := -O0 -g3
CFLAGS_asan    := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
CFLAGS_tsan    := -O1 -g -fsanitize=thread -fno-omit-frame-pointer
CFLAGS_fuzz    := -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
ifeq ($(VARIANT),fuzz)
CC             := clang
endif
ALL_CFLAGS     := -std=c11 $(WARN) -fPIE $(CFLAGS_$(VARIANT)) $(CFLAGS)
ALL_LDFLAGS    := -pie -Wl,-z,relro,-z,now $(CFLAGS_$(VARIANT)) $(LDFLAGS)

# What each folder links: only what its includes may reach.
LIBS_core    := -ljansson -lcrypto -lm -lpthread
LIBS_storage := -lsqlite3 -lpq $(LIBS_core)
LIBS_workers := -lm -lcurl -ljansson -lcrypto $(LIBS_storage)
LIBS_api     := -lmicrohttpd -ljansson -lcrypto -lm $(LIBS_storage)
LIBS_daemon  := -lsystemd -lm -lmicrohttpd -lcurl -ljansson -lcrypto $(LIBS_storage)
BELOW_core    := core
BELOW_storage := storage core
BELOW_workers := workers storage core
BELOW_api     := api storage core
BELOW_daemon  := daemon api workers storage core
archives = $(foreach r,$(BELOW_$(1)),$(B)/lib$(r).a)

# The C files of a folder and of the folders inside it; examples are programs of their own.
files    = $(filter-out workers/sdk/examples/%,$(wildcard $(1)/*.c $(1)/*/*.c $(1)/*/*/*.c))
SOURCES  = $(foreach r,$(FOLDERS),$(call files,$(r)))
MAIN    := daemon/main.c
UNIT    := $(wildcard tests/unit/*/test_*.c tests/unit/*/*/test_*.c tests/contract/test_*.c tests/model/test_*.c)
SYSTEM  := $(wildcard tests/system/test_*.c)
TOOLS   := $(wildcard tests/tools/*.c)
COUNTED := $(wildcard tests/bench/*.c)
SUPPORT := $(wildcard tests/support/*.c)
FUZZ    := $(wildcard tests/fuzz/fuzz_*.c)
# The inner make of a target that first installs what is missing; builds on every CPU.
BUILD    = $(MAKE) --no-print-directory -j$(shell nproc)
# One line per file that is made; V=1 shows the commands.
Q       := $(if $(filter 1,$(V)),,@)
SILENT  := $(findstring s,$(firstword -$(MAKEFLAGS)))
say      = $(if $(SILENT),,$(if $(Q),@printf '  %-5s%s\n' $(1) $(2)))
program  = $(patsubst %.c,$(B)/%,$(1))

.PHONY: all deps run demo test check asan tsan lint format crash powercut small-disk mutants bench bench-ci path-count install clean sizes
all: $(B)/futured $(B)/future

# ---- building -------------------------------------------------------------------------------
$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

# Where libpq's headers are; asked for once a file needs them, as they may be installed by then.
PQ_CFLAGS = $(patsubst -I%,-isystem %,$(shell pkg-config --cflags libpq))
$(B)/storage/postgres/%.o $(B)/tests/contract/%.o $(B)/tests/unit/storage/postgres/%.o $(B)/tests/tools/bench_jobs.o: CPPFLAGS += $(PQ_CFLAGS)

define folder_archive
$(B)/lib$(1).a: $$(patsubst %.c,$$(B)/%.o,$$(filter-out $$(MAIN),$$(call files,$(1))))
	$$(call say,AR,$$@)
	$$(Q)rm -f $$@
	$$(Q)$$(AR) rcs $$@ $$^
endef
$(foreach r,$(FOLDERS),$(eval $(call folder_archive,$(r))))

# The API's description is part of the program: its bytes, between two symbols.
$(B)/api/openapi_json.o: api/openapi.json
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)ld -r -b binary -z noexecstack $< -o $@
	$(Q)objcopy --rename-section .data=.rodata,alloc,load,readonly,data,contents \
	    --redefine-sym _binary_api_openapi_json_start=openapi_json_start \
	    --redefine-sym _binary_api_openapi_json_end=openapi_json_end $@
$(B)/libapi.a: $(B)/api/openapi_json.o $(B)/api/ui_files.o
# So are the files of the web page.
$(B)/api/ui_files.o: $(wildcard api/ui/*.html api/ui/*.css api/ui/*.js api/ui/*.svg)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)ld -r -b binary -z noexecstack $^ -o $@
	$(Q)nm $@ | sed -n 's/.* \(_binary_api_\(ui_.*_\(start\|end\)\)\)$$/\1 \2/p' >$@.names
	$(Q)objcopy --rename-section .data=.rodata,alloc,load,readonly,data,contents --redefine-syms=$@.names $@

$(B)/libsupport.a: $(patsubst %.c,$(B)/%.o,$(SUPPORT))
	$(call say,AR,$@)
	$(Q)rm -f $@
	$(Q)$(AR) rcs $@ $^

$(B)/futured: $(B)/daemon/main.o $(call archives,daemon)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) $< -Wl,--start-group $(call archives,daemon) -Wl,--end-group $(LIBS_daemon) -o $@

# The command line is a client: it speaks HTTP, and of the daemon's code uses core/ alone.
CLI     := $(wildcard client/cli/*.c)
$(B)/future: $(patsubst %.c,$(B)/%.o,$(CLI)) $(call archives,core)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) $(filter %.o,$^) $(call archives,core) -lcurl -ljansson -lncursesw -ltinfo -lm $(LIBS_core) -o $@

# A unit test links its folder and what lies below it, the fixtures of its folder (C files that are no test_*.c) and the
# tests' own helpers. The store's tests share the fixture of the contract tests.
fixtures = $(filter-out $(UNIT),$(call files,tests/unit/$(1))) $(if $(filter storage,$(1)),$(wildcard tests/contract/fixture*.c) tests/contract/members.c)
define unit_rule
$(B)/tests/libfixture_$(1).a: $$(patsubst %.c,$$(B)/%.o,$$(call fixtures,$(1)))
	$$(call say,AR,$$@)
	$$(Q)mkdir -p $$(@D) && rm -f $$@ && $$(AR) rcs $$@ $$^
$(B)/tests/unit/$(1)/%: $(B)/tests/unit/$(1)/%.o $(B)/tests/libfixture_$(1).a $(B)/libsupport.a $(call archives,$(1))
	$$(call say,LINK,$$@)
	$$(Q)$$(CC) $$(ALL_LDFLAGS) $$< $(B)/tests/libfixture_$(1).a $(B)/libsupport.a -Wl,--start-group $(call archives,$(1)) -Wl,--end-group -lcheck -lsubunit -lm $(LIBS_$(1)) -o $$@
endef
$(foreach r,$(FOLDERS),$(eval $(call unit_rule,$(r))))
$(B)/tests/contract/%: $(B)/tests/contract/%.o $(B)/tests/libfixture_storage.a $(B)/libsupport.a $(call archives,storage)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) $< $(B)/tests/libfixture_storage.a $(B)/libsupport.a -Wl,--start-group $(call archives,storage) -Wl,--end-group -lcheck -lsubunit -lm $(LIBS_storage) -o $@

# A model may use the tables of states of what it models.
$(B)/tests/model/%: $(B)/tests/model/%.o $(B)/tests/model/explore.o $(B)/libsupport.a $(B)/libapi.a $(call archives,core)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) $< $(B)/tests/model/explore.o $(B)/libsupport.a $(B)/libapi.a $(call archives,core) -lcheck -lsubunit -lm $(LIBS_core) -o $@

# System tests and tools speak HTTP to the real binary; of the program they use core/ alone.
$(B)/tests/system/%: $(B)/tests/system/%.o $(B)/libsupport.a $(call archives,core)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) $^ -lcheck -lsubunit -lm -lcurl -ljansson $(LIBS_core) -o $@
$(B)/tests/tools/bench_jobs: LIBS_core += -lpq
$(B)/tests/tools/%: $(B)/tests/tools/%.o $(B)/libsupport.a $(call archives,core)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) $< $(B)/libsupport.a $(call archives,core) -lmicrohttpd -lcurl -ljansson -lsqlite3 $(LIBS_core) -o $@

# Fuzz targets (libFuzzer) may call any folder's parsers; built by VARIANT=fuzz alone.
$(B)/tests/fuzz/%: $(B)/tests/fuzz/%.o $(B)/tests/fuzz/fuzz.o $(call archives,daemon)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -fsanitize=fuzzer $< $(B)/tests/fuzz/fuzz.o -Wl,--start-group $(call archives,daemon) -Wl,--end-group $(LIBS_daemon) -o $@

# What callgrind counts by itself, without a daemon around.
$(B)/tests/bench/%: $(B)/tests/bench/%.o $(B)/libsupport.a $(call archives,daemon)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) $< $(B)/libsupport.a -Wl,--start-group $(call archives,daemon) -Wl,--end-group $(LIBS_daemon) -o $@

# Stands before libc in a daemon under test (LD_PRELOAD); the same code whatever the variant.
PRELOAD = $(addprefix $(B)/tests/preload/,clock.so disk.so forks.so)
$(B)/tests/preload/%.so: tests/preload/%.c tests/preload/%.h
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) -std=c11 $(WARN) -O1 -g -fPIC -shared $< -o $@ -ldl -lpthread

-include $(patsubst %.c,$(B)/%.d,$(SOURCES) $(CLI) $(UNIT) $(SYSTEM) $(TOOLS) $(COUNTED) $(SUPPORT) $(FUZZ) tests/fuzz/fuzz.c $(foreach r,$(FOLDERS),$(call fixtures,$(r))))
-include $(B)/tests/model/explore.d
.SECONDARY:

# ---- using ----------------------------------------------------------------------------------
deps:
	@tests/deps.sh

run: deps
	+@$(BUILD) all
	@tests/try.sh $(B)/futured
	@$(B)/futured

demo: deps
	+@$(BUILD) all $(call program,tests/tools/fetch_server.c)
	@tests/demo.sh $(B)

.PHONY: demo-cluster
demo-cluster: deps
	@tests/deps.sh cluster
	+@$(BUILD) all $(call program,tests/tools/with_postgres.c)
	@tests/demo_cluster.sh $(B)

# ---- checking -------------------------------------------------------------------------------
TESTS = $(call program,$(UNIT) $(SYSTEM))
.PHONY: tests-built test-deps
test-deps: deps
	@tests/deps.sh test
tests-built: all $(TESTS) $(call program,$(TOOLS) $(COUNTED)) $(PRELOAD)
test: test-deps
	+@FUT_NEXT="All is well: make run serves on 127.0.0.1:8420, make demo shows it at work, make lint checks the code." \
	    $(BUILD) check VARIANT=debug
check: tests-built
	@$(B)/tests/tools/with_postgres tests/run.sh $(B) $(TESTS) tests/docs/run.py tests/calendar/check.py $(wildcard tests/python/test_*.py tests/node/test_*.mjs)
asan tsan: test-deps
	+@$(BUILD) check VARIANT=$@
# The system tests with their daemons on PostgreSQL, but for those of tests/system/not_on_postgres; SHORT=1: a dozen
# that touch what a store does.
POSTGRES_SHORT := batches batch_callback graph idempotency lifecycle limits_api promises queues restart retry schedules sessions
NOT_ON_POSTGRES = $(shell sed -n 's/^\([a-z_]*\): .*/\1/p' tests/system/not_on_postgres)
ON_POSTGRES = $(call program,$(filter-out $(NOT_ON_POSTGRES:%=tests/system/%.c),$(if $(SHORT),$(POSTGRES_SHORT:%=tests/system/test_%.c),$(SYSTEM))))
.PHONY: test-postgres test-postgres-built
test-postgres: test-deps
	+@$(BUILD) test-postgres-built VARIANT=debug
test-postgres-built: all $(ON_POSTGRES) $(call program,$(TOOLS)) $(PRELOAD)
	@FUT_STORE=postgres $(B)/tests/tools/with_postgres tests/run.sh $(B) $(ON_POSTGRES)
# The same with the memory store, but for those of tests/system/not_in_memory; a test ends where its daemon starts again.
IN_MEMORY = $(call program,$(filter-out $(shell sed -n 's/^\([a-z_]*\): .*/tests\/system\/\1.c/p' tests/system/not_in_memory),$(SYSTEM)))
.PHONY: test-memory test-memory-built
test-memory: test-deps
	+@$(BUILD) test-memory-built VARIANT=debug
test-memory-built: all $(IN_MEMORY) $(call program,$(TOOLS)) $(PRELOAD)
	@FUT_STORE=memory tests/run.sh $(B) $(IN_MEMORY)
# CPython's own tests of its executors, with ours in their place; FUT_STORE=postgres, memory: on these.
.PHONY: python-test
python-test: deps
	@tests/deps.sh python
	+@$(BUILD) all build/debug/tests/tools/with_postgres VARIANT=debug
	@FUT_TEST_LIMIT=900 $(if $(filter postgres,$(FUT_STORE)),build/debug/tests/tools/with_postgres) \
	    tests/run.sh build/debug tests/python/cpython.py
# When schedules are due, in every zone of tzdata for ten years, against croniter, dateutil and zoneinfo.
.PHONY: calendar
calendar: test-deps
	+@$(BUILD) $(B)/tests/tools/next_times
	@FUT_BUILD=$(B) tests/calendar/check.py --whole

lint: deps
	+@$(BUILD) all build/debug/libsupport.a VARIANT=debug
	@tests/lint/run.sh
format:
	clang-format -i $$(git ls-files '*.c' '*.h')
sizes:
	@tests/lint/sizes.sh

# Each target for TIME seconds (60); FUZZ_TARGETS="task route": these alone.
TIME ?= 60
.PHONY: fuzz fuzz-smoke fuzz-built
fuzz-built: $(call program,$(FUZZ))
fuzz: deps
	@tests/deps.sh fuzz
	+@$(BUILD) fuzz-built VARIANT=fuzz
	@tests/fuzz/run.sh build/fuzz $(TIME) $(FUZZ_TARGETS)
fuzz-smoke:
	+@$(MAKE) --no-print-directory fuzz TIME=3

crash: deps
	+@$(BUILD) tests-built
	@tests/crash/run.sh $(B)
# Cancels and kill -9 against workers under load: the suite's test, in its long form.
#   make chaos CANCELS=10000 KILLS=1000
.PHONY: chaos
CANCELS ?= 10000
KILLS   ?= 1000
chaos: deps
	+@$(BUILD) build/debug/tests/unit/workers/scheduler/test_worker_chaos VARIANT=debug
	FUT_CANCELS=$(CANCELS) FUT_KILLS=$(KILLS) build/debug/tests/unit/workers/scheduler/test_worker_chaos
# Everything at once for MINUTES, with a verdict on what was promised.  CHAOS: options of tests/chaos/run.py
.PHONY: chaos-run
chaos-run: deps
	@tests/deps.sh soak
	+@$(BUILD) all $(PRELOAD)
	@tests/chaos/run.py --build $(B) --minutes $(MINUTES) $(CHAOS)
# Three nodes on PostgreSQL and all that may happen to them for MINUTES.  CLUSTER: options of tests/cluster/run.py
.PHONY: cluster-chaos
cluster-chaos: test-deps
	+@$(BUILD) all $(PRELOAD)
	@tests/cluster/run.py --build $(B) --minutes $(MINUTES) $(CLUSTER)
# BENCH: parts and options of tests/bench/run.py, for example BENCH="--quick enqueue".
BENCH ?=
# STATES: how many states of a disk to build and check.
powercut: deps
	+@$(BUILD) all $(PRELOAD) $(B)/tests/tools/powercut
	@FUT_BUILD=$(CURDIR)/$(B) $(B)/tests/tools/powercut --states $(or $(STATES),300) --tasks $(or $(TASKS),60)
small-disk: deps
	+@$(BUILD) all
	@tests/crash/small_disk.sh $(B)
# What hostile clients cost the others: p99 with each attack beside none, TURNS times in turn; memory, verdicts.
.PHONY: hostile
TURNS ?= 5
hostile: deps
	+@$(BUILD) all $(B)/tests/tools/hostile
	@FUT_BUILD=$(CURDIR)/$(B) $(B)/tests/tools/hostile --turns $(TURNS) $(HOSTILE)
# Mixed work for MINUTES: does anything grow?  SOAK: options of tests/soak/run.py, such as
#   make soak SOAK="--rate 12 --out tests/soak/results"
.PHONY: soak overload
MINUTES ?= 60
soak: deps
	@tests/deps.sh soak
	+@$(BUILD) tests-built
	@tests/soak/run.py --build $(B) --minutes $(MINUTES) $(SOAK)
# More than can be done, SECONDS for each part.  OVERLOAD: some of its parts, for example OVERLOAD="drain bodies"
SECONDS ?= 60
overload: deps
	@tests/deps.sh soak
	+@$(BUILD) all $(B)/tests/tools/load
	@tests/soak/overload.py --build $(B) --seconds $(SECONDS) $(OVERLOAD)
# MUTANTS: some of tests/mutants by name; all by default.
mutants: test-deps
	@tests/mutants/run.sh $(MUTANTS)
bench: deps
	@tests/deps.sh bench
	+@$(BUILD) tests-built VARIANT=release
	@tests/bench/run.py --build build/release $(BENCH)
bench-ci: deps
	@tests/deps.sh counts
	+@$(BUILD) all $(call program,$(COUNTED)) $(call program,tests/tools/load.c) VARIANT=release
	@tests/bench/count.py --build build/release $(BENCH)
path-count: deps
	@tests/deps.sh counts
	+@$(BUILD) all build/debug/tests/tools/load VARIANT=debug
	@tests/bench/count.py --build build/debug --walk

# ---- worker programs ------------------------------------------------------------------------
# The examples of the C SDK, as their users would build them: a program and plug-ins.
EXAMPLES = $(addprefix $(B)/workers/sdk/examples/,tour tour.so table.so fib fib.so)
tests-built test-postgres-built test-memory-built: $(EXAMPLES)
$(B)/workers/sdk/examples/fib.so: workers/sdk/examples/fib.c workers/sdk/futured_tasks.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -fPIC -shared $(filter %.c,$^) -lcurl -ljansson -o $@
$(B)/workers/sdk/examples/fib.so: workers/sdk/futured_tasks.h workers/sdk/futured_plugin.h
$(B)/workers/sdk/examples/fib: $(patsubst %,$(B)/workers/sdk/%.o,examples/fib examples/tour_main futured_worker futured_tasks)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) $^ -lcurl -ljansson -o $@
$(B)/workers/sdk/examples/%.so: workers/sdk/examples/%.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -fPIC -shared -MMD -MP -MF $(@:.so=.so.d) $< -o $@
$(B)/workers/sdk/examples/tour: $(patsubst %,$(B)/workers/sdk/%.o,examples/tour examples/tour_main futured_worker)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) $^ -o $@
-include $(EXAMPLES:=.d)
# This test is a worker program, too.
$(B)/tests/system/test_worker_answers: $(B)/workers/sdk/futured_worker.o

# Does a worker program speak the protocol?  make conformance PROGRAM="python3 x.py" [HANDLER=name]
.PHONY: conformance
conformance: deps
	+@$(BUILD) $(B)/tests/tools/worker_conformance
	@$(B)/tests/tools/worker_conformance --program "$(PROGRAM)" $(if $(HANDLER),--handler $(HANDLER))

# ---- installing -----------------------------------------------------------------------------
# /usr/local/lib is among the places where systemd looks for units and users. What is in SYSCONFDIR
# already is the administrator's and stays.
PREFIX     ?= /usr/local
SYSCONFDIR ?= /etc/futured
UNITDIR    ?= $(PREFIX)/lib/systemd/system
SYSUSERS   ?= $(PREFIX)/lib/sysusers.d
SHARE      ?= $(PREFIX)/share
# All documents of the source but those of the tests, so that their links to each other hold; the contract as JSON, the
# rules for Prometheus, the examples.
DOCUMENTS = $(filter-out tests/% build/% systemd/debian/%,$(wildcard *.md */*.md */*/*.md */*/*/*.md)) \
    $(wildcard api/openapi.json systemd/prometheus/* workers/sdk/examples/*.* client/python/examples/*.py)
.PHONY: deb test-systemd

# The commands and their options, as the program lists them, in mdoc.
$(B)/future.1: client/cli/future.1 $(B)/future
	$(Q)$(B)/future commands | awk -F'\t' ' \
	    $$1 { print ".It Cm " $$1 " " ($$2 == "" ? "" : "Ar " $$2); print toupper(substr($$3, 1, 1)) substr($$3, 2) "." } \
	    !$$1 { sub(/^--/, "", $$3); print ".br"; print (($$2 != "-") ? "-" $$2 ", " : "") "--" $$3 ($$4 != "-" ? " " $$4 : "") ": " $$5 "." }' \
	    >$(B)/commands
	$(Q)sed -e '/@COMMANDS@/{r $(B)/commands' -e 'd}' $< >$@

# Manuals and contract go where the system keeps its own; `make lint` (manuals) holds manuals and completion against the
# tables of the program.
$(B)/futured.8: systemd/futured.8 $(B)/futured
	@$(B)/futured --dump-config | awk -F' *[|] *' 'NR > 2 { gsub(/`/, "", $$2); gsub(/`/, "", $$5); \
	    print ".It Ev " $$2; print toupper(substr($$5, 1, 1)) substr($$5, 2) "."; \
	    print "Default: " $$3 ($$4 ? "; allowed: " $$4 : "") "." }' \
	    >$(B)/variables
	@sed -e '/@VARIABLES@/{r $(B)/variables' -e 'd}' $< >$@

install: all $(B)/futured.8 $(B)/future.1
	install -D -m 755 -t $(DESTDIR)$(PREFIX)/bin $(B)/futured $(B)/future
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/include workers/sdk/futured_plugin.h workers/sdk/futured_worker.h workers/sdk/futured_tasks.h
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/futured/sdk workers/sdk/futured_worker.* workers/sdk/futured_tasks.*
	install -D -m 755 systemd/backoff $(DESTDIR)$(PREFIX)/lib/futured/backoff
	install -D -m 644 $(B)/futured.8 $(DESTDIR)$(SHARE)/man/man8/futured.8
	install -D -m 644 systemd/futured-handlers.5 $(DESTDIR)$(SHARE)/man/man5/futured-handlers.5
	for f in $(DOCUMENTS); do install -D -m 644 $$f $(DESTDIR)$(SHARE)/doc/futured/$$f || exit 1; done
	chmod 755 $(DESTDIR)$(SHARE)/doc/futured/workers/sdk/examples/*.sh
	install -D -m 644 $(B)/future.1 $(DESTDIR)$(SHARE)/man/man1/future.1
	install -D -m 644 client/cli/future.bash $(DESTDIR)$(SHARE)/bash-completion/completions/future
	install -D -m 644 client/cli/future.zsh $(DESTDIR)$(SHARE)/zsh/vendor-completions/_future
	install -D -m 644 systemd/futured.bash $(DESTDIR)$(SHARE)/bash-completion/completions/futured
	install -D -m 644 systemd/futured.sysusers $(DESTDIR)$(SYSUSERS)/futured.conf
	install -D -m 644 systemd/futured.socket $(DESTDIR)$(UNITDIR)/futured.socket
	install -d $(DESTDIR)$(UNITDIR) $(DESTDIR)$(SYSCONFDIR)
	sed 's|=/usr/|=$(PREFIX)/|' systemd/futured.service >$(DESTDIR)$(UNITDIR)/futured.service
	chmod 644 $(DESTDIR)$(UNITDIR)/futured.service
	[ -e $(DESTDIR)$(SYSCONFDIR)/futured.env ] || \
	    install -m 640 systemd/futured.env $(DESTDIR)$(SYSCONFDIR)/futured.env
	[ -e $(DESTDIR)$(SYSCONFDIR)/handlers.json ] || \
	    install -m 644 systemd/handlers.json $(DESTDIR)$(SYSCONFDIR)/handlers.json

# build/deb/futured_*.deb
deb: deps
	@tests/deps.sh package
	@systemd/deb.sh $(VERSION)
test-systemd: deb
	@tests/deps.sh systemd
	@tests/systemd/run.sh
clean:
	rm -rf build
