# SPDX-License-Identifier: BSD-2-Clause
#
# What is installed is complete, and the source tree keeps its own rules.

install_tests = tests/install/test_layers.sh tests/install/test_headers.sh tests/install/test_circles.sh \
	tests/install/test_limits.sh tests/install/test_sections.py tests/install/test_install.sh tests/install/test_quickstart.sh
# Not in sanitized builds: once is enough for what takes long.
if !SANITIZED
TESTS += $(install_tests)
endif
EXTRA_DIST += $(install_tests)

# After all others: to be installed a library is linked again in its place, where others would miss it meanwhile.
install_log = tests/install/test_install.sh.log
$(install_log): | $(filter-out $(install_log),$(TEST_LOGS))
