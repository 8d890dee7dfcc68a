/* zone: a time zone of tzdata, read from its TZif file (RFC 9636): from when to when which offset
 * holds, before, within and behind the file's table. glibc knows one zone at a time, that of TZ,
 * which no process with threads may change.
 *
 * A zone is constant once loaded; any thread may ask. Times are seconds since 1970; a local time is
 * the same number for what the clock on the wall shows. */
#ifndef FUT_CORE_CALENDAR_ZONE_H
#define FUT_CORE_CALENDAR_ZONE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

#define ZONE_NAME_MAX 64 /* bytes */

struct zone;

/* Reads the zone of this name from TZDIR or /usr/share/zoneinfo; "UTC" needs no file. Blocks for
 * the file. *out is the caller's. FUT_ERR_NOT_FOUND: tzdata has no such zone. */
FUT_MUST_CHECK int zone_load(const char *name, struct zone **out);
/* Reads a zone from the bytes of a TZif file, borrowed for the call. FUT_ERR_INVAL: they are none.
 */
FUT_MUST_CHECK int zone_read(const unsigned char *bytes, size_t n, struct zone **out);
/* NULL ok. */
void zone_free(struct zone *z);

/* One offset holds in [begin, end). */
struct zone_part {
    int64_t begin, end;
    int32_t offset; /* seconds east of UTC */
};

/* The part that holds t; |t| up to 10^11. */
struct zone_part zone_at(const struct zone *z, int64_t t);
/* When the clock on the wall shows this time first; when it jumps over it, the moment of the jump.
 * |local| up to 10^11. */
int64_t zone_first(const struct zone *z, int64_t local);

#endif
