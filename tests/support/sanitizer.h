/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which sanitizer this is compiled with, whichever compiler: gcc has a macro for each, older clang
 * a question.
 */
#ifndef TESTS_SANITIZER_H
#define TESTS_SANITIZER_H

#ifndef __has_feature
#define __has_feature(feature) 0
#endif

#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define ADDRESS_SANITIZER 1
#else
#define ADDRESS_SANITIZER 0
#endif

#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
#define THREAD_SANITIZER 1
#else
#define THREAD_SANITIZER 0
#endif

/* Either has an allocator and an address space of its own, and needs more stack. */
#define SANITIZED (ADDRESS_SANITIZER || THREAD_SANITIZER)

#endif
