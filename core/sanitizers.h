/* sanitizers: which ones this build has, by gcc or clang: numbers for #if and for code. */
#ifndef FUT_CORE_SANITIZERS_H
#define FUT_CORE_SANITIZERS_H

#ifndef __has_feature
#define __has_feature(x) 0
#endif

#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define FUT_ASAN 1
#else
#define FUT_ASAN 0
#endif

#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
#define FUT_TSAN 1
#else
#define FUT_TSAN 0
#endif

#endif
