/* clock: the two clocks, kept apart by name. `_mono_` never steps and has no date; `_wall_` is what
 * people read. Tests set both with clock_test_set; nothing else does. Any thread; never blocks. */
#ifndef FUT_CORE_CLOCK_H
#define FUT_CORE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#define CLOCK_RFC3339_SIZE 32

/* Microseconds of the clock that never steps; its zero has no meaning. */
int64_t clock_mono_us(void);
/* Milliseconds of the clock that never steps. */
int64_t clock_mono_ms(void);
/* Milliseconds since 1970 (UTC) by the clock that people read, which may step. */
int64_t clock_wall_ms(void);

/* Writes "2026-11-22T10:00:00.123Z" (UTC, milliseconds; years 0 to 9999). */
void clock_rfc3339(int64_t wall_ms, char out[CLOCK_RFC3339_SIZE]);
/* Reads a date-time of RFC 3339, of any offset, into milliseconds since 1970; what is finer is cut
 * off, a leap second is the second after it. False when the text is something else; *out_wall_ms
 * untouched. */
bool clock_parse_rfc3339(const char *text, int64_t *out_wall_ms);

/* Tests only: freeze both clocks at these values; (-1, -1) gives the real ones back. */
void clock_test_set(int64_t mono_us, int64_t wall_ms);

#endif
