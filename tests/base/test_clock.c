/* test_clock: RFC 3339 both ways.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/clock.h"

#include <criterion/criterion.h>
#include <string.h>

Test(base_clock, writes_utc_with_milliseconds)
{
    char text[CLOCK_RFC3339_CHARS + 1];
    clock_rfc3339_encode(0, text);
    cr_assert_str_eq(text, "1970-01-01T00:00:00.000Z");
    clock_rfc3339_encode(1762855200123, text);
    cr_assert_str_eq(text, "2025-11-11T10:00:00.123Z");
    clock_rfc3339_encode(-1, text);
    cr_assert_str_eq(text, "1969-12-31T23:59:59.999Z");
}

Test(base_clock, reads_what_it_writes_and_shorter_fractions)
{
    int64_t ms;
    cr_assert(clock_rfc3339_decode("2025-11-11T10:00:00.123Z", 24, &ms) && ms == 1762855200123);
    cr_assert(clock_rfc3339_decode("2025-11-11T10:00:00Z", 20, &ms) && ms == 1762855200000);
    cr_assert(clock_rfc3339_decode("2025-11-11T10:00:00.5Z", 22, &ms) && ms == 1762855200500);
    cr_assert(clock_rfc3339_decode("2024-02-29T00:00:00Z", 20, &ms));
}

Test(base_clock, every_day_is_read_as_the_c_library_writes_it)
{
    const int64_t day_ms = 86400000;
    const int64_t first = -719528 * day_ms; /* 0000-01-01 */
    const int64_t last = 2932896 * day_ms;  /* 9999-12-31 */
    for (int64_t at = first; at <= last;
         at += at >= 0 && at < 60000 * day_ms ? day_ms : 23 * day_ms) {
        char text[CLOCK_RFC3339_CHARS + 1];
        int64_t ms = 0;
        clock_rfc3339_encode(at + 1, text);
        cr_assert(clock_rfc3339_decode(text, strlen(text), &ms) && ms == at + 1, "%s", text);
    }
}

Test(base_clock, refuses_other_forms_and_days_that_are_not)
{
    static const char *const bad[] = {"2025-11-11",
                                      "2025-11-11 10:00:00Z",
                                      "2025-11-11T10:00:00",
                                      "2025-11-11T10:00:00+00:00",
                                      "2025-02-29T00:00:00Z",
                                      "2100-02-29T00:00:00Z",
                                      "2025-00-01T00:00:00Z",
                                      "2025-01-00T00:00:00Z",
                                      "2025-13-01T00:00:00Z",
                                      "2025-04-31T00:00:00Z",
                                      "2025-11-11T24:00:00Z",
                                      "2025-11-11T10:60:00Z",
                                      "2025-11-11T10:00:60Z",
                                      "2025-11-11T10:00:00.Z",
                                      "2025-11-11T10:00:00.1xZ",
                                      ""};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        int64_t ms;
        cr_assert_not(clock_rfc3339_decode(bad[i], strlen(bad[i]), &ms), "%s", bad[i]);
    }
}

Test(base_clock, the_monotonic_clock_does_not_go_back)
{
    uint64_t before = clock_monotonic_ns(&clock_system);
    cr_assert(clock_monotonic_ns(&clock_system) >= before);
    cr_assert_gt(clock_wall_ms(&clock_system), 1700000000000);
}
