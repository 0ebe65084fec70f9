# SPDX-License-Identifier: BSD-2-Clause
#
# What is installed is complete, and the source tree keeps its own rules.

install_tests = tests/install/test_install.sh
TESTS += $(install_tests)
EXTRA_DIST += $(install_tests)
