# SPDX-License-Identifier: BSD-2-Clause
#
# Others that know the formats work on the same images: the Linux kernel, in a virtual machine.

check_PROGRAMS += tests/interop/snapshot_driver
tests_interop_snapshot_driver_SOURCES = tests/interop/snapshot_driver.c
tests_interop_snapshot_driver_LDADD = lib/libcore.la

interop_tests = tests/interop/test_active_snapshot.py tests/interop/test_kernel_guest.py tests/interop/test_kernel_lvm.py \
	tests/interop/test_kernel_vdo.py tests/interop/test_kernel_vdo_long.py tests/interop/test_nbdkit.py
# Not in sanitized builds: once is enough for what takes long.
if !SANITIZED
TESTS += $(interop_tests)
endif
EXTRA_DIST += $(interop_tests) tests/interop/guest.py tests/interop/open_device.py tests/interop/several_snapshots.py \
	tests/interop/vdo_guest.py

# The kernels that guest.py has unpacked.
clean-local:
	rm -rf tests/interop/kernels

# Sanitizers and static linking exclude each other, and liburing may be there as a shared library only.
if STATIC_PROBE
check_PROGRAMS += tests/interop/open_device
tests_interop_open_device_SOURCES = tests/interop/open_device.c
tests_interop_open_device_LDADD = lib/libcore.la
tests_interop_open_device_LDFLAGS = -all-static
endif
