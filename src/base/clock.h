/* clock.h: time, behind a vtable so that tests bring their own.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct clock {
    uint64_t (*monotonic_ns)(void *context); /* CLOCK_MONOTONIC: deadlines, durations */
    int64_t (*wall_ms)(void *context);       /* milliseconds since 1970 UTC: stamps, expiries */
    void *context;
    uint64_t (*thread_ns)(void *context); /* the calling thread's on a processor; may be NULL */
};

extern const struct clock clock_system;

uint64_t clock_monotonic_ns(const struct clock *clock);
int64_t clock_wall_ms(const struct clock *clock);
/* How long the calling thread has been on a processor; monotonic_ns of a clock that cannot tell. */
uint64_t clock_thread_ns(const struct clock *clock);

/* RFC 3339 in UTC with milliseconds, "2026-11-21T10:00:00.123Z"; years 0000..9999. */
enum { CLOCK_RFC3339_CHARS = 24 };
void clock_rfc3339_encode(int64_t wall_ms, char out[static CLOCK_RFC3339_CHARS + 1]);
bool clock_rfc3339_decode(const char *text, size_t text_size,
                          int64_t *wall_ms); /* fraction optional, Z only */

#endif
