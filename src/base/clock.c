/* clock.c: the system's clocks and RFC 3339.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/clock.h"

#include <assert.h>
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

static uint64_t clock_system_thread_ns(void *context)
{
    (void)context;
    struct timespec used;
    int failed = clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    assert(!failed);
    (void)failed;
    return (uint64_t)used.tv_sec * 1000000000U + (uint64_t)used.tv_nsec;
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

const struct clock clock_system = {clock_system_monotonic_ns, clock_system_wall_ms, NULL,
                                   clock_system_thread_ns};

uint64_t clock_monotonic_ns(const struct clock *clock)
{
    return clock->monotonic_ns(clock->context);
}

uint64_t clock_thread_ns(const struct clock *clock)
{
    return clock->thread_ns != NULL ? clock->thread_ns(clock->context) : clock_monotonic_ns(clock);
}

int64_t clock_wall_ms(const struct clock *clock)
{
    return clock->wall_ms(clock->context);
}

static void clock_put_digits(char *out, size_t count, int value)
{
    for (; count > 0; count--, value /= 10) {
        out[count - 1] = (char)('0' + value % 10);
    }
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
    (void)memcpy(out, "0000-00-00T00:00:00.000Z", CLOCK_RFC3339_CHARS + 1);
    clock_put_digits(out, 4, parts.tm_year + 1900);
    clock_put_digits(out + 5, 2, parts.tm_mon + 1);
    clock_put_digits(out + 8, 2, parts.tm_mday);
    clock_put_digits(out + 11, 2, parts.tm_hour);
    clock_put_digits(out + 14, 2, parts.tm_min);
    clock_put_digits(out + 17, 2, parts.tm_sec);
    clock_put_digits(out + 20, 3, (int)milliseconds);
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

static int clock_month_days(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && is_leap);
}

/* Days since 1970-01-01 in the Gregorian calendar, without timegm, which takes a lock and looks at
 * time zones. Years begin in March here, so that leap days come last: the k-th month from March on
 * begins on day (153 k + 2) / 5. */
static int64_t clock_days(int year, int month, int day)
{
    int64_t from_march = year - (month <= 2);
    int64_t months = (month + 9) % 12;
    int64_t leap_days =
        (from_march + 400) / 4 - (from_march + 400) / 100 + (from_march + 400) / 400;
    int64_t days_to_1970 = 865565; /* from the 1st of March of the year -400 */
    return (from_march + 400) * 365 + leap_days + (153 * months + 2) / 5 + day - 1 - days_to_1970;
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
    if (day > clock_month_days(year, month)) {
        return false;
    }
    int64_t seconds = clock_days(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
    *wall_ms = seconds * 1000 + milliseconds;
    return true;
}
