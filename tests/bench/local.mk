# SPDX-License-Identifier: BSD-2-Clause
#
# The benchmark that computes as well, and the page that has its results: bench/local.mk builds it.

TESTS += tests/bench/test_scaling.py
EXTRA_DIST += tests/bench/test_scaling.py
