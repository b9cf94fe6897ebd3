/* fake_clock.h: a clock that stands still until a test moves it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SUPPORT_FAKE_CLOCK_H
#define SUPPORT_FAKE_CLOCK_H

#include "base/clock.h"

#include <stdatomic.h>

struct fake_clock {
    struct clock clock;
    _Atomic uint64_t now_ms;      /* since the fake's beginning */
    _Atomic int64_t wall_step_ms; /* by so much the wall clock was set */
};

enum { FAKE_CLOCK_BEGIN_MS = 1000000 };

static inline uint64_t fake_clock_monotonic_ns(void *context)
{
    struct fake_clock *fake = context;
    return (FAKE_CLOCK_BEGIN_MS + atomic_load(&fake->now_ms)) * 1000000;
}

static inline int64_t fake_clock_wall_ms(void *context)
{
    struct fake_clock *fake = context;
    int64_t now_ms = (int64_t)atomic_load(&fake->now_ms) + atomic_load(&fake->wall_step_ms);
    return 1790000000000 + now_ms; /* in September 2026 */
}

static inline void fake_clock_init(struct fake_clock *fake)
{
    atomic_init(&fake->now_ms, 0);
    atomic_init(&fake->wall_step_ms, 0);
    fake->clock = (struct clock){
        .monotonic_ns = fake_clock_monotonic_ns, .wall_ms = fake_clock_wall_ms, .context = fake};
}

static inline void fake_clock_advance(struct fake_clock *fake, uint64_t ms)
{
    atomic_fetch_add(&fake->now_ms, ms);
}

/* Sets the wall clock, as an administrator or NTP does; the other goes on. */
static inline void fake_clock_step_wall(struct fake_clock *fake, int64_t ms)
{
    atomic_fetch_add(&fake->wall_step_ms, ms);
}

#endif
