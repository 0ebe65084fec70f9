# SPDX-License-Identifier: BSD-2-Clause
#
# Fuzz targets. Here they run their corpora; tests/fuzz/fuzz runs them under libFuzzer.
fuzz_sources = \
	tests/fuzz/blocks.c \
	tests/fuzz/exceptions.c \
	tests/fuzz/extras.c \
	tests/fuzz/fuzz.h \
	tests/fuzz/harness.c \
	tests/fuzz/index_image.c \
	tests/fuzz/index_operations.c \
	tests/fuzz/journal.c \
	tests/fuzz/lvm.c \
	tests/fuzz/pages.c \
	tests/fuzz/saves.c \
	tests/fuzz/seeds.c tests/fuzz/seeds.h \
	tests/fuzz/snapshot_operations.c \
	tests/fuzz/targets.h \
	tests/fuzz/text.c \
	tests/model/model.c tests/model/model.h \
	tests/support/lvm_image.c tests/support/lvm_image.h \
	tools/lines.c tools/lines.h \
	tools/text.c tools/text.h

fuzz_cppflags = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/support -I$(top_srcdir)/tools
if HAVE_SHARDS
fuzz_sources += tests/fuzz/shards.c
fuzz_cppflags += -DFUZZ_WITH_SHARDS -I$(top_srcdir)/plugins
fuzz_ldadd = plugins/shards/libcore.la lib/libcore.la $(JANSSON_LIBS)
else
fuzz_ldadd = lib/libcore.la
EXTRA_DIST += tests/fuzz/shards.c
endif

fuzz_tests = tests/fuzz/test_corpora
check_PROGRAMS += $(fuzz_tests)
TESTS += $(fuzz_tests)
tests_fuzz_test_corpora_SOURCES = tests/fuzz/test_corpora.c $(fuzz_sources)
tests_fuzz_test_corpora_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_test_corpora_CFLAGS = $(TEST_CFLAGS)
tests_fuzz_test_corpora_LDADD = $(fuzz_ldadd)

# What the corpora begin with: make tests/fuzz/make_seeds && tests/fuzz/make_seeds FOLDER.
EXTRA_PROGRAMS += tests/fuzz/make_seeds
CLEANFILES += tests/fuzz/make_seeds
tests_fuzz_make_seeds_SOURCES = tests/fuzz/make_seeds.c $(fuzz_sources) \
	tests/support/vdo_image.c tests/support/vdo_image.h
tests_fuzz_make_seeds_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_make_seeds_CFLAGS = $(TEST_CFLAGS)
tests_fuzz_make_seeds_LDADD = $(fuzz_ldadd)

EXTRA_DIST += tests/fuzz/build tests/fuzz/fuzz tests/fuzz/entry.c tests/fuzz/uds.dict tests/fuzz/corpus \
	tests/fuzz/oss-fuzz/Dockerfile tests/fuzz/oss-fuzz/build.sh tests/fuzz/oss-fuzz/project.yaml
