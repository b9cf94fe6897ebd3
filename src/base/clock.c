/* clock.c: the system's clocks and RFC 3339.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/clock.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static uint64_t clock_system_monotonic_ns(void *context)
{
    (void)context;
    struct timespec now;
    int failed = clock_gettime(CLOCK_MONOTONIC, &now);
    assert(!failed);
    (void)failed;
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

static int64_t clock_system_wall_ms(void *context)
{
    (void)context;
    struct timespec now;
    int failed = clock_gettime(CLOCK_REALTIME, &now);
    assert(!failed);
    (void)failed;
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

const struct clock clock_system = {clock_system_monotonic_ns, clock_system_wall_ms, NULL};

uint64_t clock_monotonic_ns(const struct clock *clock)
{
    return clock->monotonic_ns(clock->context);
}

int64_t clock_wall_ms(const struct clock *clock)
{
    return clock->wall_ms(clock->context);
}

void clock_rfc3339_encode(int64_t wall_ms, char out[static CLOCK_RFC3339_CHARS + 1])
{
    int64_t milliseconds = wall_ms % 1000;
    if (milliseconds < 0) {
        milliseconds += 1000;
    }
    time_t seconds = (time_t)((wall_ms - milliseconds) / 1000);
    struct tm parts;
    bool ok = gmtime_r(&seconds, &parts) != NULL && parts.tm_year >= -1900 && parts.tm_year <= 8099;
    assert(ok);
    (void)ok;
    char text[64];
    (void)snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", parts.tm_year + 1900,
                   parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                   (int)milliseconds);
    (void)memcpy(out, text, CLOCK_RFC3339_CHARS + 1);
}

/* Reads `count` digits; -1 if one is none. */
static int clock_digits(const char *text, size_t count)
{
    int value = 0;
    for (size_t i = 0; i < count; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return -1;
        }
        value = value * 10 + (text[i] - '0');
    }
    return value;
}

/* ".123" with 1 to 9 digits, then "Z". */
static bool clock_fraction(const char *text, size_t size, int64_t *milliseconds)
{
    *milliseconds = 0;
    if (size == 1) {
        return text[0] == 'Z';
    }
    if (size < 3 || size > 11 || text[0] != '.' || text[size - 1] != 'Z') {
        return false;
    }
    int64_t scale = 100;
    for (size_t i = 1; i + 1 < size; i++, scale /= 10) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
        *milliseconds += (text[i] - '0') * scale;
    }
    return true;
}

bool clock_rfc3339_decode(const char *text, size_t text_size, int64_t *wall_ms)
{
    enum { CLOCK_SECONDS_CHARS = 19 };
    if (text_size <= CLOCK_SECONDS_CHARS || text[4] != '-' || text[7] != '-' || text[10] != 'T' ||
        text[13] != ':' || text[16] != ':') {
        return false;
    }
    int year = clock_digits(text, 4);
    int month = clock_digits(text + 5, 2);
    int day = clock_digits(text + 8, 2);
    int hour = clock_digits(text + 11, 2);
    int minute = clock_digits(text + 14, 2);
    int second = clock_digits(text + 17, 2);
    int64_t milliseconds;
    if (year < 0 || month < 1 || month > 12 || day < 1 || hour < 0 || hour > 23 || minute < 0 ||
        minute > 59 || second < 0 || second > 59 ||
        !clock_fraction(text + CLOCK_SECONDS_CHARS, text_size - CLOCK_SECONDS_CHARS,
                        &milliseconds)) {
        return false;
    }
    struct tm parts = {.tm_year = year - 1900,
                       .tm_mon = month - 1,
                       .tm_mday = day,
                       .tm_hour = hour,
                       .tm_min = minute,
                       .tm_sec = second};
    time_t seconds = timegm(&parts);
    if (parts.tm_mday != day || parts.tm_mon != month - 1) {
        return false; /* timegm moved the 31st of April on */
    }
    *wall_ms = (int64_t)seconds * 1000 + milliseconds;
    return true;
}
