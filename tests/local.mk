# SPDX-License-Identifier: BSD-2-Clause
#
# Each unit test is a Check program tests/unit/test_THING.c; scripts stand beside what they test.
# Every test ends with a line "result: P passed, F failed, S skipped"; tests/summary adds them up.

TEST_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/support $(CHECK_CFLAGS)
# Check's macros do not keep all the warnings that the library keeps.
TEST_CFLAGS = -Wall -Wextra -Wshadow $(UDS_WERROR) $(UDS_SANITIZE)
TEST_LDADD = tests/libsupport.la lib/libcore.la $(CHECK_LIBS)

if BUILD_TOOL
TESTED_TOOL = $(abs_top_srcdir)/tests/tool/run-uds
else
TESTED_TOOL =
endif

# The golden vectors stand beside the source tree where they are there at all.
AM_TESTS_ENVIRONMENT = \
	UDS_VECTORS="$${UDS_VECTORS-$(abs_top_srcdir)/../shared/vectors}"; export UDS_VECTORS; \
	UDS_KERNEL_GUEST="$${UDS_KERNEL_GUEST-$(abs_top_srcdir)/../shared/interop/kernel-guest}"; \
	export UDS_KERNEL_GUEST; \
	UDS_CEPH_ONE_NODE="$${UDS_CEPH_ONE_NODE-$(abs_top_srcdir)/../shared/interop/ceph-one-node}"; \
	export UDS_CEPH_ONE_NODE; \
	UDS_TOOL="$(TESTED_TOOL)"; export UDS_TOOL; \
	UDS_SRCDIR="$(abs_top_srcdir)"; export UDS_SRCDIR; \
	UDS_BUILDDIR="$(abs_top_builddir)"; export UDS_BUILDDIR; \
	PYTHON3="$(PYTHON3)"; export PYTHON3; \
	CK_DEFAULT_TIMEOUT="$${CK_DEFAULT_TIMEOUT-120}"; export CK_DEFAULT_TIMEOUT;

EXTRA_DIST += tests/summary tests/stages tests/link tests/cross/prepare

# Those that use several threads: quickstart runs them again under the thread sanitizer.
THREADED_TESTS =

if HAVE_CHECK
check_LTLIBRARIES += tests/libsupport.la
tests_libsupport_la_SOURCES = tests/support/check_main.c tests/support/check_main.h
tests_libsupport_la_SOURCES += tests/support/check_places.h tests/support/sanitizer.h tests/support/scale.h
tests_libsupport_la_SOURCES += tests/support/index_damage.c tests/support/index_damage.h
tests_libsupport_la_SOURCES += tests/support/crash.h tests/support/enter_name.h tests/support/given_io.h
tests_libsupport_la_SOURCES += tests/support/fault_io.c tests/support/fault_io.h
tests_libsupport_la_SOURCES += tests/support/slow_device.c tests/support/slow_device.h
tests_libsupport_la_SOURCES += tests/support/loop_device.c tests/support/loop_device.h
tests_libsupport_la_SOURCES += tests/support/partitions.c tests/support/partitions.h
tests_libsupport_la_SOURCES += tests/support/torture_env.c tests/support/torture_env.h
tests_libsupport_la_SOURCES += tests/support/vector_file.c tests/support/vector_file.h
tests_libsupport_la_SOURCES += tests/support/index_image.c tests/support/index_image.h
tests_libsupport_la_SOURCES += tests/support/names.h tests/support/name_list.h tests/support/small_stack.h
tests_libsupport_la_SOURCES += tests/support/snap_image.c tests/support/snap_image.h
tests_libsupport_la_SOURCES += tests/support/trace_io.c tests/support/trace_io.h
tests_libsupport_la_SOURCES += tests/support/word_io.c tests/support/word_io.h
tests_libsupport_la_SOURCES += tests/support/index_history.c tests/support/index_history.h
tests_libsupport_la_SOURCES += tests/support/save_zone.h tests/support/small_index.c tests/support/small_index.h
tests_libsupport_la_SOURCES += tests/support/lvm_image.c tests/support/lvm_image.h
tests_libsupport_la_SOURCES += tests/support/vdo_image.c tests/support/vdo_image.h
tests_libsupport_la_SOURCES += tests/support/scenario.c tests/support/scenario.h
tests_libsupport_la_SOURCES += tests/support/index_scenarios.c tests/format/convert.c
tests_libsupport_la_SOURCES += tests/support/snapshot_scenarios.c
tests_libsupport_la_CPPFLAGS = $(TEST_CPPFLAGS)
tests_libsupport_la_CFLAGS = $(TEST_CFLAGS)

UNIT_TESTS =
include tests/unit/local.mk
include tests/crash/local.mk
include tests/fault/local.mk

check_PROGRAMS += $(UNIT_TESTS)
TESTS += $(UNIT_TESTS)
endif

include tests/format/local.mk
include tests/tool/local.mk
include tests/install/local.mk
include tests/interop/local.mk
include tests/nbd/local.mk
include tests/rbd/local.mk
include tests/shards/local.mk
include tests/model/local.mk
include tests/fuzz/local.mk
include tests/models/local.mk
include tests/bench/local.mk

# The test programs in C, which also run as code of other machines; and those that are worth running longer.
C_TESTS = $(UNIT_TESTS) $(model_tests) $(index_vector_tests) $(fuzz_tests)
LONG_TESTS = $(filter tests/crash/% tests/fault/% tests/model/% %_crash %_faults \
	%_model %_threads %_volume_index %_volume_index_save,$(C_TESTS)) \
	tests/format/test_exec_against_model.py tests/format/test_snapshot_against_model.py
include tests/mutation/local.mk
include tests/gates/local.mk
