# SPDX-License-Identifier: BSD-2-Clause
#
# The benchmark that computes as well, and the page that has its results, and the one that compares:
# bench/local.mk builds them.

EXTRA_DIST += tests/bench/test_scaling.py tests/bench/test_compare.py
# Not in sanitized builds: what these run of the library others run too.
if !SANITIZED
TESTS += tests/bench/test_scaling.py
if SHARED
TESTS += tests/bench/test_compare.py
endif
endif

if SHARED
check_LTLIBRARIES += tests/bench/fake_peer.la
tests_bench_fake_peer_la_SOURCES = tests/bench/fake_peer.c bench/peers/peer.h
tests_bench_fake_peer_la_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/bench
tests_bench_fake_peer_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -shared -rpath /nowhere
endif
