/* number: reads numbers as people and programs write them: what JSON takes, also with a leading dot
 * or leading zeros (".5", "007", "29.999993562698364", "1e-3"). No blanks, no plus sign before the
 * number, no hexadecimal, no "inf" or "nan". Pure; any thread; nothing blocks. */
#ifndef FUT_CORE_NUMBER_H
#define FUT_CORE_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

/* The functions below return false, with *out untouched, when the text is something else. */

/* The number at the begin of text; *out_end is behind it. False also beyond a double's range. */
bool number_scan(const char *text, const char **out_end, double *out);
/* The whole text is one number. */
bool number_parse(const char *text, double *out);
/* A whole number from 0 to max, also written "1e3" or "2.0". Digits alone are read exactly. */
bool number_parse_uint(const char *text, uint64_t max, uint64_t *out);
/* Seconds, 0 or more and at most max_ms, as milliseconds. */
bool number_parse_seconds(const char *text, int64_t max_ms, int64_t *out_ms);

/* The value of one hexadecimal digit, of either case; -1: it is none. */
int number_hex(char c);

/* seconds (0..1e12) as milliseconds. Parts of a millisecond round up, so that a wait or a timeout
 * that was asked for is never 0; what is only the error of a binary fraction does not (1.001 s is
 * 1001 ms). */
int64_t number_ms(double seconds);

#endif
