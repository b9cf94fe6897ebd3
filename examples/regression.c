/* regression.c: fits a line through private numbers by least squares.
 *
 *   fit(string) -> string: one "x,y" pair a line in, {"n":…,"slope":…,"intercept":…,"r2":…} out
 *
 * The sums are taken about the means, in two passes, which keeps the precision that the textbook
 * one-pass formula loses. Traps on text that is no pair, and on fewer than two different x.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "guest.h"

struct pair {
    double x, y;
};

static double read_number(const char **at, const char *end)
{
    double value;
    while (*at < end && **at == ' ') {
        (*at)++;
    }
    if (!read_f64(at, end, &value)) {
        __builtin_trap();
    }
    return value;
}

static size_t read_pairs(const char *at, const char *end, struct pair **out)
{
    size_t count = 0;
    *out = alloc(0);
    while (at < end) {
        struct pair pair;
        pair.x = read_number(&at, end);
        if (at == end || *at++ != ',') {
            __builtin_trap();
        }
        pair.y = read_number(&at, end);
        while (at < end && (*at == '\n' || *at == '\r' || *at == ' ')) {
            at++;
        }
        heap_reach((uintptr_t)(*out + count + 1));
        (*out)[count++] = pair;
    }
    return count;
}

EXPORT("fit") int64_t fit(const char *text, size_t size)
{
    struct pair *pairs;
    size_t count = read_pairs(text, text + size, &pairs);
    double mean_x = 0, mean_y = 0;
    for (size_t index = 0; index < count; index++) {
        mean_x += pairs[index].x / (double)count;
        mean_y += pairs[index].y / (double)count;
    }
    double xx = 0, xy = 0, yy = 0;
    for (size_t index = 0; index < count; index++) {
        double dx = pairs[index].x - mean_x, dy = pairs[index].y - mean_y;
        xx += dx * dx;
        xy += dx * dy;
        yy += dy * dy;
    }
    if (xx == 0) {
        __builtin_trap();
    }
    double slope = xy / xx;
    struct text out = text_new();
    text_string(&out, "{\"n\":");
    text_u64(&out, count);
    text_string(&out, ",\"slope\":");
    text_f64(&out, slope);
    text_string(&out, ",\"intercept\":");
    text_f64(&out, mean_y - slope * mean_x);
    text_string(&out, ",\"r2\":");
    text_f64(&out, yy == 0 ? 1 : xy * xy / (xx * yy));
    text_string(&out, "}");
    return text_result(out);
}
