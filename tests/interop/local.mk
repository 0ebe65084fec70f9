# SPDX-License-Identifier: BSD-2-Clause
#
# Others that know the formats work on the same images: the Linux kernel, in a virtual machine.

interop_tests = tests/interop/test_kernel_guest.py
TESTS += $(interop_tests)
EXTRA_DIST += $(interop_tests)
